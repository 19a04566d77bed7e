//! What tells the streams of a capture apart, and where a frame comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// UDP destination port of RoCEv2 (IANA).
const ROCE_PORT: u16 = 4_791;
const UDP: u8 = 17;
/// Protocols whose first four bytes are ports: TCP, UDP, SCTP.
const WITH_PORTS: [u8; 3] = [6, UDP, 132];
/// Tags that are looked through; IEEE 802.1Q knows two.
const MAX_TAGS: usize = 2;

/// The frames of one key are a stream: their order matters to someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKey {
    /// One direction of a queue pair's requests or responses.
    Roce {
        /// IP source.
        src: IpAddr,
        /// IP destination.
        dst: IpAddr,
        /// Destination queue pair.
        dest_qp: u32,
        /// Acknowledgements and READ responses.
        response: bool,
        /// Outermost VLAN.
        vlan: Option<u16>,
    },
    /// Anything else that is IP.
    Ip {
        /// IP source.
        src: IpAddr,
        /// IP destination.
        dst: IpAddr,
        /// Protocol number; of IPv6 the first next header.
        protocol: u8,
        /// Source and destination port, where there are any.
        ports: [u8; 4],
        /// Outermost VLAN.
        vlan: Option<u16>,
    },
    /// Anything else.
    Ethernet {
        /// Source station.
        src: Mac,
        /// Destination station.
        dst: Mac,
        /// EtherType behind the tags.
        ethertype: u16,
        /// Outermost VLAN.
        vlan: Option<u16>,
    },
}

/// What the lab wants to know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The stream it belongs to.
    pub stream: StreamKey,
    /// The station that sent it.
    pub station: Mac,
}

impl StreamKey {
    /// The IP source, of what is IP.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        match *self {
            Self::Roce { src, .. } | Self::Ip { src, .. } => Some(src),
            Self::Ethernet { .. } => None,
        }
    }
}

/// An IP header, as far as it matters here.
struct Ip<'a> {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    is_fragment: bool,
    rest: &'a [u8],
}

/// Looks at a frame; `None` when it is too short for an Ethernet header.
#[must_use]
pub fn look(frame: &[u8]) -> Option<Sight> {
    let (&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, e0, e1], mut rest) =
        frame.split_first_chunk()?;
    let (station, to) = ([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]);
    let mut ethertype = u16::from_be_bytes([e0, e1]);
    let mut vlan = None;
    for _ in 0..MAX_TAGS {
        if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
            break;
        }
        let Some((&[t0, t1, e0, e1], behind)) = rest.split_first_chunk() else { break };
        vlan = vlan.or(Some(u16::from_be_bytes([t0, t1]) & 0xfff));
        ethertype = u16::from_be_bytes([e0, e1]);
        rest = behind;
    }
    let ip = match ethertype {
        0x0800 => ipv4(rest),
        0x86dd => ipv6(rest),
        _ => None,
    };
    let other = || StreamKey::Ethernet { src: station, dst: to, ethertype, vlan };
    Some(Sight { stream: ip.map_or_else(other, |ip| of_ip(&ip, vlan)), station })
}

fn of_ip(ip: &Ip<'_>, vlan: Option<u16>) -> StreamKey {
    let &Ip { src, dst, protocol, is_fragment, rest } = ip;
    let has_ports = WITH_PORTS.contains(&protocol) && !is_fragment;
    let ports = rest.first_chunk::<4>().filter(|_| has_ports).copied().unwrap_or_default();
    let [_, _, p0, p1] = ports;
    if protocol == UDP
        && u16::from_be_bytes([p0, p1]) == ROCE_PORT
        && let Some(&[opcode, _, _, _, _, q0, q1, q2]) =
            rest.get(8..).and_then(|bth| bth.first_chunk())
    {
        let dest_qp = u32::from_be_bytes([0, q0, q1, q2]);
        // READ responses, acknowledgements, atomic acknowledgements (IBTA volume 1, table 38).
        let response = (0x0d..=0x12).contains(&(opcode & 0x1f));
        return StreamKey::Roce { src, dst, dest_qp, response, vlan };
    }
    StreamKey::Ip { src, dst, protocol, ports, vlan }
}

fn ipv4(packet: &[u8]) -> Option<Ip<'_>> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let &[first, _, _, _, _, _, f0, f1, _, protocol, _, _, ref addresses @ ..] = header;
    let (src, dst) = addresses.split_first_chunk::<4>()?;
    (first >> 4 == 4).then_some(Ip {
        src: Ipv4Addr::from(*src).into(),
        dst: Ipv4Addr::from(*dst.first_chunk::<4>()?).into(),
        protocol,
        is_fragment: u16::from_be_bytes([f0, f1]) & 0x3fff != 0,
        rest: packet.get(usize::from(first & 0xf) * 4..).unwrap_or(&[]),
    })
}

fn ipv6(packet: &[u8]) -> Option<Ip<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let &[first, _, _, _, _, _, protocol, _, ref addresses @ ..] = header;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    (first >> 4 == 6).then_some(Ip {
        src: Ipv6Addr::from(*src).into(),
        dst: Ipv6Addr::from(*dst.first_chunk::<16>()?).into(),
        protocol,
        is_fragment: false,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roce(opcode: u8, source_port: u16, tag: Option<u16>) -> Vec<u8> {
        let mut frame = vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2];
        if let Some(tag) = tag {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend([0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(source_port.to_be_bytes());
        frame.extend([0x12, 0xb7, 0, 40, 0, 0, opcode, 0, 0xff, 0xff, 0, 0, 0, 17]);
        frame.resize(80, 0);
        frame
    }

    #[test]
    fn a_queue_pair_has_two_streams_whatever_the_source_port() {
        let key = |frame: &[u8]| look(frame).expect("a frame").stream;
        let (src, dst) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let request = StreamKey::Roce { src, dst, dest_qp: 17, response: false, vlan: None };
        assert_eq!(key(&roce(0x0a, 50_000, None)), request);
        assert_eq!(key(&roce(0x06, 51_000, None)), request);
        let response = StreamKey::Roce { src, dst, dest_qp: 17, response: true, vlan: Some(5) };
        assert_eq!(key(&roce(0x11, 50_000, Some(0xe005))), response);
        assert_eq!(look(&roce(0x0a, 1, None)).map(|sight| sight.station), Some([2; 6]));
    }

    #[test]
    fn beginnings_of_frames_are_looked_at_without_harm() {
        for tag in [None, Some(7)] {
            let frame = roce(0x0a, 50_000, tag);
            for cut in 0..frame.len() {
                assert_eq!(look(&frame[..cut]).is_some(), cut >= 14);
            }
        }
        let arp = [vec![0xff; 6], vec![2; 6], vec![0x08, 0x06], vec![0; 46]].concat();
        let expected =
            StreamKey::Ethernet { src: [2; 6], dst: [0xff; 6], ethertype: 0x0806, vlan: None };
        assert_eq!(look(&arp).map(|sight| sight.stream), Some(expected));
    }
}
