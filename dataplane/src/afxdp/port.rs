//! The port of one worker on one queue of an interface.

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use libc::xdp_desc;

use super::open::{self, Opened};
use super::socket::Socket;
use super::{AfXdpError, Interface, Mode, Refusal};
use crate::memory::{Frame, Lent, Packet, Pool};
use crate::port::{Burst, Port, PortCounters, PortError, TxQueue};
use crate::time::Time;

/// The most segments of one frame: what every kernel takes.
const MOST_SEGMENTS: usize = 16;
/// How long closing waits for what is being sent.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// How one queue is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSettings {
    /// The queue, from 0.
    pub queue: u32,
    /// Entries of each ring, a power of two from 64 to 32,768: as many buffers the kernel has to
    /// receive into, and as many segments can be on their way out.
    pub ring: u32,
}

/// What an AF_XDP port saw besides [`PortCounters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AfXdpCounters {
    /// Packets the kernel dropped because the receive ring was full: the worker was too slow.
    pub rx_ring_full: u64,
    /// Packets the kernel dropped for want of a buffer, or for another reason.
    pub rx_dropped: u64,
    /// Times the kernel looked for a buffer in the fill ring and found none.
    pub fill_ring_empty: u64,
    /// Times the pool had too few buffers to fill the fill ring up.
    pub pool_empty: u64,
    /// Descriptors the kernel found invalid, either way: a fault of ours.
    pub invalid: u64,
    /// Descriptors from the kernel that name no buffer it has: a fault of the kernel's.
    pub alien: u64,
    /// Frames that had to be copied before they were sent: of another pool, or in more segments
    /// than can be sent.
    pub tx_copied: u64,
    /// Frames that could not be sent and were dropped: empty, or not to be copied.
    pub tx_refused: u64,
    /// Calls into the kernel to send.
    pub tx_wakeups: u64,
    /// Calls into the kernel to receive.
    pub rx_wakeups: u64,
}

/// A port on one queue of an interface: see [`crate::afxdp`].
pub struct AfXdpPort {
    /// `None` once closed.
    socket: Option<Socket>,
    lent: Lent,
    interface: Arc<Interface>,
    settings: PortSettings,
    mode: Mode,
    refused: Vec<Refusal>,
    /// Whether packets may lie in several chunks.
    segments: bool,
    /// A packet whose last segments have not arrived.
    partial: Option<Packet>,
    counters: PortCounters,
    own: AfXdpCounters,
    error: Option<String>,
}

impl AfXdpPort {
    /// Opens a queue of `interface` over `pool`, by the thread that will use it. The pool's buffers
    /// must be of 4032 or 1984 bytes, which makes a page or half of it with their header; `ring` of
    /// them are lent to the kernel at once.
    ///
    /// # Errors
    /// When the settings cannot be, there is no such queue, another socket has it, or no mode is
    /// granted.
    pub fn open(
        interface: &Arc<Interface>,
        pool: &Rc<Pool>,
        settings: PortSettings,
    ) -> Result<Self, AfXdpError> {
        let Opened { socket, lent, mode, segments, refused } =
            open::open(interface, pool, settings)?;
        Ok(Self {
            socket: Some(socket),
            lent,
            interface: Arc::clone(interface),
            settings,
            mode,
            refused,
            segments,
            partial: None,
            counters: PortCounters::default(),
            own: AfXdpCounters::default(),
            error: None,
        })
    }

    /// The mode obtained.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Better modes that were tried, and why they were refused.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Whether packets longer than a buffer can be received and sent.
    #[must_use]
    pub fn jumbo(&self) -> bool {
        self.segments
    }

    /// The interface it is on.
    #[must_use]
    pub fn interface(&self) -> &Arc<Interface> {
        &self.interface
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.settings.queue
    }

    /// Segments given to the kernel to send, of which it has not said that they are sent.
    #[must_use]
    pub fn sending(&self) -> u32 {
        self.lent.sending()
    }

