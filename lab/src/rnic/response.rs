//! What a responder has to say, in the order it will.

use std::collections::VecDeque;

use pipelines::wire::aeth::{Aeth, NakCode, Syndrome};
use pipelines::wire::opcode::{Opcode, Place};

use super::packet::{Extended, Packet};
use super::payload::{self, Payload};
use super::psn::{self, Psn};
use super::settings::Pmtu;
use super::work::place_of;

/// Acknowledges, without end-to-end credits.
const ACK: u8 = 0x1f;
const RNR_NAK: u8 = 0x20;
const NAK: u8 = 0x60;
/// Answers that may wait before acknowledgements are merged.
const MANY: usize = 1024;

/// One or, for a READ, several packets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Acknowledge { psn: Psn, msn: u64, syndrome: u8 },
    Atomic { psn: Psn, msn: u64, original: u64 },
    Read(Reading),
}

/// The responses to a READ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The READ's first PSN, even if it was restarted inside.
    pub(super) first: Psn,
    /// The next one to answer.
    pub(super) next: Psn,
    /// The one behind its last.
    pub(super) end: Psn,
    /// What the whole of it asked for.
    pub(super) address: u64,
    /// Its bytes.
    pub(super) length: u32,
    /// Messages executed with this one.
    pub(super) msn: u64,
}

impl Answer {
    /// Everything up to `psn` arrived.
    pub(super) const fn ack(psn: Psn, msn: u64) -> Self {
        Self::Acknowledge { psn, msn, syndrome: ACK }
    }

    /// `psn` is missing.
    pub(super) const fn sequence_nak(psn: Psn, msn: u64) -> Self {
        Self::Acknowledge { psn, msn, syndrome: NAK }
    }

    /// There is no receive for `psn`; `code` says when to try again.
    pub(super) const fn rnr_nak(psn: Psn, msn: u64, code: u8) -> Self {
        Self::Acknowledge { psn, msn, syndrome: RNR_NAK | code & 0x1f }
    }

    /// `psn` will never be executed.
    pub(super) const fn fatal_nak(psn: Psn, msn: u64, code: NakCode) -> Self {
        let code = match code {
            NakCode::RemoteAccess => 2,
            NakCode::RemoteOperational => 3,
            _ => 1,
        };
        Self::Acknowledge { psn, msn, syndrome: NAK | code }
    }

    const fn is_ack(&self) -> bool {
        matches!(self, Self::Acknowledge { syndrome: ACK, .. })
    }
}

/// The answers of one responder.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Answer>);

impl Answers {
    /// Whether there is nothing to say.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an answer, unless what is about to be said contains it.
    pub(super) fn push(&mut self, answer: Answer) {
        if let Answer::Read(again) = answer {
            let covers = |queued: &Answer| match queued {
                Answer::Read(queued) => queued.first == again.first && queued.next <= again.next,
                _ => false,
            };
            if self.0.iter().any(covers) {
                return;
            }
        }
        if self.0.len() >= MANY && answer.is_ack() && self.0.back().is_some_and(Answer::is_ack) {
            self.0.pop_back();
        }
        self.0.push_back(answer);
    }

    /// The next packet. `stream` is the secret of what is read.
    #[inline]
    pub(super) fn next(&mut self, stream: u64, pmtu: Pmtu) -> Option<Packet> {
        if let Some(Answer::Read(reading)) = self.0.front_mut() {
            let packet = reading.respond(stream, pmtu);
            reading.next += 1;
            if reading.next == reading.end {
                self.0.pop_front();
            }
            return Some(packet);
        }
        match self.0.pop_front()? {
            Answer::Acknowledge { psn, msn, syndrome } => {
                Some(acknowledge(Opcode::RC_ACKNOWLEDGE, psn, msn, syndrome))
            }
            Answer::Atomic { psn, msn, original } => {
                let mut packet = acknowledge(Opcode(0x12), psn, msn, ACK);
                packet.extended.push(&original.to_be_bytes());
                Some(packet)
            }
            Answer::Read(_) => None,
        }
    }
}

impl Reading {
    /// The response with PSN `next`. Its opcode is that of its place in the whole READ.
    fn respond(&self, stream: u64, pmtu: Pmtu) -> Packet {
        let index = self.next - self.first;
        let place = place_of(index, self.end - self.first);
        let skipped = index as u32 * pmtu.bytes();
        let length = (self.length - skipped).min(pmtu.bytes());
        // The address says which message of the requester this is, and which part of it.
        let offset = (self.address as u32).wrapping_add(skipped);
        let at = payload::Place { stream, message: self.address >> 32, offset, ends: place.ends() };
        let opcode = Opcode(match place {
            Place::First => 0x0d,
            Place::Middle => 0x0e,
            Place::Last => 0x0f,
            Place::Only => 0x10,
        });
        let mut packet = acknowledge(opcode, self.next, self.msn, ACK);
        if place == Place::Middle {
            packet.extended = Extended::default();
        }
        packet.payload = Payload::of(at, length as usize);
        packet
    }
}

fn acknowledge(opcode: Opcode, psn: Psn, msn: u64, syndrome: u8) -> Packet {
    let mut extended = Extended::default();
    let msn = msn as u32 & 0xff_ffff;
    extended.push(&Aeth { syndrome: Syndrome(syndrome), msn }.to_bytes());
    let psn = psn::to_wire(psn);
    Packet { opcode, psn, ack_request: false, extended, payload: Payload::NONE }
}
