//! Two paths that BFD watches; the link of one is cut while hosts send.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::frames::{Planned, all_arrive, frame};
use crate::gateway::Gateway;
use crate::namespace::ip;
use crate::network::{Network, Settings, Side};

/// Streams of each host: enough that each path has some.
const STREAMS: u64 = 32;
/// Frames of each stream, one after another.
const FRAMES: u64 = 60;
/// Between two frames of the same stream.
const PAUSE: Duration = Duration::from_millis(25);
/// When the link is cut, and for how long.
const CUT: Duration = Duration::from_millis(500);
const OUTAGE: Duration = Duration::from_millis(300);
/// Cuts at most until one has caught packets on their way.
const CUTS: usize = 5;

/// What both hosts send: frames of many stations, all the time.
fn plan() -> Vec<Planned> {
    let mut frames = Vec::new();
    for number in 0..FRAMES * STREAMS {
        let stream = number % STREAMS;
        let at = PAUSE * (number / STREAMS) as u32 + PAUSE * stream as u32 / STREAMS as u32;
        for from in [Side::A, Side::B] {
            let mut bytes = frame(from, 300, number);
            // The host's station, and one more byte of it.
            bytes[9] = stream as u8 + 1;
            frames.push(Planned { at, from, bytes });
        }
    }
    frames
}

fn path<'a>(shown: &'a Value, name: &str) -> &'a Value {
    let paths = shown["peers"][0]["paths"].as_array().expect("paths");
    paths.iter().find(|path| path["name"] == name).expect("it is configured")
}

fn count(path: &Value, name: &str) -> u64 {
    path[name]["packets"].as_u64().unwrap_or_else(|| panic!("{path:#}"))
}

/// Whether that happened to the path that was cut.
fn happened(report: &Value, event: &str) -> bool {
    let events = report["path_events"].as_array().expect("what happened");
    events.iter().any(|seen| seen["path"] == "south" && seen["event"] == event)
}

/// Waits until both paths are in service.
fn wait_for_service(gateway: &mut Gateway) {
    gateway.wait("in service on both paths", |shown| {
        ["north", "south"].iter().all(|name| {
            let path = path(shown, name);
            path["bfd"]["state"] == "up" && path["out_of_service"] == false
        })
    });
}

/// Both hosts send, and the link of one path is cut meanwhile.
fn cut_under_load(network: &Network) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let link = |state| network.gate(Side::B).run(|| ip(&["link", "set", "south", state]));
            thread::sleep(CUT);
            link("down");
            thread::sleep(OUTAGE);
            link("up");
        });
        all_arrive(network, "frames of both hosts", &plan());
    });
}

#[test]
#[ignore = "needs root: make test-live"]
fn hosts_do_not_notice_a_path_that_goes_down_and_comes_back() {
    let network = Network::new(&Settings { south: true, addresses: false, ..Settings::default() });
    let mut gateways = network.start_both();
    gateways.iter_mut().for_each(wait_for_service);

    // A gateway that finds a path slow, as on a machine that is busy with something else, sends by
    // the other one; then a cut catches nothing, and another one must.
    let caught = |gateway: &mut Gateway| count(path(&gateway.show(), "south"), "resent") > 0;
    for _ in 0..CUTS {
        cut_under_load(&network);
        gateways.iter_mut().for_each(wait_for_service);
        if gateways.iter_mut().all(caught) {
            break;
        }
    }

    for ended in gateways.map(Gateway::terminate) {
        println!("{}", ended.said);
        for event in ["down", "recovered", "in-service"] {
            assert!(happened(&ended.report, event), "{event}: {:#}", ended.report["path_events"]);
        }
        let (north, south) = (path(&ended.report, "north"), path(&ended.report, "south"));
        assert!(count(north, "sent") > 0 && count(south, "sent") > 0, "{ended:#?}");
        // On a machine that is busy with something else north may have been down as well.
        assert!(south["bfd"]["flaps"].as_u64() >= Some(1), "{south:#}");
        assert!(count(south, "resent") > 0, "{south:#}");
        assert_eq!(ended.report["counters"]["gave_up"], 0, "{ended:#?}");
        assert!(ended.status.success());
    }
}
