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
    /// How many want it held back.
    wanted: u32,
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
        Self { settings, refresh, lanes: Default::default(), said: Said::default() }
    }

    /// One more wants `priority` (0 to 7) held back from `now` on. Each ends it by a
    /// [`Sender::lift`] of its own: several queues may share a priority.
    pub fn hold(&mut self, priority: u8, now: Time) {
        let Some(lane) = self.lane(priority) else { return };
        lane.wanted = lane.wanted.saturating_add(1);
        if !lane.hold.is_held() && lane.hold.hold(now, Time::NEVER) {
            lane.again = now;
        }
    }

    /// One less wants `priority` held back; the last one's word lets it go on.
    pub fn lift(&mut self, priority: u8) {
        let Some(lane) = self.lane(priority) else { return };
        lane.wanted = lane.wanted.saturating_sub(1);
        if lane.wanted == 0 {
            lane.hold.release();
        }
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

    fn lane(&mut self, priority: u8) -> Option<&mut Lane> {
        let lane = match self.settings.mode {
            Mode::Pfc => usize::from(priority),
            Mode::Pause => 0,
        };
        self.lanes.get_mut(lane)
    }
}

impl Lane {
    /// Ends what is due, and holds again what was wanted all along and has rested.
    fn tend(&mut self, now: Time, limits: &Limits) -> Option<Ended> {
        let ended = self.hold.expire(now, limits);
        if self.wanted > 0 && !self.hold.is_held() && self.hold.hold(now, Time::NEVER) {
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
