//! A long wire between two network interfaces: loses, delays, reorders, duplicates as the lab's
//! paths do, in real time.
//!
//! `wire PATH SEED SOCKET`: PATH is what `compute-gateway lab --path` takes, for each direction by
//! itself. Standard input and standard output are packet sockets bound to the two interfaces (as
//! pcap-tests/softroce/wire.py opens them). Whoever connects to the Unix socket SOCKET is told the
//! counters so far: a JSON list of two objects, the first for what came in on standard input.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use lab::PathScenario;
use lab::wire::{Wire, WireCounters};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let [path, seed, socket] = <[String; 3]>::try_from(env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: wire PATH SEED SOCKET")?;
    let path: PathScenario = path.parse()?;
    let ends =
        [io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?];
    let wire = Wire::start(ends.map(|end| Arc::new(File::from(end))), &path.does, seed.parse()?);
    for stream in UnixListener::bind(socket)?.incoming() {
        let counters: Value = wire.counters().iter().map(counters).collect();
        // Whoever asked may have gone.
        let _ = write!(stream?, "{counters}");
    }
    Ok(())
}

fn counters(direction: &WireCounters) -> Value {
    let link = direction.link;
    json!({
        "frames": link.sent_packets,
        "lost": link.dropped,
        "reordered": link.reordered,
        "duplicated": link.duplicated,
        "altered": link.altered,
        "refused": direction.refused,
    })
}
