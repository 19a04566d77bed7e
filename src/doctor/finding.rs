//! What was found out about one thing, and how it is told.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::report::{Align, Table};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It runs, but not as well as it could, or that could not be found out.
    Warning,
    /// It does not run.
    Problem,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        })
    }
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) level: Level,
    /// What was looked at, in a word: `mtu`.
    pub(crate) check: &'static str,
    /// Where: `port lan`, `core 3`, `node 0`, `control`, `dpdk`, or `machine`.
    #[serde(rename = "where")]
    pub(crate) place: String,
    /// What is so.
    pub(crate) what: String,
    /// The command that mends it, or what to do where no command can; none where nothing can be
    /// better.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: &'static str, place: &str, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, place: place.to_owned(), what: what.into(), remedy: None }
    }

    /// It runs, but.
    pub(super) fn warning(
        check: &'static str,
        place: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { level: Level::Warning, remedy, ..Self::ok(check, place, what) }
    }

    /// It does not run.
    pub(super) fn problem(
        check: &'static str,
        place: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, place, what, remedy) }
    }

    /// How a port is called as the place of a finding.
    pub(super) fn port(name: &str) -> String {
        format!("port {name}")
    }

    /// The same, no worse than a warning.
    pub(super) fn at_most_warning(self) -> Self {
        Self { level: self.level.min(Level::Warning), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.strip_prefix("port ") {
            Some(port) => write!(f, "port {port:?}: {}", self.what)?,
            None => write!(f, "{}: {}", self.place, self.what)?,
        }
        match &self.remedy {
            Some(remedy) => write!(f, "\n    remedy: {remedy}"),
            None => Ok(()),
        }
    }
}

/// All findings, as programs read them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Findings that keep the gateway from running.
    problems: usize,
    /// Findings that make it run less well.
    warnings: usize,
    /// All, in the order in which things were looked at.
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self { problems: count(Level::Problem), warnings: count(Level::Warning), findings }
    }

    /// Whether nothing keeps the gateway from running.
    pub(super) fn fine(&self) -> bool {
        self.problems == 0
    }

    /// The table for people: each remedy in a line below its finding.
    pub(super) fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let left = Align::Left;
        let mut table = Table::new([("LEVEL", left), ("CHECK", left), ("WHERE", left), ("", left)]);
        for Finding { level, check, place, what, remedy } in &self.findings {
            table.row([level.to_string(), (*check).to_owned(), place.clone(), what.clone()]);
            if let Some(remedy) = remedy {
                table.row([String::new(), String::new(), String::new(), format!("-> {remedy}")]);
            }
        }
        table.write(output, 0)?;
        writeln!(output, "{} problem(s), {} warning(s)", self.problems, self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(vec![
            Finding::ok("kernel", "machine", "Linux 6.6"),
            Finding::warning("clock", "machine", "hpet", "echo tsc"),
            Finding::problem("link", "port lan", "it is down", "ip link set dev eth1 up"),
        ])
    }

    #[test]
    fn a_table_has_each_remedy_below_its_finding() {
        let mut output = Vec::new();
        report().write(&mut output).unwrap();
        let expected = "\
LEVEL    CHECK   WHERE
ok       kernel  machine   Linux 6.6
warning  clock   machine   hpet
                           -> echo tsc
PROBLEM  link    port lan  it is down
                           -> ip link set dev eth1 up
1 problem(s), 1 warning(s)
";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
        assert!(!report().fine());
        let warnings = report().findings.into_iter().map(Finding::at_most_warning).collect();
        assert!(Report::new(warnings).fine());
    }

    #[test]
    fn programs_read_every_field() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!((&json["problems"], &json["warnings"]), (&1.into(), &1.into()));
        let link = serde_json::json!({
            "level": "problem",
            "check": "link",
            "where": "port lan",
            "what": "it is down",
            "remedy": "ip link set dev eth1 up",
        });
        assert_eq!(json["findings"][2], link);
        assert!(json["findings"][0]["remedy"].is_null());
    }

    #[test]
    fn a_finding_is_said_with_its_remedy() {
        let said = report().findings[2].to_string();
        assert_eq!(said, "port \"lan\": it is down\n    remedy: ip link set dev eth1 up");
    }
}
