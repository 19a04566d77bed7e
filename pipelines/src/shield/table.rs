//! A bounded table of streams: a set of a few slots for each hash, the least recently used of
//! which makes room. Nothing in it takes longer than looking at one set, whatever arrives.

use std::net::{IpAddr, Ipv6Addr};

use dataplane::time::Time;

/// Slots of a set.
const WAYS: usize = 4;

/// Which stream: addresses, VLAN, destination queue pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    /// Source and destination: IPv4 in the first word and a mark in the last.
    pub(super) addresses: [u64; 4],
    /// VLAN and queue pair.
    pub(super) rest: u64,
}

impl Key {
    /// Marks IPv4: as the end of an IPv6 address it is one that nobody has, `::4`.
    pub(super) const IPV4: u64 = 4;

    /// What has this number between two hosts in a VLAN (0: in none); `None` if their addresses are
    /// of two kinds.
    pub(super) fn between(ends: (IpAddr, IpAddr), vlan: u32, number: u32) -> Option<Self> {
        let addresses = match ends {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                [u64::from(from.to_bits()) << 32 | u64::from(to.to_bits()), 0, 0, Self::IPV4]
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let words = |address: Ipv6Addr| {
                    let bits = address.to_bits();
                    [(bits >> 64) as u64, bits as u64]
                };
                let ([a, b], [c, d]) = (words(from), words(to));
                [a, b, c, d]
            }
            _ => return None,
        };
        Some(Self { addresses, rest: u64::from(vlan) << 32 | u64::from(number) })
    }

    /// The number of what this is the key of.
    pub(super) fn number(&self) -> u32 {
        self.rest as u32
    }

    /// The stream between the same hosts the other way, to a queue pair of the same number.
    pub(super) fn reversed(&self) -> Self {
        let [a, b, c, d] = self.addresses;
        let v4 = [b, c, d] == [0, 0, Self::IPV4];
        let addresses = if v4 { [a.rotate_left(32), b, c, d] } else { [c, d, a, b] };
        Self { addresses, ..*self }
    }

    /// What has this number between the same hosts, in the same VLAN.
    pub(super) fn named(&self, number: u32) -> Self {
        Self { rest: self.rest >> 32 << 32 | u64::from(number), ..*self }
    }

    /// Hosts and VLAN of a stream.
    pub(super) fn hosts(&self) -> Self {
        self.named(0)
    }

    /// Keyed with `seed`, so that nobody outside knows which streams share a set.
    #[inline]
    pub(crate) fn hash(&self, seed: u64) -> u64 {
        let [a, b, c, d] = self.addresses;
        let fold = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
            (product >> 64) as u64 ^ product as u64
        };
        let hash = fold(fold(seed, a), self.rest);
        if b | c == 0 { hash } else { fold(fold(fold(hash, b), c), d) }
    }
}

/// Where a stream is in its table; another stream may take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

struct Entry<V> {
    key: Key,
    /// When it was last looked for.
    used: Time,
    value: V,
}

/// Marks of the streams in a set, which tell most keys apart; 0: nothing is there.
type Set = [u32; WAYS];

/// Streams and what is known of them.
pub(super) struct Table<V> {
    sets: Box<[Set]>,
    entries: Box<[Entry<V>]>,
    seed: u64,
}

impl<V: Default> Table<V> {
    /// Room for `streams`, rounded up to a power of two.
    pub(super) fn new(streams: u32, seed: u64) -> Self {
        let count = streams.max(WAYS as u32).next_power_of_two();
        let entry = |_| Entry { key: Key::default(), used: Time::ZERO, value: V::default() };
        Self {
            sets: vec![[0; WAYS]; count as usize / WAYS].into(),
            entries: (0..count).map(entry).collect(),
            seed,
        }
    }

    /// The stream with this key, if it is known.
    #[inline]
    pub(super) fn find(&mut self, key: &Key, now: Time) -> Option<Slot> {
        let (set, mark) = self.place(key);
        self.find_in(set, mark, key, now)
    }

    /// The stream with this key, and whether it is new here: then its value is the default.
    #[inline]
    pub(super) fn find_or_add(&mut self, key: &Key, now: Time) -> (Slot, bool) {
        let (set, mark) = self.place(key);
        match self.find_in(set, mark, key, now) {
            Some(slot) => (slot, false),
            None => (self.add(set, mark, key, now), true),
        }
    }

    #[inline]
    fn find_in(&mut self, set: usize, mark: u32, key: &Key, now: Time) -> Option<Slot> {
        let marks = self.sets.get(set)?;
        for (way, _) in marks.iter().enumerate().filter(|(_, there)| **there == mark) {
            let at = set * WAYS + way;
            let entry = self.entries.get_mut(at)?;
            if entry.key == *key {
                entry.used = now;
                return Some(Slot(at as u32));
            }
        }
        None
    }

    #[cold]
    fn add(&mut self, set: usize, mark: u32, key: &Key, now: Time) -> Slot {
        let ways = self.entries.iter().skip(set * WAYS).take(WAYS);
        let ages = self.sets[set].iter().zip(ways).map(|(mark, entry)| (*mark != 0, entry.used));
        let way = ages.enumerate().min_by_key(|(_, age)| *age).map_or(0, |(way, _)| way);
        self.sets[set][way] = mark;
        let at = set * WAYS + way;
        self.entries[at] = Entry { key: *key, used: now, value: V::default() };
        Slot(at as u32)
    }

    /// As [`Table::find_or_add`], with the value.
    #[inline]
    pub(super) fn value_of(&mut self, key: &Key, now: Time) -> (Slot, &mut V) {
        let (slot, _) = self.find_or_add(key, now);
        (slot, &mut self.entries[slot.0 as usize].value)
    }

    /// The key and value at a place, if there are any.
    #[inline]
    pub(super) fn at(&mut self, slot: Slot) -> Option<(&Key, &mut V)> {
        let at = slot.0 as usize;
        let there = *self.sets.get(at / WAYS)?.get(at % WAYS)? != 0;
        let entry = self.entries.get_mut(at)?;
        there.then_some((&entry.key, &mut entry.value))
    }

    /// As [`Table::find`], but looking does not keep the stream from making room.
    pub(super) fn peek(&self, key: &Key) -> Option<Slot> {
        let (set, mark) = self.place(key);
        let marks = self.sets.get(set)?;
        let mut ways = marks.iter().zip(set * WAYS..).filter(|(there, _)| **there == mark);
        let (_, at) =
            ways.find(|(_, at)| self.entries.get(*at).is_some_and(|is| is.key == *key))?;
        Some(Slot(at as u32))
    }

    /// As [`Table::at`], to read.
    pub(super) fn read(&self, slot: Slot) -> Option<(&Key, &V)> {
        let at = slot.0 as usize;
        let there = *self.sets.get(at / WAYS)?.get(at % WAYS)? != 0;
        self.entries.get(at).filter(|_| there).map(|entry| (&entry.key, &entry.value))
    }

    /// Forgets a stream.
    pub(super) fn remove(&mut self, key: &Key, now: Time) {
        if let Some(slot) = self.find(key, now) {
            self.sets[slot.0 as usize / WAYS][slot.0 as usize % WAYS] = 0;
        }
    }

    /// Forgets all streams.
    pub(super) fn clear(&mut self) {
        self.sets.fill([0; WAYS]);
    }

    /// The set of a key, and its mark there.
    #[inline]
    fn place(&self, key: &Key) -> (usize, u32) {
        let hash = key.hash(self.seed);
        (hash as usize & (self.sets.len() - 1), (hash >> 32) as u32 | 1)
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
