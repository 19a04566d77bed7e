//! Both sides, and a channel between them that loses, delays, repeats and reorders.

use dataplane::time::{MILLISECOND, Nanos, Time};
use proptest::prelude::*;

use super::*;
use crate::recovery::Seq;
use crate::tunnel::auth::Key;
use crate::tunnel::control::{Draft, Message, read};
use crate::tunnel::header::HEADER_LEN;
use crate::tunnel::stops::{Stop, StopHeard};

const LIFETIME: Nanos = 100 * MILLISECOND;
const REPEAT: Nanos = 6 * MILLISECOND;
const LIMITS: Limits = Limits { longest: 1_000 * MILLISECOND, rest: 500 * MILLISECOND };

fn names() -> [u64; 3] {
    ["default", "acme", "globex"].map(name)
}

fn stopper() -> Stopper {
    Stopper::new(&names(), StopperSettings { lifetime: LIFETIME, attempts: 8 })
}

/// The other gateway lists its tenants in another order, and has one more.
fn stopped() -> Stopped {
    Stopped::new(&["default", "initech", "globex", "acme"].map(name), LIMITS)
}

/// Index of "acme" at the stopper, and at the stopped side.
const ACME: (u16, u16) = (1, 3);

/// What a message says, by way of its bytes.
fn said(mut draft: Draft) -> (Nanos, Vec<Stop>) {
    let header = [0x10; HEADER_LEN];
    let text = draft.seal(&header, 3, Key::from_secret(b"0123456789abcdef"));
    match read(&[&header, text].concat()) {
        Ok(Message::Stops { lifetime, items }) => (lifetime, items.collect()),
        other => panic!("{other:?}"),
    }
}

/// All messages due at `now`.
fn poll(stopper: &mut Stopper, now: Time) -> Vec<Stop> {
    let mut all = Vec::new();
    while let Some(draft) = stopper.poll(now, REPEAT) {
        let (lifetime, stops) = said(draft);
        assert!(lifetime == LIFETIME && !stops.is_empty());
        all.extend(stops);
    }
    all
}

fn hear(stopped: &mut Stopped, stop: &Stop, now: Time) -> (StopHeard, Option<Change>) {
    let mut change = None;
    let heard = stopped.hear(stop, LIFETIME, now, |what| change = Some(what));
    (heard, change)
}

#[test]
fn names_are_stable_and_of_the_whole_name() {
    // By another implementation, itself checked with the vector of the paper's appendix A.
    assert_eq!([name("acme"), name("default")], [0xa627_e586_332b_e9d0, 0x1f0e_ef10_eab1_06b2]);
    let different = std::collections::HashSet::from(["", "a", "acme", "acme ", "Acme"].map(name));
    assert_eq!(different.len(), 5);
}

#[test]
fn a_stop_is_said_again_until_heard_and_then_a_third_of_its_lifetime_later() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    assert_eq!(stopper.due(), Time::NEVER);
    stopper.stop(ACME.0, 0b10, Time(0));
    stopper.stop(ACME.0, 0b10, Time(0));
    assert_eq!(stopper.due(), Time(0));
    let first = poll(&mut stopper, Time(0));
    let expected = Stop { tenant: name("acme"), sequence: Seq(1), classes: 0b10 };
    assert_eq!(first, [expected]);
    assert_eq!(stopper.due(), Time(REPEAT), "not heard yet");
    let again = poll(&mut stopper, Time(REPEAT));
    assert_eq!(again, [Stop { sequence: Seq(2), ..expected }]);

    let (heard, change) = hear(&mut stopped, &first[0], Time(2 * MILLISECOND));
    assert_eq!(change, Some(Change { tenant: ACME.1, before: 0, after: 0b10 }));
    assert_eq!(stopped.classes(ACME.1), 0b10);
    stopper.confirm(&heard);
    assert_eq!(stopper.due(), Time(REPEAT + LIFETIME / 3));
    let due = stopper.due();
    assert_eq!(poll(&mut stopper, due).len(), 1);

    stopper.resume(ACME.0, 0b10, Time(50 * MILLISECOND));
    let end = poll(&mut stopper, Time(50 * MILLISECOND))[0];
    assert_eq!(end.classes, 0);
    stopper.confirm(&heard);
    assert_ne!(stopper.due(), Time::NEVER, "an answer to the stop does not confirm its end");
    let (heard, change) = hear(&mut stopped, &end, Time(52 * MILLISECOND));
    assert_eq!(change, Some(Change { tenant: ACME.1, before: 0b10, after: 0 }));
    stopper.confirm(&heard);
    assert_eq!(stopper.due(), Time::NEVER);
    assert_eq!((stopper.said(ACME.0).stops, stopper.said(ACME.0).resumes), (3, 1));
}

