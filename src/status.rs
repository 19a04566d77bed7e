//! How a running gateway stands: one value with three faces, JSON, tables and Prometheus text.
//!
//! It is made from what the workers publish; the JSON field names are a contract.

mod changes;
mod events;
mod flows;
mod journey;
mod prometheus;
mod tables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use changes::{ChangeStatus, ConfigurationStatus, RefusalStatus, write_changes};
pub(crate) use events::PathEventStatus;
pub(crate) use flows::{FlowStatus, FlowsStatus};
pub(crate) use journey::Journey;
pub(crate) use prometheus::write_prometheus;
pub(crate) use tables::{What, write_tables};

/// A running gateway at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) gateway: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// `running`, or `draining` after it was told to end.
    pub(crate) state: String,
    pub(crate) uptime_seconds: f64,
    pub(crate) ports: Vec<PortStatus>,
    pub(crate) peers: Vec<PeerStatus>,
    /// What happened to paths lately, the latest last.
    #[serde(default)]
    pub(crate) path_events: Vec<PathEventStatus>,
    /// Next hops that are asked for.
    pub(crate) neighbours: Vec<NeighbourStatus>,
    pub(crate) workers: Vec<WorkerStatus>,
    /// Tenants, the default one first; none if none are configured.
    #[serde(default)]
    pub(crate) tenants: Vec<TenantStatus>,
    /// Who sends how much.
    #[serde(default)]
    pub(crate) flows: FlowsStatus,
    /// The configuration in force, and what changed of it.
    #[serde(default)]
    pub(crate) configuration: ConfigurationStatus,
    /// What the gateway counted, over all workers.
    pub(crate) counters: BTreeMap<String, u64>,
    /// What was dropped, a reason, over all workers.
    pub(crate) drops: BTreeMap<String, Traffic>,
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }
}

/// A port: the queues of all workers together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PortStatus {
    pub(crate) name: String,
    /// `lan` or `wan`.
    pub(crate) role: String,
    pub(crate) driver: String,
    /// The interface or device behind it.
    pub(crate) device: String,
    /// How packets come up from it: the mode obtained, which may be less than the one wished for.
    pub(crate) mode: String,
    /// Better modes that were refused, and why.
    pub(crate) refused: Vec<String>,
    pub(crate) mac: String,
    pub(crate) mtu: u32,
    /// Whether the link is up; unknown for ports without one.
    pub(crate) link: Option<bool>,
    pub(crate) rx: Traffic,
    pub(crate) rx_missed: u64,
    pub(crate) tx: Traffic,
    /// The driver's own counters, and those of pauses.
    pub(crate) detail: BTreeMap<String, u64>,
}

/// A gateway at another site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerStatus {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Workers that have a session with it.
    pub(crate) sessions: usize,
    /// Whether all of them have.
    pub(crate) up: bool,
    pub(crate) received: Traffic,
    pub(crate) repaired: u64,
    pub(crate) missing: u64,
    pub(crate) held: u64,
    pub(crate) held_high_water_bytes: u64,
    pub(crate) paths: Vec<PathStatus>,
}

/// A way to a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PathStatus {
    pub(crate) name: String,
    pub(crate) port: String,
    pub(crate) sent: Traffic,
    pub(crate) resent: Traffic,
    pub(crate) unconfirmed: u64,
    /// Smoothed, of the worker and channel where it is longest.
    pub(crate) rtt_us: f64,
    /// The variance of that.
    pub(crate) rtt_variance_us: f64,
    /// What the far side confirmed; its bytes as if all packets had the mean size of those sent.
    pub(crate) confirmed: Traffic,
    /// How what the far side sends comes here.
    pub(crate) arrives: Journey,
    /// Whether the far side does not answer on it.
    pub(crate) troubled: bool,
    /// Whether BFD keeps it out of service.
    pub(crate) out_of_service: bool,
    /// How BFD stands on it, if it is watched.
    pub(crate) bfd: Option<BfdStatus>,
    /// On the line; 0 where only weights are known.
    pub(crate) capacity_bps: u64,
    /// The part of it that the path is worth at present: the least of the workers'.
    pub(crate) worth: f64,
    /// What is sent, and what of it the far side confirms.
    pub(crate) offered_bps: u64,
    pub(crate) delivered_bps: u64,
    /// Order domains that belong to it, and those of them that are spread over several paths.
    pub(crate) lanes: u64,
    pub(crate) spread_lanes: u64,
    /// Busy ones that were moved to it, or began to be spread.
    pub(crate) moves: u64,
}

