//! Flows, subflows and the elephants among them, as they are shown.

use std::io::{self, Write};
use std::net::IpAddr;

use dataplane::time::Time;
use pipelines::flows::{Class, Counters, View};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::report::{Align, Table, bytes};

/// Who sends how much: over all workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlowsStatus {
    /// Whether the configuration says so.
    pub(crate) followed: bool,
    /// 5-tuples.
    pub(crate) flows: FlowTable,
    /// Queue pairs of them.
    pub(crate) subflows: FlowTable,
    /// The fastest of each worker, elephants and others, at most 32 a worker.
    pub(crate) top_flows: Vec<FlowStatus>,
    /// Likewise.
    pub(crate) top_subflows: Vec<FlowStatus>,
}

/// What happened in the tables of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlowTable {
    /// Places.
    pub(crate) capacity: u64,
    /// Taken.
    pub(crate) known: u64,
    pub(crate) elephants: u64,
    pub(crate) added: u64,
    /// Over, and forgotten.
    pub(crate) aged: u64,
    /// Came once, and made room for others.
    pub(crate) evicted_once: u64,
    /// Came more often, and made room for others.
    pub(crate) evicted_mice: u64,
    /// Runs of packets without a place: elephants had them.
    pub(crate) refused: u64,
    /// Became elephants.
    pub(crate) entered: u64,
    /// Are none any more.
    pub(crate) left: u64,
}

/// A flow or subflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlowStatus {
    pub(crate) worker: usize,
    /// `elephant`, `mouse` or `signalling`.
    pub(crate) class: String,
    pub(crate) tenant: Option<String>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) vlan: Option<u16>,
    pub(crate) dest_qp: Option<u32>,
    /// The sender's queue pair, if it is known.
    pub(crate) peer_qp: Option<u32>,
    pub(crate) p_key: Option<u16>,
    /// Where a subflow was last sent; `null` of flows, and where packets choose for themselves.
    pub(crate) peer: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) rate_bps: u64,
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// What its packets do.
    pub(crate) kinds: Vec<String>,
    pub(crate) dscp: u8,
    pub(crate) pcp: u8,
    /// Since its first packet.
    pub(crate) age_seconds: f64,
    /// Since its last one.
    pub(crate) idle_seconds: f64,
}

impl FlowTable {
    /// Adds a worker's table.
    pub(crate) fn add(&mut self, counters: Counters, capacity: usize) {
        self.capacity += capacity as u64;
        self.known += counters.flows;
        self.elephants += counters.elephants;
        self.added += counters.added;
        self.aged += counters.aged;
        self.evicted_once += counters.evicted_once;
        self.evicted_mice += counters.evicted_mice;
        self.refused += counters.refused;
        self.entered += counters.entered;
        self.left += counters.left;
    }
}

impl FlowStatus {
    /// What worker number `worker` knows of a flow at `now`; names of tenants and paths are the
    /// configuration's.
    pub(crate) fn new(
        view: &View,
        worker: usize,
        now: Time,
        tenant: Option<String>,
        way: Option<(String, String)>,
    ) -> Self {
        let seconds = |time: Time| now.since(time) as f64 / 1e9;
        let (peer, path) = way.unzip();
        let name = view.name;
        let class = match view.class {
            Class::Elephant => "elephant",
            Class::Mouse => "mouse",
            Class::Signalling => "signalling",
        };
        Self {
            worker,
            class: class.to_owned(),
            tenant,
            source: name.source,
            destination: name.destination,
            protocol: name.protocol,
            source_port: name.source_port,
            destination_port: name.destination_port,
            vlan: name.vlan,
            dest_qp: name.dest_qp,
            peer_qp: view.peer_qp,
            p_key: name.p_key,
            peer,
            path,
            rate_bps: view.rate,
            bytes: view.bytes,
            packets: view.packets,
            kinds: view.kinds.names().map(str::to_owned).collect(),
            dscp: view.priority.dscp,
            pcp: view.priority.pcp,
            age_seconds: seconds(view.first_seen),
            idle_seconds: seconds(view.last_seen),
        }
    }

