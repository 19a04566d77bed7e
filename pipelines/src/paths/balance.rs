//! What is done every interval: lanes are measured, spread or joined again, and moved away from a
//! path that runs hot.
//!
//! Loads are compared with what they would be if everything could be divided: the *level*, all that
//! is sent a bit that all paths carry; and with what spread lanes can fill, the *water*, which is
//! lower while whole lanes stick out of it. A path is hot when its whole lanes are above [`HOT`] of
//! what it carries and, by [`MARGIN`], above the level or, by [`UNEVEN`], above the water: a small
//! path may stay far behind a large one that is hardly above the level. (Of several workers each
//! counts its own traffic against its own part of each path.) Then one of its lanes moves: the one that
//! leaves the smaller maximum of the two paths, if that gains [`MARGIN`]; where no move gains, one
//! lane of it is spread. A lane that moved rests for [`REST`] intervals. Smoothed rates, the margin
//! and the rest keep noise from moving anything.

use dataplane::time::{MICROSECOND, Nanos, Time};

use super::measure::rate;
use super::{Lane, Path, Paths, Seen, State};

/// The part of a path's capacity below which it is not hot.
const HOT: f64 = 0.8;
/// What a path must be above the level, and what a move must gain, in parts of its capacity.
const MARGIN: f64 = 0.03;
/// What it may be above the least full of the others.
const UNEVEN: f64 = 0.05;
/// A lane that is less of a path than this part is not worth moving.
const LEAST: f64 = 0.01;
/// Intervals between two moves of a lane.
const REST: u64 = 16;
/// After a rest, and for a lane that begins, the first look comes after this part of an interval.
const EARLY: u64 = 4;
/// The queue that a lane which begins may have grow before its path...
const QUEUE: Nanos = 50 * MICROSECOND;
/// ... or, where these take longer, so many groups: a burst of that much makes no lane large.
const GROUPS: u64 = 4;
/// Moves an interval, at most.
const MOVES: usize = 8;
/// A spread lane joins again below this part of what spreads it...
const JOIN: f64 = 0.6;
/// ... and where it then makes no path fuller than this.
const COOL: f64 = 0.7;
/// Where only weights are known, less than this in all is not balanced: bits a second.
const FLOOR: f64 = 1e8;

/// A lane and where it would go.
struct Move {
    lane: u16,
    to: u8,
    /// The fuller of both paths after it.
    fuller: f64,
    rate: f64,
}

impl Paths {
    /// Looks at a lane that begins to send, and then after every group of bytes, until lanes are
    /// measured: one that is too large for its path is spread as soon as a queue grows, or once it
    /// has sent what it may in a quarter of an interval. What waits in that queue holds up what
    /// then goes other ways: so it must be short. When to call [`Paths::balance`], if this is the
    /// first lane after all were idle.
    #[cold]
    pub fn attend(&mut self, lane: usize, now: Time) -> Option<Time> {
        let home = self.lanes.get(lane).map_or(0, |lane| lane.home);
        let bound = self.bound(home);
        let capacity = self.paths.get(usize::from(home)).and_then(|path| path.road.capacity);
        let (state, measured) = self.lanes.get_mut(lane).zip(self.measured.get_mut(lane))?;
        let looks = bound.zip(capacity).filter(|_| self.rule.moves);
        state.left = looks.map_or(u32::MAX, |_| self.rule.group);
        if measured.began == Time::ZERO {
            measured.began = now;
            if self.busy.len() > 1 {
                return None;
            }
            self.last = now;
            return Some(now.after(self.rule.interval / EARLY));
        }
        let (bound, capacity) = looks.filter(|_| measured.age == 0)?;
        let (bytes, elapsed) = (u64::from(state.bytes), now.since(measured.began));
        measured.rate = rate(bytes, elapsed) as f32;
        let much = bound / 8e9 * (self.rule.interval / EARLY) as f64;
        let time = |bytes: u64| bytes as f64 * 8e9 / capacity as f64;
        let queue = time(bytes) - elapsed as f64;
        let long = (QUEUE as f64).max(time(GROUPS * u64::from(self.rule.group)));
        let large = f64::from(measured.rate) > bound;
        if large && (queue > long || bytes as f64 >= much) {
            self.spread(lane as u16, now);
        }
        None
    }

    /// The rate above which a lane is too large for a path.
    fn bound(&self, path: u8) -> Option<f64> {
        let capacity = self.paths.get(usize::from(path)).and_then(|path| path.road.capacity);
        capacity.zip(self.rule.spread).map(|(rate, spread)| rate as f64 * spread)
    }

