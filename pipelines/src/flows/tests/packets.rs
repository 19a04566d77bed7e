//! What is seen in frames.

use proptest::prelude::*;

use super::*;
use crate::wire::bth::Bth;
use crate::wire::opcode::Opcode;

/// An acknowledgement, or what else is as long, on VLAN 5 with priority 3 and DSCP 26.
fn frame(opcode: u8, dest_qp: u32) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x81, 0x00, 0x60, 0x05, 0x08, 0x00]);
    frame.extend([0x45, 26 << 2 | 2, 0, 48, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 1, 0, 2]);
    frame.extend([0xc0, 0x01, 0x12, 0xb7, 0, 28, 0, 0]);
    let bth = Bth { p_key: 0x8001, ..Bth::new(Opcode(opcode), dest_qp, 9) };
    frame.extend(bth.to_bytes().expect("fits"));
    frame.extend([0; 8]);
    frame
}

fn sight(frame: &[u8]) -> Sight {
    Sight::of(frame, frame.len(), 7, false).expect("it is IP")
}

#[test]
fn an_acknowledgement_is_seen_whole() {
    let frame = frame(0x11, 0x1234);
    let sight = sight(&frame);
    let name = Name {
        source: [10, 0, 0, 1].into(),
        destination: [10, 1, 0, 2].into(),
        protocol: 17,
        source_port: 0,
        destination_port: 4_791,
        dest_qp: Some(0x1234),
        p_key: None,
        vlan: Some(5),
        tenant: 7,
    };
    assert_eq!(sight.name(), name);
    assert_eq!((sight.bytes, sight.kinds), (frame.len() as u32, Kinds::ACKNOWLEDGE));
    assert_eq!(sight.priority, Priority { dscp: 26, pcp: 3 });
    let mut other_port = frame.clone();
    other_port[39] ^= 1;
    assert_eq!(self::sight(&other_port), sight, "the source port is no part of it");
    let with_p_key = Sight::of(&frame, frame.len(), 7, true).expect("it is IP");
    assert_eq!(with_p_key.name(), Name { p_key: Some(0x8001), ..name });
}

#[test]
fn kinds_are_told_by_opcode() {
    let kinds = |opcode, qp| sight(&frame(opcode, qp)).kinds;
    // Four bytes of payload, or of extended headers.
    let cases = [
        (0x00, Kinds::SEND),
        (0x04, Kinds::SEND),
        (0x07, Kinds::WRITE),
        (0x27, Kinds::WRITE),
        (0x0e, Kinds::RESPONSE),
        (0x10, Kinds::RESPONSE),
        (0x11, Kinds::ACKNOWLEDGE),
        (0xb1, Kinds::ACKNOWLEDGE),
        (0x16, Kinds::SEND),
        (0xc1, Kinds::UNKNOWN),
    ];
    for (opcode, kind) in cases {
        assert_eq!(kinds(opcode, 9), kind, "{opcode:#x}");
    }
    assert_eq!(kinds(0x64, 9), Kinds::UNKNOWN, "too short for what it says");
    let longer = |opcode, qp, more: usize| {
        let mut frame = frame(opcode, qp);
        frame.extend(vec![0; more]);
        frame[21] += more as u8;
        frame[43] += more as u8;
        sight(&frame).kinds
    };
    assert_eq!(longer(0x64, 9, 12), Kinds::DATAGRAM);
    assert_eq!(longer(0x64, 1, 12), Kinds::MANAGEMENT);
    assert_eq!(longer(0x0c, 9, 12), Kinds::READ);
    assert_eq!(longer(0x14, 9, 24), Kinds::ATOMIC);
    assert_eq!(longer(0x81, 9, 12), Kinds::CONGESTION);
}

#[test]
fn what_is_not_rocev2_is_one_subflow_a_flow() {
    let mut tcp = frame(0, 0);
    tcp[27] = 6;
    let sight = self::sight(&tcp);
    assert_eq!((sight.name().source_port, sight.name().dest_qp), (0xc001, None));
    assert_eq!(sight.kinds, Kinds::OTHER);
    let mut fragment = frame(0x11, 3);
    fragment[24] = 0x20;
    let name = self::sight(&fragment).name();
    assert_eq!((name.source_port, name.destination_port, name.dest_qp), (0, 0, None));
    let mut arp = frame(0x11, 3);
    arp[17] = 6;
    assert_eq!(Sight::of(&arp, arp.len(), 0, false), None);
    assert_eq!(Sight::of(&[], 0, 0, false), None);
}

#[test]
fn four_partitions_of_a_queue_pair_are_told_apart_if_they_count() {
    for (p_key, subflows) in [(false, 1), (true, 4)] {
        let mut flows = flows(&Settings { p_key, ..settings() });
        for partition in 0..4 {
            let mut frame = frame(0x11, 3);
            frame[49] = partition;
            flows.observe(&frame, frame.len(), 0, Time(1)).expect("it is IP");
        }
        let [flows, found] = [Level::Flow, Level::Subflow].map(|level| flows.counters(level).flows);
        assert_eq!((flows, found), (1, subflows));
    }
}

#[test]
fn names_of_kinds_are_what_is_in_them() {
    let kinds = Kinds::WRITE.with(Kinds::ACKNOWLEDGE);
    assert_eq!(kinds.names().collect::<Vec<_>>(), ["write", "acknowledge"]);
    assert!(kinds.has(Kinds::WRITE) && !kinds.has(Kinds::SEND));
    assert_eq!(format!("{:?}", Kinds::MANAGEMENT), r#"{"management"}"#);
}

proptest! {
    #[test]
    fn any_frame_is_counted_or_has_no_flow(
        bytes in prop::collection::vec(any::<u8>(), 0..120), ip in 0usize..3, longer in 0usize..9_000,
    ) {
        let mut frame = bytes;
        if frame.len() > 14 && ip < 2 {
            frame[12..14].copy_from_slice(&[[0x08, 0x00], [0x86, 0xdd]][ip]);
            frame[14] = [0x45, 0x60][ip];
        }
        let mut flows = flows(&settings());
        let seen = flows.observe(&frame, frame.len() + longer, 0, Time(1));
        let counted = flows.counters(Level::Subflow).flows;
        prop_assert_eq!(u64::from(seen.is_some()), counted);
    }
}
