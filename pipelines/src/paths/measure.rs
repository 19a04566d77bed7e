//! What lanes and paths carry, and what a path is worth at present.
//!
//! A path is worth its capacity, as long as it delivers that. One whose queue grows (its round trip
//! is far above its shortest) or that loses much is worth an eighth less, a step at a time, and
//! regains a thirty-second of its capacity in each step without that: steps last two round trips and
//! no less than a tenth of a second, for what was changed shows no sooner.

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};

use super::Road;

/// What a gateway sees of a path: counts are since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Whether anything can be sent by it, and is answered.
    pub usable: bool,
    /// The smoothed round trip; zero while none is measured.
    pub rtt: Nanos,
    /// Packets sent, first copies.
    pub sent: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets sent and not confirmed now.
    pub unconfirmed: u64,
}

/// How a path does, for those who look in. Rates are in bits a second on the line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Way {
    /// Its configured capacity; 0 where only weights are known.
    pub capacity: u64,
    /// The part of it that it is worth at present, 0 to 1.
    pub worth: f64,
    /// What is sent.
    pub offered: u64,
    /// What the far side confirmed.
    pub delivered: u64,
    /// Packets sent again, a packet sent.
    pub resent: f64,
    /// Lanes that belong to it.
    pub lanes: u32,
    /// Those of them that are spread over all paths.
    pub spread: u32,
    /// Busy lanes that were moved to it, and lanes of it that began to be spread.
    pub moves: u64,
}

/// What a lane sends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    /// Bits a second.
    pub(super) rate: f32,
    /// Intervals since it began, up to [`SMOOTHING`].
    pub(super) age: u8,
    /// Intervals in a row in which it sent twice as much as before.
    pub(super) risen: u8,
    /// Intervals in a row without a packet.
    pub(super) quiet: u16,
    /// When it last moved.
    pub(super) moved: Time,
    /// When it began to send; [`Time::ZERO`] while it is idle.
    pub(super) began: Time,
}

/// A rate is the mean of all intervals at first, and then counts so much less of the newest: noise
/// must not look like load.
const SMOOTHING: u8 = 64;
/// A rate that is twice what it was for so many intervals begins anew. One that falls is forgotten
/// slowly: it may come back.
const RISEN: u8 = 3;
/// Intervals without a packet after which a lane is idle.
const QUIET: u16 = 50;

/// Between two judgements of a path, at least.
const STEP: Nanos = 100 * MILLISECOND;
/// Packets a step of which losses are judged.
const SAMPLE: u64 = 256;
/// Packets sent again a packet sent above which a path is in trouble. Holes are asked for twice, and
/// so repaired twice: it is half as many losses.
const MUCH_RESENT: f64 = 0.1;
/// A queue shorter than that is none.
const SHORT_QUEUE: Nanos = 2 * MILLISECOND;
/// The least that a path is worth.
const LEAST_WORTH: f64 = 1.0 / 8.0;

impl Road {
    /// What its share of the traffic is in proportion to.
    pub(super) fn share(&self) -> u64 {
        self.capacity.unwrap_or(u64::from(self.weight)).max(1)
    }
}

impl Measured {
    /// So many bytes were sent in the last `elapsed`. Whether the lane is still busy.
    pub(super) fn note(&mut self, bytes: u32, elapsed: Nanos) -> bool {
        let rate = rate(u64::from(bytes), elapsed) as f32;
        self.risen = if rate > 2.0 * self.rate { self.risen.saturating_add(1) } else { 0 };
        if self.risen == RISEN {
            (self.age, self.risen) = (0, 0);
        }
        self.age = (self.age + 1).min(SMOOTHING);
        self.rate += (rate - self.rate) / f32::from(self.age);
        self.quiet = if bytes == 0 { self.quiet + 1 } else { 0 };
        if self.quiet == QUIET {
            *self = Self { moved: self.moved, ..Self::default() };
        }
        self.age > 0
    }
}

