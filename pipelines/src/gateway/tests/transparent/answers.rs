//! Responses: what of them is missing follows from what they answer.

use super::*;

/// A READ of three packets and a WRITE go from site 0 to site 1, and are answered.
fn answered(lost: Vec<(u8, u32)>) -> Bed {
    let mut bed = up(|_| {});
    bed.host(0, &roce(0, SEND_FIRST, 99, &[0; 1_024]));
    bed.host(0, &read(100, 3 * 1_024));
    bed.host(0, &roce(0, FETCH_ADD, 103, &[0; 28]));
    bed.host(0, &write(104));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &roce(1, READ_FIRST, 100, &[&[0x1f, 0, 0, 0][..], &[1; 1_024]].concat()));
    bed.host(1, &roce(1, READ_MIDDLE, 101, &[2; 1_024]));
    bed.host(1, &roce(1, READ_LAST, 102, &[&[0x1f, 0, 0, 0][..], &[3; 1_024]].concat()));
    bed.host(1, &roce(1, ATOMIC_ACK, 103, &[0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]));
    bed.host(1, &ack(104));
    bed.run(60 * MILLISECOND, &mut losing(lost));
    bed
}

#[test]
fn trap_18_no_answer_overtakes_the_data_of_a_read_or_an_atomic() {
    let all =
        [(READ_FIRST, 100), (READ_MIDDLE, 101), (READ_LAST, 102), (ATOMIC_ACK, 103), (ACK, 104)];
    // Every set of losses, that of all answers included.
    for set in 0..1u32 << all.len() {
        let lost = all.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
        let mut bed = answered(lost.map(|(_, packet)| *packet).collect());
        assert_eq!(bed.given(0), all, "{set:#b}");
        bed.assert_settled();
    }
}

#[test]
fn trap_18_data_that_was_announced_before_anything_came_is_not_taken_for_an_acknowledgement() {
    let mut bed = up(|_| {});
    bed.host(0, &roce(0, SEND_FIRST, 99, &[0; 1_024]));
    bed.host(0, &read(100, 2 * 1_024));
    bed.host(0, &read(102, 2 * 1_024));
    bed.run(20 * MILLISECOND, &mut perfect);
    let part = |opcode, psn| roce(1, opcode, psn, &[&[0x1f, 0, 0, 0][..], &[1; 1_024]].concat());
    let all = [(READ_FIRST, 100), (READ_LAST, 101), (READ_FIRST, 102), (READ_LAST, 103)];
    // Nothing of the first comes but its announcement; then its end is lost once more.
    let mut loss = losing(vec![all[0], all[1], all[1], all[1]]);
    for (opcode, psn) in &all[..2] {
        bed.host(1, &part(*opcode, *psn));
    }
    bed.run(3 * DELAY, &mut loss);
    for (opcode, psn) in &all[2..] {
        bed.host(1, &part(*opcode, *psn));
    }
    bed.run(150 * MILLISECOND, &mut loss);
    assert_eq!(bed.given(0), all);
    bed.assert_settled();
}

#[test]
fn trap_7_answers_whose_beginning_and_announcement_are_lost_are_whole() {
    for first in 1..5 {
        let mut bed = up(|_| {});
        (100..110).for_each(|psn| bed.host(0, &roce(0, FETCH_ADD, psn, &[0; 28])));
        bed.run(20 * MILLISECOND, &mut perfect);
        let data = [0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        (100..110).for_each(|psn| bed.host(1, &roce(1, ATOMIC_ACK, psn, &data)));
        let mut left = first;
        bed.run(80 * MILLISECOND, &mut |_, frame| {
            let lose = left > 0 && (!is_ours(frame) || left == first);
            left -= u32::from(lose);
            if lose { vec![] } else { vec![(DELAY, frame.to_vec())] }
        });
        let all: Vec<_> = (100..110).map(|psn| (ATOMIC_ACK, psn)).collect();
        assert_eq!(bed.given(0), all, "{first} frames lost");
        bed.assert_settled();
    }
}
