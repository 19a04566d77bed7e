//! `compute-gateway replay`: one gateway, offline, in virtual time: captures in, captures out.

mod ports;
mod report;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use config::model::Config;
use dataplane::memory::Pool;
use dataplane::port::PortError;
use dataplane::time::{Clock, Time};
use dataplane::worker::Worker;
use pipelines::gateway::Gateway;

use self::ports::Captures;
use self::report::Report;
use crate::cli::Exit;
use crate::configuration;
use crate::report::{Progress, complain, print, write_json};
use crate::settings;

/// Run one gateway over captures, offline and in virtual time.
///
/// CAPTURE arrives at a port of the configuration, packet by packet at its capture time; ports
/// with the driver "pcap" bring their own. What leaves by each port is written to a capture.
/// A session needs both ends, so alone a gateway forwards bare; with --assume-peers it behaves as
/// if every peer were there, and the gateway at the other end, replayed the same way, understands
/// what this one sends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What arrives at the port; without it, only ports with the driver "pcap" receive.
    capture: Option<PathBuf>,
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The port that CAPTURE arrives at [default: the first LAN port].
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
    /// Write what leaves by each port to `DIR/PORT.pcap`, instead of where the configuration says.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Behave as if every peer were there.
    #[arg(long)]
    assume_peers: bool,
    /// What chance begins with; the same seed gives the same output.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write JSON instead of tables for people.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway replay lan.pcap --config a.toml --assume-peers --out a/
  compute-gateway replay a/wan.pcap --config b.toml --assume-peers --port wan --out b/

Exit status: 0 done; 1 a capture could not be written; 2 usage, configuration, or a capture could
not be read to its end: what could be read has been replayed all the same.";

/// Rounds between two looks at the clock for progress.
const PROGRESS_ROUNDS: u64 = 1 << 12;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let config = match configuration::load(&args.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let (report, faults) = match replay(args, &config) {
        Ok(done) => done,
        Err(Failure { exit, message }) => {
            complain(&message);
            return exit;
        }
    };
    faults.iter().for_each(|fault| complain(&fault.message));
    let printed = print(|output| match args.json {
        true => write_json(output, &report),
        false => report.write_tables(output),
    });
    // What was to be written and was not weighs more than what could not be read.
    let ended = |exit: &Exit| printed == *exit || faults.iter().any(|fault| fault.exit == *exit);
    [Exit::Failed, Exit::Refused].into_iter().find(ended).unwrap_or(Exit::Fine)
}

/// What went wrong, and what the command ends with because of it.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Usage, configuration or an input is wrong.
    fn refused(message: impl ToString) -> Self {
        Self { exit: Exit::Refused, message: message.to_string() }
    }

    /// The run went wrong, or what it was to write.
    fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }
}

/// Runs the gateway; also returns what went wrong on the way.
fn replay(args: &Args, config: &Config) -> Result<(Report, Vec<Failure>), Failure> {
    let pool = Rc::new(Pool::new(settings::pool(config)).map_err(Failure::refused)?);
    let captures = Captures::new(args, config)?;
    let origin_ns = captures.origin()?;
    let macs = settings::macs(config).map_err(Failure::refused)?;
    settings::hops_are_known(config).map_err(Failure::refused)?;
    let settings = settings::gateway(config, &macs);
    let mut gateway = Gateway::new(settings, Rc::clone(&pool), Time::ZERO, args.seed)
        .map_err(Failure::refused)?;
    let ports = captures.open(&pool, origin_ns)?;
    let (clock, hand) = Clock::virtual_at(Time::ZERO);
    if args.assume_peers {
        gateway.assume_peers();
    }
    let mut worker = Worker::new(ports, 4_096, gateway, clock);
    let end = drive(&mut worker, &hand, config);
    worker.pipeline_mut().clear();
    let closed = worker.close();
    let faults: Vec<_> =
        closed.iter().map(|(port, error)| fault(&captures, *port, error)).collect();
    let errors = faults.iter().map(|fault| fault.message.clone()).collect();
    Ok((Report::new(config, &worker, &pool, end, errors), faults))
}

/// What went wrong at a port, with the name of the file.
fn fault(captures: &Captures, port: usize, error: &PortError) -> Failure {
    match (error, captures.output(port)) {
        (PortError::Input(_), _) => Failure::refused(error),
        (PortError::Failed(_), Some(file)) => {
            Failure::failed(format!("{}: {error}", file.display()))
        }
        (PortError::Failed(_), None) => Failure::failed(error),
    }
}

/// Runs until nothing arrives any more and nothing is held; returns the time of the end.
fn drive(worker: &mut Worker<Gateway>, hand: &Cell<Time>, config: &Config) -> Time {
    let mut progress = Progress::new();
    let mut last_arrival = Time::ZERO;
    let mut rounds = 0u64;
    loop {
        while worker.round() {
            rounds += 1;
            if rounds.is_multiple_of(PROGRESS_ROUNDS) {
                progress.step(|| format!("{:.3} s of capture time", hand.get().0 as f64 / 1e9));
            }
        }
        let arrival = worker.ports().iter().filter_map(|port| port.next_arrival()).min();
        last_arrival = arrival.unwrap_or(last_arrival).max(last_arrival);
        // What is held then is given up; nothing else can come.
        let end = last_arrival.after(config.recovery.hold_age.0).after(1_000_000);
        match worker.next_event().map(|next| next.max(Time(hand.get().0 + 1))) {
            Some(next) if arrival.is_some() || next <= end => hand.set(next),
            _ => {
                progress.clear();
                return hand.get();
            }
        }
    }
}
