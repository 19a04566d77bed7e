//! What a run says at its end. The field names of the JSON are a contract: fields may be added,
//! none renamed. Of one configuration, input and seed it is the same to the byte.

use std::collections::BTreeMap;

use dataplane::time::{Nanos, Time};
use pipelines::gateway::{Gateway, Numbering};
use serde::Serialize;

use crate::busy::Busy;
use crate::link::{Impairments, LinkCounters};
use crate::scenario::{Bounds, PathScenario, Scenario};
use crate::timeline::Timeline;

mod departures;
mod endpoints;
mod flows;
mod health;
mod journey;
mod ports;
mod tenants;
mod traffic;

pub use departures::{DeparturesReport, RateReport, Spread};
pub use endpoints::{
    Completion, Endpoints, GroupReport, MessageReport, PairReport, Resumed, StrangersReport,
};
pub use flows::{FlowsReport, SubflowReport};
pub use health::PathEventReport;
pub(crate) use health::path_events;
pub use journey::JourneyReport;
pub use ports::PortReport;
pub(crate) use tenants::tenants;
pub use tenants::{DelayReport, QueueReport, TenantReport};
pub use traffic::TrafficReport;

/// The report of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run's seed.
    pub seed: u64,
    /// Time from the start of the play until nothing was under way any more.
    pub virtual_seconds: f64,
    /// What was run.
    pub scenario: ScenarioReport,
    /// What the hosts sent and received.
    pub endpoints: Endpoints,
    /// What the wide area did.
    pub wan: Wan,
    /// What the gateways did; nothing without them.
    pub gateways: Option<Gateways>,
    /// What tenants did, the default one first; nothing without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantReport>,
    /// What was paused on the LANs; nothing where nobody speaks of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortReport>,
    /// What happened to the paths that BFD watches, by site and in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_events: Vec<PathEventReport>,
    /// Why the input could not be read to its end: what could be read was played.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// The scenario, in the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenarioReport {
    /// The capture that was played, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What RNICs did, if there were any: the first pair of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficReport>,
    /// What each of several pairs of RNICs did, that among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<TrafficReport>,
    /// How packets are numbered; nothing without gateways.
    pub mode: Option<&'static str>,
    /// Paths between the sites.
    pub paths: Vec<PathReport>,
    /// Tenants of the gateways, as they are written on the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    /// Changes of them, as they are written on the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Restarts of gateways, as they are written on the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<String>,
    /// Pauses of hosts, as they are written on the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<String>,
    /// Bounds of the gateways.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// What a numbering is called.
pub(crate) const fn mode_name(numbering: Numbering) -> &'static str {
    match numbering {
        Numbering::Tunnel => "tunnel",
        Numbering::Transparent { .. } => "transparent",
    }
}

/// A path as it was configured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathReport {
    /// Its name.
    pub name: String,
    /// Bits a second.
    pub rate_bps: Option<u64>,
    /// One-way delay in nanoseconds.
    pub delay_ns: Nanos,
    /// Mean loss.
    pub loss: f64,
    /// Mean length of a burst of losses.
    pub burst: Option<f64>,
    /// Probability of being held up.
    pub reorder: f64,
    /// Probability of arriving twice.
    pub duplicate: f64,
    /// Probability of being altered.
    pub corrupt: f64,
    /// Nanoseconds between two packets of BFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_ns: Option<Nanos>,
    /// Its segments before the peer's SID, or `direct`, with SRv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srv6: Option<String>,
    /// Outages, in nanoseconds from the start of the play.
    pub down_ns: Vec<[Nanos; 2]>,
}

/// What the wide area did, from the start of the play, in both directions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wan {
    /// Frames sent into it, control messages included.
    pub sent_packets: u64,
    /// Frames lost.
    pub dropped: u64,
    /// Frames altered.
    pub altered: u64,
    /// Frames held up.
    pub reordered: u64,
    /// Frames doubled.
    pub duplicated: u64,
    /// Part of the capacity of all paths that was used while hosts had something to send, or it
    /// waited in their gateway, at the site that carried more in such times; nothing where there is
    /// no such time, or a path has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_utilization: Option<f64>,
    /// The length of the intervals of `gbps_over_time`, in microseconds.
    pub interval_us: f64,
    /// The paths.
    pub paths: Vec<PathTraffic>,
}

