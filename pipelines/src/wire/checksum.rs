//! The Internet checksum in headers: compute (RFC 1071), and update after a change (RFC 1624).

pub use crate::checksum::{Sum, finish};

/// The checksum after the word `old` it covers has become `new`: RFC 1624, equation 3.
#[inline]
#[must_use]
pub const fn update_word(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = (!checksum) as u32 + (!old) as u32 + new as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The checksum after `old` has become `new`, which begin at an even byte of the data it covers
/// and have the same length: RFC 1624. An odd last byte is the first of its word.
#[inline]
#[must_use]
pub fn update(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    // Words add up: what holds for one holds for the sum of many.
    update_word(checksum, !finish(Sum::of(old)), !finish(Sum::of(new)))
}

/// The checksum of a UDP header as it is sent: 0 there means none, so zero goes as all ones
/// (RFC 768).
#[inline]
#[must_use]
pub const fn udp_form(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: the one where equation 2 gives the wrong zero.
        assert_eq!(update_word(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn an_update_equals_a_new_sum(
            mut data in prop::collection::vec(any::<u8>(), 2..200),
            new in prop::collection::vec(any::<u8>(), 1..20),
            at in any::<prop::sample::Index>(),
        ) {
            let at = at.index(data.len()) & !1;
            let len = new.len().min(data.len() - at);
            let before = finish(Sum::of(&data));
            let old = data[at..at + len].to_vec();
            data[at..at + len].copy_from_slice(&new[..len]);
            // Data of nothing but zeros sums to the other zero; no header is that.
            prop_assume!(data.iter().any(|byte| *byte != 0));
            prop_assert_eq!(update(before, &old, &new[..len]), finish(Sum::of(&data)));
        }
    }
}
