//! UDP (RFC 768) over IPv4 and IPv6.

use super::checksum::{Sum, finish, udp_form};
use super::{BuildError, Malformed, fits, room};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// Protocol number of UDP (IANA).
pub const PROTOCOL: u8 = 17;
/// Destination port of RoCEv2 (IANA).
pub const ROCEV2_PORT: u16 = 4791;

/// A datagram.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Looks at the datagram in the payload of an IP packet.
    ///
    /// # Errors
    /// Its length is below that of its header, or above that of `ip_payload`.
    #[inline]
    pub fn parse(ip_payload: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = ip_payload.split_first_chunk().ok_or(Malformed::Truncated)?;
        let [_, _, _, _, l0, l1, _, _] = *header;
        let payload = usize::from(u16::from_be_bytes([l0, l1]))
            .checked_sub(HEADER_LEN)
            .and_then(|len| rest.get(..len))
            .ok_or(Malformed::UdpLength)?;
        Ok(Self { header, payload })
    }

    /// Source port.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Bytes of header and payload.
    #[must_use]
    pub fn len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// The checksum; 0 if there is none.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Whether the checksum is right, with `pseudo` the sum of [`pseudo_ipv4`] or [`pseudo_ipv6`];
    /// or absent, as RNICs leave it over IPv6 too (RFC 6936).
    #[must_use]
    pub fn has_right_checksum(&self, pseudo: Sum) -> bool {
        self.checksum() == 0 || finish(pseudo.and(self.header).and(self.payload)) == 0
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &'a [u8; HEADER_LEN] {
        self.header
    }

    /// The payload, as long as the datagram's length says.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Sum of the pseudo header over IPv4 (RFC 768) of a datagram of `len` bytes, header included.
#[must_use]
pub fn pseudo_ipv4(source: [u8; 4], destination: [u8; 4], len: u16) -> Sum {
    let [l0, l1] = len.to_be_bytes();
    Sum::of(&source).and(&destination).and(&[0, PROTOCOL, l0, l1])
}

/// Sum of the pseudo header over IPv6 (RFC 8200, section 8.1) of a datagram of `len` bytes, header
/// included.
#[must_use]
pub fn pseudo_ipv6(source: &[u8; 16], destination: &[u8; 16], len: u16) -> Sum {
    let [l0, l1] = len.to_be_bytes();
    Sum::of(source).and(destination).and(&[0, 0, l0, l1, 0, 0, 0, PROTOCOL])
}

/// What a header is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

impl Header {
    /// Writes the header of a datagram with `payload_len` bytes behind it, without checksum (0) as
    /// RoCEv2 has it; returns its bytes.
    ///
    /// # Errors
    /// No room, or a datagram of more than 65 535 bytes.
    pub fn write(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let len = u32::try_from(payload_len.saturating_add(HEADER_LEN)).unwrap_or(u32::MAX);
        let [_, _, l0, l1] = fits(len, 16, "UDP length")?.to_be_bytes();
        let ([s0, s1], [d0, d1]) =
            (self.source_port.to_be_bytes(), self.destination_port.to_be_bytes());
        *room(buffer)? = [s0, s1, d0, d1, l0, l1, 0, 0];
        Ok(HEADER_LEN)
    }
}

/// Computes the checksum of a datagram and writes it into its header. `datagram` is the whole of
/// it; `pseudo` the sum of [`pseudo_ipv4`] or [`pseudo_ipv6`].
///
/// # Errors
/// No room for a header.
pub fn write_checksum(datagram: &mut [u8], pseudo: Sum) -> Result<(), BuildError> {
    let header: &mut [u8; HEADER_LEN] = room(datagram)?;
    (header[6], header[7]) = (0, 0);
    let [c0, c1] = udp_form(finish(pseudo.and(datagram))).to_be_bytes();
    let header: &mut [u8; HEADER_LEN] = room(datagram)?;
    (header[6], header[7]) = (c0, c1);
    Ok(())
}
