//! What is around a packet, and what only looks like one.

use super::*;

const ETHERNET: usize = 14;

/// The frame with these tags.
fn tagged(frame: &[u8], tags: &[[u8; 4]]) -> Vec<u8> {
    [&frame[..12], &tags.concat(), &frame[12..]].concat()
}

/// What a frame carries over IPv4, over IPv6.
fn over_ipv6(frame: &[u8]) -> Vec<u8> {
    let udp = &frame[34..];
    let address = |last: u8| [&[0xfd; 15][..], &[last]].concat();
    let header = [
        &[0x86, 0xdd, 0x60, 0, 0, 0][..],
        &(udp.len() as u16).to_be_bytes(),
        &[17, 64],
        &address(frame[29]),
        &address(frame[33]),
    ];
    sealed([&frame[..12], &header.concat(), udp].concat(), ETHERNET)
}

/// An IPv4 packet around `payload`.
fn over_ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut frame = write(0)[..34].to_vec();
    frame[16..18].copy_from_slice(&len);
    frame[23] = protocol;
    [&frame, payload].concat()
}

/// Adds to the length that the UDP header says, and puts the ICRC where that ends.
fn lengthened(mut frame: Vec<u8>, by: i16) -> Vec<u8> {
    let len = u16::from_be_bytes([frame[38], frame[39]]).wrapping_add_signed(by);
    frame[38..40].copy_from_slice(&len.to_be_bytes());
    sealed(frame, ETHERNET)
}

fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn trap_22_tags_and_ipv6_are_read_and_options_and_extension_headers_pass_by() {
    let writes = some(WRITE_ONLY, 0xff_fffe, 4, &[0; 32]);
    let with_tags = |tags: &[[u8; 4]]| writes.iter().map(|frame| tagged(frame, tags)).collect();
    let v6: Vec<_> = writes.iter().map(|frame| over_ipv6(frame)).collect();
    let kinds: [Vec<_>; 6] = [
        with_tags(&[[0x81, 0, 0x60, 7]]),
        with_tags(&[[0x81, 0, 0xa0, 0]]),
        with_tags(&[[0x88, 0xa8, 0, 7], [0x81, 0, 0, 9]]),
        with_tags(&[[0x91, 0, 0, 7], [0x81, 0, 0, 9]]),
        v6.iter().map(|frame| tagged(frame, &[[0x81, 0, 0, 7]])).collect(),
        v6.clone(),
    ];
    kinds.iter().for_each(|frames| assert_repaired(frames));

    let options = |frame: &[u8]| {
        let frame = [&frame[..34], &[1, 1, 1, 0], &frame[34..]].concat();
        let len = [0, frame.len() as u8 - 14];
        sealed(with(with(frame, 14, &[0x46]), 16, &len), ETHERNET)
    };
    let extended = |frame: &[u8]| {
        let len = [0, frame.len() as u8 - 54 + 8, 60];
        with([&frame[..54], &[17, 0, 1, 4, 0, 0, 0, 0], &frame[54..]].concat(), 18, &len)
    };
    let three = with_tags(&[[0x88, 0xa8, 0, 7], [0x81, 0, 0, 8], [0x81, 0, 0, 9]]);
    assert_untouched(&three);
    assert_untouched(&writes.iter().map(|frame| options(frame)).collect::<Vec<_>>());
    assert_untouched(&v6.iter().map(|frame| extended(frame)).collect::<Vec<_>>());
    let short = writes.iter().map(|frame| with(frame.clone(), 14, &[0x44]));
    assert_untouched(&short.collect::<Vec<_>>());
}

#[test]
fn trap_23_fragments_are_not_followed_whatever_their_bytes_look_like() {
    let first = |psn| with(write(psn), 20, &[0x20, 0]);
    let later = |psn| with(write(psn), 20, &[0, 9]);
    let last_but_one = |psn| with(write(psn), 20, &[0x20, 9]);
    let psns = [100, 103, 101];
    let frames = psns.into_iter().flat_map(|n| [first(n), later(n), last_but_one(n)]);
    assert_untouched(&frames.collect::<Vec<_>>());
    let lane = |frame: &[u8]| crate::gateway::classify::classify(frame).map(|class| class.hash);
    assert_eq!(lane(&first(100)), lane(&later(100)), "in order with each other");
}

#[test]
fn trap_24_what_is_behind_the_icrc_counts_for_nothing() {
    let padded = some(WRITE_ONLY, 100, 3, &[0; 16]).into_iter();
    assert_repaired(&padded.map(|frame| [&frame[..], &[0; 6]].concat()).collect::<Vec<_>>());
    let with_fcs = some(WRITE_ONLY, 100, 3, &[7; 64]).into_iter();
    assert_repaired(&with_fcs.map(|frame| [&frame[..], &[9; 4]].concat()).collect::<Vec<_>>());
}

#[test]
fn trap_24_lengths_that_contradict_each_other_make_a_packet_nobodys() {
    // What stands behind the packet would do for its missing headers.
    let room = |frame: Vec<u8>| [&frame[..], &[0x11; 48]].concat();
    type Wrong = fn(u32) -> Vec<u8>;
    let cases: [(&str, Wrong); 9] = [
        ("UDP longer than IP", |psn| lengthened([&write(psn)[..], &[0; 8]].concat(), 8)),
        ("UDP longer than the frame", |psn| with(write(psn), 38, &[4, 0])),
        ("UDP shorter than its own header", |psn| with(write(psn), 38, &[0, 7])),
        ("UDP too short for a BTH", |psn| with(write(psn), 38, &[0, 20])),
        ("IP longer than the frame", |psn| sealed(with(write(psn), 16, &[4, 0]), ETHERNET)),
        ("no RETH in a READ", |psn| roce(0, READ, psn, &[])),
        ("half a RETH in a WRITE", |psn| roce(0, WRITE_ONLY, psn, &[0; 8])),
        ("half an AtomicETH", |psn| roce(0, FETCH_ADD, psn, &[0; 16])),
        ("no AETH", |psn| roce(0, ACK, psn, &[])),
    ];
    for (name, frame) in cases {
        println!("{name}");
        assert_untouched(&[100, 110, 105, 100].map(|psn| room(frame(psn))));
    }
}