    /// What tells it apart, beside its addresses.
    fn identity(&self) -> String {
        match (self.dest_qp, self.protocol, self.source_port, self.destination_port) {
            (Some(qp), ..) => match self.peer_qp {
                Some(peer) => format!("QP {peer:#x} > {qp:#x}"),
                None => format!("QP {qp:#x}"),
            },
            (None, 17, 0, 4_791) => "RoCEv2".to_owned(),
            (None, protocol, 0, 0) => format!("protocol {protocol}"),
            (None, 6, from, to) => format!("TCP {from} > {to}"),
            (None, 17, from, to) => format!("UDP {from} > {to}"),
            (None, protocol, from, to) => format!("{protocol}: {from} > {to}"),
        }
    }
}

/// Bits a second, for people.
fn rate(bits: u64) -> String {
    format!("{}b/s", bytes(bits))
}

fn table(of: &[&FlowStatus], output: &mut dyn Write) -> io::Result<()> {
    const LEFT: Align = Align::Left;
    const RIGHT: Align = Align::Right;
    let mut table = Table::new([
        ("CLASS", LEFT),
        ("FROM > TO", LEFT),
        ("FLOW", LEFT),
        ("DOES", LEFT),
        ("RATE", RIGHT),
        ("BYTES", RIGHT),
        ("PATH", LEFT),
    ]);
    for flow in of {
        table.row([
            flow.class.clone(),
            format!("{} > {}", flow.source, flow.destination),
            flow.identity(),
            flow.kinds.join("+"),
            rate(flow.rate_bps),
            bytes(flow.bytes),
            flow.path.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    table.write(output, 0)
}

/// The fastest of one kind, and how many there are.
fn list(kind: &FlowTable, of: &[FlowStatus], what: &str, output: &mut dyn Write) -> io::Result<()> {
    let FlowTable { known, elephants, capacity, .. } = kind;
    writeln!(output, "{known} {what}, {elephants} of them elephants; {capacity} places")?;
    let evicted = kind.evicted_once + kind.evicted_mice;
    if evicted + kind.refused > 0 {
        writeln!(output, "{evicted} made room for others; {} found none", kind.refused)?;
    }
    if of.is_empty() { Ok(()) } else { table(&of.iter().collect::<Vec<_>>(), output) }
}

pub(super) fn flows(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    match status.flows.followed {
        true => list(&status.flows.flows, &status.flows.top_flows, "flows", output),
        false => writeln!(output, "flows are not followed ([flows] follow = false)"),
    }
}

pub(super) fn subflows(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    list(&status.flows.subflows, &status.flows.top_subflows, "subflows", output)
}

pub(super) fn elephants(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let all = status.flows.top_flows.iter().chain(&status.flows.top_subflows);
    let elephants: Vec<_> = all.filter(|flow| flow.class == "elephant").collect();
    match elephants.is_empty() {
        true => writeln!(output, "none"),
        false => table(&elephants, output),
    }
}

/// One of each, for tests.
#[cfg(test)]
pub(super) fn sample() -> FlowsStatus {
    let flow = FlowStatus {
        worker: 0,
        class: "elephant".into(),
        tenant: Some("acme".into()),
        source: [10, 0, 0, 1].into(),
        destination: [10, 1, 0, 2].into(),
        protocol: 17,
        source_port: 0,
        destination_port: 4_791,
        vlan: None,
        dest_qp: None,
        peer_qp: None,
        p_key: None,
        peer: None,
        path: None,
        rate_bps: 80_000_000_000,
        bytes: 1 << 40,
        packets: 1 << 28,
        kinds: vec!["write".into()],
        dscp: 26,
        pcp: 3,
        age_seconds: 10.5,
        idle_seconds: 0.0,
    };
    let subflow = FlowStatus {
        dest_qp: Some(0x11),
        peer_qp: Some(0x22),
        peer: Some("site-b".into()),
        path: Some("north".into()),
        ..flow.clone()
    };
    let table = FlowTable { capacity: 64, known: 1, elephants: 1, added: 3, ..Default::default() };
    FlowsStatus {
        followed: true,
        flows: table.clone(),
        subflows: FlowTable { evicted_once: 2, ..table },
        top_flows: vec![flow],
        top_subflows: vec![subflow],
    }
}
