//! One look at a frame: what it is, and where its headers lie.
//!
//! The frame may be in segments; all headers are looked for in the first. What is not there or
//! contradicts itself makes a packet less than it might be, never an error: the gateway carries it
//! all the same. Only of what claims to be RoCEv2 the claim is judged.

use std::net::IpAddr;

use super::bth::{Bth, judge};
use super::{Malformed, ethernet, icrc, ipv4, ipv6, udp};

/// What is known of a frame. Offsets are bytes from its first one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// VLAN of the outermost tag that has one: identifier 0 carries a priority only.
    pub vlan: Option<u16>,
    /// What it is.
    pub class: Class,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// MAC control: PAUSE, PFC.
    MacControl,
    /// No IP, or too little of it for its header.
    NotIp,
    /// An IP packet, and no more is known.
    Ip(Ip),
    /// A fragment of an IP packet, the first one or a later. No RNIC makes them.
    Fragment(Ip),
    /// A UDP datagram with right lengths that is not RoCEv2. Those to port 4791 behind IPv6
    /// extension headers count as such: RoCEv2 has none.
    Udp(Ip, Udp),
    /// A RoCEv2 packet with right lengths.
    Roce(Ip, Udp, Roce),
    /// UDP to port 4791 that cannot be what it says.
    MalformedRoce(Ip, Malformed),
}

/// An IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip {
    /// 4 or 6.
    pub version: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Protocol of what is behind the header, and behind IPv6 extension headers as far as they
    /// could be walked.
    pub protocol: u8,
    /// Where it begins.
    pub at: u16,
    /// Bytes of the header, with IPv4 options and IPv6 extension headers.
    pub header_len: u16,
    /// Bytes of the packet, as the header says.
    pub len: u32,
}

impl Ip {
    /// Where its payload begins.
    #[inline]
    #[must_use]
    pub fn payload_at(&self) -> usize {
        usize::from(self.at) + usize::from(self.header_len)
    }

    /// Source and destination address; `head` is what was looked at. `None` if it is not.
    #[inline]
    #[must_use]
    pub fn addresses(&self, head: &[u8]) -> Option<(IpAddr, IpAddr)> {
        let header = head.get(usize::from(self.at)..)?;
        if self.version == 4 {
            let (source, rest) = header.get(12..)?.split_first_chunk::<4>()?;
            Some((IpAddr::from(*source), IpAddr::from(*rest.first_chunk::<4>()?)))
        } else {
            let (source, rest) = header.get(8..)?.split_first_chunk::<16>()?;
            Some((IpAddr::from(*source), IpAddr::from(*rest.first_chunk::<16>()?)))
        }
    }
}

/// A UDP header. It is behind the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of header and payload; at least 8, and not more than the IP packet has.
    pub len: u16,
}

/// Of a RoCEv2 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roce {
    /// Base transport header, behind the UDP header.
    pub bth: Bth,
    /// Bytes of the extended headers behind that; 0 if the opcode is unknown.
    pub extended_len: u8,
    /// Bytes of the payload without padding.
    pub payload_len: u16,
}

impl Parsed {
    /// Looks at a frame of `total_len` bytes, of which `head` is the beginning.
    #[inline]
    #[must_use]
    pub fn of(head: &[u8], total_len: usize) -> Self {
        let Ok(frame) = ethernet::View::parse(head) else {
            return Self { vlan: None, class: Class::NotIp };
        };
        let vlan = frame.tags().map(ethernet::Tag::vid).find(|vid| *vid != 0);
        let at = frame.header_len();
        let packet = frame.payload();
        let room = total_len.max(head.len()) - at;
        let class = match frame.ethertype() {
            ethernet::MAC_CONTROL => Class::MacControl,
            ethernet::IPV4 => read_ipv4(at, packet, room).unwrap_or(Class::NotIp),
            ethernet::IPV6 => read_ipv6(at, packet, room).unwrap_or(Class::NotIp),
            _ => Class::NotIp,
        };
        Self { vlan, class }
    }

    /// The IP header, if there is one.
    #[must_use]
    pub fn ip(&self) -> Option<Ip> {
        match self.class {
            Class::MacControl | Class::NotIp => None,
            Class::Ip(ip)
            | Class::Fragment(ip)
            | Class::Udp(ip, _)
            | Class::Roce(ip, ..)
            | Class::MalformedRoce(ip, _) => Some(ip),
        }
    }

