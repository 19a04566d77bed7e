//! How what the far side sends by a channel comes here: how its delay varies, how much is lost, how
//! much arrives.
//!
//! A probe says when it was sent, by the far side's clock, and how far the channel's numbers have
//! come. What the clocks differ by is not known, so the delay itself is not either: it is shown above
//! the least of the last 10 to 20 s, in which clocks of 50 parts in a million part by a
//! millisecond. Packets are counted against numbers: a channel is in order, so what has not come when
//! a probe comes that was sent behind it was lost (or overtaken, on a network that reorders inside
//! a channel). What repairs bring later is counted as lost all the same.

use dataplane::time::{Nanos, SECOND, Time};

use super::counters::Traffic;
use crate::recovery::Seq;

/// How long packets are counted for one figure, at least.
const INTERVAL: Nanos = SECOND;
/// How long a least delay counts, at least; twice that at most.
const SPAN: Nanos = 10 * SECOND;
/// Without a probe for so long nothing is said of a channel: it is idle, or cut.
const STALE: Nanos = 3 * SECOND;

/// How what a peer sends by a channel comes here, or by a path: the channels together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JourneyStatus {
    /// Whether probes came lately: if not, all but the totals is zero.
    pub fresh: bool,
    /// How much longer than the least of the last 10 to 20 s the last probe was on its way; of the
    /// channel where it is most.
    pub above_least: Nanos,
    /// Interarrival jitter of probes (RFC 3550, section 6.4.1); likewise.
    pub jitter: Nanos,
    /// Packets that were to come in the last interval, of a second or a little longer.
    pub expected: u64,
    /// Those of them that did not.
    pub lost: u64,
    /// Bits a second that arrived in it, repairs included.
    pub delivered: u64,
    /// Packets that were to come since the gateway started, between probes.
    pub expected_total: u64,
    /// Those of them that did not.
    pub lost_total: u64,
}

/// What was counted of a channel since its numbers began.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    at: Time,
    expected: u64,
    lost: u64,
    bytes: u64,
}

/// Where counting began, and how far it is.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// The number of the next packet.
    next: Seq,
    expected: u64,
    /// First copies that had come when it began.
    arrived: u64,
    /// When the present interval began.
    begin: Count,
}

/// The journeys of what comes by a channel.
#[derive(Debug, Default)]
pub(super) struct Journey {
    /// Of the last probe: when it came, and how long after it was sent, by two clocks.
    last: Option<(Time, i64)>,
    /// The least such time of the span that is, and of the one before.
    least: [Option<i64>; 2],
    span: Time,
    /// Sixteen times the jitter (RFC 3550, section A.8).
    jitter: u64,
    life: Option<Life>,
    /// Expected and lost in lives before.
    before: [u64; 2],
    shown: JourneyStatus,
}

impl Journey {
    /// A probe came at `now`, sent at `sent` by the far side's clock: the next packet will have
    /// number `next`. So much was `received` of the channel for the first time, `repaired` of it
    /// because it was asked for.
    pub(super) fn probed(
        &mut self,
        (next, sent): (Seq, u64),
        received: Traffic,
        repaired: u64,
        now: Time,
    ) {
        self.time(now.0.wrapping_sub(sent).cast_signed(), now);
        let (arrived, bytes) = (received.packets.saturating_sub(repaired), received.bytes);
        let begin = Count { at: now, bytes, ..Count::default() };
        let life = self.life.get_or_insert(Life { next, expected: 0, arrived, begin });
        // Probes of a moment may come out of order.
        if let Ok(more @ 1..) = u64::try_from(next.ahead_of(life.next)) {
            life.expected += more;
            life.next = next;
        }
        let lost = life.expected.saturating_sub(arrived.saturating_sub(life.arrived));
        let count = Count { at: now, expected: life.expected, lost, bytes };
        let elapsed = now.since(life.begin.at);
        if elapsed >= INTERVAL {
            let begin = std::mem::replace(&mut life.begin, count);
            let bits = u128::from(bytes.saturating_sub(begin.bytes)) * 8 * u128::from(SECOND);
            self.shown.delivered = u64::try_from(bits / u128::from(elapsed)).unwrap_or(u64::MAX);
            self.shown.expected = count.expected - begin.expected;
            self.shown.lost = lost.saturating_sub(begin.lost);
        }
        self.shown.expected_total = self.before[0] + count.expected;
        self.shown.lost_total = self.before[1] + lost;
    }

    /// A probe was under way for so long, by two clocks.
    fn time(&mut self, transit: i64, now: Time) {
        if let Some((_, before)) = self.last.replace((now, transit)) {
            let difference = transit.wrapping_sub(before).unsigned_abs();
            let faded = self.jitter - (self.jitter.saturating_add(8) >> 4);
            self.jitter = faded.saturating_add(difference);
        }
        if self.least[0].is_none() || now.since(self.span) >= SPAN {
            self.least = [Some(transit), self.least[0]];
            self.span = now;
        }
        self.least[0] = self.least[0].map(|least| least.min(transit));
        let least = self.least.into_iter().flatten().min().unwrap_or(transit);
        self.shown.above_least = transit.wrapping_sub(least).unsigned_abs();
        self.shown.jitter = self.jitter >> 4;
    }

    /// The far side starts anew: with another clock, and its numbers from zero.
    pub(super) fn restart(&mut self) {
        let JourneyStatus { expected_total, lost_total, .. } = self.shown;
        let shown = JourneyStatus { expected_total, lost_total, ..JourneyStatus::default() };
        *self = Self { shown, before: [expected_total, lost_total], ..Self::default() };
    }

