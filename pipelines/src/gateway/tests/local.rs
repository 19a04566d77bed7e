//! The gateways' own addresses, next hops by address, time to live, absent peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, SlicedPacket};

use super::*;
use crate::local::{Said, Sender, Station, Wants, link_local};

const ROUTER: Mac = [2, 7, 7, 7, 7, 7];

fn mac(last: u8) -> Mac {
    [2, 0, 0, 0, 0, last]
}

/// The address of a station with this number, in the families' test networks.
fn address(is_v6: bool, last: u8) -> IpAddr {
    match is_v6 {
        true => Ipv6Addr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]).into(),
        false => Ipv4Addr::new(192, 0, 2, last).into(),
    }
}

/// Gateways that ask for each other, on one link.
fn asking(is_v6: bool) -> impl Fn(&mut Settings) {
    move |settings| {
        let last = |settings: &IpAddr| match settings {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        };
        settings.address = address(is_v6, last(&settings.address));
        let peer = &mut settings.peers[0];
        peer.address = address(is_v6, last(&peer.address));
        peer.paths[0].next_hop = NextHop::Address(peer.address);
    }
}

/// What an own frame is, to a station that hears everything: who asks, or who answers.
fn is_resolution(frame: &[u8]) -> bool {
    crate::local::may_concern(frame)
}

fn neighbour(side: &Side, now: Time) -> crate::local::Neighbour {
    side.gateway.neighbours(now).next().expect("one next hop")
}

#[test]
fn gateways_find_each_other_before_the_session_begins_though_the_first_question_is_lost() {
    for is_v6 in [false, true] {
        let mut bed = Bed::new(asking(is_v6));
        let mut lost = 0;
        let mut fate = |_: u64, frame: &[u8]| {
            assert!(is_resolution(frame), "nothing else before the answer");
            lost += 1;
            vec![]
        };
        bed.run(900 * MILLISECOND, &mut fate);
        assert_eq!(lost, 2, "a question of each, and no more in a second");
        for side in &bed.sides {
            assert_eq!(neighbour(side, bed.now).mac, None);
            assert!(side.gateway.counters().withheld > 10 && !side.gateway.established(bed.now));
        }
        let mut others = false;
        bed.run(300 * MILLISECOND, &mut |_, frame| {
            assert!(!others || !is_resolution(frame), "questions come first, and once");
            others |= !is_resolution(frame);
            perfect(0, frame)
        });
        for (index, side) in bed.sides.iter().enumerate() {
            assert!(side.gateway.established(bed.now), "v6 {is_v6}");
            let known = neighbour(side, bed.now);
            assert_eq!((known.port, known.address), (WAN, address(is_v6, 2 - index as u8)));
            assert_eq!((known.mac, known.unanswered), (Some(mac(2 - index as u8)), 1));
            assert!(known.age.is_some_and(|age| age < 300 * MILLISECOND));
            assert!(side.delivered.is_empty(), "nothing of it reached the LAN");
        }
        bed.send(0, 1, 0, 300);
        bed.run(50 * MILLISECOND, &mut |_, frame| {
            let to = if frame[6..12] == mac(1) { 2 } else { 1 };
            assert_eq!(frame[..6], mac(to));
            perfect(0, frame)
        });
        assert_eq!(numbers(&bed, 1, 1), [0]);
        assert_eq!(bed.counters(0).asked, 2);
        assert_eq!(bed.counters(0).drops.total(), 0);
        bed.assert_no_leak();
    }
}

