//! One stream as it arrives: what of it is missing, and where a packet has its place. What the far
//! side says of it is taken in in [`announced`], what waits is in [`waiting`].

use std::collections::VecDeque;

use dataplane::time::Time;

use super::WINDOW;
use super::extend::LAP;
use super::number::{Number, Takes};
use super::owed::Owed;
use super::strangers::Strangers;
use crate::recovery::{Arrival, Holes, Range, Rtt, Seq};
use crate::shield::Key;
use crate::wire::psn::Psn;

mod announced;
mod waiting;

use waiting::Held;
pub(crate) use waiting::{LONG, SHORT};

/// Holes that a stream remembers.
const HOLES: u32 = 1_024;

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It stands here: it goes when nothing before it is missing.
    At(Seq),
    /// It was received before: it goes behind all that was sent before it.
    Behind(Seq),
    /// It is not of the stream's present life: it goes as it is.
    Pass,
    /// A second copy of one that waits, or that must not come again.
    Twice,
    /// It has a number only if the RNIC went back, or is in another life; that was not announced.
    Strange,
    /// It cannot be recorded; it will be asked for again.
    Refused,
}

/// A stream as it arrives. Numbers are PSNs, extended to 32 bits as the far side says.
pub(crate) struct Stream {
    /// Whether it is known where it begins.
    pub(crate) begun: bool,
    /// Whether any packet of it came.
    heard: bool,
    pub(crate) response: bool,
    /// Its life, as announced; 0: it was not yet, which no life is called.
    pub(crate) epoch: u8,
    pub(crate) holes: Holes,
    /// Path MTU; 0: not known.
    pmtu: u16,
    /// The newest packet, if it is a READ that came before the path MTU was known.
    open: Option<(Seq, Number)>,
    held: VecDeque<Held>,
    /// Packets that wait for the next announcement.
    strangers: Strangers,
    /// The announced newest packet, if it is an acknowledgement and has not come.
    bare: Option<Seq>,
    /// The number of the newest refusal that has one of its own.
    refusal: Option<Seq>,
    /// What the shield calls it, if it is one of responses and one came.
    pub(crate) answers: Option<Key>,
    /// The channel to answer by.
    pub(crate) via: u8,
    /// Something arrived that is not confirmed.
    pub(crate) dirty: bool,
    /// Whether it is in the list of streams with something to do, or that can go on.
    pub(crate) listed: bool,
    pub(crate) ready: bool,
    /// When the far side was last asked what this is, and how often.
    pub(crate) inquired: (Time, u32),
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            begun: false,
            heard: false,
            response: false,
            epoch: 0,
            holes: Holes::growing(HOLES, Seq(0)),
            pmtu: 0,
            open: None,
            held: VecDeque::new(),
            strangers: Strangers::default(),
            bare: None,
            refusal: None,
            answers: None,
            via: 0,
            dirty: false,
            listed: false,
            ready: false,
            inquired: (Time::ZERO, 0),
        }
    }
}

impl Stream {
    /// The number that a PSN stands for.
    #[inline]
    fn seq(&self, psn: Psn) -> Seq {
        self.holes.next().near(psn)
    }

    /// It begins here: what waited has its place behind.
    fn begin(&mut self, at: Seq, now: Time, rtt: &Rtt) {
        self.begun = true;
        self.bare = None;
        self.holes = Holes::growing(HOLES, at);
        for held in &mut self.held {
            held.key = at.near(Psn::new(held.key.0));
            if held.span > 0 {
                self.holes.arrive_span(held.key, held.span, now, rtt);
            }
        }
    }

    /// Takes note of a packet. `owed`: the data that responses of this stream must bring, if the
    /// requests they are to are known. `told`: it waited for an announcement, and that came. A
    /// repair's round trip goes to `sample`.
    #[inline]
    pub(crate) fn arrive(
        &mut self,
        number: &Number,
        owed: Option<&Owed>,
        told: bool,
        (now, rtt): (Time, &Rtt),
        sample: impl FnOnce(Arrival),
    ) -> Place {
        if let (0, Some(pmtu)) = (self.pmtu, number.pmtu) {
            self.learn_pmtu(pmtu);
        }
        self.response = number.response;
        self.heard = true;
        if !self.begun {
            if !number.response {
                return self.wait_for_begin(number);
            }
            let first = owed.and_then(Owed::first).filter(|first| {
                let ahead = number.psn.ahead_of(*first);
                (0..WINDOW).contains(&ahead)
            });
            self.begin(Seq(first.unwrap_or(number.psn).get()), now, rtt);
        }
        let mut seq = self.seq(number.psn);
        if !(-WINDOW..WINDOW).contains(&seq.ahead_of(self.holes.next())) {
            return if told { Place::Pass } else { Place::Strange };
        }
        let arrival = match number.takes {
            Takes::Refusal if !self.is_old(seq) => return self.acknowledge(seq, owed, now),
            Takes::Refusal => return if told { Place::Twice } else { Place::Strange },
            // Where a refusal stands, the acknowledgement was sent a lap before.
            Takes::Nothing if self.refusal == Some(seq) => {
                return self.acknowledge(seq.plus(LAP.wrapping_neg()), owed, now);
            }
            Takes::Nothing => return self.acknowledge(seq, owed, now),
            _ if number.response => {
                seq = self.oldest_missing(seq);
                self.data(seq, owed, now, rtt)
            }
            _ => {
                let span = number.span(self.pmtu);
                seq = self.oldest_missing(seq);
                if seq.ahead_of(self.holes.next()) >= 0 {
                    self.open = span.is_none().then_some((seq, *number));
                }
                self.holes.arrive_span(seq, span.unwrap_or(1), now, rtt)
            }
        };
        self.supersede(seq.next());
        sample(arrival);
        match arrival {
            Arrival::New | Arrival::Repair(_) | Arrival::Late => {
                self.dirty = true;
                Place::At(seq)
            }
            Arrival::Refused => Place::Refused,
            Arrival::Duplicate => {
                self.dirty = true;
                // To what is owed nobody answered before, not in this life.
                let is_owed = |owed: &Owed| owed.owes(number.psn);
                match number.response && !owed.is_some_and(is_owed) {
                    _ if self.waits(seq) => Place::Twice,
                    false if !told => Place::Strange,
                    _ if number.response => Place::Behind(self.holes.next()),
                    _ => Place::Twice,
                }
            }
        }
    }

