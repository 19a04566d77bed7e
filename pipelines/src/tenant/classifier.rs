//! From what is seen of a packet to its tenant.
//!
//! Every combination of a tenant's values, one of each kind it gives, is an entry of one hash table.
//! What the entries of a *shape* have in common is which kinds and how long a prefix they look at; a
//! packet is looked up once for each shape there is, with what the shape does not look at set to
//! zero, and the earliest tenant found is its own. Operators give tenants of one or two shapes,
//! whether there are four of them or four thousand, and so a packet costs a probe or two.

use std::net::IpAddr;

use super::{DEFAULT, Match, PARTITION, TenantSettings, Traits};

/// Combinations of values that all tenants may have together.
pub const MAX_COMBINATIONS: usize = 1 << 16;

/// No tenant.
const NONE: u16 = u16::MAX;

/// What a packet may lack of what shapes look at.
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const IP: u8 = 4;
const ROCE: u8 = 8;

/// Values of all kinds but the address, side by side.
const P_KEY_AT: u32 = 12;
const DSCP_AT: u32 = 27;
const PORT_AT: u32 = 33;
/// And the number of the shape.
const SHAPE_AT: u32 = 41;

/// Which values entries look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    values: u64,
    address: u128,
    /// What a packet must have to be looked up.
    needs: u8,
    /// The earliest tenant that has an entry of this shape.
    first: u16,
    /// Its number, where keys have it.
    tag: u64,
}

/// A place in the table; free if `tenant` is [`DEFAULT`], which has no entries.
#[derive(Debug, Clone, Copy)]
struct Slot {
    values: u64,
    address: [u64; 2],
    tenant: u16,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// Finds the tenant of a packet. Made once, never changed.
#[derive(Debug)]
pub struct Classifier {
    /// By their earliest tenant.
    shapes: Box<[Shape]>,
    /// As many as a power of two, at most half of them taken.
    slots: Box<[Slot]>,
}

impl Classifier {
    /// A classifier for these tenants, of which the first is the default and matches nothing.
    /// Where several match, the first of them counts. They have been checked.
    #[must_use]
    pub fn new(tenants: &[TenantSettings]) -> Self {
        let combinations = || tenants.iter().skip(1).map(|tenant| tenant.matches.combinations());
        let slots = (combinations().sum::<usize>() * 2).max(2).next_power_of_two();
        let free = Slot { values: 0, address: [0; 2], tenant: DEFAULT };
        let mut made = Self { shapes: Box::default(), slots: vec![free; slots].into() };
        let mut shapes = Vec::new();
        for (index, tenant) in tenants.iter().enumerate().skip(1) {
            made.add(index as u16, &tenant.matches, &mut shapes);
        }
        // They were made by their earliest tenants.
        made.shapes = shapes.into();
        made
    }

    /// The tenant of a packet: [`DEFAULT`] if no other has it.
    #[inline]
    #[must_use]
    pub fn tenant(&self, of: &Traits) -> u16 {
        let (values, address, has) = key(of);
        let mut best = NONE;
        for shape in &self.shapes {
            if shape.first >= best {
                break;
            }
            if shape.needs & !has == 0 {
                let found = self.find(values & shape.values | shape.tag, address & shape.address);
                best = best.min(found);
            }
        }
        if best == NONE { DEFAULT } else { best }
    }

    /// The tenant that has an entry of this key, or [`NONE`].
    #[inline]
    fn find(&self, values: u64, address: u128) -> u16 {
        let address = split(address);
        let mask = self.slots.len() - 1;
        let mut at = hash(values, address);
        // At most half of the slots are taken, so this ends.
        while let Some(slot) = self.slots.get(at & mask) {
            if slot.tenant == DEFAULT {
                break;
            }
            if slot.values == values && slot.address == address {
                return slot.tenant;
            }
            at = at.wrapping_add(1);
        }
        NONE
    }

