//! A bucket: what finds the flows in it, and what decides which of them makes room, in one cache
//! line. So a flood costs a line a packet before anything of an established flow is touched.

use super::rate::Tick;

/// Places of a bucket.
pub(super) const WAYS: usize = 8;

/// What a place is worth: the lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(super) enum Rank {
    /// Came once: a flood is made of these.
    Once,
    /// Came again.
    Again,
    /// An elephant: stays as long as it is not over.
    Elephant,
}

/// A rank, and the tick of the last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Note(u32);

impl Note {
    const TICK_BITS: u32 = 30;
    const TICK_MASK: u32 = (1 << Self::TICK_BITS) - 1;
    /// Ages from here on may be anything: ticks wrap.
    pub(super) const MAX_AGE: Tick = Self::TICK_MASK;

    #[inline]
    pub(super) fn new(rank: Rank, tick: Tick) -> Self {
        Self((rank as u32) << Self::TICK_BITS | tick & Self::TICK_MASK)
    }

    /// The same packet, another rank.
    pub(super) fn ranked(self, rank: Rank) -> Self {
        Self::new(rank, self.0)
    }

    /// Ticks since the last packet.
    #[inline]
    pub(super) fn age(self, tick: Tick) -> Tick {
        tick.wrapping_sub(self.0) & Self::TICK_MASK
    }

    #[inline]
    pub(super) fn is_elephant(self) -> bool {
        self.0 >> Self::TICK_BITS == Rank::Elephant as u32
    }

    /// What stays rather has more: of one rank, the younger.
    #[inline]
    fn worth(self, tick: Tick) -> u32 {
        (self.0 & !Self::TICK_MASK) + (Self::TICK_MASK - self.age(tick))
    }
}

/// What a new flow finds in a full bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Nobody is here.
    Vacant,
    /// A flow that is over.
    Stale,
    /// A flow that came once.
    Once,
    /// A flow that came more often, but is no elephant.
    Mouse,
}

/// Eight places.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Bucket {
    /// A part of each flow's hash, which tells most apart; 0: vacant.
    pub(super) marks: [u32; WAYS],
    pub(super) notes: [Note; WAYS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// The places with this mark, a bit each.
    #[inline]
    pub(super) fn matching(&self, mark: u32) -> u32 {
        let bits = self.marks.iter().enumerate();
        bits.fold(0, |found, (way, there)| found | u32::from(*there == mark) << way)
    }

    /// The place for a new flow: one that is vacant, else of a flow that is over, else of the one
    /// worth least that is no elephant. `None`: all are elephants.
    #[inline]
    pub(super) fn room(&self, tick: Tick, idle: Tick) -> Option<(usize, Room)> {
        let mut least = (u32::MAX, 0);
        for (way, (mark, note)) in self.marks.iter().zip(&self.notes).enumerate() {
            // 0 and 1 are worths of flows that nobody has seen for as long as ticks can tell.
            let worth = match *mark {
                0 => 0,
                _ if note.age(tick) >= idle => 1,
                _ => note.worth(tick).max(2),
            };
            if worth < least.0 {
                least = (worth, way);
            }
        }
        let (worth, way) = least;
        let room = match worth {
            0 => Room::Vacant,
            1 => Room::Stale,
            _ if worth >> Note::TICK_BITS == Rank::Once as u32 => Room::Once,
            _ if worth >> Note::TICK_BITS == Rank::Again as u32 => Room::Mouse,
            _ => return None,
        };
        Some((way, room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket of these, all with marks.
    fn bucket(notes: [(Rank, Tick); WAYS]) -> Bucket {
        Bucket { marks: [7; WAYS], notes: notes.map(|(rank, tick)| Note::new(rank, tick)) }
    }

    #[test]
    fn what_is_worth_least_makes_room() {
        use Rank::{Again, Elephant, Once};
        let full = [
            (Elephant, 10),
            (Again, 90),
            (Once, 99),
            (Again, 80),
            (Once, 98),
            (Elephant, 100),
            (Again, 85),
            (Again, 86),
        ];
        let room = |bucket: &Bucket| bucket.room(100, 50);
        let mut bucket = bucket(full);
        assert_eq!(room(&bucket), Some((0, Room::Stale)), "an elephant that is over");
        bucket.notes[0] = Note::new(Elephant, 51);
        assert_eq!(room(&bucket), Some((4, Room::Once)), "the older that came once");
        (bucket.notes[2], bucket.notes[4]) = (Note::new(Again, 99), Note::new(Again, 98));
        assert_eq!(room(&bucket), Some((3, Room::Mouse)), "the oldest");
        bucket.marks[6] = 0;
        assert_eq!(room(&bucket), Some((6, Room::Vacant)));
        let elephants = Bucket { marks: [7; WAYS], notes: [Note::new(Elephant, 60); WAYS] };
        assert_eq!(room(&elephants), None);
    }

    #[test]
    fn ages_are_right_across_the_wrap_of_ticks() {
        let note = Note::new(Rank::Once, Tick::MAX - 3);
        assert_eq!(note.age(6), 10);
        assert_eq!(note.ranked(Rank::Elephant).age(6), 10);
        assert!(note.ranked(Rank::Elephant).is_elephant() && !note.is_elephant());
    }

    #[test]
    fn all_places_of_a_mark_are_found() {
        let mut bucket = Bucket::default();
        (bucket.marks[1], bucket.marks[7]) = (9, 9);
        assert_eq!(bucket.matching(9), 0b1000_0010);
        assert_eq!(bucket.matching(8), 0);
    }
}
