//! What a station reads and writes, against frames put together by hand or by another library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::time::{SECOND, Time};
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

const OURS: Mac = [2, 0, 0, 0, 0, 1];
const THEIRS: Mac = [2, 0, 0, 0, 0, 2];
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ASKER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const ASKER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
/// The solicited-node group of `V6`.
const GROUP_MAC: Mac = [0x33, 0x33, 0xff, 0x12, 0x34, 0x56];

fn v4() -> Station {
    Station { mac: OURS, address: Some(V4.into()), sid: None }
}

fn v6() -> Station {
    Station { mac: OURS, address: Some(V6.into()), sid: None }
}

/// An ARP packet of RFC 826, byte by byte.
fn arp(to: Mac, operation: u8, sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let mut frame = [to, sender.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    frame.extend(sender.0.iter().chain(&sender.1.octets()));
    frame.extend([0; 6].iter().chain(&target.octets()));
    frame.resize(60, 0);
    frame
}

/// An ICMPv6 message with its checksum by another library, and a hop limit.
fn icmpv6(macs: (Mac, Mac), ips: (Ipv6Addr, Ipv6Addr), hops: u8, message: &[u8]) -> Vec<u8> {
    let (header, body) = message.split_first_chunk::<8>().expect("long");
    let rest = header[4..].try_into().expect("four");
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(macs.0, macs.1)
        .ipv6(ips.0.octets(), ips.1.octets(), hops)
        .icmpv6_raw(header[0], header[1], rest)
        .write(&mut frame, body)
        .expect("fits");
    frame
}

/// A neighbour solicitation (135) or advertisement (136) for `target`; `option`: link-layer address.
fn neighbour(kind: u8, flags: u8, target: Ipv6Addr, option: Option<Mac>) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    if let Some(mac) = option {
        message.extend([if kind == 135 { 1 } else { 2 }, 1]);
        message.extend(mac);
    }
    message
}

fn to_group(hops: u8, source: Ipv6Addr, option: Option<Mac>) -> Vec<u8> {
    let group = "ff02::1:ff12:3456".parse().expect("valid");
    icmpv6((THEIRS, GROUP_MAC), (source, group), hops, &neighbour(135, 0, V6, option))
}

fn sender(address: impl Into<IpAddr>, mac: Mac) -> Option<Sender> {
    Some(Sender { address: address.into(), mac, replaces: true })
}

/// Our address of the asker's family, to be told to that one.
fn wants(address: impl Into<IpAddr>, mac: Mac) -> Option<Wants> {
    let address = address.into();
    let ours = if address.is_ipv4() { V4.into() } else { V6.into() };
    Some(Wants::Address { ours, address, mac })
}

#[test]
fn an_arp_request_for_us_is_read_and_answered() {
    let request = arp(BROADCAST, 1, (THEIRS, ASKER4), V4);
    assert!(may_concern(&request));
    let expected =
        Said { sender: sender(ASKER4, THEIRS), wants: wants(ASKER4, THEIRS), ends: true };
    assert_eq!(v4().read(&request), Some(expected));
    let reply = v4().tell(V4.into(), ASKER4.into(), THEIRS).expect("of a family");
    let mut by_hand = arp(THEIRS, 2, (OURS, V4), ASKER4);
    by_hand[32..38].copy_from_slice(&THEIRS);
    assert_eq!(reply[..], by_hand);
    // The same, sent to us alone; a probe, which says nothing of its sender.
    assert_eq!(v4().read(&arp(OURS, 1, (THEIRS, ASKER4), V4)), Some(expected));
    let probe = v4().read(&arp(BROADCAST, 1, (THEIRS, Ipv4Addr::UNSPECIFIED), V4)).expect("read");
    assert_eq!((probe.sender, probe.wants), (None, wants(Ipv4Addr::UNSPECIFIED, THEIRS)));
}

#[test]
fn arp_between_others_tells_of_its_sender_and_goes_on() {
    let request = arp(BROADCAST, 1, (THEIRS, ASKER4), Ipv4Addr::new(192, 0, 2, 77));
    let said = Said { sender: sender(ASKER4, THEIRS), wants: None, ends: false };
    assert_eq!(v4().read(&request), Some(said));
    let reply = v4().read(&arp(OURS, 2, (THEIRS, ASKER4), V4)).expect("read");
    assert_eq!((reply.sender, reply.wants, reply.ends), (sender(ASKER4, THEIRS), None, true));
    for passing in [
        arp([2, 9, 9, 9, 9, 9], 1, (THEIRS, ASKER4), V4),
        arp(BROADCAST, 1, (OURS, ASKER4), V4),
        arp(BROADCAST, 1, (BROADCAST, ASKER4), V4),
        arp(BROADCAST, 1, (THEIRS, Ipv4Addr::new(224, 0, 0, 1)), V4),
        arp(BROADCAST, 1, (THEIRS, ASKER4), V4)[..41].to_vec(),
    ] {
        assert_eq!(v4().read(&passing), None, "{passing:02x?}");
    }
}

