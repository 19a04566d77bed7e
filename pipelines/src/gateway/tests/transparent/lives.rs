//! Queue pairs that connection management makes anew: trap 8, where no PSN shows it.

use super::*;
use crate::wire::cm::MAD_LEN;

const UD_SEND_ONLY: u8 = 0x64;
/// Who speaks for the host in connection management, and what that is keyed with.
const GSI_QP: u8 = 1;
const DETH: [u8; 8] = [0x80, 1, 0, 0, 0, 0, 0, GSI_QP];

/// A message about connection `id` that tells the queue pair of the host at `from`.
fn tells(from: usize, attribute: u8, id: u8, qp_at: usize) -> Vec<u8> {
    let mut mad = [0; MAD_LEN];
    mad[..4].copy_from_slice(&[1, 7, 2, 3]);
    mad[17] = attribute;
    // Its sender's name for the connection; in a reply the other one's follows.
    mad[27] = id;
    mad[31] = if attribute == REP { id } else { 0 };
    mad[qp_at..qp_at + 3].copy_from_slice(&QPS[from].to_be_bytes()[1..]);
    to(GSI_QP, roce(from, UD_SEND_ONLY, id.into(), &[&DETH[..], &mad].concat()))
}

const REQ: u8 = 0x10;
const REP: u8 = 0x13;

impl Bed {
    /// The queue pairs of both hosts are connected, for the time of that number.
    fn connect(&mut self, time: u8) {
        self.host(0, &tells(0, REQ, time, 56));
        self.run(20 * MILLISECOND, &mut perfect);
        self.host(1, &tells(1, REP, time, 36));
        self.run(20 * MILLISECOND, &mut perfect);
    }

    /// What a site was given, without connection management.
    fn given_of_streams(&mut self, side: usize) -> Vec<(u8, u32)> {
        let mut given = self.given(side);
        given.retain(|packet| packet.0 != UD_SEND_ONLY);
        given
    }
}

/// Where a life begins, after one from 1000 to 1009: within it, behind, before it.
const BEGINS: [u32; 5] = [1_003, 1_010, 90_000, 998, 700];

#[test]
fn trap_8_requests_to_a_queue_pair_made_anew_are_whole_whatever_their_psns() {
    for begin in BEGINS {
        let mut bed = up(|_| {});
        bed.connect(1);
        (1_000..1_010).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(50 * MILLISECOND, &mut perfect);
        bed.connect(2);
        (begin..begin + 5).for_each(|psn| bed.host(0, &write(psn)));
        bed.run(50 * MILLISECOND, &mut losing(writes([begin, begin + 3, begin + 4])));
        let all = writes((1_000..1_010).chain(begin..begin + 5));
        assert_eq!(bed.given_of_streams(1), all, "{begin}");
        assert!(bed.counters(1).numbers_asked < 10, "{begin}");
        bed.assert_settled();
    }
}

#[test]
fn trap_8_answers_to_a_queue_pair_made_anew_are_whole_whatever_their_psns() {
    let data = [0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    for begin in BEGINS {
        let mut bed = up(|_| {});
        let mut all = vec![];
        for (time, psns) in [(1, 1_000..1_010), (2, begin..begin + 5)] {
            bed.connect(time);
            psns.clone().for_each(|psn| bed.host(0, &roce(0, FETCH_ADD, psn, &[0; 28])));
            bed.run(50 * MILLISECOND, &mut perfect);
            psns.clone().for_each(|psn| bed.host(1, &roce(1, ATOMIC_ACK, psn, &data)));
            let lost = [begin, begin + 1, begin + 4].map(|psn| (ATOMIC_ACK, psn));
            let lost = if time == 2 { lost.to_vec() } else { vec![] };
            bed.run(50 * MILLISECOND, &mut losing(lost));
            all.extend(psns.map(|psn| (ATOMIC_ACK, psn)));
        }
        assert_eq!(bed.given_of_streams(0), all, "{begin}");
        bed.assert_settled();
    }
}

#[test]
fn what_is_said_again_of_a_connection_begins_nothing() {
    let mut bed = up(|_| {});
    bed.connect(1);
    (1_000..1_010).for_each(|psn| bed.host(0, &write(psn)));
    bed.host(1, &tells(1, REP, 1, 36));
    let mut fate = losing(writes([1_009]));
    bed.run(DELAY * 5 / 4, &mut fate);
    // Were it of another life, what is lost of this one would be remembered no more.
    bed.host(0, &write(1_010));
    bed.run(50 * MILLISECOND, &mut fate);
    assert_eq!(bed.given_of_streams(1), writes(1_000..1_011));
    bed.assert_settled();
}
