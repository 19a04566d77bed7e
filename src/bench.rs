//! `compute-gateway bench`: what packets cost on this machine.
//!
//! The worker that runs live, with its gateway, between rings in memory: two of them, with a wide
//! area in virtual time between. Only the rounds of the workers are measured, and beside them, in
//! turn, the rounds of a worker that only forwards: the floor.

mod floor;
mod measure;
mod report;
mod setup;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cli::Exit;
use crate::configuration;
use crate::report::{Progress, complain, print, write_json};
use report::{Report, Size};
use setup::Setup;

/// Measure what packets cost on this machine, one core at a time
///
/// Two gateways between rings in memory carry RDMA WRITEs of several sizes over a wide area with a
/// round trip of 5 ms: without loss, and with one packet in a hundred lost and repaired. Packets a
/// second, nanoseconds and cycles are those of one gateway's core in one direction. Beside them, in
/// the same run, is the floor: the same frames through the same rings and worker, only forwarded.
/// What a NIC and its driver cost is not in it. Needs no privileges and no NIC.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Seconds to measure for, all sizes together; getting ready takes some more.
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0, value_parser = seconds)]
    seconds: f64,
    /// Measure with the settings of this configuration: tenants, queues, backpressure, flows,
    /// checksums, and how its first peer is numbered and carried. Bounds of memory and rates are
    /// lifted. Without it, a plain tunnel that follows flows.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write JSON instead of tables for people.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway bench
  compute-gateway bench --config site-a.toml --seconds 30
  taskset -c 3 compute-gateway bench --json > bench.json

Other work on the core, and a changing clock, show in the figures: keep the core free, and compare
ratios rather than times. Cycles are those of the processor's time-stamp counter.

Exit status: 0 measured; 1 a gateway did not carry all packets; 2 usage or configuration.";

/// Bytes of payload a packet: small ones, and the path MTUs that RNICs have.
const PAYLOADS: [usize; 3] = [64, 1_024, 4_096];

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "has to be 0.01 to 3600".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let config = match args.config.as_deref().map(configuration::load).transpose() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut progress = Progress::new();
    let hertz = measure::cycles_per_second();
    let share = Duration::from_secs_f64(args.seconds / PAYLOADS.len() as f64);
    let begun = Instant::now();
    let mut sizes = Vec::new();
    for payload in PAYLOADS {
        let setup = Setup::new(config.as_ref(), payload);
        let elapsed = || format!("{payload} B of payload, {:.0} s", begun.elapsed().as_secs_f64());
        match measure::run(&setup, share, &mut || progress.step(elapsed)) {
            Ok(measured) => sizes.push(Size::new(&setup, &measured, hertz)),
            Err(error) => {
                progress.clear();
                complain(&error.to_string());
                return Exit::Refused;
            }
        }
    }
    progress.clear();
    let report = Report::new(args, config.as_ref(), hertz, sizes);
    let printed = print(|output| match args.json {
        true => write_json(output, &report),
        false => report.write_tables(output),
    });
    let faults = report.faults();
    faults.iter().for_each(|fault| complain(fault));
    if faults.is_empty() { printed } else { Exit::Failed }
}
