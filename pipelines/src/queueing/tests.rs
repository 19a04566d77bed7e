//! Who is served, how much and in which order.

mod buffer;
mod properties;
mod rates;

use dataplane::time::{SECOND, Time};

use super::*;

/// A pool that nobody fills here.
const PLENTY: u64 = 1 << 32;
/// As much as is free of it.
const ALL: u32 = 256;

/// Queues of these tenants before a port of any speed.
fn settings(tenants: Vec<TenantQueues>) -> QueuesSettings {
    QueuesSettings {
        pool_bytes: PLENTY,
        packets: 1 << 16,
        port: None,
        overhead: 0,
        quantum: QueuesSettings::QUANTUM,
        tenants,
    }
}

fn tenant(weight: u16, rate: Option<Rate>) -> TenantQueues {
    TenantQueues { weight, rate, thresholds: [Thresholds::lossy(ALL); CLASSES], marking: None }
}

fn queues(tenants: Vec<TenantQueues>) -> Queues<u32> {
    Queues::new(&settings(tenants), Time::ZERO).expect("a large pool")
}

fn put(queues: &mut Queues<u32>, tenant: u16, class: Class, item: u32, bytes: u32) {
    let put = queues.enqueue(tenant, class, item, bytes, Time::ZERO);
    assert_eq!(put, Enqueued::Accepted(None));
}

/// What leaves at `now`.
fn drain(queues: &mut Queues<u32>, now: Time) -> Vec<u32> {
    std::iter::from_fn(|| queues.dequeue(now)).map(|of| of.item).collect()
}

#[test]
fn signalling_leaves_first_then_a_tenants_latency_then_its_bulk() {
    let mut queues = queues(vec![tenant(1, None), tenant(1, None)]);
    put(&mut queues, 0, Class::BULK, 1, 9_000);
    put(&mut queues, 1, Class::BULK, 2, 9_000);
    put(&mut queues, 1, Class::LATENCY, 3, 9_000);
    put(&mut queues, 1, Class::SIGNALLING, 4, 64);
    put(&mut queues, 0, Class::SIGNALLING, 5, 64);
    assert_eq!(drain(&mut queues, Time::ZERO), [4, 5, 1, 3, 2]);
    assert!(queues.is_empty() && queues.bytes() == (0, 27_128));
}

