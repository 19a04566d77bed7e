//! From the LAN to the WAN: whose is it, which lane and channel; number, encapsulate, remember.

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::{Burst, TxQueue};
use dataplane::time::Time;

use super::classify::{Classified, classify};
use super::peer::{Peer, Timer, tail_delay};
use super::queues::Departure;
use super::sharing;
use super::transparent::{is_proper, leave};
use super::ttl;
use super::{Absent, Behind, Carry, Oversize, Role, Ttl};
use super::{Common, Gateway};
use crate::local::may_concern;
use crate::recovery::{LanePosition, ReplayAccount};
use crate::shield::{Carried, Found};
use crate::transparent::entropy;
use crate::tunnel::header::{Header, Kind};

impl Gateway {
    pub(super) fn lan_to_wan(
        &mut self,
        port: usize,
        burst: &mut Burst,
        now: Time,
        queues: &mut [TxQueue],
    ) {
        let is_station = self.common.own.station(port).is_some();
        let packets = burst.len();
        for packet in burst.drain(..) {
            self.common.counters.lan_rx.add(packet.len());
            let packet = match is_station && may_concern(packet.head()) {
                true => self.heed(port, packet, now, queues),
                false => Some(packet),
            };
            let Some(packet) = packet else { continue };
            let class = match classify(packet.head()) {
                Ok(class) => class,
                Err(reason) => {
                    if !self.heed_pause(port, packet.head(), now) {
                        self.common.counters.drops.count(reason, packet.len());
                    }
                    continue;
                }
            };
            let Some(index) = self.peers.iter().position(|peer| peer.carries(&class)) else {
                self.common.forward_bare(port, packet, queues);
                continue;
            };
            self.tunnel::<false>(index, port, &class, packet, now, queues);
        }
        self.common.followed(packets, now);
    }

    /// Sends a packet whose turn it is.
    #[inline(never)]
    pub(super) fn depart(&mut self, departure: Departure, now: Time, queues: &mut [TxQueue]) {
        let Departure { packet, class, peer, port, .. } = departure;
        self.tunnel::<true>(peer, port, &class, packet, now, queues);
    }

    /// Sends a packet through the tunnel to peer number `index`; lets it wait for its turn, unless it
    /// `WAITED`.
    #[inline]
    fn tunnel<const WAITED: bool>(
        &mut self,
        index: usize,
        port: usize,
        class: &Classified,
        mut packet: Packet,
        now: Time,
        queues: &mut [TxQueue],
    ) {
        let (common, peers) = (&mut self.common, &mut self.peers);
        let Some(peer) = peers.get_mut(index) else { return };
        if !peer.session.is_up(now) {
            if !common.has_port(peer, class, &mut packet) {
                return;
            }
            common.send_without(peer.absent, port, packet, queues);
            return;
        }
        let tenant = match WAITED {
            true => packet.mark(),
            false => common.tenancy.leaves(port, class, &mut packet),
        };
        if !WAITED && common.waiting.is_on() {
            common.wait(tenant, packet, class, (index, port), now);
            return;
        }
        if peer.streams.is_some() {
            if !common.has_port(peer, class, &mut packet) {
                return;
            }
            common.follow.count(class, tenant, &packet, None, now);
            let bytes = packet.footprint() as u64;
            if common.memory.memory().bytes + bytes > common.settings.recovery.replay_bytes {
                make_room(common, peers, bytes);
            }
            if let Some(peer) = peers.get_mut(index) {
                leave::leave(common, peer, class, packet, now, queues);
            }
            return;
        }
        let lane = common.tenancy.lane(tenant, class.hash, peer.paths.lanes());
        let channel = peer.channel_of(lane);
        let Some(sender) = peer.senders.get(channel) else { return };
        common.follow.count(class, tenant, &packet, Some((index, sender.path)), now);
        if packet.len() - peer.carried(class).1 > sender.largest {
            match common.settings.oversize {
                Oversize::Drop => {
                    common.counters.drops.count(DropReason::LanOversize, packet.len());
                }
                Oversize::Forward => {
                    common.counters.oversize_forwarded += 1;
                    common.forward_bare(port, packet, queues);
                }
            }
            return;
        }
        if sender.hop.mac.is_none() {
            common.count_hopless(packet.len());
            return;
        }
        if peer.counts_hops(class) && !ttl::passes(ip_of(packet.head(), class)) {
            common.counters.drops.count(DropReason::TtlExpired, packet.len());
            return;
        }
        let Some(queue) = queues.get_mut(sender.port) else { return };
        if queue.room() == 0 {
            common.counters.drops.count(DropReason::WanQueueFull, packet.len());
            return;
        }
        let limit = common.settings.recovery.replay_bytes;
        if common.memory.memory().bytes + packet.footprint() as u64 > limit {
            make_room(common, peers, packet.footprint() as u64);
        }
        let Some(peer) = peers.get_mut(index) else { return };
        if let Some(found) = &class.roce
            && is_absorbed(common, peer, (lane, channel), (packet.head(), found), now)
            && is_proper(&packet, found)
        {
            common.absorb(&packet);
            return;
        }
        number(common, peer, (lane, channel), class, packet, now, queue);
    }
}

