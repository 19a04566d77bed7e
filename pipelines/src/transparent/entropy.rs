//! Source ports that tell queue pairs apart, for networks that spread flows by their 5-tuple.
//!
//! RNICs may send all queue pairs of two hosts from one UDP port, which are then one flow to the
//! network. The port that is written in its place follows from the hosts and the queue pair alone:
//! it is the same for every packet of a queue pair, first sent or repeated, for as long as it lives
//! and whichever gateway restarts.

use arrayvec::ArrayVec;
use dataplane::memory::{Packet, Pool};

use crate::shield::Found;
use crate::wire::{bth::Bth, checksum, icrc, udp};

/// The ports that RoCEv2 sends from (InfiniBand Architecture, annex A17: entropy in the dynamic
/// range).
const FIRST_PORT: u16 = 0xc000;
/// Ethernet padding behind a packet that is moved with its ICRC; more is nothing that an RNIC sends.
const MAX_TAIL: usize = icrc::LEN + 60;

/// Writes the source port of its queue pair into a packet that claims to be RoCEv2. ICRC and UDP
/// checksum follow; a wrong one stays wrong. What is no whole packet stays as it is. `false` if there
/// was no buffer, and the packet is lost.
#[must_use]
pub(crate) fn spread(packet: &mut Packet, found: &Found, pool: &Pool) -> bool {
    let Some((udp_at, end)) = datagram(packet, found) else { return true };
    let Some(port) = port(packet.head(), found) else { return true };
    let tail_at = end - icrc::LEN;
    let Some(tail) = tail(packet, tail_at) else { return true };
    let Some((old_icrc, padding)) = tail.split_first_chunk() else { return true };
    let Some(header) = packet.head_mut().get_mut(udp_at..udp_at + udp::HEADER_LEN) else {
        return true;
    };
    let (old, new) = ([header[0], header[1]], port.to_be_bytes());
    header[..2].copy_from_slice(&new);
    let sum = u16::from_be_bytes([header[6], header[7]]);
    if sum != 0 {
        let word = u16::from_be_bytes;
        // The ICRC's own change counts as well: it is data to UDP.
        let sum = checksum::update_word(sum, word(old), word(new));
        header[6..].copy_from_slice(&sum.to_be_bytes());
    }
    let behind = tail_at - (udp_at + old.len());
    let new_icrc = icrc::update(u32::from_le_bytes(*old_icrc), &old, &new, behind).to_le_bytes();
    if sum != 0 {
        cover(packet, udp_at, (old_icrc, &new_icrc), tail_at);
    }
    write_tail(packet, tail_at, &new_icrc, padding, pool)
}

/// Lets the UDP checksum follow a change of the ICRC, which is at `at`.
fn cover(
    packet: &mut Packet,
    udp_at: usize,
    (old, new): (&[u8; icrc::LEN], &[u8; icrc::LEN]),
    at: usize,
) {
    let Some(field) = packet.head_mut().get_mut(udp_at + 6..udp_at + 8) else { return };
    let sum = u16::from_be_bytes([field[0], field[1]]);
    // Words begin at even bytes of the datagram.
    let sum = match (at - udp_at).is_multiple_of(2) {
        true => checksum::update(sum, old, new),
        false => {
            let shifted = |bytes: &[u8; icrc::LEN]| [0, bytes[0], bytes[1], bytes[2], bytes[3], 0];
            checksum::update(sum, &shifted(old), &shifted(new))
        }
    };
    field.copy_from_slice(&checksum::udp_form(sum).to_be_bytes());
}

/// Where the UDP header of a whole RoCEv2 packet begins, and where its ICRC ends.
fn datagram(packet: &Packet, found: &Found) -> Option<(usize, usize)> {
    let bth_at = usize::from(found.bth_at);
    let udp_at = bth_at.checked_sub(udp::HEADER_LEN)?;
    let &[l0, l1] = packet.head().get(udp_at + 4..)?.first_chunk()?;
    let end = udp_at + usize::from(u16::from_be_bytes([l0, l1]));
    let is_whole = end <= packet.len() && end >= bth_at + Bth::LEN + icrc::LEN;
    (is_whole && packet.head().len() >= bth_at + Bth::LEN).then_some((udp_at, end))
}

/// The port of the queue pair that a packet is for: of both addresses, VLAN and DestQP.
fn port(head: &[u8], found: &Found) -> Option<u16> {
    let ip = head.get(usize::from(found.ip_at)..)?;
    let addresses = if found.ip_version == 4 { ip.get(12..20)? } else { ip.get(8..40)? };
    let &[q0, q1, q2] = head.get(usize::from(found.bth_at) + 5..)?.first_chunk()?;
    let qp = u32::from_be_bytes([0, q0, q1, q2]);
    let words = addresses.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
    let hash = words.chain([found.vlan, qp]).fold(0x243f_6a88_85a3_08d3, |hash: u64, word| {
        let product = u128::from(hash ^ u64::from(word)) * 0x9e37_79b9_7f4a_7c15_u128;
        (product >> 64) as u64 ^ product as u64
    });
    Some(FIRST_PORT | hash as u16 & !FIRST_PORT)
}

/// The bytes from `at` on: ICRC and padding. `None` if they are too many.
fn tail(packet: &Packet, at: usize) -> Option<ArrayVec<u8, MAX_TAIL>> {
    let mut tail = ArrayVec::new();
    if packet.len().checked_sub(at)? > MAX_TAIL {
        return None;
    }
    let mut skip = at;
    for segment in packet.segments() {
        let rest = segment.get(skip.min(segment.len())..)?;
        skip = skip.saturating_sub(segment.len());
        tail.try_extend_from_slice(rest).ok()?;
    }
    Some(tail)
}

