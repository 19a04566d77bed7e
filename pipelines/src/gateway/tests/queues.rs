//! Packets that wait for their turn: whose it is, how fast, and what others notice of it.

use super::roce::roce;
use super::*;
use crate::queueing::{Class, Classes, Crossing, Rate, TenantQueues, Thresholds};
use crate::tenant::{Match, TenantSettings};

/// VLANs of two tenants, beside the default one.
const ONE: u16 = 7;
const OTHER: u16 = 8;
/// Their numbers.
const FIRST: u16 = 1;
const LAST: u16 = 2;

fn queue(weight: u16, rate: Option<Rate>) -> TenantQueues {
    TenantQueues {
        weight,
        rate,
        thresholds: TenantQueues::per_class(Thresholds::lossy(256), Thresholds::lossy(256), 2),
        marking: None,
    }
}

fn tenants() -> Vec<TenantSettings> {
    let vlan = |name: &str, vlans| TenantSettings {
        name: name.into(),
        matches: Match { vlans, ..Match::default() },
        ..TenantSettings::default()
    };
    vec![vlan("default", vec![]), vlan("one", vec![ONE]), vlan("other", vec![OTHER])]
}

/// Two gateways with queues of these tenants.
fn up(numbering: Numbering, of: [TenantQueues; 3], wan: Option<Rate>) -> Bed {
    Bed::up(|settings| {
        settings.peers[0].numbering = numbering;
        settings.tenants = tenants();
        settings.queues = Some(QueueSettings {
            classes: Classes::default(),
            pool_bytes: 1 << 24,
            packets: 1 << 12,
            port_rates: vec![None, wan],
            tenants: of.to_vec(),
        });
    })
}

fn plain() -> [TenantQueues; 3] {
    [queue(1, None), queue(1, None), queue(1, None)]
}

fn tagged(vlan: u16, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// A tenant's WRITE number so-and-so, of 1,000 bytes.
pub(super) fn write(vlan: u16, number: u32) -> Vec<u8> {
    let body = [&[0; 996][..], &number.to_be_bytes()].concat();
    tagged(vlan, &roce(0, 0x0a, number, &body))
}

/// The numbers of a tenant's frames that site 1 was given, in their order.
pub(super) fn arrived(bed: &Bed, vlan: u16) -> Vec<u32> {
    let number = |frame: &Vec<u8>| {
        // In front of the ICRC.
        let (front, _) = frame.split_at_checked(frame.len().checked_sub(4)?)?;
        let of_vlan = frame[12..16] == tagged(vlan, &[0; 14])[12..16];
        of_vlan.then(|| front.last_chunk().map(|bytes| u32::from_be_bytes(*bytes)))?
    };
    bed.sides[1].delivered.iter().filter_map(number).collect()
}

/// Site 0 is given so many frames of both tenants at once.
fn send(bed: &mut Bed, numbers: std::ops::Range<u32>) {
    let now = bed.now;
    for number in numbers {
        bed.sides[0].receive(LAN, &write(ONE, number), now);
        bed.sides[0].receive(LAN, &write(OTHER, number), now);
    }
}

const NUMBERINGS: [Numbering; 2] = [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }];

#[test]
fn what_waits_arrives_in_order_whatever_is_lost() {
    for numbering in NUMBERINGS {
        let rate = Rate { bits_per_second: 200_000_000, burst_bytes: 10_000 };
        let of = [queue(1, None), queue(1, Some(rate)), queue(2, None)];
        let mut bed = up(numbering, of, Some(Rate::of(1_000_000_000)));
        send(&mut bed, 0..400);
        bed.run(200 * MILLISECOND, &mut |number, bytes| {
            if number % 17 == 3 { vec![] } else { perfect(number, bytes) }
        });
        let all: Vec<u32> = (0..400).collect();
        assert_eq!(arrived(&bed, ONE), all, "{numbering:?}");
        assert_eq!(arrived(&bed, OTHER), all, "{numbering:?}");
        assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0), "{numbering:?}");
        bed.assert_no_leak();
    }
}

