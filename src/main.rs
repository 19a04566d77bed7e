//! The command line of `compute-gateway`: it puts the parts together and decides nothing.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod configuration;
mod doctor;
mod inspect;
mod lab;
mod replay;
mod report;
mod run;
mod settings;
mod show;
mod socket;
mod status;
mod tenant;
mod top;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::Cli::parse().run().into()
}
