//! Nanoseconds of one packet into its tenant's queue and one out, among 1, 64 and 4,096 tenants that
//! all have something to send.
//!
//! `cargo bench -p compute-gateway-benches --bench queues`.

use std::hint::black_box;
use std::time::Duration;

use benches::queues::Load;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queues");
    group.throughput(Throughput::Elements(1));
    for (name, shaped) in [("in and out", false), ("in and out, shaped", true)] {
        for tenants in [1, 64, 4_096] {
            let mut load = Load::new(tenants, shaped);
            group.bench_function(BenchmarkId::new(name, tenants), |bencher| {
                bencher.iter(|| black_box(load.turn()));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
        .sample_size(20)
        .nresamples(10_000);
    targets = queues
}
criterion_main!(benches);
