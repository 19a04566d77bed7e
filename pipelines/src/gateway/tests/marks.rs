//! Marks of congestion in queues that grow: who gets one, who never does, and that nothing else of a
//! packet changes.

use super::roce::{QPS, WRITE_ONLY, ack, roce, sealed, to};
use super::*;
use crate::checksum::{Sum, finish};
use crate::queueing::{Classes, Marking, Rate, TenantQueues, Thresholds};
use crate::tunnel::ecn;
use crate::wire::opcode::Opcode;
use crate::wire::packet::Parsed;

const ETHERNET: usize = 14;
const BTH_AT: usize = ETHERNET + 20 + 8;
/// What a WRITE of these tests takes in a queue.
const FRAME: u64 = (ETHERNET + 20 + 8 + 12 + 1_000 + 4) as u64;
/// From the 21st packet in a queue some are marked, from the 60th all.
const MARKING: Marking = Marking { min: 20 * FRAME + 1, max: 60 * FRAME, most: 500, notify: None };
const PACKETS: u32 = 100;

/// Queues of one tenant at site `slow`, that wait for a port towards the WAN, or towards the LAN.
fn up(numbering: Numbering, port: usize, marking: Option<Marking>) -> Bed {
    Bed::up(|settings| {
        settings.peers[0].numbering = numbering;
        let mut port_rates = vec![None; 2];
        port_rates[port] = Some(Rate { bits_per_second: 100_000_000, burst_bytes: 1 });
        let of = TenantQueues {
            weight: 1,
            rate: None,
            thresholds: TenantQueues::per_class(Thresholds::lossy(256), Thresholds::lossy(256), 2),
            marking,
        };
        settings.queues = Some(QueueSettings {
            classes: Classes::default(),
            pool_bytes: 1 << 24,
            packets: 1 << 12,
            port_rates,
            tenants: vec![of],
        });
    })
}

/// A WRITE with that ECN field.
fn marked(psn: u32, mark: u8) -> Vec<u8> {
    let mut frame = roce(0, WRITE_ONLY, psn, &[7; 1_000]);
    let ip = &mut frame[ETHERNET..ETHERNET + 20];
    ip[1] = 26 << 2 | mark;
    ip[10..12].fill(0);
    let sum = finish(Sum::of(ip));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    sealed(frame, ETHERNET)
}

/// Sends a burst of packets with that field; the fields they arrive with, everything else being as it
/// was sent, the header's checksum and the ICRC included.
fn fields(bed: &mut Bed, mark: u8) -> Vec<u8> {
    let now = bed.now;
    (0..PACKETS).for_each(|psn| bed.sides[0].receive(LAN, &marked(psn, mark), now));
    bed.run(40 * MILLISECOND, &mut perfect);
    let arrived = std::mem::take(&mut bed.sides[1].delivered);
    assert_eq!(arrived.len(), PACKETS as usize);
    let field = |(psn, frame): (usize, &Vec<u8>)| {
        let field = frame[ETHERNET + 1] & ecn::MASK;
        assert!(*frame == marked(psn as u32, field), "packet {psn}");
        field
    };
    arrived.iter().enumerate().map(field).collect()
}

fn counted(bed: &Bed, side: usize, direction: usize) -> u64 {
    bed.sides[side].gateway.queue_status(0, bed.now)[direction].marked
}

/// The port that is slow, and the site and way whose queue grows by it.
const WAYS: [(usize, usize, usize); 2] = [(1, 0, 0), (LAN, 1, 1)];
const NUMBERINGS: [Numbering; 2] = [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }];

#[test]
fn packets_that_can_be_told_are_told_the_likelier_the_longer_the_queue() {
    for (numbering, (port, side, direction)) in
        NUMBERINGS.map(|n| WAYS.map(|way| (n, way))).concat()
    {
        for mark in [ecn::ECT_0, ecn::ECT_1] {
            let mut bed = up(numbering, port, Some(MARKING));
            let fields = fields(&mut bed, mark);
            let ce = |range: std::ops::Range<usize>| {
                fields[range].iter().filter(|field| **field == ecn::CE).count()
            };
            assert_eq!(ce(0..20), 0, "{numbering:?} {direction}");
            // A quarter of those between, on the average.
            assert!((2..=20).contains(&ce(20..59)), "{numbering:?} {direction}: {fields:?}");
            // All, as long as they come faster than any leaves.
            assert_eq!(ce(70..100), 30, "{numbering:?} {direction}: {fields:?}");
            assert!(fields.iter().all(|field| [mark, ecn::CE].contains(field)));
            // Some wait before a port that is fast too, which takes 64 at a time.
            let each = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(side, way)| counted(&bed, side, way));
            let all = ce(0..100) as u64;
            assert_eq!(each.iter().sum::<u64>(), all, "{each:?}");
            assert!(counted(&bed, side, direction) * 10 >= all * 9, "{each:?}");
        }
    }
}