    /// What is known at `now`.
    pub(super) fn status(&self, now: Time) -> JourneyStatus {
        let JourneyStatus { expected_total, lost_total, .. } = self.shown;
        match self.last {
            Some((at, _)) if now.since(at) < STALE => JourneyStatus { fresh: true, ..self.shown },
            _ => JourneyStatus { expected_total, lost_total, ..JourneyStatus::default() },
        }
    }
}

impl JourneyStatus {
    /// Takes in another channel of the same path.
    pub fn add(&mut self, other: &Self) {
        self.fresh |= other.fresh;
        self.above_least = self.above_least.max(other.above_least);
        self.jitter = self.jitter.max(other.jitter);
        self.expected += other.expected;
        self.lost += other.lost;
        self.delivered += other.delivered;
        self.expected_total += other.expected_total;
        self.lost_total += other.lost_total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::time::MILLISECOND;

    const EVERY: Nanos = 50 * MILLISECOND;
    /// The far side's clock is ahead by this.
    const AHEAD: u64 = 5_000 * SECOND;

    /// Probes at a channel of 10 packets of 1,000 bytes each between two, that are under way so long.
    struct Bed {
        journey: Journey,
        now: Time,
        next: u32,
        received: Traffic,
        repaired: u64,
    }

    impl Bed {
        fn new() -> Self {
            let (now, received) = (Time(SECOND), Traffic::default());
            // Numbers wrap soon.
            Self { journey: Journey::default(), now, next: u32::MAX - 25, received, repaired: 0 }
        }

        /// Of the ten packets so many are lost; so many of those that were come again.
        fn probe(&mut self, delay: Nanos, lost: u64, again: u64) {
            self.now = self.now.after(EVERY);
            self.next = self.next.wrapping_add(10);
            self.received.packets += 10 - lost + again;
            self.received.bytes += 1_000 * (10 - lost + again);
            self.repaired += again;
            let sent = (self.now.0 + AHEAD).wrapping_sub(delay);
            let at = (Seq(self.next), sent);
            self.journey.probed(at, self.received, self.repaired, self.now);
        }

        fn status(&self) -> JourneyStatus {
            self.journey.status(self.now)
        }
    }

    #[test]
    fn delay_is_known_above_its_least_whatever_the_clocks_say() {
        let mut bed = Bed::new();
        for delay in [12, 10, 15, 10] {
            bed.probe(delay * MILLISECOND, 0, 0);
        }
        assert_eq!(bed.status().above_least, 0);
        bed.probe(17 * MILLISECOND, 0, 0);
        assert_eq!(bed.status().above_least, 7 * MILLISECOND);
        // The way is longer now: after two spans at most that is what is usual.
        (0..2 * SPAN / EVERY).for_each(|_| bed.probe(17 * MILLISECOND, 0, 0));
        assert_eq!(bed.status().above_least, 0);
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let mut bed = Bed::new();
        (0..100).for_each(|_| bed.probe(10 * MILLISECOND, 0, 0));
        assert_eq!(bed.status().jitter, 0);
        bed.probe(26 * MILLISECOND, 0, 0);
        assert_eq!(bed.status().jitter, MILLISECOND, "a sixteenth of the difference");
        // It comes to the mean difference of two in a row.
        (0..200).for_each(|step| bed.probe((10 + step % 2) * MILLISECOND, 0, 0));
        let jitter = bed.status().jitter;
        assert!((MILLISECOND..MILLISECOND + 1_000).contains(&jitter), "{jitter}");
    }

    #[test]
    fn losses_are_counted_against_numbers_and_repairs_do_not_mend_them() {
        let mut bed = Bed::new();
        // The first probe begins; then three intervals of 20, over the end of the numbers.
        bed.probe(0, 0, 0);
        (0..60).for_each(|step| bed.probe(0, u64::from(step % 4 == 0), u64::from(step % 4 == 2)));
        let status = bed.status();
        assert_eq!((status.expected, status.lost), (200, 5));
        assert_eq!((status.expected_total, status.lost_total), (600, 15));
        // 200 packets of 1,000 bytes in a second: what was lost came again.
        assert_eq!(status.delivered, 1_600_000);
    }

    #[test]
    fn an_idle_channel_says_nothing_and_a_new_life_begins_anew() {
        let mut bed = Bed::new();
        assert_eq!(bed.status(), JourneyStatus::default());
        (0..41).for_each(|_| bed.probe(MILLISECOND, 1, 0));
        assert!(bed.status().fresh && bed.status().lost_total == 40);
        let totals = JourneyStatus { expected_total: 400, lost_total: 40, ..Default::default() };
        assert_eq!(bed.journey.status(bed.now.after(STALE)), totals);
        bed.journey.restart();
        assert_eq!(bed.status(), totals);
        bed.next = 0;
        bed.probe(0, 0, 0);
        assert_eq!((bed.status().expected_total, bed.status().above_least), (400, 0));
    }

    #[test]
    fn times_that_cannot_be_do_no_harm() {
        let mut journey = Journey::default();
        for (next, sent) in [(0, 0), (u32::MAX, u64::MAX), (7, 1 << 63), (1 << 31, 5)] {
            let received = Traffic { packets: 1, bytes: u64::MAX };
            journey.probed((Seq(next), sent), received, u64::MAX, Time(sent / 2 + 1));
            journey.status(Time(0));
        }
        assert!(journey.status(Time(u64::MAX / 2)).expected_total <= 1 << 32);
    }
}
