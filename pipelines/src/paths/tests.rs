//! Properties: of homes, of balance under noise, of spreading.

use dataplane::time::{MILLISECOND, Nanos, Time};
use proptest::prelude::*;

use super::*;

const INTERVAL: Nanos = 10 * MILLISECOND;
const GROUP: u32 = 64 << 10;

fn road(first: u8, capacity: u64) -> Road {
    Road { weight: 1, capacity: Some(capacity), first, channels: 1, largest: 9_000 }
}

fn rule() -> Rule {
    Rule { moves: true, spread: Some(0.5), group: GROUP, interval: INTERVAL, workers: 1 }
}

/// Paths of so many gigabits a second, and time.
struct Bed {
    paths: Paths,
    roads: Vec<Road>,
    now: Time,
    /// Bytes by each path in the last interval.
    carried: Vec<u64>,
    seen: Vec<Seen>,
}

impl Bed {
    fn new(gigabits: &[f64], lanes: u32, rule: Rule) -> Self {
        let roads: Vec<Road> = gigabits
            .iter()
            .enumerate()
            .map(|(index, gigabits)| road(index as u8, (gigabits * 1e9) as u64))
            .collect();
        let seen = Seen { usable: true, rtt: 5 * MILLISECOND, ..Seen::default() };
        let seen = vec![seen; roads.len()];
        let paths = Paths::new(&roads, lanes, rule);
        Self { paths, carried: vec![0; roads.len()], roads, now: Time(1), seen }
    }

    /// Each lane sends this rate, in gigabits a second, for an interval; they take turns.
    fn interval(&mut self, rates: &[(usize, f64)]) {
        const CHUNK: u64 = 16 << 10;
        let bytes = |rate: f64| (rate * INTERVAL as f64 / 8.0) as u64;
        let mut left: Vec<u64> = rates.iter().map(|&(_, rate)| bytes(rate)).collect();
        self.carried.fill(0);
        // As far as the largest, everybody in proportion.
        let steps = left.iter().max().unwrap_or(&0).div_ceil(CHUNK).max(1);
        for step in 0..steps {
            for (&(lane, _), left) in rates.iter().zip(&mut left) {
                let chunk = (*left / (steps - step)) as usize;
                if chunk > 24 {
                    self.carried[self.paths.channel(lane)] += chunk as u64;
                    if self.paths.sent(lane, chunk - 24) {
                        let at = self.now.after(INTERVAL * step / steps);
                        self.paths.attend(lane, at);
                    }
                    *left -= chunk as u64;
                }
            }
        }
        self.now = self.now.after(INTERVAL);
        for (seen, carried) in self.seen.iter_mut().zip(&self.carried) {
            seen.sent += carried / 4_096;
        }
        let seen = self.seen.clone();
        self.paths.balance(self.now, &seen);
    }

    /// What each path carried in the last interval, of what it can.
    fn used(&self) -> Vec<f64> {
        let used = |(road, &bytes): (&Road, &u64)| {
            bytes as f64 * 8.0 / (road.share() as f64 * INTERVAL as f64 / 1e9)
        };
        self.roads.iter().zip(&self.carried).map(used).collect()
    }

    /// The mean of that over so many more intervals.
    fn average(&mut self, rates: &[(usize, f64)], intervals: u32) -> Vec<f64> {
        let mut sum = vec![0.0; self.roads.len()];
        for _ in 0..intervals {
            self.interval(rates);
            sum.iter_mut().zip(self.used()).for_each(|(sum, used)| *sum += used);
        }
        sum.iter().map(|sum| sum / f64::from(intervals)).collect()
    }

    fn moves(&self) -> u64 {
        self.paths.ways().map(|way| way.moves).sum()
    }

    fn homes(&self) -> Vec<u8> {
        self.paths.lanes.iter().map(|lane| lane.home).collect()
    }

    fn use_only(&mut self, usable: &[bool]) {
        self.paths.use_paths(|index| usable[index]);
    }
}

/// All within so much of their mean.
fn are_even(used: &[f64], by: f64) -> bool {
    let mean = used.iter().sum::<f64>() / used.len() as f64;
    used.iter().all(|used| (used - mean).abs() <= by)
}

