//! `compute-gateway lab`: two gateways and a wide area in virtual time.

mod table;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use config::prefix::Prefix;
use config::units::Bytes;
use lab::report::Report;
use lab::rnic::Pmtu;
use lab::{
    Bounds, LabError, PathScenario, Restart, Scenario, SiteError, Source, TapsError, Traffic,
};

use pipelines::gateway::Numbering;

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
    /// Capture that the two sites play (classic pcap or pcapng).
    #[arg(long, value_name = "FILE", required_unless_present = "traffic")]
    input: Option<PathBuf>,
    /// What RNICs at the two sites carry. KEYs: verb (write, send, read, atomic, mix: required),
    /// qps, size (of a message), messages (of a queue pair), direction (ab, ba, both: who asks),
    /// timer (0 to 31, or adaptive), retry (0 to 7), reads (outstanding), rnr (one refusal in so
    /// many), recreate (messages after which a queue pair is destroyed and another one, connected on
    /// the wire, goes on; a failed one too), line (rate of a host's line; without it sixteen times
    /// that of all paths).
    #[arg(long, value_name = "KEY=VALUE[,KEY=VALUE]..", conflicts_with = "input")]
    traffic: Option<Traffic>,
    /// Largest payload of the RNICs' packets: 256, 512, 1024, 2048 or 4096 (the default).
    #[arg(long, value_name = "BYTES", value_parser = pmtu, conflicts_with = "input")]
    pmtu: Option<Pmtu>,
    /// Bytes that the RNIC of a site may have under way, over all its queue pairs. Without it, four
    /// times what the paths carry in a round trip.
    #[arg(long, value_name = "BYTES", conflicts_with = "input")]
    window: Option<Bytes>,
    /// Source addresses at site A, as 10.0.1.0/24; may be repeated. Without it, the source of the
    /// capture's first IP packet is at site A, and all others at B.
    #[arg(long, value_name = "CIDR", conflicts_with = "traffic")]
    site_a: Vec<Prefix>,
    /// A path across the wide area; may be repeated. KEYs: rate, delay (one way), loss, burst (mean
    /// length of a loss burst), reorder, duplicate, corrupt (probabilities), down (START..END).
    #[arg(long = "path", value_name = "NAME[,KEY=VALUE]..", required = true)]
    paths: Vec<PathScenario>,
    /// A gateway starts anew, having forgotten everything, so long after the start of the play; may
    /// be repeated.
    #[arg(long = "restart", value_name = "a|b@TIME", conflicts_with = "no_gateways")]
    restarts: Vec<Restart>,
    /// Seed of everything that is left to chance; A..B runs all of these, B included, and reports
    /// an array.
    #[arg(long, value_name = "N|A..B", default_value = "1")]
    seed: Seeds,
    /// How packets are numbered between the gateways: tunnel (they are encapsulated), or transparent
    /// (they go as they are, and their PSNs are the numbers).
    #[arg(long, value_name = "MODE", default_value = "tunnel", value_parser = mode)]
    mode: Numbering,
    /// Run without gateways: the first path joins the two sites.
    #[arg(long)]
    no_gateways: bool,
    /// Run with gateways and without, and show both side by side.
    #[arg(long, conflicts_with_all = ["no_gateways", "json", "out"])]
    compare: bool,
    /// Directory for what was seen on each link: lan-a.pcap, wan-a.pcap, wan-b.pcap, lan-b.pcap.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Memory of each gateway's replay buffer.
    #[arg(long, value_name = "BYTES")]
    replay_bytes: Option<Bytes>,
    /// Memory of each gateway's hold buffer.
    #[arg(long, value_name = "BYTES")]
    hold_bytes: Option<Bytes>,
    /// Packets that each channel remembers for replay, a power of two; without it as many as there
    /// is memory for.
    #[arg(long, value_name = "N")]
    replay_packets: Option<u32>,
    /// Packets that each gateway's hold buffer may hold, likewise.
    #[arg(long, value_name = "N")]
    hold_packets: Option<u32>,
    /// Largest outer IP packet of the paths, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(576..=65_535))]
    mtu: Option<u32>,
    /// Write JSON instead of a table: an object, or an array of them for a range of seeds.
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

Exit status: 0 done; 1 a gateway lost a buffer, traffic did not end, or a file could not be written;
2 usage, or the capture could not be read to its end: what could be read was played all the same.
Losses are no failure here: they are what the report is about.";

/// Seeds, the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    first: u64,
    last: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let remedy = "write a number, as 7, or a range, as 1..20";
            text.parse::<u64>().map_err(|_| format!("\"{}\": {remedy}", text.escape_debug()))
        };
        let (first, last) = match text.split_once("..") {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err(format!("ends before it begins: write {last}..{first}"));
        }
        Ok(Self { first, last })
    }
}

fn mode(text: &str) -> Result<Numbering, String> {
    match text {
        "tunnel" => Ok(Numbering::Tunnel),
        "transparent" => Ok(Numbering::Transparent { check_icrc: true }),
        _ => Err("has to be tunnel or transparent".into()),
    }
}

