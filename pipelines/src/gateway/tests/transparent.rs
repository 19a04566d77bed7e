//! Two gateways where PSNs are the numbers: what a gateway that tracks PSNs can fall into.

mod answers;
mod lives;
mod strange;

use super::roce::*;
use super::*;

#[test]
fn trap_2_requests_and_responses_to_one_queue_pair_have_spaces_of_their_own() {
    let mut bed = up(|_| {});
    bed.host(0, &write(100));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &roce(1, WRITE_ONLY, 9_000, &[0; 32]));
    bed.host(1, &ack(100));
    bed.host(1, &roce(1, WRITE_ONLY, 9_001, &[0; 32]));
    bed.run(30 * MILLISECOND, &mut perfect);
    assert_eq!(bed.given(0), [(WRITE_ONLY, 9_000), (ACK, 100), (WRITE_ONLY, 9_001)]);
    assert_eq!(bed.counters(0).nacks_sent, 0);
    bed.assert_settled();
}

#[test]
fn trap_3_a_read_takes_the_psns_of_its_responses_and_one_packet_fills_them() {
    for lost in [vec![], vec![(READ, 101)]] {
        let mut bed = up(|_| {});
        bed.host(0, &roce(0, SEND_FIRST, 100, &[0; 1_024]));
        bed.host(0, &read(101, 10 * 1_024));
        bed.host(0, &write(111));
        bed.run(60 * MILLISECOND, &mut losing(lost.clone()));
        assert_eq!(bed.given(1), [(SEND_FIRST, 100), (READ, 101), (WRITE_ONLY, 111)]);
        assert_eq!(bed.counters(1).nacks_sent, lost.len() as u64);
        assert_eq!(bed.counters(1).numbers_asked, 10 * lost.len() as u64);
        assert_eq!(bed.counters(0).resent.packets, lost.len() as u64);
        bed.assert_settled();
    }
}

#[test]
fn trap_3_a_path_mtu_that_nobody_knows_shows_by_the_jump() {
    let mut bed = up(|_| {});
    (0..8).for_each(|n| bed.host(0, &read(100 + 10 * n, 10 * 1_024)));
    bed.run(60 * MILLISECOND, &mut losing(vec![(READ, 130)]));
    assert_eq!(bed.given(1), (0..8).map(|n| (READ, 100 + 10 * n)).collect::<Vec<_>>());
    assert_eq!(bed.counters(0).resent.packets, 1);
    bed.assert_settled();
}

#[test]
fn trap_4_a_read_that_begins_again_inside_its_span_takes_what_is_left() {
    for lost in [vec![], vec![(READ, 105)], vec![(WRITE_ONLY, 111)]] {
        let mut bed = up(|_| {});
        bed.host(0, &roce(0, SEND_FIRST, 100, &[0; 1_024]));
        bed.host(0, &read(101, 10 * 1_024));
        bed.host(0, &write(111));
        // Long enough that a repeat is no needless one.
        bed.run(200 * MILLISECOND, &mut perfect);
        bed.host(0, &read(105, 6 * 1_024));
        bed.host(0, &write(111));
        bed.host(0, &write(112));
        bed.run(60 * MILLISECOND, &mut losing(lost.clone()));
        let first = [(SEND_FIRST, 100), (READ, 101), (WRITE_ONLY, 111)];
        let again = [(READ, 105), (WRITE_ONLY, 111), (WRITE_ONLY, 112)];
        assert_eq!(bed.given(1), [first, again].concat(), "{lost:?}");
        assert_eq!(bed.counters(0).resent.packets, lost.len() as u64, "{lost:?}");
        bed.assert_settled();
    }
}

#[test]
fn trap_7_a_stream_whose_beginning_and_announcement_are_lost_is_whole() {
    for first in 1..5 {
        let mut bed = up(|_| {});
        (100..110).for_each(|psn| bed.host(0, &write(psn)));
        let mut left = first;
        bed.run(80 * MILLISECOND, &mut |_, frame| {
            let lose = left > 0 && frame[11] != 2;
            left -= u32::from(lose);
            if lose { vec![] } else { vec![(DELAY, frame.to_vec())] }
        });
        assert_eq!(bed.given(1), writes(100..110), "{first} frames lost");
        bed.assert_settled();
    }
}

#[test]
fn trap_8_a_queue_pair_that_is_used_again_begins_anew() {
    for begin in [0x80_0000, 0x10_5000, 20] {
        let mut bed = up(|_| {});
        (1_000..1_010).for_each(|psn| bed.host(0, &write(psn)));
        let mut fate = losing(writes([1_009, begin, begin + 4]));
        bed.run(50 * MILLISECOND, &mut fate);
        (begin..begin + 5).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(50 * MILLISECOND, &mut fate);
        assert_eq!(bed.given(1), writes((1_000..1_010).chain(begin..begin + 5)));
        assert!(bed.counters(1).numbers_asked < 10, "no millions are asked for");
        bed.assert_settled();
    }
}

