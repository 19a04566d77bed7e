//! Paths with SRv6: what crosses, and what does not get in.

use std::net::{IpAddr, Ipv6Addr};

use super::roce::{WRITE_ONLY, roce, sealed};
use super::*;
use crate::checksum::{Sum, finish};
use crate::tunnel::ecn;
use crate::wire::srv6::visit;

const ETHERNET: usize = 14;
/// Segments on the way, whoever they belong to.
const WAY: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 2),
];

fn sid(site: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, site.into(), 0, 0, 0, 0, 0xd46)
}

/// Our number and the peer's: the last bytes of all addresses.
fn sites(settings: &Settings) -> (u8, u8) {
    let own = settings.ports[WAN].mac[5];
    (own, 3 - own)
}

/// Segments to the peer's SID, by way of so many others.
fn by_way_of(settings: &Settings, others: usize, reduced: bool) -> Encapsulation {
    let mut list = WAY[..others].to_vec();
    list.push(sid(sites(settings).1));
    Encapsulation::Srv6(Segments { list, reduced })
}

/// All paths have SRv6.
fn over(others: usize, reduced: bool, v6: bool) -> impl Fn(&mut Settings) {
    move |settings| {
        let (own, peer) = sites(settings);
        settings.sid = Some(sid(own));
        if v6 {
            let address =
                |site| IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, site]);
            (settings.address, settings.peers[0].address) = (address(own), address(peer));
        }
        let encapsulation = by_way_of(settings, others, reduced);
        settings.peers[0].paths[0].encapsulation = encapsulation;
    }
}

/// Lets a frame visit its segments, as the network between the gateways does.
fn travelled(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    while visit(&mut frame[ETHERNET..]) {}
    frame
}

/// Loses every `nth` frame; the others visit their segments.
fn travels(nth: u64) -> impl FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    let mut number = 0;
    move |_, frame| {
        number += 1;
        if number % nth == 0 { vec![] } else { vec![(DELAY, travelled(frame))] }
    }
}

fn up(change: impl Fn(&mut Settings)) -> Bed {
    let mut bed = Bed::new(change);
    bed.run(300 * MILLISECOND, &mut travels(u64::MAX));
    assert!(bed.sides.iter().all(|side| side.gateway.established(bed.now)));
    bed
}

/// Frames of all lengths, sent from both sides.
fn send_many(bed: &mut Bed) {
    for number in 0..200 {
        bed.send(0, 1, number, 18 + number as usize * 5);
        bed.send(1, 2, number, 700);
    }
}

fn assert_whole(bed: &mut Bed) {
    let sent: Vec<_> = (0..200).map(|number| frame(1, number, 18 + number as usize * 5)).collect();
    assert!(bed.sides[1].delivered == sent);
    assert_eq!(numbers(bed, 0, 2), (0..200).collect::<Vec<_>>());
    for side in 0..2 {
        let Counters { gave_up, unprotected, drops, .. } = bed.counters(side);
        assert_eq!((*gave_up, *unprotected), (0, 0));
        let only_copies = drops.seen().all(|(reason, _)| reason == DropReason::WanDuplicate);
        assert!(only_copies, "{:?}", drops.seen().collect::<Vec<_>>());
    }
    bed.assert_no_leak();
}

#[test]
fn what_crosses_srv6_under_loss_is_what_crosses_without() {
    for v6 in [false, true] {
        for (others, reduced) in [(0, false), (0, true), (2, false), (2, true)] {
            let mut bed = up(over(others, reduced, v6));
            send_many(&mut bed);
            let mut lossy = travels(20);
            let mut seen = 0;
            let first = if others > 0 { WAY[0].octets() } else { sid(2).octets() };
            bed.run(400 * MILLISECOND, &mut |number, frame| {
                if frame[5] == 2 {
                    assert_eq!((&frame[12..14], &frame[38..54]), (&[0x86, 0xdd][..], &first[..]));
                    assert_eq!(frame[20] == 43, others > 0 || !reduced, "next header");
                    seen += 1;
                }
                lossy(number, frame)
            });
            assert!(seen > 200 && bed.counters(0).resent.packets > 0);
            assert_whole(&mut bed);
        }
    }
}

