//! How fast tenants and ports may be.

use dataplane::time::{MILLISECOND, Time};

use super::*;

/// Bytes sent a tenant by `end`, of tenants that always have something; what leaves is shown to
/// `watch`.
fn saturate(
    queues: &mut Queues<u32>,
    tenants: u16,
    end: Time,
    mut watch: impl FnMut(u16, Time, u32),
) -> Vec<u64> {
    let mut sent = vec![0; usize::from(tenants)];
    for tenant in 0..tenants {
        (0..4).for_each(|item| put(queues, tenant, Class::BULK, item, 4_170));
    }
    let mut now = Time::ZERO;
    while now < end {
        while let Some(of) = queues.dequeue(now) {
            sent[usize::from(of.tenant)] += u64::from(of.bytes);
            watch(of.tenant, now, of.bytes);
            put(queues, of.tenant, of.class, of.item, of.bytes);
        }
        now = queues.next_ready(now).expect("everybody has something").max(now.after(1));
    }
    sent
}

fn is_within_a_percent(bytes: u64, bits_per_second: u64) -> bool {
    let exact = bits_per_second / 80;
    bytes.abs_diff(exact) * 100 <= exact
}

#[test]
fn tenants_have_their_rates_side_by_side_from_100_megabits_to_100_gigabits() {
    let rates = [100_000_000, 1_000_000_000, 10_000_000_000, 40_000_000_000, 100_000_000_000];
    let small = |bits_per_second| Rate {
        bits_per_second,
        // What a tick of the timers makes, and a frame.
        burst_bytes: (bits_per_second / 8_000_000 * 2) as u32 + 9_000,
    };
    let mut queues = queues(rates.map(|rate| tenant(1, Some(small(rate)))).into());
    let end = Time(100 * MILLISECOND);
    let mut departures: Vec<Vec<(Time, u32)>> = vec![Vec::new(); rates.len()];
    let watch = |tenant: u16, now, bytes| departures[usize::from(tenant)].push((now, bytes));
    let sent = saturate(&mut queues, rates.len() as u16, end, watch);
    for ((rate, bytes), departures) in rates.into_iter().zip(sent).zip(departures) {
        let burst = u64::from(small(rate).burst_bytes);
        // The bucket was full.
        assert!(is_within_a_percent(bytes - burst, rate), "{rate}: {bytes}");
        // Bursts: in no window more than the rate makes of it, and one burst.
        let (mut excess, mut last) = (0u128, Time::ZERO);
        for (now, bytes) in departures {
            let made = u128::from(now.since(last)) * u128::from(rate);
            excess = excess.saturating_sub(made) + u128::from(bytes) * 8_000_000_000;
            assert!(excess <= u128::from(burst) * 8_000_000_000, "{rate} at {now:?}");
            last = now;
        }
    }
}

#[test]
fn a_port_has_its_rate_and_tenants_share_it_by_weight() {
    let port = Rate { bits_per_second: 10_000_000_000, burst_bytes: 20_000 };
    let tenants = [1, 2, 4, 8].map(|weight| tenant(weight, None)).into();
    let of = QueuesSettings { port: Some(port), overhead: 24, ..settings(tenants) };
    let mut queues = Queues::new(&of, Time::ZERO).expect("a large pool");
    let sent = saturate(&mut queues, 4, Time(100 * MILLISECOND), |_, _, _| ());
    let total: u64 = sent.iter().sum();
    let on_wire = total / 4_170 * 4_194;
    assert!(is_within_a_percent(on_wire, 10_000_000_000), "{on_wire}");
    for (bytes, weight) in sent.iter().zip([1u64, 2, 4, 8]) {
        let part = total * weight / 15;
        assert!(bytes.abs_diff(part) * 100 <= part * 3, "{sent:?}");
    }
}

#[test]
fn what_a_shaped_tenant_leaves_over_goes_to_the_others() {
    let port = Rate { bits_per_second: 10_000_000_000, burst_bytes: 20_000 };
    let tenants = vec![tenant(9, Some(Rate::of(1_000_000_000))), tenant(1, None)];
    let of = QueuesSettings { port: Some(port), ..settings(tenants) };
    let mut queues = Queues::new(&of, Time::ZERO).expect("a large pool");
    let sent = saturate(&mut queues, 2, Time(100 * MILLISECOND), |_, _, _| ());
    assert!(is_within_a_percent(sent[0], 1_000_000_000), "{sent:?}");
    assert!(is_within_a_percent(sent[1], 9_000_000_000), "{sent:?}");
}

#[test]
fn a_new_rate_holds_at_once_and_loses_nothing() {
    let slow = Rate { bits_per_second: 1_000_000, burst_bytes: 100 };
    let mut queues = queues(vec![tenant(1, Some(slow))]);
    (0..100).for_each(|item| put(&mut queues, 0, Class::BULK, item, 1_000));
    assert_eq!(drain(&mut queues, Time::ZERO), [0]);
    assert!(queues.next_ready(Time::ZERO) > Some(Time(MILLISECOND)));
    // A megabit a second owes for the first packet; at a gigabit that is a few microseconds.
    queues.set_rate(0, Some(Rate::of(1_000_000_000)), Time::ZERO);
    let ready = queues.next_ready(Time::ZERO);
    assert_eq!((ready, drain(&mut queues, Time::ZERO).len()), (Some(Time::ZERO), 0));
    let waits = queues.next_ready(Time::ZERO).expect("for credit");
    assert!(waits <= Time(16_000), "{waits:?}");
    queues.set_rate(0, None, waits);
    assert_eq!(drain(&mut queues, waits), (1..100).collect::<Vec<_>>());
}

#[test]
fn signalling_goes_before_the_rate_and_what_follows_pays_for_it() {
    let rate = Rate { bits_per_second: 8_000_000, burst_bytes: 1_000 };
    let mut queues = queues(vec![tenant(1, Some(rate)), tenant(1, None)]);
    (0..4).for_each(|item| put(&mut queues, 0, Class::SIGNALLING, item, 500));
    put(&mut queues, 0, Class::BULK, 10, 500);
    (20..22).for_each(|item| put(&mut queues, 1, Class::BULK, item, 9_000));
    assert_eq!(drain(&mut queues, Time::ZERO), [0, 1, 2, 3, 20, 21]);
    put(&mut queues, 0, Class::SIGNALLING, 4, 500);
    assert_eq!(drain(&mut queues, Time(400_000)), []);
    assert_eq!(drain(&mut queues, Time(501_000)), [4]);
    assert_eq!(drain(&mut queues, Time(1_900_000)), []);
    assert_eq!(drain(&mut queues, Time(2_001_000)), [10]);
}
