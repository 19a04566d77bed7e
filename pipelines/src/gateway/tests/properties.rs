//! Whatever the wire does: what holds of every run.

use std::collections::BTreeSet;

use super::*;

/// A seeded sequence for the properties below (xorshift64*).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the wire does short of giving up: every stream whole, in order, unaltered, once.
    #[test]
    fn every_stream_arrives_whole_in_order_and_once(
        seed in 1u64..,
        loss in 0.0..0.2f64,
        duplicate in 0.0..0.1f64,
        corrupt in 0.0..0.1f64,
        reorder in 0.0..0.1f64,
    ) {
        let mut bed = Bed::up(|_| {});
        let mut dice = Dice(seed);
        let mut fate = move |_: u64, frame: &[u8]| {
            let mut copies = Vec::new();
            let count = 1 + usize::from(dice.roll() < duplicate);
            for _ in 0..count {
                if dice.roll() < loss { continue; }
                let mut copy = frame.to_vec();
                if dice.roll() < corrupt {
                    let at = 14 + (dice.roll() * (copy.len() - 14) as f64) as usize;
                    copy[at] ^= 1 + (dice.roll() * 255.0) as u8;
                }
                let late = if dice.roll() < reorder { (dice.roll() * 3e6) as Nanos } else { 0 };
                copies.push((DELAY + late, copy));
            }
            copies
        };
        for number in 0..400 {
            for stream in 0..3 {
                bed.send(0, stream, number, 60 + stream as usize * 500);
            }
            bed.send(1, 9, number, 100);
            bed.run(30_000, &mut fate);
        }
        bed.run(2 * SECOND, &mut fate);
        for (side, stream) in [(1, 0), (1, 1), (1, 2), (0, 9)] {
            prop_assert_eq!(numbers(&bed, side, stream), (0..400).collect::<Vec<_>>());
        }
        let known: BTreeSet<Vec<u8>> = (0..400)
            .flat_map(|n| (0..3).map(move |s| frame(s, n, 60 + s as usize * 500)))
            .collect();
        prop_assert!(bed.sides[1].delivered.iter().all(|frame| known.contains(frame)));
        prop_assert_eq!(bed.counters(0).gave_up + bed.counters(1).gave_up, 0);
        bed.assert_no_leak();
    }

    /// With bounds too small: never out of order, never twice, never altered, nothing leaks, and
    /// what is missing was given up in the open.
    #[test]
    fn with_tiny_bounds_it_gives_up_in_the_open(seed in 1u64.., loss in 0.05..0.4f64) {
        let mut bed = Bed::up(|settings| {
            settings.recovery.replay_bytes = 128 << 10;
            settings.recovery.hold_bytes = 128 << 10;
            settings.recovery.hold_packets = 16;
            settings.recovery.replay_packets = 64;
            settings.recovery.holes = 4;
            settings.recovery.hold_age = 40 * MILLISECOND;
        });
        let mut dice = Dice(seed);
        let mut fate = move |_: u64, frame: &[u8]| {
            if dice.roll() < loss { vec![] } else { perfect(0, frame) }
        };
        for number in 0..400 {
            bed.send(0, 1, number, 300);
            bed.run(50_000, &mut fate);
        }
        bed.run(2 * SECOND, &mut fate);
        let arrived = numbers(&bed, 1, 1);
        prop_assert!(arrived.is_sorted_by(|a, b| a < b), "{arrived:?}");
        let missing = 400 - arrived.len() as u64;
        prop_assert!(bed.counters(1).gave_up >= missing.saturating_sub(1), "{missing}");
        prop_assert!(bed.sides[0].gateway.replay_memory().high_water <= 128 << 10);
        prop_assert!(bed.sides[1].gateway.held_high_water_bytes() <= 128 << 10);
        bed.assert_no_leak();
    }

    /// Arbitrary frames on both sides do no harm.
    #[test]
    fn arbitrary_frames_do_no_harm(frames in prop::collection::vec(
        (0usize..2, prop::collection::vec(any::<u8>(), 0..200), any::<u8>()), 0..50)
    ) {
        let mut bed = Bed::up(|settings| settings.outer_checksum = false);
        bed.send(1, 1, 0, 100);
        let mut template = None;
        bed.run(20 * MILLISECOND, &mut |_, frame| {
            template = Some(frame.to_vec());
            perfect(0, frame)
        });
        let template = template.expect("something was sent");
        for (port, bytes, cut) in frames {
            let now = bed.now;
            bed.sides[0].receive(port, &bytes, now);
            // A plausible tunnel packet with an arbitrary end.
            let mut near = template[..template.len().min(usize::from(cut))].to_vec();
            near.extend(&bytes);
            bed.sides[0].receive(WAN, &near, now);
            bed.run(MILLISECOND, &mut perfect);
        }
        bed.assert_no_leak();
    }
}
