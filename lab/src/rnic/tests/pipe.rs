//! Two RNICs and the pipe between them, in which anything may happen to a frame.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{MICROSECOND, Nanos, SECOND, Time};
use pipelines::wire::bth::Datagram;

use crate::events::Events;
use crate::rnic::{
    Completion, Counters, QpNumber, QpSettings, Remote, Rnic, RnicSettings, Status, Verb,
    WorkRequest,
};

/// Time a frame takes on the line.
const FRAME_TIME: Nanos = 100;

/// A frame that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The end that sent it.
    pub(super) from: usize,
    pub(super) at: Time,
    pub(super) opcode: u8,
    pub(super) psn: u32,
    pub(super) ack_request: bool,
    /// Syndrome and MSN, if it has any.
    pub(super) aeth: Option<(u8, u32)>,
}

/// The delays after which a frame arrives: none if it is lost.
pub(super) type Fate = Vec<Nanos>;

/// What happens to frames: told each frame and how many went before it.
type Doom = Box<dyn FnMut(&Seen, usize, &mut Vec<u8>) -> Fate>;

pub(super) struct Pipe {
    pub(super) ends: [Rnic; 2],
    pub(super) qpns: [QpNumber; 2],
    pub(super) now: Time,
    pub(super) seen: Vec<Seen>,
    pub(super) done: [Vec<Completion>; 2],
    free: [Time; 2],
    events: Events<(usize, Vec<u8>)>,
    doom: Doom,
}

pub(super) fn rnic(number: u8) -> Rnic {
    Rnic::new(RnicSettings {
        mac: [2, 0, 0, 0, 0, number],
        address: IpAddr::from(Ipv4Addr::new(10, 0, 0, number)),
        peer_mac: [2, 0, 0, 0, 0, 3 - number],
        seed: number.into(),
        time_wait: u64::MAX,
    })
}

/// The one-way delay of a pipe without anything else to it.
pub(super) const DELAY: Nanos = 10 * MICROSECOND;

impl Pipe {
    /// Two ends with a queue pair each, connected; nothing happens to frames.
    pub(super) fn new(settings: QpSettings) -> Self {
        Self::of([settings; 2])
    }

    /// The same, with settings of its own for each end.
    pub(super) fn of(settings: [QpSettings; 2]) -> Self {
        let mut ends = [rnic(1), rnic(2)];
        // Close to the wrap, so that every test passes it.
        let first_psns = [0xff_fffd, 0xff_fff0];
        let qpns = [0, 1].map(|end| ends[end].create_qp_at(settings[end], first_psns[end]));
        let remotes: [Remote; 2] =
            [0, 1].map(|end| ends[end].endpoint(qpns[end]).expect("a queue pair"));
        for end in [0, 1] {
            ends[end].connect(qpns[end], remotes[1 - end]).expect("a connection");
        }
        Self {
            ends,
            qpns,
            now: Time::ZERO,
            seen: Vec::new(),
            done: [Vec::new(), Vec::new()],
            free: [Time::ZERO; 2],
            events: Events::default(),
            doom: Box::new(|_, _, _| vec![DELAY]),
        }
    }

    /// Lets `doom` decide what happens to frames.
    pub(super) fn with(
        mut self,
        doom: impl FnMut(&Seen, usize, &mut Vec<u8>) -> Fate + 'static,
    ) -> Self {
        self.doom = Box::new(doom);
        self
    }

    /// Loses the n-th frames of those that `picks`.
    pub(super) fn losing(self, n: &'static [usize], picks: fn(&Seen) -> bool) -> Self {
        let mut picked = 0;
        self.with(move |seen, _, _| {
            if !picks(seen) {
                return vec![DELAY];
            }
            picked += 1;
            if n.contains(&(picked - 1)) { vec![] } else { vec![DELAY] }
        })
    }

    /// Posts a message at the first end.
    pub(super) fn post(&mut self, verb: Verb, length: u32) {
        self.post_at(0, verb, length);
    }