fn moved(before: &[u8], after: &[u8]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

#[test]
fn homes_follow_capacity_and_are_interleaved() {
    let bed = Bed::new(&[3.0, 1.0], 64, rule());
    let homes = bed.homes();
    assert!(homes.chunks(4).all(|four| four.iter().filter(|&&home| home == 1).count() == 1));
}

#[test]
fn a_lane_uses_all_channels_of_its_path_alike() {
    let roads = [Road { channels: 3, ..road(0, 1) }, Road { channels: 1, ..road(3, 1) }];
    let paths = Paths::new(&roads, 1_024, rule());
    let count = |channel| (0..1_024).filter(|&lane| paths.channel(lane) == channel).count();
    assert_eq!(count(3), 512);
    assert!((0..3).all(|channel| (160..=182).contains(&count(channel))));
}

#[test]
fn a_fifth_equal_path_moves_a_fifth_and_takes_it_back() {
    let mut bed = Bed::new(&[1.0; 5], 1_024, rule());
    bed.use_only(&[true, true, true, true, false]);
    let four = bed.homes();
    bed.use_only(&[true; 5]);
    let five = bed.homes();
    assert_eq!(moved(&four, &five), 204);
    assert!(four.iter().zip(&five).all(|(before, after)| before == after || *after == 4));
    bed.use_only(&[true, true, true, true, false]);
    assert_eq!(moved(&five, &bed.homes()), 204);
}

#[test]
fn eight_lanes_fill_four_unequal_paths_evenly() {
    let mut bed = Bed::new(&[16.0, 12.0, 8.0, 4.0], 1_024, rule());
    let lanes: Vec<(usize, f64)> = (0..8).map(|lane| (lane * 4, 4.75)).collect();
    (0..40).for_each(|_| bed.interval(&lanes));
    let used = bed.used();
    assert!(are_even(&used, 0.02), "{used:?}");
    let moves = bed.moves();
    (0..200).for_each(|_| bed.interval(&lanes));
    assert_eq!(bed.moves(), moves);
}

#[test]
fn a_small_path_is_filled_beside_a_large_one_that_is_hardly_too_full() {
    // One lane is spread, and not enough for the small path; the others fill the large one, 1.5 points
    // above the mean.
    let mut bed = Bed::new(&[0.4, 2.3], 64, rule());
    let rates = [37.0, 97.0, 34.0, 51.0, 34.0].map(|part| 2.482_398 * part / 253.0);
    let lanes: Vec<(usize, f64)> =
        rates.iter().enumerate().map(|(index, &rate)| (index * 5, rate)).collect();
    (0..100).for_each(|_| bed.interval(&lanes));
    let used = bed.average(&lanes, 50);
    assert!(are_even(&used, 0.025), "{used:?}");
}

#[test]
fn one_lane_larger_than_any_path_fills_all() {
    let mut bed = Bed::new(&[16.0, 12.0, 8.0, 4.0], 1_024, rule());
    (0..5).for_each(|_| bed.interval(&[(17, 38.0)]));
    let used = bed.used();
    assert!(are_even(&used, 0.01), "{used:?}");
    assert!(bed.paths.is_spread(17));
    // It gets small, and goes by one path again.
    (0..400).for_each(|_| bed.interval(&[(17, 0.5)]));
    assert!(!bed.paths.is_spread(17));
    assert_eq!(bed.used().iter().filter(|&&used| used > 0.0).count(), 1);
    // It falls silent.
    (0..60).for_each(|_| bed.interval(&[]));
    assert!(bed.paths.busy.is_empty());
}

#[test]
fn a_large_lane_is_spread_before_it_fills_a_queue() {
    let mut bed = Bed::new(&[16.0, 12.0, 8.0, 4.0], 1_024, rule());
    bed.interval(&[(17, 38.0)]);
    // A quarter of an interval at half of the largest path, at most, went by one path.
    let used = bed.used();
    assert!(are_even(&used, 0.15), "{used:?}");
}

#[test]
fn a_lane_that_grows_is_seen_soon() {
    let mut bed = Bed::new(&[16.0, 12.0, 8.0, 4.0], 1_024, rule());
    (0..200).for_each(|_| bed.interval(&[(17, 0.5)]));
    assert!(!bed.paths.is_spread(17));
    (0..4).for_each(|_| bed.interval(&[(17, 30.0)]));
    assert!(bed.paths.is_spread(17));
}

#[test]
fn nothing_is_spread_that_should_not_be() {
    let off = Rule { spread: None, ..rule() };
    let still = Rule { moves: false, ..rule() };
    for rule in [off, still] {
        let mut bed = Bed::new(&[16.0, 12.0], 64, rule);
        (0..20).for_each(|_| bed.interval(&[(3, 20.0)]));
        assert_eq!(bed.used().iter().filter(|&&used| used > 0.0).count(), 1);
        // The lane that fits nowhere may have gone to the larger path.
        assert!(bed.moves() <= u64::from(rule.moves));
    }
}

#[test]
fn equal_lanes_on_one_path_part_without_spreading() {
    let mut bed = Bed::new(&[10.0; 4], 64, Rule { spread: None, ..rule() });
    // All of these have the same home.
    let lanes: Vec<(usize, f64)> = (0..4).map(|lane| (lane * 4, 4.0)).collect();
    let homes = bed.homes();
    assert!(lanes.iter().all(|&(lane, _)| homes[lane] == homes[0]));
    (0..20).for_each(|_| bed.interval(&lanes));
    assert!(bed.used().iter().all(|&used| used <= 0.81), "{:?}", bed.used());
    assert!((1..=3).contains(&bed.moves()), "{}", bed.moves());
}

#[test]
fn a_path_is_not_filled_where_a_spread_lane_does_not_fit() {
    let narrow = Road { largest: 1_500, ..road(1, 10_000_000_000) };
    let mut paths = Paths::new(&[road(0, 10_000_000_000), narrow], 2, rule());
    let seen = [Seen { usable: true, ..Seen::default() }; 2];
    let wide = (0..2).find(|&lane| paths.channel(lane) == 0).expect("a lane by the wide path");
    for interval in 1..10 {
        for _ in 0..1_000 {
            assert_eq!(paths.channel(wide), 0);
            if paths.sent(wide, 10_000) {
                paths.attend(wide, Time((interval - 1) * INTERVAL + 1));
            }
        }
        paths.balance(Time(interval * INTERVAL), &seen);
    }
    assert!(paths.is_spread(wide));
}

#[test]
fn a_path_that_delivers_less_than_it_should_is_worth_less() {
    let mut bed = Bed::new(&[10.0, 10.0], 64, rule());
    // The first is a line of 5 Gbit/s behind a queue.
    let mut queue = 0.0_f64;
    let mut last = Vec::new();
    for _ in 0..1_000 {
        bed.interval(&[(1, 9.0), (2, 2.0)]);
        queue = (queue + bed.carried[0] as f64 - 5e9 / 8.0 / 100.0).max(0.0);
        bed.seen[0].rtt = 5 * MILLISECOND + (queue * 8.0 / 5.0) as u64;
        bed.seen[0].unconfirmed = (queue / 4_096.0) as u64;
        last = bed.used();
    }
    assert!(last[0] < 0.62, "{last:?}");
    assert!(bed.seen[0].rtt < 100 * MILLISECOND, "{}", bed.seen[0].rtt);
    let worth: Vec<f64> = bed.paths.ways().map(|way| way.worth).collect();
    // Five of the eleven are 0.83 of ten more than the other path's.
    assert!(worth[0] < 0.95 && worth[1] == 1.0, "{worth:?}");
}

#[test]
fn noisy_load_does_not_oscillate() {
    // Some whole, some spread, and the fullest path near where it would be hot.
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut noise = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        0.7 + 0.6 * (random >> 11) as f64 / (1_u64 << 53) as f64
    };
    for load in [0.26, 0.31, 0.36] {
        let mut bed = Bed::new(&[1.6, 1.2, 0.8, 0.4], 64, rule());
        let mut after_start = 0;
        for interval in 0..10_000 {
            let lanes: Vec<(usize, f64)> = (0..10).map(|lane| (lane * 6, load * noise())).collect();
            bed.interval(&lanes);
            if interval == 100 {
                after_start = bed.moves();
            }
        }
        assert!(bed.moves() - after_start <= 10, "{load}: {after_start}, {}", bed.moves());
    }
}

