//! The streams that leave for one peer.

use std::collections::VecDeque;

use dataplane::memory::Frame;
use dataplane::time::Time;

use super::log::{Kept, Log};
use super::number::Number;
use super::table::{Name, Slot, Table};
use crate::recovery::{ReplayAccount, Seq};

/// A packet in the order in which all were sent.
#[derive(Debug, Clone, Copy)]
struct Mark {
    slot: Slot,
    at: Seq,
    sent: Time,
}

/// What leaves for one peer.
pub(crate) struct Outbound {
    pub(crate) table: Table<Log>,
    /// Streams that are not all confirmed.
    pub(crate) active: Vec<Slot>,
    /// Packets by age; those confirmed since are still in it.
    order: VecDeque<Mark>,
    lives: u8,
}

impl Outbound {
    /// Remembers `packets` packets of `streams` streams.
    pub(crate) fn new(streams: u32, packets: u32) -> Self {
        let table = Table::new(streams);
        Self {
            active: Vec::with_capacity(table.len()),
            table,
            order: VecDeque::with_capacity(packets as usize),
            lives: 0,
        }
    }

    /// The stream of this name, a new one if it is not known.
    #[inline]
    pub(crate) fn stream(&mut self, name: Name, now: Time, memory: &mut ReplayAccount) -> Slot {
        if let Some(slot) = self.table.find(name, now) {
            return slot;
        }
        let mut listed = false;
        let slot = self.table.add(name, now, |log| {
            log.clear(memory);
            listed = log.listed;
        });
        if let Some((_, log)) = self.table.at(slot) {
            log.listed = listed;
        }
        slot
    }

    /// Takes note of a packet that is about to leave by channel `via`. Returns what it is, and
    /// whether the far side is to be told of the stream before.
    #[inline]
    pub(crate) fn note(
        &mut self,
        slot: Slot,
        number: &Number,
        (pmtu, via): (u16, u8),
        memory: &mut ReplayAccount,
    ) -> (Kept, bool) {
        let Some((_, log)) = self.table.at(slot) else { return (Kept::Repeat, false) };
        if log.is_other_life(number.psn) {
            log.clear(memory);
        }
        log.via = via;
        log.note(number, pmtu, &mut self.lives)
    }

    /// Remembers a packet that has a number.
    #[inline]
    pub(crate) fn keep(
        &mut self,
        slot: Slot,
        number: &Number,
        frame: Frame,
        now: Time,
        memory: &mut ReplayAccount,
    ) {
        if self.order.len() == self.order.capacity() {
            self.trim();
            if self.order.len() == self.order.capacity() {
                self.evict_oldest(memory);
            }
        }
        let Some((_, log)) = self.table.at(slot) else { return };
        let at = log.keep(number, frame, now, memory);
        if !log.listed {
            log.listed = true;
            self.active.push(slot);
        }
        self.order.push_back(Mark { slot, at, sent: now });
    }

    /// A queue pair begins anew: the streams to it are these, as far as they are known.
    #[cold]
    pub(crate) fn end(&mut self, names: [Name; 2], now: Time) {
        for name in names {
            let slot = self.table.find(name, now);
            if let Some((_, log)) = slot.and_then(|slot| self.table.at(slot)) {
                log.end();
            }
        }
    }

    /// Forgets the age of what was confirmed since.
    fn trim(&mut self) {
        while let Some(mark) = self.order.front() {
            let log = self.table.at(mark.slot);
            if log.is_some_and(|(_, log)| log.is_oldest(mark.at, mark.sent)) {
                return;
            }
            self.order.pop_front();
        }
    }

    /// When the oldest packet that is held was sent.
    pub(crate) fn oldest(&mut self) -> Option<Time> {
        self.trim();
        self.order.front().map(|mark| mark.sent)
    }

    /// Lets the oldest packet go; `false` if there is none.
    pub(crate) fn evict_oldest(&mut self, memory: &mut ReplayAccount) -> bool {
        self.trim();
        let Some(mark) = self.order.pop_front() else { return false };
        let Some((_, log)) = self.table.at(mark.slot) else { return false };
        log.evict(mark.at, mark.sent, memory)
    }

    /// Whether a packet of the stream is unconfirmed.
    #[inline]
    pub(crate) fn holds(&mut self, slot: Slot) -> bool {
        self.table.at(slot).is_some_and(|(_, log)| log.unconfirmed() > 0)
    }

    /// Takes a stream off the list of those that are not all confirmed.
    pub(crate) fn unlist(&mut self, index: usize) {
        let slot = self.active.swap_remove(index);
        if let Some((_, log)) = self.table.at(slot) {
            log.listed = false;
            log.shrink();
        }
    }

    /// Packets that are not confirmed.
    pub(crate) fn unconfirmed(&self) -> u64 {
        let logs = self.active.iter().filter_map(|slot| self.table.get(*slot));
        logs.map(|log| log.unconfirmed() as u64).sum()
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self, memory: &mut ReplayAccount) {
        self.table.clear(|log| log.clear(memory));
        self.active.clear();
        self.order.clear();
    }
}
