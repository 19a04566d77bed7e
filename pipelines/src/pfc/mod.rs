//! Priority flow control with the next station of a port (IEEE 802.1Q, clause 36), or PAUSE where
//! that is all it knows (IEEE 802.3, annex 31B). The frames are those of [`crate::wire::pfc`].
//!
//! | | |
//! | --- | --- |
//! | [`Sender`] | what is to be held back for our sake, and the frames that are due for it |
//! | [`Receiver`] | what we hold back for the next station's sake |
//! | [`Claims`], [`Board`] | who of us wants what held back: queues of a worker, workers of a gateway |
//!
//! Both let go of what is held for longer than a limit without a break, and rest: a NIC that is
//! broken pauses for ever, and all that share its priority, at every port that leads to it, would
//! wait with it.

mod board;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use dataplane::time::{Nanos, SECOND};

pub use board::{Board, Claims, SPEAKER};
pub use receiver::{Changed, Heard, Receiver};
pub use sender::{Mode, Said, Sender, SenderSettings};

/// Priorities of a port.
pub const PRIORITIES: usize = 8;

/// Bits in a quantum.
const QUANTUM_BITS: u64 = 512;

/// How long so many quanta last at a port of `rate` bits a second, rounded up: who pauses for it
/// does so for no less. At a rate of 0, which is none, for ever.
#[must_use]
pub fn duration(quanta: u16, rate: u64) -> Nanos {
    let bits = u128::from(u64::from(quanta) * QUANTUM_BITS) * u128::from(SECOND);
    match rate {
        0 => Nanos::MAX,
        _ => u64::try_from(bits.div_ceil(u128::from(rate))).unwrap_or(u64::MAX),
    }
}
