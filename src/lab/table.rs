//! The lab's reports for people.

use std::io::{self, Write};

use lab::report::{GatewayReport, Report};

use super::Run;
use crate::report::{self, Align, Table};

/// A line of a table about one run: its name, and its value.
type Line = (&'static str, fn(&Report) -> String);

/// What is shown of a run: what it means to the two sites first.
const LINES: [Line; 13] = [
    ("Frames sent by the hosts", |report| report.endpoints.packets_sent.to_string()),
    ("Frames delivered", |report| report.endpoints.packets_delivered.to_string()),
    ("Frames missing", |report| report.endpoints.missing.to_string()),
    ("Frames altered", |report| report.endpoints.altered.to_string()),
    ("Frames out of order", |report| report.endpoints.out_of_sequence.to_string()),
    ("Frames delivered twice", |report| report.endpoints.duplicates.to_string()),
    ("Packets on the WAN", |report| report.wan.sent_packets.to_string()),
    ("  lost there", |report| report.wan.dropped.to_string()),
    ("  altered there", |report| report.wan.altered.to_string()),
    ("  sent again by a gateway", |report| of_gateways(report, |gateway| gateway.resent_packets)),
    ("Given up by a gateway", |report| of_gateways(report, |gateway| gateway.gave_up)),
    ("Time of the play", |report| seconds(report.endpoints.completion_us.max / 1e6)),
    ("Goodput", |report| format!("{:.3} Gbit/s", report.endpoints.goodput_gbps)),
];

/// Both gateways' figure, or a dash without them.
fn of_gateways(report: &Report, figure: fn(&GatewayReport) -> u64) -> String {
    let sum = report.gateways.as_ref().map(|both| figure(&both.a) + figure(&both.b));
    sum.map_or_else(|| "-".to_owned(), |sum| sum.to_string())
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s") }
}

/// One run; side by side with the bare one, if there is one.
pub(super) fn write_run(output: &mut dyn Write, run: &Run) -> io::Result<()> {
    let Run { report, bare, wall_seconds } = run;
    writeln!(output, "{} over {}, seed {}", report.scenario.input, paths(report), report.seed)?;
    writeln!(output)?;
    match bare {
        Some(bare) => write_both(output, report, bare)?,
        None => write_alone(output, report)?,
    }
    writeln!(output)?;
    write_paths(output, report)?;
    let rate = report.endpoints.packets_sent as f64 / wall_seconds.max(1e-9);
    report::complain(&format!("{wall_seconds:.2} s here, {rate:.0} frames a second"));
    Ok(())
}

fn write_alone(output: &mut dyn Write, report: &Report) -> io::Result<()> {
    let heading = if report.gateways.is_some() { "WITH GATEWAYS" } else { "WITHOUT GATEWAYS" };
    let mut table = Table::new([("", Align::Left), (heading, Align::Right)]);
    for (name, value) in LINES {
        table.row([name.to_owned(), value(report)]);
    }
    table.write(output, 0)?;
    let Some(gateways) = &report.gateways else { return Ok(()) };
    for (name, gateway) in [("A", &gateways.a), ("B", &gateways.b)] {
        for (reason, packets) in &gateway.drops {
            writeln!(output, "Gateway {name} dropped {packets}: {reason}")?;
        }
    }
    Ok(())
}

fn write_both(output: &mut dyn Write, report: &Report, bare: &Report) -> io::Result<()> {
    let mut table = Table::new([
        ("", Align::Left),
        ("WITHOUT GATEWAYS", Align::Right),
        ("WITH GATEWAYS", Align::Right),
    ]);
    for (name, value) in LINES {
        table.row([name.to_owned(), value(bare), value(report)]);
    }
    table.write(output, 0)?;
    if bare.endpoints.missing > 0 && report.endpoints.missing == 0 {
        writeln!(output)?;
        writeln!(
            output,
            "Without gateways {} frames never arrived, and the hosts would have to notice and\n\
             repeat. With gateways all arrived: a play that waits for every frame takes longer\n\
             than one that goes on without.",
            bare.endpoints.missing
        )?;
    }
    Ok(())
}

fn write_paths(output: &mut dyn Write, report: &Report) -> io::Result<()> {
    let mut table = Table::new([
        ("PATH", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
        ("LOST", Align::Right),
        ("BUSY", Align::Right),
    ]);
    for path in &report.wan.paths {
        table.row([
            path.name.clone(),
            path.sent_packets.to_string(),
            report::bytes(path.sent_bytes),
            path.dropped.to_string(),
            format!("{:.1} %", path.utilization * 100.0),
        ]);
    }
    table.write(output, 0)
}

/// Several runs, a line each.
pub(super) fn write_runs(output: &mut dyn Write, runs: &[Run]) -> io::Result<()> {
    let mut table = Table::new([
        ("SEED", Align::Right),
        ("GATEWAYS", Align::Left),
        ("SENT", Align::Right),
        ("MISSING", Align::Right),
        ("ALTERED", Align::Right),
        ("OUT OF ORDER", Align::Right),
        ("TWICE", Align::Right),
        ("LOST ON WAN", Align::Right),
        ("SENT AGAIN", Align::Right),
        ("GAVE UP", Align::Right),
        ("TIME", Align::Right),
    ]);
    for report in runs.iter().flat_map(|run| run.bare.iter().chain([&run.report])) {
        let endpoints = &report.endpoints;
        table.row([
            report.seed.to_string(),
            if report.gateways.is_some() { "yes" } else { "no" }.to_owned(),
            endpoints.packets_sent.to_string(),
            endpoints.missing.to_string(),
            endpoints.altered.to_string(),
            endpoints.out_of_sequence.to_string(),
            endpoints.duplicates.to_string(),
            report.wan.dropped.to_string(),
            of_gateways(report, |gateway| gateway.resent_packets),
            of_gateways(report, |gateway| gateway.gave_up),
            seconds(endpoints.completion_us.max / 1e6),
        ]);
    }
    table.write(output, 0)
}

fn paths(report: &Report) -> String {
    let names: Vec<_> = report.scenario.paths.iter().map(|path| path.name.as_str()).collect();
    match names.as_slice() {
        [name] => format!("path {name}"),
        names => format!("paths {}", names.join(", ")),
    }
}
