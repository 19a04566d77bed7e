//! The tunnel header: 16 bytes between the outer UDP header and what is carried.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+-------------------------------+
//! |version|  kind |    channel    |          session tag          |
//! +-------+-------+---------------+-------------------------------+
//! |                       channel sequence                        |
//! +---------------------------------------------------------------+
//! |                         lane sequence                         |
//! +-------------------------------+-----------------------+-------+
//! |             lane              |         tenant        | class |
//! +-------------------------------+-----------------------+-------+
//! ```
//! All fields in network byte order. `kind` says what follows: 0 a control message, 1 an Ethernet
//! frame (without FCS), 2 an IPv4 packet, 3 an IPv6 packet. Control messages are not numbered:
//! their sequences, lane, tenant and class are zero.

use crate::recovery::{LanePosition, Seq};

/// Bytes of the header.
pub const HEADER_LEN: usize = 16;
/// The version this is.
pub const VERSION: u8 = 1;

/// What follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A control message between the gateways.
    Control = 0,
    /// An Ethernet frame.
    Ethernet = 1,
    /// An IPv4 packet.
    Ipv4 = 2,
    /// An IPv6 packet.
    Ipv6 = 3,
}

/// The header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// The FIFO channel, as the sender counts them.
    pub channel: u8,
    /// Which session numbered this packet.
    pub tag: u16,
    /// Number in the channel.
    pub seq: Seq,
    /// Place in the lane.
    pub at: LanePosition,
    /// Tenant, 12 bits.
    pub tenant: u16,
    /// Traffic class, 4 bits.
    pub class: u8,
}

/// Why bytes are no tunnel header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than [`HEADER_LEN`] bytes.
    #[error("shorter than a tunnel header")]
    Short,
    /// Another version than [`VERSION`].
    #[error("tunnel version {0} is not supported")]
    Version(u8),
    /// A kind nobody defined.
    #[error("tunnel packet of unknown kind {0}")]
    Kind(u8),
}

impl Header {
    /// Reads the header at the front of `bytes`.
    ///
    /// # Errors
    /// When there is none: [`HeaderError`].
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let &[first, channel, t0, t1, s0, s1, s2, s3, q0, q1, q2, q3, l0, l1, c0, c1] =
            bytes.first_chunk::<HEADER_LEN>().ok_or(HeaderError::Short)?;
        if first >> 4 != VERSION {
            return Err(HeaderError::Version(first >> 4));
        }
        let kind = match first & 0xf {
            0 => Kind::Control,
            1 => Kind::Ethernet,
            2 => Kind::Ipv4,
            3 => Kind::Ipv6,
            other => return Err(HeaderError::Kind(other)),
        };
        Ok(Self {
            kind,
            channel,
            tag: u16::from_be_bytes([t0, t1]),
            seq: Seq(u32::from_be_bytes([s0, s1, s2, s3])),
            at: LanePosition {
                lane: u16::from_be_bytes([l0, l1]),
                seq: Seq(u32::from_be_bytes([q0, q1, q2, q3])),
            },
            tenant: u16::from_be_bytes([c0, c1]) >> 4,
            class: c1 & 0xf,
        })
    }

    /// The header's bytes. Tenant and class are cut to their widths.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> [u8; HEADER_LEN] {
        let [t0, t1] = self.tag.to_be_bytes();
        let [s0, s1, s2, s3] = self.seq.0.to_be_bytes();
        let [q0, q1, q2, q3] = self.at.seq.0.to_be_bytes();
        let [l0, l1] = self.at.lane.to_be_bytes();
        let [c0, c1] = (self.tenant << 4 | u16::from(self.class & 0xf)).to_be_bytes();
        let first = VERSION << 4 | self.kind as u8;
        [first, self.channel, t0, t1, s0, s1, s2, s3, q0, q1, q2, q3, l0, l1, c0, c1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            kind: Kind::Ethernet,
            channel: 7,
            tag: 0x1234,
            seq: Seq(0x0102_0304),
            at: LanePosition { lane: 0xabc, seq: Seq(0x0506_0708) },
            tenant: 0xfed,
            class: 9,
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_drawing() {
        let bytes = [0x11, 7, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 0xbc, 0xfe, 0xd9];
        assert_eq!(header().bytes(), bytes);
        assert_eq!(Header::read(&bytes), Ok(header()));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert_eq!(Header::read(&[0x11; 15]), Err(HeaderError::Short));
        assert_eq!(Header::read(&[0x21; 16]), Err(HeaderError::Version(2)));
        assert_eq!(Header::read(&[0x14; 16]), Err(HeaderError::Kind(4)));
    }

    proptest! {
        #[test]
        fn reading_and_writing_agree(bytes: [u8; 16]) {
            if let Ok(header) = Header::read(&bytes) {
                prop_assert_eq!(header.bytes(), bytes);
            }
        }
    }
}
