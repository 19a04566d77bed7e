//! All groups of hosts, behind a switch at each site.

use dataplane::time::{Nanos, Time};

use super::arrivals::Arrivals;
use super::end::{GROUP_AT, mac};
use super::{Rnics, Station, Work};
use crate::hosts::Hosts;
use crate::network::Network;
use crate::report::{Endpoints, MessageReport, PairReport};
use crate::rnic::Counters;
use crate::run::LabError;
use crate::scenario::Scenario;
use crate::traffic::{Plan, Traffic};

/// The hosts of both sites.
pub(in crate::hosts) struct Sites {
    pairs: Vec<Pair>,
    lans: [Station; 2],
    start: Time,
}

/// A pair of hosts, and what is told of it.
struct Pair {
    hosts: Rnics,
    name: String,
    /// What came when; where somebody pauses.
    arrivals: Option<Arrivals>,
    /// Bytes done when the first of the large pairs had nothing left to do.
    bytes_then: Option<u64>,
    /// Whether it has a hundredth of all that is to be carried, or more.
    is_large: bool,
}

impl Sites {
    /// Pairs that carry this traffic.
    pub(in crate::hosts) fn new(scenario: &Scenario, groups: &[Traffic]) -> Self {
        let bytes = |traffic: &Traffic| u128::from(traffic.total()) * u128::from(traffic.size);
        let all: u128 = groups.iter().map(bytes).sum();
        let pair = |(place, traffic): (usize, &Traffic)| Pair {
            hosts: Rnics::new(
                scenario.seed,
                place as u8,
                traffic,
                Plan::new(traffic, &scenario.paths),
            ),
            name: traffic.called(place),
            arrivals: Arrivals::new(scenario, traffic.priority),
            bytes_then: None,
            is_large: bytes(traffic) * 100 >= all,
        };
        // Without gateways nobody is there to obey.
        let pauses = if scenario.gateways { &scenario.pauses[..] } else { &[] };
        Self {
            pairs: groups.iter().enumerate().map(pair).collect(),
            lans: [0, 1].map(|side| Station::new(side, mac(0, side, 0), pauses)),
            start: Time::ZERO,
        }
    }

    fn sum(&self, figure: fn(&Rnics) -> u64) -> u64 {
        self.pairs.iter().map(|pair| figure(&pair.hosts)).sum()
    }

    fn counters(&self, figure: fn(&Counters) -> u64) -> u64 {
        self.pairs.iter().map(|pair| pair.hosts.counters(figure)).sum()
    }

    fn posted(&self) -> u64 {
        self.sum(|hosts| hosts.traffic.total())
    }

    /// What each pair did, where there are several or they have names.
    fn pair_reports(&self) -> Vec<PairReport> {
        let is_named = |pair: &Pair| !pair.hosts.traffic.name.is_empty();
        if self.pairs.len() < 2 && !self.pairs.iter().any(is_named) {
            return Vec::new();
        }
        let then: u64 = self.pairs.iter().filter_map(|pair| pair.bytes_then).sum();
        self.pairs.iter().map(|pair| pair.report(then)).collect()
    }
}

impl Pair {
    /// What it did; all pairs had done `then` bytes when the first large one had nothing left to do.
    fn report(&self, then: u64) -> PairReport {
        let hosts = &self.hosts;
        let share = self.bytes_then.unwrap_or(0) as f64 / then.max(1) as f64;
        let resumed = self.arrivals.as_ref().and_then(Arrivals::resumed);
        PairReport {
            name: self.name.clone(),
            messages_completed: hosts.completed,
            retransmitted_packets: hosts.counters(|rnic| rnic.retransmitted_packets),
            np_cnp_sent: hosts.counters(|rnic| rnic.np_cnp_sent),
            rp_cnp_handled: hosts.counters(|rnic| rnic.rp_cnp_handled),
            resumed,
            ..PairReport::new(hosts.completed_bytes, hosts.span(), share, hosts.times.clone())
        }
    }
}

impl Hosts for Sites {
    fn start(&mut self, now: Time, _: &mut Network) -> Result<u64, LabError> {
        self.start = now;
        self.lans.iter_mut().for_each(|lan| lan.start(now));
        for Pair { hosts, arrivals, .. } in &mut self.pairs {
            hosts.start(now);
            arrivals.iter_mut().for_each(|arrivals| arrivals.start(now));
        }
        Ok(0)
    }

