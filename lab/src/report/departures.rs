//! What left a tenant's queues towards the WAN, in the report.

use serde::Serialize;

/// What left a tenant's queues towards the WAN, at the site from which more did.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct DeparturesReport {
    /// How fast, for each time between two changes of its rate; one, if there is none.
    pub rates: Vec<RateReport>,
    /// Per cent of what all tenants with a weight had, of all the time in which each of them had
    /// something waiting; nothing without a weight, or such a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
}

/// How fast a tenant was in a time: bytes of frames as the LAN has them, without preamble and check
/// sequence, which is also what its rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct RateReport {
    /// From so many milliseconds after the start of the play.
    pub from_ms: f64,
    /// Rates over 10 milliseconds, beginning at whole milliseconds, in which it always had something
    /// waiting and nothing was refused; nothing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_10ms_gbps: Option<Spread>,
    /// The same over 100 milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_100ms_gbps: Option<Spread>,
    /// The most bytes that left beyond what its rate made, in any time; nothing without a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_bytes: Option<u64>,
}

/// The lowest and the highest of several figures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// The lowest.
    pub least: f64,
    /// The highest.
    pub most: f64,
}
