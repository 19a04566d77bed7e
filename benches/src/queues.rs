//! Queues of many tenants, all of which always have something to send.

use dataplane::time::Time;
use pipelines::queueing::{
    Class, Dequeued, Enqueued, Queues, QueuesSettings, Rate, TenantQueues, Thresholds,
};

/// Bytes of a packet.
const PACKET: u32 = 4_170;
/// Packets that each tenant has waiting.
const WAITING: u32 = 4;

/// Queues, and whose turn it is to add something.
pub struct Load {
    queues: Queues<u64>,
    tenants: u16,
    next: u16,
    now: Time,
}

impl Load {
    /// So many tenants, each with packets waiting; `shaped`: each with a rate that it does not
    /// reach, so that its bucket is looked at and never empty.
    ///
    /// # Panics
    /// Never: the pool is large enough.
    #[must_use]
    pub fn new(tenants: u16, shaped: bool) -> Self {
        let lossless = Thresholds {
            reserved: u64::from(PACKET),
            alpha: 256,
            headroom: 10_000,
            xoff: 100_000,
            xon: 50_000,
        };
        let tenant = TenantQueues {
            weight: 1,
            rate: shaped.then(|| Rate::of(Rate::FASTEST)),
            thresholds: TenantQueues::per_class(lossless, lossless, 2),
            marking: None,
        };
        let settings = QueuesSettings {
            pool_bytes: 1 << 32,
            packets: u32::from(tenants) * (WAITING + 1),
            port: None,
            overhead: 0,
            quantum: QueuesSettings::QUANTUM,
            tenants: vec![tenant; tenants.into()],
        };
        let queues = Queues::new(&settings, Time::ZERO).expect("a large pool");
        let mut load = Self { queues, tenants, next: 0, now: Time::ZERO };
        for _ in 0..WAITING * u32::from(tenants) {
            load.put();
        }
        load
    }

    /// Adds a packet, and takes one.
    ///
    /// # Panics
    /// If there is none: everybody has something to send.
    #[inline]
    pub fn turn(&mut self) -> Dequeued<u64> {
        // As many packets as a port of 400 Gbit/s sends.
        self.now = self.now.after(84);
        self.put();
        self.queues.dequeue(self.now).expect("everybody has something to send")
    }

    #[inline]
    fn put(&mut self) {
        let tenant = self.next;
        self.next = if tenant + 1 == self.tenants { 0 } else { tenant + 1 };
        let put = self.queues.enqueue(tenant, Class::BULK, 7, PACKET, self.now);
        assert!(matches!(put, Enqueued::Accepted(None)), "there is room");
    }
}
