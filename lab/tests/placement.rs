//! Queue pairs of a real RDMA stack, found and placed without anybody saying that they are there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lab::report::SubflowReport;
use lab::{PathScenario, Scenario};

const PATHS: usize = 4;

#[test]
fn four_queue_pairs_of_one_flow_have_a_path_each() {
    let input = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/rc-write-q4.headers.pcap");
    // A queue pair sends 21 Mbit/s: two are too much for a path of 40, one is not.
    let path = |index| format!("p{index},rate=40M,delay=1ms").parse::<PathScenario>();
    let paths = (0..PATHS).map(|index| path(index).expect("a path")).collect();
    let mut scenario = Scenario::new(PathBuf::from(input), paths, 1);
    scenario.sharing.spread = None;
    let report = lab::run(&scenario).expect("a report");

    let ends = &report.endpoints;
    assert_eq!([ends.missing, ends.out_of_sequence, ends.duplicates, ends.altered], [0; 4]);
    let both = report.gateways.expect("gateways");
    let is_found = |subflow: &&SubflowReport| subflow.dest_qp.is_some_and(|qp| qp > 1);
    let found: Vec<_> = both.a.flows.top.iter().filter(is_found).collect();
    let mut qps: Vec<_> = found.iter().map(|subflow| subflow.dest_qp).collect();
    qps.sort_unstable();
    assert_eq!(qps, [37, 38, 39, 40].map(Some));
    for subflow in &found {
        // Its queue pairs happened to have the same numbers at both ends; acknowledgements show it.
        assert_eq!((subflow.packets, subflow.peer_qp), (640, subflow.dest_qp));
    }
    let placed: BTreeSet<_> = found.iter().map(|subflow| subflow.path.clone()).collect();
    assert_eq!(placed.len(), PATHS, "{found:?}");
    // What they sent before they were placed went by fewer.
    let bytes = report.wan.paths.iter().map(|path| path.sent_bytes);
    let least = bytes.clone().min().unwrap_or(0);
    assert!(2 * least * PATHS as u64 > bytes.sum(), "{:?}", report.wan.paths);
}
