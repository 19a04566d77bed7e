//! What a pair of hosts does when nobody else sends, beside what it did together with others.

use serde::Serialize;

use crate::report::{Completion, PairReport, Report};
use crate::run::{LabError, run};
use crate::scenario::{Scenario, Source};

/// A pair of hosts alone, and together with others in per cent of that.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alone {
    /// Its name.
    pub name: String,
    /// Alone: bytes of messages done, in a second of the span to the last of them.
    pub goodput_gbps: f64,
    /// Alone: from the first packet of each message to its completion.
    pub completion_us: Completion,
    /// Goodput together with others.
    pub goodput_percent: f64,
    /// The median time of a message together with others.
    pub p50_percent: f64,
    /// The time in which 99 of 100 messages were done.
    pub p99_percent: f64,
}

impl Alone {
    /// Runs a scenario with the messages of one pair only and without pauses, and compares with what
    /// `report` says of it; `None` if there is no such pair.
    pub(crate) fn run(
        scenario: &Scenario,
        seed: u64,
        name: &str,
        report: &Report,
    ) -> Result<Option<Self>, LabError> {
        let mut scenario = Scenario { seed, out: None, pauses: Vec::new(), ..scenario.clone() };
        if let Source::Traffic(groups) = &mut scenario.source {
            let others = groups.iter_mut().enumerate();
            let others = others.filter(|(place, traffic)| traffic.called(*place) != name);
            others.for_each(|(_, traffic)| traffic.messages = 0);
        }
        let Some(together) = find(report, name) else { return Ok(None) };
        let alone = run(&scenario)?;
        Ok(find(&alone, name).map(|alone| Self::new(alone, together)))
    }

    fn new(alone: &PairReport, together: &PairReport) -> Self {
        let percent = |together: f64, alone: f64| together * 100.0 / alone;
        let (times, with) = (alone.completion_us, together.completion_us);
        Self {
            name: alone.name.clone(),
            goodput_gbps: alone.goodput_gbps,
            completion_us: times,
            goodput_percent: percent(together.goodput_gbps, alone.goodput_gbps),
            p50_percent: percent(with.p50, times.p50),
            p99_percent: percent(with.p99, times.p99),
        }
    }
}

fn find<'a>(report: &'a Report, name: &str) -> Option<&'a PairReport> {
    report.endpoints.groups.iter().find(|pair| pair.name == name)
}