#[test]
fn a_queue_is_first_in_first_out() {
    let mut queues = queues(vec![tenant(1, None)]);
    (0..1_000).for_each(|item| put(&mut queues, 0, Class::BULK, item, 64 + item % 9_000));
    assert_eq!(drain(&mut queues, Time::ZERO), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn weights_1_2_4_8_get_their_parts_within_3_percent() {
    // Frames of different lengths, which must not matter.
    let lengths = [9_000, 64, 1_500, 4_170];
    let mut queues = queues([1, 2, 4, 8].map(|weight| tenant(weight, None)).into());
    for (number, bytes) in lengths.into_iter().enumerate() {
        for _ in 0..8 {
            put(&mut queues, number as u16, Class::BULK, bytes, bytes);
        }
    }
    let mut sent = [0u64; 4];
    for _ in 0..400_000 {
        let of = queues.dequeue(Time::ZERO).expect("everybody always has something");
        sent[usize::from(of.tenant)] += u64::from(of.bytes);
        put(&mut queues, of.tenant, of.class, of.item, of.bytes);
    }
    let part = sent.iter().sum::<u64>() / 15;
    for (bytes, weight) in sent.into_iter().zip([1u64, 2, 4, 8]) {
        assert!(bytes.abs_diff(part * weight) * 100 <= 3 * part * weight, "{sent:?}");
    }
}

#[test]
fn who_has_nothing_to_send_leaves_the_port_to_others() {
    let mut queues = queues(vec![tenant(1, None), tenant(1_000, None)]);
    (0..100).for_each(|item| put(&mut queues, 0, Class::BULK, item, 9_000));
    assert_eq!(drain(&mut queues, Time::ZERO).len(), 100);
    assert_eq!(queues.next_ready(Time::ZERO), None);
}

#[test]
fn a_paused_queue_stops_alone_and_goes_on_where_it_was() {
    let mut queues = queues(vec![tenant(1, None), tenant(1, None)]);
    for item in 0..4 {
        put(&mut queues, 0, Class::BULK, item, 100);
        put(&mut queues, 0, Class::LATENCY, 10 + item, 100);
        put(&mut queues, 1, Class::BULK, 20 + item, 9_000);
    }
    queues.pause(0, Class::BULK);
    put(&mut queues, 0, Class::BULK, 4, 100);
    let left = drain(&mut queues, Time::ZERO);
    assert_eq!(left, [10, 11, 12, 13, 20, 21, 22, 23]);
    assert_eq!((queues.len(), queues.next_ready(Time::ZERO)), (5, None));
    assert!(queues.is_paused(0, Class::BULK) && !queues.is_paused(1, Class::BULK));
    queues.resume(0, Class::BULK);
    assert_eq!(queues.next_ready(Time(7)), Some(Time(7)));
    assert_eq!(drain(&mut queues, Time::ZERO), [0, 1, 2, 3, 4]);
    // Twice does not hurt, nor does an empty queue.
    queues.resume(0, Class::BULK);
    assert_eq!(drain(&mut queues, Time::ZERO), []);
}

#[test]
fn an_unknown_tenant_has_what_is_nobody_elses() {
    let mut queues = queues(vec![tenant(1, None), tenant(1, None)]);
    put(&mut queues, 4_095, Class::BULK, 7, 100);
    assert_eq!(queues.level(0, Class::BULK, Time::ZERO).bytes, 100);
    assert_eq!(queues.dequeue(Time::ZERO).map(|of| (of.tenant, of.item)), Some((0, 7)));
}

#[test]
fn packets_are_bounded_and_what_does_not_fit_comes_back() {
    let of = QueuesSettings { packets: 2, ..settings(vec![tenant(1, None)]) };
    let mut queues = Queues::new(&of, Time::ZERO).expect("a large pool");
    put(&mut queues, 0, Class::BULK, 1, 100);
    put(&mut queues, 0, Class::SIGNALLING, 2, 100);
    let refused = queues.enqueue(0, Class::BULK, 3, 100, Time::ZERO);
    assert_eq!(refused, Enqueued::Refused(Refusal::Packets, 3));
    assert_eq!((queues.len(), queues.bytes().0), (2, 200));
    assert_eq!(drain(&mut queues, Time::ZERO), [2, 1]);
}

#[test]
fn a_queue_says_stop_and_go_on() {
    let lossless =
        Thresholds { reserved: 1_000, alpha: ALL, headroom: 2_000, xoff: 3_000, xon: 1_000 };
    let mut one = tenant(1, None);
    one.thresholds[Class::BULK.index()] = lossless;
    let mut queues = queues(vec![one]);
    put(&mut queues, 0, Class::BULK, 1, 2_000);
    let crossing = queues.enqueue(0, Class::BULK, 2, 1_000, Time(5));
    assert_eq!(crossing, Enqueued::Accepted(Some(Crossing::Xoff)));
    assert_eq!(queues.dequeue(Time(9)).and_then(|of| of.crossing), Some(Crossing::Xon));
    let level = queues.level(0, Class::BULK, Time(100));
    assert_eq!((level.stops, level.stopped_for, level.high_water), (1, 4, 3_000));
}

#[test]
fn everything_can_be_let_go_of() {
    let slow = Rate { bits_per_second: Rate::SLOWEST, burst_bytes: 1 };
    let mut queues = queues(vec![tenant(1, Some(slow)), tenant(1, None)]);
    for item in 0..10 {
        put(&mut queues, (item % 2) as u16, Class::BULK, item, 100);
    }
    assert!(queues.dequeue(Time::ZERO).is_some());
    let mut gone = Vec::new();
    queues.clear(Time::ZERO, |item| gone.push(item));
    assert_eq!((gone.len(), queues.len(), queues.bytes().0), (9, 0, 0));
    assert_eq!(drain(&mut queues, Time(SECOND)), []);
    put(&mut queues, 0, Class::BULK, 70, 100);
    assert_eq!(drain(&mut queues, Time(2 * SECOND)), [70]);
}
