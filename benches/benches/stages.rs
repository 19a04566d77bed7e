//! Nanoseconds a packet of each stage, beside a peer or a floor in the same run.
//!
//! `cargo bench -p compute-gateway-benches --bench stages`. Where a pair of gateways is needed, the
//! clock runs only while the worker in question does.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataplane::time::MICROSECOND;
use etherparse::SlicedPacket;
use lab::pair::Load;
use lab::pair::frames::{IP_AT, IP_LEN, write_frame};
use lab::pair::traffic::{RECEIVER, SENDER, Traffic};
use pipelines::wire::icrc;
use pipelines::wire::packet::Parsed;

const QUEUE_PAIR: u32 = 17;

/// What a gateway asks of every frame; the peer is a general parser, which stops at UDP.
fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    for payload in [256, 4_096] {
        let frame = write_frame(QUEUE_PAIR, payload);
        group.bench_with_input(BenchmarkId::new("gateway", payload), &frame, |bencher, frame| {
            bencher.iter(|| Parsed::of(black_box(frame), frame.len()));
        });
        group.bench_with_input(
            BenchmarkId::new("etherparse", payload),
            &frame,
            |bencher, frame| {
                bencher.iter(|| SlicedPacket::from_ethernet(black_box(frame)).is_ok());
            },
        );
    }
    group.finish();
}

/// All of a packet; the floor is the CRC-32 of as many bytes, unmasked and in one piece.
fn icrc_verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("icrc verify");
    group.throughput(Throughput::Elements(1));
    for payload in [256, 1_024, 4_096] {
        let frame = write_frame(QUEUE_PAIR, payload);
        let packet = &frame[IP_AT..];
        group.bench_with_input(BenchmarkId::new("gateway", payload), packet, |bencher, packet| {
            bencher.iter(|| icrc::verify(IP_LEN, [black_box(packet)]));
        });
        group.bench_with_input(
            BenchmarkId::new("crc32fast", payload),
            packet,
            |bencher, packet| {
                bencher.iter(|| crc32fast::hash(black_box(packet)));
            },
        );
    }
    group.finish();
}

/// After a new UDP source port; the alternative is to compute it anew.
fn icrc_update(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("icrc after a new source port");
    group.throughput(Throughput::Elements(1));
    let (old, new) = ([0xc0, 0x00], [0xf0, 0x0d]);
    for payload in [256, 1_024, 4_096] {
        let frame = write_frame(QUEUE_PAIR, payload);
        let (packet, sum) = frame[IP_AT..].split_last_chunk().expect("an ICRC");
        let sum = u32::from_le_bytes(*sum);
        let behind = packet.len() - IP_LEN - old.len();
        group.bench_function(BenchmarkId::new("update", payload), |bencher| {
            bencher.iter(|| {
                icrc::update(black_box(sum), black_box(&old), black_box(&new), black_box(behind))
            });
        });
        group.bench_with_input(BenchmarkId::new("compute", payload), packet, |bencher, packet| {
            bencher.iter(|| icrc::compute(IP_LEN, [black_box(packet)]));
        });
    }
    group.finish();
}

/// Whole workers, from port to port. What one of them does a packet is the time of its rounds:
/// the sender's take the acknowledgements, the receiver's write them.
fn gateway(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gateway");
    group.throughput(Throughput::Elements(1));
    // Long enough for packets to be kept and acknowledged in numbers, short enough for a cache.
    let load = Load { delay: 100 * MICROSECOND, ..Load::BASE };
    let lossy = Load { drop_every: 100, ..load };
    let stages: [(&str, Load, &[usize]); 4] = [
        ("encapsulate", load, &[SENDER]),
        ("receive in order", load, &[RECEIVER]),
        ("both, nothing lost", load, &[SENDER, RECEIVER]),
        ("both, 1 % lost and repaired", lossy, &[SENDER, RECEIVER]),
    ];
    for (name, load, sides) in stages {
        let mut traffic = None;
        group.bench_function(name, |bencher| {
            // Made when the filter has let it through, and kept through warm-up and samples.
            let traffic = traffic.get_or_insert_with(|| warm(load));
            bencher.iter_custom(|packets| timed(traffic, packets, sides));
        });
    }
    group.finish();
}

/// A pair that has come into its stride.
fn warm(load: Load) -> Traffic {
    let mut traffic = Traffic::new(load);
    traffic.send(20_000);
    traffic
}

/// The time that the workers of `sides` take for so many packets.
fn timed(traffic: &mut Traffic, packets: u64, sides: &[usize]) -> Duration {
    let mut spent = Duration::ZERO;
    let sent = traffic.send_metered(packets, &mut |side, worker| {
        if !sides.contains(&side) {
            return worker.round();
        }
        let begin = Instant::now();
        let busy = worker.round();
        spent += begin.elapsed();
        busy
    });
    // Whole bursts were sent.
    spent.mul_f64(packets as f64 / sent as f64)
}

criterion_group! {
    name = stages;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(30)
        .nresamples(10_000);
    targets = parse, icrc_verify, icrc_update, gateway
}
criterion_main!(stages);
