//! What is said about memory: the packet pool, and the bounds of recovery.

use std::path::Path;

use config::{Checked, Config};

mod common;
use common::{BASE, changed, findings, wrong};

const CORES: &str = "cores = [1]";
const HOLES: &str = "holes = 4096";
const WEIGHT: &str = "weight = 1";

fn checked(text: &str) -> Checked {
    Config::parse(text, "g.toml", Path::new("")).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The base with a second peer.
fn two_peers() -> String {
    let peer = BASE.split_once("[[peer]]").and_then(|(_, rest)| rest.split_once("[recovery]"));
    let second = peer.expect("the base has them").0.replace("\"b\"", "\"c\"");
    let second = second.replace("north", "south").replace("10.20", "10.30");
    format!("{BASE}[[peer]]{}", second.replace("198.51.100.1", "198.51.100.2"))
}

#[test]
fn the_pool_is_by_default_large_enough_for_all_that_is_kept() {
    // A buffer takes 64 bytes more than it holds; the two ports have queues of 4,096 packets.
    let buffers = |text: &str| checked(text).config.workers.buffers;
    let mebibytes = |count: u32| count << 20;
    assert_eq!(buffers(BASE), mebibytes(320).div_ceil(2_368) + 8_192);
    let more = changed(HOLES, "replay_bytes = \"512MiB\"\nhold_bytes = \"1MiB\"");
    assert_eq!(buffers(&more), mebibytes(513).div_ceil(2_368) + 8_192);
    assert_eq!(buffers(&two_peers()), mebibytes(384).div_ceil(2_368) + 8_192);
    // Sizes are rounded up to 64 bytes; packets of 1600 bytes now take two.
    let smaller = changed(CORES, "buffer_bytes = 1000");
    assert_eq!(buffers(&smaller), mebibytes(320).div_ceil(1_088) + 2 * 8_192);
    let jumbo = BASE.replace("mtu = 1600", "mtu = 9000");
    assert_eq!(buffers(&jumbo), mebibytes(320).div_ceil(2_368) + 4 * 8_192);
}

#[test]
fn a_pool_too_small_for_one_peer_is_an_error() {
    let what = "65536 buffers of 2304 bytes are 148MiB, too few for replay_bytes, 256MiB, and \
                hold_bytes, 64MiB, of one peer";
    wrong(CORES, "buffers = 65536", (6, 11), what, "write buffers = 149892, or remove the key");
    wrong(CORES, "buffers = 141699", (6, 11), "too few", "lower replay_bytes or hold_bytes");
    assert!(Config::parse(&changed(CORES, "buffers = 141700"), "", Path::new("")).is_ok());
    let smaller = changed(HOLES, "replay_bytes = \"64MiB\"").replace(CORES, "buffers = 65536");
    assert!(Config::parse(&smaller, "", Path::new("")).is_ok());
}

#[test]
fn a_pool_too_small_for_all_peers_is_a_doubt() {
    let text = two_peers();
    let doubtful = checked(&text.replace(CORES, "buffers = 149892"));
    assert_eq!(doubtful.config.workers.buffers, 149_892);
    let [warning] = doubtful.warnings.as_slice() else { panic!("{:?}", doubtful.warnings) };
    assert_eq!((warning.line, warning.column), (6, 11));
    assert!(
        warning.what.contains("of every peer and full queues: with no buffer left"),
        "{warning}"
    );
    assert!(warning.what.ends_with("arriving packets are dropped and counted"), "{warning}");
    // 384 MiB and 8192 buffers.
    assert!(warning.remedy.starts_with("write buffers = 178232, or remove"), "{warning}");
    let right = checked(&text.replace(CORES, "buffers = 178232"));
    assert_eq!((right.config.workers.buffers, right.warnings), (178_232, vec![]));
    assert_eq!(checked(&text.replace(CORES, "buffers = 178231")).warnings.len(), 1);
}

#[test]
fn bounds_that_no_pool_can_hold_are_an_error() {
    let what = "of all peers, take 464357321 buffers of 2304 bytes, a worker has at most 16777216";
    let large = "replay_bytes = \"1024GiB\"";
    wrong(HOLES, large, (35, 16), what, "lower them in [recovery], or raise buffer_bytes");
    let explicit = changed(HOLES, large).replace(CORES, "buffers = 16777216");
    let found = findings(&explicit);
    assert_eq!((found.len(), found[0].line), (1, 6));
    let remedy = "lower replay_bytes or hold_bytes in [recovery], or raise buffer_bytes";
    assert_eq!(found[0].remedy, remedy);
}

/// The base with a path of which rate and round trip are known, and other bounds.
fn known(path: &str, recovery: &str) -> String {
    let path = format!("capacity = \"100Gbps\"\nrtt = \"20ms\"\n{path}");
    changed(WEIGHT, &path).replace(HOLES, recovery)
}

#[test]
fn bounds_smaller_than_what_recovery_needs_are_doubts() {
    // 12.5 GB/s x 20 ms are 160,052 packets of 1562 bytes, of 2368 in memory: 361.4 MiB. Replay
    // needs three, hold two; and a sixteenth of patience, and 64 packets to be acknowledged.
    let warnings = checked(&known("", HOLES)).warnings;
    let [replay, hold, replay_packets, hold_packets] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    let found = |warning: &config::Diagnostic, what: &str, remedy: &str| {
        assert_eq!((warning.line, warning.column), (36, 1), "{warning}");
        assert!(warning.what.starts_with(what), "{warning}");
        assert!(warning.what.ends_with(": with less, losses may go unrepaired"), "{warning}");
        assert_eq!(warning.remedy, remedy);
    };
    let why = "capacity, round trip and a loss of 1 % take";
    let what = format!("replay_bytes is 256MiB; {why} 1108MiB of buffers on all paths");
    found(replay, &what, "write replay_bytes = \"1108MiB\" in [recovery]");
    let what = format!("hold_bytes is 64MiB; {why} 746MiB of buffers from one peer");
    found(hold, &what, "write hold_bytes = \"746MiB\" in [recovery]");
    let what = format!("replay_packets is 65536; {why} 490221 packets on a channel");
    let remedy = "write replay_packets = 524288 in [recovery], or more channels in the path";
    found(replay_packets, &what, remedy);
    let what = format!("hold_packets is 32768; {why} 330106 packets from one peer");
    found(hold_packets, &what, "write hold_packets = 524288 in [recovery]");
    // Unknown capacity: no advice.
    assert_eq!(checked(&known("", HOLES).replace("capacity = \"100Gbps\"", WEIGHT)).warnings, []);
}

#[test]
fn bounds_as_advised_are_enough_and_a_mebibyte_less_is_not() {
    let keys = |replay, hold, packets| {
        format!(
            "replay_bytes = \"{replay}MiB\"\nhold_bytes = \"{hold}MiB\"\n\
             replay_packets = {packets}\nhold_packets = 524288"
        )
    };
    let warnings = |keys: &str| checked(&known("", keys)).warnings;
    assert_eq!(warnings(&keys(1_108, 746, 524_288)), []);
    for (wrong, key, at) in [
        (keys(1_107, 746, 524_288), "replay_bytes", (37, 16)),
        (keys(1_108, 745, 524_288), "hold_bytes", (38, 14)),
        (keys(1_108, 746, 262_144), "replay_packets", (39, 18)),
    ] {
        let warnings = warnings(&wrong);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.what.starts_with(key), "{warning}");
        assert_eq!((warning.line, warning.column), at);
    }
}

#[test]
fn streams_that_share_a_path_wait_less_than_a_lone_one() {
    let keys = "replay_bytes = \"832MiB\"\nhold_bytes = \"480MiB\"\nhold_packets = 262144";
    assert_eq!(checked(&known("channels = 16", keys)).warnings, []);
    assert_eq!(checked(&known("channels = 1", keys)).warnings.len(), 4);
}
