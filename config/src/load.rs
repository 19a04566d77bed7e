//! From a file or a text to a checked configuration.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml_edit::{Document, TomlError};

use crate::check::check;
use crate::diagnostic::{Diagnostic, Diagnostics, Report};
use crate::model::Config;
use crate::read::read;

/// Largest configuration that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

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
        if text.len() > MAX_BYTES {
            return Err(too_large(file_name));
        }
        let mut report = Report::new(file_name, text);
        let config = match Document::parse(text) {
            Ok(document) => {
                let draft = read(document.as_table(), folder, &mut report);
                check(&draft, &mut report)
            }
            Err(error) => {
                report_syntax(&error, text, &mut report);
                None
            }
        };
        let warnings = report.finish()?;
        // Parts are left out only with an error reported; this is for a reader that forgot to.
        let incomplete = || {
            let remedy = "please report it, with the file".to_string();
            Diagnostics::whole_file(file_name, "incomplete for an unknown reason".into(), remedy)
        };
        Ok(Checked { config: config.ok_or_else(incomplete)?, warnings })
    }

    /// Reads a file of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// A file that cannot be read, is too large or is not UTF-8; then as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Checked, Diagnostics> {
        let name = path.display().to_string();
        let bytes = read_bytes(path).map_err(|error| {
            let remedy = "name a readable file".to_string();
            Diagnostics::whole_file(&name, format!("cannot read it: {error}"), remedy)
        })?;
        if bytes.len() > MAX_BYTES {
            return Err(too_large(&name));
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(&name, &bytes, error.valid_up_to())),
        };
        Self::parse(text, &name, path.parent().unwrap_or(Path::new("")))
    }

    /// A commented configuration that shows every key. It has no errors and no warnings.
    #[must_use]
    pub fn example() -> &'static str {
        include_str!("../example.toml")
    }
}

/// A file's bytes, at most one more than allowed.
fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(file: &str) -> Diagnostics {
    let what = format!("larger than {MAX_BYTES} bytes");
    Diagnostics::whole_file(file, what, "a configuration is a few kilobytes: is it one?".into())
}

/// The error for a file that is UTF-8 only up to some byte.
fn not_utf8(file: &str, bytes: &[u8], valid: usize) -> Diagnostics {
    let before = bytes.get(..valid).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let mut report = Report::new(file, before.unwrap_or(""));
    report.error(valid, "not UTF-8 from here on", "save the file as UTF-8");
    match report.finish() {
        Err(diagnostics) => diagnostics,
        Ok(_) => Diagnostics::whole_file(file, "not UTF-8".into(), "save it as UTF-8".into()),
    }
}

fn report_syntax(error: &TomlError, text: &str, report: &mut Report<'_>) {
    let at = error.span().map_or(text.len(), |span| span.start);
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let remedy = if message.contains("duplicate key") {
        "write each key once in a section, and [[...]] for sections there are several of"
    } else {
        "write key = value, one a line; texts and values with units in double quotes"
    };
    report.error(at, format!("not TOML: {message}"), remedy);
}
