//! What the notes beside the vectors say, as assertions.

use pipelines::wire::aeth::Meaning;
use pipelines::wire::bth::Datagram;
use pipelines::wire::opcode::{Kind, Opcode};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::{Malformed, aeth, ethernet, icrc, ipv4, ipv6, srv6, udp};

use super::changed::{FIRST, LAST};
use super::data::Vector;
use super::mads;

/// The PMTU of the hosts, in bytes.
const PMTU: u32 = 1024;

fn named<'a>(vectors: &'a [Vector], name: &str) -> &'a Vector {
    vectors.iter().find(|vector| vector.name == name).expect(name)
}

fn datagram(vector: &Vector) -> Datagram<'_> {
    let frame = &vector.frame;
    let Class::Roce(ip, udp, _) = Parsed::of(frame, frame.len()).class else {
        panic!("{}: no RoCEv2", vector.name)
    };
    let payload = &frame[ip.payload_at()..][..usize::from(udp.len)][udp::HEADER_LEN..];
    Datagram::parse(payload).expect(&vector.name)
}

/// PSNs that a request takes.
fn span(datagram: &Datagram<'_>) -> u32 {
    match datagram.reth() {
        Some(reth) if datagram.bth().opcode.is_read_request() => reth.dma_len.div_ceil(PMTU).max(1),
        _ => 1,
    }
}

/// Asserts what the note of a vector says.
pub(crate) fn assert_true(vector: &Vector, vectors: &[Vector]) {
    let name = vector.name.as_str();
    let note = vector.note.as_str();
    if let Some(next) = note.strip_prefix("next request PSN ") {
        let datagram = datagram(vector);
        let next = u32::from_str_radix(next, 16).expect(name);
        assert_eq!((datagram.bth().psn + span(&datagram)) & 0xff_ffff, next, "{name}");
        return;
    }
    match vector.file.as_str() {
        "90_negative.pcap" => negative(name, vector, vectors),
        "13_srv6.pcap" => segment_routing(name, vector, vectors),
        _ => request_or_response(name, vector, vectors),
    }
}

fn request_or_response(name: &str, vector: &Vector, vectors: &[Vector]) {
    let datagram = datagram(vector);
    let bth = datagram.bth();
    let named = |name| named(vectors, name);
    let meaning = datagram.aeth().map(|aeth| aeth.syndrome.meaning());
    match name {
        "rc_send_only_zero_len" => {
            assert_eq!((vector.frame.len(), datagram.payload().len()), (58, 0));
        }
        "rc_read_req_2500B" => assert_eq!((bth.psn, span(&datagram)), (0x300, 3)),
        "rc_send_only_after_read" => assert_eq!(bth.psn, 0x303),
        "ack_credits_code_13" => {
            assert_eq!(meaning, Some(Meaning::Ack(13)));
            assert_eq!(aeth::credits(13), Some(96));
        }
        "rnr_nak_timer_14" => {
            assert_eq!(meaning, Some(Meaning::RnrNak(14)));
            assert_eq!(aeth::rnr_timer_us(14), 1280);
        }
        "wrap_ack_000002" => {
            assert_eq!((bth.psn, datagram.aeth().map(|aeth| aeth.msn)), (2, Some(0)))
        }
        "xrc_send_only" => assert_eq!(datagram.xrc_srq(), Some(0x99)),
        "cnp_connectx4lx_capture" => {
            assert_eq!((bth.opcode, bth.becn, bth.psn), (Opcode::CNP, true, 0));
        }
        "cnp_v4" => assert_eq!((bth.opcode, vector.frame[15]), (Opcode::CNP, 48 << 2)),
        "data_ect0" => assert_eq!(vector.frame[15], 26 << 2 | 2),
        "data_ce_same_icrc" => {
            let unmarked = named("data_ect0");
            let differ = |at: &usize| vector.frame[*at] != unmarked.frame[*at];
            assert!((0..vector.frame.len()).filter(differ).eq([15, 25]));
            assert_eq!((vector.frame[15] & 3, vector.icrc), (3, unmarked.icrc));
        }
        "cm_first_a2b_send" => assert_eq!(bth.psn, mads::PSN_TO_B),
        "cm_first_b2a_send" => assert_eq!(bth.psn, mads::PSN_TO_A),
        "sport_f00d_patched" => {
            let before = named("sport_c000");
            let last = vector.frame.len() - icrc::LEN;
            let differ = |at: &usize| vector.frame[*at] != before.frame[*at];
            assert!((0..last).filter(differ).eq([34, 35]), "the source port");
            assert_ne!(vector.icrc, before.icrc);
        }
        "rc_flush" => {
            assert_eq!((datagram.headers().len(), span(&datagram)), (20, 1));
            assert!(datagram.feth().is_some() && datagram.reth().is_some());
        }
        "rc_atomic_write" => {
            assert_eq!((datagram.payload().len(), span(&datagram)), (8, 1));
            assert!(datagram.reth().is_some());
        }
        "stream_retry_read_5000_from_2048" => {
            let original = self::datagram(named("stream_fffffb_read_5000"));
            let (old, new) = (original.reth().expect(name), datagram.reth().expect(name));
            assert_eq!(bth.psn, original.bth().psn + 2);
            assert_eq!((new.address, new.dma_len), (old.address + 2048, old.dma_len - 2048));
            assert_eq!(bth.psn + span(&datagram), original.bth().psn + span(&original));
        }
        _ => panic!("{name}: a note that nothing is asserted of"),
    }
}