#[test]
fn a_frame_with_a_vlan_tag_is_not_for_us() {
    let mut tagged = arp(BROADCAST, 1, (THEIRS, ASKER4), V4);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    assert!(!may_concern(&tagged));
    assert_eq!(v4().read(&tagged), None);
}

#[test]
fn a_solicitation_for_us_is_read_and_answered() {
    let asked = to_group(255, ASKER6, Some(THEIRS));
    assert!(may_concern(&asked));
    let expected =
        Said { sender: sender(ASKER6, THEIRS), wants: wants(ASKER6, THEIRS), ends: true };
    assert_eq!(v6().read(&asked), Some(expected));
    let told = v6().tell(V6.into(), ASKER6.into(), THEIRS).expect("of a family");
    // Solicited, and overriding.
    let by_hand = icmpv6((OURS, THEIRS), (V6, ASKER6), 255, &neighbour(136, 0x60, V6, Some(OURS)));
    assert_eq!(told[..], by_hand);
    // To us alone, without the option: the frame says who asks.
    let direct = icmpv6((THEIRS, OURS), (ASKER6, V6), 255, &neighbour(135, 0, V6, None));
    let said = v6().read(&direct).expect("read");
    assert_eq!((said.sender, said.wants), (None, wants(ASKER6, THEIRS)));
}

#[test]
fn who_asks_for_our_sid_is_told_whatever_our_address_is() {
    // It ends as the address does, so that both are asked in one group.
    let sid: Ipv6Addr = "2001:db8:a::12:3456".parse().expect("valid");
    let group = "ff02::1:ff12:3456".parse().expect("valid");
    let question = neighbour(135, 0, sid, Some(THEIRS));
    let asked = icmpv6((THEIRS, GROUP_MAC), (ASKER6, group), 255, &question);
    assert!(may_concern(&asked));
    for without in [v4(), v6(), Station { address: None, ..v6() }] {
        let said = without.read(&asked).expect("it tells of its sender");
        assert_eq!((said.wants, said.ends), (None, false));
        let station = Station { sid: Some(sid), ..without };
        let said = station.read(&asked).expect("read");
        assert_eq!((said.sender, said.ends), (sender(ASKER6, THEIRS), true));
        let Some(Wants::Address { ours, address, mac }) = said.wants else { panic!("{said:?}") };
        assert_eq!((ours, address, mac), (sid.into(), ASKER6.into(), THEIRS));
        let told = station.tell(ours, address, mac).expect("of a family");
        let answer = neighbour(136, 0x60, sid, Some(OURS));
        assert_eq!(told[..], icmpv6((OURS, THEIRS), (sid, ASKER6), 255, &answer));
    }
    // The address is answered for as before.
    let station = Station { sid: Some(sid), ..v6() };
    let said = station.read(&to_group(255, ASKER6, Some(THEIRS))).expect("read");
    assert_eq!(said.wants, wants(ASKER6, THEIRS));
}

#[test]
fn who_probes_for_an_ipv6_address_hears_with_all_others() {
    let said = v6().read(&to_group(255, Ipv6Addr::UNSPECIFIED, None)).expect("read");
    let all: Ipv6Addr = "ff02::1".parse().expect("valid");
    let all_mac = [0x33, 0x33, 0, 0, 0, 1];
    assert_eq!((said.sender, said.wants), (None, wants(all, all_mac)));
    let told = v6().tell(V6.into(), all.into(), all_mac).expect("of a family");
    let by_hand = icmpv6((OURS, all_mac), (V6, all), 255, &neighbour(136, 0x20, V6, Some(OURS)));
    assert_eq!(told[..], by_hand);
}

#[test]
fn neighbour_discovery_that_a_router_or_a_fault_let_in_is_not_believed() {
    let good = to_group(255, ASKER6, Some(THEIRS));
    for at in 14..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        // Traffic class and flow label are the only bytes that no checksum covers.
        let covered = !(14..18).contains(&at) || at == 14;
        let wanted = v6().read(&damaged).and_then(|said| said.wants);
        assert_eq!(wanted.is_none(), covered, "byte {at}");
    }
    assert_eq!(v6().read(&to_group(254, ASKER6, Some(THEIRS))), None);
    assert_eq!(v6().read(&to_group(255, Ipv6Addr::UNSPECIFIED, Some(THEIRS))), None);
    assert_eq!(v6().read(&to_group(255, ASKER6, Some(BROADCAST))), None);
    assert_eq!(v6().read(&to_group(255, ASKER6, Some(OURS))), None);
}

