use dataplane::memory::{Pool, PoolSettings};
use proptest::prelude::*;

use super::*;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xa);
const FIRST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0);
const SID: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0xd46);
const LABEL: u32 = 0x1_2345;

fn packet(bytes: &[u8], headroom: u32) -> Packet {
    let settings = PoolSettings { buffers: 16, buffer_bytes: 2_048, headroom };
    let pool = Pool::new(settings).expect("valid");
    pool.copy(bytes).expect("buffers")
}

fn shell(list: &[Ipv6Addr], reduced: bool) -> Shell {
    let segments = Segments { list: list.to_vec(), reduced };
    let shell = Shell::new([2; 6], SOURCE, &segments, LABEL).expect("a list that can be");
    assert_eq!(Encapsulation::Srv6(segments).shell_len(), shell.len());
    shell
}

/// The bytes that a text of hexadecimal digits and spaces says.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

const ETHERNET: &str = "040404040404 020202020202";
/// An empty datagram: EF, ECT(0).
const IPV4_PACKET: &str = "45ba001c 00004000 40110000 c0000201 c0000202  c00012ba 00080000";
const IPV6_PACKET: &str = "6ba00000 00081140 20010db8000000000000000000000001
    20010db8000000000000000000000002  c00012ba 00080000";

fn plain(v6: bool) -> Vec<u8> {
    match v6 {
        false => hex(&format!("{ETHERNET} 0800 {IPV4_PACKET}")),
        true => hex(&format!("{ETHERNET} 86dd {IPV6_PACKET}")),
    }
}

/// What each way to encapsulate puts on the wire, drawn by hand after RFC 8200, section 3, RFC 8754,
/// section 2, and RFC 8986, sections 5.1 and 5.2.
#[test]
fn known_frames() {
    const FROM: &str = "20010db800000000000000000000000a";
    const S1: &str = "20010db8000000010000000000000000";
    const S2: &str = "20010db8000000020000000000000d46";
    let known = [
        // H.Encaps, two segments: 40 bytes of SRH, the last segment first; one is left.
        (
            (false, &[FIRST, SID][..], false),
            format!(
                "6ba12345 0044 2b 40 {FROM} {S1} 04 04 04 01 01 00 0000 {S2} {S1} {IPV4_PACKET}"
            ),
        ),
        // Reduced: the first segment is in the destination address only, last entry 0.
        (
            (false, &[FIRST, SID][..], true),
            format!("6ba12345 0034 2b 40 {FROM} {S1} 04 02 04 01 00 00 0000 {S2} {IPV4_PACKET}"),
        ),
        // One segment: the list still has it; reduced, there is no SRH.
        (
            (false, &[SID][..], false),
            format!("6ba12345 0034 2b 40 {FROM} {S2} 04 02 04 00 00 00 0000 {S2} {IPV4_PACKET}"),
        ),
        ((false, &[SID][..], true), format!("6ba12345 001c 04 40 {FROM} {S2} {IPV4_PACKET}")),
        ((true, &[SID][..], true), format!("6ba12345 0030 29 40 {FROM} {S2} {IPV6_PACKET}")),
        (
            (true, &[SID][..], false),
            format!("6ba12345 0048 2b 40 {FROM} {S2} 29 02 04 00 00 00 0000 {S2} {IPV6_PACKET}"),
        ),
    ];
    for ((v6, list, reduced), expected) in known {
        let expected = hex(&format!("{ETHERNET} 86dd {expected}"));
        let mut packet = packet(&plain(v6), 128);
        assert!(shell(list, reduced).put_on(&mut packet));
        assert_eq!(packet.head(), expected, "{list:?}, reduced {reduced}");
        assert_eq!(packet.len(), plain(v6).len() + shell(list, reduced).len());
    }
}

/// Puts SRv6 around a frame, lets it visit its segments, and gives what arrives.
fn arrived(frame: &[u8], list: &[Ipv6Addr], reduced: bool) -> Vec<u8> {
    let mut packet = packet(frame, MAX_SHELL as u32);
    assert!(shell(list, reduced).put_on(&mut packet));
    let mut bytes = packet.head().to_vec();
    for _ in 1..list.len() {
        assert!(look(&bytes, SID).is_none_or(|inside| inside == Err(DropReason::WanSegmentsLeft)));
        assert!(srv6::visit(&mut bytes[ETHERNET_LEN..]));
    }
    bytes
}

#[test]
fn what_is_opened_is_what_was_there_before() {
    for v6 in [false, true] {
        for segments in 1..=MAX_SEGMENTS {
            for reduced in [false, true] {
                let mut list = vec![FIRST; segments - 1];
                list.push(SID);
                let mut bytes = arrived(&plain(v6), &list, reduced);
                bytes.extend([0xaa; 9]); // Ethernet padding
                let mut packet = packet(&bytes, 0);
                assert_eq!(open(&mut packet, FIRST), None, "another's");
                assert_eq!(open(&mut packet, SID), Some(Ok(())));
                assert_eq!(packet.head(), plain(v6), "{segments} segments, reduced {reduced}");
            }
        }
    }
}

#[test]
fn a_sid_amid_the_list_is_not_its_end() {
    let mut packet = packet(&plain(false), 128);
    assert!(shell(&[SID, FIRST], false).put_on(&mut packet));
    assert_eq!(open(&mut packet, SID), Some(Err(DropReason::WanSegmentsLeft)));
}

