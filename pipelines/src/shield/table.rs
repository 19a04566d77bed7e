//! A bounded table of streams: a set of a few slots for each hash, the least recently used of
//! which makes room. Nothing in it takes longer than looking at one set, whatever arrives.

use dataplane::time::Time;

/// Slots of a set.
const WAYS: usize = 4;

/// Which stream: addresses, VLAN, destination queue pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key {
    /// Source and destination: IPv4 in the first word and a mark in the last.
    pub(super) addresses: [u64; 4],
    /// VLAN and queue pair.
    pub(super) rest: u64,
}

impl Key {
    /// Keyed with `seed`, so that nobody outside knows which streams share a set.
    #[inline]
    fn hash(&self, seed: u64) -> u64 {
        let words = self.addresses.iter().chain([&self.rest]);
        words.fold(seed, |hash, word| {
            let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
            (product >> 64) as u64 ^ product as u64
        })
    }
}

/// Where a stream is in its table; another stream may take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

struct Entry<V> {
    key: Key,
    /// When it was last looked for; `None`: nothing is here.
    used: Option<Time>,
    value: V,
}

/// Streams and what is known of them.
pub(super) struct Table<V> {
    entries: Box<[Entry<V>]>,
    seed: u64,
    last: Slot,
}

impl<V: Default> Table<V> {
    /// Room for `streams`, rounded up to a power of two.
    pub(super) fn new(streams: u32, seed: u64) -> Self {
        let count = streams.max(WAYS as u32).next_power_of_two();
        let entry = |_| Entry { key: Key::default(), used: None, value: V::default() };
        Self { entries: (0..count).map(entry).collect(), seed, last: Slot(0) }
    }

    /// The stream with this key, if it is known.
    #[inline]
    pub(super) fn find(&mut self, key: &Key, now: Time) -> Option<Slot> {
        if self.is(self.last, key) {
            return Some(self.last);
        }
        let set = self.set(key);
        let ways = self.entries.get_mut(set..set + WAYS)?;
        let way = ways.iter().position(|entry| entry.used.is_some() && entry.key == *key)?;
        ways.get_mut(way)?.used = Some(now);
        self.last = Slot((set + way) as u32);
        Some(self.last)
    }

    /// The stream with this key, and whether it is new here: then its value is the default.
    #[inline]
    pub(super) fn find_or_add(&mut self, key: &Key, now: Time) -> (Slot, bool) {
        match self.find(key, now) {
            Some(slot) => (slot, false),
            None => (self.add(key, now), true),
        }
    }

    #[cold]
    fn add(&mut self, key: &Key, now: Time) -> Slot {
        let set = self.set(key);
        let ways = self.entries.iter().enumerate().skip(set).take(WAYS);
        let oldest = ways.min_by_key(|(_, entry)| entry.used).map_or(set, |(index, _)| index);
        if let Some(entry) = self.entries.get_mut(oldest) {
            *entry = Entry { key: *key, used: Some(now), value: V::default() };
        }
        self.last = Slot(oldest as u32);
        self.last
    }

    /// The key and value at a place, if there are any.
    #[inline]
    pub(super) fn at(&mut self, slot: Slot) -> Option<(&Key, &mut V)> {
        let entry = self.entries.get_mut(slot.0 as usize)?;
        entry.used.is_some().then_some((&entry.key, &mut entry.value))
    }

    /// Forgets a stream.
    pub(super) fn remove(&mut self, key: &Key, now: Time) {
        if let Some(slot) = self.find(key, now)
            && let Some(entry) = self.entries.get_mut(slot.0 as usize)
        {
            entry.used = None;
        }
    }

    /// Forgets all streams.
    pub(super) fn clear(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.used = None);
    }

    #[inline]
    fn is(&self, slot: Slot, key: &Key) -> bool {
        let entry = self.entries.get(slot.0 as usize);
        entry.is_some_and(|entry| entry.used.is_some() && entry.key == *key)
    }

    #[inline]
    fn set(&self, key: &Key) -> usize {
        let sets = self.entries.len() / WAYS;
        (key.hash(self.seed) as usize & (sets - 1)) * WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key { addresses: [number, 0, 0, 4], rest: number }
    }

    #[test]
    fn streams_are_found_until_newer_ones_need_their_place() {
        let mut table = Table::<u64>::new(16, 7);
        for number in 0..1_000 {
            let (slot, new) = table.find_or_add(&key(number), Time(number));
            assert!(new);
            *table.at(slot).unwrap().1 = number;
            let again = table.find_or_add(&key(number), Time(number));
            assert_eq!(again, (slot, false));
        }
        let known = (0..1_000).filter(|&n| table.find(&key(n), Time(1_000)).is_some());
        let known: Vec<_> = known.collect();
        assert!(known.len() <= 16 && known.contains(&999), "{known:?}");
        for number in known {
            let slot = table.find(&key(number), Time(1_000)).unwrap();
            assert_eq!(table.at(slot), Some((&key(number), &mut { number })));
        }
    }

    #[test]
    fn the_one_that_was_not_used_goes() {
        let mut table = Table::<()>::new(4, 7);
        (0..4).for_each(|n| _ = table.find_or_add(&key(n), Time(n)));
        assert!(table.find(&key(0), Time(10)).is_some());
        table.find_or_add(&key(5), Time(11));
        assert!(table.find(&key(0), Time(12)).is_some());
        assert!(table.find(&key(1), Time(12)).is_none());
    }

    #[test]
    fn removed_and_cleared_streams_are_new_again() {
        let mut table = Table::<u8>::new(4, 7);
        (0..3).for_each(|n| _ = table.find_or_add(&key(n), Time(n)));
        table.remove(&key(1), Time(3));
        assert!(table.find(&key(1), Time(4)).is_none());
        assert!(table.find_or_add(&key(1), Time(5)).1);
        table.clear();
        assert!((0..3).all(|n| table.find(&key(n), Time(6)).is_none()));
    }
}