    /// Whether the ICRC is right, of the frame in these segments; `None` if it has none, or not all
    /// of the datagram is there. The first segment is the one that was looked at.
    #[must_use]
    pub fn icrc_is_right<'a>(&self, frame: impl IntoIterator<Item = &'a [u8]>) -> Option<bool> {
        let Class::Roce(ip, udp, _) = self.class else { return None };
        let mut skip = usize::from(ip.at);
        let mut left = usize::from(ip.header_len) + usize::from(udp.len);
        let covered = frame.into_iter().map(|segment| {
            let segment = segment.get(std::mem::take(&mut skip)..).unwrap_or_default();
            let segment = segment.get(..left).unwrap_or(segment);
            left -= segment.len();
            segment
        });
        let verdict = icrc::verify(ip.header_len.into(), covered)?;
        (left == 0).then_some(verdict)
    }
}

/// Looks at an IPv4 packet (RFC 791), for which the frame has `room` bytes.
#[inline]
fn read_ipv4(at: usize, packet: &[u8], room: usize) -> Option<Class> {
    let fixed: &[u8; ipv4::MIN_HEADER_LEN] = packet.first_chunk()?;
    let [version_ihl, tos, l0, l1, _, _, f0, f1, _, protocol, ..] = *fixed;
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if version_ihl >> 4 != 4 || header_len < fixed.len() {
        return None;
    }
    let rest = packet.get(header_len..)?;
    let ip = Ip {
        version: 4,
        tos,
        protocol,
        at: at as u16,
        header_len: header_len as u16,
        len: u16::from_be_bytes([l0, l1]).into(),
    };
    // More fragments, or not the first.
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return Some(Class::Fragment(ip));
    }
    Some(read_udp(ip, rest, room))
}

/// Looks at an IPv6 packet (RFC 8200), for which the frame has `room` bytes.
#[inline]
fn read_ipv6(at: usize, packet: &[u8], room: usize) -> Option<Class> {
    let fixed: &[u8; ipv6::HEADER_LEN] = packet.first_chunk()?;
    let [v0, v1, _, _, l0, l1, next_header, ..] = *fixed;
    if v0 >> 4 != 6 {
        return None;
    }
    let ip = Ip {
        version: 6,
        tos: v0 << 4 | v1 >> 4,
        protocol: next_header,
        at: at as u16,
        header_len: ipv6::HEADER_LEN as u16,
        len: ipv6::HEADER_LEN as u32 + u32::from(u16::from_be_bytes([l0, l1])),
    };
    let Ok(upper) = ipv6::walk(next_header, packet) else { return Some(Class::Ip(ip)) };
    // Walked headers are within the packet's: their lengths fit.
    let ip = Ip { protocol: upper.protocol, header_len: upper.header_len as u16, ..ip };
    if upper.is_fragment {
        return Some(Class::Fragment(ip));
    }
    Some(read_udp(ip, packet.get(upper.header_len..)?, room))
}

/// Looks at what is behind an IP header.
#[inline]
fn read_udp(ip: Ip, rest: &[u8], room: usize) -> Class {
    if ip.protocol != udp::PROTOCOL {
        return Class::Ip(ip);
    }
    let Some((header, payload)) = rest.split_first_chunk::<{ udp::HEADER_LEN }>() else {
        return Class::Ip(ip);
    };
    let [s0, s1, d0, d1, l0, l1, _, _] = *header;
    let udp = Udp {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        len: u16::from_be_bytes([l0, l1]),
    };
    let bare = ip.version == 4 || usize::from(ip.header_len) == ipv6::HEADER_LEN;
    let is_roce = udp.destination_port == udp::ROCEV2_PORT && bare;
    let read = lengths_fit(&ip, &udp, room)
        .and_then(|()| if is_roce { read_roce(&udp, payload).map(Some) } else { Ok(None) });
    match read {
        Ok(Some(roce)) => Class::Roce(ip, udp, roce),
        Ok(None) => Class::Udp(ip, udp),
        Err(reason) if is_roce => Class::MalformedRoce(ip, reason),
        Err(_) => Class::Ip(ip),
    }
}

