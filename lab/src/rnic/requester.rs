//! The requester of a queue pair: its send queue, its window, and going back.

use std::collections::VecDeque;

use dataplane::time::Time;
use pipelines::wire::ext::{AtomicEth, Reth};

use super::counters::Counters;
use super::dcqcn::Pace;
use super::packet::{Extended, Packet};
use super::payload::{self, Payload};
use super::psn::{self, Psn};
use super::settings::QpSettings;
use super::timer::RetryTimer;
use super::work::{Completion, Entry, QpNumber, Status, Verb, WorkRequest, place_of};

/// PSNs that may be outstanding: half the circle, less one.
const MAX_OUTSTANDING: u64 = (1 << 23) - 1;

/// What a packet of a long message takes of a line besides its payload.
const HEADERS: usize = 14 + 20 + 8 + 12 + 4 + 24;

/// What everything that happens is told and writes to.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) counters: &'a mut Counters,
    pub(super) completions: &'a mut VecDeque<Completion>,
}

/// The requester of a queue pair.
#[derive(Debug)]
pub(super) struct Requester {
    pub(super) qpn: QpNumber,
    pub(super) settings: QpSettings,
    /// What the other end's memory is called.
    pub(super) remote_key: u32,
    /// Secret of what it sends.
    pub(super) sends: u64,
    /// Secret of what it reads.
    pub(super) reads: u64,
    /// Messages that are not complete.
    pub(super) queue: VecDeque<Entry>,
    /// Number of the first of them.
    pub(super) base: u64,
    /// Number of the one that `next` belongs to.
    cursor: u64,
    /// The oldest PSN that is not acknowledged; of the first message in the queue.
    pub(super) una: Psn,
    /// The next PSN to send.
    pub(super) next: Psn,
    /// The one behind the newest ever sent.
    pub(super) max: Psn,
    /// The one behind the last posted message.
    tail: Psn,
    atomics: u64,
    /// READs and atomics on their way, of those sent since it last went back.
    reads_out: u32,
    /// Packets since one asked for an acknowledgement.
    since_ask: u32,
    pub(super) timer: RetryTimer,
    /// How fast it may send, if it slows down for congestion.
    pace: Option<Pace>,
    /// Refusals for lack of a receive that it will still put up with.
    pub(super) rnr_left: u8,
    /// It waits for the other end's receive.
    pub(super) rnr_until: Time,
    /// An acknowledgement came since it last went back.
    pub(super) progressed: bool,
    /// Where a gap in responses last made it go back.
    pub(super) implied_at: Option<Psn>,
    pub(super) failed: bool,
}

impl Requester {
    /// One that starts with PSN `first`.
    pub(super) fn new(qpn: QpNumber, settings: QpSettings, first: Psn) -> Self {
        Self {
            qpn,
            settings,
            remote_key: 0,
            sends: 0,
            reads: 0,
            queue: VecDeque::new(),
            base: 0,
            cursor: 0,
            una: first,
            next: first,
            max: first,
            tail: first,
            atomics: 0,
            reads_out: 0,
            since_ask: 0,
            timer: RetryTimer::new(&settings),
            pace: settings.dcqcn.map(Pace::new),
            rnr_left: settings.rnr_retry,
            rnr_until: Time::ZERO,
            progressed: true,
            implied_at: None,
            failed: false,
        }
    }

    /// Takes a message into the queue.
    pub(super) fn post(&mut self, work: WorkRequest, context: &mut Context<'_>) {
        let WorkRequest { verb, length, id } = work;
        let length = if verb.is_atomic() { 8 } else { length };
        let packets = if verb.is_atomic() { 1 } else { self.settings.pmtu.packets(length) };
        let (first, end) = (self.tail, self.tail + u64::from(packets));
        let (posted, first_sent) = (context.now, Time::NEVER);
        let atomics_before = self.atomics;
        let entry = Entry { verb, length, id, first, end, atomics_before, posted, first_sent };
        if self.failed {
            let completion = entry.completion(self.qpn, Status::Flushed, context.now);
            context.completions.push_back(completion);
            return;
        }
        self.atomics += u64::from(verb.is_atomic());
        self.tail = end;
        self.queue.push_back(entry);
    }

    /// Moves all PSNs so that the first is this one; nothing was sent yet.
    pub(super) fn start_at(&mut self, first: Psn) {
        let before = self.una;
        for entry in &mut self.queue {
            (entry.first, entry.end) = (first + entry.first - before, first + entry.end - before);
        }
        self.tail = first + self.tail - before;
        (self.una, self.next, self.max) = (first, first, first);
    }

    /// Whether there is a packet that may leave.
    #[inline]
    pub(super) fn can_send(&self, now: Time) -> bool {
        let Some(entry) = self.current() else { return false };
        let in_window = self.next - self.una < u64::from(self.settings.window.max(1));
        let has_resources = !entry.verb.is_answered()
            || self.reads_out < self.settings.max_reads.max(1)
                && entry.end - self.una <= MAX_OUTSTANDING;
        in_window
            && has_resources
            && self.rnr_until <= now
            && self.paced_until() <= now
            && !self.failed
    }

    /// When it wants to be woken.
    #[inline]
    pub(super) fn due(&self, now: Time) -> Time {
        let paced = Some(self.paced_until()).filter(|_| self.current().is_some());
        let waits = [Some(self.rnr_until), paced].into_iter().flatten();
        waits.filter(|until| *until > now).fold(self.timer.due(), Time::min)
    }

    /// Until when it sends nothing, so as not to be faster than it may.
    #[inline]
    fn paced_until(&self) -> Time {
        self.pace.as_ref().map_or(Time::ZERO, Pace::ready)
    }

