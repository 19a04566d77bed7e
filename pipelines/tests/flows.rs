//! Flow tables allocate when they are made, and never again.
#![forbid(unsafe_code)]

use allocation_counter::measure;
use dataplane::time::{MICROSECOND, Time};
use pipelines::flows::{Flows, Kinds, Level, MAX_TOP, Name, Priority, Settings, Sight, Top};

/// New subflows and flows of a flood, one a microsecond, from hosts that nobody has heard of.
fn stranger(number: u32) -> Sight {
    let name = Name {
        source: number.to_be_bytes().into(),
        destination: [10, 1, 0, 1].into(),
        protocol: 17,
        source_port: 0,
        destination_port: 4_791,
        dest_qp: Some(number & 0xff_ffff),
        p_key: None,
        vlan: None,
        tenant: 0,
    };
    Sight::new(&name, 1_500, Kinds::WRITE, Priority::default())
}

#[test]
fn nothing_is_allocated_but_by_making_the_table() {
    let settings = Settings { subflows: 1 << 10, flows: 1 << 10, ..Settings::default() };
    let mut flows = None;
    let making = measure(|| flows = Flows::new(&settings, 3).ok());
    let mut flows = flows.expect("settings are right");
    // Two tables: 128 bytes an entry, 64 a bucket of eight.
    let table = (1 << 10) * (128 + 8);
    assert_eq!((making.count_total, making.bytes_current), (4, 2 * table));

    let using = measure(|| {
        for number in 0..200_000 {
            let now = Time(u64::from(number) * MICROSECOND);
            let sight = stranger(number / 2);
            let slot = flows.note(&sight, now).slot.expect("mice make room");
            assert!(flows.place(slot, Some(1)) && flows.peek(&sight) == Some(slot));
            flows.age(1, now);
        }
        let mut top = Top::new(Level::Subflow, MAX_TOP);
        while !flows.gather(&mut top, 10) {}
        assert_eq!(top.flows().len(), MAX_TOP);
        flows.clear();
    });
    assert_eq!(using.count_total, 0);
    assert_eq!(flows.counters(Level::Subflow).added, 100_000);
}
