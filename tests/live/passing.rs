//! What hosts send each other passes, whole, and is repaired where the wire loses.

use dataplane::time::MILLISECOND;
use lab::link::Impairments;
use serde_json::Value;

use crate::gateway::Gateway;
use crate::network::{Network, Settings};
use crate::traffic::{Family, ping, transfer};

/// Sizes of datagrams: the least, the usual, the largest in one packet of 1500, more than one.
const SIZES: [usize; 7] = [0, 1, 56, 512, 1_452, 1_472, 5_000];

/// Loses one frame in a hundred, and takes its time.
pub(crate) fn lossy() -> Impairments {
    Impairments { loss: 0.01, delay: MILLISECOND, ..Impairments::default() }
}

/// Packets that a gateway forwarded bare for want of a session.
fn unprotected(status: &Value) -> u64 {
    status["counters"]["unprotected"].as_u64().expect("a counter")
}

/// Pings and transfers through two gateways; what the two say at their end, A's first.
pub(crate) fn passes(settings: &Settings, bytes: usize) {
    let network = Network::new(settings);
    let gateways = network.start_both();
    // Hosts greet their network as soon as they have addresses, which may be before the session.
    let greetings = gateways.each_ref().map(|gateway| unprotected(&gateway.show()));
    for family in [Family::V4, Family::V6] {
        // Where the wire loses, what the gateways repair arrives in time as well.
        assert_eq!(ping(&network, family, &SIZES), SIZES.len(), "pings of {family:?}");
        transfer(&network, family, bytes);
    }
    for gateway in &gateways {
        let watched = gateway.ask(&["top", "--count", "1", "--interval", "0.2"]);
        let screen = String::from_utf8_lossy(&watched.stdout);
        assert!(watched.status.success() && screen.contains("AGAIN/s"), "{watched:?}");
    }
    let lossy = settings.wire.loss > 0.0;
    if lossy {
        let [one, other] = network.wire.counters().map(|counters| counters.link.dropped);
        assert!(one > 0 && other > 0, "the wire lost {one} and {other} frames");
    }
    for (ended, greetings) in gateways.map(Gateway::terminate).into_iter().zip(greetings) {
        assert!(ended.status.success(), "{ended:?}");
        let counters = &ended.report["counters"];
        let count = |name: &str| counters[name].as_u64().unwrap_or_else(|| panic!("{counters:#}"));
        assert!(count("tunnelled_packets") > 0, "{counters:#}");
        assert_eq!(count("repaired") > 0, lossy, "{counters:#}");
        assert_eq!(count("gave_up"), 0, "{counters:#}");
        assert_eq!(unprotected(&ended.report), greetings, "{counters:#}");
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn pings_and_transfers_pass_in_generic_mode() {
    passes(&Settings::default(), 4 << 20);
}

#[test]
#[ignore = "needs root: make test-live"]
fn pings_and_transfers_pass_in_native_mode() {
    passes(&Settings { xdp_mode: "native", ..Settings::default() }, 4 << 20);
}

#[test]
#[ignore = "needs root: make test-live"]
fn losses_of_the_wire_are_repaired() {
    passes(&Settings { wire: lossy(), ..Settings::default() }, 8 << 20);
}
