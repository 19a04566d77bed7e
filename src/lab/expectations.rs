//! What scenario files expect, for people: all of it with what was seen, and what does not hold.

use std::io::{self, Write};
use std::path::Path;

use lab::Outcome;
use lab::expect::Verdict;

use super::Run;
use crate::report::{self, Align, Table};

/// Expectations, each with its field, its comparison, what was seen, and whether it holds.
const COLUMNS: [(&str, Align); 4] =
    [("EXPECTED", Align::Left), ("", Align::Left), ("SEEN", Align::Right), ("HOLDS", Align::Left)];

fn cells(verdict: &Verdict) -> [String; 4] {
    let holds = if verdict.holds() { "yes" } else { "NO" };
    [verdict.field.clone(), verdict.comparison.to_string(), verdict.seen(), holds.to_owned()]
}

/// Those of one run; nothing where nothing is expected.
pub(super) fn write_one(output: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    if outcome.expectations.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(COLUMNS);
    outcome.expectations.iter().for_each(|verdict| table.row(cells(verdict)));
    writeln!(output)?;
    table.write(output, 0)
}

/// Those of each seed; nothing where nothing is expected.
pub(super) fn write_seeds(output: &mut dyn Write, runs: &[Run<'_>]) -> io::Result<()> {
    if runs.iter().all(|run| run.outcome.expectations.is_empty()) {
        return Ok(());
    }
    writeln!(output)?;
    let seed = |run: &Run<'_>| run.outcome.report.seed.to_string();
    write_with(output, ("SEED", Align::Right), runs, seed)
}

/// Those of each file.
pub(super) fn write_files(output: &mut dyn Write, runs: &[Run<'_>]) -> io::Result<()> {
    write_with(output, ("SCENARIO", Align::Left), runs, |run| {
        let stem = run.job.file.as_deref().and_then(Path::file_stem);
        let name = stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        match run.job.experiment.seeds.is_one() {
            true => name,
            false => format!("{name}, seed {}", run.outcome.report.seed),
        }
    })
}

/// A line for each expectation, the first of a run with its name; a run of which nothing is expected
/// has one, too.
fn write_with(
    output: &mut dyn Write,
    heading: (&str, Align),
    runs: &[Run<'_>],
    name: impl Fn(&Run<'_>) -> String,
) -> io::Result<()> {
    let [field, comparison, seen, holds] = COLUMNS;
    let mut table = Table::new([heading, field, comparison, seen, holds]);
    for run in runs {
        let mut name = name(run);
        for verdict in &run.outcome.expectations {
            let [field, comparison, seen, holds] = cells(verdict);
            table.row([std::mem::take(&mut name), field, comparison, seen, holds]);
        }
        if run.outcome.expectations.is_empty() {
            let nothing = String::new();
            table.row([name, "nothing".into(), nothing.clone(), nothing.clone(), nothing]);
        }
    }
    table.write(output, 0)
}

/// Says what does not hold, and the command that shows it again. How much that is.
pub(super) fn complain(runs: &[Run<'_>]) -> usize {
    let mut failures = 0;
    for run in runs {
        let Some(file) = &run.job.file else { continue };
        for verdict in run.outcome.failures() {
            let (file, seed) = (file.display(), run.outcome.report.seed);
            let again = format!("compute-gateway lab --scenario {file} --seed {seed}");
            report::complain(&format!("{file}:{}: {verdict}\n    again: {again}", verdict.line));
            failures += 1;
        }
    }
    failures
}
