//! Holes: asked for, filled, given up, bounded.

use super::*;
use proptest::prelude::*;

const RTT: Nanos = 5 * MILLISECOND;

fn rtt() -> Rtt {
    let mut rtt = Rtt::assumed(RTT);
    (0..50).for_each(|_| rtt.sample(RTT));
    rtt
}

fn ask(holes: &mut Holes, now: Time) -> Vec<(u32, u32)> {
    let mut asked = Vec::new();
    holes.ask(now, &rtt(), |range| {
        asked.push((range.start.0, range.count));
        true
    });
    asked
}

fn arrive(holes: &mut Holes, seq: u32, now: Nanos) -> Arrival {
    holes.arrive(Seq(seq), Time(now), &rtt())
}

#[test]
fn in_order_leaves_no_holes() {
    let mut holes = Holes::new(4);
    for seq in 0..10 {
        assert_eq!(arrive(&mut holes, seq, 1), Arrival::New);
    }
    assert_eq!((holes.cumulative(), holes.missing(), holes.due()), (Seq(10), 0, Time::NEVER));
    assert_eq!(arrive(&mut holes, 4, 2), Arrival::Duplicate);
}

#[test]
fn a_gap_is_asked_for_at_once_twice_and_again_after_patience() {
    let mut holes = Holes::new(4);
    arrive(&mut holes, 0, 0);
    assert_eq!(arrive(&mut holes, 4, 1), Arrival::New);
    assert_eq!((holes.due(), holes.cumulative(), holes.missing()), (Time(1), Seq(1), 3));
    assert_eq!(ask(&mut holes, Time(1)), [(1, 3)]);
    assert_eq!(ask(&mut holes, Time(2)), []);
    let second = holes.due();
    assert_eq!(second, Time(1 + RTT / 32));
    assert_eq!(ask(&mut holes, second), [(1, 3)]);
    let again = holes.due();
    assert!(again.0 > RTT && again.0 < 2 * RTT, "{again:?}");
    assert_eq!(arrive(&mut holes, 2, RTT + 1), Arrival::Repair(Some(RTT)));
    assert_eq!(ask(&mut holes, again), [(1, 1), (3, 1)]);
    assert_eq!(arrive(&mut holes, 1, again.0 + 1), Arrival::Repair(None), "the first repair");
    assert_eq!(holes.tolerance(), 0);
    assert_eq!(holes.cumulative(), Seq(3));
}

#[test]
fn much_that_is_missing_is_asked_for_once_a_round() {
    let mut holes = Holes::new(100);
    (0..100).for_each(|n| _ = arrive(&mut holes, 2 * n + 1, 0));
    assert_eq!(ask(&mut holes, Time(0)).len(), 100);
    assert!(holes.due().0 > RTT, "{:?}", holes.due());
}

/// Asks whenever something is due, until `end`; when it asked.
fn asks_until(holes: &mut Holes, end: Time) -> Vec<Time> {
    let mut times = Vec::new();
    while holes.due() <= end {
        let now = holes.due();
        if !ask(holes, now).is_empty() {
            times.push(now);
        }
    }
    times
}

#[test]
fn what_is_missing_for_long_is_asked_for_ever_less_often() {
    let mut holes = Holes::new(4);
    arrive(&mut holes, 1, 1);
    let times = asks_until(&mut holes, Time(100 * RTT));
    let late: Vec<_> = times.windows(2).filter(|pair| pair[0] >= Time(20 * RTT)).collect();
    assert!(late.len() > 3, "{times:?}");
    for pair in late {
        // A second request of the same round comes soon after the first.
        let apart = pair[1].since(pair[0]);
        assert!(apart <= RTT / 16 || apart >= pair[0].0 / 5, "{times:?}");
    }
    assert!(times.len() < 50, "{times:?}");
}

#[test]
fn many_duplicates_say_that_requests_come_too_soon() {
    let mut holes = Holes::new(4);
    arrive(&mut holes, 0, 0);
    // As many as repairs explain: each was asked for twice.
    for n in 0..100 {
        let (now, seq) = (10 * u64::from(n) * RTT, 2 * n + 2);
        arrive(&mut holes, seq, now);
        assert_eq!(asks_until(&mut holes, Time(now + RTT / 2)).len(), 2, "{n}");
        assert_eq!(arrive(&mut holes, seq - 1, now + RTT), Arrival::Repair(Some(RTT)));
        assert_eq!(arrive(&mut holes, seq - 1, now + RTT), Arrival::Duplicate);
    }
    // More than that, and nothing is asked for twice; what is asked for again is so later.
    (0..40).for_each(|_| _ = arrive(&mut holes, 0, 1_000 * RTT));
    arrive(&mut holes, 202, 1_000 * RTT);
    let times = asks_until(&mut holes, Time(1_010 * RTT));
    assert!(times[1].since(times[0]) > 2 * RTT, "{times:?}");
    // The first that is repaired after one request has the true round trip.
    let answered = Time(1_010 * RTT);
    arrive(&mut holes, 201, answered.0);
    arrive(&mut holes, 204, answered.0);
    assert_eq!(asks_until(&mut holes, answered).len(), 1);
    let after = answered.0 + 2 * RTT;
    assert_eq!(arrive(&mut holes, 203, after), Arrival::Repair(Some(2 * RTT)));
    arrive(&mut holes, 206, after);
    assert_eq!(asks_until(&mut holes, Time(after + RTT / 2)).len(), 2);
}