    /// Enters all combinations of values of a tenant that no tenant before has.
    fn add(&mut self, tenant: u16, matches: &Match, shapes: &mut Vec<Shape>) {
        let vlans = or_any(&matches.vlans, |vlan| (0xfff, u64::from(*vlan)));
        let p_keys = or_any(&matches.p_keys, |key| {
            (u64::from(PARTITION) << P_KEY_AT, u64::from(key & PARTITION) << P_KEY_AT)
        });
        let dscp = or_any(&matches.dscp, |dscp| (63 << DSCP_AT, u64::from(*dscp) << DSCP_AT));
        let ports = or_any(&matches.ports, |port| (255 << PORT_AT, u64::from(*port) << PORT_AT));
        let hosts = or_any(&matches.prefixes, |prefix| {
            let (address, family) = bits(prefix.address);
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.length)).unwrap_or(0);
            (mask, address & mask, family)
        });
        let needs_ip = if matches.dscp.is_empty() { 0 } else { IP };
        let needs_roce = if matches.p_keys.is_empty() { 0 } else { ROCE };
        for (address_mask, address, family) in hosts {
            for (vlan_mask, vlan) in &vlans {
                for (key_mask, p_key) in &p_keys {
                    for (dscp_mask, dscp) in &dscp {
                        for (port_mask, port) in &ports {
                            let shape = Shape {
                                values: vlan_mask | key_mask | dscp_mask | port_mask,
                                address: address_mask,
                                needs: needs_ip | needs_roce | family,
                                first: tenant,
                                tag: 0,
                            };
                            let values = vlan | p_key | dscp | port;
                            self.enter(values | shape.among(shapes), address, tenant);
                        }
                    }
                }
            }
        }
    }

    fn enter(&mut self, values: u64, address: u128, tenant: u16) {
        let address = split(address);
        let mask = self.slots.len() - 1;
        let mut at = hash(values, address) & mask;
        while self.slots[at].tenant != DEFAULT {
            if self.slots[at].values == values && self.slots[at].address == address {
                return; // an earlier tenant's
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { values, address, tenant };
    }
}

impl Shape {
    /// The tag of this shape, which is one of `shapes` then.
    fn among(self, shapes: &mut Vec<Shape>) -> u64 {
        let same = |shape: &&Shape| {
            (shape.values, shape.address, shape.needs) == (self.values, self.address, self.needs)
        };
        if let Some(shape) = shapes.iter().find(same) {
            return shape.tag;
        }
        let tag = (shapes.len() as u64) << SHAPE_AT;
        shapes.push(Shape { tag, ..self });
        tag
    }
}

/// What `part` makes of each of the values; without any, that they do not matter.
fn or_any<T, P: Default>(values: &[T], part: impl Fn(&T) -> P) -> Vec<P> {
    if values.is_empty() { vec![P::default()] } else { values.iter().map(part).collect() }
}

/// A packet's values and address where entries have them, and what it has.
#[inline]
fn key(of: &Traits) -> (u64, u128, u8) {
    let mut values = u64::from(of.vlan & 0xfff) | u64::from(of.port) << PORT_AT;
    let (mut address, mut has) = (0, 0);
    if let Some((host, dscp)) = of.ip {
        let (bits, family) = bits(host);
        (address, has) = (bits, family | IP);
        values |= u64::from(dscp & 63) << DSCP_AT;
    }
    if let Some(p_key) = of.p_key {
        has |= ROCE;
        values |= u64::from(p_key & PARTITION) << P_KEY_AT;
    }
    (values, address, has)
}

/// An address in the first of 128 bits, and its family.
#[inline]
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, IPV4),
        IpAddr::V6(address) => (address.to_bits(), IPV6),
    }
}

