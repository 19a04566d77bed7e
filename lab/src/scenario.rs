//! What is run: a capture, the paths between two sites, and a seed.

use std::path::PathBuf;

use pipelines::gateway::Prefix;
use serde::Serialize;

use crate::link::Impairments;

/// A path across the wide area; both directions are impaired alike and independently.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PathScenario {
    /// Name in reports.
    pub name: String,
    /// What it does to frames.
    pub does: Impairments,
}

/// Bounds of each gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Memory of the replay buffer, in bytes.
    pub replay_bytes: u64,
    /// Memory of the hold buffer, in bytes.
    pub hold_bytes: u64,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { replay_bytes: 64 << 20, hold_bytes: 64 << 20, mtu: 9_216 }
    }
}

/// A run of the lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The capture that the two sites play.
    pub input: PathBuf,
    /// Sources at site A; without any, the source of the first IP packet.
    pub site_a: Vec<Prefix>,
    /// Paths between the sites, at least one.
    pub paths: Vec<PathScenario>,
    /// Whether gateways stand between; without them the first path joins the sites.
    pub gateways: bool,
    /// Bounds of the gateways.
    pub bounds: Bounds,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Where to write what was seen on each link.
    pub out: Option<PathBuf>,
}

impl Scenario {
    /// A capture over these paths, with gateways of default bounds.
    #[must_use]
    pub fn new(input: PathBuf, paths: Vec<PathScenario>, seed: u64) -> Self {
        let bounds = Bounds::default();
        Self { input, site_a: Vec::new(), paths, gateways: true, bounds, seed, out: None }
    }
}
