//! From the document to an experiment: each section's keys, and what they say together.
//!
//! Whatever is wrong is reported, and what stands for it then is never used: a document with an
//! error reported becomes no experiment.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use config::diagnostic::{Report, quoted};
use config::document::{Entries, Field, check_sections, occurrences};
use config::prefix::Prefix;
use config::units::{Bytes, Rate, Span, ValueError};
use pipelines::gateway::{self, Numbering};
use toml_edit::{Table, Value};

use super::expectations;
use super::keys::{CAPTURE, EXPECT, GATEWAYS, PATH, RESTART, RUN, SECTIONS, TRAFFIC};
use crate::change::{Change, ChangeError};
use crate::experiment::Experiment;
use crate::path;
use crate::pause::{Pause, PauseError};
use crate::restart::{Restart, SITES};
use crate::scenario::{Bounds, Capture, MAX_GROUPS, MODES, MTU, PathScenario, Scenario, Source};
use crate::seeds::Seeds;
use crate::spread::Spread;
use crate::tenant::{TenantError, TenantScenario};
use crate::traffic::Traffic;

/// Packets that a channel or a hold buffer may be told to remember at most.
const MAX_REMEMBERED: u32 = 1 << 24;

/// Packets a second that strangers may be told to send, up to what a line of 100G carries.
const STRANGERS: RangeInclusive<u32> = 1..=100_000_000;

/// Reads a document. `folder` is where relative paths begin. `None` has a reason reported.
pub(super) fn read(root: &Table, folder: &Path, report: &mut Report<'_>) -> Option<Experiment> {
    check_sections(root, &SECTIONS, report);
    let source = read_source(root, folder, report);
    let paths = read_paths(root, report);
    let restarts = occurrences(root, &RESTART, report);
    let gateways = occurrences(root, &GATEWAYS, report);
    let run = occurrences(root, &RUN, report);
    let run = Run::read(run.first(), &restarts, report);
    let expectations = occurrences(root, &EXPECT, report);
    let expectations = expectations.iter().map(|entries| expectations::read(entries, report));
    let expectations = expectations.collect::<Option<_>>();

    let mut scenario = Scenario::new(Default::default(), paths, run.seeds.first());
    match source? {
        Source::Traffic(groups) => {
            scenario = Scenario::groups(groups, scenario.paths, scenario.seed);
        }
        capture => scenario.source = capture,
    }
    if let Some(entries) = gateways.first() {
        scenario.bounds = read_bounds(entries, scenario.bounds, report);
        let mode = entries.choice("mode", &MODES, report);
        scenario.numbering = mode.or(Numbering::Tunnel)?;
        scenario.tenants = read_tenants(entries, report);
        let spread = entries
            .scalar("spread", report)
            .and_then(report, |value| value.parse().map(|Spread(part)| part).map_err(of("spread")));
        if let Field::Given(spread, _) = spread {
            scenario.sharing.spread = spread;
        }
        let rates = Rate(1_000_000)..=Rate(800_000_000_000);
        scenario.wan_rate = entries.quantity("wan_rate", rates.clone(), report).given().copied();
        scenario.lan_rate = entries.quantity("lan_rate", rates, report).given().copied();
    }
    scenario.restarts = restarts.iter().map(|entries| read_restart(entries, report)).collect();
    scenario.gateways = !run.no_gateways;
    (scenario.strangers, scenario.pauses) = (run.strangers, run.pauses);
    scenario.changes = run.changes;
    let Run { seeds, compare, alone, .. } = run;
    if let Some((name, at)) = &alone
        && !scenario.traffic_groups().iter().enumerate().any(|(p, of)| of.called(p) == *name)
    {
        let what = format!("there is no [[traffic]] with the name {}", quoted(name));
        report.error(*at, what, "write the name of one, as \"g1\" for the first");
    }
    let alone = alone.map(|(name, _)| name);
    Some(Experiment { scenario, seeds, compare, alone, expectations: expectations? })
}

/// Where frames come from: a capture, or traffic.
fn read_source(root: &Table, folder: &Path, report: &mut Report<'_>) -> Option<Source> {
    let captures = occurrences(root, &CAPTURE, report);
    let traffic = occurrences(root, &TRAFFIC, report);
    if let Some(over) = traffic.get(MAX_GROUPS) {
        let what = format!("more than {MAX_GROUPS} sections [[traffic]]");
        report.error(over.at, what, "give some of them more queue pairs, and leave others out");
    }
    match (captures.first(), traffic.first()) {
        (Some(capture), None) => read_capture(capture, folder, report).map(Source::Capture),
        (None, Some(_)) => Some(Source::Traffic(read_groups(&traffic, report))),
        (Some(capture), Some(_)) => {
            let remedy = "leave one of the two out: a capture is played alone";
            report.error(capture.at, "both [capture] and [[traffic]]", remedy);
            None
        }
        (None, None) => {
            let remedy = "write [capture] with its input, or [[traffic]] with its verb";
            report.error(0, "nothing is sent: no [capture], no [[traffic]]", remedy);
            None
        }
    }
}

