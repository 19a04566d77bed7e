//! `compute-gateway replay`: one gateway, offline, in virtual time: captures in, captures out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use config::model::{Config, Driver, Role};
use dataplane::capture::{Reader, Writer};
use dataplane::memory::Pool;
use dataplane::port::Port;
use dataplane::port::file::FilePort;
use dataplane::time::{Clock, Time};
use dataplane::worker::Worker;
use pipelines::gateway::Gateway;
use serde::Serialize;

use crate::cli::Exit;
use crate::configuration;
use crate::report::{self, Align, Progress, Table};
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

type CapturePort = FilePort<File, File>;

/// Rounds between two looks at the clock for progress.
const PROGRESS_ROUNDS: u64 = 1 << 12;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let config = match configuration::load(&args.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match replay(args, &config) {
        Ok(report) => {
            let complaints = report.errors.clone();
            complaints.iter().for_each(|error| report::complain(error));
            let printed = report::print(|output| match args.json {
                true => report::write_json(output, &report),
                false => report.write_tables(output),
            });
            if complaints.is_empty() { printed } else { Exit::Refused }
        }
        Err(Failure { exit, message }) => {
            report::complain(&message);
            exit
        }
    }
}

/// Why nothing could be replayed.
struct Failure {
    exit: Exit,
    message: String,
}

fn refused(message: impl ToString) -> Failure {
    Failure { exit: Exit::Refused, message: message.to_string() }
}

fn failed(message: impl ToString) -> Failure {
    Failure { exit: Exit::Failed, message: message.to_string() }
}

fn replay(args: &Args, config: &Config) -> Result<Report, Failure> {
    let pool = Rc::new(Pool::new(settings::pool(config)).map_err(refused)?);
    let origin_ns = origin(args, config)?;
    let ports = open_ports(args, config, &pool, origin_ns)?;
    let (clock, hand) = Clock::virtual_at(Time::ZERO);
    let settings = settings::gateway(config);
    let mut gateway =
        Gateway::new(settings, Rc::clone(&pool), Time::ZERO, args.seed).map_err(refused)?;
    if args.assume_peers {
        gateway.assume_peers();
    }
    let mut worker = Worker::new(ports, 4_096, gateway, clock);
    let end = drive(&mut worker, &hand, config);
    worker.pipeline_mut().clear();
    let names = |index: usize| config.ports.get(index).map_or("", |port| port.name.as_str());
    let errors = worker.close();
    let errors = errors.iter().map(|(port, error)| format!("port {}: {error}", names(*port)));
    Ok(Report::new(config, &worker, &pool, end, errors.collect()))
}

/// Runs until nothing arrives any more and nothing is held; returns the time of the end.
fn drive(worker: &mut Worker<Gateway>, hand: &std::cell::Cell<Time>, config: &Config) -> Time {
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

/// The port that the capture of the command line arrives at.
fn capture_port(args: &Args, config: &Config) -> Result<Option<usize>, Failure> {
    if args.capture.is_none() {
        return Ok(None);
    }
    let found = match &args.port {
        Some(name) => config.ports.iter().position(|port| port.name == *name),
        None => config.ports.iter().position(|port| port.role == Role::Lan),
    };
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = config.ports.iter().map(|port| port.name.as_str()).collect();
        let name = args.port.as_deref().unwrap_or("?");
        refused(format!(
            "no port {name:?} in the configuration\n    remedy: --port takes one of {}",
            names.join(", ")
        ))
    })
}

/// The capture that arrives at port number `index`.
fn input<'a>(
    args: &'a Args,
    config: &'a Config,
    index: usize,
) -> Result<Option<&'a Path>, Failure> {
    if capture_port(args, config)? == Some(index) {
        return Ok(args.capture.as_deref());
    }
    Ok(match config.ports.get(index).map(|port| &port.driver) {
        Some(Driver::Pcap { input, .. }) => Some(input),
        _ => None,
    })
}

/// The earliest capture time of all inputs: the beginning of the run.
fn origin(args: &Args, config: &Config) -> Result<u64, Failure> {
    let mut origin = u64::MAX;
    for index in 0..config.ports.len() {
        if let Some(path) = input(args, config, index)? {
            let mut reader = Reader::open(path).map_err(refused)?;
            if let Some(record) = reader.next().map_err(refused)? {
                origin = origin.min(record.time_ns);
            }
        }
    }
    Ok(if origin == u64::MAX { 0 } else { origin })
}

