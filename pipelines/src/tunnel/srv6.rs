//! SRv6 around what goes between gateways: a segment list for the network to follow.
//!
//! ```text
//! Ethernet 14 | IPv6 40 | SRH 8 + 16 a segment, or none | the packet as it is without SRv6
//! ```
//! A [`Shell`] is put around a finished packet: `H.Encaps` and `H.Encaps.Red` (RFC 8986, sections
//! 5.1 and 5.2). [`open`] takes it off at our SID, as `End.DT46` does (section 4.8): what is left is
//! byte for byte what a path without SRv6 would have brought.

use std::net::Ipv6Addr;
use std::rc::Rc;

use dataplane::drops::DropReason;
use dataplane::memory::Packet;

use super::ecn;
use crate::gateway::Mac;
use crate::wire::{ipv6, srv6};

/// Most segments of a path.
pub const MAX_SEGMENTS: usize = 16;
/// Most bytes a shell adds to a packet.
pub const MAX_SHELL: usize = IPV6_LEN + srv6::FIXED_LEN + MAX_SEGMENTS * srv6::SEGMENT_LEN;

const ETHERNET_LEN: usize = 14;
const IPV6_LEN: usize = 40;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// Next header values (IANA): IPv4, IPv6, routing header.
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const ROUTING: u8 = 43;
const HOP_LIMIT: u8 = 64;
/// The HMAC TLV (RFC 8754, section 2.1.2), and the padding of one byte, which has no length.
const TLV_HMAC: u8 = 5;
const TLV_PAD1: u8 = 0;
/// TLVs that are looked at: a receiver may set a bound (RFC 8754, section 2.1).
const MAX_TLVS: usize = 16;

/// What is around packets on a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encapsulation {
    /// IP and UDP.
    #[default]
    Udp,
    /// SRv6 around that.
    Srv6(Segments),
}

/// The way that packets of a path take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// The segments in the order in which they are visited, 1 to [`MAX_SEGMENTS`]; the last is the
    /// peer's SID.
    pub list: Vec<Ipv6Addr>,
    /// Whether the first segment is in the destination address only (`H.Encaps.Red`).
    pub reduced: bool,
}

impl Encapsulation {
    /// Bytes that SRv6 adds to a packet.
    #[must_use]
    pub fn shell_len(&self) -> usize {
        match self {
            Self::Udp => 0,
            Self::Srv6(segments) => IPV6_LEN + segments.srh_len(),
        }
    }
}

impl Segments {
    /// How many of them the header lists.
    fn listed(&self) -> usize {
        self.list.len() - usize::from(self.reduced && !self.list.is_empty())
    }

    /// Bytes of the segment routing header; none without a list.
    fn srh_len(&self) -> usize {
        match self.listed() {
            0 => 0,
            count => srv6::FIXED_LEN + count * srv6::SEGMENT_LEN,
        }
    }
}

/// The SRv6 headers of one channel.
#[derive(Debug, Clone)]
pub struct Shell {
    /// Ethernet, IPv6 and SRH, without length, traffic class and innermost next header.
    bytes: Rc<[u8]>,
}

