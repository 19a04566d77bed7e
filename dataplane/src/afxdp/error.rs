//! What can keep an AF_XDP port from opening: one message each, with the remedy.

use std::fmt;
use std::io;

use super::Mode;
use crate::netdev::NetdevError;
use crate::port::PortError;

/// What helps where nothing better is known: the kernel tells more in its log.
pub(super) const LOOK: &str =
    "see what the kernel says (dmesg | tail), and whether it is Linux 6.6 or newer";

/// A mode that was tried and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The mode.
    pub mode: Mode,
    /// What the kernel was asked to do.
    pub step: Step,
    /// Its answer: an errno.
    pub errno: i32,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: cannot {}: {reason}", self.mode, self.step)
    }
}

/// A step on the way to an open port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An XDP map and program into the kernel.
    Load,
    /// The program to the interface.
    Attach,
    /// An AF_XDP socket.
    Socket,
    /// The pool as its memory.
    Memory,
    /// Its rings.
    Rings,
    /// The socket to a queue.
    Bind,
    /// The socket into the program's map.
    Join,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load the XDP program",
            Self::Attach => "attach the XDP program",
            Self::Socket => "open an AF_XDP socket",
            Self::Memory => "register the packet memory",
            Self::Rings => "make the rings",
            Self::Bind => "bind to the queue",
            Self::Join => "let the XDP program feed the socket",
        })
    }
}

/// Why a port is not open.
#[derive(Debug, thiserror::Error)]
pub enum AfXdpError {
    /// The interface is not there, or cannot be asked.
    #[error(transparent)]
    Netdev(#[from] NetdevError),
    /// The operator has not set it up.
    #[error("interface {name} is down\n    remedy: ip link set {name} up")]
    Down {
        /// The interface.
        name: String,
    },
    /// The process may not do that.
    #[error(
        "no right to {step}\n    remedy: run as root, or give the capabilities: \
         setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep <program>"
    )]
    Rights {
        /// What was refused.
        step: Step,
    },
    /// An XDP program of somebody else's is there.
    #[error(
        "interface {name} has an XDP program already, {program} (id {id})\n    remedy: {remedy}"
    )]
    Occupied {
        /// The interface.
        name: String,
        /// The program's id.
        id: u32,
        /// Its name.
        program: String,
        /// What to do about it.
        remedy: String,
    },
    /// No mode was granted.
    #[error("interface {name} ({driver}, MTU {mtu}): {}\n    remedy: {hint}", list(refused))]
    Refused {
        /// The interface.
        name: String,
        /// Its driver.
        driver: String,
        /// Its MTU, in bytes.
        mtu: u32,
        /// Each mode tried, and the kernel's answer.
        refused: Vec<Refusal>,
        /// What to do about it.
        hint: &'static str,
    },
    /// There is no such queue.
    #[error(
        "interface {name} has no queue {queue}, but {queues}, numbered from 0\n    \
         remedy: choose another, or ethtool -L {name} combined {}", queue + 1
    )]
    Queue {
        /// The interface.
        name: String,
        /// As asked for.
        queue: u32,
        /// Queues it has.
        queues: u32,
    },
    /// Another socket has that queue.
    #[error(
        "queue {queue} of interface {name} is in use by another AF_XDP socket\n    \
         remedy: stop the other program, or choose another queue"
    )]
    Busy {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
    },
    /// The kernel will not keep so much memory in place.
    #[error(
        "the kernel refuses to pin {bytes} bytes of packet memory ({source})\n    \
         remedy: ulimit -l unlimited (LimitMEMLOCK=infinity), or a smaller pool"
    )]
    Memory {
        /// The pool's size.
        bytes: usize,
        /// Its reason.
        source: io::Error,
    },
    /// The pool's buffers are of a size the kernel does not take.
    #[error(
        "buffers of {0} bytes: with a header of 64 they must make a page or half of it\n    \
         remedy: buffers of 4032 or 1984 bytes"
    )]
    BufferSize(u32),
    /// The pool has fewer buffers free than the port lends to the kernel.
    #[error(
        "the pool has {free} of {capacity} buffers left, the port needs {ring} to receive into\n    \
         remedy: a larger pool, or a smaller ring"
    )]
    PoolSize {
        /// Buffers in all.
        capacity: u32,
        /// Buffers not in use.
        free: u32,
        /// Buffers the port lends to the kernel.
        ring: u32,
    },
    /// A ring of a size that cannot be.
    #[error("rings of {0} entries\n    remedy: choose a power of two from 64 to 32768")]
    RingSize(u32),
    /// The kernel has no AF_XDP, or something unforeseen.
    #[error("cannot {step}: {source}\n    remedy: {hint}")]
    Kernel {
        /// What was asked.
        step: Step,
        /// Its reason.
        source: io::Error,
        /// What to do about it.
        hint: &'static str,
    },
}

impl AfXdpError {
    /// The words for a step that failed whatever the mode.
    pub(super) fn at(step: Step, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Rights { step },
            Some(libc::EAFNOSUPPORT) => {
                let hint = "a kernel with CONFIG_XDP_SOCKETS (Linux 6.6 or newer)";
                Self::Kernel { step, source, hint }
            }
            _ => Self::Kernel { step, source, hint: LOOK },
        }
    }
}

impl From<AfXdpError> for PortError {
    fn from(error: AfXdpError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn list(refused: &[Refusal]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
