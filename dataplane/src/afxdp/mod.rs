//! AF_XDP: packets of the kernel's interfaces, past its network stack.
//!
//! ```text
//! control thread:  Interface::attach   one XDP program, map and link an interface
//! each worker:     AfXdpPort::open     one socket a queue, over the worker's own pool
//! ```
//! **Memory.** The pool's slab is the socket's packet memory (UMEM) as it stands: a buffer is a
//! chunk, and the bytes the kernel is told to leave free at its beginning are the buffer's header.
//! What the kernel writes is a [`Packet`](crate::memory::Packet), and a
//! [`Frame`](crate::memory::Frame) is sent from where it lies: nothing is copied, and a frame the
//! replay buffer keeps can be sent again at any time. Each socket of a worker registers the same
//! slab for itself: so each port has the best mode its own driver grants (sockets that share one
//! registration share the mode, too), and ports open and close in any order. All of a pool's
//! memory is pinned from then on: it costs its capacity, not its high water.
//!
//! **Jumbo frames.** A chunk is at most a page: what is longer arrives, and leaves, in several.
//!
//! **Modes.** Native with zero-copy, native with copy, generic: the first that is granted, or only
//! the one asked for. What was obtained, and what was refused and why, is the port's to say.
//!
//! **What the driver cannot see.** VLAN tags that the NIC (or a veth pair) takes off, checksums left
//! to be filled in, and merged packets: [`Offload`](crate::netdev::Offload) names them, and
//! they are to be turned off at an interface a gateway uses.

mod bpf;
mod error;
mod interface;
mod open;
mod port;
mod rings;
mod socket;

use std::fmt;

pub use error::{AfXdpError, Refusal, Step};
pub use interface::{Interface, InterfaceSettings};
pub use port::{AfXdpCounters, AfXdpPort, PortSettings};

/// How packets come to the socket: best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// From the driver; the NIC itself reads and writes the pool.
    NativeZeroCopy,
    /// From the driver, copied once.
    NativeCopy,
    /// From the network stack, copied: works with every driver, slowest.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NativeZeroCopy => "native zero-copy",
            Self::NativeCopy => "native copy",
            Self::Generic => "generic",
        })
    }
}

/// Which modes to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModeChoice {
    /// Every one, best first.
    #[default]
    Best,
    /// This one or none.
    Only(Mode),
}

impl ModeChoice {
    /// Whether it allows `mode`.
    #[must_use]
    pub fn allows(self, mode: Mode) -> bool {
        match self {
            Self::Best => true,
            Self::Only(only) => only == mode,
        }
    }
}