    /// What it saw besides [`Port::counters`]. Asks the kernel: not for every packet.
    #[must_use]
    pub fn afxdp_counters(&self) -> AfXdpCounters {
        let mut counters = self.own;
        if let Some(Ok(kernel)) = self.socket.as_ref().map(Socket::statistics) {
            counters.rx_ring_full = kernel.rx_ring_full;
            counters.rx_dropped = kernel.rx_dropped;
            counters.fill_ring_empty = kernel.rx_fill_ring_empty_descs;
            counters.invalid = kernel.rx_invalid_descs + kernel.tx_invalid_descs;
        }
        counters
    }

    /// Lets go of the frames that were sent.
    #[inline]
    fn reap(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while let Some(addr) = socket.completion.pop() {
            self.own.alien += u64::from(!self.lent.sent(addr));
        }
        socket.completion.release();
    }

    /// Lends the kernel as many buffers as it had at first.
    #[inline]
    fn refill(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        if self.lent.lent() < self.settings.ring {
            self.own.pool_empty +=
                u64::from(!open::fill(socket, &mut self.lent, self.settings.ring));
        }
        if socket.fill.needs_wakeup() {
            self.own.rx_wakeups += 1;
            let woken = socket.wake_receive();
            self.watch(woken);
        }
    }

    /// Lets the kernel send, if something waits and the kernel is not at it by itself.
    #[inline]
    fn kick(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        if socket.tx.waiting() > 0 && socket.tx.needs_wakeup() {
            self.own.tx_wakeups += 1;
            let woken = socket.wake_transmit();
            self.watch(woken);
        }
    }

    /// Takes note of an error that no later round will mend.
    fn watch(&mut self, woken: io::Result<()>) {
        let Err(error) = woken else { return };
        // Too much at once, a full queue below, an interface that is down: the next round tries
        // again.
        const PASSING: [i32; 5] =
            [libc::EAGAIN, libc::EBUSY, libc::ENOBUFS, libc::EINTR, libc::ENETDOWN];
        if !error.raw_os_error().is_some_and(|errno| PASSING.contains(&errno)) {
            let name = &self.interface.netdev().name;
            self.error = Some(match error.raw_os_error() {
                Some(libc::ENXIO) => {
                    format!("interface {name} is gone: start again once it is back")
                }
                _ => format!("queue {} of interface {name}: {error}", self.settings.queue),
            });
        }
    }

    /// Adds a segment that arrived to the packet it is part of; the packet, if it was the last.
    #[inline]
    fn assemble(&mut self, desc: xdp_desc) -> Option<Packet> {
        let Some(segment) = self.lent.returned(desc.addr, desc.len) else {
            self.own.alien += 1;
            return None;
        };
        let packet = match self.partial.take() {
            None => segment,
            Some(mut packet) => {
                packet.join(segment);
                packet
            }
        };
        if desc.options & libc::XDP_PKT_CONTD == 0 {
            return Some(packet);
        }
        self.partial = Some(packet);
        None
    }

    /// The frame itself if it can be sent from where it lies, else a copy that can; `None`,
    /// counted, when there can be none.
    #[inline]
    fn sendable(&mut self, frame: Frame) -> Option<Frame> {
        let most = if self.segments { MOST_SEGMENTS } else { 1 };
        if !frame.is_empty() && frame.segments().count() <= most && self.lent.owns(&frame) {
            return Some(frame);
        }
        let copy = self.copy(&frame).filter(|copy| copy.segments().count() <= most);
        match copy {
            Some(_) => self.own.tx_copied += 1,
            None => self.own.tx_refused += 1,
        }
        copy
    }

    /// A copy of `frame` in buffers of our pool, if it has bytes and the pool buffers.
    #[cold]
    fn copy(&self, frame: &Frame) -> Option<Frame> {
        let pool = self.lent.pool();
        let mut copy = pool.alloc()?;
        let whole = frame.segments().all(|segment| copy.append(pool, segment));
        (whole && !copy.is_empty()).then(|| copy.freeze())
    }

    /// Puts a frame into the transmit ring, where there is room for it.
    #[inline]
    fn push(socket: &mut Socket, lent: &mut Lent, frame: Frame) {
        let mut last: Option<xdp_desc> = None;
        let mut full = false;
        lent.send(frame, |piece| {
            let len = (piece.end - piece.start) as u32;
            if let Some(mut desc) = last.replace(xdp_desc { addr: piece.start, len, options: 0 }) {
                desc.options = libc::XDP_PKT_CONTD;
                full |= !socket.tx.push(desc);
            }
        });
        full |= last.is_some_and(|desc| !socket.tx.push(desc));
        debug_assert!(!full, "the caller looked for room");
    }
}

