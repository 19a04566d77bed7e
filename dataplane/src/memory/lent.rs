//! Buffers lent to a device: where a packet becomes an address in the pool's slab, and an address
//! a packet again.
//!
//! A device knows buffers as addresses counted from the begin of the slab. Buffers it may write to
//! ([`Lent::lend`]) belong to nobody else until they come back ([`Lent::returned`]); frames it
//! reads ([`Lent::send`]) are kept alive by one reference for each of their segments, until the
//! device is done with that segment ([`Lent::sent`]). What the device says is checked against
//! what it was given, so nothing it says can free a buffer twice.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;

use super::buffer::{Handle, Header};
use super::{Frame, Packet, Pool};

/// A slot's count while its buffer is lent to be written to.
const LENT: u32 = u32::MAX;

/// What the device has of one buffer.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The buffer that is the first segment of the frame this one is part of, while it is sent.
    head: u32,
    /// Times it is being sent, or [`LENT`].
    count: u32,
}

/// What one device has of a pool's buffers.
///
/// Dropping it leaves those buffers out for good, since a device may still write to them:
/// [`Lent::recall`] is for when it does not.
pub(crate) struct Lent {
    pool: Rc<Pool>,
    slots: Box<[Slot]>,
    slab: NonNull<u8>,
    /// Bytes from one buffer to the next are two to this power.
    shift: u32,
    lent: u32,
    sending: u32,
}

impl Lent {
    /// Bytes at the beginning of a buffer that the device must never write to.
    pub(crate) const HEADER: usize = size_of::<Header>();

    /// Nothing lent yet of `pool`. `None` when its buffers, headers included, are not a power of
    /// two apart.
    pub(crate) fn new(pool: Rc<Pool>) -> Option<Self> {
        let (slab, stride) = pool.slab()?;
        let slots = vec![Slot::default(); pool.settings().buffers as usize].into_boxed_slice();
        let shift = stride.is_power_of_two().then(|| stride.trailing_zeros())?;
        Some(Self { pool, slots, slab, shift, lent: 0, sending: 0 })
    }

    /// The memory all buffers lie in: where it begins, and its bytes. It stays there for as long
    /// as the pool's handle, or a buffer that is out.
    pub(crate) fn region(&self) -> (NonNull<u8>, usize) {
        (self.slab, self.slots.len() << self.shift)
    }

    /// Bytes from one buffer to the next.
    pub(crate) fn stride(&self) -> usize {
        1 << self.shift
    }

    /// The pool lent from.
    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Buffers lent to be written to.
    pub(crate) fn lent(&self) -> u32 {
        self.lent
    }

    /// Segments being sent.
    pub(crate) fn sending(&self) -> u32 {
        self.sending
    }

    /// Gives a buffer away to be written to, anywhere behind its header: the address of the
    /// buffer. `None`, counted by the pool, when it has none.
    #[inline]
    pub(crate) fn lend(&mut self) -> Option<u64> {
        let handle = self.pool.alloc()?.into_handle();
        let index = self.index(handle);
        self.slots[index].count = LENT;
        self.lent += 1;
        Some((index as u64) << self.shift)
    }

    /// A lent buffer comes back with `len` bytes written at `addr`: a packet of one segment.
    /// `None`, and nothing changes, when that buffer was not lent or these bytes are not all in it.
    #[inline]
    pub(crate) fn returned(&mut self, addr: u64, len: u32) -> Option<Packet> {
        let index = self.slot_at(addr)?;
        let begin = (addr & (self.stride() as u64 - 1)) as usize;
        let fits = begin >= size_of::<Header>() && begin + len as usize <= self.stride();
        if self.slots[index].count != LENT || !fits {
            return None;
        }
        let handle = self.take_back(index);
        // SAFETY: the handle is the only reference to the buffer, and the data lies within it.
        unsafe {
            let header = &mut *handle.as_ptr();
            header.offset = (begin - size_of::<Header>()) as u32;
            header.len = len;
            header.total = len;
        }
        Some(Packet::from_handle(handle))
    }