#[test]
fn what_is_sent_again_by_another_path_has_that_ones_encapsulation() {
    // A path of UDP that loses all data once, and one of SRv6; then the other way round.
    for udp_fails in [true, false] {
        let mut bed = up(|settings| {
            over(1, false, false)(settings);
            let own = settings.ports[WAN].mac;
            let second = |mac: Mac| [mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] | 0x20];
            settings.ports.push(PortSettings { mac: second(own), ..settings.ports[WAN].clone() });
            let paths = &mut settings.peers[0].paths;
            let NextHop::Mac(next) = paths[0].next_hop else { panic!() };
            let next_hop = NextHop::Mac(second(next));
            let encapsulation = Encapsulation::Udp;
            let name = "udp".into();
            let path =
                PathSettings { name, port: WAN + 1, next_hop, encapsulation, ..paths[0].clone() };
            paths.push(path);
        });
        send_many(&mut bed);
        let mut carried = [0; 2];
        bed.run(800 * MILLISECOND, &mut |_, frame| {
            let udp = frame[5] & 0x20 != 0;
            assert_eq!(frame[12..14] == [0x08, 0x00], udp);
            carried[usize::from(udp)] += 1;
            if udp == udp_fails { vec![] } else { vec![(DELAY, travelled(frame))] }
        });
        assert!(carried.iter().all(|&count| count > 20), "{carried:?}");
        assert_whole(&mut bed);
    }
}

#[test]
fn bfd_takes_the_way_of_its_path() {
    let mut bed = up(|settings| {
        over(2, false, true)(settings);
        settings.peers[0].paths[0].bfd = Some(BfdSettings::default());
    });
    let state = |bed: &Bed| {
        let mut status = Vec::new();
        bed.sides[0].gateway.peers_status(bed.now, &mut status);
        status[0].paths[0].bfd.as_ref().map(|bfd| bfd.state)
    };
    bed.run(5 * SECOND, &mut travels(u64::MAX));
    assert_eq!(state(&bed), Some(crate::bfd::packet::State::Up));
    // What the network of segments loses, it loses too.
    bed.run(100 * MILLISECOND, &mut |_, _| vec![]);
    assert_eq!(state(&bed), Some(crate::bfd::packet::State::Down));
}

#[test]
fn what_nobody_may_send_to_our_sid_is_counted() {
    let mut bed = up(over(1, false, false));
    bed.send(0, 1, 0, 100);
    let mut data = Vec::new();
    bed.run(DELAY * 4, &mut |_, frame| {
        data.push(frame.to_vec());
        perfect(0, &travelled(frame))
    });
    let arrives = travelled(&data[0]);
    let now = bed.now;
    let mut drops = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = arrives.clone();
        change(&mut frame);
        let before = bed.counters(1).drops.clone();
        bed.sides[1].receive(WAN, &frame, now);
        let after = &bed.counters(1).drops;
        let grew = |&&(reason, count): &&(DropReason, u64)| count > before.packets(reason);
        let seen: Vec<_> = after.seen().collect();
        seen.iter().find(grew).map(|(reason, _)| *reason)
    };
    let inner = ETHERNET + 40 + 8 + 32;
    assert_eq!(drops(&|_| {}), Some(DropReason::WanDuplicate), "the frame itself is sound");
    assert_eq!(drops(&|frame| frame[57] = 1), Some(DropReason::WanSegmentsLeft));
    assert_eq!(drops(&|frame| frame[54] = 59), Some(DropReason::WanSrv6));
    assert_eq!(drops(&|frame| frame[58] = 200), Some(DropReason::WanMalformed));
    // Sound, and to another address than ours: not to be carried to the LAN.
    let elsewhere = |frame: &mut Vec<u8>| {
        frame[..6].copy_from_slice(&[6; 6]);
        frame[inner + 19] ^= 0x40;
    };
    assert_eq!(drops(&elsewhere), Some(DropReason::WanSrv6));
    assert_eq!(drops(&|frame| frame[inner + 30] ^= 1), Some(DropReason::WanChecksum));
    assert!(bed.sides[1].sent(LAN).is_empty());
}

