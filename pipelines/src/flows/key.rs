//! What tells flows apart: for people, for the table, and hashed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What names a flow or subflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Sender's address.
    pub source: IpAddr,
    /// Receiver's address.
    pub destination: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Source port; 0 where the protocol has none, of a fragment, and of RoCEv2, where it is but
    /// something for networks to hash.
    pub source_port: u16,
    /// Destination port; 0 where the protocol has none, or of a fragment.
    pub destination_port: u16,
    /// The receiver's queue pair, 24 bits: of subflows of RoCEv2.
    pub dest_qp: Option<u32>,
    /// Partition key: of subflows of RoCEv2, where it counts.
    pub p_key: Option<u16>,
    /// VLAN of the outermost tag that has one.
    pub vlan: Option<u16>,
    /// Tenant, as the caller numbers them.
    pub tenant: u16,
}

/// A [`Name`] as the table compares and hashes it: six words, of which the last is never 0.
///
/// Words 0 to 3: source and destination; of IPv4 both are in the first. Word 4: ports, protocol,
/// queue pair. Word 5: IP version, what is there, P_Key, VLAN, tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key([u64; 6]);

/// In word 5.
const VERSION_AT: u32 = 56;
const HAS_QP: u64 = 1 << 48;
const HAS_P_KEY: u64 = 1 << 49;
/// What subflows have beside flows.
const WORD_4_OF_SUBFLOW: u64 = 0xff_ffff;
const WORD_5_OF_SUBFLOW: u64 = HAS_QP | HAS_P_KEY | 0xffff << 32;

impl Key {
    /// Of no packet: the key of a vacant place.
    pub(super) const NONE: Self = Self([0; 6]);

    /// The flow that this subflow belongs to; a flow is its own.
    #[inline]
    pub(super) fn flow(&self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        Self([a, b, c, d, e & !WORD_4_OF_SUBFLOW, f & !WORD_5_OF_SUBFLOW])
    }

    /// The name; of a vacant place it says nothing.
    pub(super) fn name(&self) -> Name {
        let [a, b, c, d, e, f] = self.0;
        let v4 = |word: u64| IpAddr::V4(Ipv4Addr::from_bits(word as u32));
        let v6 = |high: u64, low: u64| {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)))
        };
        let (source, destination) = match f >> VERSION_AT {
            4 => (v4(a >> 32), v4(a)),
            _ => (v6(a, b), v6(c, d)),
        };
        Name {
            source,
            destination,
            protocol: (e >> 24) as u8,
            source_port: (e >> 48) as u16,
            destination_port: (e >> 32) as u16,
            dest_qp: (f & HAS_QP != 0).then_some(e as u32 & 0xff_ffff),
            p_key: (f & HAS_P_KEY != 0).then_some((f >> 32) as u16),
            vlan: Some((f >> 16) as u16).filter(|vlan| *vlan != 0),
            tenant: f as u16,
        }
    }
}

impl From<&Name> for Key {
    /// VLAN 0 is none. Addresses of two kinds, which no packet has, are taken as IPv6.
    #[inline]
    fn from(name: &Name) -> Self {
        let (addresses, version) = match (name.source, name.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let both = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
                ([both, 0, 0, 0], 4)
            }
            (source, destination) => {
                let [source, destination] = [source, destination].map(|address| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                    IpAddr::V6(address) => address.to_bits(),
                });
                let (high, low) = (|bits: u128| (bits >> 64) as u64, |bits: u128| bits as u64);
                ([high(source), low(source), high(destination), low(destination)], 6)
            }
        };
        let [a, b, c, d] = addresses;
        let ports = u64::from(name.source_port) << 48 | u64::from(name.destination_port) << 32;
        let queue_pair = u64::from(name.dest_qp.unwrap_or(0) & 0xff_ffff);
        let there = |is: bool, flag: u64| if is { flag } else { 0 };
        let rest = there(name.dest_qp.is_some(), HAS_QP)
            | there(name.p_key.is_some(), HAS_P_KEY)
            | u64::from(name.p_key.unwrap_or(0)) << 32
            | u64::from(name.vlan.unwrap_or(0)) << 16
            | u64::from(name.tenant);
        Self([
            a,
            b,
            c,
            d,
            ports | u64::from(name.protocol) << 24 | queue_pair,
            version << VERSION_AT | rest,
        ])
    }
}

