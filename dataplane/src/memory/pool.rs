//! Fixed pools of equal buffers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::buffer::{Handle, Header};
use super::external::{External, Piece, Source};
use super::{Frame, Packet};

/// How a pool is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Number of buffers; all are allocated at once, none is added later.
    pub buffers: u32,
    /// Bytes of each buffer available for headroom and data: 256 to 65,536.
    pub buffer_bytes: u32,
    /// Bytes kept free before the data of a fresh packet, for headers put in front of it.
    pub headroom: u32,
}

impl PoolSettings {
    /// Whether a pool can be cut like this.
    fn check(self) -> Result<(), PoolError> {
        let Self { buffers, buffer_bytes, headroom } = self;
        if buffers == 0 {
            return Err(PoolError::Empty);
        }
        if !(256..=65_536).contains(&buffer_bytes) {
            return Err(PoolError::BufferSize(buffer_bytes));
        }
        if headroom.saturating_add(128) > buffer_bytes {
            return Err(PoolError::Headroom { headroom, buffer_bytes });
        }
        Ok(())
    }
}

/// What makes a pool impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There must be a buffer.
    #[error("a pool needs at least one buffer")]
    Empty,
    /// Outside 256 to 65,536 bytes.
    #[error("buffers of {0} bytes: must be 256 to 65536")]
    BufferSize(u32),
    /// The headroom would leave fewer than 128 bytes for data.
    #[error("headroom of {headroom} bytes leaves fewer than 128 of {buffer_bytes} for data")]
    Headroom {
        /// As asked for.
        headroom: u32,
        /// As asked for.
        buffer_bytes: u32,
    },
    /// More memory than can be addressed.
    #[error("a pool of {0} buffers cannot be addressed")]
    TooLarge(u32),
}

/// A pool's own figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Buffers in all.
    pub capacity: u32,
    /// Buffers that are out.
    pub in_use: u32,
    /// The most that were ever out.
    pub high_water: u32,
    /// How often a buffer was asked for and none was left.
    pub exhausted: u64,
}

/// A fixed set of equal buffers, owned by one worker.
///
/// Taking and returning a buffer is a push or pop of a free list: no lock, no atomic, and the
/// buffer returned last, still warm in the cache, is taken next. A pool is therefore neither
/// `Send` nor `Sync`. Memory is reserved at once and touched as it is first needed: what a pool costs
/// is its high water. An empty pool is an ordinary event: [`Pool::alloc`] says `None` and counts.
///
/// Packets may outlive the pool's handle: the memory goes when the last of them does.
pub struct Pool(NonNull<Shared>);

/// What all buffers of a pool point back to.
pub(super) struct Shared {
    free: *mut Header,
    /// Buffers from this one on have never been out and have no header yet.
    untouched: u32,
    available: u32,
    least_available: u32,
    /// The `Pool` handle is gone: whoever brings the last buffer home frees the memory.
    orphaned: bool,
    /// Bringing a buffer home takes more than the free list: it is orphaned, or not a slab.
    special: bool,
    exhausted: u64,
    settings: PoolSettings,
    /// Where buffers begin: the first page boundary of what was allocated. Null if they are
    /// somebody else's.
    slab: *mut u8,
    memory: Memory,
}

/// What the buffers lie in.
enum Memory {
    /// What was allocated for them.
    Slab { allocated: NonNull<u8>, layout: Layout },
    /// Somebody else's.
    External(Box<External>),
}

/// Buffers begin at a page boundary.
const PAGE: usize = 4096;
/// Alignment up to which the allocator hands out fresh zero pages as they are, without touching
/// them: that of any `malloc`.
const MALLOC_ALIGN: usize = 16;

impl Pool {
    /// Reserves all memory of the pool.
    ///
    /// # Errors
    /// When the settings contradict themselves: see [`PoolError`].
    pub fn new(settings: PoolSettings) -> Result<Self, PoolError> {
        settings.check()?;
        let buffers = settings.buffers;
        let stride = stride(settings.buffer_bytes);
        let layout = (buffers as usize)
            .checked_mul(stride)
            .and_then(|bytes| bytes.checked_add(PAGE))
            .and_then(|bytes| Layout::from_size_align(bytes, MALLOC_ALIGN).ok())
            .ok_or(PoolError::TooLarge(buffers))?;
        // SAFETY: the layout has a size above zero: at least one buffer of at least 64 bytes.
        let allocated = NonNull::new(unsafe { alloc_zeroed(layout) })
            .unwrap_or_else(|| handle_alloc_error(layout));
        let to_page = allocated.as_ptr().align_offset(PAGE);
        // SAFETY: a page more than the buffers need was allocated, and this is less than a page.
        let slab = unsafe { allocated.as_ptr().add(to_page) };
        Ok(Self::with(settings, slab, Memory::Slab { allocated, layout }))
    }

