//! Scenarios drawn from a seed: any of what a wide area, RNICs and gateways may do at once, each
//! small enough to be run by the thousand.
//!
//! Whatever is drawn has a flag of the command line and is rounded to what the flag can say, so
//! that [`Scenario::command_line`] repeats the run exactly.

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos};
use pipelines::gateway::Numbering;

use crate::link::Impairments;
use crate::random::Random;
use crate::restart::Restart;
use crate::rnic::{Pmtu, Timer};
use crate::scenario::{Bounds, PathScenario, Scenario};
use crate::traffic::{Direction, Mix, Traffic};

/// Packets with payload that all queue pairs of a site carry together, about.
const PACKETS: u32 = 1_200;
/// Paths, and queue pairs, at most.
const MAX_PATHS: u64 = 4;
const MAX_QPS: u64 = 32;
/// The longest delay, one way, and the longest message: 256 KiB.
const MAX_DELAY: Nanos = 20 * MILLISECOND;
const MAX_SIZE_POWER: u64 = 18;
/// Outages and restarts begin in this time.
const SOON: Nanos = 100 * MILLISECOND;
/// Rates of paths, bits a second.
const RATES: [u64; 5] = [100_000_000, 400_000_000, 1_000_000_000, 2_500_000_000, 10_000_000_000];
/// The least memory of a gateway's buffers.
const MIN_BYTES: u64 = 128 << 10;

/// The scenario of a seed: the same one each time.
#[must_use]
pub fn scenario(seed: u64) -> Scenario {
    let mut draw = Draw(Random::derive(seed, &[0x4452_4157]));
    let paths = draw.paths();
    let traffic = draw.traffic();
    let mut scenario = Scenario::traffic(traffic, paths, seed);
    if draw.one_in(3) {
        scenario.numbering = Numbering::Transparent { check_icrc: true };
    }
    if draw.one_in(5) {
        let count = draw.between(1, 3);
        scenario.restarts = (0..count).map(|_| draw.restart()).collect();
    }
    if draw.one_in(5) {
        scenario.bounds = draw.tiny(scenario.bounds);
    }
    scenario
}

struct Draw(Random);

