//! What a worker does when nothing is to do: ask again at once, less and less often, or sleep.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::time::{MICROSECOND, MILLISECOND, Nanos};

/// How a worker passes idle rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It asks again at once: a core of its own, and no delay.
    Poll,
    /// It asks again at once for a while, then gives the core away, then sleeps a moment: at most
    /// 50 us late.
    Backoff,
    /// It sleeps until a port has something or a timer is due, as far as ports can say so.
    Sleep,
}

/// Idle rounds without a pause, and then with the core given to whoever wants it.
const SPIN: u32 = 256;
const YIELD: u32 = 512;
/// How long a pause is while backing off, and how long a sleep lasts at most: ports that cannot be
/// waited for, and commands, are looked at that often.
const PAUSE: Nanos = 50 * MICROSECOND;
const LONGEST: Nanos = 5 * MILLISECOND;

/// Passes the idle rounds of one worker.
#[derive(Debug)]
pub struct Idler {
    how: Idle,
    rounds: u32,
    /// What to wait for; empty where some port cannot be waited for.
    descriptors: Vec<libc::pollfd>,
}

impl Idler {
    /// For a worker whose ports have these descriptors, `None` where one has none.
    #[must_use]
    pub fn new(how: Idle, ports: &[Option<RawFd>]) -> Self {
        let poll =
            |fd: &Option<RawFd>| fd.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let descriptors = ports.iter().map(poll).collect::<Option<_>>().unwrap_or_default();
        Self { how, rounds: 0, descriptors }
    }

    /// A round had something to do.
    #[inline]
    pub fn busy(&mut self) {
        self.rounds = 0;
    }

    /// A round had nothing to do; nothing is due for `left`, as far as is known.
    #[inline]
    pub fn idle(&mut self, left: Nanos) {
        self.rounds = self.rounds.saturating_add(1);
        match self.how {
            Idle::Poll => std::hint::spin_loop(),
            Idle::Backoff if self.rounds < SPIN => std::hint::spin_loop(),
            Idle::Sleep if self.rounds < 4 => {}
            Idle::Backoff if self.rounds < YIELD => std::thread::yield_now(),
            Idle::Backoff => std::thread::sleep(Duration::from_nanos(left.min(PAUSE))),
            Idle::Sleep => self.sleep(left),
        }
    }

    fn sleep(&mut self, left: Nanos) {
        if self.descriptors.is_empty() {
            return std::thread::sleep(Duration::from_nanos(left.min(PAUSE)));
        }
        let left = left.min(LONGEST);
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: left as libc::c_long };
        // SAFETY: the array and the timeout are ours and live through the call; no signal mask is
        // given. What it returns does not matter: the next round asks the ports.
        unsafe {
            libc::ppoll(
                self.descriptors.as_mut_ptr(),
                self.descriptors.len() as libc::nfds_t,
                &raw const timeout,
                std::ptr::null(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn sleep_ends_with_what_arrives() {
        let (mut near, far) = UnixStream::pair().expect("sockets");
        let mut idler = Idler::new(Idle::Sleep, &[Some(far.as_raw_fd())]);
        assert_eq!(idler.descriptors.len(), 1);
        near.write_all(b"x").expect("room");
        (0..8).for_each(|_| idler.idle(u64::MAX));
        assert_eq!(idler.descriptors[0].revents, libc::POLLIN, "it saw what is there");
        idler.busy();
        assert_eq!(idler.rounds, 0);
    }

    #[test]
    fn a_port_that_cannot_be_waited_for_makes_sleeps_short() {
        let idler = Idler::new(Idle::Sleep, &[Some(0), None]);
        assert!(idler.descriptors.is_empty());
    }

    #[test]
    fn backing_off_counts_and_does_not_overflow() {
        let mut idler = Idler::new(Idle::Backoff, &[]);
        (0..SPIN + 2).for_each(|_| idler.idle(0));
        idler.rounds = u32::MAX;
        idler.idle(0);
        assert_eq!(idler.rounds, u32::MAX);
    }
}
