//! What is in a capture: streams, their order, path MTUs, connections.
//!
//! An [`Inspector`] is shown one frame after the other and can tell at any time what it has seen.
//! It judges by the packets alone: what it cannot know, it leaves open. Its memory is bounded by
//! [`Limits`], whatever passes; what found no room is counted. Time a packet is bounded, too.

mod connections;
mod facts;
mod flow;
mod pmtu;
mod report;
mod sequence;
mod table;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use connections::{Connection, ConnectionKind};
pub use facts::Role;

use crate::wire::opcode::Opcode;
use connections::{Connections, GSI_Q_KEY, GSI_QP};
use facts::{Facts, Sight};
use flow::{Answers, FlowIndex, FlowKey, Tally};
use pmtu::PathMtu;
use table::Flows;

/// Bounds of an [`Inspector`]'s memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows (source, destination, VLAN, destination queue pair) that are followed; each takes some
    /// 500 bytes.
    pub flows: usize,
    /// Connection management messages that are listed; each takes some 300 bytes.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { flows: 65_536, connections: 16_384 }
    }
}

/// Counts of all that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames of any kind.
    pub packets: u64,
    /// Frames that are not RoCEv2.
    pub not_rocev2: u64,
    /// Frames that are RoCEv2, malformed ones included.
    pub rocev2: u64,
    /// Bytes of those, whole frames as they were on the wire.
    pub rocev2_bytes: u64,
    /// RoCEv2 frames that cannot be what they say.
    pub malformed: u64,
    /// RoCEv2 frames whose ICRC was computed.
    pub icrc_checked: u64,
    /// Those whose ICRC is wrong. They are in no stream: an RNIC drops them, and what they say may
    /// be what was damaged.
    pub icrc_bad: u64,
    /// Frames of which the capture holds only the beginning.
    pub snapped: u64,
    /// RoCEv2 frames of flows that found no room ([`Limits::flows`]).
    pub untracked_packets: u64,
    /// Connection management messages that found no room ([`Limits::connections`]).
    pub untracked_connections: u64,
}

/// What is known of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// The receiver's queue pair.
    pub dest_qp: u32,
    /// Which of the flow's streams.
    pub role: Role,
    /// VLAN identifier of the outermost tag.
    pub vlan: Option<u16>,
    /// Packets.
    pub packets: u64,
    /// Bytes, whole frames as they were on the wire.
    pub bytes: u64,
    /// PSN of the first packet.
    pub first_psn: u32,
    /// PSN of the last packet: in time, not in number.
    pub last_psn: u32,
    /// Places where requests jump ahead with PSNs unaccounted for.
    pub gaps: u64,
    /// PSNs unaccounted for at these places, at least.
    pub missing_psns: u64,
    /// Requests with a PSN before the expected one: repeats, and late packets.
    pub behind: u64,
    /// Times that the queue pair's number began a new life.
    pub restarts: u64,
    /// Path MTU in bytes, once known.
    pub pmtu: Option<u32>,
    /// The sender's queue pair, if it is beyond doubt.
    pub peer_qp: Option<u32>,
    /// Partition key of the first packet.
    pub p_key: u16,
}

/// Follows the streams of a capture.
pub struct Inspector {
    limits: Limits,
    check_icrc: bool,
    totals: Totals,
    opcodes: [u64; 256],
    flows: Flows,
    connections: Connections,
}

impl Inspector {
    /// An inspector that has seen nothing. Checking the ICRC costs a pass over each packet's bytes.
    pub fn new(limits: Limits, check_icrc: bool) -> Self {
        Inspector {
            limits,
            check_icrc,
            totals: Totals::default(),
            opcodes: [0; 256],
            flows: Flows::new(limits.flows),
            connections: Connections::default(),
        }
    }

    /// A frame passes: what was captured of it, from the destination address on, and the bytes it
    /// had on the wire.
    pub fn observe(&mut self, frame: &[u8], original_len: u32) {
        let bytes = u64::from(original_len).max(frame.len() as u64);
        let totals = &mut self.totals;
        totals.packets += 1;
        totals.snapped += u64::from(bytes > frame.len() as u64);
        let (facts, icrc) = match facts::look(frame, original_len as usize, self.check_icrc) {
            Sight::NotRocev2 => {
                totals.not_rocev2 += 1;
                return;
            }
            Sight::Malformed => {
                totals.rocev2 += 1;
                totals.rocev2_bytes += bytes;
                totals.malformed += 1;
                return;
            }
            Sight::Packet(facts, icrc) => (facts, icrc),
        };
        totals.rocev2 += 1;
        totals.rocev2_bytes += bytes;
        totals.icrc_checked += u64::from(icrc.is_some());
        if let Some(count) = self.opcodes.get_mut(usize::from(facts.opcode.0)) {
            *count += 1;
        }
        if icrc == Some(false) {
            totals.icrc_bad += 1;
            return;
        }
        self.follow(&facts, bytes);
    }

