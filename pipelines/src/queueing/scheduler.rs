//! The queues of all tenants before one port.

use std::sync::Arc;

use dataplane::time::Time;
use dataplane::wheel::{TimerId, Wheel};

use super::buffer::{Buffer, Crossing, Level, PoolExceeded, Refusal, Thresholds};
use super::class::{CLASSES, Class};
use super::fifo::{Fifo, Slab};
use super::marking::Marking;
use super::ring::{FIRST, LEVELS, Rings, State, flow, parts};
use super::shaper::{Credit, Rate, Shaper};
use super::shares::{Share, Shares};

/// What a tenant's queues are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantQueues {
    /// Its part of the port, relative to others that have something to send: 1 to
    /// [`TenantQueues::HEAVIEST`].
    pub weight: u16,
    /// The most it may send; `None`: as much as the port.
    pub rate: Option<Rate>,
    /// What each of its queues may hold, by class.
    pub thresholds: [Thresholds; CLASSES],
    /// When its packets are told that its queues grow; `None`: never.
    pub marking: Option<Marking>,
}

impl TenantQueues {
    /// The greatest weight.
    pub const HEAVIEST: u16 = 1_000;

    /// The thresholds of a tenant with so many classes of data; there is nothing of others.
    #[must_use]
    pub fn per_class(
        signalling: Thresholds,
        data: Thresholds,
        classes: usize,
    ) -> [Thresholds; CLASSES] {
        std::array::from_fn(|class| match class {
            0 => signalling,
            class if class <= classes => data,
            _ => Thresholds::lossy(0),
        })
    }
}

/// What the queues before a port are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuesSettings {
    /// Bytes that all queues may hold together.
    pub pool_bytes: u64,
    /// Packets that all queues may hold together.
    pub packets: u32,
    /// How fast the port is; `None`: whoever empties the queues knows.
    pub port: Option<Rate>,
    /// Bytes that a packet takes on the port's wire besides its own.
    pub overhead: u32,
    /// Bytes that a tenant of weight 1 may send in a turn. A longer packet waits for several, so
    /// this is best the longest there is ([`QueuesSettings::QUANTUM`]).
    pub quantum: u32,
    /// The tenants, by their number; at least one, which unknown ones are counted among.
    pub tenants: Vec<TenantQueues>,
}

impl QueuesSettings {
    /// A quantum that any frame fits in, so that each turn sends something.
    pub const QUANTUM: u32 = 9_728;
}

/// What became of an item.
#[derive(Debug, PartialEq, Eq)]
pub enum Enqueued<T> {
    /// It is in its queue, which may have passed a threshold by it.
    Accepted(Option<Crossing>),
    /// It is not, and here it is.
    Refused(Refusal, T),
}

/// What leaves next.
#[derive(Debug, PartialEq, Eq)]
pub struct Dequeued<T> {
    /// Whose it is.
    pub tenant: u16,
    /// How urgent.
    pub class: Class,
    /// What it is.
    pub item: T,
    /// The bytes it was counted with.
    pub bytes: u32,
    /// The threshold that its queue passed.
    pub crossing: Option<Crossing>,
}

/// What is kept of a tenant, side by side.
#[derive(Debug)]
struct Tenant {
    /// Bits of its classes that have something.
    filled: u8,
    /// Bits of its classes that may not leave.
    paused: u8,
    weight: u16,
    shaper: Option<Shaper>,
}

/// The queues of all tenants before one port.
#[derive(Debug)]
pub struct Queues<T> {
    tenants: Box<[Tenant]>,
    /// By class and then by tenant, as accounts are: those of the classes that are there lie close.
    fifos: Box<[Fifo]>,
    slab: Slab<T>,
    buffer: Buffer,
    rings: Rings,
    /// Brings flows back that wait for credit: a timer each.
    wheel: Wheel,
    /// When it was last looked at.
    turned: Time,
    port: Option<Shaper>,
    /// When the port has credit for what was to leave next.
    port_ready: Time,
    overhead: u32,
    quantum: u32,
    /// Where rates are those of several workers, and which this one is.
    shares: Option<(Arc<Shares>, usize)>,
}

/// Why nothing leaves now.
enum Nothing {
    /// Nobody is active at this level.
    Here,
    /// The port has no credit.
    Now,
}

