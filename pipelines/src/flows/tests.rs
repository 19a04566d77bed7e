//! The tables as their caller sees them.

mod elephants;
mod flood;
mod model;
mod packets;

use super::*;

const MTU: u32 = 4_170;
const GIGABIT: u64 = 1_000_000_000;

/// Ticks of 1 ms; mice become elephants at 1 Gbit/s in 20 ms, elephants mice at half of that in
/// 100 ms.
fn settings() -> Settings {
    Settings {
        subflows: 1 << 10,
        flows: 1 << 10,
        p_key: false,
        window: 8 * MILLISECOND,
        enter: Threshold { rate: GIGABIT, span: 20 * MILLISECOND },
        leave: Threshold { rate: GIGABIT / 2, span: 100 * MILLISECOND },
        idle: SECOND,
    }
}

fn flows(settings: &Settings) -> Flows {
    Flows::new(settings, 0x5eed).expect("settings are right")
}

/// The subflow to a queue pair, all of them between the same ports.
fn name(dest_qp: u32) -> Name {
    Name {
        source: [10, 0, 0, 1].into(),
        destination: [10, 1, 0, 1].into(),
        protocol: 17,
        source_port: 0xc000,
        destination_port: 4_791,
        dest_qp: Some(dest_qp),
        p_key: None,
        vlan: None,
        tenant: 0,
    }
}

fn flow_of(name: &Name) -> Name {
    Name { dest_qp: None, p_key: None, ..*name }
}

fn write(name: &Name, bytes: u32) -> Sight {
    Sight::new(name, bytes, Kinds::WRITE, Priority::default())
}

/// A generator of numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        Flows::new(&settings, 0).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(Settings::default().check(), Ok(()));
    assert_eq!(refused(|s| s.subflows = 0), Some(SettingsError::Capacity));
    assert_eq!(refused(|s| s.flows = MAX_CAPACITY + 1), Some(SettingsError::Capacity));
    assert_eq!(refused(|s| s.window = MILLISECOND - 1), Some(SettingsError::Window));
    assert_eq!(refused(|s| s.leave.rate = s.enter.rate), Some(SettingsError::Rates));
    assert_eq!(refused(|s| s.leave.rate = 0), Some(SettingsError::Rates));
    assert_eq!(refused(|s| s.idle = s.leave.span - 1), Some(SettingsError::Idle));
    assert_eq!(refused(|s| s.idle = 8_001 * SECOND), Some(SettingsError::Idle));
}

#[test]
fn places_are_a_power_of_two_and_no_fewer_than_asked_for() {
    for (asked, made) in [(1, 8), (8, 8), (9, 16), (1_000, 1_024), (1_025, 2_048)] {
        let flows = flows(&Settings { subflows: asked, flows: 1, ..settings() });
        assert_eq!(flows.capacity(Level::Subflow), made);
        assert_eq!((flows.capacity(Level::Flow), flows.buckets()), (8, made / 8));
    }
}

#[test]
fn half_full_one_flow_in_120_finds_no_place() {
    let mut flows = flows(&Settings { subflows: 1 << 16, ..settings() });
    for qp in 0..1 << 15 {
        flows.note(&write(&name(qp), MTU), Time(1));
    }
    let counters = flows.counters(Level::Subflow);
    assert_eq!(counters.added, 1 << 15);
    assert_eq!(counters.flows + counters.evicted_once, 1 << 15);
    let share = counters.evicted_once as f64 / f64::from(1 << 15);
    assert!((1.0 / 150.0..1.0 / 100.0).contains(&share), "1 in {}", 1.0 / share);
}

#[test]
fn what_a_slot_names_is_told_until_another_takes_its_place() {
    let mut flows = flows(&Settings { subflows: 8, ..settings() });
    let slot = flows.note(&write(&name(0), MTU), Time(1)).slot.expect("there is room");
    assert!(flows.place(slot, Some(3)) && flows.pair(slot, 77));
    assert_eq!(flows.find(&name(0)), Some(slot));
    assert_eq!(flows.peek(&write(&name(0), MTU)), Some(slot));
    let seen = flows.note(&write(&name(0), MTU), Time(2));
    assert_eq!((seen.slot, seen.path), (Some(slot), Some(3)));
    let view = flows.get(Level::Subflow, &name(0)).expect("it is there");
    assert_eq!((view.path, view.peer_qp), (Some(3), Some(77)));
    // Eight others; the last of them pushes it out, having come twice like it.
    for qp in (1..=8).chain(1..=8) {
        flows.note(&write(&name(qp), MTU), Time(3));
        flows.note(&write(&name(qp), MTU), Time(3));
    }
    for qp in 9..=16 {
        flows.note(&write(&name(qp), MTU), Time(10 * MILLISECOND));
        flows.note(&write(&name(qp), MTU), Time(10 * MILLISECOND));
    }
    assert_eq!(flows.find(&name(0)), None);
    assert!(!flows.place(slot, Some(4)) && !flows.pair(slot, 78));
    let again = flows.note(&write(&name(0), MTU), Time(11 * MILLISECOND));
    assert_eq!(again.path, None, "a new one");
}

#[test]
fn ageing_goes_through_all_buckets_a_few_at_a_time() {
    let mut flows = flows(&settings());
    for qp in 0..100 {
        flows.note(&write(&name(qp), MTU), Time(1));
    }
    let buckets = flows.buckets();
    flows.age(buckets, Time(SECOND / 2));
    assert_eq!(flows.counters(Level::Subflow).flows, 100, "none is over");
    let mut left = 100;
    for _ in 0..4 {
        flows.age(buckets / 4, Time(2 * SECOND));
        let now = flows.counters(Level::Subflow).flows;
        assert!(now < left, "a quarter at a time");
        left = now;
    }
    let counters = flows.counters(Level::Subflow);
    assert_eq!((counters.flows, counters.aged), (0, 100));
    assert_eq!(flows.counters(Level::Flow).flows, 0);
}

#[test]
fn a_cleared_table_knows_nobody() {
    let mut flows = flows(&settings());
    let slot = flows.note(&write(&name(1), MTU), Time(1)).slot.expect("there is room");
    flows.clear();
    assert!(!flows.place(slot, Some(1)) && flows.find(&name(1)).is_none());
    assert_eq!(flows.counters(Level::Subflow).flows, 0);
    assert_eq!(flows.note(&write(&name(1), MTU), Time(2)).slot, Some(slot));
    let view = flows.get(Level::Subflow, &name(1)).expect("added again");
    assert_eq!((view.packets, view.first_seen), (1, Time(2)));
}
