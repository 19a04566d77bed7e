//! What the benches share: frames, flow tables, a pair of gateways over in-memory ports, and traffic for them.
#![forbid(unsafe_code)]

pub mod flows;
pub mod frames;
pub mod pair;
pub mod queues;
pub mod traffic;
