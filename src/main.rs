//! The command line of `compute-gateway`.
#![forbid(unsafe_code)]

fn main() {}
