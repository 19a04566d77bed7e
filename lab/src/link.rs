//! One direction of a link, and what it does to frames: in this order it is down or not, makes
//! frames queue for its rate, loses, corrupts, delays, reorders and duplicates them.

use std::ops::Range;

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, SECOND, Time};

use crate::random::Random;

/// Bytes a frame takes on an Ethernet line beyond its own: preamble, FCS and inter-frame gap
/// (IEEE 802.3, clause 4).
const LINE_OVERHEAD: u64 = 8 + 4 + 12;

/// What a link does, in each direction independently. The default is a perfect wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Impairments {
    /// Bits a second; `None` is without limit. Frames wait for their turn in a queue without
    /// bound.
    pub rate: Option<u64>,
    /// One-way delay.
    pub delay: Nanos,
    /// Mean probability that a frame is lost, 0 to 1.
    pub loss: f64,
    /// Mean number of frames lost in a row, at least 1: a Gilbert-Elliott channel that loses
    /// everything in its bad state and nothing in its good one. `None` loses frames independently.
    pub burst: Option<f64>,
    /// Probability that a frame is held up so that later ones overtake it.
    pub reorder: f64,
    /// Probability that a frame arrives twice.
    pub duplicate: f64,
    /// Probability that one byte of a frame is altered. Only bytes behind the Ethernet header are:
    /// inside a network every hop checks the frame's FCS and computes it anew, with a new header,
    /// so that what a faulty hop did to the packet arrives and what a line did does not.
    pub corrupt: f64,
    /// Times in which whatever is sent is lost, counted from the start of the play.
    pub down: Vec<Range<Nanos>>,
}

impl Impairments {
    /// The longest time by which a frame is held up for reordering: a tenth of the delay, but
    /// 20 microseconds at least and a millisecond at most.
    #[must_use]
    pub fn reorder_span(&self) -> Nanos {
        (self.delay / 10).clamp(20 * MICROSECOND, MILLISECOND)
    }
}

/// What one direction of a link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Frames sent into it.
    pub sent_packets: u64,
    /// Their bytes, from the destination address to the end of the payload.
    pub sent_bytes: u64,
    /// Bytes they took on the line, preamble, FCS and gap included.
    pub line_bytes: u64,
    /// Frames that did not arrive.
    pub dropped: u64,
    /// Frames that arrived with a byte altered.
    pub altered: u64,
    /// Frames that were held up.
    pub reordered: u64,
    /// Frames that arrived twice.
    pub duplicated: u64,
}

/// When a frame arrives: not at all, once or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals {
    /// The frame.
    pub first: Option<Time>,
    /// Its duplicate.
    pub second: Option<Time>,
}

/// One direction of a link.
#[derive(Debug, Clone)]
pub struct Link {
    does: Impairments,
    loss: Random,
    reorder: Random,
    duplicate: Random,
    corrupt: Random,
    /// The Gilbert-Elliott channel is in its bad state.
    bad: bool,
    /// When the last frame will have left.
    busy_until: Time,
    /// What outages are counted from.
    start: Time,
    counters: LinkCounters,
}

impl Link {
    /// A link of a run with this seed. `identity` tells its randomness from that of other links.
    #[must_use]
    pub fn new(does: Impairments, seed: u64, identity: u64) -> Self {
        let stream = |purpose| Random::derive(seed, &[identity, purpose]);
        Self {
            does,
            loss: stream(0),
            reorder: stream(1),
            duplicate: stream(2),
            corrupt: stream(3),
            bad: false,
            busy_until: Time::ZERO,
            start: Time::NEVER,
            counters: LinkCounters::default(),
        }
    }

    /// Lets the play start at `now`: counters count and outages happen from here on.
    pub fn start(&mut self, now: Time) {
        self.start = now;
        self.counters = LinkCounters::default();
    }

    /// When what was sent so far will have left.
    pub(crate) fn free_at(&self) -> Time {
        self.busy_until
    }

    /// Sends `frame`, which may get altered, at `now`; never earlier than the one before.
    pub fn send(&mut self, now: Time, frame: &mut [u8]) -> Arrivals {
        self.send_with(now, frame.len(), |damage| damage.strike(frame))
    }