impl<T> Queues<T> {
    /// Empty queues at `start`, with full buckets.
    ///
    /// # Errors
    /// When the pool does not hold what is to be reserved.
    pub fn new(settings: &QueuesSettings, start: Time) -> Result<Self, PoolExceeded> {
        let tenant = |of: &TenantQueues| Tenant {
            filled: 0,
            paused: 0,
            weight: of.weight.clamp(1, TenantQueues::HEAVIEST),
            shaper: of.rate.map(|rate| Shaper::new(rate, start)),
        };
        let tenants: Box<[Tenant]> = settings.tenants.iter().map(tenant).collect();
        let of_class =
            |class: Class| settings.tenants.iter().map(move |of| of.thresholds[class.index()]);
        let thresholds = Class::all().flat_map(of_class);
        Ok(Self {
            fifos: vec![Fifo::EMPTY; tenants.len() * CLASSES].into(),
            buffer: Buffer::new(settings.pool_bytes, thresholds)?,
            slab: Slab::new(settings.packets),
            rings: Rings::new(tenants.len()),
            wheel: Wheel::new((tenants.len() * LEVELS) as u32, start),
            turned: start,
            port: settings.port.map(|rate| Shaper::new(rate, start)),
            port_ready: Time::ZERO,
            overhead: settings.overhead,
            quantum: settings.quantum.max(1),
            tenants,
            shares: None,
        })
    }

    /// Has these queues' rates, which are one worker's part each, together with those of others:
    /// they have `shares`, one for each tenant if tenants have rates, and behind them one for the
    /// port. Before the first item.
    pub fn join(&mut self, shares: &Arc<Shares>, worker: usize) {
        self.shares = Some((Arc::clone(shares), worker));
        let tenants = self.tenants.iter_mut().map(|tenant| &mut tenant.shaper);
        for (number, shaper) in tenants.enumerate() {
            let Some(shaper) = shaper else { continue };
            shaper.join(Share::new(shares, worker, number));
        }
        if let Some(port) = &mut self.port {
            port.join(Share::new(shares, worker, shares.rates() - 1));
        }
    }

    /// This worker's share of a rate, if there are several.
    fn share(&self, rate: usize) -> Option<Share> {
        let (shares, worker) = self.shares.as_ref()?;
        Some(Share::new(shares, *worker, rate))
    }

    /// Puts an item of `bytes` at the end of the queue of a tenant and class.
    #[inline]
    pub fn enqueue(
        &mut self,
        tenant: u16,
        class: Class,
        item: T,
        bytes: u32,
        now: Time,
    ) -> Enqueued<T> {
        let (number, tenants) = (self.known(tenant), self.tenants.len());
        let Some(tenant) = self.tenants.get_mut(usize::from(number)) else {
            return Enqueued::Refused(Refusal::Threshold, item);
        };
        let queue = queue(number, class, tenants);
        let crossing = match self.buffer.add(queue, bytes, now) {
            Ok(crossing) => crossing,
            Err(refusal) => return Enqueued::Refused(refusal, item),
        };
        if let Err(item) = self.slab.push(&mut self.fifos[queue], item, bytes) {
            self.buffer.remove(queue, bytes, now);
            return Enqueued::Refused(Refusal::Packets, item);
        }
        tenant.filled |= class.bit();
        let flow = flow(number, level(class));
        if tenant.paused & class.bit() == 0 && self.rings.state(flow) == State::Idle {
            self.rings.activate(flow);
        }
        Enqueued::Accepted(crossing)
    }

    /// Takes what leaves next; `None` if nothing may leave at `now`.
    #[inline]
    pub fn dequeue(&mut self, now: Time) -> Option<Dequeued<T>> {
        if now < self.port_ready {
            return None;
        }
        if now > self.turned {
            self.turn(now);
        }
        for level in 0..LEVELS {
            match self.take(level, now) {
                Ok(taken) => return Some(taken),
                Err(Nothing::Here) => {}
                Err(Nothing::Now) => return None,
            }
        }
        None
    }