    /// The RNIC went back past a loss: what comes stands for the copy that has been missed longest.
    /// `seq` is its number in the present lap.
    #[inline]
    fn oldest_missing(&self, seq: Seq) -> Seq {
        let cumulative = self.holes.cumulative();
        let laps = seq.ahead_of(cumulative) / LAP.cast_signed();
        let mut older =
            (1..=laps).rev().map(|lap| seq.plus((lap.cast_unsigned() * LAP).wrapping_neg()));
        older.find(|seq| self.holes.lacks(*seq)).unwrap_or(seq)
    }

    /// Whether an answer without data that has this number is neither new nor missed.
    fn is_old(&self, seq: Seq) -> bool {
        seq.ahead_of(self.holes.next()) < 0 && self.bare != Some(seq)
    }

    /// The path MTU is known: a READ that came before takes what it takes.
    fn learn_pmtu(&mut self, pmtu: u16) {
        self.pmtu = pmtu;
        if let Some((seq, read)) = self.open.take()
            && let Some(span) = read.span(pmtu)
            && self.holes.next() == seq.next()
        {
            self.holes.pass(seq.plus(span));
        }
    }

    /// A response with data. What is owed between the newest one and this is missing.
    fn data(&mut self, seq: Seq, owed: Option<&Owed>, now: Time, rtt: &Rtt) -> Arrival {
        if seq.ahead_of(self.holes.next()) >= 0 {
            if !self.miss(seq, owed, now) {
                return Arrival::Refused;
            }
            self.holes.pass(seq);
        }
        self.holes.arrive_span(seq, 1, now, rtt)
    }

    /// An acknowledgement: all that is owed up to its PSN must have come before it (trap 18).
    fn acknowledge(&mut self, seq: Seq, owed: Option<&Owed>, now: Time) -> Place {
        let end = seq.next();
        if end.ahead_of(self.holes.next()) > 0 {
            if !self.miss(end, owed, now) {
                return Place::Refused;
            }
            self.holes.pass(end);
        }
        self.supersede(end);
        self.dirty = true;
        Place::At(end)
    }

    /// What is owed and unseen before `to` is missing; whether that could be recorded.
    fn miss(&mut self, to: Seq, owed: Option<&Owed>, now: Time) -> bool {
        let Some(owed) = owed else { return true };
        let from = self.holes.next();
        for (start, end) in owed.within(Psn::new(from.0), Psn::new(to.0)) {
            let (start, end) = (self.seq(start), self.seq(end));
            self.holes.pass(start);
            if !self.holes.announce(end, now) {
                return false;
            }
        }
        true
    }

    /// A response that ends before `end` came: no older acknowledgement is missed.
    fn supersede(&mut self, end: Seq) {
        let Some(bare) = self.bare.filter(|bare| end.ahead_of(*bare) > 0) else { return };
        self.bare = None;
        self.holes.give_up(Range { start: bare, count: 1 });
    }

    /// Nothing before `to` is waited for any more. Returns how many numbers were missing.
    fn skip(&mut self, to: Seq) -> u32 {
        let from = self.holes.cumulative();
        if to.ahead_of(from) <= 0 {
            return 0;
        }
        self.holes.give_up(Range { start: from, count: to.offset_from(from) })
    }

    /// Numbers that a packet takes, as far as that is known.
    pub(crate) fn span(&self, number: &Number) -> u32 {
        number.span(self.pmtu).unwrap_or(1)
    }

    /// Whether there is nothing to ask, to confirm or to deliver.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.dirty && self.holes.missing() == 0 && self.held() == 0
    }

    /// A new life of the queue pair begins; what waited in its place must have been taken out.
    pub(crate) fn restart(&mut self) {
        (self.begun, self.heard, self.epoch, self.pmtu) = (false, false, 0, 0);
        (self.bare, self.refusal, self.open) = (None, None, None);
        self.inquired = (Time::ZERO, 0);
    }
}

#[cfg(test)]
mod tests;