#[test]
fn a_tenant_has_its_rate_and_the_other_does_not_notice() {
    for numbering in NUMBERINGS {
        let rate = Rate { bits_per_second: 80_000_000, burst_bytes: 10_000 };
        let of = [queue(1, None), queue(1, Some(rate)), queue(1, None)];
        let mut bed = up(numbering, of, None);
        send(&mut bed, 0..800);
        bed.run(DELAY + 50 * MILLISECOND, &mut perfect);
        assert_eq!(arrived(&bed, OTHER).len(), 800, "{numbering:?}");
        // A burst, and what 50 ms make.
        let bytes = arrived(&bed, ONE).len() * write(ONE, 0).len();
        assert!((504_000..=511_000).contains(&bytes), "{numbering:?}: {bytes}");
        let now = bed.now;
        let [to_wan, to_lan] = bed.sides[0].gateway.queue_status(FIRST, now);
        assert!(to_wan.bytes > 200_000 && to_wan.high_water_bytes > 700_000, "{to_wan:?}");
        assert_eq!((to_wan.dropped, to_lan.bytes), (0, 0));
        // As fast as it can be from now on, and nothing was lost.
        let changed = bed.sides[0].gateway.set_tenant_queues(&[(FIRST, queue(1, None))], now);
        assert_eq!(changed, Ok(()));
        bed.run(DELAY + MILLISECOND, &mut perfect);
        assert_eq!(arrived(&bed, ONE), (0..800).collect::<Vec<_>>(), "{numbering:?}");
    }
}

#[test]
fn queues_change_while_packets_wait_and_nothing_is_lost_or_overtaken() {
    for numbering in NUMBERINGS {
        let slow = Rate { bits_per_second: 80_000_000, burst_bytes: 10_000 };
        let of = [queue(1, None), queue(1, Some(slow)), queue(1, Some(slow))];
        let mut bed = up(numbering, of, None);
        send(&mut bed, 0..800);
        bed.run(DELAY + 10 * MILLISECOND, &mut perfect);
        let before = arrived(&bed, ONE).len();
        let fast = Rate { bits_per_second: 800_000_000, ..slow };
        let now = bed.now;
        // 700,000 bytes wait, where 50,000 now say stop.
        let xoff =
            Thresholds { xoff: 50_000, xon: 20_000, headroom: 1 << 20, ..Thresholds::lossy(256) };
        let lossless = TenantQueues {
            thresholds: TenantQueues::per_class(xoff, xoff, 2),
            ..queue(3, Some(fast))
        };
        let gateway = &mut bed.sides[0].gateway;
        let changes = [(FIRST, lossless), (LAST, queue(1, None))];
        assert_eq!(gateway.set_tenant_queues(&changes, now), Ok(()));
        let event = gateway.take_queue_event().expect("it is above its threshold");
        assert_eq!((event.tenant, event.crossing), (FIRST, Crossing::Xoff));
        bed.run(DELAY + 2 * MILLISECOND, &mut perfect);
        assert_eq!(arrived(&bed, OTHER), (0..800).collect::<Vec<_>>(), "{numbering:?}");
        // What was on its way at the old rate, and 2 ms of the new one.
        let bytes = (arrived(&bed, ONE).len() - before) * write(ONE, 0).len();
        assert!((238_000..=262_000).contains(&bytes), "{numbering:?}: {bytes}");
        bed.run(20 * MILLISECOND, &mut perfect);
        assert_eq!(arrived(&bed, ONE), (0..800).collect::<Vec<_>>(), "{numbering:?}");
    }
}

#[test]
fn what_others_fill_becomes_a_tenants_own_as_it_leaves() {
    let slow = Rate { bits_per_second: 800_000_000, burst_bytes: 10_000 };
    let greedy = TenantQueues {
        thresholds: TenantQueues::per_class(
            Thresholds::lossy(1 << 20),
            Thresholds::lossy(1 << 20),
            2,
        ),
        ..queue(1, Some(slow))
    };
    let own = Thresholds { reserved: 4 << 18, ..Thresholds::lossy(256) };
    let mut bed = Bed::up(|settings| {
        settings.tenants = tenants();
        settings.queues = Some(QueueSettings {
            classes: Classes::default(),
            pool_bytes: 4 << 20,
            packets: 1 << 12,
            port_rates: vec![],
            tenants: vec![queue(1, None), greedy.clone(), queue(1, None)],
        });
    });
    let to_wan = |bed: &Bed, tenant| bed.sides[0].gateway.queue_status(tenant, bed.now)[0];
    let flood = |bed: &mut Bed, numbers: std::ops::Range<u32>| {
        let now = bed.now;
        numbers.for_each(|number| bed.sides[0].receive(LAN, &write(ONE, number), now));
    };
    // 4 MB, of which there is room for 3,900 frames, and each leaves after 10 us.
    flood(&mut bed, 0..3_950);
    bed.run(MILLISECOND, &mut perfect);
    let before = to_wan(&bed, FIRST);
    let changes = [(
        LAST,
        TenantQueues { thresholds: TenantQueues::per_class(own, own, 2), ..queue(1, None) },
    )];
    let now = bed.now;
    assert_eq!(bed.sides[0].gateway.set_tenant_queues(&changes, now), Ok(()));
    // 3 MiB of 4 are to be the other one's: what leaves until then is not filled again.
    flood(&mut bed, 4_000..4_010);
    assert_eq!(to_wan(&bed, FIRST).dropped, before.dropped + 10);
    bed.run(35 * MILLISECOND, &mut perfect);
    flood(&mut bed, 5_000..5_010);
    bed.run(40 * MILLISECOND, &mut perfect);
    assert_eq!(to_wan(&bed, FIRST).dropped, before.dropped + 10);
    let expected: Vec<_> = (0..3_950 - before.dropped as u32).collect();
    assert_eq!(arrived(&bed, ONE), [expected, (5_000..5_010).collect()].concat());
}

