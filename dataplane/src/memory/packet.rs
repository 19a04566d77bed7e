//! `Packet`: a packet with one owner, who may write to it.

use std::mem::ManuallyDrop;

use super::buffer::Handle;
use super::{Frame, Pool, Segments};

/// A packet of one or more segments with exactly one owner, who may write to it.
///
/// Eight bytes to move. Headers lie contiguously in the first segment ([`Packet::head`]); the
/// further ones are only carried. Dropping it takes its buffers home.
pub struct Packet(Handle);

impl Packet {
    pub(super) fn from_handle(handle: Handle) -> Self {
        Self(handle)
    }

    pub(super) fn handle(&self) -> Handle {
        self.0
    }

    pub(super) fn into_handle(self) -> Handle {
        ManuallyDrop::new(self).0
    }

    /// Bytes of the whole packet.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.header().total as usize
    }

    /// Whether it holds no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first segment, where all headers are.
    #[inline]
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The first segment, to write to.
    #[inline]
    pub fn head_mut(&mut self) -> &mut [u8] {
        let (offset, len) = (self.0.header().offset, self.0.header().len);
        // SAFETY: as in `Handle::bytes`; this is the only reference to the packet, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.data_at(offset), len as usize) }
    }

    /// All segments in order.
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(self.0)
    }

    /// Bytes of pool memory it occupies.
    #[inline]
    #[must_use]
    pub fn footprint(&self) -> usize {
        super::footprint(self.0)
    }

    /// Asks the processor to bring the packet's bookkeeping and its first headers closer: it is
    /// going to be looked at soon. `headroom`: where its data is likely to begin, since looking it
    /// up would wait for just what is asked for here.
    #[inline]
    pub fn prefetch(&self, headroom: u32) {
        self.0.prefetch(Some(headroom));
    }

    /// What was noted of the packet, beside its bytes; zero until something is.
    #[inline]
    #[must_use]
    pub fn mark(&self) -> u16 {
        self.0.header().mark
    }

    /// Notes something of the packet, which stays with it for as long as it lives.
    #[inline]
    pub fn set_mark(&mut self, mark: u16) {
        // SAFETY: the only owner of the packet, and no other reference to its header is alive.
        unsafe { (*self.0.as_ptr()).mark = mark };
    }

    /// Free bytes before the data.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.0.header().offset as usize
    }

    /// Makes `count` bytes before the data part of it, and gives them to be written; they hold
    /// whatever was there. `None`, and nothing changes, when the headroom is smaller.
    #[inline]
    pub fn prepend(&mut self, count: usize) -> Option<&mut [u8]> {
        let count32 = u32::try_from(count).ok()?;
        // SAFETY: the only owner of the packet, and no other reference to its header is alive;
        // offset and len move together and stay within the buffer, for count <= offset.
        unsafe {
            let header = &mut *self.0.as_ptr();
            header.offset = header.offset.checked_sub(count32)?;
            header.len += count32;
            header.total += count32;
        }
        self.head_mut().get_mut(..count)
    }

    /// Takes `count` bytes off the front. `false`, and nothing changes, when the first segment has
    /// fewer.
    #[inline]
    #[must_use]
    pub fn trim_front(&mut self, count: usize) -> bool {
        let Ok(count) = u32::try_from(count) else { return false };
        // SAFETY: as in `prepend`; count <= len.
        unsafe {
            let header = &mut *self.0.as_ptr();
            if count > header.len {
                return false;
            }
            header.offset += count;
            header.len -= count;
            header.total -= count;
        }
        true
    }

    /// Cuts the packet to its first `len` bytes; a longer wish changes nothing. Segments beyond
    /// go home.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let mut left = len as u32;
        let mut segment = self.0;
        let mut kept = 1;
        // SAFETY: as in `prepend`, for each segment: they belong to this packet alone. `left` only
        // ever shortens a segment, and the chain that is cut off becomes a packet of its own with
        // one reference, which is dropped.
        unsafe {
            loop {
                let header = &mut *segment.as_ptr();
                header.len = header.len.min(left);
                left -= header.len;
                match segment.next() {
                    Some(next) if left > 0 => segment = next,
                    rest => {
                        (*segment.as_ptr()).next = std::ptr::null_mut();
                        if let Some(rest) = rest {
                            (*rest.as_ptr()).refs = 1;
                            rest.release();
                        }
                        break;
                    }
                }
                kept += 1;
            }
            (*self.0.as_ptr()).total = len as u32;
            (*self.0.as_ptr()).segments = kept;
        }
    }

    /// Puts `bytes` at the end, over further buffers of `pool` as needed. `false` when the pool
    /// ran out of them: the packet is then as it was, and the failure is counted by the pool.
    #[must_use]
    pub fn append(&mut self, pool: &Pool, bytes: &[u8]) -> bool {
        let before = self.len();
        let mut last = self.0;
        while let Some(next) = last.next() {
            last = next;
        }
        let mut rest = bytes;
        loop {
            rest = self.fill(last, rest);
            if rest.is_empty() {
                return true;
            }
            let Some(fresh) = pool.alloc() else {
                self.truncate(before);
                return false;
            };
            let fresh = fresh.into_handle();
            // SAFETY: both belong to this packet alone; a further segment needs no headroom, and
            // its reference count is not used.
            unsafe {
                (*fresh.as_ptr()).offset = 0;
                (*last.as_ptr()).next = fresh.as_ptr();
                (*self.0.as_ptr()).segments += 1;
            }
            last = fresh;
        }
    }

    /// Copies what fits of `bytes` behind the data of `segment`, one of this packet's; returns
    /// what did not fit.
    fn fill<'a>(&mut self, segment: Handle, bytes: &'a [u8]) -> &'a [u8] {
        // SAFETY: the segment belongs to this packet alone, and the pool lives while one of its
        // buffers is out; the copy ends at the buffer's end at most.
        unsafe {
            let room = segment.pool().as_ref().buffer_bytes();
            let header = &mut *segment.as_ptr();
            let end = header.offset + header.len;
            let count = bytes.len().min((room - end) as usize);
            let (now, later) = bytes.split_at(count);
            segment.data_at(end).copy_from_nonoverlapping(now.as_ptr(), count);
            header.len += count as u32;
            (*self.0.as_ptr()).total += count as u32;
            later
        }
    }

    /// Gives the right to write up: from here on it may be shared.
    #[inline]
    #[must_use]
    pub fn freeze(self) -> Frame {
        Frame::from_handle(self.into_handle())
    }
}

impl Drop for Packet {
    #[inline]
    fn drop(&mut self) {
        self.0.release();
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({} bytes, {} segments)", self.len(), self.segments().count())
    }
}