fn pmtu(text: &str) -> Result<Pmtu, String> {
    let known = Pmtu::ALL.into_iter().find(|pmtu| pmtu.bytes().to_string() == text);
    known.ok_or_else(|| "has to be 256, 512, 1024, 2048 or 4096".into())
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let seeds = args.seed;
    if seeds.first != seeds.last && args.out.is_some() {
        report::complain("--out takes what one seed did: give one --seed");
        return Exit::Refused;
    }
    let scenario = scenario(args);
    let mut progress = Progress::new();
    let mut runs = Vec::new();
    for seed in seeds.first..=seeds.last {
        progress.step(|| format!("seed {seed} of {}..{}", seeds.first, seeds.last));
        match run_one(&Scenario { seed, ..scenario.clone() }, args.compare) {
            Ok(run) => runs.push(run),
            Err(error) => {
                progress.clear();
                report::complain(&error.to_string());
                return exit_of(&error);
            }
        }
    }
    progress.clear();
    let leaked = runs
        .iter()
        .flat_map(|run| &run.report.gateways)
        .any(|gateways| gateways.a.buffers_leaked + gateways.b.buffers_leaked > 0);
    let printed = report::print(|output| match (args.json, runs.as_slice()) {
        (true, [run]) => report::write_json(output, &run.report),
        (true, runs) => {
            report::write_json(output, &runs.iter().map(|run| &run.report).collect::<Vec<_>>())
        }
        (false, [run]) => table::write_run(output, run),
        (false, runs) => table::write_runs(output, runs),
    });
    if leaked {
        report::complain("a gateway ended with buffers that did not come home: please report this");
        return Exit::Failed;
    }
    // All runs read the same input.
    let errors = runs.first().map_or(&[][..], |run| &run.report.errors);
    errors.iter().for_each(|error| report::complain(error));
    if errors.is_empty() || printed == Exit::Failed { printed } else { Exit::Refused }
}

/// A run, what the same was without gateways if that was asked for, and what it took here.
struct Run {
    report: Report,
    bare: Option<Report>,
    wall_seconds: f64,
}

fn run_one(scenario: &Scenario, compare: bool) -> Result<Run, LabError> {
    let started = Instant::now();
    let report = lab::run(scenario)?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let bare = match compare {
        true => Some(lab::run(&Scenario { gateways: false, ..scenario.clone() })?),
        false => None,
    };
    Ok(Run { report, bare, wall_seconds })
}

/// Input and settings are the user's to mend; the rest is a failure of the run.
fn exit_of(error: &LabError) -> Exit {
    match error {
        LabError::Input(_)
        | LabError::NoPath
        | LabError::Site(SiteError::Settings(_))
        | LabError::Output(TapsError::Input(_)) => Exit::Refused,
        _ => Exit::Failed,
    }
}

fn scenario(args: &Args) -> Scenario {
    let (paths, seed) = (args.paths.clone(), args.seed.first);
    let mut scenario = match &args.traffic {
        Some(traffic) => {
            let pmtu = args.pmtu.unwrap_or(traffic.pmtu);
            let window = args.window.map(|Bytes(bytes)| bytes);
            Scenario::traffic(Traffic { pmtu, window, ..traffic.clone() }, paths, seed)
        }
        None => Scenario::new(args.input.clone().unwrap_or_default(), paths, seed),
    };
    if let Source::Capture(capture) = &mut scenario.source {
        let site_a = args.site_a.iter().map(|prefix| pipelines::gateway::Prefix {
            address: prefix.address(),
            length: prefix.length(),
        });
        capture.site_a = site_a.collect();
    }
    let defaults = scenario.bounds;
    scenario.bounds = Bounds {
        replay_bytes: args.replay_bytes.map_or(defaults.replay_bytes, |Bytes(bytes)| bytes),
        hold_bytes: args.hold_bytes.map_or(defaults.hold_bytes, |Bytes(bytes)| bytes),
        replay_packets: args.replay_packets,
        hold_packets: args.hold_packets,
        mtu: args.mtu.unwrap_or(defaults.mtu),
    };
    let (gateways, numbering) = (!args.no_gateways, args.mode);
    let restarts = args.restarts.clone();
    Scenario { gateways, numbering, restarts, out: args.out.clone(), ..scenario }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!("7".parse(), Ok(Seeds { first: 7, last: 7 }));
        assert_eq!("1..20".parse(), Ok(Seeds { first: 1, last: 20 }));
        for wrong in ["", "x", "1..", "-1", "1..2..3"] {
            assert!(wrong.parse::<Seeds>().is_err_and(|error| error.contains("as 1..20")));
        }
        assert!("5..2".parse::<Seeds>().is_err_and(|error| error.contains("write 2..5")));
    }

    /// The scenario that a command line asks for.
    fn asked(line: &str) -> Scenario {
        let arguments = line.strip_prefix("compute-gateway ").unwrap().split_whitespace();
        let args = Args::augment_args(clap::Command::new("lab"));
        let matches = args.try_get_matches_from(arguments).unwrap();
        scenario(&Args::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn commands_that_are_printed_ask_for_the_same() {
        for seed in 0..500 {
            let drawn = lab::draw::scenario(seed);
            assert_eq!(asked(&drawn.command_line()), drawn, "{}", drawn.command_line());
        }
        let mut played = Scenario::new("a.pcap".into(), vec!["p,delay=1ms".parse().unwrap()], 9);
        played.gateways = false;
        played.bounds = Bounds { mtu: 1_500, hold_bytes: 200_000, ..played.bounds };
        if let Source::Capture(capture) = &mut played.source {
            let address = std::net::IpAddr::from([10, 0, 0, 0]);
            capture.site_a = vec![pipelines::gateway::Prefix { address, length: 8 }];
        }
        assert_eq!(asked(&played.command_line()), played);
    }

    #[test]
    fn payload_sizes_are_those_of_the_specification() {
        assert_eq!(pmtu("4096"), Ok(Pmtu::B4096));
        assert!(pmtu("1500").is_err_and(|error| error.contains("1024")));
    }

    #[test]
    fn a_mode_that_is_not_there_is_refused() {
        assert_eq!(mode("tunnel"), Ok(Numbering::Tunnel));
        assert_eq!(mode("transparent"), Ok(Numbering::Transparent { check_icrc: true }));
        assert!(mode("bare").is_err_and(|error| error.contains("tunnel or transparent")));
    }
}
