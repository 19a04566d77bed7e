//! Bits of the headers that are the hosts' own.

use super::*;

#[test]
fn trap_38_bits_that_mean_nothing_to_a_gateway_are_carried_as_they_are() {
    // Solicited event, migration request; partition key; FECN, BECN and six reserved bits beside
    // them; acknowledgement request and seven reserved bits.
    let bits: Vec<(usize, u8)> = [(43, 0xc0), (44, 0xff), (45, 0xff), (46, 0xff), (50, 0xff)]
        .into_iter()
        .flat_map(|(at, mask): (usize, u8)| (0..8).map(move |bit| (at, mask & 1 << bit)))
        .filter(|(_, bit)| *bit != 0)
        .collect();
    let frames: Vec<_> = bits
        .iter()
        .zip(0xff_fff0..)
        .map(|((at, bit), psn)| {
            let mut frame = write(psn);
            frame[*at] ^= bit;
            sealed(frame, 14)
        })
        .collect();
    assert_eq!(frames.len(), 34);
    assert_repaired(&frames);
}
