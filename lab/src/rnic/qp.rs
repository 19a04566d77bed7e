//! A queue pair: requester and responder, and the way to the other end.

use std::net::IpAddr;

use dataplane::time::Time;
use pipelines::wire::bth::{Bth, Datagram};
use pipelines::wire::opcode::{Kind, Opcode, Service};

use super::dcqcn::NOTIFY_EVERY;
use super::frame::{Route, source_port};
use super::packet::Packet;
use super::psn;
use super::requester::{Context, Requester};
use super::responder::Responder;
use super::settings::{QpSettings, Remote, RnicSettings};
use super::work::{QpNumber, Status};
use crate::random::Random;

/// The default partition, as a full member.
pub(super) const P_KEY: u16 = 0xffff;

/// What a traffic class says of congestion (RFC 3168, section 5): it may be marked, it is.
const ECT: u8 = 0b10;
const MARKED: u8 = 0b11;

/// A queue pair.
#[derive(Debug)]
pub(super) struct Qp {
    pub(super) requester: Requester,
    pub(super) responder: Responder,
    /// The PSN of its first request.
    pub(super) first_psn: u32,
    pub(super) connection: Option<Connection>,
    /// When it may notify the other end of congestion again.
    notify: Time,
    failed: bool,
}

/// The way to the other end.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) route: Route,
    pub(super) remote_qpn: QpNumber,
    identification: u16,
}

impl Qp {
    pub(super) fn new(qpn: QpNumber, settings: QpSettings, first_psn: u32) -> Self {
        Self {
            requester: Requester::new(qpn, settings, psn::first(first_psn)),
            responder: Responder::new(settings, memory_key(qpn), psn::first(0)),
            first_psn,
            connection: None,
            notify: Time::ZERO,
            failed: false,
        }
    }

    /// Connects it.
    pub(super) fn connect(&mut self, rnic: &RnicSettings, remote: Remote) {
        let qpn = self.requester.qpn;
        let port = self.requester.settings.source_port;
        let route = Route {
            source_mac: rnic.mac,
            destination_mac: remote.mac.unwrap_or(rnic.peer_mac),
            source: rnic.address,
            destination: remote.address,
            source_port: port.unwrap_or_else(|| source_port(qpn, remote.qpn)),
            traffic_class: self.traffic_class(),
        };
        let (here, there) = ((rnic.address, qpn), (remote.address, remote.qpn));
        self.requester.remote_key = memory_key(remote.qpn);
        self.requester.sends = secret(here, there, 0);
        self.requester.reads = secret(here, there, 1);
        let first = psn::first(remote.psn);
        self.responder = Responder::new(self.requester.settings, memory_key(qpn), first);
        self.responder.receives = secret(there, here, 0);
        self.responder.serves = secret(there, here, 1);
        self.connection = Some(Connection { route, remote_qpn: remote.qpn, identification: 0 });
    }

    /// Of what it sends: packets of those who heed marks may be marked (RFC 3168: ECT(0)).
    fn traffic_class(&self) -> u8 {
        let QpSettings { dscp, dcqcn, .. } = self.requester.settings;
        dscp << 2 | if dcqcn.is_some() { ECT } else { 0 }
    }

    /// A packet came with this traffic class: whether the other end is to be notified of congestion.
    pub(super) fn is_to_notify(&mut self, now: Time, traffic_class: u8) -> bool {
        let heeds = self.requester.settings.dcqcn.is_some() && self.connection.is_some();
        if !heeds || traffic_class & 3 != MARKED || self.notify > now {
            return false;
        }
        self.notify = now.after(NOTIFY_EVERY);
        true
    }