impl Shell {
    /// The headers from the Ethernet address `mac` and the address `source` along `segments`, with
    /// that flow `label`. `None` for a list that is empty, or longer than [`MAX_SEGMENTS`].
    #[must_use]
    pub fn new(mac: Mac, source: Ipv6Addr, segments: &Segments, label: u32) -> Option<Self> {
        if segments.list.len() > MAX_SEGMENTS {
            return None;
        }
        let first = segments.list.first()?;
        let srh_len = segments.srh_len();
        let mut bytes = vec![0; ETHERNET_LEN + IPV6_LEN + srh_len];
        let (ethernet, ip) = bytes.split_first_chunk_mut::<ETHERNET_LEN>()?;
        ethernet[6..12].copy_from_slice(&mac);
        ethernet[12..].copy_from_slice(&ETHERTYPE_IPV6);
        let header = ipv6::Header {
            traffic_class: 0,
            flow_label: label,
            next_header: if srh_len == 0 { 0 } else { ROUTING },
            hop_limit: HOP_LIMIT,
            source: source.octets(),
            destination: first.octets(),
        };
        header.write(srh_len, ip).ok()?;
        if srh_len > 0 {
            // On the wire the last segment comes first; what the reduced list lacks is the first.
            let list: Vec<[u8; 16]> = segments.list.iter().rev().map(Ipv6Addr::octets).collect();
            let header = srv6::Header {
                next_header: 0,
                segments_left: segments.list.len() as u8 - 1,
                flags: 0,
                tag: 0,
                segments: list.get(..segments.listed())?,
            };
            header.write(ip.get_mut(IPV6_LEN..)?).ok()?;
        }
        Some(Self { bytes: bytes.into() })
    }

    /// Bytes it adds to a packet.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "headers are never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len() - ETHERNET_LEN
    }

    /// Puts it around a frame that begins with an Ethernet header and an IP header: whose Ethernet
    /// addresses, DSCP and ECN (RFC 6040, normal mode) are its own. `false`, and nothing changes, if
    /// there is no headroom or no such header, or if it gets too long.
    #[must_use]
    pub fn put_on(&self, packet: &mut Packet) -> bool {
        let Some((ethernet, ip)) = packet.head().split_first_chunk::<ETHERNET_LEN>() else {
            return false;
        };
        let next_header = match ethernet[12..] {
            [0x08, 0x00] => IPV4,
            [0x86, 0xdd] => IPV6,
            _ => return false,
        };
        let Some(tos) = ecn::tos(ip) else { return false };
        let payload = packet.len() - ETHERNET_LEN + self.len() - IPV6_LEN;
        let (Ok(payload), destination) = (u16::try_from(payload), first_six(ethernet)) else {
            return false;
        };
        if packet.prepend(self.len()).is_none() {
            return false;
        }
        let Some(front) = packet.head_mut().get_mut(..self.bytes.len()) else { return false };
        front.copy_from_slice(&self.bytes);
        front[..6].copy_from_slice(&destination);
        let Some((_, ip)) = front.split_first_chunk_mut::<ETHERNET_LEN>() else { return false };
        let Some((ip, srh)) = ip.split_first_chunk_mut::<IPV6_LEN>() else { return false };
        ip[0] |= tos >> 4;
        ip[1] |= tos << 4;
        ip[4..6].copy_from_slice(&payload.to_be_bytes());
        *srh.first_mut().unwrap_or(&mut ip[6]) = next_header;
        true
    }
}

fn first_six(ethernet: &[u8; ETHERNET_LEN]) -> Mac {
    ethernet.first_chunk().copied().unwrap_or_default()
}

/// What is inside a packet that was sent to our SID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inside {
    /// Offset of the inner IP header in the frame.
    pub at: usize,
    /// The EtherType that the inner packet would have.
    pub ethertype: [u8; 2],
    /// Bytes of the frame that belong to the outer packet; Ethernet padding lies behind.
    pub end: usize,
    /// The ECN field of the outer header.
    pub ecn: u8,
}

/// Looks into a frame that begins with `head`, if it was sent to `sid`: `None` if not.
///
/// # Errors
/// Why it is not to be opened.
#[must_use]
pub fn look(head: &[u8], sid: Ipv6Addr) -> Option<Result<Inside, DropReason>> {
    let (ethernet, ip) = head.split_first_chunk::<ETHERNET_LEN>()?;
    let (ip, rest) = ip.split_first_chunk::<IPV6_LEN>()?;
    if ethernet[12..] != ETHERTYPE_IPV6 || ip[24..] != sid.octets() || ip[0] >> 4 != 6 {
        return None;
    }
    Some(inside(ip, rest))
}

