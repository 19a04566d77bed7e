//! A host that pauses a priority: its gateway lets packets wait, and the one at the other site says
//! so to the sender, in frames that tshark reads.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dataplane::capture::{Record, Writer};
use pipelines::steer;
use pipelines::wire::pfc::{MacControl, Priorities};
use serde_json::Value;

use crate::frames::{frame, streams, take};
use crate::gateway::Gateway;
use crate::network::{Network, Settings, Side};

/// Slow, so that one frame pauses for long, 335 ms, however loaded the machine is.
const BACKPRESSURE: &str = "
        [backpressure]
        ports = [\"lan\"]
        speed = \"100Mbps\"
        priority = 3
        longest_pause = \"4s\"";
const FRAMES: u64 = 20;
/// Between the host's frames of one pause.
const REFRESH: Duration = Duration::from_millis(5);

/// A frame of the host that pauses priority 3 for so many quanta.
fn pause(quanta: u16) -> [u8; 60] {
    let mut frame = [0; 60];
    let control = MacControl::Pfc(Priorities::default().with(3, quanta));
    control.write_frame([2, 0, 0, 0, 0, 2], &mut frame).expect("room");
    frame
}

/// A frame of host A to host B, of IPv4 between two addresses of their own.
fn between_addresses(number: u8) -> Vec<u8> {
    let mut frame = frame(Side::A, 300, number.into());
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let (length, ttl, experimental) = (300 - 14_u16, 64, 253);
    let [high, low] = length.to_be_bytes();
    let mut header = [
        0x45,
        0,
        high,
        low,
        0,
        0,
        0,
        0,
        ttl,
        experimental,
        0,
        0,
        10,
        9,
        0,
        number,
        10,
        9,
        1,
        number,
    ];
    let sum: u32 =
        header.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame[14..34].copy_from_slice(&header);
    frame
}

fn lan(shown: &Value, count: &str) -> Option<u64> {
    let ports = shown["ports"].as_array()?;
    ports.iter().find(|port| port["name"] == "lan")?["detail"][count].as_u64()
}

/// What tshark reads in these frames: opcode, enabled classes, time of class 3; each once.
fn read(frames: &[Vec<u8>], folder: &Path) -> BTreeSet<String> {
    let file = folder.join("pauses.pcap");
    let mut writer = Writer::new(std::fs::File::create(&file).expect("a file")).expect("room");
    for data in frames {
        let record = Record { data, original_len: data.len() as u32, time_ns: 0 };
        writer.write(&record).expect("room");
    }
    writer.finish().expect("room");
    let fields =
        ["eth.dst", "eth.type", "macc.opcode", "macc.cbfc.enbv", "macc.cbfc.pause_time.c3"];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args(["-T", "fields", "-E", "separator=,"]);
    fields.iter().for_each(|field| _ = tshark.args(["-e", field]));
    let output = tshark.output().expect("tshark is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Whether a frame is one of those that host A sends here.
fn is_sent(frame: &[u8]) -> bool {
    frame[6..12] == [2, 0, 0, 0, 0, 1]
        && [[0x88, 0xb5], [0x08, 0x00]].contains(&[frame[12], frame[13]])
}

/// Host B pauses: nothing that host A sends arrives, and host A is told so, until that ends.
fn pauses_and_goes_on(workers: u32, sent: &[Vec<u8>]) {
    let settings =
        Settings { addresses: false, recovery: BACKPRESSURE, workers, ..Settings::default() };
    let network = Network::new(&settings);
    let [mut a, mut b] = network.start_both();
    let sockets = [Side::A, Side::B].map(|side| network.host(side).packet_socket("eth0"));
    let paused = AtomicBool::new(true);
    let is_pause = |frame: &[u8]| frame[12..14] == [0x88, 0x08];
    let is_end = |frames: &[Vec<u8>]| frames.last().is_some_and(|frame| frame[24..26] == [0; 2]);

    let told = thread::scope(|scope| {
        let told = scope.spawn(|| take(&sockets[0], is_pause, is_end));
        scope.spawn(|| {
            while paused.load(Ordering::Relaxed) {
                (&sockets[1]).write_all(&pause(u16::MAX)).expect("the host can send");
                thread::sleep(REFRESH);
            }
            (&sockets[1]).write_all(&pause(0)).expect("the host can send");
        });
        b.wait("paused", |shown| lan(shown, "pfc_paused") == Some(1));
        a.wait("pausing its host", |shown| lan(shown, "pfc_sent") >= Some(3));
        for frame in sent {
            (&sockets[0]).write_all(frame).expect("the host can send");
        }
        b.wait("holding frames back", |shown| shown["peers"][0]["held"] == sent.len());
        paused.store(false, Ordering::Relaxed);
        let arrived = take(&sockets[1], is_sent, |frames| frames.len() == sent.len());
        assert_eq!(streams(&arrived), streams(sent));
        b.wait("no longer paused", |shown| lan(shown, "pfc_paused") == Some(0));
        told.join().expect("it does not panic")
    });

    let first = told.first().expect("some");
    assert_eq!(first.len(), 60);
    let pause = "01:80:c2:00:00:01,0x8808,0x0101,0x0008,65535";
    let end = "01:80:c2:00:00:01,0x8808,0x0101,0x0008,0";
    assert_eq!(read(&told, network.folder()), BTreeSet::from([pause, end].map(str::to_owned)));
    assert_eq!(read(&told[..1], network.folder()), BTreeSet::from([pause.to_owned()]));
    assert_eq!(read(&told[told.len() - 1..], network.folder()), BTreeSet::from([end.to_owned()]));
    for ended in [a, b].map(Gateway::terminate) {
        println!("{}", ended.said);
        assert_eq!(ended.report["counters"]["gave_up"], 0, "{:#}", ended.report);
        assert!(ended.status.success());
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_host_that_pauses_is_obeyed_at_once_and_its_sender_is_told_in_802_1qbb() {
    let sent: Vec<_> = (0..FRAMES).map(|number| frame(Side::A, 300, number)).collect();
    pauses_and_goes_on(1, &sent);
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_host_that_pauses_is_obeyed_by_every_worker() {
    let sent: Vec<_> = (0..20).map(between_addresses).collect();
    let nowhere = steer::Gateway { address: [0; 4].into(), sid: None, first_udp_port: 0 };
    let owners: BTreeSet<_> = sent.iter().map(|frame| steer::owner(frame, 2, nowhere)).collect();
    assert_eq!(owners, BTreeSet::from([Some(0), Some(1)]), "both have some");
    pauses_and_goes_on(2, &sent);
}
