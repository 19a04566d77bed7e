//! The commands, and what their exit status means.
//!
//! A command is a module of its own: its arguments (`Args`, with its help), and `run`. To add one,
//! add its variant to [`Command`] and its arm to [`Cli::run`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, configuration, doctor, inspect, lab, replay, run, show, tenant, top};

/// A packet gateway that carries RoCEv2 across lossy wide-area networks.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Args),
    Lab(Box<lab::Args>),
    Replay(replay::Args),
    Run(run::Args),
    Show(show::Args),
    Top(top::Args),
    Tenant(tenant::Args),
    Doctor(doctor::Args),
    Config(configuration::Args),
    Bench(bench::Args),
}

/// What a command ends with; clap itself ends with 2 where the usage is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, and all is well.
    Fine,
    /// 1: failure at run time, or a check that the command makes does not hold.
    Failed,
    /// 2: usage, configuration or input that cannot be read.
    Refused,
}

impl Exit {
    /// The first of two that is not fine.
    pub(crate) fn and(self, next: Self) -> Self {
        if self == Self::Fine { next } else { self }
    }
}

impl Cli {
    /// Runs the command. What goes wrong is said on standard error, once, by the command.
    pub(crate) fn run(self) -> Exit {
        match self.command {
            Command::Inspect(args) => inspect::run(&args),
            Command::Lab(args) => lab::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Run(args) => run::run(&args),
            Command::Show(args) => show::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Tenant(args) => tenant::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Config(args) => configuration::run(&args),
            Command::Bench(args) => bench::run(&args),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::from(1),
            Exit::Refused => ExitCode::from(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
