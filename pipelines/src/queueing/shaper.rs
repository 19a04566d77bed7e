//! A token bucket without rounding: credit is counted in bits of a billionth, so that a rate in bits
//! a second times a time in nanoseconds is credit, exactly.

use dataplane::time::{Nanos, SECOND, Time};

use super::shares::Share;

/// Credit for one byte.
const BYTE: u64 = 8 * SECOND;

/// How fast something may be, and how much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second: [`Rate::SLOWEST`] to [`Rate::FASTEST`].
    pub bits_per_second: u64,
    /// Bytes that may leave at once after a silence: up to [`Rate::LARGEST_BURST`]. A longer packet
    /// leaves once there is credit for so many.
    pub burst_bytes: u32,
}

impl Rate {
    /// 1 kbit/s: less than one worker's part of the slowest rate that a configuration may have.
    pub const SLOWEST: u64 = 1_000;
    /// 800 Gbit/s.
    pub const FASTEST: u64 = 800_000_000_000;
    /// 256 MiB.
    pub const LARGEST_BURST: u32 = 256 << 20;
    /// The smallest burst that is chosen unasked: some jumbo frames.
    const SMALLEST_DEFAULT: u64 = 32 << 10;
    /// How long a worker may be busy with something else without a loss of rate.
    const ABSENCE: Nanos = 50_000;

    /// That rate with a burst that suits it: what it makes in 50 microseconds, 32 KiB at least.
    #[must_use]
    pub fn of(bits_per_second: u64) -> Self {
        let made = bits_per_second.saturating_mul(Self::ABSENCE) / BYTE;
        let burst = made.clamp(Self::SMALLEST_DEFAULT, Self::LARGEST_BURST.into());
        Self { bits_per_second, burst_bytes: burst as u32 }
    }

    /// The nearest rate that there can be.
    fn sound(self) -> Self {
        Self {
            bits_per_second: self.bits_per_second.clamp(Self::SLOWEST, Self::FASTEST),
            burst_bytes: self.burst_bytes.clamp(1, Self::LARGEST_BURST),
        }
    }
}

/// A token bucket: in any time `t`, no more than `rate * t + burst` passes.
#[derive(Debug, Clone)]
pub struct Shaper {
    /// What may leave, as of `at`; less than zero after a packet that did not wait for it.
    credit: i64,
    burst: i64,
    bits_per_second: u64,
    /// What makes credit as time passes: the same, or nothing for one of several workers, whose
    /// share does.
    makes: u64,
    at: Time,
    share: Option<Box<Share>>,
}

/// Whether a packet has to have credit before it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// It leaves when all of it is covered.
    Needed,
    /// It leaves on credit, up to one burst more than there is, and what follows pays.
    Lent,
}

/// Parts of a burst: one of several workers takes one at a time.
const PARTS: Nanos = 8;
/// The longest packet there can be here: credit for it and two bursts is in range.
const LONGEST: u32 = 1 << 24;

impl Shaper {
    /// A full bucket at `now`. What is out of bounds is brought within.
    #[must_use]
    pub fn new(rate: Rate, now: Time) -> Self {
        let Rate { bits_per_second, burst_bytes } = rate.sound();
        let burst = credit_of(burst_bytes);
        let makes = bits_per_second;
        Self { credit: burst, burst, bits_per_second, makes, at: now, share: None }
    }

    /// One of several workers' from now on, which have the rate together; this one's has a part of it
    /// and of the burst. In any time `t`, no more than `rate * t + burst` and a packet a worker pass
    /// all of them together. It has no credit yet but what its share has.
    pub fn join(&mut self, share: Share) {
        self.share = Some(Box::new(share));
        (self.credit, self.makes) = (0, 0);
    }

    /// Changes the rate from `now` on. Credit already made stays, as far as the new burst holds it.
    pub fn set(&mut self, rate: Rate, now: Time) {
        self.settle(now);
        let Rate { bits_per_second, burst_bytes } = rate.sound();
        self.bits_per_second = bits_per_second;
        self.makes = if self.share.is_some() { 0 } else { bits_per_second };
        self.burst = credit_of(burst_bytes);
        self.credit = self.credit.min(self.burst);
    }

