//! A station that pauses, the gateway that waits for it, and the one that is told to stop.

use std::net::IpAddr;

use dataplane::time::MICROSECOND;

use super::properties::Dice;
use super::*;
use crate::backpressure::{self, Limits, StopperSettings};
use crate::pfc::Mode;
use crate::queueing::{CLASSES, Classes, Marking, Rate, TenantQueues, Thresholds};
use crate::tenant::{Match, TenantSettings};
use crate::wire::ethernet::{self, MAC_CONTROL};
use crate::wire::pfc::{MacControl, Priorities};

/// VLANs of the tenants, and their priorities.
pub(super) const ACME: (u16, u8) = (7, 3);
pub(super) const GLOBEX: (u16, u8) = (8, 4);
/// The longest that a pause frame can ask for at a port of 1 Gbit/s: 33.5 ms.
pub(super) const LONG: u16 = u16::MAX;
const LIMIT: Nanos = 100 * MILLISECOND;

fn tenants() -> Vec<TenantSettings> {
    let tenant = |name: &str, vlans| TenantSettings {
        name: name.into(),
        matches: Match { vlans, ..Match::default() },
        ..TenantSettings::default()
    };
    vec![tenant("default", vec![]), tenant("acme", vec![ACME.0]), tenant("globex", vec![GLOBEX.0])]
}

pub(super) fn may_pause(settings: &mut Settings) {
    settings.tenants = tenants();
    let pfc = PfcSettings { mode: Mode::Pfc, quanta: 1_000, rate: 1_000_000_000 };
    settings.backpressure = Some(BackpressureSettings {
        ports: vec![Some(pfc), None],
        priorities: [0, ACME.1, GLOBEX.1].map(|of| [of; CLASSES]).to_vec(),
        policed: Vec::new(),
        limits: Limits { longest: LIMIT, rest: LIMIT },
        stops: StopperSettings::default(),
    });
}

pub(super) fn packet(vlan: u16, number: u32) -> Vec<u8> {
    let frame = frame(vlan as u8, number, 300);
    [&frame[..12], &[0x81, 0], &vlan.to_be_bytes(), &frame[12..]].concat()
}

/// The stations at `side` pause a priority for so many quanta.
pub(super) fn pause(bed: &mut Bed, side: usize, priority: u8, quanta: u16) {
    let control = MacControl::Pfc(Priorities::default().with(priority, quanta));
    let mut frame = [0; 60];
    control.write_frame([2, 0, 0, 0, 9, 9], &mut frame).expect("room");
    let now = bed.now;
    bed.sides[side].receive(LAN, &frame, now);
}

/// The same, with queues: lossless for acme and globex, of 20 packets before they say stop.
pub(super) fn may_pause_and_wait(settings: &mut Settings) {
    may_pause(settings);
    let lossless = Thresholds {
        reserved: 20 * 300,
        alpha: 256,
        headroom: 100 * 300,
        xoff: 20 * 300,
        xon: 10 * 300,
    };
    let of = |thresholds| TenantQueues {
        weight: 1,
        rate: None,
        thresholds: TenantQueues::per_class(thresholds, thresholds, 2),
        marking: None,
    };
    settings.queues = Some(QueueSettings {
        classes: Classes::default(),
        pool_bytes: 1 << 24,
        packets: 1 << 12,
        port_rates: vec![None, None],
        tenants: vec![of(Thresholds::lossy(256)), of(lossless), of(lossless)],
    });
}

/// What the stations at `side` were last told of a priority.
pub(super) fn told(bed: &Bed, side: usize, priority: u8) -> Option<u16> {
    let frames = bed.sides[side].delivered.iter().rev();
    let views = frames.filter_map(|frame| ethernet::View::parse(frame).ok());
    let controls = views.filter(|view| view.ethertype() == MAC_CONTROL);
    controls
        .filter_map(|view| match MacControl::parse(view.payload()) {
            Ok(MacControl::Pfc(priorities)) => priorities.get(priority),
            _ => None,
        })
        .next()
}

