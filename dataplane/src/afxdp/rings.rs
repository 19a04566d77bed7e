//! The four rings a socket shares with the kernel: one side produces, the other consumes.
//!
//! An index is written by one side alone: after the entries before it, with release ordering, and
//! read by the other with acquire ordering before it looks at those entries. Indices run through
//! all 32-bit values; the lowest bits are the place in the ring.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the parts of a ring lie in the memory it was mapped to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) producer: usize,
    pub(super) consumer: usize,
    pub(super) flags: usize,
    pub(super) entries: usize,
}

/// A ring in shared memory, of a power of two of entries.
struct Area<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    mask: u32,
}

impl<T: Copy> Area<T> {
    /// # Safety
    /// At `base` there must be a ring of `size` entries (a power of two) laid out by `offsets`,
    /// properly aligned, alive for as long as this value, of which this value alone is one side.
    unsafe fn new(base: NonNull<u8>, offsets: &Offsets, size: u32) -> Self {
        assert!(size.is_power_of_two());
        // SAFETY: the parts lie in the memory at `base`, by contract.
        unsafe {
            Self {
                producer: base.add(offsets.producer).cast(),
                consumer: base.add(offsets.consumer).cast(),
                flags: base.add(offsets.flags).cast(),
                entries: base.add(offsets.entries).cast(),
                mask: size - 1,
            }
        }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: alive and aligned, by the contract of `new`.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as in `producer`.
        unsafe { self.consumer.as_ref() }
    }

    /// The entry an index stands for.
    fn entry(&self, index: u32) -> *mut T {
        // SAFETY: the mask keeps it inside the ring.
        unsafe { self.entries.as_ptr().add((index & self.mask) as usize) }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as in `producer`.
        let flags = unsafe { self.flags.as_ref() }.load(Ordering::Relaxed);
        flags & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The side that puts entries in: of the fill ring and of the transmit ring.
pub(super) struct Producer<T> {
    area: Area<T>,
    /// Entries written; the other side knows of them once they are submitted.
    next: u32,
    /// The other side's index as last seen: room is looked up again only when it seems to be out.
    consumed: u32,
}

impl<T: Copy> Producer<T> {
    /// # Safety
    /// As for a ring's memory: alive and laid out by `offsets` as long as this value, which must
    /// be its only producer.
    pub(super) unsafe fn new(base: NonNull<u8>, offsets: &Offsets, size: u32) -> Self {
        // SAFETY: by contract.
        let area = unsafe { Area::new(base, offsets, size) };
        let next = area.producer().load(Ordering::Relaxed);
        let consumed = area.consumer().load(Ordering::Acquire);
        Self { area, next, consumed }
    }

    /// Whether `count` more entries fit.
    #[inline]
    pub(super) fn has_room(&mut self, count: u32) -> bool {
        let size = self.area.mask + 1;
        if size - self.next.wrapping_sub(self.consumed) >= count {
            return true;
        }
        self.consumed = self.area.consumer().load(Ordering::Acquire);
        size - self.next.wrapping_sub(self.consumed) >= count
    }

    /// Writes an entry, if there is room; whether there was.
    #[inline]
    pub(super) fn push(&mut self, entry: T) -> bool {
        if !self.has_room(1) {
            return false;
        }
        // SAFETY: inside the ring, and the consumer is done with what was there.
        unsafe { self.area.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the other side what was pushed.
    #[inline]
    pub(super) fn submit(&mut self) {
        self.area.producer().store(self.next, Ordering::Release);
    }

    /// Entries the other side has not taken yet.
    #[inline]
    pub(super) fn waiting(&mut self) -> u32 {
        self.consumed = self.area.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.consumed)
    }

    /// Whether the other side sleeps until it is called.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        self.area.needs_wakeup()
    }
}

/// The side that takes entries out: of the receive ring and of the completion ring.
pub(super) struct Consumer<T> {
    area: Area<T>,
    /// Entries taken; the other side may reuse them once they are released.
    next: u32,
    /// The other side's index as last seen.
    produced: u32,
}

impl<T: Copy> Consumer<T> {
    /// # Safety
    /// As for a ring's memory: alive and laid out by `offsets` as long as this value, which must
    /// be its only consumer.
    pub(super) unsafe fn new(base: NonNull<u8>, offsets: &Offsets, size: u32) -> Self {
        // SAFETY: by contract.
        let area = unsafe { Area::new(base, offsets, size) };
        let next = area.consumer().load(Ordering::Relaxed);
        Self { area, next, produced: next }
    }

    /// Takes the next entry, if there is one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.next == self.produced {
            self.produced = self.area.producer().load(Ordering::Acquire);
            if self.next == self.produced {
                return None;
            }
        }
        // SAFETY: inside the ring, written by the producer before the index that was acquired.
        let entry = unsafe { self.area.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Lets the other side reuse the entries that were taken.
    #[inline]
    pub(super) fn release(&mut self) {
        self.area.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: Offsets = Offsets { producer: 0, consumer: 64, flags: 128, entries: 192 };

    /// Memory of a ring of four, with indices about to wrap.
    fn memory() -> Vec<u64> {
        let mut memory = vec![0u64; 24 + 4];
        (memory[0], memory[8]) = (u64::from(u32::MAX - 1), u64::from(u32::MAX - 1));
        memory
    }

    #[test]
    fn entries_cross_in_order_and_the_ring_is_bounded() {
        let mut memory = memory();
        let base = NonNull::new(memory.as_mut_ptr().cast()).expect("not null");
        // SAFETY: memory of that layout, with one producer and one consumer.
        let (mut producer, mut consumer) = unsafe {
            (Producer::<u64>::new(base, &OFFSETS, 4), Consumer::<u64>::new(base, &OFFSETS, 4))
        };
        assert!(producer.has_room(4) && !producer.has_room(5));
        for round in 0..10 {
            for entry in 0..4 {
                assert!(producer.push(round * 10 + entry));
            }
            assert!(!producer.push(99));
            assert_eq!(consumer.pop(), None, "not submitted yet");
            producer.submit();
            for entry in 0..4 {
                assert_eq!(consumer.pop(), Some(round * 10 + entry));
            }
            assert!(consumer.pop().is_none() && !producer.has_room(1), "not released yet");
            consumer.release();
            assert_eq!(producer.waiting(), 0);
        }
    }

    #[test]
    fn a_wakeup_is_asked_for_by_the_other_side() {
        let mut memory = memory();
        let base = NonNull::new(memory.as_mut_ptr().cast::<u8>()).expect("not null");
        // SAFETY: memory of that layout, with one producer.
        let producer = unsafe { Producer::<u64>::new(base, &OFFSETS, 4) };
        assert!(!producer.needs_wakeup());
        // SAFETY: the flags of that layout.
        let flags = unsafe { base.add(OFFSETS.flags).cast::<AtomicU32>().as_ref() };
        flags.store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
    }
}
