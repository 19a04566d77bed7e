//! Where PSNs are the numbers: RNICs under load notice no loss, and captures cross whole but for
//! what has no number.

use std::path::PathBuf;

use lab::report::MessageReport;
use lab::{PathScenario, Report, Scenario};
use pipelines::gateway::Numbering;

const VERBS: [&str; 5] = ["write", "send", "read", "atomic", "mix"];

fn paths(paths: &[&str]) -> Vec<PathScenario> {
    paths.iter().map(|path| path.parse().expect("a path")).collect()
}

fn run(scenario: Scenario) -> Report {
    let numbering = Numbering::Transparent { check_icrc: true };
    lab::run(&Scenario { numbering, ..scenario }).expect("a report")
}

fn traffic(traffic: &str, path: &[&str], seed: u64) -> Report {
    run(Scenario::traffic(traffic.parse().expect("traffic"), paths(path), seed))
}

/// All messages complete, and no RNIC repeated, refused or timed out.
fn assert_unnoticed(report: &Report, what: &str) {
    let ends = &report.endpoints;
    let messages = ends.messages.expect("messages");
    assert_eq!(messages.messages_completed, messages.messages_posted, "{what}");
    let MessageReport { retransmitted_packets, naks, timeouts, qp_errors, .. } = messages;
    assert_eq!([retransmitted_packets, naks, timeouts, qp_errors], [0; 4], "{what}");
    assert_eq!([ends.missing, ends.altered, ends.out_of_sequence], [0; 3], "{what}");
    assert_nothing_left(report, what);
}

fn assert_nothing_left(report: &Report, what: &str) {
    let gateways = report.gateways.as_ref().expect("gateways");
    for gateway in [&gateways.a, &gateways.b] {
        assert_eq!((gateway.gave_up, gateway.buffers_leaked), (0, 0), "{what}");
    }
}

#[test]
fn no_verb_notices_loss_random_or_in_bursts() {
    for verb in VERBS {
        let mut dropped = 0;
        for loss in ["loss=1e-3", "loss=1e-2", "loss=1e-2,burst=5"] {
            let what = format!("verb={verb},qps=8,size=64KiB,messages=100");
            let path = format!("p1,rate=25G,delay=500us,{loss}");
            let report = traffic(&what, &[&path], 1);
            assert_unnoticed(&report, &format!("{what} {path}"));
            dropped += report.wan.dropped;
        }
        assert!(dropped > 0, "{verb}");
    }
}

#[test]
fn no_verb_notices_copies_disorder_and_corruption() {
    let path = "p1,rate=25G,delay=500us,loss=1e-3,duplicate=1e-2,reorder=1e-3";
    for verb in VERBS {
        let what = format!("verb={verb},qps=8,size=64KiB,messages=100");
        assert_unnoticed(&traffic(&what, &[path], 3), &what);
    }
}

#[test]
fn streams_share_paths_and_each_keeps_to_one() {
    let ways = ["p1,rate=10G,delay=500us,loss=1e-3", "p2,rate=10G,delay=900us,loss=1e-3"];
    for verb in ["write", "read"] {
        let report = traffic(&format!("verb={verb},qps=16,size=64KiB,messages=60"), &ways, 1);
        assert_unnoticed(&report, verb);
        assert!(report.wan.paths.iter().all(|path| path.dropped > 0), "{verb}");
    }
}

#[test]
fn what_a_dead_path_took_with_it_comes_by_the_other() {
    let ways = ["p1,rate=10G,delay=1ms,down=20ms..120ms", "p2,rate=10G,delay=1ms"];
    for verb in ["write", "read"] {
        let report = traffic(&format!("verb={verb},qps=16,size=64KiB,messages=60"), &ways, 1);
        assert_unnoticed(&report, verb);
        assert!(report.wan.paths[0].dropped > 0, "{verb}");
        // Who waits for the path waits for as long as it is dead.
        let p99 = report.endpoints.completion_us.p99;
        println!("{verb}: {:?}", report.endpoints.completion_us);
        assert!(p99 < 50_000.0, "{verb}: {p99}");
    }
}

#[test]
fn control_messages_are_below_a_hundredth_of_the_data() {
    let report = traffic(
        "verb=write,qps=16,size=1MiB,messages=8",
        &["p1,rate=100G,delay=2.5ms,loss=1e-2"],
        1,
    );
    assert_unnoticed(&report, "write");
    let sent: u64 = report.wan.paths.iter().map(|path| path.sent_bytes).sum();
    let repairs = report.wan.dropped * 4_200;
    let packets = report.endpoints.payload_bytes / 4_096;
    // Headers of data packets, and an acknowledgement of a message at most each.
    let data = report.endpoints.payload_bytes + packets * 74 + repairs;
    assert!(sent - data.min(sent) < data / 100, "{sent} of {data}");
}

const CAPTURES: [&str; 15] = [
    "loss1-rc-read.gwb",
    "loss1-rc-write.gwa",
    "loss1-rc-write.gwb",
    "psnwrap",
    "rc-atomic",
    "rc-read",
    "rc-send-rnr",
    "rc-send",
    "rc-write-4096",
    "rc-write-cm",
    "rc-write-ipv6",
    "rping",
    "uc-write",
    "ucmatose",
    "ud-send",
];

fn capture(name: &str, path: &str, seed: u64) -> Report {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures");
    run(Scenario::new(folder.join(name).with_added_extension("pcap"), paths(&[path]), seed))
}

#[test]
fn captures_cross_whole_but_for_what_has_no_number() {
    let mut lost = 0;
    for name in CAPTURES {
        for seed in 1..4 {
            let report = capture(name, "p1,delay=5ms,loss=0.01", seed);
            let (ends, what) = (&report.endpoints, format!("{name} {seed}"));
            let amiss = [ends.missing, ends.altered, ends.out_of_sequence, ends.stalls];
            assert_eq!(amiss, [0; 4], "{what}");
            let known = ends.packets_delivered + ends.absorbed + ends.unprotected_lost;
            assert_eq!(known, ends.packets_sent, "{what}");
            assert!(ends.unprotected_lost <= report.wan.dropped, "{what}");
            assert_nothing_left(&report, &what);
            lost += ends.unprotected_lost;
        }
    }
    assert!(lost > 0);
}

#[test]
fn a_loss_of_what_has_no_number_stalls_no_play() {
    let path = "p1,delay=5ms,loss=0.2";
    let report = capture("ud-send", path, 1);
    let ends = &report.endpoints;
    assert!(ends.unprotected_lost > 0 && ends.stalls == 0);
    // Each lost datagram costs its sender a round trip at most.
    let quiet = capture("ud-send", "p1,delay=5ms", 1).endpoints.completion_us.max;
    let most = quiet + ends.unprotected_lost as f64 * 10_020.0;
    assert!(ends.completion_us.max <= most, "{} of {most}", ends.completion_us.max);
}
