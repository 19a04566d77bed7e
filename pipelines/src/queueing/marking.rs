//! Which packets are told that a queue grows: random early marking.
//!
//! A queue shorter than `min` marks nothing, one of `max` bytes or more all that may be marked; in
//! between the probability rises in a line up to `most`. As RED (Floyd and Jacobson, 1993), but by the
//! queue as it is, not its average: RNICs average what they hear (DCQCN: Zhu et al., 2015).

use dataplane::time::Nanos;

/// When packets are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marking {
    /// Bytes in the queue from which some are.
    pub min: u64,
    /// Bytes from which all are; above `min`.
    pub max: u64,
    /// The probability just below `max`, in thousandths: 1 to 1,000.
    pub most: u32,
    /// Rather than marking packets on their way to the WAN, their senders are notified at once, where
    /// it is known who they are: a queue pair once in this time at most. `None`: never.
    pub notify: Option<Nanos>,
}

impl Marking {
    /// Whether the packet that makes a queue so long is marked, by a number drawn evenly.
    #[inline]
    #[must_use]
    pub fn marks(&self, bytes: u64, drawn: u32) -> bool {
        if bytes < self.min || bytes >= self.max {
            return bytes >= self.max;
        }
        // drawn / 2^32 < most / 1,000 * (bytes - min) / (max - min)
        let span = u128::from(self.max - self.min) * 1_000;
        let above = u128::from(bytes - self.min) * u128::from(self.most);
        u128::from(drawn) * span < above << 32
    }
}

/// Numbers to draw: a function of the seed (Marsaglia's xorshift with a multiplication, 64 bits).
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Any state but zero; seeds that differ little draw alike only at first.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// The next one.
    #[inline]
    pub fn draw(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARKING: Marking = Marking { min: 100_000, max: 400_000, most: 200, notify: None };

    /// How many of 100,000 packets are marked in a queue of so many bytes.
    fn marked(bytes: u64) -> usize {
        let mut draws = Draws::new(7);
        (0..100_000).filter(|_| MARKING.marks(bytes, draws.draw())).count()
    }

    #[test]
    fn the_probability_rises_in_a_line_and_then_all_are_marked() {
        assert_eq!([marked(0), marked(99_999), marked(100_000)], [0, 0, 0]);
        for (bytes, expected) in [(175_000, 5_000), (250_000, 10_000), (399_999, 20_000)] {
            let marked = marked(bytes);
            assert!(marked.abs_diff(expected) < expected / 20, "{bytes}: {marked}");
        }
        assert_eq!([marked(400_000), marked(u64::MAX)], [100_000; 2]);
    }

    proptest! {
        #[test]
        fn a_longer_queue_never_marks_less(
            min in 0u64..1 << 40, span in 1u64..1 << 40, most in 1u32..=1_000,
            bytes in 0u64..1 << 42, more in 0u64..1 << 42, drawn: u32,
        ) {
            let marking = Marking { min, max: min + span, most, notify: None };
            prop_assert!(!marking.marks(bytes, drawn) || marking.marks(bytes + more, drawn));
            prop_assert!(bytes >= min || !marking.marks(bytes, drawn));
        }
    }
}
