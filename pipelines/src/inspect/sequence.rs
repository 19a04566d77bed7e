//! The PSNs of one request stream: what is in order, missing, repeated.

use super::pmtu::PathMtu;

const PSN_MASK: u32 = 0xff_ffff;

/// A jump farther than this, to the beginning of a message, is a new connection that reuses the
/// queue pair's number: nobody has so much unacknowledged. In PSNs.
const RESTART_DISTANCE: i32 = 1 << 20;

/// How far back a stream remembers that it has been, in PSNs: a quarter of their number, so that
/// what is before and what is after stays clear.
const MEMORY: i32 = 1 << 22;

/// `a - b` in 24-bit arithmetic: positive if `a` comes after `b`.
pub(super) fn distance(a: u32, b: u32) -> i32 {
    (a.wrapping_sub(b) << 8) as i32 >> 8
}

/// `psn + count` in 24-bit arithmetic.
fn advance(psn: u32, count: u32) -> u32 {
    psn.wrapping_add(count) & PSN_MASK
}

/// How many PSNs a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// This many.
    Exactly(u32),
    /// As many as responses of the path MTU carry this many bytes.
    Read(u32),
}

impl Span {
    fn bounds(self, pmtu: PathMtu) -> (u32, u32) {
        match self {
            Span::Exactly(count) => (count, count),
            Span::Read(length) => pmtu.read_span(length),
        }
    }
}

/// The request stream's position, and what was amiss on the way there.
///
/// While the path MTU is unknown, so is where a READ ends: every position that it allows is then
/// taken as in order, and only what lies beyond all of them counts as missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The request that reaches farthest: its PSN and span.
    farthest: Option<(u32, Span)>,
    /// First PSN of this life of the queue pair, or of what is remembered of it.
    first: u32,
    pub(super) gaps: u64,
    pub(super) missing: u64,
    pub(super) behind: u64,
    /// Times that the stream began anew.
    pub(super) restarts: u64,
}

impl Sequence {
    /// Connection management says that the requests begin (anew) with this PSN.
    pub(super) fn begins_at(&mut self, psn: u32) {
        self.restarts += u64::from(self.farthest.is_some());
        self.begin(psn, Span::Exactly(0));
    }

    /// A request passes. `starts` tells whether it is its message's first packet.
    pub(super) fn observe(&mut self, psn: u32, span: Span, starts: bool, pmtu: PathMtu) {
        let Some((low, high)) = self.expected(pmtu) else {
            self.begin(psn, span);
            return;
        };
        let (ahead, behind) = (distance(psn, high), distance(low, psn));
        let before_first = distance(self.first, psn);
        if starts && (ahead > RESTART_DISTANCE || before_first > RESTART_DISTANCE) {
            self.restarts += 1;
            self.begin(psn, span);
        } else if ahead > 0 {
            self.gaps += 1;
            self.missing += u64::from(ahead.unsigned_abs());
            self.reach(psn, span);
        } else if behind > 0 {
            self.behind += 1;
            let end = advance(psn, span.bounds(pmtu).1);
            if distance(end, high) > 0 {
                self.reach(psn, span);
            }
        } else {
            self.reach(psn, span);
        }
    }

    /// Whether a response may carry this PSN: that of a request seen, or of the one expected next
    /// (a NAK names it).
    pub(super) fn covers(&self, psn: u32, pmtu: PathMtu) -> bool {
        let Some((_, high)) = self.expected(pmtu) else { return false };
        distance(psn, self.first) >= 0 && distance(psn, high) <= 0
    }

    fn begin(&mut self, psn: u32, span: Span) {
        self.first = psn;
        self.farthest = Some((psn, span));
    }

    fn reach(&mut self, psn: u32, span: Span) {
        self.farthest = Some((psn, span));
        if distance(psn, self.first) > MEMORY {
            self.first = psn.wrapping_sub(MEMORY as u32) & PSN_MASK;
        }
    }

