//! Packet sockets: what arrives at an interface seen, and frames sent there, beside the kernel's
//! network stack. For tests and tools: slow, and tags of VLANs are taken off what is read.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{Netdev, NetdevError, Promiscuous, refused};

/// Bytes of a socket's queues, each way: what comes while its reader waits for a processor.
const QUEUE_BYTES: libc::c_int = 64 << 20;

/// A packet socket on an interface.
#[derive(Debug)]
pub struct PacketSocket {
    file: File,
    _promiscuous: Promiscuous,
}

impl PacketSocket {
    /// Opens one. Reading gives the next whole frame that arrived, for whomever it was meant, and
    /// none of those sent from here; where none comes within `patience` (zero: ever), it fails as
    /// one that would block. Writing sends a whole frame. Needs CAP_NET_RAW and CAP_NET_ADMIN.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(netdev: &Netdev, patience: Duration) -> Result<Self, NetdevError> {
        let promiscuous = Promiscuous::on(netdev)?;
        let socket = bound(netdev.index as i32, patience)
            .map_err(|error| refused(&netdev.name, "open a packet socket", error))?;
        Ok(Self { file: File::from(socket), _promiscuous: promiscuous })
    }
}

impl io::Read for &PacketSocket {
    fn read(&mut self, frame: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(frame)
    }
}

impl io::Write for &PacketSocket {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        (&self.file).write(frame)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket of that interface alone: of protocol 0, which receives nothing, until it is bound.
fn bound(interface: libc::c_int, patience: Duration) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is nobody else's.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let on: libc::c_int = 1;
    set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &QUEUE_BYTES)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &QUEUE_BYTES)?;
    let patience = libc::timeval {
        tv_sec: patience.as_secs() as libc::time_t,
        tv_usec: libc::suseconds_t::from(patience.subsec_micros()),
    };
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as u32;
    // SAFETY: the address is one `sockaddr_ll`, of the size said.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Sets an option of a socket whose value the kernel takes to be a `T`.
fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as u32;
    // SAFETY: the value is one `T`, of the size said; the kernel only reads it.
    let done = unsafe {
        let value = (&raw const *value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, length)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
