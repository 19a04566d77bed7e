//! A hierarchical timer wheel for a fixed set of timers.
//!
//! Setting, moving and stopping a timer costs a few list operations whatever their number
//! (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987), and nothing is allocated
//! after the start. Occupied slots are bits, so the next deadline is found by counting zeros: a
//! lab in virtual time jumps from one to the next.

use crate::time::{Nanos, Time};

/// Which timer: an index below the number given to [`Wheel::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u32);

/// Resolution: a timer fires at most this much after its deadline, and never before it.
pub const TICK: Nanos = 1_024;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// Ticks the wheel spans, some 19 hours; a deadline beyond is looked at again then.
const SPAN: u64 = 1 << (SLOT_BITS * LEVELS as u32);
const NONE: u32 = u32::MAX;
/// The place of a timer that is due and not yet handed out.
const DUE: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Entry {
    /// Deadline in ticks, rounded up. Meaningful while the timer is linked.
    deadline: u64,
    next: u32,
    previous: u32,
    /// `level * SLOTS + slot`, `DUE`, or `NONE` while the timer is not set.
    place: u32,
}

/// Timers of one owner, each set to one deadline at most.
pub struct Wheel {
    /// All ticks up to and including this one have fired.
    now: u64,
    entries: Box<[Entry]>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    due: u32,
}

