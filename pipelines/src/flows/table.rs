//! One table: of flows, or of subflows.
//!
//! A flow stays where it is from its first packet to its last, and has one bucket where it may be:
//! finding, adding and making room look at that bucket's cache line and at one entry.

use std::num::NonZeroU32;

use dataplane::time::Time;

use super::bucket::{Bucket, Note, Rank, Room, WAYS};
use super::key::{Hasher, Key};
use super::rate::{Moment, Rate, Tick};
use super::rule::{Class, Rule};
use super::sight::{Kinds, Priority, Sight};

/// What happened in a table since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Flows in the table now.
    pub flows: u64,
    /// Elephants among them.
    pub elephants: u64,
    /// Flows that were added.
    pub added: u64,
    /// Flows that were over, and were forgotten.
    pub aged: u64,
    /// Flows that had come once and made room.
    pub evicted_once: u64,
    /// Flows that had come more often, no elephants, and made room.
    pub evicted_mice: u64,
    /// Packets that belong to no flow in the table, since elephants alone were in their bucket.
    pub refused: u64,
    /// Flows that became elephants.
    pub entered: u64,
    /// Elephants that are none any more, or were over.
    pub left: u64,
}

/// What is known of a flow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Record {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) rate: Rate,
    /// The last tick at which its rate spoke for its class.
    since: Tick,
    /// Of a subflow: where its flow is likely to be.
    pub(super) flow: u32,
    /// The sender's queue pair.
    pub(super) peer_qp: Option<NonZeroU32>,
    pub(super) path: Option<u16>,
    pub(super) kinds: Kinds,
    pub(super) priority: Priority,
    pub(super) class: Class,
}

impl Record {
    fn new(at: Moment) -> Self {
        Self {
            first: at.now,
            last: at.now,
            rate: Rate::new(at.tick),
            since: at.tick,
            class: Class::Signalling,
            ..Self::default()
        }
    }

    fn rank(&self) -> Rank {
        match (self.class, self.packets) {
            (Class::Elephant, _) => Rank::Elephant,
            (_, 0 | 1) => Rank::Once,
            _ => Rank::Again,
        }
    }
}

/// Two cache lines.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) record: Record,
}

const _: () = assert!(size_of::<Entry>() == 128);

/// Flows, and what is known of them.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    entries: Box<[Entry]>,
    hasher: Hasher,
    rule: Rule,
    counters: Counters,
    /// The bucket that ages next.
    ageing: usize,
}

impl Table {
    /// Room for `capacity` flows, rounded up to a power of two.
    pub(super) fn new(capacity: u32, seed: u64, rule: Rule) -> Self {
        let buckets = (capacity as usize).div_ceil(WAYS).next_power_of_two();
        Self {
            buckets: vec![Bucket::default(); buckets].into(),
            entries: vec![Entry::default(); buckets * WAYS].into(),
            hasher: Hasher::new(seed),
            rule,
            counters: Counters::default(),
            ageing: 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Where a flow is. It may be over.
    #[inline]
    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        let (bucket, mark) = self.home(key);
        self.find_in(bucket, mark, key)
    }

    /// Counts a packet, or several; where their flow is, and whether its class has changed. The flow is looked
    /// for at `hint` first. `None`: there is no room for it.
    #[inline]
    pub(super) fn note(
        &mut self,
        key: &Key,
        hint: u32,
        sight: &Sight,
        at: Moment,
    ) -> Option<(u32, bool)> {
        let hinted = self.entries.get(hint as usize).is_some_and(|entry| entry.key == *key);
        let place = if hinted {
            hint
        } else {
            let (bucket, mark) = self.home(key);
            match self.find_in(bucket, mark, key) {
                Some(place) => place,
                None => self.add(bucket, mark, key, at)?,
            }
        };
        let changed = self.count(place, sight, at);
        Some((place, changed))
    }

    /// The entry at a place; `None` if it is vacant.
    pub(super) fn get(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize).filter(|entry| entry.key != Key::NONE)
    }

