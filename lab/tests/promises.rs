//! What is promised of tunnel numbering, at a tenth of the line rate so that a test takes seconds:
//! whatever the wide area loses, the RNICs do not notice, and hardly get slower.

use lab::report::MessageReport;
use lab::{PathScenario, Report, Scenario};

/// 16 queue pairs for some two hundred round trips: start and end weigh less than one in a hundred.
const LOAD: &str = "qps=16,size=64KiB,messages=600";
const ATOMICS: &str = "verb=atomic,qps=16,reads=16,messages=4000";
const NEAR: &str = "p1,rate=10G,delay=1ms";
/// A thousand kilometres, and RNICs that lose patience before a round trip is over.
const IMPATIENT: &str = "verb=write,qps=16,size=64KiB,messages=600,timer=adaptive";
const FAR: &str = "p1,rate=2.5G,delay=5ms";

fn run(traffic: &str, paths: &[String]) -> Report {
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    let scenario = Scenario::traffic(traffic.parse().expect("traffic"), paths.collect(), 1);
    lab::run(&scenario).expect("a report")
}

fn messages(report: &Report) -> MessageReport {
    report.endpoints.messages.expect("messages")
}

/// Everything arrived once and intact, and nothing was given up.
fn assert_whole(report: &Report) {
    let (ends, messages) = (&report.endpoints, messages(report));
    assert_eq!(messages.messages_completed, messages.messages_posted);
    assert_eq!([ends.missing, ends.altered, ends.duplicates, messages.qp_errors], [0; 4]);
    let gateways = report.gateways.as_ref().expect("gateways");
    assert_eq!([gateways.a.gave_up, gateways.b.gave_up], [0; 2]);
}

/// The RNICs saw nothing of what was lost.
fn assert_unnoticed(report: &Report) {
    assert!(report.wan.dropped > 0);
    assert_whole(report);
    let messages = messages(report);
    let repeats = [messages.retransmitted_packets, messages.naks, messages.timeouts];
    assert_eq!((repeats, report.endpoints.out_of_sequence), ([0; 3], 0));
}

/// With these losses nothing is noticed, and at least `share` of the loss-free goodput is left.
fn assert_kept(traffic: &str, losses: &str, share: f64) {
    let whole = run(traffic, &[NEAR.into()]);
    let lossy = run(traffic, &[format!("{NEAR},{losses}")]);
    assert_unnoticed(&lossy);
    let [left, all] = [&lossy, &whole].map(|report| messages(report).operations_per_second);
    println!("{traffic} {losses}: {left:.0} of {all:.0} operations a second, {}", left / all);
    assert!(left >= share * all, "{left} of {all} operations a second");
}

#[test]
fn one_in_a_thousand_lost_leaves_98_percent_of_writes() {
    assert_kept(&format!("verb=write,{LOAD}"), "loss=1e-3", 0.98);
}

#[test]
fn one_in_a_thousand_lost_leaves_98_percent_of_sends() {
    assert_kept(&format!("verb=send,{LOAD}"), "loss=1e-3", 0.98);
}

#[test]
fn one_in_a_thousand_lost_leaves_98_percent_of_reads() {
    assert_kept(&format!("verb=read,{LOAD}"), "loss=1e-3", 0.98);
}

#[test]
fn one_in_a_thousand_lost_leaves_98_percent_of_a_mix() {
    assert_kept(&format!("verb=mix,{LOAD}"), "loss=1e-3", 0.98);
}

#[test]
fn losses_in_bursts_leave_98_percent() {
    assert_kept(&format!("verb=write,{LOAD}"), "loss=1e-3,burst=5", 0.98);
}

#[test]
fn one_in_a_thousand_lost_leaves_90_percent_of_atomics() {
    assert_kept(ATOMICS, "loss=1e-3", 0.9);
}

/// Packets that RNICs sent again and no gateway absorbed.
fn repeats_on_the_wan(report: &Report) -> u64 {
    messages(report).retransmitted_packets - report.endpoints.absorbed
}

#[test]
fn impatient_rnics_a_thousand_kilometres_apart_lose_5_percent_at_most() {
    let whole = run(IMPATIENT, &[FAR.into()]);
    let lossy = run(IMPATIENT, &[format!("{FAR},loss=1e-2")]);
    assert_whole(&lossy);
    assert!(messages(&lossy).timeouts > 0, "nobody was impatient");
    assert_eq!((messages(&lossy).naks, repeats_on_the_wan(&lossy)), (0, 0));
    let goodput = [&lossy, &whole].map(|report| report.endpoints.goodput_gbps);
    println!("{goodput:?} {:?}", [&lossy, &whole].map(|report| report.endpoints.completion_us));
    let [left, all] = goodput;
    assert!(left >= 0.95 * all, "{left} of {all} Gbit/s");
}

#[test]
fn impatient_rnics_a_thousand_kilometres_apart_wait_two_and_a_half_round_trips_more() {
    let whole = run(IMPATIENT, &[FAR.into()]).endpoints.completion_us;
    let lossy = run(IMPATIENT, &[format!("{FAR},loss=1e-2")]).endpoints.completion_us;
    let round_trip = 10_000.0;
    assert!(lossy.p50 >= whole.p50);
    assert!(lossy.p99 <= whole.p99 + 2.5 * round_trip, "{lossy:?} after {whole:?}");
}

/// Four paths, and what becomes of the third.
fn four_paths(third: &str) -> Vec<String> {
    let mut paths: Vec<_> = (1..=4).map(|n| format!("p{n},rate=2.5G,delay=1ms")).collect();
    paths[2].push_str(third);
    paths
}

#[test]
fn one_of_four_paths_dies_for_100_ms() {
    let report = run(&format!("verb=write,{LOAD}"), &four_paths(",down=50ms..150ms"));
    assert!(report.wan.paths[2].dropped > 0);
    assert_whole(&report);
    assert_eq!((messages(&report).naks, repeats_on_the_wan(&report)), (0, 0));
}

#[test]
fn what_a_dead_path_lost_goes_around_it() {
    let traffic = format!("verb=write,{LOAD}");
    let report = run(&traffic, &four_paths(",down=50ms..150ms"));
    let (whole, dead) = (run(&traffic, &four_paths("")), report.endpoints.completion_us);
    println!("{dead:?} after {:?}", whole.endpoints.completion_us);
    // Without the detour the last one in a thousand wait until the path is back: 108 ms.
    assert!(dead.p99 < whole.endpoints.completion_us.p99 + 2_000.0, "{dead:?}");
    assert!(dead.p999 < 30_000.0 && dead.max < 50_000.0, "{dead:?}");
}

#[test]
fn control_stays_under_one_percent_of_data_at_one_percent_loss() {
    for losses in ["loss=1e-2", "loss=1e-2,burst=5"] {
        let report = run(&format!("verb=write,{LOAD}"), &[format!("{NEAR},{losses}")]);
        let gateways = report.gateways.as_ref().expect("gateways");
        let sum = |bytes: [u64; 2]| bytes.iter().sum::<u64>() as f64;
        let control = sum([gateways.a.control_bytes, gateways.b.control_bytes]);
        let data = sum([gateways.a.tunnelled_bytes, gateways.b.tunnelled_bytes]);
        println!("{losses}: control {control}, data {data}: {}", control / data);
        assert!(control > 0.0 && control < 0.01 * data, "{losses}: {control} of {data} bytes");
    }
}