#[test]
fn marks_go_over_to_what_was_inside() {
    for (inner, outer, expected) in [(0xba, 3, Some(0xbb)), (0xba, 1, Some(0xb9)), (0xb8, 3, None)]
    {
        let mut bytes = plain(true);
        bytes[14..16].copy_from_slice(&[0x60 | inner >> 4, inner << 4]);
        let mut bytes = arrived(&bytes, &[SID], false);
        bytes[15] = bytes[15] & 0xcf | outer << 4;
        let mut packet = packet(&bytes, 0);
        let opened = open(&mut packet, SID).expect("for us");
        assert_eq!(opened.is_ok(), expected.is_some());
        if let Some(tos) = expected {
            assert_eq!(ecn::tos(&packet.head()[ETHERNET_LEN..]), Some(tos));
        } else {
            assert_eq!(opened, Err(DropReason::WanCe));
        }
    }
}

/// An arrived frame of one segment, with `tlvs` behind the list.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    assert_eq!(tlvs.len() % 8, 0, "the header counts in eights");
    let mut bytes = arrived(&plain(false), &[SID], false);
    let payload = u16::from_be_bytes([bytes[18], bytes[19]]) + tlvs.len() as u16;
    bytes[18..20].copy_from_slice(&payload.to_be_bytes());
    bytes[55] += (tlvs.len() / 8) as u8;
    bytes.splice(78..78, tlvs.iter().copied());
    bytes
}

#[test]
fn tlvs_are_skipped_but_for_an_hmac_and_those_that_overrun() {
    let mut hmac = vec![5, 38];
    hmac.resize(40, 0);
    let cases: [(&[u8], Result<(), DropReason>); 8] = [
        (&[4, 6, 0, 0, 0, 0, 0, 0], Ok(())),
        (&[0, 124, 5, 0, 0, 0, 0, 0], Ok(())),
        (&[4, 1, 0, 0x80, 3, 1, 2, 3], Ok(())),
        (&hmac, Err(DropReason::WanHmac)),
        (&[0, 5, 0, 4, 3, 0, 0, 0], Err(DropReason::WanHmac)),
        (&[4, 7, 0, 0, 0, 0, 0, 0], Err(DropReason::WanMalformed)),
        (&[4, 5, 0, 0, 0, 0, 0, 9], Err(DropReason::WanMalformed)),
        (&[0; 24], Err(DropReason::WanMalformed)),
    ];
    for (tlvs, expected) in cases {
        let mut packet = packet(&with_tlvs(tlvs), 0);
        assert_eq!(open(&mut packet, SID), Some(expected), "{tlvs:?}");
        assert!(expected.is_err() || packet.head() == plain(false));
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let right = arrived(&plain(false), &[SID], false);
    let cases = [
        (20, 17, DropReason::WanSrv6),        // UDP to the SID itself
        (20, 44, DropReason::WanSrv6),        // a fragment
        (54, 59, DropReason::WanSrv6),        // nothing behind the list
        (54, 143, DropReason::WanSrv6),       // Ethernet, as End.DX2 has it
        (56, 3, DropReason::WanSrv6),         // another routing type
        (55, 0, DropReason::WanMalformed),    // too short for its list
        (55, 0xff, DropReason::WanMalformed), // longer than the packet
        (58, 9, DropReason::WanMalformed),    // more entries than there is room for
        (57, 1, DropReason::WanSegmentsLeft),
        (57, 9, DropReason::WanMalformed), // more left than listed
        (18, 0xff, DropReason::WanMalformed), // longer than the frame
    ];
    for (at, value, expected) in cases {
        let mut bytes = right.clone();
        bytes[at] = value;
        let mut packet = packet(&bytes, 0);
        assert_eq!(open(&mut packet, SID), Some(Err(expected)), "byte {at} is {value}");
    }
    let mut short = right.clone();
    short[18..20].copy_from_slice(&[0, 23]);
    assert_eq!(open(&mut packet(&short, 0), SID), Some(Err(DropReason::WanMalformed)));
}

#[test]
fn what_has_no_room_or_no_ip_is_left_as_it_is() {
    for (bytes, headroom) in
        [(plain(false), 39), (vec![0x88; 60], 128), (plain(false)[..20].into(), 128)]
    {
        let mut packet = packet(&bytes, headroom);
        assert!(!shell(&[SID], true).put_on(&mut packet));
        assert_eq!(packet.head(), bytes);
    }
    let list = |count| Segments { list: vec![SID; count], reduced: true };
    assert!(Shell::new([2; 6], SOURCE, &list(0), 1).is_none());
    assert!(Shell::new([2; 6], SOURCE, &list(MAX_SEGMENTS + 1), 1).is_none());
}

proptest! {
    #[test]
    fn any_bytes_behind_our_sid_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        next_header in prop::sample::select(vec![4u8, 17, 41, 43]),
        payload in prop_oneof![0u16..320, any::<u16>()],
        routing in any::<bool>(),
    ) {
        let mut frame = [&[2; 12][..], &[0x86, 0xdd, 0x6b, 0x70, 0, 0], &payload.to_be_bytes(),
            &[next_header, 64], &SOURCE.octets(), &SID.octets(), &bytes].concat();
        if routing && frame.len() > 60 {
            frame[56] = 4;
            frame[57] &= 1;
            frame[58] &= 3;
        }
        let before = frame.clone();
        let mut packet = packet(&frame, 0);
        match open(&mut packet, SID) {
            None => prop_assert!(false, "it is for us"),
            Some(Err(_)) => {}
            Some(Ok(())) => {
                let inner = &packet.head()[ETHERNET_LEN..];
                prop_assert!(before.len() >= ETHERNET_LEN + IPV6_LEN + inner.len());
                prop_assert_eq!(&packet.head()[..12], &before[..12]);
            }
        }
    }
}
