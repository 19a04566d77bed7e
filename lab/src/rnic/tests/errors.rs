//! Refusals, failures, and frames that are not what they ought to be.

use dataplane::time::MICROSECOND;
use pipelines::wire::icrc;

use super::pipe::{DELAY, Pipe, rnic};
use crate::rnic::{
    Behaviour, ConnectError, Pmtu, QpSettings, Receives, Remote, Status, Timer, Verb,
};

fn settings() -> QpSettings {
    QpSettings { pmtu: Pmtu::B256, timer: Timer::Fixed(10), ..QpSettings::default() }
}

fn statuses(pipe: &Pipe) -> Vec<Status> {
    pipe.done[0].iter().map(|completion| completion.status).collect()
}

#[test]
fn a_receiver_that_is_not_ready_is_asked_again_after_its_time() {
    let settings = QpSettings { receives: Receives::RnrEvery(2), ..settings() };
    let mut pipe = Pipe::new(settings);
    (0..3).for_each(|_| pipe.post(Verb::Send, 600));
    pipe.run();
    pipe.assert_complete(3);
    let [requester, responder] = pipe.counters();
    assert_eq!((requester.rnr_nak_retry_err, responder.rnr_naks_sent), (2, 2));
    assert_eq!((requester.packet_seq_err, responder.naks_sent), (0, 0));
    // 0.64 ms is what code 12 asks for.
    let refused = pipe.seen.iter().find(|seen| seen.aeth.is_some_and(|aeth| aeth.0 == 0x2c));
    let refused = refused.expect("a refusal");
    let again = pipe.seen.iter().filter(|seen| seen.psn == refused.psn && seen.from == 0).nth(1);
    assert_eq!(again.map(|seen| seen.at.since(refused.at)), Some(DELAY + 640 * MICROSECOND));
}

#[test]
fn a_stack_may_add_a_sequence_nak_to_its_refusal() {
    let nak_after_rnr = true;
    let behaviour = Behaviour { nak_after_rnr, ..Behaviour::default() };
    let mut pipe =
        Pipe::new(QpSettings { receives: Receives::RnrEvery(2), behaviour, ..settings() });
    (0..2).for_each(|_| pipe.post(Verb::Send, 600));
    pipe.run();
    pipe.assert_complete(2);
    let [requester, responder] = pipe.counters();
    assert_eq!((responder.rnr_naks_sent, responder.naks_sent), (1, 1));
    assert_eq!(requester.packet_seq_err, 1);
    assert!(pipe.done[0][1].completed.0 > 640 * MICROSECOND, "the NAK cut the wait short");
}

#[test]
fn receives_are_used_up_by_what_needs_them() {
    let settings = QpSettings { receives: Receives::Counted(1), rnr_retry: 2, ..settings() };
    let mut pipe = Pipe::new(settings);
    pipe.post(Verb::SendInvalidate, 600);
    pipe.post(Verb::Write, 600);
    pipe.post(Verb::WriteImmediate, 600);
    pipe.run_for(300 * MICROSECOND);
    assert_eq!(pipe.done[0].len(), 2);
    pipe.ends[1].post_receives(pipe.qpns[1], 1);
    pipe.run();
    pipe.assert_complete(3);
    assert_eq!(pipe.counters()[0].rnr_nak_retry_err, 1);
}

#[test]
fn nobody_ready_for_too_long_fails_the_queue_pair() {
    let settings = QpSettings { receives: Receives::Counted(0), rnr_retry: 2, ..settings() };
    let mut pipe = Pipe::new(settings);
    pipe.post(Verb::Send, 10);
    pipe.post(Verb::Send, 10);
    pipe.run();
    assert_eq!(statuses(&pipe), [Status::RnrRetryExceeded, Status::Flushed]);
    assert_eq!((pipe.counters()[0].qp_errors, pipe.counters()[1].rnr_naks_sent), (1, 3));
}

#[test]
fn silence_fails_the_queue_pair_after_its_retries() {
    let mut pipe = Pipe::new(QpSettings { retry_cnt: 3, ..settings() }).with(|_, _, _| vec![]);
    pipe.post(Verb::Write, 10);
    pipe.post(Verb::Read, 10);
    pipe.run();
    assert_eq!(statuses(&pipe), [Status::RetryExceeded, Status::Flushed]);
    assert_eq!(pipe.counters()[0].local_ack_timeout_err, 4);
    assert_eq!(pipe.done[0][0].completed.0, 4 * (4_096 << 10));
    // Whatever is posted from now on is flushed at once.
    pipe.post(Verb::Send, 10);
    pipe.run();
    assert_eq!(statuses(&pipe)[2], Status::Flushed);
    assert_eq!(pipe.counters()[0].sent_packets, 8);
}

#[test]
fn seven_retries_may_be_endless() {
    let settings = QpSettings { endless_retries: true, ..settings() };
    let mut pipe = Pipe::new(settings)
        .with(|seen, _, _| if seen.at.0 < 100 * (4_096 << 10) { vec![] } else { vec![DELAY] });
    pipe.post(Verb::Write, 10);
    pipe.run();
    pipe.assert_complete(1);
    assert_eq!(pipe.counters()[0].local_ack_timeout_err, 100);
}

