//! Packets that wait for their turn: towards the WAN before they are numbered, towards a LAN port
//! after their order was restored. A gateway without queues sends at once, and each method here is
//! one comparison.
//!
//! Towards the WAN there is one set of queues, whatever the number of ports: which way a packet goes
//! is decided when it leaves, and a stream whose way changes stays in order. So nothing leaves while
//! one of the WAN ports has as much as it can do.

mod elastic;
mod marks;
mod notify;

use std::collections::VecDeque;

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::TxQueue;
use dataplane::time::{Nanos, Time};

use super::classify::{Classified, classify};
use super::team::Member;
use super::waited::{Delays, Refused, reason};
use super::{Carry, Common, Gateway, Numbering, QueueSettings, Role, Settings, SettingsError};
use crate::queueing::{
    Class, Classes, Crossing, Enqueued, PoolExceeded, Queues, QueuesSettings, Rate, TenantQueues,
};
use crate::tenant::DEFAULT;
use crate::tunnel::header::HEADER_LEN;
use crate::wire::opcode::Opcode;

/// Frames that a port has before nothing more is given to it: what has not left can still be
/// overtaken by what is more urgent.
const SHALLOW: usize = 64;
/// Crossings that are remembered until somebody asks for them.
const EVENTS: usize = 1 << 14;
/// Preamble, frame check sequence and gap of an Ethernet frame (IEEE 802.3, clauses 3.1 and 4.4.2).
const ON_WIRE: u32 = 8 + 4 + 12;
/// Ethernet header, and UDP header.
const ETHERNET: u32 = 14;
const UDP: u32 = 8;

/// Where packets wait to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Toward {
    /// To peers, by any WAN port.
    Wan,
    /// To a LAN port, by its index.
    Lan(usize),
}

/// A queue passed a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEvent {
    /// Which way it goes.
    pub way: Toward,
    /// Whose it is.
    pub tenant: u16,
    /// Its class.
    pub class: Class,
    /// Which threshold.
    pub crossing: Crossing,
}

/// What a tenant has in queues of one kind, of all its classes and all ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStatus {
    /// Bytes now.
    pub bytes: u64,
    /// The most that ever were in one of them.
    pub high_water_bytes: u64,
    /// Times that one of them passed its threshold.
    pub stops: u64,
    /// How long they were above it, added up.
    pub stopped_for: Nanos,
    /// Packets that they did not take.
    pub dropped: u64,
    /// Packets that were told that they grow.
    pub marked: u64,
    /// Senders that were notified of that instead.
    pub notified: u64,
}

/// A packet on its way to a peer.
pub(super) struct Departure {
    pub(super) packet: Packet,
    pub(super) class: Classified,
    /// Index of the peer, and of the LAN port it came from.
    pub(super) peer: usize,
    pub(super) port: usize,
    /// When it began to wait.
    pub(super) since: Time,
}

/// The queues of a gateway, if it has any.
pub(super) struct Waiting(Option<Box<Lines>>);

struct Lines {
    classes: Classes,
    wan: Queues<Departure>,
    wan_ports: Box<[usize]>,
    /// By port; none before WAN ports.
    lan: Box<[Option<Queues<Packet>>]>,
    /// Packets not taken, a tenant: towards the WAN and towards the LAN.
    refused: Box<[[Refused; 2]]>,
    /// How long signalling waited to leave for the WAN, a tenant.
    signalling: Box<[Delays]>,
    events: VecDeque<QueueEvent>,
    /// Thresholds that wait for room.
    due_thresholds: Vec<elastic::Due>,
    marks: marks::Marks,
    notices: notify::Notices,
    /// When something may leave again, as far as can be known.
    due: Time,
}

