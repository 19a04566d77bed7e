//! Connection management: the MADs that say which queue pairs talk to each other.
//!
//! Field offsets are those of InfiniBand Architecture volume 1, chapter 12 (communication
//! management), counted from the MAD's first byte.

use std::collections::HashMap;
use std::net::IpAddr;

use super::flow::FlowKey;

/// The general services queue pair, to which MADs go.
pub(super) const GSI_QP: u32 = 1;
/// The Q_Key of that queue pair.
pub(super) const GSI_Q_KEY: u32 = 0x8001_0000;

/// Bytes of a MAD.
const MAD_LEN: usize = 256;
/// Base version 1, class 7 (communication management), class version 2, method 3 (send).
const CM_SEND: [u8; 4] = [1, 7, 2, 3];

/// What kind of connection management message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// Connection request.
    Req,
    /// Message receipt acknowledged: the answer takes longer.
    Mra,
    /// Rejected.
    Rej,
    /// Reply to a request.
    Rep,
    /// Ready to use.
    Rtu,
    /// Disconnect request.
    Dreq,
    /// Disconnect reply.
    Drep,
    /// Service ID resolution request, for datagrams.
    SidrReq,
    /// Service ID resolution reply.
    SidrRep,
    /// Load alternate path.
    Lap,
    /// Alternate path response.
    Apr,
}

impl ConnectionKind {
    /// The name that the standard uses.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionKind::Req => "REQ",
            ConnectionKind::Mra => "MRA",
            ConnectionKind::Rej => "REJ",
            ConnectionKind::Rep => "REP",
            ConnectionKind::Rtu => "RTU",
            ConnectionKind::Dreq => "DREQ",
            ConnectionKind::Drep => "DREP",
            ConnectionKind::SidrReq => "SIDR_REQ",
            ConnectionKind::SidrRep => "SIDR_REP",
            ConnectionKind::Lap => "LAP",
            ConnectionKind::Apr => "APR",
        }
    }

    fn of(attribute: u16) -> Option<Self> {
        Some(match attribute {
            0x10 => ConnectionKind::Req,
            0x11 => ConnectionKind::Mra,
            0x12 => ConnectionKind::Rej,
            0x13 => ConnectionKind::Rep,
            0x14 => ConnectionKind::Rtu,
            0x15 => ConnectionKind::Dreq,
            0x16 => ConnectionKind::Drep,
            0x17 => ConnectionKind::SidrReq,
            0x18 => ConnectionKind::SidrRep,
            0x19 => ConnectionKind::Lap,
            0x1a => ConnectionKind::Apr,
            _ => return None,
        })
    }
}

/// One connection management message; its repeats are counted, not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What the message says.
    pub kind: ConnectionKind,
    /// Who says it.
    pub src: IpAddr,
    /// To whom.
    pub dst: IpAddr,
    /// On which VLAN.
    pub vlan: Option<u16>,
    /// The same for a message and its repeats.
    pub transaction_id: u64,
    /// The sender's name for the connection.
    pub local_comm_id: Option<u32>,
    /// The receiver's name for the connection.
    pub remote_comm_id: Option<u32>,
    /// The sender's queue pair (REQ, REP).
    pub local_qpn: Option<u32>,
    /// The receiver's queue pair (DREQ).
    pub remote_qpn: Option<u32>,
    /// The first PSN that the sender's queue pair will receive (REQ, REP).
    pub starting_psn: Option<u32>,
    /// The path MTU in bytes (REQ).
    pub path_mtu: Option<u32>,
    /// How often the message was seen.
    pub packets: u64,
}

