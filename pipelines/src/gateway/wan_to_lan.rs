//! From the WAN to the LAN: find what is missing, a channel; restore the order, a lane; deliver.

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::{Burst, TxQueue};
use dataplane::time::Time;

use super::classify::{Classified, classify, may_answer};
use super::peer::{Peer, Timer};
use super::transparent::arrive;
use super::{Common, Gateway, control};
use crate::local::may_concern;
use crate::recovery::{Arrival, Bound, LanePosition, Placement};
use crate::shield::Key;
use crate::tunnel::ecn;
use crate::tunnel::header::{HEADER_LEN, Header, Kind};
use crate::tunnel::outer::{Incoming, Local};

const ETHERNET_LEN: usize = 14;

impl Gateway {
    pub(super) fn wan_to_lan(
        &mut self,
        local: &Local,
        port: usize,
        burst: &mut Burst,
        now: Time,
        queues: &mut [TxQueue],
    ) {
        for mut packet in burst.drain(..) {
            self.common.counters.wan_rx.add(packet.len());
            let opened = local.open(&mut packet);
            if let Some(Err(reason)) = opened {
                self.common.counters.drops.count(reason, packet.len());
                continue;
            }
            let drop = match local.recognise(&packet) {
                Incoming::Tunnel { source, offset, end, ecn } => match self.peer_at(source) {
                    Some(index) => {
                        let Some(peer) = self.peers.get_mut(index) else { continue };
                        let part = Part { offset, end, ecn };
                        tunnelled(&mut self.common, peer, packet, part, now, queues);
                        continue;
                    }
                    None => DropReason::WanUnknownPeer,
                },
                // Nobody is to reach the LAN through our SID but gateways.
                Incoming::Bare if opened.is_some() => DropReason::WanSrv6,
                Incoming::Bare => {
                    let packet = match may_concern(packet.head()) {
                        true => self.heed(port, packet, now, queues),
                        false => Some(packet),
                    };
                    packet.into_iter().for_each(|packet| self.bare(port, packet, now, queues));
                    continue;
                }
                Incoming::Malformed => DropReason::WanMalformed,
                Incoming::BadChecksum => DropReason::WanChecksum,
                Incoming::ForUs => {
                    let packet = self.hear(port, packet, now, queues);
                    let packet = packet.and_then(|packet| self.heed(port, packet, now, queues));
                    if let Some(packet) = packet {
                        self.common.counters.drops.count(DropReason::WanForUs, packet.len());
                    }
                    continue;
                }
            };
            self.common.counters.drops.count(drop, packet.len());
        }
        for peer in &mut self.peers {
            arrive::burst_done(&mut self.common, peer, now, queues);
            let mut touched = std::mem::take(&mut peer.touched);
            while touched != 0 {
                let channel = touched.trailing_zeros() as usize;
                touched &= touched - 1;
                control::tend_receiver(&mut self.common, peer, channel, now, queues);
            }
        }
    }

    /// A packet that is not of the tunnel: it may have a number of its own.
    #[inline]
    fn bare(&mut self, port: usize, packet: Packet, now: Time, queues: &mut [TxQueue]) {
        let class = match self.peers.iter().any(|peer| peer.streams.is_some()) {
            true => classify(packet.head()).ok().filter(|class| class.roce.is_some()),
            false => None,
        };
        let bare = match class {
            Some(class) => self.numbered(port, &class, packet, now, queues),
            None => Some(packet),
        };
        if let Some(packet) = bare {
            if let Some(begins) = self.common.show_shield(&packet, now) {
                self.peers.iter_mut().for_each(|peer| peer.begins(&begins, now));
            }
            self.common.forward_bare(port, packet, queues);
        }
    }

    /// A RoCEv2 packet that is not of the tunnel. Returns it if it has no number.
    #[inline]
    fn numbered(
        &mut self,
        port: usize,
        class: &Classified,
        packet: Packet,
        now: Time,
        queues: &mut [TxQueue],
    ) -> Option<Packet> {
        let found = class.roce.as_ref()?;
        let peer = self.peers.iter_mut().find(|peer| peer.sends_bare(port, packet.head(), found));
        match peer {
            Some(peer) => arrive::arrive(&mut self.common, peer, port, class, packet, now, queues),
            None => Some(packet),
        }
    }

    #[inline]
    fn peer_at(&mut self, address: std::net::IpAddr) -> Option<usize> {
        if self.peers.get(self.last_peer).is_none_or(|peer| peer.address != address) {
            self.last_peer = self.peers.iter().position(|peer| peer.address == address)?;
        }
        Some(self.last_peer)
    }
}

/// The part of a frame that is a tunnel packet: where its tunnel header begins, where it ends, and
/// what the network marked it with.
#[derive(Debug, Clone, Copy)]
struct Part {
    offset: usize,
    end: usize,
    ecn: u8,
}

