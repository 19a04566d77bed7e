//! Packets of one stream that only an announcement can find a place for.

use std::collections::VecDeque;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::number::Number;
use super::stream::{LONG, SHORT};

/// A packet that waits for an announcement to say what it is.
struct Stranger {
    number: Number,
    since: Time,
    packet: Packet,
}

/// What waits for an announcement, in order of arrival.
#[derive(Default)]
pub(super) struct Strangers(VecDeque<Stranger>);

impl Strangers {
    pub(super) fn push(&mut self, number: &Number, packet: Packet, now: Time) {
        self.0.push_back(Stranger { number: *number, since: now, packet });
    }

    /// The one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<(Number, Packet)> {
        self.0.pop_front().map(|stranger| (stranger.number, stranger.packet))
    }

    /// The one that came last, and when it came.
    pub(super) fn pop_last(&mut self) -> Option<(Time, Packet)> {
        self.0.pop_back().map(|stranger| (stranger.since, stranger.packet))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Since when the first one has waited.
    pub(super) fn since(&self) -> Option<Time> {
        self.0.front().map(|stranger| stranger.since)
    }

    /// The packets.
    pub(super) fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.0.iter().map(|stranger| &stranger.packet)
    }

    /// Gives back the memory of a queue that was long once.
    pub(super) fn shrink(&mut self) {
        if self.0.is_empty() && self.0.capacity() > LONG {
            self.0.shrink_to(SHORT);
        }
    }
}