/// A packet of an RNIC with that ECN field.
fn with_ecn(psn: u32, mark: u8) -> Vec<u8> {
    let mut frame = roce(0, WRITE_ONLY, psn, &[0; 500]);
    let ip = &mut frame[ETHERNET..ETHERNET + 20];
    ip[1] = ip[1] & !ecn::MASK | mark;
    ip[10..12].fill(0);
    let sum = finish(Sum::of(ip));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    sealed(frame, ETHERNET)
}

#[test]
fn marks_of_the_network_reach_the_far_host() {
    for srv6 in [false, true] {
        let way = |settings: &mut Settings| {
            if srv6 {
                over(1, false, false)(settings);
            }
        };
        for (mark, arrives) in
            [(ecn::ECT_0, Some(ecn::CE)), (ecn::ECT_1, Some(ecn::CE)), (ecn::NOT_ECT, None)]
        {
            let mut bed = up(way);
            let now = bed.now;
            let frames: Vec<_> = (0..3).map(|psn| with_ecn(psn, mark)).collect();
            frames.iter().for_each(|frame| bed.sides[0].receive(LAN, frame, now));
            let mut number = 0;
            bed.run(30 * MILLISECOND, &mut |_, frame| {
                let mut copy = travelled(frame);
                // The network marks the second packet of data: it is the longest.
                if frame.len() > 500 && frame[5] == 2 {
                    assert_eq!(ecn::tos(&frame[ETHERNET..]).unwrap() & ecn::MASK, mark);
                    if number == 1 {
                        assert!(mark_outer(&mut copy[ETHERNET..]));
                    }
                    number += 1;
                }
                vec![(DELAY, copy)]
            });
            assert!(number >= 3, "srv6 {srv6}: {number}");
            let mut expected = frames.clone();
            match arrives {
                Some(ce) => expected[1] = with_ecn(1, ce),
                None if srv6 => {} // SRv6 goes first: what is lost before it is numbered is repaired
                None => drop(expected.remove(1)),
            }
            assert!(bed.sides[1].delivered == expected, "srv6 {srv6}, {mark:02b}");
            let dropped = bed.counters(1).drops.packets(DropReason::WanCe);
            assert_eq!(dropped, u64::from(arrives.is_none()));
        }
    }
}

/// Marks a packet as a congested network does, whether or not it may.
fn mark_outer(ip: &mut [u8]) -> bool {
    let Some(tos) = ecn::tos(ip) else { return false };
    if tos & ecn::MASK != ecn::NOT_ECT {
        return ecn::unwrap(ip, ecn::CE);
    }
    match ip[0] >> 4 {
        6 => ip[1] |= ecn::CE << 4,
        _ => {
            let sum = u16::from_be_bytes([ip[10], ip[11]]);
            let word = |tos| u16::from_be_bytes([ip[0], tos]);
            let sum = crate::wire::checksum::update_word(sum, word(tos), word(tos | ecn::CE));
            ip[1] |= ecn::CE;
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
    true
}

#[test]
fn in_compatibility_mode_the_network_is_told_of_no_mark() {
    let mut bed = up(|settings| settings.ecn = false);
    let now = bed.now;
    bed.sides[0].receive(LAN, &with_ecn(0, ecn::ECT_0), now);
    let mut seen = 0;
    bed.run(30 * MILLISECOND, &mut |_, frame| {
        assert_eq!(frame[ETHERNET + 1] & ecn::MASK, ecn::NOT_ECT);
        seen += 1;
        perfect(0, frame)
    });
    assert!(seen > 0);
    assert_eq!(bed.sides[1].delivered, [with_ecn(0, ecn::ECT_0)]);
}

#[test]
fn settings_that_no_shell_fits_are_refused() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(1, 2);
        over(1, false, false)(&mut settings);
        change(&mut settings);
        settings.check().err().map(|error| error.to_string())
    };
    assert_eq!(refused(&|_| {}), None);
    assert!(refused(&|settings| settings.sid = None).is_some_and(|what| what.contains("SID")));
    for count in [0, MAX_SEGMENTS + 1] {
        let list = vec![WAY[0]; count];
        let what = refused(&|settings| {
            let segments = Segments { list: list.clone(), reduced: false };
            settings.peers[0].paths[0].encapsulation = Encapsulation::Srv6(segments);
        });
        assert!(what.is_some_and(|what| what.contains("segments")));
    }
}