    /// A pool of somebody else's buffers, `settings.buffers` of them at most.
    ///
    /// # Errors
    /// As for [`Pool::new`].
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn external(
        settings: PoolSettings,
        source: Box<dyn Source>,
    ) -> Result<Self, PoolError> {
        settings.check()?;
        Ok(Self::with(settings, ptr::null_mut(), Memory::External(Box::new(External::new(source)))))
    }

    fn with(settings: PoolSettings, slab: *mut u8, memory: Memory) -> Self {
        Self(NonNull::from(Box::leak(Box::new(Shared {
            free: ptr::null_mut(),
            untouched: 0,
            available: settings.buffers,
            least_available: settings.buffers,
            orphaned: false,
            special: matches!(memory, Memory::External(_)),
            exhausted: 0,
            settings,
            slab,
            memory,
        }))))
    }

    pub(super) fn shared(&self) -> NonNull<Shared> {
        self.0
    }

    /// Whether every segment of `frame` is a buffer of this pool.
    #[inline]
    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        let mut segment = Some(frame.handle());
        while let Some(handle) = segment {
            if handle.pool() != self.0 {
                return false;
            }
            segment = handle.next();
        }
        true
    }

    /// An empty packet of one segment with the pool's headroom, or `None`, counted, when every
    /// buffer is out.
    #[inline]
    pub fn alloc(&self) -> Option<Packet> {
        // SAFETY: the shared part lives at least as long as this handle.
        let handle = unsafe { Shared::take(self.0) }?;
        Some(Packet::from_handle(handle))
    }

    /// A packet holding a copy of `bytes`, over as many segments as they need; `None`, counted,
    /// when the pool has too few buffers left, in which case none stays taken.
    pub fn copy(&self, bytes: &[u8]) -> Option<Packet> {
        let mut packet = self.alloc()?;
        packet.append(self, bytes).then_some(packet)
    }

    /// The pool's figures now.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        // SAFETY: as in `alloc`; the reference ends in this function, which calls nothing.
        let shared = unsafe { self.0.as_ref() };
        PoolStats {
            capacity: shared.settings.buffers,
            in_use: shared.settings.buffers - shared.available,
            high_water: shared.settings.buffers - shared.least_available,
            exhausted: shared.exhausted,
        }
    }

    /// Where the buffers begin, headers included, and the bytes from one to the next.
    pub(super) fn slab(&self) -> Option<(NonNull<u8>, usize)> {
        // SAFETY: as in `stats`.
        let shared = unsafe { self.0.as_ref() };
        NonNull::new(shared.slab).map(|slab| (slab, stride(shared.settings.buffer_bytes)))
    }

    /// How this pool was cut.
    #[must_use]
    pub fn settings(&self) -> PoolSettings {
        // SAFETY: as in `stats`.
        unsafe { self.0.as_ref() }.settings
    }
}

/// Bytes from one buffer to the next: header and data, in whole cache lines.
pub(super) const fn stride(buffer_bytes: u32) -> usize {
    size_of::<Header>() + (buffer_bytes as usize).next_multiple_of(64)
}

impl Shared {
    pub(super) fn buffer_bytes(&self) -> u32 {
        self.settings.buffer_bytes
    }

    /// Fills the empty free list, if there is anything to fill it with. `pool` is where this stands.
    #[cold]
    fn refill(&mut self, pool: NonNull<Shared>) {
        match &mut self.memory {
            Memory::Slab { .. } => self.touch(pool),
            Memory::External(external) => self.free = external.fetch(pool),
        }
    }

    /// Makes the next buffer that was never out the only free one, if there is one.
    fn touch(&mut self, pool: NonNull<Shared>) {
        if self.untouched == self.settings.buffers {
            return;
        }
        let offset = self.untouched as usize * stride(self.settings.buffer_bytes);
        self.untouched += 1;
        // SAFETY: an index below the number of buffers, so the header lies within the slab; it is a
        // multiple of 64 in a slab that begins at a page, and no header exists there yet.
        unsafe {
            let header = self.slab.add(offset).cast::<Header>();
            header.write(Header::free(pool, ptr::null_mut()));
            self.free = header;
        }
    }

