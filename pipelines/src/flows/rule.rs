//! Who is an elephant: by rate and for how long, with hysteresis.

use dataplane::time::Nanos;

use super::Settings;
use super::rate::{Tick, Ticks};

/// What a flow is to those who place it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Class {
    /// Carries data, and little of it, or only for a moment.
    #[default]
    Mouse,
    /// Nothing but what runs the transport was seen in it: acknowledgements, congestion
    /// notification, connection management. Never an elephant.
    Signalling,
    /// Carries much, and has for a while.
    Elephant,
}

impl Class {
    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mouse => "mouse",
            Self::Signalling => "signalling",
            Self::Elephant => "elephant",
        }
    }
}

/// A rate, and how long it takes to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Bits a second, of whole frames.
    pub rate: u64,
    /// For so long.
    pub span: Nanos,
}

/// The thresholds, in what the table counts in.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    enter_level: u64,
    enter_ticks: Tick,
    leave_level: u64,
    leave_ticks: Tick,
    /// Flows from which nothing came for so many ticks are over.
    pub(super) idle_ticks: Tick,
}

impl Rule {
    /// Of settings that were checked.
    pub(super) fn new(settings: &Settings, ticks: &Ticks) -> Self {
        let count = |span| Tick::try_from(ticks.count(span)).unwrap_or(Tick::MAX);
        Self {
            enter_level: ticks.level(settings.enter.rate),
            enter_ticks: count(settings.enter.span),
            leave_level: ticks.level(settings.leave.rate),
            leave_ticks: count(settings.leave.span),
            idle_ticks: count(settings.idle),
        }
    }

    /// What a flow is from now on that has such a rate. `since` is the last tick at which its rate
    /// spoke for what it was.
    #[inline]
    pub(super) fn judge(&self, was: Class, level: u64, since: &mut Tick, tick: Tick) -> Class {
        let (agrees, ticks, other) = match was {
            Class::Signalling => return was,
            Class::Mouse => (level < self.enter_level, self.enter_ticks, Class::Elephant),
            Class::Elephant => (level >= self.leave_level, self.leave_ticks, Class::Mouse),
        };
        if !agrees && tick.wrapping_sub(*since) >= ticks {
            *since = tick;
            return other;
        }
        if agrees {
            *since = tick;
        }
        was
    }
}
