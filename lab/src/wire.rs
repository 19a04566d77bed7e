//! A long wire between two network interfaces, in real time: it loses, delays, reorders and
//! duplicates as [`Link`] does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dataplane::time::{Clock, SECOND, Time};

use crate::link::{Impairments, Link, LinkCounters};

/// The longest frame: more than any MTU.
const FRAME_BYTES: usize = 65_536;
/// How long a direction pauses when its interface is away.
const PAUSE: Duration = Duration::from_millis(10);

/// A wire in use. Dropping it cuts it: once both ends have had a frame to read, or their patience
/// for one is over.
#[derive(Debug)]
pub struct Wire {
    directions: [Arc<Direction>; 2],
    threads: Vec<JoinHandle<()>>,
    cut: Arc<AtomicBool>,
}

/// What one direction of a wire did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireCounters {
    /// What became of frames by intent.
    pub link: LinkCounters,
    /// Frames that the far interface did not take.
    pub refused: u64,
}

/// One direction, as its threads and whoever asks for counters share it.
#[derive(Debug)]
struct Direction {
    link: Mutex<Link>,
    refused: AtomicU64,
}

/// A frame on its way: when it is due, its number among all frames, its bytes.
type Due = Reverse<(Time, u64, Vec<u8>)>;

impl Wire {
    /// Puts a wire between two ends, of which each read gives and each write takes a whole frame,
    /// as packet sockets do. `seed` decides who is lost; each direction has luck of its own.
    ///
    /// A frame goes through two threads: one receives it and decides, the other waits until it is
    /// due.
    pub fn start<End>(ends: [Arc<End>; 2], does: &Impairments, seed: u64) -> Self
    where
        End: Send + Sync + 'static,
        for<'a> &'a End: Read + Write,
    {
        let origin = Instant::now();
        let now = move || Clock::Real(origin).now();
        let cut = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let directions = [0, 1].map(|index: usize| {
            let mut link = Link::new(does.clone(), seed, index as u64);
            link.start(Time::ZERO);
            let direction =
                Arc::new(Direction { link: Mutex::new(link), refused: AtomicU64::new(0) });
            let (from, to) = (Arc::clone(&ends[index]), Arc::clone(&ends[1 - index]));
            let (sender, due) = channel();
            let (one, other, cut) = (direction.clone(), direction.clone(), Arc::clone(&cut));
            threads.push(thread::spawn(move || receive(&*from, &one, now, &sender, &cut)));
            threads.push(thread::spawn(move || deliver(&*to, &other, now, &due)));
            direction
        });
        Self { directions, threads, cut }
    }

    /// What it did so far: first with frames that came in at the first end.
    #[must_use]
    pub fn counters(&self) -> [WireCounters; 2] {
        self.directions.each_ref().map(|direction| WireCounters {
            link: direction.link.lock().unwrap_or_else(PoisonError::into_inner).counters(),
            refused: direction.refused.load(Ordering::Relaxed),
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Receives frames and decides what becomes of them, until the wire is cut.
fn receive(
    mut from: impl Read,
    direction: &Direction,
    now: impl Fn() -> Time,
    due: &Sender<Due>,
    cut: &AtomicBool,
) {
    let mut buffer = vec![0; FRAME_BYTES];
    let mut number = 0;
    while !cut.load(Ordering::Acquire) {
        let Some(frame) = read(&mut from, &mut buffer) else { continue };
        let mut link = direction.link.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = link.send(now(), frame);
        drop(link);
        number += 1;
        for at in [arrivals.first, arrivals.second].into_iter().flatten() {
            if due.send(Reverse((at, number, frame.to_vec()))).is_err() {
                return;
            }
        }
    }
}

/// The next frame; none where none came, or the interface was away for a moment.
fn read<'a>(from: &mut impl Read, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    match from.read(buffer) {
        Ok(length) => Some(&mut buffer[..length]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => {
            eprintln!("wire: {error}");
            thread::sleep(PAUSE);
            None
        }
    }
}

/// Delivers frames when they are due, in that order, until nobody receives any more.
fn deliver(mut to: impl Write, direction: &Direction, now: impl Fn() -> Time, due: &Receiver<Due>) {
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A socket of the test, and the end of a wire that is behind it.
    fn end() -> (UnixDatagram, Arc<File>) {
        let (ours, end) = UnixDatagram::pair().unwrap();
        end.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        (ours, Arc::new(File::from(OwnedFd::from(end))))
    }

    #[test]
    fn frames_cross_whole_in_order_and_late_as_intended_or_are_lost() {
        let delay = 20_000_000;
        for loss in [0.0, 1.0] {
            let ((one, end_one), (other, end_other)) = (end(), end());
            let does = Impairments { delay, loss, ..Impairments::default() };
            let wire = Wire::start([end_one, end_other], &does, 1);
            let started = Instant::now();
            for number in 1..=50_u8 {
                one.send(&[number; 200][..usize::from(number)]).unwrap();
            }
            other.send(b"back").unwrap();
            let mut frame = [0; 300];
            if loss == 0.0 {
                for number in 1..=50_u8 {
                    let length = other.recv(&mut frame).unwrap();
                    assert_eq!(frame[..length], [number; 200][..usize::from(number)]);
                }
                let length = one.recv(&mut frame).unwrap();
                assert_eq!(frame[..length], *b"back");
                assert!(started.elapsed() >= Duration::from_nanos(delay));
            } else {
                assert_eq!(other.recv(&mut frame).unwrap_err().kind(), ErrorKind::WouldBlock);
            }
            let counted =
                wire.counters().map(|counters| (counters.link.sent_packets, counters.link.dropped));
            let lost = |sent| if loss == 0.0 { (sent, 0) } else { (sent, sent) };
            assert_eq!(counted, [lost(50), lost(1)]);
        }
    }

    #[test]
    fn what_the_far_end_does_not_take_is_counted() {
        let ((one, end_one), (other, end_other)) = (end(), end());
        let wire = Wire::start([end_one, end_other], &Impairments::default(), 1);
        drop(other);
        one.send(b"nobody is there").unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while wire.counters()[0].refused == 0 {
            assert!(Instant::now() < until, "{:?}", wire.counters());
        }
    }
}