    /// Whether every segment of `frame` lies in the pool lent from.
    #[inline]
    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        self.pool.owns(frame)
    }

    /// Keeps `frame` alive while it is being sent, and tells the addresses of its segments that
    /// hold bytes, in order. To be called for frames only that this lender [owns](Self::owns) and
    /// that are not empty.
    #[inline]
    pub(crate) fn send(&mut self, frame: Frame, mut tell: impl FnMut(Range<u64>)) {
        assert!(self.owns(&frame) && !frame.is_empty(), "a frame that cannot be sent by address");
        let head = self.index(frame.handle()) as u32;
        let mut segment = Some(frame.handle());
        while let Some(handle) = segment {
            let header = handle.header();
            if header.len > 0 {
                let index = self.index(handle);
                let slot = &mut self.slots[index];
                // Four thousand million sends of one buffer at once would be needed to wrap.
                *slot = Slot { head, count: slot.count + 1 };
                self.sending += 1;
                let buffer = (index as u64) << self.shift;
                let begin = buffer + size_of::<Header>() as u64 + u64::from(header.offset);
                tell(begin..begin + u64::from(header.len));
                let _kept = ManuallyDrop::new(frame.clone());
            }
            segment = handle.next();
        }
    }

    /// The device is done with sending the segment at `addr`. `false`, and nothing changes, when
    /// it was not sending it.
    #[inline]
    pub(crate) fn sent(&mut self, addr: u64) -> bool {
        let Some(index) = self.slot_at(addr) else { return false };
        let slot = &mut self.slots[index];
        if slot.count == 0 || slot.count == LENT {
            return false;
        }
        slot.count -= 1;
        self.sending -= 1;
        let head = slot.head as usize;
        drop(self.kept(head));
        true
    }

    /// Takes everything home. To be called when the device can neither read nor write any more.
    pub(crate) fn recall(&mut self) {
        for index in 0..self.slots.len() {
            match self.slots[index].count {
                LENT => drop(Packet::from_handle(self.take_back(index))),
                count => (0..count).for_each(|_| {
                    self.sent((index as u64) << self.shift);
                }),
            }
        }
    }

    /// The number of the buffer that holds `addr`.
    #[inline]
    fn slot_at(&self, addr: u64) -> Option<usize> {
        usize::try_from(addr >> self.shift).ok().filter(|&index| index < self.slots.len())
    }

    /// The number of a buffer of this pool.
    #[inline]
    fn index(&self, handle: Handle) -> usize {
        (handle.as_ptr() as usize - self.slab.as_ptr() as usize) >> self.shift
    }

    /// The buffer with that number.
    ///
    /// # Safety
    /// It must be out, and the handle be used as whoever holds it may.
    unsafe fn handle(&self, index: usize) -> Handle {
        // SAFETY: an index below the number of buffers, so the header lies in the slab; it was
        // initialised when the buffer was first taken out.
        unsafe { Handle::new(self.slab.add(index << self.shift).cast()) }
    }

    /// Ends the lending of a buffer: the only handle to it.
    #[inline]
    fn take_back(&mut self, index: usize) -> Handle {
        assert_eq!(self.slots[index].count, LENT, "a buffer that was not lent");
        self.slots[index].count = 0;
        self.lent -= 1;
        // SAFETY: `lend` took it out of the pool and kept its only handle.
        unsafe { self.handle(index) }
    }

    /// One of the references that `send` kept of the frame that begins in this buffer; each is
    /// taken once, when its count in the slots goes down.
    #[inline]
    fn kept(&self, head: usize) -> Frame {
        // SAFETY: `send` kept a reference to this frame, which ends here.
        Frame::from_handle(unsafe { self.handle(head) })
    }
}

impl Packet {
    /// Puts the segments of `tail` behind its own.
    pub(crate) fn join(&mut self, tail: Packet) {
        let head = self.handle();
        let tail = tail.into_handle();
        let mut last = head;
        while let Some(next) = last.next() {
            last = next;
        }
        // SAFETY: all segments of both belong to this packet alone now; the reference count of
        // one that is not the first is not used.
        unsafe {
            (*last.as_ptr()).next = tail.as_ptr();
            (*head.as_ptr()).segments += tail.header().segments;
            (*head.as_ptr()).total += tail.header().total;
        }
    }
}
