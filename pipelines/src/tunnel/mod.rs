//! What the two gateways say to each other across the WAN: the tunnel header, the outer headers
//! around it, and authenticated control messages.

pub mod auth;
pub mod control;
pub mod ecn;
pub mod header;
pub mod label;
pub mod outer;
pub mod srv6;
pub mod stops;
pub mod streams;
