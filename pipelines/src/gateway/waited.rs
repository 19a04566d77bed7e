//! What became of packets in queues: how long signalling waited for its turn, and why a queue did
//! not take what it did not take.

use dataplane::drops::DropReason;
use dataplane::time::Nanos;

use super::Gateway;
use crate::queueing::Refusal;

/// Powers of two of nanoseconds that are told apart; the last is 2 seconds and all beyond.
const SIZES: usize = 32;

/// How long packets waited: how many up to each power of two of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    counts: [u32; SIZES],
    longest: Nanos,
}

impl Delays {
    /// A packet waited for so long.
    #[inline]
    pub(super) fn add(&mut self, wait: Nanos) {
        let size = wait.next_power_of_two().trailing_zeros() as usize;
        if let Some(count) = self.counts.get_mut(size.min(SIZES - 1)) {
            *count = count.saturating_add(1);
        }
        self.longest = self.longest.max(wait);
    }

    /// Packets that waited.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The longest wait of all.
    #[must_use]
    pub const fn longest(&self) -> Nanos {
        self.longest
    }

    /// A bound that so many of a thousand packets did not exceed: less than twice what it was.
    #[must_use]
    pub fn within(&self, per_mille: u64) -> Nanos {
        let wanted = (self.count() * per_mille.min(1_000)).div_ceil(1_000);
        let mut seen = 0;
        let size = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        size.map_or(0, |size| self.longest.min(1 << size))
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.longest = self.longest.max(other.longest);
        self
    }
}

/// Packets that the queues of a tenant did not take, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused([u64; REFUSALS.len()]);

/// The reasons there are.
const REFUSALS: [DropReason; 4] = [
    DropReason::QueueThreshold,
    DropReason::QueueHeadroom,
    DropReason::QueuePackets,
    DropReason::QueuePoliced,
];

impl Refused {
    #[inline]
    pub(super) fn add(&mut self, why: DropReason) {
        let counts = self.0.iter_mut().zip(REFUSALS);
        counts.filter(|(_, reason)| *reason == why).for_each(|(count, _)| *count += 1);
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Reasons and packets, those that occurred.
    pub fn seen(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        REFUSALS.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// Why a packet that a queue does not take is dropped.
pub(super) const fn reason(refusal: Refusal) -> DropReason {
    match refusal {
        Refusal::Threshold => DropReason::QueueThreshold,
        Refusal::Headroom => DropReason::QueueHeadroom,
        Refusal::Packets => DropReason::QueuePackets,
    }
}

impl Gateway {
    /// How long a tenant's signalling waited to leave for peers; nothing without queues.
    #[must_use]
    pub fn signalling_delays(&self, tenant: u16) -> Delays {
        self.common.waiting.signalling(tenant).copied().unwrap_or_default()
    }

    /// What a tenant's queues did not take: towards the WAN, and towards the LAN.
    #[must_use]
    pub fn queue_refusals(&self, tenant: u16) -> [Refused; 2] {
        self.common.waiting.refused(tenant).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_as_many_as_they_say() {
        let mut delays = Delays::default();
        assert_eq!((delays.within(990), delays.longest()), (0, 0));
        (0..99).for_each(|_| delays.add(900));
        delays.add(5_000_000_000);
        assert_eq!([500, 990, 1_000].map(|of| delays.within(of)), [1_024, 1_024, 1 << 31]);
        assert_eq!((delays.count(), delays.longest()), (100, 5_000_000_000));
        let mut others = Delays::default();
        (0..300).for_each(|_| others.add(0));
        assert_eq!(others.and(&delays).within(500), 1);
        let mut few = Delays::default();
        few.add(1_500);
        assert_eq!(few.within(990), 1_500);
    }

    #[test]
    fn refusals_have_the_names_of_their_drops() {
        let mut refused = Refused::default();
        for why in [Refusal::Packets, Refusal::Headroom, Refusal::Packets] {
            refused.add(reason(why));
        }
        let seen: Vec<_> = refused.seen().collect();
        assert_eq!(seen, [(DropReason::QueueHeadroom, 1), (DropReason::QueuePackets, 2)]);
        assert_eq!(refused.sum(), 3);
    }
}
