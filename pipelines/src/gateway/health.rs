//! Path health: a BFD session a path, and what its word leads to.
//!
//! A path whose session went down is out of service: its lanes go by the others at once, and what
//! was sent on it and is not confirmed is sent again by them. It comes back after its hold-down.
//! Without another path in service nothing changes but the state that is shown.

use std::ops::Range;

use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::TxQueue;
use dataplane::time::{MICROSECOND, Nanos, Time};

use super::detour::detour;
use super::hops::rerouted;
use super::own::send_within;
use super::peer::{Peer, Sender, Timer};
use super::settings::{BfdSettings, PeerSettings, Settings};
use super::{Common, Gateway};
use crate::bfd::damping::Damping;
use crate::bfd::datagram::{self, Ends, FIRST_SOURCE_PORT, MULTI_HOP, SINGLE_HOP, TTL};
use crate::bfd::packet::{Control, Diagnostic, State};
use crate::bfd::session::{Change, Intervals, Session};
use crate::local::Limit;
use crate::recovery::Lookup;

/// Packets of a path out of service that are sent again in one go, and the time between two.
const AGAIN: usize = 256;
const PACE: Nanos = 20 * MICROSECOND;
/// Packet buffers that must be free for each copy that is made of a packet to send it again.
const SPARE: usize = 16;
/// Urgent frames that a port's queue has room for all the same: control messages.
const KEPT_FREE: usize = 64;
/// Events that are remembered.
const EVENTS: usize = 256;
/// Sets what sessions draw apart from what else is drawn from the same seed.
const SEED: u64 = 0xbfd0_5880_5881_5883;
/// Control packets a second that a gateway listens to, a path: the shortest interval brings 1,000,
/// and as many answers.
const HEARD: u32 = 4_000;
/// Sessions of a peer, in the order of its paths: their source ports follow from it.
const MAX_PATHS: usize = super::MAX_CHANNELS;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEventKind {
    /// Its session came up.
    Up,
    /// Its session went down: it is out of service.
    Down(Diagnostic),
    /// All that was under way on it when it went out of service is confirmed; so many packets were
    /// sent again for that.
    Recovered(u64),
    /// Its hold-down is over: it is in service again.
    InService,
    /// It is out of service, says the worker that has its session.
    OutOfService,
}

/// Something that happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathEvent {
    /// When.
    pub at: Time,
    /// The peer, in the order of the settings.
    pub peer: usize,
    /// The path, in the order of the peer's.
    pub path: usize,
    /// What.
    pub kind: PathEventKind,
}

/// How the session of a path stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BfdStatus {
    /// Its state.
    pub state: State,
    /// The state that the far side last said.
    pub remote_state: State,
    /// Why it last went down.
    pub diagnostic: Diagnostic,
    /// How often it came up.
    pub ups: u64,
    /// How often it went down.
    pub downs: u64,
    /// How long nothing may be heard; zero before anything was.
    pub detection_time: Nanos,
    /// The time between two packets we send, before jitter.
    pub interval: Nanos,
    /// What is left of its hold-down.
    pub held_down: Nanos,
    /// Packets heard, and sent.
    pub heard: u64,
    /// Packets sent.
    pub sent: u64,
}

/// The session of one path.
struct Watch {
    session: Session,
    ends: Ends,
    /// The least time to live that is believed.
    least_ttl: u8,
    damping: Damping,
    limit: Limit,
    diagnostic: Diagnostic,
    ups: u64,
    heard: u64,
    sent: u64,
}

/// One path.
struct Path {
    channels: Range<usize>,
    port: usize,
    watch: Option<Box<Watch>>,
    /// It is out of service, and something that was under way then is not confirmed; so many
    /// packets were sent again.
    recovering: Option<u64>,
    /// Another worker, which has its session, says that it is out of service.
    out: bool,
}

/// The health of a peer's paths.
pub(super) struct Health {
    paths: Vec<Path>,
    index: usize,
    /// Whether any has a session.
    watched: bool,
}