#[test]
fn queues_that_cannot_be_leave_all_as_it_was() {
    let mut bed = up(Numbering::Tunnel, plain(), None);
    let now = bed.now;
    let reserving = |reserved| TenantQueues {
        thresholds: TenantQueues::per_class(
            Thresholds { reserved, ..Thresholds::lossy(256) },
            Thresholds { reserved, ..Thresholds::lossy(256) },
            2,
        ),
        ..queue(2, Some(Rate::of(1_000_000)))
    };
    let gateway = &mut bed.sides[0].gateway;
    let mut refused = |changes: &[(u16, TenantQueues)]| {
        gateway.set_tenant_queues(changes, now).expect_err("it cannot be").to_string()
    };
    // Three classes of two tenants in a pool of 16 MiB.
    let too_much = refused(&[(FIRST, reserving(1 << 20)), (LAST, reserving(5 << 20))]);
    assert!(too_much.contains("18874368 bytes reserved"), "{too_much}");
    assert!(refused(&[(FIRST, reserving(0)), (3, plain()[0].clone())]).contains("no such tenant"));
    assert!(refused(&[(FIRST, reserving(0)), (LAST, queue(0, None))]).contains("weight"));
    // The rate of none of them is kept: 800 frames would take 6 s.
    send(&mut bed, 0..800);
    bed.run(DELAY + MILLISECOND, &mut perfect);
    assert_eq!(arrived(&bed, ONE).len(), 800);
    // What one gives up the other may have, in whatever order they come.
    let gateway = &mut bed.sides[0].gateway;
    assert_eq!(gateway.set_tenant_queues(&[(FIRST, reserving(5 << 20))], now), Ok(()));
    let other_way = [(LAST, reserving(5 << 20)), (FIRST, plain()[0].clone())];
    assert_eq!(gateway.set_tenant_queues(&other_way, now), Ok(()));
}

#[test]
fn a_port_is_shared_by_weight() {
    let of = [queue(1, None), queue(1, None), queue(3, None)];
    let mut bed = up(Numbering::Tunnel, of, Some(Rate::of(100_000_000)));
    send(&mut bed, 0..800);
    bed.run(DELAY + 60 * MILLISECOND, &mut perfect);
    let [one, other] = [ONE, OTHER].map(|vlan| arrived(&bed, vlan).len());
    assert!((3 * one).abs_diff(other) <= 60, "{one} {other}");
    // On the wire: frames of 1,066 bytes, 78 of headers in front, 24 of Ethernet's own.
    let wire = (one + other) * (write(ONE, 0).len() + 58 + 24) * 8;
    assert!((5_900_000..=6_500_000).contains(&wire), "{wire}");
}

#[test]
fn a_paused_queue_waits_alone_on_either_side() {
    for (side, way) in [(0, Toward::Wan), (1, Toward::Lan(LAN))] {
        let mut bed = up(Numbering::Tunnel, plain(), None);
        assert!(bed.sides[side].gateway.pause_queue(way, FIRST, Class::BULK));
        send(&mut bed, 0..100);
        bed.run(100 * MILLISECOND, &mut perfect);
        let all: Vec<u32> = (0..100).collect();
        assert_eq!((arrived(&bed, ONE), arrived(&bed, OTHER)), (vec![], all.clone()));
        let now = bed.now;
        let status = bed.sides[side].gateway.queue_status(FIRST, now)[side];
        assert_eq!(status.bytes, 100 * write(ONE, 0).len() as u64);
        assert!(bed.sides[side].gateway.resume_queue(way, FIRST, Class::BULK));
        bed.run(100 * MILLISECOND, &mut perfect);
        assert_eq!(arrived(&bed, ONE), all);
        bed.assert_no_leak();
    }
}

