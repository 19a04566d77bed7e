//! What each kind of loss makes two RNICs do.

use dataplane::time::{MICROSECOND, MILLISECOND};

use super::pipe::{DELAY, Pipe, Seen};
use crate::rnic::{Behaviour, Pmtu, QpSettings, Timer, Verb};

/// How long a requester waits.
const TIMEOUT: u64 = 4_096 << 10;

fn settings() -> QpSettings {
    QpSettings { pmtu: Pmtu::B256, timer: Timer::Fixed(10), ..QpSettings::default() }
}

fn is_request(seen: &Seen) -> bool {
    seen.from == 0
}

fn is_answer(seen: &Seen) -> bool {
    seen.from == 1
}

#[test]
fn a_lost_request_is_told_once_and_sent_again_with_all_behind_it() {
    let mut pipe = Pipe::new(settings()).losing(&[3], is_request);
    pipe.post(Verb::Write, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((responder.naks_sent, responder.out_of_sequence), (1, 4));
    assert_eq!((requester.packet_seq_err, requester.retransmitted_packets), (1, 5));
    assert_eq!(requester.local_ack_timeout_err, 0);
    assert_eq!(pipe.psns(0), [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7]);
    let nak = pipe.seen.iter().find(|seen| is_answer(seen)).expect("a NAK");
    assert_eq!((nak.psn, nak.aeth), (0, Some((0x60, 0))));
    // It begins again inside the message: no first packet, no address.
    assert_eq!(pipe.opcodes(0)[8..], [0x07, 0x07, 0x07, 0x07, 0x08]);
}

#[test]
fn a_request_lost_twice_takes_a_timeout() {
    let mut pipe = Pipe::new(settings()).losing(&[3, 8], is_request);
    pipe.post(Verb::Send, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((responder.naks_sent, requester.local_ack_timeout_err), (1, 1));
    assert!(pipe.done[0][0].completed.0 > TIMEOUT);
}

#[test]
fn a_lost_tail_takes_a_timeout() {
    let mut pipe = Pipe::new(settings()).losing(&[7], is_request);
    pipe.post(Verb::Write, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((responder.naks_sent, requester.local_ack_timeout_err), (0, 1));
    // Nothing of the message was acknowledged: all of it goes again.
    assert_eq!((requester.retransmitted_packets, responder.duplicate_request), (8, 7));
}

#[test]
fn a_lost_acknowledgement_is_made_up_by_the_next() {
    let mut pipe = Pipe::new(settings()).losing(&[0], is_answer);
    pipe.post(Verb::Write, 100);
    pipe.post(Verb::Write, 100);
    pipe.run();
    pipe.assert_complete(2);
    assert_eq!(pipe.done[0][0].completed, pipe.done[0][1].completed);
    assert_eq!(pipe.counters()[0].retransmitted_packets, 0);
}

#[test]
fn the_last_acknowledgement_lost_takes_a_timeout_and_a_duplicate() {
    let mut pipe = Pipe::new(settings()).losing(&[0], is_answer);
    pipe.post(Verb::Send, 256 * 3);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.local_ack_timeout_err, responder.duplicate_request), (1, 3));
    // Only the packet that asks is answered again.
    assert_eq!(pipe.opcodes(1), [0x11, 0x11]);
    assert_eq!(responder.delivered_messages, 1);
}

#[test]
fn a_stack_may_acknowledge_each_duplicate() {
    let behaviour = Behaviour { ack_duplicates: true, ..Behaviour::default() };
    let settings = QpSettings { behaviour, ..settings() };
    let mut pipe = Pipe::new(settings).losing(&[0], is_answer);
    pipe.post(Verb::Send, 256 * 3);
    pipe.run();
    pipe.assert_complete(1);
    assert_eq!(pipe.psns(1), [0, 0, 0, 0]);
}

#[test]
fn a_lost_nak_takes_a_timeout() {
    let mut requests = 0;
    let mut pipe = Pipe::new(settings()).with(move |seen, _, _| {
        requests += usize::from(is_request(seen));
        let is_nak = seen.aeth.is_some_and(|(syndrome, _)| syndrome == 0x60);
        let lost = is_nak || is_request(seen) && requests == 4;
        if lost { vec![] } else { vec![DELAY] }
    });
    pipe.post(Verb::Write, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((responder.naks_sent, requester.packet_seq_err), (1, 0));
    assert_eq!(requester.local_ack_timeout_err, 1);
}

#[test]
fn a_lost_read_request_is_told_by_what_follows() {
    let mut pipe = Pipe::new(settings()).losing(&[0], is_request);
    pipe.post(Verb::Read, 256 * 4);
    pipe.post(Verb::Write, 10);
    pipe.run();
    pipe.assert_complete(2);
    assert_eq!((pipe.opcodes(0), pipe.psns(0)), (vec![0x0c, 0x0a, 0x0c, 0x0a], vec![0, 4, 0, 4]));
    assert_eq!(pipe.counters()[0].packet_seq_err, 1);
}

#[test]
fn a_lost_read_response_restarts_the_read_where_it_is_missing() {
    let mut pipe = Pipe::new(settings()).losing(&[2], is_answer);
    pipe.post(Verb::Read, 256 * 6 + 1);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.implied_nak_seq_err, responder.duplicate_request), (1, 1));
    assert_eq!((pipe.opcodes(0), pipe.psns(0)), (vec![0x0c, 0x0c], vec![0, 2]));
    // The answer to the restart begins in the middle.
    assert_eq!(pipe.opcodes(1)[7..], [0x0e, 0x0e, 0x0e, 0x0e, 0x0f]);
    assert_eq!(pipe.psns(1)[7..], [2, 3, 4, 5, 6]);
    assert_eq!(requester.local_ack_timeout_err, 0);
}

