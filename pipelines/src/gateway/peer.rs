//! Everything a gateway keeps for one peer.

use std::collections::VecDeque;
use std::net::IpAddr;

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, Time};
use dataplane::wheel::TimerId;

use super::backlog::Backlog;
use super::counters::Traffic;
use super::detour::detour;
use super::health::Health;
use super::hops::Hop;
use super::journey::Journey;
use super::pauses::Stops;
use super::session::Session;
use super::settings::{
    Absent, Behind, Carry, MAX_CHANNELS, Numbering, PeerSettings, RecoverySettings, Settings, Ttl,
};
use super::sharing;
use super::tenancy::hold_shares;
use super::transparent::Streams;
use crate::local::Neighbours;
use crate::paths::Paths;
use crate::recovery::{Confirmations, Holes, Order, OrderLimits, Replay, Rtt, Seq};
use crate::shield::Carried;
use crate::tunnel::outer::{End, Outer};

/// Most lanes a peer may announce: the header has 16 bits for them.
pub(super) const MAX_LANES: u32 = 65_536;

/// Probes in vain after which a path is taken to be in trouble.
const TROUBLE: u32 = 2;
/// A channel in use is probed this often, to measure its round trip.
const MEASURE: Nanos = 50 * MILLISECOND;
/// A channel that is cut is probed no more often: its probes take room on another path.
const CUT_PACE: Nanos = 2 * MILLISECOND;

/// The send side of one channel.
pub(super) struct Sender {
    pub(super) outer: Outer,
    /// Where it leaves to: nothing does while that is not known.
    pub(super) hop: Hop,
    /// The peer's path that it is of.
    pub(super) path: usize,
    /// The WAN port it leaves by.
    pub(super) port: usize,
    /// Bytes of the largest IP packet of its path.
    pub(super) mtu: usize,
    /// Bytes it carries at most in a packet, behind the tunnel header.
    pub(super) largest: usize,
    pub(super) replay: Replay,
    pub(super) confirmations: Confirmations,
    pub(super) rtt: Rtt,
    pub(super) last_probe: Time,
    /// Probes since anything was confirmed.
    pub(super) unanswered: u32,
    /// When it last began to be answered again.
    recovered: Time,
    /// Probes since the far side last answered by this channel's own way, a round trip apart.
    vain: u32,
    /// When the last of them was counted.
    counted: Time,
    /// When the far side last answered by this channel's own way.
    heard: Time,
    /// How long it is waited for that at first: its round trip is then another path's, which may be
    /// far shorter.
    unheard: Nanos,
    /// Its path is out of service.
    pub(super) down: bool,
    /// The number to go on with, and the one to end before, of what is to be sent again by others.
    pub(super) again: Option<(Seq, Seq)>,
    /// Numbered packets, first copies only.
    pub(super) sent: Traffic,
    /// Packets sent again.
    pub(super) resent: Traffic,
    /// Packets that the far side confirmed.
    pub(super) confirmed: u64,
    pub(super) backlog: Backlog,
}

/// The receive side of one of the peer's channels.
pub(super) struct Receiver {
    pub(super) holes: Holes,
    /// Packets since the last acknowledgement.
    pub(super) unconfirmed: u32,
    /// When the next acknowledgement is due; [`Time::NEVER`] if none is.
    pub(super) confirm_at: Time,
    /// The channel of ours by which the peer is told of it: the way that its last probe came.
    pub(super) back: usize,
    /// From request to repair.
    pub(super) rtt: Rtt,
    /// Packets that arrived for the first time.
    pub(super) received: Traffic,
    /// Those of them that had been asked for.
    pub(super) repaired: u64,
    /// How what comes by it comes.
    pub(super) journey: Journey,
}

