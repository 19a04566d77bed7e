//! The shield on frames built by hand.

use super::*;
use crate::recovery::Seq;

mod connections;
mod ends;

const RTT: Nanos = 10 * MILLISECOND;
const QUIET: Nanos = QUIET_ROUNDS * RTT;
/// Queue pairs at the two hosts.
const FAR_QP: u32 = 0x22;
const NEAR_QP: u32 = 0x11;

const SEND_FIRST: u8 = 0x00;
const SEND_MIDDLE: u8 = 0x01;
const WRITE_ONLY: u8 = 0x0a;
const READ: u8 = 0x0c;
const READ_MIDDLE: u8 = 0x0e;
const ACK: u8 = 0x11;
const SEQUENCE_NAK: u8 = 0x60;
const RNR_NAK: u8 = 0x2c;

const FOUND: Found = Found { vlan: 0, ip_at: 14, ip_version: 4, bth_at: 42 };

/// Host `from` sends host `to` a packet with these extended headers and payload.
fn frame(from: u8, to: u8, opcode: u8, qp: u32, psn: u32, body: &[u8]) -> Vec<u8> {
    let udp_len = (8 + 12 + body.len() + 4) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend((20 + udp_len).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    frame.extend([0xc0, 0, 0x12, 0xb7]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0, opcode, 0, 0xff, 0xff]);
    frame.extend(qp.to_be_bytes());
    frame.extend((psn & 0xff_ffff).to_be_bytes());
    frame.extend(body);
    frame.extend([0; 4]);
    frame
}

/// Host 1 behind the shield, host 2 at the other site; the replay buffer holds what is not
/// confirmed.
struct Bed {
    shield: Shield,
    now: Time,
    sent: u32,
    /// Numbers that are confirmed, and since when.
    confirmed: (u32, Time),
}

impl Bed {
    fn new() -> Self {
        Self { shield: Shield::new(64, 1), now: Time(1), sent: 0, confirmed: (0, Time::ZERO) }
    }

    /// Whether a request goes through.
    fn passes(&mut self, opcode: u8, qp: u32, psn: u32, body: &[u8]) -> bool {
        let frame = frame(1, 2, opcode, qp, psn, body);
        let carried = Carried { channel: 0, seq: Seq(self.sent) };
        let ((confirmed, since), now) = (self.confirmed, self.now);
        let until = |before: Carried| if before.seq.0 < confirmed { since } else { now };
        let passes = !self.shield.absorbs((&frame, &FOUND), carried, self.now, RTT, until);
        self.sent += u32::from(passes);
        passes
    }

    fn write(&mut self, psn: u32) -> bool {
        self.passes(WRITE_ONLY, FAR_QP, psn, &[0; 32])
    }

    fn read(&mut self, psn: u32, len: u32) -> bool {
        self.passes(READ, FAR_QP, psn, &[&[0; 12][..], &len.to_be_bytes()].concat())
    }

    fn answer(&mut self, opcode: u8, psn: u32, body: &[u8]) {
        let frame = frame(2, 1, opcode, NEAR_QP, psn, body);
        self.shield.delivers(&frame, &FOUND, self.now);
    }

    fn ack(&mut self, psn: u32) {
        self.answer(ACK, psn, &[0x1f, 0, 0, 0]);
    }

    fn confirm_all(&mut self) {
        self.confirmed = (self.sent, self.now);
    }

    fn wait(&mut self, span: Nanos) {
        self.now = self.now.after(span);
    }
}

#[test]
fn a_repeat_is_absorbed_while_its_stream_is_unconfirmed() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    bed.wait(10 * QUIET);
    assert!((100..110).all(|psn| !bed.write(psn)));
    assert!(bed.write(110), "a new one passes");
    assert!(!bed.write(110));
}

#[test]
fn a_repeat_passes_once_all_is_confirmed_and_the_stream_stood_still() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    bed.confirm_all();
    assert!(!bed.write(100), "its acknowledgement may be on its way");
    bed.wait(QUIET);
    // The acknowledgement was lost behind the gateway: all that the RNIC repeats now passes.
    assert!((100..110).all(|psn| bed.write(psn)));
    assert!((100..110).all(|psn| !bed.write(psn)), "and is on its way again");
}

