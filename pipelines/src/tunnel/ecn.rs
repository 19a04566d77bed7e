//! Congestion marks across the tunnel: RFC 6040 in normal mode.
//!
//! On the way in, the outer header takes over the inner one's ECN field (section 4.1): a network
//! that would mark the packet marks the outer header. On the way out, [`combined`] says what the
//! packet goes on with (section 4.2).

use crate::wire::checksum;

/// The bits of a type of service or traffic class that are the ECN field (RFC 3168).
pub const MASK: u8 = 0b11;
/// Not ECN-capable.
pub const NOT_ECT: u8 = 0b00;
/// ECN-capable, codepoint 1.
pub const ECT_1: u8 = 0b01;
/// ECN-capable, codepoint 0.
pub const ECT_0: u8 = 0b10;
/// Congestion experienced.
pub const CE: u8 = 0b11;

/// Offsets in the IPv4 header.
const IPV4_TOS: usize = 1;
const IPV4_CHECKSUM: usize = 10;

/// The ECN field with which a packet goes on that had `inner` and came in a header with `outer`:
/// figure 4 of RFC 6040. `None`: it is dropped, since the network meant to, and the packet cannot
/// say so.
#[inline]
#[must_use]
pub const fn combined(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

/// Whether a header with `outer` can change what was in it: the two other codepoints never do.
#[inline]
#[must_use]
pub const fn may_change(outer: u8) -> bool {
    outer & 1 != 0
}

/// Lets the packet whose IP header `ip` begins with go on as [`combined`] says; `false` if it is to
/// be dropped. The IPv4 header's checksum follows. The ICRC of RoCEv2 and the checksums of
/// transports leave the field out, so they stay right. What is no IP header has no field: as if it
/// were not ECN-capable.
#[inline]
#[must_use]
pub fn unwrap(ip: &mut [u8], outer: u8) -> bool {
    let Some(tos) = tos(ip) else { return outer & MASK != CE };
    let Some(ecn) = combined(tos, outer) else { return false };
    if ecn != tos & MASK {
        set_tos(ip, tos & !MASK | ecn);
    }
    true
}

/// Tells the packet whose IP header `ip` begins with of congestion, if it can be told and was not yet;
/// whether that was so. The IPv4 header's checksum follows.
#[inline]
#[must_use]
pub fn mark(ip: &mut [u8]) -> bool {
    match tos(ip) {
        Some(tos) if matches!(tos & MASK, ECT_0 | ECT_1) => {
            set_tos(ip, tos | CE);
            true
        }
        _ => false,
    }
}

/// The type of service or traffic class of the IP header that `ip` begins with; `None` if it is
/// none.
#[inline]
#[must_use]
pub fn tos(ip: &[u8]) -> Option<u8> {
    let (&[first, second], _) = ip.split_first_chunk()?;
    match first >> 4 {
        4 if ip.len() > IPV4_CHECKSUM + 1 => Some(second),
        6 => Some(first << 4 | second >> 4),
        _ => None,
    }
}

/// Writes it; there is one.
fn set_tos(ip: &mut [u8], tos: u8) {
    match ip {
        [first, second, ..] if *first >> 4 == 6 => {
            *first = 0x60 | tos >> 4;
            *second = tos << 4 | *second & 0x0f;
        }
        [first, ..] => {
            let first = *first;
            let Some(before) = ip.get(IPV4_TOS).copied() else { return };
            let Some(&[s0, s1]) = ip.get(IPV4_CHECKSUM..).and_then(|rest| rest.first_chunk())
            else {
                return;
            };
            let word = |tos| u16::from_be_bytes([first, tos]);
            let sum = u16::from_be_bytes([s0, s1]);
            let sum = checksum::update_word(sum, word(before), word(tos)).to_be_bytes();
            let changed = [(IPV4_TOS, tos), (IPV4_CHECKSUM, sum[0]), (IPV4_CHECKSUM + 1, sum[1])];
            for (at, value) in changed {
                ip.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
        }
        [] => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Sum, finish};
    use proptest::prelude::*;

    #[test]
    fn figure_4_of_rfc_6040() {
        const DROP: Option<u8> = None;
        let table = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), DROP]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                assert_eq!(combined(inner, outer), expected, "{inner:02b} in {outer:02b}");
                assert!(may_change(outer) || expected == Some(inner));
                let mut ip = [0; 40];
                (ip[0], ip[1]) = (0x60 | 0xb, 0x80 | inner << 4 | 0x7);
                assert_eq!(unwrap(&mut ip, outer), expected.is_some());
                let ecn = expected.unwrap_or(inner);
                assert_eq!(ip[..2], [0x6b, 0x87 | ecn << 4], "DSCP and flow label stay");
            }
        }
    }

    #[test]
    fn what_is_no_ip_header_is_not_capable() {
        for mut bytes in [vec![], vec![0x45], vec![0x45; 11], vec![0x12; 40]] {
            let before = bytes.clone();
            assert!(unwrap(&mut bytes, ECT_1) && !unwrap(&mut bytes, CE));
            assert_eq!(bytes, before);
        }
    }

    proptest! {
        #[test]
        fn the_checksum_of_ipv4_stays_right(header in any::<[u8; 18]>(), outer in 0u8..4) {
            let (before, behind) = header.split_at(10);
            let mut ip = [before, &[0, 0], behind].concat();
            ip[0] = 0x45;
            let sum = finish(Sum::of(&ip));
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            let tos = ip[1];
            let kept = unwrap(&mut ip, outer);
            prop_assert_eq!(kept, combined(tos, outer).is_some());
            prop_assert_eq!(ip[1] >> 2, tos >> 2);
            prop_assert_eq!(finish(Sum::of(&ip)), 0);
        }
    }
}
