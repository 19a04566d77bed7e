//! All outcomes, and what they are compared with.

use crate::formula;
use crate::matrix::{Case, Mode, Outcome, RATE};

/// All outcomes.
pub(crate) struct Results(Vec<Outcome>);

impl Results {
    pub(crate) fn new(outcomes: Vec<Outcome>) -> Self {
        Self(outcomes)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Outcome> {
        self.0.iter()
    }

    /// What this run showed. Without loss there are no bursts, and their run is the other one.
    pub(crate) fn of(&self, case: Case) -> Option<&Outcome> {
        let case = if case.loss > 0.0 { case } else { case.lossless() };
        self.0.iter().find(|outcome| outcome.case == case)
    }

    /// Goodput of a line that is never idle and loses nothing: what is left beside headers and
    /// control messages.
    pub(crate) fn ceiling(&self, case: Case) -> f64 {
        let whole = |outcome: &Outcome| outcome.goodput / outcome.utilization;
        self.of(case.lossless()).map_or(RATE as f64 / 1e9, whole)
    }

    /// Goodput as the formula has it.
    pub(crate) fn formula(&self, case: Case) -> f64 {
        let ceiling = self.ceiling(case);
        match case.mode {
            Mode::Tunnel | Mode::Transparent => formula::selective_repeat(case, ceiling),
            Mode::Bare => formula::go_back_n(case, ceiling),
        }
    }

    /// Goodput as a part of that without loss.
    pub(crate) fn kept(&self, outcome: &Outcome) -> f64 {
        self.of(outcome.case.lossless()).map_or(1.0, |whole| outcome.goodput / whole.goodput)
    }
}

/// A loss as people write it.
pub(crate) fn loss(loss: f64) -> String {
    if loss == 0.0 { "0".into() } else { format!("{loss:e}") }
}
