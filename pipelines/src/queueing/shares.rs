//! Rates that several workers have together.
//!
//! Each worker has an equal part of a rate for itself, whatever others do. Credit is time of that
//! part: a *cursor* a worker says up to which moment its time is spent, and no time is spent twice.
//! What a worker left for half as long as its burst lasts, others may spend, so one that is alone has
//! all of the rate. Time older than a burst is nobody's.
//!
//! ```text
//!  spent already | nobody's any more | anybody's      | its own        |
//!  --------------+-------------------+----------------+----------------+--> time
//!             cursor           now - depth     now - depth / 2        now
//! ```
//! A worker writes when it runs out of credit, for an eighth of a burst or a packet at least; with
//! packets in between it touches nothing that is shared.
//!
//! Refused: **one cursor for all** (whoever needs least at a time gets it first, and who has long
//! packets may wait for ever); **parts by demand, told now and then** (a burst would have the part of
//! the silence before it).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dataplane::time::{Nanos, Time};

/// Tries to move a cursor that another worker moves, too; then there is nothing to be had this time.
const TRIES: usize = 8;

/// The cursors of all workers, one for each rate.
#[derive(Debug)]
pub struct Shares {
    /// By worker, then by rate: who owns a cursor writes it most.
    cursors: Box<[Box<[AtomicU64]>]>,
}

impl Shares {
    /// Of so many workers, for so many rates; all time before now is free.
    #[must_use]
    pub fn new(workers: usize, rates: usize) -> Self {
        let cursors = (0..workers).map(|_| (0..rates).map(|_| AtomicU64::new(0)).collect());
        Self { cursors: cursors.collect() }
    }

    /// How many rates there are; one at least.
    #[must_use]
    pub fn rates(&self) -> usize {
        self.cursors.first().map_or(1, |of| of.len().max(1))
    }

    fn cursor(&self, worker: usize, rate: usize) -> Option<&AtomicU64> {
        self.cursors.get(worker)?.get(rate)
    }
}

/// One worker's share of one rate.
#[derive(Debug, Clone)]
pub struct Share {
    shares: Arc<Shares>,
    worker: usize,
    rate: usize,
}

impl Share {
    /// That of a worker of a rate, both by number.
    #[must_use]
    pub fn new(shares: &Arc<Shares>, worker: usize, rate: usize) -> Self {
        Self { shares: Arc::clone(shares), worker, rate }
    }

    /// How many workers have a share.
    #[must_use]
    pub fn workers(&self) -> u64 {
        self.shares.cursors.len().max(1) as u64
    }

    /// Takes at most `most` of this worker's own time, from `depth` ago until `now`.
    pub(super) fn take_own(&self, now: Time, depth: Nanos, most: Nanos) -> Nanos {
        let cursor = self.shares.cursor(self.worker, self.rate);
        cursor.map_or(0, |cursor| take(cursor, now.0.saturating_sub(depth), now.0, most))
    }

    /// Takes at most `most` of what others left, each for half of `depth` at least.
    pub(super) fn take_left(&self, now: Time, depth: Nanos, most: Nanos) -> Nanos {
        let (from, to) = (now.0.saturating_sub(depth), now.0.saturating_sub(depth / 2));
        let workers = self.shares.cursors.len();
        let mut taken = 0;
        // From the next one on, so that not everybody begins with the first.
        for other in (1..workers).map(|step| (self.worker + step) % workers) {
            if taken == most {
                break;
            }
            let cursor = self.shares.cursor(other, self.rate);
            taken += cursor.map_or(0, |cursor| take(cursor, from, to, most - taken));
        }
        taken
    }
}

/// Moves a cursor on, at most by `most` and not beyond `to`; what is before `from` is skipped. How
/// much was taken. The cursor is all there is to agree on, so it may be relaxed.
fn take(cursor: &AtomicU64, from: u64, to: u64, most: Nanos) -> Nanos {
    let mut at = cursor.load(Relaxed);
    for _ in 0..TRIES {
        let begin = at.max(from);
        let span = to.saturating_sub(begin).min(most);
        if span == 0 {
            break;
        }
        match cursor.compare_exchange_weak(at, begin + span, Relaxed, Relaxed) {
            Ok(_) => return span,
            Err(seen) => at = seen,
        }
    }
    0
}

#[cfg(test)]
mod tests;
