//! What was sent of one stream and is not confirmed.

use std::collections::VecDeque;

use dataplane::memory::Frame;
use dataplane::time::{Nanos, Time};

use super::WINDOW;
use super::number::{Number, Takes};
use super::stream::{LONG, SHORT};
use crate::recovery::{LINE, Range, ReplayMemory, Seq};
use crate::tunnel::streams::Announced;
use crate::wire::psn::Psn;

/// A packet that was sent.
struct Sent {
    frame: Frame,
    psn: Psn,
    /// The PSN behind it.
    end: Psn,
    sent: Time,
    resent: Time,
    /// An acknowledgement without data: only the newest packet may be one.
    bare: bool,
    /// A READ whose responses cannot be counted yet.
    open: bool,
}

impl Sent {
    fn lines(&self) -> u16 {
        (self.frame.footprint() / LINE) as u16
    }
}

/// What a packet from the LAN is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// New: it is remembered, and repaired if it is lost.
    New,
    /// A repeat: whoever needs it asks again.
    Repeat,
}

/// What a request of the far side leads to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This packet is sent again.
    Resend(Frame),
    /// These numbers will not come; whether packets had them.
    Gone(Range, bool),
    /// Some of the numbers were never reached.
    Limit,
}

/// A stream as it is sent.
#[derive(Default)]
pub(crate) struct Log {
    begun: bool,
    response: bool,
    epoch: u8,
    packets: VecDeque<Sent>,
    first: Psn,
    next: Psn,
    /// Everything before this is held no more, and part of it was never confirmed.
    evicted: Option<Psn>,
    pmtu: u16,
    /// What the far side was told of the path MTU.
    told_pmtu: u16,
    /// When the newest packet was sent.
    pub(crate) last: Time,
    pub(crate) last_probe: Time,
    /// Probes since anything was confirmed.
    pub(crate) unanswered: u32,
    /// Whether it is in the list of streams that are not all confirmed.
    pub(crate) listed: bool,
    /// The channel it leaves by.
    pub(crate) via: u8,
}

impl Log {
    /// Takes note of a packet that is about to leave. `lives` counts lives of all streams; `pmtu`
    /// is what others know of the path MTU, or 0. Returns what it is, and whether the far side is
    /// to be told of the stream before.
    #[inline]
    pub(crate) fn note(&mut self, number: &Number, pmtu: u16, lives: &mut u8) -> (Kept, bool) {
        let mut announce = false;
        let ahead = number.psn.ahead_of(self.next);
        let known = ahead < WINDOW && number.psn.ahead_of(self.first) >= -1;
        if !self.begun || !known {
            *lives = lives.wrapping_add(1);
            self.begin(number, *lives);
            announce = true;
        }
        if self.pmtu == 0 {
            self.pmtu = number.pmtu.unwrap_or(pmtu);
        }
        let ahead = number.psn.ahead_of(self.next);
        if ahead < 0 {
            return (Kept::Repeat, announce);
        }
        if ahead > 0
            && let Some(read) = self.packets.back_mut().filter(|sent| sent.open)
        {
            // The request behind a READ shows how many PSNs that took.
            (read.end, read.open) = (number.psn, false);
        }
        announce |= self.pmtu != self.told_pmtu;
        self.told_pmtu = self.pmtu;
        (Kept::New, announce)
    }

    /// A life of the queue pair begins. What was remembered of the one before must have been let
    /// go.
    #[cold]
    fn begin(&mut self, number: &Number, epoch: u8) {
        let at = number.psn;
        *self = Self {
            begun: true,
            response: number.response,
            epoch,
            packets: std::mem::take(&mut self.packets),
            first: at,
            next: at,
            last: self.last,
            last_probe: self.last_probe,
            listed: self.listed,
            via: self.via,
            ..Self::default()
        };
    }

    /// Whether a packet begins another life of the queue pair.
    #[inline]
    pub(crate) fn is_other_life(&self, psn: Psn) -> bool {
        let known = psn.ahead_of(self.next) < WINDOW && psn.ahead_of(self.first) >= -1;
        self.begun && !known
    }

    /// Remembers a new packet.
    #[inline]
    pub(crate) fn keep(
        &mut self,
        number: &Number,
        frame: Frame,
        now: Time,
        memory: &mut ReplayMemory,
    ) {
        // What acknowledges more makes an acknowledgement needless.
        if self.packets.back().is_some_and(|sent| sent.bare)
            && let Some(sent) = self.packets.pop_back()
        {
            memory.remove(sent.lines());
        }
        let span = number.span(self.pmtu);
        let bare = number.takes == Takes::Nothing;
        let end = number.psn.plus(span.unwrap_or(1).max(1));
        let sent = Sent {
            frame,
            psn: number.psn,
            end,
            sent: now,
            resent: Time::ZERO,
            bare,
            open: span.is_none(),
        };
        memory.add(sent.lines());
        self.packets.push_back(sent);
        (self.next, self.last) = (end, now);
        if self.next.ahead_of(self.first) > WINDOW {
            self.first = self.next.plus(WINDOW.cast_unsigned().wrapping_neg());
        }
    }

