//! The lab's reports for people.

use std::io::{self, Write};

use config::units::Bytes;
use lab::report::{GatewayReport, MessageReport, PathTraffic, Report};
use lab::{Alone, Outcome};

use super::{Run, plot};
use crate::report::{self, Align, Table};

/// A line of a table about one run: its name, and its value.
type Line = (&'static str, fn(&Report) -> String);

/// What is shown of messages, before what is shown of every run.
const MESSAGE_LINES: [Line; 12] = [
    ("Messages posted", |report| of_messages(report, |messages| messages.messages_posted)),
    ("Messages completed", |report| of_messages(report, |messages| messages.messages_completed)),
    ("Messages failed", |report| of_messages(report, |messages| messages.messages_failed)),
    ("Operations a second", |report| {
        of_messages(report, |messages| messages.operations_per_second.round() as u64)
    }),
    ("Median of a message", |report| seconds(report.endpoints.completion_us.p50 / 1e6)),
    ("  99 of 100 within", |report| seconds(report.endpoints.completion_us.p99 / 1e6)),
    ("  all within", |report| seconds(report.endpoints.completion_us.max / 1e6)),
    ("Requests sent again by RNICs", |report| {
        of_messages(report, |messages| messages.retransmitted_packets)
    }),
    ("  NAKs", |report| of_messages(report, |messages| messages.naks)),
    ("  refusals (RNR)", |report| of_messages(report, |messages| messages.rnr_naks)),
    ("  timeouts", |report| of_messages(report, |messages| messages.timeouts)),
    ("Queue pairs failed", |report| of_messages(report, |messages| messages.qp_errors)),
];

/// What is shown of every run: what it means to the two sites first.
const LINES: [Line; 14] = [
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
    ("Gateways started anew", |report| of_gateways(report, |gateway| gateway.restarts)),
    ("Given up by a gateway", |report| of_gateways(report, |gateway| gateway.gave_up)),
    ("Time of the play", |report| seconds(span(report))),
    ("Goodput", |report| format!("{:.3} Gbit/s", report.endpoints.goodput_gbps)),
];

/// Both gateways' figure, or a dash without them.
fn of_gateways(report: &Report, figure: fn(&GatewayReport) -> u64) -> String {
    let sum = report.gateways.as_ref().map(|both| figure(&both.a) + figure(&both.b));
    sum.map_or_else(|| "-".to_owned(), |sum| sum.to_string())
}

/// A figure of messages, or a dash where there are none.
fn of_messages(report: &Report, figure: fn(&MessageReport) -> u64) -> String {
    let figure = report.endpoints.messages.as_ref().map(figure);
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string())
}

/// The lines of a run like this.
fn lines(report: &Report) -> impl Iterator<Item = Line> {
    let messages = report.endpoints.messages.is_some();
    MESSAGE_LINES.into_iter().filter(move |_| messages).chain(LINES)
}

/// From the start to the last delivery or completion, in seconds.
fn span(report: &Report) -> f64 {
    let ends = &report.endpoints;
    ends.messages.map_or(ends.completion_us.max, |messages| messages.span_us) / 1e6
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s") }
}

/// One run; side by side with the bare one, if there is one.
pub(super) fn write_run(output: &mut dyn Write, run: &Run<'_>) -> io::Result<()> {
    let Run { outcome, wall_seconds, .. } = run;
    let (report, bare) = (&outcome.report, &outcome.without_gateways);
    writeln!(output, "{} over {}, seed {}", source(report), paths(report), report.seed)?;
    writeln!(output)?;
    match bare {
        Some(bare) => write_both(output, report, bare)?,
        None => write_alone(output, report)?,
    }
    writeln!(output)?;
    write_groups(output, outcome)?;
    write_paths(output, report, bare.as_ref())?;
    plot::write(output, report)?;
    let rate = report.endpoints.packets_sent as f64 / wall_seconds.max(1e-9);
    report::complain(&format!("{wall_seconds:.2} s here, {rate:.0} frames a second"));
    Ok(())
}