#[test]
fn a_next_hop_is_kept_when_it_falls_silent_and_followed_when_it_moves() {
    let mut bed = Bed::up(asking(false));
    let mut questions = 0;
    bed.run(100 * SECOND, &mut |_, frame| {
        questions += u64::from(is_resolution(frame));
        if is_resolution(frame) { vec![] } else { perfect(0, frame) }
    });
    // Of each: three after half a minute, three after another, and three after one more.
    assert_eq!(questions, 18);
    let known = neighbour(&bed.sides[0], bed.now);
    assert_eq!((known.mac, known.unanswered), (Some(mac(2)), 9));
    assert!(known.age.is_some_and(|age| age > 99 * SECOND));
    assert!(bed.sides[0].gateway.established(bed.now));
    // Packets are lost, the hop moves, and the repair goes where it is now.
    for number in 0..5 {
        bed.send(0, 1, number, 200);
    }
    let mut to_new = 0;
    let moved = Station { mac: ROUTER, address: Some(address(false, 2)), sid: None };
    let gratuitous = moved.ask(address(false, 2)).to_vec();
    bed.run(DELAY, &mut |_, frame| {
        if !is_control(frame) && frame.ends_with(&super::frame(1, 2, 200)) {
            vec![]
        } else {
            perfect(0, frame)
        }
    });
    let now = bed.now;
    bed.sides[0].receive(WAN, &gratuitous, now);
    bed.run(100 * MILLISECOND, &mut |_, frame| {
        if frame[6..12] == mac(1) {
            assert_eq!(frame[..6], ROUTER);
            to_new += 1;
        }
        perfect(0, frame)
    });
    assert_eq!(numbers(&bed, 1, 1), [0, 1, 2, 3, 4]);
    assert!(to_new > 0 && bed.counters(0).resent.packets > 0);
    assert_eq!(neighbour(&bed.sides[0], bed.now).changes, 1);
    // The announcement is for everybody: it went on.
    assert_eq!(bed.sides[0].delivered, [gratuitous]);
    bed.assert_no_leak();
}

#[test]
fn lanes_keep_to_paths_whose_next_hop_is_known() {
    let two_paths = |settings: &mut Settings| {
        asking(false)(settings);
        settings.ports.push(PortSettings {
            role: Role::Wan,
            mac: [2, 0, 0, 0, 1, settings.ports[WAN].mac[5]],
            bump: LAN,
            next_hop: None,
        });
        let mut second = settings.peers[0].paths[0].clone();
        second.port = 2;
        second.next_hop = NextHop::Address(address(false, 200));
        settings.peers[0].paths.push(second);
    };
    let mut bed = Bed::new(two_paths);
    let mut by_second = Vec::new();
    let mut first_only = |number, frame: &[u8]| {
        if frame[10] == 0 {
            return perfect(number, frame);
        }
        by_second.push(frame.to_vec());
        vec![]
    };
    bed.run(200 * MILLISECOND, &mut first_only);
    assert!(bed.sides[0].gateway.established(bed.now));
    for number in 0..100 {
        bed.send(0, number as u8, number, 100);
    }
    bed.run(100 * MILLISECOND, &mut first_only);
    assert_eq!(bed.sides[1].delivered.len(), 100);
    let only_questions = by_second.iter().all(|frame| is_resolution(frame));
    assert!(only_questions && !by_second.is_empty(), "nothing went by the path without a next hop");
    let router = Station { mac: ROUTER, address: Some(address(false, 200)), sid: None };
    let ours = address(false, 200);
    let answer = router.tell(ours, address(false, 1), [2, 0, 0, 0, 1, 1]).expect("a family");
    let now = bed.now;
    bed.sides[0].receive(2, &answer, now);
    for number in 0..100 {
        bed.send(0, number as u8, number, 100);
    }
    let by_second = bed.sides[0].sent(2);
    assert!(by_second.len() > 20 && by_second.iter().all(|frame| frame[..6] == ROUTER));
    assert_eq!(bed.counters(0).drops.total(), 0);
}

/// Sends a frame to the first gateway's WAN port; what comes back, and what the LAN got.
fn ask(bed: &mut Bed, frame: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let now = bed.now;
    bed.sides[0].receive(WAN, frame, now);
    (bed.sides[0].sent(WAN), bed.sides[0].sent(LAN))
}