/// A peer gateway.
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) behind: Behind,
    pub(super) carry: Carry,
    pub(super) ttl: Ttl,
    pub(super) absent: Absent,
    pub(super) spreads_ports: bool,
    pub(super) lan: usize,
    pub(super) session: Session,
    pub(super) health: Health,
    pub(super) senders: Vec<Sender>,
    pub(super) receivers: Vec<Receiver>,
    /// Our lanes, and the paths that they go by.
    pub(super) paths: Paths,
    pub(super) order: Order,
    /// Lanes that can be released and had no room; `is_ready` says which are in the list.
    pub(super) ready: VecDeque<u16>,
    pub(super) is_ready: Box<[bool]>,
    /// Which channel the next hello goes by.
    pub(super) hello_channel: usize,
    /// Its streams, if PSNs are the numbers.
    pub(super) streams: Option<Box<Streams>>,
    /// Whom we hold back for it, and it for us.
    pub(super) stops: Option<Box<Stops>>,
    /// Receivers that took packets in the present burst, a bit each.
    pub(super) touched: u64,
    timers: u32,
}

/// Timers of a peer: its own, then one a sender, then one a receiver.
const OWN_TIMERS: u32 = 5;
/// Timers a peer needs.
pub(super) const TIMERS: u32 = OWN_TIMERS + 2 * MAX_CHANNELS as u32;

/// What a timer of a peer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    Hello,
    Hold,
    Health,
    Stops,
    Balance,
    Sender(usize),
    Receiver(usize),
}

impl Timer {
    /// The timer with this number within its peer.
    pub(super) fn from_index(index: u32) -> Self {
        let channels = MAX_CHANNELS as u32;
        match index {
            0 => Self::Hello,
            1 => Self::Hold,
            2 => Self::Health,
            3 => Self::Stops,
            4 => Self::Balance,
            n if n < OWN_TIMERS + channels => Self::Sender((n - OWN_TIMERS) as usize),
            n => Self::Receiver((n - OWN_TIMERS - channels) as usize),
        }
    }

    fn index(self) -> u32 {
        match self {
            Self::Hello => 0,
            Self::Hold => 1,
            Self::Health => 2,
            Self::Stops => 3,
            Self::Balance => 4,
            Self::Sender(channel) => OWN_TIMERS + channel as u32,
            Self::Receiver(channel) => OWN_TIMERS + (MAX_CHANNELS + channel) as u32,
        }
    }
}

impl Sender {
    /// How long what leaves by it now waits in the network, as far as is known.
    pub(super) fn delay(&mut self, now: Time) -> Nanos {
        self.backlog.delay(self.sent.bytes, now)
    }

    /// The far side answers.
    pub(super) fn answered(&mut self, now: Time) {
        if self.unanswered >= TROUBLE {
            self.recovered = now;
        }
        self.unanswered = 0;
    }

    /// The far side answers by this channel's own way.
    pub(super) fn heard(&mut self, now: Time) {
        (self.vain, self.heard) = (0, now);
    }

    /// How long an answer to a probe is waited for.
    fn patience(&self) -> Nanos {
        let least = if self.heard == Time::ZERO { self.unheard } else { 0 };
        self.rtt.patience().max(least)
    }

    /// A probe leaves.
    pub(super) fn probed(&mut self, now: Time) {
        self.last_probe = now;
        self.unanswered = self.unanswered.saturating_add(1);
        // Those of one round trip are in vain together.
        if self.vain == 0 || self.counted.after(self.patience()) <= now {
            (self.vain, self.counted) = (self.vain.saturating_add(1), now);
        }
    }

    /// Whether its own way is not answered: what waits for it goes around.
    #[inline]
    pub(super) fn is_cut(&self) -> bool {
        self.vain >= TROUBLE
    }

    /// When to probe; `None` while all is confirmed and its own way is answered.
    pub(super) fn probe_due(&self) -> Option<Time> {
        let cut = || self.is_cut().then_some(Time::ZERO);
        self.replay.latest().or_else(cut).map(|latest| self.due_after(latest))
    }

    /// When to probe, when the newest of what is unconfirmed left at `latest`.
    fn due_after(&self, latest: Time) -> Time {
        let pace = if self.is_cut() { CUT_PACE } else { 0 };
        let again = self.last_probe.after(self.rtt.wait(self.unanswered).max(pace));
        if self.last_probe >= latest {
            return again; // nothing was sent since
        }
        let tail = latest.after(tail_delay(self.rtt.smoothed()));
        // Much is sent and nothing is heard: the path may be dead.
        let since = self.heard.max(self.replay.oldest().unwrap_or(latest));
        let silent = since.after(self.rtt.patience()).max(again);
        tail.min(silent).min(self.last_probe.after(MEASURE)).max(self.last_probe.after(pace))
    }

