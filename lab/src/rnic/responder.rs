//! The responder of a queue pair: what it does with requests, in order and out of it.

use std::collections::VecDeque;

use pipelines::wire::aeth::NakCode;
use pipelines::wire::bth::Datagram;
use pipelines::wire::opcode::Place;

use super::answers::count;
use super::counters::Counters;
use super::payload;
use super::psn::{self, Psn};
use super::response::{Answer, Answers, Reading};
use super::settings::{QpSettings, Receives};

/// The responder of a queue pair.
#[derive(Debug)]
pub(super) struct Responder {
    settings: QpSettings,
    /// What its memory is called.
    pub(super) key: u32,
    /// Secret of what it receives.
    pub(super) receives: u64,
    /// Secret of what is read from it.
    pub(super) serves: u64,
    expected: Psn,
    /// Messages executed; the low 24 bits are the MSN.
    messages: u64,
    current: Option<Current>,
    refused: Refused,
    /// Receives posted, as far as they are counted.
    posted: u32,
    /// Times that a message looked for a receive.
    looks: u32,
    /// The eight bytes that atomics work on.
    memory: u64,
    /// READs and atomics that it can repeat, oldest first.
    saved: VecDeque<Saved>,
    pub(super) answers: Answers,
    pub(super) failed: bool,
}

/// A message of several packets that has not ended.
#[derive(Debug, Clone, Copy)]
struct Current {
    writes: bool,
    received: u32,
    /// The whole message, if the first packet told.
    length: Option<u32>,
}

/// Why the expected request has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Nothing,
    /// It was missing, and the requester was told.
    Missing,
    /// It came, and there was no receive for it.
    NoReceive,
}

/// A READ or atomic that it can repeat.
#[derive(Debug, Clone, Copy)]
enum Saved {
    Read(Reading),
    Atomic { psn: Psn, msn: u64, original: u64 },
}

impl Saved {
    fn first(&self) -> Psn {
        match self {
            Self::Read(reading) => reading.first,
            Self::Atomic { psn, .. } => *psn,
        }
    }
}

/// What one packet of a message is.
#[derive(Clone, Copy)]
enum Request {
    Send,
    Write,
    Read,
    CmpSwap,
    FetchAdd,
}

impl Request {
    fn of(request: &Datagram<'_>) -> Option<Self> {
        Some(match request.bth().opcode.0 {
            0x00..=0x05 | 0x16 | 0x17 => Self::Send,
            0x06..=0x0b => Self::Write,
            0x0c => Self::Read,
            0x13 => Self::CmpSwap,
            0x14 => Self::FetchAdd,
            _ => return None,
        })
    }
}

impl Responder {
    /// One that expects `first` to begin with.
    pub(super) fn new(settings: QpSettings, key: u32, first: Psn) -> Self {
        let posted = if let Receives::Counted(posted) = settings.receives { posted } else { 0 };
        Self {
            settings,
            key,
            receives: 0,
            serves: 0,
            expected: first,
            messages: 0,
            current: None,
            refused: Refused::Nothing,
            posted,
            looks: 0,
            memory: 0,
            saved: VecDeque::new(),
            answers: Answers::default(),
            failed: false,
        }
    }

    /// There are `more` receives.
    pub(super) fn post_receives(&mut self, more: u32) {
        self.posted = self.posted.saturating_add(more);
    }

    /// Takes a request from the other end.
    pub(super) fn receive(&mut self, request: &Datagram<'_>, counters: &mut Counters) {
        if self.failed {
            return;
        }
        let psn = psn::near(self.expected, request.bth().psn);
        if psn > self.expected {
            return self.take_early(counters);
        }
        let Some(kind) = Request::of(request) else {
            counters.unsupported += 1;
            return self.refuse(psn, NakCode::InvalidRequest);
        };
        if psn < self.expected {
            counters.duplicate_request += 1;
            return self.take_again(kind, psn, request);
        }
        let executed = match kind {
            Request::Send | Request::Write => self.take_piece(kind, request, counters),
            Request::Read => self.take_read(request),
            Request::CmpSwap | Request::FetchAdd => self.take_atomic(kind, request),
        };
        if let Err(code) = executed {
            self.refuse(psn, code);
        }
    }

