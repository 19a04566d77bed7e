//! `compute-gateway lab --scenario` as its users meet it: tables, JSON, complaints, exit status.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A load that takes no time, over a path that loses.
const SMALL: &str = "
    [[traffic]]
    verb = \"write\"
    qps = 2
    size = \"16KiB\"
    messages = 20
    [[path]]
    name = \"p1\"
    rate = \"10G\"
    delay = \"200us\"
    loss = 0.02
";

const HOLDS: &str = "[[expect]]\nfield = \"endpoints.missing\"\nequals = 0\n";
/// In line 15 of a file that begins with [`SMALL`] and [`HOLDS`].
const FAILS: &str = "[[expect]]\nfield = \"wan.paths.p1.dropped\"\nat_most = 0\n";

fn lab(arguments: &[&str]) -> Output {
    let command = &mut Command::new(env!("CARGO_BIN_EXE_compute-gateway"));
    command.arg("lab").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file in a folder of the test's own.
fn write(folder: &Path, name: &str, parts: &[&str]) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, parts.concat()).unwrap();
    file
}

#[test]
fn what_holds_is_listed_with_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s.toml", &[SMALL, HOLDS]);
    let output = lab(&["--scenario", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: Vec<Vec<_>> =
        text(&output.stdout).lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["EXPECTED", "SEEN", "HOLDS"]), "{rows:?}");
    assert!(rows.contains(&vec!["endpoints.missing", "=", "0", "0", "yes"]), "{rows:?}");
    assert!(rows.iter().any(|row| row.first() == Some(&"PATH")));

    let seeds = lab(&["--scenario", file.to_str().unwrap(), "--seed", "1..3"]);
    let lines: Vec<_> = text(&seeds.stdout).lines().collect();
    assert_eq!((seeds.status.code(), lines.len()), (Some(0), 4 + 1 + 4));
    assert!(lines[8].trim().starts_with("3  endpoints.missing"), "{lines:?}");
}

#[test]
fn what_does_not_hold_is_named_with_its_value_and_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s.toml", &[SMALL, HOLDS, FAILS]);
    let file = file.to_str().unwrap();
    let output = lab(&["--scenario", file, "--seed", "7"]);
    assert_eq!(output.status.code(), Some(1));
    let dropped =
        json(&lab(&["--scenario", file, "--seed", "7", "--json"]))["wan"]["dropped"].clone();
    let complaint = format!(
        "{file}:15: wan.paths.p1.dropped is {dropped}, expected at most 0\n    \
         again: compute-gateway lab --scenario {file} --seed 7\n"
    );
    assert!(text(&output.stderr).contains(&complaint), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).matches("again: ").count(), 1);
    assert!(text(&output.stdout).contains("at most 0"));
}

#[test]
fn json_lists_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let compare = "[run]\nseed = 5\ncompare = true\n";
    let file = write(folder.path(), "s.toml", &[SMALL, HOLDS, FAILS, compare]);
    let output = lab(&["--scenario", file.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    let holds =
        json!({ "field": "endpoints.missing", "equals": 0, "seen": 0, "holds": true, "line": 12 });
    assert_eq!(report["expectations"][0], holds);
    let fails = &report["expectations"][1];
    assert_eq!((&fails["at_most"], &fails["holds"]), (&json!(0), &json!(false)));
    assert_eq!(fails["seen"], report["wan"]["dropped"]);
    assert_eq!((&report["seed"], &report["without_gateways"]["seed"]), (&json!(5), &json!(5)));
    assert!(report["without_gateways"]["endpoints"]["naks"].as_u64() > Some(0));
}

#[test]
fn flags_and_a_file_that_say_the_same_report_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s.toml", &[SMALL]);
    let read = lab(&["--scenario", file.to_str().unwrap(), "--seed", "3", "--json"]);
    let traffic = "verb=write,qps=2,size=16KiB,messages=20";
    let path = "p1,rate=10G,delay=200us,loss=0.02";
    let said = lab(&["--traffic", traffic, "--path", path, "--seed", "3", "--json"]);
    assert_eq!((read.status.code(), said.status.code()), (Some(0), Some(0)));
    assert_eq!(read.stdout, said.stdout);
}

