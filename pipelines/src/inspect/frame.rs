//! From an Ethernet frame to the RoCEv2 datagram in it.
//!
//! The beginning of a frame is enough (captures cut them), so lengths are checked against the
//! frame's length on the wire, and bytes against what is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::bth::Bth;
use crate::wire::icrc::{self, Icrc};
use crate::wire::{ethernet, udp};

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
    udp_header: &'a [u8; udp::HEADER_LEN],
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
        let (ethertype, vlan, l3) = link_layer(frame).ok_or(NoDatagram::Other)?;
        let ip = match ethertype {
            ethernet::IPV4 => ipv4(l3),
            ethernet::IPV6 => ipv6(l3),
            _ => None,
        };
        let Ip { src, dst, header, rest, len: ip_len } = ip.ok_or(NoDatagram::Other)?;
        let (udp_header, payload) =
            rest.split_first_chunk::<{ udp::HEADER_LEN }>().ok_or(NoDatagram::Other)?;
        let [_, _, d0, d1, l0, l1, _, _] = *udp_header;
        if u16::from_be_bytes([d0, d1]) != udp::ROCEV2_PORT {
            return Err(NoDatagram::Other);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let l2_len = frame.len() - l3.len();
        let fits = header.len() + len <= ip_len && l2_len + ip_len <= frame_len.max(frame.len());
        if !fits || len < udp::HEADER_LEN + Bth::LEN + icrc::LEN {
            return Err(NoDatagram::Malformed);
        }
        let payload = payload.get(..len - udp::HEADER_LEN).unwrap_or(payload);
        Ok(Datagram { src, dst, vlan, len, payload, ip_header: header, udp_header })
    }

    /// Bytes of the UDP payload on the wire.
    pub(super) fn payload_len(&self) -> usize {
        self.len - udp::HEADER_LEN
    }

    /// Whether the ICRC is right; `None` if the capture holds only a part of the datagram.
    pub(super) fn icrc_is_right(&self) -> Option<bool> {
        if self.payload.len() < self.payload_len() {
            return None;
        }
        let (bth, rest) = self.payload.split_first_chunk()?;
        let mut icrc = Icrc::begin(self.ip_header, self.udp_header, bth)?;
        icrc.update(rest);
        Some(icrc.is_right())
    }
}

/// The type of what the frame carries, its VLAN, and what was captured of that. The VLAN is the
/// outermost one; a tag with identifier 0 carries a priority only.
fn link_layer(frame: &[u8]) -> Option<(u16, Option<u16>, &[u8])> {
    let mut rest = frame.get(12..)?;
    let mut vlan = None;
    for _ in 0..=ethernet::MAX_TAGS {
        let (ethertype, after) = rest.split_first_chunk::<2>()?;
        let ethertype = u16::from_be_bytes(*ethertype);
        if !ethernet::is_tag(ethertype) {
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
    if version_ihl >> 4 != 4 || header_len < fixed.len() || protocol != udp::PROTOCOL || fragment {
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
    if version >> 4 != 6 || next_header != udp::PROTOCOL {
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