impl Port for AfXdpPort {
    fn receive(&mut self, _now: Time, burst: &mut Burst) -> usize {
        self.reap();
        let before = burst.len();
        while !burst.is_full() {
            let Some(desc) = self.socket.as_mut().and_then(|socket| socket.rx.pop()) else { break };
            if let Some(packet) = self.assemble(desc) {
                self.counters.rx_bytes += packet.len() as u64;
                burst.push(packet);
            }
        }
        if let Some(socket) = &mut self.socket {
            socket.rx.release();
        }
        self.refill();
        self.kick();
        let count = burst.len() - before;
        self.counters.rx_packets += count as u64;
        count
    }

    fn transmit(&mut self, _now: Time, queue: &mut TxQueue) -> usize {
        self.reap();
        let before = self.counters.tx_packets;
        while self.lent.sending() + MOST_SEGMENTS as u32 <= self.settings.ring {
            let Some(socket) = &mut self.socket else { return 0 };
            if !socket.tx.has_room(MOST_SEGMENTS as u32) {
                break;
            }
            let Some(frame) = queue.pop() else { break };
            let Some(frame) = self.sendable(frame) else { continue };
            self.counters.tx_packets += 1;
            self.counters.tx_bytes += frame.len() as u64;
            if let Some(socket) = &mut self.socket {
                Self::push(socket, &mut self.lent, frame);
            }
        }
        if let Some(socket) = &mut self.socket {
            socket.tx.submit();
        }
        self.kick();
        (self.counters.tx_packets - before) as usize
    }

    fn wait_fd(&self) -> Option<RawFd> {
        self.socket.as_ref().map(Socket::raw)
    }

    fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn close(&mut self) -> Vec<PortError> {
        let mut errors: Vec<_> = self.error.take().map(PortError::Failed).into_iter().collect();
        errors.extend(self.shut().err().map(PortError::Failed));
        errors
    }

    fn counters(&self) -> PortCounters {
        let own = self.afxdp_counters();
        PortCounters { rx_missed: own.rx_dropped + own.rx_ring_full, ..self.counters }
    }

    fn details(&self, each: &mut dyn FnMut(&'static str, u64)) {
        let own = self.afxdp_counters();
        each("rx_ring_full", own.rx_ring_full);
        each("rx_dropped", own.rx_dropped);
        each("fill_ring_empty", own.fill_ring_empty);
        each("pool_empty", own.pool_empty);
        each("invalid", own.invalid);
        each("alien", own.alien);
        each("tx_copied", own.tx_copied);
        each("tx_refused", own.tx_refused);
        each("tx_wakeups", own.tx_wakeups);
        each("rx_wakeups", own.rx_wakeups);
    }
}

impl AfXdpPort {
    /// Waits for what is being sent, closes the socket and takes every buffer home.
    fn shut(&mut self) -> Result<(), String> {
        if self.socket.is_none() {
            return Ok(());
        }
        self.interface.leave(self.settings.queue);
        open::grace();
        let all_sent = open::within(CLOSE_WAIT, || {
            self.kick();
            self.reap();
            self.lent.sending() == 0
        });
        let unsent = self.lent.sending();
        self.partial = None;
        self.own = self.afxdp_counters();
        self.socket = None;
        let name = &self.interface.netdev().name;
        let queue = self.settings.queue;
        if self.mode == Mode::NativeZeroCopy
            && !open::released(&self.lent, self.interface.netdev().index, queue)
        {
            return Err(format!(
                "queue {queue} of interface {name}: the driver keeps {} buffers",
                self.lent.lent() + unsent
            ));
        }
        self.lent.recall();
        if all_sent {
            return Ok(());
        }
        Err(format!("queue {queue} of interface {name}: {unsent} segments were not sent"))
    }
}

impl Drop for AfXdpPort {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.shut();
    }
}
