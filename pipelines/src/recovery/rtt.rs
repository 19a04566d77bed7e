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

    /// Something else made the same way in this time: the round trip is no longer at its least. What
    /// repairs are measured by would else never learn it, as those that come sooner than the least
    /// are taken for late packets.
    pub fn seen(&mut self, rtt: Nanos) {
        self.least = self.least.min(rtt);
    }

    /// The smoothed round trip.
    #[must_use]
    pub fn smoothed(&self) -> Nanos {
        self.smoothed
    }

    /// How much it varies: the mean deviation from the smoothed round trip.
    #[must_use]
    pub fn variance(&self) -> Nanos {
        self.variance
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

    /// How long to wait after having asked `tries` times in vain. Once is patience, variance and
    /// all; from then on no more than twice the round trip, and after some it is not the answer that
    /// is waited for: a burst of losses is counted in packets, and whoever sends few of them lives
    /// through it the longer. After many the path may be dead, and is not flooded.
    #[must_use]
    pub fn wait(&self, tries: u32) -> Nanos {
        let bounded = self.patience().min(2 * self.smoothed + 100 * MICROSECOND);
        match tries {
            0 => self.patience(),
            1..3 => bounded,
            3..64 => (bounded / 4).max(2 * MILLISECOND).min(bounded),
            _ => 2 * bounded,
        }
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
    fn what_is_not_answered_is_soon_asked_for_more_often_and_late_less() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        (0..100).for_each(|_| rtt.sample(20 * MILLISECOND));
        let patience = rtt.patience();
        let waits = [0, 2, 3, 63, 64, u32::MAX].map(|tries| 4 * rtt.wait(tries) / patience);
        assert_eq!(waits, [4, 4, 1, 1, 8, 8]);
        // However much it varies, half a second is good for many tries: that long a lane waits.
        (0..100).for_each(|n| rtt.sample([5, 40][n % 2] * MILLISECOND));
        assert!(rtt.patience() > 60 * MILLISECOND);
        let total: Nanos = (0..24).map(|tries| rtt.wait(tries)).sum();
        assert!(total < 600 * MILLISECOND, "{total}");
    }

    #[test]
    fn the_least_follows_a_longer_path() {
        let mut rtt = Rtt::assumed(MILLISECOND);
        rtt.sample(MILLISECOND);
        (0..1_000).for_each(|_| rtt.sample(10 * MILLISECOND));
        assert_eq!(rtt.least(), 10 * MILLISECOND);
    }
}
