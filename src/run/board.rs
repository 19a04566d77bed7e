//! Where workers publish what they counted, and others read it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use config::model::{Config, Role};
use dataplane::drops::Drops;
use dataplane::memory::PoolStats;
use dataplane::port::PortCounters;
use dataplane::time::Time;
use dataplane::worker::{StageCounters, Worker, WorkerCounters};
use pipelines::flows::View;
use pipelines::gateway::{self, Counters, Gateway, PathEvent, PeerStatus};
use pipelines::local::Neighbour;
use pipelines::recovery::ReplayMemory;

use super::devices::Device;
use crate::status::{
    self, Journey, NeighbourStatus, PathEventStatus, PathStatus, PortStatus, StageStatus, Status,
    Traffic, WorkerStatus,
};

/// What a worker says of itself.
#[derive(Default)]
pub(super) struct Snapshot {
    /// Whether it was ever taken.
    pub(super) taken: bool,
    pub(super) pinned: bool,
    counters: Counters,
    worker: WorkerCounters,
    ports: Vec<PortCounters>,
    details: Vec<BTreeMap<&'static str, u64>>,
    buffers: Option<PoolStats>,
    replay: ReplayMemory,
    pub(super) peers: Vec<PeerStatus>,
    neighbours: Vec<Neighbour>,
    tenants: Vec<gateway::TenantStatus>,
    flows: gateway::FlowsStatus,
    path_events: Vec<PathEvent>,
    /// When it was taken.
    at: Time,
    /// How packets come up from each port.
    pub(super) modes: Vec<(String, Vec<String>)>,
}

impl Snapshot {
    /// Takes what a worker counted so far. It allocates a little, which it may a few times a second.
    pub(super) fn take(&mut self, worker: &Worker<Gateway>, buffers: PoolStats, now: Time) {
        let gateway = worker.pipeline();
        self.taken = true;
        self.counters.clone_from(gateway.counters());
        worker.ports().iter().for_each(|port| port.add_drops(&mut self.counters.drops));
        self.worker.clone_from(worker.counters());
        self.ports.clear();
        self.ports.extend(worker.ports().iter().map(|port| port.counters()));
        self.details.resize_with(self.ports.len(), BTreeMap::new);
        for (port, detail) in worker.ports().iter().zip(&mut self.details) {
            port.details(&mut |name, count| _ = detail.insert(name, count));
        }
        for (port, detail) in self.details.iter_mut().enumerate() {
            gateway.pfc_status(port).iter().for_each(|pauses| add_pauses(detail, pauses));
        }
        self.buffers = Some(buffers);
        self.replay = gateway.replay_memory();
        gateway.peers_status(now, &mut self.peers);
        gateway.tenants_status(now, &mut self.tenants);
        gateway.flows_status(&mut self.flows);
        self.path_events.clear();
        self.path_events.extend(gateway.path_events());
        self.at = now;
        self.neighbours.clear();
        self.neighbours.extend(gateway.neighbours(now));
    }

    /// What happened to paths after a time.
    fn path_events(&self, worker: usize, after: Time, config: &Config) -> Vec<PathEventStatus> {
        let names = |peer: usize, path: usize| {
            let peer = config.peers.get(peer)?;
            Some((peer.name.clone(), peer.paths.get(path)?.name.clone()))
        };
        let later = self.path_events.iter().enumerate().filter(|(_, event)| event.at > after);
        let one =
            |(index, _)| PathEventStatus::new(&self.path_events, index, (worker, self.at), names);
        later.filter_map(one).collect()
    }
}

/// The board: one place a worker. A worker whose place is being read passes on and publishes the
/// next time, so it never waits.
pub(super) struct Board {
    pub(super) places: Vec<Mutex<Snapshot>>,
    began: Instant,
}

impl Board {
    pub(super) fn new(workers: usize) -> Self {
        let places = (0..workers).map(|_| Mutex::default()).collect();
        Self { places, began: Instant::now() }
    }

