//! What the benches share: loads of flow tables and queues. Gateways over in-memory ports, and traffic
//! for them, are [`lab::pair`]s.
#![forbid(unsafe_code)]

pub mod flows;
pub mod queues;