    /// Counts so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The opcodes seen and their packets, in the order of opcodes.
    pub fn opcodes(&self) -> impl Iterator<Item = (Opcode, u64)> {
        (0..=u8::MAX).map(Opcode).zip(self.opcodes).filter(|(_, packets)| *packets > 0)
    }

    /// The streams so far, ordered by source, destination, VLAN, queue pair and role.
    pub fn streams(&self) -> Vec<Stream> {
        report::streams(&self.flows)
    }

    /// The connection management messages so far, in the order of their first appearance.
    pub fn connections(&self) -> &[Connection] {
        self.connections.list()
    }

    /// Adds a packet to its stream.
    fn follow(&mut self, facts: &Facts<'_>, bytes: u64) {
        let Some(place) = self.flows.place(facts.key) else {
            self.totals.untracked_packets += 1;
            return;
        };
        let Some(flow) = self.flows.get_mut(place) else { return };
        if facts.role != Role::Unsequenced {
            flow.learn_pmtu(facts);
        }
        match facts.role {
            Role::Request => {
                let new = flow.request.is_none();
                Tally::count(&mut flow.request, facts.psn, facts.p_key, bytes);
                flow.sequence.observe(facts.psn, facts.span, facts.starts, flow.pmtu);
                if new {
                    self.flows.add_requester(place);
                }
            }
            Role::Response => {
                Tally::count(&mut flow.response, facts.psn, facts.p_key, bytes);
                self.follow_response(place, facts);
            }
            Role::Unsequenced => {
                Tally::count(&mut flow.unsequenced, facts.psn, facts.p_key, bytes);
                self.follow_datagram(place, facts);
            }
        }
    }

    /// Learns from a response whose requests it answers, and their path MTU.
    fn follow_response(&mut self, place: FlowIndex, facts: &Facts<'_>) {
        if let Some(request) = self.flows.match_response(place, facts.psn)
            && let Some(flow) = self.flows.get_mut(request)
        {
            flow.learn_pmtu(facts);
        }
    }

    /// Learns from a datagram who sends it, and what connection management says in it.
    fn follow_datagram(&mut self, place: FlowIndex, facts: &Facts<'_>) {
        let Some((source_qp, q_key)) = facts.datagram else { return };
        if let Some(flow) = self.flows.get_mut(place) {
            flow.sender.learn(source_qp);
        }
        if facts.key.dest_qp != GSI_QP || q_key != GSI_Q_KEY {
            return;
        }
        let Some(message) = Connection::parse(&facts.key, facts.payload) else { return };
        if let Some((message, request)) = self.connections.observe(message, self.limits.connections)
        {
            connect(&mut self.flows, message, request);
        }
        self.totals.untracked_connections = self.connections.untracked;
    }
}

/// Puts what connection management says into the flows that it is about.
fn connect(flows: &mut Flows, message: &Connection, request: Option<&Connection>) {
    let (Some(qpn), Some(starting_psn)) = (message.local_qpn, message.starting_psn) else { return };
    let mtu = request.unwrap_or(message).path_mtu;
    let mut set = |key: FlowKey, begins: Option<u32>, peer: Option<u32>| {
        let place = flows.place(key);
        let Some(flow) = place.and_then(|place| flows.get_mut(place)) else { return };
        if let Some(psn) = begins {
            flow.sequence.begins_at(psn);
            flow.pmtu = PathMtu::UNKNOWN;
            flow.answers = Answers::default();
        }
        if let Some(mtu) = mtu {
            flow.pmtu.is_exactly(mtu);
        }
        if begins.is_some() || peer.is_some() {
            flow.connected_to = peer;
        }
    };
    let requester = request.and_then(|request| Some((request, request.local_qpn?)));
    set(message.flow_to_sender(qpn), Some(starting_psn), requester.map(|(_, qpn)| qpn));
    if let Some((request, requester_qpn)) = requester {
        set(request.flow_to_sender(requester_qpn), None, Some(qpn));
    }
}
