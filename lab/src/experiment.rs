//! A scenario and what is wanted of it: the seeds to run it with, the same without gateways beside
//! it, what is expected. Flags and files both end here, so that whatever runs one runs the other.

use serde::Serialize;

use crate::alone::Alone;
use crate::expect::{Expectation, Verdict};
use crate::report::Report;
use crate::run::{LabError, run};
use crate::scenario::Scenario;
use crate::seeds::Seeds;

/// What is run, and how its outcome is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// What is run; [`Experiment::run`] puts each seed in.
    pub scenario: Scenario,
    /// Seeds to run it with.
    pub seeds: Seeds,
    /// Whether to run it without gateways as well.
    pub compare: bool,
    /// The pair of hosts to run alone as well, by its name: nobody else has messages then.
    pub alone: Option<String>,
    /// What has to hold of every outcome, in the order of the file.
    pub expectations: Vec<Expectation>,
}

/// What came of a seed. In JSON it is the report, with these fields beside the report's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// The report of the same without gateways, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_gateways: Option<Report>,
    /// What a pair of hosts did alone, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<Alone>,
    /// What was expected, and what was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Verdict>,
}

impl Experiment {
    /// Runs the scenario with this seed. What was seen on the links is written of the run with
    /// gateways.
    ///
    /// # Errors
    /// When there can be no report.
    pub fn run(&self, seed: u64) -> Result<Outcome, LabError> {
        let scenario = Scenario { seed, ..self.scenario.clone() };
        let report = run(&scenario)?;
        let without_gateways = match self.compare {
            true => Some(run(&Scenario { gateways: false, out: None, ..scenario })?),
            false => None,
        };
        let alone =
            self.alone.as_deref().map(|name| Alone::run(&self.scenario, seed, name, &report));
        let alone = alone.transpose()?.flatten();
        let mut outcome = Outcome { report, without_gateways, alone, expectations: Vec::new() };
        outcome.expectations = Verdict::all(&self.expectations, &outcome);
        Ok(outcome)
    }
}

impl Outcome {
    /// The expectations that do not hold.
    pub fn failures(&self) -> impl Iterator<Item = &Verdict> {
        self.expectations.iter().filter(|verdict| !verdict.holds())
    }
}
