//! How fast a flow is: an exponential average over ticks, in integers.
//!
//! A window is eight ticks. What a flow sends in a tick weighs one eighth in the average, and
//! (7/8)^n eighths n ticks later: what is a window ago weighs a third of what is now. Under a
//! constant rate the average comes within 1 % in 35 ticks, four and a half windows.

use dataplane::time::{Nanos, SECOND, Time};

/// Ticks of a window.
pub(super) const TICKS: u64 = 8;
/// An eighth is 2^-3.
const WEIGHT: u32 = 3;
/// Levels have so many binary digits after the point.
const FRACTION: u32 = 16;
/// More bytes a tick than any port carries; so that levels do not overflow.
const MAX_BYTES: u64 = 1 << 40;

/// The number of a tick. It wraps; only differences count.
pub(super) type Tick = u32;

/// Time, cut into ticks; it only goes forward.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    span: Nanos,
    tick: Tick,
    ends: Time,
    now: Time,
}

impl Ticks {
    /// For a window of at least eight nanoseconds.
    pub(super) fn new(window: Nanos) -> Self {
        let span = (window / TICKS).max(1);
        Self { span, tick: 0, ends: Time(span), now: Time::ZERO }
    }

    /// Goes on to `now`, if that is later.
    #[inline]
    pub(super) fn advance(&mut self, now: Time) -> Moment {
        self.now = self.now.max(now);
        if self.now >= self.ends && self.ends < Time::NEVER {
            let passed = self.now.since(self.ends) / self.span + 1;
            self.tick = self.tick.wrapping_add(passed as Tick);
            self.ends = self.ends.after(passed.saturating_mul(self.span));
        }
        Moment { now: self.now, tick: self.tick }
    }

    /// Where time stands.
    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.now, tick: self.tick }
    }

    /// So many ticks as `span` has, at least one.
    pub(super) fn count(&self, span: Nanos) -> u64 {
        span.div_ceil(self.span).max(1)
    }

    /// The level of a rate in bits a second.
    pub(super) fn level(&self, rate: u64) -> u64 {
        let level =
            ((u128::from(rate) * u128::from(self.span)) << FRACTION) / u128::from(8 * SECOND);
        u64::try_from(level).unwrap_or(u64::MAX)
    }

    /// The rate of a level, in bits a second.
    pub(super) fn rate(&self, level: u64) -> u64 {
        let scale = u128::from(self.span) << FRACTION;
        u64::try_from(u128::from(level) * u128::from(8 * SECOND) / scale).unwrap_or(u64::MAX)
    }
}

/// A moment, and its tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Time,
    pub(super) tick: Tick,
}

/// The average, and what has come since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rate {
    /// Bytes a tick, with a fraction.
    level: u64,
    /// Bytes of the tick that has not ended.
    bytes: u64,
    tick: Tick,
}

impl Rate {
    /// Nothing has come, and the first tick is this.
    pub(super) fn new(tick: Tick) -> Self {
        Self { level: 0, bytes: 0, tick }
    }

    /// Counts bytes into the current tick.
    #[inline]
    pub(super) fn add(&mut self, bytes: u32) {
        self.bytes += u64::from(bytes);
    }

    /// The tick that it is in.
    #[inline]
    pub(super) fn tick(&self) -> Tick {
        self.tick
    }

    /// Ends all ticks before this one.
    #[inline]
    pub(super) fn advance(&mut self, tick: Tick) {
        let passed = tick.wrapping_sub(self.tick);
        if passed > 0 {
            let sample = self.bytes.min(MAX_BYTES) << FRACTION;
            // A mean of both: it lies between them.
            self.level = self.level - (self.level >> WEIGHT) + (sample >> WEIGHT);
            self.level = decayed(self.level, passed - 1);
            (self.bytes, self.tick) = (0, tick);
        }
    }

    /// The average over all ticks that have ended.
    #[inline]
    pub(super) fn level(&self) -> u64 {
        self.level
    }
}

