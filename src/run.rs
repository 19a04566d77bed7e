//! `compute-gateway run`: forward live traffic, until told to end.

mod board;
mod crew;
mod desk;
mod devices;
mod machine;
mod request;
mod window;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use config::InForce;
use config::model::Config;
use dataplane::time::Time;
use pipelines::gateway::Team;
use tracing::{error, info, warn};

use self::board::Board;
use self::crew::{Crew, Ended, Shared};
use self::desk::Desk;
pub(crate) use self::devices::OFFLOADS;
use self::machine::Machine;
use self::window::Window;
use crate::cli::Exit;
use crate::configuration;
use crate::doctor::{self, Level};
use crate::report::{complain, print, write_json};
use crate::status::{PathEventStatus, What, write_tables};

/// Forward live traffic.
///
/// One worker a core takes packets from the ports of the configuration, numbers what is for a peer
/// and repairs what the wide area loses. What is happening is told on standard error; `show` looks
/// in by its socket. SIGHUP has it read its configuration again: tenants' rates, weights and
/// thresholds change at once, and what changes anything else is refused. SIGTERM or SIGINT ends it:
/// nothing more is taken from the LAN, what is under way has a second to be confirmed, and the final
/// status is written to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The gateway's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Write the final status as JSON instead of tables for people.
    #[arg(long)]
    json: bool,
    /// Arguments of DPDK's environment, behind those of the configuration.
    #[arg(last = true, value_name = "EAL ARGUMENTS")]
    eal: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway run --config site-a.toml
  compute-gateway run --config site-a.toml --seconds 60 --json > status.json
  compute-gateway run --config site-a.toml -- --no-huge -m 512

Exit status: 0 ended as told; 1 failure at run time; 2 usage or configuration.";

/// How often the control thread looks around.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let in_force = match configuration::load_in_force(&args.config) {
        Ok(in_force) => in_force,
        Err(exit) => return exit,
    };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    let _ = log.try_init();
    match forward(args, in_force) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}

/// What signals tell.
struct Told {
    /// SIGTERM or SIGINT: it is to end.
    end: Arc<AtomicBool>,
    /// SIGHUP: it is to read its configuration again.
    reload: Arc<AtomicBool>,
}

impl Told {
    /// Listens from now on.
    ///
    /// # Errors
    /// The signal that cannot be handled.
    fn listen() -> Result<Self, String> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let told = Self { end: Arc::default(), reload: Arc::default() };
        for (signal, flag) in [(SIGTERM, &told.end), (SIGINT, &told.end), (SIGHUP, &told.reload)] {
            signal_hook::flag::register(signal, Arc::clone(flag))
                .map_err(|error| format!("signal {signal} cannot be handled: {error}"))?;
        }
        Ok(told)
    }
}

/// Brings everything up, watches, and takes it down again.
fn forward(args: &Args, in_force: InForce) -> Result<Exit, String> {
    // Signals first: one that comes while ports open must not leave them open.
    let told = Told::listen()?;
    let config = in_force.config().clone();
    let workers = config.workers.cores.len();
    let seeds = (0..workers).map(|_| seed()).collect::<Result<Vec<_>, _>>()?;
    examine(&config, &args.eal)?;
    let machine = Machine::open(&config, &args.eal)?;
    let (desk, inboxes) = Desk::new(in_force);
    let team = || Arc::new(Team::new(&crew::settings(&config, &machine), workers));
    let shared = Arc::new(Shared {
        board: Board::new(workers),
        team: (workers > 1).then(team),
        origin: Instant::now(),
        config,
        desk,
        machine,
        stop: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    });
    let crew = Crew::start(&shared, seeds.into_iter().zip(inboxes).collect())?;
    say_ports(&shared);
    let windows = open_windows(&shared);
    let failed = match &windows {
        Ok(_) => watch(args, &shared, &told, &crew),
        Err(_) => true,
    };
    shared.stop.store(true, Ordering::Release);
    let ended = crew.join();
    shared.ended.store(true, Ordering::Release);
    windows?.into_iter().for_each(Window::close);
    let exit = say_ended(&ended, failed);
    let status = shared.status(true);
    let printed = print(|output| match args.json {
        true => write_json(output, &status),
        false => write_tables(&status, What::All, output),
    });
    Ok(if exit == Exit::Fine { printed } else { exit })
}

