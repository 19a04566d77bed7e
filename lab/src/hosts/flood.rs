//! Strangers at site A: RoCEv2 packets, each from another address to another queue pair, as fast as
//! the scenario says. Nobody answers them, and nobody misses them.

use dataplane::time::{Nanos, SECOND, Time};
use pipelines::wire::icrc;

use super::{Hosts, Work};
use crate::network::Network;
use crate::random::Random;
use crate::report::{Endpoints, StrangersReport};
use crate::run::LabError;

/// The stations that they send from and to; no other host has these addresses.
const STATIONS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0x99, 1], [2, 0, 0, 0, 0x99, 2]];
const IPV4: usize = 20;
const ICRC: usize = 4;
/// An RDMA WRITE Only of 16 bytes: IPv4, UDP, BTH, RETH, payload, ICRC.
const IP_LEN: usize = IPV4 + 8 + 12 + 16 + 16 + ICRC;
/// Randomness of their own.
const PURPOSE: u64 = 0xf100d;

/// Other hosts, and strangers beside them.
pub(super) struct Flooded {
    hosts: Box<dyn Hosts>,
    random: Random,
    /// Between two packets.
    pause: Nanos,
    next: Time,
    count: StrangersReport,
}

impl Flooded {
    /// `rate` packets a second, at least one, beside `hosts`.
    pub(super) fn new(hosts: Box<dyn Hosts>, rate: u64, seed: u64) -> Self {
        let random = Random::derive(seed, &[PURPOSE]);
        let pause = (SECOND / rate.max(1)).max(1);
        Self { hosts, random, pause, next: Time::NEVER, count: StrangersReport::default() }
    }
}

/// A packet: its addresses, ports, queue pair and PSN are random.
fn write(random: &mut Random, frame: &mut Vec<u8>) {
    let [source, destination] = STATIONS;
    frame.extend(destination);
    frame.extend(source);
    frame.extend([0x08, 0x00]);
    let at = frame.len();
    frame.extend([0x45, 0]);
    frame.extend((IP_LEN as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend(random.bits().to_be_bytes());
    let [port @ .., q0, q1, q2, p0, p1, p2] = random.bits().to_be_bytes();
    frame.extend(port);
    frame.extend(4_791u16.to_be_bytes());
    frame.extend(((IP_LEN - IPV4) as u16).to_be_bytes());
    frame.extend([0, 0, 0x0a, 0, 0xff, 0xff, 0, q0, q1, q2, 0, p0, p1, p2]);
    frame.resize(at + IP_LEN - ICRC, 0);
    let icrc = frame.get(at..).and_then(|packet| icrc::compute(IPV4, [packet]));
    frame.extend(icrc.unwrap_or_default().to_le_bytes());
}

/// Whether a frame is a stranger's.
fn is_stranger(frame: &[u8]) -> bool {
    frame.starts_with(&STATIONS[1])
}

impl Hosts for Flooded {
    fn start(&mut self, now: Time, network: &mut Network) -> Result<u64, LabError> {
        self.next = now;
        self.hosts.start(now, network)
    }

    fn next_event(&self, now: Time, network: &Network) -> Option<Time> {
        let strangers = (!self.is_over()).then_some(self.next);
        self.hosts.next_event(now, network).into_iter().chain(strangers).min()
    }

    fn receive(&mut self, now: Time, side: usize, frame: &[u8]) {
        match is_stranger(frame) {
            true => self.count.arrived += 1,
            false => self.hosts.receive(now, side, frame),
        }
    }

    fn absorbed(&mut self, side: usize, frame: &[u8]) {
        if !is_stranger(frame) {
            self.hosts.absorbed(side, frame);
        }
    }

    fn has_work(&self, now: Time, side: usize) -> bool {
        self.hosts.has_work(now, side)
    }

    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError> {
        while self.next <= now && !self.is_over() {
            let mut frame = network.buffer();
            write(&mut self.random, &mut frame);
            network.send_from_host(now, 0, frame);
            self.count.sent += 1;
            self.next = self.next.after(self.pause);
        }
        self.hosts.act(now, network)
    }

    fn is_over(&self) -> bool {
        self.hosts.is_over()
    }

    fn unfinished(&self, after: Nanos) -> LabError {
        self.hosts.unfinished(after)
    }

    fn span(&self) -> Nanos {
        self.hosts.span()
    }

    fn errors(&self) -> Vec<String> {
        self.hosts.errors()
    }

    fn work(&self) -> Vec<Work> {
        self.hosts.work()
    }

    fn report(&self, line_bytes: u64) -> Endpoints {
        Endpoints { strangers: Some(self.count), ..self.hosts.report(line_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::look;
    use pipelines::wire::packet::{Class, Parsed};

    #[test]
    fn each_is_a_sound_packet_of_a_stream_of_its_own() {
        let mut random = Random::derive(1, &[PURPOSE]);
        let mut streams = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let mut frame = Vec::new();
            write(&mut random, &mut frame);
            assert!(is_stranger(&frame));
            let parsed = Parsed::of(&frame, frame.len());
            assert!(matches!(parsed.class, Class::Roce(..)), "{:?}", parsed.class);
            assert_eq!(icrc::verify(IPV4, [&frame[14..]]), Some(true));
            streams.insert(look(&frame).expect("a frame").stream);
        }
        assert_eq!(streams.len(), 1_000);
    }
}
