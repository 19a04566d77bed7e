//! Control messages: what is sent when, and what a received one leads to.

use std::iter;

use arrayvec::ArrayVec;
use dataplane::drops::DropReason;
use dataplane::memory::Packet;
use dataplane::port::TxQueue;
use dataplane::time::{Nanos, SECOND, Time};

use super::detour::detour;
use super::hops::{readdressed, rerouted};
use super::peer::{Peer, Timer};
use super::session::Outcome;
use super::transparent::{arrive, told};
use super::{Common, pauses, wan_to_lan};
use crate::recovery::{Confirmations, LanePosition, Lookup, Range, Seq};
use crate::shield::Shield;
use crate::tunnel::control::{
    Blocks, Draft, GoneItem, Hello, Items, MAX_MESSAGE, Message, envelope, is_authentic, read,
};
use crate::tunnel::header::{Header, Kind};

/// Messages that one call may send about one channel; what is left is due at once.
pub(super) const MESSAGES: usize = 8;
/// A longer round trip than this is no measurement.
pub(super) const LONGEST_RTT: Nanos = 10 * SECOND;
/// Traffic class of control messages: network control, CS6 (RFC 4594).
const TOS: u8 = 48 << 2;

/// Where a message may be put among what waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before everything.
    First,
    /// Behind the channel's packets: it must not overtake them.
    Last,
}

/// Sends a hello, by another channel each time: a dead path does not end the session.
pub(super) fn send_hello(common: &mut Common, peer: &mut Peer, now: Time, queues: &mut [TxQueue]) {
    let (channels, lanes) = (peer.senders.len() as u8, peer.paths.lanes() as u32);
    let hello = peer.session.hello(channels, lanes, now);
    let channel = peer.hello_channel % peer.senders.len().max(1);
    peer.hello_channel = channel + 1;
    send(common, peer, channel, Draft::hello(&hello), Place::First, queues);
    common.wheel.set(peer.timer(Timer::Hello), peer.session.hello_due());
}

/// Does what is due for a channel we send by: lets go of what is too old, probes. While its own way
/// is cut, it is probed by another one too, so that the far side learns what it lacks.
pub(super) fn tend_sender(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    now: Time,
    queues: &mut [TxQueue],
) {
    let timer = peer.timer(Timer::Sender(channel));
    let Some(sender) = peer.senders.get_mut(channel) else { return };
    let age = common.settings.recovery.replay_age;
    while sender.replay.oldest().is_some_and(|sent| sent.after(age) <= now) {
        sender.replay.evict_oldest(&mut common.memory);
    }
    let Some(due) = sender.probe_due() else { return };
    if due > now {
        common.wheel.set(timer, due);
        return;
    }
    sender.probed(now);
    common.wheel.set(timer, sender.probe_due().unwrap_or(Time::NEVER));
    let (next, cut, turn) = (sender.replay.next(), sender.is_avoided(), sender.unanswered);
    let around = if cut { detour(&peer.senders, channel, turn) } else { None };
    for by in iter::once(channel).chain(around) {
        let probe = Draft::probe(channel as u8, next, now.0);
        send(common, peer, by, probe, Place::Last, queues);
    }
}

/// Does what is due for a channel we receive by: acknowledges, asks for what is missing.
pub(super) fn tend_receiver(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    now: Time,
    queues: &mut [TxQueue],
) {
    let packets = common.settings.recovery.ack_packets;
    let Some(receiver) = peer.receivers.get_mut(channel) else { return };
    let due = receiver.confirm_at.min(receiver.holes.due());
    if due <= now || receiver.unconfirmed >= packets {
        send_feedback(common, peer, channel, 0, now, queues);
        return;
    }
    if due != Time::NEVER {
        common.wheel.set_no_later(peer.timer(Timer::Receiver(channel)), due);
    }
}