/// Asks the doctor: problems end it before a device is touched, else doubts are logged.
fn examine(config: &Config, eal: &[String]) -> Result<(), String> {
    let findings = doctor::problems(config, eal);
    let (problems, doubts): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.level == Level::Problem);
    if !problems.is_empty() {
        return Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    doubts.iter().for_each(|doubt| warn!("{}: {}", doubt.place, doubt.what));
    Ok(())
}

/// A number that nobody can foresee and that never repeats: nonces are made of it.
fn seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the system gives no random numbers: {error}"))
}

fn open_windows(shared: &Arc<Shared>) -> Result<Vec<Window>, String> {
    let mut windows = Vec::new();
    let control = &shared.config.control;
    if let Some(path) = &control.socket {
        windows.push(Window::socket(path, shared)?);
        info!("`compute-gateway show --socket {}` looks in", path.display());
    }
    if let Some(address) = control.metrics {
        windows.push(Window::metrics(address, shared)?);
        info!("metrics at http://{address}/metrics");
    }
    Ok(windows)
}

/// Says what each port is, and which mode was obtained.
fn say_ports(shared: &Shared) {
    let status = shared.status(false);
    for port in &status.ports {
        info!(
            "port {}: {} {} {}, mac {}, mtu {}",
            port.name, port.driver, port.device, port.mode, port.mac, port.mtu
        );
        port.refused.iter().for_each(|refused| warn!("port {}: not {refused}", port.name));
    }
    let cores = &shared.config.workers.cores;
    info!("gateway {} forwards: {} worker(s), cores {cores:?}", status.gateway, cores.len());
}

/// Watches until the gateway is told to end, or its time is over. Whether a worker failed.
fn watch(args: &Args, shared: &Shared, told: &Told, crew: &Crew) -> bool {
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let peers = shared.config.peers.len();
    let mut before = vec![vec![false; peers]; shared.config.workers.cores.len()];
    let mut seen = vec![Time::ZERO; shared.config.workers.cores.len()];
    loop {
        if told.end.load(Ordering::Acquire) || end.is_some_and(|end| Instant::now() >= end) {
            info!("told to end: what is under way is brought to its end");
            return false;
        }
        if crew.has_lost_one() {
            return true;
        }
        if told.reload.swap(false, Ordering::AcqRel) {
            shared.desk.reload(&args.config);
        }
        let sessions = shared.board.sessions();
        say_changes(&before, &sessions, shared);
        before = sessions;
        shared.board.news(&mut seen, &shared.config).iter().for_each(say_event);
        thread::sleep(LOOK);
    }
}

/// Says which sessions came up or went down.
fn say_changes(before: &[Vec<bool>], now: &[Vec<bool>], shared: &Shared) {
    for (worker, (before, now)) in before.iter().zip(now).enumerate() {
        let peers = before.iter().zip(now).zip(&shared.config.peers);
        for ((_, up), peer) in peers.filter(|((before, now), _)| before != now) {
            match up {
                true => info!("peer {}: session of worker {worker} is up", peer.name),
                false => warn!("peer {}: session of worker {worker} is down", peer.name),
            }
        }
    }
}

/// Says what happened to a path.
fn say_event(event: &PathEventStatus) {
    let PathEventStatus { peer, path, event: what, .. } = event;
    let detail = event.detail();
    let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
    match what.as_str() {
        "down" => warn!("peer {peer}: path {path} is down{detail}"),
        _ => info!("peer {peer}: path {path} is {what}{detail}"),
    }
}

/// Says what went wrong, if anything did.
fn say_ended(ended: &[Ended], failed: bool) -> Exit {
    let mut exit = if failed { Exit::Failed } else { Exit::Fine };
    for (worker, ended) in ended.iter().enumerate() {
        if ended.unfinished > 0 {
            warn!("worker {worker}: {} packets were not confirmed or released", ended.unfinished);
        }
        if ended.leaked > 0 {
            error!("worker {worker}: {} buffers did not come home", ended.leaked);
            exit = Exit::Failed;
        }
        for message in &ended.errors {
            error!("worker {worker}: {message}");
            exit = Exit::Failed;
        }
    }
    exit
}