#[test]
fn queues_say_when_they_are_full_and_when_no_longer() {
    let mut of = plain();
    of[usize::from(LAST)].thresholds[Class::BULK.index()] =
        Thresholds { reserved: 0, alpha: 256, headroom: 50_000, xoff: 20_000, xon: 10_000 };
    let mut bed = up(Numbering::Tunnel, of, None);
    bed.sides[0].gateway.pause_queue(Toward::Wan, LAST, Class::BULK);
    send(&mut bed, 0..50);
    let (way, class) = (Toward::Wan, Class::BULK);
    let event = |crossing| Some(QueueEvent { way, tenant: LAST, class, crossing });
    assert_eq!(bed.sides[0].gateway.take_queue_event(), event(Crossing::Xoff));
    assert_eq!(bed.sides[0].gateway.take_queue_event(), None);
    bed.run(MILLISECOND, &mut perfect);
    bed.sides[0].gateway.resume_queue(Toward::Wan, LAST, Class::BULK);
    bed.run(20 * MILLISECOND, &mut perfect);
    assert_eq!(bed.sides[0].gateway.take_queue_event(), event(Crossing::Xon));
    let [to_wan, _] = bed.sides[0].gateway.queue_status(LAST, bed.now);
    assert_eq!((to_wan.stops, to_wan.stopped_for), (1, MILLISECOND));
    assert_eq!(arrived(&bed, OTHER).len(), 50);
}

#[test]
fn what_a_queue_does_not_take_is_dropped_with_a_reason_and_is_nobody_elses() {
    let mut of = plain();
    let bulk = Class::BULK.index();
    of[usize::from(FIRST)].thresholds[bulk] =
        Thresholds { reserved: 10_000, ..Thresholds::lossy(0) };
    of[usize::from(LAST)].thresholds[bulk] =
        Thresholds { reserved: 0, alpha: 0, headroom: 20_000, xoff: 10_000, xon: 0 };
    let mut bed = up(Numbering::Tunnel, of, None);
    for tenant in [FIRST, LAST] {
        bed.sides[0].gateway.pause_queue(Toward::Wan, tenant, Class::BULK);
    }
    send(&mut bed, 0..50);
    let (one, other) = (10_000 / write(ONE, 0).len(), 20_000 / write(OTHER, 0).len());
    let drops = &bed.counters(0).drops;
    assert_eq!(drops.packets(DropReason::QueueThreshold), 50 - one as u64);
    assert_eq!(drops.packets(DropReason::QueueHeadroom), 50 - other as u64);
    assert_eq!(bed.sides[0].gateway.queue_status(FIRST, bed.now)[0].dropped, 50 - one as u64);
    bed.sides[0].gateway.clear();
    bed.assert_no_leak();
}

#[test]
fn signalling_goes_before_what_came_earlier() {
    let mut bed = up(Numbering::Tunnel, plain(), Some(Rate::of(100_000_000)));
    send(&mut bed, 0..100);
    let (now, notification) = (bed.now, tagged(ONE, &roce(0, 0x81, 5, &[0; 16])));
    bed.sides[0].receive(LAN, &notification, now);
    bed.run(DELAY + 5 * MILLISECOND, &mut perfect);
    let at = bed.sides[1].delivered.iter().position(|frame| *frame == notification);
    // What the bucket held left before it came.
    assert!(at.is_some_and(|at| at < 45), "{at:?} of {}", bed.sides[1].delivered.len());
}

#[test]
fn what_waited_for_a_peer_that_went_is_treated_as_the_rest() {
    let mut bed = up(Numbering::Tunnel, plain(), None);
    bed.sides[0].gateway.pause_queue(Toward::Wan, FIRST, Class::BULK);
    send(&mut bed, 0..10);
    bed.run(10 * SECOND, &mut |_, _| vec![]);
    let now = bed.now;
    assert!(!bed.sides[0].gateway.established(now));
    let before = bed.counters(0).unprotected;
    bed.sides[0].gateway.resume_queue(Toward::Wan, FIRST, Class::BULK);
    bed.run(MILLISECOND, &mut |_, _| vec![]);
    assert_eq!(bed.counters(0).unprotected - before, 10);
}

#[test]
fn queues_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut QueueSettings)| {
        let mut settings = settings(1, 2);
        let (pool_bytes, packets) = (1 << 20, 1 << 10);
        let mut queues = QueueSettings {
            classes: Classes::default(),
            pool_bytes,
            packets,
            port_rates: vec![],
            tenants: vec![queue(1, None)],
        };
        change(&mut queues);
        settings.queues = Some(queues);
        let cut = PoolSettings { buffers: 16, buffer_bytes: 1_024, headroom: 128 };
        let pool = Rc::new(Pool::new(cut).expect("valid"));
        Gateway::new(settings, pool, Time::ZERO, 1).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(refused(|_| ()), Ok(()));
    for (change, why) in [
        ((|of| of.packets = 1) as fn(&mut QueueSettings), "packets"),
        (|of| of.tenants.clear(), "tenants"),
        (|of| of.tenants[0].weight = 0, "weight"),
        (|of| of.pool_bytes = 0, ""),
        (|of| of.tenants[0].thresholds[0].reserved = 1 << 21, "the pool has"),
    ] {
        let found = refused(change);
        assert!(why.is_empty() == found.is_ok(), "{why}: {found:?}");
        assert!(found.err().is_none_or(|error| error.contains(why)), "{why}");
    }
}
