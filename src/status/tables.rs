//! The status as people read it.

use std::io::{self, Write};

use super::changes::changes;
use super::events::events;
use super::flows::{elephants, flows, subflows};
use super::journey::journeys;
use super::{QueueStatus, Status, TenantStatus, Traffic};
use crate::report::{Align, Table, bytes};

/// A part of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Everything.
    All,
    /// Ports: drivers, modes, traffic.
    Ports,
    /// Peers: sessions, repairs.
    Peers,
    /// Paths: traffic, round trips.
    Paths,
    /// What happened to paths lately.
    Events,
    /// Next hops that are asked for.
    Neighbours,
    /// Workers: rounds, memory.
    Workers,
    /// Stages of the workers: calls, packets, cycles.
    Stages,
    /// Tenants: traffic, memory.
    Tenants,
    /// The configuration in force: who changed what of it, and when.
    Changes,
    /// The fastest 5-tuples.
    Flows,
    /// The fastest queue pairs, and their paths.
    Subflows,
    /// Those of both that are elephants.
    Elephants,
    /// What was dropped, by reason.
    Drops,
    /// What the gateway counted, by name.
    Counters,
}

/// One part: what it is, its heading, and how it is written.
type Part = (What, &'static str, fn(&Status, &mut dyn Write) -> io::Result<()>);

const PARTS: [Part; 14] = [
    (What::Ports, "ports", ports),
    (What::Peers, "peers", peers),
    (What::Paths, "paths", paths),
    (What::Events, "events", events),
    (What::Neighbours, "neighbours", neighbours),
    (What::Workers, "workers", workers),
    (What::Stages, "stages", stages),
    (What::Tenants, "tenants", tenants),
    (What::Changes, "changes", changes),
    (What::Flows, "flows", flows),
    (What::Subflows, "subflows", subflows),
    (What::Elephants, "elephants", elephants),
    (What::Drops, "drops", drops),
    (What::Counters, "counters", counters),
];

/// Writes a part of the status, or all of them with headings.
///
/// # Errors
/// Those of the output.
pub(crate) fn write_tables(status: &Status, what: What, output: &mut dyn Write) -> io::Result<()> {
    if what != What::All {
        let part = PARTS.iter().find(|(part, ..)| *part == what);
        return part.map_or(Ok(()), |(.., write)| write(status, output));
    }
    writeln!(
        output,
        "gateway {} {}, process {}, {} for {:.0} s",
        status.gateway, status.version, status.pid, status.state, status.uptime_seconds
    )?;
    for (_, heading, write) in PARTS {
        writeln!(output, "\n{heading}")?;
        write(status, output)?;
    }
    Ok(())
}

const LEFT: Align = Align::Left;
const RIGHT: Align = Align::Right;

fn amount(traffic: Traffic) -> String {
    format!("{} ({}B)", traffic.packets, bytes(traffic.bytes))
}

fn ports(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("PORT", LEFT),
        ("SIDE", LEFT),
        ("DEVICE", LEFT),
        ("DRIVER", LEFT),
        ("LINK", LEFT),
        ("MTU", RIGHT),
        ("RX", RIGHT),
        ("MISSED", RIGHT),
        ("TX", RIGHT),
    ]);
    for port in &status.ports {
        let driver = match port.mode.as_str() {
            "" => port.driver.clone(),
            mode => format!("{} {mode}", port.driver),
        };
        table.row([
            port.name.clone(),
            port.role.clone(),
            // Arguments of a virtual device would fill the line; JSON has them.
            port.device.split(',').next().unwrap_or_default().to_owned(),
            driver,
            port.link.map_or("-", |up| if up { "up" } else { "down" }).into(),
            port.mtu.to_string(),
            amount(port.rx),
            port.rx_missed.to_string(),
            amount(port.tx),
        ]);
    }
    table.write(output, 0)?;
    for port in &status.ports {
        for refused in &port.refused {
            writeln!(output, "{}: not {refused}", port.name)?;
        }
        for (name, count) in port.detail.iter().filter(|(_, count)| **count > 0) {
            writeln!(output, "{}: {name} {count}", port.name)?;
        }
    }
    Ok(())
}

fn peers(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("PEER", LEFT),
        ("ADDRESS", LEFT),
        ("SESSIONS", RIGHT),
        ("RECEIVED", RIGHT),
        ("REPAIRED", RIGHT),
        ("MISSING", RIGHT),
        ("HELD", RIGHT),
        ("MOST HELD", RIGHT),
    ]);
    for peer in &status.peers {
        table.row([
            peer.name.clone(),
            peer.address.clone(),
            format!("{} of {}", peer.sessions, status.workers.len()),
            amount(peer.received),
            peer.repaired.to_string(),
            peer.missing.to_string(),
            peer.held.to_string(),
            format!("{}B", bytes(peer.held_high_water_bytes)),
        ]);
    }
    table.write(output, 0)
}

