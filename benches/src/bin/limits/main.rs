//! Goodput and completion times against loss, with gateways and without, beside what is possible.
//!
//! `limits DIRECTORY` writes `limits.md` and `limits.svg` there; they are the same each time.
//! `limits DIRECTORY PART` has each run send one part in `PART` of its messages: to try it out, for
//! start and end then weigh more than they should.
#![forbid(unsafe_code)]

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

mod formula;
mod matrix;
mod page;
mod plot;
mod results;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, part) = match &arguments[..] {
        [directory] => (directory, Some(1)),
        [directory, part] => (directory, part.parse().ok().filter(|&part| part > 0)),
        _ => return usage(),
    };
    let Some(part) = part else { return usage() };
    match measure(Path::new(directory), part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("limits DIRECTORY [PART]: run all, or one part in PART of each run");
    ExitCode::from(2)
}

fn measure(directory: &Path, part: u32) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let watched = std::io::stderr().is_terminal();
    let outcomes = matrix::run(part, |done, all, outcome| {
        if !watched {
            return;
        }
        let case = outcome.case;
        eprintln!(
            "{done:3} of {all}, {:4} s: {:11} {:4} km {:2} QPs loss {:5} burst {}: {:.2} Gbit/s",
            start.elapsed().as_secs(),
            case.mode.name(),
            case.km,
            case.qps,
            results::loss(case.loss),
            case.burst.unwrap_or(1.0),
            outcome.goodput,
        );
    })?;
    let results = results::Results::new(outcomes);
    fs::write(directory.join("limits.md"), page::page(&results))?;
    fs::write(directory.join("limits.svg"), plot::plot(&results))?;
    Ok(())
}