    /// Sends a frame of `len` bytes at `now`. If it gets altered, `suffer` does that, and says
    /// whether there was a byte to alter.
    pub(crate) fn send_with(
        &mut self,
        now: Time,
        len: usize,
        suffer: impl FnOnce(Damage) -> bool,
    ) -> Arrivals {
        let line_bytes = line_bytes(len);
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += len as u64;
        self.counters.line_bytes += line_bytes;
        let sent = now.max(self.busy_until).after(self.serialisation(line_bytes));
        self.busy_until = sent;

        // Everything is drawn for every frame: what happens to it for one reason does not depend
        // on what happens for another.
        let lost = self.loses();
        let reordered = self.reorder.happens(self.does.reorder);
        let held_up = 1 + self.reorder.below(self.does.reorder_span());
        let duplicated = self.duplicate.happens(self.does.duplicate);
        let again = 1 + self.duplicate.below(self.does.reorder_span());
        let corrupted = self.corrupt.happens(self.does.corrupt);
        let (place, change) = (self.corrupt.bits(), 1 + self.corrupt.below(255) as u8);
        let damage = Damage { place, change };

        if lost || self.is_down(sent) {
            self.counters.dropped += 1;
            return Arrivals { first: None, second: None };
        }
        if corrupted && suffer(damage) {
            self.counters.altered += 1;
        }
        let mut arrival = sent.after(self.does.delay);
        if reordered {
            self.counters.reordered += 1;
            arrival = arrival.after(held_up);
        }
        self.counters.duplicated += u64::from(duplicated);
        Arrivals { first: Some(arrival), second: duplicated.then(|| arrival.after(again)) }
    }

    /// How long a frame sent at `now` would wait for its turn.
    #[must_use]
    pub fn backlog(&self, now: Time) -> Nanos {
        self.busy_until.since(now)
    }

    /// What it did since the play started.
    #[must_use]
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn serialisation(&self, line_bytes: u64) -> Nanos {
        self.does.rate.map_or(0, |rate| line_time(line_bytes, rate))
    }

    /// Whether the channel loses this frame; moves it on to the next.
    fn loses(&mut self) -> bool {
        let loss = self.does.loss;
        let Some(burst) = self.does.burst else { return self.loss.happens(loss) };
        // Mean sojourn in the bad state is `burst` frames; the way in makes the mean loss right.
        let leave = 1.0 / burst.max(1.0);
        let enter = if loss < 1.0 { (leave * loss / (1.0 - loss)).min(1.0) } else { 1.0 };
        self.bad = match self.bad {
            true => !self.loss.happens(leave) || loss >= 1.0,
            false => self.loss.happens(enter),
        };
        self.bad
    }

    fn is_down(&self, at: Time) -> bool {
        at >= self.start && self.does.down.iter().any(|span| span.contains(&at.since(self.start)))
    }
}

/// Bytes that a frame takes on the line.
#[inline]
pub(crate) fn line_bytes(frame: usize) -> u64 {
    frame as u64 + LINE_OVERHEAD
}

/// How long so many bytes take on a line of `rate` bits a second; of rate 0 there is none.
#[inline]
pub(crate) fn line_time(line_bytes: u64, rate: u64) -> Nanos {
    let bits = u128::from(line_bytes * 8) * u128::from(SECOND);
    bits.checked_div(u128::from(rate)).map_or(0, |time| u64::try_from(time).unwrap_or(u64::MAX))
}

/// A byte to be altered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Damage {
    /// Which, counted round and round.
    place: u64,
    /// Its bits to be turned.
    change: u8,
}

impl Damage {
    /// Alters a byte behind the Ethernet header and its VLAN tags; whether there is one.
    pub(crate) fn strike(self, frame: &mut [u8]) -> bool {
        let mut header = 14;
        while matches!(frame.get(header - 2..header), Some([0x81, 0x00] | [0x88, 0xa8])) {
            header += 4;
        }
        let Some(packet @ [_, ..]) = frame.get_mut(header..) else { return false };
        let length = packet.len() as u64;
        if let Some(byte) = packet.get_mut((self.place % length) as usize) {
            *byte ^= self.change;
        }
        true
    }
}

#[cfg(test)]
mod tests;
