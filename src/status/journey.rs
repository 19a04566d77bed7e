//! How what the far side sends by a path comes here, as it is shown.

use std::io::{self, Write};

use pipelines::gateway::JourneyStatus;
use serde::{Deserialize, Serialize};

use super::Status;
use crate::report::{Align, Table};

/// Over all workers. Delays are above the least of the last 10 to 20 s: clocks of two machines do not
/// agree, so the delay itself is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journey {
    /// Whether it was measured in the last seconds; if not, all but the totals is zero.
    pub(crate) fresh: bool,
    pub(crate) delay_above_least_us: f64,
    /// As RFC 3550 has it, of probes.
    pub(crate) jitter_us: f64,
    /// Packets of the last second or so: those that were to come, and those that were lost.
    pub(crate) expected: u64,
    pub(crate) lost: u64,
    pub(crate) delivered_bps: u64,
    /// Since the start.
    pub(crate) expected_total: u64,
    pub(crate) lost_total: u64,
}

impl Journey {
    /// Adds what a worker says.
    pub(crate) fn add(&mut self, from: &JourneyStatus) {
        let microseconds = |nanos: u64| nanos as f64 / 1e3;
        self.fresh |= from.fresh;
        self.delay_above_least_us = self.delay_above_least_us.max(microseconds(from.above_least));
        self.jitter_us = self.jitter_us.max(microseconds(from.jitter));
        self.expected += from.expected;
        self.lost += from.lost;
        self.delivered_bps += from.delivered;
        self.expected_total += from.expected_total;
        self.lost_total += from.lost_total;
    }

    /// The part of the last interval's packets that was lost.
    pub(crate) fn loss(&self) -> f64 {
        self.lost as f64 / self.expected.max(1) as f64
    }
}

/// What comes by each path.
pub(super) fn journeys(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("COMES BY", Align::Left),
        ("DELAY ms ABOVE LEAST", Align::Right),
        ("JITTER ms", Align::Right),
        ("LOST", Align::Right),
        ("RATE", Align::Right),
        ("LOST IN ALL", Align::Right),
    ]);
    for path in status.peers.iter().flat_map(|peer| &peer.paths) {
        let Journey { fresh, delay_above_least_us, jitter_us, delivered_bps, .. } = path.arrives;
        let fresh = |text: String| if fresh { text } else { "-".to_owned() };
        table.row([
            path.name.clone(),
            fresh(format!("{:.3}", delay_above_least_us / 1e3)),
            fresh(format!("{:.3}", jitter_us / 1e3)),
            fresh(format!("{:.4} %", path.arrives.loss() * 100.0)),
            fresh(config::units::Rate(delivered_bps).to_string()),
            format!("{} of {}", path.arrives.lost_total, path.arrives.expected_total),
        ]);
    }
    table.write(output, 0)
}

/// One, for tests.
#[cfg(test)]
pub(super) fn sample() -> Journey {
    Journey {
        fresh: true,
        delay_above_least_us: 730.0,
        jitter_us: 41.0,
        expected: 2_000,
        lost: 5,
        delivered_bps: 16_000_000,
        expected_total: 40_000,
        lost_total: 77,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_and_what_is_not_fresh_is_not_shown() {
        let one = JourneyStatus {
            fresh: true,
            above_least: 2_000,
            jitter: 500,
            expected: 100,
            lost: 1,
            delivered: 8_000,
            expected_total: 300,
            lost_total: 4,
        };
        let mut sum = Journey::default();
        sum.add(&one);
        sum.add(&JourneyStatus { above_least: 1_000, jitter: 900, lost: 3, ..one });
        assert_eq!((sum.delay_above_least_us, sum.jitter_us), (2.0, 0.9));
        assert_eq!((sum.delivered_bps, sum.lost_total, sum.loss()), (16_000, 8, 0.02));
        assert_eq!(Journey::default().loss(), 0.0);

        let mut status = super::super::sample();
        let written = |status: &Status| {
            let mut text = Vec::new();
            journeys(status, &mut text).expect("written");
            String::from_utf8(text).expect("a text")
        };
        let text = written(&status);
        assert!(
            ["0.730", "0.041", "0.2500 %", "16Mbps", "77 of 40000"]
                .iter()
                .all(|part| text.contains(part)),
            "{text}"
        );
        status.peers[0].paths[0].arrives.fresh = false;
        let text = written(&status);
        assert!(!text.contains("0.730") && text.contains("77 of 40000"), "{text}");
    }
}
