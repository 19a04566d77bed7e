//! Frames sent and received by packet sockets, beside the hosts' own network stacks.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::netdev::PacketSocket;
use lab::stream::{StreamKey, look};

use crate::gateway::PATIENCE;
use crate::network::{Network, Side};
use crate::traffic::content;

/// How long after the last expected frame another one is looked out for.
const QUIET: Duration = Duration::from_millis(200);

/// The frames of each stream, in their order.
pub(crate) type Streams = HashMap<StreamKey, Vec<Vec<u8>>>;

/// A frame that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// When, after the first one.
    pub(crate) at: Duration,
    /// The host that sends it.
    pub(crate) from: Side,
    pub(crate) bytes: Vec<u8>,
}

/// A frame of `length` bytes, of an EtherType for experiments, unlike those of other numbers.
pub(crate) fn frame(from: Side, length: usize, number: u64) -> Vec<u8> {
    let (here, there) = (from as u8 + 1, from.other() as u8 + 1);
    let header = [2, 0, 0, 0, 0, there, 2, 0, 0, 0, 0, here, 0x88, 0xb5];
    [&header[..], &content(length - header.len(), number)].concat()
}

/// Sends frames at their times; what arrives at the hosts, B's and A's together, A being where B's
/// go. Waits until as many have arrived as were sent, if that takes not too long.
pub(crate) fn send(network: &Network, frames: &[Planned]) -> Vec<Vec<u8>> {
    let sockets = [Side::A, Side::B].map(|side| network.host(side).packet_socket("eth0"));
    let expected = |at: Side| frames.iter().filter(|frame| frame.from != at).count();
    thread::scope(|scope| {
        let receive = |at: Side| {
            let (socket, count) = (&sockets[at as usize], expected(at));
            let last = frames.last().map_or(Duration::ZERO, |frame| frame.at);
            scope.spawn(move || receive(socket, count, last + PATIENCE))
        };
        let receivers = [receive(Side::A), receive(Side::B)];
        let start = Instant::now();
        for frame in frames {
            thread::sleep(frame.at.saturating_sub(start.elapsed()));
            let mut socket = &sockets[frame.from as usize];
            socket.write_all(&frame.bytes).expect("the host can send");
        }
        receivers.map(|receiver| receiver.join().expect("it does not panic")).concat()
    })
}

/// Receives until so many frames have come and no more do, or so much time has gone.
fn receive(mut socket: &PacketSocket, count: usize, patience: Duration) -> Vec<Vec<u8>> {
    let until = Instant::now() + patience;
    let (mut frames, mut last) = (Vec::with_capacity(count), Instant::now());
    let mut buffer = vec![0; 65_536];
    while Instant::now() < until && (frames.len() < count || last.elapsed() < QUIET) {
        // Else its patience was over.
        if let Ok(length) = socket.read(&mut buffer) {
            frames.push(buffer[..length].to_vec());
            last = Instant::now();
        }
    }
    frames
}

/// The frames of some kind that come to a socket, until `done` says that there are enough.
pub(crate) fn take(
    mut socket: &PacketSocket,
    is_one: impl Fn(&[u8]) -> bool,
    done: impl Fn(&[Vec<u8>]) -> bool,
) -> Vec<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let (mut frames, mut buffer) = (Vec::new(), vec![0; 2_048]);
    while Instant::now() < until && !done(&frames) {
        if let Ok(length) = socket.read(&mut buffer)
            && is_one(&buffer[..length])
        {
            frames.push(buffer[..length].to_vec());
        }
    }
    frames
}

/// Sorts frames by their streams.
pub(crate) fn streams<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Streams {
    let mut streams = Streams::new();
    for frame in frames {
        let stream = look(frame).expect("longer than an Ethernet header").stream;
        streams.entry(stream).or_default().push(frame.clone());
    }
    streams
}

/// Sends frames; every one must arrive whole, once, and in the order of its stream.
pub(crate) fn all_arrive(network: &Network, what: &str, frames: &[Planned]) {
    let arrived = streams(&send(network, frames));
    let sent = streams(frames.iter().map(|frame| &frame.bytes));
    for (stream, sent) in &sent {
        let arrived = arrived.get(stream).map_or(&[][..], Vec::as_slice);
        let right = arrived.iter().zip(sent).take_while(|(arrived, sent)| arrived == sent).count();
        assert!(
            right == sent.len() && right == arrived.len(),
            "{what}: of {stream:?} {} were sent and {} arrived, the first {right} as sent",
            sent.len(),
            arrived.len()
        );
    }
    let strangers: Vec<_> = arrived.keys().filter(|stream| !sent.contains_key(stream)).collect();
    assert!(strangers.is_empty(), "{what}: nobody sent {strangers:?}");
}
