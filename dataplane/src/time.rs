//! Time as the packet path knows it: nanoseconds since an arbitrary origin.
//!
//! Everything that decides about packets is told the time by its caller, so the same code runs
//! live ([`Clock::real`]) and in the lab's virtual time ([`Clock::virtual_at`]).

use std::cell::Cell;
use std::rc::Rc;

/// A span of time in nanoseconds. 2^64 of them are 584 years: sums here do not overflow.
pub type Nanos = u64;

/// One microsecond.
pub const MICROSECOND: Nanos = 1_000;
/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// A moment, in nanoseconds since the clock's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// Later than every moment: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `span` later; stays at [`Time::NEVER`] once there.
    #[inline]
    #[must_use]
    pub const fn after(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The time since `earlier`; zero if that is in the future.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where a worker reads the time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's monotonic clock, counted from the moment the clock was made.
    Real(std::time::Instant),
    /// A value somebody else moves.
    Virtual(Rc<Cell<Time>>),
}

impl Clock {
    /// The system's monotonic clock; now is its origin.
    #[must_use]
    pub fn real() -> Self {
        Self::Real(std::time::Instant::now())
    }

    /// A clock that stands at `start`, and the hand to move it with.
    #[must_use]
    pub fn virtual_at(start: Time) -> (Self, Rc<Cell<Time>>) {
        let hand = Rc::new(Cell::new(start));
        (Self::Virtual(Rc::clone(&hand)), hand)
    }

    /// The time. Read once a burst, not once a packet.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        match self {
            Self::Real(origin) => {
                Time(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
            }
            Self::Virtual(hand) => hand.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_in_range() {
        assert_eq!(Time(5).since(Time(9)), 0);
        assert_eq!(Time::NEVER.after(1), Time::NEVER);
        assert_eq!(Time(5).after(MICROSECOND), Time(1_005));
    }

    #[test]
    fn a_virtual_clock_stands_until_moved() {
        let (clock, hand) = Clock::virtual_at(Time(7));
        assert_eq!(clock.now(), Time(7));
        hand.set(Time(8));
        assert_eq!(clock.now(), Time(8));
    }

    #[test]
    fn a_real_clock_does_not_go_back() {
        let clock = Clock::real();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
