//! `compute-gateway bench` as its users meet it. What is measured is the machine's; what is tested is
//! that packets were carried and that the figures are of one piece.
#![forbid(unsafe_code)]

use std::process::{Command, Output};

use serde_json::Value;

fn compute_gateway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compute-gateway")).args(arguments).output().unwrap()
}

fn bench(arguments: &[&str]) -> Output {
    compute_gateway(&[&["bench", "--seconds", "0.01"], arguments].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn assert_near(left: f64, right: f64) {
    assert!((left - right).abs() <= 1e-6 * right.abs(), "{left} is not {right}");
}

/// A work's figures follow from each other, and its stages add up.
fn assert_is_of_one_piece(work: &Value, floor: &Value, frame: f64, hertz: f64) {
    for unit in ["cycles", "ns"] {
        let stages = work["stages"].as_object().unwrap();
        assert_eq!(stages.len(), 4);
        assert_near(stages.values().map(|stage| number(&stage[unit])).sum(), number(&work[unit]));
    }
    let rate = number(&work["packets_per_second"]);
    assert_near(rate * number(&work["cycles"]), hertz);
    assert_near(rate * number(&work["ns"]), 1e9);
    assert_near(number(&work["gbps"]), rate * frame * 8.0 / 1e9);
    assert_near(number(&work["ratio"]) * number(&floor["cycles"]), number(&work["cycles"]));
}

/// Every size was carried, with and without loss, and its figures fit.
fn assert_carried(report: &Value) {
    let sizes = report["sizes"].as_array().unwrap();
    let payloads: Vec<_> = sizes.iter().map(|size| size["payload_bytes"].as_u64()).collect();
    assert_eq!(payloads, [Some(64), Some(1_024), Some(4_096)]);
    for size in sizes {
        for (name, loses) in [("carried", false), ("lossy_carried", true)] {
            let carried = &size[name];
            assert!(carried["sent"].as_u64() > Some(1 << 11), "{name}: {carried}");
            assert_eq!(carried["delivered"], carried["sent"], "{name}");
            assert_eq!(carried["given_up"], 0, "{name}");
            // Each loss is repaired twice, and the second copy is dropped.
            let drops = carried["drops"].as_object().unwrap();
            assert!(
                drops.keys().all(|reason| loses && reason == "wan_duplicate"),
                "{name}: {drops:?}"
            );
            assert_eq!(carried["lost"].as_u64() > Some(0), loses, "{name}: {carried}");
            assert_eq!(carried["resent"].as_u64() > Some(0), loses, "{name}: {carried}");
        }
        let (frame, hertz) = (number(&size["frame_bytes"]), number(&report["cycles_per_second"]));
        for work in ["floor", "encapsulate", "receive", "lossy_encapsulate", "lossy_receive"] {
            assert_is_of_one_piece(&size[work], &size["floor"], frame, hertz);
        }
    }
}

#[test]
fn a_plain_pair_carries_everything_and_the_figures_are_of_one_piece() {
    let output = bench(&["--json"]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["config"], &report["tenants"]), (&Value::Null, &0.into()));
    assert_carried(&report);
}

/// The example, with everything that packets can be treated by in it.
fn configuration(numbering: &str) -> (tempfile::TempDir, String) {
    let example = compute_gateway(&["config", "example"]);
    let example = String::from_utf8(example.stdout).unwrap();
    let more =
        "weight = 3\nrate = \"10Gbps\"\nxoff = \"1MiB\"\nxon = \"512KiB\"\nlossless = true\n";
    let more = format!("{more}prefixes = [\"10.10.1.0/24\"]\np_keys = [0x8001]\ndscp = [26]");
    let text = example
        .replace("# order = 10", &more)
        .replace("# numbering = \"tunnel\"", &format!("numbering = \"{numbering}\""));
    assert!(text.contains(&more));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.toml");
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (dir, name)
}

#[test]
fn the_settings_of_a_configuration_are_measured_and_what_is_lifted_is_said() {
    let (_dir, file) = configuration("tunnel");
    let output = bench(&["--json", "--config", &file]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["config"], &report["tenants"]), (&file.into(), &2.into()));
    assert_eq!(report["queues"], true);
    assert!(report["notes"].to_string().contains("rates: looked at, and lifted"), "{report}");
    // Addresses, tag and all: what tenants are told apart by.
    assert_eq!(report["sizes"][0]["frame_bytes"], 14 + 4 + 20 + 8 + 12 + 64 + 4);
    assert_carried(&report);
}

#[test]
fn tables_fit_a_terminal() {
    let output = bench(&[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for work in ["floor: only forwarded", "encapsulate, 1 % lost", "receive, 1 % lost"] {
        assert_eq!(text.matches(work).count(), 6, "{work}: {text}");
    }
}

#[test]
fn wrong_usage_and_configuration_are_refused() {
    let output = compute_gateway(&["bench", "--seconds", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has to be 0.01 to 3600"));
    let output = bench(&["--config", "missing.toml"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.toml"));
}