    /// A congestion notification came.
    pub(super) fn congested(&mut self, context: &mut Context<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.cut(context.now);
            context.counters.rp_cnp_handled += 1;
        }
    }

    /// The next packet; ask [`Self::can_send`] before.
    #[inline]
    pub(super) fn send(&mut self, now: Time, counters: &mut Counters) -> Option<Packet> {
        let message = self.cursor;
        let entry = self.queue.get_mut((message - self.base) as usize)?;
        entry.first_sent = entry.first_sent.min(now);
        let entry = *entry;
        let psn = self.next;
        let packet = if entry.verb.is_answered() {
            self.reads_out += 1;
            self.next = entry.end;
            self.question(&entry, message, psn)
        } else {
            self.next += 1;
            self.piece(&entry, message, psn)
        };
        if let Some(pace) = &mut self.pace {
            let payload: usize = packet.payload.parts().iter().map(|part| part.len()).sum();
            pace.sent(now, payload + HEADERS);
        }
        self.cursor += u64::from(self.next == entry.end);
        counters.retransmitted_packets += u64::from(psn < self.max);
        self.max = self.max.max(self.next);
        self.timer.ensure(now);
        Some(packet)
    }

    /// A packet of a SEND or WRITE.
    fn piece(&mut self, entry: &Entry, message: u64, psn: Psn) -> Packet {
        let index = psn - entry.first;
        let place = place_of(index, entry.end - entry.first);
        let pmtu = self.settings.pmtu.bytes();
        let offset = index as u32 * pmtu;
        let length = (entry.length - offset).min(pmtu);
        let at = payload::Place { stream: self.sends, message, offset, ends: place.ends() };

        let mut extended = Extended::default();
        let writes = matches!(entry.verb, Verb::Write | Verb::WriteImmediate);
        if writes && place.starts() {
            extended.push(&self.reth(message, 0, entry.length).to_bytes());
        }
        let tells = !matches!(entry.verb, Verb::Send | Verb::Write);
        if tells && place.ends() {
            extended.push(&(message as u32).to_be_bytes());
        }
        self.since_ask += 1;
        let ack_request = place.ends() || self.since_ask >= self.settings.ack_interval();
        if ack_request {
            self.since_ask = 0;
        }
        Packet {
            opcode: entry.verb.opcode(place),
            psn: psn::to_wire(psn),
            ack_request,
            extended,
            payload: Payload::of(at, length as usize),
        }
    }

    /// A READ, from where its responses are missing, or an atomic.
    fn question(&mut self, entry: &Entry, message: u64, psn: Psn) -> Packet {
        let mut extended = Extended::default();
        if entry.verb == Verb::Read {
            let offset = (psn - entry.first) as u32 * self.settings.pmtu.bytes();
            extended.push(&self.reth(message, offset, entry.length - offset).to_bytes());
        } else {
            // Every atomic leaves one more behind than it found.
            let (swap_or_add, compare) = match entry.verb {
                Verb::CmpSwap => (entry.atomics_before + 1, entry.atomics_before),
                _ => (1, 0),
            };
            let r_key = self.remote_key;
            let header = AtomicEth { address: message << 32, r_key, swap_or_add, compare };
            extended.push(&header.to_bytes());
        }
        self.since_ask = 0;
        Packet {
            opcode: entry.verb.opcode(place_of(0, 1)),
            psn: psn::to_wire(psn),
            ack_request: true,
            extended,
            payload: Payload::NONE,
        }
    }

    /// Each message has an address range of its own.
    fn reth(&self, message: u64, offset: u32, dma_len: u32) -> Reth {
        Reth { address: message << 32 | u64::from(offset), r_key: self.remote_key, dma_len }
    }

    fn current(&self) -> Option<&Entry> {
        self.queue.get((self.cursor - self.base) as usize)
    }

    /// Sends everything again that is not acknowledged.
    pub(super) fn go_back(&mut self) {
        self.next = self.una;
        self.cursor = self.base;
        self.reads_out = 0;
        self.progressed = false;
        self.timer.stop();
    }

    /// Removes the first message, which is complete.
    pub(super) fn complete(&mut self, context: &mut Context<'_>) {
        let Some(entry) = self.queue.pop_front() else { return };
        if entry.verb.is_answered() && self.base < self.cursor {
            self.reads_out = self.reads_out.saturating_sub(1);
        }
        self.base += 1;
        context.counters.completed_messages += 1;
        context.counters.completed_bytes += u64::from(entry.length);
        let completion = entry.completion(self.qpn, Status::Success, context.now);
        context.completions.push_back(completion);
    }

    /// After `una` moved: what went by need not be sent again, and patience is new.
    #[inline]
    pub(super) fn moved(&mut self, now: Time) {
        self.next = self.next.max(self.una);
        self.cursor = self.cursor.max(self.base);
        self.implied_at = None;
        self.rnr_left = self.settings.rnr_retry;
        self.timer.progress(now, self.una < self.next);
    }

    /// The timer may have fired.
    pub(super) fn wake(&mut self, context: &mut Context<'_>) {
        if self.timer.due() > context.now {
            return;
        }
        context.counters.local_ack_timeout_err += 1;
        if self.timer.expire(context.now) {
            self.go_back();
        } else {
            self.fail(Status::RetryExceeded, context);
        }
    }

    /// Ends the queue pair: `status` for the first message, the others are flushed.
    pub(super) fn fail(&mut self, status: Status, context: &mut Context<'_>) {
        if self.failed {
            return;
        }
        self.failed = true;
        self.timer.stop();
        let mut status = status;
        for entry in self.queue.drain(..) {
            context.completions.push_back(entry.completion(self.qpn, status, context.now));
            status = Status::Flushed;
        }
        self.cursor = self.base;
    }
}