    /// Whether a packet of `bytes` may leave at `now`.
    ///
    /// # Errors
    /// The moment from which it may.
    #[inline]
    pub fn ready(&mut self, bytes: u32, credit: Credit, now: Time) -> Result<(), Time> {
        self.settle(now);
        let lent = if credit == Credit::Lent { self.burst } else { 0 };
        // No more than a full bucket is ever there.
        let needed = credit_of(bytes).min(self.burst) - lent;
        if self.credit >= needed {
            return Ok(());
        }
        if self.share.is_some() {
            return self.draw(needed, now);
        }
        let missing = (needed - self.credit) as u64;
        Err(now.after(missing.div_ceil(self.bits_per_second)))
    }

    /// Takes credit from the share until there is as much as `needed`.
    ///
    /// # Errors
    /// When to look again: not before there is some more, be it others who leave it.
    fn draw(&mut self, needed: i64, now: Time) -> Result<(), Time> {
        let Some(share) = &self.share else { return Err(Time::NEVER) };
        let depth = (self.burst as u64 / self.bits_per_second).max(PARTS);
        let pace = depth / PARTS;
        // What is taken and not used yet counts as of the burst.
        let depth = depth - pace;
        let missing =
            |credit: i64| ((needed - credit).max(0) as u64).div_ceil(self.bits_per_second);
        for left in [false, true] {
            let most = missing(self.credit).max(pace);
            let taken = match left {
                false => share.take_own(now, depth, most),
                true => share.take_left(now, depth, most),
            };
            self.credit += (taken * self.bits_per_second) as i64;
            if self.credit >= needed {
                return Ok(());
            }
        }
        let wait = missing(self.credit).div_ceil(share.workers());
        Err(now.after(wait.max(pace / 4).max(1)))
    }

    /// A packet of `bytes` leaves.
    #[inline]
    pub fn charge(&mut self, bytes: u32) {
        self.credit -= credit_of(bytes);
    }

    /// Credit as of `now`.
    #[inline]
    fn settle(&mut self, now: Time) {
        let room = (self.burst - self.credit).max(0) as u64;
        let made = now.since(self.at).saturating_mul(self.makes);
        self.credit += made.min(room) as i64;
        self.at = self.at.max(now);
    }
}

