//! How a peer's lanes share its paths: the gateway's side of [`crate::paths`].

use arrayvec::ArrayVec;
use dataplane::time::Time;

use super::Common;
use super::peer::{Peer, Sender, Timer};
use super::settings::{Numbering, PeerSettings};
use crate::paths::{MAX_PATHS, Paths, Road, Rule, Seen};

/// A peer's lanes, on those of its paths whose next hop is known.
pub(super) fn paths(peer: &PeerSettings, senders: &[Sender]) -> Paths {
    let mut first = 0;
    let roads: Vec<Road> = peer
        .paths
        .iter()
        .map(|path| {
            let road = Road {
                weight: path.weight,
                capacity: path.capacity,
                first,
                channels: path.channels,
                largest: senders.get(usize::from(first)).map_or(0, |sender| sender.largest),
            };
            first += path.channels;
            road
        })
        .collect();
    let sharing = peer.sharing;
    let rule = Rule {
        moves: peer.numbering == Numbering::Tunnel,
        spread: sharing.spread.map(|thousandths| f64::from(thousandths) / 1e3),
        group: sharing.group,
        interval: sharing.interval,
        workers: sharing.workers,
    };
    let mut paths = Paths::new(&roads, peer.lanes, rule);
    let usable: ArrayVec<bool, MAX_PATHS> =
        roads.iter().map(|road| channels(senders, road).iter().any(Sender::is_usable)).collect();
    paths.use_paths(|path| usable.get(path).copied().unwrap_or(false));
    paths
}

/// The channels of a path.
fn channels<'a>(senders: &'a [Sender], road: &Road) -> &'a [Sender] {
    let first = usize::from(road.first);
    senders.get(first..first + usize::from(road.channels)).unwrap_or(&[])
}

/// Looks at a lane that begins to send, or sends much.
#[cold]
pub(super) fn attend(common: &mut Common, peer: &mut Peer, lane: usize, now: Time) {
    if let Some(due) = peer.paths.attend(lane, now) {
        common.wheel.set(peer.timer(Timer::Balance), due);
    }
}

/// Measures what lanes sent, and moves them if need be.
pub(super) fn balance(common: &mut Common, peer: &mut Peer, now: Time) {
    let seen = peer.seen();
    if let Some(due) = peer.paths.balance(now, &seen) {
        common.wheel.set(peer.timer(Timer::Balance), due);
    }
}

impl Peer {
    /// What is known of each path.
    fn seen(&self) -> ArrayVec<Seen, MAX_PATHS> {
        let seen = |road: &Road| {
            let mut seen = Seen::default();
            for sender in channels(&self.senders, road) {
                seen.usable |= sender.is_usable();
                seen.rtt = seen.rtt.max(sender.rtt.smoothed());
                seen.sent += sender.sent.packets;
                seen.resent += sender.resent.packets;
                seen.unconfirmed += u64::from(sender.replay.unconfirmed());
            }
            seen
        };
        self.paths.roads().map(seen).collect()
    }

    /// Lets the lanes use the paths that can be used now.
    pub(super) fn use_paths(&mut self) {
        let seen = self.seen();
        self.paths.use_paths(|path| seen.get(path).is_some_and(|seen| seen.usable));
    }
}

impl Sender {
    /// Whether packets can be sent by it, and are answered, and its path is in service.
    fn is_usable(&self) -> bool {
        self.hop.mac.is_some() && !self.is_avoided()
    }
}