    /// The least and the greatest PSN that can be next.
    fn expected(&self, pmtu: PathMtu) -> Option<(u32, u32)> {
        let (psn, span) = self.farthest?;
        let (fewest, most) = span.bounds(pmtu);
        Some((advance(psn, fewest), advance(psn, most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Span = Span::Exactly(1);

    fn run(pmtu: PathMtu, requests: &[(u32, Span)]) -> (u64, u64, u64, u64) {
        let mut sequence = Sequence::default();
        for (psn, span) in requests {
            sequence.observe(*psn, *span, true, pmtu);
        }
        (sequence.gaps, sequence.missing, sequence.behind, sequence.restarts)
    }

    fn pmtu(size: u32) -> PathMtu {
        let mut pmtu = PathMtu::UNKNOWN;
        pmtu.is_exactly(size);
        pmtu
    }

    #[test]
    fn in_order_across_the_wrap() {
        let requests = [0xff_fffe, 0xff_ffff, 0, 1].map(|psn| (psn, ONE));
        assert_eq!(run(PathMtu::UNKNOWN, &requests), (0, 0, 0, 0));
    }

    #[test]
    fn a_hole_may_straddle_the_wrap() {
        assert_eq!(run(PathMtu::UNKNOWN, &[(0xff_fffe, ONE), (2, ONE)]), (1, 3, 0, 0));
    }

    #[test]
    fn go_back_n_is_behind_and_no_gap() {
        let requests = [1, 2, 4, 5, 3, 4, 5, 6].map(|psn| (psn, ONE));
        assert_eq!(run(PathMtu::UNKNOWN, &requests), (1, 1, 3, 0));
    }

    #[test]
    fn a_read_takes_its_span() {
        let read = Span::Read(65536);
        assert_eq!(run(pmtu(1024), &[(10, read), (74, read), (138, ONE)]), (0, 0, 0, 0));
        assert_eq!(run(pmtu(1024), &[(10, read), (138, read)]), (1, 64, 0, 0));
        // A restarted READ: the rest of an old span, ending where that ends.
        let rest = Span::Read(65536 - 3 * 1024);
        assert_eq!(run(pmtu(1024), &[(10, read), (13, rest), (74, ONE)]), (0, 0, 1, 0));
    }

    #[test]
    fn an_unknown_pmtu_accuses_nobody() {
        let read = Span::Read(65536);
        for next in [10 + 16, 10 + 64, 10 + 256] {
            assert_eq!(run(PathMtu::UNKNOWN, &[(10, read), (next, ONE)]), (0, 0, 0, 0));
        }
        assert_eq!(run(PathMtu::UNKNOWN, &[(10, read), (10 + 257, ONE)]), (1, 1, 0, 0));
        assert_eq!(run(PathMtu::UNKNOWN, &[(10, read), (10, read), (266, ONE)]), (0, 0, 1, 0));
    }

    #[test]
    fn a_far_jump_to_a_message_start_is_a_new_life() {
        let far = 1 + RESTART_DISTANCE as u32;
        assert_eq!(run(PathMtu::UNKNOWN, &[(0, ONE), (far + 1, ONE)]), (0, 0, 0, 1));
        assert_eq!(run(PathMtu::UNKNOWN, &[(0, ONE), (far, ONE)]), (1, far as u64 - 1, 0, 0));
        let old = 0xff_ffff - far;
        assert_eq!(run(PathMtu::UNKNOWN, &[(0, ONE), (old, ONE), (old + 1, ONE)]), (0, 0, 0, 1));
    }

    #[test]
    fn connection_management_names_the_start() {
        let mut sequence = Sequence::default();
        sequence.begins_at(7);
        sequence.observe(9, ONE, true, PathMtu::UNKNOWN);
        assert_eq!((sequence.gaps, sequence.missing, sequence.restarts), (1, 2, 0));
        sequence.begins_at(100);
        sequence.observe(100, ONE, true, PathMtu::UNKNOWN);
        assert_eq!((sequence.gaps, sequence.missing, sequence.restarts), (1, 2, 1));
        assert!(sequence.covers(100, PathMtu::UNKNOWN) && sequence.covers(101, PathMtu::UNKNOWN));
        assert!(!sequence.covers(99, PathMtu::UNKNOWN) && !sequence.covers(102, PathMtu::UNKNOWN));
    }
}