#[test]
fn a_packet_that_cannot_be_told_never_is_and_a_mark_stays() {
    for (port, side, direction) in WAYS {
        for mark in [ecn::NOT_ECT, ecn::CE] {
            let mut bed = up(Numbering::Tunnel, port, Some(MARKING));
            assert!(fields(&mut bed, mark).iter().all(|field| *field == mark));
            assert_eq!(counted(&bed, side, direction), 0);
        }
        let mut bed = up(Numbering::Tunnel, port, None);
        assert!(fields(&mut bed, ecn::ECT_0).iter().all(|field| *field == ecn::ECT_0));
    }
}

#[test]
fn signalling_is_never_marked() {
    let all = Marking { min: 0, max: 1, most: 1_000, notify: None };
    let mut bed = up(Numbering::Tunnel, 1, Some(all));
    let now = bed.now;
    // Queue pair 1 has management datagrams only.
    let frames = [to(1, marked(0, ecn::ECT_0)), marked(1, ecn::ECT_0)];
    frames.iter().for_each(|frame| bed.sides[0].receive(LAN, frame, now));
    bed.run(20 * MILLISECOND, &mut perfect);
    assert!(bed.sides[1].delivered == [frames[0].clone(), marked(1, ecn::CE)]);
    assert_eq!(counted(&bed, 0, 0), 1);
}

#[test]
fn the_header_around_a_marked_packet_says_so_too_unless_it_may_not() {
    let all = Marking { min: 0, max: 1, most: 1_000, notify: None };
    for (ecn_on, outer) in [(true, ecn::CE), (false, ecn::NOT_ECT)] {
        let mut bed = Bed::up(|settings| {
            settings.ecn = ecn_on;
            let of = TenantQueues {
                weight: 1,
                rate: None,
                thresholds: TenantQueues::per_class(
                    Thresholds::lossy(256),
                    Thresholds::lossy(256),
                    2,
                ),
                marking: Some(all),
            };
            settings.queues = Some(QueueSettings {
                classes: Classes::default(),
                pool_bytes: 1 << 24,
                packets: 1 << 12,
                port_rates: vec![],
                tenants: vec![of],
            });
        });
        let now = bed.now;
        bed.sides[0].receive(LAN, &marked(0, ecn::ECT_0), now);
        let mut seen = 0;
        bed.run(20 * MILLISECOND, &mut |from, frame| {
            if frame.len() > 1_000 {
                let tos = ecn::tos(&frame[ETHERNET..]).expect("an IP packet");
                assert_eq!(tos & ecn::MASK, outer, "ecn {ecn_on}");
                seen += 1;
            }
            perfect(from, frame)
        });
        assert_eq!(seen, 1);
        assert!(bed.sides[1].delivered == [marked(0, ecn::CE)]);
    }
}

fn notified(bed: &Bed) -> u64 {
    bed.sides[0].gateway.queue_status(0, bed.now)[0].notified
}

/// The queue pairs of site A's host that were notified.
fn notices(bed: &mut Bed) -> Vec<u32> {
    let delivered = std::mem::take(&mut bed.sides[0].delivered);
    let cnps = delivered.iter().filter(|frame| frame[BTH_AT] == Opcode::CNP.0);
    let qp = |frame: &Vec<u8>| {
        assert_eq!(frame[30..34], [10, 0, 0, 1], "to the sender");
        let parsed = Parsed::of(frame, frame.len());
        assert_eq!(parsed.icrc_is_right([&frame[..]]), Some(true));
        u32::from_be_bytes([0, frame[BTH_AT + 5], frame[BTH_AT + 6], frame[BTH_AT + 7]])
    };
    cnps.map(qp).collect()
}

#[test]
fn senders_that_are_known_are_notified_rather_than_marked() {
    for numbering in [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }] {
        let notify = Some(MILLISECOND);
        let mut bed = up(numbering, 1, Some(Marking { notify, ..MARKING }));
        // Nobody knows whose these are yet: they are marked.
        let before = fields(&mut bed, ecn::ECT_0);
        assert!(before.contains(&ecn::CE));
        assert_eq!((notices(&mut bed), notified(&bed)), (vec![], 0));
        // An answer says it: from now on the sender is told, once a millisecond at most.
        let now = bed.now;
        bed.sides[1].receive(LAN, &ack(PACKETS - 1), now);
        bed.run(20 * MILLISECOND, &mut perfect);
        bed.sides[0].delivered.clear();
        let marked_before = counted(&bed, 0, 0);
        let now = bed.now;
        let frames = (PACKETS..2 * PACKETS).map(|psn| marked(psn, ecn::ECT_0));
        frames.for_each(|frame| bed.sides[0].receive(LAN, &frame, now));
        bed.run(40 * MILLISECOND, &mut perfect);
        assert_eq!(counted(&bed, 0, 0), marked_before, "nothing is marked besides");
        assert_eq!((notices(&mut bed), notified(&bed)), (vec![QPS[0]], 1));
    }
}
