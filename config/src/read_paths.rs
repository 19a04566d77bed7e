//! From the document to drafts of paths.

use crate::diagnostic::Report;
use crate::document::{Entries, Field};
use crate::draft::PathDraft;
use crate::model::{Bfd, Share};
use crate::read::{MTUS, TIMES, read_next_hop};
use crate::read_srv6::read_encapsulation;
use crate::units::{Rate, Span};

/// `[[path]]`.
pub(crate) fn read_path(entries: &Entries<'_>, report: &mut Report<'_>) -> PathDraft {
    let rates = Rate(1)..=Rate(100_000_000_000_000);
    let capacity = entries.quantity("capacity", rates, report);
    let weight = entries.count("weight", 1..=1_000_000, report);
    if let (Field::Given(..), Field::Given(_, at)) = (&capacity, &weight) {
        report.error(*at, "the path has both \"capacity\" and \"weight\"", "remove one of them");
    }
    if capacity.is_absent() && weight.is_absent() {
        let what = "the path has neither \"capacity\" nor \"weight\"";
        report.error(entries.at, what, "add, as in: capacity = \"100Gbps\"");
    }
    let share = match capacity {
        Field::Given(capacity, at) => Field::Given(Share::Capacity(capacity), at),
        Field::Wrong => Field::Wrong,
        Field::Absent => weight.and_then(report, |weight| Ok(Share::Weight(weight))),
    };
    PathDraft {
        at: entries.at,
        name: entries.owned("name", report),
        peer: entries.owned("peer", report),
        port: entries.owned("port", report),
        next_hop: read_next_hop(entries, report),
        share,
        channels: entries.count("channels", 1..=64, report),
        rtt: entries.quantity("rtt", TIMES, report),
        mtu: entries.count("mtu", MTUS, report),
        bfd: read_bfd(entries, report),
        encapsulation: read_encapsulation(entries, report),
    }
}

/// How BFD watches a path: the inner `None` if it does not, the outer one if a key is wrong. Keys
/// that would say how are refused while it does not.
fn read_bfd(entries: &Entries<'_>, report: &mut Report<'_>) -> Option<Option<Bfd>> {
    let on = entries.flag("bfd", report);
    let interval = entries.quantity("bfd_interval", BFD_INTERVALS, report);
    let multiplier = entries.count("bfd_multiplier", 1..=50, report);
    let hops = entries.count("bfd_hops", 1..=254, report);
    let hold_down = entries.quantity("hold_down", HOLD_DOWNS, report);
    let on = on.or(false)?;
    let place = |given: bool, at: usize| given.then_some(at);
    let how = [
        place(!interval.is_absent(), interval.at(entries.at)),
        place(!multiplier.is_absent(), multiplier.at(entries.at)),
        place(!hops.is_absent(), hops.at(entries.at)),
        place(!hold_down.is_absent(), hold_down.at(entries.at)),
    ];
    if let (false, Some(at)) = (on, how.into_iter().flatten().next()) {
        let what = "the key says how BFD watches the path, and it does not";
        report.error(at, what, "add bfd = true, or remove the key");
    }
    let bfd = Bfd {
        interval: interval.or(Span(10_000_000))?,
        multiplier: u8::try_from(multiplier.or(3)?).ok()?,
        hops: u8::try_from(hops.or(1)?).ok()?,
        hold_down: hold_down.or(Span(1_000_000_000))?,
    };
    Some(on.then_some(bfd))
}

/// What a loaded machine can keep, up to what nobody would wait for.
const BFD_INTERVALS: std::ops::RangeInclusive<Span> = Span(1_000_000)..=Span(10_000_000_000);
/// None, up to a minute.
const HOLD_DOWNS: std::ops::RangeInclusive<Span> = Span(0)..=Span(60_000_000_000);
