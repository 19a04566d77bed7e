//! Congestion notification packets (CNP): annex A17, section 17.9.3.

use super::bth::{self, Bth};
use super::opcode::Opcode;
use super::{ethernet, icrc, ipv4, ipv6, udp};

/// Most bytes of one: tags, IPv6, UDP, BTH, reserved bytes, ICRC.
pub const MAX_LEN: usize = ethernet::HEADER_LEN
    + ethernet::MAX_TAGS * ethernet::TAG_LEN
    + ipv6::HEADER_LEN
    + udp::HEADER_LEN
    + DATAGRAM_LEN;
const RESERVED: [u8; 16] = [0; 16];
/// BTH, reserved bytes, ICRC.
const DATAGRAM_LEN: usize = Bth::LEN + RESERVED.len() + icrc::LEN;
/// Traffic class of what RNICs send by default: CS6, not ECN-capable.
const TOS: u8 = 48 << 2;
const TTL: u8 = 64;

/// Writes a notification to queue pair `sender` of the host that sent a RoCEv2 packet, as if its
/// receiver did. `head` is the packet's first bytes, all headers up to the BTH at least, and its IP
/// header begins at `ip_at`. Returns the bytes written; `None` where UDP does not follow right behind
/// an IP header without options, and where there is no room.
#[must_use]
pub fn write_to_sender(head: &[u8], ip_at: usize, sender: u32, buffer: &mut [u8]) -> Option<usize> {
    let (link, packet) = head.split_at_checked(ip_at)?;
    let (to, rest) = link.split_first_chunk::<6>()?;
    let (from, tags) = rest.split_first_chunk::<6>()?;
    let room = buffer.get_mut(..ip_at)?;
    let ends = from.iter().chain(to).chain(tags);
    room.iter_mut().zip(ends).for_each(|(to, byte)| *to = *byte);

    let ip_len = write_ip(packet, buffer.get_mut(ip_at..)?)?;
    let (ports, behind) = packet.get(ip_len..)?.split_first_chunk::<{ udp::HEADER_LEN }>()?;
    if ports[2..4] != udp::ROCEV2_PORT.to_be_bytes() {
        return None;
    }
    let ports = udp::Header {
        source_port: u16::from_be_bytes([ports[0], ports[1]]),
        destination_port: udp::ROCEV2_PORT,
    };
    let their = behind.first_chunk::<{ Bth::LEN }>()?;
    let p_key = u16::from_be_bytes([their[2], their[3]]);
    let bth = Bth { becn: true, p_key, ..Bth::new(Opcode::CNP, sender, 0) };
    let mut len = ip_at + ip_len;
    len += ports.write(DATAGRAM_LEN, buffer.get_mut(len..)?).ok()?;
    len += bth::write(bth, &[&RESERVED], &[], buffer.get_mut(len..)?).ok()?;
    let (covered, check) = buffer.get_mut(ip_at..len)?.split_last_chunk_mut::<{ icrc::LEN }>()?;
    *check = icrc::compute(ip_len, [&*covered])?.to_le_bytes();
    Some(len)
}

