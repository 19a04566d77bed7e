//! What was sent of one stream and is not confirmed.

use std::collections::VecDeque;

use dataplane::memory::Frame;
use dataplane::time::{Nanos, Time};

use super::WINDOW;
use super::number::{Number, Takes};
use super::stream::{LONG, SHORT};
use crate::recovery::{LINE, Range, ReplayAccount, Seq};
use crate::tunnel::streams::Announced;
use crate::wire::psn::Psn;

/// Numbers of a stream that is not all confirmed are less than this apart, so that it is clear
/// which is before which.
const FARTHEST: i32 = 1 << 30;

/// Before so many packets the far side is told that a life began, or where the RNIC went back: who
/// does not know it takes them for needless copies, and asks for all of them once it does.
const TELL: u8 = 2;

/// Probes in vain after which the way of a stream is taken to be in trouble.
const TROUBLE: u32 = 2;

/// A packet that was sent.
struct Sent {
    /// `None` if it was not kept, or is kept no more.
    frame: Option<Frame>,
    at: Seq,
    /// The number behind it.
    end: Seq,
    sent: Time,
    resent: Time,
    /// An acknowledgement without data: only the newest packet may be one.
    bare: bool,
    /// A READ whose responses cannot be counted yet.
    open: bool,
}

impl Sent {
    /// It is needed no more.
    fn release(self, memory: &mut ReplayAccount) {
        if let Some(frame) = self.frame {
            memory.release(&frame, lines(&frame));
        }
    }
}

/// Memory of a frame, in units of [`LINE`] bytes.
fn lines(frame: &Frame) -> u16 {
    (frame.footprint() / LINE) as u16
}

/// What a packet from the LAN is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It has a number of its own: it is remembered, and repaired if it is lost.
    Numbered,
    /// A repeat without one: whoever needs it asks again.
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

