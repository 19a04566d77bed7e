//! What all workers of a gateway know together of the pauses of one port.
//!
//! The next station knows one port and no workers. Its frames come to one of them, the *speaker*,
//! which is also the only one that sends it frames: two could contradict each other in whatever
//! order their queues leave.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::PRIORITIES;

/// The worker that speaks with the next station: what is not IP is its as well.
pub const SPEAKER: usize = 0;

/// One port's pauses, a bit a priority. Whoever writes here does so when something changes, never a
/// packet; each word stands for itself, so its order among others does not matter.
#[derive(Debug)]
pub struct Board {
    /// What the next station pauses, as its speaker has it.
    paused: CachePadded<AtomicU8>,
    /// What each worker wants held back.
    wanted: Box<[CachePadded<AtomicU8>]>,
}

impl Board {
    /// Of so many workers; nobody pauses anything yet.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let wanted = (0..workers).map(|_| CachePadded::default()).collect();
        Self { paused: CachePadded::default(), wanted }
    }

    /// What the next station pauses.
    #[inline]
    #[must_use]
    pub fn paused(&self) -> u8 {
        self.paused.load(Relaxed)
    }

    /// The next station pauses these and no others: the speaker's word.
    pub fn set_paused(&self, priorities: u8) {
        self.paused.store(priorities, Relaxed);
    }

    /// What any worker wants held back.
    #[inline]
    #[must_use]
    pub fn wanted(&self) -> u8 {
        self.wanted.iter().fold(0, |all, of| all | of.load(Relaxed))
    }

    /// A worker wants these held back and no others.
    pub fn want(&self, worker: usize, priorities: u8) {
        if let Some(wanted) = self.wanted.get(worker) {
            wanted.store(priorities, Relaxed);
        }
    }
}

/// The priorities that one worker wants held back: each for as long as one of those who claim it.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    counts: [u32; PRIORITIES],
}

impl Claims {
    /// One more wants `priority` (0 to 7) held back. Each ends it by a [`Claims::lift`] of its own:
    /// several queues may share a priority.
    pub fn hold(&mut self, priority: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(priority)) {
            *count = count.saturating_add(1);
        }
    }

    /// One less wants `priority` held back.
    pub fn lift(&mut self, priority: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(priority)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Those that anybody wants held back, a bit each.
    #[must_use]
    pub fn priorities(&self) -> u8 {
        let bits = (0..).zip(&self.counts).map(|(bit, count)| u8::from(*count > 0) << bit);
        bits.fold(0, |all, bit| all | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_wanted_until_the_last_claim_is_lifted() {
        let mut claims = Claims::default();
        claims.hold(3);
        claims.hold(3);
        claims.hold(7);
        claims.hold(8);
        assert_eq!(claims.priorities(), 0b1000_1000);
        claims.lift(3);
        claims.lift(7);
        claims.lift(7);
        assert_eq!(claims.priorities(), 0b1000);
        claims.lift(3);
        assert_eq!(claims.priorities(), 0);
    }

    #[test]
    fn what_any_worker_wants_is_wanted() {
        let board = Board::new(3);
        board.want(0, 0b1);
        board.want(2, 0b101);
        board.want(3, 0b1000);
        assert_eq!(board.wanted(), 0b101);
        board.want(2, 0);
        assert_eq!((board.wanted(), board.paused()), (0b1, 0));
        board.set_paused(0b10);
        assert_eq!(board.paused(), 0b10);
    }
}