    /// Measures what was sent since the last time, and moves lanes if need be; `seen` is what is
    /// known of each path. When to do it again; `None` while all lanes are idle.
    pub fn balance(&mut self, now: Time, seen: &[Seen]) -> Option<Time> {
        self.measure(now, seen);
        if self.busy.is_empty() {
            return None;
        }
        let moved = (self.paths.iter().zip(seen)).any(|(path, seen)| path.usable != seen.usable);
        if moved {
            self.use_paths(|index| seen.get(index).is_some_and(|seen| seen.usable));
        }
        if self.rule.moves {
            self.sum();
            self.spread_and_join(now);
            for _ in 0..MOVES {
                if !self.cool(now) {
                    break;
                }
            }
        }
        self.shares.set(&self.paths);
        Some(now.after(self.rule.interval))
    }

    /// Says which paths can be used from now on: what must move moves.
    pub fn use_paths(&mut self, usable: impl Fn(usize) -> bool) {
        for (index, path) in self.paths.iter_mut().enumerate() {
            path.usable = usable(index);
        }
        self.settle();
        self.shares.set(&self.paths);
    }

    /// Takes in what lanes and paths sent; lanes that fell silent become idle.
    fn measure(&mut self, now: Time, seen: &[Seen]) {
        let elapsed = now.since(self.last);
        self.last = now;
        for (index, (path, seen)) in self.paths.iter_mut().zip(seen).enumerate() {
            path.note(seen, self.shares.take(index), elapsed, now);
        }
        let mut at = 0;
        while let Some(&index) = self.busy.get(at) {
            let index = usize::from(index);
            let lane = self.lanes.get_mut(index).zip(self.measured.get_mut(index));
            let busy = lane.is_some_and(|(lane, measured)| {
                if lane.state == State::Whole {
                    lane.left = u32::MAX;
                }
                let elapsed = elapsed.min(now.since(measured.began));
                measured.note(std::mem::take(&mut lane.bytes), elapsed)
            });
            if busy {
                at += 1;
            } else {
                self.busy.swap_remove(at);
                self.rest(index);
            }
        }
    }

    /// A lane is idle: its next packet goes home.
    fn rest(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        lane.state = State::Idle;
        let home = lane.home;
        self.house(index, home);
    }

    /// Adds up what the whole lanes of each path send.
    fn sum(&mut self) {
        self.paths.iter_mut().for_each(|path| path.whole = 0.0);
        for &index in &self.busy {
            let lane = self.lanes[usize::from(index)];
            let rate = self.rate(index);
            if lane.state == State::Whole
                && let Some(path) = self.paths.get_mut(usize::from(lane.home))
            {
                path.whole += rate;
            }
        }
    }

    /// The part of each path that is this worker's.
    fn part(&self) -> f64 {
        1.0 / f64::from(self.rule.workers.max(1))
    }

    fn rate(&self, lane: u16) -> f64 {
        self.measured.get(usize::from(lane)).map_or(0.0, |lane| f64::from(lane.rate))
    }

    /// Whether a lane of this rate is too large for a path.
    fn is_large(&self, rate: f64, path: u8, part: f64) -> bool {
        self.bound(path).is_some_and(|bound| rate > bound * part)
    }

    fn rests(&self, lane: u16, now: Time) -> bool {
        let moved = self.measured.get(usize::from(lane)).map_or(Time::ZERO, |lane| lane.moved);
        moved != Time::ZERO && moved.after(REST * self.rule.interval) > now
    }

    /// Spreads lanes that are too large for their path, and joins those that are not any more.
    fn spread_and_join(&mut self, now: Time) {
        for at in 0..self.busy.len() {
            let index = self.busy[at];
            let (lane, rate) = (self.lanes[usize::from(index)], self.rate(index));
            if self.rests(index, now) {
                continue;
            }
            match lane.state {
                State::Whole if self.is_large(rate, lane.home, 1.0) => self.spread(index, now),
                State::Spread if !self.is_large(rate, lane.home, JOIN) => {
                    let home = self.paths.get(usize::from(lane.home));
                    let part = COOL * self.part();
                    if home.is_some_and(|path| path.whole + rate <= part * path.carries()) {
                        self.join(index, lane.home, now);
                    }
                }
                _ => {}
            }
        }
    }

    fn spread(&mut self, index: u16, now: Time) {
        let (lane, rate) = (usize::from(index), self.rate(index));
        let Some(home) = self.lanes.get_mut(lane).map(|lane| {
            lane.state = State::Spread;
            lane.home
        }) else {
            return;
        };
        self.regroup(lane, 0);
        self.measured[lane].moved = now;
        let path = &mut self.paths[usize::from(home)];
        path.whole -= rate;
        path.moves += 1;
    }

    /// A lane belongs to path `to` from now on, whole unless it is too large for it.
    fn join(&mut self, index: u16, to: u8, now: Time) {
        let (lane, rate) = (usize::from(index), self.rate(index));
        let from = self.lanes[lane];
        if from.state == State::Whole {
            self.paths[usize::from(from.home)].whole -= rate;
        }
        self.house(lane, to);
        self.measured[lane].moved = now;
        self.paths[usize::from(to)].whole += rate;
        if self.is_large(rate, to, 1.0) {
            self.spread(index, now);
        } else {
            self.paths[usize::from(to)].moves += 1;
        }
    }

