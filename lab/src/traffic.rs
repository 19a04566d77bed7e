//! What RNICs at the two sites are to do: `verb=write,qps=16,size=1MiB,messages=64`.

use dataplane::time::Nanos;

use crate::pause::PRIORITY;
use crate::rnic::{Pmtu, Timer, Verb};

mod parse;
mod plan;

pub use parse::TrafficError;
pub use plan::Plan;

/// What the messages of a queue pair do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mix {
    /// RDMA WRITE.
    Write,
    /// SEND.
    Send,
    /// RDMA READ: bytes flow towards who asks.
    Read,
    /// Atomics, the two kinds in turn.
    Atomic,
    /// WRITE, SEND, READ and atomic in turn.
    Mixed,
}

impl Mix {
    /// All of them, by the names they are given by.
    pub const ALL: [(&'static str, Self); 5] = [
        ("write", Self::Write),
        ("send", Self::Send),
        ("read", Self::Read),
        ("atomic", Self::Atomic),
        ("mix", Self::Mixed),
    ];

    /// What message `number` of a queue pair does.
    #[must_use]
    pub const fn verb(self, number: u32) -> Verb {
        match (self, number % 4) {
            (Self::Write, _) | (Self::Mixed, 0) => Verb::Write,
            (Self::Send, _) | (Self::Mixed, 1) => Verb::Send,
            (Self::Read, _) | (Self::Mixed, 2) => Verb::Read,
            (Self::Atomic, turn) if turn % 2 == 0 => Verb::FetchAdd,
            (Self::Atomic, _) => Verb::CmpSwap,
            (Self::Mixed, _) if number % 8 == 3 => Verb::FetchAdd,
            (Self::Mixed, _) => Verb::CmpSwap,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, mix)| *mix == self).map_or("", |(name, _)| name)
    }
}

/// Which site asks: posts the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A.
    Ab,
    /// B.
    Ba,
    /// Both, each as much as one alone would.
    Both,
}

impl Direction {
    /// All of them, by the names they are given by.
    pub const ALL: [(&'static str, Self); 3] =
        [("ab", Self::Ab), ("ba", Self::Ba), ("both", Self::Both)];

    /// Whether `side` asks: 0 is A, 1 is B.
    #[must_use]
    pub const fn asks(self, side: usize) -> bool {
        match self {
            Self::Ab => side == 0,
            Self::Ba => side == 1,
            Self::Both => true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, way)| *way == self).map_or("", |(name, _)| name)
    }
}

/// Messages that come so many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bursts {
    /// Messages of each queue pair in one of them, at least one.
    pub messages: u32,
    /// From one to the next, above 0.
    pub every: Nanos,
}

/// RNICs under load: hosts at each site, with queue pairs between them. Several of these are several
/// groups of hosts; each host has a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// What reports call it; empty: `g1`, `g2` and so on, by its place.
    pub name: String,
    /// What the messages do.
    pub verb: Mix,
    /// Queue pairs.
    pub qps: u32,
    /// Bytes of a message; atomics have eight.
    pub size: u32,
    /// Messages of a queue pair.
    pub messages: u32,
    /// When a requester that hears nothing sends again.
    pub timer: Timer,
    /// READs and atomics that a queue pair may have outstanding; by default enough for the window.
    pub reads: Option<u32>,
    /// Timeouts without progress before a queue pair fails.
    pub retry: u8,
    /// Every so many messages that need a receive find none.
    pub rnr: Option<u32>,
    /// A queue pair is destroyed after so many messages, and after a failure, and another one goes
    /// on: connections are made on the wire then, each with new starting PSNs.
    pub recreate: Option<u32>,
    /// Who asks.
    pub direction: Direction,
    /// The largest payload of a packet.
    pub pmtu: Pmtu,
    /// Bytes that a site may have under way, over all queue pairs; by default enough for the paths.
    pub window: Option<u64>,
    /// A host's line, bits a second; by default a multiple of all paths together.
    pub line: Option<u64>,
    /// Code points of differentiated services that queue pairs have in turn; all 0 if empty.
    pub dscp: Vec<u8>,
    /// The priority of all it sends and receives, 0 to 7: what a pause of the LAN stops.
    pub priority: u8,
    /// When it begins, from the start of the play.
    pub start: Nanos,
    /// Its packets may be marked, and it slows down for marks as DCQCN does.
    pub dcqcn: bool,
    /// UDP source port of all queue pairs, which are one 5-tuple then; by default each has its own.
    pub port: Option<u16>,
    /// Hosts that queue pairs are dealt out to, at the site that asks; at A if both do.
    pub hosts: u32,
    /// And at the other one; by default as many.
    pub targets: Option<u32>,
    /// Messages come in bursts of all queue pairs at once, the first at the start; by default all
    /// are there from the start on.
    pub bursts: Option<Bursts>,
}

