//! Vectors that are made from others, and those without RoCEv2: how a gateway would make them.

use std::collections::BTreeMap;

use pipelines::wire::bth::{self, Bth};
use pipelines::wire::opcode::Opcode;
use pipelines::wire::pfc::{MacControl, Priorities};
use pipelines::wire::{checksum, ethernet, icrc, ipv4, ipv6, srv6, udp};

use super::recipe::{MAC_A, seal};

type Frames = BTreeMap<&'static str, Vec<u8>>;

/// Where headers begin in an untagged frame.
const IP: usize = ethernet::HEADER_LEN;
const UDP4: usize = IP + ipv4::MIN_HEADER_LEN;
const UDP6: usize = IP + ipv6::HEADER_LEN;

/// Adds them to the frames that they are made from.
pub(crate) fn add(built: &mut Frames) {
    built.insert("cnp_connectx4lx_capture", connectx_cnp());
    marked(built);
    new_source_ports(built);
    mac_control(built);
    segment_routing(built);
    damaged(built);
    fragments(built);
}

/// A CNP that is not between A and B.
fn connectx_cnp() -> Vec<u8> {
    let mut frame = vec![0; 74];
    let header = ethernet::Header {
        destination: [0xe4, 0x1d, 0x2d, 0xab, 0x2b, 0xc2],
        source: [0x7c, 0xfe, 0x90, 0x64, 0x3b, 0x32],
        tags: &[],
        ethertype: ethernet::IPV4,
    };
    header.write(&mut frame).expect("room");
    let header = ipv4::Header {
        tos: 0xc2,
        identification: 0x718c,
        fragment_word: ipv4::DONT_FRAGMENT,
        ttl: 64,
        protocol: udp::PROTOCOL,
        source: [10, 0, 17, 1],
        destination: [10, 0, 18, 1],
        options: &[],
    };
    header.write(40, &mut frame[IP..]).expect("room");
    let ports = udp::Header { source_port: 0, destination_port: udp::ROCEV2_PORT };
    ports.write(32, &mut frame[UDP4..]).expect("room");
    let header = Bth { becn: true, ..Bth::new(Opcode::CNP, 0x118, 0) };
    bth::write(header, &[&[0; 16]], &[], &mut frame[UDP4 + udp::HEADER_LEN..]).expect("room");
    seal(IP, ipv4::MIN_HEADER_LEN, &mut frame);
    frame
}

/// Congestion experienced: the IPv4 checksum is updated, the ICRC does not change.
fn marked(built: &mut Frames) {
    let mut frame = built["data_ect0"].clone();
    let old = [frame[IP], frame[IP + 1]];
    frame[IP + 1] |= 3;
    let sum = u16::from_be_bytes([frame[IP + 10], frame[IP + 11]]);
    let sum = checksum::update(sum, &old, &frame[IP..IP + 2]);
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    built.insert("data_ce_same_icrc", frame);
}

/// The ICRC is updated without a look at the payload.
fn new_source_ports(built: &mut Frames) {
    let pairs = [
        ("sport_c000", "sport_f00d_patched", UDP4),
        ("v6_sport_c000", "v6_sport_f00d_patched", UDP6),
    ];
    for (from, to, at) in pairs {
        let mut frame = built[from].clone();
        let (covered, seal) = frame.split_last_chunk_mut::<4>().expect("an ICRC");
        let new = 0xf00d_u16.to_be_bytes();
        let (old, behind) = covered[at..].split_first_chunk_mut().expect("a port");
        let value = icrc::update(u32::from_le_bytes(*seal), old, &new, behind.len());
        *seal = value.to_le_bytes();
        *old = new;
        built.insert(to, frame);
    }
}

fn mac_control(built: &mut Frames) {
    let pfc = |times: &[(u8, u16)]| {
        let none = Priorities::default();
        MacControl::Pfc(times.iter().fold(none, |all, (priority, time)| all.with(*priority, *time)))
    };
    let frames = [
        ("pfc_pause_prio3_max", pfc(&[(3, 0xffff)])),
        ("pfc_resume_prio3", pfc(&[(3, 0)])),
        ("pfc_prio3_and_4", pfc(&[(3, 0x100), (4, 0x200)])),
        ("pause_global_max", MacControl::Pause(0xffff)),
        ("pause_global_xon", MacControl::Pause(0)),
    ];
    for (name, control) in frames {
        let mut frame = vec![0xaa; 60];
        assert_eq!(control.write_frame(MAC_A, &mut frame), Ok(60), "{name}");
        let view = ethernet::View::parse(&frame).expect(name);
        assert_eq!(MacControl::parse(view.payload()), Ok(control), "{name}");
        built.insert(name, frame);
    }
}

