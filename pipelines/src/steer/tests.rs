use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{Gateway, owner};

const FIRST_PORT: u16 = 4_794;

/// A UDP datagram between two addresses of one family, under `tags`.
fn frame(source: IpAddr, destination: IpAddr, tags: &[u16], port: u16) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend([0x81, 0x00]);
        frame.extend(tag.to_be_bytes());
    }
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 17, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => panic!("two families"),
    }
    frame.extend([0xc0, 0]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 40, 0, 0]);
    frame.resize(frame.len() + 32, 0);
    frame
}

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn v6(bits: u128) -> IpAddr {
    Ipv6Addr::from_bits(bits).into()
}

/// Our SID.
const SID: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xd46);

/// A gateway of this address.
fn at(address: IpAddr) -> Gateway {
    Gateway { address, sid: Some(SID), first_udp_port: FIRST_PORT }
}

/// An address that no test packet is sent to by chance.
fn gateway() -> IpAddr {
    v4(0xc000_0201)
}

fn pair() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(a, b)| (v4(a), v4(b))),
        any::<(u128, u128)>().prop_map(|(a, b)| (v6(a), v6(b))),
    ]
}

#[test]
fn a_tunnel_packet_belongs_to_the_worker_of_its_port() {
    for (ours, peer) in [(gateway(), v4(0xc633_6401)), (v6(1 << 100 | 1), v6(1 << 100 | 2))] {
        for tags in [&[][..], &[7]] {
            for worker in 0..4 {
                let arriving = frame(peer, ours, tags, FIRST_PORT + worker);
                let by_port = owner(&arriving, 4, at(ours));
                assert_eq!(by_port, Some(usize::from(worker)));
            }
            // Ports beside ours, and tunnels of others, go by their addresses.
            let by_pair = owner(&frame(ours, peer, tags, 1), 4, at(ours));
            for port in [FIRST_PORT - 1, FIRST_PORT + 4, 0, u16::MAX] {
                assert_eq!(owner(&frame(peer, ours, tags, port), 4, at(ours)), by_pair);
            }
            for port in FIRST_PORT..FIRST_PORT + 4 {
                assert_eq!(owner(&frame(ours, peer, tags, port), 4, at(ours)), by_pair);
            }
        }
    }
}

#[test]
fn a_later_fragment_to_us_has_no_port() {
    let (ours, peer) = (gateway(), v4(0xc633_6401));
    let by_pair = owner(&frame(ours, peer, &[], 1), 16, at(ours));
    for worker in 0..16 {
        let mut fragment = frame(peer, ours, &[], FIRST_PORT + worker);
        fragment[20..22].copy_from_slice(&[0x20, 0x10]);
        assert_eq!(owner(&fragment, 16, at(ours)), by_pair);
    }
}

#[test]
fn what_is_not_ip_is_the_first_workers_and_what_is_no_frame_nobodys() {
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(owner(&arp, 8, at(gateway())), Some(0));
    // Says that it is IP, and ends or contradicts itself before the addresses do.
    let whole = frame(v4(0x0a00_0001), v4(0x0a01_0009), &[], 4_791);
    assert_eq!(owner(&whole[..33], 8, at(gateway())), Some(0));
    let mut wrong = whole.clone();
    wrong[14] = 0x65;
    assert_eq!(owner(&wrong, 8, at(gateway())), Some(0));
    assert_eq!(owner(&whole[..13], 8, at(gateway())), None);
    assert_eq!(owner(&whole, 0, at(gateway())), None);
}

#[test]
fn a_priority_tag_is_no_vlan_and_a_vlan_counts() {
    let (a, b) = (v4(0x0a00_0001), v4(0x0a01_0002));
    let worker = |tags: &[u16]| owner(&frame(a, b, tags, 4_791), 16, at(gateway()));
    assert_eq!(worker(&[0x6000]), worker(&[]));
    assert_eq!(worker(&[0x6005]), worker(&[5]));
    assert!((1..100).any(|vlan| worker(&[vlan]) != worker(&[])));
}

/// Hosts are numbered one after the other: just such addresses must spread. Four standard
/// deviations of an even hash, or an eighth of a share, whichever is more.
fn assert_even(counts: &[usize], what: &str) {
    let share = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let bound = (share / 8.0).max(4.0 * share.sqrt());
    for (worker, &count) in counts.iter().enumerate() {
        let off = (count as f64 - share).abs();
        assert!(off <= bound, "{what}: worker {worker} of {counts:?}");
    }
}

