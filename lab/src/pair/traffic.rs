//! Steady traffic through a pair of gateways, from one LAN to the other.

use std::rc::Rc;

use dataplane::port::BURST;

use super::frames::{Stream, Template};
use super::{Load, Node, Pair};

/// Streams at a time.
pub const STREAMS: u32 = 64;
/// The side whose LAN the packets come from.
pub const SENDER: usize = 0;
/// The side to whose LAN they go.
pub const RECEIVER: usize = 1;

/// Streams in turn, each packet with its stream's next PSN.
pub struct Source {
    templates: Vec<Template>,
    sent: usize,
    icrc: bool,
}

impl Source {
    /// A source of RDMA WRITE Middle packets of `payload` bytes; `icrc`: that of each is right.
    ///
    /// # Panics
    /// If there is no stream, or `payload` does not fit a frame.
    #[must_use]
    pub fn new(streams: &[Stream], payload: usize, icrc: bool) -> Self {
        assert!(!streams.is_empty(), "somebody has to send");
        let templates = streams.iter().map(|stream| stream.template(payload)).collect();
        Self { templates, sent: 0, icrc }
    }

    /// The next packet of the next stream. Its PSN is the stream's next, or it would be a repeat.
    /// Where nobody looks at the ICRC, it stays that of the first.
    pub fn next_frame(&mut self) -> &[u8] {
        let streams = self.templates.len();
        let template = &mut self.templates[self.sent % streams];
        template.set_psn((self.sent / streams) as u32, self.icrc);
        self.sent += 1;
        template.bytes()
    }

    /// Bytes of the largest frame.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.templates.iter().map(|template| template.bytes().len()).max().unwrap_or(0)
    }
}

/// A pair under a load.
pub struct Traffic {
    /// The gateways.
    pub pair: Pair,
    source: Source,
}

impl Traffic {
    /// A plain pair whose session is up, and no packet yet on the way.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let streams: Vec<_> = (0..STREAMS).map(Stream::new).collect();
        let source = Source::new(&streams, load.payload, load.icrc);
        Self::with(Pair::new(load), source)
    }

    /// What `source` makes, through this pair.
    #[must_use]
    pub fn with(pair: Pair, source: Source) -> Self {
        Self { pair, source }
    }

    /// Sends `packets`, rounded up to bursts; returns how many it were. They are on their way
    /// when this returns, and others have arrived meanwhile.
    pub fn send(&mut self, packets: u64) -> u64 {
        self.send_metered(packets, &mut |_, worker| worker.round())
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
                let packet =
                    pool.copy(self.source.next_frame()).expect("the pool holds the round trip");
                self.pair.sides[SENDER].lan.inject(packet).expect("the ring holds a burst");
            }
            self.pair.step_metered(self.pair.load().pace, meter);
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
            (0..10_000).for_each(|_| traffic.pair.step(Load::BASE.pace));
            let [sender, receiver] =
                traffic.pair.sides.each_ref().map(|side| side.worker.pipeline().counters());
            assert_eq!((sender.lan_rx.packets, receiver.lan_tx.packets), (10_016, 10_016));
            assert_eq!(receiver.gave_up, 0);
            let expected = if drop_every == 0 { 0..=0 } else { 100..=110 };
            assert!(expected.contains(&sender.resent.packets), "{}", sender.resent.packets);
        }
    }
}
