//! Measuring: a slice of each kind of work in turn, until the time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dataplane::cycles;
use dataplane::time::MICROSECOND;
use dataplane::worker::WorkerCounters;
use lab::pair::traffic::{RECEIVER, SENDER, Traffic};
use lab::pair::{LAN, Load, Pair, WAN};
use pipelines::gateway::SettingsError;

use super::floor::Floor;
use super::setup::{LOST_EVERY, ROUND_TRIP, Setup};

/// Packets of a slice: short beside what a scheduler gives to somebody else.
const SLICE: u64 = 1 << 11;
/// Steps of ten microseconds in which what is under way comes to its end, at most: ten seconds.
const SETTLING: u32 = 1_000_000;

/// What a slice cost, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// Packets that were encapsulated, or delivered.
    pub(super) packets: u64,
    /// Taking them from the port.
    pub(super) receive: u64,
    /// Deciding about them, with all that is done to them.
    pub(super) pipeline: u64,
    /// Handing them to the other port.
    pub(super) transmit: u64,
    /// Acknowledgements of the other direction, and timers.
    pub(super) rest: u64,
}

impl Slice {
    fn of(counters: &WorkerCounters, (from, to): (usize, usize), packets: u64) -> Self {
        let other = [counters.receive[to], counters.pipeline[to], counters.transmit[from]];
        let other: u64 = other.iter().map(|stage| stage.cycles).sum();
        Self {
            packets,
            receive: counters.receive[from].cycles,
            pipeline: counters.pipeline[from].cycles,
            transmit: counters.transmit[to].cycles,
            rest: other + counters.timers.cycles,
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            receive: self.receive - before.receive,
            pipeline: self.pipeline - before.pipeline,
            transmit: self.transmit - before.transmit,
            rest: self.rest - before.rest,
        }
    }

    /// Cycles of all stages together.
    pub(super) fn cycles(&self) -> u64 {
        self.receive + self.pipeline + self.transmit + self.rest
    }

    /// Cycles a packet.
    pub(super) fn per_packet(&self) -> f64 {
        self.cycles() as f64 / self.packets.max(1) as f64
    }
}

/// Slices of one kind of work.
#[derive(Default)]
pub(super) struct Slices(Vec<Slice>);