/// Behind the IPv6 header `ip` is `rest`.
fn inside(ip: &[u8; IPV6_LEN], rest: &[u8]) -> Result<Inside, DropReason> {
    let (next_header, srh_len) = match ip[6] {
        ROUTING => routing(rest)?,
        other => (other, 0),
    };
    let ethertype = match next_header {
        IPV4 => ETHERTYPE_IPV4,
        IPV6 => ETHERTYPE_IPV6,
        _ => return Err(DropReason::WanSrv6),
    };
    let payload = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    if payload < srh_len {
        return Err(DropReason::WanMalformed);
    }
    let front = ETHERNET_LEN + IPV6_LEN;
    let ecn = ip[1] >> 4 & ecn::MASK;
    Ok(Inside { at: front + srh_len, ethertype, end: front + payload, ecn })
}

/// What is behind a routing header, and the bytes of that.
fn routing(bytes: &[u8]) -> Result<(u8, usize), DropReason> {
    if bytes.get(2).is_some_and(|&kind| kind != srv6::ROUTING_TYPE) {
        return Err(DropReason::WanSrv6);
    }
    let srh = srv6::View::parse(bytes).map_err(|_| DropReason::WanMalformed)?;
    // End.DT46 is the last of a list (RFC 8986, section 4.8, S02).
    if srh.segments_left() > 0 {
        return Err(DropReason::WanSegmentsLeft);
    }
    check_tlvs(srh.tlvs())?;
    let len = srv6::FIXED_LEN + srh.segments().len() * srv6::SEGMENT_LEN + srh.tlvs().len();
    Ok((srh.next_header(), len))
}

/// What is behind the list: padding and what nobody needs to know is skipped; an HMAC asks for a
/// check that is not made here.
fn check_tlvs(mut tlvs: &[u8]) -> Result<(), DropReason> {
    for _ in 0..MAX_TLVS {
        let (kind, rest) = match tlvs {
            [] => return Ok(()),
            [TLV_PAD1, rest @ ..] => (TLV_PAD1, Some(rest)),
            [kind, len, rest @ ..] => (*kind, rest.get(usize::from(*len)..)),
            [_] => return Err(DropReason::WanMalformed),
        };
        if kind == TLV_HMAC {
            return Err(DropReason::WanHmac);
        }
        tlvs = rest.ok_or(DropReason::WanMalformed)?;
    }
    if tlvs.is_empty() { Ok(()) } else { Err(DropReason::WanMalformed) }
}

/// Takes off what is around a packet that was sent to `sid`: the Ethernet addresses stay, and marks
/// of congestion go over to what is left. `None`, and nothing changes, if it was not.
///
/// # Errors
/// Why it is dropped.
#[cold]
#[must_use]
pub fn open(packet: &mut Packet, sid: Ipv6Addr) -> Option<Result<(), DropReason>> {
    let inside = match look(packet.head(), sid)? {
        Ok(inside) => inside,
        Err(reason) => return Some(Err(reason)),
    };
    Some(take_off(packet, inside))
}

fn take_off(packet: &mut Packet, inside: Inside) -> Result<(), DropReason> {
    let Inside { at, ethertype, end, ecn } = inside;
    let malformed = DropReason::WanMalformed;
    let addresses: [u8; 12] = packet.head().first_chunk().copied().ok_or(malformed)?;
    if end > packet.len() || at >= packet.head().len() {
        return Err(malformed);
    }
    packet.truncate(end);
    if !packet.trim_front(at - ETHERNET_LEN) {
        return Err(malformed);
    }
    let Some((ethernet, ip)) = packet.head_mut().split_first_chunk_mut::<ETHERNET_LEN>() else {
        return Err(malformed);
    };
    ethernet[..12].copy_from_slice(&addresses);
    ethernet[12..].copy_from_slice(&ethertype);
    if ecn::unwrap(ip, ecn) { Ok(()) } else { Err(DropReason::WanCe) }
}

#[cfg(test)]
mod tests;
