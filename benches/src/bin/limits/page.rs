//! The page: what the picture shows, and the figures, in Markdown.

use std::fmt::Write;

use crate::formula;
use crate::matrix::{BURSTS, Case, DISTANCES, LOSSES, Mode, QPS};
use crate::results::{Results, loss};

const HEAD: &str = "\
# What it reaches

How fast RDMA is across a wide area that loses packets, with the gateways and without, beside what
theory allows. `make limits` measures it and writes this page, in the lab's virtual time: the
gateways are the code that runs live, RNICs and wide area are models. The figures are the same on
every machine.

![Goodput and completion times against loss](limits.svg)

How to read it. To the right, ten times as many packets are lost at each step; from panel to panel
the sites lie further apart.

- **Goodput**: bytes of messages that arrive, a second. Without gateways (orange) an RNIC begins anew
  behind each loss, and sends a round trip of packets in vain; with them (blue, green) only what was
  lost is sent again. The dotted lines are the formulas of both.
- **Completion time**: from the first packet of a message of 1 MiB to its acknowledgement. The median,
  and what 1 % and 0.1 % of messages exceed. Each round of repair takes a round trip, which is a line
  of the grid; nobody can repair in less, but by sending more than was asked for.

What was run. One path of 100 Gbit/s, 4.9 µs a kilometre one way; hosts that may send 400 Gbit/s, and
wait where the path is full; RDMA WRITEs of 1 MiB at a path MTU of 4096; windows of four
bandwidth-delay products in all, so that they are not what is measured. Losses hit data,
confirmations and requests for repair alike, each frame on its own or in bursts of five on average
(Gilbert-Elliott) of the same mean loss. With gateways a run lasts at least 64 round trips and 4,096
messages; without them it is about one and a half million packets, most of them in vain.

";

const GOODPUT: &str = "\
## Goodput

Gbit/s, and in % the part that is left of the same without loss.

- **tunnel**, **transparent**: with gateways that number packets in a header of their own, or by
  their PSNs.
- **possible**: selective repeat, 1 − p of what the line carries beside the tunnel's headers.
- **none**: without gateways.
- **go-back-N**: its formula, s / (s + m (1 − s)) of what the line carries beside headers, where a
  packet comes through with s = 1 − p and a queue pair has m packets in a round trip. To one queue
  pair a burst is one gap; 16 take turns, and each packet of a burst is a gap of another. RNICs have
  the shortest timeout that a round trip does not set off, for nothing else tells them that a packet
  sent again was lost again. Real ones wait longer.

";

const TIMES: &str = "\
## Completion times

Milliseconds: median, 99th and 99.9th percentile. **Ideal**: 16 queue pairs, independent losses, and
perfect retransmission: every loss is known at once, a round of repair takes one round trip, streams
stay in order (computed for round trips of 1, 5 and 10 ms). It repairs each loss once, the gateways
twice: where two losses in a row count, they can be better.

";

/// The whole page.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::from(HEAD);
    noticed(&mut page, results);
    page.push_str(GOODPUT);
    for km in DISTANCES {
        goodput(&mut page, results, km);
    }
    page.push_str(TIMES);
    for km in DISTANCES {
        times(&mut page, results, km);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// What RNICs saw of all the losses.
fn noticed(page: &mut String, results: &Results) {
    let of = |mode| results.all().filter(move |outcome| outcome.case.mode == mode);
    let noticed = |mode| of(mode).map(|outcome| outcome.noticed).sum::<u64>();
    let resent: u64 = Mode::GATEWAYS.into_iter().flat_map(of).map(|outcome| outcome.resent).sum();
    let _ = writeln!(
        page,
        "What RNICs noticed of the losses, in all runs together (packets that they sent again, NAKs, \
         timeouts):\n{} with tunnel numbering, {} with transparent, {} without gateways. The \
         gateways sent {resent}\npackets again.\n",
        noticed(Mode::Tunnel),
        noticed(Mode::Transparent),
        noticed(Mode::Bare),
    );
}

fn goodput(page: &mut String, results: &Results, km: u32) {
    let _ = writeln!(page, "### {km} km\n");
    page.push_str(
        "| QPs | loss | bursts of | tunnel | % | transparent | % | possible | none | % |",
    );
    page.push_str(" go-back-N |\n");
    page.push_str("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n");
    for case in cases(km) {
        row(page, case);
        for mode in Mode::ALL {
            let case = Case { mode, ..case };
            if let Some(outcome) = results.of(case) {
                let kept = 100.0 * results.kept(outcome);
                let _ = write!(page, " {} | {kept:.1} |", gigabits(outcome.goodput));
            }
            if mode != Mode::Tunnel {
                // One formula is for both kinds of gateways: the one with headers of its own.
                let mode = if mode == Mode::Bare { mode } else { Mode::Tunnel };
                let _ = write!(page, " {} |", gigabits(results.formula(Case { mode, ..case })));
            }
        }
        page.push('\n');
    }
    page.push('\n');
}

fn times(page: &mut String, results: &Results, km: u32) {
    let _ = writeln!(page, "### {km} km\n");
    page.push_str("| QPs | loss | bursts of | tunnel | p99 | p99.9 | transparent | p99 | p99.9 |");
    page.push_str(" ideal | p99 | p99.9 |\n");
    page.push_str("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n");
    for case in cases(km) {
        row(page, case);
        for mode in Mode::GATEWAYS {
            let took = results.of(Case { mode, ..case }).map(|outcome| outcome.completion);
            let times = took.map(|took| [took.p50, took.p99, took.p999].map(|time| time / 1e3));
            write_times(page, times);
        }
        write_times(page, formula::ideal(case));
        page.push('\n');
    }
    page.push('\n');
}

/// The first columns of a row.
fn row(page: &mut String, Case { qps, loss: lost, burst, .. }: Case) {
    let burst = burst.map_or_else(|| "–".into(), |burst| burst.to_string());
    let _ = write!(page, "| {qps} | {} | {burst} |", loss(lost));
}

/// Three columns, empty without times.
fn write_times(page: &mut String, times: Option<formula::Times>) {
    for time in 0..3 {
        let time = times.map_or_else(String::new, |times| three_digits(times[time]));
        let _ = write!(page, " {time} |");
    }
}

/// What is run at a distance, in the order of the tables; the mode is a tunnel.
fn cases(km: u32) -> impl Iterator<Item = Case> {
    let all = QPS.into_iter().flat_map(|qps| BURSTS.map(|burst| (qps, burst)));
    let mode = Mode::Tunnel;
    all.flat_map(move |(qps, burst)| LOSSES.map(|loss| Case { mode, km, qps, loss, burst }))
        .filter(|case| case.loss > 0.0 || case.burst.is_none())
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
