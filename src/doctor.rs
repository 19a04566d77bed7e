//! `compute-gateway doctor`: can this machine run it? Each finding with what mends it.
//!
//! Nothing is changed, and nothing but reading is needed: no finding takes rights. Everything is
//! read through [`machine::Machine`], of which tests make one of their own.

mod cores;
mod dpdk;
#[cfg(test)]
mod fake;
mod finding;
mod hugepages;
mod interface;
mod machine;
mod pci;
mod system;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use config::Config;
use config::model::Driver;

use self::finding::Report;
pub(crate) use self::finding::{Finding, Level};
use self::machine::Machine;
use crate::cli::Exit;
use crate::configuration;
use crate::report::{print, write_json};

/// Say whether this machine can run the gateway, and what mends it if not.
///
/// Looks at the kernel, clock, rights, memory and cores; with a configuration also at its
/// interfaces and devices. Nothing is changed. `run` makes the same checks first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The gateway's configuration; without it, the machine in general is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write JSON instead of a table for people.
    #[arg(long)]
    json: bool,
    /// Arguments of DPDK's environment that `run` will be given.
    #[arg(last = true, value_name = "EAL ARGUMENTS")]
    eal: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway doctor
  compute-gateway doctor --config site-a.toml
  compute-gateway doctor --config site-a.toml --json -- --no-huge -m 512

Exit status: 0 no problem, with or without warnings; 1 a problem; 2 usage or configuration.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let config = match args.config.as_deref().map(configuration::load).transpose() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let machine = Machine::real();
    let report = Report::new(all(&machine, config.as_ref(), &args.eal));
    let printed = print(|output| match args.json {
        true => write_json(output, &report),
        false => report.write(output),
    });
    if report.fine() { printed } else { Exit::Failed }
}

/// What keeps this machine from running the configuration, and what is doubtful about it: problems
/// and warnings. `eal`: arguments for DPDK from the command line.
///
/// XDP programs on the interfaces are left out: one of a gateway that was just killed goes by
/// itself, which opening the port waits for.
pub(crate) fn problems(config: &Config, eal: &[String]) -> Vec<Finding> {
    let mut findings = examine(&Machine::real(), Some(config), eal);
    findings.retain(|finding| finding.level > Level::Ok);
    findings
}

/// Everything.
fn all(machine: &Machine, config: Option<&Config>, eal: &[String]) -> Vec<Finding> {
    let mut findings = examine(machine, config, eal);
    let ports = config.into_iter().flat_map(|config| &config.ports);
    findings.extend(ports.filter_map(|port| interface::check_programs(machine, port)));
    findings
}

/// Everything, but for the XDP programs on the interfaces.
fn examine(machine: &Machine, config: Option<&Config>, eal: &[String]) -> Vec<Finding> {
    let eal: Vec<_> = config.iter().flat_map(|config| &config.eal).chain(eal).cloned().collect();
    let mut findings = vec![
        system::check_kernel(machine),
        system::check_clock(machine),
        system::check_rights(machine, config),
        system::check_memlock(machine, config),
    ];
    findings.extend(system::check_files(machine, config));
    findings.extend(cores::check(machine, config));
    findings.extend(hugepages::check(machine, config, &eal));
    findings.extend(dpdk::check(machine, config, &eal));
    let Some(config) = config else { return findings };
    for port in &config.ports {
        findings.extend(interface::check(machine, port, config.workers.buffer_bytes));
        findings.extend(check_live(port));
    }
    findings
}

/// Whether the port is one of live traffic at all.
fn check_live(port: &config::model::Port) -> Option<Finding> {
    let live = matches!(port.driver, Driver::AfXdp { .. } | Driver::Dpdk { .. });
    let what = "it is not a port of live traffic";
    let remedy = "write driver = \"af_xdp\" or \"dpdk\"; captures are for: compute-gateway replay";
    (!live).then(|| Finding::problem("ports", &Finding::port(&port.name), what, remedy))
}