impl Waiting {
    pub(super) fn new(settings: &Settings, start: Time, seed: u64) -> Result<Self, SettingsError> {
        let Some(of) = &settings.queues else { return Ok(Self(None)) };
        let refused = |error: PoolExceeded| SettingsError(format!("queues: {error}"));
        let ports = || settings.ports.iter().enumerate();
        let rate = |port: usize| of.port_rates.get(port).copied().flatten();
        let lan = |(index, port): (usize, &super::PortSettings)| {
            let queues = (port.role == Role::Lan).then(|| towards_lan(of, rate(index)));
            queues.map(|queues| Queues::new(&queues, start)).transpose()
        };
        let wan_ports: Box<[usize]> =
            ports().filter(|(_, port)| port.role == Role::Wan).map(|(index, _)| index).collect();
        let rates: Option<Vec<Rate>> = wan_ports.iter().map(|port| rate(*port)).collect();
        let wan = QueuesSettings {
            port: rates.and_then(sum),
            overhead: overhead(settings),
            tenants: of.tenants.clone(),
            ..towards_lan(of, None)
        };
        let tenants = of.tenants.len();
        Ok(Self(Some(Box::new(Lines {
            classes: of.classes.clone(),
            wan: Queues::new(&wan, start).map_err(refused)?,
            wan_ports,
            lan: ports().map(lan).collect::<Result<_, _>>().map_err(refused)?,
            refused: vec![Default::default(); tenants].into(),
            signalling: vec![Delays::default(); tenants].into(),
            events: VecDeque::with_capacity(EVENTS),
            due_thresholds: Vec::new(),
            marks: marks::Marks::new(&of.tenants, seed),
            notices: notify::Notices::new(tenants),
            due: Time::NEVER,
        }))))
    }

    /// Has its rates together with other workers of the gateway.
    pub(super) fn join(&mut self, member: &Member) {
        let Some(lines) = &mut self.0 else { return };
        lines.wan.join(&member.team.wan, member.worker);
        for (line, shares) in lines.lan.iter_mut().zip(&member.team.lan) {
            line.iter_mut().for_each(|line| line.join(shares, member.worker));
        }
    }

    /// Whether packets wait for their turn.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// When something may leave again.
    #[inline]
    pub(super) fn due(&self) -> Option<Time> {
        self.0.as_ref().map(|lines| lines.due).filter(|due| *due < Time::NEVER)
    }

    /// What became of a tenant's packets.
    pub(super) fn signalling(&self, tenant: u16) -> Option<&Delays> {
        self.0.as_ref()?.signalling.get(usize::from(tenant))
    }

    pub(super) fn refused(&self, tenant: u16) -> Option<&[Refused; 2]> {
        self.0.as_ref()?.refused.get(usize::from(tenant))
    }

    /// Packets that wait.
    pub(super) fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |lines| {
            let lan = lines.lan.iter().flatten().map(|queues| u64::from(queues.len()));
            u64::from(lines.wan.len()) + lan.sum::<u64>()
        })
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        let Some(lines) = &mut self.0 else { return };
        // How long queues were full is of no interest any more.
        let now = Time::ZERO;
        lines.wan.clear(now, drop);
        lines.lan.iter_mut().flatten().for_each(|queues| queues.clear(now, drop));
    }
}

/// Towards a LAN port tenants have their weights: their rates are kept where they enter the WAN.
fn towards_lan(of: &QueueSettings, port: Option<Rate>) -> QueuesSettings {
    let tenant = |of: &TenantQueues| TenantQueues { rate: None, ..of.clone() };
    QueuesSettings {
        pool_bytes: of.pool_bytes,
        packets: of.packets,
        port,
        overhead: ON_WIRE,
        quantum: QueuesSettings::QUANTUM,
        tenants: of.tenants.iter().map(tenant).collect(),
    }
}

/// All ports together.
fn sum(rates: Vec<Rate>) -> Option<Rate> {
    rates.into_iter().reduce(|all, one| Rate {
        bits_per_second: all.bits_per_second.saturating_add(one.bits_per_second),
        burst_bytes: all.burst_bytes.saturating_add(one.burst_bytes),
    })
}

