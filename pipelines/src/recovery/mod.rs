//! Loss recovery: numbering, replay, gaps, order.
//!
//! ```text
//! send side, a channel                    receive side, a channel        a peer
//! [replay] remembers what was sent  --->  [holes] finds what is missing  [order] keeps each lane
//!          answers NACKs, frees on ACK <-         and when to ask                in order
//! ```
//! Nothing here knows a packet's format or sends anything: [`crate::gateway`] does.

mod ages;
mod confirmations;
mod holes;
mod order;
mod replay;
mod rtt;
mod seq;

pub use confirmations::Confirmations;
pub use holes::{Arrival, Holes, Range};
pub use order::{Bound, Order, OrderLimits, Placement};
pub(crate) use replay::LINE;
pub use replay::{LanePosition, Lookup, Replay, ReplayAccount, ReplayMemory};
pub use rtt::Rtt;
pub use seq::Seq;