#[test]
fn several_files_are_shown_by_what_they_expect() {
    let folder = tempfile::tempdir().unwrap();
    let one = write(folder.path(), "one.toml", &[SMALL, HOLDS]);
    let two = write(folder.path(), "two.toml", &[SMALL, FAILS]);
    let bare = write(folder.path(), "bare.toml", &[SMALL]);
    let [one, two, bare] = [&one, &two, &bare].map(|file| file.to_str().unwrap());
    let output = lab(&["--scenario", one, two, bare]);
    assert_eq!(output.status.code(), Some(1));
    let starts = ["SCENARIO ", "one ", "two ", "bare "];
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), starts.len());
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    assert!(text(&output.stderr).contains(two) && !text(&output.stderr).contains(one));
    let reports = json(&lab(&["--scenario", one, bare, "--json"]));
    assert_eq!(reports.as_array().map(Vec::len), Some(2));
}

#[test]
fn links_are_captured_and_inputs_found_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcap-tests/captures");
    fs::copy(captures.join("rping.pcap"), folder.path().join("in.pcap")).unwrap();
    let play = "[capture]\ninput = \"in.pcap\"\n[[path]]\nname = \"p1\"\n[run]\ncompare = true\n";
    let file = write(folder.path(), "s.toml", &[play, HOLDS]);
    let out = folder.path().join("out");
    let [file, out] = [&file, &out].map(|path| path.to_str().unwrap());
    let output = lab(&["--scenario", file, "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // The bare run, which has no control messages, has not written over it.
    let [lan, wan] = ["lan-a.pcap", "wan-a.pcap"].map(|name| {
        let mut reader = dataplane::capture::Reader::open(&Path::new(out).join(name)).unwrap();
        while reader.next().unwrap().is_some() {}
        reader.packets()
    });
    assert!(lan == 60 && wan > lan, "{lan} {wan}");
    assert_eq!(lab(&["--scenario", file, file, "--out", out]).status.code(), Some(2));
    assert_eq!(lab(&["--scenario", file, "--seed", "1..2", "--out", out]).status.code(), Some(2));
}

#[test]
fn what_a_file_says_is_not_taken_from_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s.toml", &[SMALL]);
    for flags in [
        &["--path", "p2"][..],
        &["--mode", "tunnel"],
        &["--input", "a.pcap"],
        &["--traffic", "verb=read"],
        &["--compare"],
        &["--no-gateways"],
        &["--restart", "a@1ms"],
        &["--mtu", "1500"],
        &["--hold-bytes", "1MiB"],
    ] {
        let output = lab(&[&["--scenario", file.to_str().unwrap()], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let complaint = text(&output.stderr);
        let named = ["cannot be used with", "--scenario", flags[0]];
        assert!(named.iter().all(|word| complaint.contains(word)), "{complaint}");
        let others = ["--site-a", "--window", "--replay-bytes"];
        assert!(!others.iter().any(|flag| complaint.contains(flag)), "{complaint}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_bad_file_is_refused_with_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s.toml", &[SMALL, "los = 1\n"]);
    let file = file.to_str().unwrap();
    let output = lab(&["--scenario", file]);
    assert_eq!(output.status.code(), Some(2));
    let complaint =
        format!("{file}:12:1: unknown key \"los\" in [[path]]\n    remedy: did you mean");
    assert!(text(&output.stderr).contains(&complaint), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let missing = lab(&["--scenario", "no/such.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("no/such.toml: cannot read it"));
    let play = "[capture]\ninput = \"no.pcap\"\n[[path]]\nname = \"p1\"\n";
    let file = write(folder.path(), "play.toml", &[play]);
    let output = lab(&["--scenario", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn the_help_is_a_scenario_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let help = lab(&["--scenario-help"]);
    assert_eq!(help.status.code(), Some(0));
    let file = write(folder.path(), "s.toml", &[text(&help.stdout)]);
    let output = lab(&["--scenario", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(lab(&["--scenario-help", "--json"]).status.code(), Some(2));
}
