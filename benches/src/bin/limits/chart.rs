//! Charts in SVG: panels with axes, lines and marks, and a legend. No more than is needed here.

use std::fmt::Write;

/// How wide and high a panel's plot is, without what is written around it.
const PLOT: (f64, f64) = (226.0, 190.0);
/// What is around it: left, top, right, bottom.
const MARGINS: (f64, f64, f64, f64) = (54.0, 34.0, 14.0, 50.0);
/// Height of a row's heading.
const HEADING: f64 = 30.0;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 22.0;
/// Room of an entry of the legend.
const LEGEND_ENTRY: f64 = 290.0;

const STYLE: &str = "\
text{font-family:Helvetica,Arial,sans-serif;font-size:13px;fill:#333}\
.heading{font-size:16px;font-weight:bold}.title{font-weight:bold}\
.axis{stroke:#555;fill:none}.grid{stroke:#e4e4e4}\
.line{fill:none;stroke-width:2}";

/// Instead of dashes: no line between the marks.
pub(crate) const NO_LINE: &str = "none";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) colour: &'static str,
    /// As SVG has it; empty for a solid line, [`NO_LINE`] for marks alone.
    pub(crate) dashes: &'static str,
    pub(crate) mark: Mark,
}

/// What stands at each point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Full,
    Hollow,
}

/// An axis: its values are placed from 0 to 1 by whoever knows its scale.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) label: String,
    /// Places and what is written there.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// A line: its points are placed from 0 to 1 in both directions, upwards.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) look: Look,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A panel.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// Rows of panels, each under a heading and a legend of its own.
pub(crate) struct Row {
    pub(crate) heading: String,
    /// What lines mean.
    pub(crate) legend: Vec<(Look, String)>,
    pub(crate) panels: Vec<Panel>,
}

/// The whole picture.
pub(crate) fn svg(rows: &[Row]) -> String {
    let panel = (MARGINS.0 + PLOT.0 + MARGINS.2, MARGINS.1 + PLOT.1 + MARGINS.3);
    let columns = rows.iter().map(|row| row.panels.len()).max().unwrap_or(0);
    let width = panel.0 * columns as f64;
    let mut body = String::new();
    let mut top = 8.0;
    for row in rows {
        write(&mut body, (MARGINS.0, top + 18.0), "start", "heading", &row.heading);
        top += HEADING;
        top += legend(&mut body, &row.legend, width, top);
        for (column, each) in row.panels.iter().enumerate() {
            draw(&mut body, each, panel.0 * column as f64 + MARGINS.0, top + MARGINS.1);
        }
        top += panel.1 + 12.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" \
         width=\"{width}\" height=\"{top}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// Draws a legend, in as many columns as there is room for, and says how high it is.
fn legend(body: &mut String, entries: &[(Look, String)], width: f64, top: f64) -> f64 {
    let columns = ((width / LEGEND_ENTRY) as usize).max(1);
    for (index, (look, text)) in entries.iter().enumerate() {
        let x = MARGINS.0 + (index % columns) as f64 * LEGEND_ENTRY;
        let y = top + ((index / columns) as f64 + 0.5) * LEGEND_LINE;
        stroke(body, *look, &[(x, y), (x + 32.0, y)]);
        mark(body, *look, (x + 16.0, y));
        write(body, (x + 40.0, y + 4.0), "start", "", text);
    }
    entries.len().div_ceil(columns) as f64 * LEGEND_LINE
}

fn draw(body: &mut String, panel: &Panel, left: f64, top: f64) {
    let (width, height) = PLOT;
    let bottom = top + height;
    write(body, (left + width / 2.0, top - 12.0), "middle", "title", &panel.title);
    for (at, text) in &panel.y.ticks {
        let y = bottom - at * height;
        rule(body, "grid", (left, y), (left + width, y));
        write(body, (left - 7.0, y + 4.0), "end", "", text);
    }
    for (at, text) in &panel.x.ticks {
        let x = left + at * width;
        rule(body, "axis", (x, bottom), (x, bottom + 4.0));
        write(body, (x, bottom + 18.0), "middle", "", text);
    }
    rule(body, "axis", (left, top), (left, bottom));
    rule(body, "axis", (left, bottom), (left + width, bottom));
    write(body, (left + width / 2.0, bottom + 38.0), "middle", "", &panel.x.label);
    let (x, y) = (left - 40.0, top + height / 2.0);
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 {x:.1} {y:.1})\">{}</text>",
        panel.y.label
    );
    for line in &panel.lines {
        let place = |(x, y): &(f64, f64)| (left + x * width, bottom - y * height);
        let points: Vec<_> = line.points.iter().map(place).collect();
        stroke(body, line.look, &points);
        points.iter().for_each(|&point| mark(body, line.look, point));
    }
}

fn stroke(body: &mut String, look: Look, points: &[(f64, f64)]) {
    if look.dashes == NO_LINE {
        return;
    }
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dashes = match look.dashes {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    };
    let _ = writeln!(
        body,
        "<polyline class=\"line\" stroke=\"{}\"{dashes} points=\"{}\"/>",
        look.colour,
        points.join(" ")
    );
}

fn mark(body: &mut String, look: Look, (x, y): (f64, f64)) {
    let fill = match look.mark {
        Mark::None => return,
        Mark::Full => look.colour,
        Mark::Hollow => "#fff",
    };
    let _ = writeln!(
        body,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{fill}\" stroke=\"{}\" \
         stroke-width=\"1.5\"/>",
        look.colour
    );
}

fn rule(body: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        body,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// Text; nothing in it may need escaping.
fn write(body: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, text: &str) {
    debug_assert!(!text.contains(['<', '&']), "{text}");
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(
        body,
        "<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