impl PathStatus {
    /// How it stands, in a word or three; `up`: whether there is a session with its peer.
    pub(crate) fn state(&self, up: bool) -> &'static str {
        match (up, self.out_of_service, self.troubled) {
            (false, ..) => "down",
            (true, true, _) => "out of service",
            (true, false, true) => "in trouble",
            (true, false, false) => "up",
        }
    }
}

/// The BFD session of a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BfdStatus {
    /// `admin-down`, `down`, `init` or `up`.
    pub(crate) state: String,
    /// What the far side last said.
    pub(crate) remote_state: String,
    /// Why it last went down.
    pub(crate) diagnostic: String,
    /// How often it came up.
    pub(crate) ups: u64,
    /// How often it went down.
    pub(crate) flaps: u64,
    pub(crate) interval_ms: f64,
    pub(crate) detection_ms: f64,
    /// What is left of its hold-down.
    pub(crate) held_down_ms: f64,
    pub(crate) heard_packets: u64,
    pub(crate) sent_packets: u64,
}

/// A next hop that is asked for by its IP address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NeighbourStatus {
    pub(crate) worker: usize,
    pub(crate) port: String,
    pub(crate) address: String,
    /// Its Ethernet address, once it answered.
    pub(crate) mac: Option<String>,
    /// Since it was last heard.
    pub(crate) age_seconds: Option<f64>,
    pub(crate) unanswered: u64,
    /// How often another Ethernet address took the place of the one before.
    pub(crate) changes: u64,
}

/// A tenant, over all workers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct TenantStatus {
    pub(crate) name: String,
    /// From the LAN, for a peer that was there.
    pub(crate) sent: Traffic,
    /// From peers.
    pub(crate) received: Traffic,
    pub(crate) replay_bytes: u64,
    /// Of the worker where it is highest, as is the other one.
    pub(crate) replay_high_water_bytes: u64,
    /// Packets that were not kept, because of its bound.
    pub(crate) unprotected: u64,
    pub(crate) held_bytes: u64,
    pub(crate) held_high_water_bytes: u64,
    /// Packets that were no longer waited for, because of its bound.
    pub(crate) gave_up: u64,
    /// Messages to peers that it is to be stopped there, refreshes included.
    #[serde(default)]
    pub(crate) stops_sent: u64,
    /// Messages of peers that had it stopped here.
    #[serde(default)]
    pub(crate) stops_received: u64,
    /// Stops here that ended because nothing more was heard.
    #[serde(default)]
    pub(crate) stops_expired: u64,
    /// Stops here that lasted too long, and were not obeyed any more.
    #[serde(default)]
    pub(crate) stops_broken: u64,
    /// A peer has it stopped now.
    #[serde(default)]
    pub(crate) stopped: bool,
    /// Waiting for their turn towards the WAN, and towards the LAN; nothing without queues.
    #[serde(default)]
    pub(crate) to_wan: QueueStatus,
    #[serde(default)]
    pub(crate) to_lan: QueueStatus,
    /// The most it may send; nothing if as much as it likes.
    #[serde(default)]
    pub(crate) rate_bps: Option<u64>,
}

/// What a tenant has in queues one way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct QueueStatus {
    pub(crate) bytes: u64,
    /// The most there ever were, of the worker and class where it is highest.
    pub(crate) high_water_bytes: u64,
    /// Times that its senders were to stop.
    pub(crate) stops: u64,
    pub(crate) stopped_us: u64,
    pub(crate) dropped: u64,
    /// Packets that were told that it grows (ECN).
    #[serde(default)]
    pub(crate) marked: u64,
    /// Notifications (CNP) to senders, instead of marks.
    #[serde(default)]
    pub(crate) notified: u64,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    pub(crate) worker: usize,
    pub(crate) core: u32,
    /// Whether it is pinned to that core.
    pub(crate) pinned: bool,
    pub(crate) busy_rounds: u64,
    pub(crate) idle_rounds: u64,
    pub(crate) buffers: u32,
    pub(crate) buffers_in_use: u32,
    pub(crate) buffers_high_water: u32,
    pub(crate) buffers_exhausted: u64,
    pub(crate) replay_bytes: u64,
    pub(crate) replay_high_water_bytes: u64,
    pub(crate) stages: Vec<StageStatus>,
    pub(crate) drops: BTreeMap<String, Traffic>,
}