fn paths(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("PATH", LEFT),
        ("PEER", LEFT),
        ("PORT", LEFT),
        ("STATE", LEFT),
        ("RTT ms", RIGHT),
        ("SENT", RIGHT),
        ("AGAIN", RIGHT),
        ("UNCONFIRMED", RIGHT),
    ]);
    for peer in &status.peers {
        for path in &peer.paths {
            table.row([
                path.name.clone(),
                peer.name.clone(),
                path.port.clone(),
                path.state(peer.up).into(),
                format!("{:.3}", path.rtt_us / 1e3),
                amount(path.sent),
                path.resent.packets.to_string(),
                path.unconfirmed.to_string(),
            ]);
        }
    }
    table.write(output, 0)?;
    placement(status, output)?;
    journeys(status, output)?;
    sessions(status, output)
}

/// Which lanes go by which path.
fn placement(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("LANES ON", LEFT),
        ("LANES", RIGHT),
        ("SPREAD", RIGHT),
        ("MOVES", RIGHT),
        ("OFFERED", RIGHT),
        ("OF", RIGHT),
    ]);
    for path in status.peers.iter().flat_map(|peer| &peer.paths) {
        table.row([
            path.name.clone(),
            path.lanes.to_string(),
            path.spread_lanes.to_string(),
            path.moves.to_string(),
            config::units::Rate(path.offered_bps).to_string(),
            carries(path),
        ]);
    }
    table.write(output, 0)
}

/// The BFD sessions of paths, if there are any.
fn sessions(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let paths = status.peers.iter().flat_map(|peer| &peer.paths);
    let watched: Vec<_> = paths.filter_map(|path| Some((&path.name, path.bfd.as_ref()?))).collect();
    if watched.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("BFD OF", LEFT),
        ("STATE", LEFT),
        ("FAR SIDE", LEFT),
        ("UPS", RIGHT),
        ("FLAPS", RIGHT),
        ("DETECTS IN ms", RIGHT),
        ("HELD DOWN ms", RIGHT),
        ("LAST DOWN BY", LEFT),
    ]);
    for (name, bfd) in watched {
        table.row([
            name.clone(),
            bfd.state.clone(),
            bfd.remote_state.clone(),
            bfd.ups.to_string(),
            bfd.flaps.to_string(),
            format!("{:.0}", bfd.detection_ms),
            format!("{:.0}", bfd.held_down_ms),
            bfd.diagnostic.clone(),
        ]);
    }
    writeln!(output)?;
    table.write(output, 0)
}

/// What a path carries at present, if its capacity is known.
fn carries(path: &super::PathStatus) -> String {
    match path.capacity_bps {
        0 => "-".into(),
        capacity => config::units::Rate((capacity as f64 * path.worth) as u64).to_string(),
    }
}

fn neighbours(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    if status.neighbours.is_empty() {
        return writeln!(output, "none is asked for");
    }
    let mut table = Table::new([
        ("WORKER", RIGHT),
        ("PORT", LEFT),
        ("ADDRESS", LEFT),
        ("MAC", LEFT),
        ("AGE s", RIGHT),
        ("UNANSWERED", RIGHT),
        ("CHANGES", RIGHT),
    ]);
    for neighbour in &status.neighbours {
        table.row([
            neighbour.worker.to_string(),
            neighbour.port.clone(),
            neighbour.address.clone(),
            neighbour.mac.clone().unwrap_or_else(|| "no answer".into()),
            neighbour.age_seconds.map_or_else(|| "-".into(), |age| format!("{age:.0}")),
            neighbour.unanswered.to_string(),
            neighbour.changes.to_string(),
        ]);
    }
    table.write(output, 0)
}

fn workers(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("WORKER", RIGHT),
        ("CORE", LEFT),
        ("BUSY ROUNDS", RIGHT),
        ("IDLE", RIGHT),
        ("BUFFERS", RIGHT),
        ("IN USE", RIGHT),
        ("MOST", RIGHT),
        ("REPLAY", RIGHT),
        ("MOST", RIGHT),
    ]);
    for worker in &status.workers {
        let free = if worker.pinned { "" } else { " (not pinned)" };
        table.row([
            worker.worker.to_string(),
            format!("{}{free}", worker.core),
            worker.busy_rounds.to_string(),
            worker.idle_rounds.to_string(),
            worker.buffers.to_string(),
            worker.buffers_in_use.to_string(),
            worker.buffers_high_water.to_string(),
            format!("{}B", bytes(worker.replay_bytes)),
            format!("{}B", bytes(worker.replay_high_water_bytes)),
        ]);
    }
    table.write(output, 0)
}