    /// Takes what leaves next of a level.
    #[inline]
    fn take(&mut self, level: usize, now: Time) -> Result<Dequeued<T>, Nothing> {
        loop {
            let flow = self.rings.front(level).ok_or(Nothing::Here)?;
            let ((number, _), tenants) = (parts(flow), self.tenants.len());
            let tenant = &mut self.tenants[usize::from(number)];
            let front = tenant.front(level).and_then(|class| {
                let queue = queue(number, class, tenants);
                Some((class, queue, self.slab.front(self.fifos[queue])?))
            });
            let Some((class, queue, bytes)) = front else {
                self.rings.leave(level, State::Idle);
                continue;
            };
            let quantum = self.quantum.saturating_mul(tenant.weight.into());
            if !self.rings.may_send(level, bytes, quantum) {
                continue;
            }
            if let Some(shaper) = &mut tenant.shaper {
                let credit = if level == FIRST { Credit::Lent } else { Credit::Needed };
                if let Err(at) = shaper.ready(bytes, credit, now) {
                    self.rings.leave(level, State::Waiting);
                    self.wheel.set(TimerId(flow), at);
                    continue;
                }
            }
            if let Some(port) = &mut self.port {
                let on_wire = bytes + self.overhead;
                if let Err(at) = port.ready(on_wire, Credit::Needed, now) {
                    self.port_ready = at;
                    return Err(Nothing::Now);
                }
                port.charge(on_wire);
            }
            if let Some(shaper) = &mut tenant.shaper {
                shaper.charge(bytes);
            }
            let fifo = &mut self.fifos[queue];
            let (item, bytes) = self.slab.pop(fifo).ok_or(Nothing::Here)?;
            if fifo.is_empty() {
                tenant.filled &= !class.bit();
            }
            self.rings.sent(level, bytes);
            if tenant.front(level).is_none() {
                self.rings.leave(level, State::Idle);
            }
            let crossing = self.buffer.remove(queue, bytes, now);
            return Ok(Dequeued { tenant: number, class, item, bytes, crossing });
        }
    }

    /// Time went on: flows that have credit again take their turns.
    fn turn(&mut self, now: Time) {
        self.turned = now;
        while let Some(TimerId(flow)) = self.wheel.expire(now) {
            self.wake(flow);
        }
    }

    /// A flow need not wait any more.
    fn wake(&mut self, flow: u32) {
        if self.rings.state(flow) == State::Active {
            return;
        }
        let (tenant, level) = parts(flow);
        match self.tenants[usize::from(tenant)].front(level) {
            Some(_) => self.rings.activate(flow),
            None => self.rings.rest(flow, State::Idle),
        }
    }

    /// When [`Queues::dequeue`] may have something again, as far as can be known: `now` if it may
    /// at once, `None` if nothing waits for time.
    #[must_use]
    pub fn next_ready(&self, now: Time) -> Option<Time> {
        let ready = if self.rings.is_empty() { self.wheel.next_deadline()? } else { now };
        Some(ready.max(self.port_ready).max(now))
    }

    /// Keeps what is in a queue from leaving, until that is resumed; nobody else waits for it.
    pub fn pause(&mut self, tenant: u16, class: Class) {
        let tenant = self.known(tenant);
        if let Some(tenant) = self.tenants.get_mut(usize::from(tenant)) {
            // It stays in the ring, if it is, until it is seen there.
            tenant.paused |= class.bit();
        }
    }

    /// Lets a queue leave again.
    pub fn resume(&mut self, tenant: u16, class: Class) {
        let number = self.known(tenant);
        let Some(tenant) = self.tenants.get_mut(usize::from(number)) else { return };
        tenant.paused &= !class.bit();
        let flow = flow(number, level(class));
        if self.rings.state(flow) == State::Idle {
            self.wake(flow);
        }
    }

    /// Whether a queue is paused.
    #[must_use]
    pub fn is_paused(&self, tenant: u16, class: Class) -> bool {
        let tenant = self.tenants.get(usize::from(self.known(tenant)));
        tenant.is_some_and(|tenant| tenant.paused & class.bit() != 0)
    }

    /// Changes what a tenant may send, from `now` on: nothing is lost, and no credit made.
    pub fn set_rate(&mut self, tenant: u16, rate: Option<Rate>, now: Time) {
        let number = self.known(tenant);
        let share = self.share(usize::from(number));
        let Some(tenant) = self.tenants.get_mut(usize::from(number)) else { return };
        set_shaper(&mut tenant.shaper, rate, share, now);
        // Whoever waited for credit looks again when it will be there.
        for level in 0..LEVELS {
            let flow = flow(number, level);
            if self.rings.state(flow) == State::Waiting {
                self.wheel.stop(TimerId(flow));
                self.wake(flow);
            }
        }
    }

    /// Changes how fast the port is.
    pub fn set_port_rate(&mut self, rate: Option<Rate>, now: Time) {
        let last = self.shares.as_ref().map_or(0, |(shares, _)| shares.rates() - 1);
        let share = self.share(last);
        set_shaper(&mut self.port, rate, share, now);
        self.port_ready = Time::ZERO;
    }

