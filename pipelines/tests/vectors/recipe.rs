//! How a frame of the vectors is built, and what must be read from it.

use pipelines::wire::aeth::Aeth;
use pipelines::wire::bth::{self, Bth, Datagram};
use pipelines::wire::ethernet::{self, Tag};
use pipelines::wire::ext::{AtomicEth, Deth, Feth, Reth};
use pipelines::wire::opcode::Opcode;
use pipelines::wire::{icrc, ipv4, ipv6, udp};

pub(crate) const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
pub(crate) const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
pub(crate) const A4: [u8; 4] = [10, 1, 0, 11];
pub(crate) const B4: [u8; 4] = [10, 2, 0, 22];
pub(crate) const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
pub(crate) const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x22];
pub(crate) const FLOW_LABEL: u32 = 0x12345;

/// The extended headers of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Headers {
    pub(crate) xrc_srq: Option<u32>,
    pub(crate) deth: Option<Deth>,
    pub(crate) feth: Option<Feth>,
    pub(crate) reth: Option<Reth>,
    pub(crate) aeth: Option<Aeth>,
    pub(crate) atomic: Option<AtomicEth>,
    pub(crate) original: Option<u64>,
    pub(crate) immediate: Option<u32>,
    pub(crate) invalidate: Option<u32>,
}

impl Headers {
    pub(crate) fn read(datagram: &Datagram<'_>) -> Self {
        Self {
            xrc_srq: datagram.xrc_srq(),
            deth: datagram.deth(),
            feth: datagram.feth(),
            reth: datagram.reth(),
            aeth: datagram.aeth(),
            atomic: datagram.atomic(),
            original: datagram.original_value(),
            immediate: datagram.immediate(),
            invalidate: datagram.invalidated_key(),
        }
    }

    /// In the order of the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.xrc_srq.into_iter().flat_map(u32::to_be_bytes));
        bytes.extend(self.deth.into_iter().flat_map(Deth::to_bytes));
        bytes.extend(self.feth.into_iter().flat_map(Feth::to_bytes));
        bytes.extend(self.reth.into_iter().flat_map(Reth::to_bytes));
        bytes.extend(self.aeth.into_iter().flat_map(Aeth::to_bytes));
        bytes.extend(self.atomic.into_iter().flat_map(AtomicEth::to_bytes));
        bytes.extend(self.original.into_iter().flat_map(u64::to_be_bytes));
        bytes.extend(self.immediate.into_iter().flat_map(u32::to_be_bytes));
        bytes.extend(self.invalidate.into_iter().flat_map(u32::to_be_bytes));
        bytes
    }
}

/// A RoCEv2 frame between hosts A and B.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) from_a: bool,
    pub(crate) is_ipv6: bool,
    pub(crate) tags: Vec<Tag>,
    /// IPv4 identification.
    pub(crate) id: u16,
    /// Type of service or traffic class.
    pub(crate) tos: u8,
    pub(crate) flow_label: u32,
    pub(crate) source_port: u16,
    pub(crate) bth: Bth,
    pub(crate) headers: Headers,
    /// The reserved bytes of a CNP are given here.
    pub(crate) reserved: &'static [u8],
    pub(crate) payload: Vec<u8>,
}

