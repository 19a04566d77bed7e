//! RNICs under load across wide areas: with gateways, nothing that these lose is ever noticed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lab::report::{MessageReport, SubflowReport};
use lab::rnic::Timer;
use lab::traffic::Direction;
use lab::{LabError, PathScenario, Report, Scenario, Traffic};

const VERBS: [&str; 5] = ["write", "send", "read", "atomic", "mix"];
const NEAR: &str = "p1,rate=25G,delay=500us";

fn scenario(traffic: &str, paths: &[&str], seed: u64) -> Scenario {
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    Scenario::traffic(traffic.parse().expect("traffic"), paths.collect(), seed)
}

fn run(traffic: &str, paths: &[&str], seed: u64) -> Report {
    lab::run(&scenario(traffic, paths, seed)).expect("a report")
}

fn bare(traffic: &str, path: &str, seed: u64) -> Report {
    let scenario = Scenario { gateways: false, ..scenario(traffic, &[path], seed) };
    lab::run(&scenario).expect("a report")
}

fn messages(report: &Report) -> MessageReport {
    report.endpoints.messages.expect("messages")
}

/// All messages complete, and no RNIC saw anything that it would not see on a perfect wire.
fn assert_unnoticed(report: &Report, what: &str) {
    let (ends, messages) = (&report.endpoints, messages(report));
    assert!(messages.messages_posted > 0, "{what}");
    assert_eq!(messages.messages_completed, messages.messages_posted, "{what}");
    let noticed = MessageReport {
        messages_posted: 0,
        messages_completed: 0,
        span_us: 0.0,
        operations_per_second: 0.0,
        ..messages
    };
    assert_eq!(noticed, MessageReport::default(), "{what}");
    let wrong = [ends.missing, ends.altered, ends.out_of_sequence, ends.duplicates];
    assert_eq!(wrong, [0; 4], "{what}");
    let gateways = report.gateways.as_ref().expect("gateways");
    for gateway in [&gateways.a, &gateways.b] {
        let lost = [gateway.gave_up, gateway.replay_evicted, gateway.missed];
        assert_eq!((lost, gateway.buffers_leaked), ([0; 3], 0), "{what}");
    }
}

#[test]
fn every_verb_crosses_a_perfect_wide_area() {
    for verb in VERBS {
        let report = run(&format!("verb={verb},qps=4,size=64KiB,messages=40"), &[NEAR], 1);
        assert_unnoticed(&report, verb);
        let sum = if verb == "atomic" { 4 * 40 * 8 } else { 4 * 40 * 65_536 };
        let bytes = report.endpoints.payload_bytes;
        assert!(if verb == "mix" { bytes < sum && bytes > sum / 2 } else { bytes == sum });
        assert_eq!(report.wan.dropped, 0);
    }
}

/// Bytes of a second in a host's line are no more than it carries, so what many send at once is told
/// from what one would.
#[test]
fn bursts_of_several_hosts_come_at_the_same_moments() {
    let traffic = "verb=write,qps=8,hosts=8,targets=2,size=4KiB,bursts=25@5ms,messages=100,line=1G";
    let report = run(traffic, &[NEAR], 1);
    assert_unnoticed(&report, traffic);
    // Three times 5 ms, then 25 messages of 4 KiB at 1 Gbit/s, and a round trip of 1 ms.
    let span = messages(&report).span_us;
    assert!((16_800.0..17_200.0).contains(&span), "{span}");
    let gateway = &report.gateways.as_ref().expect("gateways").a;
    let of = |host: fn(&SubflowReport) -> IpAddr| {
        let hosts: BTreeSet<_> = gateway.flows.top.iter().map(host).collect();
        hosts.into_iter().map(|host| host.to_string()).collect::<Vec<_>>()
    };
    let sources: Vec<_> = (1..=8).map(|host| format!("10.0.1.{host}")).collect();
    assert_eq!(of(|flow| flow.source), sources);
    assert_eq!(of(|flow| flow.destination), ["10.0.2.1", "10.0.2.2"]);
    // Each burst of the eight together is faster than one line, and between them nothing is sent.
    let [path] = &report.wan.paths[..] else { panic!("one path") };
    let rates = &path.gbps_over_time;
    let fast = rates.iter().filter(|rate| **rate > 5.0).count();
    let silent = rates.iter().filter(|rate| **rate < 0.1).count();
    assert!(fast >= 8 && silent >= rates.len() / 2, "{rates:?}");
    let busy = report.wan.busy_utilization.expect("work");
    assert!(path.utilization < 0.1 && busy > 0.3, "{} {busy}", path.utilization);
}

#[test]
fn no_verb_notices_what_gateways_repair() {
    let lossy = format!("{NEAR},loss=1e-3");
    for verb in VERBS {
        let messages = if verb == "atomic" { 1_000 } else { 60 };
        let traffic = format!("verb={verb},qps=4,size=64KiB,messages={messages}");
        let report = run(&traffic, &[&lossy], 2);
        assert!(report.wan.dropped > 0, "{verb}");
        assert_unnoticed(&report, verb);
    }
}

