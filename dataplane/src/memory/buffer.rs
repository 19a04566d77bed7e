//! The buffer: one cache line of header, then headroom and data, at a fixed address in a pool's slab.
//!
//! Nothing here is public outside `memory`; [`super::Packet`] and [`super::Frame`] are the two
//! safe faces of it.

use std::ptr::{self, NonNull};

use super::pool::Shared;

/// Header of one buffer. It fills exactly one cache line, so that freeing, cloning or measuring a
/// packet never touches its bytes.
#[repr(C, align(64))]
pub(super) struct Header {
    /// The next segment of the same packet, or the next buffer of the free list.
    pub(super) next: *mut Header,
    /// The pool to go home to.
    pub(super) pool: NonNull<Shared>,
    /// References to the packet; meaningful in the first segment only.
    pub(super) refs: u32,
    /// Where this segment's data begins, counted from the end of the header.
    pub(super) offset: u32,
    /// Bytes of data in this segment.
    pub(super) len: u32,
    /// Bytes in the whole packet; meaningful in the first segment only.
    pub(super) total: u32,
    /// Segments of the packet; meaningful in the first segment only.
    pub(super) segments: u32,
    /// Whether the buffer is somebody else's, so that a device may still read it when nobody else
    /// refers to it.
    pub(super) foreign: bool,
    /// What whoever decides about the packet noted of it; meaningful in the first segment only.
    pub(super) mark: u16,
}

const _: () = assert!(size_of::<Header>() == 64);

/// A pointer to a buffer that is out of its pool: the common machinery of `Packet` and `Frame`.
///
/// Invariant, kept by every constructor: the pointer came out of a live pool's slab, the slab lives
/// for as long as any of its buffers is out, and `offset + len` of every segment lies within the
/// pool's buffer size.
#[derive(Clone, Copy)]
pub(super) struct Handle(NonNull<Header>);

impl Handle {
    /// # Safety
    /// `header` must be a buffer taken out of its pool's free list, initialised by `Shared::take`.
    pub(super) unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    pub(super) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the pointer is valid (invariant), and the header is only written through
        // methods of the unique owner, or `retain`/`release`, none of which runs while this
        // borrow of the handle's owner lives: the type is neither Send nor Sync.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(super) fn pool(&self) -> NonNull<Shared> {
        self.header().pool
    }

    /// The data of this segment.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        let header = self.header();
        // SAFETY: offset + len lies within the buffer that follows the header (invariant); the
        // slab was zeroed at creation, so every byte is initialised.
        unsafe { std::slice::from_raw_parts(self.data_at(header.offset), header.len as usize) }
    }

    /// Address of byte `offset` of the data area.
    ///
    /// # Safety
    /// `offset` must not exceed the pool's buffer size.
    #[inline]
    pub(super) unsafe fn data_at(&self, offset: u32) -> *mut u8 {
        // SAFETY: the data area follows the header in the same allocation; in bounds by contract.
        unsafe { self.0.as_ptr().add(1).cast::<u8>().add(offset as usize) }
    }

    #[inline]
    pub(super) fn next(&self) -> Option<Handle> {
        NonNull::new(self.header().next).map(Handle)
    }

    /// Asks the processor to bring the header, and the cache line behind `headroom` bytes of data
    /// area, closer.
    #[inline]
    pub(super) fn prefetch(self, headroom: Option<u32>) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; this one lies
        // within the slab besides.
        unsafe {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.0.as_ptr().cast());
            if let Some(headroom) = headroom {
                let line = self.0.as_ptr().add(1).cast::<i8>().wrapping_add(headroom as usize);
                _mm_prefetch::<_MM_HINT_T0>(line);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = headroom;
    }

    /// One more reference to the packet.
    #[inline]
    pub(super) fn retain(&self) {
        // SAFETY: valid pointer (invariant), no other thread can see it, and no reference to the
        // header is alive here. A count that would wrap needs 2^32 live 8-byte handles: 32 GiB of
        // them; checked nevertheless, because wrapping would free a packet in use.
        unsafe {
            let refs = &raw mut (*self.0.as_ptr()).refs;
            *refs = (*refs).checked_add(1).unwrap_or_else(|| std::process::abort());
        }
    }

    /// One reference less; the last one takes every segment home.
    #[inline]
    pub(super) fn release(self) {
        // SAFETY: as in `retain`; the caller gives its reference up and does not use it again.
        unsafe {
            let head = self.0.as_ptr();
            let refs = (*head).refs - 1;
            (*head).refs = refs;
            if refs == 0 {
                let mut segment = head;
                while !segment.is_null() {
                    let next = (*segment).next;
                    Shared::put((*segment).pool, NonNull::new_unchecked(segment));
                    segment = next;
                }
            }
        }
    }
}

impl Header {
    /// A fresh header of a buffer in the free list before `next`.
    pub(super) fn free(pool: NonNull<Shared>, next: *mut Header) -> Self {
        Self {
            next,
            pool,
            refs: 0,
            offset: 0,
            len: 0,
            total: 0,
            segments: 0,
            foreign: false,
            mark: 0,
        }
    }

    /// The same of a buffer that is somebody else's.
    pub(super) fn foreign(pool: NonNull<Shared>, next: *mut Header) -> Self {
        Self { foreign: true, ..Self::free(pool, next) }
    }

    /// Makes it the only segment of an empty packet whose data begins at `headroom`.
    pub(super) fn reset(&mut self, headroom: u32) {
        self.next = ptr::null_mut();
        self.refs = 1;
        self.offset = headroom;
        self.len = 0;
        self.total = 0;
        self.segments = 1;
        self.mark = 0;
    }
}