/// A path was dead for long, and so the stream had stood still for long when it was confirmed: the
/// acknowledgements are on their way.
#[test]
fn a_confirmation_after_an_outage_is_no_lost_acknowledgement() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    bed.wait(10 * QUIET);
    bed.confirm_all();
    assert!(!bed.write(100));
    bed.wait(QUIET);
    assert!(bed.write(100));
}

#[test]
fn acknowledgements_on_their_way_keep_the_stream_moving() {
    let mut bed = Bed::new();
    assert!((100..200).all(|psn| bed.write(psn)));
    bed.confirm_all();
    for psn in 100..150 {
        bed.wait(QUIET / 2);
        bed.ack(psn);
        assert!(!bed.write(psn + 1), "{psn}");
    }
    // The same one again is no movement.
    bed.wait(QUIET / 2);
    bed.ack(149);
    bed.wait(QUIET / 2);
    assert!(bed.write(150));
}

#[test]
fn psns_wrap() {
    let mut bed = Bed::new();
    assert!((0xff_fff0..0x100_0010).all(|psn| bed.write(psn)));
    assert!((0xff_fff0..0x100_0010).all(|psn| !bed.write(psn)));
    bed.ack(5);
    assert!(!bed.write(6) && bed.write(0x10));
}

#[test]
fn what_the_receiver_asks_for_passes_at_once() {
    for nak in [SEQUENCE_NAK, RNR_NAK] {
        let mut bed = Bed::new();
        assert!((100..110).all(|psn| bed.write(psn)));
        bed.answer(ACK, 104, &[nak, 0, 0, 0]);
        assert!(!bed.write(103), "this was not asked for");
        assert!((104..110).all(|psn| bed.write(psn)), "{nak:#x}");
        assert!(!bed.write(104), "asked for once");
    }
}

#[test]
fn a_nak_that_the_requester_ignores_leaves_its_timeout_to_it() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    bed.answer(ACK, 104, &[SEQUENCE_NAK, 0, 0, 0]);
    assert!((110..120).all(|psn| bed.write(psn)), "it goes on");
    assert!((104..120).all(|psn| bed.write(psn)), "and repeats what was asked for later");
}

#[test]
fn a_nak_among_streams_that_cannot_be_told_apart_holds_for_all() {
    let mut bed = Bed::new();
    let other = |bed: &mut Bed, psn| bed.passes(WRITE_ONLY, 0x33, psn, &[0; 32]);
    assert!((100..110).all(|psn| bed.write(psn) && other(&mut bed, psn)));
    bed.answer(ACK, 104, &[SEQUENCE_NAK, 0, 0, 0]);
    assert!((104..110).all(|psn| bed.write(psn) && other(&mut bed, psn)));
}

#[test]
fn answers_find_their_stream_when_only_one_fits() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    assert!((5_000..5_010).all(|psn| bed.passes(WRITE_ONLY, 0x33, psn, &[0; 32])));
    bed.ack(104);
    bed.confirm_all();
    bed.wait(QUIET);
    bed.ack(105);
    assert!(!bed.write(106), "that one moved");
    assert!(bed.passes(WRITE_ONLY, 0x33, 5_000, &[0; 32]), "and that one did not");
}

#[test]
fn a_read_takes_the_psns_of_its_responses() {
    let mut bed = Bed::new();
    assert!(bed.passes(SEND_FIRST, FAR_QP, 99, &[0; 1_024]));
    assert!(bed.read(100, 10 * 1_024));
    assert!(bed.write(110));
    // Restarted inside its span: repeats, all of them.
    assert!(!bed.read(103, 7 * 1_024) && !bed.write(110));
    bed.confirm_all();
    bed.wait(QUIET);
    assert!(bed.read(103, 7 * 1_024));
    assert!(bed.write(110), "what follows the restart was behind too");
    assert!(!bed.read(103, 7 * 1_024));
}

