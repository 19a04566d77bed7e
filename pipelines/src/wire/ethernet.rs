//! Ethernet II frames (IEEE 802.3) and their VLAN tags (IEEE 802.1Q, 802.1ad).

use super::{BuildError, Malformed, room, room_for};

/// Bytes of addresses and type, without tags.
pub const HEADER_LEN: usize = 14;
/// Bytes of a VLAN tag.
pub const TAG_LEN: usize = 4;
/// Tags that are looked through; the type of a frame with more is that of the next tag.
pub const MAX_TAGS: usize = 4;
/// The least that a frame has on a link, without frame check sequence: shorter ones are padded.
pub const MIN_FRAME_LEN: usize = 60;

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of MAC control: PAUSE, PFC.
pub const MAC_CONTROL: u16 = 0x8808;

/// Whether an EtherType is that of a VLAN tag: C-VLAN (0x8100), S-VLAN (0x88a8), or what switches
/// used for S-VLANs before 802.1ad (0x9100).
#[inline]
#[must_use]
pub const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// A MAC address.
pub type Mac = [u8; 6];

/// One VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Tag protocol identifier, one of those of [`is_tag`].
    pub tpid: u16,
    /// Tag control information: priority (3 bits), drop eligible (1), VLAN identifier (12).
    pub tci: u16,
}

impl Tag {
    /// A tag with priority `pcp` (0 to 7) of VLAN `vid` (0 to 4095); not drop eligible. Higher bits
    /// of either are dropped.
    #[must_use]
    pub const fn new(tpid: u16, pcp: u8, vid: u16) -> Self {
        Self { tpid, tci: ((pcp & 7) as u16) << 13 | vid & 0xfff }
    }

    /// Priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    #[must_use]
    pub const fn dei(self) -> bool {
        self.tci & 0x1000 != 0
    }

    /// VLAN identifier, 0 to 4095; 0 in a tag that carries a priority only.
    #[inline]
    #[must_use]
    pub const fn vid(self) -> u16 {
        self.tci & 0xfff
    }
}

/// A frame, without frame check sequence.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    addresses: &'a [u8; 12],
    tags: &'a [[u8; TAG_LEN]],
    ethertype: u16,
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Looks at a frame, through at most [`MAX_TAGS`] tags.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if it ends before its type.
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (addresses, rest) = frame.split_first_chunk().ok_or(Malformed::Truncated)?;
        let mut len = 0;
        let mut count = 0;
        loop {
            let after = rest.get(len..).ok_or(Malformed::Truncated)?;
            let (ethertype, payload) = after.split_first_chunk().ok_or(Malformed::Truncated)?;
            let ethertype = u16::from_be_bytes(*ethertype);
            if !is_tag(ethertype) || count == MAX_TAGS {
                let (tags, _) = rest.get(..len).ok_or(Malformed::Truncated)?.as_chunks();
                return Ok(Self { addresses, tags, ethertype, payload });
            }
            len += TAG_LEN;
            count += 1;
        }
    }

    /// Where the frame goes.
    #[must_use]
    pub fn destination(&self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.addresses;
        [a, b, c, d, e, f]
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> Mac {
        let [.., a, b, c, d, e, f] = *self.addresses;
        [a, b, c, d, e, f]
    }

    /// The tags, outermost first.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = Tag> + 'a {
        self.tags.iter().map(|[p0, p1, t0, t1]| Tag {
            tpid: u16::from_be_bytes([*p0, *p1]),
            tci: u16::from_be_bytes([*t0, *t1]),
        })
    }

    /// The type of the payload: behind the tags. Below 0x0600 it is a length (IEEE 802.3).
    #[inline]
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// What is behind the type, with the padding.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Bytes of addresses, tags and type.
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.tags.len() * TAG_LEN
    }
}

/// What a frame's header is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Where the frame goes.
    pub destination: Mac,
    /// Where it comes from.
    pub source: Mac,
    /// Tags, outermost first; at most [`MAX_TAGS`].
    pub tags: &'a [Tag],
    /// Type of the payload.
    pub ethertype: u16,
}

impl Header<'_> {
    /// Bytes that [`Self::write`] takes.
    #[must_use]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.tags.len() * TAG_LEN
    }

    /// Never: a header has at least [`HEADER_LEN`] bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header; returns its bytes.
    ///
    /// # Errors
    /// No room, or more tags than [`MAX_TAGS`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        if self.tags.len() > MAX_TAGS {
            return Err(BuildError::Field("number of tags"));
        }
        let buffer = room_for(buffer, self.len())?;
        let addresses: &mut [u8; 12] = room(buffer)?;
        let (destination, source) = addresses.split_at_mut(6);
        destination.copy_from_slice(&self.destination);
        source.copy_from_slice(&self.source);
        let (tags, ethertype) = buffer.split_at_mut(self.len() - 2);
        ethertype.copy_from_slice(&self.ethertype.to_be_bytes());
        let tags = tags.get_mut(12..).unwrap_or_default().as_chunks_mut::<TAG_LEN>().0;
        for (bytes, tag) in tags.iter_mut().zip(self.tags) {
            let ([p0, p1], [t0, t1]) = (tag.tpid.to_be_bytes(), tag.tci.to_be_bytes());
            *bytes = [p0, p1, t0, t1];
        }
        Ok(self.len())
    }
}
