//! The headers around a tunnel packet: Ethernet, IPv4 or IPv6, UDP; and SRv6 around these, on paths
//! that have it.
//!
//! A channel is one 5-tuple, so its outer headers are a template; a packet costs a copy of it and
//! a few fields. The UDP source port names the channel, the destination port the far worker; so
//! does the flow label of IPv6.

use std::net::{IpAddr, Ipv6Addr};

use arrayvec::ArrayVec;
use dataplane::drops::DropReason;
use dataplane::memory::Packet;

use super::ecn;
use super::header::HEADER_LEN;
use super::label::flow_label;
use super::srv6::{self, Shell};
use crate::checksum::{Sum, finish};
use crate::gateway::Mac;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
const UDP: u8 = 17;
/// RFC 7605 leaves the dynamic ports to choose from; a channel's number is added to this one.
const FIRST_SOURCE_PORT: u16 = 49_152;
const TTL: u8 = 64;

/// Bytes the outer headers and the tunnel header add to a packet, Ethernet header included and SRv6
/// not: with that, what a buffer needs as headroom.
pub const MAX_OVERHEAD: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN + HEADER_LEN;

/// Bytes the tunnel adds to what it carries, counted as an IP packet is against an MTU.
#[must_use]
pub const fn ip_overhead(address: IpAddr) -> usize {
    let ip = if address.is_ipv4() { IPV4_LEN } else { IPV6_LEN };
    ip + UDP_LEN + HEADER_LEN
}

/// The outer headers of one channel.
#[derive(Debug, Clone)]
pub struct Outer {
    template: Template,
    checksum: bool,
    /// Of the IPv4 header, without length and type of service.
    ip_sum: Sum,
    /// Of pseudo header and ports, without the lengths.
    udp_sum: Sum,
    /// What is around all that.
    shell: Option<Shell>,
}

const OVER_IPV4: usize = ETHERNET_LEN + IPV4_LEN + UDP_LEN;
const OVER_IPV6: usize = ETHERNET_LEN + IPV6_LEN + UDP_LEN;

/// The headers as they are before lengths, type of service and checksums. Of a size known
/// beforehand: copied in a few instructions.
#[derive(Debug, Clone)]
enum Template {
    Ipv4([u8; OVER_IPV4]),
    Ipv6([u8; OVER_IPV6]),
}

/// One end of a tunnel.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Ethernet address: of our port, or of the next hop.
    pub mac: Mac,
    /// Outer address.
    pub address: IpAddr,
}

impl Outer {
    /// The headers of `channel` from one end to the other. Both are of the same family; `port` is
    /// the UDP port of the far side. `checksum`: whether UDP checksums are computed; over IPv6
    /// they always are (RFC 8200, section 8.1).
    #[must_use]
    pub fn new(from: End, to: End, port: u16, channel: u8, checksum: bool) -> Self {
        let source = FIRST_SOURCE_PORT.wrapping_add(u16::from(channel));
        let mut bytes = ArrayVec::<u8, OVER_IPV6>::new();
        let mut put = |part: &[u8]| bytes.extend(part.iter().copied());
        put(&to.mac);
        put(&from.mac);
        // IPv4: not fragmented, never to be, so the identification means nothing (RFC 6864).
        match from.address {
            IpAddr::V4(_) => put(&[8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, UDP, 0, 0]),
            IpAddr::V6(_) => {
                let [_, l0, l1, l2] = flow_label(from.address, to.address, channel).to_be_bytes();
                put(&[0x86, 0xdd, 0x60, l0, l1, l2, 0, 0, UDP, TTL]);
            }
        }
        let mut udp_sum = Sum::of(&[0, UDP]).and_word(source).and_word(port);
        for address in [from.address, to.address] {
            let octets = match &address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            put(&octets);
            udp_sum = udp_sum.and(&octets);
        }
        put(&source.to_be_bytes());
        put(&port.to_be_bytes());
        put(&[0, 0, 0, 0]);
        let ip_sum = Sum::of(bytes.get(ETHERNET_LEN..ETHERNET_LEN + IPV4_LEN).unwrap_or(&[]));
        let template = match (bytes.first_chunk(), bytes.first_chunk()) {
            (_, Some(ipv6)) if !from.address.is_ipv4() => Template::Ipv6(*ipv6),
            (Some(ipv4), _) => Template::Ipv4(*ipv4),
            _ => unreachable!("both families fill at least the IPv4 template"),
        };
        let checksum = checksum || !from.address.is_ipv4();
        Self { template, checksum, ip_sum, udp_sum, shell: None }
    }

    /// These headers within SRv6, if there is any.
    #[must_use]
    pub fn within(self, shell: Option<Shell>) -> Self {
        Self { shell, ..self }
    }

    /// The SRv6 around them, if there is.
    #[must_use]
    pub fn shell(&self) -> Option<&Shell> {
        self.shell.as_ref()
    }

    fn template(&self) -> &[u8] {
        match &self.template {
            Template::Ipv4(template) => template,
            Template::Ipv6(template) => template,
        }
    }

