//! What happens while a gateway is away: killed, ended, or not started.

use std::thread;
use std::time::Duration;

use crate::frames::{Planned, frame, send};
use crate::gateway::Gateway;
use crate::network::{Network, Settings, Side};
use crate::passing::lossy;
use crate::traffic::{Family, ping, ping_until_answered, transfer};

/// Gateway B is killed and started again while host A pings host B all the time.
pub(crate) fn killed_and_back(settings: Settings) {
    let programs = if settings.dpdk { 0 } else { 2 };
    let network = Network::new(&Settings { wire: lossy(), ..settings });
    let [mut a, b] = network.start_both();
    let sessions = |gateway: &Gateway| gateway.show()["counters"]["sessions"].as_u64();
    let before = sessions(&a).expect("a counter");
    assert_eq!(network.programs(Side::B).len(), programs, "AF_XDP's: one on each interface");
    thread::scope(|scope| {
        let (done, until_done) = std::sync::mpsc::channel::<()>();
        let network = &network;
        let traffic = scope.spawn(move || {
            while until_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                ping(network, Family::V4, &[56, 1_400]);
            }
        });
        b.kill();
        assert!(network.folder().join("gateway-b.sock").exists(), "what is killed leaves its file");
        let left = network.programs(Side::B);
        assert!(left.is_empty(), "programs {left:?} outlived their gateway");
        // Long enough for its peer to notice, or not.
        thread::sleep(Duration::from_millis(500));
        let mut b = network.start(Side::B);
        b.wait_for_session();
        a.wait("in a new session", |shown| {
            let sessions = shown["counters"]["sessions"].as_u64();
            shown["peers"][0]["up"] == true && sessions > Some(before)
        });
        drop(done);
        traffic.join().expect("it does not panic");
        ping_until_answered(network, Family::V4);
        transfer(network, Family::V4, 1 << 20);
        let ended = [a, b].map(Gateway::terminate);
        assert!(ended.iter().all(|ended| ended.status.success()), "{ended:#?}");
    });
    assert!(network.programs(Side::B).is_empty());
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_gateway_killed_under_traffic_starts_again_in_generic_mode() {
    killed_and_back(Settings { xdp_mode: "generic", ..Settings::default() });
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_gateway_killed_under_traffic_starts_again_in_native_mode() {
    killed_and_back(Settings { xdp_mode: "native", ..Settings::default() });
}

/// Ten frames of host A.
fn ten() -> Vec<Planned> {
    let one = |number| Planned {
        at: Duration::from_millis(number),
        from: Side::A,
        bytes: frame(Side::A, 200, number),
    };
    (0..10).map(one).collect()
}

/// Starts gateway A alone, its peer's place being taken by a bridge; what arrives of ten frames,
/// and what the gateway says.
fn alone(peer: &'static str) -> (usize, serde_json::Value) {
    let network = Network::new(&Settings { peer, addresses: false, ..Settings::default() });
    network.bridge(Side::B);
    let mut a = network.start(Side::A);
    a.wait("there", |_| true);
    let frames = ten();
    let arrived = send(&network, &frames);
    let sent = |bytes: &&Vec<u8>| frames.iter().any(|frame| frame.bytes == **bytes);
    let arrived = arrived.iter().filter(sent).count();
    (arrived, a.terminate().report)
}

#[test]
#[ignore = "needs root: make test-live"]
fn without_its_peer_a_gateway_forwards_bare() {
    let (arrived, report) = alone("");
    assert_eq!((arrived, &report["counters"]["unprotected"]), (10, &10.into()), "{report:#}");
    assert_eq!(report["drops"]["peer_absent"], serde_json::Value::Null, "{report:#}");
}

#[test]
#[ignore = "needs root: make test-live"]
fn without_its_peer_a_gateway_told_to_holds_back() {
    let (arrived, report) = alone(r#"absent = "hold""#);
    assert_eq!(
        (arrived, &report["drops"]["peer_absent"]["packets"]),
        (0, &10.into()),
        "{report:#}"
    );
    assert_eq!(report["counters"]["unprotected"], 0, "{report:#}");
}
