//! Opening a queue: the modes tried one after the other, each with a socket of its own.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::interface::refusal;
use super::socket::{Failure, Socket};
use super::{AfXdpError, Interface, Mode, PortSettings, Refusal, Step};
use crate::memory::{Lent, Pool};

/// How long a queue may still be busy with a socket that was closed: the kernel takes it down
/// after the fact.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Buffers with their header, in bytes, that the kernel takes.
const CHUNKS: [usize; 2] = [2048, 4096];

/// A queue that is open.
pub(super) struct Opened {
    pub(super) socket: Socket,
    pub(super) lent: Lent,
    pub(super) mode: Mode,
    /// Whether packets may lie in several chunks.
    pub(super) segments: bool,
    pub(super) refused: Vec<Refusal>,
}

/// Opens a queue in the best mode that is allowed and granted.
pub(super) fn open(
    interface: &Arc<Interface>,
    pool: &Rc<Pool>,
    settings: PortSettings,
) -> Result<Opened, AfXdpError> {
    let mut lent = check(interface, pool, settings)?;
    let mut refused = interface.refused().to_vec();
    for (mode, segments) in attempts(interface, &lent) {
        match attempt(interface, &mut lent, settings, mode, segments) {
            Ok(socket) => {
                // Refused with jumbo packets, granted without: not refused.
                refused.retain(|refusal| refusal.mode != mode);
                return Ok(Opened { socket, lent, mode, segments, refused });
            }
            Err(failure) => {
                // Bound already: the NIC may be writing.
                if failure.0 == Step::Join && mode == Mode::NativeZeroCopy {
                    released(&lent, interface.netdev().index, settings.queue);
                }
                lent.recall();
                let errno = judge(interface, &lent, settings.queue, failure)?;
                let refusal = Refusal { mode, step: Step::Bind, errno };
                if !refused.contains(&refusal) {
                    refused.push(refusal);
                }
            }
        }
    }
    Err(refusal(interface.netdev(), refused))
}

/// Refuses settings that cannot be, before the kernel is asked.
fn check(
    interface: &Interface,
    pool: &Rc<Pool>,
    settings: PortSettings,
) -> Result<Lent, AfXdpError> {
    let PortSettings { queue, ring } = settings;
    let netdev = interface.netdev();
    // A socket receives and sends by the queues of one number.
    let queues = netdev.rx_queues.min(netdev.tx_queues);
    if queue >= queues {
        return Err(AfXdpError::Queue { name: netdev.name.clone(), queue, queues });
    }
    if !ring.is_power_of_two() || !(64..=32_768).contains(&ring) {
        return Err(AfXdpError::RingSize(ring));
    }
    let stats = pool.stats();
    let free = stats.capacity - stats.in_use;
    if free < ring {
        return Err(AfXdpError::PoolSize { capacity: stats.capacity, free, ring });
    }
    Lent::new(Rc::clone(pool))
        .filter(|lent| CHUNKS.contains(&lent.stride()))
        .ok_or(AfXdpError::BufferSize(pool.settings().buffer_bytes))
}

/// The modes to try, with packets in several chunks and, where the MTU needs no such packets,
/// without: not every zero-copy driver has them.
fn attempts(interface: &Interface, lent: &Lent) -> Vec<(Mode, bool)> {
    /// What the kernel keeps free before a packet, and what Ethernet and two VLAN tags need.
    const BEFORE: usize = 256 + Lent::HEADER;
    const ETHERNET: usize = 22;
    let whole = interface.netdev().mtu as usize + ETHERNET + BEFORE <= lent.stride();
    let with_and_without = if whole { &[true, false][..] } else { &[true] };
    let one = |mode| with_and_without.iter().map(move |&segments| (mode, segments));
    interface.modes().flat_map(one).collect()
}

/// One socket, in one mode: filled, bound and fed by the program.
fn attempt(
    interface: &Interface,
    lent: &mut Lent,
    settings: PortSettings,
    mode: Mode,
    segments: bool,
) -> Result<Socket, Failure> {
    let PortSettings { queue, ring } = settings;
    let mut socket = Socket::open(lent, ring)?;
    fill(&mut socket, lent, ring);
    let copy = if mode == Mode::NativeZeroCopy { libc::XDP_ZEROCOPY } else { libc::XDP_COPY };
    let several = if segments { libc::XDP_USE_SG } else { 0 };
    let flags = copy | several | libc::XDP_USE_NEED_WAKEUP;
    let bind = || socket.bind(interface.netdev().index, queue, flags);
    bind_when_free(bind).map_err(|error| (Step::Bind, error))?;
    let zero_copy = socket.zero_copy().map_err(|error| (Step::Bind, error))?;
    if zero_copy != (mode == Mode::NativeZeroCopy) {
        return Err((Step::Bind, io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
    }
    interface.join(queue, socket.raw()).map_err(|error| (Step::Join, error))?;
    Ok(socket)
}

/// Binds, and waits a little for a queue whose socket was closed just now.
fn bind_when_free(bind: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut result = bind();
    within(BUSY_WAIT, || {
        let busy = matches!(&result, Err(e) if e.raw_os_error() == Some(libc::EBUSY));
        if busy {
            result = bind();
        }
        !busy
    });
    result
}

/// Whether a failure is one of the mode, whose errno this is then, or one of everything.
fn judge(
    interface: &Interface,
    lent: &Lent,
    queue: u32,
    (step, source): Failure,
) -> Result<i32, AfXdpError> {
    let name = || interface.netdev().name.clone();
    match (step, source.raw_os_error().unwrap_or_default()) {
        (Step::Bind, libc::EBUSY) => Err(AfXdpError::Busy { name: name(), queue }),
        (Step::Bind, libc::ENETDOWN) => Err(AfXdpError::Down { name: name() }),
        (Step::Memory, libc::ENOBUFS | libc::ENOMEM) => {
            Err(AfXdpError::Memory { bytes: lent.region().1, source })
        }
        (Step::Bind, errno) if errno != libc::EPERM => Ok(errno),
        _ => Err(AfXdpError::at(step, source)),
    }
}

/// Lends the kernel buffers until it has `ring` of them; whether the pool had enough.
pub(super) fn fill(socket: &mut Socket, lent: &mut Lent, ring: u32) -> bool {
    let mut enough = true;
    while lent.lent() < ring && socket.fill.has_room(1) {
        let Some(addr) = lent.lend() else {
            enough = false;
            break;
        };
        socket.fill.push(addr);
    }
    socket.fill.submit();
    enough
}

/// Waits until no processor is still delivering a packet to a socket that left its map. Closing the
/// socket waits for that, too, but not while a process is being started, which holds a copy
/// of the descriptor.
pub(super) fn grace() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers. In the kernel this waits for all that holds on to the map's old entry.
    let waited = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if waited < 0 {
        // Not on kernels with processors that are never interrupted: longer than a burst takes.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the driver has let go of a zero-copy queue whose socket was closed: only then can it
/// no longer write to its buffers. It can be bound again from that moment on.
pub(super) fn released(lent: &Lent, interface: u32, queue: u32) -> bool {
    within(BUSY_WAIT, || {
        let Ok(probe) = Socket::open(lent, 64) else { return false };
        let bound = probe.bind(interface, queue, libc::XDP_COPY);
        !matches!(bound, Err(error) if error.raw_os_error() == Some(libc::EBUSY))
    })
}

/// Asks every millisecond until `done`, for `limit` at most; whether it was.
pub(super) fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
