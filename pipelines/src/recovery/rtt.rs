//! The round trip: smoothed, its variance and its least value (RFC 6298, section 2).

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos};

/// An estimate of a round trip. Samples of repeated packets are the caller's to leave out (Karn).
#[derive(Debug, Clone, Copy)]
pub struct Rtt {
    smoothed: Nanos,
    variance: Nanos,
    least: Nanos,
    measured: bool,
}

impl Rtt {
    /// Before anything is measured: the value that was configured.
    #[must_use]
    pub fn assumed(initial: Nanos) -> Self {
        Self { smoothed: initial, variance: initial / 2, least: initial, measured: false }
    }

    /// Takes a measurement in.
    pub fn sample(&mut self, rtt: Nanos) {
        if !self.measured {
            *self = Self { smoothed: rtt, variance: rtt / 2, least: rtt, measured: true };
            return;
        }
        let deviation = self.smoothed.abs_diff(rtt);
        self.variance = (3 * self.variance + deviation) / 4;
        self.smoothed = (7 * self.smoothed + rtt) / 8;
        // The least value follows a path that became longer, slowly.
        self.least = rtt.min(self.least + self.least / 256);
    }

    /// The smoothed round trip.
    #[must_use]
    pub fn smoothed(&self) -> Nanos {
        self.smoothed
    }

    /// The least round trip seen lately.
    #[must_use]
    pub fn least(&self) -> Nanos {
        self.least
    }

    /// How long to wait for an answer before asking again: smoothed + 4 x variance, and a little
    /// for timers and queues at both ends.
    #[must_use]
    pub fn patience(&self) -> Nanos {
        let slack = (self.smoothed / 16).max(100 * MICROSECOND);
        self.smoothed + (4 * self.variance).max(slack)
    }

    /// How long to wait after having asked `tries` times in vain: longer after many, so that a dead
    /// path or a slow far side is not flooded; not after a few, for a burst of losses is counted
    /// in packets, and whoever sends few of them lives through it the longer.
    #[must_use]
    pub fn wait(&self, tries: u32) -> Nanos {
        let doublings = match tries {
            0..8 => 0,
            8..32 => 1,
            _ => 2,
        };
        self.patience() << doublings
    }

    /// How far apart two requests for the same lie in one round: further than most bursts of
    /// losses, and nothing beside the round trip.
    #[must_use]
    pub fn spacing(&self) -> Nanos {
        (self.smoothed / 32).clamp(50 * MICROSECOND, MILLISECOND)
    }

    /// Whether a measurement was taken in.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_replaces_the_assumption() {
        let mut rtt = Rtt::assumed(50 * MILLISECOND);
        assert!(!rtt.is_measured());
        rtt.sample(5 * MILLISECOND);
        assert_eq!((rtt.smoothed(), rtt.least()), (5 * MILLISECOND, 5 * MILLISECOND));
        assert_eq!(rtt.patience(), 15 * MILLISECOND);
    }

    #[test]
    fn a_steady_path_needs_little_patience() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        (0..100).for_each(|_| rtt.sample(5 * MILLISECOND));
        assert_eq!(rtt.smoothed(), 5 * MILLISECOND);
        assert!(rtt.patience() < 5_400 * MICROSECOND, "{}", rtt.patience());
    }

    #[test]
    fn patience_grows_late_and_little() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        (0..100).for_each(|_| rtt.sample(5 * MILLISECOND));
        let patience = rtt.patience();
        assert_eq!(
            [0, 7, 8, 31, 32, u32::MAX].map(|tries| rtt.wait(tries) / patience),
            [1, 1, 2, 2, 4, 4]
        );
        // A second, the age at which packets are let go of, is good for more than fifty tries.
        let total: Nanos = (0..60).map(|tries| rtt.wait(tries)).sum();
        assert!(total < 1_000 * MILLISECOND, "{total}");
    }

    #[test]
    fn the_least_follows_a_longer_path() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        rtt.sample(MILLISECOND);
        (0..1_000).for_each(|_| rtt.sample(10 * MILLISECOND));
        assert_eq!(rtt.least(), 10 * MILLISECOND);
    }
}
