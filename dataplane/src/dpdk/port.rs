//! One queue of a device as a port.

use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

use arrayvec::ArrayVec;
use dpdk_sys as sys;

use super::mempool::TO_HEADER;
use super::{DeviceQueue, DpdkError, WorkerPool};
use crate::memory::{Frame, Packet, Piece, Pool, PoolSettings};
use crate::port::{BURST, Burst, Port, PortCounters, PortError, TxQueue};
use crate::time::Time;

/// Segments sent together at most: a burst of jumbo frames in several segments goes in two parts.
const SEGMENTS: usize = 128;

/// The segments of frames that are sent together.
type Places = ArrayVec<sys::dpdk_segment, SEGMENTS>;
/// The copies among them.
type Kept = ArrayVec<Frame, BURST>;

/// Packets that were copied, because their buffers could not be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// Received: somebody else still had them, or their data was not in their buffers.
    pub rx: u64,
    /// To be sent: not of this worker's pool, or in more segments than the device can send. Those
    /// that the device then has no room for are copied again.
    pub tx: u64,
    /// Not sent: longer than the port's MTU, too long for the segments the device can send, or
    /// empty. They were dropped, lest they stay in front for ever.
    pub tx_refused: u64,
}

/// One queue of a device: a [`Port`].
pub struct DpdkPort {
    queue: DeviceQueue,
    pool: Rc<Pool>,
    counters: PortCounters,
    copies: Copies,
    /// What is received: here so that no burst clears it.
    heads: Box<[sys::dpdk_segment; BURST]>,
    closed: bool,
}

impl DpdkPort {
    /// A port over `queue`, which receives into `pool`, and sends frames of it without copying.
    ///
    /// # Errors
    /// When the queue receives into another pool.
    pub fn new(queue: DeviceQueue, pool: &WorkerPool) -> Result<Self, DpdkError> {
        if !Arc::ptr_eq(&queue.pool, pool.mbufs()) {
            return Err(DpdkError::new(format!(
                "queue {} of {} receives into the pool of another worker",
                queue.index, queue.running.name
            )));
        }
        let heads = Box::new([EMPTY; BURST]);
        let (counters, copies) = (PortCounters::default(), Copies::default());
        let pool = Rc::clone(pool.pool());
        Ok(Self { queue, pool, counters, copies, heads, closed: false })
    }

    /// What had to be copied so far.
    #[must_use]
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// Makes a packet of what was received.
    #[inline]
    fn packet(&mut self, head: sys::dpdk_segment) -> Option<Packet> {
        if head.exclusive == 0 {
            return self.copy_in(head);
        }
        // SAFETY: `exclusive` says that each mbuf of the chain is of the queue's pool, which is what
        // `self.pool` is made of (`new`), that nobody else has it, and that its data lies in its buffer.
        unsafe {
            let mut packet = self.pool.adopt(piece(&head));
            let mut next = head.next;
            while !next.is_null() {
                let mut segment = EMPTY;
                sys::dpdk_next(next, &raw mut segment);
                next = segment.next;
                packet.join(self.pool.adopt(piece(&segment)));
            }
            Some(packet)
        }
    }

    /// The same for what cannot be shared; `None`, counted, when there is no buffer.
    #[cold]
    fn copy_in(&mut self, head: sys::dpdk_segment) -> Option<Packet> {
        let mut packet = self.pool.alloc();
        let mut segment = head;
        loop {
            let mut room = 0;
            // SAFETY: an mbuf that was received, and is freed below: `len` bytes are at `offset`
            // of its buffer, and nobody writes to them meanwhile.
            let bytes = unsafe {
                let buffer = sys::dpdk_buffer(segment.mbuf, &raw mut room).cast::<u8>();
                std::slice::from_raw_parts(buffer.add(segment.offset.into()), segment.len.into())
            };
            packet =
                packet.and_then(|mut packet| packet.append(&self.pool, bytes).then_some(packet));
            if segment.next.is_null() {
                break;
            }
            // SAFETY: the next mbuf of the same packet, and a place for the answer.
            unsafe { sys::dpdk_next(segment.next, &raw mut segment) };
        }
        // SAFETY: the packet as it was received; nothing refers to it any more.
        unsafe { sys::dpdk_free(head.mbuf) };
        match packet {
            Some(_) => self.copies.rx += 1,
            None => self.counters.rx_missed += 1,
        }
        packet
    }

