//! The run-to-completion worker: one core, its ports, one pipeline.
//!
//! A round receives a burst from every port, lets the pipeline decide, fires the timers that are
//! due and sends what waits. Nothing is handed to another thread on the way.

use crate::cycles;
use crate::port::{Burst, Port, PortError, TxQueue};
use crate::time::{Clock, Time};

/// What decides about packets. It is told the time and given the transmit queues, one a port, in
/// the order of the worker's ports.
pub trait Pipeline {
    /// Takes every packet of `burst`, received by port number `port`.
    fn receive(&mut self, port: usize, burst: &mut Burst, now: Time, queues: &mut [TxQueue]);

    /// Does what is due at `now`.
    fn expire(&mut self, now: Time, queues: &mut [TxQueue]);

    /// Nothing is due before this moment; `None` when nothing ever is.
    fn next_deadline(&self) -> Option<Time>;
}

/// What one stage of the worker cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageCounters {
    /// Times the stage ran and had something to do.
    pub calls: u64,
    /// Packets it handled.
    pub packets: u64,
    /// Cycles it took in those calls.
    pub cycles: u64,
}

impl StageCounters {
    fn add(&mut self, packets: usize, cycles: u64) {
        if packets > 0 {
            self.calls += 1;
            self.packets += packets as u64;
            self.cycles += cycles;
        }
    }
}

/// What a worker did since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerCounters {
    /// Rounds in which something was received, sent or due.
    pub busy_rounds: u64,
    /// Rounds in which nothing was.
    pub idle_rounds: u64,
    /// Receiving, a port.
    pub receive: Vec<StageCounters>,
    /// Deciding about what was received, a port.
    pub pipeline: Vec<StageCounters>,
    /// Sending, a port.
    pub transmit: Vec<StageCounters>,
    /// Timers; a call is a round in which some were due.
    pub timers: StageCounters,
}

/// One worker.
pub struct Worker<P> {
    ports: Vec<Box<dyn Port>>,
    queues: Vec<TxQueue>,
    pipeline: P,
    clock: Clock,
    burst: Burst,
    /// Ports that nothing is received from any more.
    stopped: Vec<bool>,
    counters: WorkerCounters,
}

impl<P: Pipeline> Worker<P> {
    /// A worker over `ports`, each with a transmit queue of `queue_frames`.
    #[must_use]
    pub fn new(ports: Vec<Box<dyn Port>>, queue_frames: usize, pipeline: P, clock: Clock) -> Self {
        let count = ports.len();
        let stages = vec![StageCounters::default(); count];
        Self {
            queues: (0..count).map(|_| TxQueue::new(queue_frames)).collect(),
            ports,
            pipeline,
            clock,
            burst: Burst::new(),
            stopped: vec![false; count],
            counters: WorkerCounters {
                receive: stages.clone(),
                pipeline: stages.clone(),
                transmit: stages,
                ..WorkerCounters::default()
            },
        }
    }

    /// One round over all ports; whether there was anything to do.
    pub fn round(&mut self) -> bool {
        let now = self.clock.now();
        let mut busy = false;
        let mut before = cycles::read();
        for (index, port) in self.ports.iter_mut().enumerate() {
            if self.stopped[index] {
                continue;
            }
            let received = port.receive(now, &mut self.burst);
            let after = cycles::read();
            self.counters.receive[index].add(received, after - before);
            before = after;
            if received > 0 {
                busy = true;
                self.pipeline.receive(index, &mut self.burst, now, &mut self.queues);
                self.burst.clear();
                let after = cycles::read();
                self.counters.pipeline[index].add(received, after - before);
                before = after;
            }
        }
        if self.pipeline.next_deadline().is_some_and(|deadline| deadline <= now) {
            busy = true;
            self.pipeline.expire(now, &mut self.queues);
            let after = cycles::read();
            self.counters.timers.add(1, after - before);
            before = after;
        }
        for (index, (port, queue)) in self.ports.iter_mut().zip(&mut self.queues).enumerate() {
            if queue.is_empty() {
                continue;
            }
            let sent = port.transmit(now, queue);
            busy |= sent > 0;
            let after = cycles::read();
            self.counters.transmit[index].add(sent, after - before);
            before = after;
        }
        if busy {
            self.counters.busy_rounds += 1;
        } else {
            self.counters.idle_rounds += 1;
        }
        busy
    }

