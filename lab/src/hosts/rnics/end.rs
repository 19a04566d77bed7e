//! One end of a group: its hosts, each with an RNIC and a line of its own, and how far its queue
//! pairs have come.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{Nanos, Time};

use pipelines::wire::ethernet::Mac;

use super::station::Station;
use crate::network::{Load, Network};
use crate::random::Random;
use crate::rnic::{Completion, Counters, QpNumber, Rnic, RnicSettings, WorkRequest};
use crate::traffic::{Plan, Traffic};

/// The hosts of a group at one site.
pub(super) struct End {
    /// At least one; queue pairs are dealt out to them by their places.
    nics: Vec<Nic>,
    /// The wait for a path at which they stop.
    pause: Nanos,
    /// The priority of what they send.
    priority: u8,
    /// Queue pairs; those of the other end have the same places.
    pub(super) qps: Vec<QueuePair>,
}

/// A host.
struct Nic {
    rnic: Rnic,
    /// When its line has sent the last frame.
    free: Time,
}

/// A queue pair, and those that went on in its place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QueuePair {
    /// The present one; 0 is none.
    pub(super) number: QpNumber,
    pub(super) stage: Stage,
    /// Messages posted.
    pub(super) posted: u32,
    /// Messages that ended, done or not.
    pub(super) ended: u32,
    /// Where this one stops to post.
    pub(super) until: u32,
}

/// How far a queue pair has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// There is none, or it is not connected yet.
    #[default]
    Down,
    /// It can be posted to.
    Up,
    /// It failed.
    Failed,
}

impl End {
    /// The hosts of `side` in group `group`, without queue pairs.
    pub(super) fn new(seed: u64, group: u8, side: usize, traffic: &Traffic, plan: &Plan) -> Self {
        let nic = |host: u32| {
            let host = host as u8;
            let rnic = Rnic::new(RnicSettings {
                mac: mac(group, side, host),
                address: address(group, side, host),
                peer_mac: mac(group, 1 - side, 0),
                seed: rnic_seed(seed, group, side, host),
                time_wait: plan.time_wait,
            });
            Nic { rnic, free: Time::ZERO }
        };
        let nics = (0..traffic.hosts_at(side).max(1)).map(nic).collect();
        let qps = vec![QueuePair::default(); traffic.qps as usize];
        Self { nics, pause: plan.pause, priority: traffic.priority, qps }
    }

    /// The RNIC that has the queue pair at `place`.
    pub(super) fn rnic(&mut self, place: usize) -> &mut Rnic {
        let host = place % self.nics.len();
        &mut self.nics[host].rnic
    }

    /// The end of a message at any of its hosts.
    pub(super) fn poll(&mut self) -> Option<Completion> {
        self.nics.iter_mut().find_map(|nic| nic.rnic.poll())
    }

    /// A figure of all its RNICs.
    pub(super) fn counters(&self, figure: fn(&Counters) -> u64) -> u64 {
        self.nics.iter().map(|nic| figure(&nic.rnic.counters())).sum()
    }

    /// A frame arrives at the host that it names; what is for none of them is misdirected, wherever.
    pub(super) fn receive(&mut self, now: Time, frame: &[u8]) {
        let host = frame.get(HOST_AT).map_or(0, |host| usize::from(*host));
        let host = if host < self.nics.len() { host } else { 0 };
        self.nics[host].rnic.receive(now, frame);
    }

    /// A queue pair for `place` is there to be posted to, up to message `until`.
    pub(super) fn begin(&mut self, place: usize, number: QpNumber, until: u32) {
        if let Some(qp) = self.qps.get_mut(place) {
            (qp.number, qp.stage, qp.until) = (number, Stage::Up, until);
        }
    }

    /// Posts the next message of a queue pair, if there is one left.
    pub(super) fn post(&mut self, now: Time, place: usize, traffic: &Traffic) {
        let Some(qp) = self.qps.get_mut(place) else { return };
        if qp.stage != Stage::Up || qp.posted == qp.until {
            return;
        }
        let (verb, length) = traffic.message(qp.posted);
        let id = (place as u64) << 32 | u64::from(qp.posted);
        qp.posted += 1;
        let number = qp.number;
        self.rnic(place).post(now, number, WorkRequest { verb, length, id });
    }

    /// When the group may send at the earliest, but for the lines of its hosts.
    fn free(&self, now: Time, side: usize, lan: &Station, network: &Network) -> Time {
        let pause = network.backlog(now, side).saturating_sub(self.pause);
        now.after(pause).max(lan.paused_until(self.priority))
    }

    /// Whether one of its hosts would send, if its line were free and nothing paused.
    pub(super) fn has_work(&self, now: Time) -> bool {
        self.nics.iter().any(|nic| nic.rnic.next_event().is_some_and(|at| at <= now))
    }

    /// When one of its hosts has something to do: for that it needs its line.
    pub(super) fn next_event(
        &self,
        now: Time,
        side: usize,
        lan: &Station,
        network: &Network,
    ) -> Option<Time> {
        let due = |nic: &Nic| Some(nic.rnic.next_event()?.max(nic.free));
        let due = self.nics.iter().filter_map(due).min()?;
        Some(due.max(self.free(now, side, lan, network)))
    }

    /// Sends a frame of each host that has one, while lines are free; whether any did.
    pub(super) fn transmit(
        &mut self,
        now: Time,
        side: usize,
        (plan, lan): (&Plan, &Station),
        network: &mut Network,
    ) -> bool {
        let mut sent = false;
        for host in 0..self.nics.len() {
            let is_due =
                |nic: &Nic| nic.free <= now && nic.rnic.next_event().is_some_and(|at| at <= now);
            if !is_due(&self.nics[host]) || self.free(now, side, lan, network) > now {
                continue;
            }
            let nic = &mut self.nics[host];
            let mut frame = network.buffer();
            if nic.rnic.transmit(now, &mut frame) {
                nic.free = now.after(plan.line_time(frame.len()));
                network.send_from_host(now, side, frame);
                sent = true;
            } else {
                network.recycle(Load::Owned(frame));
            }
        }
        sent
    }
}

/// Each RNIC of a run chooses on its own.
fn rnic_seed(seed: u64, group: u8, side: usize, host: u8) -> u64 {
    match (group, host) {
        (0, 0) => seed.wrapping_mul(2).wrapping_add(side as u64),
        (_, 0) => Random::derive(seed, &[0x5041_4952, group.into(), side as u64]).bits(),
        _ => {
            let who = [0x5041_4952, group.into(), side as u64, host.into()];
            Random::derive(seed, &who).bits()
        }
    }
}

/// The address of a host of `side` in group `group`.
pub(super) fn address(group: u8, side: usize, host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, group, side as u8 + 1, host + 1))
}

/// Where the MAC address of a host has its number in its group, and the number of that.
const HOST_AT: usize = 2;
pub(super) const GROUP_AT: usize = 4;

/// The MAC address of a host of `side` in group `group`.
pub(super) const fn mac(group: u8, side: usize, host: u8) -> Mac {
    [2, 0, host, 1, group, side as u8 + 1]
}
