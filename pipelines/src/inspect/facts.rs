//! What the inspector wants to know of a packet.

use super::flow::FlowKey;
use super::frame::{Datagram, ICRC_LEN, NoDatagram};
use super::opcode::{Opcode, Place};
use super::sequence::Span;

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
    pub(super) opcode: u8,
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
    let (bth, rest) = datagram.payload.split_first_chunk::<12>()?;
    let [opcode, flags, p0, p1, _, q0, q1, q2, _, n0, n1, n2] = *bth;
    if flags & 0x0f != 0 {
        return None; // transport version
    }
    let opcode = Opcode(opcode);
    let shape = opcode.shape();
    let pad_len = usize::from(flags >> 4 & 3);
    let headers_len = bth.len() + shape.extended_len;
    let padded_len = datagram.payload_len().checked_sub(headers_len + ICRC_LEN)?;
    let payload_len = padded_len.checked_sub(pad_len)?;
    // Padding is there to make this so.
    if padded_len % 4 != 0 && shape.known {
        return None;
    }
    let (extended, payload) = rest.split_at_checked(shape.extended_len)?;
    let last_word = || extended.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    Some(Facts {
        key: FlowKey {
            src: datagram.src,
            dst: datagram.dst,
            vlan: datagram.vlan,
            dest_qp: u32::from_be_bytes([0, q0, q1, q2]),
        },
        opcode: opcode.0,
        role: shape.role,
        psn: u32::from_be_bytes([0, n0, n1, n2]),
        p_key: u16::from_be_bytes([p0, p1]),
        payload_len: payload_len as u32,
        starts: matches!(shape.place, Place::First | Place::Only),
        ends: matches!(shape.place, Place::Last | Place::Only),
        // The length is the last field of the RETH, which is the last header.
        span: if shape.read { Span::Read(last_word()?) } else { Span::Exactly(1) },
        datagram: if shape.datagram { Some(deth(extended)?) } else { None },
        payload: payload.get(..payload_len).unwrap_or(payload),
    })
}

/// The sender's queue pair and the receiver's Q_Key, of a datagram extended transport header.
fn deth(extended: &[u8]) -> Option<(u32, u32)> {
    let [k0, k1, k2, k3, _, q0, q1, q2] = *extended.first_chunk::<8>()?;
    Some((u32::from_be_bytes([0, q0, q1, q2]), u32::from_be_bytes([k0, k1, k2, k3])))
}
