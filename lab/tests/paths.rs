//! Several paths between two gateways: all of them are used, and nobody notices. The rates are a
//! hundredth of those of `lab/scenarios`, so that a second of them is soon run.

use lab::report::MessageReport;
use lab::{PathScenario, Report, Scenario, Traffic};
use pipelines::gateway::{Numbering, Sharing};

/// Of 4 Gbit/s, 3.8 are offered.
const RATES: [&str; 4] = ["1.6G", "1.2G", "800M", "400M"];

fn scenario(qps: u32, delays: [&str; 4]) -> Scenario {
    let messages = 1_920 / qps;
    let traffic = format!("verb=write,qps={qps},size=256KiB,messages={messages},line=3.8G");
    let traffic: Traffic = traffic.parse().expect("traffic");
    let paths = RATES.iter().zip(delays).enumerate();
    let path = |(index, (rate, delay))| format!("p{index},rate={rate},delay={delay}");
    let paths = paths.map(|path_of| path(path_of).parse::<PathScenario>().expect("a path"));
    Scenario::traffic(traffic, paths.collect(), 1)
}

fn used(report: &Report) -> Vec<f64> {
    report.wan.paths.iter().map(|path| path.utilization).collect()
}

/// The part of all paths' capacity that was used.
fn used_in_all(report: &Report) -> f64 {
    let parts = [1.6, 1.2, 0.8, 0.4].map(|rate| rate / 4.0);
    used(report).iter().zip(parts).map(|(used, part)| used * part).sum()
}

/// Every message is done, in order, and no RNIC sent anything again or asked for it.
fn assert_unnoticed(report: &Report) {
    let (ends, messages) = (&report.endpoints, report.endpoints.messages.expect("messages"));
    assert_eq!(messages.messages_completed, messages.messages_posted);
    let MessageReport { retransmitted_packets, naks, timeouts, qp_errors, .. } = messages;
    assert_eq!([retransmitted_packets, naks, timeouts, qp_errors], [0; 4]);
    assert_eq!([ends.missing, ends.out_of_sequence, ends.duplicates], [0; 3]);
}

/// Nobody took a packet for lost: none was.
fn assert_nothing_asked_for(report: &Report) {
    let gateways = report.gateways.as_ref().expect("gateways");
    for gateway in [&gateways.a, &gateways.b] {
        let asked = [gateway.nacks_sent, gateway.resent_packets, gateway.gave_up, gateway.missed];
        assert_eq!(asked, [0; 4]);
    }
}

fn held_longest_ms(report: &Report) -> f64 {
    report.gateways.as_ref().map_or(0.0, |both| both.b.held_longest_us / 1e3)
}

#[test]
fn eight_queue_pairs_fill_four_unequal_paths() {
    let report = lab::run(&scenario(8, ["2.5ms"; 4])).expect("a report");
    assert_unnoticed(&report);
    assert_nothing_asked_for(&report);
    let used = used(&report);
    assert!(used_in_all(&report) >= 0.92, "{used:?}");
    let most = used.iter().copied().fold(0.0, f64::max);
    assert!(used.iter().all(|&used| used >= most - 0.05), "{used:?}");
    let moves: u64 = report.wan.paths.iter().map(|path| path.moves).sum();
    assert!((1..=16).contains(&moves), "{moves}");
}

#[test]
fn one_queue_pair_fills_all_paths_in_order() {
    let report = lab::run(&scenario(1, ["2.5ms"; 4])).expect("a report");
    assert_unnoticed(&report);
    assert_nothing_asked_for(&report);
    assert!(used_in_all(&report) >= 0.9, "{:?}", used(&report));
}

#[test]
fn unequal_delays_are_no_losses_and_hold_no_longer_than_they_differ() {
    // Two groups of 64 KiB on the slowest path are 2.6 ms, and may queue there: on top of the 7.
    for qps in [1, 8] {
        let report = lab::run(&scenario(qps, ["2ms", "4ms", "6ms", "9ms"])).expect("a report");
        assert_unnoticed(&report);
        assert_nothing_asked_for(&report);
        assert!(used_in_all(&report) >= 0.9, "{:?}", used(&report));
        let held = held_longest_ms(&report);
        assert!(held <= 7.0 + 2.7 + 0.3, "{qps}: {held} ms");
    }
}

#[test]
fn a_lane_keeps_its_path_where_spreading_is_off_or_packets_go_as_they_are() {
    let spread = Sharing { spread: None, ..Sharing::default() };
    let off = Scenario { sharing: spread, ..scenario(1, ["2.5ms"; 4]) };
    let numbering = Numbering::Transparent { check_icrc: true };
    let bare = Scenario { numbering, ..scenario(1, ["2.5ms"; 4]) };
    for scenario in [off, bare] {
        // Slower than the smallest path.
        let traffic = "verb=write,size=256KiB,messages=100,line=350M".parse().expect("traffic");
        let scenario = Scenario { source: lab::Source::Traffic(vec![traffic]), ..scenario };
        let report = lab::run(&scenario).expect("a report");
        assert_unnoticed(&report);
        let busy = report.wan.paths.iter().filter(|path| path.utilization > 0.05);
        assert_eq!(busy.count(), 1, "{:?}", used(&report));
    }
}

#[test]
fn losses_on_spread_paths_are_repaired() {
    let mut scenario = scenario(1, ["2ms", "4ms", "6ms", "9ms"]);
    scenario.paths.iter_mut().for_each(|path| path.does.loss = 1e-3);
    let report = lab::run(&scenario).expect("a report");
    assert_unnoticed(&report);
    assert!(report.wan.dropped > 0);
    let gateways = report.gateways.as_ref().expect("gateways");
    // Each hole is asked for twice, a short one at least; nothing else is sent again.
    assert!(gateways.a.resent_packets <= 3 * report.wan.dropped, "{:?}", gateways.a);
    assert_eq!(gateways.b.gave_up, 0);
}
