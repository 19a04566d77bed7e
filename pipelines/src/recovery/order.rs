//! Order, a lane: what came ahead of a gap waits here until the gap is closed or given up.
//!
//! Only lanes with a gap hold anything, so memory grows with losses and not with the number of
//! streams. All lanes of a peer share one bounded store: a hash table over (lane, number) whose
//! entries also form a list by age, and one a tenant where tenants are told apart.

use dataplane::memory::Packet;
use dataplane::time::{Nanos, Time};

use super::Seq;
use super::ages::Ages;
use crate::tenant::Shares;

/// A number further ahead than this is not believed: also the most a single give-up looks through.
const WINDOW: i32 = 1 << 20;
const NONE: u32 = u32::MAX;
/// The list of all entries.
const ALL: usize = 0;

/// Bounds of an [`Order`].
#[derive(Debug, Clone, Copy)]
pub struct OrderLimits {
    /// Lanes, a power of two.
    pub lanes: u32,
    /// Packets held at most, a power of two.
    pub packets: u32,
    /// Bytes of packet buffers held at most.
    pub bytes: u64,
}

/// What to do with a packet that has arrived.
#[derive(Debug)]
pub enum Placement {
    /// It is the next of its lane: deliver it, then ask [`Order::release`] for those behind it.
    Deliver(Packet),
    /// It waits.
    Held,
    /// Its place was given up, or delivered before.
    TooLate(Packet),
    /// Its number cannot be believed, or its lane does not exist.
    Refused(Packet),
    /// There is no room: make some with [`Order::give_up_oldest`], then try again.
    Full(Packet, Bound),
}

/// Whose room is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// That of all.
    All,
    /// A tenant's own.
    Tenant(u16),
}

#[derive(Clone, Copy)]
struct Lane {
    expected: Seq,
    /// Entries held, those that mark a number as gone included.
    held: u32,
}

struct Entry {
    /// `None`: this number will never come.
    packet: Option<Packet>,
    since: Time,
    lane: u32,
    seq: Seq,
    /// Next entry of the same bucket, or of the free list.
    chain: u32,
}

/// The lanes of one peer, on the receive side.
pub struct Order {
    lanes: Box<[Lane]>,
    buckets: Box<[u32]>,
    entries: Box<[Entry]>,
    free: u32,
    /// All entries, in one list.
    ages: Ages,
    /// Those with a packet, in a list a tenant.
    own: Ages,
    held: u32,
    bytes: u64,
    high_water: u64,
    longest: Nanos,
    limit: u64,
    shares: Shares,
}

impl Order {
    /// Lanes that all begin at number zero, and an empty store; `shares` of the tenants, if any are
    /// told apart: a packet's mark names its tenant.
    #[must_use]
    pub fn new(limits: OrderLimits, shares: Shares) -> Self {
        let packets = limits.packets.next_power_of_two();
        let owned = if shares.is_empty() { 0 } else { packets };
        let entry = |index: u32| Entry {
            packet: None,
            since: Time::ZERO,
            lane: 0,
            seq: Seq(0),
            chain: if index + 1 == packets { NONE } else { index + 1 },
        };
        Self {
            lanes: vec![Lane { expected: Seq(0), held: 0 }; limits.lanes as usize].into(),
            buckets: vec![NONE; packets as usize].into(),
            entries: (0..packets).map(entry).collect(),
            free: 0,
            ages: Ages::new(1, packets as usize),
            own: Ages::new(shares.len(), owned as usize),
            held: 0,
            bytes: 0,
            high_water: 0,
            longest: 0,
            limit: limits.bytes,
            shares,
        }
    }

    /// Places a packet of `lane` numbered `seq`. `room`: whether one that is in order can be
    /// delivered now; if not, it waits too.
    #[inline]
    pub fn arrive(
        &mut self,
        lane: u16,
        seq: Seq,
        packet: Packet,
        now: Time,
        room: bool,
    ) -> Placement {
        let Some(state) = self.lanes.get_mut(usize::from(lane)) else {
            return Placement::Refused(packet);
        };
        let ahead = seq.ahead_of(state.expected);
        if ahead == 0 && room {
            state.expected = seq.next();
            return Placement::Deliver(packet);
        }
        self.hold(u32::from(lane), seq, ahead, packet, now)
    }

