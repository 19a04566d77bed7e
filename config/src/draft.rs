//! What a file says, piece by piece and with its place, before the pieces are held against each
//! other.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use crate::backpressure::BackpressureDraft;
use crate::classes::ClassDraft;
use crate::document::Field;
use crate::mac::Mac;
use crate::model::{
    Absent, Bfd, Carry, Control, Encapsulation, Flows, Gateway, Idle, Key, NextHop, Numbering,
    Oversize, Recovery, Role, Share, Ttl, Workers, XdpMode,
};
use crate::prefix::Prefix;
use crate::units::{Bytes, Rate, Span};

/// A file, read. `None` where a section is missing or a part of it is wrong: reported by then.
pub(crate) struct Draft {
    pub(crate) gateway: GatewayDraft,
    pub(crate) workers: WorkersDraft,
    pub(crate) ports: Vec<PortDraft>,
    pub(crate) peers: Vec<PeerDraft>,
    pub(crate) paths: Vec<PathDraft>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) recovery_at: RecoveryPlaces,
    pub(crate) flows: Option<Flows>,
    pub(crate) classes: Vec<ClassDraft>,
    pub(crate) tenants: Vec<TenantDraft>,
    pub(crate) backpressure: Option<BackpressureDraft>,
    pub(crate) queues: Option<QueuesDraft>,
    pub(crate) eal: Field<Vec<String>>,
    pub(crate) control: Option<Control>,
}

/// Where bounds of `[recovery]` stand; or their section, or the file's beginning.
pub(crate) struct RecoveryPlaces {
    pub(crate) replay_bytes: usize,
    pub(crate) replay_packets: usize,
    pub(crate) hold_bytes: usize,
    pub(crate) hold_packets: usize,
}

/// `[gateway]`.
pub(crate) struct GatewayDraft {
    pub(crate) name: Field<String>,
    pub(crate) address: Field<IpAddr>,
    pub(crate) udp_port: Field<u32>,
    pub(crate) outer_checksum: Field<bool>,
    pub(crate) oversize: Field<Oversize>,
    pub(crate) sid: Field<Ipv6Addr>,
    pub(crate) ecn: Field<bool>,
}

/// `[workers]`.
pub(crate) struct WorkersDraft {
    pub(crate) cores: Field<Vec<u32>>,
    pub(crate) idle: Field<Idle>,
    pub(crate) buffers: Field<u32>,
    pub(crate) buffer_bytes: Field<u32>,
}

/// The drivers a file may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverName {
    Pcap,
    Ring,
    AfXdp,
    Dpdk,
}

/// `[[port]]`.
pub(crate) struct PortDraft {
    pub(crate) at: usize,
    pub(crate) name: Field<String>,
    pub(crate) role: Field<Role>,
    pub(crate) driver: Field<DriverName>,
    pub(crate) mtu: Field<u32>,
    pub(crate) mac: Field<Mac>,
    pub(crate) bump: Field<String>,
    pub(crate) next_hop: Field<NextHop>,
    pub(crate) input: Field<PathBuf>,
    pub(crate) output: Field<PathBuf>,
    pub(crate) interface: Field<String>,
    pub(crate) queues: Field<Vec<u32>>,
    pub(crate) xdp_mode: Field<XdpMode>,
    pub(crate) xdp_replace: Field<bool>,
    pub(crate) device: Field<String>,
    pub(crate) rate: Field<Rate>,
    pub(crate) burst: Field<Bytes>,
}

/// `[[peer]]`.
pub(crate) struct PeerDraft {
    pub(crate) at: usize,
    pub(crate) name: Field<String>,
    pub(crate) address: Field<IpAddr>,
    pub(crate) prefixes: Field<Vec<(Prefix, usize)>>,
    pub(crate) everything: Field<bool>,
    pub(crate) numbering: Field<Numbering>,
    pub(crate) check_icrc: Field<bool>,
    pub(crate) source_port_entropy: Field<bool>,
    pub(crate) carry: Field<Carry>,
    pub(crate) ttl: Field<Ttl>,
    pub(crate) absent: Field<Absent>,
    pub(crate) lan: Field<String>,
    /// From either of the two keys.
    pub(crate) key: Option<Key>,
    pub(crate) lanes: Field<u32>,
    /// In thousandths; `None` is off.
    pub(crate) spread: Field<Option<u32>>,
    pub(crate) group: Field<Bytes>,
    pub(crate) rebalance: Field<Span>,
}

