//! What the far side says of streams, and what that leads to.

use dataplane::drops::DropReason;
use dataplane::port::TxQueue;
use dataplane::time::Time;

use super::super::Common;
use super::super::control::{LONGEST_RTT, Place, send};
use super::super::peer::{Peer, Timer};
use super::{arrive, tell};
use crate::transparent::log::Answer;
use crate::transparent::table::{Name, Slot};
use crate::tunnel::control::Draft;
use crate::tunnel::streams::{
    Announced, Announcements, Confirmed, StreamBlocks, StreamGone, StreamItems,
};
use crate::wire::psn::Psn;

/// The far side says, by channel `by`, what it sends, and the time that it is there.
pub(in super::super) fn announced(
    common: &mut Common,
    peer: &mut Peer,
    by: usize,
    (time, items): (u64, Announcements<'_>),
    now: Time,
    queues: &mut [TxQueue],
) {
    let mut probed = false;
    for item in items {
        probed |= item.probe || item.limit;
        announced_one(common, peer, by, &item, now, queues);
    }
    let Some(streams) = &mut peer.streams else {
        common.counters.drops.count(DropReason::ControlMalformed, 0);
        return;
    };
    if probed {
        streams.inbound.confirm_at = now;
        tell::tend_inbound(common, peer, time, now, queues);
    }
}

fn announced_one(
    common: &mut Common,
    peer: &mut Peer,
    by: usize,
    item: &Announced,
    now: Time,
    queues: &mut [TxQueue],
) {
    let Some(streams) = &mut peer.streams else { return };
    let inbound = &mut streams.inbound;
    if item.unknown {
        if let Some(slot) = inbound.table.find(Name(item.name), now) {
            abandon(common, peer, slot, now, queues);
        }
        return;
    }
    let slot = inbound.stream(Name(item.name), now);
    let other_life = inbound.table.at(slot).is_some_and(|(_, of)| of.is_other_life(item));
    if other_life {
        arrive::flush_placed(common, peer, slot, now, queues);
    }
    let Some(streams) = &mut peer.streams else { return };
    let Some((_, stream)) = streams.inbound.table.at(slot) else { return };
    if other_life {
        stream.restart();
    }
    // What came by this way can be answered by it.
    stream.via = by as u8;
    let Some(rtt) = peer.senders.get(usize::from(stream.via)).map(|sender| sender.rtt) else {
        return;
    };
    let known = common.shield.as_mut().zip(stream.answers.as_ref());
    let mut owed = known.and_then(|(shield, key)| {
        let answers = shield.answers(key, now)?;
        shield.owed(answers)
    });
    let lost = stream.announce(item, owed.as_deref(), now, &rtt);
    if let Some(owed) = &mut owed {
        // What was owed before the RNIC went back has come, or is missed.
        owed.settle(Psn::new(item.turn.0.0));
        owed.settle(Psn::new(stream.holes.next().0));
    }
    common.counters.gave_up += u64::from(lost);
    streams.inbound.list(slot);
    arrive::place_strangers(common, peer, slot, now, queues);
    arrive::release(common, peer, slot, now, queues);
}

/// The far side knows a stream no more: what is missing of it will not come.
fn abandon(common: &mut Common, peer: &mut Peer, slot: Slot, now: Time, queues: &mut [TxQueue]) {
    let Some(streams) = &mut peer.streams else { return };
    if let Some((_, stream)) = streams.inbound.table.at(slot) {
        common.counters.gave_up += stream.holes.missing();
        stream.restart();
        stream.dirty = false;
    }
    arrive::flush(common, peer, slot, now, queues);
}

/// Acknowledgements and requests of the far side, by channel `by`, and the time that they echo.
pub(in super::super) fn confirmed(
    common: &mut Common,
    peer: &mut Peer,
    by: usize,
    (echoed_time, blocks): (u64, StreamBlocks<'_>),
    now: Time,
    queues: &mut [TxQueue],
) {
    let mut answers =
        Answers { again: Draft::streams(0), gone: Draft::stream_gone(), count: (0, 0) };
    for (index, block) in blocks.flatten().enumerate() {
        let via = confirmed_one(common, peer, by, &block, &mut answers, now, queues);
        let sample = now.0.wrapping_sub(echoed_time);
        if index == 0
            && echoed_time != 0
            && sample < LONGEST_RTT
            && let Some(sender) = peer.senders.get_mut(via)
        {
            sender.rtt.sample(sample);
        }
    }
    if answers.count.0 > 0 {
        send(common, peer, by, answers.again, Place::Last, queues);
    }
    if answers.count.1 > 0 {
        send(common, peer, by, answers.gone, Place::First, queues);
    }
}

/// What is answered to one message. What finds no room is asked for again.
struct Answers {
    again: Draft,
    gone: Draft,
    /// Items in them.
    count: (u32, u32),
}

impl Answers {
    fn announce(&mut self, announced: &Announced) {
        self.count.0 += u32::from(self.again.announce(announced));
    }

    fn gone(&mut self, gone: &StreamGone) -> bool {
        let taken = self.gone.stream_item(gone);
        self.count.1 += u32::from(taken);
        taken
    }
}

/// What the far side says of one stream. Returns the channel it goes by.
///
/// While the stream's own way is in trouble, what is asked for by another goes by that one.
fn confirmed_one(
    common: &mut Common,
    peer: &mut Peer,
    by: usize,
    block: &Confirmed<'_>,
    answers: &mut Answers,
    now: Time,
    queues: &mut [TxQueue],
) -> usize {
    let Some(streams) = &mut peer.streams else { return 0 };
    let outbound = &mut streams.outbound;
    let slot = outbound.table.find(Name(block.name), now);
    let Some((_, log)) = slot.and_then(|slot| outbound.table.at(slot)) else {
        answers.announce(&Announced { name: block.name, unknown: true, ..Announced::default() });
        return 0;
    };
    let via = usize::from(log.via);
    if block.unknown || !log.is_life(block.epoch) {
        answers.announce(&log.announced(block.name, true, false));
        return via;
    }
    let port = |channel: usize| peer.senders.get(channel).map(|sender| sender.port);
    let confirmed = log.confirm(block.cumulative, &mut common.memory);
    if confirmed > 0 && port(by) == port(via) {
        log.unanswered = 0;
    }
    let way = if log.is_in_trouble() { by } else { via };
    let Some(sender) = peer.senders.get_mut(way) else { return via };
    let Some(queue) = queues.get_mut(sender.port) else { return via };
    let guard = sender.rtt.smoothed() / 2;
    let (mut limit, resent) = (false, &mut common.counters.resent);
    for range in block.ranges.clone() {
        let room = log.ask(range, now, guard, |answer| match answer {
            Answer::Resend(frame) => {
                let bytes = frame.len();
                let room = queue.push_urgent(frame).is_ok();
                if room {
                    resent.add(bytes);
                    sender.resent.add(bytes);
                }
                room
            }
            Answer::Gone(range, lost) => {
                answers.gone(&StreamGone { name: block.name, range, lost })
            }
            Answer::Limit => {
                limit = true;
                true
            }
        });
        if !room {
            break;
        }
    }
    if limit {
        answers.announce(&log.announced(block.name, true, true));
    }
    if log.unconfirmed() > 0 {
        common.wheel.set_no_later(peer.timer(Timer::Sender(0)), now.after(guard));
    }
    via
}

/// The far side does not have what we asked for: nobody waits for it any more.
pub(in super::super) fn gone(
    common: &mut Common,
    peer: &mut Peer,
    items: StreamItems<'_>,
    now: Time,
    queues: &mut [TxQueue],
) {
    for item in items {
        let Some(streams) = &mut peer.streams else { return };
        let Some(slot) = streams.inbound.table.find(Name(item.name), now) else { continue };
        let Some((_, stream)) = streams.inbound.table.at(slot) else { continue };
        let given_up = stream.holes.give_up(item.range);
        common.counters.gave_up += if item.lost { u64::from(given_up) } else { 0 };
        arrive::release(common, peer, slot, now, queues);
    }
}
