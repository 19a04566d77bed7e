//! Connections made on the wire: requests, replies and farewells as datagrams on queue pair 1.
//!
//! InfiniBand Architecture volume 1, chapter 12. Datagrams get lost: whoever waits for an answer
//! repeats what it said, whoever gets something twice answers twice.

use std::net::IpAddr;

use dataplane::time::Time;
use pipelines::wire::bth::{Bth, Datagram};
use pipelines::wire::cm::{GSI_Q_KEY, GSI_QP, Ids, Mad, Message, Rej, Rep, Req};
use pipelines::wire::ext::Deth;
use pipelines::wire::opcode::Opcode;

use super::connections::{Connection, ConnectionEvent, REPEATS, RESPONSE_TIMEOUT, State};
use super::frame::{Route, source_port};
use super::qp::P_KEY;
use super::settings::{Pmtu, QpSettings, Remote};
use super::work::QpNumber;
use super::{ConnectError, Rnic, find};

/// Nobody listens for this service.
const INVALID_SERVICE: u16 = 8;

impl Rnic {
    /// Accepts connections for a service, each with a new queue pair.
    pub fn listen(&mut self, service_id: u64, settings: QpSettings) {
        self.connections.listeners.insert(service_id, settings);
    }

    /// Asks for a connection of a queue pair with a service elsewhere.
    ///
    /// # Errors
    /// No such queue pair here, or addresses of two IP versions.
    pub fn dial(
        &mut self,
        now: Time,
        qpn: QpNumber,
        remote: IpAddr,
        service_id: u64,
    ) -> Result<(), ConnectError> {
        self.now = now;
        let here = self.settings.address;
        if here.is_ipv4() != remote.is_ipv4() {
            return Err(ConnectError::IpVersion(here, remote));
        }
        let qp = find(&mut self.qps, qpn).ok_or(ConnectError::UnknownQp(qpn))?;
        let settings = qp.requester.settings;
        let expects = self.random.below(1 << 24) as u32;
        let at = self.connections.add(State::Requested, qpn, remote, expects);
        let req = Req {
            local_id: at as u32 + 1,
            service_id,
            local_qpn: qpn,
            starting_psn: expects,
            local_gid: gid(here),
            remote_gid: gid(remote),
            ..request(&settings)
        };
        self.connections.insist(now, at, Message::Req(req));
        Ok(())
    }

    /// Ends the connection of a queue pair. Messages that are not complete are flushed.
    pub fn disconnect(&mut self, now: Time, qpn: QpNumber) {
        self.now = now;
        let established = |connection: &Connection| {
            connection.qpn == qpn && connection.state == State::Established
        };
        let Some(at) = self.connections.all.iter().position(established) else { return };
        let ids = self.connections.ids(at);
        if let Some(connection) = self.connections.all.get_mut(at) {
            connection.state = State::Leaving;
            let message = Message::Dreq(ids, connection.remote_qpn);
            self.connections.insist(now, at, message);
        }
        self.close(qpn);
    }

    /// What became of a connection, oldest first.
    pub fn poll_connection(&mut self) -> Option<ConnectionEvent> {
        self.connections.events.pop_front()
    }

    /// Takes a datagram for queue pair 1; whether it was one.
    pub(super) fn take_mad(&mut self, from: IpAddr, datagram: &Datagram<'_>) -> bool {
        let is_ours = datagram.bth().opcode == Opcode::UD_SEND_ONLY
            && datagram.deth().is_some_and(|deth| deth.q_key == GSI_Q_KEY);
        let Some(mad) = is_ours.then(|| Mad::parse(datagram.payload()).ok()).flatten() else {
            return false;
        };
        match mad.message {
            Message::Req(req) => self.take_req(from, mad.transaction_id, &req),
            Message::Rep(rep) => self.take_rep(from, mad.transaction_id, &rep),
            Message::Rtu(ids) => self.take_rtu(from, ids),
            Message::Rej(rej) => self.take_rej(from, &rej),
            Message::Dreq(ids, _) => self.take_dreq(from, mad.transaction_id, ids),
            Message::Drep(ids) => self.take_drep(from, ids),
            Message::Other(_) => return false,
        }
        true
    }