impl Slices {
    /// The slice in the middle: what else the machine did makes some dear, and none cheap. Its
    /// stages are of one and the same time, so they add up.
    pub(super) fn median(&self) -> Slice {
        let mut sorted = self.0.clone();
        sorted.sort_by(|left, right| left.per_packet().total_cmp(&right.per_packet()));
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What became of the packets of a pair, from the first to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Carried {
    /// Taken from the LAN of the one side.
    pub(super) sent: u64,
    /// Put out to the LAN of the other.
    pub(super) delivered: u64,
    /// Lost by the wide area, control messages and repeats among them.
    pub(super) lost: u64,
    /// Sent again.
    pub(super) resent: u64,
    /// Given up by the other side.
    pub(super) given_up: u64,
    /// Dropped by either side, by reason; second copies of repairs are no loss.
    pub(super) drops: BTreeMap<&'static str, u64>,
}

/// What was measured of one size.
pub(super) struct Measured {
    pub(super) floor: Slices,
    /// Nothing lost: the sending side, and the receiving one.
    pub(super) clean: [Slices; 2],
    /// The same with losses.
    pub(super) lossy: [Slices; 2],
    pub(super) carried: Carried,
    pub(super) carried_lossy: Carried,
}

/// Measures for `share`, and one slice of each at least; `step` is called between slices.
///
/// # Errors
/// Settings that contradict themselves.
pub(super) fn run(
    setup: &Setup<'_>,
    share: Duration,
    step: &mut impl FnMut(),
) -> Result<Measured, SettingsError> {
    let traffic = |drop_every| {
        let load = Load { drop_every, ..setup.load };
        Pair::with(load, setup.both()).map(|pair| Traffic::with(pair, setup.source()))
    };
    let (mut clean, mut lossy) = (traffic(0)?, traffic(LOST_EVERY)?);
    let mut floor = Floor::new(setup.load, setup.source());
    // Tables, queues and buffers reach their working size.
    let bursts = 2 * ROUND_TRIP / setup.load.pace;
    for _ in 0..(bursts * 32).div_ceil(SLICE) {
        floor.send(SLICE);
        clean.send(SLICE);
        lossy.send(SLICE);
        step();
    }
    let mut measured = Measured {
        floor: Slices::default(),
        clean: Default::default(),
        lossy: Default::default(),
        carried: Carried::default(),
        carried_lossy: Carried::default(),
    };
    let begun = Instant::now();
    // In turn, so that whatever else the machine does meets all of them alike.
    while measured.floor.0.is_empty() || begun.elapsed() < share {
        let before = of_floor(&floor);
        floor.send(SLICE);
        measured.floor.0.push(of_floor(&floor).since(before));
        slice(&mut clean, &mut measured.clean);
        slice(&mut lossy, &mut measured.lossy);
        step();
    }
    measured.carried = settle(&mut clean);
    measured.carried_lossy = settle(&mut lossy);
    Ok(measured)
}

fn of_floor(floor: &Floor) -> Slice {
    Slice::of(floor.counters(), (LAN, WAN), floor.delivered)
}

/// Both sides since they began.
fn of_pair(traffic: &Traffic) -> [Slice; 2] {
    [(SENDER, LAN, WAN), (RECEIVER, WAN, LAN)].map(|(side, from, to)| {
        let worker = &traffic.pair.sides[side].worker;
        let counted = worker.pipeline().counters();
        let packets = if side == SENDER { counted.lan_rx.packets } else { counted.lan_tx.packets };
        Slice::of(worker.counters(), (from, to), packets)
    })
}

fn slice(traffic: &mut Traffic, slices: &mut [Slices; 2]) {
    let before = of_pair(traffic);
    traffic.send(SLICE);
    for ((slices, after), before) in slices.iter_mut().zip(of_pair(traffic)).zip(before) {
        slices.0.push(after.since(before));
    }
}

/// Lets what is under way come to its end; says what became of all packets.
fn settle(traffic: &mut Traffic) -> Carried {
    for _ in 0..SETTLING {
        let carried = carried(traffic);
        if carried.delivered >= carried.sent {
            break;
        }
        traffic.pair.step(10 * MICROSECOND);
    }
    carried(traffic)
}

fn carried(traffic: &Traffic) -> Carried {
    let [sender, receiver] =
        traffic.pair.sides.each_ref().map(|side| side.worker.pipeline().counters());
    let mut drops = sender.drops.clone();
    drops.add(&receiver.drops);
    Carried {
        sent: sender.lan_rx.packets,
        delivered: receiver.lan_tx.packets,
        lost: traffic.pair.lost(),
        resent: sender.resent.packets,
        given_up: receiver.gave_up,
        drops: drops.seen().map(|(reason, packets)| (reason.name(), packets)).collect(),
    }
}

/// Cycles of the counter in a second of the monotonic clock.
pub(super) fn cycles_per_second() -> f64 {
    let (begun, first) = (Instant::now(), cycles::read());
    while begun.elapsed().as_millis() < 50 {
        std::hint::spin_loop();
    }
    (cycles::read() - first) as f64 / begun.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_slices() {
        let slice = |pipeline| Slice { packets: 2, receive: 1, pipeline, transmit: 3, rest: 4 };
        let slices = Slices([900, 20, 22, 8, 21].map(slice).to_vec());
        assert_eq!(slices.median(), slice(21));
        assert_eq!((slices.median().cycles(), slices.median().per_packet()), (29, 14.5));
        assert_eq!(slice(30).since(Slice { packets: 1, ..slice(10) }).per_packet(), 20.0);
        assert_eq!(Slices::default().median(), Slice::default());
    }
}