#[inline]
fn split(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

/// Where a key is looked for first.
#[inline]
fn hash(values: u64, [high, low]: [u64; 2]) -> usize {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    // Odd numbers with no pattern: digits of pi.
    let address = fold(high ^ 0x243f_6a88_85a3_08d3, low ^ 0x1319_8a2e_0370_7345);
    fold(values ^ address, 0xa409_3822_299f_31d1) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::Prefix;

    fn tenants(matches: Vec<Match>) -> Vec<TenantSettings> {
        let all = std::iter::once(Match::default()).chain(matches);
        all.map(|matches| TenantSettings { matches, ..TenantSettings::default() }).collect()
    }

    /// The first tenant that matches, found by asking each.
    fn naive(tenants: &[TenantSettings], of: &Traits) -> u16 {
        let mut found = tenants.iter().enumerate().skip(1);
        found.find(|(_, tenant)| tenant.matches.matches(of)).map_or(DEFAULT, |(at, _)| at as u16)
    }

    /// Few values, so that tenants share them; prefixes of any length over few addresses.
    fn host() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0u32..8).prop_map(|low| IpAddr::from((0x0a00_0000 | low << 29 | low).to_be_bytes())),
            (0u128..8).prop_map(|low| IpAddr::from((low << 125 | low).to_be_bytes())),
        ]
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        let length = |address: IpAddr| if address.is_ipv4() { 32 } else { 128u8 };
        host().prop_flat_map(move |address| {
            (0..=length(address)).prop_map(move |length| Prefix { address, length })
        })
    }

    fn some<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(of, 0..3)
    }

    fn matches() -> impl Strategy<Value = Match> {
        let p_key = (0u16..4, any::<bool>()).prop_map(|(key, full)| key | u16::from(full) << 15);
        (some(0u16..4), some(prefix()), some(p_key), some(0u8..4), some(0u8..3))
            .prop_map(|(vlans, prefixes, p_keys, dscp, ports)| Match {
                vlans,
                prefixes,
                p_keys,
                dscp,
                ports,
            })
            .prop_filter("the default tenant's", |matches| !matches.is_empty())
    }

    fn packet() -> impl Strategy<Value = Traits> {
        let ip = prop::option::of((host(), 0u8..4));
        (0u8..3, 0u16..4, ip, prop::option::of(0u16..4)).prop_map(|(port, vlan, ip, p_key)| {
            // Only what is IP can be RoCEv2.
            Traits { port, vlan, ip, p_key: p_key.filter(|_| ip.is_some()) }
        })
    }

    proptest! {
        #[test]
        fn the_tenant_is_the_first_that_matches(
            matches in prop::collection::vec(matches(), 0..12),
            packets in prop::collection::vec(packet(), 64),
        ) {
            let tenants = tenants(matches);
            let classifier = Classifier::new(&tenants);
            for packet in packets {
                prop_assert_eq!(classifier.tenant(&packet), naive(&tenants, &packet));
            }
        }
    }

    #[test]
    fn thousands_of_tenants_of_one_shape_are_found_by_one_probe_each() {
        let vlan = |n: u16| Match { vlans: vec![n], ..Match::default() };
        let tenants = tenants((0..4_095).map(vlan).collect());
        let classifier = Classifier::new(&tenants);
        assert_eq!(classifier.shapes.len(), 1);
        for vlan in 0..4_095 {
            assert_eq!(classifier.tenant(&Traits { vlan, ..Traits::default() }), vlan + 1);
        }
        assert_eq!(classifier.tenant(&Traits { vlan: 4_095, ..Traits::default() }), DEFAULT);
    }

    #[test]
    fn a_full_and_a_limited_member_are_of_the_same_partition() {
        let tenants = tenants(vec![Match { p_keys: vec![0x8012], ..Match::default() }]);
        let classifier = Classifier::new(&tenants);
        for (p_key, tenant) in [(0x8012, 1), (0x0012, 1), (0x8013, DEFAULT)] {
            let ip = Some(([10, 0, 0, 1].into(), 0));
            let packet = Traits { ip, p_key: Some(p_key), ..Traits::default() };
            assert_eq!(classifier.tenant(&packet), tenant);
        }
    }
}
