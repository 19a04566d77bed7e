//! `compute-gateway lab` as its users meet it: output, complaints, exit status.
#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn capture(name: &str) -> String {
    format!("{}/pcap-tests/captures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs the command on a small capture, with small buffers.
fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
        .args(["lab", "--input", &capture("rping.pcap")])
        .args(["--replay-bytes", "4MiB", "--hold-bytes", "4MiB"])
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const LOSSY: &str = "wan1,rate=10G,delay=2.5ms,loss=0.1,burst=2";

#[test]
fn json_has_the_names_that_programs_read() {
    let output = lab(&["--path", LOSSY, "--seed", "3", "--json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let report = json(&output);
    assert_eq!(report["seed"], 3);
    let ends = &report["endpoints"];
    assert_eq!((&ends["packets_sent"], &ends["packets_delivered"]), (&60.into(), &60.into()));
    for name in ["missing", "altered", "out_of_sequence", "duplicates", "absorbed"] {
        assert_eq!(ends[name], 0, "{name}");
    }
    for name in ["p50", "p99", "p999", "max"] {
        assert!(ends["completion_us"][name].as_f64() > Some(0.0), "{name}");
    }
    for name in ["sent_packets", "dropped", "altered", "reordered", "duplicated"] {
        assert!(report["wan"][name].is_u64(), "{name}");
    }
    let path = &report["wan"]["paths"][0];
    assert_eq!(path["name"], "wan1");
    assert!(path["sent_bytes"].is_u64() && path["utilization"].is_f64());
    for side in ["a", "b"] {
        let gateway = &report["gateways"][side];
        for name in ["resent_packets", "nacks_sent", "replay_high_water_bytes", "gave_up"] {
            assert!(gateway[name].is_u64(), "{side}: {name}");
        }
        assert!(gateway["replay_evicted"].is_u64() && gateway["held_high_water_bytes"].is_u64());
        assert_eq!(gateway["buffers_leaked"], 0);
        assert!(gateway["drops"].is_object());
    }
}

#[test]
fn the_same_command_prints_the_same_to_the_byte() {
    let run = || lab(&["--path", LOSSY, "--path", "wan2,delay=1ms", "--seed", "1..3", "--json"]);
    let (first, second) = (run(), run());
    assert_eq!(first.status.code(), Some(0));
    assert_eq!(first.stdout, second.stdout);
    let seeds: Vec<_> =
        json(&first).as_array().unwrap().iter().map(|run| run["seed"].as_u64()).collect();
    assert_eq!(seeds, [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_comparison_shows_what_gateways_are_for() {
    let output = lab(&["--path", LOSSY, "--compare"]);
    assert_eq!(output.status.code(), Some(0));
    let row = |name: &str| {
        let lines = text(&output.stdout).lines();
        let values = lines.filter_map(|line| line.strip_prefix(name)).next();
        values.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("Frames sent by the hosts"), ["60", "60"]);
    let [bare, carried] = &row("Frames missing")[..] else { panic!("two columns") };
    assert_ne!(bare, "0");
    assert_eq!(carried, "0");
}

#[test]
fn links_are_captured_where_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let output = lab(&["--path", LOSSY, "--out", out.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let packets = |name: &str| {
        let mut reader = dataplane::capture::Reader::open(&out.join(name)).unwrap();
        let mut count = 0;
        while reader.next().unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!((packets("lan-a.pcap"), packets("lan-b.pcap")), (60, 60));
    let lost = json(&output)["wan"]["dropped"].as_u64().unwrap();
    assert!(lost > 0 && packets("wan-a.pcap") > 60 && packets("wan-b.pcap") > 60);
    let again = lab(&["--path", LOSSY, "--out", out.to_str().unwrap(), "--seed", "1..2"]);
    assert_eq!(again.status.code(), Some(2));
}

#[test]
fn what_cannot_be_run_is_refused_with_a_reason() {
    let refused = |arguments: &[&str], why: &str| {
        let output = lab(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    };
    refused(&[], "--path");
    refused(&["--path", "p,loss=2"], "not a probability");
    refused(&["--path", "p", "--mode", "transparent"], "not available in this version");
    refused(&["--path", "p", "--seed", "9..2"], "write 2..9");
    refused(&["--path", "p", "--site-a", "10.0.0.1"], "10.0.0.1/32");
    refused(&["--path", "p", "--compare", "--json"], "cannot be used with");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.pcap");
    fs::write(&file, "no capture").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
        .args(["lab", "--path", "p", "--input", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("neither pcap nor pcapng"));
}
