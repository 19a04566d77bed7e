//! Pools whose buffers are somebody else's: a device's library owns the memory, and what it
//! received is a packet where it lies.
//!
//! Such a pool asks its [`Source`] for buffers, and brings them back, a batch at a time: one call
//! out of this crate for many packets. What lies between, at most two batches, is what the source
//! lacks although nobody uses it.

use std::ptr::{self, NonNull};

use arrayvec::ArrayVec;

use super::buffer::{Handle, Header};
use super::pool::Shared;
use super::{Frame, Packet, Pool};

/// Bytes right before the data area of each buffer that are the pool's own.
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();

/// Buffers that go to or come from a source together.
pub(crate) const BATCH: usize = 32;

/// Some buffers of a source, by where their [`HEADER_BYTES`] begin.
pub(crate) type Batch = ArrayVec<NonNull<u8>, BATCH>;

/// Where a pool's buffers come from that are not its own.
///
/// # Safety
/// Each buffer the source gives begins at a multiple of 64 and has [`HEADER_BYTES`] and the pool's
/// `buffer_bytes` bytes behind them, all initialised; until it is put back nobody else writes to
/// it, or touches its header. All of it stays in place for as long as the source, or a buffer that
/// is out.
pub(crate) unsafe trait Source {
    /// Fills `batch` up, as far as there are buffers.
    fn take(&mut self, batch: &mut Batch);

    /// Takes all of `batch` back. The device may still be reading them: then it is the source that
    /// waits for it.
    fn put(&mut self, batch: &mut Batch);

    /// Whether the device may still be reading `buffer`, which is out.
    fn busy(&self, buffer: NonNull<u8>) -> bool;
}

/// What a pool of foreign buffers has besides the free list.
pub(super) struct External {
    source: Box<dyn Source>,
    returning: Batch,
}

impl External {
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self { source, returning: Batch::new() }
    }

    /// A batch of free buffers of `pool`, chained; null when there is none.
    pub(super) fn fetch(&mut self, pool: NonNull<Shared>) -> *mut Header {
        let mut batch = Batch::new();
        self.source.take(&mut batch);
        if batch.is_empty() && !self.returning.is_empty() {
            self.source.put(&mut self.returning);
            self.source.take(&mut batch);
        }
        batch.drain(..).fold(ptr::null_mut(), |next, buffer| {
            let header = buffer.cast::<Header>();
            // SAFETY: the header's place is aligned and ours (the source's promise).
            unsafe { header.write(Header::foreign(pool, next)) };
            header.as_ptr()
        })
    }

    /// Brings a buffer home, with the next batch.
    #[inline]
    pub(super) fn give(&mut self, header: NonNull<Header>) {
        self.returning.push(header.cast());
        if self.returning.is_full() {
            self.source.put(&mut self.returning);
        }
    }

    /// Brings home what waits, and the buffers chained behind `free`.
    pub(super) fn settle(&mut self, mut free: *mut Header) {
        while let Some(header) = NonNull::new(free) {
            // SAFETY: a chain of this pool's free buffers, each read before it is given.
            free = unsafe { header.as_ref() }.next;
            self.give(header);
        }
        self.source.put(&mut self.returning);
    }

    pub(super) fn busy(&self, header: NonNull<Header>) -> bool {
        self.source.busy(header.cast())
    }
}

/// Whether a device may still be reading a segment of the packet at `head`.
#[cold]
pub(super) fn busy(head: Handle) -> bool {
    let mut segment = Some(head);
    while let Some(handle) = segment {
        // SAFETY: the pool lives while one of its buffers is out; the reference ends here.
        if unsafe { handle.pool().as_ref() }.busy(handle) {
            return true;
        }
        segment = handle.next();
    }
    false
}

/// One segment of a frame as a device sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where its buffer begins: the header's place.
    pub(crate) buffer: NonNull<u8>,
    /// Where its data begins, counted from the end of the header.
    pub(crate) offset: u32,
    /// Bytes of data.
    pub(crate) len: u32,
}

impl Frame {
    /// Segments it lies in, those without bytes included.
    #[inline]
    pub(crate) fn segment_count(&self) -> usize {
        self.handle().header().segments as usize
    }

    /// Its segments as a device sees them, in order.
    #[inline]
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let mut next = Some(self.handle());
        std::iter::from_fn(move || {
            let handle = next?;
            next = handle.next();
            let header = handle.header();
            let buffer = NonNull::new(handle.as_ptr().cast())?;
            Some(Piece { buffer, offset: header.offset, len: header.len })
        })
    }
}

impl Pool {
    /// A buffer of this pool's source that a device filled, as a packet of one segment.
    ///
    /// # Safety
    /// The pool is one with a [`Source`], and `piece.buffer` a buffer of it that nobody else has
    /// and that keeps all that the source promises; `offset + len` is at most the pool's
    /// `buffer_bytes`.
    #[inline]
    pub(crate) unsafe fn adopt(&self, piece: Piece) -> Packet {
        // SAFETY: the caller's promise, handed on.
        unsafe { Packet::from_handle(Shared::adopt(self.shared(), piece)) }
    }

    /// Brings home what a pool with a source keeps ready; others have nothing to bring.
    pub(crate) fn settle(&self) {
        // SAFETY: the shared part lives at least as long as this handle; single-threaded, and the
        // reference ends here.
        unsafe { (*self.shared().as_ptr()).settle() };
    }
}

#[cfg(test)]
mod tests;
