//! One screen: what happened between two looks at a gateway.

use std::io::{self, Write};

use crate::report::{Align, Table, bytes};
use crate::status::{FlowStatus, PathStatus, PeerStatus, Status, Traffic};

const LEFT: Align = Align::Left;
const RIGHT: Align = Align::Right;
/// Queue pairs that are shown.
const FASTEST: usize = 10;

/// What was counted between two looks, so many seconds apart.
#[derive(Clone, Copy)]
struct Between {
    seconds: f64,
}

impl Between {
    /// Between two looks; `None` if the gateway was started anew, or the clock stood still.
    fn new(before: &Status, now: &Status) -> Option<Self> {
        let seconds = now.uptime_seconds - before.uptime_seconds;
        (before.pid == now.pid && seconds > 0.0).then_some(Self { seconds })
    }

    /// How many a second.
    fn rate(self, before: u64, now: u64) -> f64 {
        now.saturating_sub(before) as f64 / self.seconds
    }

    /// Of traffic: bits and packets a second.
    fn traffic(self, before: Option<Traffic>, now: Traffic) -> [String; 2] {
        let before = before.unwrap_or_default();
        let bits = 8.0 * self.rate(before.bytes, now.bytes);
        [format!("{:.3}", bits / 1e9), count(self.rate(before.packets, now.packets))]
    }
}

/// A number of packets or the like, short.
fn count(count: f64) -> String {
    bytes(count.round() as u64)
}

/// Writes what happened from `before` to `now`.
///
/// # Errors
/// Those of the output.
pub(super) fn write(before: &Status, now: &Status, output: &mut dyn Write) -> io::Result<()> {
    writeln!(
        output,
        "gateway {} {}, process {}, {} for {:.0} s",
        now.gateway, now.version, now.pid, now.state, now.uptime_seconds
    )?;
    let Some(between) = Between::new(before, now) else {
        return writeln!(output, "\nstarted anew: nothing to compare with yet");
    };
    writeln!(output)?;
    ports(between, before, now, output)?;
    writeln!(output)?;
    paths(between, before, now, output)?;
    if now.flows.followed {
        writeln!(output)?;
        fastest(now, output)?;
    }
    if !now.tenants.is_empty() {
        writeln!(output)?;
        tenants(between, before, now, output)?;
    }
    drops(between, before, now, output)
}

fn ports(
    between: Between,
    before: &Status,
    now: &Status,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new([
        ("PORT", LEFT),
        ("SIDE", LEFT),
        ("LINK", LEFT),
        ("RX Gbit/s", RIGHT),
        ("RX/s", RIGHT),
        ("TX Gbit/s", RIGHT),
        ("TX/s", RIGHT),
        ("MISSED/s", RIGHT),
    ]);
    for port in &now.ports {
        let then = before.ports.iter().find(|then| then.name == port.name);
        let [rx, rx_packets] = between.traffic(then.map(|then| then.rx), port.rx);
        let [tx, tx_packets] = between.traffic(then.map(|then| then.tx), port.tx);
        let missed = between.rate(then.map_or(0, |then| then.rx_missed), port.rx_missed);
        let link = port.link.map_or("-", |up| if up { "up" } else { "down" });
        let (name, role) = (port.name.clone(), port.role.clone());
        table.row([name, role, link.into(), rx, rx_packets, tx, tx_packets, count(missed)]);
    }
    table.write(output, 0)
}

fn paths(
    between: Between,
    before: &Status,
    now: &Status,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new([
        ("PATH", LEFT),
        ("PEER", LEFT),
        ("STATE", LEFT),
        ("RTT ms", RIGHT),
        ("Gbit/s", RIGHT),
        ("PACKETS/s", RIGHT),
        ("AGAIN/s", RIGHT),
        ("UNCONFIRMED", RIGHT),
    ]);
    for peer in &now.peers {
        for path in &peer.paths {
            let then = path_then(before, peer, path);
            let [sent, packets] = between.traffic(then.map(|then| then.sent), path.sent);
            let again = then.map_or(0, |then| then.resent.packets);
            table.row([
                path.name.clone(),
                peer.name.clone(),
                path.state(peer.up).into(),
                format!("{:.3}", path.rtt_us / 1e3),
                sent,
                packets,
                count(between.rate(again, path.resent.packets)),
                path.unconfirmed.to_string(),
            ]);
        }
    }
    table.write(output, 0)
}

/// The same path at the look before.
fn path_then<'a>(
    before: &'a Status,
    peer: &PeerStatus,
    path: &PathStatus,
) -> Option<&'a PathStatus> {
    let peer = before.peers.iter().find(|then| then.name == peer.name)?;
    peer.paths.iter().find(|then| then.name == path.name)
}

