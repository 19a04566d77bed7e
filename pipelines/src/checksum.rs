//! The Internet checksum (RFC 1071), over data in pieces.

/// A sum in the making. Pieces may have any length: where one ends at an odd byte, the next goes on
/// at that byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// One's complement sum of the data taken as little-endian words; folding gives the checksum
    /// with its bytes swapped, whatever the order of the machine (RFC 1071, section 2 B).
    total: u64,
    odd: bool,
}

impl Sum {
    /// The sum of `bytes`.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().and(bytes)
    }

    /// The sum of what was summed and `bytes` behind it.
    #[inline]
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        let piece = fold(sum_words(bytes));
        // A piece that begins at an odd byte has its bytes in the other half of each word.
        let piece = if self.odd { piece.swap_bytes() } else { piece };
        let (total, carry) = self.total.overflowing_add(u64::from(piece));
        Self { total: total + u64::from(carry), odd: self.odd ^ (bytes.len() % 2 == 1) }
    }

    /// The sum of a header: of a length known beforehand and even, so that nothing is left to
    /// decide when it runs.
    #[inline]
    #[must_use]
    pub fn of_header<const N: usize>(header: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(4)) };
        let (words, _) = header.as_chunks::<4>();
        let total = words.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum();
        Self { total, odd: false }
    }

    /// The sum of what was summed, an even number of bytes, and the two bytes of `word`.
    #[inline]
    #[must_use]
    pub fn and_word(self, word: u16) -> Self {
        debug_assert!(!self.odd, "a word begins at an even byte");
        Self { total: add(self.total, u64::from(word.swap_bytes())), ..self }
    }

    /// The sum of what was summed and all `segments` behind it.
    #[inline]
    #[must_use]
    pub fn and_segments<'a>(self, segments: impl Iterator<Item = &'a [u8]>) -> Self {
        segments.fold(self, Self::and)
    }
}

/// The checksum: the complement of the sum. Zero, if the data held its right checksum.
#[inline]
#[must_use]
pub fn finish(sum: Sum) -> u16 {
    !fold(sum.total).swap_bytes()
}

/// One's complement sum of little-endian words; eight bytes at a time in four independent chains,
/// so that the processor adds them side by side.
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let mut chains = [0u64; 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (chain, word) in chains.iter_mut().zip(words) {
            *chain = add(*chain, u64::from_le_bytes(*word));
        }
    }
    let mut total = chains.into_iter().fold(0, add);
    let (words, rest) = rest.as_chunks::<8>();
    total = words.iter().fold(total, |total, word| add(total, u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        total = add(total, u64::from_le_bytes(last));
    }
    total
}

/// One's complement addition.
#[inline]
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// 64 bits folded to 16.
#[inline]
fn fold(total: u64) -> u16 {
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32);
    let total = (total & 0xffff) + (total >> 16);
    ((total & 0xffff) + (total >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as the RFC says it.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum = 0u64;
        for pair in bytes.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(Sum::of(&bytes)), !0xddf2);
    }

    proptest! {
        #[test]
        fn headers_and_words_are_pieces_too(header: [u8; 20], word: u16) {
            let whole = Sum::of(&header).and(&word.to_be_bytes());
            prop_assert_eq!(finish(Sum::of_header(&header).and_word(word)), finish(whole));
        }

        #[test]
        fn pieces_of_any_length_sum_to_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0usize..300, 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(finish(Sum::default().and_segments(pieces)), plain(&bytes));
        }

        #[test]
        fn extreme_words_do_not_lose_a_carry(
            bytes in prop::collection::vec(prop::sample::select(vec![0u8, 0xff]), 0..300),
        ) {
            // All ones and all zeros are the two faces of zero in one's complement.
            let (fast, plain) = (finish(Sum::of(&bytes)), plain(&bytes));
            prop_assert!(fast == plain || fast.min(plain) == 0 && fast.max(plain) == 0xffff);
        }
    }
}
