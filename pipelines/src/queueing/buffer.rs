//! What queues hold of a pool of bytes, in the words of switches.
//!
//! A queue fills what is *reserved* for it first, then takes from what all *share*, up to `alpha`
//! times what is still free of that: the fuller the pool, the less a queue may have, and nobody can
//! take all of it (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). A lossless queue
//! has *headroom* besides, for what is already on its way when its sender is told to stop. It says
//! so ([`Crossing::Xoff`]) at `xoff` bytes, or as soon as it needs headroom, and lifts it at `xon`.
//! What is reserved and what is headroom is taken off the pool, so everything together never exceeds
//! it.

use dataplane::time::{Nanos, Time};

/// How much a queue may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Its own.
    pub reserved: u64,
    /// How much of the free part of what all share, in 256ths: 256 is as much as is left.
    pub alpha: u32,
    /// For a lossless queue: its own, for what arrives after it said stop.
    pub headroom: u64,
    /// Where it says stop. [`Thresholds::NEVER`]: it does not, and is lossy.
    pub xoff: u64,
    /// Where it lifts that; below `xoff`.
    pub xon: u64,
}

impl Thresholds {
    /// An `xoff` that no queue reaches.
    pub const NEVER: u64 = u64::MAX;

    /// A lossy queue without anything of its own.
    #[must_use]
    pub const fn lossy(alpha: u32) -> Self {
        Self { reserved: 0, alpha, headroom: 0, xoff: Self::NEVER, xon: Self::NEVER }
    }

    /// Whether its sender can be stopped.
    #[must_use]
    pub const fn is_lossless(&self) -> bool {
        self.xoff != Self::NEVER
    }

    /// What it takes off the pool.
    #[must_use]
    pub const fn own(&self) -> u64 {
        self.reserved.saturating_add(self.headroom)
    }
}

/// A queue passed one of its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Its sender has to stop.
    Xoff,
    /// Its sender may go on.
    Xon,
}

/// Why a packet is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A lossy queue has what it may have of what all share.
    Threshold,
    /// A lossless queue has its headroom full: its sender did not stop in time.
    Headroom,
    /// There are as many packets as there may be.
    Packets,
}

/// What is told apart of a queue's past and present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Bytes now.
    pub bytes: u64,
    /// The most there ever were.
    pub high_water: u64,
    /// Bytes in its headroom now.
    pub headroom: u64,
    /// Whether its sender is told to stop.
    pub stopped: bool,
    /// Times it was.
    pub stops: u64,
    /// How long it was, up to now, in all.
    pub stopped_for: Nanos,
}

/// Thresholds that the pool does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes reserved, as headroom and in use: the pool has {pool}")]
pub struct PoolExceeded {
    /// What would have to be there.
    pub needed: u64,
    /// What is.
    pub pool: u64,
}

/// A queue's account.
#[derive(Debug, Clone)]
struct Account {
    bytes: u64,
    /// Of those, from what all share, and of its headroom; the rest is reserved.
    shared: u64,
    headroom: u64,
    limits: Thresholds,
    high_water: u64,
    stopped: bool,
    stopped_at: Time,
    stopped_for: Nanos,
    stops: u64,
}

/// The accounts of queues that share a pool.
#[derive(Debug, Clone)]
pub struct Buffer {
    accounts: Box<[Account]>,
    pool: u64,
    /// What is nobody's own, and what of it is taken.
    shared: u64,
    taken: u64,
    /// What of it nobody is given, so that it becomes somebody's own.
    withheld: u64,
    bytes: u64,
    high_water: u64,
}

impl Buffer {
    /// Accounts for queues with these thresholds, on a pool of so many bytes.
    ///
    /// # Errors
    /// When the pool does not hold what is to be reserved.
    pub fn new(
        pool: u64,
        queues: impl IntoIterator<Item = Thresholds>,
    ) -> Result<Self, PoolExceeded> {
        let account = |limits| Account {
            bytes: 0,
            shared: 0,
            headroom: 0,
            limits,
            high_water: 0,
            stopped: false,
            stopped_at: Time::ZERO,
            stopped_for: 0,
            stops: 0,
        };
        let accounts: Box<[Account]> = queues.into_iter().map(account).collect();
        let own = accounts.iter().fold(0u64, |sum, of| sum.saturating_add(of.limits.own()));
        let shared = pool.checked_sub(own).ok_or(PoolExceeded { needed: own, pool })?;
        Ok(Self { accounts, pool, shared, taken: 0, withheld: 0, bytes: 0, high_water: 0 })
    }

