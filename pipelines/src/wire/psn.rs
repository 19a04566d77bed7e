//! Packet sequence numbers: 24 bits that wrap.
//!
//! InfiniBand Architecture volume 1, section 9.7.2 (PSN generation and comparison).

use super::bth::MAX_24;

/// A packet sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Psn(u32);

impl Psn {
    /// The low 24 bits of `value`.
    #[inline]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value & MAX_24)
    }

    /// As on the wire.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number `count` behind this one.
    #[inline]
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self::new(self.0.wrapping_add(count))
    }

    /// How far this is ahead of `other`, negative if it is before: the 24-bit difference as a
    /// signed number. Exactly half way round counts as before.
    #[inline]
    #[must_use]
    pub const fn ahead_of(self, other: Self) -> i32 {
        (self.0.wrapping_sub(other.0) << 8).cast_signed() >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_pass_the_wrap() {
        let last = Psn::new(0xff_ffff);
        assert_eq!(last.plus(1), Psn::new(0));
        assert_eq!(last.plus(3).ahead_of(last), 3);
        assert_eq!(last.ahead_of(last.plus(3)), -3);
        assert_eq!(Psn::new(0x80_0000).ahead_of(Psn::new(0)), -0x80_0000);
        assert_eq!(Psn::new(0x7f_ffff).ahead_of(Psn::new(0)), 0x7f_ffff);
        assert_eq!(Psn::new(0x0512_3456).get(), 0x12_3456);
    }
}
