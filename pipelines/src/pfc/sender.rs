//! What we ask the next station to hold back.

use dataplane::time::{Nanos, Time};

use super::{PRIORITIES, duration};
use crate::backpressure::{Ended, Hold, Limits};
use crate::wire::pfc::{MacControl, Priorities};

/// Which frames a port speaks. Both at once on one port are not foreseen (IEEE 802.1Q, clause
/// 36.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// PFC: a priority at a time.
    #[default]
    Pfc,
    /// PAUSE: all priorities are held back while one is to be.
    Pause,
}

/// How a port asks for a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderSettings {
    /// The frames it speaks.
    pub mode: Mode,
    /// Quanta that a frame asks for; at least 1.
    pub quanta: u16,
    /// Bits a second of the port; not 0.
    pub rate: u64,
    /// How long a priority may be held back without a break.
    pub limits: Limits,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// Frames.
    pub frames: u64,
    /// Frames that paused it, a priority; all of them for PAUSE.
    pub pauses: [u64; PRIORITIES],
    /// Frames that let it go on.
    pub resumes: [u64; PRIORITIES],
    /// How often it had been held back for too long, and was let go on.
    pub broken: [u64; PRIORITIES],
}

/// What one priority is to do.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// It is to be held back.
    wanted: bool,
    hold: Hold,
    /// When the next station is to be told, as long as it is held.
    again: Time,
    /// The next station was last told to hold it back.
    told: bool,
}

/// The frames that a port sends to have priorities held back.
///
/// A pause is told at once, and again when half of its time has passed, so that one lost frame
/// leaves no gap; its end is told once, for the time that is left ends it anyway.
#[derive(Debug, Clone)]
pub struct Sender {
    settings: SenderSettings,
    /// What is to be held back, a bit a priority.
    wanted: u8,
    /// Between frames of one pause.
    refresh: Nanos,
    /// Of PAUSE, the first stands for all.
    lanes: [Lane; PRIORITIES],
    said: Said,
}

impl Sender {
    /// One that asks for nothing yet.
    #[must_use]
    pub fn new(settings: SenderSettings) -> Self {
        let settings = SenderSettings { quanta: settings.quanta.max(1), ..settings };
        let refresh = (duration(settings.quanta, settings.rate) / 2).max(1);
        let (lanes, said) = (Default::default(), Said::default());
        Self { settings, wanted: 0, refresh, lanes, said }
    }

    /// These priorities, a bit each, are to be held back from `now` on, and no others.
    pub fn want(&mut self, priorities: u8, now: Time) {
        self.wanted = priorities;
        let pause = self.settings.mode == Mode::Pause;
        for (bit, lane) in self.lanes.iter_mut().enumerate() {
            let wanted =
                if pause { bit == 0 && priorities != 0 } else { priorities >> bit & 1 == 1 };
            lane.want(wanted, now);
        }
    }

    /// The priorities that are to be held back, a bit each.
    #[inline]
    #[must_use]
    pub fn wanted(&self) -> u8 {
        self.wanted
    }

    /// What was asked for.
    #[must_use]
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// When [`Sender::poll`] has something to do; [`Time::NEVER`]: it has not.
    #[must_use]
    pub fn due(&self) -> Time {
        let due = |lane: &Lane| {
            let hold = lane.hold.due(&self.settings.limits);
            match (lane.hold.is_held(), lane.told) {
                (true, _) => hold.min(lane.again),
                (false, true) => Time::ZERO,
                (false, false) => hold,
            }
        };
        self.lanes.iter().map(due).min().unwrap_or(Time::NEVER)
    }

    /// The frame to send at `now`: once it is due for one priority, it says all there is to say.
    pub fn poll(&mut self, now: Time) -> Option<MacControl> {
        for (lane, broken) in self.lanes.iter_mut().zip(&mut self.said.broken) {
            *broken += u64::from(lane.tend(now, &self.settings.limits) == Some(Ended::Broken));
        }
        if !self.lanes.iter().any(|lane| lane.is_due(now)) {
            return None;
        }
        let mut frame = Priorities::default();
        for (priority, lane) in self.lanes.iter_mut().enumerate() {
            let Some(pause) = lane.word(now.after(self.refresh)) else { continue };
            let quanta = if pause { self.settings.quanta } else { 0 };
            frame = frame.with(priority as u8, quanta);
            self.said.count(self.settings.mode, priority, pause);
        }
        self.said.frames += 1;
        match self.settings.mode {
            Mode::Pfc => Some(MacControl::Pfc(frame)),
            Mode::Pause => frame.get(0).map(MacControl::Pause),
        }
    }
}

impl Lane {
    /// It is to be held back from `now` on, or let go on.
    fn want(&mut self, wanted: bool, now: Time) {
        self.wanted = wanted;
        if !wanted {
            self.hold.release();
        } else if !self.hold.is_held() && self.hold.hold(now, Time::NEVER) {
            self.again = now;
        }
    }

    /// Ends what is due, and holds again what was wanted all along and has rested.
    fn tend(&mut self, now: Time, limits: &Limits) -> Option<Ended> {
        let ended = self.hold.expire(now, limits);
        if self.wanted && !self.hold.is_held() && self.hold.hold(now, Time::NEVER) {
            self.again = now;
        }
        ended
    }

    fn is_due(&self, now: Time) -> bool {
        if self.hold.is_held() { self.again <= now } else { self.told }
    }

    /// What the next station is to be told now, and the next time `again`: to pause it, or to let
    /// it go on; `None` if it was not told to pause it.
    fn word(&mut self, again: Time) -> Option<bool> {
        let held = self.hold.is_held();
        let before = std::mem::replace(&mut self.told, held);
        self.again = again;
        (held || before).then_some(held)
    }
}

impl Said {
    fn count(&mut self, mode: Mode, priority: usize, pause: bool) {
        let counts = if pause { &mut self.pauses } else { &mut self.resumes };
        let all = mode == Mode::Pause;
        for (index, count) in counts.iter_mut().enumerate() {
            *count += u64::from(all || index == priority);
        }
    }
}
