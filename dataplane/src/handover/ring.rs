//! The ring between two workers: one end writes, the other reads, neither waits.
//!
//! The ends own its slots in turn. A slot is the producer's until it is published, then the
//! consumer's until it is given back; both happen by counters that only ever grow, so an end has
//! to look at the other's only when those it remembers leave it nothing to do.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Settings;
use crate::drops::DropReason;
use crate::memory::{Packet, Pool};

/// Bytes before the data of a slot: the packet's length.
const PREFIX: usize = 8;
/// Slots begin at cache lines, as far as memory does.
const LINE: usize = 64;

/// A counter alone in its pair of cache lines: processors fetch them by twos.
#[repr(align(128))]
struct Counter(AtomicUsize);

/// What both ends share.
struct Ring {
    /// Slots the producer published since the ring began: written by it alone.
    published: Counter,
    /// Slots the consumer gave back since the ring began: written by it alone.
    returned: Counter,
    /// A power of two of slots, `stride` bytes each.
    slots: Box<[UnsafeCell<u8>]>,
    stride: usize,
    mask: usize,
}

// SAFETY: all that is not an atomic or constant is the bytes of the slots. A slot is touched only
// through `Ring::slot`, whose callers own it for as long as they do.
unsafe impl Sync for Ring {}

impl Ring {
    fn new(settings: Settings) -> Self {
        let stride = (PREFIX + settings.slot_bytes).next_multiple_of(LINE);
        // Fresh zero pages: a slot takes memory when it is first used, where its producer runs.
        let bytes = vec![0u8; settings.slots * stride].into_boxed_slice();
        // SAFETY: the box is made into a box of the same bytes: `UnsafeCell<u8>` has the layout of
        // `u8`, and nobody else has a pointer to them.
        let slots = unsafe { Box::from_raw(Box::into_raw(bytes) as *mut [UnsafeCell<u8>]) };
        let counter = || Counter(AtomicUsize::new(0));
        Self { published: counter(), returned: counter(), slots, stride, mask: settings.slots - 1 }
    }

    /// The bytes of the slot that is used at `count`.
    ///
    /// # Safety
    /// The caller owns the slot until the reference ends: it is the producer, and the slot is
    /// neither published nor to be given back; or the consumer, and it is published and not given
    /// back. No other reference to it is alive.
    #[allow(clippy::mut_from_ref)] // Why the caller may have it is above.
    #[inline]
    unsafe fn slot(&self, count: usize) -> &mut [u8] {
        let cells = &self.slots[(count & self.mask) * self.stride..][..self.stride];
        // SAFETY: the cells lie side by side in one allocation that lives as long as `self`, and
        // by the caller's word nobody else looks at them.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(cells.as_ptr()), cells.len()) }
    }
}

/// The end that writes.
pub struct Producer {
    ring: Arc<Ring>,
    /// Slots written since the ring began, published or not.
    written: usize,
    /// Of those, published.
    published: usize,
    /// Slots known to have been given back: at most as many as were.
    returned: usize,
    slot_bytes: usize,
}

/// The end that reads.
pub struct Consumer {
    ring: Arc<Ring>,
    /// Slots read since the ring began, given back or not.
    read: usize,
    /// Of those, given back.
    returned: usize,
    /// Slots known to have been published: at most as many as were.
    published: usize,
}

/// A ring's two ends, each for a thread of its own. The settings have been checked.
pub(super) fn ring(settings: Settings) -> (Producer, Consumer) {
    let ring = Arc::new(Ring::new(settings));
    let producer = Producer {
        ring: Arc::clone(&ring),
        written: 0,
        published: 0,
        returned: 0,
        slot_bytes: settings.slot_bytes,
    };
    (producer, Consumer { ring, read: 0, returned: 0, published: 0 })
}

impl Producer {
    /// Copies `packet`, all its segments, into the next slot. The other end sees it after
    /// [`Producer::publish`].
    ///
    /// # Errors
    /// Why it was not copied: every slot is taken, or it is longer than a slot.
    #[inline]
    pub fn push(&mut self, packet: &Packet) -> Result<(), DropReason> {
        if packet.len() > self.slot_bytes {
            return Err(DropReason::HandoverOversize);
        }
        if !self.has_room() {
            return Err(DropReason::HandoverFull);
        }
        // SAFETY: this is the producer, the only one; the slot is not published, and there is
        // room, so what it held before was given back. The reference ends here.
        let slot = unsafe { self.ring.slot(self.written) };
        let (prefix, mut data) = slot.split_at_mut(PREFIX);
        prefix.copy_from_slice(&(packet.len() as u64).to_ne_bytes());
        for segment in packet.segments() {
            let (to, rest) = data.split_at_mut(segment.len());
            to.copy_from_slice(segment);
            data = rest;
        }
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    /// Whether a slot is free. Looks at the other end only if none was when it last did.
    #[inline]
    fn has_room(&mut self) -> bool {
        let slots = self.ring.mask + 1;
        if self.written.wrapping_sub(self.returned) < slots {
            return true;
        }
        // Acquire: the consumer has done with what it gave back before we write over it.
        self.returned = self.ring.returned.0.load(Ordering::Acquire);
        self.written.wrapping_sub(self.returned) < slots
    }

    /// Shows the other end all that was pushed: once a burst.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.written {
            self.published = self.written;
            // Release: whoever sees the count sees what the slots hold.
            self.ring.published.0.store(self.written, Ordering::Release);
        }
    }
}

impl Consumer {
    /// A copy of the next packet in buffers of `pool`. `None` when there is none, or when `pool`
    /// has too few buffers: it counts that, and the packet stays for another time. The slot is
    /// free again after [`Consumer::give_back`].
    #[inline]
    pub fn pop(&mut self, pool: &Pool) -> Option<Packet> {
        if self.read == self.published {
            // Acquire: what the slots hold is there before we read it.
            self.published = self.ring.published.0.load(Ordering::Acquire);
            if self.read == self.published {
                return None;
            }
        }
        // SAFETY: this is the consumer, the only one; the slot is published and not given back.
        // The reference ends here.
        let slot = unsafe { self.ring.slot(self.read) };
        let (prefix, data) = slot.split_first_chunk::<PREFIX>()?;
        let packet = pool.copy(&data[..u64::from_ne_bytes(*prefix) as usize])?;
        self.read = self.read.wrapping_add(1);
        Some(packet)
    }

    /// Gives the other end all slots back that were read: once a burst.
    #[inline]
    pub fn give_back(&mut self) {
        if self.returned != self.read {
            self.returned = self.read;
            // Release: we have done with the slots before the producer may write over them.
            self.ring.returned.0.store(self.read, Ordering::Release);
        }
    }

    /// Packets that are published and not read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.published.0.load(Ordering::Relaxed).wrapping_sub(self.read)
    }
}
