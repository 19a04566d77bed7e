//! Sequence numbers that wrap: 32 bits, compared as RFC 1982 says.

/// A sequence number of a channel or a lane.
///
/// Not `Ord`: serial numbers have no total order. [`Seq::ahead_of`] compares two that lie within
/// 2^31 of each other, which every window here enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `count` further on.
    #[inline]
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The next number.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// How far this number lies ahead of `other`; negative behind it.
    #[inline]
    #[must_use]
    pub const fn ahead_of(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// How far this number lies ahead of `base`, which is known not to be ahead of it.
    #[inline]
    #[must_use]
    pub const fn offset_from(self, base: Self) -> u32 {
        self.0.wrapping_sub(base.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn order_survives_the_wrap() {
        let last = Seq(u32::MAX);
        assert_eq!(last.next(), Seq(0));
        assert_eq!(last.plus(3).ahead_of(last), 3);
        assert_eq!(last.ahead_of(last.plus(3)), -3);
        assert_eq!(Seq(5).offset_from(Seq(u32::MAX)), 6);
    }
}