/// Added bytes, and what is found inside.
fn segment_routing(name: &str, vector: &Vector, vectors: &[Vector]) {
    let view = ethernet::View::parse(&vector.frame).expect(name);
    let outer = ipv6::View::parse(view.payload()).expect(name);
    let inner = named(vectors, "rc_write_first");
    let srh = outer.segment_routing();
    let added = outer.upper().header_len;
    let list = srh.as_ref().map(|srh: &srv6::View<'_>| srh.segments());
    let left = srh.map(|srh| (srh.segments_left(), srh.last_entry()));
    match name {
        "srv6_hencaps_red_1sid_ipv4" => assert_eq!((added, list), (40, None)),
        "srv6_hencaps_1sid_ipv4" => {
            assert_eq!((added, list, left), (64, Some(&[LAST][..]), Some((0, 0))));
        }
        "srv6_hencaps_2sid_ipv4" => {
            assert_eq!((added, list, left), (80, Some(&[LAST, FIRST][..]), Some((1, 1))));
        }
        "srv6_hencaps_red_2sid_ipv4" => {
            assert_eq!((added, list, left), (64, Some(&[LAST][..]), Some((1, 0))));
        }
        "srv6_l2_red_1sid" => {
            assert_eq!((added, outer.upper().protocol), (40, ipv6::next::ETHERNET));
            assert_eq!(outer.payload(), inner.frame);
            return;
        }
        _ => panic!("{name}: a note that nothing is asserted of"),
    }
    assert_eq!(outer.upper().protocol, ipv6::next::IPV4, "{name}");
    assert_eq!(outer.payload(), &inner.frame[ethernet::HEADER_LEN..], "{name}");
}

fn negative(name: &str, vector: &Vector, vectors: &[Vector]) {
    let frame = &vector.frame;
    let parsed = Parsed::of(frame, frame.len());
    match name {
        "truncated_30_bytes_short" => {
            let packet = ethernet::View::parse(frame).expect(name).payload();
            assert_eq!(ipv4::View::parse(packet).err(), Some(Malformed::IpLength));
        }
        "l2_padded_zero_len_send" => {
            assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
            assert_eq!(datagram(vector).icrc(), vector.icrc.expect(name));
            let last = frame.last_chunk().expect(name);
            assert_ne!(u32::from_le_bytes(*last), vector.icrc.expect(name));
        }
        "ip_frag_1" => {
            let packet = ipv4::View::parse(&frame[ethernet::HEADER_LEN..]).expect(name);
            assert!(packet.is_fragment() && !packet.is_later_fragment());
            assert_eq!(udp::View::parse(packet.payload()).err(), Some(Malformed::UdpLength));
            let second = &named(vectors, "ip_frag_2").frame[ethernet::HEADER_LEN..];
            let second = ipv4::View::parse(second).expect(name);
            let datagram = [packet.payload(), second.payload()].concat();
            let udp = udp::View::parse(&datagram).expect("put together");
            assert_eq!(Datagram::parse(udp.payload()).expect(name).payload().len(), 1024);
        }
        "ip_frag_2" => {
            let packet = ipv4::View::parse(&frame[ethernet::HEADER_LEN..]).expect(name);
            assert!(packet.is_later_fragment());
        }
        "tver_1_good_icrc" => {
            let Class::MalformedRoce(_, Malformed::TransportVersion) = parsed.class else {
                panic!("{name}: {:?}", parsed.class)
            };
            assert_eq!(Opcode(frame[42]).shape().kind, Kind::Request);
        }
        _ => panic!("{name}: a note that nothing is asserted of"),
    }
}
