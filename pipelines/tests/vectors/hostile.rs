//! Frames that nobody made on purpose: no view may fail on them, whatever is asked of it; and every
//! opcode is read as it was built.

use std::hint::black_box;
use std::sync::LazyLock;

use pipelines::wire::bth::{self, Bth, Datagram};
use pipelines::wire::cm::Mad;
use pipelines::wire::opcode::{Kind, Opcode};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::pfc::MacControl;
use pipelines::wire::{checksum, ethernet, ipv4, ipv6, srv6, udp};
use proptest::prelude::*;

use super::data;
use super::recipe::{Headers, Recipe};

static FRAMES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| data::load().into_iter().map(|vector| vector.frame).collect());

/// Asks everything that can be asked of a frame; returns how many headers there were.
fn ask_everything(frame: &[u8]) -> usize {
    let Ok(view) = ethernet::View::parse(frame) else { return 0 };
    let addresses = (view.destination(), view.source(), view.ethertype());
    black_box((addresses, view.header_len()));
    for tag in view.tags() {
        assert!(ethernet::is_tag(tag.tpid) && tag.pcp() < 8 && tag.vid() < 4096);
        black_box(tag.dei());
    }
    let payload = view.payload();
    assert_eq!(view.header_len() + payload.len(), frame.len());
    let _ = black_box(MacControl::parse(payload).map(|control| match control {
        MacControl::Pfc(priorities) => priorities.iter().count(),
        MacControl::Pause(quanta) => quanta.into(),
    }));
    1 + ask_ipv4(payload) + ask_ipv6(payload)
}

fn ask_ipv4(packet: &[u8]) -> usize {
    let Ok(view) = ipv4::View::parse(packet) else { return 0 };
    let words = (view.tos(), view.identification(), view.fragment_word(), view.ttl());
    black_box((words, view.protocol(), view.checksum(), view.has_right_checksum()));
    assert!(view.is_fragment() || !view.is_later_fragment());
    assert_eq!(view.header().len(), ipv4::MIN_HEADER_LEN + view.options().len());
    let len = usize::from(view.total_len());
    assert_eq!(view.header().len() + view.payload().len(), len);
    let pseudo = udp::pseudo_ipv4(view.source(), view.destination(), view.total_len());
    1 + ask_udp(view.payload(), pseudo)
}

fn ask_ipv6(packet: &[u8]) -> usize {
    let Ok(view) = ipv6::View::parse(packet) else { return 0 };
    assert!(view.flow_label() < 1 << 20);
    black_box((view.traffic_class(), view.next_header(), view.hop_limit()));
    let upper = view.upper();
    let whole = ipv6::HEADER_LEN + usize::from(view.payload_len());
    assert_eq!(upper.header_len + view.payload().len(), whole);
    let extensions: usize = view.extensions().map(|(_, header)| header.len()).sum();
    assert_eq!(ipv6::HEADER_LEN + extensions, upper.header_len);
    for (_, header) in view.extensions() {
        if let Ok(view) = srv6::View::parse(header) {
            assert_eq!(view.segments().len(), usize::from(view.last_entry()) + 1);
            assert!(usize::from(view.segments_left()) <= view.segments().len());
            black_box((view.next_header(), view.flags(), view.tag(), view.tlvs()));
        }
    }
    black_box(view.segment_routing().is_some());
    let pseudo = udp::pseudo_ipv6(view.source(), view.destination(), view.payload_len());
    1 + ask_udp(view.payload(), pseudo)
}

fn ask_udp(datagram: &[u8], pseudo: checksum::Sum) -> usize {
    let Ok(view) = udp::View::parse(datagram) else { return 0 };
    black_box((view.source_port(), view.destination_port(), view.has_right_checksum(pseudo)));
    assert_eq!(usize::from(view.len()), udp::HEADER_LEN + view.payload().len());
    assert_eq!(view.is_empty(), view.payload().is_empty());
    let Ok(message) = Datagram::parse(view.payload()) else { return 1 };
    let bth = message.bth();
    assert_eq!(message.padding().len(), usize::from(bth.pad_len));
    assert_eq!(message.extended().len(), message.headers().len());
    let parts = message.extended().len() + message.payload().len() + message.padding().len();
    assert_eq!(parts + Bth::LEN + 4, view.payload().len());
    let headers = Headers::read(&message);
    if let Some(aeth) = headers.aeth {
        black_box(aeth.syndrome.meaning());
    }
    black_box((bth.opcode.to_string(), message.icrc(), headers));
    let _ = black_box(Mad::parse(message.payload()));
    2
}

/// What one look says agrees with what the views say.
fn assert_consistent(frame: &[u8]) {
    let parsed = Parsed::of(frame, frame.len());
    black_box(parsed.icrc_is_right([frame]));
    let Class::Roce(ip, udp, roce) = parsed.class else { return };
    let datagram = &frame[ip.payload_at()..][..usize::from(udp.len)];
    let view = udp::View::parse(datagram).expect("lengths were right");
    let message = Datagram::parse(view.payload()).expect("it was RoCEv2");
    assert_eq!(message.bth(), roce.bth);
    assert_eq!(message.payload().len(), usize::from(roce.payload_len));
}