/// Numbers of a tenant's packets that arrived at site 1, in the order they did.
pub(super) fn arrived(bed: &Bed, vlan: u16) -> Vec<u32> {
    let number = |frame: &Vec<u8>| u32::from_be_bytes(*frame[18..].first_chunk().expect("long"));
    let delivered = bed.sides[1].delivered.iter();
    delivered.filter(|frame| frame[12..16] == packet(vlan, 0)[12..16]).map(number).collect()
}

pub(super) fn send(bed: &mut Bed, numbers: std::ops::Range<u32>) {
    for number in numbers {
        for vlan in [ACME.0, GLOBEX.0] {
            let now = bed.now;
            bed.sides[0].receive(LAN, &packet(vlan, number), now);
        }
    }
}

pub(super) fn stops(bed: &Bed, side: usize, tenant: u16) -> StopStatus {
    bed.sides[side].gateway.stop_status(tenant)
}

/// Whether a frame on the wire is a control message that says whom to stop.
pub(super) fn is_stop(bytes: &[u8]) -> bool {
    is_control(bytes) && bytes[42 + 16] == 8
}

#[test]
fn a_pause_stops_its_tenant_at_the_far_site_and_no_other() {
    let mut bed = Bed::up(may_pause);
    pause(&mut bed, 1, ACME.1, LONG);
    send(&mut bed, 0..20);
    bed.run(8 * MILLISECOND, &mut perfect);
    let all: Vec<_> = (0..20).collect();
    assert_eq!((arrived(&bed, ACME.0), arrived(&bed, GLOBEX.0)), (vec![], all.clone()));
    assert_eq!((told(&bed, 0, ACME.1), told(&bed, 0, GLOBEX.1)), (Some(1_000), None));
    assert!(stops(&bed, 0, 1).is_stopped && !stops(&bed, 0, 2).is_stopped);
    let pfc = bed.sides[1].gateway.pfc_status(LAN).expect("spoken");
    assert_eq!((pfc.paused, pfc.heard.pauses[3]), (1 << ACME.1, 1));
    assert_eq!(bed.sides[1].gateway.pfc_status(WAN), None);

    pause(&mut bed, 1, ACME.1, 0);
    bed.run(8 * MILLISECOND, &mut perfect);
    assert_eq!(arrived(&bed, ACME.0), all, "in order, and nothing lost");
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
    // Refreshed at half of 1000 quanta of 512 ns.
    let said = bed.sides[0].gateway.pfc_status(LAN).expect("spoken").said;
    assert_eq!((said.resumes[3], said.pauses[3]), (1, 32));
    assert_eq!((stops(&bed, 1, 1).said.stops, stops(&bed, 1, 1).said.resumes), (1, 1));
    assert_eq!(bed.counters(1).drops.seen().count(), 0);
    assert_eq!(bed.sides[1].gateway.outstanding(), (0, 0));
    bed.run(SECOND, &mut perfect);
    assert_eq!(bed.sides[0].gateway.pfc_status(LAN).expect("spoken").said, said, "and silence");
    bed.assert_no_leak();
}

/// From queue to queue: what waits for the station fills the one before the LAN, which stops the
/// tenant; that fills the one before the WAN, which pauses the sender. Nobody else waits.
#[test]
fn a_pause_fills_queue_after_queue_of_its_tenant_and_nothing_is_dropped() {
    let mut bed = Bed::up(may_pause_and_wait);
    let mut number = 0;
    let mut next = |bed: &mut Bed, count: u32| {
        for _ in 0..count {
            send(bed, number..number + 1);
            number += 1;
            bed.run(MILLISECOND, &mut perfect);
        }
    };
    let refreshed = |bed: &mut Bed| pause(bed, 1, ACME.1, LONG);
    refreshed(&mut bed);
    next(&mut bed, 26);
    assert_eq!(arrived(&bed, ACME.0), [0; 0]);
    assert!(stops(&bed, 1, 1).said.stops > 0 && !stops(&bed, 0, 1).is_stopped, "on its way");
    refreshed(&mut bed);
    next(&mut bed, 8);
    assert!(stops(&bed, 0, 1).is_stopped && !stops(&bed, 0, 2).is_stopped);
    assert_eq!(told(&bed, 0, ACME.1), None, "its queue is not full yet");
    refreshed(&mut bed);
    next(&mut bed, 24);
    assert_eq!((told(&bed, 0, ACME.1), told(&bed, 0, GLOBEX.1)), (Some(1_000), None));
    assert_eq!(arrived(&bed, ACME.0), [0; 0]);
    assert!(arrived(&bed, GLOBEX.0).len() >= 48, "others do not wait");

    pause(&mut bed, 1, ACME.1, 0);
    bed.run(40 * MILLISECOND, &mut perfect);
    let all: Vec<_> = (0..58).collect();
    assert_eq!((arrived(&bed, ACME.0), arrived(&bed, GLOBEX.0)), (all.clone(), all));
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
    for side in 0..2 {
        assert_eq!(bed.counters(side).drops.seen().count(), 0);
        assert!(!stops(&bed, side, 1).is_stopped);
        assert_eq!(bed.sides[side].gateway.outstanding(), (0, 0));
    }
    bed.assert_no_leak();
}

