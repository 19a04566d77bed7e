//! Inputs that are not what they should be: said once, with file, place and remedy; exit status 2.
#![forbid(unsafe_code)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{capture, configuration, json, text};
use tempfile::TempDir;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The lab with small buffers; what follows is the capture.
const LAB: [&str; 8] =
    ["lab", "--path", "p", "--replay-bytes", "4MiB", "--hold-bytes", "4MiB", "--input"];

/// What the commands say of a capture, and how many of its packets can be read before.
struct Complaint {
    place: &'static str,
    why: &'static str,
    readable: u64,
}

/// A folder with a capture that is not as it should be and a configuration to replay it with.
struct Bench {
    folder: TempDir,
    capture: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = configuration("192.0.2.1", "198.51.100.1");
        fs::write(folder.path().join("a.toml"), config).unwrap();
        Self { capture: folder.path().join("bad.pcap"), folder }
    }

    fn run(&self, command: &[&str], more: &[&str]) -> Output {
        let words = command.iter().map(Path::new).chain([self.capture.as_path()]);
        common::run(words.chain(more.iter().map(Path::new)))
    }

    /// Gives the capture to every command that reads one; each says the same.
    fn is_refused(&self, complaint: &Complaint) {
        let Complaint { place, why, readable } = *complaint;
        let report = json(&self.refuses(&["inspect"], &["--json"], complaint));
        assert_eq!(report["packets"], readable, "{place}");
        self.says_so(&report, place);

        self.refuses(&["inspect"], &[], complaint);
        let lab = self.refuses(&LAB, &["--json"], complaint);
        if readable == 0 {
            assert!(lab.stdout.is_empty(), "{why}");
        } else {
            let report = json(&lab);
            self.says_so(&report, place);
            let ends = &report["endpoints"];
            let carried = (&ends["packets_sent"], &ends["packets_delivered"], &ends["missing"]);
            assert_eq!(carried, (&readable.into(), &readable.into(), &0.into()), "{why}");
        }

        let (config, out) = (self.folder.path().join("a.toml"), self.folder.path().join("out"));
        let flags = ["--config", config.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let more = [&flags[..], &["--assume-peers", "--json"]].concat();
        let output = self.refuses(&["replay"], &more, complaint);
        if readable == 0 {
            assert!(output.stdout.is_empty(), "{why}");
            assert!(!out.exists(), "nothing was begun");
            return;
        }
        let report = json(&output);
        self.says_so(&report, place);
        assert_eq!(report["ports"][0]["rx_packets"], readable, "{why}");
        assert_eq!(
            (&report["tunnelled"], &report["buffers_leaked"]),
            (&readable.into(), &0.into())
        );
    }

    /// Runs a command that refuses the capture in one message.
    fn refuses(&self, command: &[&str], more: &[&str], complaint: &Complaint) -> Output {
        let output = self.run(command, more);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
        let start = format!("compute-gateway: {}: {}: ", self.capture.display(), complaint.place);
        assert!(said.starts_with(&start), "{command:?}: {said}");
        assert!(said[start.len()..].contains(complaint.why), "{command:?}: {said}");
        output
    }

    fn says_so(&self, report: &serde_json::Value, place: &str) {
        let errors = report["errors"].as_array().unwrap();
        let start = format!("{}: {place}: ", self.capture.display());
        assert!(errors.len() == 1 && errors[0].as_str().unwrap().starts_with(&start), "{errors:?}");
    }
}

/// Lets every command read these bytes.
fn refused(bytes: &[u8], place: &'static str, why: &'static str, readable: u64) {
    let bench = Bench::new();
    fs::write(&bench.capture, bytes).unwrap();
    bench.is_refused(&Complaint { place, why, readable });
}

fn rping() -> Vec<u8> {
    fs::read(capture("rping.pcap")).unwrap()
}

/// Where in a little-endian pcap the record of this packet begins; the first is number 1.
fn record(pcap: &[u8], packet: usize) -> usize {
    (1..packet).fold(FILE_HEADER, |at, _| {
        let captured = pcap[at + 8..at + 12].try_into().unwrap();
        at + RECORD_HEADER + u32::from_le_bytes(captured) as usize
    })
}

#[test]
fn a_capture_that_ends_in_a_packet() {
    let bytes = rping();
    let at = record(&bytes, 31);
    let (place, why) = ("byte 19696, packet 31", "cut short: 4174 bytes were to follow, 20 do;");
    refused(&bytes[..at + RECORD_HEADER + 4], place, why, 30);
    let why = "cut short: 16 bytes were to follow, 7 do;";
    refused(&bytes[..at + 7], place, why, 30);
    refused(&bytes[..FILE_HEADER + 1], "byte 24, packet 1", "cut short", 0);
    refused(&bytes[..FILE_HEADER - 1], "byte 0", "cut short", 0);
}

#[test]
fn a_capture_of_another_link_type() {
    for (number, why) in [
        (101, "link type 101 (raw IP), not 1 (Ethernet); capture on"),
        (113, "link type 113 (Linux cooked capture), not 1 (Ethernet); capture on"),
    ] {
        let mut bytes = rping();
        bytes[20..24].copy_from_slice(&u32::to_le_bytes(number));
        refused(&bytes, "byte 0", why, 0);
    }
}

