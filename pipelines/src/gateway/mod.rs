//! The pipeline of one worker: what comes from the LAN is numbered and sent through the tunnel,
//! what comes through the tunnel is put in order and given to the LAN.
//!
//! ```text
//! LAN --> classify --> queue --> shield --> lane, channel --> number, encapsulate --> remember --> WAN
//!                     (queues)                                                        (lan_to_wan)
//! LAN <-- queue <-- put in order a lane <-- find gaps a channel <-- decapsulate <---- WAN     (wan_to_lan)
//!                                        | hellos, feedback, probes, gone           (control)
//! ```
//! Everything here is a function of settings, packets, time and the seed.

mod backlog;
mod classify;
mod control;
mod counters;
mod detour;
mod follow;
mod health;
mod hops;
mod journey;
mod lan_to_wan;
mod own;
mod pauses;
mod peer;
mod queues;
mod session;
mod settings;
mod sharing;
mod status;
mod team;
mod tenancy;
#[cfg(test)]
mod tests;
mod transparent;
mod ttl;
mod waited;
mod wan_to_lan;

use std::collections::VecDeque;
use std::rc::Rc;

use dataplane::memory::{Packet, Pool};
use dataplane::port::{Burst, TxQueue};
use dataplane::time::{Nanos, Time};
use dataplane::wheel::{TimerId, Wheel};
use dataplane::worker::Pipeline;

pub use counters::{Counters, Traffic};
use follow::Follow;
pub use follow::{FlowsStatus, SHOWN, peer_and_path};
pub use health::{BfdStatus, PathEvent, PathEventKind};
use hops::Hops;
pub use journey::JourneyStatus;
use own::Own;
use pauses::Pauses;
pub use pauses::{PfcStatus, StopStatus};
use peer::{Peer, TIMERS, Timer};
use queues::Waiting;
pub use queues::{QueueEvent, QueueStatus, Toward};
pub use settings::*;
pub use status::{PathStatus, PeerStatus, Way};
use team::Member;
pub use team::Team;
use tenancy::Tenancy;
pub use tenancy::TenantStatus;
use transparent::{arrive, tell};
pub use waited::{Delays, Refused};

use crate::recovery::{ReplayAccount, ReplayMemory};
use crate::shield::Shield;
use crate::tunnel::ecn;
use crate::tunnel::outer::{End, Local};

/// What all peers of a gateway share.
struct Common {
    settings: Settings,
    /// The bits of the traffic class that outer headers take over: ECN only in normal mode; in the
    /// compatibility mode of RFC 6040, the network drops where it would mark.
    tos_mask: u8,
    pool: Rc<Pool>,
    wheel: Wheel,
    memory: ReplayAccount,
    tenancy: Tenancy,
    follow: Follow,
    waiting: Waiting,
    counters: Counters,
    shield: Option<Shield>,
    hops: Hops,
    own: Own,
    pauses: Option<Box<Pauses>>,
    /// The place among several workers.
    member: Option<Member>,
    path_events: VecDeque<PathEvent>,
    /// Told of every packet that the shield absorbs.
    absorbed: Option<Watch>,
}

/// Is shown packets.
pub type Watch = Box<dyn FnMut(&Packet)>;

/// One worker's gateway.
pub struct Gateway {
    common: Common,
    peers: Vec<Peer>,
    /// How we are addressed, a port; `None` for LAN ports.
    local: Vec<Option<Local>>,
    /// The peer that the last tunnel packet came from: the next is likely to come from it too.
    last_peer: usize,
}