#[test]
fn hosts_spread_evenly_over_two_to_sixteen_workers() {
    for workers in 2..=16 {
        let mut counts = [vec![0; workers], vec![0; workers], vec![0; workers]];
        for near in 1..=64u32 {
            for far in 1..=64u32 {
                let frames = [
                    frame(v4(0x0a00_0000 + near), v4(0x0a01_0000 + far), &[], 4_791),
                    frame(
                        v6(0xfd00 << 112 | u128::from(near)),
                        v6(0xfd01 << 112 | u128::from(far)),
                        &[],
                        4_791,
                    ),
                    frame(
                        v4(0x0a00_0001),
                        v4(0x0a01_0001),
                        &[(near * 64 + far) as u16 & 0xfff],
                        4_791,
                    ),
                ];
                for (counts, frame) in counts.iter_mut().zip(&frames) {
                    let worker = owner(frame, workers, at(gateway()));
                    counts[worker.expect("a frame")] += 1;
                }
            }
        }
        for (counts, what) in counts.iter().zip(["IPv4", "IPv6", "VLANs"]) {
            assert_even(counts, what);
        }
    }
}

/// A frame within SRv6, at the end of its way.
fn in_srv6(frame: &[u8], srh: bool) -> Vec<u8> {
    let protocol = if frame[12] == 0x08 { 4 } else { 41 };
    let (next, header) = match srh {
        true => (43, [&[protocol, 2, 4, 0, 0, 0, 0, 0][..], &SID.octets()].concat()),
        false => (protocol, vec![]),
    };
    let payload = (header.len() + frame.len() - 14) as u16;
    let mut outer = vec![2; 12];
    outer.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    outer.extend(payload.to_be_bytes());
    outer.extend([next, 64]);
    outer.extend([0x20; 16]);
    outer.extend(SID.octets());
    [&outer, &header, &frame[14..]].concat()
}

#[test]
fn what_srv6_holds_has_the_owner_that_it_has_without() {
    for (peer, ours) in [(v4(7), v4(9)), (v6(7), v6(9))] {
        for port in [FIRST_PORT, FIRST_PORT + 3, FIRST_PORT + 4, 3784] {
            let plain = frame(peer, ours, &[], port);
            for srh in [false, true] {
                let within = in_srv6(&plain, srh);
                assert_eq!(owner(&within, 4, at(ours)), owner(&plain, 4, at(ours)), "{port}");
            }
        }
    }
}

proptest! {
    #[test]
    fn both_directions_have_one_owner_whatever_they_carry(
        (a, b) in pair(),
        tags in prop::collection::vec(any::<u16>(), 0..3),
        workers in 1usize..=16,
        ports in any::<(u16, u16)>(),
        behind in prop::collection::vec(any::<u8>(), 40),
    ) {
        prop_assume!(a != gateway() && b != gateway());
        let there = frame(a, b, &tags, ports.0);
        let mut back = frame(b, a, &tags, ports.1);
        let worker = owner(&there, workers, at(gateway()));
        prop_assert!(worker.is_some_and(|worker| worker < workers));
        // Whatever the transport, its ports and its payload are.
        let end = back.len();
        back[end - 40..].copy_from_slice(&behind);
        prop_assert_eq!(owner(&back, workers, at(gateway())), worker);
    }

    #[test]
    fn any_bytes_have_an_owner_that_is_there(
        mut bytes in prop::collection::vec(any::<u8>(), 0..100),
        ethertype in prop::sample::select(vec![[0x08u8, 0], [0x86, 0xdd], [0x81, 0], [0x88, 0xa8]]),
        workers in 0usize..=16,
        first in any::<u16>(),
        ours in any::<u32>(),
    ) {
        if let Some(to) = bytes.get_mut(12..14) {
            to.copy_from_slice(&ethertype);
        }
        let worker = owner(&bytes, workers, Gateway { first_udp_port: first, ..at(v4(ours)) });
        prop_assert_eq!(worker.is_none(), bytes.len() < 14 || workers == 0);
        prop_assert!(worker.is_none_or(|worker| worker < workers));
    }
}
