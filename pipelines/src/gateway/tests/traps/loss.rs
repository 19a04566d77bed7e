//! What is lost, and what comes twice.

use super::*;

#[test]
fn trap_1_streams_holes_and_answers_cross_the_wrap() {
    for mut bed in both(|_| {}) {
        let psns = 0xff_fff0..0x100_0010;
        psns.clone().for_each(|psn| bed.host(0, &write(psn)));
        // A hole that begins before the wrap and ends behind it, and two beside it.
        let lost = [0xff_fff3, 0xff_fffe, 0xff_ffff, 0x100_0000, 0x100_0001, 0x100_0005];
        bed.run(60 * MILLISECOND, &mut losing(writes(lost)));
        assert_eq!(bed.given(1), writes(psns));
        bed.assert_settled();
    }
    for mut bed in both(|_| {}) {
        bed.host(0, &roce(0, SEND_FIRST, 0xff_fffb, &[0; 1_024]));
        bed.host(0, &read(0xff_fffc, 8 * 1_024));
        bed.host(0, &write(4));
        bed.run(20 * MILLISECOND, &mut perfect);
        // The number of messages wraps too.
        let part = |opcode, psn: u32| match opcode {
            READ_MIDDLE => roce(1, opcode, psn, &[psn as u8; 1_024]),
            _ => roce(1, opcode, psn, &[&[0x1f, 0xff, 0xff, 0xff][..], &[7; 1_024]].concat()),
        };
        let middle = (0xff_fffd..0x100_0003).map(|psn| part(READ_MIDDLE, psn));
        let ends = [part(READ_LAST, 3), ack(4)];
        let answers: Vec<_> =
            [part(READ_FIRST, 0xff_fffc)].into_iter().chain(middle).chain(ends).collect();
        answers.iter().for_each(|frame| bed.host(1, frame));
        let lost = [0xff_fffe, 0xff_ffff, 0, 1].map(|psn| (READ_MIDDLE, psn));
        bed.run(80 * MILLISECOND, &mut losing(lost.to_vec()));
        assert!(bed.sides[0].delivered == answers);
        bed.assert_settled();
    }
}

/// Opcodes whose PSN says nothing of what is missing.
const NOT_DENSE: [(u8, &str); 6] = [
    (0x64, "UD"),
    (0x65, "UD with immediate"),
    (0x44, "RD"),
    (0x81, "CNP"),
    (0xc0, "manufacturer's"),
    (0xe4, "manufacturer's"),
];

#[test]
fn trap_5_what_is_numbered_otherwise_has_no_gaps() {
    for (opcode, name) in NOT_DENSE {
        // To a queue pair like others, and to the one of management.
        for qp in [0x22, 1] {
            let psns = [10, 20, 5, 5, 0, 0, 0x80_0000];
            let frames = psns.map(|psn| to(qp, roce(0, opcode, psn, &[0; 32])));
            assert_untouched(&frames);
            // What is lost keeps nothing else back.
            let mut bed = up(|_| {});
            frames.iter().for_each(|frame| bed.host(0, frame));
            bed.run(DELAY + MILLISECOND, &mut losing_nth(1));
            assert_eq!(bed.sides[1].delivered.len(), 6, "{name}");
            assert_eq!(bed.counters(0).unnumbered.packets, 7, "{name}");
            bed.assert_settled();
        }
    }
}

#[test]
fn trap_6_unreliable_connections_pass_or_are_repaired_and_wait_for_no_acknowledgement() {
    let frames = some(UC_WRITE, 0xff_fffb, 10, &[0; 32]);
    let [mut tunnel, mut transparent] = both(|_| {});
    frames.iter().for_each(|frame| transparent.host(0, frame));
    transparent.run(DELAY + MILLISECOND, &mut losing_nth(3));
    assert_eq!(transparent.sides[1].delivered.len(), 9, "at once");
    assert_eq!(transparent.counters(1).nacks_sent, 0);
    transparent.assert_settled();

    frames.iter().for_each(|frame| tunnel.host(0, frame));
    tunnel.run(60 * MILLISECOND, &mut losing_nth(3));
    assert_eq!(tunnel.sides[1].delivered, frames);
    tunnel.assert_settled();

    // And what cannot be repaired is waited for no longer than for anything.
    let mut bed = Bed::up(|settings| settings.recovery.hold_age = 50 * MILLISECOND);
    frames.iter().for_each(|frame| bed.host(0, frame));
    bed.run(60 * MILLISECOND, &mut |_, frame| match carried(frame).map(what) {
        Some((UC_WRITE, 0xff_fffe)) => vec![],
        _ => vec![(DELAY, frame.to_vec())],
    });
    assert_eq!((bed.sides[1].delivered.len(), bed.counters(1).gave_up), (9, 1));
}

