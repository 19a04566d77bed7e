//! One of a pair of hosts: its RNIC, its line, and how far its queue pairs have come.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{Nanos, Time};

use pipelines::wire::ethernet::Mac;

use super::station::Station;
use crate::network::{Load, Network};
use crate::random::Random;
use crate::rnic::{QpNumber, Rnic, RnicSettings, WorkRequest};
use crate::traffic::{Plan, Traffic};

/// A host.
pub(super) struct End {
    pub(super) rnic: Rnic,
    /// When its line has sent the last frame.
    free: Time,
    /// The wait for a path at which it stops.
    pause: Nanos,
    /// The priority of what it sends.
    priority: u8,
    /// Queue pairs; those of the other end have the same places.
    pub(super) qps: Vec<QueuePair>,
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
    /// The host of `side` in pair `pair`, without queue pairs.
    pub(super) fn new(seed: u64, pair: u8, side: usize, traffic: &Traffic, plan: &Plan) -> Self {
        // Each RNIC of a run chooses on its own.
        let seed = match pair {
            0 => seed.wrapping_mul(2).wrapping_add(side as u64),
            _ => Random::derive(seed, &[0x5041_4952, pair.into(), side as u64]).bits(),
        };
        let rnic = Rnic::new(RnicSettings {
            mac: mac(pair, side),
            address: address(pair, side),
            peer_mac: mac(pair, 1 - side),
            seed,
            time_wait: plan.time_wait,
        });
        let qps = vec![QueuePair::default(); traffic.qps as usize];
        Self { rnic, free: Time::ZERO, pause: plan.pause, priority: traffic.priority, qps }
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
        self.rnic.post(now, qp.number, WorkRequest { verb, length, id });
    }

    /// When it may send at the earliest.
    pub(super) fn free(&self, now: Time, side: usize, lan: &Station, network: &Network) -> Time {
        let pause = network.backlog(now, side).saturating_sub(self.pause);
        self.free.max(now.after(pause)).max(lan.paused_until(self.priority))
    }

    /// Sends a frame, if there is one and the line is free; whether it did.
    pub(super) fn transmit(
        &mut self,
        now: Time,
        side: usize,
        (plan, lan): (&Plan, &Station),
        network: &mut Network,
    ) -> bool {
        if self.rnic.next_event().is_none_or(|at| at > now)
            || self.free(now, side, lan, network) > now
        {
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

/// The address of the host of `side` in pair `pair`.
pub(super) fn address(pair: u8, side: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, pair, side as u8 + 1, 1))
}

/// Where the MAC address of a host has the number of its pair.
pub(super) const PAIR_AT: usize = 4;

/// The MAC address of the host of `side` in pair `pair`.
pub(super) const fn mac(pair: u8, side: usize) -> Mac {
    [2, 0, 0, 1, pair, side as u8 + 1]
}
