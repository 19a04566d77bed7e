//! `[flows]`, read and checked: nothing else in the file has to do with it.

use std::ops::RangeInclusive;

use crate::diagnostic::{Report, quoted};
use crate::document::Entries;
use crate::model::Flows;
use crate::units::{Rate, Span};

/// Windows of rates: shorter ones measure bursts, longer ones nothing anyone waits for.
const WINDOWS: RangeInclusive<Span> = Span(1_000_000)..=Span(100_000_000_000);
/// Times that a window is divided into, and multiplied by, without end.
const TIMES: RangeInclusive<Span> = Span(1_000_000)..=Span(600_000_000_000);
/// Rates that a flow may have.
const RATES: RangeInclusive<Rate> = Rate(1_000)..=Rate(1_000_000_000_000);
/// Places of a table: 136 bytes each.
const PLACES: u32 = 1 << 24;

pub(crate) fn read_flows(entries: Option<&Entries<'_>>, report: &mut Report<'_>) -> Option<Flows> {
    let default = Flows::default();
    let Some(entries) = entries else { return Some(default) };
    let follow = entries.flag("follow", report);
    let subflows = entries.power_of_two("subflows", PLACES, report);
    let flows = entries.power_of_two("flows", PLACES, report);
    let p_keys = entries.flag("p_keys", report);
    let window = entries.quantity("window", WINDOWS, report);
    let elephant_rate = entries.quantity("elephant_rate", RATES, report);
    let elephant_after = entries.quantity("elephant_after", TIMES, report);
    let mouse_rate = entries.quantity("mouse_rate", RATES, report);
    let mouse_after = entries.quantity("mouse_after", TIMES, report);
    let idle = entries.quantity("idle", TIMES, report);
    let places = (mouse_rate.at(entries.at), idle.at(entries.at));
    let flows = Flows {
        follow: follow.or(default.follow)?,
        subflows: subflows.or(default.subflows)?,
        flows: flows.or(default.flows)?,
        p_keys: p_keys.or(default.p_keys)?,
        window: window.or(default.window)?,
        elephant_rate: elephant_rate.or(default.elephant_rate)?,
        elephant_after: elephant_after.or(default.elephant_after)?,
        mouse_rate: mouse_rate.or(default.mouse_rate)?,
        mouse_after: mouse_after.or(default.mouse_after)?,
        idle: idle.or(default.idle)?,
    };
    check(&flows, places, report).then_some(flows)
}

/// Whether thresholds make sense together; `mouse_rate` and `idle` are where errors are.
fn check(flows: &Flows, (mouse_rate, idle): (usize, usize), report: &mut Report<'_>) -> bool {
    let Flows { elephant_rate, mouse_after, .. } = flows;
    let is_slower = flows.mouse_rate < *elephant_rate;
    if !is_slower {
        let what =
            format!("mouse_rate {} is not below elephant_rate {elephant_rate}", flows.mouse_rate);
        let less = Rate(elephant_rate.0 / 4).to_string();
        report.error(mouse_rate, what, format!("write mouse_rate = {}", quoted(&less)));
    }
    let is_remembered = flows.idle >= *mouse_after;
    if !is_remembered {
        let what = format!("a flow is over after {}, before mouse_after {mouse_after}", flows.idle);
        let more = quoted(&mouse_after.to_string());
        report.error(idle, what, format!("write idle = {more} or more"));
    }
    is_slower && is_remembered
}