/// Whether a packet, which would leave by `channel`, is an RNIC's repeat that is not needed.
#[inline]
fn is_absorbed(
    common: &mut Common,
    peer: &Peer,
    (lane, channel): (usize, usize),
    packet: (&[u8], &Found),
    now: Time,
) -> bool {
    let Some((shield, sender)) = common.shield.as_mut().zip(peer.senders.get(channel)) else {
        return false;
    };
    let carried = Carried { channel: channel as u8, seq: sender.replay.next() };
    let rtt = sender.rtt.smoothed();
    shield.absorbs(packet, carried, now, rtt, |newest| peer.under_way_until(lane, newest, now))
}

/// Numbers and encapsulates a packet, remembers it and queues it; the queue has room.
#[inline]
fn number(
    common: &mut Common,
    peer: &mut Peer,
    (lane, channel): (usize, usize),
    class: &Classified,
    mut packet: Packet,
    now: Time,
    queue: &mut TxQueue,
) {
    let (kind, stripped) = peer.carried(class);
    let timer = peer.timer(Timer::Sender(channel));
    let counts_hops = peer.counts_hops(class);
    let Some(sender) = peer.senders.get_mut(channel) else { return };
    let at = LanePosition { lane: lane as u16, seq: peer.paths.next(lane) };
    let tag = peer.session.keys().send_tag;
    let header = Header {
        kind,
        channel: channel as u8,
        tag,
        seq: sender.replay.next(),
        at,
        tenant: 0,
        class: 0,
    };
    let trimmed = packet.trim_front(stripped);
    if counts_hops {
        ttl::count_hop(packet.head_mut());
    }
    let tos = class.tos & common.tos_mask;
    let fits = trimmed && sender.outer.encapsulate(&mut packet, &header.bytes(), tos);
    if !fits {
        common.counters.drops.count(DropReason::LanNoHeadroom, packet.len());
        return;
    }
    let attend = peer.paths.sent(lane, packet.len());
    common.counters.tunnelled.add(packet.len());
    sender.sent.add(packet.len());
    let frame = packet.freeze();
    sender.replay.push(frame.clone(), at, now, &mut common.memory);
    if queue.push(frame).is_err() {
        debug_assert!(false, "the queue had room");
    }
    common.wheel.set_no_later(timer, now.after(tail_delay(sender.rtt.smoothed())));
    if attend {
        sharing::attend(common, peer, lane, now);
    }
}

/// Lets go of the oldest packets of all channels until `bytes` more fit in the replay buffer.
#[cold]
fn make_room(common: &mut Common, peers: &mut [Peer], bytes: u64) {
    let limit = common.settings.recovery.replay_bytes;
    while common.memory.memory().bytes + bytes > limit {
        let peers = peers.iter_mut().map(|peer| (peer.oldest_kept(), peer));
        let oldest = peers.min_by_key(|(sent, _)| *sent);
        if !oldest.is_some_and(|(_, peer)| peer.evict_oldest(&mut common.memory)) {
            return;
        }
    }
}

/// A frame from its IP header on.
#[inline]
fn ip_of<'a>(head: &'a [u8], class: &Classified) -> &'a [u8] {
    head.get(usize::from(class.ip_offset)..).unwrap_or(&[])
}

