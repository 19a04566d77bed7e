//! `compute-gateway replay` as its users meet it: what one gateway sends, the other delivers.
#![forbid(unsafe_code)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{capture, configuration, json, text};
use dataplane::capture::{Reader, Record, Writer};
use serde_json::Value;
use tempfile::TempDir;

/// A packet's time and bytes.
type Packet = (u64, Vec<u8>);

/// Station, queue pair or else protocol, and whether it is a response.
type Stream = (Vec<u8>, Vec<u8>, bool);

/// A folder with the configurations of two gateways, a.toml and b.toml.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = ("192.0.2.1", "198.51.100.1");
        fs::write(folder.path().join("a.toml"), configuration(a, b)).unwrap();
        fs::write(folder.path().join("b.toml"), configuration(b, a)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replays `input`, which arrives at this port of a gateway, into the folder `out`.
    fn run(&self, gateway: &str, input: &Path, port: &str, out: &str, more: &[&str]) -> Output {
        let (config, out) = (self.path(gateway).with_extension("toml"), self.path(out));
        let files = [input, Path::new("--config"), &config, Path::new("--out"), &out];
        let first = [OsStr::new("replay")].into_iter().chain(files.map(AsRef::as_ref));
        let last = ["--json", "--port", port].into_iter().chain(more.iter().copied());
        common::run(first.chain(last.map(OsStr::new)))
    }

    /// The same, where every peer is there and all goes well; returns the report.
    fn replay(&self, gateway: &str, input: &Path, port: &str, out: &str) -> Value {
        let output = self.run(gateway, input, port, out, &["--assume-peers"]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        json(&output)
    }
}

/// The packets of a capture, with their times.
fn packets(path: &Path) -> Vec<Packet> {
    let mut reader = Reader::open(path).unwrap();
    let mut packets = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        packets.push((record.time_ns, record.data.to_vec()));
    }
    packets
}

/// The same packets; says which one is not, without its bytes.
fn assert_same(seen: &[Packet], expected: &[Packet]) {
    let differs = seen.iter().zip(expected).position(|(seen, expected)| seen != expected);
    assert_eq!((differs, seen.len()), (None, expected.len()));
}

/// Through A and then through B: the same frames at the same times, and both gateways account for each.
fn comes_out_as_it_went_in(name: &str, count: u64, bytes: u64) {
    let bench = Bench::new();
    let input = capture(name);
    let sent = bench.replay("a", &input, "lan", "a");
    let received = bench.replay("b", &bench.path("a/wan.pcap"), "wan", "b");
    assert_same(&packets(&bench.path("b/lan.pcap")), &packets(&input));
    assert_same(&packets(&bench.path("a/lan.pcap")), &[]);

    let [lan, wan] = [&sent["ports"][0], &sent["ports"][1]];
    assert_eq!((&lan["rx_packets"], &lan["rx_bytes"]), (&count.into(), &bytes.into()));
    assert_eq!((&sent["tunnelled"], &lan["tx_packets"]), (&count.into(), &0.into()));
    let control = sent["control_messages"].as_u64().unwrap();
    assert_eq!(wan["tx_packets"], count + control);
    assert!(wan["tx_bytes"].as_u64() > Some(bytes));
    assert!(sent["replay_high_water_bytes"].as_u64() >= Some(bytes));

    let [lan, wan] = [&received["ports"][0], &received["ports"][1]];
    assert_eq!((&lan["tx_packets"], &lan["tx_bytes"]), (&count.into(), &bytes.into()));
    assert_eq!(wan["rx_packets"], count + control);
    assert_eq!(wan["tx_packets"], received["control_messages"]);
    assert_eq!((&received["tunnelled"], &received["gave_up"]), (&0.into(), &0.into()));
    for report in [&sent, &received] {
        assert_eq!(report["drops"], serde_json::json!({}));
        for name in ["unprotected", "forwarded_bare", "repaired", "buffers_leaked"] {
            assert_eq!(report[name], 0, "{name}");
        }
        assert_eq!(report["errors"], serde_json::json!([]));
    }
}

#[test]
fn sends_and_connection_management_come_out_as_they_went_in() {
    comes_out_as_it_went_in("rping.pcap", 60, 45_808);
}

#[test]
fn writes_over_ipv6_come_out_as_they_went_in() {
    comes_out_as_it_went_in("rc-write-ipv6.pcap", 130, 121_216);
}

#[test]
fn datagrams_come_out_as_they_went_in() {
    comes_out_as_it_went_in("ud-send.pcap", 120, 108_180);
}

#[test]
fn the_same_seed_writes_the_same_to_the_byte() {
    let bench = Bench::new();
    let wan = |out: &str, more: &[&str]| {
        let output = bench.run("a", &capture("rping.pcap"), "lan", out, more);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        (fs::read(bench.path(out).join("wan.pcap")).unwrap(), output.stdout)
    };
    // Chance is in how gateways greet each other.
    let first = wan("one", &["--seed", "7"]);
    assert!(first == wan("two", &["--seed", "7"]));
    assert!(first.0 != wan("three", &["--seed", "8"]).0);
    assert!(wan("four", &["--assume-peers"]) == wan("five", &["--assume-peers"]));
}