impl Gateway {
    /// A gateway at `start`, which takes buffers for its own messages from `pool`. `seed` makes its
    /// nonces: it must never repeat for the same keys in a live gateway.
    ///
    /// # Errors
    /// When the settings contradict themselves.
    pub fn new(
        settings: Settings,
        pool: Rc<Pool>,
        start: Time,
        seed: u64,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        // Three more: the next hops', that of the flows, and the pauses'.
        let timers = settings.peers.len() as u32 * TIMERS;
        let mut wheel = Wheel::new(timers + 3, start);
        wheel.set(TimerId(timers), start);
        let mut hops = Hops::new(&settings, TimerId(timers), start);
        let mut peers = Vec::with_capacity(settings.peers.len());
        for (index, peer) in settings.peers.iter().enumerate() {
            let nonce = nonce(seed, index as u64);
            let peer = Peer::new(&settings, peer, index, nonce, &mut hops.neighbours, start);
            wheel.set(peer.timer(Timer::Hello), start);
            wheel.set(peer.timer(Timer::Health), start);
            peers.push(peer);
        }
        let local = settings.ports.iter().map(|port| {
            let end = End { mac: port.mac, address: settings.address };
            let Settings { udp_port: port_number, outer_checksum: checksum, sid, .. } = settings;
            (port.role == Role::Wan).then_some(Local { end, port: port_number, checksum, sid })
        });
        let local = local.collect();
        let memory = ReplayAccount::new(tenancy::replay_shares(&settings));
        let tenancy = Tenancy::new(&settings.tenants);
        let flows = settings.flows.as_ref();
        let follow = Follow::new(flows, nonce(seed, u64::from(u32::MAX) - 1), TimerId(timers + 1))
            .map_err(|error| SettingsError(error.to_string()))?;
        let waiting = Waiting::new(&settings, start, nonce(seed, u64::from(u32::MAX) - 2))?;
        let counters = Counters::default();
        let streams = settings.recovery.streams;
        let shield =
            settings.has_shield().then(|| Shield::new(streams, nonce(seed, u64::from(u32::MAX))));
        let own = Own::new(&settings);
        let pauses = Pauses::new(&settings, TimerId(timers + 2)).map(Box::new);
        let path_events = VecDeque::new();
        let absorbed = None;
        let tos_mask = if settings.ecn { 0xff } else { !ecn::MASK };
        let common = Common {
            settings,
            tos_mask,
            pool,
            wheel,
            memory,
            tenancy,
            follow,
            waiting,
            counters,
            shield,
            hops,
            own,
            pauses,
            member: None,
            path_events,
            absorbed,
        };
        Ok(Self { common, peers, local, last_peer: 0 })
    }

    /// Whether a session with every peer is up at `now`.
    #[must_use]
    pub fn established(&self, now: Time) -> bool {
        self.peers.iter().all(|peer| peer.session.is_up(now))
    }

    /// Behaves as if every peer were there and a session with it had begun: for offline runs of one
    /// gateway. The gateway at the other end, run the same way, understands what this one sends.
    pub fn assume_peers(&mut self) {
        let address_nonce = |address: std::net::IpAddr| match address {
            std::net::IpAddr::V4(v4) => nonce(0, u64::from(v4.to_bits())),
            std::net::IpAddr::V6(v6) => nonce(1, v6.to_bits() as u64 ^ (v6.to_bits() >> 64) as u64),
        };
        for peer in &mut self.peers {
            let (mine, theirs) = (self.common.settings.address, peer.address);
            peer.session.assume(address_nonce(mine), address_nonce(theirs));
            let lanes = peer.paths.lanes() as u32;
            peer.restart(MAX_CHANNELS as u8, lanes, &self.common.settings.recovery);
        }
    }

    /// Shows every packet that the shield absorbs to `watch`: for labs, which count what hosts sent.
    pub fn watch_absorbed(&mut self, watch: Watch) {
        self.common.absorbed = Some(watch);
    }

