//! Chance, from a seed: the same on every machine, and a stream of its own for every purpose.

/// A pseudorandom stream: xoshiro256++ (Blackman and Vigna), its state from SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream that `seed` has for the purpose that `labels` name. Streams of different labels
    /// have nothing to do with each other: drawing from one never shifts another.
    pub(crate) fn new(seed: u64, labels: &[u64]) -> Self {
        let mut mixed = seed;
        for label in labels {
            mixed = splitmix(&mut mixed) ^ label.wrapping_add(1).wrapping_mul(GOLDEN);
        }
        Self { state: std::array::from_fn(|_| splitmix(&mut mixed)) }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let shifted = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= shifted;
        *s3 = s3.rotate_left(45);
        result
    }

    /// A number below `bound`, 0 if that is 0. Uniform but for a bias of `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether something of this probability happens. Draws once, whatever the probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // The upper 53 bits, as a number in [0, 1): exact in an f64.
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_are_the_published_ones() {
        // SplitMix64 of seed 1234567, and xoshiro256++ of state 1, 2, 3, 4: published vectors.
        let mut state = 1_234_567;
        assert_eq!(splitmix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(splitmix(&mut state), 3_203_168_211_198_807_973);
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!(
            [rng.next(), rng.next(), rng.next()],
            [41_943_041, 58_720_359, 3_588_806_011_781_223]
        );
    }

    #[test]
    fn a_label_and_a_seed_make_a_stream_of_their_own() {
        let first = |seed, labels: &[u64]| Rng::new(seed, labels).next();
        let all = [first(1, &[0, 0]), first(1, &[0, 1]), first(1, &[1, 0]), first(2, &[0, 0])];
        for (index, value) in all.iter().enumerate() {
            assert!(!all[..index].contains(value));
        }
        assert_eq!(first(1, &[0, 1]), all[1]);
    }

    #[test]
    fn chances_and_bounds_hold() {
        let mut rng = Rng::new(7, &[]);
        let hits = (0..100_000).filter(|_| rng.chance(0.1)).count();
        assert!((9_700..10_300).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| rng.chance(0.0)) && (0..1_000).all(|_| rng.chance(1.0)));
        assert!((0..1_000).all(|_| rng.below(3) < 3) && rng.below(0) == 0);
    }
}