    /// What is known of the flow at a place; `None` if that is vacant.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Record> {
        let entry = self.entries.get_mut(place as usize)?;
        (entry.key != Key::NONE).then_some(&mut entry.record)
    }

    /// The flows of a bucket that are not over.
    pub(super) fn living(&self, bucket: usize, tick: Tick) -> impl Iterator<Item = &Entry> {
        let there = self.buckets.get(bucket).copied().unwrap_or_default();
        let entries = self.entries.iter().skip(bucket * WAYS);
        // The entry of a vacant place is not even looked at: it is another cache line.
        let living = move |(_, (mark, note)): &(&Entry, (u32, Note))| {
            *mark != 0 && note.age(tick) < self.rule.idle_ticks
        };
        entries.zip(there.marks.into_iter().zip(there.notes)).filter(living).map(|(entry, _)| entry)
    }

    /// Looks after the next `buckets`: forgets flows that are over, and judges elephants that have
    /// fallen silent.
    pub(super) fn age(&mut self, buckets: usize, at: Moment) {
        for _ in 0..buckets.min(self.buckets.len()) {
            let bucket = self.ageing;
            self.ageing = (bucket + 1) & (self.buckets.len() - 1);
            for way in 0..WAYS {
                let there = &self.buckets[bucket];
                let (mark, note) = (there.marks[way], there.notes[way]);
                if mark == 0 {
                    continue;
                }
                let place = bucket * WAYS + way;
                if note.age(at.tick) >= self.rule.idle_ticks {
                    self.forget(place);
                    self.counters.aged += 1;
                } else if note.is_elephant() {
                    self.judge(place, at.tick);
                    let rank = self.entries[place].record.rank();
                    self.buckets[bucket].notes[way] = note.ranked(rank);
                }
            }
        }
    }

    /// Forgets everything but what was counted.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.entries.fill(Entry::default());
        (self.counters.flows, self.counters.elephants) = (0, 0);
    }

    /// The bucket of a key, and its mark there.
    #[inline]
    fn home(&self, key: &Key) -> (usize, u32) {
        let hash = self.hasher.hash(key);
        (hash as usize & (self.buckets.len() - 1), (hash >> 32) as u32 | 1)
    }

    #[inline]
    fn find_in(&self, bucket: usize, mark: u32, key: &Key) -> Option<u32> {
        let mut matching = self.buckets.get(bucket)?.matching(mark);
        while matching != 0 {
            let place = bucket * WAYS + matching.trailing_zeros() as usize;
            if self.entries.get(place)?.key == *key {
                return Some(place as u32);
            }
            matching &= matching - 1;
        }
        None
    }

    /// A place for a new flow.
    fn add(&mut self, bucket: usize, mark: u32, key: &Key, at: Moment) -> Option<u32> {
        let there = self.buckets.get_mut(bucket)?;
        let Some((way, room)) = there.room(at.tick, self.rule.idle_ticks) else {
            self.counters.refused += 1;
            return None;
        };
        let place = bucket * WAYS + way;
        match room {
            Room::Vacant => {}
            Room::Stale => self.counters.aged += 1,
            Room::Once => self.counters.evicted_once += 1,
            Room::Mouse => self.counters.evicted_mice += 1,
        }
        if room != Room::Vacant {
            self.forget(place);
        }
        let there = &mut self.buckets[bucket];
        (there.marks[way], there.notes[way]) = (mark, Note::new(Rank::Once, at.tick));
        self.entries[place] = Entry { key: *key, record: Record::new(at) };
        self.counters.flows += 1;
        self.counters.added += 1;
        Some(place as u32)
    }

    /// Empties a place that is not vacant.
    fn forget(&mut self, place: usize) {
        self.buckets[place / WAYS].marks[place % WAYS] = 0;
        let entry = &mut self.entries[place];
        if entry.record.class == Class::Elephant {
            self.counters.left += 1;
            self.counters.elephants -= 1;
        }
        self.counters.flows -= 1;
        *entry = Entry::default();
    }

    /// Counts a packet of the flow at a place; whether its class has changed.
    #[inline]
    fn count(&mut self, place: u32, sight: &Sight, at: Moment) -> bool {
        let place = place as usize;
        let (bucket, way) = (place / WAYS, place % WAYS);
        let mut changed = false;
        if self.entries[place].record.rate.tick() != at.tick {
            let age = self.buckets[bucket].notes[way].age(at.tick);
            changed = self.turn(place, age, at);
        }
        let record = &mut self.entries[place].record;
        record.rate.add(sight.bytes);
        record.bytes += u64::from(sight.bytes);
        record.packets += u64::from(sight.packets);
        record.last = at.now;
        record.priority = sight.priority;
        record.kinds = record.kinds.with(sight.kinds);
        if record.class == Class::Signalling && !sight.kinds.is_signalling() {
            record.class = Class::Mouse;
            record.since = at.tick;
        }
        let note = Note::new(record.rank(), at.tick);
        // Mostly it is the same: then the line stays clean.
        if self.buckets[bucket].notes[way] != note {
            self.buckets[bucket].notes[way] = note;
        }
        changed
    }

    /// A packet comes in another tick than the one before.
    fn turn(&mut self, place: usize, age: Tick, at: Moment) -> bool {
        if age < self.rule.idle_ticks {
            return self.judge(place, at.tick);
        }
        // That flow is over, though nobody has noticed; this one is new.
        let record = &mut self.entries[place].record;
        let was_elephant = record.class == Class::Elephant;
        *record = Record { flow: record.flow, ..Record::new(at) };
        self.counters.aged += 1;
        self.counters.added += 1;
        self.counters.left += u64::from(was_elephant);
        self.counters.elephants -= u64::from(was_elephant);
        was_elephant
    }

    /// Brings a flow's rate up to a tick; whether its class has changed by that.
    fn judge(&mut self, place: usize, tick: Tick) -> bool {
        let record = &mut self.entries[place].record;
        record.rate.advance(tick);
        let was = record.class;
        record.class = self.rule.judge(was, record.rate.level(), &mut record.since, tick);
        match (was, record.class) {
            (Class::Mouse, Class::Elephant) => {
                self.counters.entered += 1;
                self.counters.elephants += 1;
            }
            (Class::Elephant, Class::Mouse) => {
                self.counters.left += 1;
                self.counters.elephants -= 1;
            }
            _ => return false,
        }
        true
    }
}
