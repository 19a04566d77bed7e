//! A bounded table of streams by name: a set of a few slots for each name, the least recently used
//! of which makes room. Nothing in it takes longer than looking at one set, whatever arrives.

use dataplane::time::Time;

use crate::shield::Key;

/// Slots of a set.
const WAYS: usize = 4;

/// The name of a stream between two gateways: a keyed hash of what tells it from others. Both
/// gateways of a session find the same one, and nobody else can tell which streams share a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Name(pub(crate) u64);

impl Name {
    /// Of the packets to a queue pair: of responses to it, or of requests. `secret` keys it.
    #[inline]
    pub(crate) fn of(to: &Key, response: bool, secret: u64) -> Self {
        Self(to.hash(secret ^ u64::from(response)))
    }
}

/// Where a stream is in its table; another stream may take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

struct Entry<V> {
    name: Option<Name>,
    /// When it was last looked for.
    used: Time,
    value: V,
}

/// Streams and what is known of them.
pub(crate) struct Table<V> {
    entries: Box<[Entry<V>]>,
}

impl<V: Default> Table<V> {
    /// Room for `streams`, rounded up to a power of two.
    pub(crate) fn new(streams: u32) -> Self {
        let count = streams.max(WAYS as u32).next_power_of_two();
        let entry = |_| Entry { name: None, used: Time::ZERO, value: V::default() };
        Self { entries: (0..count).map(entry).collect() }
    }

    /// Streams that there is room for.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the set of a name begins.
    #[inline]
    fn set(&self, name: Name) -> usize {
        let sets = self.entries.len() / WAYS;
        (name.0 as usize & (sets - 1)) * WAYS
    }

    /// The stream of this name, if it is known.
    #[inline]
    pub(crate) fn find(&mut self, name: Name, now: Time) -> Option<Slot> {
        let first = self.set(name);
        let set = self.entries.iter_mut().enumerate().skip(first).take(WAYS);
        for (at, entry) in set {
            if entry.name == Some(name) {
                entry.used = now;
                return Some(Slot(at as u32));
            }
        }
        None
    }

    /// A place for a stream that is not known yet. The one that was there is handed to `evict`.
    #[cold]
    pub(crate) fn add(&mut self, name: Name, now: Time, evict: impl FnOnce(&mut V)) -> Slot {
        let first = self.set(name);
        let set = self.entries.iter().enumerate().skip(first).take(WAYS);
        let oldest = set.min_by_key(|(_, entry)| (entry.name.is_some(), entry.used));
        let at = oldest.map_or(first, |(at, _)| at);
        if let Some(entry) = self.entries.get_mut(at) {
            if entry.name.is_some() {
                evict(&mut entry.value);
            }
            *entry = Entry { name: Some(name), used: now, value: V::default() };
        }
        Slot(at as u32)
    }

    /// What is known of the stream at a place, with its name.
    #[inline]
    pub(crate) fn at(&mut self, slot: Slot) -> Option<(Name, &mut V)> {
        let entry = self.entries.get_mut(slot.0 as usize)?;
        Some((entry.name?, &mut entry.value))
    }

    /// What is known of the stream at a place.
    pub(crate) fn get(&self, slot: Slot) -> Option<&V> {
        let entry = self.entries.get(slot.0 as usize)?;
        entry.name.map(|_| &entry.value)
    }

    /// Forgets all streams, each after `evict` has seen it.
    pub(crate) fn clear(&mut self, mut evict: impl FnMut(&mut V)) {
        for entry in self.entries.iter_mut().filter(|entry| entry.name.is_some()) {
            evict(&mut entry.value);
            (entry.name, entry.value) = (None, V::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_of_a_set_makes_room_and_is_shown() {
        let mut table = Table::<u64>::new(8);
        // Even names share a set of four.
        for n in 0..4 {
            let slot = table.add(Name(n * 2), Time(n), |_| panic!("there is room"));
            *table.at(slot).expect("just added").1 = n;
        }
        assert!(table.find(Name(0), Time(10)).is_some());
        let mut evicted = None;
        table.add(Name(100), Time(11), |value| evicted = Some(*value));
        assert_eq!(evicted, Some(1));
        assert!(table.find(Name(2), Time(12)).is_none());
        assert!(table.find(Name(0), Time(12)).is_some());
        assert!(table.find(Name(1), Time(12)).is_none(), "never added");
    }

    #[test]
    fn a_cleared_table_knows_nobody() {
        let mut table = Table::<u64>::new(4);
        let slot = table.add(Name(7), Time(1), |_| {});
        let mut seen = 0;
        table.clear(|_| seen += 1);
        assert_eq!(seen, 1);
        assert!(table.find(Name(7), Time(2)).is_none() && table.at(slot).is_none());
    }
}