    fn hold(&mut self, lane: u32, seq: Seq, ahead: i32, packet: Packet, now: Time) -> Placement {
        if ahead < 0 || self.find(lane, seq).is_some() {
            return Placement::TooLate(packet);
        }
        if ahead > WINDOW {
            return Placement::Refused(packet);
        }
        let bytes = packet.footprint() as u64;
        let tenant = packet.mark();
        if !self.shares.fits(tenant, bytes) {
            return Placement::Full(packet, Bound::Tenant(tenant));
        }
        if self.bytes + bytes > self.limit || self.free == NONE {
            return Placement::Full(packet, Bound::All);
        }
        self.shares.add(tenant, bytes);
        self.bytes += bytes;
        self.high_water = self.high_water.max(self.bytes);
        self.insert(lane, seq, Some(packet), now);
        Placement::Held
    }

    /// The next packet of `lane`, if it is held and nothing before it is missing.
    #[inline]
    pub fn release(&mut self, lane: u16, now: Time) -> Option<Packet> {
        let lane = u32::from(lane);
        loop {
            let state = self.lanes.get(lane as usize)?;
            if state.held == 0 {
                return None;
            }
            let index = self.find(lane, state.expected)?;
            let since = self.entries.get(index as usize)?.since;
            self.longest = self.longest.max(now.since(since));
            let state = self.lanes.get_mut(lane as usize)?;
            state.expected = state.expected.next();
            if let Some(packet) = self.take(index) {
                return Some(packet);
            }
        }
    }

    /// The mark of the packet that [`Order::release`] would give, if there is one.
    #[must_use]
    pub fn next_mark(&self, lane: u16) -> Option<u16> {
        let state = self.lanes.get(usize::from(lane)).filter(|state| state.held > 0)?;
        let held = |seq: Seq| self.entries.get(self.find(lane.into(), seq)? as usize);
        let mut seq = state.expected;
        // What will never come is passed over.
        while let Some(entry) = held(seq) {
            if let Some(packet) = &entry.packet {
                return Some(packet.mark());
            }
            seq = seq.next();
        }
        None
    }

    /// Whether [`Order::release`] would have something.
    #[must_use]
    pub fn is_ready(&self, lane: u16) -> bool {
        self.lanes.get(usize::from(lane)).is_some_and(|state| {
            state.held > 0 && self.find(u32::from(lane), state.expected).is_some()
        })
    }

    /// Number `seq` of `lane` will never come: nobody waits for it any more. `false` when there is
    /// no room to remember it, or no such lane; the lane then waits until it is given up.
    pub fn gone(&mut self, lane: u16, seq: Seq, now: Time) -> bool {
        let Some(state) = self.lanes.get_mut(usize::from(lane)) else { return false };
        let ahead = seq.ahead_of(state.expected);
        if ahead == 0 {
            state.expected = seq.next();
        } else if ahead > 0 && self.find(u32::from(lane), seq).is_none() {
            if ahead > WINDOW || self.free == NONE {
                return false;
            }
            self.insert(u32::from(lane), seq, None, now);
        }
        true
    }

