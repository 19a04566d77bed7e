//! What of the work is whose: of queue pairs by their code points, and so of tenants.

use std::net::IpAddr;

use dataplane::time::{Nanos, Time};

use super::Rnics;
use super::end::address;
use crate::report::GroupReport;
use crate::traffic::Traffic;

/// Queue pairs of one code point.
#[derive(Default)]
pub(super) struct Group {
    dscp: u8,
    bytes: u64,
    /// Messages that have not ended.
    open: u64,
    last_completion: Time,
    times: Vec<Nanos>,
    /// Its bytes when the first of all groups had nothing left to do.
    bytes_then: Option<u64>,
}

/// What queue pairs of one group of hosts and of one code point did.
pub(crate) struct Work {
    /// Addresses of the first host at each site, site A's first.
    pub(crate) hosts: [IpAddr; 2],
    /// The code point.
    pub(crate) dscp: u8,
    /// Bytes of messages done.
    pub(crate) bytes: u64,
    /// From the start to the last of them.
    pub(crate) span: Nanos,
    /// How long each took.
    pub(crate) times: Vec<Nanos>,
}

/// A group for each code point; one, if none are named.
pub(super) fn groups(traffic: &Traffic) -> Vec<Group> {
    let messages = traffic.total() / u64::from(traffic.qps).max(1);
    let count = traffic.dscp.len().max(1);
    let new = |place| Group { dscp: traffic.dscp_of(place), ..Group::default() };
    let mut groups: Vec<_> = (0..count).map(new).collect();
    (0..traffic.qps as usize).for_each(|place| groups[place % count].open += messages);
    groups
}

/// Counts a message of the queue pair at `place`: when it was done, how long it took, its bytes.
pub(super) fn count(groups: &mut [Group], place: usize, of: (Time, Nanos, u64)) {
    let index = place % groups.len().max(1);
    let Some(group) = groups.get_mut(index) else { return };
    let (now, took, bytes) = of;
    group.bytes += bytes;
    group.open -= 1;
    group.last_completion = now;
    group.times.push(took);
    if group.open == 0 && group.bytes_then.is_none() {
        groups.iter_mut().for_each(|group| group.bytes_then = Some(group.bytes));
    }
}

impl Rnics {
    /// What each code point's queue pairs did, if the traffic names some.
    pub(super) fn by_dscp(&self) -> Vec<GroupReport> {
        let then: u64 = self.groups.iter().filter_map(|group| group.bytes_then).sum();
        let report = |group: &Group| {
            let share = group.bytes_then.unwrap_or(0) as f64 / then.max(1) as f64;
            let span = group.last_completion.since(self.start);
            GroupReport::new(group.dscp, group.bytes, span, share, group.times.clone())
        };
        let named = self.groups.iter().filter(|_| !self.traffic.dscp.is_empty());
        named.map(report).collect()
    }

    /// What each code point's queue pairs did.
    pub(super) fn work(&self) -> impl Iterator<Item = Work> {
        self.groups.iter().map(|group| Work {
            hosts: [0, 1].map(|side| address(self.group, side, 0)),
            dscp: group.dscp,
            bytes: group.bytes,
            span: group.last_completion.since(self.start),
            times: group.times.clone(),
        })
    }
}
