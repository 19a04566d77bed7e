//! Packet memory: fixed pools, packets of one or more segments, shared read-only references.
//!
//! ```text
//! Pool --alloc/copy--> Packet (one owner, writes) --freeze--> Frame (shared, read only)
//!   ^                    |                        <-try_unfreeze-   |
//!   +------- drop -------+------------------------ last drop -------+
//! ```
//! A buffer is a header of one cache line followed by headroom and data. Handles are one pointer
//! each, so bursts and rings of them are small. All of it belongs to one worker (neither `Send`
//! nor `Sync`): counting a reference is an addition, not an atomic.

mod buffer;
#[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
mod external;
mod frame;
mod lent;
mod packet;
mod pool;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use buffer::Handle;
#[cfg_attr(not(feature = "dpdk"), allow(unused_imports))]
pub(crate) use external::{BATCH, Batch, HEADER_BYTES, Piece, Source};
pub use frame::Frame;
pub(crate) use lent::Lent;
pub use packet::Packet;
pub use pool::{Pool, PoolError, PoolSettings, PoolStats};

/// The segments of a packet in order.
#[derive(Clone)]
pub struct Segments<'a> {
    next: Option<Handle>,
    packet: PhantomData<&'a [u8]>,
}

impl Segments<'_> {
    fn new(head: Handle) -> Self {
        Self { next: Some(head), packet: PhantomData }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        self.next = segment.next();
        let bytes: *const [u8] = segment.bytes();
        // SAFETY: the packet this iterator borrows owns every segment of its chain, so the bytes
        // outlive 'a, and nobody writes to them while it is borrowed.
        Some(unsafe { &*bytes })
    }
}

/// Bytes of pool memory the packet at `head` occupies, headers included.
#[inline]
fn footprint(head: Handle) -> usize {
    // SAFETY: the pool lives while one of its buffers is out; the reference ends here.
    let buffer_bytes = unsafe { head.pool().as_ref() }.buffer_bytes();
    head.header().segments as usize * pool::stride(buffer_bytes)
}
