//! Gateways that start anew in the middle, and queue pairs that come and go.

use lab::report::MessageReport;
use lab::{PathScenario, Report, Scenario};
use pipelines::gateway::Numbering;

const NUMBERINGS: [Numbering; 2] = [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }];
const PATH: &str = "p1,rate=1G,delay=1ms";

fn scenario(traffic: &str, path: &str, restarts: &[&str]) -> Scenario {
    let path: PathScenario = path.parse().expect("a path");
    let scenario = Scenario::traffic(traffic.parse().expect("traffic"), vec![path], 1);
    let restarts = restarts.iter().map(|restart| restart.parse().expect("a restart"));
    Scenario { restarts: restarts.collect(), ..scenario }
}

fn messages(report: &Report) -> MessageReport {
    report.endpoints.messages.expect("messages")
}

/// Every message ended, nothing was altered, and all buffers are home.
fn assert_open(report: &Report, what: &str) {
    let (ends, messages) = (&report.endpoints, messages(report));
    let ended = messages.messages_completed + messages.messages_failed;
    assert_eq!(ended, messages.messages_posted, "{what}");
    assert_eq!([ends.missing, ends.altered, ends.duplicates], [0; 3], "{what}");
    let gateways = report.gateways.as_ref().expect("gateways");
    assert_eq!([gateways.a.buffers_leaked, gateways.b.buffers_leaked], [0; 2], "{what}");
}

#[test]
fn a_gateway_that_starts_anew_costs_no_message() {
    for numbering in NUMBERINGS {
        let traffic = "verb=mix,qps=4,size=16KiB,messages=100,timer=14";
        for restarts in [&["a@10ms"][..], &["b@10ms"], &["a@10ms", "b@10ms", "a@25ms"]] {
            let scenario = Scenario { numbering, ..scenario(traffic, PATH, restarts) };
            let (report, what) = (lab::run(&scenario).expect("a report"), scenario.command_line());
            assert_open(&report, &what);
            assert_eq!(messages(&report).messages_failed, 0, "{what}");
            let gateways = report.gateways.as_ref().expect("gateways");
            let count = gateways.a.restarts + gateways.b.restarts;
            assert_eq!(count, restarts.len() as u64, "{what}");
        }
    }
}

#[test]
fn a_restart_changes_nothing_before_it() {
    let traffic = "verb=write,qps=1,size=4KiB,messages=100";
    let report =
        |restarts: &[&str]| lab::run(&scenario(traffic, PATH, restarts)).expect("a report");
    let gateway = |report: &Report| report.gateways.as_ref().expect("gateways").a.clone();
    let (late, never, soon) = (report(&["a@10s"]), report(&[]), report(&["a@1ms"]));
    assert_eq!((&late.endpoints, gateway(&late)), (&never.endpoints, gateway(&never)));
    assert_eq!((gateway(&late).restarts, gateway(&late).unprotected), (0, 0));
    // Until the gateways have found each other again, they forward what they cannot number.
    assert!(gateway(&soon).restarts == 1 && gateway(&soon).unprotected > 0);
}

#[test]
fn queue_pairs_come_and_go_and_nobody_notices() {
    for numbering in NUMBERINGS {
        for direction in ["ab", "ba", "both"] {
            let traffic =
                format!("verb=mix,qps=3,size=16KiB,messages=20,recreate=6,direction={direction}");
            let scenario = Scenario { numbering, ..scenario(&traffic, PATH, &[]) };
            let (report, what) = (lab::run(&scenario).expect("a report"), scenario.command_line());
            assert_open(&report, &what);
            let MessageReport { retransmitted_packets, naks, timeouts, qp_errors, .. } =
                messages(&report);
            assert_eq!([retransmitted_packets, naks, timeouts, qp_errors], [0; 4], "{what}");
            assert_eq!(messages(&report).messages_failed, 0, "{what}");
            // A queue pair's first message needs a round trip for it to be connected, and each of
            // its three successors one more to part from the one before.
            assert!(messages(&report).span_us > 7.0 * 2_000.0, "{what}");
        }
    }
}

#[test]
fn a_failed_queue_pair_is_followed_by_another() {
    // The path is away for longer than the RNICs have patience.
    let path = format!("{PATH},down=20ms..2s");
    let traffic = "verb=write,qps=2,size=64KiB,messages=60,timer=10,retry=2";
    let last = lab::run(&scenario(traffic, &path, &[])).expect("a report");
    assert_open(&last, "the last");
    assert!(messages(&last).messages_failed > 0);
    let traffic = format!("{traffic},recreate=1000");
    let followed = lab::run(&scenario(&traffic, &path, &[])).expect("a report");
    assert_open(&followed, "followed");
    let [few, many] = [&last, &followed].map(|report| messages(report).messages_completed);
    assert!(messages(&followed).messages_failed > 0 && many > few, "{many} of {few}");
}