impl Draw {
    fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    /// A number from `least` to `most`.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        all[self.0.below(N as u64) as usize]
    }

    /// A multiple of 1/10000 up to `most` of them, in one case of `cases`; otherwise 0.
    fn probability(&mut self, cases: u64, most: u64) -> f64 {
        if self.one_in(cases) { self.between(1, most) as f64 / 10_000.0 } else { 0.0 }
    }

    fn paths(&mut self) -> Vec<PathScenario> {
        let count = self.between(1, MAX_PATHS);
        let path = |draw: &mut Self, number| PathScenario {
            name: format!("p{number}"),
            does: draw.impairments(),
            ..PathScenario::default()
        };
        let mut paths: Vec<_> = (1..=count).map(|number| path(self, number)).collect();
        // One of several is away for a time.
        if count > 1 && self.one_in(3) {
            let start = self.between(0, SOON / MICROSECOND) * MICROSECOND;
            let end = start + self.between(10, 200) * MILLISECOND;
            let unlucky = self.0.below(count) as usize;
            paths[unlucky].does.down.push(start..end);
        }
        paths
    }

    fn impairments(&mut self) -> Impairments {
        let furthest = self.one_of([0, 100 * MICROSECOND, 2 * MILLISECOND, MAX_DELAY]);
        let mut does = Impairments {
            rate: Some(self.one_of(RATES)),
            delay: self.between(0, furthest / MICROSECOND) * MICROSECOND,
            reorder: self.probability(4, 200),
            duplicate: self.probability(4, 200),
            corrupt: self.probability(4, 100),
            ..Impairments::default()
        };
        let most = self.one_of([10, 100, 500]);
        does.loss = self.probability(1, most);
        if self.one_in(4) {
            does.loss = 0.0;
        } else if self.one_in(3) {
            does.burst = Some(self.between(2, 8) as f64);
        }
        does
    }

    fn traffic(&mut self) -> Traffic {
        let pmtu = self.one_of(Pmtu::ALL);
        let power = self.between(0, MAX_SIZE_POWER);
        let size = self.between(1, 1 << power) as u32;
        let packets = pmtu.packets(size);
        let qps = self.one_of([1, 2, 4, 16, MAX_QPS]) as u32;
        let qps = qps.min((2 * PACKETS).div_ceil(packets));
        let most = (PACKETS / qps / packets).max(1);
        let messages = self.between(1, most.into()) as u32;
        let (_, verb) = self.one_of(Mix::ALL);
        let (_, direction) = self.one_of(Direction::ALL);
        Traffic {
            verb,
            qps,
            size,
            messages,
            timer: self.timer(),
            reads: self.one_in(6).then(|| self.between(1, 16) as u32),
            retry: if self.one_in(6) { self.between(1, 6) as u8 } else { 7 },
            rnr: self.one_in(8).then(|| self.between(2, 20) as u32),
            recreate: self.one_in(4).then(|| self.between(1, messages.into()) as u32),
            direction,
            pmtu,
            window: None,
            line: None,
            ..Traffic::default()
        }
    }

    /// Patient in most cases; otherwise too short for some repairs, or for any round trip.
    fn timer(&mut self) -> Timer {
        match self.between(0, 5) {
            0 => Timer::adaptive(17),
            1 => Timer::Fixed(self.between(12, 17) as u8),
            _ => Timer::Fixed(20),
        }
    }

    fn restart(&mut self) -> Restart {
        let at = self.between(0, SOON / MICROSECOND) * MICROSECOND;
        Restart { side: self.0.below(2) as usize, at }
    }

    /// Some of these bounds made as small as can be, or nearly.
    fn tiny(&mut self, bounds: Bounds) -> Bounds {
        let bytes = |draw: &mut Self, usual: u64| match draw.between(0, 2) {
            0 => usual,
            1 => MIN_BYTES,
            _ => draw.between(MIN_BYTES >> 10, 1 << 10) << 10,
        };
        let packets = |draw: &mut Self| draw.one_in(2).then(|| 1 << draw.between(4, 10));
        Bounds {
            replay_bytes: bytes(self, bounds.replay_bytes),
            hold_bytes: bytes(self, bounds.hold_bytes),
            replay_packets: packets(self),
            hold_packets: packets(self),
            ..bounds
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_scenario_and_others_have_others() {
        assert_eq!(scenario(7), scenario(7));
        let lines: std::collections::BTreeSet<_> =
            (0..100).map(|seed| Scenario { seed: 0, ..scenario(seed) }.command_line()).collect();
        assert_eq!(lines.len(), 100);
    }

    #[test]
    fn everything_is_drawn_at_times() {
        let all: Vec<_> = (0..1_000).map(scenario).collect();
        let share = |is: fn(&Scenario) -> bool| all.iter().filter(|drawn| is(drawn)).count();
        for (name, count) in [
            ("restarts", share(|drawn| !drawn.restarts.is_empty())),
            ("transparent", share(|drawn| drawn.numbering != Numbering::Tunnel)),
            ("packets", share(|drawn| drawn.bounds.hold_packets.is_some())),
            ("memory", share(|drawn| drawn.bounds.hold_bytes == MIN_BYTES)),
            ("recreate", share(|drawn| drawn.command_line().contains("recreate="))),
            ("adaptive", share(|drawn| drawn.command_line().contains("timer=adaptive"))),
            ("outages", share(|drawn| drawn.command_line().contains("down="))),
            ("bursts", share(|drawn| drawn.command_line().contains("burst="))),
            ("four paths", share(|drawn| drawn.paths.len() == 4)),
        ] {
            assert!((30..800).contains(&count), "{name}: {count}");
        }
    }
}