/// What a packet takes on the wire of the WAN besides its own bytes: the most of any peer.
fn overhead(settings: &Settings) -> u32 {
    let ip = if settings.address.is_ipv4() { 20 } else { 40 };
    let of = |peer: &super::PeerSettings| match (peer.numbering, peer.carry) {
        (Numbering::Tunnel, Carry::Ethernet) => ETHERNET + ip + UDP + HEADER_LEN as u32,
        (Numbering::Tunnel, Carry::Ip) => ip + UDP + HEADER_LEN as u32,
        _ => 0,
    };
    ON_WIRE + settings.peers.iter().map(of).max().unwrap_or(0)
}

/// How urgent a packet is. Everything is where [`classify`] found it.
#[inline]
fn urgency(classes: &Classes, head: &[u8], class: &Classified) -> Class {
    let dscp = class.tos >> 2;
    if let Some(found) = &class.roce
        && let Some(bth) = head.get(usize::from(found.bth_at)..).and_then(<[u8]>::first_chunk::<8>)
    {
        let queue_pair = u32::from_be_bytes([0, bth[5], bth[6], bth[7]]);
        return classes.of_roce(Opcode(bth[0]), queue_pair, dscp);
    }
    let protocol_at = match class.ip_version {
        4 => 9,
        6 => 6,
        _ => return ethertype(classes, head),
    };
    let protocol = head.get(usize::from(class.ip_offset) + protocol_at);
    protocol.map_or(classes.last(), |protocol| classes.of_ip(*protocol, dscp))
}

/// The class of what is not IP.
fn ethertype(classes: &Classes, head: &[u8]) -> Class {
    let at = |offset: usize| head.get(offset..).and_then(<[u8]>::first_chunk::<2>);
    let behind_tag = at(12).filter(|bytes| **bytes == [0x81, 0x00]).and_then(|_| at(16));
    let found = behind_tag.or(at(12)).map(|bytes| u16::from_be_bytes(*bytes));
    found.map_or(classes.last(), |found| classes.of_ethertype(found))
}

impl Lines {
    /// A queue passed a threshold, or not.
    #[inline]
    fn crossed(&mut self, way: Toward, tenant: u16, class: Class, crossing: Option<Crossing>) {
        let Some(crossing) = crossing else { return };
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(QueueEvent { way, tenant, class, crossing });
    }

    fn count_drop(&mut self, tenant: u16, direction: usize, why: DropReason) {
        let known = usize::from(tenant).min(self.refused.len());
        let tenant = if known < self.refused.len() { known } else { usize::from(DEFAULT) };
        if let Some(refused) = self.refused.get_mut(tenant) {
            refused[direction].add(why);
        }
    }

    /// What leaves next for the WAN, if the ports take it.
    fn departs(&mut self, now: Time, queues: &[TxQueue]) -> Option<Departure> {
        let takes = |port: &usize| queues.get(*port).is_some_and(|queue| queue.len() < SHALLOW);
        if !self.wan_ports.iter().all(takes) {
            self.wait_for_room(self.wan.is_empty());
            return None;
        }
        let Some(of) = self.wan.dequeue(now) else {
            self.due = self.due.min(self.wan.next_ready(now).unwrap_or(Time::NEVER));
            return None;
        };
        self.crossed(Toward::Wan, of.tenant, of.class, of.crossing);
        if of.class == Class::SIGNALLING
            && let Some(delays) = self.signalling.get_mut(usize::from(of.tenant))
        {
            delays.add(now.since(of.item.since));
        }
        Some(of.item)
    }

    /// What leaves next for a LAN port, if that takes it.
    fn arrives(&mut self, port: usize, now: Time, queues: &[TxQueue]) -> Option<Packet> {
        let line = self.lan.get_mut(port)?.as_mut()?;
        if queues.get(port).is_none_or(|queue| queue.len() >= SHALLOW) {
            let is_empty = line.is_empty();
            self.wait_for_room(is_empty);
            return None;
        }
        let Some(of) = line.dequeue(now) else {
            self.due = self.due.min(line.next_ready(now).unwrap_or(Time::NEVER));
            return None;
        };
        self.crossed(Toward::Lan(port), of.tenant, of.class, of.crossing);
        Some(of.item)
    }

    #[inline(never)]
    fn has_lan_room(&self, port: usize) -> bool {
        let line = self.lan.get(port).and_then(Option::as_ref);
        line.is_some_and(|line| line.room() > 0)
    }

