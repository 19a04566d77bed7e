//! The picture: what is plotted, and how it looks.

use lab::chart::{Axis, Line, Look, Mark, NO_LINE, Panel, Row, SMALL, svg};

use crate::formula;
use crate::matrix::{Case, DISTANCES, LOSSES, Mode, QPS};
use crate::results::{Results, loss};

const TUNNEL: &str = "#0868ac";
const TRANSPARENT: &str = "#41ab5d";
const BARE: &str = "#d95f02";
const POSSIBLE: &str = "#555";
const TIMES: [(&str, &str); 3] = [("median", "#1b7837"), ("p99", "#7b3294"), ("p99.9", "#c51b7d")];
/// Steps of the axis of completion times; each is about a round trip.
const STEPS: u32 = 6;
/// Dashes of formulas.
const FORMULA: &str = "2 4";
/// Dashes of bursts.
const BURSTS: &str = "7 4";

const fn look(colour: &'static str, dashes: &'static str, mark: Mark) -> Look {
    Look { colour, dashes, mark }
}

/// The lines of goodput: of which mode, of what bursts, measured or by its formula. With gateways
/// bursts would lie on the lines of independent losses.
const LINES: [(Mode, Option<f64>, bool, Look, &str); 6] = [
    (Mode::Tunnel, None, false, look(POSSIBLE, FORMULA, Mark::None), "selective repeat, formula"),
    (Mode::Tunnel, None, true, look(TUNNEL, "", Mark::Full), "gateways, tunnel"),
    (
        Mode::Transparent,
        None,
        true,
        look(TRANSPARENT, BURSTS, Mark::Hollow),
        "gateways, transparent",
    ),
    (Mode::Bare, None, false, look(BARE, FORMULA, Mark::None), "go-back-N, formula"),
    (Mode::Bare, None, true, look(BARE, "", Mark::Full), "no gateways"),
    (Mode::Bare, Some(5.0), true, look(BARE, BURSTS, Mark::Hollow), "no gateways, bursts of 5"),
];

/// The picture.
pub(crate) fn plot(results: &Results) -> String {
    let mut rows: Vec<_> = QPS.iter().rev().map(|&qps| goodputs(results, qps)).collect();
    // One legend is enough for both.
    rows.iter_mut().skip(1).for_each(|row| row.legend.clear());
    rows.push(times(results, 16));
    svg(&rows)
}

/// From 0 to 1; losses in equal steps, for each is ten times the one before, and none at the left.
fn place(index: usize) -> f64 {
    0.04 + 0.92 * index as f64 / (LOSSES.len() - 1) as f64
}

fn losses() -> Axis {
    let ticks = LOSSES.iter().enumerate().map(|(index, &value)| (place(index), loss(value)));
    Axis { label: "packet loss".into(), ticks: ticks.collect() }
}

/// A line over all losses; `value` is from 0 to 1.
fn line(look: Look, value: impl Fn(f64) -> Option<f64>) -> Line {
    let points = LOSSES.iter().enumerate();
    let points = points.filter_map(|(index, &loss)| Some((place(index), value(loss)?)));
    Line { look, points: points.collect() }
}

fn goodputs(results: &Results, qps: u32) -> Row {
    let ticks = (0..=5).map(|step| (f64::from(step) / 5.0, (20 * step).to_string()));
    let y = Axis { label: "goodput, Gbit/s".into(), ticks: ticks.collect() };
    let panels = DISTANCES.map(|km| {
        let lines = LINES.map(|(mode, burst, measured, look, _)| {
            line(look, |loss| {
                let case = Case { mode, km, qps, loss, burst };
                let goodput = results.of(case)?.goodput;
                Some(if measured { goodput } else { results.formula(case) } / 100.0)
            })
        });
        Panel { title: format!("{km} km"), x: losses(), y: y.clone(), lines: lines.into() }
    });
    let pairs = if qps == 1 { "one queue pair".into() } else { format!("{qps} queue pairs") };
    let heading = format!("Goodput of {pairs} on a line of 100 Gbit/s: higher is better");
    let legend = LINES.map(|(.., look, text)| (look, text.to_owned()));
    Row { heading, legend: legend.into(), plot: SMALL, panels: panels.into() }
}

fn times(results: &Results, qps: u32) -> Row {
    let legend = |what: &str, dashes, mark| {
        TIMES.map(|(name, colour)| (look(colour, dashes, mark), format!("{name}, {what}")))
    };
    let mut legends = legend("tunnel", "", Mark::Full).to_vec();
    legends.extend(legend("transparent", NO_LINE, Mark::Hollow));
    legends.extend(legend("ideal retransmission", FORMULA, Mark::None));
    let panels = DISTANCES.map(|km| {
        let case = |mode, loss| Case { mode, km, qps, loss, burst: None };
        let step = (case(Mode::Tunnel, 0.0).rtt() as f64 / 1e6).ceil();
        let top = step * f64::from(STEPS);
        let mut lines = Vec::new();
        for (index, (_, colour)) in TIMES.into_iter().enumerate() {
            let measured = |mode, loss| {
                let took = results.of(case(mode, loss))?.completion;
                Some([took.p50, took.p99, took.p999][index] / 1e3 / top)
            };
            let ideal = |loss| Some(formula::ideal(case(Mode::Tunnel, loss))?[index] / top);
            lines.push(line(look(colour, FORMULA, Mark::None), ideal));
            let tunnel = |loss| measured(Mode::Tunnel, loss);
            lines.push(line(look(colour, "", Mark::Full), tunnel));
            let transparent = |loss| measured(Mode::Transparent, loss);
            lines.push(line(look(colour, NO_LINE, Mark::Hollow), transparent));
        }
        let ticks = (0..=STEPS).map(f64::from);
        let ticks = ticks.map(|at| (at / f64::from(STEPS), format!("{}", at * step)));
        let ticks = ticks.collect();
        let y = Axis { label: "milliseconds".into(), ticks };
        Panel { title: format!("{km} km"), x: losses(), y, lines }
    });
    let heading =
        format!("Completion times of 1 MiB, {qps} queue pairs with gateways: lower is better");
    Row { heading, legend: legends, plot: SMALL, panels: panels.into() }
}
