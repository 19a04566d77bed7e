use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Ends, HandoverError, Settings, Steered, mesh, ring};
use crate::drops::DropReason;
use crate::memory::{Packet, Pool, PoolSettings};
use crate::port::{Burst, Port, TxQueue, ring as memory};
use crate::time::Time;

/// Small buffers: a packet lies in several.
fn pool(buffers: u32) -> Rc<Pool> {
    let settings = PoolSettings { buffers, buffer_bytes: 256, headroom: 64 };
    Rc::new(Pool::new(settings).expect("valid"))
}

fn bytes(packet: &Packet) -> Vec<u8> {
    packet.segments().flatten().copied().collect()
}

const SMALL: Settings = Settings { slots: 4, slot_bytes: 1_000 };

#[test]
fn a_packet_arrives_whole_once_published() {
    let (mut to, mut from) = ring::ring(SMALL);
    let (ours, theirs) = (pool(16), pool(16));
    // Many times around the ring; lengths below, at and above a segment, and none.
    for round in 0..20 {
        let long: Vec<u8> = (0..[0, 1, 191, 192, 193, 1_000][round % 6]).map(|i| i as u8).collect();
        to.push(&ours.copy(&long).expect("buffers")).expect("room");
        assert!(from.pop(&theirs).is_none(), "not published");
        to.publish();
        assert_eq!(from.waiting(), 1);
        let packet = from.pop(&theirs).expect("published");
        assert_eq!((bytes(&packet), packet.headroom(), from.waiting()), (long, 64, 0));
        from.give_back();
    }
    assert_eq!((ours.stats().in_use, theirs.stats().in_use), (0, 0));
}

#[test]
fn a_full_ring_and_a_packet_too_long_are_refused_with_their_reasons() {
    let (mut to, mut from) = ring::ring(SMALL);
    let pool = pool(16);
    let packet = |byte| pool.copy(&[byte]).expect("buffers");
    assert_eq!(
        to.push(&pool.copy(&[0; 1_001]).expect("buffers")),
        Err(DropReason::HandoverOversize)
    );
    for byte in 0..4 {
        assert_eq!(to.push(&packet(byte)), Ok(()));
    }
    to.publish();
    assert_eq!(to.push(&packet(4)), Err(DropReason::HandoverFull));
    assert_eq!(from.pop(&pool).expect("published").head(), [0]);
    assert_eq!(to.push(&packet(5)), Err(DropReason::HandoverFull), "not given back");
    from.give_back();
    assert_eq!(to.push(&packet(6)), Ok(()));
    to.publish();
    let rest: Vec<u8> = std::iter::from_fn(|| from.pop(&pool)).map(|p| p.head()[0]).collect();
    assert_eq!(rest, [1, 2, 3, 6]);
}

#[test]
fn what_finds_no_buffer_waits_in_its_ring() {
    let (mut to, mut from) = ring::ring(SMALL);
    let (ours, theirs) = (pool(16), pool(2));
    to.push(&ours.copy(&[7; 300]).expect("buffers")).expect("room");
    to.publish();
    let held = theirs.alloc().expect("a buffer");
    assert!(from.pop(&theirs).is_none());
    assert_eq!((from.waiting(), theirs.stats().exhausted, theirs.stats().in_use), (1, 1, 1));
    drop(held);
    assert_eq!(bytes(&from.pop(&theirs).expect("buffers now")), [7; 300]);
}

#[test]
fn what_cannot_work_is_refused() {
    let cut = |slots, slot_bytes| mesh(2, Settings { slots, slot_bytes }).err();
    for slots in [0, 1, 3, 131_072] {
        assert_eq!(cut(slots, 1_000), Some(HandoverError::Slots(slots)));
    }
    for slot_bytes in [63, 65_537] {
        assert_eq!(cut(4, slot_bytes), Some(HandoverError::SlotBytes(slot_bytes)));
    }
    let ends = mesh(2, SMALL).expect("valid").remove(0);
    let port = Steered::new(memory::pair(4).0, |_: &[u8]| None, ends, pool(4));
    let error = HandoverError::Pool { slot_bytes: 1_000, pool_bytes: 960 };
    assert_eq!(port.err(), Some(error));
}

/// The first byte of a packet names its owner, 255 nobody.
fn by_first_byte(head: &[u8]) -> Option<usize> {
    head.first().map(|&byte| usize::from(byte)).filter(|&worker| worker < 255)
}