    /// A port has enough for now: looked at again in the next round.
    fn wait_for_room(&mut self, nothing_waits: bool) {
        if !nothing_waits {
            self.due = Time::ZERO;
        }
    }
}

impl Common {
    /// Puts a packet of a tenant, that came by a LAN port and is for a peer, in its queue.
    #[inline(never)]
    pub(super) fn wait(
        &mut self,
        tenant: u16,
        mut packet: Packet,
        of: &Classified,
        (peer, port): (usize, usize),
        now: Time,
    ) {
        let Some(lines) = &mut self.waiting.0 else { return };
        let class = urgency(&lines.classes, packet.head(), of);
        let bytes = packet.len() as u32;
        let mut of = *of;
        if let Some(marking) = lines.tells((Toward::Wan, tenant, class), packet.len(), of.tos) {
            let notifies = |interval| self.notify(tenant, &packet, &of, port, interval, now);
            if !marking.notify.is_some_and(notifies)
                && let Some(lines) = &mut self.waiting.0
            {
                lines.mark((Toward::Wan, tenant), &mut packet, &mut of);
            }
        }
        let Some(lines) = &mut self.waiting.0 else { return };
        let departure = Departure { packet, class: of, peer, port, since: now };
        match lines.wan.enqueue(tenant, class, departure, bytes, now) {
            Enqueued::Accepted(crossing) => lines.crossed(Toward::Wan, tenant, class, crossing),
            Enqueued::Refused(refusal, departure) => {
                let why = self.refusal(tenant, refusal);
                self.waiting.0.iter_mut().for_each(|lines| lines.count_drop(tenant, 0, why));
                self.counters.drops.count(why, departure.packet.len());
            }
        }
    }

    /// Puts a packet for a LAN port in its queue.
    #[inline(never)]
    pub(super) fn wait_for_lan(&mut self, port: usize, mut packet: Packet, now: Time) {
        let Some(lines) = &mut self.waiting.0 else { return };
        let tenant = packet.mark();
        let mut class = lines.classes.last();
        if let Ok(mut of) = classify(packet.head()) {
            class = urgency(&lines.classes, packet.head(), &of);
            let way = Toward::Lan(port);
            if lines.tells((way, tenant, class), packet.len(), of.tos).is_some() {
                lines.mark((way, tenant), &mut packet, &mut of);
            }
        }
        self.join_lan(port, (tenant, class), packet, now);
    }

    /// Lets a packet join a queue before a LAN port; whether that took it. Else it is counted.
    fn join_lan(
        &mut self,
        port: usize,
        (tenant, class): (u16, Class),
        packet: Packet,
        now: Time,
    ) -> bool {
        let Some(lines) = &mut self.waiting.0 else { return false };
        let bytes = packet.len();
        let Some(line) = lines.lan.get_mut(port).and_then(Option::as_mut) else {
            self.counters.drops.count(DropReason::LanQueueFull, bytes);
            return false;
        };
        match line.enqueue(tenant, class, packet, bytes as u32, now) {
            Enqueued::Accepted(crossing) => {
                lines.crossed(Toward::Lan(port), tenant, class, crossing);
                true
            }
            Enqueued::Refused(refusal, packet) => {
                lines.count_drop(tenant, 1, reason(refusal));
                self.counters.drops.count(reason(refusal), packet.len());
                false
            }
        }
    }

    /// Whether a LAN port, or the queues before it, take another packet.
    #[inline]
    pub(super) fn has_lan_room(&self, port: usize, queues: &[TxQueue]) -> bool {
        match &self.waiting.0 {
            None => queues.get(port).is_some_and(|queue| queue.room() > 0),
            Some(lines) => lines.has_lan_room(port),
        }
    }
}

