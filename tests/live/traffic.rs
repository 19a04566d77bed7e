//! What hosts send each other with the kernel's own network stack.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::PATIENCE;
use crate::network::{Network, Side};

/// How long an answer may take before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Addresses of the hosts, A's first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Any port at the address of a host.
    fn address(self, side: Side) -> SocketAddr {
        let ip = match self {
            Self::V4 => side.host4(),
            Self::V6 => side.host6(),
        };
        SocketAddr::new(ip.parse().expect("an address"), 0)
    }
}

/// Bytes that differ from those of other seeds, and repeat nowhere.
pub(crate) fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Host A asks host B by UDP, once each for as many datagrams as there are `sizes`; B sends them
/// back. How many came back right. What is lost is asked for no more.
pub(crate) fn ping(network: &Network, family: Family, sizes: &[usize]) -> usize {
    let open = |side| {
        let address = family.address(side);
        network.host(side).run(|| UdpSocket::bind(address).expect("the host's address"))
    };
    let (asking, answering) = (open(Side::A), open(Side::B));
    let there = answering.local_addr().expect("bound");
    asking.set_read_timeout(Some(ASK_AGAIN)).expect("a socket");
    answering.set_read_timeout(Some(ASK_AGAIN)).expect("a socket");
    thread::scope(|scope| {
        let (done, until_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let mut datagram = vec![0; 65_536];
            let gone = Err(std::sync::mpsc::TryRecvError::Disconnected);
            while until_done.try_recv() != gone {
                if let Ok((length, from)) = answering.recv_from(&mut datagram) {
                    // The way back may be closed: then the other side misses it.
                    let _ = answering.send_to(&datagram[..length], from);
                }
            }
        });
        let came_back = sizes.iter().enumerate().filter(|&(number, &size)| {
            let question = content(size, number as u64);
            asking.send_to(&question, there).is_ok() && answered(&asking, &question)
        });
        let count = came_back.count();
        drop(done);
        count
    })
}

/// Whether this very datagram comes back in time.
fn answered(socket: &UdpSocket, question: &[u8]) -> bool {
    let until = Instant::now() + ASK_AGAIN;
    let mut datagram = vec![0; 65_536];
    while Instant::now() < until {
        match socket.recv(&mut datagram) {
            Ok(length) if datagram[..length] == *question => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// Waits until a ping comes back; panics when that takes too long.
pub(crate) fn ping_until_answered(network: &Network, family: Family) {
    let until = Instant::now() + PATIENCE;
    while ping(network, family, &[56]) == 0 {
        assert!(Instant::now() < until, "no ping of {family:?} comes back");
    }
}

/// Sends so many bytes by TCP from one host to the other, and as many others back at the same time;
/// all must arrive as they were sent.
pub(crate) fn transfer(network: &Network, family: Family, length: usize) {
    let address = family.address(Side::B);
    let listener = network.host(Side::B).run(|| TcpListener::bind(address).expect("its address"));
    let there = listener.local_addr().expect("bound");
    thread::scope(|scope| {
        let b = scope.spawn(move || {
            let stream = accept(&listener);
            exchange(&stream, content(length, 2), length)
        });
        let stream = network.host(Side::A).run(|| TcpStream::connect_timeout(&there, PATIENCE));
        let at_a = exchange(&stream.expect("a connection"), content(length, 1), length);
        let at_b = b.join().expect("it does not panic");
        assert!(at_a == content(length, 2), "what B sent did not arrive: {} bytes", at_a.len());
        assert!(at_b == content(length, 1), "what A sent did not arrive: {} bytes", at_b.len());
    });
}

/// The first who connects; panics when nobody does.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a socket");
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("a socket");
            return stream;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody connects to {listener:?}");
}

/// Sends `bytes`, and receives until the other side has sent all of its own.
fn exchange(stream: &TcpStream, bytes: Vec<u8>, length: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut stream = stream;
            stream.write_all(&bytes).expect("the other side receives");
            stream.shutdown(Shutdown::Write).expect("a socket");
        });
        let mut received = Vec::with_capacity(length);
        let mut stream = stream;
        stream.read_to_end(&mut received).expect("the other side sends");
        received
    })
}