    fn take_req(&mut self, from: IpAddr, transaction_id: u64, req: &Req<'_>) {
        if let Some(&at) = self.connections.accepted.get(&(from, req.local_id)) {
            // Repeated: its answer is lost or on its way.
            if let Some(connection) = self.connections.all.get(at)
                && connection.state == State::Replied
            {
                self.connections.outbox.push_back((from, connection.said.clone()));
            }
            return;
        }
        let listener = self.connections.listeners.get(&req.service_id).copied();
        let (Some(settings), Some(pmtu)) = (listener, Pmtu::of_code(req.path_mtu_code)) else {
            let ids = Ids { local: 0, remote: req.local_id };
            let rej = Rej { ids, rejected: 0, reason: INVALID_SERVICE, info: &[] };
            return self.connections.send(from, transaction_id, Message::Rej(rej));
        };
        // Each side says with which PSN the other one is to begin.
        let qpn = self.create_qp_at(QpSettings { pmtu, ..settings }, req.starting_psn);
        let expects = self.random.below(1 << 24) as u32;
        let remote = Remote { address: from, qpn: req.local_qpn, psn: expects, mac: None };
        if self.connect(qpn, remote).is_err() {
            return;
        }
        let at = self.connections.add(State::Replied, qpn, from, expects);
        self.connections.accepted.insert((from, req.local_id), at);
        if let Some(connection) = self.connections.all.get_mut(at) {
            connection.remote_id = req.local_id;
            connection.remote_qpn = req.local_qpn;
        }
        let rep = reply(self.connections.ids(at), qpn, expects, &settings);
        self.connections.insist(self.now, at, Message::Rep(rep));
    }

    fn take_rep(&mut self, from: IpAddr, transaction_id: u64, rep: &Rep<'_>) {
        let Some((at, connection)) = self.connections.known(rep.ids.remote, from) else { return };
        let (qpn, psn) = (connection.qpn, connection.expects);
        match connection.state {
            State::Requested => {
                connection.state = State::Established;
                connection.due = Time::NEVER;
                connection.remote_id = rep.ids.local;
                connection.remote_qpn = rep.local_qpn;
                if let Some(qp) = find(&mut self.qps, qpn) {
                    qp.start_at(rep.starting_psn);
                    let (qpn, mac) = (rep.local_qpn, None);
                    qp.connect(&self.settings, Remote { address: from, qpn, psn, mac });
                }
                self.connections.events.push_back(ConnectionEvent::Connected(qpn));
                self.settle(qpn);
            }
            State::Established => {}
            _ => return,
        }
        let ids = self.connections.ids(at);
        self.connections.send(from, transaction_id, Message::Rtu(ids));
    }

    fn take_rtu(&mut self, from: IpAddr, ids: Ids) {
        let Some((_, connection)) = self.connections.known(ids.remote, from) else { return };
        if connection.state == State::Replied {
            connection.state = State::Established;
            connection.due = Time::NEVER;
            let qpn = connection.qpn;
            self.connections.events.push_back(ConnectionEvent::Connected(qpn));
        }
    }

    fn take_rej(&mut self, from: IpAddr, rej: &Rej<'_>) {
        let Some((_, connection)) = self.connections.known(rej.ids.remote, from) else { return };
        if matches!(connection.state, State::Requested | State::Replied) {
            connection.state = State::Over;
            connection.due = Time::NEVER;
            let qpn = connection.qpn;
            self.connections.events.push_back(ConnectionEvent::Rejected(qpn, rej.reason));
            self.close(qpn);
        }
    }