#[test]
fn classes_of_a_tenant_are_said_together_and_change_alone() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    stopper.stop(ACME.0, 0b10, Time(0));
    stopper.stop(ACME.0, 0b1000_0000, Time(0));
    let stop = poll(&mut stopper, Time(0))[0];
    assert_eq!(stop.classes, 0b1000_0010);
    hear(&mut stopped, &stop, Time(1));
    stopper.resume(ACME.0, 0b10, Time(2));
    stopper.stop(ACME.0, 0b1, Time(2));
    let (_, change) = hear(&mut stopped, &poll(&mut stopper, Time(2))[0], Time(3));
    assert_eq!(change, Some(Change { tenant: ACME.1, before: 0b1000_0010, after: 0b1000_0001 }));
    assert_eq!(stopped.classes(2), 0, "nobody else");
}

#[test]
fn a_lost_end_is_ended_by_the_lifetime_and_a_dead_peer_too() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    stopper.stop(ACME.0, 0b1, Time(0));
    hear(&mut stopped, &poll(&mut stopper, Time(0))[0], Time(5));
    assert_eq!(stopped.due(), Time(5 + LIFETIME));
    stopped.expire(Time(4 + LIFETIME), |change| panic!("{change:?}"));
    let mut changes = Vec::new();
    stopped.expire(Time(5 + LIFETIME), |change| changes.push(change));
    assert_eq!(changes, [Change { tenant: ACME.1, before: 1, after: 0 }]);
    assert_eq!((stopped.classes(ACME.1), stopped.due()), (0, Time::NEVER));
    assert_eq!(stopped.heard(ACME.1).expired, 1);

    // Nobody answers: an end is not said for ever.
    stopper.resume(ACME.0, 0b1, Time(10));
    let mut times = 0;
    while stopper.due() != Time::NEVER {
        let due = stopper.due().max(Time(10));
        times += poll(&mut stopper, due).len();
    }
    assert_eq!((times, stopper.said(ACME.0).unconfirmed), (8, 1));
}

#[test]
fn what_is_replayed_stale_or_late_changes_nothing() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    stopper.stop(ACME.0, 0b1, Time(0));
    let stop = poll(&mut stopper, Time(0))[0];
    let refresh = poll(&mut stopper, Time(REPEAT))[0];
    stopper.resume(ACME.0, 0b1, Time(REPEAT));
    let end = poll(&mut stopper, Time(REPEAT))[0];

    hear(&mut stopped, &stop, Time(0));
    assert_eq!(hear(&mut stopped, &stop, Time(50)).1, None);
    assert_eq!(stopped.due(), Time(LIFETIME), "a replay does not make it longer");
    assert!(hear(&mut stopped, &end, Time(60)).1.is_some());
    for late in [&refresh, &stop, &end] {
        assert_eq!(hear(&mut stopped, late, Time(70)).1, None);
    }
    assert_eq!((stopped.classes(ACME.1), stopped.heard(ACME.1).stale), (0, 4));
}

#[test]
fn a_tenant_that_the_peer_has_not_is_told_and_stops_nobody() {
    let mut stopped = stopped();
    let stranger = Stop { tenant: name("hooli"), sequence: Seq(1), classes: 1 };
    let (heard, change) = hear(&mut stopped, &stranger, Time(0));
    assert!(heard.unknown && change.is_none() && stopped.unknown() == 1);

    let mut stopper = Stopper::new(&[name("hooli")], StopperSettings::default());
    stopper.stop(0, 0b1, Time(0));
    poll(&mut stopper, Time(0));
    stopper.confirm(&heard);
    assert_eq!(stopper.said(0).unknown, 1);
    stopper.stop(7, 0b1, Time(0));
    assert_eq!(stopper.classes(7), 0, "there is no such index");
}

#[test]
fn a_stop_without_end_is_broken_and_heard_again_after_a_rest() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    stopper.stop(ACME.0, 0b1, Time(0));
    let mut held = 0;
    for now in (0..3_000 * MILLISECOND).step_by(MILLISECOND as usize).map(Time) {
        stopped.expire(now, |_| {});
        for stop in poll(&mut stopper, now) {
            let (heard, _) = hear(&mut stopped, &stop, now);
            stopper.confirm(&heard);
        }
        held += u64::from(stopped.classes(ACME.1) != 0);
    }
    let heard = stopped.heard(ACME.1);
    assert_eq!((heard.broken, heard.expired), (2, 0));
    assert!(heard.ignored > 10 && (1_900..=2_001).contains(&held), "{held}");
}

#[test]
fn a_new_session_begins_with_what_is_stopped_now() {
    let (mut stopper, mut stopped) = (stopper(), stopped());
    stopper.stop(ACME.0, 0b1, Time(0));
    stopper.stop(2, 0b1000, Time(0));
    for stop in poll(&mut stopper, Time(0)) {
        hear(&mut stopped, &stop, Time(0));
    }
    let mut changes = 0;
    stopped.forget(|change| changes += u32::from(change.after == 0));
    assert_eq!((changes, stopped.due()), (2, Time::NEVER));

    stopper.resume(2, 0b1000, Time(1));
    stopper.restart(Time(1));
    let stops = poll(&mut stopper, Time(1));
    assert_eq!(stops, [Stop { tenant: name("acme"), sequence: Seq(1), classes: 1 }]);
    assert!(hear(&mut stopped, &stops[0], Time(2)).1.is_some());
}

