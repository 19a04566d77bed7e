//! Flow tables on captures of a real stack, against the golden figures beside them.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use dataplane::capture::Reader;
use dataplane::time::{MILLISECOND, SECOND, Time};
use pipelines::flows::{Class, Flows, Kinds, Level, MAX_TOP, Settings, Threshold, Top, View};
use serde_json::Value;

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// Reads a capture into tables, its first packet at one second.
fn follow(name: &str, settings: &Settings) -> Flows {
    let mut reader = Reader::open(&captures().join(name).with_added_extension("pcap")).unwrap();
    let mut flows = Flows::new(settings, 9).unwrap();
    let mut first = None;
    while let Some(record) = reader.next().unwrap() {
        let now = Time(SECOND + record.time_ns - *first.get_or_insert(record.time_ns));
        flows.observe(record.data, record.original_len as usize, 0, now);
        flows.age(1, now);
    }
    flows
}

/// The fastest of a table.
fn top(flows: &Flows, level: Level) -> Vec<View> {
    let mut top = Top::new(level, MAX_TOP);
    while !flows.gather(&mut top, 64) {}
    top.flows().to_vec()
}

fn golden(name: &str) -> Value {
    let json = fs::read(captures().join(name).with_added_extension("json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Packets from each host to each queue pair, of a golden file.
fn golden_packets(golden: &Value) -> BTreeMap<(IpAddr, u64), u64> {
    let mut packets = BTreeMap::new();
    for stream in golden["streams"].as_array().unwrap() {
        let source = stream["src"].as_str().unwrap().parse().unwrap();
        let key = (source, stream["dest_qp"].as_u64().unwrap());
        *packets.entry(key).or_default() += stream["packets"].as_u64().unwrap();
    }
    packets
}

#[test]
fn every_capture_has_the_subflows_of_its_golden_figures() {
    // No flow is over as long as a capture lasts.
    let settings = Settings { idle: 1_000 * SECOND, ..Settings::default() };
    let mut captures_seen = 0;
    for entry in fs::read_dir(captures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "pcap") {
            continue;
        }
        captures_seen += 1;
        let name = path.file_stem().unwrap().to_str().unwrap();
        let flows = follow(name, &settings);
        let roce = top(&flows, Level::Subflow).into_iter().filter_map(|view| {
            Some(((view.name.source, u64::from(view.name.dest_qp?)), view.packets))
        });
        assert_eq!(roce.collect::<BTreeMap<_, _>>(), golden_packets(&golden(name)), "{name}");
        let sum = |level| top(&flows, level).iter().map(|view| view.packets).sum::<u64>();
        assert_eq!(sum(Level::Flow), sum(Level::Subflow), "{name}");
    }
    assert!(captures_seen >= 16);
}

#[test]
fn four_queue_pairs_of_one_job_are_four_subflows_of_one_flow() {
    let flows = follow("rc-write-q4.snapped", &Settings::default());
    let fastest = &top(&flows, Level::Flow)[0];
    assert_eq!(fastest.name.source, IpAddr::from([10, 99, 0, 1]));
    assert_eq!((fastest.packets, fastest.kinds), (1_348, Kinds::WRITE));
    let four = &top(&flows, Level::Subflow)[..4];
    for view in four {
        let name = view.name;
        assert_eq!(pipelines::flows::Name { dest_qp: None, ..name }, fastest.name);
        assert_eq!((view.kinds, view.class), (Kinds::WRITE, Class::Mouse));
    }
    let mut queue_pairs: Vec<_> = four.iter().filter_map(|view| view.name.dest_qp).collect();
    queue_pairs.sort_unstable();
    assert_eq!(queue_pairs, [37, 38, 39, 40]);
    // What goes back is acknowledgements alone.
    let back = top(&flows, Level::Subflow).into_iter().filter(|view| {
        view.name.source == IpAddr::from([10, 99, 0, 2]) && view.name.dest_qp.is_some()
    });
    let classes: Vec<_> = back.map(|view| (view.class, view.kinds)).collect();
    assert_eq!(classes, [(Class::Signalling, Kinds::ACKNOWLEDGE); 4]);
}

/// An emulated RNIC sends some 30 Mbit/s a queue pair, with pauses of up to 65 ms: a window that is
/// longer than these, and thresholds below that rate, find all four and nobody else.
#[test]
fn where_that_is_much_the_four_are_the_elephants() {
    let enter = Threshold { rate: 5_000_000, span: 50 * MILLISECOND };
    let leave = Threshold { rate: 1_000_000, span: SECOND };
    let settings = Settings { enter, leave, window: 100 * MILLISECOND, ..Settings::default() };
    let flows = follow("rc-write-q4.snapped", &settings);
    let is_elephant = |view: &View| view.class == Class::Elephant;
    let elephants: Vec<_> = top(&flows, Level::Subflow).into_iter().filter(is_elephant).collect();
    let mut queue_pairs: Vec<_> = elephants.iter().filter_map(|view| view.name.dest_qp).collect();
    queue_pairs.sort_unstable();
    assert_eq!(queue_pairs, [37, 38, 39, 40]);
    assert!(elephants.iter().all(|view| view.name.source == IpAddr::from([10, 99, 0, 1])));
    assert_eq!(flows.counters(Level::Subflow).entered, 4, "once each");
}
