//! Captures of a real RDMA stack, replayed in real time from where their frames came.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataplane::capture::Reader;
use lab::stream::look;

use crate::frames::{Planned, all_arrive};
use crate::gateway::Gateway;
use crate::network::{Network, Settings, Side};
use crate::passing::lossy;

/// Frames that wait for a port of net_pcap, whatever the load: its ring in the kernel has 2 MiB, which
/// a worker without a processor finds full (`rx_missed`).
const PCAP_HOLDS: usize = 64;
/// The longest pause that is kept.
const PAUSE: Duration = Duration::from_millis(5);

/// The captures that have whole frames.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcap-tests/captures");
    let files = fs::read_dir(folder).expect("they are part of the project");
    let whole = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".pcap") && !name.ends_with(".snapped.pcap")
    };
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).filter(whole).collect();
    files.sort();
    files
}

/// The frames of a capture. The station that sent the first one is host A, every other host B.
fn plan(file: &Path) -> Vec<Planned> {
    let mut reader = Reader::open(file).expect("a capture");
    let (mut frames, mut client) = (Vec::new(), None);
    let (mut at, mut before) = (Duration::ZERO, None);
    while let Some(record) = reader.next().expect("a whole capture") {
        assert!(!record.is_snapped(), "{}", file.display());
        let station = look(record.data).expect("longer than an Ethernet header").station;
        let pause = record.time_ns.saturating_sub(before.unwrap_or(record.time_ns));
        at += Duration::from_nanos(pause).min(PAUSE);
        before = Some(record.time_ns);
        let is_client = *client.get_or_insert(station) == station;
        let from = if is_client { Side::A } else { Side::B };
        frames.push(Planned { at, from, bytes: record.data.to_vec() });
    }
    frames
}

/// Frames in pieces of so many at most, each with times of its own.
fn pieces(frames: Vec<Planned>, most: usize) -> Vec<Vec<Planned>> {
    let piece = |frames: &[Planned]| {
        let start = frames.first().map_or(Duration::ZERO, |frame| frame.at);
        let sooner = |frame: &Planned| Planned { at: frame.at - start, ..frame.clone() };
        frames.iter().map(sooner).collect()
    };
    frames.chunks(most).map(piece).collect()
}

/// Replays all captures; of `settings`, the ports are taken.
pub(crate) fn replayed(settings: Settings) {
    let at_once = if settings.dpdk { PCAP_HOLDS } else { usize::MAX };
    let network = Network::new(&Settings {
        lan_mtu: 4_200,
        wan_mtu: 4_300,
        wire: lossy(),
        addresses: false,
        // The captures have repeats of what was lost when they were taken: here they must pass.
        recovery: "shield = false",
        ..settings
    });
    let gateways = network.start_both();
    let mut count = 0;
    for file in captures() {
        let frames = plan(&file);
        count += frames.len();
        for piece in pieces(frames, at_once) {
            all_arrive(&network, &file.display().to_string(), &piece);
        }
    }
    assert!(count > 4_000, "{count} frames");
    let [one, other] = network.wire.counters().map(|counters| counters.link.dropped);
    assert!(one > 0 && other > 0, "the wire lost {one} and {other} frames");
    let ended = gateways.map(Gateway::terminate);
    let counted = |name: &str| ended.each_ref().map(|ended| ended.report["counters"][name].clone());
    assert_eq!(counted("gave_up"), [0, 0], "{ended:#?}");
    assert_eq!(counted("unprotected"), [0, 0], "{ended:#?}");
    assert_ne!(counted("repaired"), [0, 0], "{ended:#?}");
    let sum: u64 = counted("lan_tx_packets").iter().filter_map(|sent| sent.as_u64()).sum();
    assert_eq!(sum, count as u64, "{ended:#?}");
}

#[test]
#[ignore = "needs root: make test-live"]
fn captures_arrive_whole_and_in_order_in_generic_mode() {
    replayed(Settings { xdp_mode: "generic", ..Settings::default() });
}

#[test]
#[ignore = "needs root: make test-live"]
fn captures_arrive_whole_and_in_order_in_native_mode() {
    replayed(Settings { xdp_mode: "native", ..Settings::default() });
}
