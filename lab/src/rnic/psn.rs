//! Packet sequence numbers: 24 bits on the wire, never wrapping inside.

/// A sequence number that does not wrap. Its low 24 bits are on the wire.
pub(super) type Psn = u64;

const BITS: u32 = 24;

/// The first number of a stream. One wrap above zero, so that what precedes it has a number too.
pub(super) const fn first(wire: u32) -> Psn {
    1 << BITS | (wire & 0xff_ffff) as Psn
}

/// As on the wire.
#[inline]
pub(super) const fn to_wire(psn: Psn) -> u32 {
    psn as u32 & 0xff_ffff
}

/// The number nearest to `reference` that is `wire` on the wire; half way round counts as before.
#[inline]
pub(super) const fn near(reference: Psn, wire: u32) -> Psn {
    let distance = (wire.wrapping_sub(reference as u32) << 8) as i32 >> 8;
    reference.wrapping_add_signed(distance as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_pass_the_wrap_and_come_back() {
        let last = first(0xff_ffff);
        assert_eq!(near(last, 0), last + 1);
        assert_eq!(near(last + 1, 0xff_ffff), last);
        assert_eq!(to_wire(last + 1), 0);
        assert_eq!(near(first(0), 0xff_fff0), first(0) - 16);
    }

    #[test]
    fn half_way_round_is_before() {
        let here = first(5);
        assert_eq!(near(here, 5 + 0x7f_ffff), here + 0x7f_ffff);
        assert_eq!(near(here, 5 + 0x80_0000), here - 0x80_0000);
    }
}