#[test]
fn trap_9_a_spoofed_psn_stalls_nobody_for_long() {
    for wild in [1_500, 0x8_0000, 0x70_0000] {
        let mut bed = up(|_| {});
        (1_000..1_010).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(30 * MILLISECOND, &mut perfect);
        let now = bed.now;
        bed.sides[1].receive(WAN, &write(wild), now);
        (1_010..1_020).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(60 * MILLISECOND, &mut losing(writes([1_015])));
        let mut given = bed.given(1);
        given.retain(|packet| packet.1 != wild);
        // What was on its way when it was asked for comes twice.
        let (first, again) = given.split_at(20);
        assert_eq!(first, writes(1_000..1_020), "{wild:#x}");
        assert!(again.len() <= 10 && again.iter().all(|packet| first.contains(packet)));
        bed.assert_settled();
    }
}

#[test]
fn trap_11_the_last_acknowledgement_of_a_stream_is_repaired() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(20 * MILLISECOND, &mut perfect);
    [104, 109].into_iter().for_each(|psn| bed.host(1, &ack(psn)));
    bed.run(60 * MILLISECOND, &mut losing(vec![(ACK, 109)]));
    assert_eq!(bed.given(0), [(ACK, 104), (ACK, 109)]);
    bed.assert_settled();
}

#[test]
fn trap_12_lost_requests_and_lost_repairs_are_asked_for_again() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    let mut loses = losing(writes([103, 103, 103]));
    let mut control = 0;
    bed.run(200 * MILLISECOND, &mut |number, frame| {
        control += u32::from(is_ours(frame));
        if is_ours(frame) && control % 5 < 2 { vec![] } else { loses(number, frame) }
    });
    assert_eq!(bed.given(1), writes(100..110));
    bed.assert_settled();
}

#[test]
fn trap_13_giving_up_releases_the_stream_in_order_and_is_counted() {
    let mut bed = up(|settings| settings.recovery.hold_age = 50 * MILLISECOND);
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    let mut never = |_: u64, frame: &[u8]| match !is_ours(frame) && what(frame).1 == 103 {
        true => vec![],
        false => vec![(DELAY, frame.to_vec())],
    };
    bed.run(100 * MILLISECOND, &mut never);
    assert_eq!(bed.given(1), writes((100..110).filter(|psn| *psn != 103)));
    assert_eq!(bed.counters(1).gave_up, 1);
    bed.host(0, &write(110));
    bed.run(40 * MILLISECOND, &mut never);
    assert_eq!(bed.given(1), writes([110]));
    assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0));
    bed.assert_no_leak();
}

#[test]
fn trap_14_an_rnic_that_goes_back_is_followed_and_each_copy_has_a_number() {
    let mut bed = up(|settings| settings.recovery.shield = false);
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    (104..112).for_each(|psn| bed.host(0, &write(psn)));
    assert_eq!(bed.sides[0].gateway.outstanding().0, 18);
    bed.run(60 * MILLISECOND, &mut losing(writes([102, 106, 106, 109, 111])));
    let given = bed.given(1);
    // The repeat of 109 was there before the repair, and stood for it, and that for the repeat.
    assert_eq!(given, writes((100..110).chain(104..112)), "as they were sent");
    bed.host(0, &write(111));
    bed.run(60 * MILLISECOND, &mut losing(writes([111])));
    assert_eq!(bed.given(1), writes([111]), "what was delivered passes again");
    bed.assert_settled();
}

#[test]
fn trap_14_what_an_rnic_asks_for_is_repaired_as_it_was_at_first() {
    for lost in [vec![103], vec![105, 106], vec![109], (103..110).collect()] {
        let mut bed = up(|_| {});
        (100..110).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(60 * MILLISECOND, &mut perfect);
        bed.host(1, &roce(1, ACK, 103, &[0x2c, 0, 0, 0]));
        bed.run(20 * MILLISECOND, &mut perfect);
        (103..110).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(60 * MILLISECOND, &mut losing(writes(lost.clone())));
        assert_eq!(bed.given(1), writes((100..110).chain(103..110)), "{lost:?}");
        assert_eq!(bed.counters(0).resent.packets, lost.len() as u64, "{lost:?}");
        bed.assert_settled();
    }
}

#[test]
fn trap_14_who_did_not_hear_that_an_rnic_went_back_misses_nothing() {
    let mut bed = up(|settings| settings.recovery.shield = false);
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut perfect);
    (104..112).for_each(|psn| bed.host(0, &write(psn)));
    let mut control = 2;
    let mut loses = losing(writes([107, 111]));
    bed.run(80 * MILLISECOND, &mut |number, frame| {
        let lose = is_ours(frame) && frame[11] == 1 && control > 0;
        control -= u32::from(lose);
        if lose { vec![] } else { loses(number, frame) }
    });
    let given = bed.given(1);
    assert_eq!(given[..10], writes(100..110));
    // Those that came before it was heard come once more.
    assert_eq!(given[given.len() - 8..], writes(104..112));
    bed.assert_settled();
}

