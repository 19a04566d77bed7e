//! One AF_XDP socket: its descriptor, its packet memory as the kernel knows it, its four rings.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use libc::{xdp_desc, xdp_mmap_offsets, xdp_options, xdp_ring_offset, xdp_statistics};

use super::Step;
use super::rings::{Consumer, Offsets, Producer};
use crate::memory::Lent;

/// A socket and its rings. Closing it is dropping it.
pub(super) struct Socket {
    pub(super) rx: Consumer<xdp_desc>,
    pub(super) tx: Producer<xdp_desc>,
    pub(super) fill: Producer<u64>,
    pub(super) completion: Consumer<u64>,
    fd: OwnedFd,
    /// What the rings lie in: unmapped after them, since fields are dropped in order.
    _mappings: [Mapping; 4],
}

/// A step that failed, and the kernel's reason.
pub(super) type Failure = (Step, io::Error);

impl Socket {
    /// A socket over the memory `lent` lends from, with rings of `ring` entries each, not bound to
    /// anything yet.
    pub(super) fn open(lent: &Lent, ring: u32) -> Result<Self, Failure> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; a descriptor just opened is nobody else's.
        let fd = unsafe {
            let fd = check(libc::socket(libc::AF_XDP, kind, 0)).map_err(|e| (Step::Socket, e))?;
            OwnedFd::from_raw_fd(fd)
        };
        register(&fd, lent).map_err(|error| (Step::Memory, error))?;
        Self::with_rings(fd, ring).map_err(|error| (Step::Rings, error))
    }

    fn with_rings(fd: OwnedFd, ring: u32) -> io::Result<Self> {
        for option in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set(&fd, option, &ring)?;
        }
        let offsets: xdp_mmap_offsets = get(&fd, libc::XDP_MMAP_OFFSETS)?;
        let map = |ring_offset: &xdp_ring_offset, entry: usize, page_offset: u64| {
            let offsets = Offsets::from(ring_offset);
            let len = offsets.entries + ring as usize * entry;
            Mapping::new(&fd, len, page_offset).map(|mapping| (mapping, offsets))
        };
        let desc = size_of::<xdp_desc>();
        let (rx, rx_at) = map(&offsets.rx, desc, libc::XDP_PGOFF_RX_RING as u64)?;
        let (tx, tx_at) = map(&offsets.tx, desc, libc::XDP_PGOFF_TX_RING as u64)?;
        let (fill, fill_at) = map(&offsets.fr, 8, libc::XDP_UMEM_PGOFF_FILL_RING)?;
        let (done, done_at) = map(&offsets.cr, 8, libc::XDP_UMEM_PGOFF_COMPLETION_RING)?;
        // SAFETY: the kernel made rings of that size there, laid out as it says, and is the other
        // side of each; the mappings live as long as the rings.
        unsafe {
            Ok(Self {
                rx: Consumer::new(rx.base, &rx_at, ring),
                tx: Producer::new(tx.base, &tx_at, ring),
                fill: Producer::new(fill.base, &fill_at, ring),
                completion: Consumer::new(done.base, &done_at, ring),
                fd,
                _mappings: [rx, tx, fill, done],
            })
        }
    }

    /// Binds it to a queue of an interface; `flags` are `XDP_*`.
    pub(super) fn bind(&self, interface: u32, queue: u32, flags: u16) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let len = size_of::<libc::sockaddr_xdp>() as u32;
        // SAFETY: the address is as long as is said.
        let bound = unsafe { libc::bind(self.raw(), (&raw const address).cast(), len) };
        check(bound).map(drop)
    }

    /// Whether the NIC itself reads and writes the packet memory.
    pub(super) fn zero_copy(&self) -> io::Result<bool> {
        let options: xdp_options = get(&self.fd, libc::XDP_OPTIONS)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// What the kernel counted.
    pub(super) fn statistics(&self) -> io::Result<xdp_statistics> {
        get(&self.fd, libc::XDP_STATISTICS)
    }

    /// Lets the kernel send what is in the transmit ring.
    pub(super) fn wake_transmit(&self) -> io::Result<()> {
        // SAFETY: nothing is read: no bytes, no address.
        let sent =
            unsafe { libc::sendto(self.raw(), ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Lets the kernel take buffers from the fill ring.
    pub(super) fn wake_receive(&self) -> io::Result<()> {
        let (none, flags) = (ptr::null_mut(), libc::MSG_DONTWAIT);
        // SAFETY: nothing is written: no bytes, no address.
        let received =
            unsafe { libc::recvfrom(self.raw(), none, 0, flags, ptr::null_mut(), ptr::null_mut()) };
        if received < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The descriptor, to be waited on.
    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Tells the kernel that the slab is this socket's packet memory.
fn register(fd: &OwnedFd, lent: &Lent) -> io::Result<()> {
    raise_locked_memory();
    let (slab, len) = lent.region();
    let memory = libc::xdp_umem_reg {
        addr: slab.as_ptr() as u64,
        len: len as u64,
        chunk_size: lent.stride() as u32,
        headroom: Lent::HEADER as u32,
        flags: 0,
        tx_metadata_len: 0,
    };
    set(fd, libc::XDP_UMEM_REG, &memory)
}

/// Lets this process pin as much memory as the system allows it to.
fn raise_locked_memory() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: both calls read or write one `rlimit`. What they cannot raise shows when the memory is
    // registered.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) < 0 {
            let mut limit = unlimited;
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit);
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        }
    }
}

impl From<&xdp_ring_offset> for Offsets {
    fn from(offset: &xdp_ring_offset) -> Self {
        Self {
            producer: offset.producer as usize,
            consumer: offset.consumer as usize,
            flags: offset.flags as usize,
            entries: offset.desc as usize,
        }
    }
}

/// Memory shared with the kernel.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(fd: &OwnedFd, len: usize, page_offset: u64) -> io::Result<Self> {
        let (read_write, shared) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        let offset = page_offset as libc::off_t;
        // SAFETY: a new mapping, at an address the kernel chooses.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), len, read_write, shared, fd.as_raw_fd(), offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and what pointed into it is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The value of a socket option: the kernel's own struct.
///
/// # Safety
/// It must be of integers only, and without padding.
unsafe trait OptionValue {}
// SAFETY: such structs, and such an integer.
unsafe impl OptionValue for u32 {}
// SAFETY: as above.
unsafe impl OptionValue for libc::xdp_umem_reg {}
// SAFETY: as above.
unsafe impl OptionValue for xdp_mmap_offsets {}
// SAFETY: as above.
unsafe impl OptionValue for xdp_options {}
// SAFETY: as above.
unsafe impl OptionValue for xdp_statistics {}

fn set<T: OptionValue>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let (value, len) = (ptr::from_ref(value).cast(), size_of::<T>() as u32);
    // SAFETY: the value is as long as is said.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, value, len) }).map(drop)
}

fn get<T: OptionValue>(fd: &OwnedFd, option: libc::c_int) -> io::Result<T> {
    // SAFETY: all zeroes is a value, since it is of integers.
    let mut value: T = unsafe { zeroed() };
    let mut len = size_of::<T>() as u32;
    let to = ptr::from_mut(&mut value).cast();
    // SAFETY: the value has room for as much as is said.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, to, &raw mut len) })?;
    Ok(value)
}
