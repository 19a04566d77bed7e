//! Paths that are too small, that reorder, or that tell packets apart.

use super::*;

#[test]
fn trap_32_what_is_known_not_to_fit_its_path_is_dropped_or_forwarded_in_the_open() {
    // Headers of 40 bytes, RETH and ICRC; behind the Ethernet header the path takes 1500 bytes.
    for (numbering, largest) in [0, 1].into_iter().zip([1_500 - 44 - 14, 1_500]) {
        for (oversize, crossed) in [(Oversize::Drop, 2), (Oversize::Forward, 3)] {
            let mut bed = both(|settings| settings.oversize = oversize).into_iter();
            let mut bed = bed.nth(numbering).expect("there are two");
            let of_size = |psn, ip_len: usize| roce(0, WRITE_ONLY, psn, &vec![0; ip_len - 44]);
            let frames = [of_size(100, largest), of_size(101, largest + 4), of_size(102, 80)];
            frames.iter().for_each(|frame| bed.host(0, frame));
            bed.run(60 * MILLISECOND, &mut |_, frame| vec![(DELAY, frame.to_vec())]);
            assert_eq!(bed.sides[1].delivered.len(), crossed, "{numbering} {oversize:?}");
            let dropped = bed.counters(0).drops.packets(DropReason::LanOversize);
            let forwarded = bed.counters(0).oversize_forwarded;
            assert_eq!((dropped + forwarded, dropped), (1, 3 - crossed as u64));
            assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0));
            assert_eq!(bed.sides[1].gateway.outstanding(), (0, 0), "nobody waits for it");
            bed.assert_no_leak();
        }
    }
}

#[test]
fn trap_32_a_path_that_swallows_full_packets_holds_no_others_back_and_shows() {
    for mut bed in both(|settings| settings.recovery.hold_age = 100 * MILLISECOND) {
        let full = |psn| roce(0, WRITE_ONLY, psn, &[0; 1_040]);
        let mut control = 0;
        let mut small_only = |_: u64, frame: &[u8]| {
            control += u32::from(carried(frame).is_none());
            if frame.len() > 600 { vec![] } else { vec![(DELAY, frame.to_vec())] }
        };
        (100..120).for_each(|psn| bed.host(0, &full(psn)));
        (0..20).for_each(|psn| bed.host(0, &to(0x51, write(psn))));
        bed.run(DELAY + MILLISECOND, &mut small_only);
        assert_eq!(bed.given(1), writes(0..20), "of another queue pair");
        // The same one's small packets wait for as long as anything does.
        (120..130).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(400 * MILLISECOND, &mut small_only);
        assert_eq!(bed.given(1), writes(120..130));
        assert_eq!(bed.counters(1).gave_up, 20);
        bed.run(SECOND, &mut small_only);
        assert!(control < 2_000, "{control} control messages in one and a half seconds");
        assert_eq!(bed.sides[1].gateway.outstanding().1, 0);
        bed.assert_no_leak();
    }
}

#[test]
fn trap_34_packets_sprayed_over_unequal_paths_raise_no_storm_of_requests() {
    const COUNT: u32 = 8_000;
    for mut bed in both(|_| {}) {
        // Every other packet takes 400 µs longer, in which twenty are sent.
        let mut data = 0;
        let mut sprayed = |_: u64, frame: &[u8]| {
            data += u64::from(carried(frame).is_some());
            vec![(DELAY + data % 2 * 400_000, frame.to_vec())]
        };
        for psn in 0..COUNT {
            bed.host(0, &write(psn));
            bed.run(20_000, &mut sprayed);
        }
        bed.run(60 * MILLISECOND, &mut sprayed);
        assert!(bed.given(1) == writes(0..COUNT), "in order, each once");
        let Counters { nacks_sent, numbers_asked, reordered, .. } = bed.counters(1).clone();
        println!("asked {nacks_sent} times for {numbers_asked}, {reordered} came late");
        assert!(
            u64::from(COUNT / 100) >= bed.counters(0).resent.packets,
            "{}",
            bed.counters(0).resent.packets
        );
        assert!(u64::from(COUNT / 100) >= nacks_sent, "{nacks_sent}");
        assert!(reordered > u64::from(COUNT / 3));
        bed.assert_settled();
    }
}

/// The frame with this type of service, which no ICRC covers.
fn of_service(tos: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[15] = tos;
    frame
}