    /// Until when its path was in trouble: now, if it is.
    pub(super) fn troubled_until(&self, now: Time) -> Time {
        if self.unanswered >= TROUBLE { now } else { self.recovered }
    }
}

/// How long a channel is quiet before its tail is probed.
pub(super) fn tail_delay(rtt: Nanos) -> Nanos {
    (rtt / 16).clamp(100 * MICROSECOND, 2 * MILLISECOND)
}

impl Peer {
    /// The channel that a packet of `lane` leaves by: the lane's own, or another one while that is
    /// avoided. The far side restores the order of the lane, whichever way its packets come.
    #[inline]
    pub(super) fn channel_of(&self, lane: usize) -> usize {
        let own = self.paths.channel(lane);
        let avoided = self.senders.get(own).is_some_and(Sender::is_avoided);
        let around = if avoided { detour(&self.senders, own, lane as u32) } else { None };
        around.unwrap_or(own)
    }

    /// Whether the peer, by its channel `by`, speaks of our `channel` by that one's own way.
    pub(super) fn is_own_way(&self, channel: usize, by: u8) -> bool {
        usize::from(by) == channel % self.receivers.len().max(1)
    }

    /// Until when something of a stream of `lane` may have been under way, the newest packet of
    /// which was `newest`: that packet, an older one by another path if the lane is spread or, on a
    /// path in trouble, an acknowledgement.
    pub(super) fn under_way_until(&self, lane: usize, newest: Carried, now: Time) -> Time {
        let Some(sender) = self.senders.get(usize::from(newest.channel)) else {
            return self.troubled_until(now);
        };
        if sender.replay.holds(newest.seq) {
            return now;
        }
        let confirmed = sender.confirmations.when(newest.seq);
        if self.paths.is_spread(lane) {
            let sent = Time(confirmed.since(Time(sender.rtt.smoothed())));
            let waits = |sender: &Sender| sender.replay.oldest().is_some_and(|at| at <= sent);
            if self.senders.iter().any(waits) {
                return now;
            }
        }
        self.troubled_until(now).max(confirmed)
    }

    /// Until when a path to the peer was in trouble: now, if one is.
    pub(super) fn troubled_until(&self, now: Time) -> Time {
        let trouble = self.senders.iter().map(|sender| sender.troubled_until(now));
        trouble.max().unwrap_or(Time::ZERO)
    }

    /// A peer, number `index` of the gateway. The settings have been checked.
    pub(super) fn new(
        settings: &Settings,
        peer: &PeerSettings,
        index: usize,
        nonce: u64,
        neighbours: &mut Neighbours,
        now: Time,
    ) -> Self {
        let recovery = &settings.recovery;
        let rtt = Rtt::assumed(recovery.initial_rtt);
        let senders = senders(settings, peer, rtt, neighbours, now);
        let limits = OrderLimits {
            lanes: peer.lanes,
            packets: recovery.hold_packets,
            bytes: recovery.hold_bytes,
        };
        Self {
            address: peer.address,
            behind: peer.behind.clone(),
            carry: peer.carry,
            ttl: peer.ttl,
            absent: peer.absent,
            spreads_ports: peer.source_port_entropy && peer.numbering != Numbering::Tunnel,
            lan: peer.lan,
            session: Session::new(&peer.key, nonce, rtt, now),
            health: Health::new(settings, peer, index, nonce, now),
            paths: sharing::paths(peer, &senders),
            senders,
            receivers: Vec::with_capacity(MAX_CHANNELS),
            order: Order::new(limits, hold_shares(settings)),
            ready: VecDeque::with_capacity(peer.lanes as usize),
            is_ready: vec![false; peer.lanes as usize].into(),
            hello_channel: 0,
            streams: match peer.numbering {
                Numbering::Tunnel => None,
                Numbering::Transparent { check_icrc } => {
                    Some(Box::new(Streams::new(recovery, check_icrc, hold_shares(settings))))
                }
            },
            stops: Stops::new(settings).map(Box::new),
            touched: 0,
            timers: index as u32 * TIMERS,
        }
    }

