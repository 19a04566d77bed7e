//! What is wrong with a file, where, and what to do about it.

use std::fmt;

/// One finding in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1; 0 when the finding concerns the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 when the finding concerns the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}\n    remedy: {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with a file, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    findings: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// The findings, by line. A file with very many has only the first hundred found here.
    #[must_use]
    pub fn findings(&self) -> &[Diagnostic] {
        &self.findings
    }

    /// One finding about the file as a whole.
    pub fn whole_file(file: &str, what: String, remedy: String) -> Self {
        let finding = Diagnostic { file: file.to_string(), line: 0, column: 0, what, remedy };
        Self { findings: vec![finding], dropped: 0 }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        if self.dropped > 0 {
            write!(f, "\nand {} more", self.dropped)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Findings kept of each kind: a hostile file could make a million.
const MAX_FINDINGS: usize = 100;

/// Collects findings by their byte offset while a file is read.
pub struct Report<'a> {
    file: &'a str,
    text: &'a str,
    /// Byte offsets at which lines end.
    newlines: Vec<usize>,
    errors: Findings,
    warnings: Findings,
}

#[derive(Default)]
struct Findings {
    kept: Vec<(usize, String, String)>,
    dropped: usize,
}

impl Findings {
    fn push(&mut self, at: usize, what: String, remedy: String) {
        if self.kept.len() < MAX_FINDINGS {
            self.kept.push((at, what, remedy));
        } else {
            self.dropped += 1;
        }
    }
}

impl<'a> Report<'a> {
    /// For a file of this name and text.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { file, text, newlines, errors: Findings::default(), warnings: Findings::default() }
    }

    /// Adds an error at a byte offset.
    pub fn error(&mut self, at: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(at, what.into(), remedy.into());
    }

    /// Adds a warning at a byte offset.
    pub fn warn(&mut self, at: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(at, what.into(), remedy.into());
    }

    /// The line of a byte offset, from 1, for messages that point to a second place.
    pub fn line(&self, at: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < at)
    }

    /// The column of a byte offset in characters, from 1.
    fn column(&self, at: usize) -> usize {
        let ended = self.line(at) - 1;
        let last = ended.checked_sub(1).and_then(|index| self.newlines.get(index));
        let start = last.map_or(0, |newline| newline + 1);
        1 + self.text.get(start..at).unwrap_or("").chars().count()
    }

    /// The warnings, if there were no errors.
    ///
    /// # Errors
    /// All errors, by line.
    pub fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        if self.errors.kept.is_empty() {
            return Ok(self.place(&self.warnings));
        }
        Err(Diagnostics { findings: self.place(&self.errors), dropped: self.errors.dropped })
    }

    fn place(&self, findings: &Findings) -> Vec<Diagnostic> {
        let mut sorted: Vec<_> = findings.kept.iter().collect();
        sorted.sort_by_key(|(at, ..)| *at);
        let place = |(at, what, remedy): &(usize, String, String)| {
            let (line, column) = (self.line(*at), self.column(*at));
            let (what, remedy) = (what.clone(), remedy.clone());
            Diagnostic { file: self.file.to_string(), line, column, what, remedy }
        };
        sorted.into_iter().map(place).collect()
    }
}

/// A foreign text as messages show it: on one line, and not without end.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means a known name by a text much longer than any: and the distance costs time.
    if word.chars().count() > 64 {
        return None;
    }
    let allowed = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance: insertions, deletions and substitutions between two words.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let above = *cell;
            *cell = (diagonal + usize::from(left != right)).min(above + 1).min(before + 1);
            diagonal = above;
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let report = Report::new("", "a = 1\nß = 2\n");
        let position = |at| (report.line(at), report.column(at));
        assert_eq!(position(0), (1, 1));
        assert_eq!(position(5), (1, 6));
        assert_eq!(position(6), (2, 1));
        assert_eq!(position(9), (2, 3));
        assert_eq!(position(999), (3, 1));
    }

    #[test]
    fn the_nearest_name_is_found() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("adress", ["name", "address", "mtu"]), Some("address"));
        assert_eq!(nearest("colour", ["name", "address", "mtu"]), None);
    }

    #[test]
    fn foreign_text_is_shown_on_one_line_and_cut() {
        assert_eq!(quoted("a\n\u{1b}"), "\"a\\n\\u{1b}\"");
        assert_eq!(quoted(&"x".repeat(64)), format!("\"{}\"", "x".repeat(64)));
        assert_eq!(quoted(&"x".repeat(65)), format!("\"{}...\"", "x".repeat(64)));
    }

    #[test]
    fn very_many_findings_are_counted() {
        let mut report = Report::new("f.toml", "x\ny");
        for _ in 0..MAX_FINDINGS + 7 {
            report.error(2, "bad", "good");
        }
        let errors = report.finish().unwrap_err();
        assert_eq!(errors.findings().len(), MAX_FINDINGS);
        assert!(errors.to_string().starts_with("f.toml:2:1: bad\n    remedy: good\n"));
        assert!(errors.to_string().ends_with("\nand 7 more"));
    }
}