#[test]
fn advertisements_tell_where_a_neighbour_is() {
    let to_us = |flags| {
        icmpv6((THEIRS, OURS), (ASKER6, V6), 255, &neighbour(136, flags, ASKER6, Some(THEIRS)))
    };
    let said = v6().read(&to_us(0x60)).expect("read");
    assert_eq!((said.sender, said.ends), (sender(ASKER6, THEIRS), true));
    let humble = v6().read(&to_us(0x40)).and_then(|said| said.sender).expect("read");
    assert!(!humble.replaces);
    let all = "ff02::1".parse().expect("valid");
    let to_all = |flags| {
        let message = neighbour(136, flags, ASKER6, Some(THEIRS));
        icmpv6((THEIRS, [0x33, 0x33, 0, 0, 0, 1]), (ASKER6, all), 255, &message)
    };
    assert_eq!(v6().read(&to_all(0x20)).map(|said| said.ends), Some(false));
    assert_eq!(v6().read(&to_all(0x60)), None);
}

#[test]
fn questions_are_what_the_other_side_answers() {
    let peer4 = Station { mac: THEIRS, address: Some(ASKER4.into()), sid: None };
    let peer6 = Station { mac: THEIRS, address: Some(ASKER6.into()), sid: None };
    let nobody = Station { mac: OURS, address: None, sid: None };
    let local = link_local(OURS);
    assert_eq!(local, "fe80::ff:fe00:1".parse::<Ipv6Addr>().expect("valid"));
    for (asks, asked, address, from) in [
        (v4(), peer4, IpAddr::V4(ASKER4), IpAddr::V4(V4)),
        (nobody, peer4, ASKER4.into(), Ipv4Addr::UNSPECIFIED.into()),
        (v6(), peer6, ASKER6.into(), V6.into()),
        (nobody, peer6, ASKER6.into(), local.into()),
    ] {
        let question = asks.ask(address);
        let said = asked.read(&question).expect("read");
        assert_eq!(said.wants, Some(Wants::Address { ours: address, address: from, mac: OURS }));
        let answer = asked.tell(address, from, OURS).expect("of a family");
        let heard = asks.read(&answer).expect("read");
        assert_eq!((heard.sender, heard.ends), (sender(address, THEIRS), true));
    }
}

/// An echo request of either family, by another library.
fn ping(to_v6: bool, len: usize) -> (Vec<u8>, Vec<u8>) {
    let data: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2(THEIRS, OURS);
    match to_v6 {
        true => ethernet
            .ipv6(ASKER6.octets(), V6.octets(), 9)
            .icmpv6_echo_request(0x1234, 5)
            .write(&mut frame, &data),
        false => ethernet
            .ipv4(ASKER4.octets(), V4.octets(), 9)
            .icmpv4_echo_request(0x1234, 5)
            .write(&mut frame, &data),
    }
    .expect("fits");
    (frame, data)
}

#[test]
fn pings_of_any_size_are_answered() {
    for (is_v6, station) in [(false, v4()), (true, v6())] {
        for len in [0, 1, 56, 1_472, 9_000] {
            let (mut request, data) = ping(is_v6, len);
            request.extend([0; 6]); // padding
            let said = Said { sender: None, wants: Some(Wants::Echo), ends: true };
            assert_eq!(station.read(&request), Some(said));
            let mut answer = vec![9; 3];
            assert!(station.echo(&request, &mut answer));
            let sliced = SlicedPacket::from_ethernet(&answer).expect("valid");
            let checksum_is_right = match sliced.transport.as_ref().expect("ICMP") {
                TransportSlice::Icmpv4(icmp) => {
                    let echo = icmp.icmp_type();
                    let etherparse::Icmpv4Type::EchoReply(echo) = echo else { panic!("{echo:?}") };
                    assert_eq!((echo.id, echo.seq, icmp.payload()), (0x1234, 5, &data[..]));
                    etherparse::Icmpv4Type::EchoReply(echo).calc_checksum(&data) == icmp.checksum()
                }
                TransportSlice::Icmpv6(icmp) => {
                    let echo = icmp.icmp_type();
                    let etherparse::Icmpv6Type::EchoReply(echo) = echo else { panic!("{echo:?}") };
                    assert_eq!((echo.id, echo.seq, icmp.payload()), (0x1234, 5, &data[..]));
                    icmp.is_checksum_valid(V6.octets(), ASKER6.octets())
                }
                other => panic!("{other:?}"),
            };
            assert!(checksum_is_right);
            assert_eq!(answer[..12], [THEIRS, OURS].concat());
            let ip = &answer[14..];
            let ends = if is_v6 { (&ip[8..24], &ip[24..40]) } else { (&ip[12..16], &ip[16..20]) };
            let (ours4, ours6, to4, to6) =
                (V4.octets(), V6.octets(), ASKER4.octets(), ASKER6.octets());
            let expected = if is_v6 { (&ours6[..], &to6[..]) } else { (&ours4[..], &to4[..]) };
            assert_eq!(ends, expected);
        }
    }
}

