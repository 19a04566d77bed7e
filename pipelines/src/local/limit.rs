//! A bound on work that others ask for.

use dataplane::time::{Nanos, SECOND, Time};

/// So many a second, and as many at once: a token bucket.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Time that one costs.
    each: Nanos,
    /// When everything that was granted will have been paid.
    paid: Time,
}

impl Limit {
    /// At most `rate` a second, from 1 to 10^9.
    #[must_use]
    pub fn a_second(rate: u32) -> Self {
        Self { each: SECOND / Nanos::from(rate.max(1)), paid: Time::ZERO }
    }

    /// Whether one more is within the limit at `now`; it then counts.
    pub fn grants(&mut self, now: Time) -> bool {
        let paid = self.paid.max(now).after(self.each);
        let granted = paid.since(now) <= SECOND;
        if granted {
            self.paid = paid;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_as_many_as_said() {
        let mut limit = Limit::a_second(100);
        let now = Time(5 * SECOND);
        assert_eq!((0..1_000).filter(|_| limit.grants(now)).count(), 100);
        let later = now.after(SECOND / 2);
        assert_eq!((0..1_000).filter(|_| limit.grants(later)).count(), 50);
        let idle = later.after(100 * SECOND);
        assert_eq!((0..1_000).filter(|_| limit.grants(idle)).count(), 100);
    }
}
