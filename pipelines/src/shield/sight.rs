//! What the shield sees in a packet of a reliable connection.

use std::net::IpAddr;

use super::table::Key;
use crate::wire::aeth::{Aeth, Meaning, NakCode, Syndrome};
use crate::wire::bth::{Bth, Datagram};
use crate::wire::cm::{GSI_Q_KEY, GSI_QP, Mad, Message};
use crate::wire::ext::Ext;
use crate::wire::opcode::{Kind, Opcode, Place, Service};
use crate::wire::packet::{Class, Ip, Parsed, Roce};
use crate::wire::psn::Psn;
use crate::wire::udp;

/// The opcodes of READ responses, acknowledgements and atomic acknowledgements, without service
/// (IBTA volume 1, table 38).
const ANSWERS: std::ops::RangeInclusive<u8> = 0x0d..=0x12;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// A request.
    Request(Key, Request),
    /// An answer to requests.
    Answer(Key, Psn, Answer),
    /// A connection begins, whose requests go to the sender's queue pair: the key of the stream of
    /// these requests.
    Connect(Key),
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) psn: Psn,
    /// Bytes asked for, if it is a READ.
    pub(super) read: Option<u32>,
    /// The path MTU, if it can be told from this packet: all but the last of a message are full.
    pub(super) pmtu: Option<u16>,
    /// Whether a message starts here.
    pub(super) starts: bool,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything up to here arrived; a full READ response tells the path MTU too.
    Ack(Option<u16>),
    /// Everything before this arrived; this and what follows is to be sent again: NAK of a sequence
    /// error, or the receiver was not ready.
    Again,
    /// The queue pair has failed.
    Fatal,
}

/// Whether [`look`] might see an answer or a connection: false for what surely is neither, by a few
/// bytes of the usual place.
#[inline]
pub(super) fn may_answer(head: &[u8]) -> bool {
    let Some(bytes) = head.first_chunk::<50>() else { return false };
    match [bytes[12], bytes[13], bytes[14]] {
        [0x08, 0x00, 0x45] => {
            let roce = [bytes[23], bytes[36], bytes[37]] == [udp::PROTOCOL, 0x12, 0xb7];
            let opcode = bytes[42];
            roce && (ANSWERS.contains(&(opcode & 0x1f)) || opcode == Opcode::UD_SEND_ONLY.0)
        }
        // Tags, options, IPv6.
        [0x08, 0x00, _] | [0x86, 0xdd, _] | [0x81, 0x00, _] | [0x88, 0xa8, _] | [0x91, 0x00, _] => {
            true
        }
        _ => false,
    }
}

/// Looks at a packet of `len` bytes, whose headers lie in `head`.
#[inline]
pub(super) fn look(head: &[u8], len: usize) -> Option<Sight> {
    let parsed = Parsed::of(head, len);
    let Class::Roce(ip, udp, roce) = parsed.class else { return None };
    let Bth { opcode, dest_qp, psn, .. } = roce.bth;
    let shape = opcode.shape();
    let vlan = parsed.vlan.unwrap_or(0);
    let (source, destination) = ip.addresses(head)?;
    let to = |qp| key(source, destination, vlan, qp);
    let connected = matches!(opcode.service(), Service::ReliableConnected | Service::Extended);
    let psn = Psn::new(psn);
    match shape.kind {
        Kind::Request if connected => {
            Some(Sight::Request(to(dest_qp), request(head, &ip, &roce, psn)))
        }
        Kind::Response if connected => {
            let answer = Answer::Ack(full(&roce));
            Some(Sight::Answer(to(dest_qp), psn, answer))
        }
        Kind::Acknowledge if connected => {
            let answer = match syndrome(head, &ip)?.meaning() {
                Meaning::Ack(_) => Answer::Ack(None),
                Meaning::RnrNak(_) | Meaning::Nak(NakCode::PsnSequence) => Answer::Again,
                Meaning::Nak(NakCode::Reserved(_)) | Meaning::Reserved => return None,
                Meaning::Nak(_) => Answer::Fatal,
            };
            Some(Sight::Answer(to(dest_qp), psn, answer))
        }
        Kind::Datagram if dest_qp == GSI_QP && opcode == Opcode::UD_SEND_ONLY => {
            let begin = ip.payload_at() + udp::HEADER_LEN;
            let end = ip.payload_at() + usize::from(udp.len);
            let qp = connecting(head.get(begin..end)?)?;
            // Requests to the sender's queue pair come from the other end.
            Some(Sight::Connect(key(destination, source, vlan, qp)))
        }
        _ => None,
    }
}

/// The stream of requests, or of answers, to a queue pair.
#[inline]
pub(super) fn key(source: IpAddr, destination: IpAddr, vlan: u16, qp: u32) -> Key {
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let both = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
            [both, 0, 0, 4]
        }
        (source, destination) => {
            let [from, to] = [source, destination].map(|address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                IpAddr::V6(address) => address.to_bits(),
            });
            [(from >> 64) as u64, from as u64, (to >> 64) as u64, to as u64]
        }
    };
    Key { addresses, rest: u64::from(vlan) << 32 | u64::from(qp) }
}

#[inline]
fn request(head: &[u8], ip: &Ip, roce: &Roce, psn: Psn) -> Request {
    let opcode = roce.bth.opcode;
    let shape = opcode.shape();
    let read = opcode.is_read_request().then(|| {
        // The last word of the RETH: DMA length.
        let at = extended_at(ip) + shape.headers.offset(Ext::Reth)? + 12;
        head.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    });
    Request { psn, read: read.flatten(), pmtu: full(roce), starts: shape.place.starts() }
}

/// The path MTU, if this packet is one that is full.
#[inline]
fn full(roce: &Roce) -> Option<u16> {
    let is_full = matches!(roce.bth.opcode.shape().place, Place::First | Place::Middle);
    (is_full && roce.payload_len > 0).then_some(roce.payload_len)
}

#[inline]
fn syndrome(head: &[u8], ip: &Ip) -> Option<Syndrome> {
    let aeth = head.get(extended_at(ip)..)?.first_chunk::<{ Aeth::LEN }>()?;
    Some(Aeth::read(aeth).syndrome)
}

#[inline]
fn extended_at(ip: &Ip) -> usize {
    ip.payload_at() + udp::HEADER_LEN + Bth::LEN
}

/// The queue pair of the sender of a message that begins a connection.
#[cold]
fn connecting(udp_payload: &[u8]) -> Option<u32> {
    let datagram = Datagram::parse(udp_payload).ok()?;
    datagram.deth().filter(|deth| deth.q_key == GSI_Q_KEY)?;
    match Mad::parse(datagram.payload()).ok()?.message {
        Message::Req(req) => Some(req.local_qpn),
        Message::Rep(rep) => Some(rep.local_qpn),
        _ => None,
    }
}
