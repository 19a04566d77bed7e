//! What the shield sees in a packet of a reliable connection.
//!
//! On the hot path, so it reads what it needs and judges lengths only where asked to
//! ([`Sight::is_whole`]): what contradicts itself is followed as it says, and harms its own stream
//! only.

use super::table::Key;
use crate::wire::aeth::{Meaning, NakCode, Syndrome};
use crate::wire::bth::{Bth, Datagram, judge};
use crate::wire::cm::{GSI_Q_KEY, GSI_QP, MAD_LEN, Mad, Message};
use crate::wire::ext::Ext;
use crate::wire::opcode::{Kind, Opcode, Place, Shape};
use crate::wire::psn::Psn;
use crate::wire::{icrc, ipv6, udp};

/// Where a frame that claims to be RoCEv2 has its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Identifiers of the VLAN tags, together.
    pub(crate) vlan: u32,
    /// Where the IP header begins, and its version.
    pub(crate) ip_at: u8,
    pub(crate) ip_version: u8,
    /// Where the BTH begins, right behind the UDP header.
    pub(crate) bth_at: u8,
}

/// A packet of a reliable connection, or a datagram; what is asked for is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    head: &'a [u8],
    found: &'a Found,
    bth: &'a [u8; Bth::LEN],
    shape: &'a Shape,
}

/// An answer to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything up to its PSN arrived.
    Ack,
    /// Everything before its PSN arrived; what follows is to be sent again: NAK of a sequence
    /// error, or the receiver was not ready.
    Again,
    /// The queue pair has failed.
    Fatal,
}

impl<'a> Sight<'a> {
    /// Looks at a frame; `None` for what is of no interest.
    #[inline]
    pub(crate) fn of(head: &'a [u8], found: &'a Found) -> Option<Self> {
        let bth: &[u8; Bth::LEN] = head.get(usize::from(found.bth_at)..)?.first_chunk()?;
        // Of another version of the transport header, nothing is known.
        if bth[1] & 0x0f != 0 {
            return None;
        }
        let shape = Opcode(bth[0]).shape();
        let counts = match shape.kind {
            Kind::Request | Kind::Response | Kind::Acknowledge => {
                // RC and XRC.
                matches!(bth[0] >> 5, 0 | 5)
            }
            Kind::Datagram => true,
            Kind::Congestion | Kind::Unknown => false,
        };
        counts.then_some(Self { head, found, bth, shape })
    }

