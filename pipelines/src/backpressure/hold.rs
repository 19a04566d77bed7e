//! Something that is held back on another's word, but never for longer than a limit without a
//! break: the word may be of one who is broken, or mistaken.

use dataplane::time::{MILLISECOND, Nanos, Time};

/// How long something may be held without a break, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What is held for so long is let go of.
    pub longest: Nanos,
    /// And not held again for so long.
    pub rest: Nanos,
}

impl Default for Limits {
    /// 200 ms, and 200 ms of rest: hosts' RDMA timers are longer as a rule, and what empties a
    /// queue in good order does so sooner.
    fn default() -> Self {
        Self { longest: 200 * MILLISECOND, rest: 200 * MILLISECOND }
    }
}

impl Limits {
    /// For what follows from something that has these limits: it may take as long again until
    /// that shows.
    #[must_use]
    pub const fn twice(self) -> Self {
        Self { longest: self.longest.saturating_mul(2), ..self }
    }
}

/// What ended by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was held as long as was said, and goes on.
    Expired,
    /// It was held for too long, and goes on whatever is said, for a while.
    Broken,
    /// It may be held again.
    Rested,
}

/// Whether something is held. By default it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// It goes on.
    #[default]
    Free,
    /// It is held.
    Held {
        /// When that began.
        since: Time,
        /// When it ends unless something is said again; [`Time::NEVER`]: when that is said.
        until: Time,
    },
    /// It goes on whatever is said.
    Broken {
        /// When it may be held again.
        until: Time,
    },
}

impl Hold {
    /// Whether it is held. What ended by time is until [`Hold::expire`] says so.
    #[inline]
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether it goes on whatever is said.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// Holds it until a time, which replaces what was said before; `false` if it is broken. All
    /// that is due at `now` must have [expired](Hold::expire).
    pub fn hold(&mut self, now: Time, until: Time) -> bool {
        let since = match *self {
            Self::Broken { .. } => return false,
            Self::Held { since, .. } => since,
            Self::Free => now,
        };
        *self = Self::Held { since, until };
        true
    }

    /// Lets it go on; whether it was held. What is broken stays so.
    pub fn release(&mut self) -> bool {
        let held = self.is_held();
        if held {
            *self = Self::Free;
        }
        held
    }

    /// When something ends by time; [`Time::NEVER`]: nothing does.
    #[must_use]
    pub fn due(&self, limits: &Limits) -> Time {
        match *self {
            Self::Free => Time::NEVER,
            Self::Held { since, until } => until.min(since.after(limits.longest)),
            Self::Broken { until } => until,
        }
    }

    /// Ends what is due at `now`. What was to end and what is too long by then is not broken: it
    /// did end.
    pub fn expire(&mut self, now: Time, limits: &Limits) -> Option<Ended> {
        if self.due(limits) > now {
            return None;
        }
        let (next, ended) = match *self {
            Self::Held { since, until } if until > since.after(limits.longest) => {
                (Self::Broken { until: now.after(limits.rest) }, Ended::Broken)
            }
            Self::Held { .. } => (Self::Free, Ended::Expired),
            Self::Free | Self::Broken { .. } => (Self::Free, Ended::Rested),
        };
        *self = next;
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { longest: 100, rest: 50 };

    #[test]
    fn it_ends_when_said_and_a_new_word_replaces_the_old() {
        let mut hold = Hold::default();
        assert!(hold.hold(Time(10), Time(30)) && hold.hold(Time(20), Time(25)));
        assert_eq!(hold.due(&LIMITS), Time(25));
        assert_eq!(hold.expire(Time(24), &LIMITS), None);
        assert_eq!(hold.expire(Time(25), &LIMITS), Some(Ended::Expired));
        assert!(!hold.is_held() && !hold.release() && hold.due(&LIMITS) == Time::NEVER);
    }

    #[test]
    fn what_is_held_on_and_on_breaks_and_rests() {
        let mut hold = Hold::default();
        for now in (0..100).step_by(10) {
            assert_eq!(hold.expire(Time(now), &LIMITS), None);
            assert!(hold.hold(Time(now), Time(now + 15)));
        }
        assert_eq!(hold.expire(Time(100), &LIMITS), Some(Ended::Broken));
        assert!(!hold.hold(Time(101), Time(120)) && !hold.release() && hold.is_broken());
        assert_eq!(hold.expire(Time(149), &LIMITS), None);
        assert_eq!(hold.expire(Time(150), &LIMITS), Some(Ended::Rested));
        assert!(hold.hold(Time(150), Time(160)));
    }

    #[test]
    fn a_break_begins_the_time_anew() {
        let mut hold = Hold::default();
        for start in (0..1_000).step_by(90) {
            assert!(hold.hold(Time(start), Time::NEVER));
            assert_eq!(hold.expire(Time(start + 80), &LIMITS), None);
            assert!(hold.release());
        }
    }

    #[test]
    fn what_ended_long_ago_is_not_broken() {
        let mut hold = Hold::default();
        assert!(hold.hold(Time(0), Time(100)));
        assert_eq!(hold.expire(Time(500), &LIMITS), Some(Ended::Expired));
    }
}
