//! Tenants against each other, the ports, the peers and the bounds of all.

use std::net::IpAddr;

use crate::check::port_of;
use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{Draft, TenantDraft};
use crate::model::{Carry, Recovery, Role, Tenant, TenantQueue};
use crate::units::Bytes;

/// The name of the tenant that has what is nobody else's.
pub(crate) const DEFAULT: &str = "default";
/// Combinations of values, one of each kind, that all tenants may have together.
const MAX_COMBINATIONS: usize = 1 << 16;
/// The bits of a P_Key that name the partition; the other one is the kind of member.
const PARTITION: u32 = 0x7fff;

/// The tenants in the order in which they match, the default one first; none if none are given.
/// Nothing if any of them is wrong.
pub(crate) fn check_tenants(
    draft: &Draft,
    queues: Vec<Option<TenantQueue>>,
    report: &mut Report<'_>,
) -> Option<Vec<Tenant>> {
    let wanted: Vec<_> =
        draft.tenants.iter().map(|tenant| check_tenant(tenant, draft, report)).collect();
    check_lanes(draft, report);
    let mut built = Vec::new();
    for ((tenant, wanted), queue) in draft.tenants.iter().zip(wanted).zip(queues) {
        built.push((tenant, wanted?, build(tenant, queue?, draft)?));
    }
    if !check_combinations(&built, report) {
        return None;
    }
    check_overlaps(&built, report);
    // Without a place of its own a tenant overlaps no other: any place will do.
    let place = |order: &Field<u32>| order.given().copied().unwrap_or(u32::MAX);
    built.sort_by_key(|(of, _, tenant)| (tenant.name != DEFAULT, place(&of.order)));
    let mut tenants: Vec<_> = built.into_iter().map(|(.., tenant)| tenant).collect();
    if tenants.first().is_some_and(|first| first.name != DEFAULT) {
        tenants.insert(0, Tenant { name: DEFAULT.into(), ..Tenant::default() });
    }
    Some(tenants)
}

/// The values of each kind that a tenant gives, as ranges by their beginnings; none: any value.
struct Wanted {
    numbers: [Vec<(u32, u32)>; 4],
    hosts: Vec<(IpAddr, IpAddr)>,
}

impl Wanted {
    /// Whether a packet may be among both's: each kind has a value that both want.
    fn meets(&self, other: &Self) -> bool {
        let mut numbers = self.numbers.iter().zip(&other.numbers);
        numbers.all(|(ours, theirs)| meet(ours, theirs)) && meet(&self.hosts, &other.hosts)
    }

    /// How many combinations of its values there are.
    fn combinations(&self) -> usize {
        let numbers = self.numbers.iter().map(Vec::len);
        numbers.chain([self.hosts.len()]).fold(1, |all, one| all.saturating_mul(one.max(1)))
    }

    fn is_empty(&self) -> bool {
        self.numbers.iter().all(Vec::is_empty) && self.hosts.is_empty()
    }
}

/// Whether two lists of ranges, each by their beginnings, have a value in common; an empty one has
/// all.
fn meet<T: Ord + Copy>(ours: &[(T, T)], theirs: &[(T, T)]) -> bool {
    if ours.is_empty() || theirs.is_empty() {
        return true;
    }
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    // How far what began before reaches.
    let (mut our_end, mut their_end): (Option<T>, Option<T>) = (None, None);
    loop {
        let ours_first = match (ours.peek(), theirs.peek()) {
            (Some(one), Some(other)) => one.0 <= other.0,
            (one, other) if one.is_some() || other.is_some() => one.is_some(),
            _ => return false,
        };
        let (next, end, against) = match ours_first {
            true => (ours.next(), &mut our_end, their_end),
            false => (theirs.next(), &mut their_end, our_end),
        };
        let Some((begin, last)) = next else { return false };
        if against.is_some_and(|against| *begin <= against) {
            return true;
        }
        *end = (*end).max(Some(*last));
    }
}

