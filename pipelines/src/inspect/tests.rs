//! The inspector on frames built by hand; captures of a real stack are in the crate of captures'
//! tests.

use proptest::prelude::*;

use prop::collection::vec;
use prop::sample::Index;

use super::*;

/// Frames published with right ICRCs: an ACK over IPv4 and over IPv6, a padded SEND Last, and a
/// congestion notification captured from hardware.
const GOOD: [&str; 4] = [
    "02000000000a02000000000b08004502003010024000401116960a0200160a01000bc12312b7001c0000\
     1140ffff00000111000001001f000001bdc686cc",
    "02000000000a02000000000b86dd60212345001c114020010db8000200000000000000000022\
     20010db8000100000000000000000011c12312b7001c00001140ffff00000111000007021f0000020072cbd8",
    "02000000000b02000000000a08004502003c10054000401116870a01000b0a020016c12312b700280000\
     02f0ffff0000022280000103050c131a21282f363d444b525900000084eba2b9",
    "e41d2dab2bc27cfe90643b32080045c2003c718c4000401191610a0011010a001201\
     000012b7002800008100ffff40000118000000000000000000000000000000000000000082fd002a",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Host `from` sends host `to` a packet; the ICRC is left zero.
fn frame(from: u8, to: u8, opcode: u8, qp: u32, psn: u32, body: &[u8]) -> Vec<u8> {
    let pad = body.len().next_multiple_of(4) - body.len();
    let udp_len = (8 + 12 + body.len() + pad + 4) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((20 + udp_len).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    frame.extend([0xc0, 0, 0x12, 0xb7]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0, opcode, (pad as u8) << 4, 0xff, 0xff]);
    frame.extend(qp.to_be_bytes());
    frame.extend(psn.to_be_bytes());
    frame.extend(body);
    frame.extend(vec![0; pad + 4]);
    frame
}

fn inspector() -> Inspector {
    Inspector::new(Limits::default(), false)
}

fn show(inspector: &mut Inspector, frame: &[u8]) {
    inspector.observe(frame, frame.len() as u32);
}

fn stream(inspector: &Inspector, src: u8, dest_qp: u32, role: Role) -> Stream {
    let src = IpAddr::from([10, 0, 0, src]);
    let is = |s: &Stream| (s.src, s.dest_qp, s.role) == (src, dest_qp, role);
    inspector.streams().into_iter().find(is).expect("the stream was seen")
}

/// A RETH for a READ of `len` bytes.
fn reth(len: u32) -> Vec<u8> {
    [&[0; 12][..], &len.to_be_bytes()].concat()
}

#[test]
fn icrcs_of_published_frames() {
    for hex in GOOD {
        let good = bytes(hex);
        let mut inspector = Inspector::new(Limits::default(), true);
        show(&mut inspector, &good);
        // What may change on the way: IPv4 time to live, IPv6 hop limit, the Ethernet header.
        let mut routed = good.clone();
        routed[0] ^= 1;
        routed[if good[12] == 8 { 22 } else { 21 }] -= 1;
        show(&mut inspector, &routed);
        assert_eq!((inspector.totals().icrc_checked, inspector.totals().icrc_bad), (2, 0));
        let mut damaged = good.clone();
        damaged[good.len() - 5] ^= 1;
        show(&mut inspector, &damaged);
        assert_eq!((inspector.totals().icrc_checked, inspector.totals().icrc_bad), (3, 1));
        assert_eq!(inspector.streams()[0].packets, 2, "a damaged packet is in no stream");
        // Only the beginning was captured: nothing to check, but a packet of the stream.
        inspector.observe(&good[..good.len() - 4], good.len() as u32);
        assert_eq!((inspector.totals().icrc_checked, inspector.totals().snapped), (3, 1));
        assert_eq!(inspector.streams()[0].packets, 3);
    }
}

#[test]
fn malformed_frames_are_counted_and_nothing_more() {
    let good = frame(1, 2, 0x0c, 9, 5, &reth(64));
    let change = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    let malformed = [
        change(43, 1),                     // transport version 1
        change(39, 60),                    // UDP longer than IP
        change(39, 23),                    // UDP shorter than BTH and ICRC
        change(39, 38),                    // no room for the RETH
        change(43, 0x10),                  // padding to no multiple of four
        good[..good.len() - 1].to_vec(),   // IP longer than the frame
        frame(1, 2, 0x13, 9, 5, &[0; 24]), // no room for the AtomicETH
        frame(1, 2, 0x64, 9, 5, &[0; 4]),  // no room for the DETH
    ];
    let other = [
        change(36, 0),    // another port
        change(23, 6),    // TCP
        change(20, 0x20), // a fragment
        good[..20].to_vec(),
        vec![],
    ];
    let mut inspector = inspector();
    for frame in malformed.iter().chain(&other) {
        show(&mut inspector, frame);
    }
    let totals = *inspector.totals();
    assert_eq!(totals.malformed, malformed.len() as u64);
    assert_eq!((totals.rocev2, totals.not_rocev2), (totals.malformed, other.len() as u64));
    assert!(inspector.streams().is_empty() && inspector.opcodes().next().is_none());
}

#[test]
fn vlans_separate_streams() {
    let plain = frame(1, 2, 0x04, 9, 5, &[]);
    let tagged = |tags: &[u8]| [&plain[..12], tags, &plain[12..]].concat();
    let mut inspector = inspector();
    show(&mut inspector, &plain);
    show(&mut inspector, &tagged(&[0x81, 0, 0xe0, 0])); // priority only
    show(&mut inspector, &tagged(&[0x81, 0, 0x20, 7]));
    show(&mut inspector, &tagged(&[0x88, 0xa8, 0, 8, 0x81, 0, 0, 7]));
    let streams = inspector.streams();
    let vlans: Vec<_> = streams.iter().map(|s| (s.vlan, s.packets)).collect();
    assert_eq!(vlans, [(None, 2), (Some(7), 1), (Some(8), 1)]);
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut inspector = Inspector::new(Limits { flows: 2, connections: 0 }, false);
    for qp in [3, 4, 5, 6, 3] {
        show(&mut inspector, &frame(1, 2, 0x04, qp, 0, &[]));
    }
    assert_eq!((inspector.streams().len(), inspector.totals().untracked_packets), (2, 2));
}

#[test]
fn responses_reveal_the_peer_and_the_path_mtu_of_reads() {
    let mut inspector = inspector();
    let acknowledge = [0x1f, 0, 0, 0];
    for (psn, packet) in [(100, 0), (104, 1), (108, 2)] {
        show(&mut inspector, &frame(1, 2, 0x0c, 20, psn, &reth(4096)));
        for part in 0..4u32 {
            let (opcode, aeth) = [(13, 4), (14, 0), (14, 0), (15, 4)][part as usize];
            let body = vec![0; aeth + 1024];
            show(&mut inspector, &frame(2, 1, opcode, 10, psn + part, &body));
        }
        assert!(packet == 0 || stream(&inspector, 1, 20, Role::Request).pmtu == Some(1024));
    }
    // One READ is lost.
    show(&mut inspector, &frame(1, 2, 0x0c, 20, 116, &reth(4096)));
    show(&mut inspector, &frame(2, 1, 0x11, 10, 112, &acknowledge));
    let request = stream(&inspector, 1, 20, Role::Request);
    assert_eq!((request.gaps, request.missing_psns, request.behind), (1, 4, 0));
    assert_eq!((request.first_psn, request.last_psn), (100, 116));
    assert_eq!((request.peer_qp, request.pmtu), (Some(10), Some(1024)));
    let response = stream(&inspector, 2, 10, Role::Response);
    assert_eq!((response.peer_qp, response.pmtu), (Some(20), Some(1024)));
}

#[test]
fn an_ambiguous_peer_is_left_open() {
    let mut inspector = inspector();
    for psn in 0..10 {
        show(&mut inspector, &frame(1, 2, 0x04, 20, psn, &[]));
        show(&mut inspector, &frame(1, 2, 0x04, 21, psn, &[]));
    }
    for psn in 0..10 {
        show(&mut inspector, &frame(2, 1, 0x11, 10, psn, &[0; 4]));
    }
    assert!(inspector.streams().iter().all(|stream| stream.peer_qp.is_none()));
}

/// A connection management MAD behind its DETH, with fields at their offsets in the MAD.
fn mad(attribute: u8, transaction: u8, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut mad = vec![0; 256];
    mad[..4].copy_from_slice(&[1, 7, 2, 3]);
    (mad[15], mad[17]) = (transaction, attribute);
    for (at, value) in fields {
        mad[*at..*at + value.len()].copy_from_slice(value);
    }
    [&[0x80, 1, 0, 0, 0, 0, 0, 1][..], &mad].concat()
}

#[test]
fn connection_management_names_peers_path_mtu_and_start() {
    let mut inspector = inspector();
    let id = |id: u8| [0, 0, 0, id];
    let request =
        mad(0x10, 1, &[(24, &id(5)), (56, &[0, 0, 0x11]), (68, &[0, 1, 0]), (74, &[0x50])]);
    let reply = mad(0x13, 1, &[(24, &id(6)), (28, &id(5)), (36, &[0, 0, 0x22]), (44, &[0, 2, 0])]);
    for _ in 0..3 {
        show(&mut inspector, &frame(1, 2, 0x64, 1, 0, &request));
    }
    show(&mut inspector, &frame(2, 1, 0x64, 1, 0, &reply));
    // The first request is lost; then a READ of two PSNs.
    show(&mut inspector, &frame(1, 2, 0x0c, 0x22, 0x201, &reth(8192)));
    show(&mut inspector, &frame(1, 2, 0x04, 0x22, 0x203, &[]));
    show(&mut inspector, &frame(2, 1, 0x04, 0x11, 0x100, &[]));
    let there = stream(&inspector, 1, 0x22, Role::Request);
    assert_eq!((there.peer_qp, there.pmtu), (Some(0x11), Some(4096)));
    assert_eq!((there.gaps, there.missing_psns, there.behind), (1, 1, 0));
    let back = stream(&inspector, 2, 0x11, Role::Request);
    assert_eq!((back.peer_qp, back.pmtu, back.gaps), (Some(0x22), Some(4096), 0));
    let [request, reply] = inspector.connections() else { panic!("a REQ and a REP") };
    assert_eq!((request.kind, request.packets), (ConnectionKind::Req, 3));
    assert_eq!((request.local_qpn, request.starting_psn), (Some(0x11), Some(0x100)));
    assert_eq!((reply.kind, reply.packets), (ConnectionKind::Rep, 1));
    assert_eq!((reply.local_qpn, reply.starting_psn), (Some(0x22), Some(0x200)));
    assert_eq!((reply.local_comm_id, reply.remote_comm_id), (Some(6), Some(5)));
    assert_eq!(stream(&inspector, 1, 1, Role::Unsequenced).peer_qp, Some(1));
}

#[test]
fn datagrams_and_notifications_have_no_order() {
    let mut inspector = inspector();
    let deth = |qp: u8| [0, 0, 0, 0, 0, 0, 0, qp];
    for (psn, sender) in [(5, 7), (1, 7), (9, 8)] {
        show(&mut inspector, &frame(1, 2, 0x64, 20, psn, &deth(sender)));
        show(&mut inspector, &frame(1, 2, 0x65, 21, psn, &[&deth(7)[..], &[0; 4]].concat()));
    }
    show(&mut inspector, &frame(2, 1, 0x81, 10, 0, &[0; 16]));
    let several = stream(&inspector, 1, 20, Role::Unsequenced);
    assert_eq!((several.peer_qp, several.gaps, several.behind), (None, 0, 0));
    assert_eq!(stream(&inspector, 1, 21, Role::Unsequenced).peer_qp, Some(7));
    assert_eq!(stream(&inspector, 2, 10, Role::Unsequenced).packets, 1);
}

proptest! {
    #[test]
    fn any_bytes_are_counted_once(
        frames in vec(
            (0..5usize, any::<u8>(), vec(any::<(Index, u8)>(), 0..6), any::<Index>()),
            0..40,
        ),
    ) {
        let mut inspector = Inspector::new(Limits { flows: 8, connections: 4 }, true);
        for (kind, opcode, changes, cut) in &frames {
            let mut frame = match kind {
                4 => frame(1, 2, *opcode, 1, 0, &mad(0x10 + opcode % 12, 1, &[])),
                kind => bytes(GOOD[*kind]),
            };
            for (at, value) in changes {
                let at = at.index(frame.len());
                frame[at] = *value;
            }
            let captured = cut.index(frame.len() + 1);
            inspector.observe(&frame[..captured], frame.len() as u32);
        }
        let totals = *inspector.totals();
        prop_assert_eq!(totals.packets, frames.len() as u64);
        prop_assert_eq!(totals.not_rocev2 + totals.rocev2, totals.packets);
        let named: u64 = inspector.opcodes().map(|(_, packets)| packets).sum();
        prop_assert_eq!(named + totals.malformed, totals.rocev2);
        let followed: u64 = inspector.streams().iter().map(|stream| stream.packets).sum();
        prop_assert_eq!(followed + totals.icrc_bad + totals.untracked_packets, named);
        prop_assert!(inspector.connections().len() <= 4);
    }
}
