//! The gateway.
mod settings;
pub use settings::*;
