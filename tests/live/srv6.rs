//! SRv6 between the gateways: straight to the peer's SID, and by way of a router of the kernel's that
//! acts on a segment of its own.

use std::net::Ipv6Addr;
use std::process::Command;
use std::thread;

use crate::ends::well;
use crate::frames::take;
use crate::gateway::Gateway;
use crate::network::{Network, ROUTER_SID, Settings, Side, Srv6};
use crate::passing::lossy;
use crate::traffic::{Family, ping, transfer};

const SIZES: [usize; 3] = [56, 1_472, 5_000];
/// Next headers: a segment routing header, and an IPv6 packet.
const ROUTING: u8 = 43;
const INSIDE: u8 = 41;

/// Destination and next header of an IPv6 packet in a frame.
fn outer(frame: &[u8]) -> (Ipv6Addr, u8) {
    let destination = frame[38..54].first_chunk::<16>().expect("sixteen bytes");
    (Ipv6Addr::from(*destination), frame[20])
}

/// Pings and transfers both ways through gateways with SRv6 over a wire that loses; what A sends over
/// the wire has `header` behind IPv6, and goes to `first`.
fn passes(srv6: Srv6, first: &str, header: u8) {
    let settings =
        Settings { wan_mtu: 1_700, srv6: Some(srv6), wire: lossy(), ..Settings::default() };
    let network = Network::new(&settings);
    let gateways = network.start_both();
    let first: Ipv6Addr = first.parse().expect("an address");
    let seen = network.middle().packet_socket("a");
    let is_on_its_way = |frame: &Vec<u8>| outer(frame) == (first, header);
    thread::scope(|scope| {
        let seen = scope.spawn(|| {
            take(
                &seen,
                |frame| frame[12..14] == [0x86, 0xdd],
                |frames| frames.last().is_some_and(&is_on_its_way),
            )
        });
        for family in [Family::V4, Family::V6] {
            assert_eq!(ping(&network, family, &SIZES), SIZES.len(), "pings of {family:?}");
            transfer(&network, family, 2 << 20);
        }
        let seen = seen.join().expect("it does not panic");
        assert!(seen.last().is_some_and(is_on_its_way), "nothing goes to {first}");
    });
    if srv6.by_router {
        // It is on a link with both SIDs, and asked who has them.
        let known = network.router().run(|| Command::new("ip").args(["-6", "neigh"]).output());
        let known = known.expect("iproute2 is installed");
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        for side in [Side::A, Side::B] {
            let has = |line: &str| line.starts_with(side.sid()) && line.contains("lladdr");
            assert!(known.lines().any(has), "{known}");
        }
    }
    let [one, other] = network.wire.counters().map(|counters| counters.link.dropped);
    assert!(one > 0 && other > 0, "the wire lost {one} and {other} frames");
    for ended in gateways.map(Gateway::terminate) {
        well(&ended);
        let counters = &ended.report["counters"];
        let count = |name: &str| counters[name].as_u64().unwrap_or_else(|| panic!("{counters:#}"));
        assert!(count("repaired") > 0 && count("tunnelled_packets") > 0, "{counters:#}");
        assert_eq!(count("gave_up"), 0, "{counters:#}");
        assert!(counters["drops"]["wan_srv6"].is_null(), "{counters:#}");
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn srv6_straight_to_a_peer_whose_sid_is_the_next_hop() {
    let sid = Side::B.sid();
    passes(Srv6 { by_router: false, encapsulation: "srv6" }, sid, ROUTING);
    passes(Srv6 { by_router: false, encapsulation: "srv6-red" }, sid, INSIDE);
}

#[test]
#[ignore = "needs root, and a kernel with SRv6: make test-live"]
fn srv6_by_way_of_a_router_of_the_kernels() {
    passes(Srv6 { by_router: true, encapsulation: "srv6" }, ROUTER_SID, ROUTING);
    passes(Srv6 { by_router: true, encapsulation: "srv6-red" }, ROUTER_SID, ROUTING);
}
