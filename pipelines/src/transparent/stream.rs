//! One stream as it arrives: what of it is missing, and what waits for that.

use std::collections::VecDeque;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::WINDOW;
use super::extend::LAP;
use super::number::{Number, Takes};
use super::owed::Owed;
use super::strangers::Strangers;
use crate::recovery::{Arrival, Holes, Range, Rtt, Seq};
use crate::shield::Key;
use crate::tunnel::streams::Announced;
use crate::wire::psn::Psn;

/// A queue longer than this gives memory back when it is empty; and what it keeps.
pub(crate) const LONG: usize = 1_024;
pub(crate) const SHORT: usize = 64;

/// Holes that a stream remembers.
const HOLES: u32 = 1_024;

/// A packet that waits for the ones before it.
struct Held {
    /// Where it stands: nothing before this may be missing when it goes.
    key: Seq,
    /// Numbers it takes; none if it took them before.
    span: u32,
    since: Time,
    packet: Packet,
}

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

    /// Whether the packet that takes this number waits.
    fn waits(&self, seq: Seq) -> bool {
        let first = self.held.partition_point(|held| held.key.ahead_of(seq) < 0);
        let mut there = self.held.range(first..).take_while(|held| held.key == seq);
        there.any(|held| held.span > 0)
    }

    /// Gives back the memory of a queue that was long once.
    pub(crate) fn shrink(&mut self) {
        if self.held.is_empty() && self.held.capacity() > LONG {
            self.held.shrink_to(SHORT);
        }
        self.strangers.shrink();
    }

    /// Where a packet waits of which it is not known yet what came before it.
    fn wait_for_begin(&mut self, number: &Number) -> Place {
        if self.held.is_empty() {
            self.holes = Holes::growing(HOLES, Seq(number.psn.get()));
        }
        Place::At(self.seq(number.psn))
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

    /// The far side says what it has sent of this stream. Returns how many packets are lost for
    /// good by that. The stream's life is the announced one, or has not begun.
    pub(crate) fn announce(
        &mut self,
        announced: &Announced,
        owed: Option<&Owed>,
        now: Time,
        rtt: &Rtt,
    ) -> u32 {
        if announced.pmtu != 0 {
            self.learn_pmtu(announced.pmtu);
        }
        self.response = announced.response;
        self.dirty = true;
        let Announced { front, next, turn, .. } = *announced;
        if !self.begun {
            self.begin(front, now, rtt);
        }
        self.epoch = announced.epoch;
        self.turn(turn, owed, now);
        let near = |seq: Seq, holes: &Holes| seq.ahead_of(holes.next()) < WINDOW;
        if !near(front, &self.holes) || !near(next, &self.holes) {
            return 0;
        }
        let mut skipped = self.skip(front);
        if front.ahead_of(self.holes.next()) > 0 {
            skipped += 1;
            self.holes.pass(front);
        }
        if announced.limit && self.holes.next().ahead_of(next) < WINDOW {
            self.retract(next);
        }
        if announced.probe && next.ahead_of(self.holes.next()) > 0 {
            self.expect(next, owed.is_none() && !self.heard, owed, now);
            self.bare = announced.bare.then_some(next.plus(u32::MAX));
        }
        if announced.lost { skipped } else { 0 }
    }

    /// The RNIC went back: all before `from` was sent, and no number from there up to `to`.
    fn turn(&mut self, (from, to): (Seq, Seq), owed: Option<&Owed>, now: Time) {
        let is_newer = |known: Option<Seq>| known.is_none_or(|known| to.ahead_of(known) > 0);
        if self.response && from != to && is_newer(self.refusal) {
            // Also where it begins with that: acknowledgements of before may come yet.
            self.refusal = Some(to);
        }
        if to.ahead_of(self.holes.next()) <= 0 {
            return;
        }
        if (1..WINDOW).contains(&from.ahead_of(self.holes.next())) {
            match self.response {
                // The refusal is behind an acknowledgement, which it makes needless.
                true => drop(self.miss(from, owed, now)),
                false => self.expect(from, false, owed, now),
            }
        }
        self.open = None;
        self.holes.pass(to);
    }

    /// Nothing was sent from `next` on. Whoever sent what came from there, the RNIC may judge it.
    fn retract(&mut self, next: Seq) {
        self.holes.retract(next);
        for held in self.held.iter_mut().filter(|held| held.key.ahead_of(next) > 0) {
            (held.key, held.span) = (next, 0);
        }
    }

    /// Packets before `next` were sent, and not all came.
    fn expect(&mut self, next: Seq, all: bool, owed: Option<&Owed>, now: Time) {
        if !self.response || all {
            self.holes.announce(next, now);
            return;
        }
        if self.miss(next, owed, now) && next.ahead_of(self.holes.next()) > 0 {
            self.holes.pass(next.plus(u32::MAX));
            self.holes.announce(next, now);
        }
    }

    /// Nothing before `to` is waited for any more. Returns how many numbers were missing.
    fn skip(&mut self, to: Seq) -> u32 {
        let from = self.holes.cumulative();
        if to.ahead_of(from) <= 0 {
            return 0;
        }
        self.holes.give_up(Range { start: from, count: to.offset_from(from) })
    }

    /// Whether a packet that stands here can go.
    #[inline]
    pub(crate) fn is_free(&self, key: Seq) -> bool {
        let first = self.held.front().is_none_or(|held| held.key.ahead_of(key) > 0);
        self.begun && first && key.ahead_of(self.holes.cumulative()) <= 0
    }

    /// Numbers that a packet takes, as far as that is known.
    pub(crate) fn span(&self, number: &Number) -> u32 {
        number.span(self.pmtu).unwrap_or(1)
    }

    /// Lets a packet wait in its place.
    pub(crate) fn hold(&mut self, key: Seq, span: u32, packet: Packet, now: Time) {
        let behind = self.held.partition_point(|held| held.key.ahead_of(key) <= 0);
        self.held.insert(behind, Held { key, span, since: now, packet });
    }

    /// Lets a packet wait for an announcement.
    pub(crate) fn set_aside(&mut self, number: &Number, packet: Packet, now: Time) {
        self.strangers.push(number, packet, now);
    }

    /// The packet that has waited longest for an announcement.
    pub(crate) fn take_stranger(&mut self) -> Option<(Number, Packet)> {
        self.strangers.pop()
    }

    /// Packets that wait for an announcement.
    pub(crate) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Waits for no announcement any longer: who waited for one goes first, as it is.
    pub(crate) fn admit(&mut self) {
        let key = self.holes.cumulative();
        while let Some((since, packet)) = self.strangers.pop_last() {
            self.held.push_front(Held { key, span: 0, since, packet });
        }
    }

    /// Whether the far side must be asked what this is.
    pub(crate) fn is_unclear(&self) -> bool {
        !self.begun && !self.held.is_empty() || self.strangers() > 0
    }

    /// The next packet that need not wait any longer.
    #[inline]
    pub(crate) fn release(&mut self) -> Option<Packet> {
        if !self.can_release() {
            return None;
        }
        self.held.pop_front().map(|held| held.packet)
    }

    /// Whether a packet need not wait any longer.
    #[inline]
    pub(crate) fn can_release(&self) -> bool {
        let first = self.held.front();
        let free = |held: &Held| held.key.ahead_of(self.holes.cumulative()) <= 0;
        self.begun && first.is_some_and(free)
    }

    /// Waits no longer for what keeps the first packet back. Returns how many numbers were missing.
    pub(crate) fn give_up(&mut self, now: Time, rtt: &Rtt) -> u32 {
        if self.strangers.since().is_some_and(|since| self.held_since() == Some(since)) {
            self.admit();
            return 0;
        }
        let Some(key) = self.held.front().map(|held| held.key) else { return 0 };
        if !self.begun {
            self.begin(key, now, rtt);
            return 0;
        }
        self.skip(key)
    }

    /// The first of what waits, whatever is missing before it.
    pub(crate) fn force(&mut self) -> Option<Packet> {
        self.held.pop_front().map(|held| held.packet)
    }

    /// Packets that wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len() + self.strangers.len()
    }

    /// Since when the packet that is next to go has waited.
    pub(crate) fn held_since(&self) -> Option<Time> {
        let held = self.held.front().map(|held| held.since);
        held.into_iter().chain(self.strangers.since()).min()
    }

    /// What waits.
    #[inline]
    pub(crate) fn packets(&self) -> impl Iterator<Item = &Packet> {
        let held = self.held.iter().map(|held| &held.packet);
        held.chain(self.strangers.packets())
    }

    /// Whether this announcement is of another life than the one that began here.
    pub(crate) fn is_other_life(&self, announced: &Announced) -> bool {
        self.begun && self.epoch != 0 && self.epoch != announced.epoch
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
