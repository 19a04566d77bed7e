//! The replay buffer of one channel: what was sent and is not confirmed yet.
//!
//! A ring of 32-byte entries indexed by channel sequence. The frame of an entry may go before its
//! metadata: a NACK can then still be answered "gone", naming lane and lane sequence, so that the
//! far side releases the lane at once instead of waiting.

use dataplane::memory::Frame;
use dataplane::time::{Nanos, Time};

use super::Seq;
use crate::tenant::Shares;

/// What a packet is to its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePosition {
    /// The lane.
    pub lane: u16,
    /// The packet's number in it.
    pub seq: Seq,
}

struct Entry {
    /// `None` once it is confirmed or evicted, or from the beginning if it was not kept.
    frame: Option<Frame>,
    sent: Time,
    /// When it was last re-sent; [`Time::ZERO`] if never. Nothing is re-sent at time zero, for
    /// nothing was sent before.
    resent: Time,
    seq: Seq,
    lane: u16,
    /// Memory of the frame, in units of 64 bytes: known here, it need not be looked up in a frame
    /// that left the cache a round trip ago.
    footprint: u16,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// How many frames ahead of the one being freed are brought closer.
const PREFETCH: u32 = 8;

/// Pool memory comes in cache lines: a buffer's header and data are whole ones.
pub(crate) const LINE: usize = 64;

/// Memory of all replay buffers of a gateway together.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayMemory {
    /// Bytes of packet buffers held now.
    pub bytes: u64,
    /// The most ever held.
    pub high_water: u64,
    /// Packets let go of unconfirmed: bound reached, or too old.
    pub evicted: u64,
    /// Packets sent and never kept, because their tenant was at its bound.
    pub unprotected: u64,
}

/// The same as it is accounted for: in all, and a tenant. A frame's mark names its tenant.
#[derive(Debug, Default)]
pub struct ReplayAccount {
    memory: ReplayMemory,
    shares: Shares,
}

impl ReplayAccount {
    /// An account of nothing; `shares` of the tenants, if any are told apart.
    #[must_use]
    pub fn new(shares: Shares) -> Self {
        Self { memory: ReplayMemory::default(), shares }
    }

    /// All of it.
    #[inline]
    #[must_use]
    pub fn memory(&self) -> ReplayMemory {
        self.memory
    }

    /// What of it is whose.
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Takes on a frame of so many `lines`, to be let go of by [`ReplayAccount::release`]; `None`
    /// if its tenant is at its bound: it goes out unprotected.
    #[inline]
    pub(crate) fn keep(&mut self, frame: Frame, lines: u16) -> Option<Frame> {
        let bytes = u64::from(lines) * LINE as u64;
        if !self.shares.is_empty() {
            let tenant = frame.mark();
            if !self.shares.fits(tenant, bytes) {
                self.shares.refuse(tenant, 1);
                self.memory.unprotected += 1;
                return None;
            }
            self.shares.add(tenant, bytes);
        }
        self.memory.bytes += bytes;
        self.memory.high_water = self.memory.high_water.max(self.memory.bytes);
        Some(frame)
    }

    /// A frame of so many `lines` that was kept goes: it is confirmed, or replaced.
    #[inline]
    pub(crate) fn release(&mut self, frame: &Frame, lines: u16) {
        let bytes = u64::from(lines) * LINE as u64;
        self.memory.bytes -= bytes;
        if !self.shares.is_empty() {
            self.shares.remove(frame.mark(), bytes);
        }
    }

    /// The same of one that is not confirmed.
    #[inline]
    pub(crate) fn evict(&mut self, frame: &Frame, lines: u16) {
        self.release(frame, lines);
        self.memory.evicted += 1;
    }
}

/// The answer to a request for one number.
#[derive(Debug)]
pub enum Lookup {
    /// Here it is, to be sent again.
    Resend(Frame),
    /// It was sent again a moment ago: the request crossed the repair.
    JustResent,
    /// The packet is no longer held; this is what it was to its lane.
    Gone(LanePosition),
    /// Nothing is known of this number any more.
    Forgotten,
    /// Confirmed already: the request is an old one.
    Confirmed,
    /// Never sent: the request makes no sense.
    NeverSent,
}

/// Sent and unconfirmed packets of one channel.
pub struct Replay {
    entries: Box<[Entry]>,
    /// Number of the next packet.
    next: Seq,
    /// All numbers before it are confirmed.
    confirmed: Seq,
    /// No number before it has a frame any more. Between `confirmed` and `next`.
    held_from: Seq,
}

impl Replay {
    /// A ring for `packets`, a power of two; numbering begins at zero.
    #[must_use]
    pub fn new(packets: u32) -> Self {
        let entry = || Entry {
            frame: None,
            sent: Time::ZERO,
            resent: Time::ZERO,
            seq: Seq(0),
            lane: 0,
            footprint: 0,
        };
        let packets = packets.next_power_of_two();
        Self {
            entries: (0..packets).map(|_| entry()).collect(),
            next: Seq(0),
            confirmed: Seq(0),
            held_from: Seq(0),
        }
    }

