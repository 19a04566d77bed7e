//! What is known about the path MTU of a queue pair.

/// The path MTUs that InfiniBand defines, in bytes of payload.
const SIZES: [u32; 5] = [256, 512, 1024, 2048, 4096];

/// The path MTUs that agree with what was seen: any of the five at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathMtu {
    /// Bit n: `SIZES[n]` is possible. Never 0.
    possible: u8,
}

impl PathMtu {
    pub(super) const UNKNOWN: PathMtu = PathMtu { possible: 0b1_1111 };

    /// The path MTU, once only one is possible.
    pub(super) fn known(self) -> Option<u32> {
        let mut sizes = self.sizes();
        sizes.next().filter(|_| sizes.next().is_none())
    }

    /// Evidence of the exact value: connection management, or the payload of a packet that is not
    /// its message's last. The newest such evidence holds, since a reconnect may change the value;
    /// what is no path MTU at all is ignored.
    pub(super) fn is_exactly(&mut self, size: u32) {
        if let Some(bit) = SIZES.iter().position(|known| *known == size) {
            self.possible = 1 << bit;
        }
    }

    /// Evidence of a lower bound: the payload of any packet. Ignored if nothing would be left.
    pub(super) fn is_at_least(&mut self, payload: u32) {
        let fitting = SIZES.iter().enumerate().filter(|(_, size)| **size >= payload);
        let possible = self.possible & fitting.fold(0, |bits, (bit, _)| bits | 1 << bit);
        if possible != 0 {
            self.possible = possible;
        }
    }

    /// Fewest and most PSNs that a READ of `length` bytes can take: equal once the value is known,
    /// at most 2^24.
    pub(super) fn read_span(self, length: u32) -> (u32, u32) {
        let span = |size: Option<u32>| length.div_ceil(size.unwrap_or(256)).max(1);
        (span(self.sizes().max()), span(self.sizes().min()))
    }

    fn sizes(self) -> impl Iterator<Item = u32> {
        let possible = self.possible;
        SIZES.into_iter().enumerate().filter(move |(bit, _)| possible >> bit & 1 != 0).map(|s| s.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_narrows() {
        let mut pmtu = PathMtu::UNKNOWN;
        assert_eq!((pmtu.known(), pmtu.read_span(65536)), (None, (16, 256)));
        pmtu.is_at_least(1000);
        assert_eq!((pmtu.known(), pmtu.read_span(65536)), (None, (16, 64)));
        pmtu.is_at_least(2049);
        assert_eq!(pmtu.known(), Some(4096));
        pmtu.is_exactly(1024);
        pmtu.is_exactly(1000);
        pmtu.is_at_least(5000);
        assert_eq!((pmtu.known(), pmtu.read_span(2500)), (Some(1024), (3, 3)));
    }

    #[test]
    fn spans_at_the_edges() {
        assert_eq!(PathMtu::UNKNOWN.read_span(0), (1, 1));
        assert_eq!(PathMtu::UNKNOWN.read_span(u32::MAX), (1 << 20, 1 << 24));
    }
}
