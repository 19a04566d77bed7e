//! Ports of DPDK: NICs with poll-mode drivers, and its virtual devices.
//!
//! In the order in which they are needed:
//!
//! 1. [`Eal::start`], once a process, by the control thread: DPDK's environment.
//! 2. [`Mempool::new`] for each worker: its buffers, near its core.
//! 3. [`Device::open`] for each port: configured, started, with one queue a worker.
//! 4. [`Device::queue`] for each worker: the queue, to be sent to its thread.
//! 5. On the worker's thread: [`Eal::register`], [`Mempool::attach`] for its
//!    pool, and [`DpdkPort::new`] for each of its queues.
//! 6. After the workers ended: [`Device::close`]; [`Mempool::out`] then says what is missing.
//!
//! # Buffers
//! DPDK's packets are ours. The private area of an mbuf is our buffer header, its data area follows,
//! so a received mbuf becomes a packet where it lies, and a frame is sent where it lies:
//!
//! ```text
//! | struct rte_mbuf | header | headroom, data                |
//! |       128       |   64   | PoolSettings::buffer_bytes    |
//! ```
//! While a driver has a frame, each of its mbufs has one reference more. What frames refer to goes
//! on existing when the driver is done, and what drivers have when we are. What cannot be shared is
//! copied, and counted: frames of other pools, and received packets that somebody else still has
//! (the other end of a ring) or whose data lies elsewhere.

mod device;
mod eal;
mod error;
mod mempool;
mod port;
mod setup;

pub use device::{Device, DeviceCounters, DeviceQueue, DeviceSettings, Link};
pub use eal::{Eal, EalSettings, Registered};
pub use error::{DpdkError, driver_folder};
pub use mempool::{Mempool, MempoolSettings, WorkerPool};
pub use port::{Copies, DpdkPort};