/// Acknowledges what arrived by a channel, and asks for what is missing and due. `echo`: the time
/// of the probe this answers, or 0.
fn send_feedback(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    echo: u64,
    now: Time,
    queues: &mut [TxQueue],
) {
    for message in 0..MESSAGES {
        let Some(receiver) = peer.receivers.get_mut(channel) else { return };
        let mut draft = Draft::feedback(if message == 0 { echo } else { 0 });
        draft.block(channel as u8, receiver.holes.cumulative());
        let (mut asked, mut full) = (0, false);
        let rtt = receiver.rtt;
        receiver.holes.ask(now, &rtt, |range| {
            full = !draft.range(range);
            asked += if full { 0 } else { u64::from(range.count) };
            !full
        });
        receiver.unconfirmed = 0;
        receiver.confirm_at = Time::NEVER;
        common.counters.nacks_sent += u64::from(asked > 0);
        common.counters.numbers_asked += asked;
        let back = receiver.back;
        let back = peer.in_service(back);
        send(common, peer, back, draft, Place::First, queues);
        if !full {
            break;
        }
    }
    let Some(receiver) = peer.receivers.get(channel) else { return };
    let due = receiver.holes.due();
    if due != Time::NEVER {
        common.wheel.set(peer.timer(Timer::Receiver(channel)), due);
    }
}

/// Encapsulates and queues a message; one that finds no buffer or no room is lost, as any message
/// may be: the pool and the drop counters say so.
pub(super) fn send(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    mut draft: Draft,
    place: Place,
    queues: &mut [TxQueue],
) {
    let keys = peer.session.keys();
    let (key, tag) = (keys.send, keys.send_tag);
    let Some(channel) = peer.reachable(channel) else {
        common.counters.withheld += 1;
        return;
    };
    let header = Header {
        kind: Kind::Control,
        channel: channel as u8,
        tag,
        seq: Seq(0),
        at: LanePosition { lane: 0, seq: Seq(0) },
        tenant: 0,
        class: 0,
    };
    let is_hello = draft.is_hello();
    let (key, number) = match is_hello {
        true => (peer.session.pair_key(), 0),
        false => (key, peer.session.next_number()),
    };
    let Some(sender) = peer.senders.get(channel) else { return };
    let Some(queue) = queues.get_mut(sender.port) else { return };
    let Some(mut packet) = common.pool.alloc() else { return };
    let header = header.bytes();
    let text = draft.seal(&header, number, key);
    if !packet.append(&common.pool, text) || !sender.outer.encapsulate(&mut packet, &header, TOS) {
        common.counters.drops.count(DropReason::ControlNoBuffer, text.len());
        return;
    }
    let bytes = packet.len();
    let queued = match place {
        Place::First => queue.push_urgent(packet.freeze()),
        Place::Last => queue.push(packet.freeze()),
    };
    match queued {
        Ok(()) => common.counters.control.add(bytes),
        Err(_) => common.counters.drops.count(DropReason::WanQueueFull, bytes),
    }
}

/// Takes in a control message, which begins with its tunnel header and ends where the packet ends.
pub(super) fn receive(
    common: &mut Common,
    peer: &mut Peer,
    packet: &Packet,
    now: Time,
    queues: &mut [TxQueue],
) {
    let mut gathered = ArrayVec::new();
    let message = whole(packet, &mut gathered);
    let taken = message.map(|message| take(common, peer, message, now, queues));
    if let Err(reason) = taken.unwrap_or(Err(DropReason::ControlMalformed)) {
        common.counters.drops.count(reason, packet.len());
    }
}

/// The bytes of a message, `gathered` if buffers are shorter than it is. `None`: it is longer than
/// any.
fn whole<'a>(packet: &'a Packet, gathered: &'a mut ArrayVec<u8, MAX_MESSAGE>) -> Option<&'a [u8]> {
    if packet.head().len() == packet.len() {
        return Some(packet.head());
    }
    for segment in packet.segments() {
        gathered.try_extend_from_slice(segment).ok()?;
    }
    Some(gathered)
}