proptest! {
    #[test]
    fn paths_that_come_and_go_move_what_must_move(
        capacities in prop::collection::vec(1u32..400, 2..9),
        lanes in 0u32..9,
        turns in prop::collection::vec(any::<u16>(), 1..12),
    ) {
        let gigabits: Vec<f64> = capacities.iter().map(|&capacity| f64::from(capacity)).collect();
        let lanes = 64 << lanes;
        let mut bed = Bed::new(&gigabits, lanes, rule());
        let mut usable = vec![true; gigabits.len()];
        for turn in turns {
            let path = usize::from(turn) % usable.len();
            usable[path] = !usable[path];
            if !usable.contains(&true) {
                usable[path] = true;
            }
            let before = bed.homes();
            bed.use_only(&usable);
            let after = bed.homes();
            let count = |homes: &[u8]| homes.iter().filter(|&&home| usize::from(home) == path).count();
            if usable[path] {
                // Only what the path gets: its part, rounded.
                prop_assert_eq!(moved(&before, &after), count(&after) - count(&before));
                let all: f64 = gigabits.iter().zip(&usable).filter(|(_, on)| **on).map(|(g, _)| g).sum();
                let part = gigabits[path] / all * f64::from(lanes);
                prop_assert!((count(&after) as f64) < part + gigabits.len() as f64 / 2.0);
            } else {
                prop_assert_eq!(moved(&before, &after), count(&before));
                prop_assert_eq!(count(&after), 0);
            }
        }
    }

    #[test]
    fn spread_lanes_fill_what_whole_ones_leave(
        capacities in prop::collection::vec(4u32..40, 2..6),
        lanes in prop::collection::vec(1u32..100, 1..12),
        load in 0.85..0.98f64,
    ) {
        let gigabits: Vec<f64> = capacities.iter().map(|&capacity| f64::from(capacity) / 10.0).collect();
        let (all, sum): (f64, u32) = (gigabits.iter().sum(), lanes.iter().sum());
        let rates: Vec<(usize, f64)> = lanes
            .iter()
            .enumerate()
            .map(|(index, &rate)| (index * 5, all * load * f64::from(rate) / f64::from(sum)))
            .collect();
        let mut bed = Bed::new(&gigabits, 64, rule());
        (0..100).for_each(|_| bed.interval(&rates));
        let used = bed.average(&rates, 50);
        prop_assert!(are_even(&used, 0.05), "{used:?}");
    }
}
