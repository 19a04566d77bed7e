//! The headers around a control packet: Ethernet, IPv4 or IPv6, UDP (RFC 5881, sections 4 and 5;
//! RFC 5883, section 5).

use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::packet::PACKET_LEN;
use crate::gateway::Mac;
use crate::wire::{ipv4, ipv6, udp};

/// Destination port of sessions over one hop.
pub const SINGLE_HOP: u16 = 3784;
/// Destination port of sessions over several.
pub const MULTI_HOP: u16 = 4784;
/// The first of the source ports that a session may have; the last is 65,535.
pub const FIRST_SOURCE_PORT: u16 = 49_152;
/// What a packet leaves with, as time to live or hop limit.
pub const TTL: u8 = 255;

const ETHERNET_LEN: usize = 14;
/// Bytes of the longest frame that is sent.
pub const MAX_FRAME: usize = ETHERNET_LEN + 40 + udp::HEADER_LEN + PACKET_LEN;
/// Traffic class: network control, CS6 (RFC 4594).
const TOS: u8 = 48 << 2;

/// The addresses of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Our Ethernet address.
    pub mac: Mac,
    /// Our address.
    pub ours: IpAddr,
    /// The other side's, of the same family.
    pub theirs: IpAddr,
    /// The source port of what we send.
    pub source_port: u16,
    /// [`SINGLE_HOP`] or [`MULTI_HOP`].
    pub port: u16,
}

/// Writes the frame that brings `packet` to the other side by the next hop `next`. `None` if the
/// families of the addresses differ.
#[must_use]
pub fn write(ends: &Ends, next: Mac, packet: &[u8; PACKET_LEN]) -> Option<ArrayVec<u8, MAX_FRAME>> {
    let mut frame = ArrayVec::from([0; MAX_FRAME]);
    let datagram = udp::HEADER_LEN + PACKET_LEN;
    let (ethernet, ip) = frame.split_first_chunk_mut::<ETHERNET_LEN>()?;
    let ethertype: [u8; 2] = if ends.ours.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
    let fields = next.iter().chain(&ends.mac).chain(&ethertype);
    ethernet.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
    let len = datagram as u16;
    let (header_len, pseudo) = match (ends.ours, ends.theirs) {
        (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
            let (source, destination) = (ours.octets(), theirs.octets());
            let header = ipv4::Header {
                tos: TOS,
                identification: 0,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: TTL,
                protocol: udp::PROTOCOL,
                source,
                destination,
                options: &[],
            };
            (header.write(datagram, ip).ok()?, udp::pseudo_ipv4(source, destination, len))
        }
        (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
            let (source, destination) = (ours.octets(), theirs.octets());
            let header = ipv6::Header {
                traffic_class: TOS,
                flow_label: 0,
                next_header: udp::PROTOCOL,
                hop_limit: TTL,
                source,
                destination,
            };
            (header.write(datagram, ip).ok()?, udp::pseudo_ipv6(&source, &destination, len))
        }
        _ => return None,
    };
    let body = ip.get_mut(header_len..header_len + datagram)?;
    let header = udp::Header { source_port: ends.source_port, destination_port: ends.port };
    header.write(PACKET_LEN, body).ok()?;
    body.get_mut(udp::HEADER_LEN..)?.copy_from_slice(packet);
    udp::write_checksum(body, pseudo).ok()?;
    frame.truncate(ETHERNET_LEN + header_len + datagram);
    Some(frame)
}

/// Whether a frame may hold a control packet: a look at few bytes. It is a UDP packet without
/// options to one of the two ports.
#[inline]
#[must_use]
pub fn may_be(head: &[u8]) -> bool {
    let (protocol, port) = match head.get(12..15) {
        Some([0x08, 0x00, 0x45]) => (23, 36),
        Some([0x86, 0xdd, _]) => (20, 56),
        _ => return false,
    };
    let port = head.get(port..port + 2);
    let ports = [SINGLE_HOP.to_be_bytes(), MULTI_HOP.to_be_bytes()];
    head.get(protocol) == Some(&udp::PROTOCOL) && ports.iter().any(|of| port == Some(of))
}

/// A datagram that may belong to a session of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Where it comes from.
    pub source: IpAddr,
    /// By which port there.
    pub source_port: u16,
    /// [`SINGLE_HOP`] or [`MULTI_HOP`].
    pub port: u16,
    /// What is left of its time to live or hop limit.
    pub ttl: u8,
    /// The control packet.
    pub payload: &'a [u8],
}

