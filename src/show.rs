//! `compute-gateway show`: look into a running gateway.

use std::io;

use crate::cli::Exit;
use crate::report::{print, write_json};
use crate::socket::Which;
use crate::status::{Status, What, write_prometheus, write_tables};

/// Look into a running gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to show.
    #[arg(value_enum, default_value = "all")]
    what: What,
    #[command(flatten)]
    which: Which,
    /// Write everything as JSON instead of tables for people.
    #[arg(long)]
    json: bool,
    /// Write everything as Prometheus reads it.
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway show --socket /run/compute-gateway.sock
  compute-gateway show paths --config site-a.toml
  compute-gateway show --config site-a.toml --json

Exit status: 0 shown; 1 no gateway answers; 2 usage or configuration.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let status: Status = match args.which.ask(&[]) {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    print(|output| match (args.json, args.prometheus) {
        (true, _) => write_json(output, &status),
        (_, true) => {
            let mut text = String::new();
            write_prometheus(&status, &mut text).map_err(io::Error::other)?;
            output.write_all(text.as_bytes())
        }
        _ => write_tables(&status, args.what, output),
    })
}
