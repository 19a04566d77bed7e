//! `compute-gateway top`: what a running gateway does just now, a screen every second.

mod screen;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use crate::cli::Exit;
use crate::report::print;
use crate::socket::Which;
use crate::status::Status;

/// Watch a running gateway: what it does a second
///
/// Traffic of ports and paths, the fastest queue pairs, tenants with what waits of them, and what is
/// dropped: each as it was since the screen before. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Seconds from one screen to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Screens, and then an end; without it there is none.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway top --socket /run/compute-gateway.sock
  compute-gateway top --config site-a.toml --interval 5
  compute-gateway top --config site-a.toml --count 1 | tee now.txt

Exit status: 0 shown; 1 no gateway answers, or it ended; 2 usage or configuration.";

/// Clears a terminal, and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// A time between screens.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "has to be 0.1 to 3600".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let mut before: Status = match args.which.ask(&[]) {
        Ok(status) => status,
        Err(exit) => return exit,
    };
    let clear = if io::stdout().is_terminal() { CLEAR } else { "" };
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        thread::sleep(Duration::from_secs_f64(args.interval));
        let now: Status = match args.which.ask(&[]) {
            Ok(status) => status,
            Err(exit) => return exit,
        };
        let exit = print(|output| {
            write!(output, "{clear}")?;
            screen::write(&before, &now, output)?;
            writeln!(output)
        });
        if exit != Exit::Fine {
            return exit;
        }
        before = now;
        shown += 1;
    }
    Exit::Fine
}