#[test]
fn a_ping_that_is_not_for_us_or_damaged_is_not_answered() {
    for (is_v6, station) in [(false, v4()), (true, v6())] {
        let (request, _) = ping(is_v6, 56);
        for at in 0..request.len() {
            let mut damaged = request.clone();
            damaged[at] ^= 0x20;
            let uncovered =
                (6..12).contains(&at) || (is_v6 && (15..18).contains(&at)) || (is_v6 && at == 21);
            assert_eq!(station.read(&damaged).is_some(), uncovered, "v6 {is_v6} byte {at}");
        }
    }
}

#[test]
fn a_neighbour_is_asked_for_until_it_answers_and_refreshed() {
    let mut table = Neighbours::default();
    assert_eq!(table.due(), Time::NEVER);
    let hop = table.want(1, ASKER4.into(), Time::ZERO);
    assert_eq!(table.want(1, ASKER4.into(), Time::ZERO), hop);
    let ask = Some(Ask { port: 1, address: ASKER4.into() });
    for second in 0..10 {
        let now = Time(second * SECOND);
        assert_eq!((table.due(), table.ask(now), table.ask(now)), (now, ask, None));
    }
    assert_eq!(table.hear(0, ASKER4.into(), THEIRS, true, Time::ZERO), Heard::Stranger);
    let now = Time(10 * SECOND);
    assert_eq!(table.hear(1, ASKER4.into(), THEIRS, true, now), Heard::New(hop));
    assert_eq!(table.hear(1, ASKER4.into(), THEIRS, true, now), Heard::Known);
    assert_eq!((table.due(), table.ask(now)), (Time(40 * SECOND), None));
    // Nobody answers: three questions, then a rest, and what is known stays.
    let asked = (40..80).filter(|&second| table.ask(Time(second * SECOND)).is_some());
    assert_eq!(asked.collect::<Vec<_>>(), [40, 41, 42, 73, 74, 75]);
    let known = table.report(Time(80 * SECOND)).next().expect("one");
    assert_eq!((known.mac, known.age), (Some(THEIRS), Some(70 * SECOND)));
    assert_eq!((known.unanswered, known.changes), (9 + 6, 0));
    // Another station takes over, if it says so.
    let other = [2, 0, 0, 0, 0, 3];
    let now = Time(80 * SECOND);
    assert_eq!(table.hear(1, ASKER4.into(), other, false, now), Heard::Known);
    assert_eq!(table.hear(1, ASKER4.into(), other, true, now), Heard::New(hop));
    // Two that quarrel have it in turns, not in every packet.
    assert_eq!(table.hear(1, ASKER4.into(), THEIRS, true, now.after(SECOND / 2)), Heard::Known);
    let known = table.report(now).next().expect("one");
    assert_eq!((known.mac, known.changes, known.age), (Some(other), 1, Some(0)));
}

proptest! {
    /// Frames that are nearly right do no harm, and nothing that is not ours is answered.
    #[test]
    fn any_frame_is_read(
        seed in 0usize..6,
        changes in prop::collection::vec((0usize..200, any::<u8>()), 0..8),
        cut in 0usize..200,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut frame = match seed {
            0 => arp(BROADCAST, 1, (THEIRS, ASKER4), V4),
            1 => to_group(255, ASKER6, Some(THEIRS)),
            2 => ping(false, 80).0,
            3 => ping(true, 80).0,
            4 => icmpv6((THEIRS, OURS), (ASKER6, V6), 255, &[&neighbour(136, 0x60, ASKER6, Some(THEIRS))[..], &bytes].concat()),
            _ => bytes,
        };
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) { *byte = value; }
        }
        frame.truncate(frame.len().min(cut.max(frame.len().saturating_sub(cut))));
        let _ = may_concern(&frame);
        for station in [v4(), v6(), Station { mac: OURS, address: None, sid: None }] {
            let said = station.read(&frame);
            let mut answer = Vec::new();
            let echoed = station.echo(&frame, &mut answer);
            prop_assert!(answer.len() <= frame.len());
            if let Some(Said { wants: Some(wants), .. }) = said {
                prop_assert!(station.address.is_some());
                match wants {
                    Wants::Echo => prop_assert!(echoed),
                    Wants::Address { ours, address, mac } => prop_assert!(station.has(ours) && station.tell(ours, address, mac).is_some()),
                }
            }
        }
    }
}
