//! What other stations ask of the gateway itself.

use dataplane::drops::DropReason;
use dataplane::memory::{Frame, Packet};
use dataplane::port::TxQueue;
use dataplane::time::Time;

use super::{Common, Gateway, NextHop, Role, Settings};
use crate::local::{Heard, Limit, Said, Sender, Station, Wants, link_local};
use crate::tunnel::srv6::Shell;

/// Answers a second: to ARP and neighbour discovery, and to echo requests.
const ANSWERS: u32 = 1_000;
const ECHOES: u32 = 1_000;
/// The longest frame that is read: a jumbo frame, or what a path's MTU allows.
const LONGEST: usize = 9_728;

/// The gateway as a station on its ports.
pub(super) struct Own {
    /// Who we are, a port; `None` where we are nobody.
    stations: Vec<Option<Station>>,
    answers: Limit,
    echoes: Limit,
    /// Room for a frame that is read, and for an answer.
    frame: Vec<u8>,
    answer: Vec<u8>,
}

impl Own {
    pub(super) fn new(settings: &Settings) -> Self {
        let station = |port: &super::PortSettings| {
            let address = match (port.role, port.next_hop) {
                (Role::Wan, _) => Some(settings.address),
                // We have no address there: what we ask has to come from somewhere all the same.
                (Role::Lan, Some(NextHop::Address(hop))) if hop.is_ipv6() => {
                    Some(link_local(port.mac).into())
                }
                (Role::Lan, Some(NextHop::Address(_))) => None,
                (Role::Lan, _) => return None,
            };
            let sid = settings.sid.filter(|_| port.role == Role::Wan);
            Some(Station { mac: port.mac, address, sid })
        };
        Self {
            stations: settings.ports.iter().map(station).collect(),
            answers: Limit::a_second(ANSWERS),
            echoes: Limit::a_second(ECHOES),
            frame: Vec::with_capacity(LONGEST),
            answer: Vec::with_capacity(LONGEST),
        }
    }

    /// Who we are at `port`.
    #[inline]
    pub(super) fn station(&self, port: usize) -> Option<Station> {
        self.stations.get(port).copied().flatten()
    }
}

impl Gateway {
    /// Does what a packet that came by `port` asks of the gateway itself, and learns from it.
    /// Returns the packet if it is not, or not only, for the gateway.
    #[cold]
    pub(super) fn heed(
        &mut self,
        port: usize,
        packet: Packet,
        now: Time,
        queues: &mut [TxQueue],
    ) -> Option<Packet> {
        let Some(station) = self.common.own.station(port) else { return Some(packet) };
        if packet.len() > LONGEST {
            return Some(packet);
        }
        let mut frame = std::mem::take(&mut self.common.own.frame);
        frame.clear();
        packet.segments().for_each(|segment| frame.extend_from_slice(segment));
        let said = station.read(&frame);
        let used = said.is_some_and(|said| {
            let learned = said.sender.is_some_and(|sender| self.learn(port, &station, sender, now));
            let answered = said.wants.is_some_and(|wants| {
                answer(&mut self.common, port, &station, wants, &frame, now, queues);
                true
            });
            learned || answered
        });
        self.common.own.frame = frame;
        let is_ours = said.is_some_and(|Said { ends, .. }| ends && used);
        (!is_ours).then_some(packet)
    }

    /// Learns where a station is; whether that is of use.
    fn learn(&mut self, port: usize, station: &Station, sender: Sender, now: Time) -> bool {
        let Sender { address, mac, replaces } = sender;
        self.common.counters.conflicts += u64::from(station.has(address));
        match self.common.hops.neighbours.hear(port, address, mac, replaces, now) {
            Heard::Stranger => false,
            Heard::Known => true,
            Heard::New(index) => {
                self.hop_found(index, mac, now);
                true
            }
        }
    }
}

/// Answers what is wanted of us, as far as we answer in a second.
fn answer(
    common: &mut Common,
    port: usize,
    station: &Station,
    wants: Wants,
    frame: &[u8],
    now: Time,
    queues: &mut [TxQueue],
) {
    let limit = match wants {
        Wants::Address { .. } => &mut common.own.answers,
        Wants::Echo => &mut common.own.echoes,
    };
    if !limit.grants(now) {
        common.counters.drops.count(DropReason::LocalRate, frame.len());
        return;
    }
    match wants {
        Wants::Address { ours, address, mac } => {
            if let Some(told) = station.tell(ours, address, mac)
                && send_short(common, port, &told, queues)
            {
                common.counters.answered += 1;
            }
        }
        Wants::Echo => {
            let mut answer = std::mem::take(&mut common.own.answer);
            if station.echo(frame, &mut answer) && send(common, port, &answer, false, queues) {
                common.counters.echoed += 1;
            }
            common.own.answer = answer;
        }
    }
}

/// Sends a frame of address resolution, before what waits: everything else depends on it.
pub(super) fn send_short(
    common: &mut Common,
    port: usize,
    frame: &[u8],
    queues: &mut [TxQueue],
) -> bool {
    send_within(common, port, frame, None, queues)
}

/// Sends a frame before what waits, within the SRv6 of its path if that has any; `false`, and
/// counted, if there is no buffer or no room.
pub(super) fn send_within(
    common: &mut Common,
    port: usize,
    frame: &[u8],
    shell: Option<&Shell>,
    queues: &mut [TxQueue],
) -> bool {
    let packet = common.pool.copy(frame).and_then(|mut packet| {
        shell.is_none_or(|shell| shell.put_on(&mut packet)).then(|| packet.freeze())
    });
    queue(common, port, packet, frame.len(), true, queues)
}

/// Sends a frame of our own; `false`, and counted, if there is no buffer or no room.
fn send(
    common: &mut Common,
    port: usize,
    frame: &[u8],
    urgent: bool,
    queues: &mut [TxQueue],
) -> bool {
    let packet = common.pool.copy(frame).map(Packet::freeze);
    queue(common, port, packet, frame.len(), urgent, queues)
}

/// Queues a frame of our own; `false`, and its `bytes` counted, if there is none or no room.
fn queue(
    common: &mut Common,
    port: usize,
    frame: Option<Frame>,
    bytes: usize,
    urgent: bool,
    queues: &mut [TxQueue],
) -> bool {
    let Some(frame) = frame else {
        common.counters.drops.count(DropReason::ControlNoBuffer, bytes);
        return false;
    };
    let sent = queues.get_mut(port).is_some_and(|queue| match urgent {
        true => queue.push_urgent(frame).is_ok(),
        false => queue.push(frame).is_ok(),
    });
    if !sent {
        let role = common.settings.ports.get(port).map(|port| port.role);
        let lan = role == Some(Role::Lan);
        let reason = if lan { DropReason::LanQueueFull } else { DropReason::WanQueueFull };
        common.counters.drops.count(reason, bytes);
    }
    sent
}
