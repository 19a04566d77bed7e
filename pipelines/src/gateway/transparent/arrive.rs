//! From the WAN to the LAN, bare: find what is missing of each stream, restore its order, deliver.

use std::net::IpAddr;

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::TxQueue;
use dataplane::time::Time;

use super::super::classify::Classified;
use super::super::peer::{Peer, Timer};
use super::super::{Behind, Common};
use super::{has_right_icrc, tell};
use crate::recovery::Bound;
use crate::shield::{self, Found, Sight};
use crate::transparent::inbound::Placed;
use crate::transparent::number::Number;
use crate::transparent::table::Slot;
use crate::wire::psn::Psn;

impl Peer {
    /// Whether what arrives bare at a port may be this peer's.
    #[inline]
    pub(in super::super) fn sends_bare(&self, port: usize, head: &[u8], found: &Found) -> bool {
        if self.streams.is_none() || !self.senders.iter().any(|sender| sender.port == port) {
            return false;
        }
        match &self.behind {
            Behind::Everything => true,
            Behind::Prefixes(prefixes) => source(head, found)
                .is_some_and(|address| prefixes.iter().any(|prefix| prefix.contains(address))),
        }
    }
}

/// Who sent a packet.
fn source(head: &[u8], found: &Found) -> Option<IpAddr> {
    let ip = head.get(usize::from(found.ip_at)..)?;
    match found.ip_version {
        4 => Some(IpAddr::from(*ip.get(12..)?.first_chunk::<4>()?)),
        _ => Some(IpAddr::from(*ip.get(8..)?.first_chunk::<16>()?)),
    }
}

/// A bare packet from `peer` came by `port`. Returns it if it has no number.
#[inline]
pub(in super::super) fn arrive(
    common: &mut Common,
    peer: &mut Peer,
    port: usize,
    class: &Classified,
    mut packet: Packet,
    now: Time,
    queues: &mut [TxQueue],
) -> Option<Packet> {
    let lan = peer.lan;
    common.tenancy.arrives(lan, class, &mut packet);
    let (Some(found), Some(streams)) = (&class.roce, &mut peer.streams) else {
        return Some(packet);
    };
    if !peer.session.is_up(now) {
        return Some(packet);
    }
    let Some(number) = Number::read(packet.head(), packet.len(), found, streams.secrets.1) else {
        return Some(packet);
    };
    match has_right_icrc(&packet, found).filter(|_| streams.check_icrc) {
        Some(true) => {}
        Some(false) if streams.inbound.table.find(number.name, now).is_some() => {
            common.counters.drops.count(DropReason::WanIcrc, packet.len());
            return None;
        }
        // Of no stream that is known: others may use the port (trap 28). No RNIC takes it.
        Some(false) => {
            common.forward_bare(port, packet, queues);
            return None;
        }
        None if streams.check_icrc => return Some(packet),
        None => {}
    }
    let via = peer.senders.iter().position(|sender| sender.port == port).unwrap_or(0);
    let slot = streams.inbound.stream(number.name, now);
    let answers = match &mut common.shield {
        Some(shield) if number.response => {
            shield.responds(packet.head(), found, number.psn.plus(1), now)
        }
        _ => None,
    };
    if let Some((_, stream)) = streams.inbound.table.at(slot) {
        stream.via = via as u8;
        if number.response && stream.answers.is_none() {
            stream.answers = Sight::of(packet.head(), found).and_then(|sight| sight.key());
        }
    }
    streams.inbound.unconfirmed += 1;
    if streams.inbound.confirm_at == Time::NEVER {
        streams.inbound.confirm_at = now.after(common.settings.recovery.ack_delay);
    }
    streams.touched = true;
    place(common, peer, slot, (&number, packet), (answers, false), now, queues);
    release(common, peer, slot, now, queues);
    None
}

/// Puts a packet in its place. `answers`: where it is known what it answers; `told`: it waited for
/// an announcement, and that came.
#[inline]
fn place(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    (number, packet): (&Number, Packet),
    (answers, told): (Option<shield::Slot>, bool),
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    let Some((_, stream)) = streams.inbound.table.at(slot) else { return };
    let (via, before) = (usize::from(stream.via), stream.holes.next());
    let Some(rtt) = peer.senders.get_mut(via).map(|sender| &mut sender.rtt) else { return };
    let room = common.has_lan_room(peer.lan, queues);
    let mut owed = common.shield.as_mut().zip(answers).and_then(|(shield, at)| shield.owed(at));
    let packet = (number, packet);
    let placed = streams.inbound.arrive(slot, packet, owed.as_deref(), told, (now, rtt), room);
    if let (Some(owed), Some((_, stream))) = (&mut owed, streams.inbound.table.at(slot))
        && stream.holes.next() != before
    {
        owed.settle(Psn::new(stream.holes.next().0));
    }
    common.counters.repaired += std::mem::take(&mut streams.inbound.repaired);
    common.counters.reordered += std::mem::take(&mut streams.inbound.late);
    match placed {
        Placed::Deliver(packet) => common.deliver(peer.lan, packet, now, queues),
        Placed::Held(tenant) => {
            watch_hold(common, peer);
            shrink(common, peer, tenant, now, queues);
        }
        Placed::Twice(packet) => {
            common.counters.drops.count(DropReason::WanDuplicate, packet.len());
        }
        Placed::Refused(packet) => {
            common.counters.drops.count(DropReason::WanOutOfWindow, packet.len());
        }
    }
}

