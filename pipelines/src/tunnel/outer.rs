//! The headers around a tunnel packet: Ethernet, IPv4 or IPv6, UDP.
//!
//! A channel is one 5-tuple, so its outer headers are a template; a packet costs a copy of it and
//! a few fields. The UDP source port names the channel, the destination port the far worker.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use dataplane::memory::Packet;

use super::header::HEADER_LEN;
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

/// Bytes the outer headers and the tunnel header add to a packet, Ethernet header included: what a
/// buffer needs as headroom.
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
            IpAddr::V6(_) => put(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, UDP, TTL]),
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
        Self { template, checksum: checksum || !from.address.is_ipv4(), ip_sum, udp_sum }
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
        self.template().len()
    }

    /// The type of service or traffic class in headers of the same family; 0 if there are none.
    #[must_use]
    pub fn tos(&self, head: &[u8]) -> u8 {
        match (&self.template, head.get(14..16)) {
            (Template::Ipv4(_), Some(&[_, tos])) => tos,
            (Template::Ipv6(_), Some(&[high, low])) => high << 4 | low >> 4,
            _ => 0,
        }
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
                outer[14] = 0x60 | tos >> 4;
                outer[15] = tos << 4;
                outer[18..20].copy_from_slice(&udp_len.to_be_bytes());
                outer[58..60].copy_from_slice(&udp_len.to_be_bytes());
                outer[60..62].copy_from_slice(&checksum.to_be_bytes());
            }
        }
        true
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
}

