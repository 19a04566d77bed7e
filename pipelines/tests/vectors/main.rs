//! Frames with known contents: each is read and built again, byte for byte.

mod changed;
mod cookbook;
mod data;
mod hostile;
mod mads;
mod notes;
mod recipe;

use std::collections::{BTreeMap, BTreeSet};

use dataplane::capture::Reader;
use pipelines::wire::bth::Datagram;
use pipelines::wire::cm::{Mad, Req};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::{Malformed, cm, ethernet, icrc, ipv4, ipv6, udp};

use data::Vector;

/// Vectors of formats that are not read or built here, and why.
const SKIPPED: [(&str, &str); 8] = [
    ("altmark_hbh_L1_D0", "alternate marking is not built"),
    ("altmark_doh_L0_D1", "alternate marking is not built"),
    ("ioam_prealloc_trace_hbh", "IOAM is not built"),
    ("bfd_down", "BFD is not built"),
    ("bfd_init", "BFD is not built"),
    ("bfd_up_poll", "BFD is not built"),
    ("bfd_up_final", "BFD is not built"),
    ("ipfix_template_and_data", "IPFIX is not built"),
];

#[test]
fn captures_hold_the_frames_of_the_list() {
    let mut listed = BTreeMap::<String, Vec<Vec<u8>>>::new();
    for vector in data::load() {
        listed.entry(vector.file).or_default().push(vector.frame);
    }
    for (file, frames) in &listed {
        let mut reader = Reader::open(&data::folder().join(file)).expect(file);
        for (at, frame) in frames.iter().enumerate() {
            let record = reader.next().expect(file).expect(file);
            assert_eq!(record.data, frame, "{file}, frame {at}");
            assert!(!record.is_snapped(), "{file}, frame {at}");
        }
        assert!(matches!(reader.next(), Ok(None)), "{file}");
    }
    let captures = std::fs::read_dir(data::folder()).expect("a folder").filter_map(|entry| {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        name.ends_with(".pcap").then_some(name)
    });
    assert!(captures.collect::<BTreeSet<_>>().into_iter().eq(listed.into_keys()));
}

#[test]
fn every_frame_is_built_again() {
    let mut built = BTreeMap::<&str, Vec<u8>>::new();
    let recipes = cookbook::recipes();
    built.extend(recipes.iter().map(|recipe| (recipe.name, recipe.frame())));
    changed::add(&mut built);
    let skipped = SKIPPED.map(|(name, _)| name);
    let vectors = data::load();
    for vector in &vectors {
        let name = vector.name.as_str();
        let frame = built.remove(name);
        assert_eq!(frame.is_none(), skipped.contains(&name), "{name}");
        if let Some(frame) = frame {
            assert_eq!(frame, vector.frame, "{name}");
        }
    }
    assert!(skipped.iter().all(|name| vectors.iter().any(|vector| vector.name == *name)));
    assert_eq!(built.into_keys().collect::<Vec<_>>(), ["good", "whole", "zero_len"]);
}

#[test]
fn every_recipe_is_read_again() {
    let vectors = data::load();
    let mut read = 0;
    for recipe in cookbook::recipes() {
        let Some(vector) = vectors.iter().find(|vector| vector.name == recipe.name) else {
            continue;
        };
        recipe.assert_read(&vector.frame);
        read += 1;
    }
    assert_eq!(read, 91);
}

/// What a vector is, of those that are no plain RoCEv2 packets.
fn expected(vector: &Vector) -> Option<Class> {
    let parsed = Parsed::of(&vector.frame, vector.frame.len());
    let ip = parsed.ip();
    match (vector.file.as_str(), vector.name.as_str()) {
        ("12_pfc_pause.pcap", _) => Some(Class::MacControl),
        ("13_srv6.pcap" | "14_altmark_ioam.pcap", _) => ip.map(Class::Ip),
        ("15_bfd_ipfix.pcap", _) => match parsed.class {
            Class::Udp(ip, udp) if udp.destination_port != udp::ROCEV2_PORT => {
                Some(Class::Udp(ip, udp))
            }
            other => panic!("{}: {other:?}", vector.name),
        },
        (_, "ip_frag_1" | "ip_frag_2") => ip.map(Class::Fragment),
        (_, "truncated_30_bytes_short" | "truncated_in_bth") => {
            ip.map(|ip| Class::MalformedRoce(ip, Malformed::IpLength))
        }
        (_, "tver_1_good_icrc") => {
            ip.map(|ip| Class::MalformedRoce(ip, Malformed::TransportVersion))
        }
        _ => None,
    }
}