    pub(super) fn post_at(&mut self, end: usize, verb: Verb, length: u32) {
        let id = (self.done[end].len() + self.ends[end].outstanding(self.qpns[end])) as u64;
        let work = WorkRequest { verb, length, id };
        assert!(self.ends[end].post(self.now, self.qpns[end], work));
    }

    /// Goes on for `span`, or until nothing is left to happen.
    pub(super) fn run_for(&mut self, span: Nanos) {
        let until = self.now.after(span);
        while let Some(next) = self.step().filter(|next| *next <= until) {
            self.now = next;
        }
    }

    /// Goes on until nothing is left to happen.
    pub(super) fn run(&mut self) {
        self.run_for(1000 * SECOND);
        assert_eq!(self.step(), None, "something is still to happen");
    }

    /// Does what is due now; when the next thing is.
    fn step(&mut self) -> Option<Time> {
        while let Some((end, frame)) = self.events.take_due(self.now) {
            self.ends[end].receive(self.now, &frame);
        }
        for end in [0, 1] {
            let mut frame = Vec::new();
            if self.free[end] <= self.now && self.ends[end].transmit(self.now, &mut frame) {
                self.free[end] = self.now.after(FRAME_TIME);
                self.send(end, frame);
            }
            self.done[end].extend(std::iter::from_fn(|| self.ends[end].poll()));
        }
        let line = |end: usize| self.ends[end].next_event().map(|at| at.max(self.free[end]));
        [line(0), line(1), self.events.next_due()].into_iter().flatten().min()
    }

    fn send(&mut self, from: usize, mut frame: Vec<u8>) {
        let seen = see(from, self.now, &frame);
        for delay in (self.doom)(&seen, self.seen.len(), &mut frame) {
            self.events.add(self.now.after(delay), (1 - from, frame.clone()));
        }
        self.seen.push(seen);
    }

    /// Opcodes of what an end sent.
    pub(super) fn opcodes(&self, from: usize) -> Vec<u8> {
        self.seen.iter().filter(|seen| seen.from == from).map(|seen| seen.opcode).collect()
    }

    /// PSNs of what an end sent, counted from its first.
    pub(super) fn psns(&self, from: usize) -> Vec<u32> {
        let mut psns = self.seen.iter().filter(|seen| seen.from == from).map(|seen| seen.psn);
        let Some(first) = psns.next() else { return Vec::new() };
        let rest = psns.map(|psn| psn.wrapping_sub(first) & 0xff_ffff);
        std::iter::once(0).chain(rest).collect()
    }

    pub(super) fn counters(&self) -> [Counters; 2] {
        [self.ends[0].counters(), self.ends[1].counters()]
    }

    /// Each of the first end's messages is complete, once and in order; no data is wrong.
    pub(super) fn assert_complete(&self, messages: usize) {
        assert_eq!(self.done[0].len(), messages);
        for (id, completion) in self.done[0].iter().enumerate() {
            assert_eq!((completion.id, completion.status), (id as u64, Status::Success));
            assert!(completion.posted <= completion.first_sent);
            assert!(completion.first_sent < completion.completed);
        }
        for counters in self.counters() {
            assert_eq!(counters.wrong_data() + counters.qp_errors, 0, "{counters:?}");
            assert_eq!(counters.unsupported + counters.misdirected, 0, "{counters:?}");
        }
    }
}

/// Looks at an IPv4 frame without tags.
fn see(from: usize, at: Time, frame: &[u8]) -> Seen {
    let udp_len = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
    let datagram = Datagram::parse(&frame[42..34 + udp_len]).expect("a packet");
    let bth = datagram.bth();
    let aeth = datagram.aeth().map(|aeth| (aeth.syndrome.0, aeth.msn));
    Seen { from, at, opcode: bth.opcode.0, psn: bth.psn, ack_request: bth.ack_request, aeth }
}
