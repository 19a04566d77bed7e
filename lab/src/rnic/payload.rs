//! What messages carry: bytes that say where they belong.
//!
//! A packet's payload is a piece of a fixed random block, chosen by stream, message, offset and
//! whether it is the last, under a stamp that names message and offset. Whoever receives it knows
//! what it has to be, compares every byte, and can say what is wrong.

use std::sync::OnceLock;

use crate::random::Random;

/// As long as the largest payload, and how many places a piece can begin at.
const MAX_LEN: usize = 4096;

/// Where a payload belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The stream's secret: sender, receiver, and which of them speaks.
    pub(super) stream: u64,
    /// The message in the stream.
    pub(super) message: u64,
    /// The byte in the message.
    pub(super) offset: u32,
    /// Whether the message ends with it.
    pub(super) ends: bool,
}

/// What a received payload turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What belongs here.
    Right,
    /// What belongs earlier in the stream: delivered twice.
    Earlier,
    /// What belongs later in the stream: something is missing.
    Later,
    /// Nothing that was sent.
    Altered,
}

/// The payload of a packet: a stamp, and what follows it.
pub(super) struct Payload {
    stamp: [u8; 16],
    /// Bytes of the stamp that fit.
    stamped: usize,
    rest: &'static [u8],
}

impl Payload {
    /// No bytes.
    pub(super) const NONE: Self = Self { stamp: [0; 16], stamped: 0, rest: &[] };

    /// The `length` bytes that belong at `place`, at most [`MAX_LEN`].
    #[inline]
    pub(super) fn of(place: Place, length: usize) -> Self {
        let [message, offset] = [place.message, place.position()];
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&(place.stream ^ message).to_le_bytes());
        stamp[8..].copy_from_slice(&(place.stream.rotate_left(32) ^ offset).to_le_bytes());
        let stamped = length.min(stamp.len());
        let begin = place.mixed() as usize % MAX_LEN;
        let rest = block().get(begin + stamped..begin + length).unwrap_or_default();
        Self { stamp, stamped, rest }
    }

    /// Its two parts.
    #[inline]
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [self.stamp.get(..self.stamped).unwrap_or_default(), self.rest]
    }

    #[inline]
    fn is(&self, bytes: &[u8]) -> bool {
        let [stamp, rest] = self.parts();
        bytes.strip_prefix(stamp).is_some_and(|bytes| bytes == rest)
    }
}

impl Place {
    /// Judges a payload that was received here.
    #[inline]
    pub(super) fn judge(self, bytes: &[u8]) -> Verdict {
        if Payload::of(self, bytes.len()).is(bytes) {
            return Verdict::Right;
        }
        // It may be a whole payload of another place, which its stamp then names.
        let Some(claimed) = self.claimed(bytes) else { return Verdict::Altered };
        match Payload::of(claimed, bytes.len()).is(bytes) {
            true if (claimed.message, claimed.offset) < (self.message, self.offset) => {
                Verdict::Earlier
            }
            true => Verdict::Later,
            false => Verdict::Altered,
        }
    }

    /// The place that a payload of this stream claims to belong to.
    fn claimed(self, bytes: &[u8]) -> Option<Self> {
        let (message, rest) = bytes.split_first_chunk()?;
        let position = u64::from_le_bytes(*rest.first_chunk()?) ^ self.stream.rotate_left(32);
        Some(Self {
            message: u64::from_le_bytes(*message) ^ self.stream,
            offset: u32::try_from(position >> 1).ok()?,
            ends: position & 1 == 1,
            ..self
        })
    }

    fn position(self) -> u64 {
        u64::from(self.offset) << 1 | u64::from(self.ends)
    }

    /// A number that neighbouring places do not share.
    fn mixed(self) -> u64 {
        let mixed = (self.stream ^ self.message).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ self.position().wrapping_mul(0xd6e8_feb8_6659_fd93);
        // The upper bits depend on all.
        mixed >> 52
    }
}

/// The block that payloads are pieces of.
fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut random = Random::derive(0x7061_796c_6f61_6400, &[]);
        (0..2 * MAX_LEN / 8).flat_map(|_| random.bits().to_le_bytes()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place =
        Place { stream: 0x1234_5678_9abc_def0, message: 7, offset: 4096, ends: false };

    fn bytes(place: Place, length: usize) -> Vec<u8> {
        Payload::of(place, length).parts().concat()
    }

    #[test]
    fn what_belongs_here_is_right() {
        for length in [0, 1, 15, 16, 17, 1000, MAX_LEN] {
            let payload = bytes(HERE, length);
            assert_eq!(payload.len(), length);
            assert_eq!(HERE.judge(&payload), Verdict::Right);
        }
    }

    #[test]
    fn every_altered_byte_is_seen() {
        let payload = bytes(HERE, 300);
        for at in 0..payload.len() {
            let mut altered = payload.clone();
            altered[at] ^= 1;
            assert_eq!(HERE.judge(&altered), Verdict::Altered, "byte {at}");
        }
    }

    #[test]
    fn what_belongs_elsewhere_is_told_apart() {
        for (there, verdict) in [
            (Place { message: 6, ..HERE }, Verdict::Earlier),
            (Place { offset: 0, ..HERE }, Verdict::Earlier),
            (Place { message: 8, offset: 0, ..HERE }, Verdict::Later),
            (Place { offset: 8192, ..HERE }, Verdict::Later),
            (Place { ends: true, ..HERE }, Verdict::Later),
            (Place { stream: 1, ..HERE }, Verdict::Altered),
        ] {
            assert_eq!(HERE.judge(&bytes(there, 1024)), verdict, "{there:?}");
        }
    }
}
