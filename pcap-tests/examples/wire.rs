//! A long wire between two network interfaces: loses, delays, reorders, duplicates as the lab's
//! paths do, in real time.
//!
//! `wire PATH SEED SOCKET`: PATH is what `compute-gateway lab --path` takes, for each direction by
//! itself. Standard input and standard output are packet sockets bound to the two interfaces (as
//! pcap-tests/softroce/wire.py opens them). Whoever connects to the Unix socket SOCKET is told the
//! counters so far: a JSON list of two objects, the first for what came in on standard input.
//!
//! A frame goes through two threads: one receives it and decides, the other waits until it is due.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::time::{Clock, SECOND, Time};
use lab::PathScenario;
use lab::link::Link;
use serde_json::{Value, json};

/// The longest frame: more than any MTU.
const FRAME_BYTES: usize = 65_536;

/// One direction, as its threads and whoever asks for counters share it.
struct Direction {
    link: Mutex<Link>,
    /// Frames that the far interface did not take.
    refused: AtomicU64,
}

/// A frame on its way: when it is due, its number among all frames, its bytes.
type Due = Reverse<(Time, u64, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let [path, seed, socket] = <[String; 3]>::try_from(env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: wire PATH SEED SOCKET")?;
    let path: PathScenario = path.parse()?;
    let seed: u64 = seed.parse()?;
    let origin = Instant::now();
    let now = move || Clock::Real(origin).now();

    let ends: [OwnedFd; 2] =
        [io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?];
    let directions = [0, 1].map(|identity| {
        let mut link = Link::new(path.does.clone(), seed, identity);
        link.start(Time::ZERO);
        Arc::new(Direction { link: Mutex::new(link), refused: AtomicU64::new(0) })
    });
    for (index, direction) in directions.iter().enumerate() {
        let from = File::from(ends[index].try_clone()?);
        let to = File::from(ends[1 - index].try_clone()?);
        let (sender, receiver) = channel();
        let (one, other) = (Arc::clone(direction), Arc::clone(direction));
        thread::spawn(move || receive(from, &one, now, &sender));
        thread::spawn(move || deliver(to, &other, now, &receiver));
    }
    answer(&UnixListener::bind(socket)?, &directions)
}

/// Receives frames and decides what becomes of them, until the process ends.
fn receive(mut from: File, direction: &Direction, now: impl Fn() -> Time, due: &Sender<Due>) {
    let mut buffer = vec![0; FRAME_BYTES];
    for number in 0.. {
        let Some(frame) = read(&mut from, &mut buffer) else { continue };
        let mut link = direction.link.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = link.send(now(), frame);
        drop(link);
        for at in [arrivals.first, arrivals.second].into_iter().flatten() {
            if due.send(Reverse((at, number, frame.to_vec()))).is_err() {
                return;
            }
        }
    }
}

/// The next frame; none where the interface was away for a moment.
fn read<'a>(from: &mut File, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    match from.read(buffer) {
        Ok(length) => Some(&mut buffer[..length]),
        Err(error) => {
            eprintln!("wire: {error}");
            thread::sleep(Duration::from_millis(10));
            None
        }
    }
}

/// Delivers frames when they are due, in that order.
fn deliver(mut to: File, direction: &Direction, now: impl Fn() -> Time, due: &Receiver<Due>) {
    let mut waiting: BinaryHeap<Due> = BinaryHeap::new();
    loop {
        let next = waiting.peek().map_or(SECOND, |Reverse((at, ..))| at.since(now()));
        if next > 0 {
            match due.recv_timeout(Duration::from_nanos(next)) {
                Ok(frame) => waiting.push(frame),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            continue;
        }
        let Some(Reverse((.., frame))) = waiting.pop() else { continue };
        if to.write_all(&frame).is_err() {
            direction.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Tells the counters to whoever asks.
fn answer(listener: &UnixListener, directions: &[Arc<Direction>]) -> Result<(), Box<dyn Error>> {
    for stream in listener.incoming() {
        let counters: Value = directions.iter().map(|direction| counters(direction)).collect();
        // Whoever asked may have gone.
        let _ = write!(stream?, "{counters}");
    }
    Ok(())
}

fn counters(direction: &Direction) -> Value {
    let counters = direction.link.lock().unwrap_or_else(PoisonError::into_inner).counters();
    json!({
        "frames": counters.sent_packets,
        "lost": counters.dropped,
        "reordered": counters.reordered,
        "duplicated": counters.duplicated,
        "altered": counters.altered,
        "refused": direction.refused.load(Ordering::Relaxed),
    })
}
