//! A port whose packets find their way to the worker that owns them.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use super::{Ends, HandoverError};
use crate::drops::Drops;
use crate::memory::{Packet, Pool};
use crate::port::{Burst, Port, PortCounters, PortError, TxQueue};
use crate::time::Time;

/// What a worker handed over and took over at one port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandoverCounters {
    /// Packets handed to each worker; none to itself.
    pub handed_over: Vec<u64>,
    /// Packets of ours that others received.
    pub taken_over: u64,
    /// Packets of others that could not be handed over.
    pub drops: Drops,
}

/// A view of the counters of a [`Steered`] port, to keep when the port is given to its worker: for
/// the thread of that worker.
#[derive(Debug, Clone)]
pub struct HandoverView(Rc<RefCell<HandoverCounters>>);

impl HandoverView {
    /// The counters now. Not to be held while the port receives.
    #[must_use]
    pub fn get(&self) -> Ref<'_, HandoverCounters> {
        self.0.borrow()
    }
}

/// One worker's queue of a port, and the rings to and from the other workers at that port.
///
/// `owner` tells from the first segment of a packet which worker it belongs to; what has no owner,
/// or one that is not there, stays here. Sending is the inner port's alone. A single worker needs
/// none of this.
///
/// A round may bring nothing and have handed over a whole burst: whether a port is idle is told by
/// the packets in its [`Port::counters`], which count what the inner port received, whosever it is.
pub struct Steered<P, F> {
    inner: P,
    owner: F,
    ends: Ends,
    /// Where copies of packets from others are put.
    pool: Rc<Pool>,
    /// The ring that is read first, next time.
    first: usize,
    counters: Rc<RefCell<HandoverCounters>>,
}

impl<P: Port, F: Fn(&[u8]) -> Option<usize>> Steered<P, F> {
    /// `inner` with `ends` to the other workers. What these hand over becomes packets of `pool`,
    /// with its headroom.
    ///
    /// # Errors
    /// When `pool` could never hold the longest packet handed over.
    pub fn new(inner: P, owner: F, ends: Ends, pool: Rc<Pool>) -> Result<Self, HandoverError> {
        let cut = pool.settings();
        let pool_bytes = cut.buffers as usize * cut.buffer_bytes as usize - cut.headroom as usize;
        let slot_bytes = ends.settings.slot_bytes;
        if pool_bytes < slot_bytes {
            return Err(HandoverError::Pool { slot_bytes, pool_bytes });
        }
        let handed_over = vec![0; ends.to.len()];
        let counters = HandoverCounters { handed_over, ..HandoverCounters::default() };
        let counters = Rc::new(RefCell::new(counters));
        Ok(Self { inner, owner, ends, pool, first: 0, counters })
    }

    /// The counters, to look at while a worker has the port.
    #[must_use]
    pub fn view(&self) -> HandoverView {
        HandoverView(Rc::clone(&self.counters))
    }

    /// Packets that others handed over and that were not received yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ends.from.iter().map(|ring| ring.waiting()).sum()
    }

    /// Puts at most `most` packets that others handed to us behind those in `burst`; it has room
    /// for them.
    fn take_over(&mut self, burst: &mut Burst, most: usize) {
        let before = burst.len();
        let rings = self.ends.from.len();
        for index in (self.first..rings).chain(0..self.first) {
            let ring = &mut self.ends.from[index];
            while burst.len() - before < most {
                let Some(packet) = ring.pop(&self.pool) else { break };
                burst.push(packet);
            }
            ring.give_back();
        }
        self.counters.borrow_mut().taken_over += (burst.len() - before) as u64;
    }

    /// Hands over what belongs to others of the packets from `from` on; the rest keeps its order.
    fn hand_over(&mut self, burst: &mut Burst, from: usize) {
        let Self { owner, ends, counters, .. } = self;
        let counters = &mut *counters.borrow_mut();
        let (mut index, before) = (0, burst.len());
        burst.retain(|packet| {
            index += 1;
            if index <= from {
                return true;
            }
            let Some(worker) = owner(packet.head()) else { return true };
            !leave(ends, counters, worker, packet)
        });
        if burst.len() < before {
            ends.to.iter_mut().flatten().for_each(|ring| ring.publish());
        }
    }
}

/// Whether `packet` leaves for `worker`, or is dropped on the way there.
#[inline]
fn leave(ends: &mut Ends, counters: &mut HandoverCounters, worker: usize, packet: &Packet) -> bool {
    let Some(Some(ring)) = ends.to.get_mut(worker) else { return false };
    match ring.push(packet) {
        Ok(()) => counters.handed_over[worker] += 1,
        Err(reason) => counters.drops.count(reason, packet.len()),
    }
    true
}

impl<P: Port, F: Fn(&[u8]) -> Option<usize>> Port for Steered<P, F> {
    /// Of the room in `burst`, half is for what others handed over, before and after the inner
    /// port's; either takes what the other leaves, and neither keeps the other waiting.
    fn receive(&mut self, now: Time, burst: &mut Burst) -> usize {
        let before = burst.len();
        self.take_over(burst, burst.remaining_capacity() / 2);
        let taken = burst.len();
        self.inner.receive(now, burst);
        self.hand_over(burst, taken);
        self.take_over(burst, burst.remaining_capacity());
        // Another ring comes first in the next round, so that none waits for ever.
        self.first = if self.first + 1 < self.ends.from.len() { self.first + 1 } else { 0 };
        burst.len() - before
    }

    fn transmit(&mut self, now: Time, queue: &mut TxQueue) -> usize {
        self.inner.transmit(now, queue)
    }

    fn next_arrival(&self) -> Option<Time> {
        self.inner.next_arrival()
    }

    fn error(&self) -> Option<&str> {
        self.inner.error()
    }

    fn close(&mut self) -> Vec<PortError> {
        self.inner.close()
    }

    fn counters(&self) -> PortCounters {
        self.inner.counters()
    }

    fn details(&self, each: &mut dyn FnMut(&'static str, u64)) {
        self.inner.details(each);
        let counters = self.counters.borrow();
        each("handed_over", counters.handed_over.iter().sum());
        each("taken_over", counters.taken_over);
    }

    fn add_drops(&self, drops: &mut Drops) {
        self.inner.add_drops(drops);
        drops.add(&self.counters.borrow().drops);
    }
}
