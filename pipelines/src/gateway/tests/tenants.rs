//! Tenants: what one of them loses, or has no room for, is no other's concern.

use std::collections::BTreeSet;

use super::properties::Dice;
use super::roce::roce;
use super::*;
use crate::tenant::{Match, TenantSettings};

const BOUND: u64 = 128 << 10;
/// VLANs of the tenants; the first is the one with bounds.
const SMALL: u16 = 7;
const LARGE: u16 = 8;

/// The default tenant, one with bounds, one without.
fn tenants(replay_bytes: Option<u64>, hold_bytes: Option<u64>) -> Vec<TenantSettings> {
    let vlan = |name: &str, vlans| TenantSettings {
        name: name.into(),
        matches: Match { vlans, ..Match::default() },
        ..TenantSettings::default()
    };
    let small = TenantSettings { replay_bytes, hold_bytes, ..vlan("small", vec![SMALL]) };
    vec![vlan("default", vec![]), small, vlan("large", vec![LARGE])]
}

fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// The frame that site 0 sends a tenant as its number so-and-so, in either numbering.
fn packet(numbering: Numbering, vlan: u16, number: u32) -> Vec<u8> {
    match numbering {
        Numbering::Tunnel => tagged(vlan, &frame(vlan as u8, number, 300)),
        Numbering::Transparent { .. } => {
            let body = [&[0; 236][..], &number.to_be_bytes()].concat();
            tagged(vlan, &roce(0, 0x0a, number, &body))
        }
    }
}

/// Whether a frame on the wire is such a one, or holds it.
fn is(on_wire: &[u8], frame: &[u8]) -> bool {
    on_wire.ends_with(frame)
}

/// What of a tenant arrived at site 1, in the order it did.
fn arrived(bed: &Bed, numbering: Numbering, vlan: u16, count: u32) -> Vec<u32> {
    let sent: BTreeMap<Vec<u8>, u32> =
        (0..count).map(|number| (packet(numbering, vlan, number), number)).collect();
    bed.sides[1].delivered.iter().filter_map(|frame| sent.get(frame).copied()).collect()
}

fn status(bed: &Bed, side: usize) -> Vec<TenantStatus> {
    let mut status = Vec::new();
    bed.sides[side].gateway.tenants_status(bed.now, &mut status);
    status
}

const NUMBERINGS: [Numbering; 2] = [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }];

fn up(numbering: Numbering, replay: Option<u64>, hold: Option<u64>) -> Bed {
    Bed::up(|settings| {
        settings.peers[0].numbering = numbering;
        settings.tenants = tenants(replay, hold);
    })
}

/// The parts add up to the whole, on either side, and no bound is passed.
fn assert_balanced(bed: &Bed) {
    for side in &bed.sides {
        let account = &side.gateway.common.memory;
        assert_eq!(account.shares().total(), account.memory().bytes);
        let held = |peer: &Peer| match &peer.streams {
            Some(streams) => (streams.inbound.shares().total(), streams.inbound.held_bytes()),
            None => (peer.order.shares().total(), peer.order.bytes()),
        };
        for (parts, whole) in side.gateway.peers.iter().map(held) {
            assert_eq!(parts, whole);
        }
    }
}

#[test]
fn a_tenant_at_its_replay_bound_goes_unprotected_and_no_other() {
    for numbering in NUMBERINGS {
        let mut bed = up(numbering, Some(BOUND), None);
        for number in 0..400 {
            for vlan in [SMALL, LARGE] {
                let now = bed.now;
                bed.sides[0].receive(LAN, &packet(numbering, vlan, number), now);
            }
        }
        // One that is kept and one that is not, of each.
        let lost: Vec<_> = [SMALL, LARGE]
            .iter()
            .flat_map(|vlan| [5, 300].map(|number| packet(numbering, *vlan, number)))
            .collect();
        let mut once = BTreeSet::new();
        bed.run(60 * MILLISECOND, &mut |_, bytes| {
            let hit = lost.iter().find(|frame| is(bytes, frame));
            if hit.is_some_and(|frame| once.insert(frame)) { vec![] } else { perfect(0, bytes) }
        });
        let all = (0..400).collect::<Vec<_>>();
        let small: Vec<u32> = (0..400).filter(|&n| n != 300).collect();
        assert_eq!(arrived(&bed, numbering, LARGE, 400), all, "{numbering:?}");
        assert_eq!(arrived(&bed, numbering, SMALL, 400), small, "{numbering:?}");
        let [default, small, large] = status(&bed, 0)[..] else { panic!("three tenants") };
        assert_eq!((default.sent.packets, default.replay_high_water_bytes), (0, 0));
        assert_eq!((small.sent.packets, large.sent.packets), (400, 400));
        // Buffers of 1 KiB, with a header of 64 bytes.
        assert_eq!(small.replay_high_water_bytes, BOUND / 1_088 * 1_088);
        assert_eq!(large.replay_high_water_bytes, 400 * 1_088);
        assert_eq!((small.unprotected, large.unprotected), (400 - BOUND / 1_088, 0));
        let memory = bed.sides[0].gateway.replay_memory();
        assert_eq!((memory.unprotected, memory.evicted), (small.unprotected, 0));
        assert_eq!(bed.counters(1).gave_up, 1, "{numbering:?}");
        assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0), "{numbering:?}");
        assert_balanced(&bed);
        bed.assert_no_leak();
    }
}