fn take(
    common: &mut Common,
    peer: &mut Peer,
    message: &[u8],
    now: Time,
    queues: &mut [TxQueue],
) -> Result<(), DropReason> {
    let envelope = envelope(message).map_err(|_| DropReason::ControlMalformed)?;
    let key = if envelope.is_hello { peer.session.pair_key() } else { peer.session.keys().receive };
    if !is_authentic(message, key) {
        return Err(DropReason::ControlAuthentication);
    }
    if !envelope.is_hello && !peer.session.accept(envelope.number, now) {
        return Err(DropReason::ControlReplayed);
    }
    let theirs = Header::read(message).map_or(0, |header| header.channel);
    // The peer's channels and ours need not be the same number.
    let by = usize::from(theirs) % peer.senders.len().max(1);
    match read(message).map_err(|_| DropReason::ControlMalformed)? {
        Message::Hello(hello) => on_hello(common, peer, &hello, now, queues),
        Message::Probe { channel, next, time } => {
            on_probe(common, peer, (usize::from(channel), by), (next, time), now, queues);
        }
        Message::Feedback { echoed_time, blocks } => {
            on_feedback(common, peer, theirs, (echoed_time, blocks), now, queues);
        }
        Message::Gone { channel, items } => {
            on_gone(common, peer, usize::from(channel), items, now, queues);
        }
        Message::Streams { time, items } => {
            told::announced(common, peer, by, (time, items), now, queues);
        }
        Message::StreamFeedback { echoed_time, blocks } => {
            told::confirmed(common, peer, by, (echoed_time, blocks), now, queues);
        }
        Message::StreamGone { items } => told::gone(common, peer, items, now, queues),
        Message::Stops { lifetime, items } => {
            pauses::on_stops(common, peer, by, (lifetime, items), now, queues);
        }
        Message::StopsHeard { items } => pauses::on_heard(common, peer, items, now),
    }
    Ok(())
}

fn on_hello(
    common: &mut Common,
    peer: &mut Peer,
    hello: &Hello,
    now: Time,
    queues: &mut [TxQueue],
) {
    if peer.session.take(hello, now) == Outcome::Began {
        common.counters.sessions += 1;
        wan_to_lan::give_up_all(common, peer, now, queues);
        arrive::give_up_all(common, peer, now, queues);
        common.shield.iter_mut().for_each(Shield::forget);
        for sender in &mut peer.senders {
            sender.replay.reset(&mut common.memory);
            sender.confirmations = Confirmations::default();
        }
        if let Some(streams) = &mut peer.streams {
            streams.outbound.reset(&mut common.memory);
        }
        peer.restart(hello.channels, hello.lanes, &common.settings.recovery);
        pauses::session_began(common, peer, now);
    }
    let measured = peer.session.rtt;
    let senders = peer.senders.iter_mut().map(|sender| &mut sender.rtt);
    let receivers = peer.receivers.iter_mut().map(|receiver| &mut receiver.rtt);
    for rtt in senders.chain(receivers) {
        match rtt.is_measured() {
            true => peer.session.sample.into_iter().for_each(|sample| rtt.seen(sample)),
            false => *rtt = measured,
        }
    }
    common.wheel.set(peer.timer(Timer::Hello), peer.session.hello_due());
}

/// The far side says, by channel `by`, how far it has sent: what is missing before that is lost.
fn on_probe(
    common: &mut Common,
    peer: &mut Peer,
    (channel, by): (usize, usize),
    (next, time): (Seq, u64),
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(receiver) = peer.receivers.get_mut(channel) else {
        common.counters.drops.count(DropReason::ControlMalformed, 0);
        return;
    };
    // What came by this way can be answered by it.
    receiver.back = by;
    if receiver.holes.announce(next, now) {
        receiver.journey.probed((next, time), receiver.received, receiver.repaired, now);
    } else {
        common.counters.drops.count(DropReason::WanOutOfWindow, 0);
    }
    send_feedback(common, peer, channel, time, now, queues);
}