    /// Takes a buffer, initialised as an empty packet.
    ///
    /// # Safety
    /// `pool` must be alive.
    #[inline]
    pub(super) unsafe fn take(pool: NonNull<Shared>) -> Option<Handle> {
        // SAFETY: alive by contract; single-threaded, and nothing below calls out, so this is the
        // only reference to the shared part while it lasts.
        let shared = unsafe { &mut *pool.as_ptr() };
        if shared.free.is_null() {
            shared.refill(pool);
        }
        let Some(header) = NonNull::new(shared.free) else {
            shared.exhausted += 1;
            return None;
        };
        shared.available -= 1;
        shared.least_available = shared.least_available.min(shared.available);
        // SAFETY: buffers in the free list are initialised and nobody else refers to them.
        unsafe {
            let first = &mut *header.as_ptr();
            shared.free = first.next;
            first.reset(shared.settings.headroom);
            Some(Handle::new(header))
        }
    }

    /// Brings a buffer home.
    ///
    /// # Safety
    /// `pool` must be alive, `header` one of its buffers, out until now and not used afterwards.
    #[inline]
    pub(super) unsafe fn put(pool: NonNull<Shared>, header: NonNull<Header>) {
        // SAFETY: by contract, and single-threaded as in `take`.
        unsafe {
            let shared = &mut *pool.as_ptr();
            if shared.special {
                return Self::put_special(pool, header);
            }
            (*header.as_ptr()).next = shared.free;
            shared.free = header.as_ptr();
            shared.available += 1;
        }
    }

    /// [`Shared::put`] for pools that are orphaned, or whose buffers are somebody else's. Called
    /// cold, so that it is out of the way of the others.
    ///
    /// # Safety
    /// As for `put`.
    #[cold]
    unsafe fn put_special(pool: NonNull<Shared>, header: NonNull<Header>) {
        // SAFETY: as in `put`.
        let gone = unsafe {
            let shared = &mut *pool.as_ptr();
            match &mut shared.memory {
                Memory::External(external) => external.give(header),
                Memory::Slab { .. } => {
                    (*header.as_ptr()).next = shared.free;
                    shared.free = header.as_ptr();
                }
            }
            shared.available += 1;
            shared.orphaned && shared.available == shared.settings.buffers
        };
        if gone {
            // SAFETY: no handle and no buffer is out: nothing refers to the pool any more.
            unsafe { Self::destroy(pool) };
        }
    }

    /// # Safety
    /// Nothing may refer to the pool or its buffers any more.
    #[cold]
    unsafe fn destroy(pool: NonNull<Shared>) {
        // SAFETY: the shared part was leaked from a Box in `Pool::new`, the memory allocated there
        // with this layout; by contract both are given back exactly once.
        unsafe {
            let mut shared = Box::from_raw(pool.as_ptr());
            shared.settle();
            if let Memory::Slab { allocated, layout } = shared.memory {
                dealloc(allocated.as_ptr(), layout);
            }
        }
    }

    /// Makes a buffer that a device filled a packet of its own.
    ///
    /// # Safety
    /// As for [`Pool::adopt`].
    #[inline]
    pub(super) unsafe fn adopt(pool: NonNull<Shared>, piece: Piece) -> Handle {
        let header = piece.buffer.cast::<Header>();
        // SAFETY: alive and single-threaded as in `take`; the header's place is aligned and ours by
        // contract.
        unsafe {
            let shared = &mut *pool.as_ptr();
            shared.available -= 1;
            shared.least_available = shared.least_available.min(shared.available);
            let mut first = Header::foreign(pool, ptr::null_mut());
            first.reset(piece.offset);
            (first.len, first.total) = (piece.len, piece.len);
            header.write(first);
            Handle::new(header)
        }
    }

    /// See [`Pool::settle`].
    pub(super) fn settle(&mut self) {
        if let Memory::External(external) = &mut self.memory {
            external.settle(std::mem::replace(&mut self.free, ptr::null_mut()));
        }
    }

    /// Whether a device may still be reading `buffer`, one of this pool.
    pub(super) fn busy(&self, buffer: Handle) -> bool {
        let header = NonNull::new(buffer.as_ptr());
        match (&self.memory, header) {
            (Memory::External(external), Some(header)) => external.busy(header),
            _ => false,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: alive until this moment; single-threaded.
        unsafe {
            let shared = &mut *self.0.as_ptr();
            if shared.available == shared.settings.buffers {
                Shared::destroy(self.0);
            } else {
                (shared.orphaned, shared.special) = (true, true);
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("settings", &self.settings())
            .field("stats", &self.stats())
            .finish()
    }
}
