//! Randomness that is the same on every machine: xoshiro256++ (Blackman and Vigna), seeded by
//! SplitMix64. Every purpose draws from a stream of its own, so that changing one impairment does
//! not shift what the others do.

/// The golden ratio's fraction: SplitMix64's step.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream that `seed` has for one purpose. `purpose` names it: equal names give equal
    /// streams, others independent ones.
    #[must_use]
    pub fn derive(seed: u64, purpose: &[u64]) -> Self {
        let mut root = mix(seed.wrapping_add(STEP));
        for &part in purpose {
            root = mix(root ^ part.wrapping_add(1).wrapping_mul(STEP));
        }
        let mut state = [0; 4];
        for word in &mut state {
            root = root.wrapping_add(STEP);
            *word = mix(root);
        }
        Self { state }
    }

    /// Sixty-four random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let state = &mut self.state;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// Whether an event of this probability happens. Draws even when the answer is certain, so
    /// that a stream's place does not depend on the probability.
    #[inline]
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `bound`; 0 when that is 0. Biased by less than 2^-32 for bounds below 2^32.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [0, 1) of 53 random bits.
    #[inline]
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of xoshiro256++ from the state 1, 2, 3, 4.
        let mut random = Random { state: [1, 2, 3, 4] };
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(expected.map(|_| random.bits()), expected);
    }

    #[test]
    fn purposes_have_streams_of_their_own() {
        let first = |seed, purpose: &[u64]| Random::derive(seed, purpose).bits();
        assert_eq!(first(1, &[0, 1]), first(1, &[0, 1]));
        let all = [first(1, &[0, 1]), first(1, &[1, 0]), first(2, &[0, 1]), first(1, &[0])];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one));
        }
    }

    #[test]
    fn numbers_keep_to_their_bound() {
        let mut random = Random::derive(7, &[]);
        assert!((0..1_000).all(|_| random.below(10) < 10));
        assert_eq!(random.below(0), 0);
        assert!(!random.happens(0.0) && random.happens(1.0));
        let hits = (0..100_000).filter(|_| random.happens(0.25)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }
}
