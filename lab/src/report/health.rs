//! What happened to the paths that BFD watches, in the report.

use dataplane::time::{Nanos, Time};
use pipelines::gateway::{Gateway, PathEvent, PathEventKind};
use serde::Serialize;

use crate::scenario::Scenario;

/// Something that happened to a path, as a gateway saw it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathEventReport {
    /// Microseconds from the start of the play.
    pub at_us: f64,
    /// Whose gateway says so: `a` or `b`.
    pub site: &'static str,
    /// The path's name.
    pub path: String,
    /// `up` or `down`: its session; `recovered`: what was under way when it went down is confirmed;
    /// `in_service`: its hold-down is over.
    pub event: &'static str,
    /// Why it went down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<&'static str>,
    /// Packets that were sent again until it was recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent_packets: Option<u64>,
    /// Microseconds from the beginning of the path's last outage before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_outage_us: Option<f64>,
}

/// What the gateway of `side` saw from `start` on.
pub(crate) fn path_events(
    scenario: &Scenario,
    side: usize,
    gateway: &Gateway,
    start: Time,
) -> Vec<PathEventReport> {
    let of_play = gateway.path_events().filter(|event| event.at >= start);
    of_play.filter_map(|event| report(scenario, side, event, event.at.since(start))).collect()
}

fn report(
    scenario: &Scenario,
    side: usize,
    event: &PathEvent,
    at: Nanos,
) -> Option<PathEventReport> {
    let path = scenario.paths.get(event.path)?;
    let outages = path.does.down.iter().map(|down| down.start);
    let outage = outages.filter(|&start| start <= at).max();
    let micros = |nanos: Nanos| nanos as f64 / 1_000.0;
    let (name, diagnostic, resent_packets) = match event.kind {
        PathEventKind::Up => ("up", None, None),
        PathEventKind::Down(diagnostic) => ("down", Some(diagnostic.name()), None),
        PathEventKind::Recovered(resent) => ("recovered", None, Some(resent)),
        PathEventKind::InService => ("in_service", None, None),
        PathEventKind::OutOfService => ("out_of_service", None, None),
    };
    Some(PathEventReport {
        at_us: micros(at),
        site: ["a", "b"].get(side)?,
        path: path.name.clone(),
        event: name,
        diagnostic,
        resent_packets,
        since_outage_us: outage.map(|outage| micros(at - outage)),
    })
}
