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

/// What a duplicate counts in [`Holes::excess`], where a new packet counts 1: a network that doubles
/// fewer packets than one in this many is not taken for requests that come too soon.
const DUPLICATE: u32 = 16;
/// What a repair allows for: its second copy, and that of a neighbour.
const REPAIR: u32 = 2 * DUPLICATE;
/// More than this, and requests come too soon.
const EXCESS: u32 = 16 * DUPLICATE;
/// Longer than this nothing is waited for, unless the round trip is longer: a quarter of the half
/// second that a lane waits.
const LONGEST_WAIT: Nanos = 125 * MILLISECOND;
/// A hole is asked for again after this part of the time since it was found, or later.
const AGE_PART: u64 = 4;
/// Most doublings of a wait.
const MOST_BACKOFF: u32 = 12;

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
    /// Duplicates beyond those that repairs explain, in sixteenths.
    excess: u32,
    /// How often waits are doubled, as what is asked for comes later than the round trip says: a
    /// queue on the way has grown, and answers to the second request say nothing of it (Karn).
    backoff: u32,
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
            excess: 0,
            backoff: 0,
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
        self.excess = self.excess.saturating_sub(1);
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
        let hole = self.holes.get(index).filter(|hole| hole.start.ahead_of(seq) <= 0);
        let Some(&hole) = hole else {
            self.learn_excess();
            return Arrival::Duplicate;
        };
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
        self.excess = self.excess.saturating_sub(REPAIR);
        if hole.rounds > 1 {
            return Arrival::Repair(None);
        }
        self.backoff = 0;
        Arrival::Repair(Some(now.since(hole.asked)))
    }

    /// A duplicate came. Where there are many more than repairs, what was asked for again had been
    /// under way: asking ever again would fill the queue that it waits in.
    fn learn_excess(&mut self) {
        self.excess += DUPLICATE;
        if self.excess > EXCESS {
            self.excess = 0;
            self.backoff = (self.backoff + 1).min(MOST_BACKOFF);
        }
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
        let (first, twice, backoff) = (self.holes.len() - fresh, self.asks_twice(), self.backoff);
        for hole in self.holes.range_mut(first..) {
            if hole.found.after(self.tolerance) > now || !put(hole, now, &mut ask) {
                break;
            }
            hole.twice = twice;
            self.retry_at = self.retry_at.min(hole.due(rtt, backoff));
        }
    }

    /// Whether each hole is asked for twice a round, a little apart, so that it takes two losses
    /// to cost another round trip: of a request, or of a repair. That doubles repairs, which is
    /// little as long as little is missing.
    fn asks_twice(&self) -> bool {
        let few = self.missing <= 8
            || self.missing * 16 <= u64::from(self.next.offset_from(self.cumulative()));
        few && self.backoff == 0
    }

    /// Asks again for what was not answered; looks at all holes, so it runs at most some sixty
    /// times a round trip, less often when there are many. `false` when `ask` had no more room.
    fn ask_again(&mut self, now: Time, rtt: &Rtt, ask: &mut impl FnMut(Range) -> bool) -> bool {
        let quantum = match self.holes.len() {
            0..512 => rtt.spacing() / 2,
            _ => (rtt.smoothed() / 16).clamp(MILLISECOND / 50, 5 * MILLISECOND),
        };
        let (twice, backoff) = (self.asks_twice(), self.backoff);
        self.retry_at = Time::NEVER;
        for hole in self.holes.iter_mut().take_while(|hole| hole.rounds > 0) {
            if hole.due(rtt, backoff) <= now {
                let again = std::mem::take(&mut hole.twice);
                let asked = if again { ask(hole.range()) } else { put(hole, now, ask) };
                if !asked {
                    hole.twice = again;
                    self.retry_at = now;
                    return false;
                }
                hole.twice = !again && twice;
            }
            self.retry_at = self.retry_at.min(hole.due(rtt, backoff).max(now.after(quantum)));
        }
        true
    }

    /// Forgets everything: a new session.
    pub fn reset(&mut self) {
        self.holes.clear();
        (self.next, self.missing) = (Seq(0), 0);
        (self.retry_at, self.tolerance) = (Time::NEVER, 0);
        (self.excess, self.backoff) = (0, 0);
    }
}

impl Hole {
    fn range(&self) -> Range {
        Range { start: self.start, count: self.end.offset_from(self.start) }
    }

    /// When it is to be asked for again, if waits are doubled `backoff` times.
    fn due(&self, rtt: &Rtt, backoff: u32) -> Time {
        if self.twice {
            return self.asked.after(rtt.spacing());
        }
        let wait = rtt.wait(self.rounds.saturating_sub(1));
        let longer = wait.saturating_mul(1 << backoff).min(LONGEST_WAIT);
        // The longer in vain, the further apart: the path may be away, or its queue grow.
        let since = self.asked.since(self.found) / AGE_PART;
        self.asked.after(wait.max(longer).max(since))
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
mod tests;