#[test]
fn without_its_peer_a_gateway_is_a_wire() {
    let bench = Bench::new();
    let input = capture("rping.pcap");
    let output = bench.run("a", &input, "lan", "a", &[]);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["forwarded_bare"]), (Some(0), &60.into()));
    assert_eq!((&report["tunnelled"], &report["buffers_leaked"]), (&0.into(), &0.into()));
    let mut out = packets(&bench.path("a/wan.pcap"));
    out.retain(|(_, frame)| !is_outer(frame));
    assert_same(&out, &packets(&input));
}

/// Whether a frame is from one gateway to another: IPv4 and UDP to port 4794.
fn is_outer(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0] && frame[23] == 17 && frame[36..38] == 4794u16.to_be_bytes()
}

/// Whether it carries a frame of the LAN: the first byte behind UDP tells the version and the kind.
fn is_data(frame: &[u8]) -> bool {
    is_outer(frame) && frame[42] & 0x0f == 1
}

/// What a frame must stay in order with: station and protocol and, if that is UDP and so RoCEv2,
/// queue pair and role (opcodes 0x0d to 0x12 are responses).
fn stream(frame: &[u8]) -> Stream {
    let (protocol, bth) = if frame[12..14] == [8, 0] { (23, 42) } else { (20, 62) };
    let station = frame[6..12].to_vec();
    if frame[protocol] != 17 {
        return (station, vec![frame[protocol]], false);
    }
    let response = (0x0d..=0x12).contains(&(frame[bth] & 0x1f));
    (station, frame[bth + 5..bth + 8].to_vec(), response)
}

/// The frames of each stream, in their order.
fn by_stream(packets: &[Packet]) -> BTreeMap<Stream, Vec<&[u8]>> {
    let mut streams = BTreeMap::<_, Vec<&[u8]>>::new();
    for (_, frame) in packets {
        streams.entry(stream(frame)).or_default().push(frame);
    }
    streams
}

/// What B makes of what A sent, where the WAN did harm.
struct Harmed {
    sent: Vec<Packet>,
    arrived: Vec<Packet>,
    report: Value,
}

/// Replays a capture at A, lets `harm` change the data packets with these numbers (an empty one is
/// lost), and replays the rest at B.
fn harmed(name: &str, numbers: &[usize], harm: impl Fn(&mut Vec<u8>)) -> Harmed {
    let bench = Bench::new();
    bench.replay("a", &capture(name), "lan", "a");
    let mut wan = packets(&bench.path("a/wan.pcap"));
    let data = wan.iter_mut().filter(|(_, frame)| is_data(frame)).enumerate();
    data.filter(|(number, _)| numbers.contains(number)).for_each(|(_, (_, frame))| harm(frame));
    wan.retain(|(_, frame)| !frame.is_empty());
    let mut writer = Writer::new(fs::File::create(bench.path("wan.pcap")).unwrap()).unwrap();
    for (time_ns, data) in &wan {
        let original_len = data.len() as u32;
        writer.write(&Record { time_ns: *time_ns, original_len, data }).unwrap();
    }
    writer.finish().unwrap();
    let report = bench.replay("b", &bench.path("wan.pcap"), "wan", "b");
    let arrived = packets(&bench.path("b/lan.pcap"));
    Harmed { sent: packets(&capture(name)), arrived, report }
}

/// All but the frames with these numbers has arrived, in order; these are given up as far as
/// others waited for them: those at the end of their stream held nothing up.
fn only_these_are_missing(harmed: &Harmed, numbers: &[usize]) {
    let Harmed { sent, arrived, report } = harmed;
    let stays = |number: &usize| !numbers.contains(number);
    let expected = sent.iter().enumerate().filter(|(number, _)| stays(number));
    let expected: Vec<_> = expected.map(|(_, packet)| packet.clone()).collect();
    assert!(by_stream(arrived) == by_stream(&expected), "{numbers:?}: {report:#}");
    let waited_for = numbers.iter().filter(|&&number| {
        let mut later = sent.iter().enumerate().skip(number + 1).filter(|(at, _)| stays(at));
        later.any(|(_, (_, frame))| stream(frame) == stream(&sent[number].1))
    });
    assert_eq!(report["gave_up"], waited_for.count(), "{numbers:?}: {report:#}");
    assert_eq!((&report["repaired"], &report["buffers_leaked"]), (&0.into(), &0.into()));
    assert!(report["held_high_water_bytes"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn what_the_wan_lost_is_given_up_and_the_rest_delivered_in_order() {
    // The first, a burst, one alone, and the last.
    for (name, numbers) in [
        ("rping.pcap", [0, 7, 8, 30, 59]),
        ("rc-write-ipv6.pcap", [0, 40, 41, 77, 129]),
        ("ud-send.pcap", [0, 11, 12, 60, 119]),
    ] {
        let harmed = harmed(name, &numbers, Vec::clear);
        only_these_are_missing(&harmed, &numbers);
        assert_eq!(harmed.report["drops"], serde_json::json!({}), "{name}");
    }
}

#[test]
fn what_the_wan_altered_is_dropped_in_the_open() {
    let alter = |frame: &mut Vec<u8>| *frame.last_mut().unwrap() ^= 1;
    let harmed = harmed("rping.pcap", &[3, 20], alter);
    only_these_are_missing(&harmed, &[3, 20]);
    assert_eq!(harmed.report["gave_up"], 2);
    assert_eq!(harmed.report["drops"], serde_json::json!({ "wan_checksum": 2 }));
}
