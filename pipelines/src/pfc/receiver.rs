//! What the next station asks us to hold back.

use dataplane::time::Time;

use super::{PRIORITIES, duration};
use crate::backpressure::{Ended, Hold, Limits};
use crate::wire::pfc::MacControl;

/// Priorities whose state changed, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// These send nothing from now on.
    pub paused: u8,
    /// These go on.
    pub resumed: u8,
}

/// What was heard, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Frames.
    pub frames: u64,
    /// Frames that paused it, a priority; all of them for PAUSE.
    pub pauses: [u64; PRIORITIES],
    /// Frames that let it go on.
    pub resumes: [u64; PRIORITIES],
    /// Frames that were not obeyed, because it had been paused for too long.
    pub ignored: [u64; PRIORITIES],
    /// How often it had been paused for too long.
    pub broken: [u64; PRIORITIES],
}

/// Which priorities of a port are paused.
#[derive(Debug, Clone)]
pub struct Receiver {
    rate: u64,
    limits: Limits,
    holds: [Hold; PRIORITIES],
    paused: u8,
    heard: Heard,
}

impl Receiver {
    /// Of a port of `rate` bits a second: quanta are of its bit times. Of a rate of 0, which is not
    /// known, a pause lasts until it is lifted, or for too long.
    #[must_use]
    pub fn new(rate: u64, limits: Limits) -> Self {
        Self { rate, limits, holds: Default::default(), paused: 0, heard: Heard::default() }
    }

    /// The paused priorities, a bit each.
    #[inline]
    #[must_use]
    pub fn paused(&self) -> u8 {
        self.paused
    }

    /// What was heard.
    #[must_use]
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// When [`Receiver::expire`] has something to do; [`Time::NEVER`]: it has not.
    #[must_use]
    pub fn due(&self) -> Time {
        self.holds.iter().map(|hold| hold.due(&self.limits)).min().unwrap_or(Time::NEVER)
    }

    /// Takes in a frame that came at `now`.
    pub fn hear(&mut self, control: &MacControl, now: Time) -> Changed {
        let before = self.paused;
        self.end_due(now);
        self.heard.frames += 1;
        match control {
            MacControl::Pause(quanta) => {
                (0..PRIORITIES as u8).for_each(|priority| self.obey(priority, *quanta, now));
            }
            MacControl::Pfc(priorities) => {
                priorities.iter().for_each(|(priority, quanta)| self.obey(priority, quanta, now));
            }
        }
        self.changed(before)
    }

    /// Lets what is due at `now` go on.
    pub fn expire(&mut self, now: Time) -> Changed {
        let before = self.paused;
        self.end_due(now);
        self.changed(before)
    }

    fn obey(&mut self, priority: u8, quanta: u16, now: Time) {
        let index = usize::from(priority);
        let Some(hold) = self.holds.get_mut(index) else { return };
        if quanta == 0 {
            hold.release();
            self.heard.resumes[index] += 1;
        } else if hold.hold(now, now.after(duration(quanta, self.rate))) {
            self.heard.pauses[index] += 1;
        } else {
            self.heard.ignored[index] += 1;
        }
    }

    fn end_due(&mut self, now: Time) {
        for (hold, broken) in self.holds.iter_mut().zip(&mut self.heard.broken) {
            *broken += u64::from(hold.expire(now, &self.limits) == Some(Ended::Broken));
        }
    }

    fn changed(&mut self, before: u8) -> Changed {
        let bits = (0..).zip(&self.holds).map(|(bit, hold)| u8::from(hold.is_held()) << bit);
        self.paused = bits.fold(0, |all, bit| all | bit);
        Changed::between(before, self.paused)
    }
}

impl Changed {
    /// From these paused priorities to those.
    #[must_use]
    pub const fn between(before: u8, after: u8) -> Self {
        Self { paused: after & !before, resumed: before & !after }
    }
}