#[test]
fn questions_for_the_own_address_are_answered_and_go_no_further() {
    for is_v6 in [false, true] {
        let mut bed = Bed::up(asking(is_v6));
        let router = Station { mac: ROUTER, address: Some(address(is_v6, 254)), sid: None };
        let (answers, lan) = ask(&mut bed, &router.ask(address(is_v6, 1)));
        assert_eq!((answers.len(), lan.len()), (1, 0));
        let sender = Some(Sender { address: address(is_v6, 1), mac: mac(1), replaces: true });
        assert_eq!(router.read(&answers[0]), Some(Said { sender, wants: None, ends: true }));
        // The same with a VLAN tag, or for somebody else, passes.
        let mut tagged = router.ask(address(is_v6, 1)).to_vec();
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        for passing in [tagged, router.ask(address(is_v6, 77)).to_vec()] {
            assert_eq!(ask(&mut bed, &passing), (vec![], vec![passing]));
        }
        let (answers, lan) = ask(&mut bed, &ping(is_v6, 2_000));
        assert_eq!((answers.len(), lan.len()), (1, 0));
        assert_eq!(answers[0][..12], [ROUTER, mac(1)].concat());
        assert!(SlicedPacket::from_ethernet(&answers[0]).is_ok());
        // A ping for somebody else behind us passes; one to our Ethernet address does not.
        let mut other = ping(is_v6, 56);
        other[5] = 99;
        assert_eq!(ask(&mut bed, &other), (vec![], vec![other]));
        let counters = bed.counters(0);
        assert_eq!((counters.answered, counters.echoed), (2, 1));
        bed.assert_no_leak();
    }
}

/// An echo request from the router to the first gateway.
fn ping(is_v6: bool, len: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let data = vec![0x55; len];
    let ethernet = PacketBuilder::ethernet2(ROUTER, mac(1));
    match (address(is_v6, 254), address(is_v6, 1)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet
            .ipv4(from.octets(), to.octets(), 64)
            .icmpv4_echo_request(1, 1)
            .write(&mut frame, &data),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet
            .ipv6(from.octets(), to.octets(), 64)
            .icmpv6_echo_request(1, 1)
            .write(&mut frame, &data),
        other => panic!("{other:?}"),
    }
    .expect("fits");
    frame
}

#[test]
fn floods_of_questions_are_answered_up_to_a_bound() {
    let mut bed = Bed::up(|_| {});
    let router = Station { mac: ROUTER, address: Some(address(false, 254)), sid: None };
    for _ in 0..3_000 {
        ask(&mut bed, &router.ask(address(false, 1)));
        ask(&mut bed, &ping(false, 8));
    }
    let counters = bed.counters(0);
    assert_eq!((counters.answered, counters.echoed), (1_000, 1_000));
    assert_eq!(counters.drops.packets(DropReason::LocalRate), 4_000);
    bed.run(SECOND, &mut perfect);
    assert_eq!(ask(&mut bed, &ping(false, 8)).0.len(), 1);
}

#[test]
fn who_says_our_address_is_theirs_is_counted() {
    let mut bed = Bed::up(|_| {});
    let twin = Station { mac: ROUTER, address: Some(address(false, 1)), sid: None };
    let (answers, lan) = ask(&mut bed, &twin.ask(address(false, 1)));
    assert_eq!((answers.len(), lan.len(), bed.counters(0).conflicts), (1, 0, 1), "it is defended");
}

/// A packet from a host at one site to one at the other, with this time to live.
fn routed(is_v6: bool, ttl: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]);
    let (from, to) = (address(is_v6, 101), address(is_v6, 102));
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet
            .ipv4(from.octets(), to.octets(), ttl)
            .udp(5_000, 6_000)
            .write(&mut frame, b"twenty-six bytes of payload"),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet
            .ipv6(from.octets(), to.octets(), ttl)
            .udp(5_000, 6_000)
            .write(&mut frame, b"twenty-six bytes of payload"),
        other => panic!("{other:?}"),
    }
    .expect("fits");
    frame
}

