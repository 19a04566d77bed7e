//! `compute-gateway show` and `top`: look into a running gateway.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Exit;
use crate::configuration;
use crate::report::{complain, print, write_json};
use crate::status::{Status, What, write_prometheus, write_tables};

/// Look into a running gateway.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to show.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// The gateway's socket.
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    socket: Option<PathBuf>,
    /// The gateway's configuration, which names its socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
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

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const LONGEST: u64 = 64 << 20;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let socket = match socket(args) {
        Ok(socket) => socket,
        Err(exit) => return exit,
    };
    let status = match ask(&socket) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!(
                "{}: {error}\n    remedy: is `compute-gateway run` there, with this socket in \
                 [control]?",
                socket.display()
            ));
            return Exit::Failed;
        }
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

/// The socket that the command line or the configuration names.
fn socket(args: &Args) -> Result<PathBuf, Exit> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let Some(file) = &args.config else { return Err(Exit::Refused) };
    configuration::load(file)?.control.socket.ok_or_else(|| {
        complain(&format!(
            "{}: there is no socket to ask\n    remedy: add [control] and socket = \
             \"compute-gateway.sock\", and start the gateway anew",
            file.display()
        ));
        Exit::Refused
    })
}

/// Asks a gateway how it stands.
fn ask(socket: &Path) -> io::Result<Status> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(io::Error::other)
}