/// Acknowledgements and requests of the far side, by its channel `by`, and the time they echo.
///
/// While a channel's own way is cut, what is asked for by another goes by that one.
fn on_feedback(
    common: &mut Common,
    peer: &mut Peer,
    by: u8,
    (echoed_time, blocks): (u64, Blocks<'_>),
    now: Time,
    queues: &mut [TxQueue],
) {
    for (index, block) in blocks.flatten().enumerate() {
        let channel = usize::from(block.channel);
        let is_own_way = peer.is_own_way(channel, by);
        let around = usize::from(by) % peer.senders.len().max(1);
        let Some(sender) = peer.senders.get_mut(channel) else { continue };
        if is_own_way {
            sender.heard(now);
        }
        let way = if sender.is_avoided() { around } else { channel };
        let confirmed = sender.replay.confirm(block.cumulative, &mut common.memory);
        if confirmed > 0 {
            sender.confirmed += u64::from(confirmed);
            sender.answered(now);
            let step = sender.rtt.smoothed() / 16;
            sender.confirmations.note(block.cumulative, now, step);
        }
        let sample = now.0.wrapping_sub(echoed_time);
        if index == 0 && echoed_time != 0 && sample < LONGEST_RTT {
            sender.answered(now);
            if is_own_way {
                sender.rtt.sample(sample);
                let there = peer.receivers.iter_mut().filter(|receiver| receiver.back == channel);
                there.for_each(|receiver| receiver.rtt.seen(sample));
            }
        }
        for range in block.ranges {
            if !repair(common, peer, (channel, way), range, now, queues) {
                break;
            }
        }
    }
}

/// Sends again what of a channel is asked for and held, by the way of channel `way`, and says what
/// is gone. `false` when the port has no more room: the far side will ask again.
fn repair(
    common: &mut Common,
    peer: &mut Peer,
    (channel, way): (usize, usize),
    range: Range,
    now: Time,
    queues: &mut [TxQueue],
) -> bool {
    let delay = peer.senders.get_mut(way).map_or(0, |sender| sender.delay(now));
    let around = peer.senders.get(way).filter(|_| way != channel);
    // That way's round trip counts then, queues and all: it may be far slower, and was measured
    // before all this went by it, too.
    let patience = around.map(|sender| sender.rtt.patience() + delay);
    let around = around.map(|sender| (sender.outer.clone(), sender.port, sender.largest));
    let Some(sender) = peer.senders.get_mut(channel) else { return false };
    // Nobody can miss more than was sent and is unconfirmed.
    let unconfirmed = sender.replay.unconfirmed();
    let behind = sender.replay.next().ahead_of(range.start);
    if behind <= 0 {
        return true;
    }
    let skip = behind.cast_unsigned().saturating_sub(unconfirmed);
    // A request that the network doubled; the far side's own second one comes later.
    let guard = patience.unwrap_or(sender.rtt.spacing() / 2);
    let mut gone = Draft::gone(channel as u8);
    let (mut room, mut pushed) = (true, 0);
    let mut at = range.start.plus(skip);
    let end = range.start.plus(range.count.min(behind.cast_unsigned()));
    while room && at.ahead_of(end) < 0 {
        let one = Range { start: at, count: 1 };
        match sender.replay.lookup(at, now, guard) {
            Lookup::Resend(frame) => {
                let other = around.as_ref().and_then(|(outer, port, largest)| {
                    let way = (outer, *largest);
                    Some((rerouted(&frame, &sender.outer, way, &common.pool)?, *port))
                });
                let (frame, port) = other.unwrap_or_else(|| {
                    let mac = sender.outer.next_hop();
                    (readdressed(frame, mac, &common.pool), sender.port)
                });
                let Some(queue) = queues.get_mut(port) else { return false };
                let bytes = frame.len();
                room = queue.push_urgent(frame).is_ok();
                if room {
                    common.counters.resent.add(bytes);
                    sender.resent.add(bytes);
                    pushed += bytes as u64;
                }
            }
            Lookup::Gone(place) => room = gone.item(GoneItem { range: one, at: Some(place) }),
            Lookup::Forgotten => {
                let count = sender.replay.forgotten_from(at);
                let count = count.min(end.offset_from(at));
                room = gone.item(GoneItem { range: Range { start: at, count }, at: None });
                at = at.plus(count.saturating_sub(1));
            }
            Lookup::JustResent | Lookup::Confirmed | Lookup::NeverSent => {}
        }
        at = at.next();
    }
    if let Some(sender) = peer.senders.get_mut(way) {
        sender.backlog.add(pushed);
    }
    if !gone.is_empty() {
        send(common, peer, way, gone, Place::First, queues);
    }
    room
}

/// The far side no longer has what we asked for: nobody waits for it any more.
fn on_gone(
    common: &mut Common,
    peer: &mut Peer,
    channel: usize,
    items: Items<'_>,
    now: Time,
    queues: &mut [TxQueue],
) {
    for item in items {
        let Some(receiver) = peer.receivers.get_mut(channel) else { return };
        let given_up = receiver.holes.give_up(item.range);
        let Some(at) = item.at.filter(|_| given_up > 0) else { continue };
        if peer.order.gone(at.lane, at.seq, now) {
            common.counters.gave_up += 1;
            wan_to_lan::release(common, peer, at.lane, now, queues);
        }
    }
    wan_to_lan::watch_hold(common, peer);
}
