//! From flows to the streams of a report: who is whose peer.

use std::collections::HashMap;

use super::Stream;
use super::facts::Role;
use super::flow::{Flow, FlowIndex, FlowKey, Sender, Tally};
use super::pmtu::PathMtu;
use super::sequence::Sequence;
use super::table::Flows;

/// All streams, ordered by source, destination, VLAN, queue pair and role.
pub(super) fn streams(flows: &Flows) -> Vec<Stream> {
    let peers = peers(flows);
    let mut streams = Vec::new();
    for flow in flows.iter() {
        let peer = peers.get(&flow.key).copied();
        let pmtu = pmtu(flows, flow, peer);
        let of = |role, tally: &Option<Tally>, sequence: Sequence, peer_qp| {
            let tally = (*tally)?;
            Some(Stream {
                src: flow.key.src,
                dst: flow.key.dst,
                dest_qp: flow.key.dest_qp,
                role,
                vlan: flow.key.vlan,
                packets: tally.packets,
                bytes: tally.bytes,
                first_psn: tally.first_psn,
                last_psn: tally.last_psn,
                gaps: sequence.gaps,
                missing_psns: sequence.missing,
                behind: sequence.behind,
                restarts: sequence.restarts,
                pmtu,
                peer_qp,
                p_key: tally.p_key,
            })
        };
        let sender = match flow.sender {
            Sender::One(qp) => Some(qp),
            Sender::Unknown | Sender::Several => peer,
        };
        streams.extend(of(Role::Request, &flow.request, flow.sequence, peer));
        streams.extend(of(Role::Response, &flow.response, Sequence::default(), peer));
        streams.extend(of(Role::Unsequenced, &flow.unsequenced, Sequence::default(), sender));
    }
    streams.sort_by_key(|s| (s.src, s.dst, s.vlan, s.dest_qp, s.role));
    streams
}

/// The sender's queue pair of each flow of which it is known: by connection management, else by
/// what its responses, or those it gets, answer.
fn peers(flows: &Flows) -> HashMap<FlowKey, u32> {
    let mut matched: HashMap<FlowIndex, Option<FlowKey>> = HashMap::new();
    for flow in flows.iter() {
        if let Some(request) = flow.answers.flow() {
            // Two that seem to answer the same flow: at least one is wrong, so neither counts.
            matched.entry(request).and_modify(|key| *key = None).or_insert(Some(flow.key));
        }
    }
    let mut peers: HashMap<FlowKey, Option<u32>> = HashMap::new();
    let mut learn = |key: FlowKey, qp: u32| {
        let known = peers.entry(key).or_insert(Some(qp));
        if *known != Some(qp) {
            *known = None;
        }
    };
    for (request, response) in matched {
        if let (Some(request), Some(response)) = (flows.get(request), response) {
            learn(request.key, response.dest_qp);
            learn(response, request.key.dest_qp);
        }
    }
    let matched = peers.into_iter().filter_map(|(key, qp)| Some((key, qp?)));
    let connected = flows.iter().filter_map(|flow| Some((flow.key, flow.connected_to?)));
    // Later entries replace earlier ones: connection management knows better.
    matched.chain(connected).collect()
}

/// A flow's path MTU: both directions of a queue pair have the same.
fn pmtu(flows: &Flows, flow: &Flow, peer: Option<u32>) -> Option<u32> {
    flow.pmtu.known().or_else(|| {
        let FlowKey { src, dst, vlan, .. } = flow.key;
        let back = FlowKey { src: dst, dst: src, vlan, dest_qp: peer? };
        flows.by_key(&back).map_or(PathMtu::UNKNOWN, |flow| flow.pmtu).known()
    })
}
