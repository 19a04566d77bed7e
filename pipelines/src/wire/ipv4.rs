//! IPv4 (RFC 791).

use super::checksum::{Sum, finish};
use super::{BuildError, Malformed, fits, room, room_for};

/// Bytes of the header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Don't fragment, in [`View::fragment_word`].
pub const DONT_FRAGMENT: u16 = 0x4000;

/// An IPv4 packet.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    fixed: &'a [u8; MIN_HEADER_LEN],
    header: &'a [u8],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Looks at a packet, behind which there may be padding. The checksum is not judged: see
    /// [`Self::has_right_checksum`].
    ///
    /// # Errors
    /// Its version is not 4, its lengths contradict each other, or it is longer than `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; MIN_HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::IpVersion);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if header_len < MIN_HEADER_LEN || header_len > total_len {
            return Err(Malformed::IpHeaderLength);
        }
        let packet = bytes.get(..total_len).ok_or(Malformed::IpLength)?;
        let (header, payload) = packet.split_at_checked(header_len).ok_or(Malformed::Truncated)?;
        Ok(Self { fixed, header, payload })
    }

    /// Differentiated services and ECN.
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.fixed[1]
    }

    /// Bytes of header and payload.
    #[must_use]
    pub fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Identification of the packet that fragments belong to.
    #[must_use]
    pub fn identification(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// Flags (reserved, don't fragment, more fragments) and, in the low 13 bits, the fragment's
    /// offset in units of eight bytes.
    #[must_use]
    pub fn fragment_word(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// Whether the packet is a fragment, the first or a later one.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & 0x3fff != 0
    }

    /// Whether it is a fragment that is not the first: it does not begin with the header of its
    /// protocol.
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_word() & 0x1fff != 0
    }

    /// Time to live.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol of the payload.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Checksum of the header.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[10], self.fixed[11]])
    }

    /// Whether that is right.
    #[must_use]
    pub fn has_right_checksum(&self) -> bool {
        finish(Sum::of(self.header)) == 0
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> [u8; 4] {
        let [.., a, b, c, d, _, _, _, _] = *self.fixed;
        [a, b, c, d]
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> [u8; 4] {
        let [.., a, b, c, d] = *self.fixed;
        [a, b, c, d]
    }

    /// The header, with its options.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        self.header
    }

    /// The options, unread; up to forty bytes.
    #[must_use]
    pub fn options(&self) -> &'a [u8] {
        self.header.get(MIN_HEADER_LEN..).unwrap_or_default()
    }

    /// The payload: what the total length says, without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// What a header is built from; the checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Differentiated services and ECN.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// Flags and fragment offset: [`DONT_FRAGMENT`] for a RoCEv2 packet.
    pub fragment_word: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
    /// Options: up to forty bytes, a multiple of four.
    pub options: &'a [u8],
}

impl Header<'_> {
    /// Writes the header of a packet with `payload_len` bytes behind it; returns its bytes.
    ///
    /// # Errors
    /// No room, options of a wrong length, or a packet of more than 65 535 bytes.
    pub fn write(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let len = MIN_HEADER_LEN + self.options.len();
        if len > MAX_HEADER_LEN || !len.is_multiple_of(4) {
            return Err(BuildError::Field("length of options"));
        }
        let total_len = u32::try_from(payload_len.saturating_add(len)).unwrap_or(u32::MAX);
        let [_, _, l0, l1] = fits(total_len, 16, "total length")?.to_be_bytes();
        let buffer = room_for(buffer, len)?;
        let [i0, i1] = self.identification.to_be_bytes();
        let [f0, f1] = self.fragment_word.to_be_bytes();
        let fixed: &mut [u8; MIN_HEADER_LEN] = room(buffer)?;
        let (head, addresses) = fixed.split_at_mut(12);
        let version_ihl = 0x40 | (len / 4) as u8;
        head.copy_from_slice(&[
            version_ihl,
            self.tos,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            self.ttl,
            self.protocol,
            0,
            0,
        ]);
        let (source, destination) = addresses.split_at_mut(4);
        source.copy_from_slice(&self.source);
        destination.copy_from_slice(&self.destination);
        if let Some(options) = buffer.get_mut(MIN_HEADER_LEN..) {
            options.copy_from_slice(self.options);
        }
        let [c0, c1] = finish(Sum::of(buffer)).to_be_bytes();
        let fixed: &mut [u8; MIN_HEADER_LEN] = room(buffer)?;
        (fixed[10], fixed[11]) = (c0, c1);
        Ok(len)
    }
}