    /// The Ethernet address that packets are sent to.
    #[must_use]
    pub fn next_hop(&self) -> Mac {
        self.template().first_chunk().copied().unwrap_or_default()
    }

    /// Bytes of these headers: the tunnel header is behind them.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "headers are never empty")]
    pub fn len(&self) -> usize {
        self.template().len() + self.shell.as_ref().map_or(0, Shell::len)
    }

    /// Sends packets to another Ethernet address from now on. No checksum covers it.
    pub fn set_next_hop(&mut self, mac: Mac) {
        let template: &mut [u8] = match &mut self.template {
            Template::Ipv4(template) => template,
            Template::Ipv6(template) => template,
        };
        template.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
    }

    /// Puts the headers before `packet`, the tunnel header `tunnel` closest to it. `tos`: the type
    /// of service or traffic class. `false`, and nothing changes, if there is no headroom or the
    /// packet does not fit in an IP packet.
    #[inline]
    #[must_use]
    pub fn encapsulate(&self, packet: &mut Packet, tunnel: &[u8; HEADER_LEN], tos: u8) -> bool {
        let Ok(udp_len) = u16::try_from(UDP_LEN + HEADER_LEN + packet.len()) else { return false };
        let checksum = if self.checksum { self.udp_checksum(packet, tunnel, udp_len) } else { 0 };
        match &self.template {
            Template::Ipv4(template) => {
                let Some(ip_len) = udp_len.checked_add(IPV4_LEN as u16) else { return false };
                let Some(front) = packet.prepend(OVER_IPV4 + HEADER_LEN) else { return false };
                let Some((outer, inner)) = front.split_first_chunk_mut::<OVER_IPV4>() else {
                    return false;
                };
                *outer = *template;
                inner.copy_from_slice(tunnel);
                outer[15] = tos;
                outer[16..18].copy_from_slice(&ip_len.to_be_bytes());
                let sum = self.ip_sum.and_word(u16::from(tos)).and_word(ip_len);
                outer[24..26].copy_from_slice(&finish(sum).to_be_bytes());
                outer[38..40].copy_from_slice(&udp_len.to_be_bytes());
                outer[40..42].copy_from_slice(&checksum.to_be_bytes());
            }
            Template::Ipv6(template) => {
                let Some(front) = packet.prepend(OVER_IPV6 + HEADER_LEN) else { return false };
                let Some((outer, inner)) = front.split_first_chunk_mut::<OVER_IPV6>() else {
                    return false;
                };
                *outer = *template;
                inner.copy_from_slice(tunnel);
                let class = u16::from_be_bytes([outer[14], outer[15]]) | u16::from(tos) << 4;
                outer[14..16].copy_from_slice(&class.to_be_bytes());
                outer[18..20].copy_from_slice(&udp_len.to_be_bytes());
                outer[58..60].copy_from_slice(&udp_len.to_be_bytes());
                outer[60..62].copy_from_slice(&checksum.to_be_bytes());
            }
        }
        match &self.shell {
            None => true,
            Some(shell) => self.put_on(shell, packet),
        }
    }

    /// Puts SRv6 around what was just encapsulated. `false`, and the packet is what it was before
    /// that, if there is no room.
    fn put_on(&self, shell: &Shell, packet: &mut Packet) -> bool {
        let done = shell.put_on(packet);
        done || !packet.trim_front(self.template().len() + HEADER_LEN)
    }

    /// The UDP checksum over tunnel header and packet.
    fn udp_checksum(&self, packet: &Packet, tunnel: &[u8; HEADER_LEN], udp_len: u16) -> u16 {
        // The length counts twice: in the UDP header and in the pseudo header.
        let sum = self.udp_sum.and_word(udp_len).and_word(udp_len).and(tunnel);
        match finish(sum.and_segments(packet.segments())) {
            0 => 0xffff, // zero would say "none" (RFC 768)
            sum => sum,
        }
    }
}

/// What a frame from the WAN is to this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// A tunnel packet: from whom, where its tunnel header begins, where the packet ends.
    Tunnel {
        /// Outer source address.
        source: IpAddr,
        /// Offset of the tunnel header in the frame.
        offset: usize,
        /// Bytes of the frame that belong to it; Ethernet padding lies behind.
        end: usize,
        /// The ECN field of the outer header.
        ecn: u8,
    },
    /// Sent to our tunnel, and cannot be read.
    Malformed,
    /// Sent to our tunnel, with a wrong checksum.
    BadChecksum,
    /// Sent to our Ethernet address, and nothing we serve.
    ForUs,
    /// Passing by.
    Bare,
}

/// How this gateway is addressed on one WAN port.
#[derive(Debug, Clone, Copy)]
pub struct Local {
    /// Our end.
    pub end: End,
    /// Our UDP port.
    pub port: u16,
    /// Whether a packet without a UDP checksum is refused.
    pub checksum: bool,
    /// Our SID: what is sent to it is taken out of SRv6.
    pub sid: Option<Ipv6Addr>,
}

