//! PSNs extended to numbers of 32 bits, the lower 24 of which stay what they are.

use crate::recovery::Seq;
use crate::wire::psn::Psn;

/// Numbers of a lap: there are so many PSNs.
pub(super) const LAP: u32 = 1 << 24;

impl Seq {
    /// The number of a PSN that is nearest to this one.
    #[inline]
    pub(super) fn near(self, psn: Psn) -> Self {
        self.plus(psn.ahead_of(Psn::new(self.0)).cast_unsigned())
    }

    /// The first number of a PSN that is not before this one.
    pub(super) fn next_lap(self, psn: Psn) -> Self {
        self.plus(psn.get().wrapping_sub(self.0) % LAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_psn_has_a_number_in_each_lap() {
        let here = Seq(0x0500_0010);
        assert_eq!(here.near(Psn::new(0x12)), Seq(0x0500_0012));
        assert_eq!(here.near(Psn::new(0xff_fffe)), Seq(0x04ff_fffe));
        assert_eq!(here.next_lap(Psn::new(0x10)), here);
        assert_eq!(here.next_lap(Psn::new(0x0f)), Seq(0x0600_000f));
        assert_eq!(here.next_lap(Psn::new(0xff_fffe)), Seq(0x05ff_fffe));
        assert_eq!(Seq(0xffff_fff0).next_lap(Psn::new(2)), Seq(2));
    }
}
