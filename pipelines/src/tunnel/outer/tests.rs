use super::*;
use dataplane::memory::{Pool, PoolSettings};

const TUNNEL: [u8; HEADER_LEN] = [0x11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

fn ends(v6: bool) -> (End, End) {
    let address = |last: u8| -> IpAddr {
        if v6 {
            let mut octets = [0x20; 16];
            octets[15] = last;
            octets.into()
        } else {
            [192, 0, 2, last].into()
        }
    };
    (End { mac: [2; 6], address: address(1) }, End { mac: [4; 6], address: address(2) })
}

/// An encapsulated packet of `len` inner bytes in small segments, and the far side.
fn sent(v6: bool, checksum: bool, len: usize) -> (Packet, Local, Vec<u8>) {
    let settings = PoolSettings { buffers: 64, buffer_bytes: 333, headroom: 99 };
    let pool = Pool::new(settings).expect("valid");
    let inner: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
    let mut packet = pool.copy(&inner).expect("buffers");
    let (from, to) = ends(v6);
    let outer = Outer::new(from, to, 4_794, 5, checksum);
    assert!(outer.encapsulate(&mut packet, &TUNNEL, 0xb8));
    (packet, Local { end: to, port: 4_794, checksum, sid: None }, inner)
}

#[test]
fn what_is_encapsulated_is_recognised() {
    for v6 in [false, true] {
        for checksum in [false, true] {
            for len in [0, 1, 60, 101, 1_500, 4_097] {
                let (mut packet, local, inner) = sent(v6, checksum, len);
                let offset = ETHERNET_LEN + if v6 { IPV6_LEN } else { IPV4_LEN } + UDP_LEN;
                let source = ends(v6).0.address;
                let end = offset + 16 + len;
                let tunnel = Incoming::Tunnel { source, offset, end, ecn: 0 };
                assert_eq!(local.recognise(&packet), tunnel, "v6 {v6} {checksum} {len}");
                assert!(packet.trim_front(offset + HEADER_LEN));
                assert!(packet.segments().flatten().eq(&inner));
            }
        }
    }
}

#[test]
fn headers_are_what_an_independent_parser_reads() {
    for v6 in [false, true] {
        let (packet, _, _) = sent(v6, true, 64);
        let bytes: Vec<u8> = packet.segments().flatten().copied().collect();
        let sliced = etherparse::SlicedPacket::from_ethernet(&bytes).expect("valid headers");
        let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!() };
        let (source, destination) = (FIRST_SOURCE_PORT + 5, 4_794);
        assert_eq!((udp.source_port(), udp.destination_port()), (source, destination));
        let header = udp.to_header();
        let sum = match sliced.net.expect("an IP header") {
            etherparse::NetSlice::Ipv4(ip) => {
                let ip = ip.header().to_header();
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                header.calc_checksum_ipv4(&ip, udp.payload())
            }
            etherparse::NetSlice::Ipv6(ip) => {
                assert_eq!(ip.header().traffic_class(), 0xb8);
                header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(sum.expect("short enough"), header.checksum);
    }
}

#[test]
fn no_changed_byte_behind_the_ethernet_header_passes() {
    for v6 in [false, true] {
        let (mut packet, local, _) = sent(v6, true, 150);
        // IPv6 protects neither its traffic class, flow label nor hop limit: nothing we use.
        let free = |at: usize| v6 && (at < ETHERNET_LEN + 4 || at == ETHERNET_LEN + 7);
        for at in ETHERNET_LEN..packet.head().len() {
            for flip in [0x01, 0x80, 0xff] {
                packet.head_mut()[at] ^= flip;
                let seen = local.recognise(&packet);
                let passed = matches!(seen, Incoming::Tunnel { .. });
                assert!(!passed || free(at), "v6 {v6}, byte {at} ^ {flip:#x}");
                assert_ne!(seen, Incoming::Bare);
                packet.head_mut()[at] ^= flip;
            }
        }
    }
}

#[test]
fn truncated_frames_and_others_traffic_are_told_apart() {
    let (mut packet, local, _) = sent(false, true, 100);
    for len in (0..packet.len()).rev() {
        packet.truncate(len);
        assert!(!matches!(local.recognise(&packet), Incoming::Tunnel { .. } | Incoming::Bare));
    }
    let (mut packet, local, _) = sent(false, true, 100);
    packet.head_mut()[..6].copy_from_slice(&[9; 6]);
    packet.head_mut()[33] ^= 1;
    assert_eq!(local.recognise(&packet), Incoming::Bare);
}

#[test]
fn ethernet_padding_is_not_part_of_the_packet() {
    let settings = PoolSettings { buffers: 4, buffer_bytes: 512, headroom: 99 };
    let pool = Pool::new(settings).expect("valid");
    let mut packet = pool.copy(b"x").expect("buffers");
    let (from, to) = ends(false);
    assert!(Outer::new(from, to, 9, 0, true).encapsulate(&mut packet, &TUNNEL, 0));
    let end = packet.len();
    assert!(packet.append(&pool, &[0xaa; 17]));
    let local = Local { end: to, port: 9, checksum: true, sid: None };
    let Incoming::Tunnel { end: seen, .. } = local.recognise(&packet) else { panic!() };
    assert_eq!(seen, end);
}

#[test]
fn what_has_no_room_is_refused_unchanged() {
    let settings = PoolSettings { buffers: 300, buffer_bytes: 256, headroom: 40 };
    let pool = Pool::new(settings).expect("valid");
    let (from, to) = ends(false);
    let outer = Outer::new(from, to, 9, 0, true);
    let mut packet = pool.copy(b"x").expect("buffers");
    assert!(!outer.encapsulate(&mut packet, &TUNNEL, 0));
    assert_eq!(packet.len(), 1);
    let mut huge = pool.copy(&[0; 65_500]).expect("buffers");
    assert!(!outer.encapsulate(&mut huge, &TUNNEL, 0));
    assert_eq!(huge.len(), 65_500);
}
