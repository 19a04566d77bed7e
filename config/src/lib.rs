//! The typed configuration of `compute-gateway`.
#![forbid(unsafe_code)]

pub mod mac;
pub mod prefix;
pub mod units;