/// A segment identifier or address of the SRv6 domain.
const fn segment(site: u16, one: u16, last: u16) -> [u8; 16] {
    let ([a, b], [c, d], [e, f]) = (site.to_be_bytes(), one.to_be_bytes(), last.to_be_bytes());
    [0x20, 1, 0xd, 0xb8, a, b, c, d, 0, 0, 0, 0, 0, 0, e, f]
}

pub(crate) const FIRST: [u8; 16] = segment(0xc, 0, 1);
pub(crate) const LAST: [u8; 16] = segment(0xb, 1, 0x100);
const OUTER_SOURCE: [u8; 16] = segment(0xa, 0, 1);

fn segment_routing(built: &mut Frames) {
    let frame4 = built["rc_write_first"].clone();
    let inner6 = built["v6_write_first"][IP..].to_vec();
    let inner4 = &frame4[IP..];
    use ipv6::next::{ETHERNET, IPV4, IPV6};
    let frames = [
        ("srv6_hencaps_red_1sid_ipv4", outer(IPV4, &[], 0, LAST, inner4)),
        ("srv6_hencaps_1sid_ipv4", outer(IPV4, &[LAST], 0, LAST, inner4)),
        ("srv6_hencaps_2sid_ipv4", outer(IPV4, &[LAST, FIRST], 1, FIRST, inner4)),
        ("srv6_hencaps_red_2sid_ipv4", outer(IPV4, &[LAST], 1, FIRST, inner4)),
        ("srv6_hencaps_red_1sid_ipv6", outer(IPV6, &[], 0, LAST, &inner6)),
        ("srv6_l2_red_1sid", outer(ETHERNET, &[], 0, LAST, &frame4)),
    ];
    built.extend(frames);
}

/// An IPv6 packet in the SRv6 domain, with a routing header if there are segments.
fn outer(
    inner_header: u8,
    segments: &[[u8; 16]],
    segments_left: u8,
    destination: [u8; 16],
    inner: &[u8],
) -> Vec<u8> {
    let mut frame = vec![0xaa; 256];
    let header = ethernet::Header {
        destination: [2, 0, 0, 0, 0, 1],
        source: [2, 0, 0, 0, 0, 2],
        tags: &[],
        ethertype: ethernet::IPV6,
    };
    let mut len = header.write(&mut frame).expect("room") + ipv6::HEADER_LEN;
    let mut next_header = inner_header;
    if !segments.is_empty() {
        let header =
            srv6::Header { next_header: inner_header, segments_left, flags: 0, tag: 0, segments };
        len += header.write(&mut frame[len..]).expect("room");
        next_header = ipv6::next::ROUTING;
    }
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0x4567,
        next_header,
        hop_limit: 64,
        source: OUTER_SOURCE,
        destination,
    };
    header.write(len - UDP6 + inner.len(), &mut frame[IP..]).expect("room");
    frame.truncate(len);
    frame.extend(inner);
    frame
}

fn damaged(built: &mut Frames) {
    let good = built["good"].clone();
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    let mut swapped = good.clone();
    swapped.last_chunk_mut::<4>().expect("an ICRC").reverse();
    let mut version = good.clone();
    version[UDP4 + udp::HEADER_LEN + 1] |= 1;
    seal(IP, ipv4::MIN_HEADER_LEN, &mut version);
    let mut padded = built["zero_len"].clone();
    padded.resize(ethernet::MIN_FRAME_LEN, 0xaa);
    built.extend([
        ("bad_icrc_payload_bit", flipped),
        ("bad_icrc_byteswapped", swapped),
        ("truncated_30_bytes_short", good[..good.len() - 30].to_vec()),
        ("truncated_in_bth", good[..UDP4 + udp::HEADER_LEN + 6].to_vec()),
        ("l2_padded_zero_len_send", padded),
        ("tver_1_good_icrc", version),
    ]);
}

fn fragments(built: &mut Frames) {
    let whole = built["whole"].clone();
    let first_len = 576;
    let parts = [
        ("ip_frag_1", 0x2000, &whole[UDP4..UDP4 + first_len]),
        ("ip_frag_2", first_len as u16 / 8, &whole[UDP4 + first_len..]),
    ];
    for (name, fragment_word, part) in parts {
        let packet = ipv4::View::parse(&whole[IP..]).expect("a packet");
        let header = ipv4::Header {
            tos: packet.tos(),
            identification: packet.identification(),
            fragment_word,
            ttl: packet.ttl(),
            protocol: packet.protocol(),
            source: packet.source(),
            destination: packet.destination(),
            options: packet.options(),
        };
        let mut frame = whole[..UDP4].to_vec();
        header.write(part.len(), &mut frame[IP..]).expect("room");
        frame.extend(part);
        built.insert(name, frame);
    }
}
