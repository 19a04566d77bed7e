//! From an Ethernet frame to the RoCEv2 datagram in it.
//!
//! The beginning of a frame is enough (captures cut them), so lengths are checked against the
//! frame's length on the wire, and bytes against what is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

/// UDP destination port of RoCEv2 (IANA).
const ROCEV2_PORT: u16 = 4791;
/// Protocol number of UDP.
const UDP: u8 = 17;
/// Tag protocol identifiers: C-VLAN, S-VLAN, and the S-VLAN of before the standard.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// VLAN tags that are looked through.
const MAX_TAGS: usize = 4;
const UDP_LEN: usize = 8;
const BTH_LEN: usize = 12;
/// Bytes of the ICRC, the last of the datagram.
pub(super) const ICRC_LEN: usize = 4;
/// Register of the ICRC after the eight bytes of ones that stand for the masked LRH, as the final
/// value of a CRC-32 over them.
const ICRC_START: u32 = 0x2144_df1c;

/// A UDP datagram to the port of RoCEv2.
pub(super) struct Datagram<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) vlan: Option<u16>,
    /// Length of UDP header and payload, as the UDP header says: at least those of a UDP header, a
    /// BTH and an ICRC, at most what the frame has room for.
    pub(super) len: usize,
    /// What was captured of the UDP payload.
    pub(super) payload: &'a [u8],
    ip_header: &'a [u8],
    udp_header: &'a [u8; UDP_LEN],
}

/// Why a frame is no RoCEv2 datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDatagram {
    /// It is something else. Fragments count as such: no RNIC makes them.
    Other,
    /// Its lengths contradict each other.
    Malformed,
}

/// An IP packet with UDP in it.
struct Ip<'a> {
    src: IpAddr,
    dst: IpAddr,
    header: &'a [u8],
    /// What was captured of the rest, perhaps with padding after it.
    rest: &'a [u8],
    /// Bytes of header and payload, as the header says.
    len: usize,
}

impl<'a> Datagram<'a> {
    /// Finds the datagram in what was captured of a frame of `frame_len` bytes.
    pub(super) fn find(frame: &'a [u8], frame_len: usize) -> Result<Self, NoDatagram> {
        let (ethertype, vlan, l3) = ethernet(frame).ok_or(NoDatagram::Other)?;
        let ip = match ethertype {
            0x0800 => ipv4(l3),
            0x86dd => ipv6(l3),
            _ => None,
        };
        let Ip { src, dst, header, rest, len: ip_len } = ip.ok_or(NoDatagram::Other)?;
        let (udp_header, payload) = rest.split_first_chunk::<UDP_LEN>().ok_or(NoDatagram::Other)?;
        let [_, _, d0, d1, l0, l1, _, _] = *udp_header;
        if u16::from_be_bytes([d0, d1]) != ROCEV2_PORT {
            return Err(NoDatagram::Other);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let l2_len = frame.len() - l3.len();
        let fits = header.len() + len <= ip_len && l2_len + ip_len <= frame_len.max(frame.len());
        if !fits || len < UDP_LEN + BTH_LEN + ICRC_LEN {
            return Err(NoDatagram::Malformed);
        }
        let payload = payload.get(..len - UDP_LEN).unwrap_or(payload);
        Ok(Datagram { src, dst, vlan, len, payload, ip_header: header, udp_header })
    }

    /// Bytes of the UDP payload on the wire.
    pub(super) fn payload_len(&self) -> usize {
        self.len - UDP_LEN
    }

    /// Whether the ICRC is right; `None` if the capture holds only a part of the datagram.
    ///
    /// InfiniBand Architecture volume 1, annex A17 (RoCEv2): CRC-32 over eight bytes of ones, IP
    /// and UDP headers and BTH with the fields that change on the way as ones, and the rest.
    pub(super) fn icrc_is_right(&self) -> Option<bool> {
        let covered_len = self.payload_len() - ICRC_LEN;
        let (covered, icrc) = self.payload.split_at_checked(covered_len)?;
        let icrc = icrc.first_chunk::<ICRC_LEN>()?;
        let (bth, rest) = covered.split_first_chunk::<BTH_LEN>()?;
        // The longest IPv4 header, UDP header and BTH.
        let mut headers = ArrayVec::<u8, { 60 + UDP_LEN + BTH_LEN }>::new();
        for part in [self.ip_header, self.udp_header.as_slice(), bth.as_slice()] {
            headers.try_extend_from_slice(part).ok()?;
        }
        let ip_masks: &[usize] = match self.src {
            // Type of service, time to live, header checksum.
            IpAddr::V4(_) => &[1, 8, 10, 11],
            // Traffic class and flow label, hop limit; the first byte keeps the version.
            IpAddr::V6(_) => &[1, 2, 3, 7],
        };
        let after_ip = self.ip_header.len();
        // UDP checksum; FECN, BECN and the reserved bits beside them.
        let masks = [after_ip + 6, after_ip + 7, after_ip + UDP_LEN + 4];
        for at in ip_masks.iter().chain(&masks) {
            *headers.get_mut(*at)? = 0xff;
        }
        if self.src.is_ipv6() {
            *headers.first_mut()? |= 0x0f;
        }
        let mut crc = crc32fast::Hasher::new_with_initial(ICRC_START);
        crc.update(&headers);
        crc.update(rest);
        Some(crc.finalize().to_le_bytes() == *icrc)
    }
}

/// The type of what the frame carries, its VLAN, and what was captured of that. The VLAN is the
/// outermost one; a tag with identifier 0 carries a priority only.
fn ethernet(frame: &[u8]) -> Option<(u16, Option<u16>, &[u8])> {
    let mut rest = frame.get(12..)?;
    let mut vlan = None;
    for _ in 0..=MAX_TAGS {
        let (ethertype, after) = rest.split_first_chunk::<2>()?;
        let ethertype = u16::from_be_bytes(*ethertype);
        if !VLAN_TAGS.contains(&ethertype) {
            return Some((ethertype, vlan, after));
        }
        let (tag, after) = after.split_first_chunk::<2>()?;
        vlan = vlan.or(Some(u16::from_be_bytes(*tag) & 0xfff).filter(|vid| *vid != 0));
        rest = after;
    }
    None
}

/// IPv4 (RFC 791) with UDP, not fragmented.
fn ipv4(packet: &[u8]) -> Option<Ip<'_>> {
    let fixed: &[u8; 20] = packet.first_chunk()?;
    let [version_ihl, _, l0, l1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = *fixed;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    // More fragments, or not the first.
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
    if version_ihl >> 4 != 4 || header_len < fixed.len() || protocol != UDP || fragment {
        return None;
    }
    let (header, rest) = packet.split_at_checked(header_len)?;
    Some(Ip {
        src: Ipv4Addr::new(s0, s1, s2, s3).into(),
        dst: Ipv4Addr::new(d0, d1, d2, d3).into(),
        header,
        rest,
        len: usize::from(u16::from_be_bytes([l0, l1])),
    })
}

/// IPv6 (RFC 8200) with UDP and no extension headers.
fn ipv6(packet: &[u8]) -> Option<Ip<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let [version, _, _, _, l0, l1, next_header, _, addresses @ ..] = *header;
    if version >> 4 != 6 || next_header != UDP {
        return None;
    }
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    Some(Ip {
        src: Ipv6Addr::from(*src).into(),
        dst: Ipv6Addr::from(*dst.first_chunk::<16>()?).into(),
        header,
        rest,
        len: header.len() + usize::from(u16::from_be_bytes([l0, l1])),
    })
}
