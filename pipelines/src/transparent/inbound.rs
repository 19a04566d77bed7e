//! The streams that arrive from one peer.

use std::collections::VecDeque;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::number::Number;
use super::owed::Owed;
use super::stream::{Place, Stream};
use super::table::{Name, Slot, Table};
use crate::recovery::{Arrival, Rtt};

/// Bounds of what waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) packets: usize,
    pub(crate) bytes: u64,
}

/// What became of a packet.
pub(crate) enum Placed {
    /// It can go now.
    Deliver(Packet),
    /// It waits, or will be let go of when what waits is too much.
    Held,
    /// It is not needed: a second copy of one that waits.
    Twice(Packet),
    /// It cannot be recorded, and will be asked for again.
    Refused(Packet),
}

/// What arrives from one peer.
pub(crate) struct Inbound {
    pub(crate) table: Table<Stream>,
    /// Streams that have something to ask, to confirm or to deliver.
    pub(crate) active: Vec<Slot>,
    /// Streams that can go on and had no room.
    ready: VecDeque<Slot>,
    limits: Limits,
    held: usize,
    held_bytes: u64,
    high_water: u64,
    /// Packets since the last confirmation, and when the next one is due.
    pub(crate) unconfirmed: u32,
    pub(crate) confirm_at: Time,
    /// Something new is to be asked for.
    pub(crate) urgent: bool,
    /// Repaired, and late, packets since this was last read.
    pub(crate) repaired: u64,
    pub(crate) late: u64,
}

impl Inbound {
    /// Remembers `streams` streams.
    pub(crate) fn new(streams: u32, limits: Limits) -> Self {
        let table = Table::new(streams);
        Self {
            active: Vec::with_capacity(table.len()),
            ready: VecDeque::with_capacity(table.len()),
            table,
            limits,
            held: 0,
            held_bytes: 0,
            high_water: 0,
            unconfirmed: 0,
            confirm_at: Time::NEVER,
            urgent: false,
            repaired: 0,
            late: 0,
        }
    }

    /// The stream of this name, a new one if it is not known.
    #[inline]
    pub(crate) fn stream(&mut self, name: Name, now: Time) -> Slot {
        if let Some(slot) = self.table.find(name, now) {
            return slot;
        }
        let (held, bytes) = (&mut self.held, &mut self.held_bytes);
        let mut was_listed = (false, false);
        let slot = self.table.add(name, now, |stream| {
            *held -= stream.held();
            *bytes -= stream.held_bytes();
            was_listed = (stream.listed, stream.ready);
        });
        if let Some((_, stream)) = self.table.at(slot) {
            (stream.listed, stream.ready) = was_listed;
        }
        slot
    }

    /// Puts a packet in its place. `told`: it waited for an announcement, and that came. `room`:
    /// whether it could be delivered now.
    #[inline]
    pub(crate) fn arrive(
        &mut self,
        slot: Slot,
        (number, packet): (&Number, Packet),
        owed: Option<&Owed>,
        told: bool,
        (now, rtt): (Time, &mut Rtt),
        room: bool,
    ) -> Placed {
        let Some((_, stream)) = self.table.at(slot) else { return Placed::Deliver(packet) };
        let before = stream.holes.missing();
        let (mut repaired, mut late, mut sample) = (0, 0, None);
        let place = stream.arrive(number, owed, told, (now, rtt), |arrival| match arrival {
            Arrival::Repair(rtt) => (repaired, sample) = (1, rtt),
            Arrival::Late => late = 1,
            _ => {}
        });
        sample.into_iter().for_each(|sample| rtt.sample(sample));
        self.repaired += repaired;
        self.late += late;
        self.urgent |= stream.holes.missing() > before || !stream.begun || place == Place::Strange;
        let placed = match place {
            Place::Pass if room => Placed::Deliver(packet),
            Place::Pass | Place::Refused => Placed::Refused(packet),
            Place::Twice => Placed::Twice(packet),
            Place::Strange => {
                self.held += 1;
                self.held_bytes += packet.footprint() as u64;
                stream.set_aside(number, packet, now);
                Placed::Held
            }
            Place::At(key) | Place::Behind(key) if room && stream.is_free(key) => {
                Placed::Deliver(packet)
            }
            Place::At(key) | Place::Behind(key) => {
                let again = matches!(place, Place::Behind(_));
                let span = if again { 0 } else { stream.span(number) };
                self.held += 1;
                self.held_bytes += packet.footprint() as u64;
                stream.hold(key, span, packet, now);
                Placed::Held
            }
        };
        self.list(slot);
        placed
    }

