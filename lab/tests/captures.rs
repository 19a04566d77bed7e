//! Captures played across wide areas: whatever these do short of what must be given up, each
//! stream arrives complete, in order, unaltered and once.

use std::path::PathBuf;

use lab::{PathScenario, Report, Scenario};

/// A small capture that the project carries.
fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures").join(name)
}

fn scenario(name: &str, paths: &[&str], seed: u64) -> Scenario {
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    Scenario::new(capture(name), paths.collect(), seed)
}

/// The command that repeats a run, for whoever sees it fail.
fn command(report: &Report) -> String {
    let (input, paths) = (&report.scenario.input, &report.scenario.paths);
    format!("compute-gateway lab --input {input} --seed {} with {paths:?}", report.seed)
}

fn assert_whole(report: &Report) {
    let ends = &report.endpoints;
    let amiss = [ends.missing, ends.altered, ends.out_of_sequence, ends.duplicates];
    assert_eq!(amiss, [0; 4], "{}", command(report));
    assert!(ends.packets_sent > 0 && ends.packets_delivered == ends.packets_sent);
    assert_no_leak(report);
}

fn assert_no_leak(report: &Report) {
    let gateways = report.gateways.as_ref().expect("gateways");
    assert_eq!([gateways.a.buffers_leaked, gateways.b.buffers_leaked], [0; 2]);
}

#[test]
fn loss_is_repaired_and_hurts_without_gateways() {
    let mut scenario = scenario("psnwrap.pcap", &["p1,delay=5ms,loss=0.05,burst=4"], 1);
    let report = lab::run(&scenario).expect("runs");
    assert_whole(&report);
    assert!(report.wan.dropped > 0);
    scenario.gateways = false;
    let bare = lab::run(&scenario).expect("runs");
    assert!(bare.endpoints.missing > 0 && bare.gateways.is_none());
    assert_eq!(bare.endpoints.missing, bare.wan.dropped);
}
