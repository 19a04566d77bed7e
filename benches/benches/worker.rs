//! The whole worker between in-memory ports: packets a second, cycles a packet a stage, and
//! allocations after start, in each direction.
//!
//! `cargo bench -p compute-gateway-benches --bench worker`. The WAN between the two workers copies
//! packets from one pool to the other, as two NICs would; that is outside what is measured.

use allocation_counter::measure;
use dataplane::cycles;
use dataplane::port::BURST;
use dataplane::time::MILLISECOND;
use dataplane::worker::{StageCounters, WorkerCounters};
use lab::pair::traffic::{RECEIVER, SENDER, STREAMS, Traffic};
use lab::pair::{LAN, Load, WAN};

/// Packets measured.
const PACKETS: u64 = 2_000_000;

struct Scenario {
    name: &'static str,
    load: Load,
}

fn main() {
    // Under `cargo test --benches` a bench only shows that it runs.
    let packets = if std::env::args().any(|arg| arg == "--bench") { PACKETS } else { 10_000 };
    let hertz = cycles_per_second();
    println!("worker, {STREAMS} streams, bursts of {BURST}, TSC at {:.2} GHz", hertz / 1e9);
    let near = Load::BASE;
    let far = Load { delay: 5 * MILLISECOND / 2, ..near };
    let large = Load { payload: 1_024, ..far };
    let summed = Load { checksum: true, ..large };
    let lossy = Load { drop_every: 100, buffers: 1 << 18, ..far };
    // `cargo bench --bench worker -- "1 KiB"` runs those whose name contains the words.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let scenarios = [
        Scenario { name: "256 B, round trip 4 us", load: near },
        Scenario { name: "256 B, round trip 5 ms", load: far },
        Scenario { name: "1 KiB, round trip 5 ms", load: large },
        Scenario { name: "1 KiB, 5 ms, outer checksum", load: summed },
        Scenario { name: "256 B, 5 ms, 1 % lost", load: lossy },
    ];
    for scenario in scenarios.iter().filter(|s| wanted.iter().all(|word| s.name.contains(word))) {
        run(scenario, packets, hertz);
    }
}

fn run(scenario: &Scenario, packets: u64, hertz: f64) {
    let mut traffic = Traffic::new(scenario.load);
    // Fill the round trip first: tables, queues and buffers reach their working size.
    let warm_up = 100_000.min(packets);
    traffic.send(warm_up);
    let counters = |traffic: &Traffic| {
        traffic.pair.sides.each_ref().map(|side| side.worker.counters().clone())
    };
    let before = counters(&traffic);
    let allocations = measure(|| {
        traffic.send(packets);
    });
    let after = counters(&traffic);
    let pair = &traffic.pair;

    println!("\n{}", scenario.name);
    println!(
        "  {:<26} {:>10} {:>12} {:>10} {:>11}",
        "STAGE", "CALLS", "PACKETS", "PKTS/CALL", "CYCLES/PKT"
    );
    let directions = [("LAN -> WAN", SENDER, LAN, WAN), ("WAN -> LAN", RECEIVER, WAN, LAN)];
    for (direction, side, from, to) in directions {
        report(direction, &before[side], &after[side], (from, to), hertz);
    }
    let gave_up: u64 = pair.sides.iter().map(|s| s.worker.pipeline().counters().gave_up).sum();
    let drops: u64 = pair.sides.iter().map(|s| s.worker.pipeline().counters().drops.total()).sum();
    println!(
        "  allocations after start: {}, resent: {}, given up: {gave_up}, dropped: {drops}",
        allocations.count_total,
        pair.sides[SENDER].worker.pipeline().counters().resent.packets,
    );
}

/// Prints the stages of one direction; the other direction's carry acknowledgements, and count.
fn report(
    direction: &str,
    before: &WorkerCounters,
    after: &WorkerCounters,
    (from, to): (usize, usize),
    hertz: f64,
) {
    let packets = after.pipeline[from].packets - before.pipeline[from].packets;
    let stages = [
        ("receive", before.receive[from], after.receive[from]),
        ("pipeline", before.pipeline[from], after.pipeline[from]),
        ("transmit", before.transmit[to], after.transmit[to]),
        ("other side: receive", before.receive[to], after.receive[to]),
        ("other side: pipeline", before.pipeline[to], after.pipeline[to]),
        ("other side: transmit", before.transmit[from], after.transmit[from]),
        ("timers", before.timers, after.timers),
    ];
    let mut total = 0.0;
    for (name, before, after) in stages {
        let StageCounters { calls, packets: handled, cycles } = StageCounters {
            calls: after.calls - before.calls,
            packets: after.packets - before.packets,
            cycles: after.cycles - before.cycles,
        };
        let per_packet = cycles as f64 / packets as f64;
        total += per_packet;
        if calls > 0 {
            let name = format!("{direction} {name}");
            let per_call = handled as f64 / calls as f64;
            println!("  {name:<33} {calls:>9} {handled:>10} {per_call:>9.1} {per_packet:>10.1}");
        }
    }
    let rate = hertz / total / 1e6;
    println!(
        "  {:<33} {:>30} {total:>10.1} = {rate:.1} Mpps a core",
        format!("{direction} in all"),
        ""
    );
}

/// Cycles of the counter in a second of the monotonic clock.
fn cycles_per_second() -> f64 {
    let (begin, first) = (std::time::Instant::now(), cycles::read());
    while begin.elapsed().as_millis() < 50 {
        std::hint::spin_loop();
    }
    (cycles::read() - first) as f64 / begin.elapsed().as_secs_f64()
}