/// Writes the ICRC at `at`, behind which there is `padding`. `false` if there was no buffer.
fn write_tail(
    packet: &mut Packet,
    at: usize,
    icrc: &[u8; icrc::LEN],
    padding: &[u8],
    pool: &Pool,
) -> bool {
    if let Some(field) = packet.head_mut().get_mut(at..at + icrc::LEN) {
        field.copy_from_slice(icrc);
        return true;
    }
    // It lies in other segments: they are cut off, and put on anew.
    packet.truncate(at);
    packet.append(pool, icrc) && packet.append(pool, padding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Sum, finish};
    use dataplane::memory::PoolSettings;
    use proptest::prelude::*;

    const UDP_AT: usize = 34;
    const FOUND: Found = Found { vlan: 0, ip_at: 14, ip_version: 4, bth_at: 42 };

    /// A packet over IPv4 to a queue pair, with a UDP checksum if wanted, and padding.
    fn frame(qp: u8, payload: &[u8], with_checksum: bool, padding: usize) -> Vec<u8> {
        let udp_len = (8 + 12 + payload.len() + 4) as u16;
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + udp_len).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0xc0, 1, 0x12, 0xb7]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0, 0, 4, 0, 0xff, 0xff, 0, 0, 0, qp, 0, 0, 0, 7]);
        frame.extend(payload);
        let icrc = icrc::compute(20, [&frame[14..]]).expect("headers");
        frame.extend(icrc.to_le_bytes());
        if with_checksum {
            let sum = checksum::udp_form(udp_checksum(&frame)).to_be_bytes();
            frame[UDP_AT + 6..UDP_AT + 8].copy_from_slice(&sum);
        }
        frame.resize(frame.len() + padding, 0xee);
        frame
    }

    /// Of the datagram with its pseudo header: 0 if what it has is right.
    fn udp_checksum(frame: &[u8]) -> u16 {
        let len = usize::from(u16::from_be_bytes([frame[UDP_AT + 4], frame[UDP_AT + 5]]));
        let sum = Sum::of(&[0, 17]).and_word(len as u16).and(&frame[26..34]);
        finish(sum.and(&frame[UDP_AT..UDP_AT + len]))
    }

    fn pool() -> Pool {
        Pool::new(PoolSettings { buffers: 64, buffer_bytes: 256, headroom: 8 }).expect("valid")
    }

    fn spread_bytes(frame: &[u8]) -> Vec<u8> {
        let pool = pool();
        let mut packet = pool.copy(frame).expect("buffers");
        assert!(spread(&mut packet, &FOUND, &pool));
        packet.segments().flatten().copied().collect()
    }

    #[test]
    fn what_is_no_whole_packet_stays_as_it_is() {
        let whole = frame(9, &[1; 40], false, 0);
        for len in 42..whole.len() {
            assert_eq!(spread_bytes(&whole[..len]), whole[..len], "{len}");
        }
        let padded = frame(9, &[1; 40], false, 61);
        assert_eq!(spread_bytes(&padded), padded);
        let mut lies = whole.clone();
        lies[UDP_AT + 4..UDP_AT + 6].copy_from_slice(&[0, 23]);
        assert_eq!(spread_bytes(&lies), lies);
    }

    proptest! {
        #[test]
        fn checksums_follow_and_nothing_else_changes(
            payload in prop::collection::vec(any::<u8>(), 0..400),
            qp in any::<u8>(),
            with_checksum in any::<bool>(),
            padding in 0usize..20,
            wrong in any::<bool>(),
        ) {
            let mut sent = frame(qp, &payload, with_checksum, padding);
            let end = sent.len() - padding;
            if wrong {
                sent[end - 1] ^= 0x10;
            }
            let right = udp_checksum(&sent) == 0;
            let got = spread_bytes(&sent);
            prop_assert_eq!(got.len(), sent.len());
            prop_assert!(got[UDP_AT] >= 0xc0);
            prop_assert_eq!(icrc::verify(20, [&got[14..end]]), Some(!wrong));
            if with_checksum {
                prop_assert_eq!(udp_checksum(&got) == 0, right);
            } else {
                prop_assert_eq!(&got[UDP_AT + 6..UDP_AT + 8], &[0, 0]);
            }
            let mut same = got.clone();
            for range in [UDP_AT..UDP_AT + 2, UDP_AT + 6..UDP_AT + 8, end - 4..end] {
                same[range.clone()].copy_from_slice(&sent[range]);
            }
            prop_assert_eq!(same, sent);
            // The port is the queue pair's, whatever it sends.
            let other = spread_bytes(&frame(qp, &[], false, 0));
            prop_assert_eq!(&other[UDP_AT..UDP_AT + 2], &got[UDP_AT..UDP_AT + 2]);
        }
    }

    #[test]
    fn queue_pairs_of_two_hosts_have_ports_of_their_own() {
        let ports =
            (0..=255).map(|qp| spread_bytes(&frame(qp, &[], false, 0))[UDP_AT..][..2].to_vec());
        let ports: std::collections::BTreeSet<_> = ports.collect();
        // Of 256 random draws from 16,384, two agree here and there.
        assert!(ports.len() > 240, "{}", ports.len());
    }
}