#[test]
fn what_is_no_capture() {
    refused(b"# Captures\n", "byte 0", "neither pcap nor pcapng; give a capture of", 0);
    refused(b"\xd4", "byte 0", "neither pcap nor pcapng; give a capture of", 0);
    refused(b"", "byte 0", "the file is empty; a capture begins with a header", 0);
    refused(b"\x1f\x8b\x08\x00", "byte 0", "compressed with gzip; decompress it first: gunzip", 0);
}

#[test]
fn a_pcap_with_absurd_lengths() {
    let mut bytes = rping();
    let captured = record(&bytes, 31) + 8;
    bytes[captured..captured + 4].fill(0xff);
    let why = "packet of 4294967295 captured bytes, more than the bound of 262144;";
    refused(&bytes, "byte 19696, packet 31", why, 30);
    let captured = record(&bytes, 1) + 8;
    bytes[captured..captured + 4].fill(0xff);
    refused(&bytes, "byte 24, packet 1", why, 0);
    bytes[16..20].fill(0xff);
    refused(&bytes, "byte 0", "snapshot length 4294967295 is absurd; the header is damaged", 0);
}

#[test]
fn a_pcapng_with_a_block_of_no_length() {
    let pcap = rping();
    let (first, second) = (record(&pcap, 1) + RECORD_HEADER, record(&pcap, 2));
    let mut packet = [0u32, 0, 0].map(u32::to_le_bytes).concat();
    packet.extend([(second - first) as u32; 2].map(u32::to_le_bytes).concat());
    packet.extend(&pcap[first..second]);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [1, 0, 0, 0, 0, 0, 0, 0];
    let mut bytes =
        [block(0x0a0d_0d0a, &section), block(1, &interface), block(6, &packet)].concat();
    bytes.extend([6u32, 0].map(u32::to_le_bytes).concat());
    bytes.extend([0; 32]);
    let why = "block of type 0x00000006 claims 0 bytes; the file is damaged here";
    refused(&bytes, "byte 404, packet 2", why, 1);
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

#[test]
fn a_file_that_is_not_there_and_one_that_is_a_folder() {
    let bench = Bench::new();
    let why = "cannot be read: No such file or directory";
    bench.is_refused(&Complaint { place: "byte 0", why, readable: 0 });
    fs::create_dir(&bench.capture).unwrap();
    let why = "cannot be read: Is a directory";
    bench.is_refused(&Complaint { place: "byte 0", why, readable: 0 });
}

/// A configuration with five mistakes, and each: what stands on its line, fault, remedy.
fn five_mistakes() -> (String, [(&'static str, &'static str, &'static str); 5]) {
    let config = configuration("192.0.2", "198.51.100.1")
        .replace("\"lan\"\n        driver", "\"lam\"\n        driver")
        .replace("02:00:00:00:01:01", "02:00:00:00:01")
        .replace("everything", "everithing = true\n        everything")
        .replace("capacity", "mtu = 100\n        capacity");
    let mistakes = [
        ("192.0.2", "\"address\" is \"192.0.2\": no IP address", "as in \"192.0.2.1\""),
        ("lam", "\"role\" cannot be \"lam\"", "did you mean \"lan\"?"),
        ("02:00:00:00:01\"", "is not an Ethernet address", "write six bytes of two hex digits"),
        ("everithing", "unknown key \"everithing\" in [[peer]]", "did you mean \"everything\"?"),
        ("mtu = 100", "\"mtu\" is 100, out of range", "write 1280 to 9600"),
    ];
    (config, mistakes)
}

#[test]
fn five_mistakes_in_a_configuration_are_said_at_once() {
    let (config, mistakes) = five_mistakes();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("five.toml");
    fs::write(&file, &config).unwrap();
    let name = file.to_str().unwrap();
    let check = common::run(["config", "check", name]);
    let report = json(&common::run(["config", "check", name, "--json"]));
    let input = capture("rping.pcap");
    let replay = common::run(["replay", input.to_str().unwrap(), "--config", name]);
    assert_eq!((check.status.code(), replay.status.code()), (Some(2), Some(2)));
    assert!(check.stdout.is_empty() && replay.stdout.is_empty());
    assert_eq!(text(&check.stderr), text(&replay.stderr));

    let said: Vec<&str> = text(&check.stderr).lines().collect();
    let findings = report["errors"].as_array().unwrap();
    assert_eq!((said.len(), findings.len()), (10, 5), "{said:#?}");
    for ((place, fault, remedy), (said, finding)) in
        mistakes.into_iter().zip(said.chunks(2).zip(findings))
    {
        let line = 1 + config.lines().position(|line| line.contains(place)).unwrap();
        assert!(said[0].starts_with(&format!("compute-gateway: {name}:{line}:")), "{said:?}");
        assert!(said[0].contains(fault), "{said:?}");
        assert!(said[1].starts_with("    remedy: ") && said[1].contains(remedy), "{said:?}");
        assert_eq!((&finding["file"], &finding["line"]), (&name.into(), &line.into()));
        assert!(finding["what"].as_str().unwrap().contains(fault), "{finding}");
        assert!(finding["remedy"].as_str().unwrap().contains(remedy), "{finding}");
    }
}

#[test]
fn a_configuration_that_is_no_file_or_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    let missing = folder.path().join("missing.toml");
    for file in [missing.as_path(), folder.path(), &binary] {
        let name = file.to_str().unwrap();
        let output = common::run(["config", "check", name]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 2), "{said}");
        assert!(said.starts_with(&format!("compute-gateway: {name}:")), "{said}");
        assert!(said.contains("\n    remedy: "), "{said}");
    }
}