#[test]
fn a_pause_that_nobody_lifts_ends_by_its_time() {
    let mut bed = Bed::up(may_pause);
    pause(&mut bed, 1, ACME.1, LONG);
    send(&mut bed, 0..5);
    bed.run(33 * MILLISECOND, &mut perfect);
    assert!(arrived(&bed, ACME.0).is_empty());
    bed.run(MILLISECOND, &mut perfect);
    assert_eq!(arrived(&bed, ACME.0), [0, 1, 2, 3, 4]);
    bed.run(10 * MILLISECOND, &mut perfect);
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
}

/// A broken NIC pauses for ever. Tenants of its priority go on after the limit, at both sites.
#[test]
fn trap_37_a_pause_storm_is_broken_at_both_sites_and_counted() {
    let mut bed = Bed::up(may_pause);
    send(&mut bed, 0..5);
    bed.run(6 * MILLISECOND, &mut perfect);
    for number in 5..200 {
        pause(&mut bed, 1, ACME.1, LONG);
        send(&mut bed, number..number + 1);
        bed.run(MILLISECOND, &mut perfect);
        let all = arrived(&bed, GLOBEX.0).len();
        assert!(all + 6 >= number as usize, "others do not wait: {all} of {number}");
    }
    let heard = bed.sides[1].gateway.pfc_status(LAN).expect("spoken").heard;
    assert_eq!(heard.broken[3], 1);
    assert!(heard.ignored[3] > 80, "{heard:?}");
    assert!(arrived(&bed, ACME.0).len() > 180, "and it goes on itself");
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
    assert_eq!(bed.counters(1).gave_up, 0);
}

#[test]
fn a_lost_stop_and_a_lost_end_cost_time_and_no_packet() {
    let mut bed = Bed::up(may_pause);
    let mut lost = 0;
    let mut lose_first = |number: u64, bytes: &[u8]| {
        lost += u32::from(is_stop(bytes));
        if is_stop(bytes) && lost % 2 == 1 { vec![] } else { perfect(number, bytes) }
    };
    pause(&mut bed, 1, ACME.1, LONG);
    bed.run(8 * MILLISECOND, &mut lose_first);
    assert_eq!(told(&bed, 0, ACME.1), None, "lost");
    bed.run(12 * MILLISECOND, &mut lose_first);
    assert_eq!(told(&bed, 0, ACME.1), Some(1_000), "said again");
    pause(&mut bed, 1, ACME.1, 0);
    send(&mut bed, 0..5);
    bed.run(8 * MILLISECOND, &mut lose_first);
    assert_eq!(told(&bed, 0, ACME.1), Some(1_000), "lost");
    bed.run(12 * MILLISECOND, &mut lose_first);
    assert_eq!(told(&bed, 0, ACME.1), Some(0), "said again");
    assert_eq!(arrived(&bed, ACME.0), [0, 1, 2, 3, 4]);
}

#[test]
fn a_peer_that_dies_holds_nobody_for_longer_than_the_lifetime() {
    let mut bed = Bed::up(may_pause);
    pause(&mut bed, 1, ACME.1, LONG);
    bed.run(8 * MILLISECOND, &mut perfect);
    assert_eq!(told(&bed, 0, ACME.1), Some(1_000));
    bed.run(98 * MILLISECOND, &mut |_, _| vec![]);
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
    assert_eq!(stops(&bed, 0, 1).heard.expired, 1);
}