    /// The number the next packet will have.
    #[inline]
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// All numbers before this one are confirmed.
    #[inline]
    #[must_use]
    pub fn confirmed(&self) -> Seq {
        self.confirmed
    }

    /// Numbers sent and not confirmed.
    #[inline]
    #[must_use]
    pub fn unconfirmed(&self) -> u32 {
        self.next.offset_from(self.confirmed)
    }

    /// Remembers a packet under [`Replay::next`], or only its place if its tenant has no room. When
    /// the ring is full, the oldest entry is forgotten, counted.
    #[inline]
    pub fn push(&mut self, frame: Frame, at: LanePosition, now: Time, memory: &mut ReplayAccount) {
        let capacity = self.entries.len() as u32;
        if self.next.offset_from(self.held_from) == capacity {
            self.evict_oldest(memory);
        }
        // A packet is at most 64 KiB and its last segment at least a byte: with the smallest
        // buffers that is below 2^16 lines.
        let footprint = (frame.footprint() / LINE) as u16;
        let slot = self.slot(self.next);
        self.entries[slot] = Entry {
            frame: memory.keep(frame, footprint),
            sent: now,
            resent: Time::ZERO,
            seq: at.seq,
            lane: at.lane,
            footprint,
        };
        self.next = self.next.next();
    }

    /// All numbers before `cumulative` have arrived. Old and impossible values change nothing.
    /// Returns how many packets this confirms.
    pub fn confirm(&mut self, cumulative: Seq, memory: &mut ReplayAccount) -> u32 {
        let count = cumulative.ahead_of(self.confirmed);
        if count <= 0 || cumulative.ahead_of(self.next) > 0 {
            return 0;
        }
        while cumulative.ahead_of(self.held_from) > 0 {
            let ahead = self.slot(self.held_from.plus(PREFETCH));
            if let Some(frame) = &self.entries[ahead].frame {
                frame.prefetch();
            }
            let slot = self.slot(self.held_from);
            let entry = &mut self.entries[slot];
            if let Some(frame) = entry.frame.take() {
                memory.release(&frame, entry.footprint);
            }
            self.held_from = self.held_from.next();
        }
        self.confirmed = cumulative;
        count.cast_unsigned()
    }

    /// What to answer to a request for `seq`. A packet that was re-sent less than `guard` ago is
    /// not handed out again.
    pub fn lookup(&mut self, seq: Seq, now: Time, guard: Nanos) -> Lookup {
        if seq.ahead_of(self.next) >= 0 {
            return Lookup::NeverSent;
        }
        if seq.ahead_of(self.confirmed) < 0 {
            return Lookup::Confirmed;
        }
        if self.next.offset_from(seq) as usize > self.entries.len() {
            return Lookup::Forgotten;
        }
        let slot = self.slot(seq);
        let entry = &mut self.entries[slot];
        let Some(frame) = &entry.frame else {
            return Lookup::Gone(LanePosition { lane: entry.lane, seq: entry.seq });
        };
        if entry.resent != Time::ZERO && now.since(entry.resent) < guard {
            return Lookup::JustResent;
        }
        entry.resent = now;
        Lookup::Resend(frame.clone())
    }

    /// How many numbers from `seq` on are forgotten.
    #[must_use]
    pub fn forgotten_from(&self, seq: Seq) -> u32 {
        let known = self.next.plus((self.entries.len() as u32).wrapping_neg());
        known.ahead_of(seq).max(0).cast_unsigned()
    }

    /// Whether the packet numbered `seq` is unconfirmed and held.
    #[inline]
    #[must_use]
    pub fn holds(&self, seq: Seq) -> bool {
        seq.ahead_of(self.held_from) >= 0 && seq.ahead_of(self.next) < 0
    }

