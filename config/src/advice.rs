//! How much memory recovery needs on a path, from rate, round trip and loss: the model behind what
//! a check advises on `[recovery]`. `docs/design.md` has it in words.
//!
//! A packet lies in the replay buffer for a round trip, until its acknowledgement goes out, and for
//! as long as an older packet of its channel is missing; in the hold buffer for as long as an older
//! packet of its stream is missing. What is missing comes after a round of repair, which takes a
//! round trip; each hole is repaired twice in it, so that the next round is needed only if both
//! requests or repairs are lost as well. Channels (streams) have their holes independently of each
//! other; of how long the oldest has been open we count the mean, and four standard deviations of
//! the sum over all of them.

use crate::units::{Bytes, Rate, Span};

/// The part of all packets whose loss bounds are advised for: one in a hundred.
pub const DESIGN_LOSS: f64 = 1e-2;

/// Seconds in which a round of repair must be needed once to count.
const HORIZON: f64 = 10.0;
/// Standard deviations above the mean.
const DEVIATIONS: f64 = 4.0;
/// Before a second request a gateway waits a part of the round trip longer than that, and seconds.
const PATIENCE: (f64, f64) = (1.0 / 16.0, 100e-6);
/// Rounds of repair at most: no loss below one in two needs more of them that often.
const MAX_ROUNDS: u32 = 64;

/// What a lossless queue has to have room for after it said stop: what comes until that is heard, a
/// round trip of its rate, and a frame at either end that had begun. In whole KiB: it is to be read.
#[must_use]
pub fn headroom(rate: Rate, round_trip: Span, frame_bytes: u64) -> Bytes {
    let flying = (u128::from(rate.0) * u128::from(round_trip.0)).div_ceil(8_000_000_000);
    let flying = u64::try_from(flying).unwrap_or(u64::MAX);
    let needed = flying.saturating_add(frame_bytes.saturating_mul(2));
    Bytes(needed.checked_next_multiple_of(1 << 10).unwrap_or(u64::MAX))
}

/// A path, and what crosses it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Its capacity.
    pub rate: Rate,
    /// There and back.
    pub rtt: Span,
    /// The part of packets that it loses, each on its own: 0 or more, below 1.
    pub loss: f64,
    /// Bytes that a packet takes of its capacity, at least one.
    pub packet_bytes: u32,
    /// Bytes of the buffers that a packet lies in.
    pub memory_bytes: u64,
    /// Channels that it is shared by, at least one. As many streams are taken to share it: more
    /// need less, fewer more; a lone stream needs what a path of one channel does.
    pub channels: u32,
    /// An acknowledgement goes out at the latest this long after the first packet it confirms...
    pub ack_delay: Span,
    /// ... or after so many packets of a channel.
    pub ack_packets: u32,
}

impl Line {
    /// Bytes of buffers in the replay buffer, at the most.
    #[must_use]
    pub fn replay_bytes(&self) -> u64 {
        self.bytes(self.unconfirmed() + self.wait())
    }

    /// Bytes of buffers in the hold buffer of who receives by it, at the most.
    #[must_use]
    pub fn hold_bytes(&self) -> u64 {
        self.bytes(self.wait())
    }

    /// Packets that a channel has to remember, at the most: all its rounds fall on this one.
    #[must_use]
    pub fn replay_packets(&self) -> u64 {
        let alone = Self { channels: 1, ..*self };
        let seconds = self.unconfirmed() + alone.wait();
        (self.packets_a_second() * seconds / self.channels()).ceil() as u64
    }

    /// Packets in the hold buffer, at the most.
    #[must_use]
    pub fn hold_packets(&self) -> u64 {
        (self.packets_a_second() * self.wait()).ceil() as u64
    }

    fn bytes(&self, seconds: f64) -> u64 {
        (self.packets_a_second() * seconds * self.memory_bytes as f64).ceil() as u64
    }

    fn packets_a_second(&self) -> f64 {
        self.rate.0 as f64 / 8.0 / f64::from(self.packet_bytes.max(1))
    }

    fn channels(&self) -> f64 {
        f64::from(self.channels.max(1))
    }

    /// Seconds for which a packet is unconfirmed where nothing is lost.
    fn unconfirmed(&self) -> f64 {
        let enough = f64::from(self.ack_packets) * self.channels() / self.packets_a_second();
        seconds(self.rtt) + seconds(self.ack_delay).min(enough)
    }

    /// Seconds for which packets wait behind holes, as a mean over all channels at their worst.
    fn wait(&self) -> f64 {
        let rtt = seconds(self.rtt);
        let again = rtt + (rtt * PATIENCE.0).max(PATIENCE.1);
        // It takes a loss of both requests, or of what each brings.
        let fails = (1.0 - (1.0 - self.loss).powi(2)).powi(2);
        let mut holes_a_second = self.packets_a_second() * self.loss;
        let mut wait = 0.0;
        for round in 0..MAX_ROUNDS {
            if holes_a_second * HORIZON < 1.0 {
                break;
            }
            wait += match round {
                0 => rtt * first_round(holes_a_second * rtt / self.channels(), self.channels()),
                _ => again * later_round(holes_a_second * again, self.channels()),
            };
            holes_a_second *= fails;
        }
        wait
    }
}