/// A keyed hash. Whoever does not know the seed cannot choose names that meet in one bucket: pairs
/// of words are multiplied and summed as in NH of UMAC (RFC 4418, 5.2; here with words of 64 bits),
/// in which two names collide for one seed in 2^64.
#[derive(Clone)]
pub(super) struct Hasher([u64; 8]);

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        // SplitMix64: the words differ for every seed.
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        }))
    }

    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        let [a, b, c, d, e, f] = key.0;
        let [ka, kb, kc, kd, ke, kf, kg, kh] = self.0;
        let times = |x: u64, y: u64| u128::from(x) * u128::from(y);
        let sum = times(a.wrapping_add(ka), b.wrapping_add(kb))
            .wrapping_add(times(c.wrapping_add(kc), d.wrapping_add(kd)))
            .wrapping_add(times(e.wrapping_add(ke), f.wrapping_add(kf)));
        // All bits of the sum into all bits of the hash.
        let mixed = times(sum as u64 ^ kg, (sum >> 64) as u64 ^ kh);
        mixed as u64 ^ (mixed >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn names()(
            v6 in any::<bool>(), addresses in any::<[u128; 2]>(), protocol in any::<u8>(),
            ports in any::<[u16; 2]>(), dest_qp in prop::option::of(0u32..1 << 24),
            p_key in prop::option::of(any::<u16>()), vlan in prop::option::of(1u16..4096),
            tenant in any::<u16>(),
        ) -> Name {
            let address = |bits: u128| match v6 {
                true => IpAddr::V6(Ipv6Addr::from_bits(bits)),
                false => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            };
            let [source, destination] = addresses.map(address);
            let [source_port, destination_port] = ports;
            Name { source, destination, protocol, source_port, destination_port, dest_qp, p_key, vlan, tenant }
        }
    }

    proptest! {
        #[test]
        fn a_key_says_all_that_its_name_does(name in names()) {
            let key = Key::from(&name);
            prop_assert_eq!(key.name(), name);
            prop_assert_ne!(key, Key::NONE);
            let flow = Name { dest_qp: None, p_key: None, ..name };
            prop_assert_eq!(key.flow(), Key::from(&flow));
        }

        #[test]
        fn every_bit_of_a_key_counts(name in names(), word in 0usize..6, bit in 0u32..64, seed: u64) {
            let key = Key::from(&name);
            let mut other = key;
            other.0[word] ^= 1 << bit;
            let hasher = Hasher::new(seed);
            prop_assert_ne!(hasher.hash(&key), hasher.hash(&other));
            prop_assert_ne!(hasher.hash(&key), Hasher::new(seed ^ 1).hash(&key));
        }
    }

    /// Names as a host gives them out, one after the other.
    #[test]
    fn consecutive_queue_pairs_and_ports_spread_evenly() {
        const BUCKETS: usize = 1 << 12;
        for (step_qp, step_port) in [(1, 0), (0, 1), (1, 1), (256, 0)] {
            let hasher = Hasher::new(5);
            let mut low = vec![0u32; BUCKETS];
            let mut high = vec![0u32; BUCKETS];
            for n in 0..4 * BUCKETS as u32 {
                let key = Key::from(&Name {
                    source: [10, 0, 0, 1].into(),
                    destination: [10, 0, 0, 2].into(),
                    protocol: 17,
                    source_port: (n * step_port) as u16,
                    destination_port: 4791,
                    dest_qp: Some((n * step_qp) & 0xff_ffff),
                    p_key: None,
                    vlan: None,
                    tenant: 0,
                });
                let hash = hasher.hash(&key);
                low[hash as usize % BUCKETS] += 1;
                high[(hash >> 32) as usize % BUCKETS] += 1;
            }
            for counts in [low, high] {
                // Chi-squared of 4096 buckets with a mean of 4: 4095, standard deviation 90.
                let chi: f64 = counts.iter().map(|n| (f64::from(*n) - 4.0).powi(2) / 4.0).sum();
                assert!(
                    (4095.0 - 450.0..4095.0 + 450.0).contains(&chi),
                    "{step_qp} {step_port}: {chi}"
                );
            }
        }
    }
}
