//! Nanoseconds of one packet in the flow table, at 1 k, 100 k and 1 M subflows.
//!
//! `cargo bench -p compute-gateway-benches --bench flows`. Packets are made outside of what is
//! timed; both tables, of subflows and of flows, count each, but a miss is looked for in one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::flows::{Load, Operation, operate};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn flows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flows");
    group.throughput(Throughput::Elements(1));
    for (name, operation) in Operation::ALL {
        for (size, entries) in [("1k", 1_000), ("100k", 100_000), ("1M", 1_000_000)] {
            let mut load = None;
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                // Made when the filter has let it through, and kept through warm-up and samples.
                let load = load.get_or_insert_with(|| Load::new(operation, entries));
                bencher.iter_custom(|packets| timed(load, packets));
            });
        }
    }
    group.finish();
}

/// The time that so many packets take.
fn timed(load: &mut Load, packets: u64) -> Duration {
    let (mut spent, mut left) = (Duration::ZERO, packets);
    while left > 0 {
        left -= load.prepare(usize::try_from(left).unwrap_or(usize::MAX)) as u64;
        let begin = Instant::now();
        load.run(|flows, operation, sight, now| {
            black_box(operate(flows, operation, sight, now));
        });
        spent += begin.elapsed();
    }
    spent
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
        .sample_size(20)
        .nresamples(10_000);
    targets = flows
}
criterion_main!(benches);
