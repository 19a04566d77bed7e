//! The number that a packet of a reliable connection has of itself.

use super::table::Name;
use crate::shield::{Found, Sight};
use crate::wire::opcode::Kind;
use crate::wire::psn::Psn;

/// What a PSN stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A packet that takes its PSN.
    One,
    /// A READ of so many bytes: it takes a PSN for each response.
    Read(u32),
    /// An acknowledgement without data: it takes none, and stands behind its PSN.
    Nothing,
    /// A NAK, or a refusal for lack of a receive: as an acknowledgement of all before, and yet it is
    /// not made needless by one that came first.
    Refusal,
}

impl Takes {
    /// Whether it is an answer without data.
    #[inline]
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Nothing | Self::Refusal)
    }
}

/// Which stream a packet is of, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) name: Name,
    /// Whether the stream is one of responses.
    pub(crate) response: bool,
    pub(crate) psn: Psn,
    pub(crate) takes: Takes,
    /// Path MTU, if it shows.
    pub(crate) pmtu: Option<u16>,
}

impl Number {
    /// Reads the number of a packet of `len` bytes; `None` if it has none: anything but requests and
    /// responses of reliable connections, and what is not as long as it says. `secret` keys the
    /// names.
    #[inline]
    pub(crate) fn read(head: &[u8], len: usize, found: &Found, secret: u64) -> Option<Self> {
        let sight = Sight::of(head, found).filter(|sight| sight.is_whole(len))?;
        let (response, psn, takes) = match sight.kind() {
            Kind::Request => (false, sight.psn(), sight.read_len().map_or(Takes::One, Takes::Read)),
            Kind::Response => (true, sight.psn(), Takes::One),
            Kind::Acknowledge if sight.is_atomic_answer() => (true, sight.psn(), Takes::One),
            Kind::Acknowledge => {
                let takes = if sight.is_refusal() { Takes::Refusal } else { Takes::Nothing };
                (true, sight.acknowledged()?, takes)
            }
            _ => return None,
        };
        let name = Name::of(&sight.key()?, response, secret);
        Some(Self { name, response, psn, takes, pmtu: sight.pmtu() })
    }

    /// PSNs that it takes, if that is known.
    #[inline]
    pub(crate) fn span(&self, pmtu: u16) -> Option<u32> {
        match (self.takes, pmtu) {
            (Takes::One, _) => Some(1),
            (Takes::Nothing | Takes::Refusal, _) => Some(0),
            // The smallest path MTU there is.
            (Takes::Read(0..=256), _) => Some(1),
            (Takes::Read(_), 0) => None,
            (Takes::Read(len), pmtu) => Some(len.div_ceil(pmtu.into())),
        }
    }
}
