//! Handing packets over between workers.
//!
//! Workers share nothing, and a [`Packet`](crate::memory::Packet) cannot leave its worker: its
//! references are counted without atomics, and its buffers go home to a pool of one thread. Where
//! a NIC brings a packet to one worker and another owns it, its bytes are copied into a ring, and
//! by the other worker into a packet of its own pool.
//!
//! ```text
//! worker 0: port --burst--> its own, in order ----------------> pipeline
//!                    \--> ring 0->1     ring 1->0 --> copies -->
//! ```
//! One ring for each ordered pair of workers and each port ([`mesh`]), so every ring has one
//! writer and one reader, and neither ever waits: a full ring drops, counted. Queues that any
//! number of threads may use (crossbeam's `ArrayQueue`) cost a compare-and-swap a packet at either
//! end, could not hold a `Packet` for the same reasons, and would need a second queue to bring the
//! slots back. Here a packet costs two copies, and a burst one store at either end.
//!
//! Memory: `workers * (workers - 1)` rings a port, each `slots` times `slot_bytes`, touched slot
//! by slot as the ring is first filled.
//!
//! Order: what one worker hands to another stays in order. A stream stays whole as long as the NIC
//! brings all of it to one queue, as a hash over its addresses and ports does.

mod ring;
#[cfg(test)]
mod speed;
mod steered;
#[cfg(test)]
mod tests;

pub use ring::{Consumer, Producer};
pub use steered::{HandoverCounters, HandoverView, Steered};

/// How rings between workers are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Packets that a ring holds: a power of two, 2 to 65,536.
    pub slots: usize,
    /// Bytes of the longest packet: a frame of the port's MTU, 64 to 65,536.
    pub slot_bytes: usize,
}

impl Default for Settings {
    /// Eight bursts, of the largest frames that NICs take.
    fn default() -> Self {
        Self { slots: 256, slot_bytes: 9_728 }
    }
}

/// What makes handing over impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// Not a power of two from 2 to 65,536.
    #[error("rings of {0} packets: must be a power of two from 2 to 65536")]
    Slots(usize),
    /// Outside 64 to 65,536 bytes.
    #[error("rings for packets of {0} bytes: must be 64 to 65536")]
    SlotBytes(usize),
    /// A packet as long as a slot would never find buffers enough, and block its ring.
    #[error("packets of {slot_bytes} bytes are handed over, and the pool holds {pool_bytes}")]
    Pool {
        /// Bytes of the longest packet.
        slot_bytes: usize,
        /// Bytes that one packet over all buffers of the pool could have.
        pool_bytes: usize,
    },
}

impl Settings {
    fn check(self) -> Result<(), HandoverError> {
        if !self.slots.is_power_of_two() || !(2..=65_536).contains(&self.slots) {
            return Err(HandoverError::Slots(self.slots));
        }
        if !(64..=65_536).contains(&self.slot_bytes) {
            return Err(HandoverError::SlotBytes(self.slot_bytes));
        }
        Ok(())
    }
}

/// One worker's ends of the rings of one port: made by the thread that starts the workers, and sent
/// to the worker's.
pub struct Ends {
    /// Which worker this is.
    worker: usize,
    /// A ring to each worker, in their order; none to itself.
    to: Box<[Option<Producer>]>,
    /// The rings from all others.
    from: Box<[Consumer]>,
    settings: Settings,
}

impl Ends {
    /// Which worker these belong to.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }
}

/// A ring from each of `workers` to each other, for one port; the ends of each worker, in order.
/// One worker has none.
///
/// # Errors
/// When the settings are out of their bounds: see [`Settings`].
pub fn mesh(workers: usize, settings: Settings) -> Result<Vec<Ends>, HandoverError> {
    settings.check()?;
    let mut to: Vec<Vec<Option<Producer>>> = (0..workers).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Consumer>> = (0..workers).map(|_| Vec::new()).collect();
    for (writer, to) in to.iter_mut().enumerate() {
        for (reader, from) in from.iter_mut().enumerate() {
            to.push((writer != reader).then(|| {
                let (producer, consumer) = ring::ring(settings);
                from.push(consumer);
                producer
            }));
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    Ok(ends
        .map(|(worker, (to, from))| Ends { worker, to: to.into(), from: from.into(), settings })
        .collect())
}
