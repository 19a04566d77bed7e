//! A network in a box, in virtual time.
#![forbid(unsafe_code)]

mod queue;
mod rng;
