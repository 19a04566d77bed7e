//! The segment routing header of IPv6 (RFC 8754).

use super::{BuildError, Malformed, fits, room_for};

/// Routing type of segment routing (IANA).
pub const ROUTING_TYPE: u8 = 4;
/// Bytes before the segment list.
pub const FIXED_LEN: usize = 8;
/// Bytes of a segment identifier.
pub const SEGMENT_LEN: usize = 16;

/// A segment routing header.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    fixed: &'a [u8; FIXED_LEN],
    segments: &'a [[u8; SEGMENT_LEN]],
    tlvs: &'a [u8],
}

impl<'a> View<'a> {
    /// Looks at a routing header.
    ///
    /// # Errors
    /// Another routing type; or its segment list does not fit its length, which is that of `bytes`
    /// at most; or more segments are left than there can be (those listed, and one more that only
    /// a reduced header's destination address holds: RFC 8754, section 4.1.1).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; FIXED_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let [_, len, kind, left, last, ..] = *fixed;
        if kind != ROUTING_TYPE {
            return Err(Malformed::Kind);
        }
        let header = bytes.get(..(usize::from(len) + 1) * 8).ok_or(Malformed::Truncated)?;
        let count = usize::from(last) + 1;
        let (_, list) = header.split_at_checked(FIXED_LEN).ok_or(Malformed::Truncated)?;
        if usize::from(left) > count {
            return Err(Malformed::ExtensionHeaders);
        }
        let (list, tlvs) =
            list.split_at_checked(count * SEGMENT_LEN).ok_or(Malformed::ExtensionHeaders)?;
        Ok(Self { fixed, segments: list.as_chunks().0, tlvs })
    }

    /// What is behind the header.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.fixed[0]
    }

    /// Segments still to be visited; also the index of the active one.
    #[must_use]
    pub fn segments_left(&self) -> u8 {
        self.fixed[3]
    }

    /// Index of the list's last element.
    #[must_use]
    pub fn last_entry(&self) -> u8 {
        self.fixed[4]
    }

    /// Flags; 0x20 is the O-flag (RFC 9259).
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.fixed[5]
    }

    /// Tag.
    #[must_use]
    pub fn tag(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// The segment list as it is on the wire: the last segment of the path comes first.
    #[must_use]
    pub fn segments(&self) -> &'a [[u8; SEGMENT_LEN]] {
        self.segments
    }

    /// What is behind the list, unread.
    #[must_use]
    pub fn tlvs(&self) -> &'a [u8] {
        self.tlvs
    }
}

/// What a header without TLVs is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// What is behind the header.
    pub next_header: u8,
    /// Segments still to be visited.
    pub segments_left: u8,
    /// Flags.
    pub flags: u8,
    /// Tag.
    pub tag: u16,
    /// The segment list, last segment of the path first: 1 to 127.
    pub segments: &'a [[u8; SEGMENT_LEN]],
}

impl Header<'_> {
    /// Writes the header; returns its bytes.
    ///
    /// # Errors
    /// No room, or a list without segments or with too many.
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let count = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        let [.., count] = fits(count, 7, "number of segments")?.to_be_bytes();
        let last = count.checked_sub(1).ok_or(BuildError::Field("number of segments"))?;
        let len = FIXED_LEN + self.segments.len() * SEGMENT_LEN;
        let (fixed, list) = room_for(buffer, len)?.split_at_mut(FIXED_LEN);
        let [t0, t1] = self.tag.to_be_bytes();
        fixed.copy_from_slice(&[
            self.next_header,
            count * 2,
            ROUTING_TYPE,
            self.segments_left,
            last,
            self.flags,
            t0,
            t1,
        ]);
        list.as_chunks_mut().0.copy_from_slice(self.segments);
        Ok(len)
    }
}

