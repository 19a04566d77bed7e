//! What each path carried, over time: bytes on its line, either way, in intervals that are as long as
//! it takes for a whole run to fit in a few hundred of them.

use dataplane::time::{MICROSECOND, Nanos, Time};

/// Intervals that are kept, at most.
const INTERVALS: usize = 256;
/// How long they are at first; twice as long each time that they are too many.
const FIRST: Nanos = 10 * MICROSECOND;

/// Bytes of all paths in every interval.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    start: Time,
    interval: Nanos,
    /// Of each path, from site A and from site B.
    paths: Vec<[Vec<u64>; 2]>,
}

impl Timeline {
    pub(crate) fn new(paths: usize) -> Self {
        Self { start: Time::NEVER, interval: FIRST, paths: vec![Default::default(); paths] }
    }

    /// Counts from `now` on.
    pub(crate) fn start(&mut self, now: Time) {
        *self = Self { start: now, ..Self::new(self.paths.len()) };
    }

    /// A frame of so many bytes on the line has left for a path from `side`, `at` this time.
    pub(crate) fn add(&mut self, path: usize, side: usize, at: Time, bytes: u64) {
        if at < self.start {
            return;
        }
        let mut index = at.since(self.start) / self.interval;
        while index >= INTERVALS as u64 {
            self.merge();
            index /= 2;
        }
        let Some(series) = self.paths.get_mut(path).and_then(|path| path.get_mut(side)) else {
            return;
        };
        let index = index as usize;
        if series.len() <= index {
            series.resize(index + 1, 0);
        }
        series[index] += bytes;
    }

    /// Makes intervals twice as long.
    fn merge(&mut self) {
        self.interval *= 2;
        for series in self.paths.iter_mut().flatten() {
            *series = series.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
    }

    /// How long an interval is.
    pub(crate) fn interval(&self) -> Nanos {
        self.interval
    }

    /// Gigabits a second of each path in each interval of a play of `span`, of the direction that
    /// carried more.
    pub(crate) fn rates(&self, span: Nanos) -> Vec<Vec<f64>> {
        let intervals = span.div_ceil(self.interval).min(INTERVALS as u64) as usize;
        let rates = self.paths.iter().map(|path| {
            let busier = path.iter().max_by_key(|series| series.iter().sum::<u64>());
            let bytes = (0..intervals).map(|index| {
                busier.and_then(|series| series.get(index)).copied().unwrap_or_default()
            });
            bytes.enumerate().map(|(index, bytes)| self.rate(bytes, index, span)).collect()
        });
        rates.collect()
    }

    /// The last interval may end with the play.
    fn rate(&self, bytes: u64, index: usize, span: Nanos) -> f64 {
        let length = self.interval.min(span.saturating_sub(index as u64 * self.interval)).max(1);
        bytes as f64 * 8.0 / length as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_and_nothing_is_lost() {
        let mut timeline = Timeline::new(2);
        timeline.start(Time(5));
        timeline.add(0, 0, Time(4), 9);
        let span = 100_000 * FIRST;
        for step in 0..100_000 {
            timeline.add(1, 1, Time(5 + step * FIRST), 1_250);
        }
        // 1,250 bytes in 10 us are a gigabit a second.
        let rates = timeline.rates(span);
        assert!(rates[0].iter().all(|rate| *rate == 0.0), "{rates:?}");
        let ends = &rates[1][..rates[1].len() - 1];
        assert!(ends.iter().all(|rate| *rate == 1.0), "{rates:?}");
        assert_eq!((timeline.interval(), rates[1].len()), (512 * FIRST, 196));
    }

    #[test]
    fn the_busier_direction_counts_and_the_last_interval_is_as_long_as_it_is() {
        let mut timeline = Timeline::new(1);
        timeline.start(Time::ZERO);
        timeline.add(0, 0, Time(1), 100);
        timeline.add(0, 1, Time(FIRST + 1), 2_500);
        assert_eq!(timeline.rates(2 * FIRST), [[0.0, 2.0]]);
        assert_eq!(timeline.rates(FIRST + FIRST / 2), [[0.0, 4.0]]);
    }
}