#[test]
fn many_tenants_take_several_messages() {
    let names: Vec<u64> = (0..4_096).map(|index: u32| name(&index.to_string())).collect();
    let mut stopper = Stopper::new(&names, StopperSettings::default());
    let mut stopped = Stopped::new(&names, LIMITS);
    (0..4_096).for_each(|tenant| stopper.stop(tenant, 0b100, Time(0)));
    let stops = poll(&mut stopper, Time(0));
    assert_eq!(stops.len(), 4_096);
    for stop in &stops {
        let (heard, _) = hear(&mut stopped, stop, Time(0));
        stopper.confirm(&heard);
    }
    assert!((0..4_096).all(|tenant| stopped.classes(tenant) == 0b100));
    assert_eq!(stopper.due(), Time(LIFETIME / 3));
}

/// What a channel does to one message: nothing if `None`, else the delays of its copies.
fn fate() -> impl Strategy<Value = Vec<Nanos>> {
    let delay = 1..80 * MILLISECOND;
    prop_oneof![
        3 => Just(vec![]),
        5 => (MILLISECOND..3 * MILLISECOND).prop_map(|delay| vec![delay]),
        2 => prop::collection::vec(delay, 1..4),
    ]
}

proptest! {
    /// Whatever the channel does: nobody is stopped but by the newest word that came, for its
    /// lifetime; and once the channel is good, what is wanted comes about.
    #[test]
    fn nobody_freezes_and_an_end_is_never_taken_for_a_stop(
        wants in prop::collection::vec((1u16..3, 0u8..4, any::<bool>(), 1..90 * MILLISECOND), 1..40),
        fates in prop::collection::vec(fate(), 64),
    ) {
        let (mut stopper, mut stopped) = (stopper(), stopped());
        let place = [0, ACME.1, 2];
        // Messages under way, by arrival; answers get as lost as their messages.
        let mut under_way: Vec<(Time, Stop, bool)> = Vec::new();
        // Newest word that came, and when, a tenant.
        let mut newest: [Option<(Stop, Time)>; 3] = [None; 3];
        let (mut now, mut fates) = (Time(0), fates.iter().cycle());
        let mut wants = wants.into_iter();
        let (mut change_at, mut good_since) = (Time(0), None);
        loop {
            if change_at <= now && good_since.is_none() {
                match wants.next() {
                    Some((tenant, class, stop, wait)) => {
                        if stop { stopper.stop(tenant, 1 << class, now); } else { stopper.resume(tenant, 1 << class, now); }
                        change_at = now.after(wait);
                    }
                    None => good_since = Some(now),
                }
            }
            for stop in poll(&mut stopper, now) {
                let fate = fates.next().expect("endless");
                match good_since {
                    Some(_) => under_way.push((now.after(2 * MILLISECOND), stop, true)),
                    None => under_way.extend(fate.iter().map(|delay| (now.after(*delay), stop, *delay % 2 == 0))),
                }
            }
            stopped.expire(now, |_| {});
            let arrived: Vec<_> = under_way.extract_if(.., |(at, ..)| *at <= now).collect();
            for (_, stop, answered) in arrived {
                let tenant = names().iter().position(|name| *name == stop.tenant).expect("ours");
                if newest[tenant].is_none_or(|(last, _)| stop.sequence.ahead_of(last.sequence) > 0) {
                    newest[tenant] = Some((stop, now));
                }
                let (heard, _) = hear(&mut stopped, &stop, now);
                prop_assert!(!heard.unknown);
                if answered { stopper.confirm(&heard); }
            }
            for (tenant, newest) in newest.iter().enumerate() {
                let classes = stopped.classes(place[tenant]);
                let valid = newest.filter(|(_, at)| now < at.after(LIFETIME)).map_or(0, |(stop, _)| stop.classes);
                let rests = stopped.heard(place[tenant]).broken > 0;
                prop_assert!(classes == valid || rests && classes == 0, "{tenant} at {now:?}");
            }
            let settled = good_since.is_some_and(|since| now.since(since) >= 2 * LIFETIME);
            if settled {
                for tenant in 1..3 {
                    let broken = stopped.heard(place[usize::from(tenant)]).broken > 0;
                    prop_assert!(broken || stopped.classes(place[usize::from(tenant)]) == stopper.classes(tenant));
                }
                break;
            }
            let next = under_way.iter().map(|(at, ..)| *at).min().unwrap_or(Time::NEVER);
            let next = next.min(stopper.due()).min(stopped.due());
            let wake = if good_since.is_some() { now.after(10 * MILLISECOND) } else { change_at };
            now = next.min(wake).max(now.after(1));
        }
    }
}