/// What a stage of a worker cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageStatus {
    /// `receive`, `pipeline`, `transmit` or `timers`.
    pub(crate) stage: String,
    /// The port, but for timers.
    pub(crate) port: String,
    pub(crate) calls: u64,
    pub(crate) packets: u64,
    pub(crate) cycles: u64,
}

#[cfg(test)]
pub(crate) fn sample() -> Status {
    let one = |packets| Traffic { packets, bytes: packets * 1_000 };
    Status {
        gateway: "site-a".into(),
        version: "0".into(),
        pid: 7,
        state: "running".into(),
        uptime_seconds: 61.5,
        ports: vec![PortStatus {
            name: "lan0".into(),
            role: "lan".into(),
            driver: "af_xdp".into(),
            device: "eth\"1".into(),
            mode: "generic".into(),
            refused: vec!["native copy: no".into()],
            mac: "02:00:00:00:00:01".into(),
            mtu: 4_200,
            link: Some(true),
            rx: one(5),
            rx_missed: 1,
            tx: one(4),
            detail: BTreeMap::from([("rx_ring_full".into(), 1)]),
        }],
        peers: vec![PeerStatus {
            name: "site-b".into(),
            address: "198.51.100.1".into(),
            sessions: 1,
            up: true,
            received: one(9),
            repaired: 2,
            missing: 0,
            held: 0,
            held_high_water_bytes: 4_096,
            paths: vec![PathStatus {
                name: "north".into(),
                port: "wan0".into(),
                sent: one(8),
                resent: one(1),
                unconfirmed: 3,
                rtt_us: 10_250.4,
                rtt_variance_us: 12.5,
                confirmed: one(5),
                arrives: journey::sample(),
                troubled: false,
                out_of_service: true,
                bfd: Some(BfdStatus {
                    state: "up".into(),
                    remote_state: "up".into(),
                    diagnostic: "detection time expired".into(),
                    ups: 2,
                    flaps: 1,
                    interval_ms: 10.0,
                    detection_ms: 30.0,
                    held_down_ms: 850.0,
                    heard_packets: 70,
                    sent_packets: 71,
                }),
                capacity_bps: 10_000_000_000,
                worth: 1.0,
                offered_bps: 2_500_000_000,
                delivered_bps: 2_400_000_000,
                lanes: 4_096,
                spread_lanes: 1,
                moves: 2,
            }],
        }],
        path_events: events::sample(),
        neighbours: vec![NeighbourStatus {
            worker: 0,
            port: "wan0".into(),
            address: "192.0.2.254".into(),
            mac: Some("02:00:00:00:00:fe".into()),
            age_seconds: Some(3.5),
            unanswered: 1,
            changes: 0,
        }],
        workers: vec![WorkerStatus {
            worker: 0,
            core: 1,
            pinned: true,
            busy_rounds: 10,
            idle_rounds: 20,
            buffers: 100,
            buffers_in_use: 5,
            buffers_high_water: 50,
            buffers_exhausted: 0,
            replay_bytes: 64,
            replay_high_water_bytes: 128,
            stages: vec![StageStatus {
                stage: "receive".into(),
                port: "lan0".into(),
                calls: 2,
                packets: 5,
                cycles: 1_000,
            }],
            drops: BTreeMap::from([("wan_duplicate".into(), one(1))]),
        }],
        tenants: vec![TenantStatus {
            name: "acme".into(),
            sent: one(6),
            received: one(7),
            replay_bytes: 2_368,
            replay_high_water_bytes: 4_736,
            unprotected: 3,
            held_bytes: 0,
            held_high_water_bytes: 7_104,
            gave_up: 1,
            stops_received: 2,
            stopped: true,
            to_wan: QueueStatus { bytes: 100, high_water_bytes: 5_000, ..Default::default() },
            rate_bps: Some(10_000_000_000),
            ..Default::default()
        }],
        flows: flows::sample(),
        configuration: changes::sample(),
        counters: BTreeMap::from([("tunnelled_packets".into(), 8)]),
        drops: BTreeMap::from([("wan_duplicate".into(), one(1))]),
    }
}
