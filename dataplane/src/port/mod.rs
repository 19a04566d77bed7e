//! Ports: where packets come in and go out, a burst at a time.
//!
//! A driver implements [`Port`]. Here are those that need no device: [`ring`] (memory) and
//! [`mod@file`] (captures). [`crate::afxdp`] has the one for the kernel's interfaces.

pub mod file;
pub mod queue;
pub mod ring;

use std::os::fd::RawFd;

use arrayvec::ArrayVec;

use crate::drops::Drops;
use crate::memory::Packet;
use crate::time::Time;
pub use queue::TxQueue;

/// Packets handled together: enough to spread the cost of a round, few enough to stay in the
/// first-level cache.
pub const BURST: usize = 32;

/// A burst of received packets; its place is on the stack or in its owner, never allocated.
pub type Burst = ArrayVec<Packet, BURST>;

/// What a port saw, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortCounters {
    /// Packets received and handed on.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets that arrived and found no buffer or no room.
    pub rx_missed: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
}

/// What went wrong at a port for good: one message, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// What it reads is not what it should be: the user's to mend.
    #[error("{0}")]
    Input(String),
    /// It does not work any more, or what it sent could not be written.
    #[error("{0}")]
    Failed(String),
}

/// A port of one worker. Neither call blocks, allocates or fails: what goes wrong for good is
/// said by [`Port::error`].
pub trait Port {
    /// Puts packets that are there at `now` behind those in `burst`, as long as it has room;
    /// returns how many.
    fn receive(&mut self, now: Time, burst: &mut Burst) -> usize;

    /// Sends from the front of `queue` what the port can take; the rest stays there. Returns how
    /// many.
    fn transmit(&mut self, now: Time, queue: &mut TxQueue) -> usize;

    /// When there will be something to receive: known to ports that read a file, `None` for others
    /// and at the end.
    fn next_arrival(&self) -> Option<Time> {
        None
    }

    /// A descriptor that poll(2) shows as readable when there is something to receive, for a
    /// worker that sleeps when idle; `None` for ports that can only be asked.
    fn wait_fd(&self) -> Option<RawFd> {
        None
    }

    /// Why the port no longer works, if it does not: one message, with the remedy.
    fn error(&self) -> Option<&str> {
        None
    }

    /// Ends the port's work: what is buffered is written. To be called once, at the end. Returns
    /// everything that went wrong, now or before.
    fn close(&mut self) -> Vec<PortError> {
        self.error().map(|error| PortError::Failed(error.to_owned())).into_iter().collect()
    }

    /// The port's counters now.
    fn counters(&self) -> PortCounters;

    /// Gives the driver's own counters to `each`, with their names: now and then, not for every
    /// packet.
    fn details(&self, each: &mut dyn FnMut(&'static str, u64)) {
        let _ = each;
    }

    /// Adds what the port itself dropped, by reason, to `drops`.
    fn add_drops(&self, drops: &mut Drops) {
        let _ = drops;
    }
}

impl<P: Port + ?Sized> Port for Box<P> {
    fn receive(&mut self, now: Time, burst: &mut Burst) -> usize {
        (**self).receive(now, burst)
    }

    fn transmit(&mut self, now: Time, queue: &mut TxQueue) -> usize {
        (**self).transmit(now, queue)
    }

    fn next_arrival(&self) -> Option<Time> {
        (**self).next_arrival()
    }

    fn wait_fd(&self) -> Option<RawFd> {
        (**self).wait_fd()
    }

    fn error(&self) -> Option<&str> {
        (**self).error()
    }

    fn close(&mut self) -> Vec<PortError> {
        (**self).close()
    }

    fn counters(&self) -> PortCounters {
        (**self).counters()
    }

    fn details(&self, each: &mut dyn FnMut(&'static str, u64)) {
        (**self).details(each);
    }

    fn add_drops(&self, drops: &mut Drops) {
        (**self).add_drops(drops);
    }
}
