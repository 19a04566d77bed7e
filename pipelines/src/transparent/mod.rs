//! Transparent numbering: not a byte is added to a packet, its PSN is the number.
//!
//! ```text
//! send side, a stream                      receive side, a stream
//! [outbound] remembers what was sent       [inbound] finds what is missing by PSN, keeps the order
//!            announces its streams   --->            [owed]: what must come of responses
//!            answers requests, frees   <---          asks for PSNs, confirms
//! ```
//! A stream is the requests to one queue pair, or the responses to it; [`number`] reads which and
//! where. Requests are dense: every PSN is a packet or inside the span of a READ. Responses are not:
//! what must come of them follows from the READs and atomics that went the other way, and where
//! those are not known nothing is held and nothing guessed. A packet that has a number only if the
//! RNIC went back, or if another life began, waits until that is announced, and goes if it is not.
//! What is not of a reliable connection
//! has no number that would show its loss.

pub(crate) mod entropy;
mod extend;
pub(crate) mod inbound;
pub(crate) mod log;
pub(crate) mod number;
pub(crate) mod outbound;
pub(crate) mod owed;
mod strangers;
pub(crate) mod stream;
pub(crate) mod table;

/// A PSN further from the expected one than this is of another life of its queue pair, or nobody's.
pub(crate) const WINDOW: i32 = 1 << 20;