#[test]
fn a_tenant_at_its_hold_bound_gives_up_its_own_holes_and_no_other() {
    for numbering in NUMBERINGS {
        let mut bed = up(numbering, None, Some(BOUND));
        for number in 0..300 {
            for vlan in [LARGE, SMALL] {
                let now = bed.now;
                bed.sides[0].receive(LAN, &packet(numbering, vlan, number), now);
            }
        }
        // The other one has waited longer, and may.
        let lost = [SMALL, LARGE].map(|vlan| packet(numbering, vlan, 5));
        let mut losses = [0; 2];
        bed.run(100 * MILLISECOND, &mut |_, bytes| {
            let hit = lost.iter().position(|frame| is(bytes, frame));
            let lose = hit.is_some_and(|of| {
                losses[of] += 1;
                losses[of] <= 2
            });
            if lose { vec![] } else { perfect(0, bytes) }
        });
        let all = (0..300).collect::<Vec<_>>();
        let small: Vec<u32> = (0..300).filter(|&n| n != 5).collect();
        assert_eq!(arrived(&bed, numbering, LARGE, 300), all, "{numbering:?}");
        assert_eq!(arrived(&bed, numbering, SMALL, 300), small, "{numbering:?}");
        let [_, small, large] = status(&bed, 1)[..] else { panic!("three tenants") };
        assert!(small.received.packets >= 299 && large.received.packets >= 300);
        assert_eq!((small.gave_up, large.gave_up), (1, 0), "{numbering:?}");
        assert_eq!(small.held_high_water_bytes, BOUND / 1_088 * 1_088, "{numbering:?}");
        assert_eq!(large.held_high_water_bytes, 294 * 1_088, "{numbering:?}");
        assert_eq!(bed.counters(1).gave_up, 1, "{numbering:?}");
        assert_balanced(&bed);
        bed.assert_no_leak();
    }
}

#[test]
fn tenants_share_no_lane_and_use_all_of_their_own() {
    let tenancy = Tenancy::new(&tenants(None, None));
    let mut lanes = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for hash in 0..1_000 {
        for tenant in 0..3 {
            lanes[usize::from(tenant)].insert(tenancy.lane(tenant, hash, 16));
        }
    }
    assert!(lanes.iter().all(|own| own.len() == 4));
    assert_eq!(lanes.iter().flatten().collect::<BTreeSet<_>>().len(), 12);
    let mut few = settings(1, 2);
    few.tenants = tenants(None, None);
    few.peers[0].lanes = 2;
    assert!(few.check().is_err_and(|error| error.to_string().contains("fewer than tenants")));
}

#[test]
fn both_directions_of_a_queue_pair_are_the_tenant_of_the_host_at_the_site() {
    let matches = |last| Match {
        prefixes: vec![Prefix { address: [10, 0, 0, last].into(), length: 32 }],
        ..Match::default()
    };
    let tenant = |name: &str, matches| TenantSettings {
        name: name.into(),
        matches,
        ..TenantSettings::default()
    };
    let mut bed = Bed::up(|settings| {
        let list = [("default", Match::default()), ("a", matches(1)), ("b", matches(2))];
        settings.tenants = list.into_iter().map(|(name, of)| tenant(name, of)).collect();
    });
    let now = bed.now;
    bed.sides[0].receive(LAN, &roce(0, 0x0a, 1, &[0; 32]), now);
    bed.sides[1].receive(LAN, &roce(1, 0x11, 1, &[0x1f, 0, 0, 0]), now);
    bed.run(50 * MILLISECOND, &mut perfect);
    for (side, own, other) in [(0, 1, 2), (1, 2, 1)] {
        let status = status(&bed, side);
        assert_eq!((status[own].sent.packets, status[own].received.packets), (1, 1));
        assert_eq!((status[other], status[0]), Default::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is lost, whoever is at a bound: the parts are the whole after every step, bounds
    /// hold, and who has none misses nothing.
    #[test]
    fn the_parts_are_the_whole_at_every_step(
        seed in 1u64..,
        loss in 0.0..0.2f64,
        transparent in any::<bool>(),
    ) {
        let numbering = NUMBERINGS[usize::from(transparent)];
        let mut bed = up(numbering, Some(BOUND), Some(BOUND));
        let mut dice = Dice(seed);
        let mut fate = move |_: u64, frame: &[u8]| {
            if dice.roll() < loss { vec![] } else { perfect(0, frame) }
        };
        for number in 0..300 {
            for vlan in [SMALL, LARGE] {
                let now = bed.now;
                bed.sides[0].receive(LAN, &packet(numbering, vlan, number), now);
                assert_balanced(&bed);
            }
            bed.run(20_000, &mut fate);
            assert_balanced(&bed);
        }
        for _ in 0..200 {
            bed.run(10 * MILLISECOND, &mut fate);
            assert_balanced(&bed);
        }
        // Without encapsulation, a second copy of a repair is the RNIC's to judge.
        let mut seen = BTreeSet::new();
        let mut first = arrived(&bed, numbering, LARGE, 300);
        first.retain(|number| seen.insert(*number));
        prop_assert_eq!(first, (0..300).collect::<Vec<_>>());
        for side in 0..2 {
            let small = status(&bed, side)[1];
            prop_assert!(small.replay_high_water_bytes <= BOUND);
            prop_assert!(small.held_high_water_bytes <= BOUND);
            prop_assert_eq!(status(&bed, side)[2].gave_up + status(&bed, side)[2].unprotected, 0);
        }
        bed.assert_no_leak();
    }
}