#[test]
fn own_packets_keep_their_order_and_others_go_to_their_owners() {
    let mut ends = mesh(3, SMALL).expect("valid").into_iter();
    let mut make = || {
        let (port, peer) = memory::pair(64);
        let pool = pool(64);
        let ends = ends.next().expect("three");
        let port = Steered::new(port, by_first_byte, ends, Rc::clone(&pool)).expect("valid");
        (port, peer, pool)
    };
    let (mut zero, zero_peer, zero_pool) = make();
    let (mut one, _, one_pool) = make();
    let (mut two, ..) = make();
    // Owner and number; 9 is no worker, 255 nobody. Five for worker 1, whose ring takes four.
    let arriving =
        [[0, 0], [1, 1], [9, 2], [1, 3], [2, 4], [255, 5], [1, 6], [1, 7], [1, 8], [0, 9]];
    for packet in arriving {
        zero_peer.inject(zero_pool.copy(&packet).expect("buffers")).expect("room");
    }
    let receive = |port: &mut dyn Port| {
        let mut burst = Burst::new();
        let count = port.receive(Time::ZERO, &mut burst);
        assert_eq!(count, burst.len());
        burst.iter().map(|packet| packet.head()[1]).collect::<Vec<_>>()
    };
    assert_eq!(receive(&mut zero), [0, 2, 5, 9]);
    assert_eq!((one.waiting(), two.waiting()), (4, 1));
    assert_eq!(receive(&mut one), [1, 3, 6, 7]);
    assert_eq!(receive(&mut two), [4]);
    assert_eq!(receive(&mut two), []);

    let counters = zero.view().get().clone();
    assert_eq!((counters.handed_over, counters.taken_over), (vec![0, 4, 1], 0));
    assert_eq!(counters.drops.seen().collect::<Vec<_>>(), [(DropReason::HandoverFull, 1)]);
    assert_eq!((one.view().get().taken_over, one.view().get().drops.total()), (4, 0));
    assert_eq!(zero.counters().rx_packets, 10);
    assert_eq!((zero_pool.stats().in_use, one_pool.stats().in_use), (0, 0));
    // Sending is the inner port's.
    let mut queue = TxQueue::new(1);
    assert!(queue.push(zero_pool.copy(b"out").expect("buffers").freeze()).is_ok());
    assert_eq!(zero.transmit(Time::ZERO, &mut queue), 1);
    assert_eq!(zero_peer.take().expect("sent").head(), b"out");
}

#[test]
fn neither_a_busy_port_nor_a_busy_ring_starves_the_others() {
    let mut ends = mesh(3, Settings { slots: 64, ..SMALL }).expect("valid").into_iter();
    let pool = pool(512);
    let mut port = |_| {
        let (port, peer) = memory::pair(256);
        let ends = ends.next().expect("three");
        (Steered::new(port, by_first_byte, ends, Rc::clone(&pool)).expect("valid"), peer)
    };
    let mut workers: Vec<_> = (0..3).map(&mut port).collect();
    for (from, (_, peer)) in workers.iter().enumerate() {
        for _ in 0..64 {
            peer.inject(pool.copy(&[0, from as u8]).expect("buffers")).expect("room");
        }
    }
    let mut burst = Burst::new();
    for _ in 0..2 {
        assert_eq!(workers[1].0.receive(Time::ZERO, &mut burst), 0);
        assert_eq!(workers[2].0.receive(Time::ZERO, &mut burst), 0);
    }
    let mut seen = [0; 3];
    for _ in 0..2 {
        workers[0].0.receive(Time::ZERO, &mut burst);
        burst.drain(..).for_each(|packet| seen[usize::from(packet.head()[1])] += 1);
    }
    assert_eq!(seen, [32, 16, 16]);
}

/// What the workers of a threaded test share: who has received how many.
struct Shared {
    workers: usize,
    streams: usize,
    /// Packets of each stream.
    packets: usize,
    /// Packets injected, and neither received nor dropped, by worker: at most `window`.
    on_the_way: Vec<AtomicUsize>,
    window: usize,
    finished: AtomicUsize,
    start: Barrier,
}

/// What a worker of a threaded test saw.
#[derive(Default)]
struct Seen {
    /// For each stream, the numbers in the order they came.
    numbers: Vec<Vec<usize>>,
    handed_over: u64,
    taken_over: u64,
    dropped: u64,
}

/// Length of packet `number`: up to five segments.
fn length(number: usize) -> usize {
    16 + number * 37 % if cfg!(miri) { 300 } else { 900 }
}