#[test]
fn both_sites_may_ask_over_several_impaired_paths() {
    let paths = [
        "p1,rate=10G,delay=500us,loss=0.01,burst=4,corrupt=1e-3",
        "p2,rate=10G,delay=700us,loss=1e-3,duplicate=1e-3,reorder=1e-3",
    ];
    let traffic = "verb=mix,qps=8,size=20000,messages=60,direction=both";
    let report = run(traffic, &paths, 3);
    assert_unnoticed(&report, "both");
    assert_eq!(messages(&report).messages_posted, 2 * 8 * 60);
    assert!(report.wan.paths.iter().all(|path| path.sent_packets > 0 && path.dropped > 0));
}

#[test]
fn without_gateways_rnics_have_to_repeat() {
    let report = bare("verb=write,qps=4,size=64KiB,messages=60", &format!("{NEAR},loss=1e-3"), 2);
    let messages = messages(&report);
    assert_eq!(messages.messages_completed, messages.messages_posted);
    assert!(report.wan.dropped > 0 && report.endpoints.out_of_sequence > 0);
    assert!(messages.naks > 0 && messages.retransmitted_packets > messages.naks);
    assert!(report.gateways.is_none());
}

#[test]
fn a_run_repeats_to_the_byte_and_seeds_differ() {
    let json = |seed| {
        let lossy = format!("{NEAR},loss=0.01,reorder=0.01");
        let report = run("verb=mix,qps=3,size=20000,messages=30", &[&lossy], seed);
        serde_json::to_string(&report).expect("JSON")
    };
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
}

#[test]
fn the_path_is_filled() {
    let traffic = "verb=write,qps=4,size=1MiB,messages=32";
    for report in [run(traffic, &[NEAR], 1), bare(traffic, NEAR, 1)] {
        // 4096 of at most 4260 bytes are payload, and a round trip of 1 ms in 45 passes idle.
        let goodput = report.endpoints.goodput_gbps;
        assert!((22.5..24.1).contains(&goodput), "{goodput}");
        assert!(report.wan.paths[0].utilization <= 1.0);
    }
}

#[test]
fn the_window_and_reads_bound_what_is_under_way() {
    let in_flight = |reads: &str, window: Option<u64>| {
        let mut traffic: Traffic =
            format!("verb=read,size=4KiB,messages=640{reads}").parse().expect("traffic");
        traffic.window = window;
        let paths = vec![NEAR.parse().expect("a path")];
        let scenario = Scenario::traffic(traffic, paths, 1);
        let report = lab::run(&Scenario { gateways: false, ..scenario }).expect("a report");
        // Messages in a round trip of just over a millisecond.
        messages(&report).operations_per_second / 1_000.0
    };
    assert!((18.0..20.1).contains(&in_flight(",reads=20", None)));
    assert!((30.0..32.1).contains(&in_flight("", Some(32 * 4096))));
}

#[test]
fn receivers_that_are_not_ready_are_waited_for() {
    let report = run("verb=send,qps=2,size=8KiB,messages=40,rnr=10", &[NEAR], 1);
    let messages = messages(&report);
    assert_eq!(messages.messages_completed, 80);
    assert!(messages.rnr_naks >= 8 && messages.retransmitted_packets > 0);
    assert_eq!((messages.naks, messages.timeouts, messages.qp_errors), (0, 0, 0));
}

#[test]
fn queue_pairs_fail_where_nothing_comes_through() {
    let report = bare("verb=write,qps=2,messages=3,timer=8,retry=1", &format!("{NEAR},loss=1"), 1);
    let messages = messages(&report);
    assert_eq!((messages.messages_posted, messages.messages_completed), (6, 0));
    assert_eq!((messages.qp_errors, messages.timeouts), (2, 4));
    assert_eq!(report.endpoints.completion_us.max, 0.0);
}

#[test]
fn a_run_that_cannot_end_says_so() {
    let path = format!("{NEAR},loss=1");
    let mut scenario = scenario("verb=write,messages=3,timer=0", &[&path], 1);
    scenario.gateways = false;
    let error = lab::run(&scenario).expect_err("endless");
    assert!(matches!(error, LabError::Unfinished { done: 0, all: 3, .. }), "{error}");
    assert!(error.to_string().contains("0 of 3 messages"), "{error}");
}

#[test]
fn the_report_says_what_was_asked_for() {
    let traffic = "verb=read,qps=2,size=1MiB,messages=1,timer=adaptive,direction=ba";
    let scenario = scenario(traffic, &[NEAR], 1);
    let [asked] = scenario.traffic_groups() else { panic!("traffic") };
    assert_eq!((asked.direction, asked.timer), (Direction::Ba, Timer::adaptive(17)));
    let report = lab::run(&scenario).expect("a report").scenario;
    let said = report.traffic.expect("traffic");
    assert_eq!(
        (said.verb, said.direction, said.timer, said.timeout),
        ("read", "ba", "adaptive", 17)
    );
    // 4 × 25 Gbit/s × 1 ms, in whole packets a queue pair.
    let window = 12_500_000 / 2 / 4096 * 4096 * 2;
    assert_eq!((said.window_bytes, said.host_line_bps), (window, 400_000_000_000));
    assert_eq!((report.input, report.mode), (None, Some("tunnel")));
}
