//! How a requester slows down when it is told of congestion: the reaction point of DCQCN (Zhu et al.,
//! "Congestion Control for Large-Scale RDMA Deployments", SIGCOMM 2015, section 3 and 5), with the
//! parameters of that paper.
//!
//! A notification (CNP) cuts the rate by half of `alpha`, the estimate of how much is congested.
//! Then the rate comes back to what it was in five steps, by halves of what is missing (fast
//! recovery), and grows beyond that by a fixed part a step (additive increase). A step is a span of
//! time or a number of bytes, each counted for itself. Left out: hyper increase, and the rate of
//! answers (READ responses leave as fast as the line takes them).

use dataplane::time::{MICROSECOND, Nanos, SECOND, Time};

/// How much one notification, or a span without any, counts for `alpha`.
const G: f64 = 1.0 / 256.0;
/// After so long without a notification `alpha` shrinks, and the rate makes a step.
const TIMER: Nanos = 55 * MICROSECOND;
/// After so many bytes the rate makes a step.
const BYTES: u64 = 10_000_000;
/// Steps of fast recovery.
const RECOVERY: u32 = 5;
/// What a step of additive increase adds: bits a second.
const INCREASE: f64 = 40e6;
/// No rate is lower: bits a second.
const SLOWEST: f64 = 10e6;
/// A receiver tells of congestion no more often than this, each queue pair.
pub(super) const NOTIFY_EVERY: Nanos = 50 * MICROSECOND;

/// The rate of a queue pair's requests.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// What it has when nothing is congested: bits a second.
    line: f64,
    /// What it has now, and what it had before the last cut.
    current: f64,
    target: f64,
    alpha: f64,
    /// Steps since the last cut, by time and by bytes; and bytes towards the next.
    by_time: u32,
    by_bytes: u32,
    bytes: u64,
    /// When the next step by time is.
    step: Time,
    /// When the next packet may leave.
    ready: Time,
}

impl Pace {
    /// One of a line of so many bits a second.
    pub(super) fn new(line: u64) -> Self {
        let line = (line as f64).max(SLOWEST);
        Self {
            line,
            current: line,
            target: line,
            alpha: 1.0,
            by_time: 0,
            by_bytes: 0,
            bytes: 0,
            step: Time::NEVER,
            ready: Time::ZERO,
        }
    }

    /// When the next packet may leave.
    #[inline]
    pub(super) fn ready(&self) -> Time {
        self.ready
    }

    /// A notification came.
    pub(super) fn cut(&mut self, now: Time) {
        self.advance(now);
        self.target = self.current;
        self.current = (self.current * (1.0 - self.alpha / 2.0)).max(SLOWEST);
        self.alpha = (1.0 - G) * self.alpha + G;
        (self.by_time, self.by_bytes, self.bytes) = (0, 0, 0);
        self.step = now.after(TIMER);
    }

    /// A packet of so many bytes leaves.
    #[inline]
    pub(super) fn sent(&mut self, now: Time, bytes: usize) {
        if self.current >= self.line {
            return;
        }
        self.advance(now);
        self.bytes += bytes as u64;
        if self.bytes >= BYTES {
            self.bytes -= BYTES;
            self.by_bytes += 1;
            self.grow();
        }
        let takes = bytes as f64 * 8.0 * SECOND as f64 / self.current;
        self.ready = self.ready.max(now).after(takes as Nanos);
    }

    /// Makes the steps by time that are due. At the line's rate there are none more, and `alpha` stays
    /// what it was.
    fn advance(&mut self, now: Time) {
        while self.step <= now && self.current < self.line {
            self.alpha *= 1.0 - G;
            self.by_time += 1;
            self.grow();
            self.step = self.step.after(TIMER);
        }
    }

    /// A step.
    fn grow(&mut self) {
        if self.by_time.max(self.by_bytes) > RECOVERY {
            self.target = (self.target + INCREASE).min(self.line);
        }
        self.current = f64::midpoint(self.target, self.current);
        // Halves never get there.
        if self.line - self.current < INCREASE / 2.0 {
            self.current = self.line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: u64 = 10_000_000_000;

    #[test]
    fn the_first_notification_halves_and_five_steps_bring_it_back() {
        let mut pace = Pace::new(LINE);
        pace.sent(Time(5), 1_000);
        assert_eq!(pace.ready(), Time::ZERO);
        pace.cut(Time(5));
        assert_eq!((pace.current, pace.target, pace.alpha), (5e9, 1e10, 1.0));
        // A packet of 1,250 bytes takes 2 us at 5 Gbit/s.
        pace.sent(Time(5), 1_250);
        assert_eq!(pace.ready(), Time(2_005));
        pace.advance(Time(5 + 5 * TIMER));
        // Half of what is missing, five times.
        assert_eq!(pace.current, 1e10 - 5e9 / 32.0);
        pace.advance(Time(5 + 20 * TIMER));
        assert_eq!(pace.current, 1e10);
    }

    #[test]
    fn beyond_what_it_was_it_grows_by_a_fixed_part() {
        let mut pace = Pace::new(LINE);
        (0..4).for_each(|at| pace.cut(Time(at)));
        assert_eq!((pace.current, pace.target), (1e10 / 16.0, 1e10 / 8.0));
        pace.advance(Time(3 + 5 * TIMER));
        assert!(pace.target == 1e10 / 8.0 && pace.current < pace.target);
        pace.advance(Time(3 + 8 * TIMER));
        assert_eq!(pace.target, 1e10 / 8.0 + 3.0 * INCREASE);
        // Who is seldom told loses little.
        let alpha = pace.alpha;
        pace.cut(Time(4 + 8 * TIMER));
        assert!(alpha < 1.0 && pace.alpha > alpha);
    }

    #[test]
    fn bytes_are_steps_too_and_there_is_a_slowest_rate() {
        let mut pace = Pace::new(LINE);
        pace.cut(Time::ZERO);
        (0..1_000).for_each(|_| pace.sent(Time(1), 10_000));
        assert_eq!((pace.by_bytes, pace.current), (1, 7.5e9));
        (0..100).for_each(|_| pace.cut(Time(1)));
        assert_eq!(pace.current, SLOWEST);
    }
}
