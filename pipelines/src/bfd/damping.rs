//! When a path that came back is used again: after a hold-down, the longer the more it flaps.

use dataplane::time::{Nanos, Time};

/// How often the hold-down may double.
const DOUBLINGS: u32 = 6;
/// A path that stays up for so many times its hold-down is trusted more: that halves.
const TRUST: u64 = 10;

/// How a path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Used,
    /// It is down.
    Down,
    /// It is up, and used from then on.
    HeldDown(Time),
}

/// Judges a path by its ups and downs. It begins as one that is used: a path that never was up may
/// be one about which nobody is asked.
#[derive(Debug, Clone)]
pub struct Damping {
    hold_down: Nanos,
    /// Times it went down, less what it was forgiven.
    level: u32,
    now: Use,
    /// When it last went up.
    up_since: Time,
    flaps: u64,
}

impl Damping {
    /// A path that is used, and that waits for `hold_down` when it comes back for the first time.
    #[must_use]
    pub fn new(hold_down: Nanos) -> Self {
        Self { hold_down, level: 0, now: Use::Used, up_since: Time::ZERO, flaps: 0 }
    }

    /// Whether it is to be used.
    #[inline]
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.now == Use::Used
    }

    /// How long it waits when it comes back.
    #[must_use]
    pub fn hold_down(&self) -> Nanos {
        self.hold_down << self.level.saturating_sub(1)
    }

    /// How often it went down.
    #[must_use]
    pub fn flaps(&self) -> u64 {
        self.flaps
    }

    /// It went down at `now`.
    pub fn went_down(&mut self, now: Time) {
        if self.now == Use::Down {
            return;
        }
        let mut trusted = now.since(self.up_since);
        while self.level > 0 {
            let Some(rest) = trusted.checked_sub(TRUST * self.hold_down()) else { break };
            (trusted, self.level) = (rest, self.level - 1);
        }
        self.level = (self.level + 1).min(DOUBLINGS + 1);
        self.flaps += 1;
        self.now = Use::Down;
    }

    /// It came back at `now`.
    pub fn went_up(&mut self, now: Time) {
        if self.now == Use::Down {
            self.up_since = now;
            self.now = Use::HeldDown(now.after(self.hold_down()));
        }
    }

    /// When it is used again, if it stays up.
    #[must_use]
    pub fn due(&self) -> Time {
        match self.now {
            Use::HeldDown(until) => until,
            Use::Used | Use::Down => Time::NEVER,
        }
    }

    /// Whether it is used again from `now` on.
    pub fn expire(&mut self, now: Time) -> bool {
        let is_due = self.due() <= now;
        if is_due {
            self.now = Use::Used;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::time::SECOND;

    /// Down at `at`, up a tenth of a second later; how long it is held down then.
    fn flap(path: &mut Damping, at: Time) -> Nanos {
        path.went_down(at);
        assert!(!path.is_usable() && path.due() == Time::NEVER);
        let up = at.after(SECOND / 10);
        path.went_up(up);
        assert!(!path.is_usable());
        path.due().since(up)
    }

    #[test]
    fn each_flap_doubles_the_hold_down_up_to_a_bound() {
        let mut path = Damping::new(SECOND);
        let mut at = Time(SECOND);
        let mut held = Vec::new();
        for _ in 0..9 {
            held.push(flap(&mut path, at) / SECOND);
            at = path.due().after(SECOND);
            assert!(!path.expire(Time(path.due().0 - 1)) && path.expire(path.due()));
            assert!(path.is_usable() && !path.expire(at));
        }
        assert_eq!(held, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(path.flaps(), 9);
    }

    #[test]
    fn a_path_that_stays_up_is_trusted_again() {
        let mut path = Damping::new(SECOND);
        let mut at = Time(SECOND);
        for _ in 0..4 {
            flap(&mut path, at);
            at = path.due();
            assert!(path.expire(at));
        }
        assert_eq!(path.hold_down(), 8 * SECOND);
        // 80 s bring 4 s, and 40 s more 2 s; then it flaps again.
        assert_eq!(flap(&mut path, at.after(121 * SECOND)), 4 * SECOND);
        let long = path.due().after(10_000 * SECOND);
        path.expire(long);
        assert_eq!(flap(&mut path, long), SECOND);
    }

    #[test]
    fn what_goes_down_in_its_hold_down_is_not_used_in_between() {
        let mut path = Damping::new(SECOND);
        flap(&mut path, Time(SECOND));
        assert_eq!(flap(&mut path, Time(SECOND + SECOND / 2)), 2 * SECOND);
        assert!(!path.expire(Time(3 * SECOND)) && path.expire(Time(4 * SECOND)));
    }

    #[test]
    fn without_hold_down_it_is_used_at_once() {
        let mut path = Damping::new(0);
        for second in 1..20 {
            assert_eq!(flap(&mut path, Time(second * SECOND)), 0);
            assert!(path.expire(path.due()));
        }
    }
}