    /// Reads one place.
    fn read<T>(&self, worker: usize, read: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        let place = self.places.get(worker)?;
        // Values a worker left while it panicked are still counts.
        Some(read(&place.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What happened to paths since `seen`, which is until when that was said, a worker; it is moved on.
    pub(super) fn news(&self, seen: &mut [Time], config: &Config) -> Vec<PathEventStatus> {
        let news = seen.iter_mut().enumerate().filter_map(|(worker, seen)| {
            self.read(worker, |shot| {
                let news = shot.path_events(worker, *seen, config);
                *seen = shot.path_events.last().map_or(*seen, |event| event.at);
                news
            })
        });
        news.flatten().collect()
    }

    /// Whether each peer has a session, a worker.
    pub(super) fn sessions(&self) -> Vec<Vec<bool>> {
        let up = |worker| {
            self.read(worker, |shot| shot.peers.iter().map(|peer| peer.up).collect::<Vec<_>>())
        };
        (0..self.places.len()).filter_map(up).collect()
    }

    /// How the gateway stands.
    pub(super) fn status(&self, config: &Config, devices: &[Device], draining: bool) -> Status {
        let mut status = Status {
            gateway: config.gateway.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: if draining { "draining" } else { "running" }.to_owned(),
            uptime_seconds: self.began.elapsed().as_millis() as f64 / 1e3,
            ports: config.ports.iter().zip(devices).map(port).collect(),
            peers: config.peers.iter().map(|of| peer(of, config)).collect(),
            path_events: Vec::new(),
            neighbours: Vec::new(),
            workers: Vec::new(),
            tenants: config.tenants.iter().map(tenant).collect(),
            flows: status::FlowsStatus::default(),
            configuration: status::ConfigurationStatus::default(),
            counters: BTreeMap::new(),
            drops: BTreeMap::new(),
        };
        for (worker, core) in config.workers.cores.iter().enumerate() {
            self.read(worker, |shot| add(&mut status, shot, (worker, *core), config));
        }
        let workers = status.workers.len();
        for peer in &mut status.peers {
            peer.up = peer.sessions == workers && workers > 0;
        }
        status
    }
}

fn port((port, device): (&config::model::Port, &Device)) -> PortStatus {
    PortStatus {
        name: port.name.clone(),
        role: if port.role == Role::Lan { "lan" } else { "wan" }.to_owned(),
        driver: device.driver.to_owned(),
        device: device.device.clone(),
        mode: String::new(),
        refused: Vec::new(),
        mac: config::mac::Mac(device.mac).to_string(),
        mtu: device.mtu,
        link: device.link(),
        rx: Traffic::default(),
        rx_missed: 0,
        tx: Traffic::default(),
        detail: BTreeMap::new(),
    }
}

fn peer(peer: &config::model::Peer, config: &Config) -> status::PeerStatus {
    let path = |path: &config::model::Path| PathStatus {
        name: path.name.clone(),
        port: config.ports.get(path.port).map_or_else(String::new, |port| port.name.clone()),
        sent: Traffic::default(),
        resent: Traffic::default(),
        unconfirmed: 0,
        rtt_us: 0.0,
        rtt_variance_us: 0.0,
        confirmed: Traffic::default(),
        arrives: Journey::default(),
        troubled: false,
        out_of_service: false,
        bfd: None,
        capacity_bps: 0,
        worth: 1.0,
        offered_bps: 0,
        delivered_bps: 0,
        lanes: 0,
        spread_lanes: 0,
        moves: 0,
    };
    status::PeerStatus {
        name: peer.name.clone(),
        address: peer.address.to_string(),
        sessions: 0,
        up: false,
        received: Traffic::default(),
        repaired: 0,
        missing: 0,
        held: 0,
        held_high_water_bytes: 0,
        paths: peer.paths.iter().map(path).collect(),
    }
}

/// Adds what one worker counted.
fn add(status: &mut Status, shot: &Snapshot, (worker, core): (usize, u32), config: &Config) {
    for (index, port) in status.ports.iter_mut().enumerate() {
        if let Some(counted) = shot.ports.get(index) {
            port.rx.add(counted.rx_packets, counted.rx_bytes);
            port.rx_missed += counted.rx_missed;
            port.tx.add(counted.tx_packets, counted.tx_bytes);
        }
        for (name, count) in shot.details.get(index).into_iter().flatten() {
            *port.detail.entry((*name).to_owned()).or_default() += count;
        }
        if let Some((mode, refused)) = shot.modes.get(index) {
            // Queues may differ: the first worker's mode speaks for all that share it.
            if port.mode.is_empty() {
                port.mode.clone_from(mode);
            } else if port.mode != *mode {
                port.mode = format!("{}, {mode}", port.mode);
            }
            port.refused.extend(refused.iter().filter(|_| worker == 0).cloned());
        }
    }
    for (to, from) in status.peers.iter_mut().zip(&shot.peers) {
        add_peer(to, from);
    }
    for (to, from) in status.tenants.iter_mut().zip(&shot.tenants) {
        add_tenant(to, from);
    }
    add_flows(&mut status.flows, shot, worker, config);
    status.path_events.extend(shot.path_events(worker, Time::ZERO, config));
    let neighbours = shot.neighbours.iter().map(|known| neighbour(known, worker, config));
    status.neighbours.extend(neighbours);
    for (name, count) in counters(&shot.counters) {
        *status.counters.entry(name.to_owned()).or_default() += count;
    }
    let drops = drops(&shot.counters.drops);
    for (reason, traffic) in &drops {
        status.drops.entry(reason.clone()).or_default().add(traffic.packets, traffic.bytes);
    }
    let buffers = shot.buffers;
    let of = |pick: fn(PoolStats) -> u32| buffers.map_or(0, pick);
    status.workers.push(WorkerStatus {
        worker,
        core,
        pinned: shot.pinned,
        busy_rounds: shot.worker.busy_rounds,
        idle_rounds: shot.worker.idle_rounds,
        buffers: of(|stats| stats.capacity),
        buffers_in_use: of(|stats| stats.in_use),
        buffers_high_water: of(|stats| stats.high_water),
        buffers_exhausted: buffers.map_or(0, |stats| stats.exhausted),
        replay_bytes: shot.replay.bytes,
        replay_high_water_bytes: shot.replay.high_water,
        stages: stages(&shot.worker, config),
        drops,
    });
}

fn neighbour(known: &Neighbour, worker: usize, config: &Config) -> NeighbourStatus {
    NeighbourStatus {
        worker,
        port: config.ports.get(known.port).map_or_else(String::new, |port| port.name.clone()),
        address: known.address.to_string(),
        mac: known.mac.map(|mac| config::mac::Mac(mac).to_string()),
        age_seconds: known.age.map(|age| age as f64 / 1e9),
        unanswered: known.unanswered,
        changes: known.changes,
    }
}

fn add_peer(to: &mut status::PeerStatus, from: &PeerStatus) {
    to.sessions += usize::from(from.up);
    to.received.add(from.received.packets, from.received.bytes);
    to.repaired += from.repaired;
    to.missing += from.missing;
    to.held += from.held;
    to.held_high_water_bytes = to.held_high_water_bytes.max(from.held_high_water_bytes);
    for (to, from) in to.paths.iter_mut().zip(&from.paths) {
        to.sent.add(from.sent.packets, from.sent.bytes);
        to.resent.add(from.resent.packets, from.resent.bytes);
        to.unconfirmed += from.unconfirmed;
        let rtt = (from.rtt as f64 / 1e3, from.rtt_variance as f64 / 1e3);
        if rtt.0 > to.rtt_us {
            (to.rtt_us, to.rtt_variance_us) = rtt;
        }
        to.confirmed.add(from.confirmed.packets, from.confirmed.bytes);
        to.arrives.add(&from.journey);
        to.troubled |= from.troubled;
        to.out_of_service |= from.out_of_service;
        to.bfd = to.bfd.take().or(from.bfd.map(bfd));
        to.capacity_bps = from.way.capacity;
        to.worth = to.worth.min(from.way.worth);
        to.offered_bps += from.way.offered;
        to.delivered_bps += from.way.delivered;
        to.lanes += u64::from(from.way.lanes);
        to.spread_lanes += u64::from(from.way.spread);
        to.moves += from.way.moves;
    }
}

/// A session as it is shown. One worker has it.
fn bfd(of: pipelines::gateway::BfdStatus) -> status::BfdStatus {
    let milliseconds = |nanos: u64| nanos as f64 / 1e6;
    status::BfdStatus {
        state: of.state.name().to_owned(),
        remote_state: of.remote_state.name().to_owned(),
        diagnostic: of.diagnostic.name().to_owned(),
        ups: of.ups,
        flaps: of.downs,
        interval_ms: milliseconds(of.interval),
        detection_ms: milliseconds(of.detection_time),
        held_down_ms: milliseconds(of.held_down),
        heard_packets: of.heard,
        sent_packets: of.sent,
    }
}

fn tenant(tenant: &config::model::Tenant) -> status::TenantStatus {
    let rate_bps = tenant.queue.rate.map(|shape| shape.rate.0);
    status::TenantStatus { name: tenant.name.clone(), rate_bps, ..Default::default() }
}

fn add_tenant(to: &mut status::TenantStatus, from: &gateway::TenantStatus) {
    to.sent.add(from.sent.packets, from.sent.bytes);
    to.received.add(from.received.packets, from.received.bytes);
    to.replay_bytes += from.replay_bytes;
    to.replay_high_water_bytes = to.replay_high_water_bytes.max(from.replay_high_water_bytes);
    to.unprotected += from.unprotected;
    to.held_bytes += from.held_bytes;
    to.held_high_water_bytes = to.held_high_water_bytes.max(from.held_high_water_bytes);
    to.gave_up += from.gave_up;
    let gateway::StopStatus { said, heard, is_stopped } = from.stops;
    to.stops_sent += said.stops;
    to.stops_received += heard.stops;
    to.stops_expired += heard.expired;
    to.stops_broken += heard.broken;
    to.stopped |= is_stopped;
    add_queue(&mut to.to_wan, &from.to_wan);
    add_queue(&mut to.to_lan, &from.to_lan);
}

fn add_queue(to: &mut status::QueueStatus, from: &gateway::QueueStatus) {
    to.bytes += from.bytes;
    to.high_water_bytes = to.high_water_bytes.max(from.high_water_bytes);
    to.stops += from.stops;
    to.stopped_us += from.stopped_for / 1_000;
    to.dropped += from.dropped;
    to.marked += from.marked;
    to.notified += from.notified;
}

/// Names of pauses, by priority: said and heard.
const PAUSES: [[&str; 2]; 8] = [
    ["pauses_sent_0", "pauses_received_0"],
    ["pauses_sent_1", "pauses_received_1"],
    ["pauses_sent_2", "pauses_received_2"],
    ["pauses_sent_3", "pauses_received_3"],
    ["pauses_sent_4", "pauses_received_4"],
    ["pauses_sent_5", "pauses_received_5"],
    ["pauses_sent_6", "pauses_received_6"],
    ["pauses_sent_7", "pauses_received_7"],
];

/// Adds the pauses of a port to what its driver counts.
fn add_pauses(detail: &mut BTreeMap<&'static str, u64>, of: &gateway::PfcStatus) {
    let gateway::PfcStatus { said, heard, paused } = of;
    detail.insert("pfc_sent", said.frames);
    detail.insert("pfc_received", heard.frames);
    detail.insert("pfc_paused", paused.count_ones().into());
    detail.insert("pauses_sent_broken", said.broken.iter().sum());
    detail.insert("pauses_received_broken", heard.broken.iter().sum());
    for (names, counts) in PAUSES.iter().zip(said.pauses.iter().zip(heard.pauses)) {
        detail.insert(names[0], *counts.0);
        detail.insert(names[1], counts.1);
    }
}

/// Adds what a worker knows of flows; the fastest come first.
fn add_flows(to: &mut status::FlowsStatus, shot: &Snapshot, worker: usize, config: &Config) {
    let from = &shot.flows;
    to.followed = from.followed;
    let tables = [&mut to.flows, &mut to.subflows].into_iter();
    for (table, (counters, capacity)) in tables.zip(from.counters.iter().zip(from.capacity)) {
        table.add(*counters, capacity);
    }
    let one = |view: &View| {
        let tenant = config.tenants.get(usize::from(view.name.tenant));
        let way = view.path.and_then(|road| {
            let (peer, path) = gateway::peer_and_path(road);
            let peer = config.peers.get(peer)?;
            Some((peer.name.clone(), peer.paths.get(path)?.name.clone()))
        });
        let tenant = tenant.map(|tenant| tenant.name.clone());
        status::FlowStatus::new(view, worker, shot.at, tenant, way)
    };
    for (top, from) in [&mut to.top_flows, &mut to.top_subflows].into_iter().zip(&from.top) {
        top.extend(from.iter().map(one));
        top.sort_by_key(|flow| std::cmp::Reverse(flow.rate_bps));
    }
}

fn drops(drops: &Drops) -> BTreeMap<String, Traffic> {
    let one = |(reason, packets)| {
        let traffic = Traffic { packets, bytes: drops.bytes(reason) };
        (reason.name().to_owned(), traffic)
    };
    drops.seen().map(one).collect()
}

fn stages(worker: &WorkerCounters, config: &Config) -> Vec<StageStatus> {
    let stage = |stage: &str, port: &str, counted: &StageCounters| StageStatus {
        stage: stage.to_owned(),
        port: port.to_owned(),
        calls: counted.calls,
        packets: counted.packets,
        cycles: counted.cycles,
    };
    let ports = [
        ("receive", &worker.receive),
        ("pipeline", &worker.pipeline),
        ("transmit", &worker.transmit),
    ];
    let mut stages = Vec::new();
    for (name, counted) in ports {
        let ports = config.ports.iter().zip(counted);
        stages.extend(ports.map(|(port, counted)| stage(name, &port.name, counted)));
    }
    stages.push(stage("timers", "", &worker.timers));
    stages
}

/// The gateway's counters by name.
fn counters(counters: &Counters) -> [(&'static str, u64); 33] {
    let gateway::Counters { lan_rx, lan_tx, wan_rx, tunnelled, numbered, unnumbered, .. } =
        counters;
    [
        ("lan_rx_packets", lan_rx.packets),
        ("lan_rx_bytes", lan_rx.bytes),
        ("lan_tx_packets", lan_tx.packets),
        ("lan_tx_bytes", lan_tx.bytes),
        ("wan_rx_packets", wan_rx.packets),
        ("wan_rx_bytes", wan_rx.bytes),
        ("tunnelled_packets", tunnelled.packets),
        ("tunnelled_bytes", tunnelled.bytes),
        ("numbered_packets", numbered.packets),
        ("numbered_bytes", numbered.bytes),
        ("unnumbered_packets", unnumbered.packets),
        ("unnumbered_bytes", unnumbered.bytes),
        ("resent_packets", counters.resent.packets),
        ("resent_bytes", counters.resent.bytes),
        ("control_packets", counters.control.packets),
        ("control_bytes", counters.control.bytes),
        ("nacks_sent", counters.nacks_sent),
        ("numbers_asked", counters.numbers_asked),
        ("repaired", counters.repaired),
        ("reordered", counters.reordered),
        ("forwarded_bare", counters.forwarded_bare),
        ("oversize_forwarded", counters.oversize_forwarded),
        ("unprotected", counters.unprotected),
        ("gave_up", counters.gave_up),
        ("answered", counters.answered),
        ("echoed", counters.echoed),
        ("asked", counters.asked),
        ("conflicts", counters.conflicts),
        ("withheld", counters.withheld),
        ("stop_messages_sent", counters.stop_messages_sent),
        ("stop_messages_received", counters.stop_messages_received),
        ("stops_unknown", counters.stops_unknown),
        ("sessions", counters.sessions),
    ]
}
