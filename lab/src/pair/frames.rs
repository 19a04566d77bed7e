//! Frames to measure with, built as an RNIC builds them: right lengths, checksum and ICRC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pipelines::wire::bth::{self, Bth};
use pipelines::wire::opcode::Opcode;
use pipelines::wire::{BuildError, ethernet, icrc, ipv4, ipv6, udp};

/// Where the IP packet begins in a frame of [`write_frame`].
pub const IP_AT: usize = ethernet::HEADER_LEN;
/// Bytes of its IP header.
pub const IP_LEN: usize = ipv4::MIN_HEADER_LEN;

/// RC RDMA WRITE Middle.
const WRITE_MIDDLE: u8 = 0x07;
const FIRST_QUEUE_PAIR: u32 = 17;
/// ECT(0): RNICs ask for marks instead of losses.
const ECN_CAPABLE: u8 = 2;
/// Behind the IP header.
const UDP_AND_BTH: usize = udp::HEADER_LEN + Bth::LEN;
/// Where in the BTH the PSN is.
const PSN_AT: usize = 9;

/// What one queue pair sends to, and all that tenants are told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its destination queue pair, 24 bits.
    pub queue_pair: u32,
    /// Who sends.
    pub source: IpAddr,
    /// Its VLAN, 1 to 4094; `None`: no tag.
    pub vlan: Option<u16>,
    /// Its differentiated services code point, 6 bits.
    pub dscp: u8,
    /// Its partition; `None`: the default one.
    pub p_key: Option<u16>,
}

impl Stream {
    /// The plain stream number `number` of a host with an IPv4 address.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            queue_pair: FIRST_QUEUE_PAIR + number,
            source: [10, 0, 0, 1].into(),
            vlan: None,
            dscp: 0,
            p_key: None,
        }
    }

    /// Its packets: RDMA WRITE Middle with `payload` bytes.
    ///
    /// # Panics
    /// If `payload` does not fit a frame.
    #[must_use]
    pub fn template(&self, payload: usize) -> Template {
        let data: Vec<u8> = (0..payload).map(|i| i as u8).collect();
        self.build(&data).expect("a payload that fits a frame")
    }

    fn build(&self, payload: &[u8]) -> Result<Template, BuildError> {
        let vlan = self.vlan.map(|vlan| ethernet::Tag::new(0x8100, 0, vlan));
        let (ethertype, ip_len) = match self.source {
            IpAddr::V4(_) => (ethernet::IPV4, ipv4::MIN_HEADER_LEN),
            IpAddr::V6(_) => (ethernet::IPV6, ipv6::HEADER_LEN),
        };
        let header = ethernet::Header {
            destination: [2, 0, 0, 0, 1, 1],
            source: [2, 0, 0, 0, 2, 2],
            tags: vlan.as_slice(),
            ethertype,
        };
        let ip_at = header.len();
        let behind = Bth::LEN + payload.len().next_multiple_of(4) + icrc::LEN;
        let mut bytes = vec![0; ip_at + ip_len + udp::HEADER_LEN + behind];
        let (front, datagram) = bytes.split_at_mut(ip_at + ip_len + udp::HEADER_LEN);
        let (front, udp_header) = front.split_at_mut(ip_at + ip_len);
        let (ethernet_header, ip_header) = front.split_at_mut(ip_at);
        header.write(ethernet_header)?;
        let plain = Bth::new(Opcode(WRITE_MIDDLE), self.queue_pair, 1);
        let p_key = self.p_key.unwrap_or(plain.p_key);
        let len = bth::write(Bth { migrated: true, p_key, ..plain }, &[], payload, datagram)?;
        udp::Header { source_port: 0xc000, destination_port: udp::ROCEV2_PORT }
            .write(len, udp_header)?;
        self.write_ip(udp::HEADER_LEN + len, ip_header)?;
        let mut template = Template { bytes, ip_at, ip_len };
        template.write_icrc();
        Ok(template)
    }

    fn write_ip(&self, len: usize, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let tos = self.dscp << 2 | ECN_CAPABLE;
        match self.source {
            IpAddr::V4(source) => ipv4::Header {
                tos,
                identification: 0,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: 64,
                protocol: udp::PROTOCOL,
                source: source.octets(),
                destination: Ipv4Addr::new(10, 1, 0, 2).octets(),
                options: &[],
            }
            .write(len, buffer),
            IpAddr::V6(source) => ipv6::Header {
                traffic_class: tos,
                flow_label: 0,
                next_header: udp::PROTOCOL,
                hop_limit: 64,
                source: source.octets(),
                destination: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2).octets(),
            }
            .write(len, buffer),
        }
    }
}

/// A frame of a stream, whose PSN is set for each packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    bytes: Vec<u8>,
    ip_at: usize,
    ip_len: usize,
}

impl Template {
    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives it a PSN, of which the low 24 bits count; `icrc`: and the ICRC for it.
    pub fn set_psn(&mut self, psn: u32, icrc: bool) {
        let [_, psn @ ..] = psn.to_be_bytes();
        let bth_at = self.ip_at + self.ip_len + udp::HEADER_LEN;
        self.bytes[bth_at + PSN_AT..][..psn.len()].copy_from_slice(&psn);
        if icrc {
            self.write_icrc();
        }
    }

    fn write_icrc(&mut self) {
        let end = self.bytes.len() - icrc::LEN;
        debug_assert!(end >= self.ip_at + self.ip_len + UDP_AND_BTH);
        let sum = icrc::compute(self.ip_len, [&self.bytes[self.ip_at..end]]);
        let sum = sum.expect("all headers are there");
        self.bytes[end..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A frame to one QP: an RDMA WRITE Middle packet of `payload` bytes.
///
/// # Panics
/// If `payload` does not fit a frame.
#[must_use]
pub fn write_frame(queue_pair: u32, payload: usize) -> Vec<u8> {
    Stream { queue_pair, ..Stream::new(0) }.template(payload).bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelines::wire::packet::{Class, Parsed};

    fn assert_is_of_an_rnic(frame: &[u8], stream: &Stream, psn: u32, payload: usize) {
        let parsed = Parsed::of(frame, frame.len());
        let Class::Roce(_, _, roce) = parsed.class else { panic!("{parsed:?}") };
        assert_eq!((roce.bth.dest_qp, roce.bth.psn), (stream.queue_pair, psn));
        assert_eq!(roce.bth.p_key, stream.p_key.unwrap_or(0xffff));
        assert_eq!(usize::from(roce.payload_len), payload);
        assert_eq!(parsed.icrc_is_right([frame]), Some(true));
        let view = ethernet::View::parse(frame).expect("an Ethernet frame");
        assert_eq!(view.tags().next().map(ethernet::Tag::vid), stream.vlan);
    }

    #[test]
    fn frames_are_what_an_rnic_sends() {
        let plain = Stream::new(3);
        let tagged = Stream { vlan: Some(100), dscp: 26, p_key: Some(0x8001), ..Stream::new(4) };
        let six = Stream { source: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), ..Stream::new(5) };
        for stream in [&plain, &tagged, &six] {
            for payload in [1, 256, 1_024, 4_096] {
                let mut template = stream.template(payload);
                assert_is_of_an_rnic(template.bytes(), stream, 1, payload);
                template.set_psn(0x0100_0007, true);
                assert_is_of_an_rnic(template.bytes(), stream, 7, payload);
            }
        }
        let ip = plain.template(64);
        let ip = ipv4::View::parse(&ip.bytes()[IP_AT..]).expect("an IPv4 packet");
        assert!(ip.has_right_checksum());
    }
}