#[test]
fn trap_15_a_repair_is_the_copy_that_was_lost() {
    let mut bed = up(|settings| settings.recovery.shield = false);
    (100..104).for_each(|psn| bed.host(0, &write(psn)));
    let newest = roce(0, WRITE_ONLY, 101, &[9; 32]);
    bed.host(0, &newest);
    bed.run(60 * MILLISECOND, &mut losing(writes([101, 101])));
    assert_eq!((&bed.sides[1].delivered[1], &bed.sides[1].delivered[4]), (&write(101), &newest));
    assert_eq!(bed.given(1), writes([100, 101, 102, 103, 101]));
    bed.assert_settled();
}

#[test]
fn trap_17_a_wrong_icrc_is_a_loss_and_is_never_mended() {
    let mut bed = up(|_| {});
    (100..104).for_each(|psn| bed.host(0, &write(psn)));
    let mut once = true;
    bed.run(60 * MILLISECOND, &mut |_, frame| {
        let mut frame = frame.to_vec();
        if !is_ours(&frame) && what(&frame).1 == 102 && std::mem::take(&mut once) {
            frame[60] ^= 4;
        }
        vec![(DELAY, frame)]
    });
    assert_eq!(bed.sides[1].delivered, (100..104).map(write).collect::<Vec<_>>());
    assert_eq!(bed.counters(1).drops.packets(DropReason::WanIcrc), 1);
    let mut wrong = write(104);
    wrong[60] ^= 4;
    bed.host(0, &wrong);
    assert_eq!(bed.sides[0].gateway.outstanding().0, 0, "not remembered");
    bed.run(60 * MILLISECOND, &mut perfect);
    bed.assert_settled();
}

#[test]
fn trap_19_a_late_nak_lets_no_needless_repeat_pass() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &nak(103));
    bed.run(20 * MILLISECOND, &mut perfect);
    (103..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &ack(109));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.given(1);
    (110..120).for_each(|psn| bed.host(0, &write(psn)));
    let now = bed.now;
    bed.sides[0].receive(WAN, &nak(103), now);
    (110..120).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut perfect);
    assert_eq!(bed.given(1), writes(110..120));
    assert_eq!(bed.counters(0).drops.packets(DropReason::RnicRepeat), 10);
    bed.assert_settled();
}

#[test]
fn trap_20_the_only_nak_of_a_gap_is_repaired_and_comes_once() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(20 * MILLISECOND, &mut perfect);
    bed.host(1, &nak(103));
    bed.run(60 * MILLISECOND, &mut losing(vec![(ACK, 103)]));
    assert_eq!(bed.given(0), [(ACK, 103)]);
    (103..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut perfect);
    assert_eq!(bed.given(1), writes((100..110).chain(103..110)));
    bed.assert_settled();
}

#[test]
fn trap_30_a_vlan_has_streams_of_its_own() {
    let tagged = |psn, vlan| {
        let mut frame = write(psn);
        frame.splice(12..12, [0x81, 0x00, 0, vlan]);
        frame
    };
    let mut bed = up(|_| {});
    for n in 0..5 {
        bed.host(0, &tagged(100 + n, 7));
        bed.host(0, &tagged(5_000 + n, 8));
    }
    bed.run(50 * MILLISECOND, &mut perfect);
    assert_eq!((bed.sides[1].delivered.len(), bed.counters(1).nacks_sent), (10, 0));
    bed.assert_settled();
}

#[test]
fn trap_31_a_new_life_has_a_path_mtu_of_its_own() {
    let mut bed = up(|_| {});
    for (begin, mtu) in [(1_000, 1_024), (0x80_0000, 256)] {
        bed.host(0, &roce(0, SEND_FIRST, begin, &vec![0; mtu]));
        bed.host(0, &read(begin + 1, 4_096));
        bed.host(0, &write(begin + 1 + 4_096 / mtu as u32));
        bed.run(50 * MILLISECOND, &mut perfect);
    }
    assert_eq!((bed.given(1).len(), bed.counters(1).nacks_sent), (6, 0));
    bed.assert_settled();
}

#[test]
fn a_gateway_that_restarts_costs_no_more_than_what_it_held() {
    let mut bed = up(|_| {});
    (100..110).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(40 * MILLISECOND, &mut perfect);
    let mut again = settings(2, 1);
    again.peers[0].numbering = Numbering::Transparent { check_icrc: true };
    bed.sides[1] = Side::new(again, 99, bed.now);
    bed.run(300 * MILLISECOND, &mut perfect);
    (110..120).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut losing(writes([110, 115, 119])));
    assert_eq!(bed.given(1), writes(110..120));
    bed.assert_settled();
}

#[test]
fn a_request_for_more_than_fits_a_buffer_is_answered() {
    let mut bed = up(|_| {});
    (0..600).for_each(|psn| bed.host(0, &write(psn)));
    bed.run(60 * MILLISECOND, &mut losing(writes((1..600).step_by(2))));
    assert_eq!(bed.given(1), writes(0..600));
    assert_eq!(bed.counters(0).drops.packets(DropReason::ControlMalformed), 0);
    bed.assert_settled();
}
