//! Packets that only an announcement can explain, and that come before it or without it.

use super::*;

/// Loses what [`losing`] does, and the first `control` messages of the gateway at `side`.
fn losing_control(
    side: u8,
    mut control: u32,
    lost: Vec<(u8, u32)>,
) -> impl FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    let mut loses = losing(lost);
    move |number, frame| {
        let lose = is_ours(frame) && frame[11] == side + 1 && control > 0;
        control -= u32::from(lose);
        if lose { vec![] } else { loses(number, frame) }
    }
}

#[test]
fn trap_20_a_nak_behind_an_acknowledgement_of_all_before_is_repaired_and_comes_once() {
    for (control, lost) in [(0, vec![(ACK, 103)]), (1, vec![(ACK, 103)]), (1, vec![]), (2, vec![])]
    {
        let mut bed = up(|_| {});
        (100..110).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(20 * MILLISECOND, &mut perfect);
        bed.host(1, &ack(102));
        bed.run(20 * MILLISECOND, &mut perfect);
        bed.host(1, &nak(103));
        bed.run(60 * MILLISECOND, &mut losing_control(1, control, lost.clone()));
        assert_eq!(bed.given(0), [(ACK, 102), (ACK, 103)], "{control} {lost:?}");
        bed.assert_settled();
    }
}

#[test]
fn trap_20_an_acknowledgement_that_comes_late_does_not_stand_for_the_nak_behind_it() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &ack(102));
    bed.host(1, &nak(103));
    let mut loses = losing(vec![(ACK, 103)]);
    bed.run(60 * MILLISECOND, &mut |number, frame| {
        let late = !is_ours(frame) && what(frame) == (ACK, 102);
        if late { vec![(3 * DELAY, frame.to_vec())] } else { loses(number, frame) }
    });
    let mut given = bed.given(0);
    given.sort_unstable();
    assert_eq!(given, [(ACK, 102), (ACK, 103)]);
    bed.assert_settled();
}

#[test]
fn a_copy_that_the_network_makes_of_what_was_delivered_passes_for_no_repeat() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut perfect);
    let now = bed.now;
    bed.sides[1].receive(WAN, &write(103), now);
    bed.run(60 * MILLISECOND, &mut perfect);
    assert_eq!(bed.given(1), writes(100..110));
    assert_eq!(bed.counters(1).drops.packets(DropReason::WanDuplicate), 1);
    bed.assert_settled();
}

#[test]
fn trap_16_repeats_that_overtake_what_announces_them_are_delivered_in_order() {
    let mut bed = up(|settings| settings.recovery.shield = false);
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut perfect);
    (104..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut |_, frame| {
        let late = is_ours(frame) && frame[11] == 1 || !is_ours(frame) && what(frame).1 == 104;
        vec![(if late { DELAY * 3 / 2 } else { DELAY }, frame.to_vec())]
    });
    assert_eq!(bed.given(1), writes((100..110).chain(104..110)));
    bed.assert_settled();
}

#[test]
fn trap_8_a_new_life_whose_beginning_and_announcement_are_lost_is_whole() {
    for begin in [0x80_0000, 20] {
        let mut bed = up(|_| {});
        (1_000..1_010).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(60 * MILLISECOND, &mut perfect);
        (begin..begin + 5).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(60 * MILLISECOND, &mut losing_control(0, 1, writes([begin, begin + 1])));
        assert_eq!(bed.given(1), writes((1_000..1_010).chain(begin..begin + 5)), "{begin:#x}");
        bed.assert_settled();
    }
}