impl Common {
    /// The queues of one way.
    fn with_line<R>(&mut self, way: Toward, act: impl FnOnce(&mut dyn Line) -> R) -> Option<R> {
        let lines = self.waiting.0.as_mut()?;
        // What it changes may let something leave at once.
        lines.due = Time::ZERO;
        match way {
            Toward::Wan => Some(act(&mut lines.wan)),
            Toward::Lan(port) => Some(act(lines.lan.get_mut(port)?.as_mut()?)),
        }
    }

    pub(super) fn pause_queue(&mut self, way: Toward, tenant: u16, class: Class) -> bool {
        self.with_line(way, |line| line.pause(tenant, class)).is_some()
    }

    pub(super) fn resume_queue(&mut self, way: Toward, tenant: u16, class: Class) -> bool {
        self.with_line(way, |line| line.resume(tenant, class)).is_some()
    }
}

impl Gateway {
    /// Sends what has its turn, as far as the ports take it.
    #[inline(never)]
    pub(super) fn serve(&mut self, now: Time, queues: &mut [TxQueue]) {
        let Some(lines) = &mut self.common.waiting.0 else { return };
        lines.due = Time::NEVER;
        while let Some(lines) = &mut self.common.waiting.0
            && let Some(departure) = lines.departs(now, queues)
        {
            self.depart(departure, now, queues);
        }
        for port in 0..queues.len() {
            while let Some(lines) = &mut self.common.waiting.0
                && let Some(packet) = lines.arrives(port, now, queues)
            {
                self.common.give(port, packet, now, queues);
            }
        }
        if let Some(lines) = &mut self.common.waiting.0 {
            lines.settle(now);
        }
        self.heed_queues(now);
    }

    /// Keeps what is in a queue from leaving, until it is resumed; nobody else waits for it. `false`
    /// without queues that way.
    pub fn pause_queue(&mut self, way: Toward, tenant: u16, class: Class) -> bool {
        self.common.pause_queue(way, tenant, class)
    }

    /// Lets what is in a queue leave again. `false` without queues that way.
    pub fn resume_queue(&mut self, way: Toward, tenant: u16, class: Class) -> bool {
        self.common.resume_queue(way, tenant, class)
    }

    /// The oldest threshold passed that nobody asked for yet.
    pub fn take_queue_event(&mut self) -> Option<QueueEvent> {
        self.common.waiting.0.as_mut()?.events.pop_front()
    }

    /// What a tenant has in queues at `now`: towards the WAN, and towards the LAN.
    #[must_use]
    pub fn queue_status(&self, tenant: u16, now: Time) -> [QueueStatus; 2] {
        let Some(lines) = &self.common.waiting.0 else { return Default::default() };
        let mut status = [QueueStatus::default(); 2];
        let lan = lines.lan.iter().flatten().map(|queues| (1, queues as &dyn Line));
        for (direction, line) in lan.chain([(0, &lines.wan as &dyn Line)]) {
            for class in Class::all() {
                let level = line.level(tenant, class, now);
                let status = &mut status[direction];
                status.bytes += level.bytes;
                status.high_water_bytes = status.high_water_bytes.max(level.high_water);
                status.stops += level.stops;
                status.stopped_for += level.stopped_for;
            }
        }
        for (status, refused) in
            status.iter_mut().zip(lines.refused.get(usize::from(tenant)).into_iter().flatten())
        {
            status.dropped = refused.sum();
        }
        for (status, marked) in status.iter_mut().zip(lines.marks.count(tenant)) {
            status.marked = marked;
        }
        status[0].notified = lines.notices.count(tenant);
        status
    }
}

/// Queues, whatever waits in them.
trait Line {
    fn pause(&mut self, tenant: u16, class: Class);
    fn resume(&mut self, tenant: u16, class: Class);
    fn level(&self, tenant: u16, class: Class, now: Time) -> crate::queueing::Level;
}

impl<T> Line for Queues<T> {
    fn pause(&mut self, tenant: u16, class: Class) {
        Queues::pause(self, tenant, class);
    }

    fn resume(&mut self, tenant: u16, class: Class) {
        Queues::resume(self, tenant, class);
    }

    fn level(&self, tenant: u16, class: Class, now: Time) -> crate::queueing::Level {
        Queues::level(self, tenant, class, now)
    }
}
