//! Decides about packets. Sans-IO: no sockets, no threads, no clock, no sleep; bytes and `now` in,
//! packets and timers out.

#![forbid(unsafe_code)]

pub mod recovery;
