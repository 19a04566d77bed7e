//! Who sends how much, seen by the gateway in passing.

use super::properties::Dice;
use super::roce::{QPS, READ, WRITE_ONLY, ack, roce, sealed, to, write};
use super::*;
use crate::flows::{self, Class, Kinds, Level, Threshold, View};

/// Small tables, quick to judge.
fn following(settings: &mut Settings) {
    settings.flows = Some(flows::Settings {
        subflows: 64,
        flows: 64,
        enter: Threshold { rate: 10_000_000, span: 20 * MILLISECOND },
        leave: Threshold { rate: 1_000_000, span: 50 * MILLISECOND },
        ..flows::Settings::default()
    });
}

fn subflow(bed: &Bed, qp: u32) -> Option<View> {
    let known = bed.sides[0].gateway.top_flows(Level::Subflow);
    known.into_iter().find(|view| view.name.dest_qp == Some(qp))
}

/// A burst from the LAN of site 0.
fn burst(bed: &mut Bed, frames: &[Vec<u8>]) {
    let now = bed.now;
    let side = &mut bed.sides[0];
    let mut burst = Burst::new();
    frames.iter().for_each(|frame| burst.push(side.pool.copy(frame).expect("buffers")));
    side.gateway.receive(LAN, &mut burst, now, &mut side.queues);
}

#[test]
fn packets_in_a_row_are_counted_each_and_what_they_do_is_known() {
    for numbering in [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }] {
        let mut bed = Bed::up(|settings| {
            following(settings);
            settings.peers[0].numbering = numbering;
        });
        let frames = [
            to(0x31, roce(0, WRITE_ONLY, 1, &[0; 64])),
            to(0x31, roce(0, WRITE_ONLY, 2, &[0; 96])),
            to(0x31, roce(0, READ, 3, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])),
            to(0x32, roce(0, WRITE_ONLY, 1, &[0; 64])),
            to(0x31, roce(0, WRITE_ONLY, 4, &[0; 64])),
        ];
        burst(&mut bed, &frames);
        bed.run(20 * MILLISECOND, &mut perfect);
        let one = subflow(&bed, 0x31).expect("it was seen");
        let bytes: usize = [0, 1, 2, 4].iter().map(|index| frames[*index].len()).sum();
        assert_eq!((one.packets, one.bytes), (4, bytes as u64));
        assert_eq!(one.kinds, Kinds::WRITE.with(Kinds::READ));
        assert_eq!(subflow(&bed, 0x32).expect("it was seen").packets, 1);
        let [flow] = &bed.sides[0].gateway.top_flows(Level::Flow)[..] else { panic!("one flow") };
        assert_eq!((flow.packets, flow.name.dest_qp), (5, None));
        // In a tunnel a lane has a path; where packets are numbered by themselves, each chooses.
        let tunnel = numbering == Numbering::Tunnel;
        assert_eq!(one.path.map(peer_and_path), tunnel.then_some((0, 0)));
        bed.assert_no_leak();
    }
}

#[test]
fn what_is_shown_is_a_second_old_at_most_and_is_forgotten_when_it_is_over() {
    let mut bed = Bed::up(following);
    burst(&mut bed, &[to(0x31, roce(0, WRITE_ONLY, 1, &[0; 64]))]);
    let mut status = FlowsStatus::default();
    bed.run(1_100 * MILLISECOND, &mut perfect);
    bed.sides[0].gateway.flows_status(&mut status);
    assert_eq!(status.top.each_ref().map(Vec::len), [1, 1]);
    assert_eq!(status.counters.map(|counters| counters.flows), [1, 1]);
    bed.run(13 * SECOND, &mut perfect);
    bed.sides[0].gateway.flows_status(&mut status);
    assert_eq!(status.counters.map(|counters| (counters.flows, counters.aged)), [(0, 1), (0, 1)]);
}

