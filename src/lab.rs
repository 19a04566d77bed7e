//! `compute-gateway lab`: two gateways and a wide area in virtual time.
//!
//! Flags or a file make an [`Experiment`]; running it makes an [`Outcome`] a seed; these are shown,
//! and what was expected of them decides how the command ends.

mod expectations;
mod flags;
mod plot;
mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lab::{Experiment, LabError, Outcome, Seeds, SiteError, TapsError};

use crate::cli::Exit;
use crate::report::{self, Progress};

/// Try a network: two gateways with a wide area between them, in virtual time.
///
/// Two sites play a capture through the same gateway code that runs live: each host sends its
/// frames in the capture's order and with its gaps, never before those it had received earlier in
/// the capture have been delivered to it. Or each site has an RNIC, modelled after real ones, and
/// they carry messages as fast as they may. Needs no privileges and no NIC. The same flags, input
/// and seed give the same report, to the byte.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Scenario file, or several: all that the flags say, and what is expected of the report. Beside
    /// it only --seed, --json and --out are taken, and are what counts.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    scenario: Vec<PathBuf>,
    /// Write a scenario file that is valid and documents every key.
    #[arg(long, exclusive = true)]
    scenario_help: bool,
    #[command(flatten)]
    flags: flags::Flags,
    /// Seed of everything that is left to chance; A..B runs all of these, B included, and reports
    /// an array. Without it 1, or what the scenario file says.
    #[arg(long, value_name = "N|A..B")]
    seed: Option<Seeds>,
    /// Directory for what was seen on each link: lan-a.pcap, wan-a.pcap, wan-b.pcap, lan-b.pcap, and
    /// paths.svg, a picture of what each path carried over time.
    /// Of the run with gateways, if there are both.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write JSON instead of a table: an object, or an array of them for several seeds or files.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway lab --input lan.pcap --path wan1,rate=10G,delay=2.5ms,loss=1e-3 --compare
  compute-gateway lab --input lan.pcap --path p1,delay=5ms,loss=0.01,burst=8 \\
      --path p2,delay=9ms,down=1s..1.2s --seed 1..20 --json
  compute-gateway lab --input lan.pcap --path p1,delay=20ms --out captures/
  compute-gateway lab --traffic verb=write,qps=16,size=1MiB,messages=64 \\
      --path p1,rate=100G,delay=2.5ms,loss=1e-4 --compare
  compute-gateway lab --traffic verb=mix,qps=4,messages=64,recreate=16 \\
      --path p1,rate=10G,delay=1ms,loss=1e-3 --restart a@20ms --replay-bytes 1MiB
  compute-gateway lab --scenario-help > mine.toml
  compute-gateway lab --scenario mine.toml --seed 1..20

Exit status: 0 done, and what was expected holds; 1 it does not, a gateway lost a buffer, traffic did
not end, or a file could not be written; 2 usage, a scenario file that is wrong, or the capture could
not be read to its end: what could be read was played all the same. Losses are no failure here: they
are what the report is about.";

impl Args {
    /// The seeds that the flags ask for.
    fn seeds(&self) -> Seeds {
        self.seed.unwrap_or(Seeds::one(1))
    }

    /// What is to be run: what the flags say, or each of the files.
    fn jobs(&self) -> Result<Vec<Job>, Exit> {
        let mut jobs = match self.scenario.as_slice() {
            [] => vec![Job { file: None, experiment: self.flags.experiment(self.seeds()) }],
            files => files.iter().map(|file| Job::load(file)).collect::<Result<_, _>>()?,
        };
        for Job { experiment, .. } in &mut jobs {
            experiment.seeds = self.seed.unwrap_or(experiment.seeds);
            experiment.scenario.seed = experiment.seeds.first();
            experiment.scenario.out.clone_from(&self.out);
        }
        let one = matches!(jobs.as_slice(), [job] if job.experiment.seeds.is_one());
        if self.out.is_some() && !one {
            report::complain("--out takes what one seed did: give one --seed, and one --scenario");
            return Err(Exit::Refused);
        }
        Ok(jobs)
    }
}

/// What is to be run, and the file that says it, if one does.
struct Job {
    file: Option<PathBuf>,
    experiment: Experiment,
}

