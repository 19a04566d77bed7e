//! A network in a box, in virtual time; and its wire, [`wire`], in real time as well.
#![forbid(unsafe_code)]

mod command;
pub mod draw;
pub mod events;
mod hosts;
pub mod ledger;
pub mod link;
mod network;
mod numbers;
mod path;
mod play;
pub mod random;
pub mod report;
mod restart;
pub mod rnic;
mod run;
mod scenario;
mod site;
pub mod stream;
mod taps;
pub mod traffic;
pub mod wire;

pub use path::PathError;
pub use report::Report;
pub use restart::{Restart, RestartError};
pub use run::{LabError, run};
pub use scenario::{Bounds, Capture, PathScenario, Scenario, Source};
pub use site::SiteError;
pub use taps::TapsError;
pub use traffic::Traffic;