#[test]
fn trap_25_padding_is_counted_and_protected() {
    // Three bytes and one of padding.
    let padded = |psn| {
        let frame = roce(0, WRITE_ONLY, psn, &[&[0; 16][..], &[1, 2, 3, 0]].concat());
        sealed(with(frame, 43, &[0x10]), ETHERNET)
    };
    assert_repaired(&[100, 101, 102].map(padded));
    let mut bed = up(|_| {});
    bed.host(0, &padded(100));
    let mut once = true;
    bed.run(60 * MILLISECOND, &mut |_, frame| {
        let mut frame = frame.to_vec();
        if !is_ours(&frame) && std::mem::take(&mut once) {
            frame[73] = 1;
        }
        vec![(DELAY, frame)]
    });
    assert_eq!(bed.sides[1].delivered, [padded(100)]);
    assert_eq!(bed.counters(1).drops.packets(DropReason::WanIcrc), 1);
    bed.assert_settled();

    assert_untouched(&[100, 110, 105].map(|psn| roce(0, WRITE_ONLY, psn, &[0; 21])));
    let more_than_there_is = |psn| with(roce(0, WRITE_ONLY, psn, &[0; 16]), 43, &[0x30]);
    assert_untouched(&[100, 110, 105].map(|psn| sealed(more_than_there_is(psn), ETHERNET)));
    let not_the_last = |psn| with(roce(0, SEND_FIRST, psn, &[0; 256]), 43, &[0x10]);
    assert_untouched(&[100, 110, 105].map(|psn| sealed(not_the_last(psn), ETHERNET)));
}

#[test]
fn trap_26_messages_of_no_bytes_take_a_psn_each() {
    let frames = [
        roce(0, SEND_ONLY, 0xff_ffff, &[]),
        read(0, 0),
        write(1),
        read(2, 0),
        read(3, 0),
        roce(0, WRITE_ONLY, 4, &[0; 16]),
        roce(0, SEND_ONLY, 5, &[]),
    ];
    assert_repaired(&frames);
    // And the answers to them.
    for mut bed in both(|_| {}) {
        frames.iter().for_each(|frame| bed.host(0, frame));
        bed.run(20 * MILLISECOND, &mut perfect);
        let nothing = |psn| roce(1, READ_ONLY, psn, &[0x1f, 0, 0, 0]);
        let answers = [nothing(0), ack(1), nothing(2), nothing(3), ack(5)];
        answers.iter().for_each(|frame| bed.host(1, frame));
        bed.run(60 * MILLISECOND, &mut losing(vec![(READ_ONLY, 0), (READ_ONLY, 3)]));
        assert_eq!(bed.sides[0].delivered, answers);
        bed.assert_settled();
    }
}

#[test]
fn trap_27_other_versions_and_reserved_opcodes_pass_and_are_not_followed() {
    let versions = (1..16).flat_map(|version| {
        [100, 110, 105, 100].map(|psn| sealed(with(write(psn), 43, &[version]), ETHERNET))
    });
    assert_untouched(&versions.collect::<Vec<_>>());
    let unknown =
        (0..=255u8).filter(|opcode| !crate::wire::opcode::Opcode(*opcode).shape().is_known());
    let frames: Vec<_> = unknown
        .flat_map(|opcode| [100, 110, 100].map(|psn| roce(0, opcode, psn, &[0; 32])))
        .collect();
    assert!(frames.len() > 3 * 64);
    frames.chunks(256).for_each(assert_untouched);
}

#[test]
fn trap_28_what_is_inside_other_headers_is_theirs() {
    let psns = [100, 110, 105, 100];
    let inner = psns.map(write);
    let vxlan = [[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0, 7, 0]].concat();
    let carried: Vec<Vec<u8>> = inner
        .iter()
        .flat_map(|frame| {
            let v6 = over_ipv6(frame);
            let routing = [&[4, 2, 4, 0, 0, 0, 0, 0][..], &[0xfd; 16]].concat();
            let grh_and_bth = [&v6[14..54], &v6[62..]].concat();
            [
                over_ipv4(47, &[&[0, 0, 8, 0], &frame[14..]].concat()),
                over_ipv4(17, &[&vxlan[..], frame].concat()),
                over_ipv4(4, &frame[14..]),
                [&with(v6.clone(), 20, &[43])[..54], &routing, &frame[14..]].concat(),
                [&frame[..12], &[0x89, 0x15], &grh_and_bth[..]].concat(),
            ]
        })
        .collect();
    assert_untouched(&carried);
}

#[test]
fn trap_28_another_use_of_the_port_is_neither_followed_nor_absorbed() {
    for mut bed in both(|_| {}) {
        // All but the ICRC is as it would be.
        let frames = [100, 101, 100, 101, 100].map(|psn| with(write(psn), 80, &[0xab]));
        for frame in &frames {
            bed.host(0, frame);
            bed.run(MILLISECOND / 10, &mut perfect);
        }
        bed.run(30 * MILLISECOND, &mut perfect);
        assert_eq!(bed.sides[1].delivered, frames);
        assert_eq!(bed.counters(0).numbered.packets, 0);
        assert_eq!(bed.counters(0).drops.total(), 0);
        bed.assert_settled();
    }
}