    /// How full the least full paths are if `spread`, divided at will, comes on top of whole lanes.
    fn water(&self, spread: f64) -> f64 {
        let mut water = f64::INFINITY;
        loop {
            let below = |path: &&Path| path.carries() > 0.0 && path.whole < water * path.carries();
            let (whole, carry) = self
                .paths
                .iter()
                .filter(below)
                .fold((0.0, 0.0), |sum, path| (sum.0 + path.whole, sum.1 + path.carries()));
            let next = (spread + whole) / carry;
            // Without those that stick out it is lower, and others may stick out.
            if carry == 0.0 || next >= water {
                return water;
            }
            water = next;
        }
    }

    /// Takes one lane away from the hottest path. `false`: none is hot, or nothing would help.
    fn cool(&mut self, now: Time) -> bool {
        let carry: f64 = self.paths.iter().map(Path::carries).sum();
        let all: f64 = self.busy.iter().map(|&lane| self.rate(lane)).sum();
        let level = all / carry.max(1.0);
        let full = |path: &Path| path.whole / path.carries().max(1.0);
        let hottest = self.paths.iter().enumerate().filter(|(_, path)| path.usable);
        let hottest = hottest.max_by(|(_, one), (_, other)| full(one).total_cmp(&full(other)));
        let Some((from, path)) = hottest else { return false };
        let (fullness, excess) = (full(path), path.whole - level * path.carries());
        let unit = if path.road.capacity.is_some() { self.part() } else { level };
        let enough = path.road.capacity.is_some() || all > FLOOR;
        let divisible = path.road.capacity.is_some();
        let mut even = level + MARGIN * unit;
        if divisible {
            let whole: f64 = self.paths.iter().map(|path| path.whole).sum();
            even = even.min(self.water(all - whole) + UNEVEN * unit);
        }
        if !enough || fullness <= even.max(HOT * unit) {
            return false;
        }
        let least = LEAST * unit * path.carries();
        let from = from as u8;
        if let Some(best) = self.best_move(from, least, level, now)
            && best.fuller <= fullness - MARGIN * unit
        {
            self.trade(best.lane, best.to);
            self.join(best.lane, best.to, now);
            return true;
        }
        if self.rule.spread.is_none() || !divisible {
            return false;
        }
        let Some(lane) = self.relief(from, least, excess, now) else { return false };
        self.spread(lane, now);
        true
    }

    /// Lanes of a path that may move now, and send no less than `least`.
    fn movable(&self, from: u8, least: f64, now: Time) -> impl Iterator<Item = (u16, f64)> + '_ {
        let lanes = self.busy.iter().map(|&index| (index, self.rate(index)));
        lanes.filter(move |&(index, rate)| {
            let lane = &self.lanes[usize::from(index)];
            let whole = lane.state == State::Whole && lane.home == from;
            whole && rate >= least && !self.rests(index, now)
        })
    }

    /// The move of a lane away from a path after which the fuller of both paths is the least full;
    /// of several the largest lane.
    fn best_move(&self, from: u8, least: f64, level: f64, now: Time) -> Option<Move> {
        let source = self.paths.get(usize::from(from))?;
        let mut best: Option<Move> = None;
        for (lane, rate) in self.movable(from, least, now) {
            let left = (source.whole - rate) / source.carries().max(1.0);
            for (to, path) in self.paths.iter().enumerate() {
                let narrow = path.road.largest < source.road.largest;
                if to == usize::from(from) || !path.usable || narrow {
                    continue;
                }
                // Where it is too large for the path it is spread, and fills no path above the level.
                let there = match self.is_large(rate, to as u8, 1.0) {
                    true => level,
                    false => (path.whole + rate) / path.carries().max(1.0),
                };
                let fuller = left.max(there);
                let better = |best: &Move| (fuller, -rate) < (best.fuller, -best.rate);
                if best.as_ref().is_none_or(better) {
                    best = Some(Move { lane, to: to as u8, fuller, rate });
                }
            }
        }
        best
    }

    /// The lane of a path that is best spread: the smallest that takes `excess` away, or the largest.
    fn relief(&self, from: u8, least: f64, excess: f64, now: Time) -> Option<u16> {
        let order = |(_, one): &(u16, f64), (_, other): &(u16, f64)| one.total_cmp(other);
        let enough = self.movable(from, least, now).filter(|&(_, rate)| rate >= excess);
        let lane = enough.min_by(order);
        lane.or_else(|| self.movable(from, least, now).max_by(order)).map(|(lane, _)| lane)
    }

    /// A lane will move to path `to`: an idle one goes the other way, so that each path keeps its
    /// number of lanes, and a path that comes or goes still moves no more than it must.
    fn trade(&mut self, lane: u16, to: u8) {
        let home = self.lanes[usize::from(lane)].home;
        let idle = |lane: &Lane| lane.state == State::Idle && lane.home == to;
        if let Some(other) = self.lanes.iter().position(idle) {
            self.house(other, home);
        }
    }
}
