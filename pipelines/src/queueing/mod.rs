//! A queue for each tenant and class before a port: what they may hold, and who leaves next.
//!
//! ```text
//! enqueue -> Buffer: room? -> a queue a tenant and class -> Rings: whose turn? -> dequeue
//!               |                     ^ pause, resume            ^ Shaper a tenant, and of the port
//!               Xoff, Xon: whoever feeds the queue stops, goes on
//! ```
//! Signalling leaves first. Then tenants take turns, each as much as its weight says, its latency
//! class before its bulk. A tenant without credit, or all of whose queues are paused, takes no turn,
//! and nobody waits for it. Packets are referred to, never copied; nothing is allocated after the
//! start, and whatever happens costs the same among four tenants and among four thousand.

mod buffer;
mod class;
mod fifo;
mod marking;
mod ring;
mod scheduler;
mod shaper;
mod shares;
#[cfg(test)]
mod tests;

pub use buffer::{Buffer, Crossing, Level, PoolExceeded, Refusal, Thresholds};
pub use class::{CLASSES, Class, Classes};
pub use marking::{Draws, Marking};
pub use scheduler::{Dequeued, Enqueued, Queues, QueuesSettings, TenantQueues};
pub use shaper::{Credit, Rate, Shaper};
pub use shares::{Share, Shares};