    /// Something before it is missing: says so once.
    fn take_early(&mut self, counters: &mut Counters) {
        counters.out_of_sequence += 1;
        let tells = match self.refused {
            Refused::Nothing => true,
            Refused::Missing => false,
            Refused::NoReceive => self.settings.behaviour.nak_after_rnr,
        };
        if tells {
            self.refused = Refused::Missing;
            counters.naks_sent += 1;
            self.answers.push(Answer::sequence_nak(self.expected, self.messages));
        }
    }

    /// It was executed before.
    fn take_again(&mut self, kind: Request, psn: Psn, request: &Datagram<'_>) {
        let answer = match kind {
            Request::Send | Request::Write => {
                let behaviour = self.settings.behaviour;
                let next_answer = self.saved.iter().map(Saved::first).find(|first| *first > psn);
                let newest = match next_answer {
                    Some(first) if !behaviour.ack_duplicates => first - 1,
                    _ => self.expected - 1,
                };
                (behaviour.ack_duplicates || request.bth().ack_request)
                    .then(|| Answer::ack(newest, self.messages))
            }
            Request::Read => self.read_again(psn, request),
            Request::CmpSwap | Request::FetchAdd => {
                self.saved.iter().find_map(|saved| match *saved {
                    Saved::Atomic { psn: first, msn, original } if first == psn => {
                        Some(Answer::Atomic { psn, msn, original })
                    }
                    _ => None,
                })
            }
        };
        // Whatever it no longer knows it drops: the requester will not get anywhere.
        if let Some(answer) = answer {
            self.answers.push(answer);
        }
    }

    fn read_again(&self, psn: Psn, request: &Datagram<'_>) -> Option<Answer> {
        let reth = request.reth()?;
        self.saved.iter().find_map(|saved| match *saved {
            Saved::Read(reading) if (reading.first..reading.end).contains(&psn) => {
                let skipped = (psn - reading.first) as u32 * self.settings.pmtu.bytes();
                let same = reth.address == reading.address + u64::from(skipped)
                    && reth.dma_len == reading.length - skipped;
                same.then_some(Answer::Read(Reading { next: psn, ..reading }))
            }
            _ => None,
        })
    }

    /// A packet of a SEND or WRITE, in order.
    fn take_piece(
        &mut self,
        kind: Request,
        request: &Datagram<'_>,
        counters: &mut Counters,
    ) -> Result<(), NakCode> {
        let bth = request.bth();
        let place = bth.opcode.shape().place;
        let writes = matches!(kind, Request::Write);
        let mut message = self.message_of(place, writes, request)?;
        let offset = message.received;
        message.received += request.payload().len() as u32;
        check_length(&message, place, request.payload().len(), self.settings.pmtu.bytes())?;

        let tells = request.immediate().or(request.invalidated_key());
        let needs_receive = if writes { tells.is_some() } else { place.starts() };
        if needs_receive && !self.find_receive() {
            self.refused = Refused::NoReceive;
            counters.rnr_naks_sent += 1;
            let code = self.settings.min_rnr_timer;
            self.answers.push(Answer::rnr_nak(self.expected, self.messages, code));
            return Ok(());
        }
        let at = payload::Place {
            stream: self.receives,
            message: self.messages,
            offset,
            ends: place.ends(),
        };
        count(at.judge(request.payload()), counters);
        let told_wrong = tells.is_some_and(|told| told != self.messages as u32)
            || request.reth().is_some_and(|reth| reth.address != self.messages << 32);
        counters.altered += u64::from(told_wrong);

        self.current = Some(message);
        if place.ends() {
            self.current = None;
            self.messages += 1;
            counters.delivered_messages += 1;
            counters.delivered_bytes += u64::from(message.received);
        }
        let psn = self.expected;
        self.advance(1);
        if bth.ack_request {
            self.answers.push(Answer::ack(psn, self.messages));
        }
        Ok(())
    }

