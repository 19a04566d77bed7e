//! The typed configuration of `compute-gateway`.
#![forbid(unsafe_code)]

pub mod units;