fn stages(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("WORKER", RIGHT),
        ("STAGE", LEFT),
        ("PORT", LEFT),
        ("CALLS", RIGHT),
        ("PACKETS", RIGHT),
        ("PKTS/CALL", RIGHT),
        ("CYCLES/PKT", RIGHT),
    ]);
    let ratio = |of: u64, to: u64, digits: usize| match to {
        0 => "-".to_owned(),
        to => format!("{:.digits$}", of as f64 / to as f64),
    };
    for worker in &status.workers {
        for stage in &worker.stages {
            table.row([
                worker.worker.to_string(),
                stage.stage.clone(),
                stage.port.clone(),
                stage.calls.to_string(),
                stage.packets.to_string(),
                ratio(stage.packets, stage.calls, 1),
                ratio(stage.cycles, stage.packets, 0),
            ]);
        }
    }
    table.write(output, 0)
}

fn tenants(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    if status.tenants.is_empty() {
        return writeln!(output, "none is told apart");
    }
    let mut table = Table::new([
        ("TENANT", LEFT),
        ("SENT", RIGHT),
        ("RECEIVED", RIGHT),
        ("REPLAY", RIGHT),
        ("MOST", RIGHT),
        ("UNPROTECTED", RIGHT),
        ("HELD", RIGHT),
        ("MOST", RIGHT),
        ("GAVE UP", RIGHT),
    ]);
    for tenant in &status.tenants {
        table.row([
            tenant.name.clone(),
            amount(tenant.sent),
            amount(tenant.received),
            format!("{}B", bytes(tenant.replay_bytes)),
            format!("{}B", bytes(tenant.replay_high_water_bytes)),
            tenant.unprotected.to_string(),
            format!("{}B", bytes(tenant.held_bytes)),
            format!("{}B", bytes(tenant.held_high_water_bytes)),
            tenant.gave_up.to_string(),
        ]);
    }
    table.write(output, 0)?;
    queues(&status.tenants, output)
}

/// What of tenants waits for its turn, one way or the other, where anything ever did.
fn queues(tenants: &[TenantStatus], output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("QUEUE OF", LEFT),
        ("TOWARDS", LEFT),
        ("RATE", RIGHT),
        ("WAITS", RIGHT),
        ("MOST", RIGHT),
        ("STOPS", RIGHT),
        ("STOPPED ms", RIGHT),
        ("MARKED", RIGHT),
        ("CNPS", RIGHT),
        ("DROPPED", RIGHT),
    ]);
    let mut any = false;
    for tenant in tenants {
        for (towards, queue) in [("WAN", &tenant.to_wan), ("LAN", &tenant.to_lan)] {
            if *queue == QueueStatus::default() {
                continue;
            }
            any = true;
            let rate = tenant.rate_bps.filter(|_| towards == "WAN");
            table.row([
                tenant.name.clone(),
                towards.into(),
                rate.map_or("any".into(), |rate| config::units::Rate(rate).to_string()),
                format!("{}B", bytes(queue.bytes)),
                format!("{}B", bytes(queue.high_water_bytes)),
                queue.stops.to_string(),
                format!("{:.1}", queue.stopped_us as f64 / 1e3),
                queue.marked.to_string(),
                queue.notified.to_string(),
                queue.dropped.to_string(),
            ]);
        }
    }
    if any { table.write(output, 0) } else { Ok(()) }
}

fn drops(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    if status.drops.is_empty() {
        return writeln!(output, "nothing was dropped");
    }
    let mut table = Table::new([("REASON", LEFT), ("PACKETS", RIGHT), ("BYTES", RIGHT)]);
    for (reason, traffic) in &status.drops {
        table.row([reason.clone(), traffic.packets.to_string(), bytes(traffic.bytes)]);
    }
    table.write(output, 0)
}

fn counters(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([("COUNTER", LEFT), ("COUNT", RIGHT)]);
    for (name, count) in &status.counters {
        table.row([name.clone(), count.to_string()]);
    }
    table.write(output, 0)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn everything_is_shown_and_fits_a_terminal() {
        let mut output = Vec::new();
        write_tables(&sample(), What::All, &mut output).expect("memory takes all");
        let text = String::from_utf8(output).expect("text");
        for (_, heading, _) in PARTS {
            assert!(text.lines().any(|line| line == heading), "{heading}");
        }
        for part in [
            "site-a",
            "eth\"1",
            "af_xdp generic",
            "1 of 1",
            "10.250",
            "200",
            "192.0.2.254",
            "acme",
            "40 packets sent again, 12.2 ms after it went down",
            "QP 0x22 > 0x11",
            "80Gb/s",
            "wan_duplicate",
            "10Gbps  40Gbps  user 0, process 812",
            "last refused, 1.500 s ago, SIGHUP, site-a.toml: site-a.toml:3:1: no",
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn the_json_is_read_back_the_same() {
        let json = serde_json::to_string(&sample()).expect("it is plain data");
        assert_eq!(serde_json::from_str::<super::Status>(&json).expect("it was written"), sample());
    }
}