/// Reads a frame of one piece that is sent to our address `ours`; `None` if it is none of [`may_be`],
/// not for us, damaged, or a fragment.
#[must_use]
pub fn read(frame: &[u8], ours: IpAddr) -> Option<Received<'_>> {
    if !may_be(frame) {
        return None;
    }
    let ip = frame.get(ETHERNET_LEN..)?;
    let (source, ttl, datagram, pseudo) = match ours {
        IpAddr::V4(ours) => {
            let ip = ipv4::View::parse(ip).ok()?;
            let is_sound = ip.has_right_checksum() && !ip.is_fragment();
            if ip.destination() != ours.octets() || !is_sound {
                return None;
            }
            let datagram = udp::View::parse(ip.payload()).ok()?;
            let pseudo = udp::pseudo_ipv4(ip.source(), ip.destination(), datagram.len());
            (IpAddr::from(ip.source()), ip.ttl(), datagram, pseudo)
        }
        IpAddr::V6(ours) => {
            let ip = ipv6::View::parse(ip).ok()?;
            if *ip.destination() != ours.octets() {
                return None;
            }
            let datagram = udp::View::parse(ip.payload()).ok()?;
            let pseudo = udp::pseudo_ipv6(ip.source(), ip.destination(), datagram.len());
            (IpAddr::from(*ip.source()), ip.hop_limit(), datagram, pseudo)
        }
    };
    if !datagram.has_right_checksum(pseudo) {
        return None;
    }
    let (source_port, port) = (datagram.source_port(), datagram.destination_port());
    Some(Received { source, source_port, port, ttl, payload: datagram.payload() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(v6: bool) -> Ends {
        let address = |last| -> IpAddr {
            if v6 {
                [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()
            } else {
                [192, 0, 2, last as u8].into()
            }
        };
        Ends {
            mac: [2; 6],
            ours: address(1),
            theirs: address(2),
            source_port: 50_000,
            port: SINGLE_HOP,
        }
    }

    fn frame(v6: bool) -> Vec<u8> {
        let packet = std::array::from_fn(|at| at as u8);
        write(&ends(v6), [4; 6], &packet).expect("one family").to_vec()
    }

    #[test]
    fn rfc_5881_sections_4_and_5_ports_and_ttl() {
        for v6 in [false, true] {
            let (ends, frame) = (ends(v6), frame(v6));
            let received = read(&frame, ends.theirs).expect("is one");
            let payload: Vec<u8> = (0..24).collect();
            let expected = Received {
                source: ends.ours,
                source_port: 50_000,
                port: 3784,
                ttl: 255,
                payload: &payload,
            };
            assert_eq!(received, expected);
            assert_eq!(read(&frame, ends.ours), None, "it is for the other side");
        }
    }

    #[test]
    fn an_independent_parser_reads_the_same() {
        for v6 in [false, true] {
            let frame = frame(v6);
            let sliced = etherparse::SlicedPacket::from_ethernet(&frame).expect("valid headers");
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!() };
            let header = udp.to_header();
            assert_eq!((header.source_port, header.destination_port), (50_000, 3784));
            let sum = match sliced.net.expect("an IP header") {
                etherparse::NetSlice::Ipv4(ip) => {
                    let ip = ip.header().to_header();
                    assert_eq!(
                        (ip.time_to_live, ip.header_checksum),
                        (255, ip.calc_header_checksum())
                    );
                    header.calc_checksum_ipv4(&ip, udp.payload())
                }
                etherparse::NetSlice::Ipv6(ip) => {
                    assert_eq!(ip.header().hop_limit(), 255);
                    header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(sum.expect("short enough"), header.checksum);
        }
    }

    #[test]
    fn what_is_damaged_or_cut_short_is_not_read() {
        for v6 in [false, true] {
            let (ends, good) = (ends(v6), frame(v6));
            for len in 0..good.len() {
                assert_eq!(read(&good[..len], ends.theirs), None);
            }
            for at in ETHERNET_LEN..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x40;
                // No checksum covers these of IPv6: traffic class and flow label; the hop limit is
                // judged by whoever reads it.
                let free = v6 && (at < ETHERNET_LEN + 4 || at == ETHERNET_LEN + 7);
                assert!(
                    read(&bad, ends.theirs).is_none() || (free && at > ETHERNET_LEN),
                    "byte {at}"
                );
            }
        }
    }
}
