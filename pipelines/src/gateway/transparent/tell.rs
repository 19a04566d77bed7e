//! What a gateway says of streams of its own accord: probes, confirmations, requests.

use std::iter;

use dataplane::port::TxQueue;
use dataplane::time::{MICROSECOND, Nanos, Time};

use super::super::Common;
use super::super::control::{Place, send};
use super::super::detour::detour;
use super::super::peer::{Peer, Timer, tail_delay};
use crate::recovery::Rtt;
use crate::transparent::table::Slot;
use crate::tunnel::control::Draft;

/// Messages that one call may send; what is left is due at once.
const MESSAGES: usize = 32;
/// Streams are looked at this often at most.
const PACE: Nanos = 50 * MICROSECOND;

/// Messages being written, one at a time: the next begins when one is full, or another way.
struct Letters {
    draft: Option<(Draft, usize)>,
    sent: usize,
}

impl Letters {
    fn new() -> Self {
        Self { draft: None, sent: 0 }
    }

    /// The message that leaves by `channel`; others are sent first.
    fn to(
        &mut self,
        channel: usize,
        begin: impl FnOnce() -> Draft,
        mut post: impl FnMut(usize, Draft),
    ) -> &mut Draft {
        if let Some((draft, by)) = self.draft.take() {
            if by == channel {
                return &mut self.draft.insert((draft, by)).0;
            }
            post(by, draft);
            self.sent += 1;
        }
        &mut self.draft.insert((begin(), channel)).0
    }

    /// Sends what is written.
    fn end(&mut self, mut post: impl FnMut(usize, Draft)) {
        if let Some((draft, channel)) = self.draft.take() {
            post(channel, draft);
            self.sent += 1;
        }
    }
}

/// Does what is due for the streams that leave: lets go of what is too old, probes those that are
/// quiet and not all confirmed.
pub(in super::super) fn tend_outbound(
    common: &mut Common,
    peer: &mut Peer,
    now: Time,
    queues: &mut [TxQueue],
) {
    let age = common.settings.recovery.replay_age;
    let mut letters = Letters::new();
    let mut next = Time::NEVER;
    let mut index = 0;
    if let Some(streams) = &mut peer.streams {
        while streams.outbound.oldest().is_some_and(|sent| sent.after(age) <= now) {
            streams.outbound.evict_oldest(&mut common.memory);
        }
    }
    while letters.sent < MESSAGES {
        let Some(streams) = &mut peer.streams else { return };
        let outbound = &mut streams.outbound;
        let Some(&slot) = outbound.active.get(index) else { break };
        let Some((name, log)) = outbound.table.at(slot).filter(|(_, log)| log.unconfirmed() > 0)
        else {
            outbound.unlist(index);
            continue;
        };
        index += 1;
        let via = usize::from(log.via);
        let Some(rtt) = peer.senders.get(via).map(|sender| sender.rtt) else { continue };
        let due = match log.last_probe >= log.last {
            true => log.last_probe.after(rtt.wait(log.unanswered)),
            false => log.last.after(tail_delay(rtt.smoothed())),
        };
        if due > now {
            next = next.min(due);
            continue;
        }
        log.last_probe = now;
        log.unanswered = log.unanswered.saturating_add(1);
        next = next.min(now.after(rtt.wait(log.unanswered)));
        let announced = log.announced(name.0, true, false);
        let around = log.is_in_trouble().then(|| detour(&peer.senders, via, log.unanswered));
        let mut post = |by, draft| send(common, peer, by, draft, Place::Last, queues);
        for by in iter::once(via).chain(around.flatten()) {
            if !letters.to(by, || Draft::streams(now.0), &mut post).announce(&announced) {
                letters.end(&mut post);
                letters.to(by, || Draft::streams(now.0), &mut post).announce(&announced);
            }
        }
    }
    letters.end(|by, draft| send(common, peer, by, draft, Place::Last, queues));
    if letters.sent >= MESSAGES {
        next = now;
    }
    if next != Time::NEVER {
        common.wheel.set(peer.timer(Timer::Sender(0)), next.max(now.after(PACE)));
    }
}

