//! Who becomes an elephant, and who stays one.

use proptest::prelude::*;

use super::*;

/// Bytes of a tick of 1 ms at so many bits a second.
fn tick_of(rate: u64) -> u32 {
    (rate / 8_000) as u32
}

/// Sends so many bytes in each tick; the class after each, and when it changed.
fn run(flows: &mut Flows, from: u64, bytes: impl IntoIterator<Item = u32>) -> Vec<(u64, Class)> {
    let mut changes = Vec::new();
    for (tick, bytes) in bytes.into_iter().enumerate() {
        let now = (from + tick as u64) * MILLISECOND;
        let seen = flows.note(&write(&name(1), bytes), Time(now));
        if seen.changed {
            changes.push((from + tick as u64, seen.class));
        }
    }
    changes
}

#[test]
fn an_elephant_has_been_fast_for_long_enough() {
    let mut flows = flows(&settings());
    // 2 Gbit/s pass 1 after five ticks of 1 ms, (7/8)^5 = 0.51 and (7/8)^6 = 0.45; 20 more make
    // an elephant.
    let changes = run(&mut flows, 0, vec![tick_of(2 * GIGABIT); 100]);
    assert_eq!(changes, [(25, Class::Elephant)]);
    let both = [Level::Flow, Level::Subflow].map(|level| flows.counters(level).entered);
    assert_eq!(both, [1, 1]);
}

#[test]
fn a_burst_is_no_elephant() {
    let mut flows = flows(&settings());
    // 100 Gbit/s for 4 ms, then next to nothing.
    let bytes = (0..200).map(|tick| if tick < 4 { tick_of(100 * GIGABIT) } else { 64 });
    let changes = run(&mut flows, 0, bytes);
    // 41 Gbit/s fall below 1 in 28 ticks: for longer than 20. A burst a tenth as large does not last.
    assert_eq!(changes.first().map(|(_, class)| *class), Some(Class::Elephant));
    let mut other = self::flows(&settings());
    let bytes = (0..200).map(|tick| if tick < 4 { tick_of(10 * GIGABIT) } else { 64 });
    assert_eq!(run(&mut other, 0, bytes), []);
}

#[test]
fn an_elephant_may_pause_for_less_than_the_span() {
    let mut flows = flows(&settings());
    let fast = tick_of(10 * GIGABIT);
    let mut changes = run(&mut flows, 0, vec![fast; 50]);
    // Pauses of 90 ms, and bursts of 10 ms.
    for pause in 0..20 {
        changes.extend(run(&mut flows, 50 + pause * 100 + 90, vec![fast; 10]));
    }
    assert_eq!(changes.len(), 1, "{changes:?}");
    // And is a mouse after a longer one, on which nothing came but ageing.
    assert_eq!(flows.counters(Level::Subflow).elephants, 1);
    let buckets = flows.buckets();
    for tick in 2_050..2_400 {
        flows.age(buckets / 10, Time(tick * MILLISECOND));
    }
    let counters = flows.counters(Level::Subflow);
    assert_eq!((counters.elephants, counters.left, counters.flows), (0, 1, 1));
}

#[test]
fn many_small_queue_pairs_are_one_large_flow() {
    let mut flows = flows(&settings());
    let mut flow = Class::Mouse;
    for tick in 0..100 {
        for qp in 0..20 {
            let seen =
                flows.note(&write(&name(qp), tick_of(GIGABIT / 10)), Time(tick * MILLISECOND));
            assert_eq!(seen.class, Class::Mouse);
            flow = seen.flow;
        }
    }
    assert_eq!(flow, Class::Elephant);
    let mut top = Top::new(Level::Flow, 5).elephants();
    assert!(flows.gather(&mut top, usize::MAX));
    let [only] = top.flows() else { panic!("{top:?}") };
    assert_eq!((only.name, only.packets), (flow_of(&name(0)), 2_000));
    assert!(only.rate.abs_diff(2 * GIGABIT) < GIGABIT / 50, "{}", only.rate);
    let mut none = Top::new(Level::Subflow, 5).elephants();
    assert!(flows.gather(&mut none, usize::MAX) && none.flows().is_empty());
}

#[test]
fn signalling_is_no_elephant_until_it_carries_data() {
    let mut flows = flows(&settings());
    let kinds = Kinds::ACKNOWLEDGE.with(Kinds::CONGESTION).with(Kinds::MANAGEMENT);
    for tick in 0..100 {
        let sight = Sight::new(&name(1), tick_of(10 * GIGABIT), kinds, Priority::default());
        assert_eq!(flows.note(&sight, Time(tick * MILLISECOND)).class, Class::Signalling);
    }
    let seen = run(&mut flows, 100, vec![tick_of(10 * GIGABIT); 50]);
    assert_eq!(seen, [(120, Class::Elephant)], "it was fast before, but did not carry data");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Around either threshold, with noise of up to 40 % a tick: one change at the most.
    #[test]
    fn noise_around_a_threshold_changes_a_class_once(
        at_leave in any::<bool>(), seed: u64, noise in 1u64..40,
    ) {
        let mut flows = flows(&settings());
        let mut random = Random(seed);
        let mut before = Vec::new();
        let rate = if at_leave { settings().leave.rate } else { settings().enter.rate };
        if at_leave {
            before = run(&mut flows, 0, vec![tick_of(2 * GIGABIT); 100]);
            prop_assert_eq!(before.len(), 1);
        }
        let percent = 100 - noise;
        let bytes = (0..10_000).map(|_| {
            let factor = percent + random.below(2 * noise + 1);
            tick_of(rate * factor / 100)
        });
        let changes = run(&mut flows, 100, bytes);
        prop_assert!(changes.len() <= 1, "{:?} {:?}", before, changes);
    }

    /// Whatever the load: between changes there are the spans.
    #[test]
    fn no_load_changes_a_class_faster_than_the_spans(
        seed: u64, longest in 1u64..400,
    ) {
        let mut flows = flows(&settings());
        let mut random = Random(seed);
        let mut bytes = Vec::new();
        while bytes.len() < 10_000 {
            let rate = if random.below(2) == 0 { 64 } else { tick_of(random.below(20 * GIGABIT)) };
            bytes.extend(vec![rate; 1 + random.below(longest) as usize]);
        }
        let changes = run(&mut flows, 0, bytes);
        for pair in changes.windows(2) {
            let [(from, was), (to, is)] = *pair else { unreachable!() };
            prop_assert_ne!(was, is);
            let span = if is == Class::Elephant { settings().enter.span } else { settings().leave.span };
            prop_assert!((to - from) * MILLISECOND >= span, "{} after {}", to, from);
        }
    }
}
