//! What each path carried over time, to look at: lines of blocks in a terminal, and a picture.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use lab::chart::{Axis, Line, Look, Mark, Panel, Row, svg};
use lab::report::{PathTraffic, Report};

/// Blocks of rising height.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How many stand in a line.
const WIDTH: usize = 64;
/// The picture's name beside the captures.
const FILE: &str = "paths.svg";
/// How wide and high its plot is.
const PLOT: (f64, f64) = (720.0, 260.0);
/// The colours of paths, in turn.
const COLOURS: [&str; 8] =
    ["#0868ac", "#d95f02", "#1b7837", "#7b3294", "#c51b7d", "#8c6d31", "#41ab5d", "#555"];

/// A rate of each of `points` equal parts of the play.
fn resampled(rates: &[f64], points: usize) -> Vec<f64> {
    let points = points.min(rates.len());
    let part = |index: usize| {
        let (from, to) = (index * rates.len() / points, (index + 1) * rates.len() / points);
        let part = rates.get(from..to).unwrap_or_default();
        part.iter().sum::<f64>() / part.len().max(1) as f64
    };
    (0..points).map(part).collect()
}

/// What a full line is: the path's rate, or, without one, the most that it carried.
fn full(report: &Report, path: &PathTraffic) -> f64 {
    let configured = report.scenario.paths.iter().find(|known| known.name == path.name);
    let rate = configured.and_then(|known| known.rate_bps).map(|bits| bits as f64 / 1e9);
    rate.unwrap_or_else(|| path.gbps_over_time.iter().copied().fold(0.0, f64::max))
}

/// Blocks for rates, of which `full` is the highest.
fn blocks(rates: &[f64], full: f64) -> String {
    let block = |rate: &f64| {
        let height = if full > 0.0 { rate / full * (BLOCKS.len() - 1) as f64 } else { 0.0 };
        // Whatever flows at all is seen.
        let height = if *rate > 0.0 { height.round().max(1.0) } else { 0.0 };
        BLOCKS[(height as usize).min(BLOCKS.len() - 1)]
    };
    rates.iter().map(block).collect()
}

/// A line of blocks for each path.
pub(super) fn write(output: &mut dyn Write, report: &Report) -> io::Result<()> {
    let paths = &report.wan.paths;
    let longest = paths.iter().map(|path| path.name.chars().count()).max().unwrap_or(0);
    for path in paths.iter().filter(|path| !path.gbps_over_time.is_empty()) {
        let full = full(report, path);
        let blocks = blocks(&resampled(&path.gbps_over_time, WIDTH), full);
        writeln!(output, "{:longest$} |{blocks}| of {full:.3} Gbit/s", path.name)?;
    }
    Ok(())
}

/// Writes the picture into a folder that is there.
///
/// # Errors
/// Those of the file.
pub(super) fn write_picture(folder: &Path, report: &Report) -> io::Result<()> {
    fs::write(folder.join(FILE), picture(report))
}

fn picture(report: &Report) -> String {
    let paths = &report.wan.paths;
    let most =
        paths.iter().map(|path| full(report, path)).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let intervals = paths.iter().map(|path| path.gbps_over_time.len()).max().unwrap_or(0).max(1);
    let length = intervals as f64 * report.wan.interval_us / 1e3;
    let looks = COLOURS.map(|colour| Look { colour, dashes: "", mark: Mark::None });
    let looks = looks.into_iter().cycle();
    let lines = paths.iter().zip(looks.clone()).map(|(path, look)| {
        let point = |(index, rate): (usize, &f64)| {
            ((index as f64 + 0.5) / intervals as f64, (rate / most).min(1.0))
        };
        Line { look, points: path.gbps_over_time.iter().enumerate().map(point).collect() }
    });
    let legend = paths.iter().zip(looks).map(|(path, look)| {
        (look, format!("{}, {:.1} % busy", escaped(&path.name), path.utilization * 100.0))
    });
    let panel = Panel {
        title: String::new(),
        x: axis("milliseconds from the start", length),
        y: axis("Gbit/s", most),
        lines: lines.collect(),
    };
    svg(&[Row {
        heading: "What the paths carried".to_owned(),
        legend: legend.collect(),
        plot: PLOT,
        panels: vec![panel],
    }])
}

/// An axis from 0 to `most`, with marks at round values.
fn axis(label: &str, most: f64) -> Axis {
    let least = most / 6.0;
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter();
    let step = step.clone().find(|step| *step >= least).unwrap_or(most);
    // A mark that would be at the end, but for rounding, is.
    let count = (most / step + 1e-9) as u32;
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let tick =
        |index| (f64::from(index) * step / most, format!("{:.decimals$}", f64::from(index) * step));
    Axis { label: label.to_owned(), ticks: (0..=count).map(tick).collect() }
}

/// A name as SVG has it.
fn escaped(name: &str) -> String {
    name.replace('&', "and").replace('<', "(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_high_as_rates() {
        assert_eq!(blocks(&[0.0, 0.001, 5.0, 10.0, 11.0], 10.0), " ▁▄██");
        assert_eq!(blocks(&[0.0, 0.0], 0.0), "  ");
    }

    #[test]
    fn axes_are_marked_at_round_values() {
        let marks =
            |most| axis("", most).ticks.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(marks(40.0), ["0", "10", "20", "30", "40"]);
        assert_eq!(marks(176.6), ["0", "50", "100", "150"]);
        assert_eq!(marks(0.6), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
    }

    #[test]
    fn parts_are_means() {
        assert_eq!(resampled(&[1.0, 3.0, 5.0, 5.0], 2), [2.0, 5.0]);
        assert_eq!(resampled(&[1.0], 64), [1.0]);
        assert!(resampled(&[], 64).is_empty());
    }
}