/// Moves an IPv6 packet on to its next segment, as the endpoint of the present one does (`End`:
/// RFC 8986, section 4.1). `false`, and nothing changes, if it has no routing header directly behind
/// the fixed one, or no segment is left.
#[must_use]
pub fn visit(packet: &mut [u8]) -> bool {
    const FIXED: usize = super::ipv6::HEADER_LEN;
    let Some((fixed, rest)) = packet.split_at_mut_checked(FIXED) else { return false };
    if fixed.get(6) != Some(&super::ipv6::next::ROUTING) {
        return false;
    }
    let next = View::parse(rest).ok().and_then(|view| {
        let left = view.segments_left().checked_sub(1)?;
        Some((left, *view.segments().get(usize::from(left))?))
    });
    let Some(((left, segment), place)) = next.zip(rest.get_mut(3)) else { return false };
    *place = left;
    fixed.iter_mut().skip(FIXED - SEGMENT_LEN).zip(segment).for_each(|(to, from)| *to = from);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_contradict_their_header() {
        let header = Header {
            next_header: 4,
            segments_left: 1,
            flags: 0x20,
            tag: 0x1234,
            segments: &[[1; 16], [2; 16]],
        };
        let mut bytes = [0; 48];
        assert_eq!(header.write(&mut bytes), Ok(40));
        let changed = |at: usize, value: u8| {
            let mut bytes = bytes;
            bytes[at] = value;
            View::parse(&bytes).map(|view| (view.segments().len(), view.tlvs().len()))
        };
        assert_eq!(changed(5, 0x20), Ok((2, 0)));
        assert_eq!(changed(1, 5), Ok((2, 8)), "a TLV");
        assert_eq!(changed(1, 3), Err(Malformed::ExtensionHeaders), "a list too long");
        assert_eq!(changed(1, 6), Err(Malformed::Truncated));
        assert_eq!(changed(2, 3), Err(Malformed::Kind));
        assert_eq!(changed(3, 2), Ok((2, 0)), "reduced");
        assert_eq!(changed(3, 3), Err(Malformed::ExtensionHeaders), "more than there can be");
        assert_eq!(changed(4, 0), Ok((1, 16)));
        let view = View::parse(&bytes).expect("a header");
        assert_eq!((view.next_header(), view.segments_left(), view.last_entry()), (4, 1, 1));
        assert_eq!((view.flags(), view.tag()), (0x20, 0x1234));
    }

    #[test]
    fn a_packet_visits_its_segments_in_turn() {
        let (first, second, last) = ([1; 16], [2; 16], [3; 16]);
        for list in [&[last, second, first][..], &[last, second]] {
            let mut packet = vec![0; 40 + FIXED_LEN + list.len() * SEGMENT_LEN];
            let (fixed, rest) = packet.split_at_mut(40);
            fixed[6] = 43;
            fixed[24..].copy_from_slice(&first);
            let header =
                Header { next_header: 4, segments_left: 2, flags: 0, tag: 0, segments: list };
            assert!(header.write(rest).is_ok());
            for (left, segment) in [(1, second), (0, last)] {
                assert!(visit(&mut packet));
                assert_eq!((packet[43], &packet[24..40]), (left, &segment[..]));
            }
            let arrived = packet.clone();
            assert!(!visit(&mut packet), "it is at its end");
            packet[6] = 17;
            assert!(!visit(&mut packet) && !visit(&mut packet[..39]));
            assert_eq!(packet[7..], arrived[7..]);
        }
    }

    #[test]
    fn lists_that_cannot_be() {
        let none = Header { next_header: 4, segments_left: 0, flags: 0, tag: 0, segments: &[] };
        let mut buffer = [0; 4096];
        let error = Err(BuildError::Field("number of segments"));
        assert_eq!(none.write(&mut buffer), error);
        assert_eq!(Header { segments: &[[0; 16]; 128], ..none }.write(&mut buffer), error);
        let most = Header { segments: &[[0; 16]; 127], ..none };
        assert_eq!(most.write(&mut buffer), Ok(8 + 127 * 16));
        assert_eq!(View::parse(&buffer).map(|view| view.segments().len()), Ok(127));
    }
}
