//! How what a gateway received came, in the report.

use dataplane::time::Time;
use pipelines::gateway::{Gateway, PathStatus};
use serde::Serialize;

use crate::scenario::Scenario;

/// What came to a gateway by a path, as it measured that itself: numbers against what arrived, and
/// the times of probes. Both clocks of the lab are the same, which gateways do not know.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JourneyReport {
    /// The path's name.
    pub name: String,
    /// How much longer the last probe took than the one that took least, in microseconds.
    pub delay_above_least_us: f64,
    /// Interarrival jitter of probes (RFC 3550), in microseconds.
    pub jitter_us: f64,
    /// Packets that were to come.
    pub expected: u64,
    /// Those that did not, whether repaired or not.
    pub lost: u64,
}

/// What a gateway says of each path.
pub(super) fn journeys(gateway: &Gateway, scenario: &Scenario, now: Time) -> Vec<JourneyReport> {
    let mut peers = Vec::new();
    gateway.peers_status(now, &mut peers);
    let paths = peers.first().map_or(&[][..], |peer| &peer.paths);
    let report = |(path, name): (&PathStatus, &str)| JourneyReport {
        name: name.to_owned(),
        delay_above_least_us: path.journey.above_least as f64 / 1e3,
        jitter_us: path.journey.jitter as f64 / 1e3,
        expected: path.journey.expected_total,
        lost: path.journey.lost_total,
    };
    let names = scenario.paths.iter().map(|path| path.name.as_str());
    paths.iter().zip(names).map(report).collect()
}

/// Those of a gateway's next life, with what was counted before.
pub(super) fn then(before: Vec<JourneyReport>, next: Vec<JourneyReport>) -> Vec<JourneyReport> {
    let mut before = before.into_iter();
    let add = |mut next: JourneyReport| {
        let earlier = before.next().unwrap_or_default();
        next.expected += earlier.expected;
        next.lost += earlier.lost;
        next
    };
    next.into_iter().map(add).collect()
}
