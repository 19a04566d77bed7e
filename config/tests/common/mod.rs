//! A small right configuration, and what changes of it say.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::Path;

use config::{Config, Diagnostic};

/// A small right configuration; tests change lines of it.
pub(crate) const BASE: &str = r#"[gateway]
name = "a"
address = "192.0.2.1"

[workers]
cores = [1]

[[port]]
name = "lan0"
role = "lan"
driver = "ring"
mac = "02:00:00:00:00:01"

[[port]]
name = "wan0"
role = "wan"
driver = "ring"
mac = "02:00:00:00:01:01"
mtu = 1600

[[peer]]
name = "b"
address = "198.51.100.1"
prefixes = ["10.20.0.0/16"]
key = "000102030405060708090a0b0c0d0e0f"

[[path]]
name = "north"
peer = "b"
port = "wan0"
next_hop = "02:00:00:00:01:fe"
weight = 1

[recovery]
holes = 4096
"#;

/// The errors of a text.
pub(crate) fn findings(text: &str) -> Vec<Diagnostic> {
    match Config::parse(text, "g.toml", Path::new("")) {
        Ok(checked) => panic!("accepted: {:?}", checked.config),
        Err(errors) => errors.findings().to_vec(),
    }
}

/// The base with the line `from` in the place of `to`. A longer `to` moves what is below.
pub(crate) fn changed(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(&format!("{from}\n")).count(), 1, "{from}");
    BASE.replace(&format!("{from}\n"), &format!("{to}\n"))
}

/// Checks that a change has one error: its line and column, a part of what is wrong, and of the
/// remedy.
#[track_caller]
pub(crate) fn wrong(from: &str, to: &str, place: (usize, usize), what: &str, remedy: &str) {
    let found = findings(&changed(from, to));
    assert_eq!(found.len(), 1, "{found:#?}");
    let shown = format!("g.toml:{}:{}: ", place.0, place.1);
    assert!(found[0].to_string().starts_with(&shown), "{} not at {shown}", found[0]);
    assert!(found[0].what.contains(what), "{}", found[0]);
    assert!(found[0].remedy.contains(remedy), "{}", found[0]);
}
