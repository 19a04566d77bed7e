//! Groups of hosts with an RNIC each, that carry messages as fast as they may, or in bursts.
//!
//! A host's line is faster than all paths together. What the wide area cannot take in time pauses
//! it: a host sends only while a frame that arrives at a path now would wait for no longer than
//! 20 microseconds, as if its gateway sent PFC frames in good time. That is all the lab models of
//! a gateway that is full: one traffic class, paused as one, without delay. Where there are several
//! paths and the line is given, it says what is offered: then the network's queues are 5 ms long, for
//! the fullest of the paths must not say what the others get. Where the scenario has a host pause,
//! or a tenant's queue says stop, hosts and gateways say so by frames, and obey those.

use dataplane::time::{Nanos, Time};

use crate::network::Network;
use crate::rnic::{Completion, Counters, Status};
use crate::traffic::{Bursts, Mix, Plan, Traffic};

mod arrivals;
mod end;
mod lives;
mod sites;
mod station;
mod work;

use end::{End, Stage};
pub(super) use sites::Sites;
pub(crate) use station::RATE as PFC_RATE;
use station::Station;
use work::Group;
pub(crate) use work::Work;

/// A group of hosts at both sites.
pub(super) struct Rnics {
    /// Its number: hosts of a group have addresses with it.
    group: u8,
    ends: [End; 2],
    traffic: Traffic,
    plan: Plan,
    start: Time,
    /// They have begun.
    begun: bool,
    /// When the next burst is posted, if there is another one.
    burst: Option<Time>,
    last_completion: Time,
    /// Messages that have not ended, and will not by the failure of their queue pair.
    open: u64,
    completed: u64,
    completed_bytes: u64,
    /// Messages that ended with the failure of their queue pair.
    failed: u64,
    /// Places of queue pairs whose connection may have to end.
    changed: Vec<usize>,
    /// Frames that the gateways absorbed.
    absorbed: u64,
    /// How long each completed message took from its first packet on.
    times: Vec<Nanos>,
    /// What each code point's queue pairs did; a single one if none are named.
    groups: Vec<Group>,
}

impl Rnics {
    /// Group `group`, which carries this traffic.
    fn new(seed: u64, group: u8, traffic: &Traffic, plan: Plan) -> Self {
        let mut ends = [0, 1].map(|side| End::new(seed, group, side, traffic, &plan));
        if traffic.recreate.is_none() {
            connect(&mut ends, traffic, &plan);
        }
        Self {
            group,
            ends,
            traffic: traffic.clone(),
            plan,
            start: Time::NEVER,
            begun: false,
            burst: None,
            last_completion: Time::ZERO,
            open: traffic.total(),
            completed: 0,
            completed_bytes: 0,
            failed: 0,
            changed: Vec::new(),
            absorbed: 0,
            times: Vec::new(),
            groups: work::groups(traffic),
        }
    }

    /// Takes the ends of messages, and posts as many more.
    fn collect(&mut self, now: Time, side: usize) {
        while let Some(completion) = self.ends[side].poll() {
            self.end(now, side, &completion);
        }
    }

    fn end(&mut self, now: Time, side: usize, completion: &Completion) {
        let (place, number) = ((completion.id >> 32) as usize, completion.id as u32);
        let end = &mut self.ends[side];
        let present = end.qps.get_mut(place).filter(|qp| qp.number == completion.qpn);
        let Some(qp) = present.filter(|qp| qp.stage == Stage::Up) else { return };
        if completion.status != Status::Success {
            return self.fail(side, place);
        }
        qp.ended += 1;
        if qp.ended == qp.until && self.traffic.recreate.is_some() {
            self.changed.push(place);
        }
        self.open -= 1;
        self.completed += 1;
        let bytes = u64::from(self.traffic.message(number).1);
        self.completed_bytes += bytes;
        let took = completion.completed.since(completion.first_sent);
        self.times.push(took);
        self.last_completion = now;
        end.post(now, place, &self.traffic);
        work::count(&mut self.groups, place, (now, took, bytes));
    }

    /// A queue pair failed, and with it what was posted; all messages, if no other one follows.
    fn fail(&mut self, side: usize, place: usize) {
        let Some(qp) = self.ends[side].qps.get_mut(place) else { return };
        let last = match self.traffic.recreate {
            Some(_) => qp.posted,
            None => self.traffic.messages,
        };
        let lost = u64::from(last - qp.ended);
        (qp.stage, qp.ended) = (Stage::Failed, last);
        self.open -= lost;
        self.failed += lost;
        if self.traffic.recreate.is_some() {
            self.changed.push(place);
        }
    }

