//! How paths are watched and shared: what is wrong with the keys that say so, where, and how to mend
//! it.

use std::path::Path;

use config::Config;

mod common;
use common::{changed, wrong};

const ADDRESS: &str = "address = \"192.0.2.1\"";
const PREFIXES: &str = "prefixes = [\"10.20.0.0/16\"]";
const WEIGHT: &str = "weight = 1";

/// A line below the base's only path, its peer, or the gateway's address.
fn in_path(lines: &str) -> String {
    format!("{WEIGHT}\n{lines}")
}

fn in_peer(lines: &str) -> String {
    format!("{PREFIXES}\n{lines}")
}

#[track_caller]
fn right(from: &str, to: &str) -> Config {
    let checked = Config::parse(&changed(from, to), "g.toml", Path::new(""));
    checked.unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn spread_is_a_part_of_a_capacity_in_a_tunnel() {
    let spread = |value: &str| in_peer(&format!("spread = {value}"));
    for (value, what) in [
        ("2", "\"spread\" is 2, out of range"),
        ("0", "\"spread\" is 0, out of range"),
        ("-0.5", "\"spread\" is -0.5, out of range"),
        ("\"on\"", "\"spread\" cannot be \"on\""),
    ] {
        wrong(PREFIXES, &spread(value), (25, 10), what, "write 0.001 to 1, or \"off\"");
    }
    wrong(PREFIXES, &spread("true"), (25, 10), "\"spread\" cannot be", "spread = 0.5");
    let weights = "\"spread\" is a part of a path's capacity, and paths have weights";
    wrong(PREFIXES, &spread("0.5"), (25, 10), weights, "write capacity instead of weight");
    let bare = in_peer("numbering = \"transparent\"\nspread = 0.5");
    wrong(PREFIXES, &bare, (26, 10), "a stream keeps its path", "numbering = \"tunnel\"");
    assert_eq!(right(PREFIXES, &spread("\"off\"")).peers[0].spread, None);
}

#[test]
fn groups_and_intervals_have_bounds() {
    for (line, at, what) in [
        ("group = \"64Gb\"", (25, 9), "unknown unit \"Gb\""),
        ("group = \"0B\"", (25, 9), "\"group\" is 0"),
        ("rebalance = \"1us\"", (25, 13), "\"rebalance\" is 1us, out of range"),
    ] {
        wrong(PREFIXES, &in_peer(line), at, what, "");
    }
}

#[test]
fn bfd_has_bounds_and_is_said_to_be_on() {
    let with = |line: &str| in_path(&format!("bfd = true\n{line}"));
    for (line, at, what, remedy) in [
        ("bfd_interval = \"100us\"", (34, 16), "\"bfd_interval\" is 100us", "write 1ms to 10s"),
        ("bfd_interval = \"11s\"", (34, 16), "\"bfd_interval\" is 11s", "write 1ms to 10s"),
        ("bfd_multiplier = 0", (34, 18), "\"bfd_multiplier\" is 0", "write 1 to 50"),
        ("bfd_multiplier = 51", (34, 18), "\"bfd_multiplier\" is 51", "write 1 to 50"),
        ("bfd_hops = 255", (34, 12), "\"bfd_hops\" is 255", "write 1 to 254"),
        ("hold_down = \"2m\"", (34, 13), "\"hold_down\" is 2m", "to 1m"),
        ("hold_down = \"61s\"", (34, 13), "\"hold_down\" is 61s", "write 0"),
    ] {
        wrong(WEIGHT, &with(line), at, what, remedy);
    }
    wrong(WEIGHT, &in_path("bfd = \"yes\""), (33, 7), "\"bfd\" cannot be a string", "bfd = false");
    for (line, column) in [
        ("bfd_interval = \"10ms\"", 16),
        ("bfd_multiplier = 3", 18),
        ("bfd_hops = 1", 12),
        ("hold_down = \"1s\"", 13),
    ] {
        let what = "says how BFD watches the path, and it does not";
        wrong(WEIGHT, &in_path(line), (33, column), what, "add bfd = true, or remove the key");
        assert!(right(WEIGHT, &with(line)).peers[0].paths[0].bfd.is_some(), "{line}");
    }
}

#[test]
fn marks_of_congestion_are_carried_or_not() {
    let ecn = |value: &str| format!("{ADDRESS}\necn = {value}");
    wrong(ADDRESS, &ecn("\"ce\""), (4, 7), "\"ecn\" cannot be a string", "write it as in: ecn =");
    assert!(!right(ADDRESS, &ecn("false")).gateway.ecn);
}
