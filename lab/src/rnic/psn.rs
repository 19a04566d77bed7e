//! Packet sequence numbers: 24 bits on the wire, never wrapping inside.

use pipelines::wire::psn as wire;

/// A sequence number that does not wrap. Its low 24 bits are on the wire.
pub(super) type Psn = u64;

const BITS: u32 = 24;

/// The first number of a stream. One wrap above zero, so that what precedes it has a number too.
pub(super) const fn first(sent: u32) -> Psn {
    1 << BITS | wire::Psn::new(sent).get() as Psn
}

/// As on the wire.
#[inline]
pub(super) const fn to_wire(psn: Psn) -> u32 {
    wire::Psn::new(psn as u32).get()
}

/// The number nearest to `reference` that is `sent` on the wire; half way round counts as before.
#[inline]
pub(super) const fn near(reference: Psn, sent: u32) -> Psn {
    let distance = wire::Psn::new(sent).ahead_of(wire::Psn::new(reference as u32));
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
