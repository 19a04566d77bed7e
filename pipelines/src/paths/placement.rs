//! The homes of lanes: a share of all lanes a path, in proportion to its capacity.
//!
//! Shares are Sainte-Laguë's: the next lane goes to the path where (2 n + 1) / capacity is smallest,
//! of n lanes. As with every such divisor method, the shares of some paths are what these would have
//! of the same lanes alone: so a path that is lost moves its own lanes only, and one that is added
//! moves only what it gets, which is no more than its part, rounded. Weighted rendezvous has the same
//! property, but shares that are right only on average.

use arrayvec::ArrayVec;

use super::measure::Path;
use super::{MAX_PATHS, Paths, State};

/// Lanes of each path, for weights of which some may be zero and not all are.
pub(super) fn targets(lanes: usize, weights: &[u64]) -> [u32; MAX_PATHS] {
    let mut targets = [0u32; MAX_PATHS];
    for _ in 0..lanes {
        if let Some(best) = neediest(&targets, weights) {
            targets[best] += 1;
        }
    }
    targets
}

/// The path that takes the next lane: the first of those where it is needed most.
fn neediest(counts: &[u32; MAX_PATHS], weights: &[u64]) -> Option<usize> {
    let mut best: Option<(usize, u128, u128)> = None;
    for (index, (&count, &weight)) in counts.iter().zip(weights).enumerate() {
        let (need, weight) = (2 * u128::from(count) + 1, u128::from(weight));
        // Less a weight than the best so far, in fractions.
        if weight > 0 && best.is_none_or(|(_, least, of)| need * of < least * weight) {
            best = Some((index, need, weight));
        }
    }
    best.map(|(index, ..)| index)
}

/// The same among those for which `counts` says so.
fn needy(
    taken: &[u32; MAX_PATHS],
    weights: &[u64],
    counts: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut some = [0; MAX_PATHS];
    let weights = weights.iter().enumerate();
    some.iter_mut().zip(weights).for_each(|(to, (at, &weight))| {
        *to = if counts(at) { weight } else { 0 };
    });
    neediest(taken, &some)
}

/// Which lanes leave, in this order.
#[derive(Clone, Copy)]
enum Turn {
    /// Those of paths that cannot be used.
    Lost,
    /// Idle ones of paths that have too many.
    Idle,
    /// Busy ones of these.
    Busy,
}

impl Paths {
    /// Gives lanes homes on the paths that are usable, or on all while none is: what must move
    /// moves, idle lanes before busy ones. Busy lanes that may not move stay, unless their path is
    /// not usable.
    pub(super) fn settle(&mut self) {
        let none = !self.paths.iter().any(|path| path.usable);
        let weight = |path: &Path| if path.usable || none { path.road.share() } else { 0 };
        let weights: ArrayVec<u64, MAX_PATHS> = self.paths.iter().map(weight).collect();
        let targets = targets(self.lanes.len(), &weights);
        for turn in [Turn::Lost, Turn::Idle, Turn::Busy] {
            for index in 0..self.lanes.len() {
                if self.leaves(index, turn, &weights, &targets) {
                    let mut counts = [0; MAX_PATHS];
                    counts
                        .iter_mut()
                        .zip(&self.paths)
                        .for_each(|(count, path)| *count = path.lanes);
                    let lacks = |at: usize| counts[at] < targets[at];
                    let to = needy(&counts, &weights, lacks).or(neediest(&counts, &weights));
                    to.into_iter().for_each(|to| self.house(index, to as u8));
                }
            }
        }
    }

    fn leaves(&self, lane: usize, turn: Turn, weights: &[u64], targets: &[u32; MAX_PATHS]) -> bool {
        let Some(lane) = self.lanes.get(lane) else { return false };
        let home = usize::from(lane.home);
        let full = || self.paths.get(home).is_some_and(|path| path.lanes > targets[home]);
        match turn {
            Turn::Lost => weights.get(home).is_none_or(|&weight| weight == 0),
            Turn::Idle => lane.state == State::Idle && full(),
            Turn::Busy => self.rule.moves && full(),
        }
    }
}
