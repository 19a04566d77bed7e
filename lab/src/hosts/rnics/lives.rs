//! Queue pairs that come and go: connected on the wire, and replaced after so many messages or a
//! failure by others with new starting PSNs.
//!
//! Site A asks for every connection. Whose queue pair failed says farewell, and A once both ends
//! are done. Either end lets go of a queue pair when its connection is over, and A asks for the
//! next one then, on the number of an older one if that has rested. Nothing is posted to a queue
//! pair before its end knows of the connection. Those that do so have one host at each site.

use dataplane::time::Time;

use super::Rnics;
use super::end::{QueuePair, Stage, address};
use crate::rnic::{ConnectionEvent, QpNumber};

/// What the host of site B listens for.
const SERVICE: u64 = 0x0100_0000_0106_0001;

impl Rnics {
    /// Has site B accept, and site A ask for the first queue pairs.
    pub(super) fn dial_all(&mut self, now: Time) {
        let settings = self.plan.qp(&self.traffic, 0);
        self.ends[1].rnic(0).listen(SERVICE, settings);
        (0..self.ends[0].qps.len()).for_each(|place| self.dial(now, place));
    }

    /// Has site A ask for a queue pair, if there are messages left for it.
    fn dial(&mut self, now: Time, place: usize) {
        let left = |side: usize| {
            let qp = self.ends[side].qps.get(place);
            self.traffic.direction.asks(side)
                && qp.is_some_and(|qp| qp.posted < self.traffic.messages)
        };
        if ![0, 1].into_iter().any(left) {
            return;
        }
        let to = address(self.group, 1, 0);
        let end = &mut self.ends[0];
        let number = end.rnic(place).create_qp(self.plan.qp(&self.traffic, place));
        if let Some(qp) = end.qps.get_mut(place) {
            qp.number = number;
        }
        let dialled = end.rnic(place).dial(now, number, to, SERVICE);
        debug_assert_eq!(dialled, Ok(()));
    }

    /// Does what has become due with connections, of whatever the ends of messages were taken.
    pub(super) fn tend(&mut self, now: Time) {
        for side in [0, 1] {
            while let Some(event) = self.ends[side].rnic(0).poll_connection() {
                match event {
                    ConnectionEvent::Connected(number) => self.connected(now, side, number),
                    ConnectionEvent::Disconnected(number)
                    | ConnectionEvent::Rejected(number, _)
                    | ConnectionEvent::TimedOut(number) => self.over(now, side, number),
                }
            }
        }
        for place in std::mem::take(&mut self.changed) {
            self.part(now, place);
        }
    }

    fn connected(&mut self, now: Time, side: usize, number: QpNumber) {
        // The other end of a queue pair of B has the place that A gave it.
        let known = if side == 0 { Some(number) } else { self.ends[1].rnic(0).peer(number) };
        let place = known.and_then(|known| self.place(0, known));
        let Some(place) = place else { return };
        let before = self.ends[side].qps.get(place).copied().unwrap_or_default();
        if before.stage == Stage::Up {
            // Its farewell did not get here.
            self.fail(side, place);
        }
        let every = self.traffic.recreate.unwrap_or(u32::MAX);
        let (end, posted) = (&mut self.ends[side], before.posted);
        end.begin(place, number, posted.saturating_add(every).min(self.traffic.messages));
        self.fill(now, side, place);
        self.changed.push(place);
    }

    /// A connection is over for this end.
    fn over(&mut self, now: Time, side: usize, number: QpNumber) {
        // What was not done by then has ended.
        self.collect(now, side);
        self.ends[side].rnic(0).destroy_qp(number);
        let Some(place) = self.place(side, number) else { return };
        if let Some(qp) = self.ends[side].qps.get_mut(place) {
            (qp.number, qp.stage) = (0, Stage::Down);
        }
        if side == 0 {
            self.dial(now, place);
        }
    }

    /// Ends the connection of a place whose queue pair failed, or has done its part at both ends.
    fn part(&mut self, now: Time, place: usize) {
        let Self { ends, traffic, .. } = self;
        let [a, b] = [0, 1].map(|side: usize| ends[side].qps.get(place).copied());
        let (Some(a), Some(b)) = (a, b) else { return };
        for (side, qp) in [(0, a), (1, b)] {
            if qp.stage == Stage::Failed {
                ends[side].rnic(place).disconnect(now, qp.number);
            }
        }
        let done = |(side, qp): (usize, QueuePair)| {
            !traffic.direction.asks(side) || (qp.stage == Stage::Up && qp.ended == qp.until)
        };
        let more = a.posted < traffic.messages || b.posted < traffic.messages;
        if more && a.stage == Stage::Up && [(0, a), (1, b)].into_iter().all(done) {
            ends[0].rnic(place).disconnect(now, a.number);
        }
    }

    /// The place of a queue pair.
    fn place(&self, side: usize, number: QpNumber) -> Option<usize> {
        self.ends[side].qps.iter().position(|qp| qp.number == number)
    }
}
