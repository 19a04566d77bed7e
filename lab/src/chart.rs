//! Charts in SVG: panels with axes, lines and marks, and a legend. No more than is needed here.

use std::fmt::Write;

/// How wide and high the plot of a small panel is, without what is written around it.
pub const SMALL: (f64, f64) = (226.0, 190.0);
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
pub const NO_LINE: &str = "none";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// As SVG has it.
    pub colour: &'static str,
    /// As SVG has it; empty for a solid line, [`NO_LINE`] for marks alone.
    pub dashes: &'static str,
    /// At its points.
    pub mark: Mark,
}

/// What stands at each point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// A circle.
    Full,
    /// A circle that is white inside.
    Hollow,
}

/// An axis: its values are placed from 0 to 1 by whoever knows its scale.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// Places and what is written there.
    pub ticks: Vec<(f64, String)>,
}

/// A line: its points are placed from 0 to 1 in both directions, upwards.
#[derive(Debug, Clone)]
pub struct Line {
    /// How it looks.
    pub look: Look,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

/// A panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x: Axis,
    /// At its left.
    pub y: Axis,
    /// What it shows.
    pub lines: Vec<Line>,
}

/// Rows of panels, each under a heading and a legend of its own.
#[derive(Debug, Clone)]
pub struct Row {
    /// Above it.
    pub heading: String,
    /// What lines mean.
    pub legend: Vec<(Look, String)>,
    /// How wide and high their plots are, without what is written around them.
    pub plot: (f64, f64),
    /// The panels.
    pub panels: Vec<Panel>,
}

/// The whole picture.
#[must_use]
pub fn svg(rows: &[Row]) -> String {
    let size = |row: &Row| {
        let (width, height) = row.plot;
        (MARGINS.0 + width + MARGINS.2, MARGINS.1 + height + MARGINS.3)
    };
    let width = rows.iter().map(|row| size(row).0 * row.panels.len() as f64).fold(0.0, f64::max);
    let mut body = String::new();
    let mut top = 8.0;
    for row in rows {
        write(&mut body, (MARGINS.0, top + 18.0), "start", "heading", &row.heading);
        top += HEADING;
        top += legend(&mut body, &row.legend, width, top);
        let (across, down) = size(row);
        for (column, each) in row.panels.iter().enumerate() {
            let corner = (across * column as f64 + MARGINS.0, top + MARGINS.1);
            draw(&mut body, each, corner, row.plot);
        }
        top += down + 12.0;
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

fn draw(body: &mut String, panel: &Panel, (left, top): (f64, f64), (width, height): (f64, f64)) {
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
