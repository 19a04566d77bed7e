//! A TOML file as it is read here: of bounded size, and with every mistake in its place.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Table, TomlError};

use crate::diagnostic::{Diagnostic, Diagnostics, Report};

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// A text of at most [`MAX_BYTES`], and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    text: String,
    name: String,
    folder: PathBuf,
}

impl Source {
    /// A text. `name` is what messages call it, `folder` is where relative paths in it begin.
    ///
    /// # Errors
    /// A text that is too large.
    pub fn new(text: &str, name: &str, folder: &Path) -> Result<Self, Diagnostics> {
        if text.len() > MAX_BYTES {
            return Err(too_large(name));
        }
        Ok(Self { text: text.to_owned(), name: name.to_owned(), folder: folder.to_owned() })
    }

    /// Reads a file; relative paths in it begin where it is.
    ///
    /// # Errors
    /// A file that cannot be read, is too large or is not UTF-8.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let bytes = read_bytes(path).map_err(|error| {
            let remedy = "name a readable file".to_string();
            Diagnostics::whole_file(&name, format!("cannot read it: {error}"), remedy)
        })?;
        if bytes.len() > MAX_BYTES {
            return Err(too_large(&name));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::new(text, &name, path.parent().unwrap_or(Path::new(""))),
            Err(error) => Err(not_utf8(&name, &bytes, error.valid_up_to())),
        }
    }

    /// The text itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where relative paths in it begin.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `read` makes of the document, and the warnings.
    ///
    /// # Errors
    /// All errors that `read` reports; of a text that is no TOML the first place where it is not.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Table, &mut Report<'_>) -> Option<T>,
    ) -> Result<(T, Vec<Diagnostic>), Diagnostics> {
        let mut report = Report::new(&self.name, &self.text);
        let made = match Document::parse(self.text.as_str()) {
            Ok(document) => read(document.as_table(), &mut report),
            Err(error) => {
                report_syntax(&error, &self.text, &mut report);
                None
            }
        };
        let warnings = report.finish()?;
        // Parts are left out only with an error reported; this is for a reader that forgot to.
        let incomplete = || {
            let remedy = "please report it, with the file".to_string();
            Diagnostics::whole_file(&self.name, "incomplete for an unknown reason".into(), remedy)
        };
        Ok((made.ok_or_else(incomplete)?, warnings))
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
    Diagnostics::whole_file(file, what, "such files have a few kilobytes: is it one?".into())
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