fn read_capture(entries: &Entries<'_>, folder: &Path, report: &mut Report<'_>) -> Option<Capture> {
    let prefixes = entries.list("site_a", report, |value| {
        let text = value.as_str().ok_or_else(|| no_text("site_a", value))?;
        let prefix: Prefix = text.parse()?;
        Ok(gateway::Prefix { address: prefix.address(), length: prefix.length() })
    });
    let site_a = match prefixes {
        Field::Given(prefixes, _) => prefixes.into_iter().map(|(prefix, _)| prefix).collect(),
        Field::Absent | Field::Wrong => Vec::new(),
    };
    let input = folder.join(entries.text("input", report).given()?);
    Some(Capture { input, site_a })
}

/// Pairs of hosts, each of another name.
fn read_groups(found: &[Entries<'_>], report: &mut Report<'_>) -> Vec<Traffic> {
    let groups: Vec<_> = found.iter().map(|entries| read_traffic(entries, report)).collect();
    let mut names = BTreeSet::new();
    for (place, (traffic, entries)) in groups.iter().zip(found).enumerate() {
        let name = traffic.called(place);
        if !names.insert(name.clone()) {
            let what = format!("a second [[traffic]] with the name {}", quoted(&name));
            report.error(entries.key_at("name"), what, "give each a name of its own");
        }
    }
    groups
}

fn read_traffic(entries: &Entries<'_>, report: &mut Report<'_>) -> Traffic {
    let dcqcn = entries.flag("dcqcn", report).given().copied().unwrap_or_default();
    let mut traffic = Traffic { dcqcn, ..Traffic::default() };
    for key in TRAFFIC.keys.iter().filter(|key| key.name != "dcqcn") {
        let value = entries.scalar(key.name, report);
        let _ = value.and_then(report, |value| traffic.set(key.name, &value).map_err(of(key.name)));
    }
    if let Err(error) = traffic.check() {
        report.error(entries.key_at("messages"), error.what, error.remedy);
    }
    traffic
}

fn read_paths(root: &Table, report: &mut Report<'_>) -> Vec<PathScenario> {
    let found = occurrences(root, &PATH, report);
    if found.is_empty() && root.get(PATH.name).is_none() {
        report.error(0, "there is no [[path]]", "write [[path]] with a name, and what it does");
    }
    let paths: Vec<_> = found.iter().map(|entries| read_path(entries, report)).collect();
    let mut names = BTreeSet::new();
    for (path, entries) in paths.iter().zip(&found) {
        if !names.insert(path.name.as_str()) {
            let what = format!("a second path {}", quoted(&path.name));
            report.error(entries.key_at("name"), what, "give each path a name of its own");
        }
    }
    paths
}

fn read_path(entries: &Entries<'_>, report: &mut Report<'_>) -> PathScenario {
    let mut path = PathScenario::default();
    if let Some(name) = entries.text("name", report).given() {
        path.name = (*name).to_owned();
    }
    for key in PATH.keys.iter().filter(|key| !["name", "down"].contains(&key.name)) {
        let set = |value: String| path::set(&mut path, key.name, &value).map_err(of(key.name));
        let _ = entries.scalar(key.name, report).and_then(report, set);
    }
    let outages = entries.list("down", report, |value| {
        path::outage(value.as_str().ok_or_else(|| no_text("down", value))?)
    });
    if let Field::Given(outages, _) = outages {
        path.does.down = outages.into_iter().map(|(outage, _)| outage).collect();
    }
    if let Err((key, error)) = path::check(&path.does) {
        let error = of(key)(error);
        report.error(entries.key_at(key), error.what, error.remedy);
    }
    path
}

fn read_restart(entries: &Entries<'_>, report: &mut Report<'_>) -> Restart {
    let sites = [(SITES[0], 0), (SITES[1], 1)];
    let side = entries.choice("gateway", &sites, report).or(0);
    let at = entries.parsed::<Span>("at", report).given().map_or(0, |Span(at)| *at);
    Restart { side: side.unwrap_or(0), at }
}

fn read_tenants(entries: &Entries<'_>, report: &mut Report<'_>) -> Vec<TenantScenario> {
    let remedy = "write one as \"acme,vlan=7,replay_bytes=8MiB\"";
    read_texts::<_, TenantError>(entries, "tenants", remedy, report)
}

/// A list of texts, each of which is understood as on the command line.
fn read_texts<T: FromStr<Err = E>, E: Display>(
    entries: &Entries<'_>,
    key: &'static str,
    remedy: &str,
    report: &mut Report<'_>,
) -> Vec<T> {
    let found = entries.list(key, report, |value| {
        let text = value.as_str().ok_or_else(|| no_text(key, value))?;
        text.parse()
            .map_err(|error: E| ValueError { what: error.to_string(), remedy: remedy.into() })
    });
    match found {
        Field::Given(found, _) => found.into_iter().map(|(one, _)| one).collect(),
        Field::Absent | Field::Wrong => Vec::new(),
    }
}

/// The bounds of a scenario, those changed that are given.
fn read_bounds(entries: &Entries<'_>, usual: Bounds, report: &mut Report<'_>) -> Bounds {
    let bytes = |name, usual: u64, report: &mut Report<'_>| {
        entries.parsed::<Bytes>(name, report).given().map_or(usual, |Bytes(bytes)| *bytes)
    };
    let packets =
        |name, report: &mut Report<'_>| entries.power_of_two(name, MAX_REMEMBERED, report);
    Bounds {
        replay_bytes: bytes("replay_bytes", usual.replay_bytes, report),
        hold_bytes: bytes("hold_bytes", usual.hold_bytes, report),
        replay_packets: packets("replay_packets", report).given().copied(),
        hold_packets: packets("hold_packets", report).given().copied(),
        mtu: entries.count("mtu", MTU, report).or(usual.mtu).unwrap_or(usual.mtu),
    }
}