/// What a path carried, both directions together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathTraffic {
    /// Its name.
    pub name: String,
    /// Frames sent into it.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames lost.
    pub dropped: u64,
    /// Part of its capacity that was used, of the busier direction; 0 for a path without limit.
    pub utilization: f64,
    /// What its line carried in each interval of the play, in gigabits a second, of the busier
    /// direction.
    pub gbps_over_time: Vec<f64>,
    /// Lanes that the gateways moved to it while they were busy, or began to spread from it.
    pub moves: u64,
}

/// Both gateways.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gateways {
    /// Site A's.
    pub a: GatewayReport,
    /// Site B's.
    pub b: GatewayReport,
}

/// What a gateway did, over all its lives.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct GatewayReport {
    /// How often it started anew.
    pub restarts: u64,
    /// Packets sent again.
    pub resent_packets: u64,
    /// Bytes of the packets sent for the first time.
    pub tunnelled_bytes: u64,
    /// Bytes of what gateways tell each other: hellos, confirmations, requests, probes.
    pub control_bytes: u64,
    /// Messages that asked for packets.
    pub nacks_sent: u64,
    /// Packets that came after they were asked for.
    pub repaired: u64,
    /// The most memory that the replay buffer held.
    pub replay_high_water_bytes: u64,
    /// Packets it let go of unconfirmed, for want of room or for age.
    pub replay_evicted: u64,
    /// The most memory that the hold buffer held.
    pub held_high_water_bytes: u64,
    /// The longest that a packet of a tunnel waited for those before it, in microseconds.
    pub held_longest_us: f64,
    /// Lanes moved to each path while they were busy, or that began to be spread from it.
    #[serde(skip)]
    pub moves: Vec<u64>,
    /// Packets that are not waited for any more although they never came.
    pub gave_up: u64,
    /// Packets forwarded bare because no session was up.
    pub unprotected: u64,
    /// Packets forwarded bare because they did not fit their path.
    pub oversize_forwarded: u64,
    /// Frames for which the port had no buffer or no room.
    pub missed: u64,
    /// Buffers that were not home when everything had ended.
    pub buffers_leaked: u32,
    /// Packets dropped, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Who sent how much.
    pub flows: FlowsReport,
    /// How what came by each path came; nothing is known of that in transparent mode.
    pub received: Vec<JourneyReport>,
}

impl ScenarioReport {
    /// The scenario, in the report.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let groups = scenario.traffic_groups().iter().enumerate();
        let groups: Vec<_> = groups
            .map(|(place, traffic)| TrafficReport::new(place, traffic, &scenario.paths))
            .collect();
        Self {
            input: scenario.input().map(|input| input.display().to_string()),
            traffic: groups.first().cloned(),
            groups: if groups.len() > 1 { groups } else { Vec::new() },
            mode: scenario.gateways.then_some(mode_name(scenario.numbering)),
            paths: scenario.paths.iter().map(PathReport::new).collect(),
            tenants: scenario.tenants.iter().map(ToString::to_string).collect(),
            changes: scenario.changes.iter().map(ToString::to_string).collect(),
            restarts: scenario.restarts.iter().map(ToString::to_string).collect(),
            pauses: scenario.pauses.iter().map(ToString::to_string).collect(),
            bounds: scenario.bounds,
        }
    }
}

impl PathReport {
    fn new(path: &PathScenario) -> Self {
        let PathScenario { name, does, bfd, srv6 } = path;
        let Impairments { rate, delay, loss, burst, reorder, duplicate, corrupt, ref down } = *does;
        Self {
            name: name.clone(),
            rate_bps: rate,
            delay_ns: delay,
            loss,
            burst,
            reorder,
            duplicate,
            corrupt,
            bfd_ns: *bfd,
            srv6: srv6.as_ref().map(ToString::to_string),
            down_ns: down.iter().map(|span| [span.start, span.end]).collect(),
        }
    }
}

impl Wan {
    /// From each path's name, rate and counters in both directions, over a play of `span`.
    #[must_use]
    pub(crate) fn new(
        scenario: &Scenario,
        counters: &[[LinkCounters; 2]],
        timeline: &Timeline,
        span: Nanos,
    ) -> Self {
        let mut rates = timeline.rates(span).into_iter();
        let all = counters.iter().flatten();
        let sum = |field: fn(&LinkCounters) -> u64| all.clone().map(field).sum();
        let paths = scenario.paths.iter().zip(counters).map(|(path, both)| {
            let sum = |field: fn(&LinkCounters) -> u64| both.iter().map(field).sum();
            let busier = both.iter().map(|link| link.line_bytes).max().unwrap_or(0);
            let capacity = path.does.rate.map_or(0.0, |rate| rate as f64 / 1e9);
            let used = gbps(busier, span);
            PathTraffic {
                name: path.name.clone(),
                sent_packets: sum(|link| link.sent_packets),
                sent_bytes: sum(|link| link.sent_bytes),
                dropped: sum(|link| link.dropped),
                utilization: if capacity > 0.0 { used / capacity } else { 0.0 },
                gbps_over_time: rates
                    .next()
                    .unwrap_or_default()
                    .into_iter()
                    .map(thousandths)
                    .collect(),
                moves: 0,
            }
        });
        Self {
            sent_packets: sum(|link| link.sent_packets),
            dropped: sum(|link| link.dropped),
            altered: sum(|link| link.altered),
            reordered: sum(|link| link.reordered),
            duplicated: sum(|link| link.duplicated),
            busy_utilization: None,
            interval_us: timeline.interval() as f64 / 1e3,
            paths: paths.collect(),
        }
    }
}

