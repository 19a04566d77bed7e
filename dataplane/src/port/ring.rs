//! A port in memory: a pair of bounded rings, and the far end that fills one and empties the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{Burst, Port, PortCounters, TxQueue};
use crate::memory::{Frame, Packet};
use crate::time::Time;

/// Where the data of a received packet is likely to begin.
const LIKELY_HEADROOM: u32 = 128;

/// The two rings, shared by the port and its far end on one thread.
struct Rings {
    inbound: VecDeque<Packet>,
    outbound: VecDeque<Frame>,
    capacity: usize,
}

/// The worker's end: a [`Port`].
pub struct RingPort {
    rings: Rc<RefCell<Rings>>,
    counters: PortCounters,
}

/// The far end: what stands in for the network.
pub struct RingPeer {
    rings: Rc<RefCell<Rings>>,
}

/// A port and its far end, joined by two rings of `capacity` packets each. Nothing is copied and
/// nothing is allocated afterwards.
#[must_use]
pub fn pair(capacity: usize) -> (RingPort, RingPeer) {
    let rings = Rc::new(RefCell::new(Rings {
        inbound: VecDeque::with_capacity(capacity),
        outbound: VecDeque::with_capacity(capacity),
        capacity,
    }));
    let port = RingPort { rings: Rc::clone(&rings), counters: PortCounters::default() };
    (port, RingPeer { rings })
}

impl Port for RingPort {
    fn receive(&mut self, _now: Time, burst: &mut Burst) -> usize {
        let mut rings = self.rings.borrow_mut();
        let count = rings.inbound.len().min(burst.remaining_capacity());
        // All at once, before the first is looked at: their lines come in side by side.
        rings.inbound.iter().take(count).for_each(|packet| packet.prefetch(LIKELY_HEADROOM));
        for packet in rings.inbound.drain(..count) {
            self.counters.rx_bytes += packet.len() as u64;
            burst.push(packet);
        }
        self.counters.rx_packets += count as u64;
        count
    }

    fn transmit(&mut self, _now: Time, queue: &mut TxQueue) -> usize {
        let mut rings = self.rings.borrow_mut();
        let mut count = 0;
        while rings.outbound.len() < rings.capacity {
            let Some(frame) = queue.pop() else { break };
            self.counters.tx_bytes += frame.len() as u64;
            rings.outbound.push_back(frame);
            count += 1;
        }
        self.counters.tx_packets += count as u64;
        count
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

impl RingPeer {
    /// Lets a packet arrive at the port.
    ///
    /// # Errors
    /// The packet itself, when the ring is full.
    #[inline]
    pub fn inject(&self, packet: Packet) -> Result<(), Packet> {
        let mut rings = self.rings.borrow_mut();
        if rings.inbound.len() == rings.capacity {
            return Err(packet);
        }
        rings.inbound.push_back(packet);
        Ok(())
    }

    /// Takes the next frame the port sent.
    #[inline]
    #[must_use]
    pub fn take(&self) -> Option<Frame> {
        self.rings.borrow_mut().outbound.pop_front()
    }

    /// Packets that wait to be received by the port.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.rings.borrow().inbound.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Pool, PoolSettings};

    #[test]
    fn what_does_not_fit_stays_with_the_caller() {
        let pool =
            Pool::new(PoolSettings { buffers: 8, buffer_bytes: 256, headroom: 0 }).expect("valid");
        let packet = |byte: u8| pool.copy(&[byte]).expect("buffers");
        let (mut port, peer) = pair(2);
        let mut queue = TxQueue::new(4);
        for byte in 0..3 {
            assert!(queue.push(packet(byte).freeze()).is_ok());
        }
        assert_eq!(port.transmit(Time::ZERO, &mut queue), 2);
        assert_eq!(queue.len(), 1);
        assert_eq!(peer.take().expect("sent").head(), [0]);
        assert_eq!(port.transmit(Time::ZERO, &mut queue), 1);

        assert!(peer.inject(packet(7)).is_ok() && peer.inject(packet(8)).is_ok());
        assert!(peer.inject(packet(9)).is_err());
        let mut burst = Burst::new();
        assert_eq!(port.receive(Time::ZERO, &mut burst), 2);
        assert_eq!(burst.iter().map(|p| p.head()[0]).collect::<Vec<_>>(), [7, 8]);
        let counters = port.counters();
        assert_eq!((counters.tx_packets, counters.rx_packets, counters.rx_bytes), (3, 2, 2));
    }
}
