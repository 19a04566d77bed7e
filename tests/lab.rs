//! `compute-gateway lab` as its users meet it: output, complaints, exit status.
#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn capture(name: &str) -> String {
    format!("{}/pcap-tests/captures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn compute_gateway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compute-gateway")).args(arguments).output().unwrap()
}

/// Runs the command on a small capture, with small buffers.
fn lab(arguments: &[&str]) -> Output {
    let input = capture("rping.pcap");
    let small = ["lab", "--input", &input, "--replay-bytes", "4MiB", "--hold-bytes", "4MiB"];
    compute_gateway(&[&small[..], arguments].concat())
}

/// Runs the command with RNICs over a short and lossy path.
fn traffic(traffic: &str, arguments: &[&str]) -> Output {
    let start = ["lab", "--traffic", traffic, "--path", "p1,rate=10G,delay=200us,loss=0.02"];
    compute_gateway(&[&start[..], arguments].concat())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const LOSSY: &str = "wan1,rate=10G,delay=2.5ms,loss=0.1,burst=2";

#[test]
fn a_change_needs_a_tenant_that_is_there_and_has_a_queue() {
    let run = |tenant: &[&str]| {
        let output = traffic("verb=write", &[tenant, &["--change", "acme@5ms,rate=1G"]].concat());
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("no tenant acme"), "{said}");
    let (code, said) = run(&["--tenant", "acme,dscp=1"]);
    assert!(code == Some(2) && said.contains("there are none"), "{said}");
    assert_eq!(run(&["--tenant", "acme,dscp=1,rate=2G"]).0, Some(0));
}

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
    let picture = std::fs::read_to_string(out.join("paths.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("<polyline"), "{picture}");
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
    let output = compute_gateway(&["lab", "--path", "p"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--input"), "{}", text(&output.stderr));
    refused(&["--path", "p,loss=2"], "not a probability");
    refused(&["--path", "p", "--mode", "bare"], "tunnel or transparent");
    refused(&["--path", "p", "--seed", "9..2"], "write 2..9");
    refused(&["--path", "p", "--site-a", "10.0.0.1"], "10.0.0.1/32");
    refused(&["--path", "p", "--compare", "--no-gateways"], "cannot be used with");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.pcap");
    fs::write(&file, "no capture").unwrap();
    let output = compute_gateway(&["lab", "--path", "p", "--input", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("neither pcap nor pcapng"));
}

const MIX: &str = "verb=mix,qps=2,size=32KiB,messages=40";

#[test]
fn messages_have_the_names_that_programs_read() {
    let output = traffic(MIX, &["--pmtu", "1024", "--window", "1MiB", "--json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let report = json(&output);
    let ends = &report["endpoints"];
    assert_eq!((&ends["messages_posted"], &ends["messages_completed"]), (&80.into(), &80.into()));
    assert_eq!(ends["payload_bytes"], 2 * 30 * 32_768 + 2 * 10 * 8);
    for name in ["retransmitted_packets", "naks", "rnr_naks", "timeouts", "qp_errors"] {
        assert_eq!(ends[name], 0, "{name}");
    }
    for name in ["out_of_sequence", "missing", "altered", "duplicates", "icrc_errors"] {
        assert_eq!(ends[name], 0, "{name}");
    }
    for name in ["goodput_gbps", "line_gbps", "operations_per_second", "span_us"] {
        assert!(ends[name].as_f64() > Some(0.0), "{name}");
    }
    for name in ["p50", "p99", "p999", "max"] {
        assert!(ends["completion_us"][name].as_f64() > Some(0.0), "{name}");
    }
    assert!(report["wan"]["dropped"].as_u64() > Some(0));
    assert!(report["scenario"].get("input").is_none());
    let said = &report["scenario"]["traffic"];
    assert_eq!((&said["verb"], &said["qps"]), (&"mix".into(), &2.into()));
    assert_eq!((&said["pmtu"], &said["window_bytes"]), (&1024.into(), &(1 << 20).into()));
    for name in ["size", "messages", "window_packets", "reads", "timeout", "retry"] {
        assert!(said[name].is_u64(), "{name}");
    }
    assert_eq!((&said["timer"], &said["direction"]), (&"fixed".into(), &"ab".into()));
}

#[test]
fn traffic_is_compared_repeated_and_captured() {
    let output = traffic(MIX, &["--compare"]);
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output.stdout);
    assert!(table.starts_with("2 queue pairs, 40 messages each (mix, 32KiB, direction ab) over"));
    let row = |name: &str| {
        let values = table.lines().filter_map(|line| line.trim().strip_prefix(name)).next();
        values.unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("Messages completed"), ["80", "80"]);
    let [bare, carried] = &row("Requests sent again by RNICs")[..] else { panic!("two columns") };
    assert_ne!(bare, "0");
    assert_eq!(carried, "0");

    let seeds = traffic(MIX, &["--seed", "1..3"]);
    assert_eq!((seeds.status.code(), text(&seeds.stdout).lines().count()), (Some(0), 4));

    let folder = tempfile::tempdir().unwrap();
    let output = traffic(MIX, &["--json", "--out", folder.path().to_str().unwrap()]);
    let mut reader = dataplane::capture::Reader::open(&folder.path().join("lan-a.pcap")).unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(json(&output)["endpoints"]["packets_sent"], reader.packets());
}

#[test]
fn traffic_that_cannot_be_is_refused_with_a_reason() {
    for (wrong, why) in [
        ("write", "\"write\" is no KEY=VALUE"),
        ("qps=1", "say what messages do: write, send, read, atomic, mix"),
        ("verb=push", "verb: \"push\": has to be one of write"),
        ("verb=write,qps=0", "qps: \"0\": has to be a number, 1 to 16384"),
        ("verb=write,size=0", "size: \"0\": has to be from 1 byte to 1GiB"),
        ("verb=write,size=1Mib", "size: unknown unit"),
        ("verb=write,messages=0", "messages: \"0\": has to be a number"),
        ("verb=write,timer=32", "timer: \"32\": has to be \"adaptive\", or 0 to 31"),
        ("verb=write,reads=0", "reads: \"0\": has to be a number"),
        ("verb=write,retry=8", "retry: \"8\": has to be a number, 0 to 7"),
        ("verb=write,rnr=1", "rnr: \"1\": has to be a number, 2"),
        ("verb=write,direction=up", "direction: \"up\": has to be one of ab, ba, both"),
        ("verb=write,speed=9", "speed: not known; there are verb"),
    ] {
        let output = traffic(wrong, &[]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    for (arguments, why) in [
        (&["--pmtu", "1500"][..], "has to be 256, 512, 1024, 2048 or 4096"),
        (&["--window", "9"], "has no unit"),
        (&["--input", "lan.pcap"], "cannot be used with"),
        (&["--site-a", "10.0.0.0/8"], "cannot be used with"),
    ] {
        let output = traffic("verb=write", arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}

#[test]
fn traffic_that_does_not_end_is_a_failure() {
    let output = traffic("verb=write,timer=0,qps=400,size=64,messages=1", &["--no-gateways"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("of 400 messages are done after 600 s of virtual time"));
    assert!(output.stdout.is_empty());
}
