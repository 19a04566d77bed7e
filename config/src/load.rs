//! From a file or a text to a checked configuration.

use std::path::Path;

use crate::check::check;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Config;
use crate::read::read;
use crate::source::Source;

/// A configuration without errors, and what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Doubtful, but allowed; by line.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads a text. `file_name` is what messages call it, `folder` is where relative paths in it
    /// begin; key files are read from there.
    ///
    /// # Errors
    /// Everything that is wrong with the text, at once. A text that is no TOML has one error, the
    /// first place where it is not.
    pub fn parse(text: &str, file_name: &str, folder: &Path) -> Result<Checked, Diagnostics> {
        Self::read(&Source::new(text, file_name, folder)?)
    }

    /// Reads a file of at most [`MAX_BYTES`](crate::MAX_BYTES).
    ///
    /// # Errors
    /// A file that cannot be read, is too large or is not UTF-8; then as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Checked, Diagnostics> {
        Self::read(&Source::load(path)?)
    }

    pub(crate) fn read(source: &Source) -> Result<Checked, Diagnostics> {
        let (config, warnings) = source.read(|document, report| {
            let draft = read(document, source.folder(), report);
            check(&draft, report)
        })?;
        Ok(Checked { config, warnings })
    }

    /// A commented configuration that shows every key. It has no errors and no warnings.
    #[must_use]
    pub fn example() -> &'static str {
        include_str!("../example.toml")
    }
}
