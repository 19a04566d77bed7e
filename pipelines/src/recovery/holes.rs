//! What is missing of one channel, on the receive side.
//!
//! A channel is FIFO, so a number that is skipped is lost, or (on a network that reorders inside a
//! channel after all) late. Late ones are noticed when they come, and from then on a hole is left
//! alone for as long as they were late before it is asked for.

use std::collections::VecDeque;

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};

use super::{Rtt, Seq};

/// A number this far ahead of the expected one is not believed.
const WINDOW: i32 = 1 << 22;

/// The memory of late arrivals halves in this time.
const FORGET_LATENESS: Nanos = SECOND;

/// Consecutive numbers that are missing.
#[derive(Debug, Clone, Copy)]
struct Hole {
    start: Seq,
    /// The first number behind the hole.
    end: Seq,
    /// When it was noticed.
    found: Time,
    /// When it was last asked for; meaningful once `rounds` is above zero.
    asked: Time,
    /// How often it was asked for, a round trip apart.
    rounds: u32,
    /// Whether it is to be asked for once more in this round: see [`Holes::asks_twice`].
    twice: bool,
}

/// A range to ask for: `count` numbers from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first number missing.
    pub start: Seq,
    /// How many.
    pub count: u32,
}

/// What a packet with some number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The expected one, or one ahead of it: numbers between are missing now.
    New,
    /// One that was missing. If it answers the first request for it, with the round trip of that.
    Repair(Option<Nanos>),
    /// One that was missing, and came late rather than again.
    Late,
    /// One that arrived before.
    Duplicate,
    /// A number too far from the expected one to be believed, or one that cannot be recorded
    /// because there are as many holes as are remembered: it will be asked for again.
    Refused,
}

/// The missing numbers of one channel.
pub struct Holes {
    /// All numbers from here on are unseen.
    next: Seq,
    /// Sorted, disjoint; those never asked for are at the back, in the order they were found.
    holes: VecDeque<Hole>,
    capacity: usize,
    missing: u64,
    /// When asked ones are looked at again.
    retry_at: Time,
    /// How long a new hole is left alone, in case its packets are only late.
    tolerance: Nanos,
    /// When the tolerance was last raised or lowered.
    tolerance_at: Time,
}

