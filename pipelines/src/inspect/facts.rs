//! What the inspector wants to know of a packet.

use super::flow::FlowKey;
use super::sequence::Span;
use crate::wire::bth::{self, Bth};
use crate::wire::ext::Ext;
use crate::wire::opcode::{Kind, Opcode};
use crate::wire::packet::{Class, Ip, Parsed, Roce};
use crate::wire::udp;

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
    let parsed = Parsed::of(frame, original_len);
    match parsed.class {
        Class::Roce(ip, _, roce) => {
            let Some(facts) = read(frame, parsed.vlan, &ip, &roce) else { return Sight::Malformed };
            // None, too, if the capture holds only a part of the datagram.
            let icrc = if check_icrc { parsed.icrc_is_right([frame]) } else { None };
            Sight::Packet(facts, icrc)
        }
        Class::MalformedRoce(..) => Sight::Malformed,
        _ => Sight::NotRocev2,
    }
}

/// Gathers what the headers say; `None` if they are not where they were seen.
fn read<'a>(frame: &'a [u8], vlan: Option<u16>, ip: &Ip, roce: &Roce) -> Option<Facts<'a>> {
    let Roce { bth, extended_len, payload_len } = *roce;
    let shape = bth.opcode.shape();
    let (src, dst) = ip.addresses(frame)?;
    let rest = frame.get(ip.payload_at() + udp::HEADER_LEN + Bth::LEN..)?;
    let (extended, payload) = rest.split_at_checked(extended_len.into())?;
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
        key: FlowKey { src, dst, vlan, dest_qp: bth.dest_qp },
        opcode: bth.opcode,
        role,
        psn: bth.psn,
        p_key: bth.p_key,
        payload_len: payload_len.into(),
        starts: shape.place.starts(),
        ends: shape.place.ends(),
        span: read_len.map_or(Span::Exactly(1), Span::Read),
        // Source queue pair, 24 bits, and Q_Key.
        datagram: word(Ext::Deth, 4).map(|qp| qp & bth::MAX_24).zip(word(Ext::Deth, 0)),
        payload: payload.get(..payload_len.into()).unwrap_or(payload),
    })
}