    /// When the oldest packet still held was first sent.
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        (self.held_from != self.next).then(|| self.entries[self.slot(self.held_from)].sent)
    }

    /// When the last packet was sent, if any is unconfirmed.
    #[must_use]
    pub fn latest(&self) -> Option<Time> {
        (self.unconfirmed() > 0).then(|| self.entries[self.slot(self.next.plus(u32::MAX))].sent)
    }

    /// Lets go of the oldest packet held; its metadata stays. Whether there was one, kept or not.
    #[cold]
    pub fn evict_oldest(&mut self, memory: &mut ReplayAccount) -> bool {
        if self.held_from == self.next {
            return false;
        }
        let slot = self.slot(self.held_from);
        let entry = &mut self.entries[slot];
        if let Some(frame) = entry.frame.take() {
            memory.evict(&frame, entry.footprint);
        }
        self.held_from = self.held_from.next();
        true
    }

    /// Forgets everything and begins at zero: a new session. What was unconfirmed counts as
    /// evicted.
    pub fn reset(&mut self, memory: &mut ReplayAccount) {
        while self.evict_oldest(memory) {}
        (self.next, self.confirmed, self.held_from) = (Seq(0), Seq(0), Seq(0));
    }

    #[inline]
    fn slot(&self, seq: Seq) -> usize {
        seq.0 as usize & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::memory::{Pool, PoolSettings};

    struct Bed {
        pool: Pool,
        memory: ReplayAccount,
        replay: Replay,
    }

    impl Bed {
        fn new() -> Self {
            let settings = PoolSettings { buffers: 64, buffer_bytes: 256, headroom: 0 };
            let pool = Pool::new(settings).expect("valid");
            Self { pool, memory: ReplayAccount::default(), replay: Replay::new(8) }
        }

        fn send(&mut self, count: u32) {
            for _ in 0..count {
                let number = self.replay.next().0;
                let frame = self.pool.copy(&number.to_be_bytes()).expect("buffers").freeze();
                let at = LanePosition { lane: 3, seq: Seq(number + 100) };
                self.replay.push(frame, at, Time(u64::from(number) + 1), &mut self.memory);
            }
        }

        fn lookup(&mut self, seq: u32, now: u64) -> Lookup {
            self.replay.lookup(Seq(seq), Time(now), 50)
        }
    }

    #[test]
    fn confirmation_frees_what_it_covers_and_ignores_nonsense() {
        let mut bed = Bed::new();
        bed.send(5);
        assert_eq!(bed.memory.memory().bytes, 5 * 320);
        assert_eq!(bed.replay.confirm(Seq(3), &mut bed.memory), 3);
        assert_eq!(bed.replay.confirm(Seq(2), &mut bed.memory), 0);
        assert_eq!(bed.replay.confirm(Seq(6), &mut bed.memory), 0);
        assert_eq!((bed.memory.memory().bytes, bed.pool.stats().in_use), (2 * 320, 2));
        assert_eq!(bed.replay.oldest(), Some(Time(4)));
        assert_eq!(bed.replay.latest(), Some(Time(5)));
        assert!(matches!(bed.lookup(2, 9), Lookup::Confirmed));
        assert!(matches!(bed.lookup(5, 9), Lookup::NeverSent));
        assert_eq!(bed.replay.confirm(Seq(5), &mut bed.memory), 2);
        assert_eq!(
            (bed.replay.oldest(), bed.replay.latest(), bed.memory.memory().bytes),
            (None, None, 0)
        );
    }

    #[test]
    fn a_repair_is_the_same_bytes_and_not_sent_twice_in_a_moment() {
        let mut bed = Bed::new();
        bed.send(3);
        let Lookup::Resend(frame) = bed.lookup(1, 1_000) else { panic!("held") };
        assert_eq!(frame.head(), 1u32.to_be_bytes());
        assert!(matches!(bed.lookup(1, 1_049), Lookup::JustResent));
        assert!(matches!(bed.lookup(1, 1_050), Lookup::Resend(_)));
    }

    #[test]
    fn what_was_evicted_is_gone_with_its_place_and_later_forgotten() {
        let mut bed = Bed::new();
        bed.send(8);
        assert!(bed.replay.evict_oldest(&mut bed.memory));
        let Lookup::Gone(at) = bed.lookup(0, 9) else { panic!("evicted") };
        assert_eq!(at, LanePosition { lane: 3, seq: Seq(100) });
        bed.send(3);
        assert_eq!(bed.memory.memory().evicted, 3);
        assert!(matches!(bed.lookup(0, 9), Lookup::Forgotten));
        assert!(matches!(bed.lookup(2, 9), Lookup::Forgotten));
        assert_eq!((bed.replay.forgotten_from(Seq(1)), bed.replay.forgotten_from(Seq(5))), (2, 0));
        assert!(matches!(bed.lookup(3, 9), Lookup::Resend(_)));
        assert_eq!(bed.memory.memory().high_water, 8 * 320);
    }

    #[test]
    fn a_new_session_begins_at_zero_and_leaks_nothing() {
        let mut bed = Bed::new();
        bed.send(6);
        bed.replay.reset(&mut bed.memory);
        assert_eq!(
            (bed.memory.memory().bytes, bed.memory.memory().evicted, bed.replay.next()),
            (0, 6, Seq(0))
        );
        assert_eq!(bed.pool.stats().in_use, 0);
    }

    #[test]
    fn numbers_wrap() {
        let mut bed = Bed::new();
        (bed.replay.next, bed.replay.confirmed, bed.replay.held_from) =
            (Seq(u32::MAX - 1), Seq(u32::MAX - 1), Seq(u32::MAX - 1));
        for _ in 0..4 {
            let frame = bed.pool.copy(b"x").expect("buffers").freeze();
            let at = LanePosition { lane: 0, seq: Seq(0) };
            bed.replay.push(frame, at, Time(1), &mut bed.memory);
        }
        assert!(matches!(bed.lookup(u32::MAX, 9), Lookup::Resend(_)));
        assert_eq!(bed.replay.confirm(Seq(1), &mut bed.memory), 3);
        assert_eq!(bed.replay.unconfirmed(), 1);
    }
}
