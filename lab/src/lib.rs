//! A network in a box, in virtual time.
#![forbid(unsafe_code)]

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
pub mod rnic;
mod run;
mod scenario;
mod site;
pub mod stream;
mod taps;
pub mod traffic;

pub use path::PathError;
pub use report::Report;
pub use run::{LabError, run};
pub use scenario::{Bounds, Capture, PathScenario, Scenario, Source};
pub use site::SiteError;
pub use taps::TapsError;
pub use traffic::Traffic;