/// Bits a second.
pub(super) fn rate(bytes: u64, elapsed: Nanos) -> f64 {
    bytes as f64 * 8.0 * SECOND as f64 / elapsed.max(1) as f64
}

/// A path, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) road: Road,
    pub(super) usable: bool,
    /// Lanes that belong to it.
    pub(super) lanes: u32,
    /// The part of its capacity that it is worth.
    pub(super) worth: f64,
    /// What its whole lanes send, bits a second: computed at each interval.
    pub(super) whole: f64,
    pub(super) moves: u64,
    offered: f64,
    delivered: f64,
    resent: f64,
    /// The shortest round trip, which is forgotten slowly: in some forty seconds of 10 ms intervals.
    shortest: f64,
    before: Seen,
    judged: Time,
    /// What was seen then.
    then: Seen,
}

impl Path {
    pub(super) fn new(road: Road) -> Self {
        Self {
            road,
            usable: true,
            lanes: 0,
            worth: 1.0,
            whole: 0.0,
            moves: 0,
            offered: 0.0,
            delivered: 0.0,
            resent: 0.0,
            shortest: 0.0,
            before: Seen::default(),
            judged: Time::ZERO,
            then: Seen::default(),
        }
    }

    /// What it carries at present: bits a second, or its weight. Zero if it is not usable.
    pub(super) fn carries(&self) -> f64 {
        if self.usable { self.road.share() as f64 * self.worth } else { 0.0 }
    }

    /// `bytes` were sent in the last `elapsed`, and this is seen of it now.
    pub(super) fn note(&mut self, seen: &Seen, bytes: u64, elapsed: Nanos, now: Time) {
        let offered = rate(bytes, elapsed);
        let sent = seen.sent.saturating_sub(self.before.sent);
        let confirmed = (sent + self.before.unconfirmed).saturating_sub(seen.unconfirmed);
        let mean = if sent > 0 { bytes as f64 / sent as f64 } else { 0.0 };
        let smooth = |value: &mut f64, newest: f64| *value += (newest - *value) / 8.0;
        smooth(&mut self.offered, offered);
        if sent > 0 || confirmed == 0 {
            smooth(&mut self.delivered, rate((mean * confirmed as f64) as u64, elapsed));
        }
        let rtt = seen.rtt as f64;
        if rtt < self.shortest || self.shortest == 0.0 {
            self.shortest = rtt;
        } else {
            self.shortest += (rtt - self.shortest) / 4_096.0;
        }
        self.before = *seen;
        if self.judged.after(STEP.max(2 * seen.rtt)) <= now {
            self.judge(seen, now);
        }
    }

    /// Judges what it is worth by what was seen in the last step.
    fn judge(&mut self, seen: &Seen, now: Time) {
        let (sent, resent) = (seen.sent - self.then.sent, seen.resent - self.then.resent);
        let (then, judged) = (self.then.unconfirmed, self.judged);
        (self.judged, self.then) = (now, *seen);
        self.resent = if sent > 0 { resent as f64 / sent as f64 } else { 0.0 };
        if judged == Time::ZERO {
            return; // nothing to compare with
        }
        let loses = sent >= SAMPLE && self.resent > MUCH_RESENT;
        let patience = (self.shortest / 4.0).max(SHORT_QUEUE as f64);
        // A queue that is getting shorter is none of our making any more.
        let queues = seen.rtt as f64 > self.shortest + patience && seen.unconfirmed >= then;
        let worth = if loses || queues { self.worth * 7.0 / 8.0 } else { self.worth + 1.0 / 32.0 };
        self.worth = worth.clamp(LEAST_WORTH, 1.0);
    }

    /// How it does; `spread` of its lanes are spread.
    pub(super) fn way(&self, spread: u32) -> Way {
        Way {
            capacity: self.road.capacity.unwrap_or(0),
            worth: self.worth,
            offered: self.offered as u64,
            delivered: self.delivered as u64,
            resent: self.resent,
            lanes: self.lanes,
            spread,
            moves: self.moves,
        }
    }
}
