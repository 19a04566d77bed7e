//! When numbers of a channel were confirmed, roughly, and for the last few round trips.

use dataplane::time::{Nanos, Time};

use super::Seq;

/// Confirmations remembered.
const REMEMBERED: usize = 128;

/// The latest confirmations of a channel, one a step of time.
#[derive(Debug)]
pub struct Confirmations {
    /// All numbers before the first were confirmed by the second. A ring, zero where nothing was.
    marks: [(Seq, Time); REMEMBERED],
    newest: usize,
}

impl Default for Confirmations {
    fn default() -> Self {
        Self { marks: [(Seq(0), Time::ZERO); REMEMBERED], newest: 0 }
    }
}

impl Confirmations {
    /// All numbers before `cumulative` are confirmed now. Confirmations less than `step` apart
    /// count as one, that of the last.
    #[inline]
    pub fn note(&mut self, cumulative: Seq, now: Time, step: Nanos) {
        let (_, before) = self.marks[(self.newest + REMEMBERED - 1) % REMEMBERED];
        if now.since(before) >= 2 * step {
            self.newest = (self.newest + 1) % REMEMBERED;
        }
        self.marks[self.newest] = (cumulative, now);
    }

    /// When `seq` was confirmed: a step too late at most, or, if that is longer ago than is
    /// remembered, at the beginning of what is; [`Time::ZERO`] if it was not.
    #[must_use]
    pub fn when(&self, seq: Seq) -> Time {
        let back = |age| self.marks[(self.newest + REMEMBERED - age) % REMEMBERED];
        let marks = (0..REMEMBERED).map(back).take_while(|(_, at)| *at != Time::ZERO);
        let covers = marks.take_while(|(cumulative, _)| cumulative.ahead_of(seq) > 0);
        covers.last().map_or(Time::ZERO, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_to_a_step() {
        let mut confirmations = Confirmations::default();
        assert_eq!(confirmations.when(Seq(0)), Time::ZERO);
        for at in 1..1_000 {
            confirmations.note(Seq(at as u32), Time(at), 10);
        }
        assert_eq!(confirmations.when(Seq(999)), Time::ZERO, "not confirmed");
        for seq in 500..999u32 {
            let late = confirmations.when(Seq(seq)).0 - u64::from(seq + 1);
            assert!(late < 20, "{seq}: {late}");
        }
    }

    #[test]
    fn what_is_long_ago_is_still_not_recent() {
        let mut confirmations = Confirmations::default();
        for at in 1..1_000 {
            confirmations.note(Seq(at as u32), Time(100 * at), 10);
        }
        let oldest = confirmations.when(Seq(0));
        assert!(oldest > Time::ZERO && oldest.0 < 100 * (1_000 - 120), "{oldest:?}");
    }
}