/// A packet of the tunnel with `peer`.
#[inline]
fn tunnelled(
    common: &mut Common,
    peer: &mut Peer,
    mut packet: Packet,
    Part { offset, end, ecn }: Part,
    now: Time,
    queues: &mut [TxQueue],
) {
    packet.truncate(end);
    let header = packet.head().get(offset..).map(Header::read);
    let (Some(Ok(header)), true) = (header, packet.trim_front(offset)) else {
        common.counters.drops.count(DropReason::WanMalformed, packet.len());
        return;
    };
    if header.kind == Kind::Control {
        control::receive(common, peer, &packet, now, queues);
        return;
    }
    if !peer.session.is_current(header.tag) {
        common.counters.drops.count(DropReason::WanStaleSession, packet.len());
        return;
    }
    let channel = usize::from(header.channel);
    let Some(receiver) = peer.receivers.get_mut(channel) else {
        common.counters.drops.count(DropReason::WanMalformed, packet.len());
        return;
    };
    match receiver.holes.arrive(header.seq, now, &receiver.rtt) {
        Arrival::New => {}
        Arrival::Repair(sample) => {
            common.counters.repaired += 1;
            receiver.repaired += 1;
            sample.into_iter().for_each(|rtt| receiver.rtt.sample(rtt));
        }
        Arrival::Late => common.counters.reordered += 1,
        Arrival::Duplicate => {
            common.counters.drops.count(DropReason::WanDuplicate, packet.len());
            return;
        }
        Arrival::Refused => {
            common.counters.drops.count(DropReason::WanOutOfWindow, packet.len());
            return;
        }
    }
    receiver.received.add(packet.len());
    receiver.unconfirmed += 1;
    if receiver.confirm_at == Time::NEVER {
        receiver.confirm_at = now.after(common.settings.recovery.ack_delay);
    }
    peer.touched |= 1 << channel;
    if let Some(mut packet) = common.decapsulate(peer, packet, header.kind, ecn) {
        common.tenancy.unpacked(peer.lan, &mut packet);
        place(common, peer, header.at, packet, now, queues);
        return;
    }
    // It cannot be delivered: its lane does not wait for it.
    if peer.order.gone(header.at.lane, header.at.seq, now) {
        release(common, peer, header.at.lane, now, queues);
    }
    watch_hold(common, peer);
}

impl Common {
    /// Takes the tunnel header off, and puts an Ethernet header on if none was carried. The outer
    /// header had the ECN field `ecn`.
    #[inline]
    fn decapsulate(
        &mut self,
        peer: &Peer,
        mut packet: Packet,
        kind: Kind,
        ecn: u8,
    ) -> Option<Packet> {
        let trimmed = packet.trim_front(HEADER_LEN);
        debug_assert!(trimmed, "the header was read from here");
        if ecn::may_change(ecn) && !is_marked(&mut packet, kind, ecn) {
            self.counters.drops.count(DropReason::WanCe, packet.len());
            return None;
        }
        let ethertype = match kind {
            Kind::Ethernet | Kind::Control => return Some(packet),
            Kind::Ipv4 => [0x08, 0x00],
            Kind::Ipv6 => [0x86, 0xdd],
        };
        let port = self.settings.ports.get(peer.lan)?;
        let header = self.hops.lan(peer.lan).zip(packet.prepend(ETHERNET_LEN));
        let Some((next_hop, header)) = header else {
            self.counters.drops.count(DropReason::LanNoNextHop, packet.len());
            return None;
        };
        let source = port.mac.iter().chain(&ethertype);
        header.iter_mut().zip(next_hop.iter().chain(source)).for_each(|(to, from)| *to = *from);
        Some(packet)
    }

    /// Lets the shield see a packet that the LAN is given. If it says that a queue pair of the far
    /// host begins anew: what packets to that are called.
    #[inline]
    fn show_shield(&mut self, packet: &Packet, now: Time) -> Option<Key> {
        let shield = self.shield.as_mut().filter(|_| may_answer(packet.head()))?;
        let found = classify(packet.head()).ok()?.roce?;
        shield.delivers(packet.head(), &found, now)
    }

    /// Gives a packet to a LAN port, or to the queue before it.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        port: usize,
        packet: Packet,
        now: Time,
        queues: &mut [TxQueue],
    ) {
        match self.waiting.is_on() {
            true => self.wait_for_lan(port, packet, now),
            false => self.give(port, packet, now, queues),
        }
    }

    /// Gives a packet to a LAN port.
    #[inline(always)]
    pub(super) fn give(&mut self, port: usize, packet: Packet, now: Time, queues: &mut [TxQueue]) {
        let bytes = packet.len();
        self.show_shield(&packet, now);
        let queue = queues.get_mut(port);
        match queue.is_some_and(|queue| queue.push(packet.freeze()).is_ok()) {
            true => self.counters.lan_tx.add(bytes),
            false => self.counters.drops.count(DropReason::LanQueueFull, bytes),
        }
    }
}

/// Hands what the network marked the outer header with, `ecn`, on to what was carried: its IP header
/// if it has one. `false` if it is to be dropped.
#[cold]
fn is_marked(packet: &mut Packet, kind: Kind, ecn: u8) -> bool {
    let ip = match kind {
        Kind::Ipv4 | Kind::Ipv6 | Kind::Control => Some(0),
        Kind::Ethernet => classify(packet.head())
            .ok()
            .and_then(|class| (class.ip_version != 0).then_some(usize::from(class.ip_offset))),
    };
    let ip = ip.and_then(|at| packet.head_mut().get_mut(at..));
    ecn::unwrap(ip.unwrap_or_default(), ecn)
}

