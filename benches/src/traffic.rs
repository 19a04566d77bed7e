//! Steady traffic through a pair of gateways, from one LAN to the other.

use std::rc::Rc;

use dataplane::port::BURST;
use dataplane::time::Nanos;

use crate::frames::write_frames;
use crate::pair::{Load, Node, Pair};

/// Streams at a time.
pub const STREAMS: u32 = 64;
/// The side whose LAN the packets come from.
pub const SENDER: usize = 0;
/// The side to whose LAN they go.
pub const RECEIVER: usize = 1;
/// Time between bursts: 32 packets in 3.2 us are 10 million a second.
const PACE: Nanos = 3_200;
/// Where the PSN is in a frame: behind Ethernet, IPv4 and UDP, and nine bytes of the BTH.
const PSN_AT: usize = 14 + 20 + 8 + 9;

/// A pair under a load.
pub struct Traffic {
    /// The gateways.
    pub pair: Pair,
    frames: Vec<Vec<u8>>,
    sent: usize,
}

impl Traffic {
    /// A pair whose session is up, and no packet yet on the way.
    #[must_use]
    pub fn new(load: Load) -> Self {
        Self { pair: Pair::new(load), frames: write_frames(STREAMS, load.payload), sent: 0 }
    }

    /// Sends `packets`, rounded up to bursts; returns how many it were. They are on their way
    /// when this returns, and others have arrived meanwhile.
    pub fn send(&mut self, packets: u64) -> u64 {
        self.send_metered(packets, &mut |_, worker| worker.round())
    }

    /// The next packet of the next stream. Its PSN is the stream's next, or it would be a repeat;
    /// the ICRC, which no gateway here looks at, stays that of the first.
    fn next_frame(&mut self) -> &[u8] {
        let streams = self.frames.len();
        let frame = &mut self.frames[self.sent % streams];
        let [_, psn @ ..] = ((self.sent / streams) as u32).to_be_bytes();
        frame[PSN_AT..][..3].copy_from_slice(&psn);
        self.sent += 1;
        frame
    }

    /// As [`Traffic::send`], with a meter around every round: see [`Pair::step_metered`].
    ///
    /// # Panics
    /// If memory does not hold what is on the way.
    pub fn send_metered(
        &mut self,
        packets: u64,
        meter: &mut impl FnMut(usize, &mut Node) -> bool,
    ) -> u64 {
        let bursts = packets.div_ceil(BURST as u64);
        for _ in 0..bursts {
            for _ in 0..BURST {
                let pool = Rc::clone(&self.pair.sides[SENDER].pool);
                let packet = pool.copy(self.next_frame()).expect("the pool holds the round trip");
                self.pair.sides[SENDER].lan.inject(packet).expect("the ring holds a burst");
            }
            self.pair.step_metered(PACE, meter);
        }
        bursts * BURST as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_and_what_is_lost_is_repaired() {
        for drop_every in [0, 100] {
            let mut traffic = Traffic::new(Load { drop_every, ..Load::BASE });
            assert_eq!(traffic.send(9_990), 10_016);
            // Time for the last losses to be seen and repaired.
            (0..10_000).for_each(|_| traffic.pair.step(PACE));
            let [sender, receiver] =
                traffic.pair.sides.each_ref().map(|side| side.worker.pipeline().counters());
            assert_eq!((sender.lan_rx.packets, receiver.lan_tx.packets), (10_016, 10_016));
            assert_eq!(receiver.gave_up, 0);
            let expected = if drop_every == 0 { 0..=0 } else { 100..=110 };
            assert!(expected.contains(&sender.resent.packets), "{}", sender.resent.packets);
        }
    }
}