#[test]
fn trap_35_answers_of_one_queue_pair_never_overtake_each_other() {
    for mut bed in both(|_| {}) {
        bed.host(0, &roce(0, SEND_FIRST, 99, &[0; 1_024]));
        for n in 0..10 {
            bed.host(0, &read(100 + 3 * n, 2 * 1_024));
            bed.host(0, &write(102 + 3 * n));
        }
        bed.run(20 * MILLISECOND, &mut perfect);
        let data = |opcode, psn| {
            let body = [&[0x1f, 0, 0, 0][..], &[1; 1_024]].concat();
            of_service(26 << 2, roce(1, opcode, psn, &body))
        };
        let answers: Vec<_> = (0..10)
            .flat_map(|n| {
                let psn = 100 + 3 * n;
                let ack = of_service(48 << 2, ack(psn + 2));
                [data(READ_FIRST, psn), data(READ_LAST, psn + 1), ack]
            })
            .collect();
        answers.iter().for_each(|frame| bed.host(1, frame));
        let mut ahead = 0;
        bed.run(80 * MILLISECOND, &mut |_, frame| {
            let first = carried(frame).is_some() && frame[15] == 48 << 2;
            ahead += u32::from(first);
            vec![(if first { DELAY / 2 } else { DELAY }, frame.to_vec())]
        });
        assert_eq!(ahead, 10, "the network has two classes");
        assert!(bed.sides[0].delivered == answers);
        bed.assert_settled();
    }
}

#[test]
fn trap_36_congestion_marks_are_neither_cleared_nor_made() {
    let services = (0..4).flat_map(|ecn| [0, 26 << 2, 48 << 2].map(|dscp| dscp | ecn));
    let frames: Vec<_> =
        services.clone().zip(100..).map(|(tos, psn)| of_service(tos, write(psn))).collect();
    for (mut bed, tunnel) in both(|_| {}).into_iter().zip([true, false]) {
        frames.iter().for_each(|frame| bed.host(0, frame));
        let mut outer = Vec::new();
        bed.run(60 * MILLISECOND, &mut |_, frame| {
            outer.extend(carried(frame).map(|_| frame[15]));
            vec![(DELAY, frame.to_vec())]
        });
        // A tunnel's own headers ask for marks where what they carry does (RFC 6040, section 4.1,
        // normal mode). What becomes of marks is in [`super::super::srv6`].
        assert_eq!(outer, services.clone().collect::<Vec<_>>(), "tunnel {tunnel}");
        assert_eq!(bed.sides[1].delivered, frames);
        bed.assert_settled();
    }
    // Without a tunnel the network marks the packet itself: that is no damage.
    let mut bed = up(|_| {});
    bed.host(0, &of_service(26 << 2 | 2, write(100)));
    bed.run(60 * MILLISECOND, &mut |_, frame| {
        let marked =
            if is_ours(frame) { frame.to_vec() } else { of_service(26 << 2 | 3, frame.to_vec()) };
        vec![(DELAY, marked)]
    });
    assert_eq!(bed.sides[1].delivered, [of_service(26 << 2 | 3, write(100))]);
    assert_eq!(bed.counters(0).resent.packets, 0);
    bed.assert_settled();
}

/// A packet as it would be from another source port.
fn from_port(port: [u8; 2], mut frame: Vec<u8>) -> Vec<u8> {
    frame[34..36].copy_from_slice(&port);
    sealed(frame, 14)
}

#[test]
fn trap_33_a_queue_pair_has_one_source_port_whatever_is_sent_again() {
    let mut bed = up(|settings| settings.peers[0].source_port_entropy = true);
    // Two queue pairs, and then what the first one's RNIC repeats.
    let one: Vec<_> = (100..110).map(write).collect();
    let two: Vec<_> = one.iter().map(|frame| to(9, frame.clone())).collect();
    for frame in one.iter().chain(&two) {
        bed.host(0, frame);
    }
    let mut lost = 0;
    let mut wire = Vec::new();
    let mut some_lost = |_: u64, frame: &[u8]| {
        if is_ours(frame) {
            return vec![(DELAY, frame.to_vec())];
        }
        wire.push(frame.to_vec());
        lost += u32::from(wire.len() % 7 == 3);
        if wire.len() % 7 == 3 { vec![] } else { vec![(DELAY, frame.to_vec())] }
    };
    bed.run(80 * MILLISECOND, &mut some_lost);
    // An RNIC that comes back to it much later.
    bed.host(0, &one[9]);
    bed.run(80 * MILLISECOND, &mut some_lost);
    assert!(lost > 2 && bed.counters(0).resent.packets > 0);
    let qp = |frame: &[u8]| frame[49];
    let port = |qp_of: u8| {
        let ports =
            wire.iter().filter(|frame| qp(frame) == qp_of).map(|frame| [frame[34], frame[35]]);
        let ports: std::collections::BTreeSet<_> = ports.collect();
        assert_eq!(ports.len(), 1, "first copies and others alike");
        ports.into_iter().next().expect("one")
    };
    let (first, second) = (port(qp(&one[0])), port(9));
    assert_ne!(first, second);
    assert!(first[0] >= 0xc0 && second[0] >= 0xc0, "dynamic ports");
    // The far RNIC finds what it would have found from that port, ICRC and all.
    let arrived = |qp_of: u8| -> Vec<_> {
        let all = bed.sides[1].delivered.iter();
        all.filter(|frame| qp(frame) == qp_of).take(10).cloned().collect()
    };
    let expected = |port, frames: &[Vec<u8>]| -> Vec<_> {
        frames.iter().map(|frame| from_port(port, frame.clone())).collect()
    };
    assert!(arrived(qp(&one[0])) == expected(first, &one));
    assert!(arrived(9) == expected(second, &two));
}
