//! What the far side says of a stream.

use dataplane::time::Time;

use super::{Stream, WINDOW};
use crate::recovery::{Holes, Rtt, Seq};
use crate::transparent::owed::Owed;
use crate::tunnel::streams::Announced;

impl Stream {
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

    /// Whether this announcement is of another life than the one that began here.
    pub(crate) fn is_other_life(&self, announced: &Announced) -> bool {
        self.begun && self.epoch != 0 && self.epoch != announced.epoch
    }
}
