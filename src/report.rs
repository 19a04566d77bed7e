//! Output for people and for programs: tables, JSON, progress.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::Exit;

/// Writes a report to standard output, buffered.
///
/// A reader that closes the pipe early (`| head`) has seen enough: that is no failure. Any other
/// failure to write is said on standard error.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Exit {
    let mut output = BufWriter::new(io::stdout().lock());
    match write(&mut output).and_then(|()| output.flush()) {
        Ok(()) => Exit::Fine,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left in the buffer has nowhere to go; dropping would try again.
            let _ = output.into_parts();
            Exit::Fine
        }
        Err(error) => {
            let _ = output.into_parts();
            complain(&format!("cannot write the report: {error}"));
            Exit::Failed
        }
    }
}

/// Writes a report as JSON, indented, with a line end.
pub(crate) fn write_json(output: &mut dyn Write, report: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, report)?;
    writeln!(output)
}

/// Says one thing on standard error. Nobody listening there is no reason to stop.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "compute-gateway: {message}");
}

/// How a column of a [`Table`] lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table whose columns are as wide as their widest cell.
pub(crate) struct Table<const N: usize> {
    align: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings and nothing below them.
    pub(crate) fn new(columns: [(&str, Align); N]) -> Self {
        Table {
            align: columns.map(|(_, align)| align),
            rows: vec![columns.map(|(heading, _)| heading.to_owned())],
        }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Writes the table, each line after `indent` spaces and without spaces at its end.
    pub(crate) fn write(&self, output: &mut dyn Write, indent: usize) -> io::Result<()> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for ((cell, width), align) in row.iter().zip(widths).zip(self.align) {
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number of bytes in four characters or so: `812`, `1.3K`, `64M`.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        return count.to_string();
    }
    let (mut value, mut unit) = (count as f64, ' ');
    for next in ['K', 'M', 'G', 'T', 'P', 'E'] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// A line on standard error that says how far a long work is; only where a person may see it.
pub(crate) struct Progress {
    shown: bool,
    next: Option<Instant>,
}

/// Short works say nothing, long ones now and then.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

impl Progress {
    pub(crate) fn new() -> Self {
        let watched = io::stderr().is_terminal();
        Progress { shown: false, next: watched.then(|| Instant::now() + PROGRESS_EVERY) }
    }

    /// Shows the line if it is time to. Reads the clock, so call it once in some thousand steps.
    pub(crate) fn step(&mut self, line: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now >= next) {
            self.next = Some(now + PROGRESS_EVERY);
            self.shown = true;
            let _ = write!(io::stderr(), "\r\x1b[K{}", line());
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_take_the_widest_cell() {
        let mut table = Table::new([("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["a".into(), "1000".into()]);
        let mut output = Vec::new();
        table.write(&mut output, 1).unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), " NAME     N\n a     1000\n");
    }

    #[test]
    fn bytes_are_short() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (9_940, "9.9K"),
            (12_345, "12K"),
            (999_499, "999K"),
            (999_500, "1.0M"),
            (u64::MAX, "18E"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