/// `[run]`.
struct Run {
    seeds: Seeds,
    strangers: Option<u64>,
    pauses: Vec<Pause>,
    changes: Vec<Change>,
    compare: bool,
    /// And where the file says so.
    alone: Option<(String, usize)>,
    no_gateways: bool,
}

impl Run {
    fn read(
        entries: Option<&Entries<'_>>,
        restarts: &[Entries<'_>],
        report: &mut Report<'_>,
    ) -> Self {
        let seeds = Seeds::one(1);
        let (pauses, changes, compare, no_gateways) = (Vec::new(), Vec::new(), false, false);
        let mut run =
            Self { seeds, strangers: None, pauses, changes, compare, alone: None, no_gateways };
        let Some(entries) = entries else { return run };
        let seeds = entries.scalar("seed", report);
        let seeds = seeds.and_then(report, |seeds| seeds.parse().map_err(of("seed")));
        run.seeds = seeds.or(run.seeds).unwrap_or(run.seeds);
        let strangers = entries.count("strangers", STRANGERS, report);
        run.strangers = strangers.given().copied().map(u64::from);
        let remedy = "write one as \"b,from=10ms,for=50ms\"";
        run.pauses = read_texts::<_, PauseError>(entries, "pauses", remedy, report);
        let remedy = "write one as \"acme@50ms,rate=1G\"";
        run.changes = read_texts::<_, ChangeError>(entries, "changes", remedy, report);
        run.compare = entries.flag("compare", report).given().copied().unwrap_or_default();
        let alone = entries.text("alone", report).given().map(|name| (*name).to_owned());
        run.alone = alone.map(|name| (name, entries.key_at("alone")));
        run.no_gateways = entries.flag("no_gateways", report).given().copied().unwrap_or_default();
        if run.no_gateways {
            let remedy = "leave one of the two out";
            if run.compare {
                let what = "\"compare\" and \"no_gateways\" are both true";
                report.error(entries.key_at("compare"), what, remedy);
            }
            if let Some(restart) = restarts.first() {
                let what = "a gateway starts anew, but \"no_gateways\" is true";
                report.error(restart.at, what, remedy);
            }
        }
        run
    }
}

/// The error of a value, with its key: values that several keys may have do not say whose they are.
fn of(key: &str) -> impl Fn(ValueError) -> ValueError {
    move |error| ValueError { what: format!("\"{key}\": {}", error.what), remedy: error.remedy }
}

fn no_text(key: &str, value: &Value) -> ValueError {
    let what = format!("an element of \"{key}\" is no text: {}", value.type_name());
    ValueError { what, remedy: "write it in double quotes".into() }
}