/// Whether the datagram has room in the IP packet, and that in the frame.
#[inline]
fn lengths_fit(ip: &Ip, udp: &Udp, room: usize) -> Result<(), Malformed> {
    let udp_len = usize::from(udp.len);
    if ip.len as usize > room {
        return Err(Malformed::IpLength);
    }
    if udp_len < udp::HEADER_LEN || usize::from(ip.header_len) + udp_len > ip.len as usize {
        return Err(Malformed::UdpLength);
    }
    Ok(())
}

/// Looks at a datagram to RoCEv2's port; `payload` is what is there of its payload.
#[inline]
fn read_roce(udp: &Udp, payload: &[u8]) -> Result<Roce, Malformed> {
    let payload_len = usize::from(udp.len) - udp::HEADER_LEN;
    if payload_len < Bth::LEN + icrc::LEN {
        return Err(Malformed::OpcodeLength);
    }
    let bth = Bth::read(payload.first_chunk().ok_or(Malformed::Truncated)?);
    let (shape, message_len) = judge(&bth, payload_len)?;
    let extended_len = shape.headers.len();
    if payload.len() < Bth::LEN + extended_len {
        return Err(Malformed::Truncated);
    }
    // Both are parts of a datagram.
    Ok(Roce { bth, extended_len: extended_len as u8, payload_len: message_len as u16 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::opcode::Opcode;
    use proptest::prelude::*;

    /// An acknowledgement over IPv4, padded to the least length of a frame and more.
    fn ack(tags: &[u16]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        for tag in tags {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 2, 0, 48, 0x10, 2, 0x40, 0, 0x40, 17, 0x16, 0x96]);
        frame.extend([10, 2, 0, 22, 10, 1, 0, 11]);
        frame.extend([0xc1, 0x23, 0x12, 0xb7, 0, 28, 0, 0]);
        frame.extend([0x11, 0x40, 0xff, 0xff, 0, 0, 1, 0x11, 0, 0, 1, 0]);
        frame.extend([0x1f, 0, 0, 1, 0xbd, 0xc6, 0x86, 0xcc]);
        frame.resize(frame.len() + 10, 0);
        frame
    }

    fn class(frame: &[u8]) -> Class {
        Parsed::of(frame, frame.len()).class
    }

    #[test]
    fn an_acknowledgement_on_a_vlan() {
        let frame = ack(&[0xe005, 0x0007]);
        let parsed = Parsed::of(&frame, frame.len());
        assert_eq!(parsed.vlan, Some(5));
        let Class::Roce(ip, udp, roce) = parsed.class else { panic!("{:?}", parsed.class) };
        assert_eq!((ip.version, ip.tos, ip.at, ip.header_len, ip.len), (4, 2, 22, 20, 48));
        assert_eq!((udp.source_port, udp.destination_port, udp.len), (0xc123, 4791, 28));
        assert_eq!((roce.bth.opcode, roce.bth.dest_qp), (Opcode::RC_ACKNOWLEDGE, 0x111));
        assert_eq!((roce.bth.psn, roce.extended_len, roce.payload_len), (256, 4, 0));
        assert_eq!(ip.payload_at(), 42);
        let addresses = ([10, 2, 0, 22].into(), [10, 1, 0, 11].into());
        assert_eq!(ip.addresses(&frame), Some(addresses));
        assert_eq!(ip.addresses(&frame[..40]), None);
    }

    #[test]
    fn a_priority_tag_is_no_vlan() {
        let vlan = |tags| Parsed::of(&ack(tags), 90).vlan;
        assert_eq!(vlan(&[0xe000]), None);
        assert_eq!(vlan(&[0xe000, 0x2007]), Some(7));
    }

    #[test]
    fn the_icrc_over_segments() {
        let frame = ack(&[5]);
        let parsed = Parsed::of(&frame, frame.len());
        for cut in 58..frame.len() {
            let (first, second) = frame.split_at(cut);
            assert_eq!(parsed.icrc_is_right([first, second]), Some(true), "cut at {cut}");
        }
        assert_eq!(parsed.icrc_is_right([&frame[..65]]), None, "not all is there");
        let mut bad = frame.clone();
        bad[54] ^= 1;
        assert_eq!(parsed.icrc_is_right([bad.as_slice()]), Some(false));
    }

    #[test]
    fn claims_that_are_not_true() {
        // What is changed in an acknowledgement: where, to what, and what it is called then.
        let cases = [
            (17, 75, Malformed::IpLength),
            (17, 47, Malformed::UdpLength),
            (39, 29, Malformed::UdpLength),
            (39, 7, Malformed::UdpLength),
            (39, 23, Malformed::OpcodeLength),
            (42, 0x12, Malformed::OpcodeLength),
            (43, 0x10, Malformed::PadCount),
            (43, 0x41, Malformed::TransportVersion),
            (39, 27, Malformed::OpcodeLength),
        ];
        for (at, value, reason) in cases {
            let mut frame = ack(&[]);
            frame[at] = value;
            let Class::MalformedRoce(_, found) = class(&frame) else {
                panic!("byte {at} = {value}: {:?}", class(&frame))
            };
            assert_eq!(found, reason, "byte {at} = {value}");
        }
        let Class::MalformedRoce(_, found) = Parsed::of(&ack(&[])[..57], 72).class else {
            panic!("cut in the AETH")
        };
        assert_eq!(found, Malformed::Truncated);
    }

    #[test]
    fn what_is_not_rocev2() {
        let changed = |at: usize, value| {
            let mut frame = ack(&[]);
            frame[at] = value;
            class(&frame)
        };
        assert!(matches!(changed(13, 6), Class::NotIp), "ARP");
        assert!(matches!(changed(14, 0x65), Class::NotIp), "another version");
        assert!(matches!(changed(14, 0x44), Class::NotIp), "too short a header");
        assert!(matches!(changed(20, 0x20), Class::Fragment(_)), "more fragments");
        assert!(matches!(changed(21, 1), Class::Fragment(_)), "a later fragment");
        assert!(matches!(changed(23, 6), Class::Ip(_)), "TCP");
        assert!(matches!(changed(37, 0xb8), Class::Udp(..)), "another port");
        assert!(matches!(class(&[0; 5]), Class::NotIp));
        let mut pause = vec![1; 12];
        pause.extend([0x88, 0x08, 0, 1]);
        assert!(matches!(class(&pause), Class::MacControl));
    }

    #[test]
    fn ipv6_extension_headers() {
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 36, 60, 64]);
        frame.extend([1; 32]);
        frame.extend([17, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend(&ack(&[])[34..62]);
        let Class::Udp(ip, udp) = class(&frame) else { panic!("{:?}", class(&frame)) };
        assert_eq!((ip.protocol, ip.header_len, udp.destination_port), (17, 48, 4791));
        // Without the extension header.
        frame.drain(54..62);
        (frame[19], frame[20]) = (28, 17);
        let Class::Roce(ip, ..) = class(&frame) else { panic!("{:?}", class(&frame)) };
        assert_eq!(ip.addresses(&frame), Some(([1; 16].into(), [1; 16].into())));
        // A fragment.
        frame[20] = 44;
        frame.splice(54..54, [17, 0, 0, 1, 0, 0, 0, 9]);
        frame[19] = 36;
        assert!(matches!(class(&frame), Class::Fragment(_)), "{:?}", class(&frame));
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            mutate in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            total in 0usize..300,
        ) {
            let mut frame = if mutate.is_some() { ack(&[9]) } else { bytes };
            if let Some((at, value)) = mutate {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            let parsed = Parsed::of(&frame, total);
            if let Some(ip) = parsed.ip() {
                prop_assert!(ip.payload_at() <= frame.len());
                prop_assert!(ip.addresses(&frame).is_some());
            }
            if let Class::Roce(ip, udp, roce) = parsed.class {
                let parts = 8 + 12 + 4 + usize::from(roce.extended_len)
                    + usize::from(roce.payload_len) + usize::from(roce.bth.pad_len);
                prop_assert_eq!(parts, usize::from(udp.len));
                prop_assert!(ip.payload_at() + parts <= total.max(frame.len()));
            }
            let verdict = parsed.icrc_is_right([frame.as_slice()]);
            prop_assert!(verdict.is_none() || matches!(parsed.class, Class::Roce(..)));
        }
    }
}