    /// Lists the segments of as many frames of `queue` as go together, and keeps what had to be
    /// copied of them in `copies`. How many frames; none: there are none, or none can be sent.
    fn gather(&self, queue: &TxQueue, places: &mut Places, copies: &mut Kept) -> u16 {
        let mut frames = 0;
        for frame in queue.iter().take(BURST) {
            let copy = match self.shared(frame) {
                true => None,
                false => match self.copy_out(frame) {
                    Some(copy) => Some(copy),
                    None => break,
                },
            };
            if !list(copy.as_ref().unwrap_or(frame), places) {
                break;
            }
            frames += 1;
            copies.extend(copy);
        }
        frames
    }

    /// Whether a frame can be sent where it lies.
    #[inline]
    fn shared(&self, frame: &Frame) -> bool {
        self.allowed(frame)
            && frame.segment_count() <= self.most_segments()
            && self.pool.owns(frame)
    }

    /// Whether the device takes frames as long as this one, which is not empty.
    #[inline]
    fn allowed(&self, frame: &Frame) -> bool {
        (1..=self.queue.running.capabilities.frame as usize).contains(&frame.len())
    }

    /// Segments of a frame at most.
    #[inline]
    fn most_segments(&self) -> usize {
        usize::from(self.queue.running.capabilities.segments).min(SEGMENTS)
    }

    /// A copy of `frame` in buffers of our own; `None` when it does not fit, or there are none.
    #[cold]
    fn copy_out(&self, frame: &Frame) -> Option<Frame> {
        if !self.fits(frame) {
            return None;
        }
        let mut packet = self.pool.alloc()?;
        frame.segments().all(|bytes| packet.append(&self.pool, bytes)).then(|| packet.freeze())
    }

    /// Whether a copy of `frame` fits as many segments as can be sent.
    fn fits(&self, frame: &Frame) -> bool {
        let PoolSettings { buffer_bytes, headroom, .. } = self.pool.settings();
        let room = buffer_bytes as usize * self.most_segments() - headroom as usize;
        self.allowed(frame) && frame.len() <= room
    }

    /// Takes away the frame in front, if it can never be sent.
    #[cold]
    fn refuse(&mut self, queue: &mut TxQueue) -> bool {
        let hopeless = queue.front().is_some_and(|frame| !self.shared(frame) && !self.fits(frame));
        if hopeless {
            drop(queue.pop());
            self.copies.tx_refused += 1;
        }
        hopeless
    }
}

impl Port for DpdkPort {
    fn receive(&mut self, _now: Time, burst: &mut Burst) -> usize {
        if self.closed {
            return 0;
        }
        let room = burst.remaining_capacity().min(BURST) as u16;
        let (port, queue) = (self.queue.running.port, self.queue.index);
        // SAFETY: a started port and a queue that is ours alone (`Device::queue` gives it once);
        // `heads` has room for a burst; the pool lives as long as the device.
        let count = unsafe {
            let pool = self.queue.pool.raw();
            sys::dpdk_receive(port, queue, pool, self.heads.as_mut_ptr(), room)
        };
        let before = burst.len();
        for index in 0..usize::from(count) {
            let head = self.heads[index];
            if let Some(packet) = self.packet(head) {
                self.counters.rx_bytes += packet.len() as u64;
                burst.push(packet);
            }
        }
        let received = burst.len() - before;
        self.counters.rx_packets += received as u64;
        received
    }

