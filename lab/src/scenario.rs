//! What is run: a capture or RNICs under load, the paths between two sites, and a seed.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use config::units::Rate;
use dataplane::time::Nanos;
use pipelines::gateway::{Numbering, Prefix, Sharing};
use serde::Serialize;

use crate::change::Change;
use crate::link::Impairments;
use crate::pause::Pause;
use crate::restart::Restart;
use crate::tenant::TenantScenario;
use crate::traffic::{Plan, Traffic};
use crate::way::Way;

/// A path across the wide area; both directions are impaired alike and independently.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PathScenario {
    /// Name in reports.
    pub name: String,
    /// What it does to frames.
    pub does: Impairments,
    /// The gateways watch it by BFD: the time between two packets, three of which may be lost.
    pub bfd: Option<Nanos>,
    /// The gateways use SRv6 on it.
    pub srv6: Option<Way>,
}

/// The ways to number packets, by the names they are given by.
pub const MODES: [(&str, Numbering); 2] =
    [("tunnel", Numbering::Tunnel), ("transparent", Numbering::Transparent { check_icrc: true })];

/// Pairs of hosts at most.
pub(crate) const MAX_GROUPS: usize = 64;

/// What the largest outer IP packet may be, in bytes.
pub const MTU: RangeInclusive<u32> = 576..=65_535;

/// Bounds of each gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Memory of the replay buffer, in bytes.
    pub replay_bytes: u64,
    /// Memory of the hold buffer, in bytes.
    pub hold_bytes: u64,
    /// Packets that a channel remembers for replay, a power of two up to 2^24; by default as many
    /// as the memory holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_packets: Option<u32>,
    /// Packets that the hold buffer may hold, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_packets: Option<u32>,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            replay_bytes: 64 << 20,
            hold_bytes: 64 << 20,
            replay_packets: None,
            hold_packets: None,
            mtu: 9_216,
        }
    }
}

/// A capture that the two sites play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The file.
    pub input: PathBuf,
    /// Sources at site A; without any, the source of the first IP packet.
    pub site_a: Vec<Prefix>,
}

/// Where the hosts' frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Both sites play a capture.
    Capture(Capture),
    /// RNICs carry messages: RNICs at each site for each of these.
    Traffic(Vec<Traffic>),
}

/// A run of the lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Where the hosts' frames come from.
    pub source: Source,
    /// Paths between the sites, at least one.
    pub paths: Vec<PathScenario>,
    /// Whether gateways stand between; without them a hash of its 5-tuple sends each
    /// packet by one of the paths.
    pub gateways: bool,
    /// How the gateways number packets.
    pub numbering: Numbering,
    /// How the gateways share out traffic among the paths.
    pub sharing: Sharing,
    /// Bounds of the gateways.
    pub bounds: Bounds,
    /// Tenants of both gateways, the first that matches has a packet; without any, none are told
    /// apart.
    pub tenants: Vec<TenantScenario>,
    /// How fast the gateways' WAN ports are sent to, all together: what is more waits in queues.
    pub wan_rate: Option<Rate>,
    /// How fast each gateway's LAN port is sent to, likewise.
    pub lan_rate: Option<Rate>,
    /// Tenants that change while it runs, in any order.
    pub changes: Vec<Change>,
    /// Gateways that start anew, in any order.
    pub restarts: Vec<Restart>,
    /// Packets a second of strangers at site A, beside what hosts send.
    pub strangers: Option<u64>,
    /// Hosts that take in nothing for a while, in any order. With any, hosts and gateways speak
    /// priority flow control.
    pub pauses: Vec<Pause>,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Where to write what was seen on each link.
    pub out: Option<PathBuf>,
}

impl Scenario {
    /// A capture over these paths, with gateways of default bounds.
    #[must_use]
    pub fn new(input: PathBuf, paths: Vec<PathScenario>, seed: u64) -> Self {
        let source = Source::Capture(Capture { input, site_a: Vec::new() });
        Self::of(source, paths, Bounds::default(), seed)
    }

    /// RNICs under load over these paths, with gateways that have room for what may be under way.
    #[must_use]
    pub fn traffic(traffic: Traffic, paths: Vec<PathScenario>, seed: u64) -> Self {
        Self::groups(vec![traffic], paths, seed)
    }

    /// Several groups of RNICs under load, likewise.
    #[must_use]
    pub fn groups(groups: Vec<Traffic>, paths: Vec<PathScenario>, seed: u64) -> Self {
        let bounds = Plan::of_all(&groups, &paths).bounds();
        Self::of(Source::Traffic(groups), paths, bounds, seed)
    }

    fn of(source: Source, paths: Vec<PathScenario>, bounds: Bounds, seed: u64) -> Self {
        Self {
            source,
            paths,
            gateways: true,
            numbering: Numbering::Tunnel,
            sharing: Sharing::default(),
            bounds,
            tenants: Vec::new(),
            wan_rate: None,
            lan_rate: None,
            changes: Vec::new(),
            restarts: Vec::new(),
            strangers: None,
            pauses: Vec::new(),
            seed,
            out: None,
        }
    }

    /// Whether hosts and gateways speak priority flow control: a host pauses, or a queue says stop.
    #[must_use]
    pub fn speaks_of_pauses(&self) -> bool {
        !self.pauses.is_empty() || self.tenants.iter().any(|tenant| tenant.xoff.is_some())
    }

    /// What RNICs carry, if they do.
    #[must_use]
    pub fn traffic_groups(&self) -> &[Traffic] {
        match &self.source {
            Source::Capture(_) => &[],
            Source::Traffic(groups) => groups,
        }
    }

    /// The capture that is played, if one is.
    #[must_use]
    pub fn input(&self) -> Option<&Path> {
        match &self.source {
            Source::Capture(capture) => Some(&capture.input),
            Source::Traffic(_) => None,
        }
    }
}
