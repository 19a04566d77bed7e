//! IPv6 and its extension headers (RFC 8200).

use super::{BuildError, Malformed, fits, room, srv6};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;
/// Extension headers that are walked.
pub const MAX_EXTENSIONS: usize = 8;

/// Next header values (IANA) of the extension headers and of what SRv6 carries.
pub mod next {
    /// Hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// An IPv4 packet.
    pub const IPV4: u8 = 4;
    /// An IPv6 packet.
    pub const IPV6: u8 = 41;
    /// Routing header.
    pub const ROUTING: u8 = 43;
    /// Fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Nothing behind.
    pub const NONE: u8 = 59;
    /// Destination options.
    pub const DESTINATION: u8 = 60;
    /// An Ethernet frame (RFC 8986).
    pub const ETHERNET: u8 = 143;
}

/// Where a walk over extension headers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upper {
    /// Protocol of what is behind the extension headers.
    pub protocol: u8,
    /// Bytes of the fixed and the extension headers.
    pub header_len: usize,
    /// The packet is a fragment. Not of a whole packet with a fragment header (RFC 6946).
    pub is_fragment: bool,
    /// It is a fragment that is not the first: the walk ended at the fragment header, and
    /// `protocol` is the first one of the fragmented part.
    pub is_later_fragment: bool,
}

/// Walks the extension headers behind the fixed one; `packet` begins with that.
///
/// # Errors
/// More than [`MAX_EXTENSIONS`], or one ends behind `packet`.
#[inline]
pub fn walk(first: u8, packet: &[u8]) -> Result<Upper, Malformed> {
    let mut upper = Upper {
        protocol: first,
        header_len: HEADER_LEN,
        is_fragment: false,
        is_later_fragment: false,
    };
    for _ in 0..=MAX_EXTENSIONS {
        let is_fragment = upper.protocol == next::FRAGMENT;
        if !is_fragment
            && !matches!(upper.protocol, next::HOP_BY_HOP | next::ROUTING | next::DESTINATION)
        {
            return Ok(upper);
        }
        let here = packet.get(upper.header_len..).ok_or(Malformed::Truncated)?;
        let [protocol, len, o0, o1, ..] = *here.first_chunk::<8>().ok_or(Malformed::Truncated)?;
        upper.protocol = protocol;
        if is_fragment {
            upper.header_len += 8;
            // Offset in units of eight bytes (13 bits), two reserved, more fragments.
            let word = u16::from_be_bytes([o0, o1]);
            upper.is_fragment |= word & 0xfff9 != 0;
            upper.is_later_fragment |= word & 0xfff8 != 0;
            if upper.is_later_fragment {
                return Ok(upper);
            }
        } else {
            upper.header_len += (usize::from(len) + 1) * 8;
        }
        if upper.header_len > packet.len() {
            return Err(Malformed::Truncated);
        }
    }
    Err(Malformed::ExtensionHeaders)
}

/// An IPv6 packet.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    fixed: &'a [u8; HEADER_LEN],
    packet: &'a [u8],
    upper: Upper,
}

impl<'a> View<'a> {
    /// Looks at a packet, behind which there may be padding.
    ///
    /// # Errors
    /// Its version is not 6, it is longer than `bytes`, or its extension headers cannot be walked.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if fixed[0] >> 4 != 6 {
            return Err(Malformed::IpVersion);
        }
        let len = HEADER_LEN + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let packet = bytes.get(..len).ok_or(Malformed::IpLength)?;
        let upper = walk(fixed[6], packet)?;
        Ok(Self { fixed, packet, upper })
    }

    /// Traffic class: differentiated services and ECN.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.fixed[0] << 4 | self.fixed[1] >> 4
    }

    /// Flow label, 20 bits.
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.fixed[1] & 0x0f, self.fixed[2], self.fixed[3]])
    }

    /// Bytes behind the fixed header.
    #[must_use]
    pub fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// What is directly behind the fixed header.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.fixed[6]
    }

    /// Hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> &'a [u8; 16] {
        self.fixed.split_at(8).1.first_chunk().unwrap_or(&[0; 16])
    }

    /// Destination address; with a routing header, that of the active segment.
    #[must_use]
    pub fn destination(&self) -> &'a [u8; 16] {
        self.fixed.last_chunk().unwrap_or(&[0; 16])
    }

    /// What is behind the extension headers.
    #[must_use]
    pub fn upper(&self) -> Upper {
        self.upper
    }

    /// The fixed header.
    #[must_use]
    pub fn header(&self) -> &'a [u8; HEADER_LEN] {
        self.fixed
    }

    /// What is behind the extension headers, without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.packet.get(self.upper.header_len..).unwrap_or_default()
    }

    /// The extension headers in order, each with its type.
    pub fn extensions(&self) -> Extensions<'a> {
        let headers = self.packet.get(HEADER_LEN..self.upper.header_len).unwrap_or_default();
        Extensions { next: self.fixed[6], headers }
    }

    /// The segment routing header, if there is one.
    #[must_use]
    pub fn segment_routing(&self) -> Option<srv6::View<'a>> {
        self.extensions()
            .filter(|(kind, _)| *kind == next::ROUTING)
            .find_map(|(_, header)| srv6::View::parse(header).ok())
    }
}