/// A change to a frame: bytes set, and an end cut off or added.
#[derive(Debug, Clone)]
struct Damage {
    set: Vec<(prop::sample::Index, u8)>,
    len: prop::sample::Index,
    keep_len: bool,
}

fn damage() -> impl Strategy<Value = Damage> {
    let set = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (set, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(set, len, keep_len)| Damage {
        set,
        len,
        keep_len,
    })
}

impl Damage {
    /// Most damage is done where the headers are.
    fn to(&self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        let headers = frame.len().min(90);
        for (at, byte) in &self.set {
            frame[at.index(headers)] = *byte;
        }
        if !self.keep_len {
            frame.resize(self.len.index(frame.len() + 40), 0);
        }
        frame
    }
}

#[test]
fn every_vector_answers_everything() {
    for frame in FRAMES.iter() {
        assert!(ask_everything(frame) >= 1);
        assert_consistent(frame);
        for len in 0..frame.len().min(120) {
            ask_everything(&frame[..len]);
            assert_consistent(&frame[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_frames(which in any::<prop::sample::Index>(), damage in damage()) {
        let frame = damage.to(&FRAMES[which.index(FRAMES.len())]);
        ask_everything(&frame);
        assert_consistent(&frame);
    }

    #[test]
    fn any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        start in prop::sample::select(vec![
            [0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x88, 0x08, 0x01], [0x81, 0x00, 0x00],
        ]),
    ) {
        let mut frame = bytes;
        if let Some(place) = frame.get_mut(12..15) {
            place.copy_from_slice(&start);
        }
        ask_everything(&frame);
        assert_consistent(&frame);
        ask_ipv4(&frame);
        ask_ipv6(&frame);
    }

    /// All 256 of them: extended headers as the opcode has them, in bytes that mean nothing.
    #[test]
    fn every_opcode_is_read_as_it_was_built(
        fields in any::<(bool, bool, u16, bool, bool, bool)>(),
        (dest_qp, psn) in (0u32..1 << 24, 0u32..1 << 24),
        filling in prop::array::uniform32(any::<u8>()),
        payload in prop::collection::vec(any::<u8>(), 0..70),
    ) {
        let (solicited, migrated, p_key, fecn, becn, ack_request) = fields;
        for opcode in (0..=u8::MAX).map(Opcode) {
            let shape = opcode.shape();
            let header = Bth {
                solicited, migrated, p_key, fecn, becn, ack_request, ..Bth::new(opcode, dest_qp, psn)
            };
            let extended = &filling[..shape.headers.len()];
            let payload = if shape.payload { payload.as_slice() } else { &[] };
            let mut buffer = [0xaa; 160];
            let len = bth::write(header, &[extended], payload, &mut buffer).expect("room");
            let message = Datagram::parse(&buffer[..len]).expect("a datagram");
            let pad_len = (payload.len().wrapping_neg() % 4) as u8;
            prop_assert_eq!(message.bth(), Bth { pad_len, ..header });
            prop_assert_eq!(message.extended(), extended);
            prop_assert_eq!(message.payload(), payload);
            prop_assert_eq!(message.icrc(), 0);
            // Reserved bits are not kept; all else of a header is.
            let headers = Headers::read(&message);
            prop_assert_eq!(headers.bytes().len(), match shape.kind {
                Kind::Congestion => 0,
                _ => shape.headers.len(),
            });
            let again = bth::write(header, &[&headers.bytes(), reserved(opcode)], payload, &mut buffer);
            let message = Datagram::parse(&buffer[..again.expect("room")]).expect("a datagram");
            prop_assert_eq!(Headers::read(&message), headers);
        }
    }

    /// From Ethernet to the ICRC, over both IPs.
    #[test]
    fn whole_frames_are_read_as_they_were_built(
        which in any::<prop::sample::Index>(),
        is_ipv6 in any::<bool>(),
        tags in prop::collection::vec((0u8..8, 0u16..4096), 0..4),
        (tos, id, source_port, flow_label) in (any::<u8>(), any::<u16>(), any::<u16>(), 0u32..1 << 20),
    ) {
        let recipes = super::cookbook::recipes();
        let tags = tags.into_iter().map(|(pcp, vid)| ethernet::Tag::new(0x8100, pcp, vid)).collect();
        let recipe = Recipe {
            is_ipv6, tags, tos, id, source_port, flow_label, ..which.get(recipes.as_slice()).clone()
        };
        let frame = recipe.frame();
        recipe.assert_read(&frame);
        let parsed = Parsed::of(&frame, frame.len());
        prop_assert!(matches!(parsed.class, Class::Roce(..)));
        prop_assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
    }
}

/// The reserved bytes of a CNP.
fn reserved(opcode: Opcode) -> &'static [u8] {
    if opcode == Opcode::CNP { &[0; 16] } else { &[] }
}