impl Holes {
    /// A tracker for a channel whose numbers begin at zero, remembering `capacity` holes.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self {
            next: Seq(0),
            holes: VecDeque::with_capacity(capacity as usize),
            capacity: capacity as usize,
            missing: 0,
            retry_at: Time::NEVER,
            tolerance: 0,
            tolerance_at: Time::ZERO,
        }
    }

    /// A tracker whose memory grows with the holes there are, up to `capacity`: for one of many
    /// streams. Numbers begin at `next`.
    #[must_use]
    pub fn growing(capacity: u32, next: Seq) -> Self {
        let holes = VecDeque::new();
        Self { holes, capacity: capacity as usize, next, ..Self::new(0) }
    }

    /// All numbers from here on are unseen.
    #[inline]
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Numbers before `to` that are unseen will not come, and nobody misses them.
    #[inline]
    pub fn pass(&mut self, to: Seq) {
        if to.ahead_of(self.next) > 0 {
            self.next = to;
        }
    }

    /// Nothing was sent from `next` on: what was taken note of there was nobody's.
    pub fn retract(&mut self, next: Seq) {
        if next.ahead_of(self.next) < 0 {
            self.give_up(Range { start: next, count: self.next.offset_from(next) });
            self.next = next;
        }
    }

    /// All numbers before this one have arrived, or been given up.
    #[inline]
    #[must_use]
    pub fn cumulative(&self) -> Seq {
        self.holes.front().map_or(self.next, |hole| hole.start)
    }

    /// Numbers missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// How long a new hole is left alone at present.
    #[must_use]
    pub fn tolerance(&self) -> Nanos {
        self.tolerance
    }

    /// Whether this number is missing.
    #[must_use]
    pub fn lacks(&self, seq: Seq) -> bool {
        let index = self.holes.partition_point(|hole| hole.end.ahead_of(seq) <= 0);
        self.holes.get(index).is_some_and(|hole| hole.start.ahead_of(seq) <= 0)
    }

    /// Takes note of a packet.
    #[inline]
    pub fn arrive(&mut self, seq: Seq, now: Time, rtt: &Rtt) -> Arrival {
        self.arrive_span(seq, 1, now, rtt)
    }

    /// Takes note of a packet that takes `count` numbers, at least one.
    #[inline]
    pub fn arrive_span(&mut self, seq: Seq, count: u32, now: Time, rtt: &Rtt) -> Arrival {
        let ahead = seq.ahead_of(self.next);
        if ahead < 0 {
            return self.fill(seq, count, now, rtt);
        }
        if ahead > 0 && !self.skip_to(seq, now) {
            return Arrival::Refused;
        }
        self.next = seq.plus(count);
        Arrival::New
    }

    /// The far side says that all numbers before `next` were sent; whether it could be recorded.
    pub fn announce(&mut self, next: Seq, now: Time) -> bool {
        next.ahead_of(self.next) <= 0 || self.skip_to(next, now)
    }

    /// Numbers from the expected one up to `to` are missing.
    fn skip_to(&mut self, to: Seq, now: Time) -> bool {
        if to.ahead_of(self.next) > WINDOW || self.holes.len() == self.capacity {
            return false;
        }
        self.missing += u64::from(to.offset_from(self.next));
        let hole =
            Hole { start: self.next, end: to, found: now, asked: now, rounds: 0, twice: false };
        self.holes.push_back(hole);
        self.next = to;
        true
    }

    /// `count` numbers from one before the expected one on came.
    #[cold]
    fn fill(&mut self, seq: Seq, count: u32, now: Time, rtt: &Rtt) -> Arrival {
        let index = self.holes.partition_point(|hole| hole.end.ahead_of(seq) <= 0);
        let Some(&hole) = self.holes.get(index) else { return Arrival::Duplicate };
        if hole.start.ahead_of(seq) > 0 {
            return Arrival::Duplicate;
        }
        let end = seq.plus(count);
        let end = if end.ahead_of(hole.end) > 0 { hole.end } else { end };
        if !self.cut(index, seq, end) {
            return Arrival::Refused;
        }
        // Faster than any answer can be: it was under way all the time. Asked for more than once,
        // it may answer an earlier request.
        let late = match hole.rounds {
            0 => true,
            1 => now.since(hole.asked) < rtt.least() / 4 * 3,
            _ => false,
        };
        if late {
            self.learn_lateness(now.since(hole.found), now, rtt);
            return Arrival::Late;
        }
        Arrival::Repair((hole.rounds == 1).then(|| now.since(hole.asked)))
    }

    /// The numbers of `range` will never come. Returns how many of them were missing.
    pub fn give_up(&mut self, range: Range) -> u32 {
        let mut given_up = 0;
        let end = range.start.plus(range.count);
        loop {
            let index = self.holes.partition_point(|hole| hole.end.ahead_of(range.start) <= 0);
            let Some(&hole) = self.holes.get(index) else { return given_up };
            let start = if hole.start.ahead_of(range.start) > 0 { hole.start } else { range.start };
            let stop = if hole.end.ahead_of(end) < 0 { hole.end } else { end };
            if stop.ahead_of(start) <= 0 || !self.cut(index, start, stop) {
                return given_up;
            }
            given_up += stop.offset_from(start);
        }
    }

    /// Takes `start..end` out of hole `index`, which contains it. `false`, and nothing changes, if
    /// that would split the hole and no more can be remembered.
    fn cut(&mut self, index: usize, start: Seq, end: Seq) -> bool {
        let full = self.holes.len() == self.capacity;
        let Some(hole) = self.holes.get_mut(index) else { return false };
        match (hole.start == start, hole.end == end) {
            (true, true) => drop(self.holes.remove(index)),
            (true, false) => hole.start = end,
            (false, true) => hole.end = start,
            (false, false) => {
                if full {
                    return false;
                }
                let behind = Hole { start: end, ..*hole };
                hole.end = start;
                self.holes.insert(index + 1, behind);
            }
        }
        self.missing -= u64::from(end.offset_from(start));
        // Those that were asked for come first.
        if self.holes.front().is_none_or(|hole| hole.rounds == 0) {
            self.retry_at = Time::NEVER;
        }
        true
    }

    /// Packets come this late: leave holes alone that long, and a little more, but never beyond
    /// half a round trip: asking too early costs bandwidth, asking too late costs time.
    fn learn_lateness(&mut self, late: Nanos, now: Time, rtt: &Rtt) {
        let wanted = (late + late / 4).min(rtt.smoothed() / 2);
        if wanted >= self.tolerance {
            self.tolerance = wanted;
            self.tolerance_at = now;
        }
    }

    /// When [`Holes::ask`] has something to do again.
    #[must_use]
    pub fn due(&self) -> Time {
        let fresh = match self.holes.back() {
            Some(hole) if hole.rounds == 0 => self.first_fresh_due(),
            _ => Time::NEVER,
        };
        fresh.min(self.retry_at)
    }

    fn first_fresh_due(&self) -> Time {
        let fresh = self.holes.iter().rev().take_while(|hole| hole.rounds == 0).last();
        fresh.map_or(Time::NEVER, |hole| hole.found.after(self.tolerance))
    }

    /// Hands every range that is to be asked for now to `ask`, until that returns `false` (it has
    /// no more room: what is left is due at once).
    pub fn ask(&mut self, now: Time, rtt: &Rtt, mut ask: impl FnMut(Range) -> bool) {
        if self.tolerance > 0 && now.since(self.tolerance_at) > FORGET_LATENESS {
            self.tolerance /= 2;
            self.tolerance_at = now;
        }
        if self.retry_at <= now && !self.ask_again(now, rtt, &mut ask) {
            return;
        }
        let fresh = self.holes.iter().rev().take_while(|hole| hole.rounds == 0).count();
        let (first, twice) = (self.holes.len() - fresh, self.asks_twice());
        for hole in self.holes.range_mut(first..) {
            if hole.found.after(self.tolerance) > now || !put(hole, now, &mut ask) {
                break;
            }
            hole.twice = twice;
            self.retry_at = self.retry_at.min(hole.due(rtt));
        }
    }

    /// Whether each hole is asked for twice a round, a little apart, so that it takes two losses
    /// to cost another round trip: of a request, or of a repair. That doubles repairs, which is
    /// little as long as little is missing.
    fn asks_twice(&self) -> bool {
        self.missing <= 8
            || self.missing * 16 <= u64::from(self.next.offset_from(self.cumulative()))
    }

    /// Asks again for what was not answered; looks at all holes, so it runs at most some sixty
    /// times a round trip, less often when there are many. `false` when `ask` had no more room.
    fn ask_again(&mut self, now: Time, rtt: &Rtt, ask: &mut impl FnMut(Range) -> bool) -> bool {
        let quantum = match self.holes.len() {
            0..512 => rtt.spacing() / 2,
            _ => (rtt.smoothed() / 16).clamp(MILLISECOND / 50, 5 * MILLISECOND),
        };
        let twice = self.asks_twice();
        self.retry_at = Time::NEVER;
        for hole in self.holes.iter_mut().take_while(|hole| hole.rounds > 0) {
            if hole.due(rtt) <= now {
                let again = std::mem::take(&mut hole.twice);
                let asked = if again { ask(hole.range()) } else { put(hole, now, ask) };
                if !asked {
                    hole.twice = again;
                    self.retry_at = now;
                    return false;
                }
                hole.twice = !again && twice;
            }
            self.retry_at = self.retry_at.min(hole.due(rtt).max(now.after(quantum)));
        }
        true
    }

    /// Forgets everything: a new session.
    pub fn reset(&mut self) {
        self.holes.clear();
        (self.next, self.missing) = (Seq(0), 0);
        (self.retry_at, self.tolerance) = (Time::NEVER, 0);
    }
}

