//! Building frames.

use std::net::IpAddr;

use pipelines::wire::bth::Bth;
use pipelines::wire::ethernet::{self, Mac};
use pipelines::wire::{BuildError, icrc, ipv4, ipv6, udp};

/// Room for all headers of a packet: Ethernet, IPv6, UDP, BTH and the longest extended ones.
const MAX_HEADERS: usize = 128;
/// What hosts send with.
const TTL: u8 = 64;

/// The addresses that a frame goes from and to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) source_mac: Mac,
    pub(super) destination_mac: Mac,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) source_port: u16,
    /// The octet of that name, or type of service.
    pub(super) traffic_class: u8,
}

impl Route {
    /// Replaces `frame` by a whole one of this packet. `identification` is IPv4's.
    ///
    /// # Errors
    /// A field that does not fit, or addresses of two IP versions.
    #[inline]
    pub(super) fn write(
        &self,
        frame: &mut Vec<u8>,
        identification: u16,
        bth: Bth,
        extended: &[u8],
        payload: [&[u8]; 2],
    ) -> Result<(), BuildError> {
        let payload_len = payload[0].len() + payload[1].len();
        let pad_len = payload_len.wrapping_neg() % 4;
        let datagram_len = Bth::LEN + extended.len() + payload_len + pad_len + icrc::LEN;
        let mut head = [0; MAX_HEADERS];
        let len = self.head(&mut head, identification, datagram_len)?;
        let bth = Bth { pad_len: pad_len as u8, ..bth }.to_bytes()?;

        frame.clear();
        for part in [head.get(..len).unwrap_or_default(), &bth, extended, payload[0], payload[1]] {
            frame.extend_from_slice(part);
        }
        frame.extend_from_slice([0; 3].get(..pad_len).unwrap_or_default());
        let ip_len = len - ethernet::HEADER_LEN - udp::HEADER_LEN;
        let crc = icrc::compute(ip_len, frame.get(ethernet::HEADER_LEN..))
            .ok_or(BuildError::Field("IP header"))?;
        frame.extend_from_slice(&crc.to_le_bytes());
        if frame.len() < ethernet::MIN_FRAME_LEN {
            frame.resize(ethernet::MIN_FRAME_LEN, 0);
        }
        Ok(())
    }

    /// Everything before the BTH; returns its bytes.
    fn head(
        &self,
        head: &mut [u8; MAX_HEADERS],
        identification: u16,
        datagram_len: usize,
    ) -> Result<usize, BuildError> {
        let udp_len = udp::HEADER_LEN + datagram_len;
        let ethertype = if self.source.is_ipv4() { ethernet::IPV4 } else { ethernet::IPV6 };
        let (destination, source) = (self.destination_mac, self.source_mac);
        let mut len = ethernet::Header { destination, source, tags: &[], ethertype }.write(head)?;
        let rest = head.get_mut(len..).unwrap_or_default();
        len += match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Header {
                tos: self.traffic_class,
                identification,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: TTL,
                protocol: udp::PROTOCOL,
                source: source.octets(),
                destination: destination.octets(),
                options: &[],
            }
            .write(udp_len, rest)?,
            (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Header {
                traffic_class: self.traffic_class,
                flow_label: u32::from(self.source_port),
                next_header: udp::PROTOCOL,
                hop_limit: TTL,
                source: source.octets(),
                destination: destination.octets(),
            }
            .write(udp_len, rest)?,
            _ => return Err(BuildError::Field("IP version")),
        };
        let ports =
            udp::Header { source_port: self.source_port, destination_port: udp::ROCEV2_PORT };
        Ok(len + ports.write(datagram_len, head.get_mut(len..).unwrap_or_default())?)
    }
}

/// The source port that a pair of queue pairs uses in both directions.
pub(super) fn source_port(local: u32, remote: u32) -> u16 {
    let mut product = u64::from(local) * u64::from(remote);
    product ^= product >> 20;
    product ^= product >> 40;
    let label = product & 0xf_ffff;
    0xc000 | (label & 0x3fff ^ label >> 14) as u16
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use pipelines::wire::opcode::Opcode;
    use pipelines::wire::packet::{Class, Parsed};

    use super::*;

    fn route(source: IpAddr, destination: IpAddr) -> Route {
        let source_port = source_port(0x111, 0x222);
        let (source_mac, destination_mac, traffic_class) = ([2; 6], [4; 6], 0);
        Route { source_mac, destination_mac, source, destination, source_port, traffic_class }
    }

    #[test]
    fn frames_are_read_as_they_were_meant() {
        let v4 = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let v6 = |last| IpAddr::from(Ipv6Addr::from_bits(0xfd00u128 << 112 | last));
        for (route, version) in [(route(v4(1), v4(2)), 4), (route(v6(1), v6(2)), 6)] {
            let bth = Bth::new(Opcode(0x04), 0x12, 0xff_ffff);
            let mut frame = vec![9; 5000];
            for payload in [[&b""[..], b""], [b"ab", b"cde"], [&[1; 16], &[2; 4080]]] {
                route.write(&mut frame, 7, bth, &[], payload).expect("a frame");
                let parsed = Parsed::of(&frame, frame.len());
                assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
                let Class::Roce(ip, udp, roce) = parsed.class else { panic!("{parsed:?}") };
                let expected = Bth { pad_len: roce.bth.pad_len, ..bth };
                assert_eq!((ip.version, udp.source_port, roce.bth), (version, 0xc64b, expected));
                let at = ip.payload_at() + udp::HEADER_LEN + Bth::LEN;
                let length = usize::from(roce.payload_len);
                assert_eq!(frame[at..at + length], payload.concat());
                assert_eq!(ip.addresses(&frame), Some((route.source, route.destination)));
            }
        }
    }

    #[test]
    fn addresses_of_two_versions_make_no_frame() {
        let route = route(Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        let bth = Bth::new(Opcode(0x04), 1, 1);
        assert!(route.write(&mut Vec::new(), 0, bth, &[], [b"", b""]).is_err());
    }
}
