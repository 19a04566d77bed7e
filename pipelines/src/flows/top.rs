//! The fastest flows, gathered a few buckets at a time.

use arrayvec::ArrayVec;
use dataplane::time::Time;

use super::key::Name;
use super::rule::Class;
use super::sight::{Kinds, Priority};

/// The most flows that a view has.
pub const MAX_TOP: usize = 64;

/// What is known of a flow, or of a subflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who it is.
    pub name: Name,
    /// What it is.
    pub class: Class,
    /// Bits a second, of whole frames, averaged.
    pub rate: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// What its packets do.
    pub kinds: Kinds,
    /// What its last packet asked for.
    pub priority: Priority,
    /// When its first packet came.
    pub first_seen: Time,
    /// When its last packet came.
    pub last_seen: Time,
    /// The sender's queue pair, if the caller has told it ([`super::Flows::pair`]).
    pub peer_qp: Option<u32>,
    /// The path that the caller has given it.
    pub path: Option<u16>,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// 5-tuples of a tenant and VLAN.
    Flow,
    /// And queue pairs.
    Subflow,
}

/// The fastest flows of a table: made, filled by [`Flows::gather`], then read. Each flow is shown
/// as it was when its bucket was looked at.
///
/// [`Flows::gather`]: super::Flows::gather
#[derive(Debug, Clone)]
pub struct Top {
    pub(super) level: Level,
    pub(super) least: Class,
    /// Buckets that were looked at.
    pub(super) done: usize,
    most: usize,
    /// Fastest first.
    best: ArrayVec<View, MAX_TOP>,
}

impl Top {
    /// For the `most` fastest, at most [`MAX_TOP`], of any class.
    #[must_use]
    pub fn new(level: Level, most: usize) -> Self {
        let most = most.min(MAX_TOP);
        Self { level, least: Class::Mouse, done: 0, most, best: ArrayVec::new() }
    }

    /// Elephants alone.
    #[must_use]
    pub fn elephants(self) -> Self {
        Self { least: Class::Elephant, ..self }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.done = 0;
        self.best.clear();
    }

    /// What was found, the fastest first; of equals, the one that has carried more.
    #[must_use]
    pub fn flows(&self) -> &[View] {
        &self.best
    }

    /// Whether a flow that is so fast has a place among the best.
    pub(super) fn admits(&self, rate: u64, bytes: u64) -> bool {
        match self.best.last() {
            _ if self.best.len() < self.most => true,
            Some(last) => (last.rate, last.bytes) < (rate, bytes),
            None => false,
        }
    }

    /// Adds one that has a place among the best.
    pub(super) fn add(&mut self, view: View) {
        if self.best.len() == self.most {
            self.best.pop();
        }
        let faster = |other: &View| (other.rate, other.bytes) >= (view.rate, view.bytes);
        let at = self.best.partition_point(faster);
        // There is room: it was made above.
        let _ = self.best.try_insert(at, view);
    }
}
