//! What may still wait in the network's queue before a path's line, as far as its capacity tells.
//!
//! A round trip that was measured while a path was idle says nothing of the queue that repairs
//! themselves make: half a second's worth of a path that died does not fit a slower one at once, and
//! asking ever again would fill that with copies.

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};

/// More than this is not reckoned with: nobody's queue is longer, or what it holds was dropped.
const LONGEST: Nanos = 125 * MILLISECOND;

/// The queue of one channel's part of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    /// Bits a second; `None` if nobody knows, and then nothing waits.
    rate: Option<u64>,
    /// Bytes that wait, at the time `at`.
    waiting: u64,
    at: Time,
    /// Bytes of first copies, all that ever left, that are in it.
    counted: u64,
}

impl Backlog {
    /// Nothing waits.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), waiting: 0, at: Time::ZERO, counted: 0 }
    }

    /// How long what leaves now waits, when `sent` bytes of first copies have left in all.
    pub(super) fn delay(&mut self, sent: u64, now: Time) -> Nanos {
        let Some(rate) = self.rate else { return 0 };
        let bytes = |time: Nanos| u128::from(rate) * u128::from(time) / (8 * u128::from(SECOND));
        let new = sent.saturating_sub(self.counted);
        let left = (u128::from(self.waiting) + u128::from(new))
            .saturating_sub(bytes(now.since(self.at)))
            .min(bytes(LONGEST));
        (self.waiting, self.at, self.counted) = (left as u64, now, sent);
        (left * 8 * u128::from(SECOND) / u128::from(rate)) as Nanos
    }

    /// So many bytes left again.
    pub(super) fn add(&mut self, bytes: u64) {
        self.waiting = self.waiting.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Time {
        Time(milliseconds * MILLISECOND)
    }

    #[test]
    fn what_leaves_faster_than_the_line_waits() {
        // 100 Mbit/s: 12,500 bytes a millisecond.
        let mut backlog = Backlog::new(Some(100_000_000));
        assert_eq!(backlog.delay(0, at(1_000)), 0);
        assert_eq!(backlog.delay(125_000, at(1_000)), 10 * MILLISECOND);
        backlog.add(12_500);
        assert_eq!(backlog.delay(125_000, at(1_004)), 7 * MILLISECOND);
        assert_eq!(backlog.delay(125_000, at(1_020)), 0);
    }

    #[test]
    fn no_queue_is_endless() {
        let mut backlog = Backlog::new(Some(400_000_000_000));
        backlog.add(u64::MAX);
        assert_eq!(backlog.delay(u64::MAX, at(0)), LONGEST);
        assert_eq!(backlog.delay(u64::MAX, Time(at(0).0 + LONGEST)), 0);
    }

    #[test]
    fn of_a_line_that_nobody_knows_nothing_is_said() {
        for rate in [None, Some(0)] {
            let mut backlog = Backlog::new(rate);
            backlog.add(1_000_000);
            assert_eq!(backlog.delay(1_000_000, at(0)), 0);
        }
    }
}
