//! One stream of requests: what of it is on its way, and what of it is a repeat.

use dataplane::time::{Nanos, Time};

use super::sight::Sight;
use super::table::Slot;
use crate::recovery::Seq;
use crate::transparent::owed::Owed;
use crate::wire::psn::Psn;

/// A requester has fewer unacknowledged PSNs than half the space; repeats are looked for in less,
/// so that what lies further back is the beginning of another connection.
const MEMORY: i32 = 1 << 22;
/// How far behind what was acknowledged a repeat may still be: it crossed the acknowledgement.
const CROSSING: i32 = 1 << 14;
/// The path MTUs that there are (IBTA volume 1, section 9.7.1).
const PATH_MTUS: [u16; 5] = [256, 512, 1_024, 2_048, 4_096];

/// The place of a packet in the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Channel.
    pub(crate) channel: u8,
    /// Number in it.
    pub(crate) seq: Seq,
}

/// What is known of a stream of requests that leaves this site.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The first PSN ever sent and not forgotten, and the one behind the newest packet.
    first: Psn,
    next: Psn,
    /// The PSN behind all that was ever sent: where the RNIC went back, `next` is before it.
    top: Psn,
    /// The PSN behind the newest one acknowledged, once something was.
    acked: Option<Psn>,
    /// The receiver asked for everything from here on.
    again: Option<Psn>,
    /// The newest packet that was carried.
    newest: Option<Carried>,
    /// When the stream last moved: a new packet, or a new acknowledgement.
    moved: Time,
    /// Path MTU; 0: not known.
    pmtu: u16,
    /// The path MTU is what the hosts agreed on; no packet has shown it yet.
    pmtu_is_told: bool,
    /// The READ that was the newest packet: its PSN and length.
    read: Option<(Psn, u32)>,
    /// PSNs to which data is owed.
    pub(super) owed: Owed,
    /// Where the answers to it are known.
    pub(super) partner: Option<Slot>,
}

impl Requests {
    /// Whether a request is the RNIC's repeat of one that is still on its way, or whose
    /// acknowledgement may be. If not, it will be carried as `carried`.
    ///
    /// `under_way_until`: when a packet was confirmed, or now. `quiet`: for how long a stream must
    /// have stood still, nothing of it under way, before repeats pass.
    pub(super) fn is_repeat(
        &mut self,
        request: &Sight<'_>,
        carried: Carried,
        now: Time,
        quiet: impl Fn() -> Nanos,
        under_way_until: impl Fn(Carried) -> Time,
    ) -> bool {
        let Some(newest) = self.newest else {
            self.begin(request, carried, now);
            return false;
        };
        let psn = request.psn();
        let ahead = psn.ahead_of(self.next);
        if ahead < 0 && !self.covers(psn) {
            self.begin(request, carried, now);
            return false;
        }
        if ahead >= 0 {
            self.learn_from_jump(psn);
        } else if self.again.is_some_and(|from| psn.ahead_of(from) >= 0) {
            // What was asked for: everything behind it follows, as if it were new.
            self.again = None;
        } else if now.since(self.moved.max(under_way_until(newest))) < quiet() {
            return true;
        }
        self.carry(request, carried, now);
        false
    }

    /// A connection begins, or the gateway sees one for the first time.
    #[cold]
    fn begin(&mut self, request: &Sight<'_>, carried: Carried, now: Time) {
        let (psn, partner) = (request.psn(), self.partner);
        // What was told before the first packet is of this life, what came later of the last one.
        let told = self.newest.is_none() && self.pmtu_is_told;
        let pmtu = if told { self.pmtu } else { 0 };
        let fresh = Self::default();
        *self =
            Self { first: psn, next: psn, top: psn, partner, pmtu, pmtu_is_told: told, ..fresh };
        self.carry(request, carried, now);
    }

    #[inline]
    fn carry(&mut self, request: &Sight<'_>, carried: Carried, now: Time) {
        if self.pmtu == 0 || self.pmtu_is_told {
            self.see_pmtu(request);
        }
        let (psn, read) = (request.psn(), request.read_len());
        self.read = read.map(|len| (psn, len));
        let span = self.span(read);
        self.owed.request(psn, span, request.is_answered_with_data());
        self.go_to(psn.plus(span));
        self.newest = Some(carried);
        self.moved = now;
        if self.top.ahead_of(self.first) > MEMORY {
            self.first = self.top.plus(MEMORY.cast_unsigned().wrapping_neg());
        }
    }

