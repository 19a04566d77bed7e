//! `Frame`: a packet that nobody writes to any more, and that may therefore be shared.

use std::mem::ManuallyDrop;

use super::buffer::Handle;
use super::{Packet, Segments};

/// A shared, read-only reference to a packet: what goes out of a port, and what the replay buffer
/// keeps. Eight bytes; cloning counts a reference and copies nothing.
pub struct Frame(Handle);

impl Frame {
    pub(super) fn from_handle(handle: Handle) -> Self {
        Self(handle)
    }

    pub(super) fn handle(&self) -> Handle {
        self.0
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

    /// What was noted of the packet before it was frozen.
    #[inline]
    #[must_use]
    pub fn mark(&self) -> u16 {
        self.0.header().mark
    }

    /// Asks the processor to bring the frame's bookkeeping closer: it is going to be dropped or
    /// cloned soon.
    #[inline]
    pub fn prefetch(&self) {
        self.0.prefetch(None);
    }

    /// The right to write again, if this is the last reference and no device reads it any more;
    /// else the frame back.
    ///
    /// # Errors
    /// The frame itself, when others refer to it.
    #[inline]
    pub fn try_unfreeze(self) -> Result<Packet, Frame> {
        let header = self.0.header();
        if header.refs == 1 && !(header.foreign && super::external::busy(self.0)) {
            Ok(Packet::from_handle(ManuallyDrop::new(self).0))
        } else {
            Err(self)
        }
    }
}

impl Clone for Frame {
    #[inline]
    fn clone(&self) -> Self {
        self.0.retain();
        Self(self.0)
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        self.0.release();
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes, {} segments)", self.len(), self.segments().count())
    }
}
