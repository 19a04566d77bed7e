//! Hosts with an RNIC each, that carry messages as fast as they may.
//!
//! A host's line is as fast as all paths together. What the wide area cannot take in time pauses
//! it: a host sends only while a frame that arrives at a path now would wait for no longer than
//! [`PAUSE`], as if its gateway sent PFC frames in good time. That is all the lab models of
//! backpressure on a LAN: one traffic class, paused as one, without delay.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{MICROSECOND, Nanos, Time};

use super::Hosts;
use crate::network::{Load, Network};
use crate::report::{Endpoints, MessageReport};
use crate::rnic::{Completion, Counters, QpNumber, Rnic, RnicSettings, Status, WorkRequest};
use crate::run::LabError;
use crate::scenario::Scenario;
use crate::traffic::{Mix, Plan, Traffic};

/// The wait for a path at which a host stops.
const PAUSE: Nanos = 20 * MICROSECOND;

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
    /// Frames that the gateways absorbed.
    absorbed: u64,
    /// How long each completed message took from its first packet on.
    times: Vec<Nanos>,
}

/// A host.
struct End {
    rnic: Rnic,
    /// When its line has sent the last frame.
    free: Time,
    /// Queue pairs; those of the other end have the same places.
    qps: Vec<QueuePair>,
}

#[derive(Debug, Clone, Copy)]
struct QueuePair {
    number: QpNumber,
    posted: u32,
    completed: u32,
    failed: bool,
}

impl Rnics {
    /// Those that carry this traffic.
    pub(super) fn new(scenario: &Scenario, traffic: &Traffic) -> Self {
        let plan = Plan::new(traffic, &scenario.paths);
        let mut ends = [0, 1].map(|side| End::new(scenario.seed, side, traffic, &plan));
        let [a, b] = &mut ends;
        for (at_a, at_b) in a.qps.iter().zip(&b.qps) {
            let (to_a, to_b) = (a.rnic.endpoint(at_a.number), b.rnic.endpoint(at_b.number));
            let connected = to_a.zip(to_b).map(|(to_a, to_b)| {
                (a.rnic.connect(at_a.number, to_b), b.rnic.connect(at_b.number, to_a))
            });
            debug_assert_eq!(connected, Some((Ok(()), Ok(()))));
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
            absorbed: 0,
            times: Vec::new(),
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
        let Some(qp) = end.qps.get_mut(place).filter(|qp| !qp.failed) else { return };
        if completion.status != Status::Success {
            qp.failed = true;
            self.open -= u64::from(self.traffic.messages - qp.completed);
            return;
        }
        qp.completed += 1;
        self.open -= 1;
        self.completed += 1;
        self.completed_bytes += u64::from(self.traffic.message(number).1);
        self.times.push(completion.completed.since(completion.first_sent));
        self.last_completion = now;
        end.post(now, place, &self.traffic);
    }

    fn counters(&self, figure: fn(&Counters) -> u64) -> u64 {
        self.ends.iter().map(|end| figure(&end.rnic.counters())).sum()
    }
}

impl End {
    fn new(seed: u64, side: usize, traffic: &Traffic, plan: &Plan) -> Self {
        let mac = |side: usize| [2, 0, 0, 1, 0, side as u8 + 1];
        let mut rnic = Rnic::new(RnicSettings {
            mac: mac(side),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, side as u8 + 1, 1)),
            peer_mac: mac(1 - side),
            // Each RNIC of a run chooses on its own.
            seed: seed.wrapping_mul(2).wrapping_add(side as u64),
        });
        let settings = plan.qp(traffic);
        let qps = (0..traffic.qps).map(|_| {
            let number = rnic.create_qp(settings);
            QueuePair { number, posted: 0, completed: 0, failed: false }
        });
        Self { qps: qps.collect(), rnic, free: Time::ZERO }
    }

    /// Posts the next message of a queue pair, if there is one left.
    fn post(&mut self, now: Time, place: usize, traffic: &Traffic) {
        let Some(qp) = self.qps.get_mut(place) else { return };
        if qp.posted == traffic.messages {
            return;
        }
        let (verb, length) = traffic.message(qp.posted);
        let id = (place as u64) << 32 | u64::from(qp.posted);
        qp.posted += 1;
        self.rnic.post(now, qp.number, WorkRequest { verb, length, id });
    }

    /// When it may send at the earliest.
    fn free(&self, now: Time, side: usize, network: &Network) -> Time {
        let pause = network.backlog(now, side).saturating_sub(PAUSE);
        self.free.max(now.after(pause))
    }

    /// Sends a frame, if there is one and the line is free; whether it did.
    fn transmit(&mut self, now: Time, side: usize, plan: &Plan, network: &mut Network) -> bool {
        if self.rnic.next_event().is_none_or(|at| at > now) || self.free(now, side, network) > now {
            return false;
        }
        let mut frame = network.buffer();
        let sends = self.rnic.transmit(now, &mut frame);
        if sends {
            self.free = now.after(plan.line_time(frame.len()));
            network.send_from_host(now, side, frame);
        } else {
            network.recycle(Load::Owned(frame));
        }
        sends
    }
}

impl Hosts for Rnics {
    fn start(&mut self, now: Time, _: &mut Network) -> Result<u64, LabError> {
        (self.start, self.last_completion) = (now, now);
        // As many as the window has room for, and the next.
        let packets = self.traffic.pmtu.packets(self.traffic.size);
        let depth = match self.traffic.verb {
            Mix::Atomic | Mix::Mixed => self.plan.window_packets,
            _ => self.plan.window_packets.div_ceil(packets),
        };
        for (side, end) in self.ends.iter_mut().enumerate() {
            let asks = self.traffic.direction.asks(side);
            for place in (0..end.qps.len()).filter(|_| asks) {
                (0..=depth).for_each(|_| end.post(now, place, &self.traffic));
            }
        }
        Ok(0)
    }

    fn next_event(&self, now: Time, network: &Network) -> Option<Time> {
        let events = self.ends.iter().enumerate().filter_map(|(side, end)| {
            let due = end.rnic.next_event()?;
            // What it has to do needs its line.
            Some(due.max(end.free(now, side, network)))
        });
        events.min()
    }

    fn receive(&mut self, now: Time, side: usize, frame: &[u8]) {
        self.ends[side].rnic.receive(now, frame);
    }

    fn absorbed(&mut self, _: usize, _: &[u8]) {
        self.absorbed += 1;
    }

    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError> {
        for side in [0, 1] {
            self.collect(now, side);
            while self.ends[side].transmit(now, side, &self.plan, network) {}
            // A timer that fired may have ended messages.
            self.collect(now, side);
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
            ..Endpoints::of_messages(messages, times, span, self.completed_bytes, line_bytes)
        }
    }
}