#[test]
fn lateness_is_learned_and_forgotten() {
    let mut holes = Holes::new(4);
    arrive(&mut holes, 1, 0);
    assert_eq!(ask(&mut holes, Time(0)), [(0, 1)]);
    assert_eq!(arrive(&mut holes, 0, 400_000), Arrival::Late);
    assert_eq!(holes.tolerance(), 500_000);
    arrive(&mut holes, 3, 1_000_000);
    assert_eq!(holes.due(), Time(1_500_000));
    assert_eq!(ask(&mut holes, Time(1_499_999)), []);
    assert_eq!(ask(&mut holes, Time(1_500_000)), [(2, 1)]);
    assert_eq!(ask(&mut holes, Time(2 * SECOND)).len(), 1);
    assert_eq!(holes.tolerance(), 250_000);
}

#[test]
fn a_probe_opens_a_hole_at_the_tail() {
    let mut holes = Holes::new(4);
    arrive(&mut holes, 0, 0);
    assert!(holes.announce(Seq(1), Time(5)));
    assert_eq!(holes.missing(), 0);
    assert!(holes.announce(Seq(3), Time(5)));
    assert_eq!(ask(&mut holes, Time(5)), [(1, 2)]);
    assert!(!holes.announce(Seq(u32::MAX / 4), Time(5)));
}

#[test]
fn holes_are_bounded_and_what_does_not_fit_is_refused() {
    let mut holes = Holes::new(2);
    arrive(&mut holes, 1, 0);
    arrive(&mut holes, 6, 0);
    assert_eq!(arrive(&mut holes, 8, 0), Arrival::Refused);
    assert_eq!(arrive(&mut holes, 7, 0), Arrival::New);
    assert_eq!(arrive(&mut holes, 3, 0), Arrival::Refused, "it would split a hole");
    assert_eq!(arrive(&mut holes, 2, 0), Arrival::Late);
    assert_eq!(arrive(&mut holes, 5_000_000, 0), Arrival::Refused);
}

#[test]
fn giving_up_closes_across_holes() {
    let mut holes = Holes::new(8);
    for seq in [0, 3, 6, 9] {
        arrive(&mut holes, seq, 0);
    }
    assert_eq!(holes.give_up(Range { start: Seq(2), count: 6 }), 4);
    assert_eq!((holes.cumulative(), holes.missing()), (Seq(1), 2));
    assert_eq!(ask(&mut holes, Time(1)), [(1, 1), (8, 1)]);
    assert_eq!(holes.give_up(Range { start: Seq(0), count: u32::MAX }), 0);
}

#[test]
fn no_room_to_ask_leaves_it_due() {
    let mut holes = Holes::new(8);
    for seq in [1, 3, 5] {
        arrive(&mut holes, seq, 0);
    }
    let mut room = 2;
    holes.ask(Time(1), &rtt(), |_| {
        room -= 1;
        room >= 0
    });
    assert!(holes.due() <= Time(1));
    assert_eq!(ask(&mut holes, Time(1)), [(4, 1)]);
}

proptest! {
    /// Against a plain set of numbers.
    #[test]
    fn agrees_with_a_set(steps in prop::collection::vec((0u32..60, 0u32..3), 1..300), base: u32) {
        let mut holes = Holes::new(1_000);
        holes.next = Seq(base);
        let mut seen = std::collections::BTreeSet::new();
        for (step, (offset, ahead)) in steps.into_iter().enumerate() {
            let top = seen.last().map_or(0, |last| last + 1);
            let number = (top + ahead).saturating_sub(offset);
            let arrival = holes.arrive(Seq(base).plus(number), Time(step as u64), &rtt());
            prop_assert_eq!(arrival == Arrival::Duplicate, !seen.insert(number));
            let top = seen.last().map_or(0, |last| last + 1);
            let first = (0..top).find(|n| !seen.contains(n)).unwrap_or(top);
            prop_assert_eq!(holes.cumulative(), Seq(base).plus(first));
            prop_assert_eq!(holes.missing(), u64::from(top) - seen.len() as u64);
            if step % 5 == 0 {
                ask(&mut holes, Time(step as u64));
            }
        }
    }
}
