//! A gateway that is told to end does so, with every buffer at home and nothing left behind.

use dataplane::netdev::Offload;

use crate::gateway::{Ended, Gateway};
use crate::network::{Network, Settings, Side};
use crate::passing::lossy;
use crate::traffic::{Family, transfer};

/// That it ended as it should. How long it took is not judged: on a machine with more to do than
/// cores, that says nothing of the gateway.
pub(crate) fn well(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
    let workers = ended.report["workers"].as_array().expect("the final status");
    assert!(!workers.is_empty(), "{ended:#?}");
    for worker in workers {
        assert_eq!(worker["buffers_in_use"], 0, "{worker:#}");
        assert_eq!(worker["buffers_exhausted"], 0, "{worker:#}");
        assert!(worker["buffers_high_water"].as_u64() > Some(0), "{worker:#}");
    }
}

/// Ends gateways after a transfer, one after the other; what is on the interfaces before, in
/// between and afterwards.
fn end_after_traffic(xdp_mode: &'static str) {
    let network = Network::new(&Settings { xdp_mode, wire: lossy(), ..Settings::default() });
    let netdev = |name| network.gate(Side::A).netdev(name);
    let state = |name| (netdev(name).promiscuous, netdev(name).offload(Offload::TxVlan));
    let before = ["lan", "wan"].map(state);
    let [a, b] = network.start_both();
    assert_eq!(network.programs(Side::A).len(), 2);
    for port in ["lan", "wan"] {
        let xdp = netdev(port).xdp;
        assert_eq!(xdp.native.is_some(), xdp_mode == "native", "{xdp:?}");
        assert_eq!(xdp.generic.is_some(), xdp_mode == "generic", "{xdp:?}");
    }
    let shown = a.show();
    let modes = [&shown["ports"][0]["mode"], &shown["ports"][1]["mode"]];
    let mode = modes.map(|mode| mode.as_str().expect("a mode").starts_with(xdp_mode));
    assert_eq!(mode, [true; 2], "{modes:?}");
    transfer(&network, Family::V4, 2 << 20);
    well(&a.terminate());
    assert!(network.programs(Side::A).is_empty());
    assert!(!network.folder().join("gateway-a.sock").exists());
    assert_eq!(["lan", "wan"].map(state), before);
    // Its peer, which has nobody to confirm anything any more, ends as well.
    well(&b.terminate());
    assert!(network.programs(Side::B).is_empty());
}

#[test]
#[ignore = "needs root: make test-live"]
fn told_to_end_in_generic_mode() {
    end_after_traffic("generic");
}

#[test]
#[ignore = "needs root: make test-live"]
fn told_to_end_in_native_mode() {
    end_after_traffic("native");
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_gateway_that_cannot_be_reached_by_its_peer_ends_soon() {
    let network = Network::new(&Settings::default());
    let [a, b] = network.start_both();
    b.kill();
    // What it sends from now on is never confirmed.
    let ended = [a].map(Gateway::terminate);
    well(&ended[0]);
}

/// Two workers on two cores, each with a queue of every interface.
fn two_workers(xdp_mode: &'static str) {
    let settings = Settings { xdp_mode, workers: 2, wire: lossy(), ..Settings::default() };
    let network = Network::new(&settings);
    let gateways = network.start_both();
    for family in [Family::V4, Family::V6] {
        transfer(&network, family, 2 << 20);
    }
    for ended in gateways.map(Gateway::terminate) {
        well(&ended);
        assert_eq!(ended.report["workers"].as_array().map(Vec::len), Some(2));
        assert_eq!(ended.report["peers"][0]["sessions"], 2, "{:#}", ended.report);
        assert_eq!(ended.report["counters"]["gave_up"], 0, "{:#}", ended.report);
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn two_workers_in_generic_mode() {
    two_workers("generic");
}

#[test]
#[ignore = "needs root: make test-live"]
fn two_workers_in_native_mode() {
    two_workers("native");
}