    /// What it counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.common.counters
    }

    /// Memory of the replay buffer.
    #[must_use]
    pub fn replay_memory(&self) -> ReplayMemory {
        self.common.memory.memory()
    }

    /// The most bytes of packet buffers that any peer's hold buffer ever held.
    #[must_use]
    pub fn held_high_water_bytes(&self) -> u64 {
        let streams = |peer: &Peer| peer.streams.as_ref().map_or(0, |of| of.inbound.held().1);
        let most = self.peers.iter().map(|peer| peer.order.high_water().max(streams(peer)));
        most.max().unwrap_or(0)
    }

    /// The longest that a packet of a tunnel ever waited for others before it.
    #[must_use]
    pub fn held_longest(&self) -> Nanos {
        self.peers.iter().map(|peer| peer.order.longest()).max().unwrap_or(0)
    }

    /// Packets sent and not confirmed, and packets that wait for others: nothing is under way any
    /// more once both are zero.
    #[must_use]
    pub fn outstanding(&self) -> (u64, u64) {
        let sent = self.peers.iter().flat_map(|peer| &peer.senders);
        let held: u64 = self.peers.iter().map(|peer| u64::from(peer.order.held())).sum();
        let sent: u64 = sent.map(|sender| u64::from(sender.replay.unconfirmed())).sum();
        let streams = || self.peers.iter().filter_map(|peer| peer.streams.as_ref());
        let more: u64 = streams().map(|streams| streams.outbound.unconfirmed()).sum();
        let wait: u64 = streams().map(|streams| streams.inbound.held().0 as u64).sum();
        (sent + more, held + wait + self.common.waiting.len())
    }

    /// Lets go of every packet: at the end of a run, every buffer must then be home.
    pub fn clear(&mut self) {
        // The table keeps the time that it has.
        self.common.follow.settle(Time::ZERO);
        self.common.waiting.clear();
        for peer in &mut self.peers {
            for sender in &mut peer.senders {
                sender.replay.reset(&mut self.common.memory);
            }
            peer.order.reset();
            if let Some(streams) = &mut peer.streams {
                streams.outbound.reset(&mut self.common.memory);
                streams.inbound.reset();
            }
        }
    }
}

impl Pipeline for Gateway {
    fn receive(&mut self, port: usize, burst: &mut Burst, now: Time, queues: &mut [TxQueue]) {
        if self.has_news() {
            self.heed_team(now);
        }
        match self.local.get(port) {
            Some(Some(local)) => {
                let local = *local;
                self.wan_to_lan(&local, port, burst, now, queues);
            }
            Some(None) => self.lan_to_wan(port, burst, now, queues),
            None => {}
        }
        if self.common.waiting.is_on() {
            self.serve(now, queues);
        }
    }

    fn expire(&mut self, now: Time, queues: &mut [TxQueue]) {
        if self.has_news() {
            self.heed_team(now);
        }
        while let Some(timer) = self.common.wheel.expire(now) {
            let Some(peer) = self.peers.get_mut((timer.0 / TIMERS) as usize) else {
                match timer.0 % TIMERS {
                    0 => self.ask_hops(now, queues),
                    1 => self.common.tend_flows(now),
                    _ => self.tend_pauses(now, queues),
                }
                continue;
            };
            match Timer::from_index(timer.0 % TIMERS) {
                Timer::Hello => control::send_hello(&mut self.common, peer, now, queues),
                Timer::Health => health::tend(&mut self.common, peer, now, queues),
                Timer::Stops => pauses::tend_stops(&mut self.common, peer, now, queues),
                Timer::Hold if peer.streams.is_some() => {
                    arrive::give_up_aged(&mut self.common, peer, now, queues);
                }
                Timer::Sender(0) if peer.streams.is_some() => {
                    tell::tend_outbound(&mut self.common, peer, now, queues);
                }
                Timer::Receiver(0) if peer.streams.is_some() => {
                    tell::tend_inbound(&mut self.common, peer, 0, now, queues);
                }
                Timer::Hold => wan_to_lan::give_up_aged(&mut self.common, peer, now, queues),
                Timer::Balance => sharing::balance(&mut self.common, peer, now),
                Timer::Sender(channel) => {
                    control::tend_sender(&mut self.common, peer, channel, now, queues);
                }
                Timer::Receiver(channel) => {
                    control::tend_receiver(&mut self.common, peer, channel, now, queues);
                }
            }
        }
        for peer in &mut self.peers {
            wan_to_lan::release_ready(&mut self.common, peer, now, queues);
            arrive::release_ready(&mut self.common, peer, now, queues);
        }
        if self.common.waiting.is_on() {
            self.serve(now, queues);
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let waits = |peer: &Peer| {
            let streams = peer.streams.as_ref().is_some_and(|streams| streams.inbound.ready() > 0);
            streams || !peer.ready.is_empty()
        };
        if self.peers.iter().any(waits) || self.has_news() {
            return Some(Time::ZERO);
        }
        let timer = self.common.wheel.next_deadline();
        self.common.waiting.due().into_iter().chain(timer).min()
    }
}

/// A nonce for one peer (SplitMix64 of seed and index).
fn nonce(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
