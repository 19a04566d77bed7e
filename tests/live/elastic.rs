//! Rates that change while packets wait, and changes that are refused.

use std::fs;
use std::io::{Read, Write};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::netdev::PacketSocket;
use serde_json::Value;

use crate::frames::{frame, streams};
use crate::gateway::{Gateway, PATIENCE};
use crate::network::{Network, Settings, Side};
use crate::roce::{BTH_AT, write_between};

/// A tenant that has everything, and starts slow: some 700 frames a second.
const TENANT: &str = "
        [queues]
        packets = 8192
        pool_bytes = \"16MiB\"

        [[tenant]]
        name = \"acme\"
        ports = [\"lan\"]
        rate = \"8Mbps\"
        burst = \"4KiB\"";
const FRAMES: usize = 4_000;
const LENGTH: usize = 1_400;
/// Host A sends so many, then waits that long.
const TRAIN: usize = 10;
const PAUSE: Duration = Duration::from_millis(2);
/// How long the lowest rate is watched.
const WATCHED: Duration = Duration::from_secs(3);

fn settings() -> Settings {
    Settings { addresses: false, recovery: TENANT, ..Settings::default() }
}

/// Writes another rate in a gateway's file.
fn write_file(network: &Network, from: &str, to: &str) {
    let file = network.folder().join(format!("{}.toml", Side::A.name()));
    let text = fs::read_to_string(&file).expect("it was written");
    assert_eq!(text.matches(from).count(), 1, "{text}");
    fs::write(&file, text.replace(from, to)).expect("room");
}

fn set(gateway: &Gateway, keys: &[&str]) -> Output {
    gateway.ask(&[&["tenant", "set", "acme", "--json"], keys].concat())
}

/// The frames of host A that come to host B; `count` says how many so far.
fn receive(mut socket: &PacketSocket, count: &AtomicUsize) -> Vec<Vec<u8>> {
    let (mut frames, mut last, mut buffer) = (Vec::new(), Instant::now(), vec![0; 2_048]);
    while frames.len() < FRAMES && last.elapsed() < PATIENCE {
        if let Ok(length) = socket.read(&mut buffer)
            && [[0x88, 0xb5], [0x08, 0x00]].contains(&[buffer[12], buffer[13]])
        {
            frames.push(buffer[..length].to_vec());
            count.store(frames.len(), Ordering::Relaxed);
            last = Instant::now();
        }
    }
    frames
}

/// Waits until so many have come, and says how many.
fn wait(count: &AtomicUsize, least: usize) -> usize {
    let until = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < least && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    count.load(Ordering::Relaxed)
}

/// Frames of one stream.
fn one_stream() -> Vec<Vec<u8>> {
    (0..FRAMES).map(|n| frame(Side::A, LENGTH, n as u64)).collect()
}

/// Frames of eight pairs of hosts in turn, which two workers share.
fn eight_pairs() -> Vec<Vec<u8>> {
    let (payload, ecn) = (LENGTH - BTH_AT - 16, 0);
    let one = |n: u32| write_between((n % 8) as u8, Side::A, 0x100 + n % 8, n / 8, ecn, payload);
    (0..FRAMES as u32).map(one).collect()
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_rate_is_lowered_and_raised_under_load_and_nothing_is_lost_or_overtaken() {
    lowered_and_raised(1, &one_stream());
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_rate_of_two_workers_is_lowered_and_raised_under_load_and_nothing_is_lost_or_overtaken() {
    let report = lowered_and_raised(2, &eight_pairs());
    let workers = report["workers"].as_array().expect("a list");
    assert_eq!(workers.len(), 2);
    for worker in workers {
        let stages = worker["stages"].as_array().expect("a list");
        let pipeline = stages.iter().filter(|stage| stage["stage"] == "pipeline");
        let packets: u64 = pipeline.filter_map(|stage| stage["packets"].as_u64()).sum();
        assert!(packets > FRAMES as u64 / 16, "a worker had nothing to do: {worker:#}");
    }
}

/// Lowers a rate while `sent` is sent by host A, then raises it; returns how A ended.
fn lowered_and_raised(workers: u32, sent: &[Vec<u8>]) -> Value {
    let network = Network::new(&Settings { workers, ..settings() });
    let [mut a, b] = network.start_both();
    let [from, to] = [Side::A, Side::B].map(|side| network.host(side).packet_socket("eth0"));
    let count = AtomicUsize::new(0);

    let arrived = thread::scope(|scope| {
        let arrived = scope.spawn(|| receive(&to, &count));
        scope.spawn(|| {
            for train in sent.chunks(TRAIN) {
                train.iter().for_each(|frame| (&from).write_all(frame).expect("the host can send"));
                thread::sleep(PAUSE);
            }
        });
        assert!(wait(&count, 100) >= 100, "the first frames do not arrive");
        let lowered = set(&a, &["rate=1Mbps"]);
        let begin = (wait(&count, 0), Instant::now());
        assert!(lowered.status.success(), "{lowered:?}");
        thread::sleep(WATCHED);
        let (more, time) = (wait(&count, 0) - begin.0, begin.1.elapsed());
        // A quarter more than the rate makes, a tenth of a second of what was on its way, and a burst;
        // it was 700 a second before.
        let most = (time.as_secs_f64() * 1e6 * 1.25 / 8.0 / LENGTH as f64) as usize + 75;
        println!("{more} frames in {time:?} at 1 Mbit/s; at most {most}");
        assert!(more > 0 && more <= most, "{more} frames in {time:?}");
        // All that is left would take half a minute.
        write_file(&network, "rate = \"8Mbps\"", "rate = \"400Mbps\"");
        a.hang_up();
        a.wait("reloaded", |shown| shown["configuration"]["generation"] == 3);
        arrived.join().expect("it does not panic")
    });

    assert_eq!(arrived.len(), FRAMES, "frames that arrived");
    assert!(streams(&arrived) == streams(sent), "not as sent, or not in order");
    let shown = a.show();
    let changes = shown["configuration"]["changes"].as_array().expect("a list");
    let told = |key: &str| changes.iter().map(|change| change[key].clone()).collect::<Vec<Value>>();
    assert_eq!(told("key"), ["rate", "rate"]);
    assert_eq!(told("from"), ["8Mbps", "1Mbps"]);
    assert_eq!(told("to"), ["1Mbps", "400Mbps"]);
    let by = told("by");
    assert!(by[0].as_str().is_some_and(|by| by.starts_with("user 0, process ")), "{by:?}");
    assert!(by[1].as_str().is_some_and(|by| by.starts_with("SIGHUP, ")), "{by:?}");
    let acme =
        shown["tenants"].as_array().and_then(|all| all.iter().find(|of| of["name"] == "acme"));
    let acme = acme.expect("it is configured");
    assert_eq!((&acme["rate_bps"], &acme["to_wan"]["dropped"]), (&400_000_000.into(), &0.into()));
    let prometheus = a.ask(&["show", "--prometheus"]);
    let prometheus = String::from_utf8_lossy(&prometheus.stdout);
    assert!(prometheus.contains("config_changes_total 2\n"), "{prometheus}");
    let [a, b] = [a, b].map(Gateway::terminate);
    for ended in [&a, &b] {
        println!("{}", ended.said);
        assert!(ended.status.success(), "{:#}", ended.report);
        assert_eq!(ended.report["counters"]["gave_up"], 0, "{:#}", ended.report);
    }
    a.report
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_change_that_is_refused_leaves_all_as_it_was() {
    let network = Network::new(&settings());
    let mut a = network.start(Side::A);
    a.wait("answering", |shown| shown["configuration"]["generation"] == 1);
    let mut refused = 0;
    for (keys, part) in [
        (&["rate=40gbps"][..], "did you mean"),
        (&["rate=2Mbps", "weight=0"], "out of range"),
        (&["ports=wan"], "restart"),
        (&["rate=2Mbps", "xoff=1MiB"], "lossless"),
    ] {
        let output = set(&a, keys);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(part) && said.contains("remedy"), "{said}");
        refused += 1;
    }
    // A rate that may change, with an MTU that may not.
    write_file(&network, "rate = \"8Mbps\"", "rate = \"80Mbps\"");
    write_file(&network, "mtu = 1600", "mtu = 1601");
    a.hang_up();
    refused += 1;
    let shown = a.wait("refusing", |shown| shown["configuration"]["refused"] == refused);
    assert_eq!(shown["configuration"]["generation"], 1);
    let tenants = shown["tenants"].as_array().expect("a list");
    assert!(tenants.iter().any(|of| of["rate_bps"] == 8_000_000), "{tenants:#?}");
    let why = shown["configuration"]["last_refusal"]["why"].as_str().expect("a text");
    assert!(why.contains("\"mtu\" of [[port]] \"wan\"") && why.contains("restart"), "{why}");
    assert!(a.said().contains(why), "{}", a.said());
    // Asked for what there is, it says that nothing changes.
    let same = set(&a, &["rate=8Mbps", "burst=4KiB", "weight=1", "reserved=0B", "alpha=100"]);
    assert!(same.status.success(), "{same:?}");
    assert_eq!(a.show()["configuration"]["generation"], 1);
    let table = a.ask(&["show", "changes"]);
    let table = String::from_utf8_lossy(&table.stdout);
    assert!(table.contains("generation 1; 5 refused"), "{table}");
    assert!(a.terminate().status.success());
}
