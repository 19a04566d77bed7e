//! The gateway of a site: the one that runs live, with rings for ports and a clock that the lab
//! moves.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use dataplane::memory::{Frame, Pool, PoolError, PoolSettings};
use dataplane::port::Port;
use dataplane::port::ring::{self, RingPeer};
use dataplane::time::{Clock, MILLISECOND, Nanos, Time};
use dataplane::worker::Worker;
use pipelines::backpressure::{Limits, StopperSettings};
use pipelines::flows;
use pipelines::gateway::{
    Absent, BackpressureSettings, Behind, BfdSettings, Carry, Encapsulation, Gateway, NextHop,
    Numbering, Oversize, PathSettings, PeerSettings, PfcSettings, PortSettings, RecoverySettings,
    Role, Settings, SettingsError, Ttl,
};
use pipelines::pfc::Mode;
use pipelines::queueing::CLASSES;

use crate::change::Told;
use crate::hosts::PFC_RATE;
use crate::random::Random;
use crate::scenario::{Bounds, PathScenario, Scenario, Source};
use crate::tenant;
use crate::traffic::Plan;
use crate::way::sid;

/// The LAN port; WAN port 1 + n is path n.
pub(crate) const LAN: usize = 0;

/// Frames that a port's rings and queues hold.
const RING: usize = 1 << 12;
/// Bytes of a packet buffer where a capture is played, and those kept free for the gateway's
/// headers.
const BUFFER_BYTES: u32 = 2_048;
const HEADROOM: u32 = 128;
/// Buffers for what is neither kept nor held: in rings, queues, and the gateway's own messages.
const PASSING: u32 = 1 << 13;
/// Packets that a channel remembers at most, whatever memory there is.
const MAX_PACKETS: u64 = 1 << 20;
/// And at least, with traffic.
const MIN_PACKETS: u64 = 1 << 12;
/// Order domains.
const LANES: u32 = 1_024;
/// FIFO channels of all paths together: each path has an equal part.
const CHANNELS: usize = 16;
/// Rounds at one moment after which the gateway is taken to go round in circles.
const MAX_ROUNDS: usize = 1 << 16;

/// A gateway cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Its settings contradict themselves.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its packet memory cannot be had.
    #[error("packet memory: {0}")]
    Pool(#[from] PoolError),
}