#[test]
fn a_peer_that_starts_anew_lets_go_of_whom_it_had_stopped() {
    let mut bed = Bed::up(may_pause);
    pause(&mut bed, 1, ACME.1, LONG);
    bed.run(8 * MILLISECOND, &mut perfect);
    let mut settings = settings(2, 1);
    may_pause(&mut settings);
    bed.sides[1] = Side::new(settings, 33, bed.now);
    bed.run(60 * MILLISECOND, &mut perfect);
    assert_eq!(told(&bed, 0, ACME.1), Some(0), "before the lifetime ends");
    assert_eq!(stops(&bed, 0, 1).heard.expired, 0);
}

#[test]
fn forged_and_replayed_stops_change_nothing() {
    let mut bed = Bed::up(|settings| {
        may_pause(settings);
        settings.outer_checksum = false;
    });
    let mut seen = None;
    pause(&mut bed, 1, ACME.1, LONG);
    bed.run(8 * MILLISECOND, &mut |number, bytes| {
        if is_stop(bytes) && seen.is_none() {
            seen = Some(bytes.to_vec());
        }
        perfect(number, bytes)
    });
    pause(&mut bed, 1, ACME.1, 0);
    bed.run(8 * MILLISECOND, &mut perfect);
    let (stop, before) = (seen.expect("said"), stops(&bed, 0, 1));
    let now = bed.now;
    bed.sides[0].receive(WAN, &stop, now);
    assert_eq!(bed.counters(0).drops.packets(DropReason::ControlReplayed), 1);
    // Another tenant, under a number that was not seen yet.
    let mut forged = stop.clone();
    forged[42 + 16 + 4] ^= 1;
    *forged.last_mut().expect("long") ^= 1;
    forged[40..42].fill(0);
    bed.sides[0].receive(WAN, &forged, now);
    assert_eq!(bed.counters(0).drops.packets(DropReason::ControlAuthentication), 1);
    bed.run(MILLISECOND, &mut perfect);
    assert_eq!(stops(&bed, 0, 1), before);
    assert_eq!(told(&bed, 0, ACME.1), Some(0));
}

#[test]
fn a_peer_that_holds_nobody_back_says_so() {
    let mut bed = Bed::up(|settings| {
        if settings.address == IpAddr::from([192, 0, 2, 2]) {
            may_pause(settings);
        }
    });
    pause(&mut bed, 1, ACME.1, LONG);
    bed.run(11 * MILLISECOND, &mut perfect);
    assert_eq!(stops(&bed, 1, 1).said.unknown, 1);
    assert_eq!(stops(&bed, 0, 1), StopStatus::default());
    assert!([0, 1].iter().all(|side| bed.counters(*side).stops_unknown > 0));
    // And what its own stations say of pauses ends there, counted as ever.
    pause(&mut bed, 0, ACME.1, LONG);
    assert_eq!(bed.counters(0).drops.packets(DropReason::LinkLocalControl), 1);
}

/// Classes of one tenant, each on a priority of its own: only the one that is paused waits, here and
/// at the far site.
#[test]
fn a_pause_of_one_class_holds_no_other() {
    const URGENT: u8 = 5;
    let mut bed = Bed::up(|settings| {
        may_pause_and_wait(settings);
        let queues = settings.queues.as_mut().expect("some");
        queues.classes = Classes::new(&[vec![48], vec![46], vec![]]);
        for of in &mut queues.tenants[1..] {
            let [signalling, data, ..] = of.thresholds;
            of.thresholds = TenantQueues::per_class(signalling, data, 3);
        }
        let backpressure = settings.backpressure.as_mut().expect("some");
        backpressure.priorities[1] = [ACME.1; CLASSES];
        backpressure.priorities[1][2] = URGENT;
    });
    let send = |bed: &mut Bed, numbers: std::ops::Range<u32>| {
        for (number, dscp) in numbers.flat_map(|number| [(number, 46_u8), (number + 1_000, 0)]) {
            let mut frame = queues::write(ACME.0, number);
            frame[19] = dscp << 2;
            // A queue pair for each class, as hosts have it.
            frame[53] ^= dscp;
            let now = bed.now;
            bed.sides[0].receive(LAN, &frame, now);
        }
    };
    pause(&mut bed, 1, URGENT, LONG);
    send(&mut bed, 0..20);
    bed.run(12 * MILLISECOND, &mut perfect);
    let plain: Vec<_> = (1_000..1_020).collect();
    assert_eq!(queues::arrived(&bed, ACME.0), plain, "the urgent ones wait");
    assert!(stops(&bed, 0, 1).is_stopped);
    send(&mut bed, 20..40);
    bed.run(8 * MILLISECOND, &mut perfect);
    assert_eq!((told(&bed, 0, URGENT), told(&bed, 0, ACME.1)), (Some(1_000), None));
    pause(&mut bed, 1, URGENT, 0);
    bed.run(40 * MILLISECOND, &mut perfect);
    let arrived = queues::arrived(&bed, ACME.0);
    let (urgent, plain): (Vec<u32>, Vec<u32>) = arrived.iter().partition(|number| **number < 1_000);
    assert_eq!((urgent, plain), ((0..40).collect(), (1_000..1_040).collect()));
    assert_eq!(told(&bed, 0, URGENT), Some(0));
}