    /// The wheel's name for a timer of this peer.
    #[inline]
    pub(super) fn timer(&self, timer: Timer) -> TimerId {
        TimerId(self.timers + timer.index())
    }

    /// A session began: whatever is numbered begins at zero. The peer uses so many `channels` and
    /// `lanes`. What was held must have been released, what was remembered let go.
    pub(super) fn restart(&mut self, channels: u8, lanes: u32, recovery: &RecoverySettings) {
        let lanes = lanes.clamp(1, MAX_LANES);
        if let Some(streams) = &mut self.streams {
            streams.restart(self.session.keys());
        }
        self.paths.restart();
        self.order.reset_to(lanes);
        if self.is_ready.len() != lanes as usize {
            self.is_ready = vec![false; lanes as usize].into();
            self.ready = VecDeque::with_capacity(lanes as usize);
        }
        self.ready.clear();
        self.is_ready.fill(false);
        let channels = usize::from(channels).clamp(1, MAX_CHANNELS);
        self.receivers.truncate(channels);
        for receiver in &mut self.receivers {
            receiver.holes.reset();
            receiver.journey.restart();
            receiver.unconfirmed = 0;
            receiver.confirm_at = Time::NEVER;
        }
        let rtt = self.session.rtt;
        self.receivers.resize_with(channels, || Receiver {
            holes: Holes::new(recovery.holes),
            unconfirmed: 0,
            confirm_at: Time::NEVER,
            back: 0,
            rtt,
            received: Traffic::default(),
            repaired: 0,
            journey: Journey::default(),
        });
        self.forget_again();
        let ours = self.senders.len().max(1);
        let receivers = self.receivers.iter_mut().enumerate();
        receivers.for_each(|(channel, receiver)| receiver.back = channel % ours);
        for sender in &mut self.senders {
            (sender.unanswered, sender.vain) = (0, 0);
        }
    }

    /// Marks a lane that can be released and has no room now.
    pub(super) fn mark_ready(&mut self, lane: u16) {
        if let Some(listed) = self.is_ready.get_mut(usize::from(lane))
            && !*listed
        {
            *listed = true;
            self.ready.push_back(lane);
        }
    }

    /// The lane that waits for room longest.
    pub(super) fn take_ready(&mut self) -> Option<u16> {
        let lane = self.ready.pop_front()?;
        if let Some(listed) = self.is_ready.get_mut(usize::from(lane)) {
            *listed = false;
        }
        Some(lane)
    }
}

/// The channels of a peer: those of its first path first.
fn senders(
    settings: &Settings,
    peer: &PeerSettings,
    rtt: Rtt,
    neighbours: &mut Neighbours,
    now: Time,
) -> Vec<Sender> {
    let mut senders = Vec::new();
    for (number, path) in peer.paths.iter().enumerate() {
        for _ in 0..path.channels {
            let Some(port) = settings.ports.get(path.port) else { continue };
            let channel = senders.len() as u8;
            let from = End { mac: port.mac, address: settings.address };
            let hop = Hop::new(neighbours, path.port, path.next_hop, now);
            let to = End { mac: hop.mac.unwrap_or_default(), address: peer.address };
            senders.push(Sender {
                outer: settings.outer(path, (from, to), channel),
                hop,
                path: number,
                port: path.port,
                mtu: path.mtu as usize,
                largest: settings.largest(path),
                replay: Replay::new(settings.recovery.replay_packets),
                confirmations: Confirmations::default(),
                rtt,
                last_probe: Time::ZERO,
                unanswered: 0,
                recovered: Time::ZERO,
                vain: 0,
                counted: Time::ZERO,
                heard: Time::ZERO,
                unheard: rtt.patience(),
                down: false,
                again: None,
                sent: Traffic::default(),
                resent: Traffic::default(),
                confirmed: 0,
                backlog: Backlog::new(path.capacity.map(|rate| rate / u64::from(path.channels))),
            });
        }
    }
    senders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_have_names_of_their_own() {
        for index in 0..TIMERS {
            assert_eq!(Timer::from_index(index).index(), index);
        }
    }
}