#[test]
fn a_subflow_shows_whose_it_is_once_an_answer_did() {
    for numbering in [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }] {
        let mut bed = Bed::up(|settings| {
            following(settings);
            settings.peers[0].numbering = numbering;
        });
        let qps = |bed: &Bed, qp: u32| {
            let ends = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            let shield = bed.sides[0].gateway.common.shield.as_ref();
            let asked = shield.and_then(|shield| shield.sender_qp(ends, 0, qp));
            let top = subflow(bed, qp).and_then(|view| view.peer_qp);
            let mut status = FlowsStatus::default();
            bed.sides[0].gateway.flows_status(&mut status);
            let mut shown = status.top[1].iter().filter(|view| view.name.dest_qp == Some(qp));
            (asked, top, shown.next().and_then(|view| view.peer_qp))
        };
        let [near, far] = QPS;
        // Two streams; one has answers.
        burst(&mut bed, &[write(100), to(0x31, roce(0, WRITE_ONLY, 7_000, &[0; 32]))]);
        bed.run(1_100 * MILLISECOND, &mut perfect);
        assert_eq!(qps(&bed, far), (None, None, None));
        let now = bed.now;
        bed.sides[1].receive(LAN, &ack(100), now);
        burst(&mut bed, &[write(101)]);
        bed.run(1_100 * MILLISECOND, &mut perfect);
        assert_eq!(qps(&bed, far), (Some(near), Some(near), Some(near)));
        assert_eq!(qps(&bed, 0x31), (None, None, None));
        bed.assert_no_leak();
    }
}

#[test]
fn nothing_is_followed_where_it_is_not_wished() {
    let mut bed = Bed::up(|_| {});
    burst(&mut bed, &[to(0x31, roce(0, WRITE_ONLY, 1, &[0; 64]))]);
    let mut status = FlowsStatus::default();
    bed.sides[0].gateway.flows_status(&mut status);
    assert!(!status.followed && bed.sides[0].gateway.top_flows(Level::Flow).is_empty());
}

fn byte(dice: &mut Dice) -> u8 {
    (dice.roll() * 256.0) as u8
}

/// A packet of a flood: its addresses, ports and queue pair are random.
fn stranger(dice: &mut Dice) -> Vec<u8> {
    let mut frame = to(byte(dice), roce(0, WRITE_ONLY, 0, &[0; 32]));
    for at in (26..34).chain(47..50) {
        frame[at] = byte(dice);
    }
    sealed(frame, 14)
}

#[test]
fn a_flood_of_strangers_disturbs_no_elephant() {
    let seed = 5;
    let mut dice = Dice(seed);
    let mut bed = Bed::up(following);
    let mut psn = 0;
    // Two elephants of 8 Mbyte/s, then ten strangers to each of their packets.
    for step in 0..400 {
        for qp in [0x31, 0x32] {
            let mut frames = vec![to(qp, roce(0, WRITE_ONLY, psn, &[0; 1_024]))];
            let strangers = if step < 200 { 0 } else { 10 };
            frames.extend((0..strangers).map(|_| stranger(&mut dice)));
            burst(&mut bed, &frames);
        }
        psn += 1;
        bed.run(MILLISECOND / 4, &mut perfect);
    }
    bed.run(20 * MILLISECOND, &mut perfect);
    let table = bed.sides[0].gateway.top_flows(Level::Subflow);
    let elephants: Vec<_> = table.iter().filter(|view| view.class == Class::Elephant).collect();
    assert_eq!(elephants.len(), 2, "seed {seed}");
    for elephant in elephants {
        // Every packet of theirs was counted: they never lost their places.
        assert_eq!(elephant.packets, u64::from(psn), "seed {seed}");
    }
    let mut status = FlowsStatus::default();
    bed.sides[0].gateway.flows_status(&mut status);
    let subflows = status.counters[1];
    assert!(subflows.flows <= 64 && subflows.evicted_once > 3_000, "{subflows:?}");
    assert_eq!(subflows.left, 0);
}
