//! What a host got over time, and how soon after a pause it gets as much as before.

use dataplane::time::{MICROSECOND, Nanos, Time};

use crate::pause::Pause;
use crate::report::Resumed;
use crate::scenario::Scenario;

/// Parts of a round trip that are looked at each by itself.
const PARTS: u64 = 4;
/// No part is shorter: one has to hold several frames.
const SHORTEST: Nanos = 20 * MICROSECOND;
/// Parts that are kept at most: of half an hour, at 2.5 ms one way.
const MOST: usize = 1 << 20;
/// Round trips before a pause whose mean is the rate before.
const BEFORE: u64 = 2;
/// Round trips after it that count, if the traffic goes on for so long, and those that it must.
const AFTER: u64 = 8;
const AFTER_LEAST: u64 = 4;
/// What counts as the rate before: so many of a hundred.
const ENOUGH: u64 = 95;

/// What came to the host that pauses, in parts of a round trip.
pub(super) struct Arrivals {
    pause: Pause,
    round_trip: Nanos,
    part: Nanos,
    start: Time,
    bytes: Vec<u64>,
}

impl Arrivals {
    /// Of hosts of a priority, by the first pause of it, if there is one.
    pub(super) fn new(scenario: &Scenario, priority: u8) -> Option<Self> {
        let pause = *scenario.pauses.iter().find(|pause| pause.priority == priority)?;
        let delays = scenario.paths.iter().map(|path| path.does.delay);
        let round_trip = 2 * delays.max().unwrap_or(0);
        let part = (round_trip / PARTS).max(SHORTEST);
        Some(Self { pause, round_trip, part, start: Time::NEVER, bytes: Vec::new() })
    }

    pub(super) fn start(&mut self, now: Time) {
        self.start = now;
    }

    /// A frame came to the host of `side`.
    pub(super) fn add(&mut self, now: Time, side: usize, bytes: usize) {
        let index = (now.since(self.start) / self.part) as usize;
        if side != self.pause.side || index >= MOST {
            return;
        }
        if self.bytes.len() <= index {
            self.bytes.resize(index + 1, 0);
        }
        self.bytes[index] += bytes as u64;
    }

    /// From the end of the pause until as much came in every part of a round trip as before. `None`
    /// if it never did, or the traffic ended too soon to tell.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        let Pause { from, span, .. } = self.pause;
        let end = from.saturating_add(span);
        let parts = |trips: u64| (trips * PARTS) as usize;
        let began = (from / self.part) as usize;
        let before = self.bytes.get(began.checked_sub(parts(BEFORE))?..began)?;
        let rate: u64 = before.iter().sum();
        let first = end.div_ceil(self.part) as usize;
        // The last part is that in which the traffic ended.
        let after = self.bytes.get(first..self.bytes.len().saturating_sub(1))?;
        let after = after.get(..parts(AFTER)).unwrap_or(after);
        let enough = |bytes: &u64| {
            u128::from(*bytes) * before.len() as u128 * 100 >= u128::from(rate * ENOUGH)
        };
        let short = after.iter().rposition(|bytes| !enough(bytes));
        let full = short.map_or(0, |short| short + 1);
        if rate == 0 || after.len() < parts(AFTER_LEAST) || full == after.len() {
            return None;
        }
        let at = (first + full) as u64 * self.part;
        Some(Resumed::new(at.saturating_sub(end), self.round_trip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Traffic;

    /// A megabyte a millisecond but for a pause from 20 to 30 ms and a lull of this long behind it,
    /// by a round trip of 4 ms.
    fn resumed(lull: u64, until: u64) -> Option<Resumed> {
        let path = "p1,delay=2ms".parse().expect("a path");
        let mut scenario = Scenario::traffic(Traffic::default(), vec![path], 1);
        scenario.pauses = vec!["b,from=20ms,for=10ms".parse().expect("a pause")];
        let mut arrivals = Arrivals::new(&scenario, 3).expect("a pause");
        arrivals.start(Time(7));
        for ms in (0..until).filter(|ms| !(20..30 + lull).contains(ms)) {
            arrivals.add(Time(7 + ms * 1_000_000), 1, 1_000_000);
            arrivals.add(Time(7 + ms * 1_000_000), 0, 5);
        }
        arrivals.resumed()
    }

    #[test]
    fn the_last_part_that_is_short_counts() {
        let after = |us: f64| Resumed { after_us: us, round_trips: us / 4_000.0 };
        assert_eq!(resumed(0, 100), Some(after(0.0)));
        assert_eq!(resumed(5, 100), Some(after(5_000.0)));
        // Too soon over, and never as much as before.
        assert_eq!((resumed(0, 45), resumed(60, 100)), (None, None));
    }

    #[test]
    fn nobody_resumes_who_was_not_paused() {
        let scenario = Scenario::traffic(Traffic::default(), Vec::new(), 1);
        assert!(Arrivals::new(&scenario, 3).is_none());
    }
}