#[test]
fn the_last_read_response_lost_takes_a_timeout() {
    let mut pipe = Pipe::new(settings()).losing(&[3], is_answer);
    pipe.post(Verb::Read, 256 * 4);
    pipe.run();
    pipe.assert_complete(1);
    assert_eq!(pipe.counters()[0].local_ack_timeout_err, 1);
    assert_eq!(pipe.opcodes(1)[4..], [0x0f]);
}

#[test]
fn an_acknowledgement_beyond_a_read_asks_for_the_read_again() {
    let mut pipe = Pipe::new(settings()).losing(&[0], is_answer);
    pipe.post(Verb::Read, 100);
    pipe.post(Verb::Write, 100);
    pipe.run();
    pipe.assert_complete(2);
    let [requester, _] = pipe.counters();
    assert_eq!((requester.implied_nak_seq_err, requester.local_ack_timeout_err), (1, 0));
    assert_eq!(pipe.opcodes(0), [0x0c, 0x0a, 0x0c, 0x0a]);
}

#[test]
fn atomics_are_repeated_from_memory_and_happen_once() {
    let mut pipe = Pipe::new(settings()).losing(&[1, 2], is_answer);
    for verb in [Verb::FetchAdd, Verb::CmpSwap, Verb::FetchAdd, Verb::CmpSwap] {
        pipe.post(verb, 8);
    }
    pipe.run();
    pipe.assert_complete(4);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.implied_nak_seq_err, responder.duplicate_request), (1, 3));
}

#[test]
fn a_nak_without_progress_may_be_ignored() {
    let nak_needs_progress = true;
    let behaviour = Behaviour { nak_needs_progress, ..Behaviour::default() };
    // Packet 3 is lost; of the repetition, 4 is: nothing was acknowledged in between.
    let run = |behaviour| {
        let settings = QpSettings { behaviour, ..settings() };
        let mut pipe = Pipe::new(settings).losing(&[3, 9], is_request);
        pipe.post(Verb::Write, 256 * 8);
        pipe.run();
        pipe.assert_complete(1);
        pipe.counters()[0]
    };
    let [strict, usual] = [run(behaviour), run(Behaviour::default())];
    assert_eq!((strict.naks_ignored, strict.local_ack_timeout_err), (1, 1));
    assert_eq!((usual.naks_ignored, usual.local_ack_timeout_err), (0, 0));
    assert_eq!((strict.packet_seq_err, usual.packet_seq_err), (2, 2));
}

#[test]
fn an_overtaken_packet_costs_as_much_as_a_lost_one() {
    let mut pipe = Pipe::new(settings()).with(|seen, number, _| {
        let late = seen.from == 0 && number == 3;
        vec![if late { DELAY + 5 * MICROSECOND } else { DELAY }]
    });
    pipe.post(Verb::Send, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!(requester.packet_seq_err, 1);
    assert!(responder.out_of_sequence >= 4 && responder.duplicate_request >= 1);
}

#[test]
fn a_round_trip_beyond_the_timeout_sends_twice_and_arrives() {
    let long = 3 * TIMEOUT / 4;
    let mut pipe = Pipe::new(settings()).with(move |_, _, _| vec![long]);
    pipe.post(Verb::Write, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.local_ack_timeout_err, requester.retransmitted_packets), (1, 8));
    assert_eq!(responder.duplicate_request, 8);
}

#[test]
fn an_adaptive_timer_repeats_what_is_on_its_way_and_the_message_arrives_all_the_same() {
    // After 4, 12 and 28 ms; the first acknowledgement takes thirty.
    let settings = QpSettings { timer: Timer::adaptive(14), ..settings() };
    let mut pipe = Pipe::new(settings).with(|_, _, _| vec![15 * MILLISECOND]);
    pipe.post(Verb::Send, 256 * 8);
    pipe.run();
    pipe.assert_complete(1);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.local_ack_timeout_err, requester.retransmitted_packets), (3, 24));
    assert_eq!((responder.duplicate_request, responder.delivered_messages), (24, 1));
    assert_eq!(pipe.done[0][0].completed.0 / MILLISECOND, 30);
}