/// Two tenants of one priority: the one whose queue fills has nobody wait, and loses what is more.
#[test]
fn a_policed_tenant_drops_its_own_and_pauses_nobody() {
    let mut bed = Bed::up(|settings| {
        may_pause_and_wait(settings);
        let backpressure = settings.backpressure.as_mut().expect("some");
        backpressure.priorities[2] = [ACME.1; CLASSES];
        backpressure.policed = vec![false, true, true];
        let queues = settings.queues.as_mut().expect("some");
        queues.tenants[1].rate = Some(Rate { bits_per_second: 8_000_000, burst_bytes: 1_000 });
        queues.tenants[1].thresholds.iter_mut().for_each(|of| of.alpha = 1);
        let thresholds = queues.tenants[1].thresholds[1];
        let (min, max) = (thresholds.xon, thresholds.xoff);
        queues.tenants[1].marking = Some(Marking { min, max, most: 1_000, notify: None });
    });
    for number in 0..200 {
        for vlan in [ACME.0, GLOBEX.0] {
            let mut frame = queues::write(vlan, number);
            // ECN-capable: the ICRC leaves the field out, and the checksum is not looked at.
            frame[19] |= ecn::ECT_0;
            let now = bed.now;
            bed.sides[0].receive(LAN, &frame, now);
        }
    }
    bed.run(SECOND / 2, &mut perfect);
    assert_eq!(told(&bed, 0, ACME.1), None, "nobody is paused");
    assert_eq!(queues::arrived(&bed, GLOBEX.0), (0..200).collect::<Vec<_>>());
    let (acme, policed) = (
        queues::arrived(&bed, ACME.0).len() as u64,
        bed.counters(0).drops.packets(DropReason::QueuePoliced),
    );
    assert_eq!(acme + policed, 200);
    assert!(policed > 50, "{policed}");
    let refused = bed.sides[0].gateway.queue_refusals(1)[0];
    assert_eq!(refused.seen().collect::<Vec<_>>(), [(DropReason::QueuePoliced, policed)]);
    let marked = bed.sides[0].gateway.queue_status(1, bed.now)[0].marked;
    assert!(marked > 0 && marked < 200, "told first: {marked}");
}

