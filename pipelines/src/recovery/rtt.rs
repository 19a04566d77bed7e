//! The round trip: smoothed, its variance and its least value (RFC 6298, section 2).

use dataplane::time::{MICROSECOND, Nanos};

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

    /// Whether a measurement was taken in.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::time::MILLISECOND;

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
    fn the_least_follows_a_longer_path() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        rtt.sample(MILLISECOND);
        (0..1_000).for_each(|_| rtt.sample(10 * MILLISECOND));
        assert_eq!(rtt.least(), 10 * MILLISECOND);
    }
}
