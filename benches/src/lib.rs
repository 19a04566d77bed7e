//! Benches: see the targets in this folder.
#![forbid(unsafe_code)]
