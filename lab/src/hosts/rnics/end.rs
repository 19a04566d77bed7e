//! One of the two hosts: its RNIC, its line, and how far its queue pairs have come.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{Nanos, Time};

use super::station::Station;
use crate::network::{Load, Network};
use crate::rnic::{QpNumber, Rnic, RnicSettings, WorkRequest};
use crate::scenario::Scenario;
use crate::traffic::{Plan, Traffic};

/// A host.
pub(super) struct End {
    pub(super) rnic: Rnic,
    /// Its port.
    pub(super) station: Station,
    /// When its line has sent the last frame.
    free: Time,
    /// The wait for a path at which it stops.
    pause: Nanos,
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
    /// The host of `side`, without queue pairs.
    pub(super) fn new(scenario: &Scenario, side: usize, traffic: &Traffic, plan: &Plan) -> Self {
        let mac = |side: usize| [2, 0, 0, 1, 0, side as u8 + 1];
        let rnic = Rnic::new(RnicSettings {
            mac: mac(side),
            address: address(side),
            peer_mac: mac(1 - side),
            // Each RNIC of a run chooses on its own.
            seed: scenario.seed.wrapping_mul(2).wrapping_add(side as u64),
            time_wait: plan.time_wait,
        });
        let qps = vec![QueuePair::default(); traffic.qps as usize];
        // Without gateways nobody is there to obey.
        let pauses = if scenario.gateways { &scenario.pauses[..] } else { &[] };
        let station = Station::new(side, mac(side), pauses);
        Self { rnic, station, free: Time::ZERO, pause: plan.pause, qps }
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
    pub(super) fn free(&self, now: Time, side: usize, network: &Network) -> Time {
        let pause = network.backlog(now, side).saturating_sub(self.pause);
        self.free.max(now.after(pause)).max(self.station.paused_until())
    }

    /// Sends a frame, if there is one and the line is free; whether it did.
    pub(super) fn transmit(
        &mut self,
        now: Time,
        side: usize,
        plan: &Plan,
        network: &mut Network,
    ) -> bool {
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

/// The address of the host of `side`.
pub(super) fn address(side: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, side as u8 + 1, 1))
}