impl Connection {
    /// Reads a MAD that passes to queue pair 1; `None` if it is about something else.
    pub(super) fn parse(key: &FlowKey, mad: &[u8]) -> Option<Self> {
        let mad: &[u8; MAD_LEN] = mad.first_chunk()?;
        if field::<4>(mad, 0)? != CM_SEND {
            return None;
        }
        let kind = ConnectionKind::of(u16::from_be_bytes(field(mad, 16)?))?;
        let long = |at| field::<4>(mad, at).map(u32::from_be_bytes);
        let qpn = |at| field::<3>(mad, at).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]));
        let mut connection = Connection {
            kind,
            src: key.src,
            dst: key.dst,
            vlan: key.vlan,
            transaction_id: u64::from_be_bytes(field(mad, 8)?),
            local_comm_id: None,
            remote_comm_id: None,
            local_qpn: None,
            remote_qpn: None,
            starting_psn: None,
            path_mtu: None,
            packets: 1,
        };
        match kind {
            ConnectionKind::Req => {
                connection.local_comm_id = long(24);
                connection.local_qpn = qpn(56);
                connection.starting_psn = qpn(68);
                connection.path_mtu = field::<1>(mad, 74).and_then(|[byte]| path_mtu(byte >> 4));
            }
            ConnectionKind::SidrReq | ConnectionKind::SidrRep => {}
            _ => {
                connection.local_comm_id = long(24);
                connection.remote_comm_id = long(28);
            }
        }
        match kind {
            ConnectionKind::Rep => {
                connection.local_qpn = qpn(36);
                connection.starting_psn = qpn(44);
            }
            ConnectionKind::Dreq => connection.remote_qpn = qpn(32),
            _ => {}
        }
        Some(connection)
    }

    /// The flow towards one of this message's queue pairs: sent by the message's receiver.
    pub(super) fn flow_to_sender(&self, qpn: u32) -> FlowKey {
        FlowKey { src: self.dst, dst: self.src, vlan: self.vlan, dest_qp: qpn }
    }
}

fn field<const N: usize>(mad: &[u8; MAD_LEN], at: usize) -> Option<[u8; N]> {
    mad.get(at..)?.first_chunk().copied()
}

/// Bytes of a path MTU code.
fn path_mtu(code: u8) -> Option<u32> {
    (1..=5).contains(&code).then(|| 128 << code)
}

/// Kind, source, destination, VLAN, transaction: the same for a message and its repeats.
type MessageKey = (ConnectionKind, IpAddr, IpAddr, Option<u16>, u64);
/// Source, destination, VLAN, local communication identifier.
type RequestKey = (IpAddr, IpAddr, Option<u16>, u32);

/// The messages seen, up to a bound.
#[derive(Debug, Default)]
pub(super) struct Connections {
    list: Vec<Connection>,
    index: HashMap<MessageKey, usize, ahash::RandomState>,
    /// Where the requests are, by what replies will call them.
    requests: HashMap<RequestKey, usize, ahash::RandomState>,
    /// Messages that found no room.
    pub(super) untracked: u64,
}

impl Connections {
    pub(super) fn list(&self) -> &[Connection] {
        &self.list
    }

    /// Notes a message; returns it if it is new, with the request that it replies to.
    pub(super) fn observe(
        &mut self,
        message: Connection,
        limit: usize,
    ) -> Option<(&Connection, Option<&Connection>)> {
        let Connection { kind, src, dst, vlan, transaction_id, .. } = message;
        let key = (kind, src, dst, vlan, transaction_id);
        if let Some(known) = self.index.get(&key).and_then(|place| self.list.get_mut(*place)) {
            known.packets += 1;
            return None;
        }
        if self.list.len() >= limit {
            self.untracked += 1;
            return None;
        }
        self.index.insert(key, self.list.len());
        let mut request = None;
        match (kind, message.local_comm_id, message.remote_comm_id) {
            (ConnectionKind::Req, Some(id), _) => {
                self.requests.insert((src, dst, vlan, id), self.list.len());
            }
            (ConnectionKind::Rep, _, Some(id)) => {
                request = self.requests.get(&(dst, src, vlan, id)).copied();
            }
            _ => {}
        }
        self.list.push(message);
        let request = request.and_then(|place| self.list.get(place));
        self.list.last().map(|message| (message, request))
    }
}
