//! The inspector on captures of a real stack, against the golden figures beside them.
#![forbid(unsafe_code)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use dataplane::capture::{Reader, Record, Writer};
use pipelines::inspect::{Inspector, Limits, Role, Stream};
use serde_json::{Value, json};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The names of all captures, without their ending.
fn names() -> Vec<String> {
    let files = fs::read_dir(captures()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        files.filter_map(|name| name.to_str()?.strip_suffix(".pcap").map(str::to_owned)).collect();
    names.sort();
    names
}

fn inspect(name: &str) -> Inspector {
    let mut reader = Reader::open(&captures().join(name).with_added_extension("pcap")).unwrap();
    let mut inspector = Inspector::new(Limits::default(), true);
    while let Some(record) = reader.next().unwrap() {
        inspector.observe(record.data, record.original_len);
    }
    inspector
}

fn stream(inspector: &Inspector, src: IpAddr, dest_qp: u32, role: Role) -> Stream {
    let is = |s: &Stream| (s.src, s.dest_qp, s.role) == (src, dest_qp, role);
    inspector.streams().into_iter().find(is).expect("the stream is in the capture")
}

/// What the inspector found, in the form of the golden figures.
fn figures(inspector: &Inspector) -> Value {
    let totals = inspector.totals();
    let opcodes = inspector.opcodes().map(|(o, count)| (format!("{:#04x}", o.0), json!(count)));
    let mut connections = serde_json::Map::new();
    for message in inspector.connections() {
        // Attribute identifiers follow each other in the order of the kinds.
        let attribute = format!("{:#06x}", 0x10 + message.kind as u32);
        let count = connections.get(&attribute).and_then(Value::as_u64).unwrap_or(0);
        connections.insert(attribute, json!(count + message.packets));
    }
    let streams = inspector.streams().into_iter().map(|s| {
        json!({
            "src": s.src, "dst": s.dst, "dest_qp": s.dest_qp, "role": s.role.name(),
            "packets": s.packets, "bytes": s.bytes, "p_key": s.p_key,
            "first_psn": s.first_psn, "last_psn": s.last_psn,
            "gaps": s.gaps, "missing_psns": s.missing_psns, "behind": s.behind,
        })
    });
    json!({
        "packets": totals.packets,
        "rocev2_packets": totals.rocev2,
        "rocev2_bytes": totals.rocev2_bytes,
        "opcodes": opcodes.collect::<serde_json::Map<_, _>>(),
        "connections": connections,
        "streams": streams.collect::<Vec<_>>(),
    })
}

#[test]
fn every_capture_agrees_with_its_golden_figures() {
    let names = names();
    assert!(names.len() >= 16, "captures are missing: {names:?}");
    for name in names {
        let golden = fs::read(captures().join(&name).with_added_extension("json")).unwrap();
        let golden: Value = serde_json::from_slice(&golden).unwrap();
        let inspector = inspect(&name);
        assert_eq!(figures(&inspector), golden, "{name}");
        let totals = inspector.totals();
        assert_eq!((totals.malformed, totals.icrc_bad), (0, 0), "{name}");
        if name.ends_with(".snapped") {
            assert!(totals.snapped > 0 && totals.icrc_checked < totals.rocev2, "{name}");
        } else {
            assert_eq!((totals.snapped, totals.icrc_checked), (0, totals.rocev2), "{name}");
        }
        assert_eq!(totals.untracked_packets + totals.untracked_connections, 0, "{name}");
    }
}

#[test]
fn loss_is_seen_behind_it_and_not_before_it() {
    let before = stream(&inspect("loss1-rc-write.gwa"), CLIENT, 207, Role::Request);
    let after = stream(&inspect("loss1-rc-write.gwb"), CLIENT, 207, Role::Request);
    assert_eq!((before.gaps, before.missing_psns), (0, 0));
    assert_eq!((after.gaps, after.missing_psns), (4, 4));
    assert!(before.behind > 0, "go-back-N repeats what was lost and what came after it");
    assert_eq!((before.pmtu, after.pmtu), (Some(1024), Some(1024)));
}

#[test]
fn reads_jump_without_a_gap_and_restart_inside_their_span() {
    let whole = stream(&inspect("rc-read"), CLIENT, 27, Role::Request);
    assert_eq!((whole.gaps, whole.behind, whole.pmtu), (0, 0, Some(1024)));
    assert_eq!(whole.last_psn - whole.first_psn, 64 * (whole.packets as u32 - 1));
    let restarted = stream(&inspect("loss1-rc-read.gwb"), CLIENT, 29, Role::Request);
    assert_eq!((restarted.gaps, restarted.behind, restarted.pmtu), (0, 2, Some(1024)));
}

#[test]
fn the_psn_wraps_without_a_gap() {
    let stream = stream(&inspect("psnwrap"), CLIENT, 17, Role::Request);
    assert!(stream.first_psn > stream.last_psn);
    assert_eq!((stream.gaps, stream.behind, stream.restarts), (0, 0, 0));
}

#[test]
fn four_queue_pairs_are_told_apart() {
    let inspector = inspect("rc-write-q4.snapped");
    for qp in 37..=40 {
        // Both hosts gave their queue pairs the same numbers.
        assert_eq!(stream(&inspector, CLIENT, qp, Role::Request).peer_qp, Some(qp));
        assert_eq!(stream(&inspector, SERVER, qp, Role::Response).peer_qp, Some(qp));
    }
}

#[test]
fn connection_management_is_read() {
    let inspector = inspect("rping");
    let [request, reply, ready] = inspector.connections() else { panic!("REQ, REP, RTU") };
    assert_eq!((request.kind.name(), reply.kind.name(), ready.kind.name()), ("REQ", "REP", "RTU"));
    assert_eq!((request.src, reply.src, ready.src), (CLIENT, SERVER, CLIENT));
    assert_eq!((request.local_qpn, request.path_mtu), (Some(34), Some(4096)));
    // Each names the PSN with which requests to its queue pair begin.
    let to_client = stream(&inspector, SERVER, 34, Role::Request);
    let to_server = stream(&inspector, CLIENT, 34, Role::Request);
    assert_eq!(request.starting_psn, Some(to_client.first_psn));
    assert_eq!(reply.starting_psn, Some(to_server.first_psn));
    assert_eq!((to_client.peer_qp, to_server.peer_qp), (Some(34), Some(34)));
    assert_eq!((to_client.pmtu, to_server.pmtu), (Some(4096), Some(4096)));
}

#[test]
fn unreliable_transports_are_followed_as_far_as_they_can_be() {
    let uc = stream(&inspect("uc-write"), CLIENT, 32, Role::Request);
    assert_eq!((uc.peer_qp, uc.pmtu), (None, Some(1024)), "nobody answers, so nobody is known");
    let ud = stream(&inspect("ud-send"), CLIENT, 31, Role::Unsequenced);
    assert_eq!((ud.peer_qp, ud.gaps), (Some(31), 0), "datagrams name their sender");
}

#[test]
fn a_snapped_copy_shows_the_same_streams() {
    let whole = inspect("loss1-rc-write.gwb");
    let path = captures().join("loss1-rc-write.gwb.pcap");
    let mut reader = Reader::open(&path).unwrap();
    let mut writer = Writer::new(Vec::new()).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let data = record.data.get(..96).unwrap_or(record.data);
        writer.write(&Record { data, ..record }).unwrap();
    }
    let copy = writer.finish().unwrap();
    let mut inspector = Inspector::new(Limits::default(), true);
    let mut reader = Reader::new("copy", copy.as_slice()).unwrap();
    while let Some(record) = reader.next().unwrap() {
        inspector.observe(record.data, record.original_len);
    }
    assert_eq!(inspector.streams(), whole.streams());
    let totals = inspector.totals();
    assert!(totals.snapped > 0 && totals.icrc_checked < totals.rocev2);
    assert_eq!((totals.malformed, totals.icrc_bad), (0, 0));
}