    /// Makes a frame of a congestion notification (annex A17, section 17.9.3); whether there is
    /// anybody to notify.
    pub(super) fn notification(&mut self, frame: &mut Vec<u8>) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let bth = Bth { becn: true, ..Bth::new(Opcode::CNP, connection.remote_qpn, 0) };
        connection.identification = connection.identification.wrapping_add(1);
        connection.route.write(frame, connection.identification, bth, &[0; 16], [&[], &[]]).is_ok()
    }

    /// Has its first request begin with this PSN; nothing was sent yet.
    pub(super) fn start_at(&mut self, first_psn: u32) {
        self.first_psn = first_psn;
        self.requester.start_at(psn::first(first_psn));
    }

    /// Ends it, which is no failure.
    pub(super) fn close(&mut self, context: &mut Context<'_>) {
        self.failed = true;
        self.requester.fail(Status::Flushed, context);
        self.responder.failed = true;
    }

    /// Takes a packet for it from `source`; whether it is from where it has to be.
    #[inline]
    pub(super) fn receive(
        &mut self,
        source: IpAddr,
        datagram: &Datagram<'_>,
        context: &mut Context<'_>,
    ) -> bool {
        let bth = datagram.bth();
        let peer = self.connection.as_ref().map(|connection| connection.route.destination);
        if peer != Some(source) || bth.p_key != P_KEY {
            return false;
        }
        match (bth.opcode.service(), bth.opcode.shape().kind) {
            (Service::ReliableConnected, Kind::Request) => {
                self.responder.receive(datagram, context.counters);
            }
            (Service::ReliableConnected, Kind::Response | Kind::Acknowledge) => {
                self.requester.receive(datagram, context);
            }
            (_, Kind::Congestion) => self.requester.congested(context),
            _ => context.counters.unsupported += 1,
        }
        true
    }

    /// Whether a request may leave.
    #[inline]
    pub(super) fn can_request(&self, context: &Context<'_>) -> bool {
        self.connection.is_some() && self.requester.can_send(context.now)
    }

    /// One end that failed takes the other with it.
    #[inline]
    pub(super) fn settle(&mut self, context: &mut Context<'_>) {
        if self.failed || !(self.requester.failed || self.responder.failed) {
            return;
        }
        self.failed = true;
        context.counters.qp_errors += 1;
        self.requester.fail(Status::Flushed, context);
        self.responder.failed = true;
    }

    /// Makes a frame of the next answer; whether there was one.
    #[inline]
    pub(super) fn answer(&mut self, frame: &mut Vec<u8>) -> bool {
        let pmtu = self.requester.settings.pmtu;
        let packet = self.responder.answers.next(self.responder.serves, pmtu);
        packet.is_some_and(|packet| self.frame(&packet, frame))
    }

    /// Makes a frame of the next request; whether there was one.
    #[inline]
    pub(super) fn request(&mut self, frame: &mut Vec<u8>, context: &mut Context<'_>) -> bool {
        if !self.can_request(context) {
            return false;
        }
        let packet = self.requester.send(context.now, context.counters);
        packet.is_some_and(|packet| self.frame(&packet, frame))
    }

    fn frame(&mut self, packet: &Packet, frame: &mut Vec<u8>) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let bth = Bth {
            ack_request: packet.ack_request,
            ..Bth::new(packet.opcode, connection.remote_qpn, packet.psn)
        };
        connection.identification = connection.identification.wrapping_add(1);
        let (extended, payload) = (packet.extended.bytes(), packet.payload.parts());
        connection.route.write(frame, connection.identification, bth, extended, payload).is_ok()
    }
}

/// What the memory of a queue pair is called by the other end.
fn memory_key(qpn: QpNumber) -> u32 {
    0x100 + qpn
}

/// What only the two ends of a stream share: where its payload is from.
fn secret(from: (IpAddr, QpNumber), to: (IpAddr, QpNumber), purpose: u64) -> u64 {
    let bits = |address| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let halves = |bits: u128| [(bits >> 64) as u64, bits as u64];
    let ([a, b], [c, d]) = (halves(bits(from.0)), halves(bits(to.0)));
    Random::derive(purpose, &[a, b, from.1.into(), c, d, to.1.into()]).bits()
}