impl Wheel {
    /// A wheel of `timers` timers, none set, standing at `now`.
    #[must_use]
    pub fn new(timers: u32, now: Time) -> Self {
        let idle = Entry { deadline: 0, next: NONE, previous: NONE, place: NONE };
        Self {
            now: now.0 / TICK,
            entries: vec![idle; timers as usize].into_boxed_slice(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            due: NONE,
        }
    }

    /// Sets the timer to fire at `deadline` (at the next tick if that has passed), whatever it was
    /// set to before. An unknown timer is ignored.
    pub fn set(&mut self, timer: TimerId, deadline: Time) {
        let tick = deadline.0.div_ceil(TICK).max(self.now + 1);
        let Some(entry) = self.entries.get(timer.0 as usize) else { return };
        if entry.place != NONE {
            if entry.deadline == tick {
                return;
            }
            self.unlink(timer.0);
        }
        self.link(timer.0, tick);
    }

    /// Sets the timer unless it is set to fire no later than `deadline` already.
    #[inline]
    pub fn set_no_later(&mut self, timer: TimerId, deadline: Time) {
        match self.entries.get(timer.0 as usize) {
            Some(entry) if entry.place != NONE && entry.deadline <= deadline.0.div_ceil(TICK) => {}
            _ => self.set(timer, deadline),
        }
    }

    /// Stops the timer if it is set.
    pub fn stop(&mut self, timer: TimerId) {
        if self.is_set(timer) {
            self.unlink(timer.0);
        }
    }

    /// Whether the timer is set.
    #[must_use]
    pub fn is_set(&self, timer: TimerId) -> bool {
        self.entries.get(timer.0 as usize).is_some_and(|entry| entry.place != NONE)
    }

    /// The next timer due at `now`, stopped by this call; `None` when none is due any more.
    /// Call it until then: `while let Some(timer) = wheel.expire(now)`.
    #[inline]
    pub fn expire(&mut self, now: Time) -> Option<TimerId> {
        let target = now.0 / TICK;
        loop {
            if self.due != NONE {
                let timer = self.due;
                self.unlink(timer);
                return Some(TimerId(timer));
            }
            match self.first_occupied() {
                Some((start, level, slot)) if start <= target => self.open(start, level, slot),
                _ => {
                    self.now = self.now.max(target);
                    return None;
                }
            }
        }
    }

    /// Time has come to the beginning of a slot: what is due goes to the due list, the rest comes
    /// down to a finer level, where each waits for its own tick.
    fn open(&mut self, start: u64, level: usize, slot: usize) {
        self.now = start;
        let mut index = std::mem::replace(&mut self.heads[level][slot], NONE);
        self.occupied[level] &= !(1 << slot);
        while index != NONE {
            let Entry { deadline, next, .. } = self.entries[index as usize];
            self.link(index, deadline);
            index = next;
        }
    }

    /// No timer fires before this moment; `None` when none is set. A lower bound: a caller that
    /// waits until then and finds nothing due asks again.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        if self.due != NONE {
            return Some(Time(self.now.saturating_mul(TICK)));
        }
        self.first_occupied().map(|(tick, ..)| Time(tick.saturating_mul(TICK)))
    }

    /// The occupied slot whose time begins first, and that beginning, in ticks. It is on the finest
    /// occupied level: a level holds only what lies ahead within the present slot of the next
    /// coarser one.
    #[inline]
    fn first_occupied(&self) -> Option<(u64, usize, usize)> {
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let shift = SLOT_BITS * level as u32;
        let here = self.now >> shift;
        let position = (here % SLOTS as u64) as u32;
        // The present slot has been opened, so if it holds anything that is a full turn away.
        let turned = self.occupied[level].rotate_right((position + 1) % SLOTS as u32);
        let ahead = turned.trailing_zeros() + 1;
        Some(((here + u64::from(ahead)) << shift, level, (position + ahead) as usize % SLOTS))
    }

    /// Puts the timer where its deadline says: the due list, or the slot of the level at which
    /// deadline and present lie less than a turn apart.
    fn link(&mut self, index: u32, deadline: u64) {
        let place = if deadline <= self.now {
            DUE
        } else {
            let at = deadline.min(self.now + SPAN - 1);
            let level = (at ^ self.now).ilog2() / SLOT_BITS;
            let level = level.min(LEVELS as u32 - 1);
            let slot = (at >> (SLOT_BITS * level)) as u32 % SLOTS as u32;
            self.occupied[level as usize] |= 1 << slot;
            level * SLOTS as u32 + slot
        };
        let head = std::mem::replace(self.head(place), index);
        if head != NONE {
            self.entries[head as usize].previous = index;
        }
        self.entries[index as usize] = Entry { deadline, next: head, previous: NONE, place };
    }

    fn unlink(&mut self, index: u32) {
        let Entry { next, previous, place, .. } = self.entries[index as usize];
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            *self.head(place) = next;
            if next == NONE && place != DUE {
                self.occupied[place as usize / SLOTS] &= !(1 << (place as usize % SLOTS));
            }
        }
        self.entries[index as usize].place = NONE;
    }

    /// First timer of the list at `place`.
    fn head(&mut self, place: u32) -> &mut u32 {
        match place {
            DUE => &mut self.due,
            _ => &mut self.heads[place as usize / SLOTS][place as usize % SLOTS],
        }
    }
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = self.entries.iter().filter(|entry| entry.place != NONE).count();
        f.debug_struct("Wheel").field("now", &self.now).field("set", &set).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expired(wheel: &mut Wheel, now: Time) -> Vec<u32> {
        let mut fired: Vec<u32> = std::iter::from_fn(|| wheel.expire(now)).map(|t| t.0).collect();
        fired.sort_unstable();
        fired
    }

    #[test]
    fn fires_once_and_not_early() {
        let mut wheel = Wheel::new(2, Time::ZERO);
        wheel.set(TimerId(0), Time(10 * TICK));
        assert_eq!(wheel.next_deadline(), Some(Time(10 * TICK)));
        assert_eq!(expired(&mut wheel, Time(10 * TICK - 1)), []);
        assert_eq!(expired(&mut wheel, Time(10 * TICK)), [0]);
        assert_eq!(expired(&mut wheel, Time(99 * TICK)), []);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn set_again_moves_and_stop_stops() {
        let mut wheel = Wheel::new(3, Time::ZERO);
        wheel.set(TimerId(0), Time(10 * TICK));
        wheel.set(TimerId(0), Time(500 * TICK));
        wheel.set(TimerId(1), Time(20 * TICK));
        wheel.set_no_later(TimerId(1), Time(30 * TICK));
        wheel.set_no_later(TimerId(2), Time(30 * TICK));
        wheel.stop(TimerId(2));
        wheel.set(TimerId(9), Time(TICK));
        assert_eq!(expired(&mut wheel, Time(100 * TICK)), [1]);
        assert_eq!(expired(&mut wheel, Time(500 * TICK)), [0]);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_tick() {
        let mut wheel = Wheel::new(1, Time(1_000 * TICK));
        wheel.set(TimerId(0), Time(3));
        assert_eq!(expired(&mut wheel, Time(1_000 * TICK)), []);
        assert_eq!(expired(&mut wheel, Time(1_001 * TICK)), [0]);
    }

    #[test]
    fn a_timer_beyond_the_span_still_waits() {
        let mut wheel = Wheel::new(1, Time::ZERO);
        let far = Time((SPAN + 5 * SPAN / 2) * TICK);
        wheel.set(TimerId(0), far);
        let mut looks = 0;
        while let Some(next) = wheel.next_deadline() {
            looks += 1;
            assert!(looks < 1_000 && next <= far);
            if wheel.expire(next).is_some() {
                assert!(next.0 >= far.0);
                return;
            }
        }
        panic!("the timer was lost");
    }

    proptest! {
        /// Against a plain list of deadlines, over random settings and jumps of time.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0u32..8, 0u64..400_000, 0u64..200_000), 1..200)) {
            let mut wheel = Wheel::new(8, Time::ZERO);
            let mut model: [Option<u64>; 8] = [None; 8];
            let mut now = 0u64;
            for (timer, ahead, jump) in steps {
                let ahead = if ahead % 7 == 0 { ahead * 1_000 } else { ahead };
                wheel.set(TimerId(timer), Time((now + ahead) * TICK));
                model[timer as usize] = Some((now + ahead).max(now + 1));
                let earliest = model.iter().flatten().min().copied();
                let next = wheel.next_deadline().map(|t| t.0 / TICK);
                prop_assert!(next.is_some() && next <= earliest, "{next:?} {earliest:?}");
                now += jump;
                let mut due = Vec::new();
                for (index, slot) in model.iter_mut().enumerate() {
                    if slot.is_some_and(|deadline| deadline <= now) {
                        *slot = None;
                        due.push(index as u32);
                    }
                }
                prop_assert_eq!(expired(&mut wheel, Time(now * TICK)), due);
            }
        }
    }
}