    /// Posts to a queue pair as many messages as the window has room for, and the next.
    fn fill(&mut self, now: Time, side: usize, place: usize) {
        if !self.traffic.direction.asks(side) {
            return;
        }
        let packets = self.traffic.pmtu.packets(self.traffic.size);
        let depth = match self.traffic.verb {
            Mix::Atomic | Mix::Mixed => self.plan.window_packets,
            _ => self.plan.window_packets.div_ceil(packets),
        };
        let end = &mut self.ends[side];
        let open = end.qps.get(place).map_or(0, |qp| qp.posted - qp.ended);
        (open..=depth).for_each(|_| end.post(now, place, &self.traffic));
    }

    /// Takes what became of messages and connections, and does what follows.
    fn follow(&mut self, now: Time, side: usize) {
        self.collect(now, side);
        if self.traffic.recreate.is_some() {
            self.tend(now);
        }
    }

    fn counters(&self, figure: fn(&Counters) -> u64) -> u64 {
        self.ends.iter().map(|end| end.counters(figure)).sum()
    }

    /// The play starts at `now`, and they with it or later.
    fn start(&mut self, now: Time) {
        self.start = now.after(self.traffic.start);
        self.last_completion = self.start;
        if self.start <= now {
            self.begin(now);
        }
    }

    fn begin(&mut self, now: Time) {
        self.begun = true;
        match (self.traffic.recreate, self.traffic.bursts) {
            (Some(_), _) => self.dial_all(now),
            (None, Some(_)) => self.burst = Some(self.start),
            (None, None) => self.fill_all(now),
        }
    }

    fn fill_all(&mut self, now: Time) {
        for side in [0, 1] {
            (0..self.ends[side].qps.len()).for_each(|place| self.fill(now, side, place));
        }
    }

    /// Posts the bursts that are due, to all queue pairs at once.
    fn burst(&mut self, now: Time) {
        let Some(Bursts { messages, every }) = self.traffic.bursts else { return };
        while let Some(at) = self.burst.filter(|at| *at <= now) {
            let all = self.traffic.messages;
            let mut reached = 0;
            for qp in self.ends.iter_mut().flat_map(|end| &mut end.qps) {
                qp.until = qp.until.saturating_add(messages).min(all);
                reached = reached.max(qp.until);
            }
            self.burst = (reached < all).then(|| at.after(every));
            self.fill_all(now);
        }
    }

    fn next_event(&self, now: Time, lans: &[Station; 2], network: &Network) -> Option<Time> {
        let ends = self.ends.iter().zip(lans).enumerate();
        let events = ends.filter_map(|(side, (end, lan))| end.next_event(now, side, lan, network));
        events.chain((!self.begun).then_some(self.start)).chain(self.burst).min()
    }

    fn act(&mut self, now: Time, lans: &[Station; 2], network: &mut Network) {
        if !self.begun && self.start <= now {
            self.begin(now);
        }
        self.burst(now);
        for (side, lan) in lans.iter().enumerate() {
            self.follow(now, side);
            while self.ends[side].transmit(now, side, (&self.plan, lan), network) {}
            // A timer that fired may have ended messages.
            self.follow(now, side);
        }
    }

    /// Time from the start to the last completion.
    fn span(&self) -> Nanos {
        self.last_completion.since(self.start)
    }
}

/// Gives both ends their queue pairs, connected without a word on the wire.
fn connect([a, b]: &mut [End; 2], traffic: &Traffic, plan: &Plan) {
    for place in 0..traffic.qps as usize {
        let settings = plan.qp(traffic, place);
        let [of_a, of_b] = [&mut *a, &mut *b].map(|end| end.rnic(place));
        let [at_a, at_b] = [&mut *of_a, &mut *of_b].map(|rnic| rnic.create_qp(settings));
        let (to_a, to_b) = (of_a.endpoint(at_a), of_b.endpoint(at_b));
        let connected =
            to_a.zip(to_b).map(|(to_a, to_b)| (of_a.connect(at_a, to_b), of_b.connect(at_b, to_a)));
        debug_assert_eq!(connected, Some((Ok(()), Ok(()))));
        // Those that come in bursts are not there yet.
        let messages = traffic.bursts.map_or(traffic.messages, |_| 0);
        a.begin(place, at_a, messages);
        b.begin(place, at_b, messages);
    }
}