/// Iterator over the extension headers of a packet.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    next: u8,
    headers: &'a [u8],
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [next, len, ..] = *self.headers.first_chunk::<8>()?;
        let kind = std::mem::replace(&mut self.next, next);
        let len = if kind == next::FRAGMENT { 8 } else { (usize::from(len) + 1) * 8 };
        let (header, rest) = self.headers.split_at_checked(len)?;
        self.headers = rest;
        Some((kind, header))
    }
}

/// What a fixed header is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Traffic class: differentiated services and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// What is directly behind.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Header {
    /// Writes the fixed header of a packet with `payload_len` bytes behind it, extension headers
    /// included; returns its bytes.
    ///
    /// # Errors
    /// No room, a flow label of more than 20 bits, or a payload of more than 65 535 bytes.
    pub fn write(&self, payload_len: usize, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let label = fits(self.flow_label, 20, "flow label")?;
        let payload_len = u32::try_from(payload_len).unwrap_or(u32::MAX);
        let [_, _, l0, l1] = fits(payload_len, 16, "payload length")?.to_be_bytes();
        let header: &mut [u8; HEADER_LEN] = room(buffer)?;
        let (head, addresses) = header.split_at_mut(8);
        let [v0, v1, v2, v3] =
            (6 << 28 | u32::from(self.traffic_class) << 20 | label).to_be_bytes();
        head.copy_from_slice(&[v0, v1, v2, v3, l0, l1, self.next_header, self.hop_limit]);
        let (source, destination) = addresses.split_at_mut(16);
        source.copy_from_slice(&self.source);
        destination.copy_from_slice(&self.destination);
        Ok(HEADER_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with these extension headers, all of eight bytes, and no payload.
    fn packet(headers: &[[u8; 8]], first: u8) -> Vec<u8> {
        let header = Header {
            traffic_class: 0xb8,
            flow_label: 0xf_ffff,
            next_header: first,
            hop_limit: 1,
            source: [1; 16],
            destination: [2; 16],
        };
        let mut bytes = vec![0; HEADER_LEN];
        header.write(headers.len() * 8, &mut bytes).expect("room");
        bytes.extend(headers.iter().flatten());
        bytes
    }

    #[test]
    fn extension_headers_are_walked_to_a_bound() {
        let chain = |len: usize| {
            let mut headers = vec![[next::DESTINATION, 0, 1, 4, 0, 0, 0, 0]; len];
            headers[len - 1][0] = 17;
            packet(&headers, next::HOP_BY_HOP)
        };
        let bytes = chain(MAX_EXTENSIONS);
        let view = View::parse(&bytes).expect("not too many");
        assert_eq!((view.upper().protocol, view.upper().header_len), (17, 40 + 8 * MAX_EXTENSIONS));
        assert_eq!((view.traffic_class(), view.flow_label()), (0xb8, 0xf_ffff));
        let kinds: Vec<u8> = view.extensions().map(|(kind, _)| kind).collect();
        assert_eq!((kinds[0], kinds[7], kinds.len()), (0, 60, MAX_EXTENSIONS));
        let bytes = chain(MAX_EXTENSIONS + 1);
        assert_eq!(View::parse(&bytes).err(), Some(Malformed::ExtensionHeaders));
    }

    #[test]
    fn an_extension_header_ends_behind_the_packet() {
        let bytes = packet(&[[17, 1, 0, 0, 0, 0, 0, 0]], next::DESTINATION);
        assert_eq!(View::parse(&bytes).err(), Some(Malformed::Truncated));
        // Bytes behind the packet do not help.
        let mut padded = bytes.clone();
        padded.resize(200, 0);
        assert_eq!(View::parse(&padded).err(), Some(Malformed::Truncated));
    }

    #[test]
    fn fragments() {
        let upper = |word: u16| {
            let [w0, w1] = word.to_be_bytes();
            let bytes = packet(&[[17, 0xff, w0, w1, 0, 0, 0, 9]], next::FRAGMENT);
            let upper = View::parse(&bytes).expect("a packet").upper();
            assert_eq!((upper.protocol, upper.header_len), (17, 48));
            (upper.is_fragment, upper.is_later_fragment)
        };
        assert_eq!(upper(0), (false, false), "whole, with a fragment header");
        assert_eq!(upper(6), (false, false), "reserved bits");
        assert_eq!(upper(1), (true, false), "the first");
        assert_eq!(upper(8), (true, true), "the last");
        assert_eq!(upper(9), (true, true), "between");
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let header = Header {
            traffic_class: 0,
            flow_label: 1 << 20,
            next_header: 0,
            hop_limit: 0,
            source: [0; 16],
            destination: [0; 16],
        };
        let mut buffer = [0; HEADER_LEN];
        assert_eq!(header.write(0, &mut buffer), Err(BuildError::Field("flow label")));
        let header = Header { flow_label: 0, ..header };
        assert_eq!(header.write(65_536, &mut buffer), Err(BuildError::Field("payload length")));
        let room = header.write(0, &mut buffer[..39]);
        assert_eq!(room, Err(BuildError::Room { needed: 40, room: 39 }));
    }
}