impl Local {
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
        let source = IpAddr::from([ip[12], ip[13], ip[14], ip[15]]);
        let pseudo = || Sum::of(&[0, UDP]).and(&ip[12..20]);
        Some(self.udp(
            packet,
            source,
            udp,
            ETHERNET_LEN + IPV4_LEN,
            total.checked_sub(IPV4_LEN)?,
            pseudo,
        ))
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
        let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        let source = IpAddr::from(*ip[8..24].first_chunk::<16>()?);
        let pseudo = || Sum::of(&[0, UDP]).and(&ip[8..40]);
        Some(self.udp(packet, source, udp, ETHERNET_LEN + IPV6_LEN, length, pseudo))
    }

    /// The UDP datagram at `offset`, of `length` bytes as the IP header says.
    #[inline]
    fn udp(
        &self,
        packet: &Packet,
        source: IpAddr,
        udp: &[u8; UDP_LEN],
        offset: usize,
        length: usize,
        pseudo: impl Fn() -> Sum,
    ) -> Incoming {
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
        Incoming::Tunnel { source, offset: offset + UDP_LEN, end }
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
mod tests {
    use super::*;
    use dataplane::memory::{Pool, PoolSettings};

    const TUNNEL: [u8; HEADER_LEN] = [0x11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

    fn ends(v6: bool) -> (End, End) {
        let address = |last: u8| -> IpAddr {
            if v6 {
                let mut octets = [0x20; 16];
                octets[15] = last;
                octets.into()
            } else {
                [192, 0, 2, last].into()
            }
        };
        (End { mac: [2; 6], address: address(1) }, End { mac: [4; 6], address: address(2) })
    }

    /// An encapsulated packet of `len` inner bytes in small segments, and the far side.
    fn sent(v6: bool, checksum: bool, len: usize) -> (Packet, Local, Vec<u8>) {
        let settings = PoolSettings { buffers: 64, buffer_bytes: 333, headroom: 99 };
        let pool = Pool::new(settings).expect("valid");
        let inner: Vec<u8> = (0..len).map(|i| (i * 31) as u8).collect();
        let mut packet = pool.copy(&inner).expect("buffers");
        let (from, to) = ends(v6);
        let outer = Outer::new(from, to, 4_794, 5, checksum);
        assert!(outer.encapsulate(&mut packet, &TUNNEL, 0xb8));
        (packet, Local { end: to, port: 4_794, checksum }, inner)
    }

    #[test]
    fn what_is_encapsulated_is_recognised() {
        for v6 in [false, true] {
            for checksum in [false, true] {
                for len in [0, 1, 60, 101, 1_500, 4_097] {
                    let (mut packet, local, inner) = sent(v6, checksum, len);
                    let offset = ETHERNET_LEN + if v6 { IPV6_LEN } else { IPV4_LEN } + UDP_LEN;
                    let source = ends(v6).0.address;
                    let tunnel = Incoming::Tunnel { source, offset, end: offset + 16 + len };
                    assert_eq!(local.recognise(&packet), tunnel, "v6 {v6} {checksum} {len}");
                    assert!(packet.trim_front(offset + HEADER_LEN));
                    assert!(packet.segments().flatten().eq(&inner));
                }
            }
        }
    }

    #[test]
    fn headers_are_what_an_independent_parser_reads() {
        for v6 in [false, true] {
            let (packet, _, _) = sent(v6, true, 64);
            let bytes: Vec<u8> = packet.segments().flatten().copied().collect();
            let sliced = etherparse::SlicedPacket::from_ethernet(&bytes).expect("valid headers");
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!() };
            let (source, destination) = (FIRST_SOURCE_PORT + 5, 4_794);
            assert_eq!((udp.source_port(), udp.destination_port()), (source, destination));
            let header = udp.to_header();
            let sum = match sliced.net.expect("an IP header") {
                etherparse::NetSlice::Ipv4(ip) => {
                    let ip = ip.header().to_header();
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                    header.calc_checksum_ipv4(&ip, udp.payload())
                }
                etherparse::NetSlice::Ipv6(ip) => {
                    assert_eq!(ip.header().traffic_class(), 0xb8);
                    header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(sum.expect("short enough"), header.checksum);
        }
    }

    #[test]
    fn no_changed_byte_behind_the_ethernet_header_passes() {
        for v6 in [false, true] {
            let (mut packet, local, _) = sent(v6, true, 150);
            // IPv6 protects neither its traffic class, flow label nor hop limit: nothing we use.
            let free = |at: usize| v6 && (at < ETHERNET_LEN + 4 || at == ETHERNET_LEN + 7);
            for at in ETHERNET_LEN..packet.head().len() {
                for flip in [0x01, 0x80, 0xff] {
                    packet.head_mut()[at] ^= flip;
                    let seen = local.recognise(&packet);
                    let passed = matches!(seen, Incoming::Tunnel { .. });
                    assert!(!passed || free(at), "v6 {v6}, byte {at} ^ {flip:#x}");
                    assert_ne!(seen, Incoming::Bare);
                    packet.head_mut()[at] ^= flip;
                }
            }
        }
    }

    #[test]
    fn truncated_frames_and_others_traffic_are_told_apart() {
        let (mut packet, local, _) = sent(false, true, 100);
        for len in (0..packet.len()).rev() {
            packet.truncate(len);
            assert!(!matches!(local.recognise(&packet), Incoming::Tunnel { .. } | Incoming::Bare));
        }
        let (mut packet, local, _) = sent(false, true, 100);
        packet.head_mut()[..6].copy_from_slice(&[9; 6]);
        packet.head_mut()[33] ^= 1;
        assert_eq!(local.recognise(&packet), Incoming::Bare);
    }

    #[test]
    fn ethernet_padding_is_not_part_of_the_packet() {
        let settings = PoolSettings { buffers: 4, buffer_bytes: 512, headroom: 99 };
        let pool = Pool::new(settings).expect("valid");
        let mut packet = pool.copy(b"x").expect("buffers");
        let (from, to) = ends(false);
        assert!(Outer::new(from, to, 9, 0, true).encapsulate(&mut packet, &TUNNEL, 0));
        let end = packet.len();
        assert!(packet.append(&pool, &[0xaa; 17]));
        let local = Local { end: to, port: 9, checksum: true };
        let Incoming::Tunnel { end: seen, .. } = local.recognise(&packet) else { panic!() };
        assert_eq!(seen, end);
    }

    #[test]
    fn what_has_no_room_is_refused_unchanged() {
        let settings = PoolSettings { buffers: 300, buffer_bytes: 256, headroom: 40 };
        let pool = Pool::new(settings).expect("valid");
        let (from, to) = ends(false);
        let outer = Outer::new(from, to, 9, 0, true);
        let mut packet = pool.copy(b"x").expect("buffers");
        assert!(!outer.encapsulate(&mut packet, &TUNNEL, 0));
        assert_eq!(packet.len(), 1);
        let mut huge = pool.copy(&[0; 65_500]).expect("buffers");
        assert!(!outer.encapsulate(&mut huge, &TUNNEL, 0));
        assert_eq!(huge.len(), 65_500);
    }
}