/// The credit that `bytes` need.
#[inline]
fn credit_of(bytes: u32) -> i64 {
    debug_assert!(bytes <= LONGEST || bytes <= Rate::LARGEST_BURST);
    (u64::from(bytes.min(Rate::LARGEST_BURST)) * BYTE) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::time::MILLISECOND;
    use proptest::prelude::*;

    /// Sends packets of `bytes` as early as they may leave, until `end`; bytes sent.
    fn saturate(shaper: &mut Shaper, bytes: u32, mut now: Time, end: Time) -> u64 {
        let mut sent = 0;
        while now < end {
            match shaper.ready(bytes, Credit::Needed, now) {
                Ok(()) => {
                    shaper.charge(bytes);
                    sent += u64::from(bytes);
                }
                Err(at) => {
                    assert!(at > now, "waiting for {at:?} at {now:?}");
                    now = at;
                }
            }
        }
        sent
    }

    #[test]
    fn rates_hold_from_100_megabits_to_400_gigabits() {
        for bits_per_second in
            [100_000_000, 1_000_000_000, 25_000_000_000, 100_000_000_000, 400_000_000_000]
        {
            let rate = Rate::of(bits_per_second);
            let mut shaper = Shaper::new(rate, Time::ZERO);
            shaper.charge(rate.burst_bytes);
            let end = Time(100 * MILLISECOND);
            let sent = saturate(&mut shaper, 4_170, Time::ZERO, end);
            let exact = bits_per_second / 80;
            assert!(sent <= exact && sent >= exact - exact / 100, "{bits_per_second}: {sent}");
        }
    }

    #[test]
    fn a_workers_part_of_a_slow_rate_is_no_faster_than_it_is() {
        // One of eight workers' part of 1 Mbit/s: 15,625 bytes a second.
        let rate = Rate { bits_per_second: 125_000, burst_bytes: 1_500 };
        let mut shaper = Shaper::new(rate, Time::ZERO);
        let sent = saturate(&mut shaper, 1_000, Time::ZERO, Time(4 * SECOND));
        assert!((62_000..=64_000).contains(&sent), "{sent}");
    }

    #[test]
    fn after_a_silence_exactly_the_burst_leaves_at_once() {
        let rate = Rate { bits_per_second: 10_000_000_000, burst_bytes: 64_000 };
        let mut shaper = Shaper::new(rate, Time::ZERO);
        let much_later = Time(1_000 * SECOND);
        assert_eq!(saturate(&mut shaper, 1_000, much_later, much_later.after(1)), 64_000);
    }

    #[test]
    fn a_packet_longer_than_the_burst_leaves_and_is_paid_for() {
        let rate = Rate { bits_per_second: 8_000_000, burst_bytes: 1_000 };
        let mut shaper = Shaper::new(rate, Time::ZERO);
        let sent = saturate(&mut shaper, 4_000, Time::ZERO, Time(SECOND));
        assert!((1_000_000 - 4_000..=1_000_000 + 4_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_change_of_rate_neither_makes_nor_loses_credit() {
        let slow = Rate { bits_per_second: 8_000_000, burst_bytes: 1_000_000 };
        let fast = Rate { bits_per_second: 8_000_000_000, ..slow };
        let mut shaper = Shaper::new(slow, Time::ZERO);
        shaper.charge(1_000_000);
        // A second of one, a millisecond of the other: a megabyte each, of which one fits.
        shaper.set(fast, Time(SECOND / 2));
        shaper.set(slow, Time(SECOND / 2 + MILLISECOND / 4));
        let now = Time(SECOND / 2 + MILLISECOND / 4);
        assert_eq!(shaper.ready(750_000, Credit::Needed, now), Ok(()));
        assert_eq!(shaper.ready(750_001, Credit::Needed, now), Err(now.after(1_000)));
    }

    #[test]
    fn what_is_lent_is_a_burst_at_most_and_paid_back() {
        let rate = Rate { bits_per_second: 8_000_000, burst_bytes: 10_000 };
        let mut shaper = Shaper::new(rate, Time::ZERO);
        let mut lent = 0;
        while shaper.ready(1_000, Credit::Lent, Time::ZERO).is_ok() {
            shaper.charge(1_000);
            lent += 1_000;
        }
        assert_eq!(lent, 20_000);
        let all_of_it = Time(11_000 * 1_000);
        assert_eq!(shaper.ready(1_000, Credit::Needed, Time::ZERO), Err(all_of_it));
        assert_eq!(shaper.ready(1_000, Credit::Lent, Time::ZERO), Err(Time(1_000 * 1_000)));
    }

    proptest! {
        #[test]
        fn no_window_ever_has_more_than_rate_and_burst(
            megabits in 1u64..800_000,
            burst in 1u32..1 << 20,
            steps in prop::collection::vec((0u64..3_000_000, 1u32..9_216), 1..200),
        ) {
            let rate = Rate { bits_per_second: megabits * 1_000_000, burst_bytes: burst };
            let mut shaper = Shaper::new(rate, Time::ZERO);
            let (mut now, mut sent): (Time, Vec<(Time, u64)>) = (Time::ZERO, Vec::new());
            for (pause, bytes) in steps {
                now = now.after(pause);
                if shaper.ready(bytes, Credit::Needed, now).is_ok() {
                    shaper.charge(bytes);
                    sent.push((now, bytes.into()));
                }
            }
            for begin in 0..sent.len() {
                let mut bytes = 0;
                for (at, more) in &sent[begin..] {
                    bytes += more;
                    let made = u128::from(at.since(sent[begin].0)) * u128::from(rate.bits_per_second);
                    // One packet may be longer than the burst.
                    let most = made / u128::from(BYTE) + u128::from(burst.max(9_216)) + 1;
                    prop_assert!(u128::from(bytes) <= most);
                }
            }
        }
    }
}
