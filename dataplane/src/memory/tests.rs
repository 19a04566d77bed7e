//! What packet memory promises. Small enough to run under miri.

use super::{Pool, PoolError, PoolSettings};

fn pool(buffers: u32) -> Pool {
    Pool::new(PoolSettings { buffers, buffer_bytes: 256, headroom: 64 }).expect("valid settings")
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 256) as u8).collect()
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let settings = PoolSettings { buffers: 1, buffer_bytes: 2048, headroom: 128 };
    assert_eq!(Pool::new(PoolSettings { buffers: 0, ..settings }).err(), Some(PoolError::Empty));
    assert_eq!(
        Pool::new(PoolSettings { buffer_bytes: 100, ..settings }).err(),
        Some(PoolError::BufferSize(100))
    );
    assert_eq!(
        Pool::new(PoolSettings { headroom: 2000, ..settings }).err(),
        Some(PoolError::Headroom { headroom: 2000, buffer_bytes: 2048 })
    );
    let endless = PoolSettings { headroom: u32::MAX, ..settings };
    assert!(matches!(Pool::new(endless), Err(PoolError::Headroom { .. })));
}

#[test]
fn exhaustion_is_counted_and_passes() {
    let pool = pool(2);
    let (a, b) = (pool.alloc().unwrap(), pool.alloc().unwrap());
    assert!(pool.alloc().is_none());
    assert_eq!(pool.stats().exhausted, 1);
    drop(a);
    assert!(pool.alloc().is_some());
    drop(b);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.high_water, stats.capacity), (0, 2, 2));
}

#[test]
fn a_jumbo_packet_lies_in_segments_and_reads_back() {
    let pool = pool(8);
    let sent = bytes(900);
    let packet = pool.copy(&sent).unwrap();
    assert_eq!(packet.len(), 900);
    assert_eq!(packet.head().len(), 192);
    assert_eq!(packet.segments().count(), 4);
    assert_eq!(packet.segments().flatten().copied().collect::<Vec<_>>(), sent);
    assert_eq!(packet.footprint(), 4 * (64 + 256));
    assert_eq!(pool.stats().in_use, 4);
    drop(packet);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn a_copy_that_does_not_fit_leaves_nothing_taken() {
    let pool = pool(3);
    assert!(pool.copy(&bytes(900)).is_none());
    assert_eq!((pool.stats().in_use, pool.stats().exhausted), (0, 1));
}

#[test]
fn headers_go_on_and_come_off() {
    let pool = pool(1);
    let mut packet = pool.copy(b"payload").unwrap();
    assert!(packet.prepend(65).is_none());
    assert_eq!((packet.len(), packet.headroom()), (7, 64));
    packet.prepend(4).unwrap().copy_from_slice(b"head");
    assert_eq!(packet.head(), b"headpayload");
    assert!(!packet.trim_front(12));
    assert!(packet.trim_front(4));
    assert_eq!(packet.head(), b"payload");
    assert!(packet.prepend(usize::MAX).is_none());
}

#[test]
fn truncation_returns_whole_segments() {
    for len in 0..=901 {
        let pool = pool(4);
        let sent = bytes(900);
        let mut packet = pool.copy(&sent).unwrap();
        packet.truncate(len);
        let left = len.min(900);
        assert_eq!(packet.len(), left);
        assert_eq!(packet.segments().flatten().copied().collect::<Vec<_>>(), sent[..left]);
        assert_eq!(pool.stats().in_use as usize, packet.segments().count());
        assert_eq!(packet.footprint(), packet.segments().count() * 320);
    }
}

#[test]
fn a_packet_grows_again_after_truncation() {
    let pool = pool(4);
    let mut packet = pool.copy(&bytes(500)).unwrap();
    packet.truncate(100);
    assert!(packet.append(&pool, &bytes(400)));
    let expected: Vec<u8> = bytes(100).into_iter().chain(bytes(400)).collect();
    assert_eq!(packet.segments().flatten().copied().collect::<Vec<_>>(), expected);
}

#[test]
fn a_frame_is_shared_and_writable_again_when_alone() {
    let pool = pool(4);
    let frame = pool.copy(&bytes(300)).unwrap().freeze();
    let replay = frame.clone();
    let frame = frame.try_unfreeze().expect_err("another reference lives");
    assert_eq!(frame.head(), replay.head());
    drop(frame);
    let mut packet = replay.try_unfreeze().expect("the last reference");
    packet.head_mut()[0] = 0xff;
    assert_eq!(packet.head()[0], 0xff);
    drop(packet);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn packets_outlive_their_pool() {
    let pool = pool(4);
    let sent = bytes(300);
    let frame = pool.copy(&sent).unwrap().freeze();
    let other = frame.clone();
    drop(pool);
    assert_eq!(frame.segments().flatten().copied().collect::<Vec<_>>(), sent);
    drop(frame);
    assert_eq!(other.len(), 300);
}
