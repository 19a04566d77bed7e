//! A network in a box, in virtual time.
#![forbid(unsafe_code)]

pub mod events;
pub mod ledger;
pub mod link;
mod path;
pub mod random;
mod scenario;
mod site;
pub mod stream;

pub use path::PathError;
pub use scenario::{Bounds, PathScenario, Scenario};
pub use site::SiteError;
