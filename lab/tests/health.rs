//! Paths that BFD watches: one of them goes away under load, and nobody at the ends notices.

use lab::{PathScenario, Report, Scenario};

/// A third of what the four paths carry.
const LOAD: &str = "qps=16,size=64KiB,messages=600,line=4G";
/// Three packets of ten milliseconds, less the jitter of the last one heard.
const DETECTION_US: std::ops::RangeInclusive<f64> = 20_000.0..=31_000.0;

fn run(traffic: &str, third: &str) -> Report {
    let mut paths: Vec<_> = (1..=4).map(|n| format!("p{n},rate=2.5G,delay=1ms,bfd=10ms")).collect();
    paths[2].push_str(third);
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    let scenario = Scenario::traffic(traffic.parse().expect("traffic"), paths.collect(), 1);
    lab::run(&scenario).expect("a report")
}

/// How long after the beginning of the outage the gateways of both sites saw `event`.
fn since_outage(report: &Report, event: &str) -> Vec<f64> {
    let of_path = report.path_events.iter().filter(|of| of.path == "p3" && of.event == event);
    of_path.map(|of| of.since_outage_us.expect("there was one")).collect()
}

/// Everything arrived once, intact and in order, and the RNICs asked for nothing.
fn assert_unnoticed(report: &Report) {
    let ends = &report.endpoints;
    let messages = ends.messages.expect("messages");
    assert_eq!(messages.messages_completed, messages.messages_posted);
    assert_eq!([ends.missing, ends.altered, ends.duplicates, ends.out_of_sequence], [0; 4]);
    assert_eq!((messages.qp_errors, messages.naks), (0, 0));
    let gateways = report.gateways.as_ref().expect("gateways");
    for gateway in [&gateways.a, &gateways.b] {
        assert_eq!((gateway.gave_up, gateway.buffers_leaked), (0, 0));
    }
}

/// Of the packets of RNICs' repeats, none went on to the wide area.
fn assert_no_repeats_on_the_wan(report: &Report) {
    let messages = report.endpoints.messages.expect("messages");
    let gateways = report.gateways.as_ref().expect("gateways");
    let absorbed = |drops: &std::collections::BTreeMap<&'static str, u64>| {
        drops.get("rnic_repeat").copied().unwrap_or(0)
    };
    let absorbed = absorbed(&gateways.a.drops) + absorbed(&gateways.b.drops);
    assert_eq!(messages.retransmitted_packets, absorbed);
}

#[test]
fn one_of_four_paths_is_away_for_300_ms_under_load() {
    for verb in ["write", "read"] {
        let report = run(&format!("verb={verb},{LOAD}"), ",down=50ms..350ms");
        assert!(report.wan.paths[2].dropped > 0);
        assert_unnoticed(&report);
        assert_no_repeats_on_the_wan(&report);
        let (down, recovered) = (since_outage(&report, "down"), since_outage(&report, "recovered"));
        println!("{verb}: down after {down:?} us, recovered after {recovered:?} us");
        assert!(down.len() == 2 && down.iter().all(|at| DETECTION_US.contains(at)), "{down:?}");
        assert!(!recovered.is_empty() && recovered.iter().all(|&at| at < 50_000.0));
    }
}

#[test]
fn a_path_that_loses_one_packet_in_a_hundred_does_not_flap() {
    let report = run(&format!("verb=write,{LOAD}"), ",loss=1e-2");
    assert!(report.wan.paths[2].dropped > 0);
    assert_unnoticed(&report);
    assert!(since_outage(&report, "down").is_empty());
}
