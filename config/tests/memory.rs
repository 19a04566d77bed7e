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

#[test]
fn a_replay_buffer_smaller_than_what_is_under_way_is_a_doubt() {
    let text = changed(WEIGHT, "capacity = \"100Gbps\"\nrtt = \"20ms\"");
    let text = text.replace(HOLES, "replay_packets = 262144\nreplay_bytes = \"256MiB\"");
    let warnings = checked(&text).warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((warning.line, warning.column), (37, 16));
    // 1.5 x 12.5 GB/s x 20 ms are 375 MB: 240,077 packets of 1562 bytes, of 2368 in memory.
    assert!(warning.what.contains("replay_bytes is 256MiB; the packets of 1.5 round trips"));
    assert_eq!(warning.remedy, "write replay_bytes = \"543MiB\" in [recovery]");
    assert_eq!(checked(&text.replace("256MiB", "543MiB")).warnings, []);
    assert_eq!(checked(&text.replace("256MiB", "542MiB")).warnings.len(), 1);
    // Unknown capacity: no advice.
    assert_eq!(checked(&text.replace("capacity = \"100Gbps\"", WEIGHT)).warnings, []);
}

#[test]
fn so_is_one_of_too_few_packets() {
    let text = changed(WEIGHT, "capacity = \"100Gbps\"\nrtt = \"20ms\"");
    let text = text.replace(HOLES, "replay_bytes = \"1GiB\"");
    let warnings = checked(&text).warnings;
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((warning.line, warning.column), (35, 1));
    let what = "replay_packets is 65536; 1.5 round trips are 240077 packets on a channel";
    assert!(warning.what.starts_with(what), "{warning}");
    assert!(warning.remedy.starts_with("write replay_packets = 262144 in"), "{warning}");
    let right = text.replace("replay_bytes", "replay_packets = 262144\nreplay_bytes");
    assert_eq!(checked(&right).warnings, []);
    let channels = text.replace("rtt = ", "channels = 4\nrtt = ");
    assert_eq!(checked(&channels).warnings, []);
}
