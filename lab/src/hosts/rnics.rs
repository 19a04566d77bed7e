//! Hosts with an RNIC each, that carry messages as fast as they may.
//!
//! A host's line is as fast as all paths together. What the wide area cannot take in time pauses
//! it: a host sends only while a frame that arrives at a path now would wait for no longer than
//! 20 microseconds, as if its gateway sent PFC frames in good time. That is all the lab models of
//! a gateway that is full: one traffic class, paused as one, without delay. Where there are several
//! paths and the line is given, it says what is offered: then the network's queues are 5 ms long, for
//! the fullest of the paths must not say what the others get. Where the scenario has a host pause,
//! hosts and gateways say so by frames, and obey those.

use dataplane::time::{Nanos, Time};

use super::Hosts;
use crate::network::Network;
use crate::report::{Endpoints, GroupReport, MessageReport};
use crate::rnic::{Completion, Counters, Status};
use crate::run::LabError;
use crate::scenario::Scenario;
use crate::traffic::{Mix, Plan, Traffic};

mod end;
mod lives;
mod station;

use end::{End, Stage};
pub(crate) use station::RATE as PFC_RATE;

/// Two hosts.
pub(super) struct Rnics {
    ends: [End; 2],
    traffic: Traffic,
    plan: Plan,
    start: Time,
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
    /// What each code point's queue pairs did, if they have several.
    groups: Vec<Group>,
}

/// Queue pairs of one code point.
#[derive(Default)]
struct Group {
    bytes: u64,
    /// Messages that have not ended.
    open: u64,
    last_completion: Time,
    times: Vec<Nanos>,
    /// Its bytes when the first of all groups had nothing left to do.
    bytes_then: Option<u64>,
}

impl Rnics {
    /// Those that carry this traffic.
    pub(super) fn new(scenario: &Scenario, traffic: &Traffic) -> Self {
        let plan = Plan::new(traffic, &scenario.paths);
        let mut ends = [0, 1].map(|side| End::new(scenario, side, traffic, &plan));
        if traffic.recreate.is_none() {
            connect(&mut ends, traffic, &plan);
        }
        Self {
            ends,
            traffic: traffic.clone(),
            plan,
            start: Time::ZERO,
            last_completion: Time::ZERO,
            open: traffic.total(),
            completed: 0,
            completed_bytes: 0,
            failed: 0,
            changed: Vec::new(),
            absorbed: 0,
            times: Vec::new(),
            groups: groups(traffic),
        }
    }