#[test]
fn trap_10_a_tail_that_nothing_follows_is_repaired() {
    for (count, lost) in [(1, 0..1), (5, 4..5), (5, 2..5), (5, 0..5)] {
        for mut bed in both(|_| {}) {
            (0..count).for_each(|n| bed.host(0, &write(100 + n)));
            bed.run(60 * MILLISECOND, &mut losing(writes(lost.clone().map(|n| 100 + n))));
            assert_eq!(bed.given(1), writes(100..100 + count), "{lost:?} of {count}");
            bed.assert_settled();
        }
    }
}

#[test]
fn trap_16_what_an_rnic_lost_of_what_it_was_given_passes_again() {
    // Not ready; a sequence error; nothing, until a timer fires.
    let not_ready = roce(1, ACK, 103, &[0x2c, 0, 0, 0]);
    for answer in [Some(not_ready), Some(nak(103)), None] {
        for lost in [vec![], vec![103], vec![106, 109]] {
            for mut bed in both(|_| {}) {
                (100..110).for_each(|psn| bed.host(0, &write(psn)));
                bed.run(60 * MILLISECOND, &mut perfect);
                answer.iter().for_each(|answer| bed.host(1, answer));
                let wait = if answer.is_some() { 20 } else { 200 };
                bed.run(wait * MILLISECOND, &mut perfect);
                (103..110).for_each(|psn| bed.host(0, &write(psn)));
                bed.run(80 * MILLISECOND, &mut losing(writes(lost.clone())));
                assert_eq!(bed.given(1), writes((100..110).chain(103..110)), "{lost:?}");
                bed.assert_settled();
            }
        }
    }
}

fn atomic(psn: u32) -> Vec<u8> {
    roce(0, FETCH_ADD, psn, &[0; 28])
}

fn atomics(psns: impl IntoIterator<Item = u32>) -> Vec<(u8, u32)> {
    psns.into_iter().map(|psn| (FETCH_ADD, psn)).collect()
}

#[test]
fn trap_21_an_atomic_that_the_network_doubles_is_delivered_once() {
    for apart in [1_000, MILLISECOND, 9 * MILLISECOND] {
        for mut bed in both(|_| {}) {
            // A copy comes this much later, behind what was sent since.
            let mut twice = |_: u64, frame: &[u8]| match carried(frame) {
                Some(_) => vec![(DELAY, frame.to_vec()), (DELAY + apart, frame.to_vec())],
                None => vec![(DELAY, frame.to_vec())],
            };
            for psn in 100..200 {
                bed.host(0, &atomic(psn));
                bed.run(MILLISECOND / 4, &mut twice);
            }
            bed.run(60 * MILLISECOND, &mut twice);
            assert_eq!(bed.given(1), atomics(100..200), "{apart} ns apart");
            assert_eq!(bed.counters(1).drops.packets(DropReason::WanDuplicate), 100);
            bed.assert_settled();
        }
    }
}

#[test]
fn trap_21_a_late_atomic_and_its_repair_are_delivered_once() {
    for late in [MILLISECOND, 3 * MILLISECOND, 8 * MILLISECOND] {
        for mut bed in both(|_| {}) {
            let mut delays = |_: u64, frame: &[u8]| {
                let is_it = carried(frame).map(what) == Some((FETCH_ADD, 103));
                vec![(DELAY + if is_it { late } else { 0 }, frame.to_vec())]
            };
            (100..110).for_each(|psn| bed.host(0, &atomic(psn)));
            bed.run(60 * MILLISECOND, &mut delays);
            assert!(bed.counters(1).nacks_sent > 0, "it was asked for");
            assert_eq!(bed.given(1), atomics(100..110), "{late} ns late");
            bed.assert_settled();
        }
    }
}

#[test]
fn trap_21_an_atomic_that_its_rnic_repeats_passes_if_its_answer_may_be_lost() {
    for mut bed in both(|_| {}) {
        (100..103).for_each(|psn| bed.host(0, &atomic(psn)));
        bed.run(MILLISECOND, &mut perfect);
        (100..103).for_each(|psn| bed.host(0, &atomic(psn)));
        bed.run(20 * MILLISECOND, &mut perfect);
        assert_eq!(bed.given(1), atomics(100..103), "it is on its way");
        bed.run(200 * MILLISECOND, &mut perfect);
        (100..103).for_each(|psn| bed.host(0, &atomic(psn)));
        bed.run(60 * MILLISECOND, &mut losing(atomics([101])));
        assert_eq!(bed.given(1), atomics(100..103));
        bed.assert_settled();
    }
}