/// Confirms what arrived, if that is due, and asks for what is missing and due. `echo`: the time
/// of the announcements this answers, or 0.
pub(in super::super) fn tend_inbound(
    common: &mut Common,
    peer: &mut Peer,
    echo: u64,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    let inbound = &mut streams.inbound;
    let confirm = inbound.confirm_at <= now;
    if confirm {
        (inbound.unconfirmed, inbound.confirm_at) = (0, Time::NEVER);
    }
    inbound.urgent = false;
    let mut letters = Letters::new();
    let mut next = inbound.confirm_at;
    let mut index = 0;
    while letters.sent < MESSAGES {
        let slot = peer.streams.as_ref().and_then(|of| of.inbound.active.get(index).copied());
        let Some(slot) = slot else { break };
        match tend_stream(common, peer, slot, (confirm, echo), &mut letters, now, queues) {
            Some(due) => {
                next = next.min(due);
                index += 1;
            }
            None => continue, // once more
        }
    }
    let more = letters.sent >= MESSAGES;
    letters.end(|by, draft| send(common, peer, by, draft, Place::First, queues));
    if let Some(streams) = &mut peer.streams {
        streams.inbound.tidy();
        if more {
            (streams.inbound.confirm_at, next) = (now, now);
        }
    }
    if next != Time::NEVER {
        common.wheel.set_no_later(peer.timer(Timer::Receiver(0)), next.max(now.after(PACE)));
    }
}

/// Writes what is due for one stream that arrives. Returns when more is due; `None`: now.
fn tend_stream(
    common: &mut Common,
    peer: &mut Peer,
    slot: Slot,
    (confirm, echo): (bool, u64),
    letters: &mut Letters,
    now: Time,
    queues: &mut [TxQueue],
) -> Option<Time> {
    let channels = peer.senders.len().max(1);
    let Some(streams) = &mut peer.streams else { return Some(Time::NEVER) };
    let Some((name, stream)) = streams.inbound.table.at(slot) else { return Some(Time::NEVER) };
    let via = usize::from(stream.via) % channels;
    let rtt = peer.senders.get(via).map_or(Rtt::assumed(PACE), |sender| sender.rtt);
    let inquiry_due = match stream.inquired {
        _ if !stream.is_unclear() => Time::NEVER,
        (_, 0) => now,
        (at, times) => at.after(rtt.wait(times - 1)),
    };
    let inquire = inquiry_due <= now;
    let holes_due = if stream.begun { stream.holes.due() } else { Time::NEVER };
    if !inquire && holes_due > now && !(confirm && stream.dirty && stream.begun) {
        return Some(holes_due.min(inquiry_due));
    }
    let first = letters.sent == 0;
    let begin = || Draft::stream_feedback(if first { echo } else { 0 });
    // What another stream's message holds goes first; this borrows nothing of the stream.
    let (cumulative, epoch) = (stream.holes.cumulative(), stream.epoch);
    let mut post = |by, draft| send(common, peer, by, draft, Place::First, queues);
    let draft = letters.to(via, begin, &mut post);
    if !draft.stream_block(name.0, cumulative, epoch, inquire) {
        letters.end(&mut post);
        return None;
    }
    let streams = peer.streams.as_mut()?;
    let (_, stream) = streams.inbound.table.at(slot)?;
    if inquire {
        stream.inquired = (now, stream.inquired.1.saturating_add(1));
        return None; // now what is due besides
    }
    stream.dirty = false;
    let (mut asked, mut full) = (0, false);
    stream.holes.ask(now, &rtt, |range| {
        full = !draft.range(range);
        asked += if full { 0 } else { u64::from(range.count) };
        !full
    });
    let due = stream.holes.due();
    common.counters.nacks_sent += u64::from(asked > 0);
    common.counters.numbers_asked += asked;
    if full {
        letters.end(|by, draft| send(common, peer, by, draft, Place::First, queues));
        return None;
    }
    Some(due.min(inquiry_due))
}