/// Writes the IP header of an answer to `packet`, which has one as long; returns its bytes.
fn write_ip(packet: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let payload_len = udp::HEADER_LEN + DATAGRAM_LEN;
    let written = match packet.first()? {
        0x45 => {
            let from = packet.first_chunk::<{ ipv4::MIN_HEADER_LEN }>()?;
            let (_, addresses) = from.split_last_chunk::<8>()?;
            let [source, destination] = *addresses.as_chunks::<4>().0.first_chunk::<2>()?;
            let header = ipv4::Header {
                tos: TOS,
                identification: 0,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: TTL,
                protocol: udp::PROTOCOL,
                source: destination,
                destination: source,
                options: &[],
            };
            (from[9] == udp::PROTOCOL).then(|| header.write(payload_len, buffer))
        }
        first if first >> 4 == 6 => {
            let from = packet.first_chunk::<{ ipv6::HEADER_LEN }>()?;
            let (_, addresses) = from.split_last_chunk::<32>()?;
            let [source, destination] = *addresses.as_chunks::<16>().0.first_chunk::<2>()?;
            let header = ipv6::Header {
                traffic_class: TOS,
                flow_label: 0,
                next_header: udp::PROTOCOL,
                hop_limit: TTL,
                source: destination,
                destination: source,
            };
            (from[6] == udp::PROTOCOL).then(|| header.write(payload_len, buffer))
        }
        _ => None,
    };
    written?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::Parsed;

    /// Ethernet with a tag, IPv4 or IPv6, UDP, and a WRITE Only's BTH.
    fn frame(v6: bool) -> (Vec<u8>, usize) {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0x00, 0x60, 0x07];
        frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        let ip_at = frame.len();
        let mut ip = vec![0; 40];
        let bytes = if v6 {
            let (source, destination) = ([1; 16], [2; 16]);
            let header = ipv6::Header {
                traffic_class: 2,
                flow_label: 7,
                next_header: udp::PROTOCOL,
                hop_limit: 64,
                source,
                destination,
            };
            header.write(8 + 36, &mut ip)
        } else {
            let (source, destination) = ([10, 0, 0, 1], [10, 0, 0, 2]);
            let header = ipv4::Header {
                tos: 2,
                identification: 9,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: 64,
                protocol: udp::PROTOCOL,
                source,
                destination,
                options: &[],
            };
            header.write(8 + 36, &mut ip)
        };
        ip.truncate(bytes.expect("room"));
        frame.extend(ip);
        frame.extend([0xc1, 0x23, 0x12, 0xb7, 0, 44, 0, 0]);
        let bth = Bth { p_key: 0x8005, ..Bth::new(Opcode(0x0a), 0x22, 5) };
        frame.extend(bth.to_bytes().expect("fits"));
        (frame, ip_at)
    }

    #[test]
    fn it_goes_back_to_the_sender_and_is_right() {
        for v6 in [false, true] {
            let (frame, ip_at) = frame(v6);
            let mut buffer = [0xff; MAX_LEN];
            let len = write_to_sender(&frame, ip_at, 0x11, &mut buffer).expect("a notification");
            let cnp = &buffer[..len];
            assert_eq!((&cnp[..6], &cnp[6..12]), (&frame[6..12], &frame[..6]));
            assert_eq!(cnp[12..18], frame[12..18], "the same VLAN");
            let parsed = Parsed::of(cnp, len);
            let ends = |parsed: &Parsed, head: &[u8]| parsed.ip().unwrap().addresses(head).unwrap();
            let (source, destination) = ends(&Parsed::of(&frame, frame.len()), &frame);
            assert_eq!(ends(&parsed, cnp), (destination, source));
            assert_eq!(parsed.icrc_is_right([cnp]), Some(true));
            let ip_len = if v6 { 40 } else { 20 };
            let datagram = bth::Datagram::parse(&cnp[ip_at + ip_len + 8..]).expect("a CNP");
            let bth = datagram.bth();
            assert_eq!((bth.opcode, bth.dest_qp, bth.p_key), (Opcode::CNP, 0x11, 0x8005));
            assert!(bth.becn && !bth.fecn);
        }
    }

    #[test]
    fn nothing_is_written_of_anything_else() {
        let (frame, ip_at) = frame(false);
        let mut buffer = [0; MAX_LEN];
        let mut other = |at: usize, byte: u8| {
            let mut other = frame.clone();
            other[at] = byte;
            write_to_sender(&other, ip_at, 1, &mut buffer)
        };
        assert!(other(ip_at, 0x46).is_none(), "options");
        assert!(other(ip_at + 9, 6).is_none(), "TCP");
        assert!(other(ip_at + 23, 0xb8).is_none(), "another port");
        for len in 0..frame.len() {
            assert!(write_to_sender(&frame[..len], ip_at, 1, &mut buffer).is_none(), "{len}");
        }
        for room in 0..ip_at + 20 + 8 + DATAGRAM_LEN {
            assert!(write_to_sender(&frame, ip_at, 1, &mut buffer[..room]).is_none(), "{room}");
        }
    }
}