    /// Takes the ends of messages, and posts as many more.
    fn collect(&mut self, now: Time, side: usize) {
        while let Some(completion) = self.ends[side].rnic.poll() {
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
        self.completed_bytes += u64::from(self.traffic.message(number).1);
        self.times.push(completion.completed.since(completion.first_sent));
        self.last_completion = now;
        end.post(now, place, &self.traffic);
        self.count(now, place, completion.completed.since(completion.first_sent), number);
    }

    /// Counts a message of the group of `place`.
    fn count(&mut self, now: Time, place: usize, took: Nanos, number: u32) {
        let index = place % self.groups.len().max(1);
        let Some(group) = self.groups.get_mut(index) else { return };
        group.bytes += u64::from(self.traffic.message(number).1);
        group.open -= 1;
        group.last_completion = now;
        group.times.push(took);
        if group.open == 0 && group.bytes_then.is_none() {
            self.groups.iter_mut().for_each(|group| group.bytes_then = Some(group.bytes));
        }
    }

    /// What the groups did.
    fn group_reports(&self) -> Vec<GroupReport> {
        let then: u64 = self.groups.iter().filter_map(|group| group.bytes_then).sum();
        let report = |(group, dscp): (&Group, &u8)| {
            let span = group.last_completion.since(self.start);
            let share = group.bytes_then.unwrap_or(0) as f64 / then.max(1) as f64;
            GroupReport::new(*dscp, group.bytes, span, share, group.times.clone())
        };
        self.groups.iter().zip(&self.traffic.dscp).map(report).collect()
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

    /// Posts to a new queue pair as many messages as the window has room for, and the next.
    fn fill(&mut self, now: Time, side: usize, place: usize) {
        if !self.traffic.direction.asks(side) {
            return;
        }
        let packets = self.traffic.pmtu.packets(self.traffic.size);
        let depth = match self.traffic.verb {
            Mix::Atomic | Mix::Mixed => self.plan.window_packets,
            _ => self.plan.window_packets.div_ceil(packets),
        };
        (0..=depth).for_each(|_| self.ends[side].post(now, place, &self.traffic));
    }

    /// Takes what became of messages and connections, and does what follows.
    fn follow(&mut self, now: Time, side: usize) {
        self.collect(now, side);
        if self.traffic.recreate.is_some() {
            self.tend(now);
        }
    }

    fn counters(&self, figure: fn(&Counters) -> u64) -> u64 {
        self.ends.iter().map(|end| figure(&end.rnic.counters())).sum()
    }
}

impl Hosts for Rnics {
    fn start(&mut self, now: Time, _: &mut Network) -> Result<u64, LabError> {
        (self.start, self.last_completion) = (now, now);
        self.ends.iter_mut().for_each(|end| end.station.start(now));
        if self.traffic.recreate.is_some() {
            self.dial_all(now);
            return Ok(0);
        }
        for side in [0, 1] {
            (0..self.ends[side].qps.len()).for_each(|place| self.fill(now, side, place));
        }
        Ok(0)
    }

    fn next_event(&self, now: Time, network: &Network) -> Option<Time> {
        let events = self.ends.iter().enumerate().filter_map(|(side, end)| {
            let due = end.rnic.next_event()?;
            // What it has to do needs its line.
            Some(due.max(end.free(now, side, network)))
        });
        events.chain(self.ends.iter().filter_map(|end| end.station.due())).min()
    }

    fn receive(&mut self, now: Time, side: usize, frame: &[u8]) {
        let end = &mut self.ends[side];
        if !end.station.receive(now, frame) {
            end.rnic.receive(now, frame);
        }
    }

    fn absorbed(&mut self, _: usize, _: &[u8]) {
        self.absorbed += 1;
    }

    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError> {
        for side in [0, 1] {
            self.ends[side].station.act(now, side, network);
            self.follow(now, side);
            while self.ends[side].transmit(now, side, &self.plan, network) {}
            // A timer that fired may have ended messages.
            self.follow(now, side);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.open == 0
    }

    fn unfinished(&self, after: Nanos) -> LabError {
        LabError::unfinished("messages", self.completed, self.traffic.total(), after)
    }

    fn span(&self) -> Nanos {
        self.last_completion.since(self.start)
    }

    fn report(&self, line_bytes: u64) -> Endpoints {
        let messages = MessageReport {
            messages_posted: self.traffic.total(),
            messages_completed: self.completed,
            messages_failed: self.failed,
            retransmitted_packets: self.counters(|rnic| rnic.retransmitted_packets),
            naks: self.counters(|rnic| rnic.naks_sent),
            rnr_naks: self.counters(|rnic| rnic.rnr_naks_sent),
            timeouts: self.counters(|rnic| rnic.local_ack_timeout_err),
            repeated_requests: self.counters(|rnic| rnic.duplicate_request),
            icrc_errors: self.counters(|rnic| rnic.icrc_errors),
            qp_errors: self.counters(|rnic| rnic.qp_errors),
            ..MessageReport::default()
        };
        let (times, span) = (self.times.clone(), self.span());
        Endpoints {
            packets_sent: self.counters(|rnic| rnic.sent_packets),
            packets_delivered: self.counters(|rnic| rnic.received_packets),
            missing: self.counters(|rnic| rnic.missing),
            altered: self.counters(|rnic| rnic.altered),
            out_of_sequence: self.counters(|rnic| rnic.out_of_sequence + rnic.implied_nak_seq_err),
            duplicates: self.counters(|rnic| rnic.duplicates),
            absorbed: self.absorbed,
            by_dscp: self.group_reports(),
            ..Endpoints::of_messages(messages, times, span, self.completed_bytes, line_bytes)
        }
    }
}

/// A group for each code point, if there are any.
fn groups(traffic: &Traffic) -> Vec<Group> {
    let sides = traffic.total() / (u64::from(traffic.qps) * u64::from(traffic.messages)).max(1);
    let mut groups: Vec<_> = traffic.dscp.iter().map(|_| Group::default()).collect();
    for place in 0..traffic.qps as usize {
        let index = place % groups.len().max(1);
        if let Some(group) = groups.get_mut(index) {
            group.open += u64::from(traffic.messages) * sides;
        }
    }
    groups
}

/// Gives both ends their queue pairs, connected without a word on the wire.
fn connect([a, b]: &mut [End; 2], traffic: &Traffic, plan: &Plan) {
    for place in 0..traffic.qps as usize {
        let settings = plan.qp(traffic, place);
        let [at_a, at_b] = [&mut *a, &mut *b].map(|end| end.rnic.create_qp(settings));
        let (to_a, to_b) = (a.rnic.endpoint(at_a), b.rnic.endpoint(at_b));
        let connected = to_a
            .zip(to_b)
            .map(|(to_a, to_b)| (a.rnic.connect(at_a, to_b), b.rnic.connect(at_b, to_a)));
        debug_assert_eq!(connected, Some((Ok(()), Ok(()))));
        a.begin(place, at_a, traffic.messages);
        b.begin(place, at_b, traffic.messages);
    }
}
