//! What packet memory promises. Small enough to run under miri.

use std::rc::Rc;

use super::{Lent, Pool, PoolError, PoolSettings};

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

/// A pool of buffers 2048 bytes apart, and a lender of it.
fn lender(buffers: u32) -> (Rc<Pool>, Lent) {
    let settings = PoolSettings { buffers, buffer_bytes: 1984, headroom: 128 };
    let pool = Rc::new(Pool::new(settings).expect("valid settings"));
    let lent = Lent::new(Rc::clone(&pool)).expect("a power of two");
    (pool, lent)
}

/// What a device does with a buffer it was lent.
fn write(lent: &Lent, addr: u64, bytes: &[u8]) {
    let (slab, len) = lent.region();
    assert!(addr as usize + bytes.len() <= len);
    // SAFETY: within the slab, in a buffer that is lent.
    unsafe {
        slab.as_ptr().add(addr as usize).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
    };
}

/// What a device reads of a frame it sends.
fn read(lent: &Lent, piece: &std::ops::Range<u64>) -> Vec<u8> {
    let (slab, len) = lent.region();
    assert!(piece.end as usize <= len);
    let (begin, count) = (piece.start as usize, (piece.end - piece.start) as usize);
    // SAFETY: within the slab, in a buffer that nobody writes to while it is sent.
    unsafe { std::slice::from_raw_parts(slab.as_ptr().add(begin), count) }.to_vec()
}

#[test]
fn a_lent_buffer_comes_back_as_a_packet() {
    let (pool, mut lent) = lender(4);
    let (first, second) = (lent.lend().unwrap(), lent.lend().unwrap());
    assert_eq!((first % 2048, second % 2048, lent.lent()), (0, 0, 2));
    let sent = bytes(2500);
    write(&lent, first + 320, &sent[..1700]);
    write(&lent, second + 320, &sent[1700..]);
    let mut packet = lent.returned(first + 320, 1700).unwrap();
    packet.join(lent.returned(second + 320, 800).unwrap());
    assert_eq!((packet.len(), packet.headroom(), packet.footprint()), (2500, 256, 4096));
    assert_eq!(packet.segments().flatten().copied().collect::<Vec<_>>(), sent);
    packet.prepend(2).unwrap().fill(9);
    packet.truncate(100);
    assert_eq!((pool.stats().in_use, lent.lent()), (1, 0));
    drop(packet);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn a_device_that_returns_what_it_was_not_lent_is_not_believed() {
    let (pool, mut lent) = lender(2);
    let mine = pool.alloc().unwrap();
    let addr = lent.lend().unwrap();
    assert!(lent.lend().is_none());
    for (wrong, len) in [(addr, 10), (addr + 63, 1), (addr + 64, 1985), (addr + 4096, 1)] {
        assert!(lent.returned(wrong, len).is_none(), "{wrong} {len}");
    }
    let other = if addr == 0 { 2048 } else { 0 };
    assert!(lent.returned(other + 64, 1).is_none() && lent.returned(u64::MAX, 1).is_none());
    assert!(!lent.sent(addr + 64) && !lent.sent(other + 64) && !lent.sent(u64::MAX));
    assert_eq!(lent.returned(addr + 64, 1984).unwrap().len(), 1984);
    assert!(lent.returned(addr + 64, 1).is_none());
    drop(mine);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn a_frame_being_sent_lives_until_its_last_segment_is() {
    let (pool, mut lent) = lender(6);
    let sent = bytes(4000);
    let frame = pool.copy(&sent).unwrap().freeze();
    let replay = frame.clone();
    let mut pieces = Vec::new();
    lent.send(frame, |piece| pieces.push(piece));
    assert_eq!(pieces.iter().flat_map(|p| read(&lent, p)).collect::<Vec<_>>(), sent);
    lent.send(replay.clone(), |_| ());
    assert_eq!((pieces.len(), lent.sending()), (3, 6));
    let replay = replay.try_unfreeze().expect_err("it is being sent");
    // Out of order, and the first sending mixed with the second.
    for piece in pieces.iter().rev().chain(&pieces) {
        assert_eq!(pool.stats().in_use, 3);
        assert!(lent.sent(piece.start));
    }
    assert!(!lent.sent(pieces[0].start));
    assert_eq!(replay.segments().flatten().copied().collect::<Vec<_>>(), sent);
    drop(replay.try_unfreeze().expect("nobody else has it"));
    assert_eq!((pool.stats().in_use, lent.sending()), (0, 0));
}

#[test]
fn everything_lent_can_be_recalled() {
    let (pool, mut lent) = lender(8);
    let frame = pool.copy(&bytes(4000)).unwrap().freeze();
    let replay = frame.clone();
    lent.send(frame, |_| ());
    lent.send(replay.clone(), |_| ());
    lent.send(pool.copy(b"one").unwrap().freeze(), |_| ());
    assert!(lent.lend().is_some() && lent.lend().is_some());
    assert_eq!((pool.stats().in_use, lent.sending(), lent.lent()), (6, 7, 2));
    lent.recall();
    assert_eq!((pool.stats().in_use, lent.sending(), lent.lent()), (3, 0, 0));
    assert_eq!(replay.len(), 4000);
    drop(replay);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn frames_of_other_pools_are_recognised_in_any_segment() {
    let (pool, lent) = lender(2);
    let (other, _) = lender(2);
    let mut mixed = pool.copy(&bytes(1800)).unwrap();
    assert!(mixed.append(&other, &bytes(1000)));
    assert!(!lent.owns(&mixed.freeze()));
    assert!(!lent.owns(&other.copy(b"x").unwrap().freeze()));
    assert!(lent.owns(&pool.copy(b"x").unwrap().freeze()));
    let odd = Pool::new(PoolSettings { buffers: 2, buffer_bytes: 2048, headroom: 0 }).unwrap();
    assert!(Lent::new(Rc::new(odd)).is_none());
}

#[test]
fn a_mark_stays_with_its_packet_and_no_longer() {
    let (pool, _) = lender(4);
    let mut packet = pool.copy(&bytes(3000)).unwrap();
    assert_eq!(packet.mark(), 0);
    packet.set_mark(4_096);
    assert!(packet.trim_front(10));
    let frame = packet.freeze();
    let copy = frame.clone();
    drop(frame);
    assert_eq!((copy.mark(), copy.len()), (4_096, 2_990));
    assert_eq!(copy.try_unfreeze().expect("nobody else has it").mark(), 4_096);
    // All buffers, so the one that was marked too.
    let again: Vec<_> = (0..4).map(|_| pool.copy(b"x").unwrap()).collect();
    assert!(again.iter().all(|packet| packet.mark() == 0));
}