    /// Whether all lengths agree, in a frame of `len` bytes: the frame has the IP packet, that has the
    /// datagram, which has the headers of its opcode, padding as it says and an ICRC. Only then is
    /// what the headers say the packet's own, and not what happens to lie behind it.
    #[inline]
    pub(crate) fn is_whole(&self, len: usize) -> bool {
        let (ip_at, bth_at) = (usize::from(self.found.ip_at), usize::from(self.found.bth_at));
        let Some(ip) = self.head.get(ip_at..).and_then(|ip| ip.first_chunk::<6>()) else {
            return false;
        };
        let ip_len = match self.found.ip_version {
            4 => usize::from(u16::from_be_bytes([ip[2], ip[3]])),
            _ => ipv6::HEADER_LEN + usize::from(u16::from_be_bytes([ip[4], ip[5]])),
        };
        let Some(payload_len) = self.udp_payload_len() else { return false };
        let bth = Bth::read(self.bth);
        // Only the end of a message is padded (IBTA volume 1, section 9.2.6).
        let may_be_padded = !matches!(self.shape.place, Place::First | Place::Middle);
        ip_at + ip_len <= len
            && bth_at + payload_len <= ip_at + ip_len
            && (bth.pad_len == 0 || may_be_padded)
            && judge(&bth, payload_len).is_ok()
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// Whether a message starts here.
    #[inline]
    pub(super) fn starts(&self) -> bool {
        self.shape.place.starts()
    }

    #[inline]
    pub(crate) fn psn(&self) -> Psn {
        let [.., p0, p1, p2] = *self.bth;
        Psn::new(u32::from_be_bytes([0, p0, p1, p2]))
    }

    #[inline]
    fn qp(&self) -> u32 {
        let [_, _, _, _, _, q0, q1, q2, ..] = *self.bth;
        u32::from_be_bytes([0, q0, q1, q2])
    }

    /// Which stream of requests, or of answers, it is of.
    #[inline]
    pub(crate) fn key(&self) -> Option<Key> {
        self.key_to(self.qp())
    }

    #[inline]
    fn key_to(&self, qp: u32) -> Option<Key> {
        let ip = self.head.get(usize::from(self.found.ip_at)..)?;
        let rest = u64::from(self.found.vlan) << 32 | u64::from(qp);
        if self.found.ip_version == 4 {
            let both = u64::from_be_bytes(*ip.get(12..)?.first_chunk()?);
            return Some(Key { addresses: [both, 0, 0, Key::IPV4], rest });
        }
        let words: &[u8; 32] = ip.get(8..)?.first_chunk()?;
        let mut addresses = [0; 4];
        for (to, from) in addresses.iter_mut().zip(words.chunks_exact(8)) {
            *to = from.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Some(Key { addresses, rest })
    }

    /// Bytes asked for, if it is a READ: the last word of the RETH, DMA length.
    #[inline]
    pub(crate) fn read_len(&self) -> Option<u32> {
        if !Opcode(self.bth[0]).is_read_request() {
            return None;
        }
        let at = Bth::LEN + self.shape.headers.offset(Ext::Reth)? + 12;
        let bytes = self.head.get(usize::from(self.found.bth_at) + at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Whether it is a request whose answer has data, or a place of its own all the same: READ,
    /// atomic, FLUSH, ATOMIC WRITE.
    #[inline]
    pub(super) fn is_answered_with_data(&self) -> bool {
        matches!(self.bth[0] & 0x1f, 0x0c | 0x13 | 0x14 | 0x1c | 0x1d)
    }

    /// The path MTU, if it can be told from this packet: all but the last of a message are full.
    pub(crate) fn pmtu(&self) -> Option<u16> {
        if !matches!(self.shape.place, Place::First | Place::Middle) {
            return None;
        }
        let pad_len = usize::from(self.bth[1] >> 4 & 3);
        let around = Bth::LEN + self.shape.headers.len() + pad_len + icrc::LEN;
        let len = self.udp_payload_len()?.checked_sub(around)?;
        u16::try_from(len).ok().filter(|len| *len > 0)
    }

    /// What it says, if it is an answer.
    pub(super) fn answer(&self) -> Option<Answer> {
        match self.shape.kind {
            Kind::Response => Some(Answer::Ack),
            Kind::Acknowledge => {
                let at = usize::from(self.found.bth_at) + Bth::LEN;
                match Syndrome(*self.head.get(at)?).meaning() {
                    Meaning::Ack(_) => Some(Answer::Ack),
                    Meaning::RnrNak(_) | Meaning::Nak(NakCode::PsnSequence) => Some(Answer::Again),
                    Meaning::Nak(NakCode::Reserved(_)) | Meaning::Reserved => None,
                    Meaning::Nak(_) => Some(Answer::Fatal),
                }
            }
            _ => None,
        }
    }

    /// Whether it is the answer to an atomic, which has data of its own.
    #[inline]
    pub(crate) fn is_atomic_answer(&self) -> bool {
        self.bth[0] & 0x1f == 0x12
    }

    /// Whether an acknowledgement refuses something: NAK, or receiver not ready.
    #[inline]
    pub(crate) fn is_refusal(&self) -> bool {
        let at = usize::from(self.found.bth_at) + Bth::LEN;
        let meaning = self.head.get(at).map(|syndrome| Syndrome(*syndrome).meaning());
        matches!(meaning, Some(Meaning::RnrNak(_) | Meaning::Nak(_)))
    }

    /// The newest PSN that an acknowledgement acknowledges: what is refused, or expected, is the one
    /// behind it. `None` for what means nothing.
    #[inline]
    pub(crate) fn acknowledged(&self) -> Option<Psn> {
        let at = usize::from(self.found.bth_at) + Bth::LEN;
        match Syndrome(*self.head.get(at)?).meaning() {
            Meaning::Ack(_) => Some(self.psn()),
            Meaning::RnrNak(_) | Meaning::Nak(_) => Some(self.psn().plus(u32::MAX)),
            Meaning::Reserved => None,
        }
    }

    /// If it is a message of connection management: the hosts that it goes between, and what it says.
    #[cold]
    pub(super) fn manages(&self) -> Option<(Key, Message<'a>)> {
        if self.qp() != GSI_QP {
            return None;
        }
        let begin = usize::from(self.found.bth_at);
        let head = self.head.get(begin..)?.get(..self.udp_payload_len()?)?;
        let datagram = Datagram::parse(head).ok()?;
        datagram.deth().filter(|deth| deth.q_key == GSI_Q_KEY)?;
        // Whole, and nothing behind it.
        let mad = Some(datagram.payload()).filter(|payload| payload.len() == MAD_LEN)?;
        let message = Mad::parse(mad).ok()?.message;
        Some((self.key_to(0)?, message))
    }

    #[inline]
    fn udp_payload_len(&self) -> Option<usize> {
        let at = usize::from(self.found.bth_at).checked_sub(4)?;
        let len = u16::from_be_bytes(*self.head.get(at..)?.first_chunk()?);
        usize::from(len).checked_sub(udp::HEADER_LEN)
    }
}