fn open_ports(
    args: &Args,
    config: &Config,
    pool: &Rc<Pool>,
    origin_ns: u64,
) -> Result<Vec<Box<dyn Port>>, Failure> {
    let mut ports: Vec<Box<dyn Port>> = Vec::new();
    for (index, port) in config.ports.iter().enumerate() {
        let reader = input(args, config, index)?.map(Reader::open).transpose().map_err(refused)?;
        let path = match (&args.out, &port.driver) {
            (Some(dir), _) => {
                fs::create_dir_all(dir)
                    .map_err(|error| failed(format!("{}: {error}", dir.display())))?;
                Some(dir.join(format!("{}.pcap", port.name)))
            }
            (None, Driver::Pcap { output, .. }) => Some(output.clone()),
            (None, Driver::Ring) => None,
        };
        let writer = path.map(|path| {
            let file = File::create(&path);
            file.and_then(|file| Writer::new(file).map_err(io::Error::other))
                .map_err(|error| failed(format!("{}: {error}", path.display())))
        });
        let port = CapturePort::new(reader, writer.transpose()?, Rc::clone(pool), origin_ns);
        ports.push(Box::new(port));
    }
    Ok(ports)
}

#[derive(Serialize)]
struct PortReport {
    name: String,
    role: &'static str,
    rx_packets: u64,
    rx_bytes: u64,
    /// Packets of the capture for which there was no buffer.
    rx_missed: u64,
    tx_packets: u64,
    tx_bytes: u64,
}

#[derive(Serialize)]
struct Report {
    virtual_seconds: f64,
    ports: Vec<PortReport>,
    tunnelled: u64,
    unprotected: u64,
    forwarded_bare: u64,
    repaired: u64,
    gave_up: u64,
    control_messages: u64,
    replay_high_water_bytes: u64,
    held_high_water_bytes: u64,
    drops: BTreeMap<&'static str, u64>,
    buffers_leaked: u32,
    errors: Vec<String>,
}

impl Report {
    fn new(
        config: &Config,
        worker: &Worker<Gateway>,
        pool: &Pool,
        end: Time,
        errors: Vec<String>,
    ) -> Self {
        let gateway = worker.pipeline();
        let counters = gateway.counters();
        let ports = config.ports.iter().zip(worker.ports()).map(|(port, driver)| {
            let counted = driver.counters();
            PortReport {
                name: port.name.clone(),
                role: if port.role == Role::Lan { "lan" } else { "wan" },
                rx_packets: counted.rx_packets,
                rx_bytes: counted.rx_bytes,
                rx_missed: counted.rx_missed,
                tx_packets: counted.tx_packets,
                tx_bytes: counted.tx_bytes,
            }
        });
        Self {
            virtual_seconds: end.0 as f64 / 1e9,
            ports: ports.collect(),
            tunnelled: counters.tunnelled.packets,
            unprotected: counters.unprotected,
            forwarded_bare: counters.forwarded_bare,
            repaired: counters.repaired,
            gave_up: counters.gave_up,
            control_messages: counters.control.packets,
            replay_high_water_bytes: gateway.replay_memory().high_water,
            held_high_water_bytes: gateway.held_high_water_bytes(),
            drops: counters.drops.seen().map(|(reason, count)| (reason.name(), count)).collect(),
            buffers_leaked: pool.stats().in_use,
            errors,
        }
    }

    fn write_tables(&self, output: &mut dyn Write) -> io::Result<()> {
        let right = Align::Right;
        let mut ports = Table::new([
            ("PORT", Align::Left),
            ("SIDE", Align::Left),
            ("RX", right),
            ("RX BYTES", right),
            ("MISSED", right),
            ("TX", right),
            ("TX BYTES", right),
        ]);
        for port in &self.ports {
            ports.row([
                port.name.clone(),
                port.role.to_owned(),
                port.rx_packets.to_string(),
                report::bytes(port.rx_bytes),
                port.rx_missed.to_string(),
                port.tx_packets.to_string(),
                report::bytes(port.tx_bytes),
            ]);
        }
        ports.write(output, 0)?;
        writeln!(
            output,
            "{:.6} s: {} packets tunnelled, {} for peers that are not there, {} forwarded bare,",
            self.virtual_seconds, self.tunnelled, self.unprotected, self.forwarded_bare
        )?;
        writeln!(
            output,
            "{} repaired, {} given up, {} control messages, {} buffers leaked",
            self.repaired, self.gave_up, self.control_messages, self.buffers_leaked
        )?;
        for (reason, count) in &self.drops {
            writeln!(output, "dropped {count}: {reason}")?;
        }
        Ok(())
    }
}
