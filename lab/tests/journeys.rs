//! What a gateway says of how packets come to it, against what the wide area did.

use lab::report::{GatewayReport, JourneyReport, Report};
use lab::{PathScenario, Scenario, Traffic};

fn run(paths: &[&str]) -> Report {
    let traffic = "verb=write,qps=4,size=64KiB,messages=200".parse::<Traffic>().expect("traffic");
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    lab::run(&Scenario::traffic(traffic, paths.collect(), 3)).expect("a report")
}

fn came(gateway: &GatewayReport, path: &str) -> JourneyReport {
    gateway.received.iter().find(|of| of.name == path).expect("a path of that name").clone()
}

#[test]
fn losses_of_a_path_are_those_of_the_network_and_of_no_other_path() {
    let report = run(&["p1,rate=1G,delay=1ms,loss=0.02", "p2,rate=1G,delay=2ms"]);
    let both = report.gateways.expect("gateways");
    assert_eq!(report.endpoints.missing, 0);
    let [a, b] = [&both.a, &both.b].map(|gateway| came(gateway, "p1"));
    // What was lost of numbered packets was repaired. Copies that were lost again, and messages between
    // the gateways, have no numbers of their own.
    assert_eq!((a.lost, b.lost), (both.a.repaired, both.b.repaired));
    assert!(b.lost > 0 && a.lost + b.lost <= report.wan.paths[0].dropped, "{a:?} {b:?}");
    assert!(b.expected > 1_000, "{b:?}");
    for gateway in [&both.a, &both.b] {
        let other = came(gateway, "p2");
        assert!(other.lost == 0 && other.expected > 0, "{other:?}");
    }
}