/// A gateway and the far ends of its ports.
pub(crate) struct Site {
    worker: Worker<Gateway>,
    ends: Vec<RingPeer>,
    pool: Rc<Pool>,
    hand: Rc<Cell<Time>>,
    /// Frames from the network for which there was no buffer or no room.
    missed: u64,
    /// Frames that the gateway absorbed since it was last asked.
    absorbed: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Site {
    /// The gateway of site `side`, 0 or 1, that starts at `now` after `lives` others.
    pub(crate) fn new(
        scenario: &Scenario,
        side: usize,
        lives: usize,
        now: Time,
    ) -> Result<Self, SiteError> {
        let settings = settings(scenario, side);
        let (buffers, buffer_bytes) = buffers(scenario);
        let shells = scenario.paths.iter().map(|path| encapsulation(path, side).shell_len());
        let shell = shells.max().unwrap_or(0).next_multiple_of(64) as u32;
        let pool = Rc::new(Pool::new(PoolSettings {
            buffers: buffers.saturating_add(PASSING),
            buffer_bytes: buffer_bytes + shell,
            headroom: HEADROOM + shell,
        })?);
        let (clock, hand) = Clock::virtual_at(now);
        let pairs = (0..settings.ports.len()).map(|_| ring::pair(RING));
        let (ports, ends): (Vec<_>, Vec<_>) = pairs.unzip();
        let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
        let seed = nonce_seed(scenario.seed, side, lives);
        let mut gateway = Gateway::new(settings, Rc::clone(&pool), now, seed)?;
        let absorbed = Rc::<RefCell<Vec<_>>>::default();
        let list = Rc::clone(&absorbed);
        gateway.watch_absorbed(Box::new(move |packet| {
            list.borrow_mut().push(packet.segments().flatten().copied().collect());
        }));
        let worker = Worker::new(ports, RING, gateway, clock);
        Ok(Self { worker, ends, pool, hand, missed: 0, absorbed })
    }

    /// A frame arrives at a port; the next [`Site::work`] takes it in.
    pub(crate) fn receive(&mut self, port: usize, frame: &[u8]) {
        let packet = self.pool.copy(frame);
        let taken = packet.zip(self.ends.get(port)).map(|(packet, end)| end.inject(packet));
        self.missed += u64::from(!matches!(taken, Some(Ok(()))));
    }

    /// Works at `now` until there is nothing left to do, and hands over what is sent, by port.
    /// `false` when that does not end.
    pub(crate) fn work(&mut self, now: Time, mut send: impl FnMut(usize, &Frame)) -> bool {
        self.hand.set(now);
        for _ in 0..MAX_ROUNDS {
            let busy = self.worker.round();
            for (port, end) in self.ends.iter().enumerate() {
                while let Some(frame) = end.take() {
                    send(port, &frame);
                }
            }
            if !busy {
                return true;
            }
        }
        false
    }

    /// What the gateway absorbed since this was last asked.
    pub(crate) fn take_absorbed(&self) -> Vec<Vec<u8>> {
        self.absorbed.take()
    }

    /// When it has something to do of its own accord.
    pub(crate) fn next_event(&self) -> Option<Time> {
        self.worker.next_event()
    }

    /// A tenant has other queues from `now` on.
    pub(crate) fn tell(&mut self, told: Told, now: Time) -> Result<(), SiteError> {
        let Told { tenant, queues, .. } = told;
        Ok(self.worker.pipeline_mut().set_tenant_queues(&[(tenant, queues)], now)?)
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.worker.pipeline()
    }

    /// Frames from the network for which there was no buffer or no room.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Ends its life: lets go of everything. What is not home then is under way, or lost.
    pub(crate) fn close(&mut self, now: Time) {
        self.worker.pipeline_mut().clear();
        self.work(now, |_, _| {});
        self.worker.pipeline_mut().clear();
    }

    /// Packet buffers that are not home; after [`Site::close`], those that frames under way keep.
    pub(crate) fn in_use(&self) -> u32 {
        self.pool.stats().in_use
    }
}

/// How long the play waits at most for a frame that the gateways may still deliver: as long as
/// they try to repair it and hold others back for it, and two round trips for what that takes.
pub(crate) fn patience(scenario: &Scenario) -> Nanos {
    let longest = scenario.paths.iter().map(|path| path.does.delay).max().unwrap_or(0);
    let recovery = recovery(scenario);
    recovery.replay_age + recovery.hold_age + 4 * longest + MILLISECOND
}

fn recovery(scenario: &Scenario) -> RecoverySettings {
    let Bounds { replay_bytes, hold_bytes, replay_packets, hold_packets, .. } = scenario.bounds;
    let settings = RecoverySettings { replay_bytes, hold_bytes, ..RecoverySettings::default() };
    let bounded = |settings: RecoverySettings| RecoverySettings {
        replay_packets: replay_packets.unwrap_or(settings.replay_packets),
        hold_packets: hold_packets.unwrap_or(settings.hold_packets),
        ..settings
    };
    let Some(plan) = plan(scenario) else { return bounded(settings) };
    // All that the memory holds may be of one channel.
    let packets = |bytes| {
        let packets = plan.packets_in(bytes).next_power_of_two();
        packets.clamp(MIN_PACKETS, MAX_PACKETS) as u32
    };
    bounded(RecoverySettings {
        replay_packets: packets(replay_bytes),
        hold_packets: packets(hold_bytes),
        ..settings
    })
}

/// What a gateway draws its nonce from: another one for each site, and for each of its lives.
fn nonce_seed(seed: u64, side: usize, lives: usize) -> u64 {
    match lives {
        0 => seed.wrapping_mul(2).wrapping_add(side as u64),
        _ => Random::derive(seed, &[0x4c49_4645, side as u64, lives as u64]).bits(),
    }
}

/// Packet buffers for what is kept and held, and their bytes.
fn buffers(scenario: &Scenario) -> (u32, u32) {
    let Bounds { replay_bytes, hold_bytes, .. } = scenario.bounds;
    let (buffers, bytes) = match plan(scenario) {
        Some(plan) => (plan.buffers(&scenario.bounds), plan.buffer_bytes),
        None => ((replay_bytes + hold_bytes) / u64::from(BUFFER_BYTES), BUFFER_BYTES),
    };
    (u32::try_from(buffers).unwrap_or(u32::MAX), bytes)
}

/// What follows from the traffic, if there is any.
fn plan(scenario: &Scenario) -> Option<Plan> {
    match &scenario.source {
        Source::Capture(_) => None,
        Source::Traffic(groups) => Some(Plan::of_all(groups, &scenario.paths)),
    }
}

/// The LAN port speaks priority flow control, and each tenant has the priority it says.
fn backpressure(scenario: &Scenario) -> BackpressureSettings {
    let pfc = PfcSettings { mode: Mode::Pfc, quanta: u16::MAX, rate: PFC_RATE };
    let wan = scenario.paths.iter().map(|_| None);
    BackpressureSettings {
        ports: std::iter::once(Some(pfc)).chain(wan).collect(),
        priorities: tenant::priorities(&scenario.tenants)
            .into_iter()
            .map(|of| [of; CLASSES])
            .collect(),
        policed: Vec::new(),
        limits: Limits::default(),
        stops: StopperSettings::default(),
    }
}

/// What `side` puts around packets on a path.
fn encapsulation(path: &PathScenario, side: usize) -> Encapsulation {
    path.srv6.as_ref().map_or(Encapsulation::Udp, |way| Encapsulation::Srv6(way.segments(side)))
}

fn settings(scenario: &Scenario, side: usize) -> Settings {
    let mac = |side: usize, port: usize| [2, 0, 0, 0, port as u8, side as u8 + 1];
    let address = |side: usize| IpAddr::from([192, 0, 2, side as u8 + 1]);
    let channels = (CHANNELS / scenario.paths.len().max(1)).max(1) as u8;
    let lan = PortSettings { role: Role::Lan, mac: mac(side, LAN), bump: 1, next_hop: None };
    let wan = |path| PortSettings {
        role: Role::Wan,
        mac: mac(side, 1 + path),
        bump: LAN,
        next_hop: None,
    };
    // Shares follow capacities if all are known. Streams that keep their path are dealt out alike: a
    // run is to show each path's faults.
    let tunnel = scenario.numbering == Numbering::Tunnel;
    let capacities = tunnel && scenario.paths.iter().all(|path| path.does.rate.is_some());
    let paths = scenario.paths.iter().enumerate().map(|(index, path)| PathSettings {
        name: path.name.clone(),
        port: 1 + index,
        next_hop: NextHop::Mac(mac(1 - side, 1 + index)),
        weight: 1,
        capacity: if capacities { path.does.rate } else { None },
        channels,
        mtu: scenario.bounds.mtu,
        bfd: path.bfd.map(|interval| BfdSettings { interval, ..BfdSettings::default() }),
        encapsulation: encapsulation(path, side),
    });
    Settings {
        address: address(side),
        sid: Some(sid(side)),
        ecn: true,
        udp_port: 4_794,
        outer_checksum: true,
        oversize: Oversize::Forward,
        ports: std::iter::once(lan).chain((0..scenario.paths.len()).map(wan)).collect(),
        peers: vec![PeerSettings {
            name: ["b", "a"].get(side).copied().unwrap_or_default().into(),
            address: address(1 - side),
            behind: Behind::Everything,
            numbering: scenario.numbering,
            carry: Carry::Ethernet,
            ttl: Ttl::Wire,
            absent: Absent::Forward,
            lan: LAN,
            source_port_entropy: false,
            key: b"the lab's key, no secret at all".to_vec(),
            lanes: LANES,
            paths: paths.collect(),
            sharing: scenario.sharing,
        }],
        recovery: recovery(scenario),
        tenants: tenant::settings(&scenario.tenants),
        // A lab has a few hosts, and makes many gateways.
        flows: Some(flows::Settings { subflows: 1 << 11, flows: 1 << 9, ..Default::default() }),
        backpressure: scenario.speaks_of_pauses().then(|| backpressure(scenario)),
        queues: tenant::queues(
            &scenario.tenants,
            (scenario.lan_rate, scenario.wan_rate),
            &scenario.paths,
        ),
    }
}