/// A stream as it is sent. Numbers are PSNs, extended to 32 bits: an RNIC that goes back to a PSN
/// begins another lap, whose numbers are ahead of all before.
#[derive(Default)]
pub(crate) struct Log {
    begun: bool,
    /// The queue pair that it goes to begins anew: the next packet is of another life.
    over: bool,
    response: bool,
    epoch: u8,
    packets: VecDeque<Sent>,
    first: Psn,
    next: Seq,
    /// Where the RNIC last went back: no number from the first to the second was used.
    turn: (Seq, Seq),
    /// How often the far side is yet to be told of that before a packet.
    tell: u8,
    /// Everything before this is held no more, and part of it was never confirmed.
    evicted: Option<Seq>,
    pmtu: u16,
    /// What the far side was told of the path MTU.
    told_pmtu: u16,
    /// When the newest packet was sent.
    pub(crate) last: Time,
    pub(crate) last_probe: Time,
    /// Probes since anything was confirmed by the way that the stream takes.
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
        if !self.begun || self.is_other_life(number.psn) {
            *lives = lives.wrapping_add(1).max(1);
            self.begin(number, *lives);
            announce = true;
        }
        if self.pmtu == 0 {
            self.pmtu = number.pmtu.unwrap_or(pmtu);
        }
        let ahead = number.psn.ahead_of(Psn::new(self.next.0));
        if ahead < 0 && !self.turn_back(number) {
            return (Kept::Repeat, announce);
        }
        if self.tell > 0 {
            self.tell -= 1;
            announce = true;
        }
        if ahead > 0
            && let Some(read) = self.packets.back_mut().filter(|sent| sent.open)
        {
            // The request behind a READ shows how many PSNs that took.
            (read.end, read.open) = (self.next.near(number.psn), false);
        }
        announce |= self.pmtu != self.told_pmtu;
        self.told_pmtu = self.pmtu;
        (Kept::Numbered, announce)
    }

    /// The RNIC goes back: what it repeats gets numbers of its own, if it can have any. So does a
    /// refusal of what is behind the newest acknowledgement: the RNIC waits for it, and does not
    /// repeat what would bring another.
    #[cold]
    fn turn_back(&mut self, number: &Number) -> bool {
        let to = self.next.next_lap(number.psn);
        let front = self.packets.front().map_or(self.next, |sent| sent.at);
        let repeats = !number.response || number.takes == Takes::Refusal;
        if !repeats || to.ahead_of(front) >= FARTHEST {
            return false;
        }
        self.turn = (self.next, to);
        self.tell = TELL;
        self.next = to;
        true
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
            next: Seq(at.get()),
            turn: (Seq(at.get()), Seq(at.get())),
            tell: TELL,
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
        let known = psn.ahead_of(Psn::new(self.next.0)) < WINDOW && psn.ahead_of(self.first) >= -1;
        self.begun && (self.over || !known)
    }

    /// The queue pair that it goes to begins anew: whatever PSN comes next is of another life.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    /// Remembers a packet that [`Log::note`] gave a number, which is returned.
    #[inline]
    pub(crate) fn keep(
        &mut self,
        number: &Number,
        frame: Frame,
        now: Time,
        memory: &mut ReplayAccount,
    ) -> Seq {
        // What acknowledges more makes an acknowledgement needless.
        if self.packets.back().is_some_and(|sent| sent.bare)
            && let Some(sent) = self.packets.pop_back()
        {
            sent.release(memory);
        }
        let span = number.span(self.pmtu);
        let bare = number.takes.is_bare();
        let at = self.next.near(number.psn);
        let end = at.plus(span.unwrap_or(1).max(1));
        let lines = lines(&frame);
        let frame = memory.keep(frame, lines);
        let sent =
            Sent { frame, at, end, sent: now, resent: Time::ZERO, bare, open: span.is_none() };
        self.packets.push_back(sent);
        (self.next, self.last) = (end, now);
        let newest = Psn::new(end.0);
        if newest.ahead_of(self.first) > WINDOW {
            self.first = newest.plus(WINDOW.cast_unsigned().wrapping_neg());
        }
        at
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
        memory: &mut ReplayAccount,
    ) {
        let at = self.next.near(number.psn);
        let index = self.packets.partition_point(|sent| sent.at.ahead_of(at) < 0);
        let end = number.span(self.pmtu).map(|span| at.plus(span));
        let held = self.packets.get_mut(index);
        if let Some(sent) = held.filter(|sent| sent.at == at && Some(sent.end) == end) {
            if let Some(older) = sent.frame.take() {
                memory.release(&older, lines(&older));
            }
            sent.frame = memory.keep(frame.clone(), lines(frame));
            sent.resent = crossing;
        }
    }

    /// Everything before `cumulative` arrived. Returns how many packets that frees.
    pub(crate) fn confirm(&mut self, cumulative: Seq, memory: &mut ReplayAccount) -> u32 {
        let mut count = 0;
        if cumulative.ahead_of(self.next) > 0 {
            return 0;
        }
        self.evicted = self.evicted.filter(|evicted| evicted.ahead_of(cumulative) > 0);
        while let Some(sent) = self.packets.front()
            && cumulative.ahead_of(sent.end) >= 0
        {
            self.packets.pop_front().into_iter().for_each(|sent| sent.release(memory));
            count += 1;
        }
        count
    }

    /// Lets the oldest packet go, if it is the one with this number that was sent then.
    pub(crate) fn evict(&mut self, at: Seq, sent: Time, memory: &mut ReplayAccount) -> bool {
        if !self.is_oldest(at, sent) {
            return false;
        }
        if let Some(Sent { frame, end, .. }) = self.packets.pop_front() {
            frame.into_iter().for_each(|frame| memory.evict(&frame, lines(&frame)));
            self.evicted = Some(end);
        }
        true
    }

    /// Whether the oldest packet has this number and was sent then.
    #[inline]
    pub(crate) fn is_oldest(&self, at: Seq, sent: Time) -> bool {
        self.packets.front().is_some_and(|first| first.at == at && first.sent == sent)
    }

    /// Lets everything go.
    pub(crate) fn clear(&mut self, memory: &mut ReplayAccount) {
        self.packets.drain(..).for_each(|sent| sent.release(memory));
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

    /// Whether the way it leaves by does not answer.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.unanswered >= TROUBLE
    }

    /// Whether something that says so is about this life of the stream.
    pub(crate) fn is_life(&self, epoch: u8) -> bool {
        self.begun && self.epoch == epoch
    }

    /// What the far side is told.
    pub(crate) fn announced(&self, name: u64, probe: bool, limit: bool) -> Announced {
        let front = self.packets.front().map_or(self.next, |sent| sent.at);
        Announced {
            name,
            front,
            next: self.next,
            turn: self.turn,
            pmtu: self.pmtu,
            epoch: self.epoch,
            response: self.response,
            probe,
            limit,
            unknown: !self.begun,
            lost: self.evicted.is_some(),
            bare: self.packets.back().is_some_and(|sent| sent.bare),
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
        let mut at = range.start;
        let count = range.count.min(WINDOW.cast_unsigned());
        let mut end = at.plus(count);
        if end.ahead_of(self.next) > 0 {
            end = self.next;
            if !answer(Answer::Limit) {
                return false;
            }
        }
        let gone = |start: Seq, to: Seq, lost| {
            Answer::Gone(Range { start, count: to.offset_from(start) }, lost)
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
            if sent.at.ahead_of(end) >= 0 {
                break;
            }
            let (from, behind) = (at, if end.ahead_of(sent.end) < 0 { end } else { sent.end });
            if at.ahead_of(sent.at) > 0 {
                // Who has the packet asks for PSNs in its span: there is nothing more in it.
                at = behind;
                if !answer(gone(from, behind, false)) {
                    return false;
                }
                continue;
            }
            if sent.at.ahead_of(at) > 0 && !answer(gone(at, sent.at, false)) {
                return false;
            }
            let Some(frame) = &sent.frame else {
                if !answer(gone(sent.at, behind, true)) {
                    return false;
                }
                at = sent.end;
                continue;
            };
            if sent.resent == Time::ZERO || now.since(sent.resent) >= guard {
                if !answer(Answer::Resend(frame.clone())) {
                    return false;
                }
                sent.resent = now;
            }
            at = sent.end;
        }
        end.ahead_of(at) <= 0 || answer(gone(at, end, false))
    }
}
