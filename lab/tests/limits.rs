//! A small matrix of losses and distances whose figures are in the tree, so that a change in
//! recovery shows as a difference. Renew and review them with
//! `UPDATE=1 cargo test -p compute-gateway-lab --test limits`.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use lab::{PathScenario, Report, Scenario};
use pipelines::gateway::Numbering;

const SNAPSHOT: &str = "tests/limits.txt";
const RENEW: &str = "UPDATE=1 cargo test -p compute-gateway-lab --test limits";
const LOSSES: [&str; 4] = ["loss=0", "loss=1e-3", "loss=1e-2", "loss=1e-2,burst=5"];
/// Distances as one-way delays: 100 and 1000 km.
const DELAYS: [(&str, &str); 2] = [("100", "490us"), ("1000", "4900us")];
/// Ways to number packets.
const NUMBERINGS: [(&str, Numbering); 2] =
    [("tunnel", Numbering::Tunnel), ("transparent", Numbering::Transparent { check_icrc: true })];
/// Queue pairs, and messages of each: 64 MiB in all.
const QPS: [(u32, u32); 2] = [(1, 1_024), (16, 64)];

fn run(numbering: Numbering, qps: u32, messages: u32, path: &str) -> Report {
    let traffic = format!("verb=write,qps={qps},size=64KiB,messages={messages},line=40G");
    let path: PathScenario = path.parse().expect("a path");
    let scenario = Scenario::traffic(traffic.parse().expect("traffic"), vec![path], 1);
    lab::run(&Scenario { numbering, ..scenario }).expect("a report")
}

/// Few digits, so that the last ones of a floating-point number do not matter.
fn row(name: &str, km: &str, qps: u32, losses: &str, report: &Report) -> String {
    let ends = &report.endpoints;
    let gateways = report.gateways.as_ref().expect("gateways");
    let both = [&gateways.a, &gateways.b];
    let resent: u64 = both.iter().map(|gateway| gateway.resent_packets).sum();
    let control: u64 = both.iter().map(|gateway| gateway.control_bytes).sum();
    let data = ends.payload_bytes;
    format!(
        "{name:<11} {km:>5} {qps:>4}  {losses:<18} {:>7.2} {:>8.2} {:>8.2} {resent:>7} {:>8.2}",
        ends.goodput_gbps,
        ends.completion_us.p50 / 1e3,
        ends.completion_us.p99 / 1e3,
        100.0 * control as f64 / data as f64,
    )
}

fn matrix() -> String {
    let mut text = String::from(
        "10 Gbit/s, WRITEs of 64 KiB, 64 MiB in all; control in percent of payload bytes\n\
         numbering      km  QPs  losses              Gbit/s   p50 ms   p99 ms  resent  control\n",
    );
    for (name, numbering) in NUMBERINGS {
        for (km, delay) in DELAYS {
            for (qps, messages) in QPS {
                for losses in LOSSES {
                    let path = format!("p1,rate=10G,delay={delay},{losses}");
                    let report = run(numbering, qps, messages, &path);
                    let _ = writeln!(text, "{}", row(name, km, qps, losses, &report));
                }
            }
        }
    }
    text
}

#[test]
fn figures_are_those_reviewed() {
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join(SNAPSHOT);
    let figures = matrix();
    if env::var_os("UPDATE").is_some() {
        fs::write(&snapshot, &figures).expect("a file in the tree");
    }
    let reviewed = fs::read_to_string(&snapshot).expect("the reviewed figures");
    assert!(
        figures == reviewed,
        "figures changed; if for the better, renew and review them with `{RENEW}`\n\
         reviewed:\n{reviewed}\nnow:\n{figures}"
    );
}