impl Health {
    /// The paths of peer number `index`; `seed` makes what must not be guessed.
    pub(super) fn new(
        settings: &Settings,
        peer: &PeerSettings,
        index: usize,
        seed: u64,
        now: Time,
    ) -> Self {
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            super::nonce(seed ^ SEED, drawn)
        };
        let mut first = 0;
        let mut paths: Vec<Path> = Vec::with_capacity(peer.paths.len());
        for (number, path) in peer.paths.iter().enumerate() {
            let channels = first..first + usize::from(path.channels);
            first = channels.end;
            let ours = settings.ports.get(path.port).map(|port| port.mac);
            let watch = path.bfd.zip(ours).map(|(bfd, mac)| {
                let port = if bfd.hops > 1 { MULTI_HOP } else { SINGLE_HOP };
                let source_port = source_port(number);
                let ends =
                    Ends { mac, ours: settings.address, theirs: peer.address, source_port, port };
                let taken = |name: u32| {
                    let watches = paths.iter().filter_map(|path| path.watch.as_ref());
                    watches.map(|watch| watch.session.discriminator()).any(|other| other == name)
                };
                let name = std::iter::repeat_with(|| draw() as u32)
                    .find(|&name| name != 0 && !taken(name))
                    .unwrap_or(1);
                Box::new(Watch {
                    session: Session::new(intervals(&bfd), name, draw(), now),
                    ends,
                    least_ttl: TTL - (bfd.hops.max(1) - 1),
                    damping: Damping::new(bfd.hold_down),
                    limit: Limit::a_second(HEARD),
                    diagnostic: Diagnostic::NONE,
                    ups: 0,
                    heard: 0,
                    sent: 0,
                })
            });
            paths.push(Path { channels, port: path.port, watch, recovering: None, out: false });
        }
        let watched = paths.iter().any(|path| path.watch.is_some());
        Self { paths, index, watched }
    }

    /// Whether a path is in service, as far as its session knows: one that never came up is.
    pub(super) fn usable(&self, path: usize) -> bool {
        let Some(path) = self.paths.get(path) else { return true };
        !path.out && path.watch.as_ref().is_none_or(|watch| watch.damping.is_usable())
    }

    /// How the session of a path stands at `now`, if it has one.
    pub(super) fn status(&self, path: usize, now: Time) -> Option<BfdStatus> {
        let watch = self.paths.get(path)?.watch.as_ref()?;
        let due = watch.damping.due();
        Some(BfdStatus {
            state: watch.session.state(),
            remote_state: watch.session.remote_state(),
            diagnostic: watch.diagnostic,
            ups: watch.ups,
            downs: watch.damping.flaps(),
            detection_time: watch.session.detection_time(),
            interval: watch.session.interval(),
            held_down: if due == Time::NEVER { 0 } else { due.since(now) },
            heard: watch.heard,
            sent: watch.sent,
        })
    }

    /// The path whose session a packet from this peer belongs to: the one that it names; or else,
    /// in its first packets, the one that leaves by the port it came by, and where several do, the
    /// one whose source port is its own too.
    fn find(
        &self,
        port: usize,
        received: &datagram::Received<'_>,
        packet: &Control,
    ) -> Option<usize> {
        let of_port = self.paths.iter().enumerate().filter(|(_, path)| path.port == port);
        let watches = of_port.filter_map(|(at, path)| Some((at, path.watch.as_ref()?)));
        let mut fitting = watches.filter(|(_, watch)| {
            watch.ends.port == received.port && received.ttl >= watch.least_ttl
        });
        if packet.yours != 0 {
            return fitting
                .find(|(_, watch)| watch.session.discriminator() == packet.yours)
                .map(|(at, _)| at);
        }
        let (first, second) = (fitting.next()?, fitting.next());
        if second.is_none() {
            return Some(first.0);
        }
        let mut several = [first].into_iter().chain(second).chain(fitting);
        several.find(|(_, watch)| watch.ends.source_port == received.source_port).map(|(at, _)| at)
    }

    /// When something is due.
    fn due(&self) -> Time {
        let due = |path: &Path| {
            let watch = path.watch.as_ref()?;
            Some(watch.session.due().min(watch.damping.due()))
        };
        self.paths.iter().filter_map(due).min().unwrap_or(Time::NEVER)
    }
}