impl Peer {
    /// When the oldest packet that is remembered was sent.
    fn oldest_kept(&mut self) -> Time {
        let senders = self.senders.iter().filter_map(|sender| sender.replay.oldest());
        let streams = self.streams.as_mut().and_then(|streams| streams.outbound.oldest());
        senders.chain(streams).min().unwrap_or(Time::NEVER)
    }

    /// Lets that go; `false` if there is none.
    fn evict_oldest(&mut self, memory: &mut ReplayAccount) -> bool {
        if let Some(streams) = &mut self.streams {
            return streams.outbound.evict_oldest(memory);
        }
        let senders = self.senders.iter_mut();
        let oldest = senders.min_by_key(|sender| sender.replay.oldest().unwrap_or(Time::NEVER));
        oldest.is_some_and(|sender| sender.replay.evict_oldest(memory))
    }

    /// What is carried of a packet: its kind, and how many bytes at its front stay behind.
    #[inline]
    fn carried(&self, class: &Classified) -> (Kind, usize) {
        match (self.carry, class.ip_version) {
            (Carry::Ip, 4) => (Kind::Ipv4, class.ip_offset.into()),
            (Carry::Ip, 6) => (Kind::Ipv6, class.ip_offset.into()),
            _ => (Kind::Ethernet, 0),
        }
    }

    /// Whether the pair of gateways is a hop on the way of a packet.
    #[inline]
    fn counts_hops(&self, class: &Classified) -> bool {
        self.ttl == Ttl::Router && self.carry == Carry::Ip && class.ip_version != 0
    }

    /// Whether a packet from the LAN is this peer's to carry.
    #[inline]
    fn carries(&self, class: &Classified) -> bool {
        match &self.behind {
            Behind::Everything => self.carry == Carry::Ethernet || class.ip_version != 0,
            Behind::Prefixes(prefixes) => class
                .destination
                .is_some_and(|address| prefixes.iter().any(|prefix| prefix.contains(address))),
        }
    }
}

impl Common {
    /// What becomes of a packet for a peer that is not there.
    #[cold]
    fn send_without(
        &mut self,
        absent: Absent,
        port: usize,
        packet: Packet,
        queues: &mut [TxQueue],
    ) {
        match absent {
            Absent::Hold => self.counters.drops.count(DropReason::PeerAbsent, packet.len()),
            Absent::Forward => {
                self.counters.unprotected += 1;
                self.forward_bare(port, packet, queues);
            }
        }
    }

    /// Gives a packet the source port of its queue pair, if its peer wants that: before anything
    /// else looks at it, and with or without a session, so that a queue pair has one port only.
    /// `false` if there was no buffer: it is counted.
    #[inline]
    fn has_port(&mut self, peer: &Peer, class: &Classified, packet: &mut Packet) -> bool {
        let Some(found) = class.roce.as_ref().filter(|_| peer.spreads_ports) else { return true };
        let bytes = packet.len();
        let whole = entropy::spread(packet, found, &self.pool);
        if !whole {
            self.counters.drops.count(DropReason::LanNoHeadroom, bytes);
        }
        whole
    }

    /// Lets go of a packet that is not needed.
    #[cold]
    pub(super) fn absorb(&mut self, packet: &Packet) {
        self.counters.drops.count(DropReason::RnicRepeat, packet.len());
        if let Some(watch) = &mut self.absorbed {
            watch(packet);
        }
    }

    /// Passes a packet on to the other end of the wire, as it is.
    pub(super) fn forward_bare(&mut self, port: usize, packet: Packet, queues: &mut [TxQueue]) {
        let Some(out) = self.settings.ports.get(port).map(|port| port.bump) else { return };
        let role = self.settings.ports.get(out).map(|port| port.role);
        let bytes = packet.len();
        let queue = queues.get_mut(out);
        if queue.is_some_and(|queue| queue.push(packet.freeze()).is_ok()) {
            self.counters.forwarded_bare += 1;
            if role == Some(Role::Lan) {
                self.counters.lan_tx.add(bytes);
            }
        } else {
            let lan = role == Some(Role::Lan);
            let reason = if lan { DropReason::LanQueueFull } else { DropReason::WanQueueFull };
            self.counters.drops.count(reason, bytes);
        }
    }
}