/// The queue pairs that send most, by the gateway's own measure.
fn fastest(now: &Status, output: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        ("QUEUE PAIR", LEFT),
        ("CLASS", LEFT),
        ("FROM", LEFT),
        ("TO", LEFT),
        ("PATH", LEFT),
        ("Gbit/s", RIGHT),
    ]);
    let mut flows: Vec<&FlowStatus> = now.flows.top_subflows.iter().collect();
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.rate_bps));
    for flow in flows.into_iter().take(FASTEST) {
        table.row([
            flow.dest_qp.map_or("-".into(), |qp| qp.to_string()),
            flow.class.clone(),
            flow.source.to_string(),
            flow.destination.to_string(),
            flow.path.clone().unwrap_or_else(|| "-".into()),
            format!("{:.3}", flow.rate_bps as f64 / 1e9),
        ]);
    }
    table.write(output, 0)
}

fn tenants(
    between: Between,
    before: &Status,
    now: &Status,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new([
        ("TENANT", LEFT),
        ("SENT Gbit/s", RIGHT),
        ("RECEIVED Gbit/s", RIGHT),
        ("WAITS", RIGHT),
        ("STOPPED", LEFT),
        ("DROPPED/s", RIGHT),
    ]);
    for tenant in &now.tenants {
        let then = before.tenants.iter().find(|then| then.name == tenant.name);
        let [sent, _] = between.traffic(then.map(|then| then.sent), tenant.sent);
        let [received, _] = between.traffic(then.map(|then| then.received), tenant.received);
        let dropped = then.map_or(0, |then| then.to_wan.dropped + then.to_lan.dropped);
        let dropped = between.rate(dropped, tenant.to_wan.dropped + tenant.to_lan.dropped);
        table.row([
            tenant.name.clone(),
            sent,
            received,
            format!("{}B", bytes(tenant.to_wan.bytes + tenant.to_lan.bytes)),
            if tenant.stopped { "yes" } else { "" }.into(),
            count(dropped),
        ]);
    }
    table.write(output, 0)
}

/// What was dropped meanwhile, by reason; nothing if nothing was.
fn drops(
    between: Between,
    before: &Status,
    now: &Status,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new([("DROPPED", LEFT), ("PACKETS/s", RIGHT)]);
    let mut any = false;
    for (reason, dropped) in &now.drops {
        let then = before.drops.get(reason).map_or(0, |then| then.packets);
        if dropped.packets > then {
            table.row([reason.clone(), count(between.rate(then, dropped.packets))]);
            any = true;
        }
    }
    if any {
        writeln!(output)?;
        table.write(output, 0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::sample;

    fn screen(before: &Status, now: &Status) -> String {
        let mut output = Vec::new();
        write(before, now, &mut output).expect("memory");
        String::from_utf8(output).expect("text")
    }

    fn line<'a>(screen: &'a str, first: &str) -> Vec<&'a str> {
        let line = screen.lines().find(|line| line.starts_with(first));
        line.unwrap_or_else(|| panic!("{first}:\n{screen}")).split_whitespace().collect()
    }

    #[test]
    fn what_came_between_two_looks_is_shown_a_second() {
        let before = sample();
        let mut now = sample();
        now.uptime_seconds += 2.0;
        now.ports[0].rx.packets += 2_000_000;
        now.ports[0].rx.bytes += 2_500_000_000;
        now.peers[0].paths[0].resent.packets += 20;
        now.tenants[0].to_wan.dropped += 4;
        now.drops.get_mut("wan_duplicate").expect("in the sample").packets += 6;
        let screen = screen(&before, &now);
        assert_eq!(line(&screen, "lan0")[3..5], ["10.000", "1.0M"]);
        assert_eq!(line(&screen, "north")[8], "10", "out of service is three words");
        assert_eq!(line(&screen, "acme").last(), Some(&"2"));
        assert_eq!(line(&screen, "wan_duplicate"), ["wan_duplicate", "3"]);
        assert!(screen.lines().all(|line| line.chars().count() <= 100), "{screen}");
    }

    #[test]
    fn where_nothing_happened_nothing_is_dropped() {
        let before = sample();
        let now = Status { uptime_seconds: before.uptime_seconds + 1.0, ..sample() };
        let screen = screen(&before, &now);
        assert!(!screen.contains("wan_duplicate"), "{screen}");
        assert_eq!(line(&screen, "lan0")[3..], ["0.000", "0", "0.000", "0", "0"]);
    }

    #[test]
    fn a_gateway_that_was_started_anew_is_not_compared() {
        let before = sample();
        let now = Status { pid: before.pid + 1, uptime_seconds: 0.5, ..sample() };
        assert!(screen(&before, &now).contains("started anew"));
        assert!(screen(&before, &before).contains("started anew"), "no time went by");
    }
}
