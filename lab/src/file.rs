//! A scenario as a file: all that the flags of `compute-gateway lab` say, and what is expected.
//!
//! [`load`] reads one, [`EXAMPLE`] explains every key. The file's values mean what the flags' mean:
//! the same code reads them. Everything that is wrong with a file is shown at once, each with line
//! and remedy.

use std::path::Path;

use config::{Diagnostics, Source};

use crate::experiment::Experiment;

mod expectations;
mod keys;
mod read;

/// A commented scenario that shows every key.
pub const EXAMPLE: &str = include_str!("file/example.toml");

/// Reads a file. A relative path of a capture begins where the file is.
///
/// # Errors
/// A file that cannot be read, and everything that is wrong with it.
pub fn load(path: &Path) -> Result<Experiment, Diagnostics> {
    of(&Source::load(path)?)
}

/// Reads a text. `name` is what messages call it, `folder` is where relative paths in it begin.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Experiment, Diagnostics> {
    of(&Source::new(text, name, folder)?)
}

fn of(source: &Source) -> Result<Experiment, Diagnostics> {
    let read = source.read(|root, report| read::read(root, source.folder(), report));
    // Nothing in a scenario is doubtful: there are no warnings.
    read.map(|(experiment, _)| experiment)
}

#[cfg(test)]
mod tests;
