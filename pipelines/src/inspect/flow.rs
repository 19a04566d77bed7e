//! What goes to one queue pair: its streams, its path MTU, and who answers from it.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::facts::Facts;
use super::pmtu::PathMtu;
use super::sequence::{Sequence, distance};

/// What names the packets to one queue pair. Addresses and queue pair numbers may be reused on
/// another VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FlowKey {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) vlan: Option<u16>,
    pub(super) dest_qp: u32,
}

/// The place of a flow in the table.
pub(super) type FlowIndex = u32;

/// The packets to one queue pair. Requests and responses are separate streams: they have separate
/// PSN spaces.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) key: FlowKey,
    pub(super) pmtu: PathMtu,
    pub(super) request: Option<Tally>,
    pub(super) sequence: Sequence,
    pub(super) response: Option<Tally>,
    pub(super) answers: Answers,
    pub(super) unsequenced: Option<Tally>,
    pub(super) sender: Sender,
    /// The sender's queue pair, as connection management has it.
    pub(super) connected_to: Option<u32>,
}

impl Flow {
    pub(super) fn new(key: FlowKey) -> Self {
        Flow {
            key,
            pmtu: PathMtu::UNKNOWN,
            request: None,
            sequence: Sequence::default(),
            response: None,
            answers: Answers::default(),
            unsequenced: None,
            sender: Sender::Unknown,
            connected_to: None,
        }
    }

    /// Learns the path MTU from a packet of a queue pair: of this flow's, or of its peer.
    pub(super) fn learn_pmtu(&mut self, facts: &Facts<'_>) {
        if facts.ends {
            self.pmtu.is_at_least(facts.payload_len);
        } else {
            self.pmtu.is_exactly(facts.payload_len);
        }
    }
}

/// Counts of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) first_psn: u32,
    pub(super) last_psn: u32,
    pub(super) p_key: u16,
}

impl Tally {
    /// Counts a packet of `bytes` into a stream that may be new.
    pub(super) fn count(tally: &mut Option<Tally>, psn: u32, p_key: u16, bytes: u64) {
        let empty = Tally { packets: 0, bytes: 0, first_psn: psn, last_psn: psn, p_key };
        let tally = tally.get_or_insert(empty);
        tally.packets += 1;
        tally.bytes += bytes;
        tally.last_psn = psn;
    }
}

/// The sending queue pair of datagrams, which name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Unknown,
    One(u32),
    Several,
}

impl Sender {
    pub(super) fn learn(&mut self, qp: u32) {
        *self = match *self {
            Sender::Unknown => Sender::One(qp),
            Sender::One(known) if known == qp => *self,
            Sender::One(_) | Sender::Several => Sender::Several,
        }
    }
}

/// Request flows that are considered at once for what a response stream answers.
const MAX_CANDIDATES: usize = 16;
/// Responses that must fit one request flow alone before it is believed.
const ENOUGH_HITS: u32 = 2;
/// After n searches of all request flows of the opposite direction, 2^n - 2 responses pass before
/// the next one, up to this n: so a search costs little a packet, and yet a capture that begins in
/// the middle of a long window finds its peers in the end.
const MAX_WAIT: u32 = 10;

/// Finds out which request flow of the opposite direction a response stream answers.
///
/// A response carries the PSN of a request, and starting PSNs are random; so the flows are few
/// whose requests cover the PSN of one response, and only the right one covers those of many.
#[derive(Debug, Default)]
pub(super) struct Answers {
    candidates: ArrayVec<FlowIndex, MAX_CANDIDATES>,
    hits: u32,
    searches: u32,
    /// Responses that pass until the next search.
    wait: u32,
    newest: Option<u32>,
}

impl Answers {
    /// The one request flow that fits, if it is beyond doubt.
    pub(super) fn flow(&self) -> Option<FlowIndex> {
        match self.candidates[..] {
            [only] if self.hits >= ENOUGH_HITS => Some(only),
            _ => None,
        }
    }

    /// A response with this PSN passes. `opposite` are the request flows it may answer, `covers`
    /// tells whether one of them has sent such a PSN.
    pub(super) fn observe(
        &mut self,
        psn: u32,
        opposite: &[FlowIndex],
        covers: impl Fn(FlowIndex) -> bool,
    ) {
        // Repeats say nothing new, and may be older than what is remembered.
        if self.newest.is_some_and(|newest| distance(psn, newest) <= 0) {
            return;
        }
        self.newest = Some(psn);
        self.candidates.retain(|index| covers(*index));
        if !self.candidates.is_empty() {
            self.hits = self.hits.saturating_add(1);
            return;
        }
        self.hits = 0;
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.searches = (self.searches + 1).min(MAX_WAIT);
        self.wait = (1 << self.searches) - 2;
        for index in opposite.iter().copied().filter(|index| covers(*index)) {
            if self.candidates.try_push(index).is_err() {
                // Too many to follow; a later response may fit fewer.
                self.candidates.clear();
                return;
            }
        }
        self.hits = u32::from(!self.candidates.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observes responses against flows given by the PSNs they cover.
    fn answers(flows: &[std::ops::Range<u32>], responses: &[u32]) -> Option<FlowIndex> {
        let opposite: Vec<FlowIndex> = (0..flows.len() as u32).collect();
        let mut answers = Answers::default();
        for psn in responses {
            answers.observe(*psn, &opposite, |index| flows[index as usize].contains(psn));
        }
        answers.flow()
    }

    #[test]
    fn the_only_flow_that_fits_is_found() {
        assert_eq!(answers(&[0..10, 50..90], &[51, 60]), Some(1));
    }

    #[test]
    fn one_response_is_not_enough() {
        assert_eq!(answers(&[0..10, 50..90], &[51]), None);
        assert_eq!(answers(&[0..10, 50..90], &[51, 51, 51]), None);
    }

    #[test]
    fn what_fits_two_is_left_open_until_one_fails() {
        assert_eq!(answers(&[0..60, 50..90], &[51, 52, 53]), None);
        assert_eq!(answers(&[0..60, 50..90], &[51, 52, 53, 61]), Some(1));
    }

    #[test]
    fn a_contradiction_starts_the_search_again() {
        assert_eq!(answers(&[0..10, 50..90], &[1, 2, 51]), None);
        assert_eq!(answers(&[0..10, 50..90], &[1, 2, 51, 52, 53, 54]), Some(1));
    }

    #[test]
    fn a_long_prelude_of_other_responses_is_outlived() {
        let responses: Vec<u32> = (0..100_000).collect();
        let flows = vec![90_000..200_000; 1];
        assert_eq!(answers(&flows, &responses[..90_000]), None);
        assert_eq!(answers(&flows, &responses), Some(0));
    }

    #[test]
    fn too_many_candidates_are_no_answer() {
        let flows = vec![0..100; MAX_CANDIDATES + 1];
        assert_eq!(answers(&flows, &[1, 2, 3]), None);
    }
}