/// The source port of the session of a peer's path `number`: the same on both sides, so that first
/// packets find their session where several paths leave by one port.
fn source_port(number: usize) -> u16 {
    FIRST_SOURCE_PORT + (number % MAX_PATHS) as u16
}

fn intervals(bfd: &BfdSettings) -> Intervals {
    let micros = u32::try_from(bfd.interval / MICROSECOND).unwrap_or(u32::MAX).max(1);
    Intervals { desired_min_tx: micros, required_min_rx: micros, detect_mult: bfd.multiplier }
}

impl Gateway {
    /// Takes a packet that came by `port` and may be a session's. Returns it if it is nothing of
    /// ours.
    #[cold]
    pub(super) fn hear(
        &mut self,
        port: usize,
        packet: Packet,
        now: Time,
        queues: &mut [TxQueue],
    ) -> Option<Packet> {
        if !datagram::may_be(packet.head()) || packet.head().len() != packet.len() {
            return Some(packet);
        }
        let address = self.common.settings.address;
        let Some(received) = datagram::read(packet.head(), address) else { return Some(packet) };
        let at = |peer: &&mut Peer| peer.health.watched && peer.address == received.source;
        let Some(peer) = self.peers.iter_mut().find(at) else { return Some(packet) };
        let control = Control::read(received.payload).ok();
        let found = control.and_then(|of| Some((of, peer.health.find(port, &received, &of)?)));
        let heard = found.and_then(|(control, path)| {
            let watch = peer.health.paths.get_mut(path)?.watch.as_mut()?;
            watch.limit.grants(now).then_some(())?;
            watch.heard += 1;
            Some((path, watch.session.receive(&control, now)))
        });
        match heard {
            Some((path, change)) => {
                follow(&mut self.common, peer, path, change, now);
                tend(&mut self.common, peer, now, queues);
            }
            None => self.common.counters.drops.count(DropReason::WanBfd, packet.len()),
        }
        None
    }

    /// What happened to the paths lately, the oldest first: the last of it only.
    pub fn path_events(&self) -> impl Iterator<Item = &PathEvent> {
        self.common.path_events.iter()
    }
}

/// Does what is due for the sessions of a peer, and sends again what is to be sent again.
pub(super) fn tend(common: &mut Common, peer: &mut Peer, now: Time, queues: &mut [TxQueue]) {
    for path in 0..peer.health.paths.len() {
        let watch = peer.health.paths.get_mut(path).and_then(|path| path.watch.as_mut());
        let change = watch.and_then(|watch| watch.session.expire(now));
        follow(common, peer, path, change, now);
        let watch = peer.health.paths.get_mut(path).and_then(|path| path.watch.as_mut());
        if watch.is_some_and(|watch| watch.damping.expire(now)) {
            put_in_service(peer, path, true);
            common.tell_team(peer.health.index, path, true);
            common.note(peer.health.index, path, PathEventKind::InService, now);
        }
        speak(common, peer, path, now, queues);
    }
    let again = send_again(common, peer, now, queues);
    let due = peer.health.due().min(again);
    if due != Time::NEVER {
        common.wheel.set(peer.timer(Timer::Health), due);
    }
}

