//! How fast packets are handed over: not run by itself, since it proves nothing on a busy machine.
//!
//! `cargo test --release -p compute-gateway-dataplane --lib handover::speed -- --ignored --nocapture`

use std::time::Instant;

use super::{Settings, ring};
use crate::memory::{Pool, PoolSettings};
use crate::port::BURST;

const PACKETS: usize = 2_000_000;

fn pool() -> Pool {
    let settings = PoolSettings { buffers: 64, buffer_bytes: 2_048, headroom: 128 };
    Pool::new(settings).expect("valid")
}

/// Hands over packets of `len` bytes between two threads, in bursts; returns how many arrived.
fn across(len: usize) -> usize {
    let (mut to, mut from) = ring::ring(Settings::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let packet = pool().copy(&vec![7; len]).expect("buffers");
            let mut left = PACKETS;
            while left > 0 {
                let pushed = (0..BURST.min(left)).take_while(|_| to.push(&packet).is_ok()).count();
                to.publish();
                left -= pushed;
                if pushed == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let pool = pool();
        let mut arrived = 0;
        while arrived < PACKETS {
            let popped = (0..BURST).map_while(|_| from.pop(&pool)).count();
            from.give_back();
            arrived += popped;
            if popped == 0 {
                std::thread::yield_now();
            }
        }
        arrived + from.waiting()
    })
}

/// The same on one thread: both copies, without what the other processor's cache costs.
fn within(len: usize) -> usize {
    let (mut to, mut from) = ring::ring(Settings::default());
    let pool = pool();
    let packet = pool.copy(&vec![7; len]).expect("buffers");
    let mut arrived = 0;
    for _ in 0..PACKETS / BURST {
        (0..BURST).for_each(|_| to.push(&packet).expect("room"));
        to.publish();
        arrived += (0..BURST).map_while(|_| from.pop(&pool)).count();
        from.give_back();
    }
    arrived
}

#[test]
#[ignore = "a measurement"]
fn packets_handed_over_a_second() {
    for len in [64, 1_100, 4_200] {
        for (name, run) in [("two threads", across as fn(usize) -> usize), ("one thread", within)] {
            let begin = Instant::now();
            let arrived = run(len);
            let rate = arrived as f64 / begin.elapsed().as_secs_f64() / 1e6;
            println!("{len:>5} bytes, {name}: {rate:.2} million packets a second");
            assert_eq!(arrived, PACKETS);
        }
    }
}
