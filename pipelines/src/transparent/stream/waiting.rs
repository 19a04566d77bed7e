//! What of a stream waits: for what was sent before it, or for an announcement.

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::{HOLES, Place, Stream};
use crate::recovery::{Holes, Rtt, Seq};
use crate::transparent::number::Number;

/// A queue longer than this gives memory back when it is empty; and what it keeps.
pub(crate) const LONG: usize = 1_024;
pub(crate) const SHORT: usize = 64;

/// A packet that waits for the ones before it.
pub(super) struct Held {
    /// Where it stands: nothing before this may be missing when it goes.
    pub(super) key: Seq,
    /// Numbers it takes; none if it took them before.
    pub(super) span: u32,
    since: Time,
    packet: Packet,
}

impl Stream {
    /// Whether the packet that takes this number waits.
    pub(super) fn waits(&self, seq: Seq) -> bool {
        let first = self.held.partition_point(|held| held.key.ahead_of(seq) < 0);
        let mut there = self.held.range(first..).take_while(|held| held.key == seq);
        there.any(|held| held.span > 0)
    }

    /// Where a packet waits of which it is not known yet what came before it.
    pub(super) fn wait_for_begin(&mut self, number: &Number) -> Place {
        if self.held.is_empty() {
            self.holes = Holes::growing(HOLES, Seq(number.psn.get()));
        }
        Place::At(self.seq(number.psn))
    }

    /// Whether a packet that stands here can go.
    #[inline]
    pub(crate) fn is_free(&self, key: Seq) -> bool {
        let first = self.held.front().is_none_or(|held| held.key.ahead_of(key) > 0);
        self.begun && first && key.ahead_of(self.holes.cumulative()) <= 0
    }

    /// Lets a packet wait in its place.
    pub(crate) fn hold(&mut self, key: Seq, span: u32, packet: Packet, now: Time) {
        let behind = self.held.partition_point(|held| held.key.ahead_of(key) <= 0);
        self.held.insert(behind, Held { key, span, since: now, packet });
    }

    /// Lets a packet wait for an announcement.
    pub(crate) fn set_aside(&mut self, number: &Number, packet: Packet, now: Time) {
        self.strangers.push(number, packet, now);
    }

    /// The packet that has waited longest for an announcement.
    pub(crate) fn take_stranger(&mut self) -> Option<(Number, Packet)> {
        self.strangers.pop()
    }

    /// Packets that wait for an announcement.
    pub(crate) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Waits for no announcement any longer: who waited for one goes first, as it is.
    pub(crate) fn admit(&mut self) {
        let key = self.holes.cumulative();
        while let Some((since, packet)) = self.strangers.pop_last() {
            self.held.push_front(Held { key, span: 0, since, packet });
        }
    }

    /// Whether the far side must be asked what this is.
    pub(crate) fn is_unclear(&self) -> bool {
        !self.begun && !self.held.is_empty() || self.strangers() > 0
    }

    /// The next packet that need not wait any longer.
    #[inline]
    pub(crate) fn release(&mut self) -> Option<Packet> {
        if !self.can_release() {
            return None;
        }
        self.held.pop_front().map(|held| held.packet)
    }

    /// Whether a packet need not wait any longer.
    #[inline]
    pub(crate) fn can_release(&self) -> bool {
        let first = self.held.front();
        let free = |held: &Held| held.key.ahead_of(self.holes.cumulative()) <= 0;
        self.begun && first.is_some_and(free)
    }

    /// Waits no longer for what keeps the first packet back. Returns how many numbers were missing.
    pub(crate) fn give_up(&mut self, now: Time, rtt: &Rtt) -> u32 {
        if self.strangers.since().is_some_and(|since| self.held_since() == Some(since)) {
            self.admit();
            return 0;
        }
        let Some(key) = self.held.front().map(|held| held.key) else { return 0 };
        if !self.begun {
            self.begin(key, now, rtt);
            return 0;
        }
        self.skip(key)
    }

    /// The first of what waits, whatever is missing before it.
    pub(crate) fn force(&mut self) -> Option<Packet> {
        self.held.pop_front().map(|held| held.packet)
    }

    /// Packets that wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len() + self.strangers.len()
    }

    /// Since when the packet that is next to go has waited.
    pub(crate) fn held_since(&self) -> Option<Time> {
        let held = self.held.front().map(|held| held.since);
        held.into_iter().chain(self.strangers.since()).min()
    }

    /// What waits.
    #[inline]
    pub(crate) fn packets(&self) -> impl Iterator<Item = &Packet> {
        let held = self.held.iter().map(|held| &held.packet);
        held.chain(self.strangers.packets())
    }

    /// Gives back the memory of a queue that was long once.
    pub(crate) fn shrink(&mut self) {
        if self.held.is_empty() && self.held.capacity() > LONG {
            self.held.shrink_to(SHORT);
        }
        self.strangers.shrink();
    }
}
