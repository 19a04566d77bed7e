//! What responses do to a requester.

use dataplane::time::MICROSECOND;
use pipelines::wire::aeth::{Meaning, NakCode, rnr_timer_us};
use pipelines::wire::bth::Datagram;
use pipelines::wire::opcode::Opcode;

use super::counters::Counters;
use super::payload::{self, Verdict};
use super::psn::{self, Psn};
use super::requester::{Context, Requester};
use super::work::{Entry, Status, Verb, place_of};

/// Retry count that has no end.
const ENDLESS_RNR: u8 = 7;

impl Requester {
    /// Takes a response from the other end.
    pub(super) fn receive(&mut self, response: &Datagram<'_>, context: &mut Context<'_>) {
        let bth = response.bth();
        let psn = psn::near(self.una, bth.psn);
        // Older ones are ghosts, newer ones answer nothing that was asked.
        if self.failed || psn < self.una || psn >= self.max {
            return;
        }
        match bth.opcode {
            Opcode::RC_ACKNOWLEDGE => {
                let meaning = response.aeth().map(|aeth| aeth.syndrome.meaning());
                match meaning {
                    Some(Meaning::Ack(_)) => self.take_ack(psn, context),
                    Some(Meaning::Nak(code)) => self.take_nak(psn, code, context),
                    Some(Meaning::RnrNak(code)) => self.take_rnr(psn, code, context),
                    Some(Meaning::Reserved) | None => context.counters.unsupported += 1,
                }
            }
            _ => self.take_answer(psn, response, context),
        }
    }

    fn take_ack(&mut self, psn: Psn, context: &mut Context<'_>) {
        self.progressed = true;
        if !self.acknowledge(psn + 1, context) {
            self.imply_nak(context);
        }
    }

    fn take_nak(&mut self, psn: Psn, code: NakCode, context: &mut Context<'_>) {
        let status = match code {
            NakCode::PsnSequence => {
                context.counters.packet_seq_err += 1;
                return self.take_sequence_nak(psn, context);
            }
            NakCode::InvalidRequest => Status::RemoteInvalidRequest,
            NakCode::RemoteAccess => Status::RemoteAccess,
            NakCode::RemoteOperational => Status::RemoteOperation,
            NakCode::InvalidRdRequest | NakCode::Reserved(_) => {
                context.counters.unsupported += 1;
                return;
            }
        };
        match self.acknowledge(psn, context) {
            true => self.fail(status, context),
            false => self.imply_nak(context),
        }
    }

    fn take_sequence_nak(&mut self, psn: Psn, context: &mut Context<'_>) {
        if !self.acknowledge(psn, context) {
            self.imply_nak(context);
        } else if self.settings.behaviour.nak_needs_progress && !self.progressed {
            context.counters.naks_ignored += 1;
        } else {
            self.go_back();
        }
    }

    fn take_rnr(&mut self, psn: Psn, code: u8, context: &mut Context<'_>) {
        if !self.acknowledge(psn, context) {
            return self.imply_nak(context);
        }
        context.counters.rnr_nak_retry_err += 1;
        if self.rnr_left == 0 {
            return self.fail(Status::RnrRetryExceeded, context);
        }
        if self.settings.rnr_retry != ENDLESS_RNR {
            self.rnr_left -= 1;
        }
        self.go_back();
        self.rnr_until = context.now.after(u64::from(rnr_timer_us(code)) * MICROSECOND);
    }

    /// A READ response or the result of an atomic.
    fn take_answer(&mut self, psn: Psn, response: &Datagram<'_>, context: &mut Context<'_>) {
        if !self.acknowledge(psn, context) {
            return self.imply_nak(context);
        }
        let Some(entry) = self.queue.front().copied() else { return };
        let right = match entry.verb {
            Verb::Read => self.judge_read(&entry, psn, response, context.counters),
            verb if verb.is_atomic() => judge_atomic(&entry, response, context.counters),
            _ => false,
        };
        if !right {
            context.counters.unsupported += 1;
            return;
        }
        self.progressed = true;
        self.una = psn + 1;
        if self.una == entry.end {
            self.complete(context);
        }
        self.moved(context.now);
    }

    /// Whether it is the READ response that has to come now. Its bytes are judged, too.
    fn judge_read(
        &self,
        entry: &Entry,
        psn: Psn,
        response: &Datagram<'_>,
        counters: &mut Counters,
    ) -> bool {
        let place = place_of(psn - entry.first, entry.end - entry.first);
        let pmtu = self.settings.pmtu.bytes();
        let offset = (psn - entry.first) as u32 * pmtu;
        let length = (entry.length - offset).min(pmtu) as usize;
        // A restarted READ may be answered as one that begins or one that goes on.
        let opcode = response.bth().opcode.0;
        let fits = if place.ends() { [0x0f, 0x10] } else { [0x0d, 0x0e] }.contains(&opcode);
        if !fits || response.payload().len() != length {
            return false;
        }
        let (stream, message) = (self.reads, self.base);
        let at = payload::Place { stream, message, offset, ends: place.ends() };
        count(at.judge(response.payload()), counters);
        true
    }

    /// Everything before `end` arrived, but no READ or atomic is done before its answer came;
    /// whether that is in the way.
    fn acknowledge(&mut self, end: Psn, context: &mut Context<'_>) -> bool {
        let before = self.una;
        while self.una < end {
            match self.queue.front() {
                Some(entry) if entry.verb.is_answered() => break,
                Some(entry) if entry.end <= end => {
                    self.una = entry.end;
                    self.complete(context);
                }
                _ => self.una = end,
            }
        }
        if self.una != before {
            self.moved(context.now);
        }
        self.una == end
    }

    /// An answer is missing: asks again, once until it comes.
    fn imply_nak(&mut self, context: &mut Context<'_>) {
        if self.implied_at == Some(self.una) {
            return;
        }
        self.implied_at = Some(self.una);
        context.counters.implied_nak_seq_err += 1;
        self.go_back();
    }
}

/// Whether it is the result of an atomic. It has to be as if each atomic happened once, in order.
fn judge_atomic(entry: &Entry, response: &Datagram<'_>, counters: &mut Counters) -> bool {
    let Some(original) = response.original_value() else { return false };
    counters.duplicates += u64::from(original > entry.atomics_before);
    counters.altered += u64::from(original < entry.atomics_before);
    true
}

/// Counts what a payload turned out to be.
pub(super) fn count(verdict: Verdict, counters: &mut Counters) {
    match verdict {
        Verdict::Right => {}
        Verdict::Earlier => counters.duplicates += 1,
        Verdict::Later => counters.missing += 1,
        Verdict::Altered => counters.altered += 1,
    }
}
