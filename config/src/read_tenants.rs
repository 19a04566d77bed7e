//! From the document to the drafts of tenants.

use std::ops::RangeInclusive;

use crate::diagnostic::Report;
use crate::document::{Entries, Field, within};
use crate::draft::TenantDraft;
use crate::read::{MEMORY, read_prefixes, read_words};
use crate::units::ValueError;

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
        dscp: read_numbers(entries, "dscp", &DSCP, "[26]", report),
        ports: read_words(entries, "ports", "[\"lan0\"]", report),
        replay_bytes: entries.quantity("replay_bytes", MEMORY, report),
        hold_bytes: entries.quantity("hold_bytes", MEMORY, report),
    }
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