/// Rounded: more digits say nothing of a rate.
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Wan {
    /// Adds what both gateways moved.
    #[must_use]
    pub fn with_moves(mut self, gateways: Option<&Gateways>) -> Self {
        for gateway in gateways.into_iter().flat_map(|both| [&both.a, &both.b]) {
            let moves = self.paths.iter_mut().zip(&gateway.moves);
            moves.for_each(|(path, moves)| path.moves += moves);
        }
        self
    }

    /// Adds what both sites used while they had something to send.
    #[must_use]
    pub(crate) fn with_busy(mut self, scenario: &Scenario, sites: &[Busy; 2]) -> Self {
        let rates: Option<u64> = scenario.paths.iter().map(|path| path.does.rate).sum();
        let busier = sites.iter().max_by_key(|busy| busy.bytes());
        self.busy_utilization = rates.zip(busier).and_then(|(rate, busy)| busy.utilization(rate));
        self
    }
}

impl GatewayReport {
    /// From a gateway, and what its port and its pool say.
    #[must_use]
    pub fn new(
        gateway: &Gateway,
        scenario: &Scenario,
        now: Time,
        missed: u64,
        buffers_leaked: u32,
    ) -> Self {
        let (counters, memory) = (gateway.counters(), gateway.replay_memory());
        Self {
            restarts: 0,
            resent_packets: counters.resent.packets,
            tunnelled_bytes: counters.tunnelled.bytes,
            control_bytes: counters.control.bytes,
            nacks_sent: counters.nacks_sent,
            repaired: counters.repaired,
            replay_high_water_bytes: memory.high_water,
            replay_evicted: memory.evicted,
            held_high_water_bytes: gateway.held_high_water_bytes(),
            held_longest_us: gateway.held_longest() as f64 / 1e3,
            moves: gateway.moves().collect(),
            gave_up: counters.gave_up,
            unprotected: counters.unprotected,
            oversize_forwarded: counters.oversize_forwarded,
            missed,
            buffers_leaked,
            drops: counters.drops.seen().map(|(why, count)| (why.name(), count)).collect(),
            flows: FlowsReport::new(gateway, scenario),
            received: journey::journeys(gateway, scenario, now),
        }
    }

    /// Together with its next life. Counts are sums, high waters the higher one.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.restarts += next.restarts + 1;
        self.resent_packets += next.resent_packets;
        self.tunnelled_bytes += next.tunnelled_bytes;
        self.control_bytes += next.control_bytes;
        self.nacks_sent += next.nacks_sent;
        self.repaired += next.repaired;
        self.replay_high_water_bytes =
            self.replay_high_water_bytes.max(next.replay_high_water_bytes);
        self.replay_evicted += next.replay_evicted;
        self.held_high_water_bytes = self.held_high_water_bytes.max(next.held_high_water_bytes);
        self.held_longest_us = self.held_longest_us.max(next.held_longest_us);
        self.moves.iter_mut().zip(next.moves).for_each(|(moves, more)| *moves += more);
        self.gave_up += next.gave_up;
        self.unprotected += next.unprotected;
        self.oversize_forwarded += next.oversize_forwarded;
        self.missed += next.missed;
        self.buffers_leaked += next.buffers_leaked;
        for (reason, count) in next.drops {
            *self.drops.entry(reason).or_default() += count;
        }
        self.flows = self.flows.then(next.flows);
        self.received = journey::then(self.received, next.received);
        self
    }
}

/// Bytes in a span of time, in gigabits a second: as many as bits in a nanosecond.
fn gbps(bytes: u64, span: Nanos) -> f64 {
    if span == 0 { 0.0 } else { bytes as f64 * 8.0 / span as f64 }
}
