//! A network in a box, in virtual time.
#![forbid(unsafe_code)]

pub mod events;
pub mod ledger;
pub mod link;
pub mod random;
pub mod stream;
