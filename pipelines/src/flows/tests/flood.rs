//! A million packets a second of new flows, for two seconds, beside elephants.

use super::*;
use dataplane::time::MICROSECOND;

const ELEPHANTS: u32 = 16;
/// Of each elephant: 2 Gbit/s.
const GAP: u64 = 16_680;

/// A packet every microsecond that `random` makes up, and elephants among them: all but the last
/// from the beginning, that one after half a second.
fn flooded(stranger: impl Fn(&mut Random) -> Name) -> Flows {
    let mut flows = flows(&Settings { subflows: 1 << 12, flows: 1 << 12, ..settings() });
    let mut random = Random(11);
    let mut next = [0; ELEPHANTS as usize];
    next[ELEPHANTS as usize - 1] = SECOND / 2;
    let elephant = |number| Name { source_port: 1, ..name(0xe000 + number) };
    let (mut sent, mut entered) = ([0; ELEPHANTS as usize], [0; ELEPHANTS as usize]);
    for now in (0..2 * SECOND).step_by(MICROSECOND as usize) {
        for number in 0..ELEPHANTS {
            let next = &mut next[number as usize];
            if *next <= now {
                *next += GAP;
                sent[number as usize] += 1;
                let seen = flows.note(&write(&elephant(number), MTU), Time(now));
                entered[number as usize] += u32::from(seen.changed);
                let old = now > SECOND;
                assert!(!old || seen.class == Class::Elephant && seen.flow == Class::Elephant);
            }
        }
        // The flood begins when the elephants are some.
        if now > SECOND / 4 {
            flows.note(&write(&stranger(&mut random), 64), Time(now));
            flows.age(1, Time(now));
        }
    }
    assert_eq!(entered, [1; ELEPHANTS as usize], "each became one once, and stayed one");
    for number in 0..ELEPHANTS {
        let view = flows.get(Level::Subflow, &elephant(number)).expect("it stayed");
        let begun = if number + 1 == ELEPHANTS { SECOND / 2 } else { 0 };
        assert_eq!((view.packets, view.first_seen), (sent[number as usize], Time(begun)));
        assert!(view.rate.abs_diff(2 * GIGABIT) < GIGABIT / 50, "{}", view.rate);
    }
    flows
}

#[test]
fn random_queue_pairs_push_out_each_other() {
    let flows = flooded(|random| name(random.below(1 << 24) as u32));
    let counters = flows.counters(Level::Subflow);
    // 1.75 million packets, of which one in ten comes to a queue pair that was there before.
    assert!(counters.added > 1_500_000, "{counters:?}");
    assert!(counters.evicted_once > 1_400_000, "{counters:?}");
    assert!(counters.flows <= flows.capacity(Level::Subflow) as u64);
    assert_eq!((counters.elephants, counters.refused), (u64::from(ELEPHANTS), 0));
    assert_eq!(flows.counters(Level::Flow).flows, 2);
}

#[test]
fn random_tuples_push_out_each_other() {
    let flows = flooded(|random| {
        let [low, high] = [0, 32].map(|bit| (random.next() >> bit) as u32);
        let source_port = random.next() as u16;
        Name { source: low.to_be_bytes().into(), source_port, ..name(high & 0xff_ffff) }
    });
    for level in [Level::Flow, Level::Subflow] {
        let counters = flows.counters(level);
        assert!(counters.evicted_once > 1_700_000, "{counters:?}");
        assert!(counters.flows <= flows.capacity(level) as u64);
        assert_eq!(counters.refused, 0);
    }
}

/// The worst there is: each packet of a flood comes twice, so that it looks like a mouse.
#[test]
fn a_flood_of_pairs_pushes_out_mice_and_no_elephant() {
    use std::cell::Cell;
    let last = Cell::new(None);
    let flows = flooded(|random| match last.take() {
        Some(name) => name,
        None => {
            let name = name(random.below(1 << 24) as u32);
            last.set(Some(name));
            name
        }
    });
    let counters = flows.counters(Level::Subflow);
    assert!(counters.evicted_mice > 700_000, "{counters:?}");
    assert_eq!(counters.elephants, u64::from(ELEPHANTS));
}
