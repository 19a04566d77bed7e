//! From the document to the drafts of tenants.

use std::ops::RangeInclusive;

use crate::diagnostic::Report;
use crate::document::{Entries, Field, within};
use crate::draft::{QueueDraft, QueuesDraft, TenantDraft};
use crate::read::{MEMORY, read_prefixes, read_words};
use crate::units::{Bytes, Rate, Span, ValueError};

/// VLAN identifiers that a tag may have (IEEE 802.1Q, table 9-2), and 0 for packets without.
const VLANS: RangeInclusive<u32> = 0..=4_094;
/// P_Keys but the invalid one (IBTA volume 1, section 10.9.1.1).
const P_KEYS: RangeInclusive<u32> = 1..=0xffff;
/// Differentiated services code points (RFC 2474).
const DSCP: RangeInclusive<u32> = 0..=63;
/// Places in the order of tenants.
const ORDERS: RangeInclusive<u32> = 0..=65_535;

pub(crate) fn read_tenant(entries: &Entries<'_>, report: &mut Report<'_>) -> TenantDraft {
    TenantDraft {
        at: entries.at,
        name: entries.owned("name", report),
        order: entries.count("order", ORDERS, report),
        vlan: read_numbers(entries, "vlan", &VLANS, "[100]", report),
        prefixes: read_prefixes(entries, report),
        p_keys: read_numbers(entries, "p_keys", &P_KEYS, "[0x8001]", report),
        dscp: read_dscp(entries, report),
        ports: read_words(entries, "ports", "[\"lan0\"]", report),
        replay_bytes: entries.quantity("replay_bytes", MEMORY, report),
        hold_bytes: entries.quantity("hold_bytes", MEMORY, report),
        queue: read_queue(entries, report),
    }
}

/// Rates that can be kept.
pub(crate) const RATES: RangeInclusive<Rate> = Rate(1_000_000)..=Rate(800_000_000_000);
/// Bursts: some frame fits in.
pub(crate) const BURSTS: RangeInclusive<Bytes> = Bytes(1 << 11)..=Bytes(256 << 20);
/// Memory of queues, up to what a machine may have.
const QUEUED: RangeInclusive<Bytes> = Bytes(0)..=Bytes(1 << 40);

/// Between notifications of one sender: RNICs themselves send one in 4 us to some ms.
const NOTICES: RangeInclusive<Span> = Span(1_000)..=Span(1_000_000_000);

fn read_queue(entries: &Entries<'_>, report: &mut Report<'_>) -> QueueDraft {
    QueueDraft {
        rate: entries.quantity("rate", RATES, report),
        burst: entries.quantity("burst", BURSTS, report),
        weight: entries.count("weight", 1..=1_000, report),
        lossless: entries.flag("lossless", report),
        reserved: entries.quantity("reserved", QUEUED, report),
        alpha: entries.count("alpha", 1..=12_800, report),
        headroom: entries.quantity("headroom", QUEUED, report),
        xoff: entries.quantity("xoff", QUEUED, report),
        xon: entries.quantity("xon", QUEUED, report),
        priority: entries.count("priority", 0..=7, report),
        ecn_min: entries.quantity("ecn_min", QUEUED, report),
        ecn_max: entries.quantity("ecn_max", QUEUED, report),
        ecn_probability: entries.part("ecn_probability", report).and_then(report, |part| {
            part.ok_or_else(|| ValueError {
                what: "\"ecn_probability\" cannot be \"off\"".into(),
                remedy: "write no ecn_min and no ecn_max, or 0.001 to 1".into(),
            })
        }),
        cnp: entries.quantity("cnp", NOTICES, report),
    }
}

/// `[queues]`.
pub(crate) fn read_queues_section(entries: &Entries<'_>, report: &mut Report<'_>) -> QueuesDraft {
    QueuesDraft {
        at: entries.at,
        pool_bytes: entries.quantity("pool_bytes", MEMORY, report),
        packets: entries.count("packets", 64..=1 << 20, report),
    }
}

/// Code points.
pub(crate) fn read_dscp(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<Vec<u32>> {
    read_numbers(entries, "dscp", &DSCP, "[26]", report)
}

/// A list of numbers within bounds.
fn read_numbers(
    entries: &Entries<'_>,
    name: &str,
    range: &RangeInclusive<u32>,
    example: &str,
    report: &mut Report<'_>,
) -> Field<Vec<u32>> {
    let numbers = entries.list(name, report, |value| {
        let error = || ValueError {
            what: format!("an element of \"{name}\" is no integer"),
            remedy: format!("write it as in: {name} = {example}"),
        };
        within(name, value.as_integer().ok_or_else(error)?, range)
    });
    numbers.and_then(report, |numbers| Ok(numbers.into_iter().map(|(number, _)| number).collect()))
}
