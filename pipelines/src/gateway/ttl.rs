//! The time to live of what a pair of gateways carries as a router would.

/// Offsets in the IP headers.
const IPV4_TTL: usize = 8;
const IPV4_CHECKSUM: usize = 10;
const IPV6_HOP_LIMIT: usize = 7;

/// Whether a router forwards the packet whose IP header `ip` begins with: its time to live does not
/// end here.
#[inline]
pub(super) fn passes(ip: &[u8]) -> bool {
    let at = if is_ipv4(ip) { IPV4_TTL } else { IPV6_HOP_LIMIT };
    ip.get(at).is_some_and(|&left| left > 1)
}

/// Takes one off the time to live of a packet that [`passes`]. Neither the ICRC of RoCEv2 nor a
/// transport's checksum covers it.
#[inline]
pub(super) fn count_hop(ip: &mut [u8]) {
    if is_ipv4(ip) {
        let Some([ttl, protocol, sum0, sum1]) = ip.get_mut(IPV4_TTL..IPV4_CHECKSUM + 2) else {
            return;
        };
        let before = u16::from_be_bytes([*ttl, *protocol]);
        *ttl = ttl.saturating_sub(1);
        let after = u16::from_be_bytes([*ttl, *protocol]);
        let sum = update(u16::from_be_bytes([*sum0, *sum1]), before, after);
        [*sum0, *sum1] = sum.to_be_bytes();
    } else if let Some(hops) = ip.get_mut(IPV6_HOP_LIMIT) {
        *hops = hops.saturating_sub(1);
    }
}

#[inline]
fn is_ipv4(ip: &[u8]) -> bool {
    ip.first().is_some_and(|first| first >> 4 == 4)
}

/// The checksum `sum` of a header in which the word `before` became `after` (RFC 1624, equation 3).
#[inline]
fn update(sum: u16, before: u16, after: u16) -> u16 {
    let total = u32::from(!sum) + u32::from(!before) + u32::from(after);
    let total = (total & 0xffff) + (total >> 16);
    !(((total & 0xffff) + (total >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Sum, finish};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_checksum_stays_right(header in any::<[u8; 18]>(), ttl in 2u8..) {
            // Without the checksum; it is put in after ten bytes.
            let (before, behind) = header.split_at(10);
            let mut ip = [before, &[0, 0], behind].concat();
            (ip[0], ip[IPV4_TTL]) = (0x45, ttl);
            let sum = finish(Sum::of(&ip));
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(passes(&ip));
            count_hop(&mut ip);
            prop_assert_eq!(ip[IPV4_TTL], ttl - 1);
            prop_assert_eq!(finish(Sum::of(&ip)), 0);
            // As computed anew, and not the other zero.
            let updated = [ip[10], ip[11]];
            ip[10..12].fill(0);
            prop_assert_eq!(updated, finish(Sum::of(&ip)).to_be_bytes());
        }

        #[test]
        fn any_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let before = bytes.clone();
            let passed = passes(&bytes);
            count_hop(&mut bytes);
            prop_assert_eq!(bytes.len(), before.len());
            // A whole header of either kind.
            prop_assert!(before.len() < 40 || !passed || bytes != before);
        }
    }

    #[test]
    fn what_has_one_left_or_none_ends_here() {
        for (first, at) in [(0x45, IPV4_TTL), (0x60, IPV6_HOP_LIMIT)] {
            let mut ip = [0; 40];
            ip[0] = first;
            for (left, expected) in [(0, false), (1, false), (2, true), (255, true)] {
                ip[at] = left;
                assert_eq!(passes(&ip), expected);
            }
            count_hop(&mut ip);
            assert_eq!(ip[at], 254);
        }
    }
}