/// A run, what it is a run of, and what it took here.
struct Run<'a> {
    job: &'a Job,
    outcome: Outcome,
    wall_seconds: f64,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    if args.scenario_help {
        return report::print(|output| output.write_all(lab::file::EXAMPLE.as_bytes()));
    }
    let jobs = match args.jobs() {
        Ok(jobs) => jobs,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new();
    let (mut runs, mut exit) = (Vec::new(), Exit::Fine);
    for job in &jobs {
        match job.run(&mut progress) {
            Ok(more) => runs.extend(more),
            Err(failed) => exit = exit.and(failed),
        }
    }
    progress.clear();
    if runs.is_empty() {
        return exit;
    }
    let drawn = draw(args, &runs);
    let printed = report::print(|output| write(output, args.json, &jobs, &runs));
    exit.and(drawn).and(printed).and(judge(&runs))
}

/// Draws what the paths of the only run carried, beside its captures.
fn draw(args: &Args, runs: &[Run<'_>]) -> Exit {
    let (Some(folder), [run]) = (&args.out, runs) else { return Exit::Fine };
    match plot::write_picture(folder, &run.outcome.report) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            report::complain(&format!("{}: {error}", folder.display()));
            Exit::Failed
        }
    }
}

impl Job {
    fn load(file: &Path) -> Result<Self, Exit> {
        match lab::file::load(file) {
            Ok(experiment) => Ok(Self { file: Some(file.to_owned()), experiment }),
            Err(errors) => {
                report::complain(&errors.to_string());
                Err(Exit::Refused)
            }
        }
    }

    /// What messages call it, with a colon behind; nothing where flags say it.
    fn name(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| format!("{}: ", file.display()))
    }

    /// Runs all seeds. Where one has no report, there are none at all.
    fn run(&self, progress: &mut Progress) -> Result<Vec<Run<'_>>, Exit> {
        let seeds = self.experiment.seeds;
        let run = |seed| {
            progress.step(|| format!("{}seed {seed} of {seeds}", self.name()));
            let started = Instant::now();
            let outcome = self.experiment.run(seed);
            let wall_seconds = started.elapsed().as_secs_f64();
            outcome.map(|outcome| Run { job: self, outcome, wall_seconds })
        };
        seeds.all().map(run).collect::<Result<_, _>>().map_err(|error| {
            progress.clear();
            report::complain(&format!("{}{error}", self.name()));
            exit_of(&error)
        })
    }
}

/// Input and settings are the user's to mend; the rest is a failure of the run.
fn exit_of(error: &LabError) -> Exit {
    match error {
        LabError::Input(_)
        | LabError::NoPath
        | LabError::UnknownTenant(_)
        | LabError::TooMany(_)
        | LabError::Site(SiteError::Settings(_))
        | LabError::Output(TapsError::Input(_)) => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Shows the runs: all of one, a line of each of several, and only what was expected of several
/// files. One seed of one file is an object in JSON.
fn write(output: &mut dyn Write, json: bool, jobs: &[Job], runs: &[Run<'_>]) -> io::Result<()> {
    let outcomes = || runs.iter().map(|run| &run.outcome).collect::<Vec<_>>();
    match (json, jobs, runs) {
        (true, [_], [run]) => report::write_json(output, &run.outcome),
        (true, ..) => report::write_json(output, &outcomes()),
        (false, [_], [run]) => {
            table::write_run(output, run)?;
            expectations::write_one(output, &run.outcome)
        }
        (false, [_], runs) => {
            table::write_runs(output, runs)?;
            expectations::write_seeds(output, runs)
        }
        (false, _, runs) => expectations::write_files(output, runs),
    }
}

/// Says what is wrong with the runs, and how the command ends for it.
fn judge(runs: &[Run<'_>]) -> Exit {
    let gateways = runs.iter().filter_map(|run| run.outcome.report.gateways.as_ref());
    if gateways.map(|both| both.a.buffers_leaked + both.b.buffers_leaked).sum::<u32>() > 0 {
        report::complain("a gateway ended with buffers that did not come home: please report this");
        return Exit::Failed;
    }
    if expectations::complain(runs) > 0 {
        return Exit::Failed;
    }
    // All runs of a job read the same input.
    let mut exit = Exit::Fine;
    for alike in runs.chunk_by(|left, right| std::ptr::eq(left.job, right.job)) {
        for error in alike.iter().take(1).flat_map(|run| &run.outcome.report.errors) {
            report::complain(&format!("{}{error}", alike[0].job.name()));
            exit = Exit::Refused;
        }
    }
    exit
}
