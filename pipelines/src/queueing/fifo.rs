//! Queues of items in one slab: each a list through its entries, all bounded by their number
//! together. Nothing is allocated once it is made.

/// No entry.
const NONE: u32 = u32::MAX;

/// An entry, in a queue or free.
#[derive(Debug)]
struct Entry<T> {
    item: Option<T>,
    bytes: u32,
    next: u32,
}

/// The entries of many queues.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Box<[Entry<T>]>,
    /// The entry that was used last is taken first: it is likely to be in a cache.
    free: u32,
    used: u32,
}

/// One queue: first in, first out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fifo {
    head: u32,
    tail: u32,
}

impl Fifo {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.head == NONE
    }
}

impl<T> Slab<T> {
    /// A slab of so many entries, all free.
    pub(super) fn new(entries: u32) -> Self {
        let next = |index| if index + 1 < entries { index + 1 } else { NONE };
        let entry = |index| Entry { item: None, bytes: 0, next: next(index) };
        let free = if entries > 0 { 0 } else { NONE };
        Self { entries: (0..entries).map(entry).collect(), free, used: 0 }
    }

    /// Entries in use.
    pub(super) const fn used(&self) -> u32 {
        self.used
    }

    /// Entries that are free.
    pub(super) const fn room(&self) -> u32 {
        self.entries.len() as u32 - self.used
    }

    /// Adds an item at the end of a queue.
    ///
    /// # Errors
    /// The item, if there is no free entry.
    #[inline]
    pub(super) fn push(&mut self, fifo: &mut Fifo, item: T, bytes: u32) -> Result<(), T> {
        let index = self.free;
        let Some(entry) = self.entries.get_mut(index as usize) else { return Err(item) };
        self.free = std::mem::replace(&mut entry.next, NONE);
        entry.item = Some(item);
        entry.bytes = bytes;
        match self.entries.get_mut(fifo.tail as usize) {
            Some(last) => last.next = index,
            None => fifo.head = index,
        }
        fifo.tail = index;
        self.used += 1;
        Ok(())
    }

    /// Bytes of the first item of a queue.
    #[inline]
    pub(super) fn front(&self, fifo: Fifo) -> Option<u32> {
        Some(self.entries.get(fifo.head as usize)?.bytes)
    }

    /// Takes the first item of a queue, and its bytes.
    #[inline]
    pub(super) fn pop(&mut self, fifo: &mut Fifo) -> Option<(T, u32)> {
        let index = fifo.head;
        let entry = self.entries.get_mut(index as usize)?;
        let item = entry.item.take()?;
        fifo.head = std::mem::replace(&mut entry.next, self.free);
        if fifo.head == NONE {
            fifo.tail = NONE;
        }
        self.free = index;
        self.used -= 1;
        Some((item, entry.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_share_entries_and_keep_their_order() {
        let mut slab = Slab::new(4);
        let (mut one, mut other) = (Fifo::EMPTY, Fifo::EMPTY);
        for number in 0..4 {
            let fifo = if number % 2 == 0 { &mut one } else { &mut other };
            assert_eq!(slab.push(fifo, number, number * 10), Ok(()));
        }
        assert_eq!(slab.push(&mut one, 9, 9), Err(9));
        assert_eq!((slab.used(), slab.front(one), slab.front(other)), (4, Some(0), Some(10)));
        assert_eq!(slab.pop(&mut one), Some((0, 0)));
        assert_eq!(slab.push(&mut other, 5, 50), Ok(()));
        let rest: Vec<u32> =
            std::iter::from_fn(|| slab.pop(&mut other)).map(|(item, _)| item).collect();
        assert_eq!(rest, [1, 3, 5]);
        assert_eq!((slab.pop(&mut one), slab.pop(&mut one)), (Some((2, 20)), None));
        assert!(one.is_empty() && other.is_empty() && slab.used() == 0);
    }

    #[test]
    fn a_slab_without_entries_takes_nothing() {
        let mut slab = Slab::new(0);
        assert_eq!(slab.push(&mut Fifo::EMPTY.clone(), 1, 1), Err(1));
    }
}