/// Gateways that carry IP, and whose LAN has a router that is asked for.
fn carrying_ip(is_v6: bool, ttl: Ttl) -> impl Fn(&mut Settings) {
    move |settings| {
        asking(is_v6)(settings);
        settings.peers[0].carry = Carry::Ip;
        settings.peers[0].ttl = ttl;
        settings.ports[LAN].next_hop = Some(NextHop::Address(address(is_v6, 253)));
    }
}

/// Lets the router of each LAN answer; returns how many questions there were.
fn answer_on_lans(bed: &mut Bed, is_v6: bool) -> usize {
    let router = Station { mac: ROUTER, address: Some(address(is_v6, 253)), sid: None };
    let now = bed.now;
    let mut asked = 0;
    for side in &mut bed.sides {
        for question in std::mem::take(&mut side.delivered) {
            let said = router.read(&question).expect("a question");
            let Some(Wants::Address { ours, address, mac }) = said.wants else { continue };
            assert_eq!(said.sender.is_some(), is_v6, "an ARP probe says nothing of its sender");
            asked += 1;
            side.receive(LAN, &router.tell(ours, address, mac).expect("a family"), now);
            assert_eq!(side.sent(WAN).len(), 0, "the answer is for us");
        }
    }
    asked
}

#[test]
fn the_next_hop_of_the_lan_is_asked_for_too() {
    for is_v6 in [false, true] {
        let mut bed = Bed::up(carrying_ip(is_v6, Ttl::Wire));
        let packet = routed(is_v6, 1);
        let now = bed.now;
        bed.sides[0].receive(LAN, &packet, now);
        bed.run(20 * MILLISECOND, &mut perfect);
        assert_eq!(bed.counters(1).drops.packets(DropReason::LanNoNextHop), 1);
        assert_eq!(answer_on_lans(&mut bed, is_v6), 2);
        let now = bed.now;
        bed.sides[0].receive(LAN, &packet, now);
        bed.run(20 * MILLISECOND, &mut perfect);
        let expected = [&ROUTER[..], &mac(2), &packet[12..]].concat();
        assert_eq!(bed.sides[1].delivered, [expected], "as a wire: the time to live stays");
        let lan = bed.sides[1].gateway.neighbours(bed.now).find(|hop| hop.port == LAN);
        assert_eq!(lan.and_then(|hop| hop.mac), Some(ROUTER));
        if is_v6 {
            // The router may ask in return.
            let ours = link_local(mac(1)).into();
            let router = Station { mac: ROUTER, address: Some(address(true, 253)), sid: None };
            let now = bed.now;
            bed.sides[0].receive(LAN, &router.ask(ours), now);
            assert_eq!((bed.sides[0].sent(LAN).len(), bed.sides[0].sent(WAN).len()), (1, 0));
        }
    }
}

#[test]
fn as_a_router_the_pair_takes_one_off_the_time_to_live() {
    for is_v6 in [false, true] {
        let mut bed = Bed::up(carrying_ip(is_v6, Ttl::Router));
        answer_on_lans(&mut bed, is_v6);
        for ttl in [64, 2, 1, 0] {
            let now = bed.now;
            bed.sides[0].receive(LAN, &routed(is_v6, ttl), now);
        }
        bed.run(20 * MILLISECOND, &mut perfect);
        // What another library makes with one less, checksum and all.
        let expected: Vec<_> =
            [63, 1].map(|ttl| [&ROUTER[..], &mac(2), &routed(is_v6, ttl)[12..]].concat()).into();
        assert_eq!(bed.sides[1].delivered, expected);
        assert_eq!(bed.counters(0).drops.packets(DropReason::TtlExpired), 2);
        assert_eq!(bed.counters(0).tunnelled.packets, 2);
        bed.assert_no_leak();
    }
}

