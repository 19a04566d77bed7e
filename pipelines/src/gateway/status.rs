//! What a gateway says of its peers and paths to those who look in.

use dataplane::time::{Nanos, Time};

use super::counters::Traffic;
use super::health::BfdStatus;
use super::journey::JourneyStatus;
use super::peer::Peer;
use super::{Gateway, PeerSettings};
pub use crate::paths::Way;

/// A peer at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerStatus {
    /// Whether a session with it is up.
    pub up: bool,
    /// Packets that arrived through its tunnel for the first time.
    pub received: Traffic,
    /// Those of them that had been asked for.
    pub repaired: u64,
    /// Numbers of the peer that are missing now.
    pub missing: u64,
    /// Packets that wait for others before them.
    pub held: u64,
    /// The most bytes of packet buffers that such packets ever lay in.
    pub held_high_water_bytes: u64,
    /// The ways to it, in the order of the settings.
    pub paths: Vec<PathStatus>,
}

/// A path at a moment: its channels together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PathStatus {
    /// Numbered packets sent, first copies only.
    pub sent: Traffic,
    /// Packets sent again.
    pub resent: Traffic,
    /// Packets sent and not confirmed.
    pub unconfirmed: u64,
    /// The smoothed round trip, of the channel where it is longest.
    pub rtt: Nanos,
    /// Its variance, on that channel.
    pub rtt_variance: Nanos,
    /// Packets that were confirmed, and their bytes: counted in packets, each taken to have the
    /// mean size of those sent.
    pub confirmed: Traffic,
    /// Whether the far side does not answer on one of its channels.
    pub troubled: bool,
    /// Whether it is out of service: its BFD session went down, or its hold-down is not over.
    pub out_of_service: bool,
    /// Its BFD session, if it has one.
    pub bfd: Option<BfdStatus>,
    /// How what the peer sends by this way comes here: by those of its channels whose probes came
    /// by it last. Nothing is known of that where PSNs are the numbers.
    pub journey: JourneyStatus,
    /// Its capacity, what it carries of it, and its lanes.
    pub way: Way,
}

impl Gateway {
    /// Lanes moved to each path while they were busy, or that began to be spread from it; the first
    /// peer's paths first.
    pub fn moves(&self) -> impl Iterator<Item = u64> + '_ {
        self.peers.iter().flat_map(|peer| peer.paths.ways()).map(|way| way.moves)
    }

    /// Says how each peer does at `now`, into as many elements of `status` as there are peers. It
    /// allocates the first time only.
    pub fn peers_status(&self, now: Time, status: &mut Vec<PeerStatus>) {
        status.resize_with(self.peers.len(), PeerStatus::default);
        let settings = &self.common.settings.peers;
        for ((peer, settings), status) in self.peers.iter().zip(settings).zip(status) {
            peer_status(peer, settings, now, status);
        }
    }
}

fn peer_status(peer: &Peer, settings: &PeerSettings, now: Time, status: &mut PeerStatus) {
    let (mut received, mut repaired, mut missing) = (Traffic::default(), 0, 0);
    for receiver in &peer.receivers {
        received.packets += receiver.received.packets;
        received.bytes += receiver.received.bytes;
        repaired += receiver.repaired;
        missing += receiver.holes.missing();
    }
    status.up = peer.session.is_up(now);
    (status.received, status.repaired, status.missing) = (received, repaired, missing);
    (status.held, status.held_high_water_bytes) = match &peer.streams {
        Some(streams) => (streams.inbound.held().0 as u64, streams.inbound.held().1),
        None => (peer.order.held().into(), peer.order.high_water()),
    };
    status.paths.resize(settings.paths.len(), PathStatus::default());
    let mut senders = peer.senders.iter();
    let paths = settings.paths.iter().zip(peer.paths.ways()).enumerate();
    for ((index, (path, way)), status) in paths.zip(&mut status.paths) {
        *status = PathStatus {
            out_of_service: !peer.health.usable(index),
            bfd: peer.health.status(index, now),
            way,
            ..PathStatus::default()
        };
        for sender in senders.by_ref().take(path.channels.into()) {
            status.sent.packets += sender.sent.packets;
            status.sent.bytes += sender.sent.bytes;
            status.resent.packets += sender.resent.packets;
            status.resent.bytes += sender.resent.bytes;
            status.unconfirmed += u64::from(sender.replay.unconfirmed());
            let rtt = (sender.rtt.smoothed(), sender.rtt.variance());
            (status.rtt, status.rtt_variance) = rtt.max((status.rtt, status.rtt_variance));
            status.confirmed.packets += sender.confirmed;
            status.confirmed.bytes += sender.confirmed_bytes();
            status.troubled |= sender.is_cut();
        }
    }
    for receiver in &peer.receivers {
        let path = peer.senders.get(receiver.back).map(|sender| sender.path);
        if let Some(status) = path.and_then(|path| status.paths.get_mut(path)) {
            status.journey.add(&receiver.journey.status(now));
        }
    }
}
