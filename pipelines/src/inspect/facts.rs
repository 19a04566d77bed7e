//! What the inspector wants to know of a packet.

use super::flow::FlowKey;
use super::frame::{Datagram, NoDatagram};
use super::sequence::Span;
use crate::wire::bth::{self, Bth};
use crate::wire::ext::Ext;
use crate::wire::opcode::{Kind, Opcode};

/// The stream of a flow to which a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Requests: numbered without holes (RC, UC, XRC).
    Request,
    /// Responses: acknowledgements, READ responses (RC, XRC).
    Response,
    /// Packets without a usable PSN: datagrams, congestion notifications, unknown opcodes.
    Unsequenced,
}

impl Role {
    /// The name that reports use.
    pub fn name(self) -> &'static str {
        match self {
            Role::Request => "request",
            Role::Response => "response",
            Role::Unsequenced => "unsequenced",
        }
    }
}

/// One RoCEv2 packet, as far as streams are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) key: FlowKey,
    pub(super) opcode: Opcode,
    pub(super) role: Role,
    pub(super) psn: u32,
    pub(super) p_key: u16,
    pub(super) payload_len: u32,
    /// The first packet of a message.
    pub(super) starts: bool,
    /// The last packet of a message: only those may be shorter than the path MTU.
    pub(super) ends: bool,
    pub(super) span: Span,
    /// The sender's queue pair and the receiver's Q_Key, of a datagram.
    pub(super) datagram: Option<(u32, u32)>,
    /// What was captured of the payload.
    pub(super) payload: &'a [u8],
}

/// What a frame turns out to be.
pub(super) enum Sight<'a> {
    /// No UDP to the port of RoCEv2.
    NotRocev2,
    /// It cannot be what it says.
    Malformed,
    /// A packet, and whether its ICRC is right, if that was computed.
    Packet(Facts<'a>, Option<bool>),
}

/// Looks at a frame: what was captured of it, and the bytes it had on the wire.
pub(super) fn look(frame: &[u8], original_len: usize, check_icrc: bool) -> Sight<'_> {
    let datagram = match Datagram::find(frame, original_len) {
        Ok(datagram) => datagram,
        Err(NoDatagram::Other) => return Sight::NotRocev2,
        Err(NoDatagram::Malformed) => return Sight::Malformed,
    };
    let Some(facts) = read(&datagram) else { return Sight::Malformed };
    let icrc = if check_icrc { datagram.icrc_is_right() } else { None };
    Sight::Packet(facts, icrc)
}

/// Reads BTH and extended headers; `None` if they contradict the datagram's length, or if the
/// capture holds only a part of them.
fn read<'a>(datagram: &Datagram<'a>) -> Option<Facts<'a>> {
    let (header, rest) = datagram.payload.split_first_chunk::<{ Bth::LEN }>()?;
    let bth = Bth::read(header);
    let (shape, payload_len) = bth::judge(&bth, datagram.payload_len()).ok()?;
    let (extended, payload) = rest.split_at_checked(shape.headers.len())?;
    let word = |header: Ext, at: usize| {
        let bytes = extended.get(shape.headers.offset(header)? + at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let role = match shape.kind {
        Kind::Request => Role::Request,
        Kind::Response | Kind::Acknowledge => Role::Response,
        Kind::Datagram | Kind::Congestion | Kind::Unknown => Role::Unsequenced,
    };
    let read_len = word(Ext::Reth, 12).filter(|_| bth.opcode.is_read_request());
    Some(Facts {
        key: FlowKey {
            src: datagram.src,
            dst: datagram.dst,
            vlan: datagram.vlan,
            dest_qp: bth.dest_qp,
        },
        opcode: bth.opcode,
        role,
        psn: bth.psn,
        p_key: bth.p_key,
        payload_len: payload_len as u32,
        starts: shape.place.starts(),
        ends: shape.place.ends(),
        span: read_len.map_or(Span::Exactly(1), Span::Read),
        // Source queue pair, 24 bits, and Q_Key.
        datagram: word(Ext::Deth, 4).map(|qp| qp & bth::MAX_24).zip(word(Ext::Deth, 0)),
        payload: payload.get(..payload_len).unwrap_or(payload),
    })
}
