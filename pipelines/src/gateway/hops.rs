//! Next hops that are told by their IP address: asked for, and used once they answered.

use dataplane::drops::DropReason;
use dataplane::memory::{Frame, Packet, Pool};
use dataplane::port::TxQueue;
use dataplane::time::{MILLISECOND, Nanos, Time};
use dataplane::wheel::TimerId;

use super::own::send_short;
use super::peer::{Peer, Timer};
use super::{Common, Gateway, Mac, NextHop, Role, Settings};
use crate::local::{Neighbour, Neighbours};
use crate::tunnel::ecn;
use crate::tunnel::header::HEADER_LEN;
use crate::tunnel::outer::Outer;

const ETHERNET_LEN: usize = 14;
/// Questions that one call may send, and how long the others wait then.
const ASKS: usize = 16;
const PACE: Nanos = 10 * MILLISECOND;

/// The next hops of a gateway.
pub(super) struct Hops {
    pub(super) neighbours: Neighbours,
    /// Where packets carried as IP are sent to, a port.
    lan: Vec<Hop>,
    timer: TimerId,
}

/// One next hop.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hop {
    /// Its index among the neighbours, if it is asked for.
    neighbour: Option<usize>,
    /// Its Ethernet address, if it is known.
    pub(super) mac: Option<Mac>,
}

impl Hops {
    /// The next hops of all ports and paths, to be asked for from `now` on; `timer` says when.
    pub(super) fn new(settings: &Settings, timer: TimerId, now: Time) -> Self {
        let mut neighbours = Neighbours::default();
        let lan = settings.ports.iter().enumerate().map(|(port, settings)| {
            let hop = settings.next_hop.filter(|_| settings.role == Role::Lan);
            hop.map_or(Hop::default(), |hop| Hop::new(&mut neighbours, port, hop, now))
        });
        Self { lan: lan.collect(), neighbours, timer }
    }

    /// The Ethernet address that packets carried as IP are sent to, at a LAN port.
    #[inline]
    pub(super) fn lan(&self, port: usize) -> Option<Mac> {
        self.lan.get(port)?.mac
    }
}

impl Hop {
    /// The hop `next` at `port`.
    pub(super) fn new(neighbours: &mut Neighbours, port: usize, next: NextHop, now: Time) -> Self {
        match next {
            NextHop::Mac(mac) => Self { neighbour: None, mac: Some(mac) },
            NextHop::Address(address) => {
                Self { neighbour: Some(neighbours.want(port, address, now)), mac: None }
            }
        }
    }

    /// Neighbour number `index` is the station `mac`; whether it is this hop.
    fn found(&mut self, index: usize, mac: Mac) -> bool {
        let is_this = self.neighbour == Some(index);
        if is_this {
            self.mac = Some(mac);
        }
        is_this
    }
}

impl Gateway {
    /// The next hops that are asked for, as they are known at `now`.
    pub fn neighbours(&self, now: Time) -> impl Iterator<Item = Neighbour> + '_ {
        self.common.hops.neighbours.report(now)
    }

    /// Asks for the next hops that are due.
    pub(super) fn ask_hops(&mut self, now: Time, queues: &mut [TxQueue]) {
        let common = &mut self.common;
        for _ in 0..ASKS {
            let Some(ask) = common.hops.neighbours.ask(now) else { break };
            let Some(station) = common.own.station(ask.port) else { continue };
            if send_short(common, ask.port, &station.ask(ask.address), queues) {
                common.counters.asked += 1;
            }
        }
        let due = common.hops.neighbours.due();
        if due != Time::NEVER {
            common.wheel.set(common.hops.timer, due.max(now.after(PACE)));
        }
    }

    /// Neighbour number `index` is the station `mac` from now on.
    #[cold]
    pub(super) fn hop_found(&mut self, index: usize, mac: Mac, now: Time) {
        for hop in &mut self.common.hops.lan {
            hop.found(index, mac);
        }
        for peer in &mut self.peers {
            let mut first = false;
            for sender in &mut peer.senders {
                let was_known = sender.hop.mac.is_some();
                if sender.hop.found(index, mac) {
                    sender.outer.set_next_hop(mac);
                    first |= !was_known;
                }
            }
            if first {
                peer.use_paths();
                self.common.wheel.set(peer.timer(Timer::Hello), now);
            }
        }
    }
}

impl Peer {
    /// The channel by which a message goes that would go by `channel`: this one, or else the next
    /// whose next hop is known.
    #[inline]
    pub(super) fn reachable(&self, channel: usize) -> Option<usize> {
        let known =
            |&at: &usize| self.senders.get(at).is_some_and(|sender| sender.hop.mac.is_some());
        let channels = self.senders.len();
        (channel..channels).chain(0..channel.min(channels)).find(known)
    }
}

/// A frame that is sent again, to where its path's next hop `mac` is now: it may have moved since.
/// Without a buffer it goes where it went.
#[inline]
pub(super) fn readdressed(frame: Frame, mac: Mac, pool: &Pool) -> Frame {
    if frame.head().starts_with(&mac) { frame } else { copy_to(frame, mac, pool) }
}

/// A tunnel packet that is sent again, by another channel's way: its outer headers were those of
/// `from` and are those of `to`, and its tunnel header stays. `None` without a buffer, or if that way
/// does not carry so many bytes: `largest` behind the tunnel header.
#[cold]
pub(super) fn rerouted(
    frame: &Frame,
    from: &Outer,
    (to, largest): (&Outer, usize),
    pool: &Pool,
) -> Option<Frame> {
    let mut packet = copy(frame, pool)?;
    let tos = ecn::tos(packet.head().get(ETHERNET_LEN..)?)?;
    let header = packet.head().get(from.len()..)?.first_chunk::<HEADER_LEN>().copied()?;
    let bare = packet.trim_front(from.len() + HEADER_LEN) && packet.len() <= largest;
    (bare && to.encapsulate(&mut packet, &header, tos)).then(|| packet.freeze())
}

/// The bytes of a frame, which nobody else holds.
fn copy(frame: &Frame, pool: &Pool) -> Option<Packet> {
    let mut copy = pool.alloc()?;
    frame.segments().all(|segment| copy.append(pool, segment)).then_some(copy)
}

#[cold]
fn copy_to(frame: Frame, mac: Mac, pool: &Pool) -> Frame {
    let Some(mut copy) = copy(&frame, pool) else { return frame };
    copy.head_mut().iter_mut().zip(mac).for_each(|(to, from)| *to = from);
    copy.freeze()
}

impl Common {
    /// Counts a packet for a path whose next hop is not known.
    #[cold]
    pub(super) fn count_hopless(&mut self, bytes: usize) {
        self.counters.drops.count(DropReason::WanNoNextHop, bytes);
    }
}
