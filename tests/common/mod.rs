//! What the tests of the command line share.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A capture that comes with the project.
pub(crate) fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pcap-tests/captures").join(name)
}

/// Runs the command with these arguments, to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compute-gateway")).args(arguments).output().unwrap()
}

/// The report on standard output.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the command writes is text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A gateway at `address` that takes everything to the one at `peer`.
pub(crate) fn configuration(address: &str, peer: &str) -> String {
    format!(
        r#"
        [gateway]
        name = "here"
        address = "{address}"

        [workers]
        buffers = 20000

        [[port]]
        name = "lan"
        role = "lan"
        driver = "ring"
        mac = "02:00:00:00:00:01"
        mtu = 4200

        [[port]]
        name = "wan"
        role = "wan"
        driver = "ring"
        mac = "02:00:00:00:01:01"
        mtu = 4400

        [[peer]]
        name = "there"
        address = "{peer}"
        everything = true
        key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

        [[path]]
        name = "north"
        peer = "there"
        port = "wan"
        next_hop = "02:00:00:00:01:fe"
        capacity = "100Mbps"

        [recovery]
        replay_bytes = "2MiB"
        hold_bytes = "2MiB"
        "#
    )
}
