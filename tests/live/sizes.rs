//! Frames at the edges of what their path takes.

use std::time::Duration;

use crate::frames::{Planned, all_arrive, frame, send};
use crate::gateway::Gateway;
use crate::network::{Network, Settings, Side};

/// Frames of these sizes from each host in turn, a millisecond apart.
fn planned(sizes: &[usize]) -> Vec<Planned> {
    let sizes = sizes.iter().flat_map(|&size| [(Side::A, size), (Side::B, size)]);
    let one = |(number, (from, size)): (usize, _)| Planned {
        at: Duration::from_millis(number as u64),
        from,
        bytes: frame(from, size, number as u64),
    };
    sizes.enumerate().map(one).collect()
}

/// Frames of these sizes arrive at that MTU of the LAN, the tunnel's headers fitting just so.
fn arrive(xdp_mode: &'static str, lan_mtu: u32, sizes: &[usize]) {
    // 58, and the tag of a VLAN.
    let wan_mtu = lan_mtu + 62;
    let settings = Settings { lan_mtu, wan_mtu, xdp_mode, addresses: false, ..Settings::default() };
    let network = Network::new(&settings);
    let gateways = network.start_both();
    all_arrive(&network, xdp_mode, &planned(sizes));
    for ended in gateways.map(Gateway::terminate) {
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(ended.report["counters"]["unnumbered_packets"], 0, "{ended:#?}");
        assert_eq!(ended.report["counters"]["oversize_forwarded"], 0, "{ended:#?}");
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn frames_up_to_an_mtu_of_1500_arrive() {
    for mode in ["generic", "native"] {
        arrive(mode, 1_500, &[60, 61, 64, 127, 1_513, 1_514]);
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn frames_up_to_an_mtu_of_8938_arrive() {
    for mode in ["generic", "native"] {
        // About a page and two, where a frame starts to take another buffer; of PMTU 4096.
        let sizes = [60, 1_514, 2_047, 2_048, 2_049, 3_700, 4_096, 4_174, 4_218, 8_192, 8_952];
        arrive(mode, 8_938, &sizes);
    }
}

/// What does not fit its path, by that policy: how many frames arrived, and what gateway A counted.
fn too_large(gateway: &'static str, sizes: &[usize]) -> (usize, serde_json::Value) {
    let settings = Settings { wan_mtu: 1_500, gateway, addresses: false, ..Settings::default() };
    let network = Network::new(&settings);
    let [a, b] = network.start_both();
    let of_a: Vec<_> = planned(sizes).into_iter().filter(|frame| frame.from == Side::A).collect();
    let arrived = send(&network, &of_a);
    for frame in &arrived {
        assert!(of_a.iter().any(|sent| sent.bytes == *frame), "{} bytes", frame.len());
    }
    assert!(b.terminate().status.success());
    (arrived.len(), a.terminate().report)
}

/// Three that fit, with the last one just so, and two that do not.
const AROUND: [usize; 5] = [60, 1_000, 1_456, 1_457, 1_514];

#[test]
#[ignore = "needs root: make test-live"]
fn what_does_not_fit_is_dropped_and_counted() {
    let (arrived, report) = too_large(r#"oversize = "drop""#, &AROUND);
    assert_eq!(
        (arrived, &report["drops"]["lan_oversize"]["packets"]),
        (3, &2.into()),
        "{report:#}"
    );
}

#[test]
#[ignore = "needs root: make test-live"]
fn what_does_not_fit_is_forwarded_bare_and_counted() {
    let (arrived, report) = too_large(r#"oversize = "forward""#, &AROUND);
    let counters = &report["counters"];
    assert_eq!((arrived, &counters["oversize_forwarded"]), (5, &2.into()), "{report:#}");
}