/// What a tenant wants, if nothing about it is wrong.
fn check_tenant(tenant: &TenantDraft, draft: &Draft, report: &mut Report<'_>) -> Option<Wanted> {
    let ports = ports(tenant, draft, report);
    check_bounds(tenant, draft.recovery.as_ref(), report);
    let numbers = |field: &Field<Vec<u32>>, mask: u32| {
        let mut numbers: Vec<_> =
            field.or(Vec::new())?.into_iter().map(|n| (n & mask, n & mask)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    };
    let mut hosts: Vec<_> = tenant.prefixes.or(Vec::new())?;
    hosts.sort_by_key(|(prefix, _)| (prefix.address(), prefix.length()));
    let mut ports: Vec<_> = ports?.into_iter().map(|port| (port as u32, port as u32)).collect();
    ports.sort_unstable();
    let wanted = Wanted {
        numbers: [
            numbers(&tenant.vlan, u32::MAX)?,
            numbers(&tenant.p_keys, PARTITION)?,
            numbers(&tenant.dscp, u32::MAX)?,
            ports,
        ],
        hosts: hosts.iter().map(|(prefix, _)| (prefix.address(), prefix.last())).collect(),
    };
    let name = tenant.name.given()?;
    let is_default = name == DEFAULT;
    if is_default && !(wanted.is_empty() && tenant.order.is_absent()) {
        let what = format!("the tenant {} has what is nobody else's", quoted(name));
        report.error(tenant.at, what, "give it bounds only, or another name");
        return None;
    }
    if !is_default && wanted.is_empty() {
        let what = format!("the tenant {} says of no packet that it is its own", quoted(name));
        let remedy = "add one or more of vlan, prefixes, p_keys, dscp, ports";
        report.error(tenant.at, what, remedy);
        return None;
    }
    warn_of_tags(tenant, draft, report);
    Some(wanted)
}

/// The LAN ports that a tenant names, by their indices.
fn ports(tenant: &TenantDraft, draft: &Draft, report: &mut Report<'_>) -> Option<Vec<usize>> {
    let names = tenant.ports.or(Vec::new())?;
    let port = |name: String| {
        let reference = Field::Given(name, tenant.ports.at(tenant.at));
        port_of(draft, Role::Lan, ("ports", &reference), tenant.at, report)
    };
    let found: Vec<_> = names.into_iter().map(port).collect();
    let mut found = found.into_iter().collect::<Option<Vec<_>>>()?;
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// A tenant's bounds are not above those of all.
fn check_bounds(tenant: &TenantDraft, recovery: Option<&Recovery>, report: &mut Report<'_>) {
    let Some(recovery) = recovery else { return };
    for (name, bound, all) in [
        ("replay_bytes", &tenant.replay_bytes, recovery.replay_bytes),
        ("hold_bytes", &tenant.hold_bytes, recovery.hold_bytes),
    ] {
        if let Field::Given(Bytes(bound), at) = bound
            && *bound > all.0
        {
            let bound = Bytes(*bound);
            let what = format!("the tenant's {name} {bound} is above {all}, that of [recovery]");
            report.error(*at, what, "write less, or no key if it may have all");
        }
    }
}

/// What is carried as IP comes without tag.
fn warn_of_tags(tenant: &TenantDraft, draft: &Draft, report: &mut Report<'_>) {
    let ip = |peer: &&crate::draft::PeerDraft| peer.carry.given() == Some(&Carry::Ip);
    let Some(peer) = draft.peers.iter().find(ip).filter(|_| !tenant.vlan.is_absent()) else {
        return;
    };
    let line = report.line(peer.at);
    let what = format!(
        "the peer on line {line} carries IP: what comes from it has no tag, and is the tenant's \
         only towards it"
    );
    report.warn(
        tenant.vlan.at(tenant.at),
        what,
        "tell tenants apart by prefixes, or carry = \"ethernet\"",
    );
}

/// Tenants share no lane, so each peer has as many.
fn check_lanes(draft: &Draft, report: &mut Report<'_>) {
    let others = draft.tenants.iter();
    let others = others.filter(|tenant| tenant.name.given().is_none_or(|name| name != DEFAULT));
    let count = others.count() as u32;
    let least = (count + 1).next_power_of_two();
    for peer in draft.peers.iter().filter(|_| count > 0) {
        let lanes = peer.lanes.or(crate::check_peers::DEFAULT_LANES);
        if lanes.is_some_and(|lanes| lanes < least) {
            let what = format!("{count} tenants need {least} lanes: they share none");
            report.error(peer.lanes.at(peer.at), what, format!("write lanes = {least}"));
        }
    }
}

type Built<'a> = (&'a TenantDraft, Wanted, Tenant);

/// Whether the tables that tenants are looked up in have room.
fn check_combinations(built: &[Built<'_>], report: &mut Report<'_>) -> bool {
    let mut all = 0_usize;
    for (tenant, wanted, _) in built {
        all = all.saturating_add(wanted.combinations());
        if all > MAX_COMBINATIONS {
            let what = format!(
                "the values of this tenant and those before make {all} combinations, one value of \
                 each kind: at most {MAX_COMBINATIONS}"
            );
            report.error(tenant.at, what, "name fewer values, or fewer kinds of them");
            return false;
        }
    }
    true
}

/// Each tenant that overlaps an earlier one in the file says so by its order, as does the other.
fn check_overlaps(built: &[Built<'_>], report: &mut Report<'_>) {
    let others = || built.iter().filter(|(.., tenant)| tenant.name != DEFAULT);
    for (index, (tenant, wanted, Tenant { name, .. })) in others().enumerate() {
        let overlap = others().take(index).find(|(other, theirs, _)| {
            let ordered = tenant.order.given().zip(other.order.given());
            ordered.is_none_or(|(ours, theirs)| ours == theirs) && wanted.meets(theirs)
        });
        let Some((other, _, Tenant { name: theirs, .. })) = overlap else { continue };
        let line = report.line(other.at);
        let (name, theirs) = (quoted(name), quoted(theirs));
        let (at, remedy) = match tenant.order {
            Field::Given(order, at) if other.order.given() == Some(&order) => {
                (at, "give them different places: the lower order comes first")
            }
            _ => (
                tenant.at,
                "give them values of one kind that differ, or both an \"order\": the lower one \
                 comes first",
            ),
        };
        let what = format!("a packet may be both {name}'s and {theirs}'s, on line {line}");
        report.error(at, what, remedy);
    }
}

/// A tenant of which nothing is wrong.
fn build(tenant: &TenantDraft, queue: TenantQueue, draft: &Draft) -> Option<Tenant> {
    let names = tenant.ports.or(Vec::new())?;
    let port = |name: &String| {
        draft.ports.iter().position(|port| port.name.given().is_some_and(|its| its == name))
    };
    let bound = |field: &Field<Bytes>| match field {
        Field::Given(bytes, _) => Some(Some(*bytes)),
        Field::Absent => Some(None),
        Field::Wrong => None,
    };
    Some(Tenant {
        name: tenant.name.given()?.clone(),
        vlans: tenant.vlan.or(Vec::new())?.into_iter().map(|vlan| vlan as u16).collect(),
        prefixes: tenant.prefixes.or(Vec::new())?.into_iter().map(|(prefix, _)| prefix).collect(),
        p_keys: tenant.p_keys.or(Vec::new())?.into_iter().map(|key| key as u16).collect(),
        dscp: tenant.dscp.or(Vec::new())?.into_iter().map(|dscp| dscp as u8).collect(),
        ports: names.iter().map(port).collect::<Option<_>>()?,
        replay_bytes: bound(&tenant.replay_bytes)?,
        hold_bytes: bound(&tenant.hold_bytes)?,
        queue,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_meet_where_a_value_is_in_both(
            mut ours in prop::collection::vec((0u8..20, 0u8..4), 1..5),
            mut theirs in prop::collection::vec((0u8..20, 0u8..4), 1..5),
        ) {
            for list in [&mut ours, &mut theirs] {
                list.iter_mut().for_each(|(begin, end)| *end += *begin);
                list.sort_unstable();
            }
            let has = |list: &[(u8, u8)], n| list.iter().any(|(begin, end)| (*begin..=*end).contains(&n));
            let expected = (0..=30).any(|n| has(&ours, n) && has(&theirs, n));
            prop_assert_eq!(meet(&ours, &theirs), expected);
            prop_assert!(meet(&ours, &[]) && meet(&[], &theirs));
        }
    }
}
