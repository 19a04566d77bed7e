//! `compute-gateway tenant`: change how a tenant's packets wait, in a running gateway.

use serde::{Deserialize, Serialize};

use crate::cli::Exit;
use crate::report::{complain, print, write_json};
use crate::socket::Which;
use crate::status::{ChangeStatus, write_changes};

/// Change a tenant of a running gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give it another rate, weight or thresholds while traffic runs.
    ///
    /// All that is asked for is checked as the file would be, and applied by every worker between two
    /// bursts; or nothing is. Nothing is lost or reordered. It holds until the gateway ends or reads
    /// its file again (SIGHUP): write it there to keep it. `show changes` says who changed what.
    #[command(after_help = EXAMPLES)]
    Set(Set),
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The tenant, by its name in the configuration.
    tenant: String,
    /// What changes: rate, burst, weight, lossless, reserved, alpha, headroom, xoff, xon, ecn_min,
    /// ecn_max, ecn_probability, cnp, each as in the configuration. `KEY=default` is as if the key were not there.
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
    keys: Vec<(String, String)>,
    #[command(flatten)]
    which: Which,
    /// Write the answer as JSON instead of a table for people.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway tenant set acme rate=40Gbps --socket /run/compute-gateway.sock
  compute-gateway tenant set acme rate=1Gbps burst=256KiB weight=4 --config site-a.toml
  compute-gateway tenant set acme rate=default --config site-a.toml --json

Exit status: 0 applied by all workers; 1 no gateway answers, or not all workers took it over in
time; 2 usage, configuration, or a change that is refused: then nothing changed.";

/// What a gateway is asked for by its socket. Nothing at all asks for its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Other values for keys of a tenant.
    TenantSet { tenant: String, keys: Vec<(String, String)> },
}

/// What it answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Whether every worker has it.
    pub(crate) applied: bool,
    /// Whether it was refused: then nothing changed.
    pub(crate) refused: bool,
    /// That of the configuration in force.
    pub(crate) generation: u64,
    pub(crate) changes: Vec<ChangeStatus>,
    /// Doubtful, but allowed.
    pub(crate) warnings: Vec<String>,
    /// Why it was refused, or is not applied yet; with the remedy.
    pub(crate) error: Option<String>,
}

/// A key and its value.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err("write it as KEY=VALUE, as in rate=40Gbps".into()),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let Command::Set(Set { tenant, keys, which, json }) = &args.command;
    let request = Request::TenantSet { tenant: tenant.clone(), keys: keys.clone() };
    let answer = match serde_json::to_vec(&request) {
        Ok(request) => which.ask::<Answer>(&request),
        Err(error) => {
            complain(&format!("the request cannot be written: {error}"));
            return Exit::Refused;
        }
    };
    match answer {
        Ok(answer) => say(&answer, *json),
        Err(exit) => exit,
    }
}

/// Says what became of it.
fn say(answer: &Answer, json: bool) -> Exit {
    let Answer { applied, refused, generation, changes, warnings, error } = answer;
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    error.iter().for_each(|error| complain(error));
    let printed = print(|output| match json {
        true => write_json(output, answer),
        false if changes.is_empty() && *applied => {
            writeln!(output, "nothing changes: generation {generation} says so already")
        }
        false => write_changes(changes, output),
    });
    match (refused, applied) {
        (true, _) => Exit::Refused,
        (false, false) => Exit::Failed,
        (false, true) => printed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_value_are_told_apart_by_the_first_sign() {
        assert_eq!(assignment("rate=40Gbps"), Ok(("rate".into(), "40Gbps".into())));
        assert_eq!(assignment("a=b=c"), Ok(("a".into(), "b=c".into())));
        for wrong in ["rate", "=1", "rate=", ""] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_exit_status_says_what_became_of_it() {
        let refused = Answer { refused: true, ..Answer::default() };
        assert_eq!(say(&refused, true), Exit::Refused);
        assert_eq!(say(&Answer::default(), true), Exit::Failed);
        assert_eq!(say(&Answer { applied: true, ..Answer::default() }, true), Exit::Fine);
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_no_other() {
        let request =
            Request::TenantSet { tenant: "a\"".into(), keys: vec![("rate".into(), "1G".into())] };
        let written = serde_json::to_vec(&request).expect("plain data");
        assert_eq!(serde_json::from_slice::<Request>(&written).expect("written"), request);
        assert!(serde_json::from_slice::<Request>(b"{\"stop\":{}}").is_err());
    }
}