/// An announcement came: finds a place for what waited for it.
pub(super) fn place_strangers(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    let Some((_, stream)) = streams.inbound.table.at(slot) else { return };
    let count = stream.strangers();
    if count == 0 {
        return;
    }
    stream.inquired = (Time::ZERO, 0);
    let answers = stream.answers.as_ref().zip(common.shield.as_mut());
    let answers = answers.and_then(|(key, shield)| shield.answers(key, now));
    for _ in 0..count {
        let Some(streams) = &mut peer.streams else { return };
        let Some((number, packet)) = streams.inbound.take_stranger(slot) else { return };
        place(common, peer, slot, (&number, packet), (answers, true), now, queues);
    }
}

/// The burst is over: asks for what is missing, and confirms what came.
pub(in super::super) fn burst_done(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    let packets = common.settings.recovery.ack_packets;
    let Some(streams) = &mut peer.streams else { return };
    if !std::mem::take(&mut streams.touched) {
        return;
    }
    let inbound = &mut streams.inbound;
    if inbound.unconfirmed >= packets {
        inbound.confirm_at = now;
    }
    let due = inbound.confirm_at;
    if inbound.urgent || inbound.confirm_at <= now {
        tell::tend_inbound(common, peer, 0, now, queues);
    } else {
        common.wheel.set_no_later(peer.timer(Timer::Receiver(0)), due);
    }
}

/// Delivers what of a stream need not wait any longer, as far as there is room.
#[inline]
pub(super) fn release(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    if streams.inbound.held().0 == 0 {
        return;
    }
    while common.has_lan_room(peer.lan, queues) {
        let Some(packet) = streams.inbound.release(slot) else { return };
        common.deliver(peer.lan, packet, now, queues);
    }
    streams.inbound.mark_ready(slot);
}

/// Goes on with streams that had no room.
pub(in super::super) fn release_ready(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    let count = peer.streams.as_ref().map_or(0, |streams| streams.inbound.ready());
    for _ in 0..count {
        let slot = peer.streams.as_mut().and_then(|streams| streams.inbound.take_ready());
        if let Some(slot) = slot {
            release(common, peer, slot, now, queues);
        }
    }
}

/// Sees to it that nothing waits longer than it may.
fn watch_hold(common: &mut Common, peer: &mut Peer) {
    let timer = peer.timer(Timer::Hold);
    let Some(streams) = &mut peer.streams else { return };
    // The first one to wait sets the timer; what is left then is looked at then.
    if streams.inbound.held().0 == 1
        && let Some((_, since)) = streams.inbound.oldest(Bound::All)
    {
        common.wheel.set_no_later(timer, since.after(common.settings.recovery.hold_age));
    }
}

/// Gives up what has been waited for too long.
pub(in super::super) fn give_up_aged(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    let (age, timer) = (common.settings.recovery.hold_age, peer.timer(Timer::Hold));
    loop {
        let Some(streams) = &mut peer.streams else { return };
        let Some((slot, since)) = streams.inbound.oldest(Bound::All) else { return };
        let before = streams.inbound.held().0;
        if since.after(age) > now {
            common.wheel.set(timer, since.after(age));
            return;
        }
        give_up(common, peer, slot, now, queues);
        if peer.streams.as_ref().is_some_and(|streams| streams.inbound.held().0 == before) {
            // The LAN takes nothing now.
            common.wheel.set(timer, now.after(age));
            return;
        }
    }
}

/// Gives up until no more waits than may, now that a packet of `tenant` does.
fn shrink(common: &mut Common, peer: &mut Peer, tenant: u16, now: Time, queues: &mut [TxQueue]) {
    while let Some(streams) = &mut peer.streams
        && let Some(bound) = streams.inbound.over(tenant)
        && let Some((slot, _)) = streams.inbound.oldest(bound)
    {
        let before = streams.inbound.held().0;
        let count = give_up(common, peer, slot, now, queues);
        let Some(streams) = &mut peer.streams else { return };
        if let Bound::Tenant(tenant) = bound {
            streams.inbound.refuse(tenant, count.into());
        }
        if streams.inbound.held().0 == before
            && let Some(packet) = streams.inbound.force(slot)
        {
            common.counters.drops.count(DropReason::LanQueueFull, packet.len());
        }
    }
    if let Some(streams) = &mut peer.streams {
        streams.inbound.note_held(tenant);
    }
}

/// Waits no longer for what keeps the first packet of a stream back. Returns how much that is.
fn give_up(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    now: Time,
    queues: &mut [TxQueue],
) -> u32 {
    let Some(streams) = &mut peer.streams else { return 0 };
    let Some((_, stream)) = streams.inbound.table.at(slot) else { return 0 };
    let rtt = peer.senders.get(usize::from(stream.via)).map(|sender| sender.rtt);
    let count = rtt.map_or(0, |rtt| stream.give_up(now, &rtt));
    common.counters.gave_up += u64::from(count);
    release(common, peer, slot, now, queues);
    count
}

/// Delivers all that waits of a stream, in the order there is.
pub(super) fn flush(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    now: Time,
    queues: &mut [TxQueue],
) {
    if let Some((_, stream)) =
        peer.streams.as_mut().and_then(|streams| streams.inbound.table.at(slot))
    {
        stream.admit();
    }
    flush_placed(common, peer, slot, now, queues);
}

/// Delivers all of a stream that waits in its place, in the order there is.
pub(super) fn flush_placed(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    while let Some(packet) = streams.inbound.force(slot) {
        common.deliver(peer.lan, packet, now, queues);
    }
}

/// A session ended: all that waits goes out.
pub(in super::super) fn give_up_all(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    while let Some(slot) = peer
        .streams
        .as_mut()
        .and_then(|streams| streams.inbound.oldest(Bound::All))
        .map(|(slot, _)| slot)
    {
        flush(common, peer, slot, now, queues);
    }
}