    /// Changes a tenant's weight, from its next turn on.
    pub fn set_weight(&mut self, tenant: u16, weight: u16) {
        let tenant = self.known(tenant);
        if let Some(tenant) = self.tenants.get_mut(usize::from(tenant)) {
            tenant.weight = weight.clamp(1, TenantQueues::HEAVIEST);
        }
    }

    /// Changes what a queue may hold, whatever it does now.
    ///
    /// # Errors
    /// When the pool has no room for that, as it is filled now; nothing changes then.
    pub fn set_thresholds(
        &mut self,
        tenant: u16,
        class: Class,
        thresholds: Thresholds,
        now: Time,
    ) -> Result<Option<Crossing>, PoolExceeded> {
        self.buffer.set(self.queue(tenant, class), thresholds, now)
    }

    /// Gives nobody so many bytes of what all share: see [`Buffer::withhold`](super::Buffer::withhold).
    pub fn withhold(&mut self, bytes: u64) {
        self.buffer.withhold(bytes);
    }

    /// What a queue may hold.
    #[must_use]
    pub fn thresholds(&self, tenant: u16, class: Class) -> Option<Thresholds> {
        self.buffer.thresholds(self.queue(tenant, class))
    }

    /// How a queue does at `now`.
    #[must_use]
    pub fn level(&self, tenant: u16, class: Class, now: Time) -> Level {
        self.buffer.level(self.queue(tenant, class), now)
    }

    /// Bytes in a queue.
    #[inline]
    #[must_use]
    pub fn bytes_of(&self, tenant: u16, class: Class) -> u64 {
        self.buffer.bytes_of(self.queue(tenant, class))
    }

    /// Packets in all queues.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.slab.used()
    }

    /// How many packets more they may hold.
    #[must_use]
    pub const fn room(&self) -> u32 {
        self.slab.room()
    }

    /// Whether all queues are empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slab.used() == 0
    }

    /// Bytes in all queues, and the most there ever were.
    #[must_use]
    pub const fn bytes(&self) -> (u64, u64) {
        self.buffer.bytes()
    }

    /// Lets go of everything at `now`; each item is shown to `gone` first.
    pub fn clear(&mut self, now: Time, mut gone: impl FnMut(T)) {
        for (queue, fifo) in self.fifos.iter_mut().enumerate() {
            while let Some((item, bytes)) = self.slab.pop(fifo) {
                self.buffer.remove(queue, bytes, now);
                gone(item);
            }
        }
        self.tenants.iter_mut().for_each(|tenant| tenant.filled = 0);
    }

    /// The number of a queue of a tenant, or of the one that has what is nobody else's.
    #[inline]
    fn queue(&self, tenant: u16, class: Class) -> usize {
        queue(self.known(tenant), class, self.tenants.len())
    }

    /// The number of a tenant, or of the one that has what is nobody else's.
    #[inline]
    fn known(&self, tenant: u16) -> u16 {
        if usize::from(tenant) < self.tenants.len() { tenant } else { crate::tenant::DEFAULT }
    }
}

impl Tenant {
    /// The class of a level that it sends from next.
    #[inline]
    fn front(&self, level: usize) -> Option<Class> {
        let of_level = if level == FIRST { SIGNALLING } else { !SIGNALLING };
        Class::first_of(self.filled & !self.paused & of_level)
    }
}

/// The classes of the first level, a bit each.
const SIGNALLING: u8 = Class::SIGNALLING.bit();

/// The level of a class.
#[inline]
const fn level(class: Class) -> usize {
    if class.bit() == SIGNALLING { FIRST } else { FIRST + 1 }
}

/// The number of a queue, which its account has as well. Those of a class lie side by side, so that
/// classes that are not there cost nobody a place in a cache.
#[inline]
const fn queue(tenant: u16, class: Class, tenants: usize) -> usize {
    class.index() * tenants + tenant as usize
}

fn set_shaper(shaper: &mut Option<Shaper>, rate: Option<Rate>, share: Option<Share>, now: Time) {
    match (shaper.as_mut(), rate) {
        (Some(shaper), Some(rate)) => shaper.set(rate, now),
        // The bucket of one that had no bounds is full.
        _ => {
            *shaper = rate.map(|rate| Shaper::new(rate, now));
            if let (Some(shaper), Some(share)) = (shaper, share) {
                shaper.join(share);
            }
        }
    }
}