impl Hole {
    fn range(&self) -> Range {
        Range { start: self.start, count: self.end.offset_from(self.start) }
    }

    /// When it is to be asked for again.
    fn due(&self, rtt: &Rtt) -> Time {
        match self.twice {
            true => self.asked.after(rtt.spacing()),
            false => self.asked.after(rtt.wait(self.rounds.saturating_sub(1))),
        }
    }
}

/// Asks for one hole; a round begins.
fn put(hole: &mut Hole, now: Time, ask: &mut impl FnMut(Range) -> bool) -> bool {
    let taken = ask(hole.range());
    if taken {
        hole.asked = now;
        hole.rounds = hole.rounds.saturating_add(1);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTT: Nanos = 5 * MILLISECOND;

    fn rtt() -> Rtt {
        let mut rtt = Rtt::assumed(RTT);
        (0..50).for_each(|_| rtt.sample(RTT));
        rtt
    }

    fn ask(holes: &mut Holes, now: Time) -> Vec<(u32, u32)> {
        let mut asked = Vec::new();
        holes.ask(now, &rtt(), |range| {
            asked.push((range.start.0, range.count));
            true
        });
        asked
    }

    fn arrive(holes: &mut Holes, seq: u32, now: Nanos) -> Arrival {
        holes.arrive(Seq(seq), Time(now), &rtt())
    }

    #[test]
    fn in_order_leaves_no_holes() {
        let mut holes = Holes::new(4);
        for seq in 0..10 {
            assert_eq!(arrive(&mut holes, seq, 1), Arrival::New);
        }
        assert_eq!((holes.cumulative(), holes.missing(), holes.due()), (Seq(10), 0, Time::NEVER));
        assert_eq!(arrive(&mut holes, 4, 2), Arrival::Duplicate);
    }

    #[test]
    fn a_gap_is_asked_for_at_once_twice_and_again_after_patience() {
        let mut holes = Holes::new(4);
        arrive(&mut holes, 0, 0);
        assert_eq!(arrive(&mut holes, 4, 1), Arrival::New);
        assert_eq!((holes.due(), holes.cumulative(), holes.missing()), (Time(1), Seq(1), 3));
        assert_eq!(ask(&mut holes, Time(1)), [(1, 3)]);
        assert_eq!(ask(&mut holes, Time(2)), []);
        let second = holes.due();
        assert_eq!(second, Time(1 + RTT / 32));
        assert_eq!(ask(&mut holes, second), [(1, 3)]);
        let again = holes.due();
        assert!(again.0 > RTT && again.0 < 2 * RTT, "{again:?}");
        assert_eq!(arrive(&mut holes, 2, RTT + 1), Arrival::Repair(Some(RTT)));
        assert_eq!(ask(&mut holes, again), [(1, 1), (3, 1)]);
        assert_eq!(arrive(&mut holes, 1, again.0 + 1), Arrival::Repair(None), "the first repair");
        assert_eq!(holes.tolerance(), 0);
        assert_eq!(holes.cumulative(), Seq(3));
    }

    #[test]
    fn much_that_is_missing_is_asked_for_once_a_round() {
        let mut holes = Holes::new(100);
        (0..100).for_each(|n| _ = arrive(&mut holes, 2 * n + 1, 0));
        assert_eq!(ask(&mut holes, Time(0)).len(), 100);
        assert!(holes.due().0 > RTT, "{:?}", holes.due());
    }

    #[test]
    fn lateness_is_learned_and_forgotten() {
        let mut holes = Holes::new(4);
        arrive(&mut holes, 1, 0);
        assert_eq!(ask(&mut holes, Time(0)), [(0, 1)]);
        assert_eq!(arrive(&mut holes, 0, 400_000), Arrival::Late);
        assert_eq!(holes.tolerance(), 500_000);
        arrive(&mut holes, 3, 1_000_000);
        assert_eq!(holes.due(), Time(1_500_000));
        assert_eq!(ask(&mut holes, Time(1_499_999)), []);
        assert_eq!(ask(&mut holes, Time(1_500_000)), [(2, 1)]);
        assert_eq!(ask(&mut holes, Time(2 * SECOND)).len(), 1);
        assert_eq!(holes.tolerance(), 250_000);
    }

    #[test]
    fn a_probe_opens_a_hole_at_the_tail() {
        let mut holes = Holes::new(4);
        arrive(&mut holes, 0, 0);
        assert!(holes.announce(Seq(1), Time(5)));
        assert_eq!(holes.missing(), 0);
        assert!(holes.announce(Seq(3), Time(5)));
        assert_eq!(ask(&mut holes, Time(5)), [(1, 2)]);
        assert!(!holes.announce(Seq(u32::MAX / 4), Time(5)));
    }

    #[test]
    fn holes_are_bounded_and_what_does_not_fit_is_refused() {
        let mut holes = Holes::new(2);
        arrive(&mut holes, 1, 0);
        arrive(&mut holes, 6, 0);
        assert_eq!(arrive(&mut holes, 8, 0), Arrival::Refused);
        assert_eq!(arrive(&mut holes, 7, 0), Arrival::New);
        assert_eq!(arrive(&mut holes, 3, 0), Arrival::Refused, "it would split a hole");
        assert_eq!(arrive(&mut holes, 2, 0), Arrival::Late);
        assert_eq!(arrive(&mut holes, 5_000_000, 0), Arrival::Refused);
    }

    #[test]
    fn giving_up_closes_across_holes() {
        let mut holes = Holes::new(8);
        for seq in [0, 3, 6, 9] {
            arrive(&mut holes, seq, 0);
        }
        assert_eq!(holes.give_up(Range { start: Seq(2), count: 6 }), 4);
        assert_eq!((holes.cumulative(), holes.missing()), (Seq(1), 2));
        assert_eq!(ask(&mut holes, Time(1)), [(1, 1), (8, 1)]);
        assert_eq!(holes.give_up(Range { start: Seq(0), count: u32::MAX }), 0);
    }

    #[test]
    fn no_room_to_ask_leaves_it_due() {
        let mut holes = Holes::new(8);
        for seq in [1, 3, 5] {
            arrive(&mut holes, seq, 0);
        }
        let mut room = 2;
        holes.ask(Time(1), &rtt(), |_| {
            room -= 1;
            room >= 0
        });
        assert!(holes.due() <= Time(1));
        assert_eq!(ask(&mut holes, Time(1)), [(4, 1)]);
    }

    proptest! {
        /// Against a plain set of numbers.
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((0u32..60, 0u32..3), 1..300), base: u32) {
            let mut holes = Holes::new(1_000);
            holes.next = Seq(base);
            let mut seen = std::collections::BTreeSet::new();
            for (step, (offset, ahead)) in steps.into_iter().enumerate() {
                let top = seen.last().map_or(0, |last| last + 1);
                let number = (top + ahead).saturating_sub(offset);
                let arrival = holes.arrive(Seq(base).plus(number), Time(step as u64), &rtt());
                prop_assert_eq!(arrival == Arrival::Duplicate, !seen.insert(number));
                let top = seen.last().map_or(0, |last| last + 1);
                let first = (0..top).find(|n| !seen.contains(n)).unwrap_or(top);
                prop_assert_eq!(holes.cumulative(), Seq(base).plus(first));
                prop_assert_eq!(holes.missing(), u64::from(top) - seen.len() as u64);
                if step % 5 == 0 {
                    ask(&mut holes, Time(step as u64));
                }
            }
        }
    }
}
