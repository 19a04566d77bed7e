//! Elephants are found in traffic, and nobody is told whom to look for.

use std::path::PathBuf;

use lab::Scenario;
use lab::report::FlowsReport;

/// What site A's gateway saw.
fn seen(traffic: &str) -> FlowsReport {
    let path = "p1,rate=100G,delay=250us,loss=1e-3".parse().expect("a path");
    let scenario = Scenario::traffic(traffic.parse().expect("traffic"), vec![path], 1);
    let report = lab::run(&scenario).expect("it runs");
    assert_eq!(report.endpoints.missing, 0);
    report.gateways.expect("gateways").a.flows
}

#[test]
fn queue_pairs_are_subflows_of_one_flow_and_elephants_by_their_rate() {
    // 96 Mbyte a queue pair: 60 ms at a quarter of the path.
    let flows = seen("verb=write,qps=4,size=4MiB,messages=48");
    assert_eq!((flows.subflows, flows.elephants), (4, 4), "{flows:#?}");
    assert_eq!(flows.flows, 1, "{flows:#?}");
    for subflow in &flows.top {
        assert_eq!(subflow.kinds, ["write"]);
        assert_eq!(subflow.path.as_deref(), Some("p1"));
        assert!(subflow.elephant && subflow.bytes > 48 << 20, "{subflow:#?}");
    }
}

#[test]
fn small_messages_are_mice() {
    let flows = seen("verb=write,qps=4,size=256,messages=16");
    assert_eq!((flows.subflows, flows.elephants, flows.top.len()), (4, 0, 4), "{flows:#?}");
}

#[test]
fn of_a_capture_the_queue_pairs_are_found() {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures/rc-write.pcap");
    let path = "p1,delay=1ms".parse().expect("a path");
    let report = lab::run(&Scenario::new(file, vec![path], 1)).expect("it runs");
    let flows = report.gateways.expect("gateways").a.flows;
    let pairs = flows.top.iter().filter(|subflow| subflow.kinds.contains(&"write")).count();
    assert_eq!(pairs, 1, "{flows:#?}");
}

#[test]
fn a_million_strangers_a_second_take_less_than_two_in_a_hundred_from_elephants() {
    let traffic = "verb=write,qps=4,size=4MiB,messages=48";
    let path: lab::PathScenario = "p1,rate=100G,delay=250us,loss=1e-3".parse().expect("a path");
    let mut scenario = Scenario::traffic(traffic.parse().expect("traffic"), vec![path], 1);
    let alone = lab::run(&scenario).expect("it runs");
    scenario.strangers = Some(1_000_000);
    let flooded = lab::run(&scenario).expect("it runs");
    let strangers = flooded.endpoints.strangers.expect("some");
    assert!(strangers.sent > 60_000, "{strangers:?}");
    let [with, without] = [&flooded, &alone].map(|report| report.endpoints.goodput_gbps);
    assert!(with > 0.98 * without, "{with} Gbit/s, alone {without}; {}", scenario.command_line());
    let messages = flooded.endpoints.messages.expect("messages");
    assert_eq!(messages.messages_completed, messages.messages_posted);
    assert_eq!((messages.retransmitted_packets, messages.timeouts), (0, 0));
    let flows = flooded.gateways.expect("gateways").a.flows;
    assert_eq!(flows.elephants, 4);
    // Each elephant kept its place: no packet of its is missing from what was counted.
    let alone = alone.gateways.expect("gateways").a.flows;
    let packets = |flows: &FlowsReport| flows.top[..4].iter().map(|top| top.packets).sum::<u64>();
    assert_eq!(packets(&flows), packets(&alone));
}
