//! Who sent how much through a gateway, in the report.

use std::net::IpAddr;

use pipelines::flows::{Class, Level, View};
use pipelines::gateway::{FlowsStatus, Gateway, peer_and_path};
use serde::Serialize;

use crate::scenario::Scenario;

/// Subflows that are listed: those that carried most.
const LISTED: usize = 16;

/// The flows of a gateway, from its LAN to the peer.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FlowsReport {
    /// 5-tuples that were seen.
    pub flows: u64,
    /// Queue pairs of them that were seen.
    pub subflows: u64,
    /// Subflows that became elephants.
    pub elephants: u64,
    /// Subflows that made room for others.
    pub evicted: u64,
    /// The subflows that were in the table at the end and had carried most.
    pub top: Vec<SubflowReport>,
}

/// A subflow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubflowReport {
    /// Who sends.
    pub source: IpAddr,
    /// Who receives.
    pub destination: IpAddr,
    /// The receiver's queue pair; nothing of what is no RoCEv2.
    pub dest_qp: Option<u32>,
    /// The sender's queue pair, as far as connection management or the answers showed it.
    pub peer_qp: Option<u32>,
    /// Whether it is an elephant at the end.
    pub elephant: bool,
    /// Bytes of whole frames.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// What they did.
    pub kinds: Vec<&'static str>,
    /// The path of its lane; nothing in transparent mode, where packets choose.
    pub path: Option<String>,
}

impl FlowsReport {
    /// What a gateway knows of flows.
    pub(crate) fn new(gateway: &Gateway, scenario: &Scenario) -> Self {
        let mut status = FlowsStatus::default();
        gateway.flows_status(&mut status);
        let [flows, subflows] = status.counters;
        let mut top = gateway.top_flows(Level::Subflow);
        top.sort_by_key(|view| std::cmp::Reverse(view.bytes));
        top.truncate(LISTED);
        Self {
            flows: flows.added,
            subflows: subflows.added,
            elephants: subflows.entered,
            evicted: subflows.evicted_once + subflows.evicted_mice,
            top: top.iter().map(|view| SubflowReport::new(view, scenario)).collect(),
        }
    }

    /// Those of the next life of the same gateway.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            flows: self.flows + next.flows,
            subflows: self.subflows + next.subflows,
            elephants: self.elephants + next.elephants,
            evicted: self.evicted + next.evicted,
            top: next.top,
        }
    }
}

impl SubflowReport {
    fn new(view: &View, scenario: &Scenario) -> Self {
        let path = |road| scenario.paths.get(peer_and_path(road).1).map(|path| path.name.clone());
        Self {
            source: view.name.source,
            destination: view.name.destination,
            dest_qp: view.name.dest_qp,
            peer_qp: view.peer_qp,
            elephant: view.class == Class::Elephant,
            bytes: view.bytes,
            packets: view.packets,
            kinds: view.kinds.names().collect(),
            path: view.path.and_then(path),
        }
    }
}
