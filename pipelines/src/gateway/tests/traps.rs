//! The traps that lie in wait for who follows PSNs, by their numbers in `docs/design.md`: those
//! that both numberings may fall into, and those of reading packets. What concerns the streams of
//! transparent numbering alone is in [`super::transparent`].

mod loss;
mod network;
mod parse;
mod shape;

use super::roce::*;
use super::*;

/// `count` packets of one kind, numbered from `first` on.
fn some(opcode: u8, first: u32, count: u32, body: &[u8]) -> Vec<Vec<u8>> {
    (first..first + count).map(|psn| roce(0, opcode, psn, body)).collect()
}

/// Loses the packet of a host that is number `nth` on the wire, from 0 on.
fn losing_nth(nth: usize) -> impl FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    let mut seen = 0;
    move |_, frame| {
        let lost = carried(frame).is_some() && seen == nth;
        seen += usize::from(carried(frame).is_some());
        if lost { vec![] } else { vec![(DELAY, frame.to_vec())] }
    }
}

/// Frames cross, byte for byte, and nothing reads a number from them.
fn assert_untouched(frames: &[Vec<u8>]) {
    let unchecked = up(|settings| {
        settings.peers[0].numbering = Numbering::Transparent { check_icrc: false };
    });
    for mut bed in both(|_| {}).into_iter().chain([unchecked]) {
        frames.iter().for_each(|frame| bed.host(0, frame));
        bed.run(30 * MILLISECOND, &mut perfect);
        assert!(bed.sides[1].delivered == frames, "{} crossed", bed.sides[1].delivered.len());
        let Counters { numbered, nacks_sent, .. } = bed.counters(0);
        assert_eq!((numbered.packets, *nacks_sent, bed.counters(1).nacks_sent), (0, 0, 0));
        bed.assert_settled();
    }
}

/// Frames of one stream cross in order, byte for byte, whichever of them is lost.
fn assert_repaired(frames: &[Vec<u8>]) {
    for nth in 0..frames.len() {
        for (mut bed, numbered) in both(|_| {}).into_iter().zip([0, frames.len() as u64]) {
            frames.iter().for_each(|frame| bed.host(0, frame));
            bed.run(80 * MILLISECOND, &mut losing_nth(nth));
            assert!(bed.sides[1].delivered == frames, "frame {nth} lost");
            assert_eq!(bed.counters(0).numbered.packets, numbered);
            assert!(bed.counters(0).resent.packets > 0);
            bed.assert_settled();
        }
    }
}