    /// When the next round has something to do, as far as can be known: a timer, or a packet of a
    /// port that reads a file.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        let arrivals = self.ports.iter().filter_map(|port| port.next_arrival());
        arrivals.chain(self.pipeline.next_deadline()).min()
    }

    /// Receives nothing more from a port: what is under way is brought to its end.
    pub fn stop_receiving(&mut self, port: usize) {
        if let Some(stopped) = self.stopped.get_mut(port) {
            *stopped = true;
        }
    }

    /// The time on the worker's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Frames that wait to leave.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queues.iter().map(TxQueue::len).sum()
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &P {
        &self.pipeline
    }

    /// The pipeline, to command.
    pub fn pipeline_mut(&mut self) -> &mut P {
        &mut self.pipeline
    }

    /// The ports, in their order.
    #[must_use]
    pub fn ports(&self) -> &[Box<dyn Port>] {
        &self.ports
    }

    /// Ends the work of every port; says what went wrong, and at which port.
    pub fn close(&mut self) -> Vec<(usize, PortError)> {
        let ports = self.ports.iter_mut().enumerate();
        ports.flat_map(|(index, port)| port.close().into_iter().map(move |e| (index, e))).collect()
    }

    /// What it did since it began.
    #[must_use]
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Pool, PoolSettings};
    use crate::port::ring;

    /// Sends what comes by one port out of the other; says something of its own at a moment.
    struct Wire {
        pool: Pool,
        due: Option<Time>,
    }

    impl Pipeline for Wire {
        fn receive(&mut self, port: usize, burst: &mut Burst, _: Time, queues: &mut [TxQueue]) {
            for packet in burst.drain(..) {
                let _ = queues[1 - port].push(packet.freeze());
            }
        }
        fn expire(&mut self, _: Time, queues: &mut [TxQueue]) {
            self.due = None;
            let _ = queues[0].push(self.pool.copy(b"tick").expect("buffers").freeze());
        }
        fn next_deadline(&self) -> Option<Time> {
            self.due
        }
    }

    #[test]
    fn a_round_receives_decides_fires_and_sends() {
        let settings = PoolSettings { buffers: 100, buffer_bytes: 256, headroom: 0 };
        let pool = Pool::new(settings).expect("valid");
        let (left, left_end) = ring::pair(64);
        let (right, right_end) = ring::pair(64);
        let (clock, hand) = Clock::virtual_at(Time::ZERO);
        let wire = Wire { pool: Pool::new(settings).expect("valid"), due: Some(Time(5)) };
        let mut worker = Worker::new(vec![Box::new(left), Box::new(right)], 64, wire, clock);

        assert!(!worker.round());
        for byte in 0..40u8 {
            assert!(left_end.inject(pool.copy(&[byte]).expect("buffers")).is_ok());
        }
        assert!(worker.round() && worker.round() && !worker.round());
        let out: Vec<u8> = std::iter::from_fn(|| right_end.take()).map(|f| f.head()[0]).collect();
        assert_eq!(out, (0..40).collect::<Vec<_>>());
        worker.stop_receiving(1);
        assert!(right_end.inject(pool.copy(&[9]).expect("buffers")).is_ok() && !worker.round());

        assert_eq!(worker.next_event(), Some(Time(5)));
        hand.set(Time(5));
        assert!(worker.round());
        assert_eq!(left_end.take().expect("sent").head(), b"tick");
        assert_eq!(worker.next_event(), None);
        let counters = worker.counters();
        assert_eq!((counters.pipeline[0].calls, counters.pipeline[0].packets), (2, 40));
        assert_eq!((counters.transmit[1].packets, counters.timers.calls), (40, 1));
    }
}