#[test]
fn ends_that_disagree_about_the_packet_size_fail() {
    let mut pipe = Pipe::of([settings(), QpSettings { pmtu: Pmtu::B512, ..settings() }]);
    pipe.post(Verb::Send, 200);
    pipe.post(Verb::Write, 600);
    pipe.post(Verb::Write, 1);
    pipe.run();
    let expected = [Status::Success, Status::RemoteInvalidRequest, Status::Flushed];
    assert_eq!(statuses(&pipe), expected);
    assert_eq!(pipe.counters().map(|counters| counters.qp_errors), [1, 1]);
}

#[test]
fn damage_looks_like_loss() {
    let mut pipe = Pipe::new(settings()).with(|_, number, frame| {
        if number % 5 == 1 {
            frame[50] ^= 0x10;
        }
        vec![DELAY]
    });
    (0..10).for_each(|_| pipe.post(Verb::Write, 1000));
    pipe.run();
    pipe.assert_complete(10);
    let [requester, responder] = pipe.counters();
    assert!(requester.icrc_errors + responder.icrc_errors > 5);
    assert!(requester.retransmitted_packets > 0);
}

/// A pipe in which one byte of a frame changes, and the ICRC with it.
fn forging(number: usize, at: usize) -> Pipe {
    Pipe::new(settings()).with(move |_, this, frame| {
        if this == number {
            frame[at] ^= 1;
            let end = frame.len() - icrc::LEN;
            let crc = icrc::compute(20, [&frame[14..end]]).expect("a packet");
            frame[end..].copy_from_slice(&crc.to_le_bytes());
        }
        vec![DELAY]
    })
}

/// Where the BTH and what follows it are in a frame.
const BTH: usize = 14 + 20 + 8;

#[test]
fn memory_of_others_is_refused() {
    for verb in [Verb::Write, Verb::Read, Verb::CmpSwap] {
        // The key is behind the address, in all three.
        let mut pipe = forging(1, BTH + 12 + 8);
        (0..4).for_each(|_| pipe.post(verb, 8));
        pipe.run();
        let expected = [Status::Success, Status::RemoteAccess, Status::Flushed, Status::Flushed];
        assert_eq!(statuses(&pipe), expected, "{verb:?}");
        assert_eq!(pipe.counters().map(|counters| counters.qp_errors), [1, 1]);
    }
}

#[test]
fn requests_that_do_not_follow_each_other_are_refused() {
    // Of First, Middle, Middle, Last: a first that is a middle, a middle that is a first, and so on.
    for number in [0, 1, 2] {
        let mut pipe = forging(number, BTH);
        pipe.post(Verb::Write, 1000);
        pipe.run();
        assert_eq!(statuses(&pipe), [Status::RemoteInvalidRequest], "{number}");
        let refusal = pipe.seen.iter().find_map(|seen| seen.aeth);
        assert_eq!(refusal, Some((0x61, 0)));
    }
}

#[test]
fn damage_that_the_check_does_not_see_is_seen_by_the_receiver() {
    let mut pipe = forging(1, 200);
    pipe.post(Verb::Write, 1000);
    pipe.run();
    let [_, responder] = pipe.counters();
    assert_eq!((responder.altered, responder.wrong_data()), (1, 1));
}

#[test]
fn frames_for_others_are_dropped() {
    let mut pipe = Pipe::new(settings()).with(|_, _, frame| {
        frame[5] ^= 0x80;
        vec![DELAY]
    });
    pipe.post(Verb::Write, 10);
    pipe.run();
    assert_eq!(statuses(&pipe), [Status::RetryExceeded]);
    assert_eq!(pipe.counters()[1].misdirected, 8);
}

#[test]
fn a_queue_pair_that_is_gone_answers_nothing() {
    let mut pipe = Pipe::new(settings());
    let qpn = pipe.qpns[1];
    pipe.post_at(1, Verb::Send, 10);
    pipe.ends[1].destroy_qp(qpn);
    pipe.post(Verb::Write, 10);
    pipe.run();
    assert_eq!(pipe.done[1].iter().map(|done| done.status).collect::<Vec<_>>(), [Status::Flushed]);
    assert_eq!(statuses(&pipe), [Status::RetryExceeded]);
    assert_eq!(pipe.counters()[1].sent_packets, 0);
    assert_eq!(pipe.ends[1].endpoint(qpn), None);
}

#[test]
fn connections_need_a_queue_pair_and_one_ip_version() {
    let mut rnic = rnic(1);
    let address = "10.0.0.2".parse().expect("an address");
    let remote = Remote { address, qpn: 0x11, psn: 0, mac: None };
    assert_eq!(rnic.connect(0x11, remote), Err(ConnectError::UnknownQp(0x11)));
    assert_eq!(rnic.connect(1, remote), Err(ConnectError::UnknownQp(1)));
    let qpn = rnic.create_qp(settings());
    let remote = Remote { address: "fd00::2".parse().expect("an address"), ..remote };
    let refused = rnic.connect(qpn, remote);
    assert!(matches!(refused, Err(ConnectError::IpVersion(..))), "{refused:?}");
}
