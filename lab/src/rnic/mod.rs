//! A model of an RNIC: reliable connections as NICs and the usual software stack do them.
//!
//! No sockets, threads or clock: the caller says what time it is, hands frames in
//! ([`Rnic::receive`]) and pulls frames out, one whenever its line is free ([`Rnic::transmit`]).
//! Loss is answered as these stacks answer it: go-back-N, one NAK a gap, timeouts, and the failure
//! of the queue pair in the end. Payloads say where they belong, so that whatever a network does
//! to them is found and counted ([`Counters`]).
//!
//! InfiniBand Architecture volume 1, chapter 9; annex A17 (RoCEv2).

use std::collections::VecDeque;
use std::net::IpAddr;

use dataplane::time::Time;
use pipelines::wire::bth::Datagram;
use pipelines::wire::cm::GSI_QP;
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::{ethernet, udp};
use thiserror::Error;

mod answers;
mod cm;
mod connections;
mod counters;
mod dcqcn;
mod frame;
mod packet;
mod payload;
mod psn;
mod qp;
mod requester;
mod responder;
mod response;
mod settings;
mod timer;
mod turns;
mod work;

pub use connections::ConnectionEvent;
pub use counters::Counters;
pub use settings::{Behaviour, Pmtu, QpSettings, Receives, Remote, RnicSettings, Timer};
pub use work::{Completion, QpNumber, Status, Verb, WorkRequest};

use connections::Connections;
use qp::Qp;
use requester::Context;
use timer::Agenda;
use turns::Turns;

use crate::random::Random;

/// The number of the first queue pair; those below have a meaning of their own.
const FIRST_QPN: QpNumber = 0x11;

/// Why queue pairs cannot be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// There is none with this number.
    #[error("no queue pair {0:#x}")]
    UnknownQp(QpNumber),
    /// One end has an IPv4 address and the other an IPv6 address.
    #[error("{0} and {1} are of two IP versions")]
    IpVersion(IpAddr, IpAddr),
}

/// An RNIC with one port.
#[derive(Debug)]
pub struct Rnic {
    settings: RnicSettings,
    random: Random,
    now: Time,
    /// Queue pairs by number.
    qps: Vec<Option<Box<Qp>>>,
    /// Numbers of those that were destroyed, and since when they rest.
    resting: VecDeque<(Time, QpNumber)>,
    /// Queue pairs with answers, and with requests, that may leave.
    answering: Turns,
    requesting: Turns,
    agenda: Agenda,
    /// Queue pairs whose other ends are to be notified of congestion.
    notifying: VecDeque<QpNumber>,
    connections: Connections,
    completions: VecDeque<Completion>,
    counters: Counters,
}

