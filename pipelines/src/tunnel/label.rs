//! The flow label of the outer IPv6 header, by which networks tell channels apart.

use std::net::IpAddr;

/// The flow label of a channel between two addresses: 20 bits, never 0, which would be no label.
/// It is the same for every packet of the channel, so that networks which spread by it (RFC 6438)
/// keep the channel's order, and another one for each channel.
#[must_use]
pub fn flow_label(from: IpAddr, to: IpAddr, channel: u8) -> u32 {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let words = [bits(from), bits(to)].into_iter().flat_map(|of| [(of >> 64) as u64, of as u64]);
    let hash = words.fold(0x243f_6a88_85a3_08d3, |hash: u64, word| {
        let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        (product >> 64) as u64 ^ product as u64
    });
    // An odd multiple of the channel is another number for each, modulo 2^20.
    let label = (hash as u32).wrapping_add(u32::from(channel).wrapping_mul(0x9_e3_79 | 1));
    (label & 0xf_ffff).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_label_of_its_own() {
        for (from, to) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let label = |channel| flow_label(from.parse().unwrap(), to.parse().unwrap(), channel);
            let labels: std::collections::BTreeSet<u32> = (0..64).map(label).collect();
            assert_eq!(labels.len(), 64);
            assert!(labels.iter().all(|label| (1..1 << 20).contains(label)));
        }
    }
}