    /// Takes `bytes` into a queue, whole or not at all.
    ///
    /// # Errors
    /// Why they do not fit.
    #[inline]
    pub fn add(
        &mut self,
        queue: usize,
        bytes: u32,
        now: Time,
    ) -> Result<Option<Crossing>, Refusal> {
        let free = (self.shared - self.taken).saturating_sub(self.withheld);
        let Some(account) = self.accounts.get_mut(queue) else { return Err(Refusal::Threshold) };
        let (shared, headroom) = account.split(bytes.into(), free)?;
        account.bytes += u64::from(bytes);
        account.shared += shared;
        account.headroom += headroom;
        account.high_water = account.high_water.max(account.bytes);
        self.taken += shared;
        self.bytes += u64::from(bytes);
        self.high_water = self.high_water.max(self.bytes);
        Ok(account.cross(now))
    }

    /// Lets go of `bytes` of a queue, which has as many.
    #[inline]
    pub fn remove(&mut self, queue: usize, bytes: u32, now: Time) -> Option<Crossing> {
        let account = self.accounts.get_mut(queue)?;
        let bytes = u64::from(bytes).min(account.bytes);
        let headroom = bytes.min(account.headroom);
        let shared = (bytes - headroom).min(account.shared);
        account.bytes -= bytes;
        account.headroom -= headroom;
        account.shared -= shared;
        self.taken -= shared;
        self.bytes -= bytes;
        account.cross(now)
    }

    /// Gives a queue other thresholds, whatever it holds.
    ///
    /// # Errors
    /// When the pool has no room for them as it is filled now; nothing changes then.
    pub fn set(
        &mut self,
        queue: usize,
        limits: Thresholds,
        now: Time,
    ) -> Result<Option<Crossing>, PoolExceeded> {
        let Some(account) = self.accounts.get_mut(queue) else { return Ok(None) };
        let own = self.pool - self.shared - account.limits.own();
        let beyond = account.bytes.saturating_sub(limits.reserved);
        let headroom = account.headroom.min(limits.headroom).min(beyond);
        let taken = self.taken - account.shared + (beyond - headroom);
        let own = own.saturating_add(limits.own());
        let needed = own.saturating_add(taken);
        if needed > self.pool {
            return Err(PoolExceeded { needed, pool: self.pool });
        }
        account.limits = limits;
        account.headroom = headroom;
        account.shared = beyond - headroom;
        self.shared = self.pool - own;
        self.taken = taken;
        Ok(account.cross(now))
    }

    /// Gives nobody so many bytes of what all share, from now on: thresholds that [`Buffer::set`] has
    /// no room for have it once enough has left.
    pub fn withhold(&mut self, bytes: u64) {
        self.withheld = bytes;
    }

    /// A queue's thresholds.
    #[must_use]
    pub fn thresholds(&self, queue: usize) -> Option<Thresholds> {
        self.accounts.get(queue).map(|account| account.limits)
    }

    /// Bytes in a queue.
    #[inline]
    #[must_use]
    pub fn bytes_of(&self, queue: usize) -> u64 {
        self.accounts.get(queue).map_or(0, |account| account.bytes)
    }

    /// How a queue does at `now`.
    #[must_use]
    pub fn level(&self, queue: usize, now: Time) -> Level {
        let Some(of) = self.accounts.get(queue) else { return Level::default() };
        let present = if of.stopped { now.since(of.stopped_at) } else { 0 };
        Level {
            bytes: of.bytes,
            high_water: of.high_water,
            headroom: of.headroom,
            stopped: of.stopped,
            stops: of.stops,
            stopped_for: of.stopped_for + present,
        }
    }

    /// Bytes of all queues, and the most there ever were.
    #[must_use]
    pub const fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.high_water)
    }
}

impl Account {
    /// What of `bytes` more comes from what all share, of which so many are free, and from headroom.
    #[inline]
    fn split(&self, bytes: u64, free: u64) -> Result<(u64, u64), Refusal> {
        let Thresholds { reserved, alpha, headroom, .. } = self.limits;
        let own = self.bytes - self.shared - self.headroom;
        let beyond = bytes.saturating_sub(reserved.saturating_sub(own));
        if beyond == 0 {
            return Ok((0, 0));
        }
        let threshold = free.saturating_mul(u64::from(alpha)) >> 8;
        let shared = beyond.min(threshold.saturating_sub(self.shared)).min(free);
        let rest = beyond - shared;
        if rest > headroom - self.headroom {
            return Err(match self.limits.is_lossless() {
                true => Refusal::Headroom,
                false => Refusal::Threshold,
            });
        }
        Ok((shared, rest))
    }

    /// Whether its sender has to be told something else.
    #[inline]
    fn cross(&mut self, now: Time) -> Option<Crossing> {
        if self.stopped {
            if self.bytes > self.limits.xon || self.headroom > 0 {
                return None;
            }
            self.stopped = false;
            self.stopped_for += now.since(self.stopped_at);
            return Some(Crossing::Xon);
        }
        if self.bytes < self.limits.xoff && self.headroom == 0 {
            return None;
        }
        self.stopped = true;
        self.stopped_at = now;
        self.stops += 1;
        Some(Crossing::Xoff)
    }
}