/// `[[path]]`.
pub(crate) struct PathDraft {
    pub(crate) at: usize,
    pub(crate) name: Field<String>,
    pub(crate) peer: Field<String>,
    pub(crate) port: Field<String>,
    pub(crate) next_hop: Field<NextHop>,
    /// From either of the two keys; its place is that key's.
    pub(crate) share: Field<Share>,
    pub(crate) channels: Field<u32>,
    pub(crate) rtt: Field<Span>,
    pub(crate) mtu: Field<u32>,
    pub(crate) bfd: Option<Option<Bfd>>,
    pub(crate) encapsulation: Option<EncapsulationDraft>,
}

/// What is around packets on a path, and where that is said.
pub(crate) struct EncapsulationDraft {
    pub(crate) at: usize,
    pub(crate) segments: Vec<(Ipv6Addr, usize)>,
    pub(crate) means: Encapsulation,
}

/// `[[tenant]]`.
pub(crate) struct TenantDraft {
    pub(crate) at: usize,
    pub(crate) name: Field<String>,
    pub(crate) order: Field<u32>,
    pub(crate) vlan: Field<Vec<u32>>,
    pub(crate) prefixes: Field<Vec<(Prefix, usize)>>,
    pub(crate) p_keys: Field<Vec<u32>>,
    pub(crate) dscp: Field<Vec<u32>>,
    pub(crate) ports: Field<Vec<String>>,
    pub(crate) replay_bytes: Field<Bytes>,
    pub(crate) hold_bytes: Field<Bytes>,
    pub(crate) queue: QueueDraft,
}

/// What `[[tenant]]` says of its queues.
pub(crate) struct QueueDraft {
    pub(crate) rate: Field<Rate>,
    pub(crate) burst: Field<Bytes>,
    pub(crate) weight: Field<u32>,
    pub(crate) lossless: Field<bool>,
    pub(crate) reserved: Field<Bytes>,
    pub(crate) alpha: Field<u32>,
    pub(crate) headroom: Field<Bytes>,
    pub(crate) xoff: Field<Bytes>,
    pub(crate) xon: Field<Bytes>,
    pub(crate) priority: Field<u32>,
    pub(crate) ecn_min: Field<Bytes>,
    pub(crate) ecn_max: Field<Bytes>,
    /// In thousandths.
    pub(crate) ecn_probability: Field<u32>,
    pub(crate) cnp: Field<Span>,
}

/// `[queues]`.
pub(crate) struct QueuesDraft {
    pub(crate) at: usize,
    pub(crate) pool_bytes: Field<Bytes>,
    pub(crate) packets: Field<u32>,
}

impl GatewayDraft {
    /// The finished section, if nothing in it is missing or wrong.
    pub(crate) fn build(&self) -> Option<Gateway> {
        Some(Gateway {
            name: self.name.given()?.clone(),
            address: *self.address.given()?,
            udp_port: u16::try_from(self.udp_port.or(DEFAULT_UDP_PORT)?).ok()?,
            outer_checksum: self.outer_checksum.or(true)?,
            oversize: match self.oversize {
                Field::Given(oversize, _) => Some(oversize),
                Field::Absent => None,
                Field::Wrong => return None,
            },
            sid: match self.sid {
                Field::Given(sid, _) => Some(sid),
                Field::Absent => None,
                Field::Wrong => return None,
            },
            ecn: self.ecn.or(true)?,
        })
    }
}

impl WorkersDraft {
    /// The finished section with that many buffers, if nothing in it is wrong.
    pub(crate) fn build(&self, buffers: u32) -> Option<Workers> {
        Some(Workers {
            cores: self.cores.or(vec![1])?,
            idle: self.idle.or(Idle::Backoff)?,
            buffers,
            buffer_bytes: self.buffer_bytes.or(DEFAULT_BUFFER_BYTES)?,
        })
    }
}

/// Size of a packet buffer: an Ethernet frame and the headers around it.
pub(crate) const DEFAULT_BUFFER_BYTES: u32 = 2_304;

/// The tunnels' UDP port.
pub(crate) const DEFAULT_UDP_PORT: u32 = 4794;
