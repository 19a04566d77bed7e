//! What the tables see in a packet.

use std::fmt;

use crate::wire::cm::GSI_QP;
use crate::wire::ethernet;
use crate::wire::opcode::{Kind, Opcode};
use crate::wire::packet::{Class as Packet, Parsed};

use super::key::{Key, Name};

/// Protocols whose first four bytes are ports: TCP, SCTP (UDP is parsed).
const WITH_PORTS: [u8; 2] = [6, 132];

/// What packets of a flow do: a set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Kinds(u16);

impl Kinds {
    /// SEND, of connected services.
    pub const SEND: Self = Self(1);
    /// WRITE, ATOMIC WRITE and FLUSH included.
    pub const WRITE: Self = Self(1 << 1);
    /// READ requests.
    pub const READ: Self = Self(1 << 2);
    /// READ responses.
    pub const RESPONSE: Self = Self(1 << 3);
    /// Atomic operations.
    pub const ATOMIC: Self = Self(1 << 4);
    /// Datagrams (UD), but for those of management.
    pub const DATAGRAM: Self = Self(1 << 5);
    /// RoCEv2 of an unknown opcode, or malformed.
    pub const UNKNOWN: Self = Self(1 << 6);
    /// IP that is not RoCEv2.
    pub const OTHER: Self = Self(1 << 7);
    /// Acknowledgements, negative and atomic ones included.
    pub const ACKNOWLEDGE: Self = Self(1 << 8);
    /// Congestion notification.
    pub const CONGESTION: Self = Self(1 << 9);
    /// Datagrams to queue pair 1: connection management.
    pub const MANAGEMENT: Self = Self(1 << 10);

    const NAMES: [&'static str; 11] = [
        "send",
        "write",
        "read",
        "response",
        "atomic",
        "datagram",
        "unknown",
        "other",
        "acknowledge",
        "congestion",
        "management",
    ];
    const SIGNALLING: u16 = Self::ACKNOWLEDGE.0 | Self::CONGESTION.0 | Self::MANAGEMENT.0;

    /// Both sets together.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing in it but what runs the transport: acknowledgements, congestion
    /// notification, connection management.
    #[inline]
    #[must_use]
    pub const fn is_signalling(self) -> bool {
        self.0 & !Self::SIGNALLING == 0
    }

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 >> bit & 1 != 0)
            .map(|(_, name)| name)
    }

    /// Of a RoCEv2 packet with right lengths, to a queue pair.
    #[inline]
    fn of(opcode: Opcode, dest_qp: u32) -> Self {
        match opcode.shape().kind {
            Kind::Acknowledge => Self::ACKNOWLEDGE,
            Kind::Congestion => Self::CONGESTION,
            Kind::Response => Self::RESPONSE,
            Kind::Datagram if dest_qp == GSI_QP => Self::MANAGEMENT,
            Kind::Datagram => Self::DATAGRAM,
            Kind::Unknown => Self::UNKNOWN,
            // Operations are alike in all connected services (IBTA volume 1, table 38).
            Kind::Request => match opcode.0 & 0x1f {
                0x06..=0x0b | 0x1c | 0x1d => Self::WRITE,
                0x0c => Self::READ,
                0x13 | 0x14 => Self::ATOMIC,
                _ => Self::SEND,
            },
        }
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The priority that a packet asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Priority {
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Priority code point of the outermost tag (IEEE 802.1Q), 0 to 7; 0 without a tag.
    pub pcp: u8,
}

/// What counts of one packet, or of several of one subflow in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    pub(super) key: Key,
    pub(super) packets: u32,
    pub(super) bytes: u32,
    pub(super) kinds: Kinds,
    pub(super) priority: Priority,
}

impl Sight {
    /// A packet of `bytes` that belongs to `name`.
    #[must_use]
    pub fn new(name: &Name, bytes: u32, kinds: Kinds, priority: Priority) -> Self {
        Self { key: name.into(), packets: 1, bytes, kinds, priority }
    }

    /// What another packet of the subflow does, which is RoCEv2 with this opcode.
    pub fn does(&mut self, opcode: Opcode) {
        let Name { dest_qp: Some(dest_qp), .. } = self.key.name() else { return };
        self.kinds = self.kinds.with(Kinds::of(opcode, dest_qp));
    }

    /// Looks at a frame of `total_len` bytes, of which `head` is the beginning with all headers.
    /// `p_key`: whether P_Keys tell subflows apart. `None` for what is not IP: it has no flow.
    #[inline]
    #[must_use]
    pub fn of(head: &[u8], total_len: usize, tenant: u16, p_key: bool) -> Option<Self> {
        let parsed = Parsed::of(head, total_len);
        let ip = parsed.ip()?;
        let (source, destination) = ip.addresses(head)?;
        let tag = ethernet::View::parse(head).ok().and_then(|frame| frame.tags().next());
        let mut name = Name {
            source,
            destination,
            protocol: ip.protocol,
            source_port: 0,
            destination_port: 0,
            dest_qp: None,
            p_key: None,
            vlan: parsed.vlan,
            tenant,
        };
        let kinds = match parsed.class {
            Packet::Roce(_, udp, roce) => {
                // The source port is the RNIC's to choose for the network's hashing, a queue pair or
                // a packet (annex A17): it tells nobody apart.
                name.destination_port = udp.destination_port;
                name.dest_qp = Some(roce.bth.dest_qp);
                name.p_key = p_key.then_some(roce.bth.p_key);
                Kinds::of(roce.bth.opcode, roce.bth.dest_qp)
            }
            Packet::Udp(_, udp) => {
                (name.source_port, name.destination_port) = (udp.source_port, udp.destination_port);
                Kinds::OTHER
            }
            Packet::Ip(ip) if WITH_PORTS.contains(&ip.protocol) => {
                let ports = head.get(ip.payload_at()..).and_then(<[u8]>::first_chunk);
                if let Some(&[s0, s1, d0, d1]) = ports {
                    name.source_port = u16::from_be_bytes([s0, s1]);
                    name.destination_port = u16::from_be_bytes([d0, d1]);
                }
                Kinds::OTHER
            }
            Packet::MalformedRoce(..) => Kinds::UNKNOWN,
            _ => Kinds::OTHER,
        };
        let bytes = u32::try_from(total_len).unwrap_or(u32::MAX);
        let priority = Priority { dscp: ip.tos >> 2, pcp: tag.map_or(0, ethernet::Tag::pcp) };
        Some(Self::new(&name, bytes, kinds, priority))
    }

    /// The name of the subflow.
    #[must_use]
    pub fn name(&self) -> Name {
        self.key.name()
    }
}
