//! The tables, in Markdown.

use std::fmt::Write;

use crate::formula;
use crate::matrix::{BURSTS, Case, DISTANCES, LOSSES, Mode, Outcome, QPS};
use crate::results::{Results, loss};

const HEAD: &str = "\
# What it reaches

Written by `make limits`, in the lab's virtual time: the gateways are the code that runs live, RNICs
and wide area are models. The figures are the same on every machine.

![Goodput and completion times against loss](limits.svg)

One path of 100 Gbit/s, 4.9 µs a kilometre one way; hosts that may send 400 Gbit/s, and wait where
the path is full; RDMA WRITEs of 1 MiB at a path MTU of 4096; windows of four bandwidth-delay
products in all, so that they are not what is measured. Each run lasts about 100 round trips, or
8,192 messages. Losses hit data, confirmations and requests for repair alike: each frame on its own,
or in bursts of five on average (Gilbert-Elliott), of the same mean loss. Runs without gateways that
lose packets send about three million, most of them for nothing.

";

const GOODPUT: &str = "\
## Goodput

*Of loss-free*: against the same run without loss. *Formula*: with gateways selective repeat,
1 − p; without them go-back-N, s / (s + m (1 − s)), where a packet comes through with s = 1 − p and a
queue pair has m packets in a round trip. To one queue pair a burst is one gap; 16 take turns, and
each packet of a burst is a gap of another. Both of what the line carries beside headers. *Noticed*:
what RNICs saw of the losses, that is packets they sent again, NAKs and timeouts.

Without gateways RNICs have the shortest timeout that a round trip does not set off, for nothing
but the timeout tells them that a packet sent again was lost again. Real ones wait longer.

";

const TIMES: &str = "\
## Completion times

From the first packet of a message to its acknowledgement, in milliseconds, with gateways. *Ideal*:
16 queue pairs, independent losses, and perfect retransmission: every loss is known at once, a round
of repair takes one round trip, streams stay in order (computed for round trips of 1, 5 and 10 ms).
Going below takes forward error correction.

";

/// The whole page.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::from(HEAD);
    page.push_str(GOODPUT);
    for mode in Mode::ALL {
        let title = match mode {
            Mode::Tunnel => "With gateways: tunnel numbering",
            Mode::Transparent => "With gateways: transparent numbering",
            Mode::Bare => "Without gateways",
        };
        let _ = writeln!(page, "### {title}\n");
        goodput(&mut page, results, mode);
        page.push('\n');
    }
    page.push_str(TIMES);
    times(&mut page, results);
    page
}

fn goodput(page: &mut String, results: &Results, mode: Mode) {
    page.push_str("| km | QPs | loss | bursts | Gbit/s | of loss-free | formula | of formula |");
    page.push_str(" sent again by gateways | noticed |\n");
    page.push_str("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n");
    for outcome in rows(results, mode) {
        let case = outcome.case;
        let formula = results.formula(case);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.1} % | {} | {:.1} % | {} | {} |",
            case.km,
            case.qps,
            loss(case.loss),
            bursts(case),
            gigabits(outcome.goodput),
            100.0 * results.kept(outcome),
            gigabits(formula),
            100.0 * outcome.goodput / formula,
            outcome.resent,
            outcome.noticed,
        );
    }
}

fn times(page: &mut String, results: &Results) {
    page.push_str("| km | QPs | loss | bursts | p50 | p99 | p99.9 | ideal p50 | p99 | p99.9 |\n");
    page.push_str("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n");
    for outcome in rows(results, Mode::Tunnel) {
        let case = outcome.case;
        let took = &outcome.completion;
        let _ =
            write!(page, "| {} | {} | {} | {} ", case.km, case.qps, loss(case.loss), bursts(case));
        for time in [took.p50, took.p99, took.p999] {
            let _ = write!(page, "| {} ", three_digits(time / 1e3));
        }
        for time in 0..3 {
            let ideal = formula::ideal(case).map(|times| three_digits(times[time]));
            let _ = write!(page, "| {} ", ideal.unwrap_or_default());
        }
        page.push_str("|\n");
    }
}

/// The outcomes of a mode, in the order of the tables.
fn rows(results: &Results, mode: Mode) -> impl Iterator<Item = &Outcome> {
    let wide = DISTANCES.into_iter().flat_map(|km| QPS.map(|qps| (km, qps)));
    let all = wide.flat_map(|(km, qps)| BURSTS.map(|burst| (km, qps, burst)));
    all.flat_map(move |(km, qps, burst)| LOSSES.map(|loss| Case { mode, km, qps, loss, burst }))
        .filter(|case| case.loss > 0.0 || case.burst.is_none())
        .filter_map(|case| results.of(case))
}

fn bursts(case: Case) -> String {
    case.burst.map_or_else(|| "–".into(), |burst| burst.to_string())
}

/// Two places where there is little of it.
fn gigabits(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.1}") }
}

/// As many places as make three digits.
fn three_digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