/// One worker: streams `stream % workers == worker` arrive at its port, and belong to worker
/// `stream / workers % workers`.
fn work(shared: &Shared, ends: Ends) -> Seen {
    let worker = ends.worker();
    let (port, peer) = memory::pair(64);
    let (arriving, pool) = (pool(1_024), pool(1_024));
    let mut port = Steered::new(port, by_first_byte, ends, Rc::clone(&pool)).expect("valid");
    let mut seen = Seen { numbers: vec![Vec::new(); shared.streams], ..Seen::default() };
    let mine = (worker..shared.streams).step_by(shared.workers);
    let mut to_send = (0..shared.packets).flat_map(|number| mine.clone().map(move |s| (number, s)));
    let mut burst = Burst::new();
    let mut dropped = 0;
    let mut sent_all = false;
    shared.start.wait();
    while shared.finished.load(Ordering::Acquire) < shared.workers || port.waiting() > 0 {
        while peer.waiting() < 32
            && shared.on_the_way[worker].load(Ordering::Acquire) < shared.window
        {
            let Some((number, stream)) = to_send.next() else { break };
            let mut packet = vec![number as u8; length(number)];
            packet[0] = (stream / shared.workers % shared.workers) as u8;
            packet[1..3].copy_from_slice(&[worker as u8, stream as u8]);
            packet[8..16].copy_from_slice(&(number as u64).to_be_bytes());
            peer.inject(arriving.copy(&packet).expect("buffers")).expect("room");
            shared.on_the_way[worker].fetch_add(1, Ordering::AcqRel);
        }
        let received = port.receive(Time::ZERO, &mut burst);
        let all = port.view().get().drops.total();
        shared.on_the_way[worker].fetch_sub((all - dropped) as usize, Ordering::AcqRel);
        dropped = all;
        for packet in burst.drain(..) {
            let head = packet.head();
            let number = u64::from_be_bytes(head[8..16].try_into().expect("eight")) as usize;
            assert_eq!(usize::from(head[0]), worker, "at its owner");
            let whole = bytes(&packet);
            assert!(
                whole.len() == length(number) && whole[16..].iter().all(|&b| b == number as u8)
            );
            seen.numbers[usize::from(head[2])].push(number);
            shared.on_the_way[usize::from(head[1])].fetch_sub(1, Ordering::AcqRel);
        }
        // Until all that came here is received somewhere, or dropped.
        let on_the_way = shared.on_the_way[worker].load(Ordering::Acquire);
        if !sent_all && on_the_way == 0 && to_send.clone().next().is_none() {
            sent_all = true;
            shared.finished.fetch_add(1, Ordering::AcqRel);
        }
        if received == 0 {
            thread::yield_now();
        }
    }
    let counters = port.view().get().clone();
    seen.handed_over = counters.handed_over.iter().sum();
    (seen.taken_over, seen.dropped) =
        (counters.taken_over, counters.drops.packets(DropReason::HandoverFull));
    assert_eq!(counters.drops.total(), seen.dropped, "for no other reason");
    drop(port);
    assert_eq!((arriving.stats().in_use, pool.stats().in_use), (0, 0));
    seen
}

/// Runs workers on threads of their own; returns what each stream's owner saw of it, in order, and
/// how many packets were dropped.
fn run(workers: usize, window: usize, settings: Settings) -> (Vec<Vec<usize>>, usize) {
    let shared = Shared {
        workers,
        streams: workers * workers * 2,
        packets: packets(),
        on_the_way: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
        window,
        finished: AtomicUsize::new(0),
        start: Barrier::new(workers),
    };
    let ends = mesh(workers, settings).expect("valid");
    let seen: Vec<Seen> = thread::scope(|scope| {
        let threads: Vec<_> = ends.into_iter().map(|e| scope.spawn(|| work(&shared, e))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let sum = |count: fn(&Seen) -> u64| seen.iter().map(count).sum::<u64>() as usize;
    assert_eq!(sum(|seen| seen.handed_over), sum(|seen| seen.taken_over));
    let dropped = sum(|seen| seen.dropped);
    let all = shared.streams * shared.packets;
    // Of the streams of each worker, so many are its own.
    assert_eq!(sum(|seen| seen.handed_over) + dropped, all - all / workers);
    let streams = (0..shared.streams)
        .map(|stream| seen.iter().flat_map(|seen| &seen.numbers[stream]).copied().collect());
    (streams.collect(), dropped)
}

/// Packets of a stream: few where every instruction is watched.
fn packets() -> usize {
    if cfg!(miri) { 4 } else { 5_000 }
}

#[test]
fn every_packet_arrives_once_in_order_at_its_owner() {
    for workers in [2, 4] {
        // No more on the way from a worker than a ring holds: nothing may be dropped.
        let settings = Settings { slots: 16, slot_bytes: 1_000 };
        let (streams, dropped) = run(workers, 16, settings);
        assert_eq!((streams.len(), dropped), (workers * workers * 2, 0));
        assert!(streams.iter().all(|numbers| numbers.iter().copied().eq(0..packets())));
    }
}

#[test]
fn what_a_full_ring_drops_is_counted_and_the_rest_in_order() {
    for workers in [2, 4] {
        let settings = Settings { slots: 2, slot_bytes: 1_000 };
        let (streams, dropped) = run(workers, 256, settings);
        let arrived: usize = streams.iter().map(Vec::len).sum();
        assert_eq!(arrived + dropped, streams.len() * packets());
        assert!(dropped > 0, "rings of two packets and bursts of up to 32");
        assert!(streams.iter().all(|numbers| numbers.is_sorted_by(|a, b| a < b)));
    }
}
