//! The floor: a worker that forwards, between the same rings, of the same frames.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use dataplane::memory::{Frame, Pool, PoolSettings};
use dataplane::port::ring::{self, RingPeer};
use dataplane::port::{BURST, Burst, TxQueue};
use dataplane::time::{Clock, Time};
use dataplane::worker::{Pipeline, Worker, WorkerCounters};
use lab::pair::traffic::Source;
use lab::pair::{HEADROOM, LAN, Load, WAN};

use super::setup::ROUND_TRIP;

/// Sends what comes by one port out of the other.
struct Wire;

impl Pipeline for Wire {
    #[inline]
    fn receive(&mut self, port: usize, burst: &mut Burst, _: Time, queues: &mut [TxQueue]) {
        let to = if port == LAN { WAN } else { LAN };
        for packet in burst.drain(..) {
            // The queue is as long as the ring that is emptied after every round.
            let pushed = queues[to].push(packet.freeze());
            debug_assert!(pushed.is_ok());
        }
    }

    fn expire(&mut self, _: Time, _: &mut [TxQueue]) {}

    fn next_deadline(&self) -> Option<Time> {
        None
    }
}

/// A worker with nothing but a wire in it, and traffic for it.
pub(super) struct Floor {
    worker: Worker<Wire>,
    lan: RingPeer,
    wan: RingPeer,
    pool: Rc<Pool>,
    hand: Rc<Cell<Time>>,
    source: Source,
    load: Load,
    /// What a gateway would keep for a round trip lies here for as long, so that packets come to lie
    /// in as many buffers: no floor should stand on caches that a gateway cannot have.
    kept: VecDeque<(Time, Frame)>,
    /// Packets that came out at the other end.
    pub(super) delivered: u64,
}

impl Floor {
    pub(super) fn new(load: Load, source: Source) -> Self {
        let (lan, lan_end) = ring::pair(BURST);
        let (wan, wan_end) = ring::pair(BURST);
        let Load { buffers, buffer_bytes, .. } = load;
        let cut = PoolSettings { buffers, buffer_bytes, headroom: HEADROOM };
        let pool = Rc::new(Pool::new(cut).expect("a load that gateways have had, too"));
        let (clock, hand) = Clock::virtual_at(Time::ZERO);
        let worker = Worker::new(vec![Box::new(lan), Box::new(wan)], BURST, Wire, clock);
        Self {
            worker,
            lan: lan_end,
            wan: wan_end,
            pool,
            hand,
            source,
            load,
            kept: VecDeque::with_capacity(buffers as usize),
            delivered: 0,
        }
    }

    /// Sends so many packets, a number of bursts.
    pub(super) fn send(&mut self, packets: u64) {
        for _ in 0..packets / BURST as u64 {
            for _ in 0..BURST {
                let packet = self.pool.copy(self.source.next_frame());
                let packet = packet.expect("the pool holds the round trip");
                self.lan.inject(packet).expect("the ring holds a burst");
            }
            let now = self.hand.get().after(self.load.pace);
            self.hand.set(now);
            self.worker.round();
            while let Some(frame) = self.wan.take() {
                self.delivered += 1;
                self.kept.push_back((now.after(ROUND_TRIP), frame));
            }
            while self.kept.front().is_some_and(|(until, _)| *until <= now) {
                self.kept.pop_front();
            }
        }
    }

    pub(super) fn counters(&self) -> &WorkerCounters {
        self.worker.counters()
    }
}