impl Default for Traffic {
    /// 64 MiB of WRITEs over one queue pair.
    fn default() -> Self {
        Self {
            name: String::new(),
            verb: Mix::Write,
            qps: 1,
            size: 1 << 20,
            messages: 64,
            timer: Timer::Fixed(17),
            reads: None,
            retry: 7,
            rnr: None,
            recreate: None,
            direction: Direction::Ab,
            pmtu: Pmtu::B4096,
            window: None,
            line: None,
            dscp: Vec::new(),
            priority: PRIORITY,
            start: 0,
            dcqcn: false,
            port: None,
            hosts: 1,
            targets: None,
            bursts: None,
        }
    }
}

impl Traffic {
    /// What message `number` of a queue pair does, and its bytes.
    #[must_use]
    pub const fn message(&self, number: u32) -> (Verb, u32) {
        let verb = self.verb.verb(number);
        (verb, if verb.is_atomic() { 8 } else { self.size })
    }

    /// The code point of the queue pair at `place`.
    #[must_use]
    pub fn dscp_of(&self, place: usize) -> u8 {
        self.dscp.get(place % self.dscp.len().max(1)).copied().unwrap_or(0)
    }

    /// Hosts at `side`: 0 is A, 1 is B.
    #[must_use]
    pub fn hosts_at(&self, side: usize) -> u32 {
        match self.direction.asks(0) == (side == 0) {
            true => self.hosts,
            false => self.targets.unwrap_or(self.hosts),
        }
    }

    /// What reports call the one at this place, counted from 0.
    #[must_use]
    pub fn called(&self, place: usize) -> String {
        if self.name.is_empty() { format!("g{}", place + 1) } else { self.name.clone() }
    }

    /// Messages of both sites.
    #[must_use]
    pub fn total(&self) -> u64 {
        let sides = [0, 1].into_iter().filter(|&side| self.direction.asks(side)).count() as u64;
        u64::from(self.qps) * u64::from(self.messages) * sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_takes_turns() {
        let verbs: Vec<_> = (0..8).map(|number| Mix::Mixed.verb(number)).collect();
        let (write, send, read) = (Verb::Write, Verb::Send, Verb::Read);
        assert_eq!(verbs, [write, send, read, Verb::FetchAdd, write, send, read, Verb::CmpSwap]);
        assert_eq!([Mix::Atomic.verb(0), Mix::Atomic.verb(1)], [Verb::FetchAdd, Verb::CmpSwap]);
    }

    #[test]
    fn both_sites_ask_for_twice_as_much() {
        let traffic = Traffic { qps: 3, messages: 5, ..Traffic::default() };
        assert_eq!(traffic.total(), 15);
        assert_eq!(Traffic { direction: Direction::Both, ..traffic }.total(), 30);
    }

    #[test]
    fn hosts_are_those_that_ask_and_targets_the_others() {
        let many = Traffic { qps: 16, hosts: 16, targets: Some(2), ..Traffic::default() };
        assert_eq!([0, 1].map(|side| many.hosts_at(side)), [16, 2]);
        let back = Traffic { direction: Direction::Ba, ..many.clone() };
        assert_eq!([0, 1].map(|side| back.hosts_at(side)), [2, 16]);
        let both = Traffic { direction: Direction::Both, targets: None, ..many };
        assert_eq!([0, 1].map(|side| both.hosts_at(side)), [16, 16]);
    }
}