#[test]
fn a_roce_packet_that_was_routed_has_a_right_icrc() {
    use crate::wire::icrc;
    let mut bed = Bed::up(carrying_ip(false, Ttl::Router));
    answer_on_lans(&mut bed, false);
    let mut packet = Vec::new();
    // SEND only, to queue pair 7; the last four bytes are the ICRC's.
    let bth = [4, 0, 0xff, 0xff, 0, 0, 0, 7, 0x80, 0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0];
    PacketBuilder::ethernet2([2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2])
        .ipv4([192, 0, 2, 101], [192, 0, 2, 102], 64)
        .udp(50_000, 4_791)
        .write(&mut packet, &bth)
        .expect("fits");
    let end = packet.len() - 4;
    let right = icrc::compute(20, [&packet[14..end]]).expect("RoCE");
    packet[end..].copy_from_slice(&right.to_le_bytes());
    let now = bed.now;
    bed.sides[0].receive(LAN, &packet, now);
    bed.run(20 * MILLISECOND, &mut perfect);
    let arrived = &bed.sides[1].delivered[0];
    assert_eq!(arrived[14 + 8], 63);
    assert_eq!(icrc::verify(20, [&arrived[14..]]), Some(true));
}

#[test]
fn packets_for_an_absent_peer_are_held_back_if_so_configured() {
    for numbering in [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }] {
        let mut bed = Bed::new(|settings| {
            settings.peers[0].numbering = numbering;
            settings.peers[0].absent = Absent::Hold;
        });
        bed.send(0, 1, 0, 100);
        assert_eq!(bed.sides[0].sent(WAN), [] as [Vec<u8>; 0]);
        let counters = bed.counters(0);
        assert_eq!((counters.unprotected, counters.forwarded_bare), (0, 0));
        assert_eq!(counters.drops.packets(DropReason::PeerAbsent), 1);
        // Once it is there, they cross; when it falls silent, no more.
        bed.run(200 * MILLISECOND, &mut perfect);
        bed.send(0, 1, 1, 100);
        bed.run(50 * MILLISECOND, &mut perfect);
        assert_eq!(numbers(&bed, 1, 1), [1]);
        bed.run(6 * SECOND, &mut |_, _| vec![]);
        bed.send(0, 1, 2, 100);
        assert_eq!(bed.counters(0).drops.packets(DropReason::PeerAbsent), 2);
        bed.assert_no_leak();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Questions and answers, nearly right, at any port and in any state: no harm, no leak, and
    /// next hops stay known.
    #[test]
    fn hostile_questions_and_answers_do_no_harm(
        is_v6 in any::<bool>(),
        up in any::<bool>(),
        frames in prop::collection::vec((
            0usize..2, 0u8..5, 0u8..6,
            prop::collection::vec((0usize..100, any::<u8>()), 0..4),
            prop::collection::vec(any::<u8>(), 0..80),
        ), 0..60),
    ) {
        let mut bed = if up { Bed::up(carrying_ip(is_v6, Ttl::Router)) } else { Bed::new(carrying_ip(is_v6, Ttl::Router)) };
        for (port, kind, last, changes, bytes) in frames {
            let last = [1, 2, 253, 254, 7, 0][usize::from(last)];
            let station = Station { mac: ROUTER, address: Some(address(is_v6, last)), sid: None };
            let mut frame = match kind {
                0 => station.ask(address(is_v6, 1)).to_vec(),
                1 => station.tell(address(is_v6, last), address(is_v6, 1), mac(1)).expect("a family").to_vec(),
                2 => ping(is_v6, bytes.len()),
                3 => Station { mac: ROUTER, address: None, sid: None }.ask(address(is_v6, 1)).to_vec(),
                _ => bytes,
            };
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) { *byte = value; }
            }
            let now = bed.now;
            bed.sides[0].receive(port, &frame, now);
            bed.run(MILLISECOND, &mut perfect);
        }
        let now = bed.now;
        prop_assert!(!up || bed.sides[0].gateway.neighbours(now).any(|hop| hop.mac.is_some()));
        prop_assert!(bed.sides[0].gateway.neighbours(now).count() == 2);
        bed.assert_no_leak();
    }
}