/// The RNIC goes back, and what it repeats first passes: answers to what it sent last come yet.
#[test]
fn answers_to_what_was_sent_before_the_rnic_went_back_are_known() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    assert!(bed.passes(SEND_FIRST, FAR_QP, 110, &[0; 1_024]) && bed.read(111, 4 * 1_024));
    bed.confirm_all();
    bed.wait(QUIET);
    assert!(bed.write(100));
    let response = frame(2, 1, READ_MIDDLE, NEAR_QP, 112, &[0; 1_024]);
    let answers = bed.shield.responds(&response, &FOUND, Psn::new(113), bed.now).expect("known");
    let owed = bed.shield.owed(answers).expect("known");
    assert!(owed.owes(Psn::new(111)) && owed.owes(Psn::new(114)) && !owed.owes(Psn::new(115)));
}

#[test]
fn the_path_mtu_is_learned_from_responses_and_from_jumps() {
    let mut bed = Bed::new();
    assert!(bed.read(100, 10 * 1_024));
    bed.answer(READ_MIDDLE, 100, &[0; 1_024]);
    assert!(!bed.read(103, 7 * 1_024), "learned from a response");
    let mut bed = Bed::new();
    assert!(bed.read(100, 10 * 1_024) && bed.read(110, 10 * 1_024));
    assert!(!bed.read(103, 7 * 1_024) && bed.read(120, 1_024), "learned from the jump");
    assert!(!bed.read(118, 2 * 1_024));
    let mut bed = Bed::new();
    assert!(bed.read(100, 100) && bed.read(101, 10 * 1_024));
    assert!(bed.read(105, 5 * 1_024), "nothing to learn from: let through");
}

#[test]
fn a_new_connection_with_a_psn_far_away_begins_anew() {
    let mut bed = Bed::new();
    assert!((100_000..100_100).all(|psn| bed.write(psn)));
    assert!((500..600).all(|psn| bed.write(psn)), "behind, further than anything sent");
    assert!((500..600).all(|psn| !bed.write(psn)));
    assert!((0x90_0000..0x90_0010).all(|psn| bed.write(psn)), "more than half way round");
    assert!((0x90_0000..0x90_0010).all(|psn| !bed.write(psn)));
}

#[test]
fn a_connection_made_in_sight_begins_anew_at_any_psn() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    assert!(!bed.write(105));
    // The far host tells its queue pair in a REP.
    let mut mad = [0; 256];
    mad[..4].copy_from_slice(&[1, 7, 2, 3]);
    mad[17] = 0x13;
    mad[38] = FAR_QP as u8;
    let deth = [0x80, 0x01, 0, 0, 0, 0, 0, 1];
    let rep = frame(2, 1, 0x64, 1, 0, &[&deth[..], &mad].concat());
    bed.shield.delivers(&rep, &FOUND, bed.now);
    assert!((105..110).all(|psn| bed.write(psn)));
    assert!(!bed.write(105));
}

#[test]
fn what_is_not_of_a_reliable_connection_is_no_repeat() {
    let mut bed = Bed::new();
    let (uc_write, ud_send, cnp) = (0x2a, 0x64, 0x81);
    for _ in 0..2 {
        assert!(bed.passes(uc_write, FAR_QP, 100, &[0; 32]));
        assert!(bed.passes(ud_send, FAR_QP, 100, &[0; 32]));
        assert!(bed.passes(cnp, FAR_QP, 0, &[0; 16]));
        assert!(bed.passes(ACK, FAR_QP, 100, &[0x1f, 0, 0, 0]), "an answer");
    }
}

#[test]
fn a_forgotten_session_lets_everything_through_once() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)) && !bed.write(100));
    bed.shield.forget();
    assert!((100..110).all(|psn| bed.write(psn)) && !bed.write(100));
}

#[test]
fn messages_of_many_packets_are_told_by_their_psns() {
    let mut bed = Bed::new();
    assert!(bed.passes(SEND_FIRST, FAR_QP, 100, &[0; 1_024]));
    assert!((101..120).all(|psn| bed.passes(SEND_MIDDLE, FAR_QP, psn, &[0; 1_024])));
    // A rewind begins in the middle of a message.
    assert!((110..120).all(|psn| !bed.passes(SEND_MIDDLE, FAR_QP, psn, &[0; 1_024])));
    assert!(bed.passes(SEND_MIDDLE, FAR_QP, 120, &[0; 1_024]));
}
