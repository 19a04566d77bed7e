//! What happened to paths lately, as it is shown.

use std::io::{self, Write};

use dataplane::time::Time;
use pipelines::gateway::{PathEvent, PathEventKind};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::report::{Align, Table};

/// Something that happened to a path that BFD watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PathEventStatus {
    pub(crate) worker: usize,
    pub(crate) seconds_ago: f64,
    pub(crate) peer: String,
    pub(crate) path: String,
    /// `up` or `down`: its session; `recovered`: what was under way when it went down is confirmed;
    /// `in-service`: its hold-down is over; `out-of-service`: it went down, and this worker was told
    /// by the one that has the session.
    pub(crate) event: String,
    /// Why it went down.
    pub(crate) diagnostic: Option<String>,
    /// Packets that were sent again until it was recovered.
    pub(crate) resent_packets: Option<u64>,
    /// Since the path went down, if that is not what happened.
    pub(crate) since_down_ms: Option<f64>,
}

impl PathEventStatus {
    /// `events[index]` of worker number `worker` as of `now`; `names` gives peer and path their
    /// names, by their places in the configuration.
    pub(crate) fn new(
        events: &[PathEvent],
        index: usize,
        (worker, now): (usize, Time),
        names: impl Fn(usize, usize) -> Option<(String, String)>,
    ) -> Option<Self> {
        let event = events.get(index)?;
        let (peer, path) = names(event.peer, event.path)?;
        let is_down = |earlier: &&PathEvent| {
            let same = (earlier.peer, earlier.path) == (event.peer, event.path);
            same && matches!(earlier.kind, PathEventKind::Down(_) | PathEventKind::OutOfService)
        };
        let before = if is_down(&event) { &[] } else { events.get(..index)? };
        let down = before.iter().rev().find(is_down);
        let (name, diagnostic, resent_packets) = match event.kind {
            PathEventKind::Up => ("up", None, None),
            PathEventKind::Down(why) => ("down", Some(why.name().to_owned()), None),
            PathEventKind::Recovered(resent) => ("recovered", None, Some(resent)),
            PathEventKind::InService => ("in-service", None, None),
            PathEventKind::OutOfService => ("out-of-service", None, None),
        };
        Some(Self {
            worker,
            seconds_ago: now.since(event.at) as f64 / 1e9,
            peer,
            path,
            event: name.to_owned(),
            diagnostic,
            resent_packets,
            since_down_ms: down.map(|down| event.at.since(down.at) as f64 / 1e6),
        })
    }

    /// What there is to say besides.
    pub(crate) fn detail(&self) -> String {
        let why = self.diagnostic.clone();
        let resent = self.resent_packets.map(|count| format!("{count} packets sent again"));
        let since = self.since_down_ms.map(|ms| format!("{ms:.1} ms after it went down"));
        [why, resent, since].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn events(status: &Status, output: &mut dyn Write) -> io::Result<()> {
    if status.path_events.is_empty() {
        return writeln!(output, "nothing happened to a path that BFD watches");
    }
    let columns = ["AGO", "PATH", "EVENT", "DETAIL"];
    let mut table = Table::new(
        columns.map(|name| (name, if name == "AGO" { Align::Right } else { Align::Left })),
    );
    for event in &status.path_events {
        table.row([
            format!("{:.3} s", event.seconds_ago),
            format!("{} {}", event.peer, event.path),
            event.event.clone(),
            event.detail(),
        ]);
    }
    table.write(output, 0)
}

/// One, for tests.
#[cfg(test)]
pub(super) fn sample() -> Vec<PathEventStatus> {
    vec![PathEventStatus {
        worker: 0,
        seconds_ago: 12.5,
        peer: "site-b".into(),
        path: "north".into(),
        event: "recovered".into(),
        diagnostic: None,
        resent_packets: Some(40),
        since_down_ms: Some(12.25),
    }]
}