impl Rnic {
    /// One without queue pairs.
    #[must_use]
    pub fn new(settings: RnicSettings) -> Self {
        let random = Random::derive(settings.seed, &[0x524e_4943]);
        Self {
            settings,
            random,
            now: Time::ZERO,
            qps: Vec::new(),
            resting: VecDeque::new(),
            answering: Turns::default(),
            requesting: Turns::default(),
            agenda: Agenda::default(),
            notifying: VecDeque::new(),
            connections: Connections::default(),
            completions: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Makes a queue pair; its first request will have a random PSN.
    pub fn create_qp(&mut self, settings: QpSettings) -> QpNumber {
        let first_psn = self.random.below(1 << 24) as u32;
        self.create_qp_at(settings, first_psn)
    }

    /// Makes a queue pair whose first request will have this PSN.
    pub fn create_qp_at(&mut self, settings: QpSettings, first_psn: u32) -> QpNumber {
        let make = |qpn| Some(Box::new(Qp::new(qpn, settings, first_psn & 0xff_ffff)));
        let rested = self.now.0.saturating_sub(self.settings.time_wait);
        if let Some((_, qpn)) = self.resting.pop_front_if(|(since, _)| since.0 < rested)
            && let Some(at) = slot(qpn)
        {
            self.qps[at] = make(qpn);
            return qpn;
        }
        let qpn = FIRST_QPN + self.qps.len() as u32;
        self.qps.push(make(qpn));
        qpn
    }

    /// The queue pair at the other end of a connected one.
    #[must_use]
    pub fn peer(&self, qpn: QpNumber) -> Option<QpNumber> {
        let qp = self.qps.get(slot(qpn)?)?.as_ref()?;
        qp.connection.as_ref().map(|connection| connection.remote_qpn)
    }

    /// What the other end has to know about a queue pair.
    #[must_use]
    pub fn endpoint(&self, qpn: QpNumber) -> Option<Remote> {
        let qp = self.qps.get(slot(qpn)?)?.as_ref()?;
        let RnicSettings { address, mac, .. } = self.settings;
        Some(Remote { address, qpn, psn: qp.first_psn, mac: Some(mac) })
    }

    /// Connects a queue pair to one whose number and PSN are known from elsewhere.
    ///
    /// # Errors
    /// No such queue pair here, or addresses of two IP versions.
    pub fn connect(&mut self, qpn: QpNumber, remote: Remote) -> Result<(), ConnectError> {
        let here = self.settings.address;
        if here.is_ipv4() != remote.address.is_ipv4() {
            return Err(ConnectError::IpVersion(here, remote.address));
        }
        let qp = find(&mut self.qps, qpn).ok_or(ConnectError::UnknownQp(qpn))?;
        qp.connect(&self.settings, remote);
        self.settle(qpn);
        Ok(())
    }

    /// Removes a queue pair. Messages that are not complete are flushed; packets for it are
    /// dropped from now on. The number rests for [`RnicSettings::time_wait`].
    pub fn destroy_qp(&mut self, qpn: QpNumber) {
        let Some(at) = slot(qpn) else { return };
        let Some(mut qp) = self.qps.get_mut(at).and_then(Option::take) else { return };
        let Self { now, counters, completions, .. } = self;
        qp.requester.fail(Status::Flushed, &mut Context { now: *now, counters, completions });
        self.resting.push_back((self.now, qpn));
    }

    /// Posts a message; whether there is such a queue pair.
    pub fn post(&mut self, now: Time, qpn: QpNumber, work: WorkRequest) -> bool {
        self.now = now;
        let Self { qps, counters, completions, .. } = self;
        let Some(qp) = find(qps, qpn) else { return false };
        qp.requester.post(work, &mut Context { now, counters, completions });
        self.settle(qpn);
        true
    }

    /// Posts `more` receives for a queue pair that counts them.
    pub fn post_receives(&mut self, qpn: QpNumber, more: u32) {
        if let Some(qp) = find(&mut self.qps, qpn) {
            qp.responder.post_receives(more);
        }
    }

    /// The end of a message, oldest first.
    pub fn poll(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// Messages of a queue pair that are not complete.
    #[must_use]
    pub fn outstanding(&self, qpn: QpNumber) -> usize {
        let qp = slot(qpn).and_then(|at| self.qps.get(at)?.as_ref());
        qp.map_or(0, |qp| qp.requester.queue.len())
    }

    /// What it counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When there is something to do: now, if a frame may leave.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        let silent = self.answering.is_empty() && self.requesting.is_empty();
        if !silent || !self.notifying.is_empty() || !self.connections.is_silent() {
            return Some(self.now);
        }
        self.agenda.next().into_iter().chain(self.connections.next()).min()
    }

    /// Takes a frame from the line.
    pub fn receive(&mut self, now: Time, frame: &[u8]) {
        self.now = now;
        self.counters.received_packets += 1;
        let parsed = Parsed::of(frame, frame.len());
        let (ip, udp, roce) = match parsed.class {
            Class::Roce(ip, udp, roce) => (ip, udp, roce),
            Class::MalformedRoce(..) => {
                self.counters.malformed += 1;
                return;
            }
            _ => {
                self.counters.misdirected += 1;
                return;
            }
        };
        if parsed.icrc_is_right([frame]) != Some(true) {
            self.counters.icrc_errors += 1;
            return;
        }
        let begin = ip.payload_at() + udp::HEADER_LEN;
        let end = ip.payload_at() + usize::from(udp.len);
        let source = self.source(&ip, frame);
        let datagram = frame.get(begin..end).and_then(|bytes| Datagram::parse(bytes).ok());
        let known = match (source, datagram) {
            (Some(source), Some(datagram)) => {
                let known = self.deliver(source, roce.bth.dest_qp, &datagram);
                if known && !datagram.payload().is_empty() {
                    self.heed(roce.bth.dest_qp, ip.tos);
                }
                known
            }
            _ => false,
        };
        self.counters.misdirected += u64::from(!known);
    }

    /// Puts the next frame that may leave in the place of `frame`; whether there is one. Connection
    /// management goes first, then notifications of congestion, answers, and requests; queue pairs take turns, one
    /// packet each.
    pub fn transmit(&mut self, now: Time, frame: &mut Vec<u8>) -> bool {
        self.now = now;
        self.wake();
        let sent = self.transmit_mad(frame)
            || self.transmit_notification(frame)
            || self.transmit_answer(frame)
            || self.transmit_request(frame);
        self.counters.sent_packets += u64::from(sent);
        sent
    }

    /// Data came for a queue pair with this traffic class: it may tell of congestion.
    #[inline]
    fn heed(&mut self, qpn: QpNumber, traffic_class: u8) {
        let qp = find(&mut self.qps, qpn);
        if qp.is_some_and(|qp| qp.is_to_notify(self.now, traffic_class)) {
            self.notifying.push_back(qpn);
        }
    }

    fn transmit_notification(&mut self, frame: &mut Vec<u8>) -> bool {
        while let Some(qpn) = self.notifying.pop_front() {
            if find(&mut self.qps, qpn).is_some_and(|qp| qp.notification(frame)) {
                self.counters.np_cnp_sent += 1;
                return true;
            }
        }
        false
    }

    fn transmit_answer(&mut self, frame: &mut Vec<u8>) -> bool {
        while let Some(who) = self.answering.next() {
            let Some(qp) = find(&mut self.qps, FIRST_QPN + who) else { continue };
            let sent = qp.answer(frame);
            if !qp.responder.answers.is_empty() {
                self.answering.join(who);
            }
            if sent {
                return true;
            }
        }
        false
    }

    fn transmit_request(&mut self, frame: &mut Vec<u8>) -> bool {
        while let Some(who) = self.requesting.next() {
            let Self { qps, now, counters, completions, .. } = self;
            let Some(qp) = find(qps, FIRST_QPN + who) else { continue };
            let sent = qp.request(frame, &mut Context { now: *now, counters, completions });
            self.settle(FIRST_QPN + who);
            if sent {
                return true;
            }
        }
        false
    }

    /// The sender of a frame that is for this RNIC.
    fn source(&self, ip: &pipelines::wire::packet::Ip, frame: &[u8]) -> Option<IpAddr> {
        let (source, destination) = ip.addresses(frame)?;
        let mac = ethernet::View::parse(frame).ok()?.destination();
        (destination == self.settings.address && mac == self.settings.mac).then_some(source)
    }

    /// Gives a packet to its queue pair; whether there is one that wants it.
    fn deliver(&mut self, source: IpAddr, qpn: QpNumber, datagram: &Datagram<'_>) -> bool {
        if qpn == GSI_QP {
            return self.take_mad(source, datagram);
        }
        let Self { qps, now, counters, completions, .. } = self;
        let Some(qp) = find(qps, qpn) else { return false };
        let context = &mut Context { now: *now, counters, completions };
        let known = qp.receive(source, datagram, context);
        self.settle(qpn);
        known
    }

    /// Ends a queue pair together with its connection.
    fn close(&mut self, qpn: QpNumber) {
        let Self { qps, now, counters, completions, .. } = self;
        if let Some(qp) = find(qps, qpn) {
            qp.close(&mut Context { now: *now, counters, completions });
        }
    }

    /// Lets timers fire.
    fn wake(&mut self) {
        while let Some(who) = self.agenda.take(self.now) {
            let Self { qps, now, counters, completions, .. } = self;
            let Some(qp) = find(qps, FIRST_QPN + who) else { continue };
            qp.requester.wake(&mut Context { now: *now, counters, completions });
            self.settle(FIRST_QPN + who);
        }
    }

    /// After something happened to a queue pair: gives it the turns and the timer it needs.
    #[inline]
    fn settle(&mut self, qpn: QpNumber) {
        let Self { qps, now, counters, completions, .. } = self;
        let Some(qp) = find(qps, qpn) else { return };
        let context = &mut Context { now: *now, counters, completions };
        qp.settle(context);
        let who = qpn - FIRST_QPN;
        if !qp.responder.answers.is_empty() {
            self.answering.join(who);
        }
        if qp.can_request(context) {
            self.requesting.join(who);
        }
        let due = qp.requester.due(self.now);
        if due != Time::NEVER {
            self.agenda.note(who, due);
        }
    }
}

/// The place of a queue pair among the others.
#[inline]
fn slot(qpn: QpNumber) -> Option<usize> {
    qpn.checked_sub(FIRST_QPN).map(|at| at as usize)
}

#[inline]
fn find(qps: &mut [Option<Box<Qp>>], qpn: QpNumber) -> Option<&mut Qp> {
    qps.get_mut(slot(qpn)?)?.as_deref_mut()
}

#[cfg(test)]
mod tests;