/// What is left of a level after so many ticks with nothing.
fn decayed(level: u64, ticks: u32) -> u64 {
    /// (7/8)^1, (7/8)^2, (7/8)^4 and so on, of 2^32.
    const POWERS: [u64; 9] = {
        let mut powers = [7 << (32 - WEIGHT); 9];
        let mut n = 1;
        while n < powers.len() {
            // Rounded; squares of 33 bits are within 64.
            powers[n] = (powers[n - 1] * powers[n - 1] + (1 << 31)) >> 32;
            n += 1;
        }
        powers
    };
    if ticks >= 1 << POWERS.len() {
        return 0;
    }
    let is_set = |(bit, _): &(usize, u64)| ticks >> bit & 1 != 0;
    POWERS
        .into_iter()
        .enumerate()
        .filter(is_set)
        .fold(level, |level, (_, power)| ((u128::from(level) * u128::from(power)) >> 32) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::time::MILLISECOND;
    use proptest::prelude::*;

    #[test]
    fn ticks_follow_the_time_and_never_go_back() {
        let mut ticks = Ticks::new(8_000);
        let times = [(0, 0), (999, 0), (1_000, 1), (1_001, 1), (5_999, 5), (2_000, 5), (6_000, 6)];
        for (now, tick) in times {
            assert_eq!(ticks.advance(Time(now)).tick, tick, "at {now}");
        }
        assert_eq!(ticks.advance(Time(1_000_000_500)).tick, 1_000_000);
        assert_eq!(ticks.moment().now, Time(1_000_000_500));
        assert_eq!(ticks.advance(Time::NEVER).now, Time::NEVER);
    }

    #[test]
    fn rates_and_levels_are_each_others_inverse() {
        for window in [MILLISECOND, 10 * MILLISECOND, 1_000 * MILLISECOND] {
            let ticks = Ticks::new(window);
            for rate in [1_000_000, 380_000_000_000, 1_600_000_000_000] {
                let error = ticks.rate(ticks.level(rate)).abs_diff(rate);
                assert!(error <= 1 + 8_000_000_000 / (ticks.span << FRACTION), "{error}");
            }
        }
    }

    #[test]
    fn a_constant_rate_is_found_within_one_percent_in_35_ticks() {
        // 4096 bytes every 10 µs, 3.2768 Gbit/s, in ticks of 1.25 ms.
        let mut ticks = Ticks::new(10 * MILLISECOND);
        let mut rate = Rate::new(0);
        let mut tick = 0;
        for packet in 0.. {
            tick = ticks.advance(Time(packet * 10_000)).tick;
            if tick == 36 {
                break;
            }
            rate.advance(tick);
            rate.add(4_096);
        }
        rate.advance(tick);
        let found = ticks.rate(rate.level());
        assert!(found.abs_diff(3_276_800_000) < 32_768_000, "{found}");
    }

    proptest! {
        /// Against the definition, summed up tick by tick.
        #[test]
        fn the_average_is_the_weighted_sum_of_what_came(
            packets in prop::collection::vec((0u32..40, 0u32..10_000_000), 1..60),
        ) {
            let mut rate = Rate::new(0);
            let mut sent: Vec<f64> = vec![0.0];
            for (gap, bytes) in packets {
                sent.resize(sent.len() + gap as usize, 0.0);
                *sent.last_mut().unwrap() += f64::from(bytes);
                rate.advance(sent.len() as Tick - 1);
                rate.add(bytes);
            }
            rate.advance(sent.len() as Tick);
            let weighted = sent.iter().rev().enumerate();
            let exact: f64 = weighted.map(|(age, bytes)| bytes / 8.0 * 0.875f64.powi(age as i32)).sum();
            let found = rate.level() as f64 / f64::from(1 << FRACTION);
            prop_assert!((found - exact).abs() <= 0.001 + exact * 1e-7, "{} {}", found, exact);
        }
    }
}
