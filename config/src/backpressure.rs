//! `[backpressure]`: which LAN ports speak priority flow control, read and held against the rest.

use toml_edit::Table;

use crate::check::port_of;
use crate::check_queues::asked;
use crate::diagnostic::{Report, quoted};
use crate::document::{Field, occurrences};
use crate::draft::{Draft, TenantDraft};
use crate::keys::BACKPRESSURE;
use crate::model::{Backpressure, Numbering, PauseFrames, Recovery, Role, SharedPriority};
use crate::read::read_words;
use crate::units::{Rate, Span};

/// Speeds of lines that there are.
const SPEEDS: std::ops::RangeInclusive<Rate> = Rate(1_000_000)..=Rate(3_200_000_000_000);
/// The longest pause, and lifetimes of stops.
const PAUSES: std::ops::RangeInclusive<Span> = Span(1_000_000)..=Span(10_000_000_000);

/// The priority that RDMA has by custom.
const PRIORITY: u32 = 3;

/// The section, read.
pub(crate) struct BackpressureDraft {
    at: usize,
    ports: Field<Vec<String>>,
    speed: Field<Rate>,
    frames: Field<PauseFrames>,
    priority: Field<u32>,
    longest_pause: Field<Span>,
    stop_lifetime: Field<Span>,
    shared_priority: Field<SharedPriority>,
}

/// The section, if there is one.
pub(crate) fn read(root: &Table, report: &mut Report<'_>) -> Option<BackpressureDraft> {
    let found = occurrences(root, &BACKPRESSURE, report);
    let entries = found.first()?;
    let shared = [("pause", SharedPriority::Pause), ("police", SharedPriority::Police)];
    let frames = [("pfc", PauseFrames::Pfc), ("pause", PauseFrames::Pause)];
    Some(BackpressureDraft {
        at: entries.at,
        ports: read_words(entries, "ports", "[\"lan0\"]", report),
        speed: entries.quantity("speed", SPEEDS, report),
        frames: entries.choice("frames", &frames, report),
        priority: entries.count("priority", 0..=7, report),
        longest_pause: entries.quantity("longest_pause", PAUSES, report),
        stop_lifetime: entries.quantity("stop_lifetime", PAUSES, report),
        shared_priority: entries.choice("shared_priority", &shared, report),
    })
}

/// The section as it is to be: the inner `None` without one, the outer one if anything is wrong.
pub(crate) fn check(draft: &Draft, report: &mut Report<'_>) -> Option<Option<Backpressure>> {
    let Some(of) = &draft.backpressure else { return Some(None) };
    let ports = check_ports(of, draft, report);
    check_numbering(of, draft, report);
    check_shared(of, draft, report);
    let longest_pause = of.longest_pause.or(Span(200_000_000))?;
    check_longest(of, longest_pause, draft.recovery.as_ref(), report);
    Some(Some(Backpressure {
        ports: ports?,
        speed: *of.speed.given()?,
        frames: of.frames.or(PauseFrames::Pfc)?,
        priority: u8::try_from(of.priority.or(PRIORITY)?).ok()?,
        longest_pause,
        stop_lifetime: of.stop_lifetime.or(Span(100_000_000))?,
        shared_priority: of.shared_priority.or(SharedPriority::Pause)?,
    }))
}

fn check_ports(
    of: &BackpressureDraft,
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<Vec<usize>> {
    let Field::Given(names, at) = &of.ports else { return None };
    let port = |name: &String| {
        let name = Field::Given(name.clone(), *at);
        port_of(draft, Role::Lan, ("ports", &name), of.at, report)
    };
    // All of them, so that each one's fault is reported.
    let found: Vec<_> = names.iter().map(port).collect();
    found.into_iter().collect()
}

/// Without queues, what waits does so by its number.
fn check_numbering(of: &BackpressureDraft, draft: &Draft, report: &mut Report<'_>) {
    let transparent =
        |peer: &&crate::draft::PeerDraft| peer.numbering.given() == Some(&Numbering::Transparent);
    if draft.peers.iter().any(|peer| transparent(&peer)) && !asked(draft) {
        let what = "[backpressure] with a peer of numbering = \"transparent\", and no queues: what has no \
                    number of the gateway's cannot wait without one";
        let remedy = "give a tenant a weight or a rate, or use numbering = \"tunnel\"";
        report.error(of.at, what, remedy);
    }
}

/// Whether one tenant that fills its queue may have another wait is to be chosen, not to happen.
fn check_shared(of: &BackpressureDraft, draft: &Draft, report: &mut Report<'_>) {
    if let Field::Given(SharedPriority::Police, at) = of.shared_priority
        && !asked(draft)
    {
        let what = "shared_priority = \"police\", and no queues: there is nothing that a tenant could fill";
        report.error(at, what, "give tenants a weight or a rate, or remove it");
    }
    if let Some((at, false)) = draft.classes.iter().find_map(|class| match class.priority {
        Field::Given(_, at) => Some((at, asked(draft))),
        _ => None,
    }) {
        let what =
            "a class with a \"priority\", and no queues: without them a tenant has one priority";
        report.error(at, what, "give tenants a weight or a rate, or remove it");
    }
    let Some(usual) = of.priority.or(PRIORITY).filter(|_| of.shared_priority.is_absent()) else {
        return;
    };
    let lossless = draft.tenants.iter().filter(|of| of.queue.lossless.or(false) == Some(true));
    let priority = |tenant: &TenantDraft| tenant.queue.priority.or(usual);
    let mut seen: Vec<&TenantDraft> = Vec::new();
    for tenant in lossless {
        if let Some(earlier) = seen.iter().find(|of| priority(of) == priority(tenant)) {
            let name = |of: &TenantDraft| quoted(of.name.given().map_or("", String::as_str));
            let what = format!(
                "tenants {} and {} have the same priority on the LAN: whoever fills its queue has \
                 both paused",
                name(earlier),
                name(tenant)
            );
            let remedy = "give each a priority of its own, or choose shared_priority = \"pause\" or \
                          \"police\" in [backpressure]";
            return report.warn(tenant.queue.priority.at(tenant.at), what, remedy);
        }
        seen.push(tenant);
    }
}

fn check_longest(
    of: &BackpressureDraft,
    longest: Span,
    recovery: Option<&Recovery>,
    report: &mut Report<'_>,
) {
    let Some(recovery) = recovery.filter(|recovery| recovery.hold_age <= longest) else { return };
    let what = format!(
        "\"longest_pause\" is {longest}, and what waits is given up after hold_age, {}",
        recovery.hold_age
    );
    let remedy = "make it shorter than hold_age, or that longer in [recovery]";
    report.error(of.longest_pause.at(of.at), what, remedy);
}