/// Where PSNs are the numbers, packets wait in queues alone.
#[test]
fn in_transparent_mode_queues_wait_and_speak() {
    let mut bed = Bed::up(|settings| {
        may_pause_and_wait(settings);
        settings.peers[0].numbering = Numbering::Transparent { check_icrc: true };
    });
    pause(&mut bed, 1, ACME.1, LONG);
    for number in 0..20 {
        for vlan in [ACME.0, GLOBEX.0] {
            let now = bed.now;
            bed.sides[0].receive(LAN, &queues::write(vlan, number), now);
        }
    }
    let arrived = |bed: &Bed| [ACME.0, GLOBEX.0].map(|vlan| queues::arrived(bed, vlan));
    bed.run(12 * MILLISECOND, &mut perfect);
    let all: Vec<_> = (0..20).collect();
    assert_eq!(arrived(&bed), [vec![], all.clone()]);
    assert!(stops(&bed, 0, 1).is_stopped && !stops(&bed, 0, 2).is_stopped);

    // What comes to the stopped tenant waits, until its stations wait, too.
    for number in 20..40 {
        let now = bed.now;
        bed.sides[0].receive(LAN, &queues::write(ACME.0, number), now);
    }
    bed.run(4 * MILLISECOND, &mut perfect);
    assert_eq!((told(&bed, 0, ACME.1), told(&bed, 0, GLOBEX.1)), (Some(1_000), None));
    pause(&mut bed, 1, ACME.1, 0);
    bed.run(40 * MILLISECOND, &mut perfect);
    assert_eq!(arrived(&bed), [(0..40).collect(), all]);
    assert_eq!((told(&bed, 0, ACME.1), stops(&bed, 0, 1).is_stopped), (Some(0), false));
    assert_eq!(bed.counters(0).drops.total() + bed.counters(1).drops.total(), 0);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |change: &dyn Fn(&mut Settings, &mut BackpressureSettings)| {
        let mut settings = settings(1, 2);
        may_pause(&mut settings);
        let mut of = settings.backpressure.take().expect("given");
        change(&mut settings, &mut of);
        settings.backpressure = Some(of);
        settings.check().is_err()
    };
    assert!(!refused(&|_, _| {}));
    assert!(refused(&|_, of| of.ports[WAN] = of.ports[LAN]));
    assert!(refused(&|_, of| of.ports.truncate(1)));
    assert!(refused(&|_, of| of.priorities[1] = [8; CLASSES]));
    assert!(refused(&|_, of| of.priorities.truncate(2)));
    assert!(refused(&|_, of| of.limits.longest = SECOND));
    assert!(refused(&|_, of| of.policed = vec![false, true, false]));
    assert!(refused(&|settings, _| settings.tenants[1].name = "globex".into()));
    assert!(refused(&|settings, _| {
        settings.peers[0].numbering = Numbering::Transparent { check_icrc: true };
    }));
    assert_ne!(backpressure::name("acme"), backpressure::name("globex"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Pauses at either site, across a wide area that loses, doubles and delays: in the end every
    /// packet is there, once and in order, and nobody is held back.
    #[test]
    fn whatever_is_paused_and_lost_all_goes_on(
        seed in 1u64..u64::MAX,
        loss in 0.0..0.4,
        queues in any::<bool>(),
    ) {
        let mut dice = Dice(seed);
        let mut bed = Bed::up(if queues { may_pause_and_wait } else { may_pause });
        let mut wire = Dice(!seed);
        let mut fate = |_: u64, bytes: &[u8]| match wire.roll() {
            x if x < loss => vec![],
            x if x < loss + 0.1 => vec![(DELAY, bytes.to_vec()), (DELAY + 3 * MILLISECOND, bytes.to_vec())],
            _ => vec![(DELAY, bytes.to_vec())],
        };
        for number in 0..60 {
            let priority = if dice.roll() < 0.5 { ACME.1 } else { GLOBEX.1 };
            let quanta = [0, 100, 5_000, LONG][(dice.roll() * 4.0) as usize];
            let side = (dice.roll() * 2.0) as usize;
            pause(&mut bed, side, priority, quanta);
            send(&mut bed, number..number + 1);
            bed.run((dice.roll() * 3_000.0) as u64 * MICROSECOND, &mut fate);
        }
        bed.run(2 * SECOND, &mut perfect);
        for vlan in [ACME.0, GLOBEX.0] {
            prop_assert_eq!(arrived(&bed, vlan), (0..60).collect::<Vec<_>>());
        }
        for side in 0..2 {
            for (tenant, priority) in [(1, ACME.1), (2, GLOBEX.1)] {
                prop_assert!(!stops(&bed, side, tenant).is_stopped);
                prop_assert!(matches!(told(&bed, side, priority), None | Some(0)));
            }
            let gateway = &bed.sides[side].gateway;
            prop_assert_eq!(gateway.pfc_status(LAN).expect("spoken").paused, 0);
            prop_assert_eq!(gateway.outstanding(), (0, 0));
        }
        bed.assert_no_leak();
    }
}
