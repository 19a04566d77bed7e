//! Groups of packets over all paths, each path a part in proportion to what it carries.
//!
//! Every path has a clock: the time it would have taken, at its rate, for what was given to it. The
//! next group goes to the path whose clock is furthest behind, and moves that clock at once, so that
//! two lanes do not choose the same path for the same reason. What whole lanes send moves clocks too:
//! spread lanes fill what these leave free. No clock is further ahead of that one than [`HORIZON`]:
//! it bounds the burst that a path gets when other lanes stop, and so the queue before it. (Clocks
//! ahead are held back, not those behind pushed on: these would all be equal then, and the first of
//! them always taken.) O(paths) a group, and an addition a packet.

use dataplane::time::{MICROSECOND, Nanos};

use super::Paths;
use super::measure::Path;

/// How far apart clocks may be; on slow paths, two groups.
const HORIZON: Nanos = 500 * MICROSECOND;
/// Fraction bits of the time a byte takes.
const FRACTION: u32 = 16;

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    /// Bytes that the clock does not know of yet: whole lanes'.
    fresh: u64,
    /// Bytes that it knows of, since they were last taken.
    known: u64,
    /// Nanoseconds.
    clock: u64,
    /// Nanoseconds that a byte takes, times 2^[`FRACTION`]; 0: the path takes no groups.
    cost: u64,
}

/// What is sent by each path.
pub(super) struct Shares {
    shares: Box<[Share]>,
    group: u32,
    horizon: Nanos,
}

impl Shares {
    pub(super) fn new(paths: &[Path], group: u32) -> Self {
        let mut all =
            Self { shares: vec![Share::default(); paths.len()].into(), group, horizon: HORIZON };
        all.set(paths);
        all
    }

    /// So many bytes of a whole lane leave by a path.
    #[inline]
    pub(super) fn sent(&mut self, path: u8, bytes: u32) {
        if let Some(share) = self.shares.get_mut(usize::from(path)) {
            share.fresh += u64::from(bytes);
        }
    }

    /// So many bytes of a group leave by a path.
    #[inline]
    pub(super) fn sent_of_group(&mut self, path: u8, bytes: u32) {
        if let Some(share) = self.shares.get_mut(usize::from(path)) {
            share.known += u64::from(bytes);
        }
    }

    /// Takes over what the paths carry at present.
    pub(super) fn set(&mut self, paths: &[Path]) {
        self.run();
        let mut slowest = 0;
        for (share, path) in self.shares.iter_mut().zip(paths) {
            // Of weights, one is taken for a gigabit: only ratios matter then.
            let unit = if path.road.capacity.is_some() { 1.0 } else { 1e9 };
            let rate = path.carries() * unit;
            let was = share.cost;
            share.cost =
                if rate > 0.0 { ((8e9 / rate) * f64::from(1 << FRACTION)) as u64 } else { 0 };
            share.cost = if rate > 0.0 { share.cost.max(1) } else { 0 };
            if was == 0 {
                share.clock = u64::MAX; // it comes back: nothing is owed to it
            }
            slowest = slowest.max(share.cost);
        }
        self.horizon = HORIZON.max(2 * (u64::from(self.group).saturating_mul(slowest) >> FRACTION));
        let running = self.shares.iter().filter(|share| share.clock != u64::MAX);
        let newest = running.map(|share| share.clock).max().unwrap_or(0);
        self.shares.iter_mut().for_each(|share| share.clock = share.clock.min(newest));
    }

    /// Bytes sent by a path since this was last asked.
    pub(super) fn take(&mut self, path: usize) -> u64 {
        let Some(share) = self.shares.get_mut(path) else { return 0 };
        let bytes = share.fresh + share.known;
        share.clock = share.clock.saturating_add(share.time(share.fresh));
        (share.fresh, share.known) = (0, 0);
        bytes
    }

    /// Moves the clocks on.
    fn run(&mut self) {
        for share in &mut self.shares {
            share.clock = share.clock.saturating_add(share.time(share.fresh));
            share.known += std::mem::take(&mut share.fresh);
        }
    }

    /// The path that the next group goes to: furthest behind, of those that `carry` it.
    pub(super) fn next(&mut self, carry: impl Fn(usize) -> bool) -> Option<usize> {
        self.run();
        let shares = self.shares.iter().enumerate();
        let usable = shares.filter(|(path, share)| share.cost > 0 && carry(*path));
        let (path, least) =
            usable.map(|(path, share)| (path, share.clock)).min_by_key(|&(_, clock)| clock)?;
        let near = least.saturating_sub(self.horizon)..=least.saturating_add(self.horizon);
        for share in &mut self.shares {
            share.clock = share.clock.clamp(*near.start(), *near.end());
        }
        let share = self.shares.get_mut(path)?;
        share.clock = share.clock.saturating_add(share.time(self.group.into()));
        Some(path)
    }
}

impl Share {
    /// The time that so many bytes take.
    fn time(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.cost) >> FRACTION
    }
}

impl Paths {
    /// The present group of a spread lane is full, and `over` bytes more: gives it a path for the
    /// next.
    #[inline(never)]
    pub(super) fn regroup(&mut self, index: usize, over: u32) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        // What the last group was too long by is not the next one's.
        lane.left = self.rule.group.saturating_sub(over).max(1);
        let paths = &self.paths;
        let largest = |path: usize| paths.get(path).map_or(0, |path| path.road.largest);
        let needed = largest(usize::from(lane.home));
        if let Some(path) = self.shares.next(|path| largest(path) >= needed) {
            self.route(index, path as u8);
        }
    }
}