    /// The RNIC sends a packet again that is held: the newest copy is the one to repair with
    /// (trap 15), unless it takes other PSNs (trap 4). It is a repair as well: requests that it
    /// will cross, counting from `crossing`, are answered by it.
    #[cold]
    pub(crate) fn replace(
        &mut self,
        number: &Number,
        frame: &Frame,
        crossing: Time,
        memory: &mut ReplayMemory,
    ) {
        let at = self.packets.partition_point(|sent| sent.psn.ahead_of(number.psn) < 0);
        let end = number.span(self.pmtu).map(|span| number.psn.plus(span));
        let held = self.packets.get_mut(at);
        if let Some(sent) = held.filter(|sent| sent.psn == number.psn && Some(sent.end) == end) {
            memory.remove(sent.lines());
            sent.frame = frame.clone();
            sent.resent = crossing;
            memory.add(sent.lines());
        }
    }

    /// Everything before `cumulative` arrived. Returns how many packets that frees.
    pub(crate) fn confirm(&mut self, cumulative: Psn, memory: &mut ReplayMemory) -> u32 {
        let mut count = 0;
        if cumulative.ahead_of(self.next) > 0 {
            return 0;
        }
        self.evicted = self.evicted.filter(|evicted| evicted.ahead_of(cumulative) > 0);
        while let Some(sent) = self.packets.front()
            && cumulative.ahead_of(sent.end) >= 0
        {
            memory.remove(sent.lines());
            self.packets.pop_front();
            count += 1;
        }
        count
    }

    /// Lets the oldest packet go, if it is the one with this PSN that was sent then.
    pub(crate) fn evict(&mut self, psn: Psn, sent: Time, memory: &mut ReplayMemory) -> bool {
        if !self.is_oldest(psn, sent) {
            return false;
        }
        if let Some(sent) = self.packets.pop_front() {
            memory.remove(sent.lines());
            self.evicted = Some(sent.end);
        }
        true
    }

    /// Whether the oldest packet has this PSN and was sent then.
    #[inline]
    pub(crate) fn is_oldest(&self, psn: Psn, sent: Time) -> bool {
        self.packets.front().is_some_and(|first| first.psn == psn && first.sent == sent)
    }

    /// Lets everything go.
    pub(crate) fn clear(&mut self, memory: &mut ReplayMemory) {
        self.packets.drain(..).for_each(|sent| memory.remove(sent.lines()));
    }

    /// Gives back the memory of a queue that was long once.
    pub(crate) fn shrink(&mut self) {
        if self.packets.is_empty() && self.packets.capacity() > LONG {
            self.packets.shrink_to(SHORT);
        }
    }

    /// Packets that are not confirmed.
    #[inline]
    pub(crate) fn unconfirmed(&self) -> usize {
        self.packets.len()
    }

    /// Whether something that says so is about this life of the stream.
    pub(crate) fn is_life(&self, epoch: u8) -> bool {
        self.begun && self.epoch == epoch
    }

    /// What the far side is told.
    pub(crate) fn announced(&self, name: u64, probe: bool, limit: bool) -> Announced {
        let front = self.packets.front().map_or(self.next, |sent| sent.psn);
        Announced {
            name,
            front: Seq(front.get()),
            next: Seq(self.next.get()),
            pmtu: self.pmtu,
            epoch: self.epoch,
            response: self.response,
            probe,
            limit,
            unknown: !self.begun,
            lost: self.evicted.is_some(),
        }
    }

    /// Answers a request. Looks at what is held in the range, however long that is. Stops when
    /// `answer` returns `false`: it has no more room.
    pub(crate) fn ask(
        &mut self,
        range: Range,
        now: Time,
        guard: Nanos,
        mut answer: impl FnMut(Answer) -> bool,
    ) -> bool {
        let mut at = Psn::new(range.start.0);
        let count = range.count.min(WINDOW.cast_unsigned());
        let mut end = at.plus(count);
        if end.ahead_of(self.next) > 0 {
            end = self.next;
            if !answer(Answer::Limit) {
                return false;
            }
        }
        let gone = |from: Psn, to: Psn, lost| {
            let count = to.ahead_of(from).cast_unsigned();
            Answer::Gone(Range { start: Seq(from.get()), count }, lost)
        };
        if let Some(evicted) = self.evicted.filter(|evicted| evicted.ahead_of(at) > 0) {
            let to = if end.ahead_of(evicted) < 0 { end } else { evicted };
            if to.ahead_of(at) > 0 && !answer(gone(at, to, true)) {
                return false;
            }
            at = evicted;
        }
        let first = self.packets.partition_point(|sent| sent.end.ahead_of(at) <= 0);
        for sent in self.packets.range_mut(first..) {
            if sent.psn.ahead_of(end) >= 0 {
                break;
            }
            let (from, behind) = (at, if end.ahead_of(sent.end) < 0 { end } else { sent.end });
            if at.ahead_of(sent.psn) > 0 {
                // Who has the packet asks for PSNs in its span: there is nothing more in it.
                at = behind;
                if !answer(gone(from, behind, false)) {
                    return false;
                }
                continue;
            }
            if sent.psn.ahead_of(at) > 0 && !answer(gone(at, sent.psn, false)) {
                return false;
            }
            if sent.resent == Time::ZERO || now.since(sent.resent) >= guard {
                if !answer(Answer::Resend(sent.frame.clone())) {
                    return false;
                }
                sent.resent = now;
            }
            at = sent.end;
        }
        end.ahead_of(at) <= 0 || answer(gone(at, end, false))
    }
}
