//! The typed configuration of `compute-gateway`.
#![forbid(unsafe_code)]
