//! Several workers of one gateway: what they tell each other.
//!
//! They share nothing that is written a packet. What they must agree on is of the ports, paths and
//! tenants that all of them have: who is paused ([`pfc::Board`](crate::pfc::Board)), who may send
//! how fast ([`Shares`](crate::queueing::Shares)), and which paths BFD has taken out of service: one
//! worker has the sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dataplane::time::Time;

use super::{Gateway, Settings, health};
use crate::pfc;
use crate::queueing::Shares;

/// What all workers of a gateway know together. Their clocks must have one origin.
#[derive(Debug)]
pub struct Team {
    /// By the port's index; `None` where nobody pauses anybody.
    pub(super) pauses: Box<[Option<pfc::Board>]>,
    services: Services,
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
            services: Services::new(settings),
            pauses: ports
                .clone()
                .map(|port| speaks(port).then(|| pfc::Board::new(workers)))
                .collect(),
            wan: Arc::new(Shares::new(workers, tenants + 1)),
            lan: ports.map(|_| Arc::new(Shares::new(workers, 1))).collect(),
        }
    }
}

/// Paths that are out of service, as the worker with their sessions has it.
#[derive(Debug)]
pub(super) struct Services {
    /// By peer, then by path.
    out: Box<[Box<[AtomicBool]>]>,
    /// Counts changes: what all look at.
    changes: AtomicU32,
}

impl Services {
    fn new(settings: &Settings) -> Self {
        let paths =
            |of: &super::PeerSettings| of.paths.iter().map(|_| AtomicBool::new(false)).collect();
        Self { out: settings.peers.iter().map(paths).collect(), changes: AtomicU32::new(0) }
    }

    fn place(&self, peer: usize, path: usize) -> Option<&AtomicBool> {
        self.out.get(peer)?.get(path)
    }

    /// How often anything changed.
    #[inline]
    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether a path is out of service.
    pub(super) fn is_out(&self, peer: usize, path: usize) -> bool {
        self.place(peer, path).is_some_and(|place| place.load(Ordering::Relaxed))
    }

    /// A path goes out of service, or is in service again.
    pub(super) fn set(&self, peer: usize, path: usize, out: bool) {
        if let Some(place) = self.place(peer, path) {
            place.store(out, Ordering::Relaxed);
            // Whoever sees the count sees what was counted.
            self.changes.fetch_add(1, Ordering::Release);
        }
    }
}

/// One worker's place among all.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) team: Arc<Team>,
    pub(super) worker: usize,
    /// The changes of paths that were heeded.
    heeded: u32,
}

impl Member {
    /// Whether it is the one that speaks with stations, and has the sessions of paths.
    #[inline]
    pub(super) fn speaks(&self) -> bool {
        self.worker == pfc::SPEAKER
    }

    /// What is known of paths.
    #[inline]
    pub(super) fn services(&self) -> &Services {
        &self.team.services
    }

    /// Whether the worker that has the sessions of paths said something that is not heeded here yet.
    #[inline]
    pub(super) fn has_news_of_paths(&self) -> bool {
        !self.speaks() && self.services().changes() != self.heeded
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
        let member = Member { team: Arc::clone(team), worker, heeded: 0 };
        self.common.waiting.join(&member);
        if let Some(pauses) = &mut self.common.pauses {
            pauses.join(member.clone());
        }
        self.common.member = Some(member);
    }

    /// Whether another worker said something that is not heeded here yet.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        match &self.common.member {
            None => false,
            Some(member) => member.has_news_of_paths() || self.has_news_of_pauses(),
        }
    }

    /// Heeds what other workers said.
    #[cold]
    pub(super) fn heed_team(&mut self, now: Time) {
        self.heed_speaker(now);
        let Some(member) = self.common.member.as_mut().filter(|of| of.has_news_of_paths()) else {
            return;
        };
        member.heeded = member.services().changes();
        for peer in &mut self.peers {
            health::heed_services(&mut self.common, peer, now);
        }
    }
}