    /// The message that a packet at this place belongs to.
    fn message_of(
        &self,
        place: Place,
        writes: bool,
        request: &Datagram<'_>,
    ) -> Result<Current, NakCode> {
        match self.current {
            Some(message) if !place.starts() && message.writes == writes => Ok(message),
            None if place.starts() => {
                let reth = request.reth();
                if reth.is_some_and(|reth| reth.r_key != self.key) {
                    return Err(NakCode::RemoteAccess);
                }
                Ok(Current { writes, received: 0, length: reth.map(|reth| reth.dma_len) })
            }
            _ => Err(NakCode::InvalidRequest),
        }
    }

    fn take_read(&mut self, request: &Datagram<'_>) -> Result<(), NakCode> {
        let reth = request.reth().ok_or(NakCode::InvalidRequest)?;
        if self.current.is_some() {
            return Err(NakCode::InvalidRequest);
        }
        if reth.r_key != self.key {
            return Err(NakCode::RemoteAccess);
        }
        let packets = u64::from(self.settings.pmtu.packets(reth.dma_len));
        let first = self.expected;
        self.messages += 1;
        self.advance(packets);
        let (address, length) = (reth.address, reth.dma_len);
        let end = first + packets;
        let reading = Reading { first, next: first, end, address, length, msn: self.messages };
        self.save(Saved::Read(reading));
        self.answers.push(Answer::Read(reading));
        Ok(())
    }

    fn take_atomic(&mut self, kind: Request, request: &Datagram<'_>) -> Result<(), NakCode> {
        let atomic = request.atomic().ok_or(NakCode::InvalidRequest)?;
        if self.current.is_some() {
            return Err(NakCode::InvalidRequest);
        }
        if atomic.r_key != self.key {
            return Err(NakCode::RemoteAccess);
        }
        let original = self.memory;
        self.memory = match kind {
            Request::CmpSwap if original == atomic.compare => atomic.swap_or_add,
            Request::CmpSwap => original,
            _ => original.wrapping_add(atomic.swap_or_add),
        };
        let psn = self.expected;
        self.messages += 1;
        self.advance(1);
        let msn = self.messages;
        self.save(Saved::Atomic { psn, msn, original });
        self.answers.push(Answer::Atomic { psn, msn, original });
        Ok(())
    }

    fn save(&mut self, saved: Saved) {
        while self.saved.len() >= self.settings.max_reads.max(1) as usize {
            self.saved.pop_front();
        }
        self.saved.push_back(saved);
    }

    fn advance(&mut self, psns: u64) {
        self.expected += psns;
        self.refused = Refused::Nothing;
    }

    /// Whether there is a receive; uses it.
    fn find_receive(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        match self.settings.receives {
            Receives::Endless => true,
            Receives::Counted(_) => {
                let found = self.posted > 0;
                self.posted -= u32::from(found);
                found
            }
            Receives::RnrEvery(n) => n == 0 || !self.looks.is_multiple_of(n),
        }
    }

    /// Ends the queue pair.
    fn refuse(&mut self, psn: Psn, code: NakCode) {
        self.answers.push(Answer::fatal_nak(psn, self.messages, code));
        self.failed = true;
    }
}

/// Whether a packet at this place may be as long as it is, in its message as it then is.
fn check_length(message: &Current, place: Place, len: usize, pmtu: u32) -> Result<(), NakCode> {
    let pmtu = pmtu as usize;
    let fits = match place {
        Place::First | Place::Middle => len == pmtu,
        Place::Last => (1..=pmtu).contains(&len),
        Place::Only => len <= pmtu,
    };
    let whole = message.length.is_none_or(|length| match place.ends() {
        true => message.received == length,
        false => message.received < length,
    });
    if fits && whole { Ok(()) } else { Err(NakCode::InvalidRequest) }
}
