//! From the LAN to the WAN, bare: remember what has a number, announce its stream.

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::TxQueue;
use dataplane::time::Time;

use super::super::classify::Classified;
use super::super::control::{Place, send};
use super::super::peer::{Peer, Timer, tail_delay};
use super::super::sharing;
use super::super::{Common, Oversize};
use super::{has_right_icrc, is_proper};
use crate::recovery::Seq;
use crate::shield::{Carried, Found};
use crate::transparent::log::Kept;
use crate::transparent::number::Number;
use crate::transparent::table::Slot;
use crate::tunnel::control::Draft;

/// Sends a packet to a peer as it is, by the path of its stream.
#[inline]
pub(in super::super) fn leave(
    common: &mut Common,
    peer: &mut Peer,
    class: &Classified,
    packet: Packet,
    now: Time,
    queues: &mut [TxQueue],
) {
    let lane = common.tenancy.lane(packet.mark(), class.hash, peer.paths.lanes());
    let channel = peer.paths.channel(lane) as u8;
    let sender = peer.senders.get(usize::from(channel));
    let Some((port, mtu)) = sender.map(|sender| (sender.port, sender.mtu)) else { return };
    let Some(queue) = queues.get_mut(port) else { return };
    // One for the packet, one for an announcement.
    if queue.room() < 2 {
        common.counters.drops.count(DropReason::WanQueueFull, packet.len());
        return;
    }
    if packet.len() - class.ip_at() > mtu {
        // Remembered, it would be asked for and sent again in vain.
        match common.settings.oversize {
            Oversize::Drop => common.counters.drops.count(DropReason::LanOversize, packet.len()),
            Oversize::Forward => {
                common.counters.oversize_forwarded += 1;
                push(common, packet, port, queues);
            }
        }
        return;
    }
    let number = class.roce.as_ref().and_then(|found| numbered(common, peer, &packet, found, now));
    let absorbed = class.roce.as_ref().is_some_and(|found| {
        let slot = number.as_ref().map(|(slot, _)| *slot);
        is_absorbed(common, peer, slot, (packet.head(), found), channel, now)
            && is_proper(&packet, found)
    });
    if absorbed {
        common.absorb(&packet);
        return;
    }
    let Some(((slot, number), found)) = number.zip(class.roce) else {
        common.counters.unnumbered.add(packet.len());
        return push(common, packet, port, queues);
    };
    let pmtu = match &mut common.shield {
        Some(shield) if !number.response => shield.pmtu(packet.head(), &found, now),
        _ => 0,
    };
    let Some(streams) = &mut peer.streams else { return };
    let (kept, announce) =
        streams.outbound.note(slot, &number, (pmtu, channel), &mut common.memory);
    if announce {
        announce_stream(common, peer, slot, channel, now, queues);
    }
    let bytes = packet.len();
    let frame = packet.freeze();
    let rtt = peer.senders.get(usize::from(channel)).map_or(0, |sender| sender.rtt.smoothed());
    let Some(streams) = &mut peer.streams else { return };
    if kept == Kept::Repeat {
        common.counters.unnumbered.add(bytes);
        if let Some((_, log)) = streams.outbound.table.at(slot) {
            // The guard against doubled requests is half a round trip: a whole one in all.
            log.replace(&number, &frame, now.after(rtt / 2), &mut common.memory);
        }
    } else {
        common.counters.numbered.add(bytes);
        streams.outbound.keep(slot, &number, frame.clone(), now, &mut common.memory);
    }
    if let Some(sender) = peer.senders.get_mut(usize::from(channel)) {
        sender.sent.add(bytes);
    }
    if peer.paths.sent(lane, bytes) {
        sharing::attend(common, peer, lane, now);
    }
    let sent = queues.get_mut(port).is_some_and(|queue| queue.push(frame).is_ok());
    debug_assert!(sent, "the queue had room");
    common.wheel.set_no_later(peer.timer(Timer::Sender(0)), now.after(tail_delay(rtt)));
}

/// The stream of a packet that has a number, and the number. A packet whose ICRC is wrong has none:
/// the RNIC would not take it, however often it is repaired.
#[inline]
fn numbered(
    common: &mut Common,
    peer: &mut Peer,
    packet: &Packet,
    found: &Found,
    now: Time,
) -> Option<(Slot, Number)> {
    let streams = peer.streams.as_mut()?;
    let number = Number::read(packet.head(), packet.len(), found, streams.secrets.0)?;
    if streams.check_icrc && has_right_icrc(packet, found) != Some(true) {
        return None;
    }
    Some((streams.outbound.stream(number.name, now, &mut common.memory), number))
}

/// Whether a packet is an RNIC's repeat that is not needed.
#[inline]
fn is_absorbed(
    common: &mut Common,
    peer: &mut Peer,
    slot: Option<Slot>,
    packet: (&[u8], &Found),
    channel: u8,
    now: Time,
) -> bool {
    let trouble = peer.troubled_until(now);
    let Some((shield, streams)) = common.shield.as_mut().zip(peer.streams.as_mut()) else {
        return false;
    };
    let held = slot.is_some_and(|slot| streams.outbound.holds(slot));
    let rtt = peer.senders.get(usize::from(channel)).map_or(0, |sender| sender.rtt.smoothed());
    let carried = Carried { channel, seq: Seq(0) };
    let until = if held { now } else { trouble };
    shield.absorbs(packet, carried, now, rtt, |_| until) && common.settings.recovery.shield
}

/// Tells the far side of a stream, before the packet that makes it necessary.
#[cold]
fn announce_stream(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    channel: u8,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    let Some((name, log)) = streams.outbound.table.at(slot) else { return };
    let mut draft = Draft::streams(now.0);
    draft.announce(&log.announced(name.0, false, false));
    send(common, peer, channel.into(), draft, Place::Last, queues);
}

fn push(common: &mut Common, packet: Packet, port: usize, queues: &mut [TxQueue]) {
    let bytes = packet.len();
    if queues.get_mut(port).is_some_and(|queue| queue.push(packet.freeze()).is_err()) {
        common.counters.drops.count(DropReason::WanQueueFull, bytes);
    }
}