    fn transmit(&mut self, _now: Time, queue: &mut TxQueue) -> usize {
        let mut sent = 0;
        while !self.closed {
            let (mut places, mut copies) = (Places::new(), Kept::new());
            let frames = self.gather(queue, &mut places, &mut copies);
            if frames == 0 {
                if self.refuse(queue) {
                    continue;
                }
                break;
            }
            let (port, index) = (self.queue.running.port, self.queue.index);
            // SAFETY: a started port and a queue that is ours alone; `places` lists the mbufs of
            // that many frames, which live while `queue` and `copies` do. The driver has a
            // reference to each mbuf it takes, and nobody writes to a frame.
            let taken = unsafe { sys::dpdk_send(port, index, places.as_ptr(), frames) };
            for _ in 0..taken {
                let Some(frame) = queue.pop() else { break };
                self.counters.tx_bytes += frame.len() as u64;
            }
            self.counters.tx_packets += u64::from(taken);
            self.copies.tx += copies.len() as u64;
            sent += usize::from(taken);
            if taken < frames {
                break;
            }
        }
        sent
    }

    fn close(&mut self) -> Vec<PortError> {
        self.closed = true;
        let (port, index) = (self.queue.running.port, self.queue.index);
        // SAFETY: a started port and a queue that is ours alone. Devices that cannot be asked for
        // what they have sent give it back when they stop.
        unsafe { sys::rte_eth_tx_done_cleanup(port, index, 0) };
        self.pool.settle();
        Vec::new()
    }

    fn counters(&self) -> PortCounters {
        let mut counters = self.counters;
        // What the device lost, it lost as a whole: the first queue tells it.
        if self.queue.index == 0 {
            let device = self.queue.running.counters();
            counters.rx_missed += device.rx_missed + device.rx_no_buffer + device.rx_errors;
        }
        counters
    }

    fn details(&self, each: &mut dyn FnMut(&'static str, u64)) {
        each("rx_copied", self.copies.rx);
        each("tx_copied", self.copies.tx);
        each("tx_refused", self.copies.tx_refused);
        if self.queue.index == 0 {
            let device = self.queue.running.counters();
            each("rx_missed", device.rx_missed);
            each("rx_no_buffer", device.rx_no_buffer);
            each("rx_errors", device.rx_errors);
            each("tx_errors", device.tx_errors);
        }
    }
}

/// A segment that is none.
const EMPTY: sys::dpdk_segment = sys::dpdk_segment {
    mbuf: ptr::null_mut(),
    next: ptr::null_mut(),
    offset: 0,
    len: 0,
    segments: 0,
    exclusive: 0,
    total: 0,
};

/// Where a received segment lies.
#[inline]
fn piece(segment: &sys::dpdk_segment) -> Piece {
    // SAFETY: an mbuf is not at address zero, and its header lies behind it.
    let buffer = unsafe { NonNull::new_unchecked(segment.mbuf.cast::<u8>().add(TO_HEADER)) };
    Piece { buffer, offset: segment.offset.into(), len: segment.len.into() }
}

/// Lists the segments of a frame of ours that hold bytes, of which there must be some; `false`, and
/// nothing changes, when they are too many.
#[inline]
fn list(frame: &Frame, places: &mut Places) -> bool {
    let first = places.len();
    if frame.segment_count() > places.remaining_capacity() {
        return false;
    }
    for piece in frame.pieces().filter(|piece| piece.len > 0) {
        places.push(sys::dpdk_segment {
            mbuf: piece.buffer.as_ptr().wrapping_sub(TO_HEADER).cast(),
            // Buffers of mbufs are shorter than 64 KiB.
            offset: piece.offset as u16,
            len: piece.len as u16,
            ..EMPTY
        });
    }
    let count = places.len() - first;
    let head = &mut places[first];
    (head.segments, head.total) = (count as u16, frame.len() as u32);
    true
}
