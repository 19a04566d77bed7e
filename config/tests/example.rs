//! The example is right, and complete.

use std::path::Path;

use config::keys::SECTIONS;
use config::model::{Behind, Driver, Share};
use config::units::{Bytes, Rate};
use config::{Checked, Config};

fn example() -> Checked {
    Config::parse(Config::example(), "example.toml", Path::new("conf"))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn it_has_no_errors_and_no_warnings() {
    let Checked { config, warnings } = example();
    assert_eq!(warnings, []);
    assert_eq!(config.gateway.name, "site-a");
    assert_eq!((config.ports.len(), config.peers.len()), (2, 1));
    let output = Path::new("conf/lan-out.pcap");
    assert!(matches!(&config.ports[0].driver, Driver::Pcap { output: path, .. } if path == output));
    assert_eq!((config.ports[0].bump, config.ports[1].bump), (1, 0));
    let peer = &config.peers[0];
    assert!(matches!(&peer.behind, Behind::Prefixes(prefixes) if prefixes.len() == 2));
    assert_eq!(peer.key.bytes(), (0..32).collect::<Vec<u8>>());
    assert_eq!(peer.paths[0].share, Share::Capacity(Rate(10_000_000_000)));
    assert_eq!((peer.paths[0].mtu, peer.paths[0].port), (1600, 1));
    assert_eq!(config.recovery.replay_bytes, Bytes(256 << 20));
    // Replay, a peer's hold, and two queues of 4,096 packets, of one buffer each.
    let kept = ((256_u32 + 64) << 20).div_ceil(2_304 + 64);
    assert_eq!(config.workers.buffers, kept + 2 * 4_096);
}

/// The text of a section: from each of its headers to the next header.
fn section(header: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in Config::example().lines() {
        if line.starts_with('[') {
            inside = line == header;
        } else if inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn it_shows_every_key() {
    for known in SECTIONS {
        let text = section(&known.header());
        for key in known.keys {
            let shown = text.lines().any(|line| {
                let line = line.strip_prefix("# ").unwrap_or(line);
                line.strip_prefix(key.name).is_some_and(|rest| rest.starts_with(" = "))
            });
            assert!(shown, "{} of {} is not in the example", key.name, known.header());
        }
    }
}

#[test]
fn what_it_comments_out_as_defaults_is_accepted() {
    // Keys that exclude a key which is set, or that need something set aside.
    let left_out = [
        "everything",
        "key_file",
        "weight",
        "oversize",
        "interface",
        "queues",
        "xdp_mode",
        "xdp_replace",
        "device",
        "eal",
        "order",
        "prefixes",
        "p_keys",
        "dscp",
        "ports",
        "socket",
        "metrics",
        "bfd_interval",
        "bfd_multiplier",
        "bfd_hops",
        "hold_down",
        "rate",
        "burst",
        "reserved",
        "ecn_min",
        "ecn_max",
        "ecn_probability",
        "cnp",
        "alpha",
        "lossless",
        "headroom",
        "xoff",
        "xon",
        "priority",
        "pool_bytes",
        "packets",
        "sid",
        "segments",
    ];
    let mut text = String::new();
    for line in Config::example().lines() {
        let key = line.strip_prefix("# ").and_then(|line| Some((line, line.split_once(" = ")?.0)));
        let (line, keep) = match key {
            Some((line, key)) if SECTIONS.iter().any(|section| section.key(key).is_some()) => {
                (line, !left_out.contains(&key))
            }
            _ => (line, true),
        };
        text.push_str(if keep { line } else { "" });
        text.push('\n');
    }
    let checked = Config::parse(&text, "example.toml", Path::new("conf"));
    let mut checked = checked.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings, []);
    // They are the defaults, but for the one that has none.
    assert!(checked.config.ports[0].next_hop.take().is_some());
    assert_eq!(checked.config, example().config);
}

#[test]
fn the_key_is_not_printed() {
    let shown = format!("{:?}", example());
    assert!(shown.contains("Key(32 bytes)"));
    assert!(!shown.contains("1, 2, 3, 4") && !shown.contains("00010203"));
}