/// Part of a round trip for which packets wait in the first round of repair, over so many channels;
/// each gets `holes` of its own in a round trip, at random times.
///
/// That a hole older than x round trips is open has the probability 1 − exp(−`holes` (1 − x)):
/// whence mean and variance of the oldest one's age. At least one channel waits for all of it.
fn first_round(holes: f64, channels: f64) -> f64 {
    // Of so few, hardly ever two are open; and the differences below would be of no use.
    if holes < 1e-3 {
        return 1.0 / channels;
    }
    let some = 1.0 - (-holes).exp();
    let mean = 1.0 - some / holes;
    let square = 1.0 - 2.0 * (1.0 / holes - some / holes.powi(2));
    let deviation = (square - mean * mean).max(0.0).sqrt();
    (mean + DEVIATIONS * deviation / channels.sqrt()).clamp(1.0 / channels, 1.0)
}

/// Part of a later round for which packets wait. Few holes get that far, `open` at a time, each in
/// a channel of its own: their number is a Poisson variable, at its worst at least one.
fn later_round(open: f64, channels: f64) -> f64 {
    ((open + DEVIATIONS * open.sqrt()).max(1.0) / channels).min(1.0)
}

fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 Gbit/s and 10 ms: 31,250 packets of 4000 bytes in a round trip, of 4544 in memory.
    const FAR: Line = Line {
        rate: Rate(100_000_000_000),
        rtt: Span(10_000_000),
        loss: DESIGN_LOSS,
        packet_bytes: 4_000,
        memory_bytes: 4_544,
        channels: 1,
        ack_delay: Span(200_000),
        ack_packets: 64,
    };
    const ROUND_TRIP: f64 = 31_250.0 * 4_544.0;

    fn parts(line: Line) -> (f64, f64) {
        (line.replay_bytes() as f64 / ROUND_TRIP, line.hold_bytes() as f64 / ROUND_TRIP)
    }

    #[test]
    fn without_loss_there_is_a_round_trip_and_the_wait_for_acknowledgements() {
        let line = Line { loss: 0.0, ..FAR };
        // 64 packets are 20.48 microseconds.
        let packets = |line: Line| (line.replay_bytes() + 4_544 / 2) / 4_544;
        assert_eq!(packets(line), 31_250 + 64);
        assert_eq!((line.hold_bytes(), line.hold_packets()), (0, 0));
        let slow = Line { channels: 10, ..line };
        // Of a tenth of the packets they are 205 microseconds, and 200 at most are waited for.
        assert_eq!(slow.replay_packets(), 3_125 + 63);
        assert_eq!(packets(slow), 31_250 + 625);
    }

    #[test]
    fn a_lone_stream_waits_for_two_rounds_and_sixteen_for_hardly_more_than_one() {
        let (replay, hold) = parts(FAR);
        // The second round trip, and a sixteenth of patience before it.
        assert!((hold - 2.0625).abs() < 1e-3, "{hold}");
        assert!((replay - hold - 1.002).abs() < 1e-3, "{replay}");
        let (replay, hold) = parts(Line { channels: 16, ..FAR });
        assert!((1.0..1.15).contains(&hold) && (2.0..2.2).contains(&replay), "{hold} {replay}");
        // The packets of one channel are those of a lone stream, divided.
        let packets = Line { channels: 16, ..FAR }.replay_packets() as f64;
        assert!((packets * 16.0 / 31_250.0 - 3.0625).abs() < 0.04, "{packets}");
    }

    #[test]
    fn rare_losses_cost_little_and_more_loss_never_less() {
        let line = |loss| Line { loss, channels: 16, ..FAR };
        let mut last = 0;
        for loss in [0.0, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3] {
            let bytes = line(loss).hold_bytes();
            assert!(bytes >= last, "{loss}: {bytes} after {last}");
            last = bytes;
        }
        assert!((parts(line(1e-6)).1 - 1.0 / 16.0).abs() < 0.01);
        assert!(last < 100 * FAR.hold_bytes());
    }

    #[test]
    fn what_is_extreme_stays_finite() {
        let largest = Line { rate: Rate(u64::MAX), rtt: Span(u64::MAX), loss: 0.999, ..FAR };
        assert_eq!(largest.replay_bytes(), u64::MAX);
        let odd = Line { packet_bytes: 0, channels: 0, rate: Rate(0), ..FAR };
        assert_eq!((odd.replay_bytes(), odd.hold_bytes()), (0, 0));
    }
}