    /// The newest packet ends before `next`.
    #[inline]
    fn go_to(&mut self, next: Psn) {
        self.next = next;
        if next.ahead_of(self.top) > 0 {
            self.top = next;
        }
    }

    /// PSNs that a request takes: one, but a READ as many as there are responses. Without a path
    /// MTU a READ counts as one, and what follows it is ahead.
    fn span(&self, read: Option<u32>) -> u32 {
        match (read, self.pmtu) {
            (Some(len), pmtu @ 1..) => len.div_ceil(pmtu.into()).max(1),
            _ => 1,
        }
    }

    /// The request behind a READ tells how many PSNs that took, if just one path MTU fits.
    fn learn_from_jump(&mut self, psn: Psn) {
        let Some((read, len)) = self.read.filter(|_| self.pmtu == 0) else { return };
        let took = psn.ahead_of(read);
        let most = len.div_ceil(PATH_MTUS[0].into());
        if (1..=i64::from(most)).contains(&i64::from(took)) {
            self.owed.request(read, took.cast_unsigned(), true);
        }
        let fits = |mtu: &u16| i64::from(len.div_ceil(u32::from(*mtu))) == i64::from(took);
        let mut fitting = PATH_MTUS.into_iter().filter(fits);
        if let (Some(pmtu), None) = (fitting.next(), fitting.next()) {
            self.pmtu = pmtu;
        }
    }

    /// The path MTU, as the responses show it.
    pub(super) fn learn_pmtu(&mut self, response: &Sight<'_>) {
        if self.pmtu != 0 && !self.pmtu_is_told || !self.see_pmtu(response) {
            return;
        }
        if let Some((psn, len)) = self.read {
            let span = self.span(Some(len));
            self.owed.request(psn, span, true);
            self.go_to(psn.plus(span));
        }
    }

    /// Takes the path MTU from a packet that shows it; whether it is news.
    fn see_pmtu(&mut self, packet: &Sight<'_>) -> bool {
        let Some(seen) = packet.pmtu() else { return false };
        self.pmtu_is_told = false;
        std::mem::replace(&mut self.pmtu, seen) != seen
    }

    /// The hosts agreed on this path MTU, in bytes, before the first packet; 0: on none that is
    /// known. A packet that shows another one is believed more.
    pub(super) fn expect_pmtu(&mut self, pmtu: u16) {
        (self.pmtu, self.pmtu_is_told) = (pmtu, pmtu != 0);
    }

    /// The path MTU; 0: not known.
    pub(super) fn pmtu(&self) -> u16 {
        self.pmtu
    }

    /// Whether a PSN was sent and may be sent again.
    pub(super) fn covers(&self, psn: Psn) -> bool {
        let from = match self.acked {
            Some(acked) if acked.ahead_of(self.first) > CROSSING => {
                acked.plus(CROSSING.cast_unsigned().wrapping_neg())
            }
            _ => self.first,
        };
        self.newest.is_some() && psn.ahead_of(from) >= 0 && psn.ahead_of(self.end()) < 0
    }

    /// The PSN behind all that may have been sent: a READ whose responses cannot be counted yet
    /// may have many.
    fn end(&self) -> Psn {
        let Some((psn, len)) = self.read.filter(|_| self.pmtu == 0) else { return self.top };
        let most = psn.plus(len.div_ceil(PATH_MTUS[0].into()).clamp(1, MEMORY.cast_unsigned()));
        if most.ahead_of(self.top) > 0 { most } else { self.top }
    }

    /// Everything before `end` was acknowledged; `false` if that is not of this stream.
    pub(super) fn acknowledge(&mut self, end: Psn, now: Time) -> bool {
        if !self.covers(end.plus(u32::MAX)) && end != self.first {
            return false;
        }
        if self.acked.is_none_or(|acked| end.ahead_of(acked) > 0) {
            self.acked = Some(end);
            self.moved = now;
        }
        true
    }

    /// The receiver asks for everything from `psn` on; `false` if that is not of this stream. Who
    /// acknowledged more since asks for nothing: it comes late.
    pub(super) fn ask_again(&mut self, psn: Psn, now: Time) -> bool {
        let known = self.acknowledge(psn, now) && self.covers(psn);
        if known && self.acked == Some(psn) {
            self.again = Some(psn);
        }
        known
    }
}
