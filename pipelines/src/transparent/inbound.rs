//! The streams that arrive from one peer.

use std::collections::VecDeque;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::number::Number;
use super::owed::Owed;
use super::stream::{Place, Stream};
use super::table::{Name, Slot, Table};
use crate::recovery::{Arrival, Bound, Rtt};
use crate::tenant::Shares;

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
    /// It waits, at this tenant's expense, or will be let go of when what waits is too much.
    Held(u16),
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
    shares: Shares,
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
    /// Remembers `streams` streams; `shares` of the tenants, if any are told apart: a packet's mark
    /// names its tenant.
    pub(crate) fn new(streams: u32, limits: Limits, shares: Shares) -> Self {
        let table = Table::new(streams);
        Self {
            active: Vec::with_capacity(table.len()),
            ready: VecDeque::with_capacity(table.len()),
            table,
            limits,
            held: 0,
            held_bytes: 0,
            high_water: 0,
            shares,
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
        let (held, bytes, shares) = (&mut self.held, &mut self.held_bytes, &mut self.shares);
        let mut was_listed = (false, false);
        let slot = self.table.add(name, now, |stream| {
            for packet in stream.packets() {
                *held -= 1;
                *bytes -= packet.footprint() as u64;
                shares.remove(packet.mark(), packet.footprint() as u64);
            }
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
            Place::At(key) | Place::Behind(key) if room && stream.is_free(key) => {
                Placed::Deliver(packet)
            }
            Place::Strange | Place::At(_) | Place::Behind(_) => {
                // What waits of one stream is one tenant's.
                let mut packet = packet;
                let tenant = stream.packets().next().map_or(packet.mark(), Packet::mark);
                packet.set_mark(tenant);
                let bytes = packet.footprint() as u64;
                self.held += 1;
                self.held_bytes += bytes;
                self.shares.charge(tenant, bytes);
                match place {
                    Place::At(key) => stream.hold(key, stream.span(number), packet, now),
                    Place::Behind(key) => stream.hold(key, 0, packet, now),
                    _ => stream.set_aside(number, packet, now),
                }
                Placed::Held(tenant)
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
        let bytes = packet.footprint() as u64;
        self.held -= 1;
        self.held_bytes -= bytes;
        self.shares.remove(packet.mark(), bytes);
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

    /// Whose bound is passed, if more waits than may: of a tenant, or in all.
    #[inline]
    pub(crate) fn over(&self, tenant: u16) -> Option<Bound> {
        let all = self.held > self.limits.packets || self.held_bytes > self.limits.bytes;
        match self.shares.fits(tenant, 0) {
            true => all.then_some(Bound::All),
            false => Some(Bound::Tenant(tenant)),
        }
    }

    /// Takes note of what waits, once room was made for the packet of that tenant that came last.
    #[inline]
    pub(crate) fn note_held(&mut self, tenant: u16) {
        self.high_water = self.high_water.max(self.held_bytes);
        self.shares.note(tenant);
    }

    /// Bytes of what waits.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// What of it is whose.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// A tenant's bound made it go without `count` packets.
    pub(crate) fn refuse(&mut self, tenant: u16, count: u64) {
        self.shares.refuse(tenant, count);
    }

    /// Packets that wait, and the most bytes that ever did.
    pub(crate) fn held(&self) -> (usize, u64) {
        (self.held, self.high_water)
    }

    /// The stream - of all, or of a tenant - whose next packet has waited longest, and since when.
    pub(crate) fn oldest(&self, of: Bound) -> Option<(Slot, Time)> {
        let whose = |tenant: u16| of == Bound::All || of == Bound::Tenant(tenant);
        let since = |slot: &Slot| {
            let stream = self.table.get(*slot)?;
            let tenant = stream.packets().next()?.mark();
            Some((*slot, stream.held_since().filter(|_| whose(tenant))?))
        };
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
        self.shares.clear();
        (self.unconfirmed, self.confirm_at, self.urgent) = (0, Time::NEVER, false);
    }
}
