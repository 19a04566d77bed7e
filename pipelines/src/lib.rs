//! Decides about packets, without input or output of its own.
#![forbid(unsafe_code)]
pub mod wire;
