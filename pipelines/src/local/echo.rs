//! Echo requests (RFC 792, RFC 4443): ping.

use std::net::IpAddr;

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr,
};

use super::{ETHERNET_LEN, Station, address, checksums};

const HOP_LIMIT: u8 = 64;

/// An echo request of either family: who asks, in which IP header, and what it says.
enum Request<'a> {
    V4(Ipv4Repr, Icmpv4Repr<'a>),
    V6(Ipv6Repr, Icmpv6Repr<'a>),
}

/// Whether a frame sent to our Ethernet address is an echo request to our IP address.
pub(super) fn asks(station: &Station, frame: &[u8]) -> bool {
    request(station, frame).is_some()
}

/// Writes the answer to the echo request `frame` to `answer`; `None`, and nothing is written, if it
/// is none.
pub(super) fn answer(station: &Station, frame: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    let request = request(station, frame)?;
    let asker = EthernetFrame::new_checked(frame).ok()?.src_addr();
    let (kind, header_len, body_len) = match &request {
        Request::V4(ip, echo) => (EthernetProtocol::Ipv4, ip.buffer_len(), echo.buffer_len()),
        Request::V6(ip, echo) => (EthernetProtocol::Ipv6, ip.buffer_len(), echo.buffer_len()),
    };
    answer.clear();
    answer.resize(ETHERNET_LEN + header_len + body_len, 0);
    address(answer, asker.0, station.mac, kind);
    let (ip, body) = answer.get_mut(ETHERNET_LEN..)?.split_at_mut_checked(header_len)?;
    match request {
        Request::V4(header, echo) => {
            header.emit(&mut Ipv4Packet::new_unchecked(ip), &checksums());
            echo.emit(&mut Icmpv4Packet::new_unchecked(body), &checksums());
        }
        Request::V6(header, echo) => {
            let (from, to) = (header.src_addr, header.dst_addr);
            header.emit(&mut Ipv6Packet::new_unchecked(ip));
            echo.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(body), &checksums());
        }
    }
    Some(())
}

/// The answer that an echo request to us in `frame` deserves; its data is still the frame's.
fn request<'a>(station: &Station, frame: &'a [u8]) -> Option<Request<'a>> {
    let ip = frame.get(ETHERNET_LEN..)?;
    match station.address? {
        IpAddr::V4(ours) => {
            let packet = Ipv4Packet::new_checked(ip).ok()?;
            let header = Ipv4Repr::parse(&packet, &checksums()).ok()?;
            let from = header.src_addr;
            let odd = from.is_multicast() || from.is_broadcast() || from.is_unspecified();
            if header.dst_addr != ours || header.next_header != IpProtocol::Icmp || odd {
                return None;
            }
            let icmp = Icmpv4Packet::new_checked(packet.payload()).ok()?;
            let echo = Icmpv4Repr::parse(&icmp, &checksums()).ok()?;
            let Icmpv4Repr::EchoRequest { ident, seq_no, data } = echo else { return None };
            let echo = Icmpv4Repr::EchoReply { ident, seq_no, data };
            let header = Ipv4Repr {
                src_addr: ours,
                dst_addr: from,
                next_header: IpProtocol::Icmp,
                payload_len: echo.buffer_len(),
                hop_limit: HOP_LIMIT,
            };
            Some(Request::V4(header, echo))
        }
        IpAddr::V6(ours) => {
            let packet = Ipv6Packet::new_checked(ip).ok()?;
            let header = Ipv6Repr::parse(&packet).ok()?;
            let from = header.src_addr;
            let odd = from.is_multicast() || from.is_unspecified();
            if header.dst_addr != ours || header.next_header != IpProtocol::Icmpv6 || odd {
                return None;
            }
            let icmp = Icmpv6Packet::new_checked(packet.payload()).ok()?;
            let echo = Icmpv6Repr::parse(&from, &ours, &icmp, &checksums()).ok()?;
            let Icmpv6Repr::EchoRequest { ident, seq_no, data } = echo else { return None };
            let echo = Icmpv6Repr::EchoReply { ident, seq_no, data };
            let header = Ipv6Repr {
                src_addr: ours,
                dst_addr: from,
                next_header: IpProtocol::Icmpv6,
                payload_len: echo.buffer_len(),
                hop_limit: HOP_LIMIT,
            };
            Some(Request::V6(header, echo))
        }
    }
}
