//! Several workers of one gateway: what they tell each other.
//!
//! They share nothing that is written a packet. What they must agree on is of the ports and tenants
//! that all of them have: who is paused ([`pfc::Board`](crate::pfc::Board)), and who may send how
//! fast ([`Shares`](crate::queueing::Shares)).

use std::sync::Arc;

use super::{Gateway, Settings};
use crate::pfc;
use crate::queueing::Shares;

/// What all workers of a gateway know together. Their clocks must have one origin.
#[derive(Debug)]
pub struct Team {
    /// By the port's index; `None` where nobody pauses anybody.
    pub(super) pauses: Box<[Option<pfc::Board>]>,
    /// By the tenant's index, and behind them that of the WAN.
    pub(super) wan: Arc<Shares>,
    /// By the port's index.
    pub(super) lan: Box<[Arc<Shares>]>,
}

impl Team {
    /// Of so many workers with the same settings.
    #[must_use]
    pub fn new(settings: &Settings, workers: usize) -> Self {
        let speaks = |port: usize| {
            let of = settings.backpressure.as_ref();
            of.and_then(|of| of.ports.get(port)).is_some_and(Option::is_some)
        };
        let ports = 0..settings.ports.len();
        let tenants = settings.queues.as_ref().map_or(0, |of| of.tenants.len());
        Self {
            pauses: ports
                .clone()
                .map(|port| speaks(port).then(|| pfc::Board::new(workers)))
                .collect(),
            wan: Arc::new(Shares::new(workers, tenants + 1)),
            lan: ports.map(|_| Arc::new(Shares::new(workers, 1))).collect(),
        }
    }
}

/// One worker's place among all.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) team: Arc<Team>,
    pub(super) worker: usize,
}

impl Member {
    /// Whether it is the one that speaks with stations.
    #[inline]
    pub(super) fn speaks(&self) -> bool {
        self.worker == pfc::SPEAKER
    }

    /// What is known of a port's pauses.
    #[inline]
    pub(super) fn board(&self, port: usize) -> Option<&pfc::Board> {
        self.team.pauses.get(port)?.as_ref()
    }
}

impl Gateway {
    /// Takes the place of worker number `worker` of `team`, before the first packet. Rates in its
    /// settings are one worker's part.
    pub fn join(&mut self, team: &Arc<Team>, worker: usize) {
        let member = Member { team: Arc::clone(team), worker };
        self.common.waiting.join(&member);
        if let Some(pauses) = &mut self.common.pauses {
            pauses.join(member);
        }
    }
}