    fn next_event(&self, now: Time, network: &Network) -> Option<Time> {
        let pairs = self.pairs.iter();
        let pairs = pairs.filter_map(|pair| pair.hosts.next_event(now, &self.lans, network));
        pairs.chain(self.lans.iter().filter_map(Station::due)).min()
    }

    fn receive(&mut self, now: Time, side: usize, frame: &[u8]) {
        if self.lans[side].receive(now, frame) {
            return;
        }
        // What is for nobody is misdirected, wherever.
        let pair = frame.get(GROUP_AT).map_or(0, |pair| usize::from(*pair));
        let pair = if pair < self.pairs.len() { pair } else { 0 };
        if let Some(Pair { hosts, arrivals, .. }) = self.pairs.get_mut(pair) {
            arrivals.iter_mut().for_each(|arrivals| arrivals.add(now, side, frame.len()));
            hosts.ends[side].receive(now, frame);
        }
    }

    fn absorbed(&mut self, _: usize, _: &[u8]) {
        if let Some(pair) = self.pairs.first_mut() {
            pair.hosts.absorbed += 1;
        }
    }

    fn has_work(&self, now: Time, side: usize) -> bool {
        self.pairs.iter().any(|pair| pair.hosts.ends[side].has_work(now))
    }

    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError> {
        for (side, lan) in self.lans.iter_mut().enumerate() {
            lan.act(now, side, network);
        }
        let mut ended = false;
        for Pair { hosts, bytes_then, is_large, .. } in &mut self.pairs {
            hosts.act(now, &self.lans, network);
            ended |= *is_large && bytes_then.is_none() && hosts.open == 0 && hosts.completed > 0;
        }
        if ended && self.pairs.iter().all(|pair| pair.bytes_then.is_none()) {
            self.pairs
                .iter_mut()
                .for_each(|pair| pair.bytes_then = Some(pair.hosts.completed_bytes));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.pairs.iter().all(|pair| pair.hosts.open == 0)
    }

    fn unfinished(&self, after: Nanos) -> LabError {
        let completed = self.sum(|hosts| hosts.completed);
        LabError::unfinished("messages", completed, self.posted(), after)
    }

    fn span(&self) -> Nanos {
        let last = self.pairs.iter().map(|pair| pair.hosts.last_completion).max();
        last.map_or(0, |last| last.since(self.start))
    }

    fn work(&self) -> Vec<Work> {
        self.pairs.iter().flat_map(|pair| pair.hosts.work()).collect()
    }

    fn report(&self, line_bytes: u64) -> Endpoints {
        let messages = MessageReport {
            messages_posted: self.posted(),
            messages_completed: self.sum(|hosts| hosts.completed),
            messages_failed: self.sum(|hosts| hosts.failed),
            retransmitted_packets: self.counters(|rnic| rnic.retransmitted_packets),
            naks: self.counters(|rnic| rnic.naks_sent),
            rnr_naks: self.counters(|rnic| rnic.rnr_naks_sent),
            timeouts: self.counters(|rnic| rnic.local_ack_timeout_err),
            repeated_requests: self.counters(|rnic| rnic.duplicate_request),
            icrc_errors: self.counters(|rnic| rnic.icrc_errors),
            qp_errors: self.counters(|rnic| rnic.qp_errors),
            ..MessageReport::default()
        };
        let times = self.pairs.iter().flat_map(|pair| pair.hosts.times.iter().copied()).collect();
        let (span, bytes) = (self.span(), self.sum(|hosts| hosts.completed_bytes));
        Endpoints {
            packets_sent: self.counters(|rnic| rnic.sent_packets),
            packets_delivered: self.counters(|rnic| rnic.received_packets),
            missing: self.counters(|rnic| rnic.missing),
            altered: self.counters(|rnic| rnic.altered),
            out_of_sequence: self.counters(|rnic| rnic.out_of_sequence + rnic.implied_nak_seq_err),
            duplicates: self.counters(|rnic| rnic.duplicates),
            absorbed: self.sum(|hosts| hosts.absorbed),
            groups: self.pair_reports(),
            by_dscp: self.pairs.iter().flat_map(|pair| pair.hosts.by_dscp()).collect(),
            ..Endpoints::of_messages(messages, times, span, bytes, line_bytes)
        }
    }
}
