//! Outputs that cannot be written: a failure at run time, said in one message, exit status 1.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use common::{capture, configuration, json, text};

const LOSSY: &str = "wan1,delay=1ms,loss=0.01";

/// Runs the lab on a small capture.
fn lab(out: &Path) -> Output {
    let input = capture("rping.pcap");
    common::run(["lab", "--path", LOSSY, "--json", "--input"].map(Path::new).into_iter().chain([
        input.as_path(),
        Path::new("--out"),
        out,
    ]))
}

/// Replays `input` in `folder`, which gets the configuration.
fn replay(folder: &Path, input: &Path, out: &Path) -> Output {
    let config = folder.join("a.toml");
    fs::write(&config, configuration("192.0.2.1", "198.51.100.1")).unwrap();
    let flags = ["replay", "--assume-peers", "--json", "--config"].map(Path::new);
    common::run(flags.into_iter().chain([&config, input, Path::new("--out"), out]))
}

/// The one message, which names `file`.
fn complaint<'a>(output: &'a Output, status: i32, file: &Path) -> &'a str {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.matches("compute-gateway: ").count(), 1, "{said}");
    let said = said.strip_prefix("compute-gateway: ").unwrap();
    said.strip_prefix(&file.display().to_string()).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_full_disk_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wan.pcap", "wan-b.pcap"] {
        symlink("/dev/full", folder.path().join(name)).unwrap();
    }
    let full = ": cannot write the capture: No space left on device (os error 28)\n";
    let output = lab(folder.path());
    assert_eq!(complaint(&output, 1, &folder.path().join("wan-b.pcap")), full);

    let output = replay(folder.path(), &capture("rping.pcap"), folder.path());
    assert_eq!(complaint(&output, 1, &folder.path().join("wan.pcap")), full);
    // The run itself went well, and its report says what did not.
    let report = json(&output);
    assert_eq!((&report["tunnelled"], &report["buffers_leaked"]), (&60.into(), &0.into()));
    assert!(report["errors"][0].as_str().unwrap().contains("cannot write"), "{report:#}");
}

#[test]
fn an_output_that_fails_weighs_more_than_an_input_that_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join("wan.pcap")).unwrap();
    let bytes = fs::read(capture("rping.pcap")).unwrap();
    let input = folder.path().join("input.pcap");
    fs::write(&input, &bytes[..bytes.len() - 1]).unwrap();
    let output = replay(folder.path(), &input, folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said: Vec<_> = text(&output.stderr).lines().collect();
    assert!(said[0].contains("packet 60: cut short"), "{said:?}");
    assert!(said[1].contains("cannot write the capture"), "{said:?}");
    assert_eq!(json(&output)["errors"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_folder_that_cannot_be_made_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let (lab, replay) = (lab(&file), replay(folder.path(), &capture("rping.pcap"), &file));
    assert!(complaint(&lab, 1, &file).contains("cannot write the capture: "));
    assert!(complaint(&replay, 1, &file).contains("cannot write the capture: "));
    assert!(lab.stdout.is_empty() && replay.stdout.is_empty());
}

#[test]
fn an_input_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(capture("rping.pcap")).unwrap();
    for (name, lab_plays) in [("lan-a.pcap", true), ("lan.pcap", false), ("wan.pcap", false)] {
        let input = folder.path().join(name);
        fs::write(&input, &bytes).unwrap();
        let output = match lab_plays {
            true => {
                let flags = ["lab", "--path", LOSSY, "--input"].map(Path::new);
                let files = [input.as_path(), Path::new("--out"), folder.path()];
                common::run(flags.into_iter().chain(files))
            }
            false => replay(folder.path(), &input, folder.path()),
        };
        assert!(complaint(&output, 2, &input).contains("overwritten"));
        assert!(fs::read(&input).unwrap() == bytes, "{name}");
        fs::remove_file(&input).unwrap();
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let file = capture("rping.pcap");
    let file = file.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a.toml");
    fs::write(&config, configuration("192.0.2.1", "198.51.100.1")).unwrap();
    let config = config.to_str().unwrap();
    for arguments in [
        &["inspect", file] as &[&str],
        &["inspect", file, "--json"],
        &["lab", "--path", LOSSY, "--json", "--input", file],
        &["replay", file, "--config", config],
        &["config", "check", config],
        &["config", "example"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
            .args(arguments)
            .stdout(fs::File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("compute-gateway: cannot write the report: No space"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