/// Sends what the session of a path has to say, by the path's own next hop.
fn speak(common: &mut Common, peer: &mut Peer, path: usize, now: Time, queues: &mut [TxQueue]) {
    let Some(path) = peer.health.paths.get_mut(path) else { return };
    let Some(watch) = &mut path.watch else { return };
    let sender = peer.senders.get(path.channels.start);
    let hop = sender.and_then(|sender| sender.hop.mac);
    let shell = sender.and_then(|sender| sender.outer.shell());
    while let Some(control) = watch.session.transmit(now) {
        // What is said before the next hop is known is lost, as on a path that is cut.
        let Some((mac, Ok(bytes))) = hop.map(|mac| (mac, control.bytes())) else { continue };
        let Some(frame) = datagram::write(&watch.ends, mac, &bytes) else { continue };
        watch.sent += u64::from(send_within(common, path.port, &frame, shell, queues));
    }
}

/// Does what a change of a path's session means.
fn follow(common: &mut Common, peer: &mut Peer, path: usize, change: Option<Change>, now: Time) {
    let Some(Change { from, to }) = change else { return };
    let index = peer.health.index;
    let Some(watch) = peer.health.paths.get_mut(path).and_then(|path| path.watch.as_mut()) else {
        return;
    };
    if to == State::Up {
        watch.ups += 1;
        watch.damping.went_up(now);
        common.note(index, path, PathEventKind::Up, now);
    } else if from == State::Up {
        watch.diagnostic = watch.session.diagnostic();
        common.note(index, path, PathEventKind::Down(watch.diagnostic), now);
        // Held down on purpose, which says nothing of the path (RFC 5882, section 3.2).
        if watch.session.remote_state() != State::AdminDown
            || watch.diagnostic != Diagnostic::NEIGHBOR
        {
            watch.damping.went_down(now);
            put_in_service(peer, path, false);
            common.tell_team(index, path, false);
        }
    }
}

/// Puts paths of a peer in and out of service as the worker says that has their sessions.
pub(super) fn heed_services(common: &mut Common, peer: &mut Peer, now: Time) {
    let index = peer.health.index;
    for path in 0..peer.health.paths.len() {
        let Some(member) = &common.member else { return };
        let out = member.services().is_out(index, path);
        let Some(of) = peer.health.paths.get_mut(path).filter(|of| of.out != out) else { continue };
        of.out = out;
        put_in_service(peer, path, !out);
        let kind = if out { PathEventKind::OutOfService } else { PathEventKind::InService };
        common.note(index, path, kind, now);
    }
    common.wheel.set(peer.timer(Timer::Health), now);
}

/// Puts a path in or out of service. What is under way on one that goes out is to be sent again.
fn put_in_service(peer: &mut Peer, path: usize, usable: bool) {
    let Some(path) = peer.health.paths.get_mut(path) else { return };
    for sender in peer.senders.get_mut(path.channels.clone()).unwrap_or_default() {
        sender.down = !usable;
        if !usable && sender.replay.unconfirmed() > 0 {
            sender.again = Some((sender.replay.confirmed(), sender.replay.next()));
        }
    }
    if !usable {
        // With nothing under way, or all of it repaired before, it is recovered at once.
        path.recovering = path.recovering.or(Some(0));
    }
    // Lanes move now: those that are idle are not looked at until they send.
    peer.use_paths();
}

/// Sends again what was under way on paths that are out of service. Returns when to go on.
fn send_again(common: &mut Common, peer: &mut Peer, now: Time, queues: &mut [TxQueue]) -> Time {
    let mut more = false;
    for path in 0..peer.health.paths.len() {
        let Some((channels, Some(count))) =
            peer.health.paths.get(path).map(|path| (path.channels.clone(), path.recovering))
        else {
            continue;
        };
        let (mut sent, mut left, mut lost) = (count, false, false);
        for channel in channels {
            sent += send_channel_again(common, peer, channel, now, queues);
            let Some(sender) = peer.senders.get_mut(channel) else { continue };
            let Some((_, end)) = sender.again else { continue };
            if sender.replay.holds(end.plus(u32::MAX)) {
                left = true;
                continue;
            }
            // The last of it is confirmed, or was let go of.
            sender.again = None;
            lost |= end.ahead_of(sender.replay.confirmed()) > 0;
        }
        let Some(path_health) = peer.health.paths.get_mut(path) else { continue };
        path_health.recovering = left.then_some(sent);
        more |= left;
        if !left && !lost {
            common.note(peer.health.index, path, PathEventKind::Recovered(sent), now);
        }
    }
    if more { now.after(PACE) } else { Time::NEVER }
}