    /// Sees to it that a stream is looked after.
    pub(crate) fn list(&mut self, slot: Slot) {
        if let Some((_, stream)) = self.table.at(slot)
            && !stream.listed
            && !stream.is_quiet()
        {
            stream.listed = true;
            self.active.push(slot);
        }
    }

    /// The next packet of a stream that need not wait any longer.
    #[inline]
    pub(crate) fn release(&mut self, slot: Slot) -> Option<Packet> {
        let packet = self.table.at(slot)?.1.release()?;
        self.let_go(&packet);
        Some(packet)
    }

    /// The packet of a stream that has waited longest for an announcement.
    pub(crate) fn take_stranger(&mut self, slot: Slot) -> Option<(Number, Packet)> {
        let (number, packet) = self.table.at(slot)?.1.take_stranger()?;
        self.let_go(&packet);
        Some((number, packet))
    }

    /// The first packet of a stream that waits in its place, whatever is missing before it.
    pub(crate) fn force(&mut self, slot: Slot) -> Option<Packet> {
        let packet = self.table.at(slot)?.1.force()?;
        self.let_go(&packet);
        Some(packet)
    }

    fn let_go(&mut self, packet: &Packet) {
        self.held -= 1;
        self.held_bytes -= packet.footprint() as u64;
    }

    /// Remembers a stream that could go on and has no room.
    pub(crate) fn mark_ready(&mut self, slot: Slot) {
        if let Some((_, stream)) = self.table.at(slot)
            && !stream.ready
            && stream.can_release()
        {
            stream.ready = true;
            self.ready.push_back(slot);
        }
    }

    /// The stream that has waited longest for room.
    pub(crate) fn take_ready(&mut self) -> Option<Slot> {
        let slot = self.ready.pop_front()?;
        if let Some((_, stream)) = self.table.at(slot) {
            stream.ready = false;
        }
        Some(slot)
    }

    /// Streams that wait for room.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether more waits than may.
    pub(crate) fn is_over(&self) -> bool {
        self.held > self.limits.packets || self.held_bytes > self.limits.bytes
    }

    /// Takes note of what waits, once room was made for the packet that came last.
    #[inline]
    pub(crate) fn note_held(&mut self) {
        self.high_water = self.high_water.max(self.held_bytes);
    }

    /// Packets that wait, and the most bytes that ever did.
    pub(crate) fn held(&self) -> (usize, u64) {
        (self.held, self.high_water)
    }

    /// The stream whose next packet has waited longest, and since when.
    pub(crate) fn oldest(&mut self) -> Option<(Slot, Time)> {
        let table = &mut self.table;
        let since = |slot: &Slot| Some((*slot, table.at(*slot)?.1.held_since()?));
        self.active.iter().filter_map(since).min_by_key(|(_, since)| *since)
    }

    /// Takes streams that need no looking after off the list.
    pub(crate) fn tidy(&mut self) {
        let table = &mut self.table;
        self.active.retain(|slot| {
            let Some((_, stream)) = table.at(*slot) else { return false };
            stream.listed = !stream.is_quiet();
            if !stream.listed {
                stream.shrink();
            }
            stream.listed
        });
    }

    /// Forgets everything; what waits is let go of.
    pub(crate) fn reset(&mut self) {
        self.table.clear(|_| {});
        self.active.clear();
        self.ready.clear();
        (self.held, self.held_bytes) = (0, 0);
        (self.unconfirmed, self.confirm_at, self.urgent) = (0, Time::NEVER, false);
    }
}