impl Recipe {
    /// Builds the frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0xaa; 2048];
        let (source, destination) = if self.from_a { (MAC_A, MAC_B) } else { (MAC_B, MAC_A) };
        let ethertype = if self.is_ipv6 { ethernet::IPV6 } else { ethernet::IPV4 };
        let header = ethernet::Header { destination, source, tags: &self.tags, ethertype };
        let ip_at = header.write(&mut frame).expect("room");
        let ip_len = if self.is_ipv6 { ipv6::HEADER_LEN } else { ipv4::MIN_HEADER_LEN };
        let udp_at = ip_at + ip_len;
        let extended = [&self.headers.bytes()[..], self.reserved];
        let bth_at = udp_at + udp::HEADER_LEN;
        let len = bth::write(self.bth, &extended, &self.payload, &mut frame[bth_at..]);
        let len = len.expect("a datagram");
        let ports =
            udp::Header { source_port: self.source_port, destination_port: udp::ROCEV2_PORT };
        ports.write(len, &mut frame[udp_at..]).expect("a UDP header");
        self.write_ip(udp::HEADER_LEN + len, &mut frame[ip_at..]);
        frame.truncate(bth_at + len);
        seal(ip_at, ip_len, &mut frame);
        frame
    }

    fn write_ip(&self, payload_len: usize, buffer: &mut [u8]) {
        let order = |a, b| if self.from_a { (a, b) } else { (b, a) };
        if self.is_ipv6 {
            let (source, destination) = if self.from_a { (A6, B6) } else { (B6, A6) };
            let header = ipv6::Header {
                traffic_class: self.tos,
                flow_label: self.flow_label,
                next_header: udp::PROTOCOL,
                hop_limit: 64,
                source,
                destination,
            };
            header.write(payload_len, buffer).expect("an IPv6 header");
        } else {
            let (source, destination) = order(A4, B4);
            let header = ipv4::Header {
                tos: self.tos,
                identification: self.id,
                fragment_word: ipv4::DONT_FRAGMENT,
                ttl: 64,
                protocol: udp::PROTOCOL,
                source,
                destination,
                options: &[],
            };
            header.write(payload_len, buffer).expect("an IPv4 header");
        }
    }

    /// Asserts that the frame says what the recipe does.
    pub(crate) fn assert_read(&self, frame: &[u8]) {
        let name = self.name;
        let ethernet = ethernet::View::parse(frame).expect(name);
        assert!(ethernet.tags().eq(self.tags.iter().copied()), "{name}");
        let macs = if self.from_a { (MAC_B, MAC_A) } else { (MAC_A, MAC_B) };
        assert_eq!((ethernet.destination(), ethernet.source()), macs, "{name}");
        let ip_payload = if self.is_ipv6 {
            let ip = ipv6::View::parse(ethernet.payload()).expect(name);
            let ends = if self.from_a { (&A6, &B6) } else { (&B6, &A6) };
            assert_eq!((ip.source(), ip.destination()), ends, "{name}");
            assert_eq!((ip.traffic_class(), ip.flow_label()), (self.tos, self.flow_label));
            assert_eq!((ip.hop_limit(), ip.next_header(), ip.upper().protocol), (64, 17, 17));
            assert_eq!(usize::from(ip.payload_len()), ip.payload().len(), "{name}");
            ip.payload()
        } else {
            let ip = ipv4::View::parse(ethernet.payload()).expect(name);
            let ends = if self.from_a { (A4, B4) } else { (B4, A4) };
            assert_eq!((ip.source(), ip.destination()), ends, "{name}");
            assert_eq!((ip.tos(), ip.identification()), (self.tos, self.id), "{name}");
            assert_eq!((ip.ttl(), ip.protocol(), ip.fragment_word()), (64, 17, 0x4000));
            assert!(ip.has_right_checksum() && !ip.is_fragment(), "{name}");
            assert!(ip.options().is_empty(), "{name}");
            ip.payload()
        };
        let udp = udp::View::parse(ip_payload).expect(name);
        let ports = (udp.source_port(), udp.destination_port(), udp.checksum());
        assert_eq!(ports, (self.source_port, 4791, 0), "{name}");
        let datagram = Datagram::parse(udp.payload()).expect(name);
        let pad_len = self.payload.len().wrapping_neg() % 4;
        assert_eq!(datagram.bth(), Bth { pad_len: pad_len as u8, ..self.bth }, "{name}");
        assert_eq!(Headers::read(&datagram), self.headers, "{name}");
        assert_eq!(datagram.extended(), [&self.headers.bytes()[..], self.reserved].concat());
        assert_eq!(datagram.payload(), self.payload, "{name}");
        assert_eq!(datagram.padding(), &[0; 3][..pad_len], "{name}");
    }
}

/// Puts the right ICRC at the end of a frame without padding.
pub(crate) fn seal(ip_at: usize, ip_len: usize, frame: &mut [u8]) {
    let (covered, last) = frame.split_last_chunk_mut::<{ icrc::LEN }>().expect("an ICRC");
    let value = icrc::compute(ip_len, [&covered[ip_at..]]).expect("headers");
    *last = value.to_le_bytes();
}

/// A header as the hosts send it: migrated, in the default partition.
pub(crate) fn bth(opcode: u8, psn: u32, dest_qp: u32) -> Bth {
    Bth { migrated: true, ..Bth::new(Opcode(opcode), dest_qp, psn & 0xff_ffff) }
}
