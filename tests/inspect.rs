//! `compute-gateway inspect` as its users meet it: output, complaints, exit status.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn capture(name: &str) -> String {
    format!("{}/pcap-tests/captures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs the command with this standard input, and returns what it did.
fn inspect(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
        .arg("inspect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn json_has_the_names_that_programs_read() {
    let file = capture("rping.pcap");
    let output = inspect(&[&file, "--json"], b"");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let report = json(&output);
    assert_eq!(report["files"], serde_json::json!([file]));
    assert_eq!((&report["packets"], &report["not_rocev2"]), (&60.into(), &0.into()));
    for (name, value) in [("packets", 60), ("bytes", 45808), ("malformed", 0), ("icrc_bad", 0)] {
        assert_eq!(report["rocev2"][name], value, "{name}");
    }
    let send = serde_json::json!({ "name": "RC SEND Only", "packets": 19 });
    assert_eq!(report["opcodes"]["0x04"], send);
    let streams = report["streams"].as_array().unwrap();
    let request = streams.iter().find(|s| s["src"] == "10.99.0.2" && s["role"] == "request");
    let mut request = request.unwrap().clone();
    request.as_object_mut().unwrap().remove("restarts");
    let expected = serde_json::json!({
        "src": "10.99.0.2", "dst": "10.99.0.1", "dest_qp": 34, "role": "request", "vlan": null,
        "packets": 19, "bytes": 21886, "first_psn": 4631012, "last_psn": 4631030,
        "gaps": 0, "missing_psns": 0, "behind": 0, "pmtu": 4096, "peer_qp": 34, "p_key": 65535,
    });
    assert_eq!(request, expected);
    let connection = &report["connections"][0];
    assert_eq!((&connection["kind"], &connection["local_qpn"]), (&"REQ".into(), &34.into()));
    assert_eq!(connection["starting_psn"], 4631012);
}

#[test]
fn tables_name_what_is_there_and_fit_a_terminal() {
    let output = inspect(&[&capture("loss1-rc-write.gwb.pcap")], b"");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let tables = text(&output.stdout);
    assert!(tables.starts_with("325 packets, 19 of them not RoCEv2\n"), "{tables}");
    assert!(tables.contains("0x07    RC WRITE Middle      294\n"), "{tables}");
    assert!(tables.contains("\n10.99.0.1 -> 10.99.0.2\n"), "{tables}");
    let row = tables.lines().find(|line| line.contains("request")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    let expected =
        ["207", "request", "207", "1024", "303", "328K", "13086309..13086422", "4", "4", "91"];
    assert_eq!(cells, expected);
    assert!(tables.lines().all(|line| line.chars().count() <= 100), "{tables}");
}

#[test]
fn damage_is_pointed_out() {
    let mut bytes = std::fs::read(capture("rc-atomic.pcap")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let tables = inspect(&["-"], &bytes);
    assert!(text(&tables.stdout).contains("178 checked, 1 bad\nPackets with a bad ICRC are in no"));
    assert_eq!(json(&inspect(&["-", "--json"], &bytes))["rocev2"]["icrc_bad"], 1);
}

#[test]
fn several_captures_are_parts_of_one() {
    let (one, two) = (capture("rc-send.pcap"), capture("ud-send.pcap"));
    let report = json(&inspect(&[&one, &two, "--json"], b""));
    assert_eq!((&report["files"][1], &report["packets"]), (&two.into(), &290.into()));
    assert_eq!(report["opcodes"]["0x64"]["packets"], 97);
}

#[test]
fn standard_input_is_read() {
    let bytes = std::fs::read(capture("rc-atomic.pcap")).unwrap();
    let output = inspect(&["-", "--json", "--no-icrc"], &bytes);
    assert_eq!(output.status.code(), Some(0));
    let report = json(&output);
    assert_eq!((&report["packets"], &report["rocev2"]["icrc_checked"]), (&200.into(), &0.into()));
}

#[test]
fn a_truncated_capture_is_reported_as_far_as_it_goes() {
    let bytes = std::fs::read(capture("rc-send.pcap")).unwrap();
    let output = inspect(&["-", "--json"], &bytes[..bytes.len() - 7]);
    assert_eq!(output.status.code(), Some(2));
    let report = json(&output);
    assert_eq!(report["packets"], 169);
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("compute-gateway: -: byte "), "{complaint}");
    assert!(complaint.contains("packet 170: cut short"), "{complaint}");
    assert!(report["errors"][0].as_str().unwrap().contains("packet 170"));
}

#[test]
fn one_unreadable_capture_does_not_hide_the_others() {
    let good = capture("rc-send.pcap");
    let output = inspect(&["/nonexistent.pcap", &good, "--json"], b"");
    assert_eq!((output.status.code(), &json(&output)["packets"]), (Some(2), &170.into()));
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("/nonexistent.pcap") && complaint.contains("cannot be read"));
}

#[test]
fn what_is_no_capture_is_refused() {
    let output = inspect(&["-"], b"# Captures\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(text(&output.stderr).contains("neither pcap nor pcapng"));
    let output = inspect(&[], b"");
    assert_eq!(output.status.code(), Some(2), "usage");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
        .args(["inspect", &capture("rc-send.pcap"), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn help_has_examples() {
    let output = inspect(&["--help"], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Examples:"));
}
