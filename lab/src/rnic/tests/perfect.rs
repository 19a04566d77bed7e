//! What two RNICs say to each other when nothing happens to it.

use super::pipe::{DELAY, Pipe};
use crate::rnic::{Pmtu, QpSettings, Timer, Verb};

/// Lengths around what packets hold.
fn lengths(pmtu: Pmtu) -> [u32; 8] {
    let one = pmtu.bytes();
    [0, 1, 16, one - 1, one, one + 1, 3 * one, 7 * one + 5]
}

#[test]
fn every_verb_of_every_length_arrives() {
    for pmtu in Pmtu::ALL {
        for verb in Verb::ALL {
            let mut pipe = Pipe::new(QpSettings { pmtu, ..QpSettings::default() });
            lengths(pmtu).into_iter().for_each(|length| pipe.post(verb, length));
            pipe.run();
            pipe.assert_complete(8);
            let [requester, responder] = pipe.counters();
            let bytes = if verb.is_atomic() { 64 } else { lengths(pmtu).iter().sum() };
            assert_eq!(requester.completed_bytes, u64::from(bytes));
            let delivered = if verb.is_answered() { (0, 0) } else { (8, u64::from(bytes)) };
            let counted = (responder.delivered_messages, responder.delivered_bytes);
            assert_eq!(counted, delivered, "{verb:?}");
            assert_eq!(requester.retransmitted_packets + responder.out_of_sequence, 0);
            assert_eq!(requester.received_packets, responder.sent_packets);
        }
    }
}

#[test]
fn a_write_is_first_middle_last_and_an_acknowledgement() {
    let mut pipe = Pipe::new(QpSettings { pmtu: Pmtu::B256, ..QpSettings::default() });
    pipe.post(Verb::Write, 1000);
    pipe.run();
    assert_eq!(pipe.opcodes(0), [0x06, 0x07, 0x07, 0x08]);
    let asked: Vec<bool> = pipe.seen.iter().map(|seen| seen.ack_request).collect();
    assert_eq!(asked, [false, false, false, true, false]);
    let ack = pipe.seen.last().expect("an acknowledgement");
    assert_eq!((ack.opcode, ack.psn, ack.aeth), (0x11, 0, Some((0x1f, 1))));
    assert_eq!(pipe.done[0][0].completed, ack.at.after(DELAY));
}

#[test]
fn a_read_is_answered_first_to_last_and_uses_a_number_for_each() {
    let mut pipe = Pipe::new(QpSettings { pmtu: Pmtu::B256, ..QpSettings::default() });
    pipe.post(Verb::Read, 1000);
    pipe.post(Verb::Read, 10);
    pipe.post(Verb::FetchAdd, 8);
    pipe.run();
    pipe.assert_complete(3);
    assert_eq!((pipe.opcodes(0), pipe.psns(0)), (vec![0x0c, 0x0c, 0x14], vec![0, 4, 5]));
    assert_eq!(pipe.opcodes(1), [0x0d, 0x0e, 0x0e, 0x0f, 0x10, 0x12]);
    assert_eq!(pipe.psns(1), [0, 1, 2, 3, 4, 5]);
    let said: Vec<_> = pipe.seen.iter().filter_map(|seen| seen.aeth).collect();
    assert_eq!(said, [(0x1f, 1), (0x1f, 1), (0x1f, 2), (0x1f, 3)]);
}

#[test]
fn a_long_message_asks_now_and_then() {
    let mut pipe = Pipe::new(QpSettings { pmtu: Pmtu::B256, ..QpSettings::default() });
    pipe.post(Verb::Write, 256 * 200);
    pipe.run();
    pipe.assert_complete(1);
    let requests = pipe.seen.iter().filter(|seen| seen.from == 0);
    let asking: Vec<usize> =
        requests.enumerate().filter(|(_, seen)| seen.ack_request).map(|(at, _)| at).collect();
    assert_eq!(asking, [65, 131, 197, 199]);
}

#[test]
fn the_window_bounds_what_is_on_its_way() {
    for window in [1, 2, 10, 64] {
        // Were nobody to ask before the window is full, each window would take a timeout.
        let timer = Timer::Fixed(0);
        let settings = QpSettings { pmtu: Pmtu::B256, window, timer, ..QpSettings::default() };
        let mut pipe = Pipe::new(settings);
        pipe.post(Verb::Send, 256 * 300);
        pipe.run();
        pipe.assert_complete(1);
        let before_ack = pipe.seen.iter().take_while(|seen| seen.from == 0).count();
        assert_eq!(before_ack, window as usize);
    }
}

#[test]
fn so_many_reads_are_outstanding_and_no_more() {
    let settings = QpSettings { max_reads: 3, ..QpSettings::default() };
    let mut pipe = Pipe::new(settings);
    (0..10).for_each(|_| pipe.post(Verb::Read, 4096));
    pipe.run();
    pipe.assert_complete(10);
    assert_eq!(pipe.seen.iter().take_while(|seen| seen.from == 0).count(), 3);
}

#[test]
fn queue_pairs_take_turns_and_both_ends_may_speak() {
    let mut pipe = Pipe::new(QpSettings::default());
    for _ in 0..3 {
        pipe.post_at(0, Verb::Write, 20_000);
        pipe.post_at(1, Verb::Send, 20_000);
        pipe.post_at(1, Verb::Read, 20_000);
    }
    pipe.run();
    pipe.assert_complete(3);
    assert_eq!(pipe.done[1].len(), 6);
    assert_eq!(pipe.counters()[0].delivered_messages, 3);
    assert_eq!(pipe.counters()[1].delivered_messages, 3);
}

#[test]
fn unconnected_queue_pairs_say_nothing() {
    let mut pipe = Pipe::new(QpSettings::default());
    let other = pipe.ends[0].create_qp(QpSettings::default());
    pipe.qpns[0] = other;
    pipe.post(Verb::Send, 100);
    pipe.run();
    assert!(pipe.seen.is_empty() && pipe.done[0].is_empty());
    assert_eq!(pipe.ends[0].outstanding(other), 1);
}