    fn take_dreq(&mut self, from: IpAddr, transaction_id: u64, ids: Ids) {
        // Answered whatever is known of it: the other end only wants to be rid of it.
        let answer = Ids { local: ids.remote, remote: ids.local };
        self.connections.send(from, transaction_id, Message::Drep(answer));
        self.leave(from, ids.remote);
    }

    fn take_drep(&mut self, from: IpAddr, ids: Ids) {
        let known = self.connections.known(ids.remote, from);
        if known.is_some_and(|(_, connection)| connection.state == State::Leaving) {
            self.leave(from, ids.remote);
        }
    }

    /// A connection is over for both ends.
    fn leave(&mut self, from: IpAddr, local_id: u32) {
        let Some((_, connection)) = self.connections.known(local_id, from) else { return };
        if connection.state == State::Over {
            return;
        }
        connection.state = State::Over;
        connection.due = Time::NEVER;
        let qpn = connection.qpn;
        self.connections.events.push_back(ConnectionEvent::Disconnected(qpn));
        self.close(qpn);
    }

    /// Makes a frame of the next datagram; whether there was one.
    pub(super) fn transmit_mad(&mut self, frame: &mut Vec<u8>) -> bool {
        while let Some(qpn) = self.connections.wake(self.now) {
            self.close(qpn);
        }
        let Some((to, mad)) = self.connections.outbox.pop_front() else { return false };
        let route = Route {
            source_mac: self.settings.mac,
            destination_mac: self.settings.peer_mac,
            source: self.settings.address,
            destination: to,
            source_port: source_port(GSI_QP, GSI_QP),
            traffic_class: 0,
        };
        self.connections.psn = self.connections.psn.wrapping_add(1) & 0xff_ffff;
        let psn = self.connections.psn;
        let bth = Bth { p_key: P_KEY, ..Bth::new(Opcode::UD_SEND_ONLY, GSI_QP, psn) };
        let deth = Deth { q_key: GSI_Q_KEY, source_qp: GSI_QP }.to_bytes();
        route.write(frame, psn as u16, bth, &deth, [mad.as_slice(), &[]]).is_ok()
    }
}

/// An address as a GID.
fn gid(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// A request for a queue pair with these settings, apart from who asks whom.
fn request(settings: &QpSettings) -> Req<'static> {
    let reads = settings.max_reads.min(u8::MAX.into()) as u8;
    Req {
        local_id: 0,
        service_id: 0,
        local_ca_guid: 0,
        local_q_key: 0,
        local_qpn: 0,
        responder_resources: reads,
        initiator_depth: reads,
        remote_response_timeout: RESPONSE_TIMEOUT,
        transport: 0,
        flow_control: false,
        starting_psn: 0,
        local_response_timeout: RESPONSE_TIMEOUT,
        retry_count: settings.retry_cnt & 7,
        p_key: P_KEY,
        path_mtu_code: settings.pmtu.code(),
        rnr_retry_count: settings.rnr_retry & 7,
        max_cm_retries: REPEATS,
        shared_receive_queue: false,
        extended_transport: 0,
        local_gid: [0; 16],
        remote_gid: [0; 16],
        flow_label: 0,
        packet_rate: 0,
        traffic_class: 0,
        hop_limit: 64,
        local_ack_timeout: settings.timer.configured(),
        private_data: &[],
    }
}

fn reply(ids: Ids, local_qpn: QpNumber, starting_psn: u32, settings: &QpSettings) -> Rep<'static> {
    let reads = settings.max_reads.min(u8::MAX.into()) as u8;
    Rep {
        ids,
        local_q_key: 0,
        local_qpn,
        starting_psn,
        responder_resources: reads,
        initiator_depth: reads,
        target_ack_delay: 0,
        failover: 0,
        flow_control: false,
        rnr_retry_count: settings.rnr_retry & 7,
        shared_receive_queue: false,
        local_ca_guid: 0,
        private_data: &[],
    }
}