    /// Since when the oldest packet has been waiting.
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        self.entries.get(self.ages.oldest(ALL)? as usize).map(|entry| entry.since)
    }

    /// Stops waiting for what the oldest held packet waits for - of all, or of a tenant -: its lane
    /// moves on to the first number it holds. Returns the lane, to be released, and how many numbers
    /// were given up.
    #[cold]
    pub fn give_up_oldest(&mut self, of: Bound) -> Option<(u16, u32)> {
        let oldest = match of {
            Bound::All => self.ages.oldest(ALL),
            Bound::Tenant(tenant) => self.own.oldest(tenant.into()),
        };
        let lane = self.entries.get(oldest? as usize)?.lane;
        let expected = self.lanes.get(lane as usize)?.expected;
        // Held numbers lie within the window ahead of the expected one.
        let skipped = (0..=WINDOW.cast_unsigned())
            .find(|&ahead| self.find(lane, expected.plus(ahead)).is_some())?;
        self.lanes.get_mut(lane as usize)?.expected = expected.plus(skipped);
        if let Bound::Tenant(tenant) = of {
            self.shares.refuse(tenant, skipped.into());
        }
        Some((lane as u16, skipped))
    }

    /// Packets held, and numbers remembered as gone.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Bytes of packet buffers held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The longest that anything that was released ever waited.
    #[must_use]
    pub fn longest(&self) -> Nanos {
        self.longest
    }

    /// The most bytes of packet buffers ever held.
    #[must_use]
    pub fn high_water(&self) -> u64 {
        self.high_water
    }

    /// What of the bytes held is whose.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// All lanes begin at zero again: a new session. What is held must have been given up before.
    pub fn reset(&mut self) {
        while let Some(oldest) = self.ages.oldest(ALL) {
            drop(self.take(oldest));
        }
        self.lanes.fill(Lane { expected: Seq(0), held: 0 });
    }

    /// The same with another number of lanes, a power of two.
    pub fn reset_to(&mut self, lanes: u32) {
        self.reset();
        if self.lanes.len() != lanes as usize {
            self.lanes = vec![Lane { expected: Seq(0), held: 0 }; lanes as usize].into();
        }
    }

    /// Consecutive numbers of a lane lie in consecutive buckets; lanes begin far apart.
    #[inline]
    fn bucket(&self, lane: u32, seq: Seq) -> usize {
        let spread = lane.wrapping_mul(0x9E37_79B1).wrapping_add(seq.0);
        spread as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn find(&self, lane: u32, seq: Seq) -> Option<u32> {
        let mut index = self.buckets[self.bucket(lane, seq)];
        while let Some(entry) = self.entries.get(index as usize) {
            if entry.seq == seq && entry.lane == lane {
                return Some(index);
            }
            index = entry.chain;
        }
        None
    }

    /// Adds an entry; the caller knows that there is a free one and that the lane exists.
    fn insert(&mut self, lane: u32, seq: Seq, packet: Option<Packet>, now: Time) {
        let index = self.free;
        let bucket = self.bucket(lane, seq);
        self.free = self.entries[index as usize].chain;
        self.ages.push(ALL, index);
        if let Some(packet) = &packet {
            self.own.push(packet.mark().into(), index);
        }
        let chain = self.buckets[bucket];
        self.entries[index as usize] = Entry { packet, since: now, lane, seq, chain };
        self.buckets[bucket] = index;
        self.held += 1;
        self.lanes[lane as usize].held += 1;
    }

    /// Takes an entry out of its bucket and the lists by age, and frees it.
    fn take(&mut self, index: u32) -> Option<Packet> {
        let Entry { lane, seq, chain, .. } = self.entries[index as usize];
        let bucket = self.bucket(lane, seq);
        if self.buckets[bucket] == index {
            self.buckets[bucket] = chain;
        } else {
            let mut before = self.buckets[bucket];
            while self.entries[before as usize].chain != index {
                before = self.entries[before as usize].chain;
            }
            self.entries[before as usize].chain = chain;
        }
        self.ages.remove(ALL, index);
        self.held -= 1;
        self.lanes[lane as usize].held -= 1;
        let entry = &mut self.entries[index as usize];
        entry.chain = std::mem::replace(&mut self.free, index);
        let packet = entry.packet.take()?;
        let bytes = packet.footprint() as u64;
        self.bytes -= bytes;
        self.shares.remove(packet.mark(), bytes);
        self.own.remove(packet.mark().into(), index);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::memory::{Pool, PoolSettings};
    use proptest::prelude::*;

    const FOOTPRINT: u64 = 320;

    fn bed(packets: u32, bytes: u64) -> (Pool, Order) {
        let settings = PoolSettings { buffers: 4_096, buffer_bytes: 256, headroom: 0 };
        let pool = Pool::new(settings).expect("valid");
        (pool, Order::new(OrderLimits { lanes: 4, packets, bytes }, Shares::default()))
    }

    fn number(packet: &Packet) -> u32 {
        u32::from_be_bytes(packet.head().try_into().expect("four bytes"))
    }

    /// Lets number `seq` arrive; returns what is delivered.
    fn arrive(pool: &Pool, order: &mut Order, lane: u16, seq: u32) -> Vec<u32> {
        let packet = pool.copy(&seq.to_be_bytes()).expect("buffers");
        let mut delivered = Vec::new();
        if let Placement::Deliver(packet) = order.arrive(lane, Seq(seq), packet, Time(9), true) {
            delivered.push(number(&packet));
        }
        delivered.extend(std::iter::from_fn(|| order.release(lane, Time(1))).map(|p| number(&p)));
        delivered
    }

    #[test]
    fn a_gap_holds_its_lane_alone() {
        let (pool, mut order) = bed(16, 1 << 20);
        assert_eq!(arrive(&pool, &mut order, 0, 0), [0]);
        assert_eq!(arrive(&pool, &mut order, 0, 2), []);
        assert_eq!(arrive(&pool, &mut order, 1, 0), [0]);
        assert_eq!(arrive(&pool, &mut order, 0, 3), []);
        assert_eq!((order.held(), order.oldest()), (2, Some(Time(9))));
        assert_eq!(arrive(&pool, &mut order, 0, 1), [1, 2, 3]);
        assert_eq!((order.held(), order.high_water(), pool.stats().in_use), (0, 2 * FOOTPRINT, 0));
    }

    #[test]
    fn late_doubled_and_absurd_numbers_are_told_apart() {
        let (pool, mut order) = bed(16, 1 << 20);
        arrive(&pool, &mut order, 0, 0);
        arrive(&pool, &mut order, 0, 5);
        let packet = || pool.copy(b"x").expect("buffers");
        assert!(matches!(order.arrive(0, Seq(0), packet(), Time(9), true), Placement::TooLate(_)));
        assert!(matches!(order.arrive(0, Seq(5), packet(), Time(9), true), Placement::TooLate(_)));
        assert!(matches!(
            order.arrive(0, Seq(1 << 21), packet(), Time(9), true),
            Placement::Refused(_)
        ));
        assert!(matches!(order.arrive(4, Seq(0), packet(), Time(9), true), Placement::Refused(_)));
    }

    #[test]
    fn what_cannot_be_delivered_yet_waits_in_its_order() {
        let (pool, mut order) = bed(16, 1 << 20);
        let packet = || pool.copy(&0u32.to_be_bytes()).expect("buffers");
        assert!(matches!(order.arrive(0, Seq(0), packet(), Time(9), false), Placement::Held));
        assert!(matches!(order.arrive(0, Seq(0), packet(), Time(9), false), Placement::TooLate(_)));
        assert!(order.is_ready(0));
        assert_eq!(order.release(0, Time(1)).map(|packet| number(&packet)), Some(0));
        assert_eq!(arrive(&pool, &mut order, 0, 1), [1]);
    }

    #[test]
    fn gone_numbers_release_at_once_or_in_their_turn() {
        let (pool, mut order) = bed(16, 1 << 20);
        arrive(&pool, &mut order, 0, 1);
        arrive(&pool, &mut order, 0, 3);
        assert!(order.gone(0, Seq(2), Time(9)) && order.gone(0, Seq(2), Time(9)));
        assert!(!order.is_ready(0));
        assert!(order.gone(0, Seq(0), Time(9)));
        assert!(order.is_ready(0));
        let released: Vec<u32> =
            std::iter::from_fn(|| order.release(0, Time(1))).map(|p| number(&p)).collect();
        assert_eq!(released, [1, 3]);
        assert_eq!(order.held(), 0);
        assert!(!order.gone(9, Seq(0), Time(9)));
    }

    #[test]
    fn bounds_hold_and_giving_up_makes_room() {
        let (pool, mut order) = bed(16, 3 * FOOTPRINT);
        for seq in [2, 3, 5] {
            arrive(&pool, &mut order, 0, seq);
        }
        let packet = pool.copy(&6u32.to_be_bytes()).expect("buffers");
        let Placement::Full(packet, Bound::All) = order.arrive(0, Seq(6), packet, Time(9), true)
        else {
            panic!("the bound was passed")
        };
        assert_eq!(order.give_up_oldest(Bound::All), Some((0, 2)));
        assert_eq!(order.release(0, Time(1)).map(|p| number(&p)), Some(2));
        assert!(matches!(order.arrive(0, Seq(6), packet, Time(9), true), Placement::Held));
        assert_eq!(order.high_water(), 3 * FOOTPRINT);
        order.reset();
        assert_eq!((order.held(), order.bytes, pool.stats().in_use), (0, 0, 0));
        assert_eq!(order.give_up_oldest(Bound::All), None);
    }

    proptest! {
        /// Any order of arrival within the bounds comes out sorted, whole and once.
        #[test]
        fn every_permutation_comes_out_in_order(keys in prop::collection::vec(any::<u16>(), 1..200)) {
            let (pool, mut order) = bed(256, 1 << 20);
            let mut arrivals: Vec<u32> = (0..keys.len() as u32).collect();
            arrivals.sort_by_key(|&n| keys[n as usize]);
            let mut delivered = Vec::new();
            for seq in arrivals {
                delivered.extend(arrive(&pool, &mut order, 2, seq));
            }
            prop_assert_eq!(delivered, (0..keys.len() as u32).collect::<Vec<_>>());
            prop_assert_eq!((order.held(), pool.stats().in_use), (0, 0));
        }
    }
}
