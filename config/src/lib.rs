//! The typed configuration of `compute-gateway`: a TOML file, read once into an immutable value.
//!
//! Unknown keys are refused, values carry units, and everything that is wrong with a file is shown
//! at once, each with file, line, column and a remedy. Start at [`Config::load`]. Other files of the
//! project are read the same way: [`Source`] and [`document`].
#![forbid(unsafe_code)]

pub mod advice;
mod backpressure;
mod check;
mod check_driver;
mod check_memory;
mod check_peers;
mod check_queues;
mod check_sizes;
mod check_srv6;
mod check_tenants;
mod classes;
pub mod diagnostic;
pub mod document;
mod draft;
pub mod in_force;
pub mod keys;
mod load;
pub mod mac;
pub mod marking;
pub mod model;
pub mod prefix;
mod read;
mod read_flows;
mod read_paths;
mod read_srv6;
mod read_tenants;
mod reload;
pub mod source;
pub mod units;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use in_force::InForce;
pub use load::Checked;
pub use model::Config;
pub use source::{MAX_BYTES, Source};