/// Sends again some of what was under way on a channel, by the others in turn; returns how many
/// packets. Those that a request of the far side was answered with meanwhile go again too: who knows
/// by which way they went.
fn send_channel_again(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    now: Time,
    queues: &mut [TxQueue],
) -> u64 {
    let stats = common.pool.stats();
    // Copies take buffers; what arrives needs some, too.
    let mut budget = AGAIN.min((stats.capacity - stats.in_use) as usize / SPARE);
    let mut sent = 0;
    while budget > 0 {
        budget -= 1;
        let Some((at, end)) = peer.senders.get(channel).and_then(|sender| sender.again) else {
            break;
        };
        if at.ahead_of(end) >= 0 {
            break;
        }
        // There may be no other path.
        let Some(by) = detour(&peer.senders, channel, at.0) else { break };
        let Some(way) = peer.senders.get(by) else { break };
        let (outer, port, largest) = (way.outer.clone(), way.port, way.largest);
        let Some(queue) = queues.get_mut(port).filter(|queue| queue.urgent_room() > KEPT_FREE)
        else {
            break;
        };
        let Some(sender) = peer.senders.get_mut(channel) else { break };
        sender.again = Some((at.next(), end));
        let Lookup::Resend(frame) = sender.replay.lookup(at, now, 0) else { continue };
        // One that fits no other path waits for its own.
        let way = (&outer, largest);
        let Some(frame) = rerouted(&frame, &sender.outer, way, &common.pool) else { continue };
        let bytes = frame.len();
        if queue.push_urgent(frame).is_ok() {
            common.counters.resent.add(bytes);
            sender.resent.add(bytes);
            if let Some(way) = peer.senders.get_mut(by) {
                way.backlog.add(bytes as u64);
            }
            sent += 1;
        }
    }
    sent
}

impl Common {
    /// Tells other workers that a path is in service, or is not.
    fn tell_team(&self, peer: usize, path: usize, usable: bool) {
        if let Some(member) = self.member.as_ref().filter(|member| member.speaks()) {
            member.services().set(peer, path, !usable);
        }
    }

    /// Remembers what happened to a path; the oldest is forgotten for it.
    fn note(&mut self, peer: usize, path: usize, kind: PathEventKind, now: Time) {
        if self.path_events.len() >= EVENTS {
            self.path_events.pop_front();
        }
        self.path_events.push_back(PathEvent { at: now, peer, path, kind });
    }
}

impl Peer {
    /// A session began: what was to be sent again is not there any more.
    pub(super) fn forget_again(&mut self) {
        self.senders.iter_mut().for_each(|sender| sender.again = None);
        self.health.paths.iter_mut().for_each(|path| path.recovering = None);
    }
}

impl Peer {
    /// A channel by which a message goes that would go by `channel`: another one, if the path of
    /// that is out of service.
    #[inline]
    pub(super) fn in_service(&self, channel: usize) -> usize {
        let down = self.senders.get(channel).is_some_and(|sender| sender.down);
        let around = if down { detour(&self.senders, channel, 0) } else { None };
        around.unwrap_or(channel)
    }
}

impl Sender {
    /// Bytes that the far side confirmed, each packet taken to have the mean size.
    pub(super) fn confirmed_bytes(&self) -> u64 {
        let bytes = u128::from(self.confirmed) * u128::from(self.sent.bytes);
        (bytes / u128::from(self.sent.packets.max(1))) as u64
    }

    /// Whether what would leave by it goes another way: its path is out of service, or its own way
    /// is not answered.
    #[inline]
    pub(super) fn is_avoided(&self) -> bool {
        self.down || self.is_cut()
    }
}
