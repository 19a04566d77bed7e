//! `compute-gateway config`: check a configuration, or show one that explains itself.

use std::io::{self, Write};
use std::path::PathBuf;

use config::{Checked, Config, Diagnostic, InForce};
use serde::Serialize;

use crate::cli::Exit;
use crate::report::{self, Align, Table};

/// Check a configuration, or write an example of one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say everything that is wrong with a configuration, each with line and remedy.
    Check {
        /// The configuration.
        file: PathBuf,
        /// Write JSON instead of text for people.
        #[arg(long)]
        json: bool,
    },
    /// Write a configuration that is valid and documents every key.
    Example,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway config example > gateway.toml
  compute-gateway config check gateway.toml

Exit status: 0 valid, with or without warnings; 2 not valid, or not readable.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    match &args.command {
        Command::Example => report::print(|output| output.write_all(Config::example().as_bytes())),
        Command::Check { file, json } => check(file, *json),
    }
}

/// Reads a configuration; says what is wrong with it, and what may be, on standard error.
pub(crate) fn load(file: &std::path::Path) -> Result<Config, Exit> {
    Ok(load_in_force(file)?.config().clone())
}

/// The same, to be in force.
pub(crate) fn load_in_force(file: &std::path::Path) -> Result<InForce, Exit> {
    match InForce::load(file) {
        Ok((in_force, warnings)) => {
            warnings.iter().for_each(|warning| report::complain(&format!("warning: {warning}")));
            Ok(in_force)
        }
        Err(errors) => {
            errors.findings().iter().for_each(|error| report::complain(&error.to_string()));
            Err(Exit::Refused)
        }
    }
}

fn check(file: &std::path::Path, json: bool) -> Exit {
    let result = Config::load(file);
    if json {
        return check_json(file, &result);
    }
    match result {
        Ok(Checked { config, warnings }) => {
            warnings.iter().for_each(|warning| report::complain(&format!("warning: {warning}")));
            report::print(|output| summary(output, file, &config))
        }
        Err(errors) => {
            errors.findings().iter().for_each(|error| report::complain(&error.to_string()));
            Exit::Refused
        }
    }
}

/// One finding, as programs read it.
#[derive(Serialize)]
struct Finding {
    file: String,
    line: usize,
    column: usize,
    what: String,
    remedy: String,
}

#[derive(Serialize)]
struct CheckReport {
    file: String,
    valid: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

fn check_json(file: &std::path::Path, result: &Result<Checked, config::Diagnostics>) -> Exit {
    let (errors, warnings) = match result {
        Ok(checked) => (Vec::new(), checked.warnings.iter().map(finding).collect()),
        Err(errors) => (errors.findings().iter().map(finding).collect(), Vec::new()),
    };
    let valid = result.is_ok();
    let report = CheckReport { file: file.display().to_string(), valid, errors, warnings };
    let printed = report::print(|output| report::write_json(output, &report));
    if valid { printed } else { Exit::Refused }
}

fn finding(diagnostic: &Diagnostic) -> Finding {
    Finding {
        file: diagnostic.file.clone(),
        line: diagnostic.line,
        column: diagnostic.column,
        what: diagnostic.what.clone(),
        remedy: diagnostic.remedy.clone(),
    }
}

/// What a valid configuration says, in a few lines.
fn summary(output: &mut dyn Write, file: &std::path::Path, config: &Config) -> io::Result<()> {
    let (gateway, recovery) = (&config.gateway, &config.recovery);
    writeln!(output, "{}: valid", file.display())?;
    writeln!(
        output,
        "gateway {}, {} port {}, {} worker(s)",
        gateway.name,
        gateway.address,
        gateway.udp_port,
        config.workers.cores.len()
    )?;
    let left = Align::Left;
    let mut ports = Table::new([("PORT", left), ("SIDE", left), ("MTU", Align::Right)]);
    for port in &config.ports {
        let role = format!("{:?}", port.role).to_lowercase();
        ports.row([port.name.clone(), role, port.mtu.to_string()]);
    }
    ports.write(output, 2)?;
    let mut paths = Table::new([
        ("PEER", left),
        ("ADDRESS", left),
        ("PATH", left),
        ("PORT", left),
        ("RTT", left),
    ]);
    for peer in &config.peers {
        for path in &peer.paths {
            let port = config.ports.get(path.port).map_or("", |port| &port.name);
            paths.row([
                peer.name.clone(),
                peer.address.to_string(),
                path.name.clone(),
                port.to_owned(),
                path.rtt.to_string(),
            ]);
        }
    }
    paths.write(output, 2)?;
    if !config.tenants.is_empty() {
        let mut tenants = Table::new([("TENANT", left), ("REPLAY", left), ("HOLD", left)]);
        for tenant in &config.tenants {
            let bound =
                |of: Option<config::units::Bytes>| of.map_or("all".into(), |of| of.to_string());
            tenants.row([
                tenant.name.clone(),
                bound(tenant.replay_bytes),
                bound(tenant.hold_bytes),
            ]);
        }
        tenants.write(output, 2)?;
    }
    writeln!(
        output,
        "recovery: replay {} up to {}, hold {} up to {}",
        recovery.replay_bytes, recovery.replay_age, recovery.hold_bytes, recovery.hold_age
    )
}