/// The outer IP header of a UDP datagram.
struct Carrier {
    source: IpAddr,
    /// Offset of the datagram in the frame, and its bytes as the header says.
    offset: usize,
    length: usize,
    ecn: u8,
}

impl Local {
    /// Takes a frame out of SRv6 if it was sent to our SID; `None`, and nothing changes, if not.
    ///
    /// # Errors
    /// Why it is dropped.
    #[inline]
    #[must_use]
    pub fn open(&self, packet: &mut Packet) -> Option<Result<(), DropReason>> {
        let sid = self.sid?;
        if packet.head().get(12..14) == Some(&[0x86, 0xdd]) {
            srv6::open(packet, sid)
        } else {
            None
        }
    }

    /// Tells what a frame received from the WAN is. What is addressed to our Ethernet address is
    /// never [`Incoming::Bare`]: a header damaged on its way does not make a packet the LAN's.
    #[inline]
    #[must_use]
    pub fn recognise(&self, packet: &Packet) -> Incoming {
        let head = packet.head();
        let Some((ethernet, ip)) = head.split_first_chunk::<ETHERNET_LEN>() else {
            return Incoming::Malformed;
        };
        let found = match (self.end.address, &ethernet[12..]) {
            (IpAddr::V4(ours), [0x08, 0x00]) => self.ipv4(packet, ip, ours.octets()),
            (IpAddr::V6(ours), [0x86, 0xdd]) => self.ipv6(packet, ip, ours.octets()),
            _ => None,
        };
        match found {
            Some(incoming) => incoming,
            None if ethernet[..6] == self.end.mac => Incoming::ForUs,
            None => Incoming::Bare,
        }
    }

    #[inline]
    fn ipv4(&self, packet: &Packet, ip: &[u8], ours: [u8; 4]) -> Option<Incoming> {
        let (ip, rest) = ip.split_first_chunk::<IPV4_LEN>()?;
        if ip[16..20] != ours || ip[0] != 0x45 || ip[9] != UDP {
            return None;
        }
        let (udp, _) = rest.split_first_chunk::<UDP_LEN>()?;
        if udp[2..4] != self.port.to_be_bytes() {
            return None;
        }
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        // More fragments, or not the first: nobody may fragment what says "don't".
        if finish(Sum::of_header(ip)) != 0 || u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
            return Some(Incoming::Malformed);
        }
        let carrier = Carrier {
            source: IpAddr::from([ip[12], ip[13], ip[14], ip[15]]),
            offset: ETHERNET_LEN + IPV4_LEN,
            length: total.checked_sub(IPV4_LEN)?,
            ecn: ip[1] & ecn::MASK,
        };
        let pseudo = || Sum::of(&[0, UDP]).and(&ip[12..20]);
        Some(self.udp(packet, &carrier, udp, pseudo))
    }

    fn ipv6(&self, packet: &Packet, ip: &[u8], ours: [u8; 16]) -> Option<Incoming> {
        let (ip, rest) = ip.split_first_chunk::<IPV6_LEN>()?;
        if ip[24..40] != ours || ip[0] >> 4 != 6 || ip[6] != UDP {
            return None;
        }
        let (udp, _) = rest.split_first_chunk::<UDP_LEN>()?;
        if udp[2..4] != self.port.to_be_bytes() {
            return None;
        }
        let carrier = Carrier {
            source: IpAddr::from(*ip[8..24].first_chunk::<16>()?),
            offset: ETHERNET_LEN + IPV6_LEN,
            length: usize::from(u16::from_be_bytes([ip[4], ip[5]])),
            ecn: ip[1] >> 4 & ecn::MASK,
        };
        let pseudo = || Sum::of(&[0, UDP]).and(&ip[8..40]);
        Some(self.udp(packet, &carrier, udp, pseudo))
    }

    /// The UDP datagram with the header `udp`.
    #[inline]
    fn udp(
        &self,
        packet: &Packet,
        carrier: &Carrier,
        udp: &[u8; UDP_LEN],
        pseudo: impl Fn() -> Sum,
    ) -> Incoming {
        let &Carrier { source, offset, length, ecn } = carrier;
        let end = offset + length;
        let said = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        if said != length || length < UDP_LEN + HEADER_LEN || end > packet.len() {
            return Incoming::Malformed;
        }
        let has_checksum = udp[6..] != [0, 0];
        if self.checksum && !has_checksum {
            return Incoming::BadChecksum;
        }
        if has_checksum {
            let sum = pseudo().and(&udp[4..6]).and_segments(part(packet, offset, end));
            if finish(sum) != 0 {
                return Incoming::BadChecksum;
            }
        }
        Incoming::Tunnel { source, offset: offset + UDP_LEN, end, ecn }
    }
}

/// The bytes `from..to` of a packet, in its segments.
fn part(packet: &Packet, from: usize, to: usize) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    packet.segments().map(move |segment| {
        let (first, last) = (from.saturating_sub(begin), to.saturating_sub(begin));
        begin += segment.len();
        let last = last.min(segment.len());
        segment.get(first.min(last)..last).unwrap_or(&[])
    })
}

#[cfg(test)]
mod tests;