/// Puts a packet in its place: delivers it and what waited for it, or holds it.
#[inline]
fn place(
    common: &mut Common,
    peer: &mut Peer,
    at: LanePosition,
    packet: Packet,
    now: Time,
    queues: &mut [TxQueue],
) {
    let waits = common.holds_back(peer.lan, packet.mark());
    let room = !waits && common.has_lan_room(peer.lan, queues);
    match peer.order.arrive(at.lane, at.seq, packet, now, room) {
        Placement::Deliver(packet) => {
            common.deliver(peer.lan, packet, now, queues);
            if peer.order.held() > 0 {
                release(common, peer, at.lane, now, queues);
            }
        }
        Placement::Held => {
            watch_hold(common, peer);
            if !room && !waits && peer.order.is_ready(at.lane) {
                peer.mark_ready(at.lane);
            }
        }
        Placement::TooLate(packet) => {
            common.counters.drops.count(DropReason::WanTooLate, packet.len());
        }
        Placement::Refused(packet) => {
            common.counters.drops.count(DropReason::WanOutOfWindow, packet.len());
            common.counters.gave_up += 1;
        }
        Placement::Full(packet, bound) => {
            make_room(common, peer, bound, (at, packet), now, queues);
        }
    }
}

/// The hold buffer, or a tenant's part of it, is at its bound: whoever waits longest - of all, or of
/// that tenant - stops waiting, until the packet fits.
#[cold]
fn make_room(
    common: &mut Common,
    peer: &mut Peer,
    bound: Bound,
    (at, packet): (LanePosition, Packet),
    now: Time,
    queues: &mut [TxQueue],
) {
    let before = peer.order.held();
    give_up_oldest(common, peer, bound, now, queues);
    if peer.order.held() < before {
        // Fewer are held now, so this ends.
        place(common, peer, at, packet, now, queues);
    } else {
        // Nothing could be released: the LAN takes nothing.
        common.counters.drops.count(DropReason::LanQueueFull, packet.len());
        common.counters.gave_up += 1;
        peer.order.gone(at.lane, at.seq, now);
    }
}

/// Delivers what `lane` can release, as far as the LAN port's queue has room, and its stations have
/// not paused it.
pub(super) fn release(
    common: &mut Common,
    peer: &mut Peer,
    lane: u16,
    now: Time,
    queues: &mut [TxQueue],
) {
    while common.has_lan_room(peer.lan, queues) {
        if common.pauses.is_some() && common.holds_back_next(peer, lane) {
            return;
        }
        let Some(packet) = peer.order.release(lane, now) else { return };
        common.deliver(peer.lan, packet, now, queues);
    }
    if peer.order.is_ready(lane) {
        peer.mark_ready(lane);
    }
}

/// Goes on with lanes that had no room.
pub(super) fn release_ready(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    for _ in 0..peer.ready.len() {
        if let Some(lane) = peer.take_ready() {
            release(common, peer, lane, now, queues);
        }
    }
}

/// Sees to it that nothing is held longer than it may be.
pub(super) fn watch_hold(common: &mut Common, peer: &Peer) {
    if let Some(since) = peer.order.oldest() {
        let due = since.after(common.settings.recovery.hold_age);
        common.wheel.set_no_later(peer.timer(Timer::Hold), due);
    }
}

/// Gives up what has been waited for too long.
pub(super) fn give_up_aged(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    let age = common.settings.recovery.hold_age;
    while peer.order.oldest().is_some_and(|since| since.after(age) <= now) {
        let before = peer.order.held();
        give_up_oldest(common, peer, Bound::All, now, queues);
        if peer.order.held() == before {
            // The LAN takes nothing now; what can be released waits for room, not for the WAN.
            common.wheel.set(peer.timer(Timer::Hold), now.after(age));
            return;
        }
    }
    watch_hold(common, peer);
}

/// A session ended: what is held goes out in the order there is, as far as there is room.
pub(super) fn give_up_all(common: &mut Common, peer: &mut Peer, now: Time, queues: &mut [TxQueue]) {
    loop {
        let before = peer.order.held();
        give_up_oldest(common, peer, Bound::All, now, queues);
        if peer.order.held() == before {
            break;
        }
    }
    while let Some((lane, _)) = peer.order.give_up_oldest(Bound::All) {
        let Some(packet) = peer.order.release(lane, now) else { break };
        common.counters.drops.count(DropReason::LanQueueFull, packet.len());
    }
}

fn give_up_oldest(
    common: &mut Common,
    peer: &mut Peer,
    of: Bound,
    now: Time,
    queues: &mut [TxQueue],
) {
    if let Some((lane, skipped)) = peer.order.give_up_oldest(of) {
        common.counters.gave_up += u64::from(skipped);
        release(common, peer, lane, now, queues);
    }
}