fn write_alone(output: &mut dyn Write, report: &Report) -> io::Result<()> {
    let heading = if report.gateways.is_some() { "WITH GATEWAYS" } else { "WITHOUT GATEWAYS" };
    let mut table = Table::new([("", Align::Left), (heading, Align::Right)]);
    for (name, value) in lines(report) {
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
    for (name, value) in lines(report) {
        table.row([name.to_owned(), value(bare), value(report)]);
    }
    table.write(output, 0)?;
    let play = report.endpoints.messages.is_none();
    if play && bare.endpoints.missing > 0 && report.endpoints.missing == 0 {
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

/// Each of several pairs of hosts; and one alone, if it was run so.
fn write_groups(output: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    let groups = &outcome.report.endpoints.groups;
    if groups.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("HOSTS", Align::Left),
        ("MESSAGES", Align::Right),
        ("GBIT/S", Align::Right),
        ("SHARE", Align::Right),
        ("MEDIAN", Align::Right),
        ("99 OF 100", Align::Right),
        ("BACK AFTER", Align::Right),
    ]);
    for group in groups {
        let back = group.resumed.map(|resumed| seconds(resumed.after_us / 1e6));
        table.row([
            group.name.clone(),
            group.messages_completed.to_string(),
            format!("{:.3}", group.goodput_gbps),
            format!("{:.2} %", group.share_percent),
            seconds(group.completion_us.p50 / 1e6),
            seconds(group.completion_us.p99 / 1e6),
            back.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.write(output, 0)?;
    if let Some(Alone { name, goodput_percent, p99_percent, .. }) = &outcome.alone {
        writeln!(
            output,
            "{name} beside the others: {goodput_percent:.2} % of the goodput, and {p99_percent:.2} % of the time \
             of 99 of 100 messages, that it has alone"
        )?;
    }
    writeln!(output)
}

/// What the paths did; beside it how busy they were without gateways, if that was run.
fn write_paths(output: &mut dyn Write, report: &Report, bare: Option<&Report>) -> io::Result<()> {
    let mut table = Table::new([
        ("PATH", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
        ("LOST", Align::Right),
        ("BUSY", Align::Right),
        ("MOVES", Align::Right),
        (if bare.is_some() { "BUSY BY HASH" } else { "" }, Align::Right),
    ]);
    let busy = |path: &PathTraffic| format!("{:.1} %", path.utilization * 100.0);
    for (index, path) in report.wan.paths.iter().enumerate() {
        let by_hash = bare.and_then(|bare| bare.wan.paths.get(index)).map(busy);
        table.row([
            path.name.clone(),
            path.sent_packets.to_string(),
            report::bytes(path.sent_bytes),
            path.dropped.to_string(),
            busy(path),
            path.moves.to_string(),
            by_hash.unwrap_or_default(),
        ]);
    }
    table.write(output, 0)
}

/// What is shown of each of several plays.
const PLAY_COLUMNS: [Line; 11] = [
    ("SEED", |report| report.seed.to_string()),
    ("GATEWAYS", gateways),
    ("SENT", |report| report.endpoints.packets_sent.to_string()),
    ("MISSING", |report| report.endpoints.missing.to_string()),
    ("ALTERED", |report| report.endpoints.altered.to_string()),
    ("OUT OF ORDER", |report| report.endpoints.out_of_sequence.to_string()),
    ("TWICE", |report| report.endpoints.duplicates.to_string()),
    ("LOST ON WAN", |report| report.wan.dropped.to_string()),
    ("SENT AGAIN", |report| of_gateways(report, |gateway| gateway.resent_packets)),
    ("GAVE UP", |report| of_gateways(report, |gateway| gateway.gave_up)),
    ("TIME", |report| seconds(span(report))),
];

/// What is shown of each of several runs with messages.
const MESSAGE_COLUMNS: [Line; 12] = [
    ("SEED", |report| report.seed.to_string()),
    ("GATEWAYS", gateways),
    ("COMPLETED", |report| of_messages(report, |messages| messages.messages_completed)),
    ("GBIT/S", |report| format!("{:.3}", report.endpoints.goodput_gbps)),
    ("LOST ON WAN", |report| report.wan.dropped.to_string()),
    ("SENT AGAIN", |report| of_gateways(report, |gateway| gateway.resent_packets)),
    ("BY RNICS", |report| of_messages(report, |messages| messages.retransmitted_packets)),
    ("NAKS", |report| of_messages(report, |messages| messages.naks)),
    ("TIMEOUTS", |report| of_messages(report, |messages| messages.timeouts)),
    ("FAILED QPS", |report| of_messages(report, |messages| messages.qp_errors)),
    ("GAVE UP", |report| of_gateways(report, |gateway| gateway.gave_up)),
    ("TIME", |report| seconds(span(report))),
];

fn gateways(report: &Report) -> String {
    if report.gateways.is_some() { "yes" } else { "no" }.to_owned()
}

/// Several runs, a line each.
pub(super) fn write_runs(output: &mut dyn Write, runs: &[Run<'_>]) -> io::Result<()> {
    match runs.iter().any(|run| run.outcome.report.endpoints.messages.is_some()) {
        true => write_rows(output, runs, MESSAGE_COLUMNS),
        false => write_rows(output, runs, PLAY_COLUMNS),
    }
}

fn write_rows<const N: usize>(
    output: &mut dyn Write,
    runs: &[Run<'_>],
    columns: [Line; N],
) -> io::Result<()> {
    let mut table = Table::new(columns.map(|(heading, _)| (heading, Align::Right)));
    let outcomes = runs.iter().map(|run| &run.outcome);
    for report in
        outcomes.flat_map(|outcome| outcome.without_gateways.iter().chain([&outcome.report]))
    {
        table.row(columns.map(|(_, value)| value(report)));
    }
    table.write(output, 0)
}

/// What was run.
fn source(report: &Report) -> String {
    let Some(traffic) = &report.scenario.traffic else {
        return report.scenario.input.clone().unwrap_or_default();
    };
    let size = Bytes(traffic.size.into());
    format!(
        "{} queue pairs, {} messages each ({}, {size}, direction {})",
        traffic.qps, traffic.messages, traffic.verb, traffic.direction
    )
}

fn paths(report: &Report) -> String {
    let names: Vec<_> = report.scenario.paths.iter().map(|path| path.name.as_str()).collect();
    match names.as_slice() {
        [name] => format!("path {name}"),
        names => format!("paths {}", names.join(", ")),
    }
}
