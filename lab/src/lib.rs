//! A network in a box, in virtual time; and its wire, [`wire`], in real time as well.
#![forbid(unsafe_code)]

mod alone;
pub mod chart;
mod command;
pub mod draw;
pub mod events;
pub mod expect;
mod experiment;
pub mod file;
mod hosts;
pub mod ledger;
pub mod link;
mod network;
mod numbers;
mod path;
mod pause;
mod play;
pub mod random;
pub mod report;
mod restart;
pub mod rnic;
mod run;
mod scenario;
mod seeds;
mod site;
pub mod stream;
mod taps;
mod tenant;
mod timeline;
pub mod traffic;
mod way;
pub mod wire;

pub use alone::Alone;
pub use experiment::{Experiment, Outcome};
pub use path::PathError;
pub use pause::{PRIORITY, Pause, PauseError};
pub use report::Report;
pub use restart::{Restart, RestartError};
pub use run::{LabError, run};
pub use scenario::{Bounds, Capture, MODES, MTU, PathScenario, Scenario, Source};
pub use seeds::Seeds;
pub use site::SiteError;
pub use taps::TapsError;
pub use tenant::{TenantError, TenantScenario};
pub use traffic::Traffic;
pub use way::Way;