#[test]
fn one_look_tells_what_each_frame_is() {
    let mut packets = 0;
    for vector in data::load() {
        let name = &vector.name;
        let frame = &vector.frame;
        let parsed = Parsed::of(frame, frame.len());
        if let Some(class) = expected(&vector) {
            assert_eq!(parsed.class, class, "{name}");
            assert_eq!(parsed.icrc_is_right([frame.as_slice()]), None, "{name}");
            continue;
        }
        let Class::Roce(ip, udp, roce) = parsed.class else { panic!("{name}: {:?}", parsed.class) };
        packets += 1;
        assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(vector.icrc_ok), "{name}");
        let view = ethernet::View::parse(frame).expect(name);
        assert_eq!(usize::from(ip.at), view.header_len(), "{name}");
        let outer = view.tags().next().map(ethernet::Tag::vid);
        assert_eq!(parsed.vlan, outer, "{name}");
        let (header_len, tos, payload) = if ip.version == 4 {
            let packet = ipv4::View::parse(view.payload()).expect(name);
            (packet.header().len(), packet.tos(), packet.payload())
        } else {
            let packet = ipv6::View::parse(view.payload()).expect(name);
            (packet.upper().header_len, packet.traffic_class(), packet.payload())
        };
        assert_eq!((usize::from(ip.header_len), ip.tos, ip.protocol), (header_len, tos, 17));
        let datagram = udp::View::parse(payload).expect(name);
        assert_eq!(udp.len, datagram.len(), "{name}");
        assert_eq!(udp.source_port, datagram.source_port(), "{name}");
        let message = Datagram::parse(datagram.payload()).expect(name);
        assert_eq!(roce.bth, message.bth(), "{name}");
        assert_eq!(usize::from(roce.extended_len), message.headers().len(), "{name}");
        assert_eq!(usize::from(roce.payload_len), message.payload().len(), "{name}");
    }
    assert_eq!(packets, 98);
}

/// The IP packet of a frame, its header's length, and the ICRC at its end.
fn sealed(frame: &[u8]) -> (&[u8], usize, u32) {
    let view = ethernet::View::parse(frame).expect("a frame");
    let packet = view.payload();
    let (ip_len, len) = match ipv4::View::parse(packet) {
        Ok(packet) => (packet.header().len(), usize::from(packet.total_len())),
        Err(_) => (ipv6::HEADER_LEN, packet.len()),
    };
    let (covered, icrc) = packet[..len].split_last_chunk::<4>().expect("an ICRC");
    (covered, ip_len, u32::from_le_bytes(*icrc))
}

#[test]
fn every_icrc_is_computed_verified_and_told_from_a_wrong_one() {
    let (mut right, mut wrong) = (0, 0);
    for vector in data::load() {
        let name = &vector.name;
        let Some(expected) = vector.icrc else {
            assert!(vector.icrc_ok, "{name}: nothing to be wrong");
            continue;
        };
        let (covered, ip_len, on_wire) = sealed(&vector.frame);
        // The list has the right one, whatever the frame has.
        assert_eq!(icrc::compute(ip_len, [covered]), Some(expected), "{name}");
        assert_eq!(expected == on_wire, vector.icrc_ok, "{name}");
        let seal = on_wire.to_le_bytes();
        let verdict = icrc::verify(ip_len, [covered, &seal]);
        assert_eq!(verdict, Some(vector.icrc_ok), "{name}");
        *(if vector.icrc_ok { &mut right } else { &mut wrong }) += 1;
    }
    assert_eq!((right, wrong), (97, 2));
}

#[test]
fn connections_are_read_as_they_were_asked_for() {
    let vectors = data::load();
    for (name, _, mad) in mads::all() {
        let vector = vectors.iter().find(|vector| vector.name == name).expect(name);
        let view = ethernet::View::parse(&vector.frame).expect(name);
        let packet = ipv4::View::parse(view.payload()).expect(name);
        let datagram = udp::View::parse(packet.payload()).expect(name);
        let message = Datagram::parse(datagram.payload()).expect(name);
        assert_eq!(message.bth().dest_qp, cm::GSI_QP, "{name}");
        assert_eq!(Mad::parse(message.payload()), Ok(mad), "{name}");
        if let cm::Message::Req(req) = mad.message {
            assert_eq!(Req::path_mtu(&req), Some(1024));
        }
    }
}

#[test]
fn notes_are_true() {
    let vectors = data::load();
    let noted: Vec<&Vector> = vectors.iter().filter(|vector| !vector.note.is_empty()).collect();
    for vector in &noted {
        notes::assert_true(vector, &vectors);
    }
    assert_eq!(noted.len(), 39);
}
