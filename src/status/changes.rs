//! The configuration in force, and who changed what of it and when, as they are shown.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::Status;
use crate::report::{Align, Table};

/// The configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfigurationStatus {
    /// Its file; what changed since it was read is not in there.
    pub(crate) file: String,
    /// Times that it changed, and 1.
    pub(crate) generation: u64,
    /// Keys of tenants that changed, and attempts to change some that were refused, each whole.
    pub(crate) changed: u64,
    pub(crate) refused: u64,
    /// The last attempt that was.
    pub(crate) last_refusal: Option<RefusalStatus>,
    /// What changed lately, the latest last.
    pub(crate) changes: Vec<ChangeStatus>,
}

/// One key of a tenant that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeStatus {
    /// The generation that it made.
    pub(crate) generation: u64,
    pub(crate) seconds_ago: f64,
    /// Since 1970-01-01 00:00:00 UTC.
    pub(crate) unix_seconds: f64,
    /// Who said so: user and process behind the socket, or SIGHUP and the file.
    pub(crate) by: String,
    pub(crate) tenant: String,
    pub(crate) key: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// An attempt that changed nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RefusalStatus {
    pub(crate) seconds_ago: f64,
    pub(crate) unix_seconds: f64,
    pub(crate) by: String,
    /// What was wrong, and the remedy.
    pub(crate) why: String,
}

pub(super) fn changes(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    let ConfigurationStatus { file, generation, refused, changes, last_refusal, .. } =
        &status.configuration;
    writeln!(output, "{file}, generation {generation}; {refused} refused")?;
    write_changes(changes, output)?;
    if let Some(last) = last_refusal {
        writeln!(output, "last refused, {:.3} s ago, {}: {}", last.seconds_ago, last.by, last.why)?;
    }
    Ok(())
}

/// Writes changes as a table, if there are any.
///
/// # Errors
/// Those of the output.
pub(crate) fn write_changes(changes: &[ChangeStatus], output: &mut dyn Write) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let columns = ["AGO", "GENERATION", "TENANT", "KEY", "FROM", "TO", "BY"];
    let right = |name: &str| ["AGO", "GENERATION"].contains(&name);
    let mut table = Table::new(
        columns.map(|name| (name, if right(name) { Align::Right } else { Align::Left })),
    );
    for change in changes {
        table.row([
            format!("{:.3} s", change.seconds_ago),
            change.generation.to_string(),
            change.tenant.clone(),
            change.key.clone(),
            change.from.clone(),
            change.to.clone(),
            change.by.clone(),
        ]);
    }
    table.write(output, 0)
}

/// One, for tests.
#[cfg(test)]
pub(super) fn sample() -> ConfigurationStatus {
    ConfigurationStatus {
        file: "site-a.toml".into(),
        generation: 2,
        changed: 1,
        refused: 1,
        last_refusal: Some(RefusalStatus {
            seconds_ago: 1.5,
            unix_seconds: 1_785_000_001.0,
            by: "SIGHUP, site-a.toml".into(),
            why: "site-a.toml:3:1: no\n    remedy: none".into(),
        }),
        changes: vec![ChangeStatus {
            generation: 2,
            seconds_ago: 12.25,
            unix_seconds: 1_785_000_000.0,
            by: "user 0, process 812".into(),
            tenant: "acme".into(),
            key: "rate".into(),
            from: "10Gbps".into(),
            to: "40Gbps".into(),
        }],
    }
}
