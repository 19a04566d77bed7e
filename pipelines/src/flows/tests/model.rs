//! Against models that are too simple to be wrong.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const TICK: u64 = MILLISECOND;

/// All packets of a flow.
#[derive(Default)]
struct Model {
    packets: Vec<(u64, u32)>,
}

impl Model {
    fn is_over(&self, now: u64) -> bool {
        let last = self.packets.last().expect("a flow has a packet").0;
        now / TICK - last / TICK >= settings().idle / TICK
    }

    fn note(&mut self, now: u64, bytes: u32) {
        if !self.packets.is_empty() && self.is_over(now) {
            self.packets.clear();
        }
        self.packets.push((now, bytes));
    }

    /// Bits a second: each packet weighs 1/8 in its tick, 7/8 of that in the next, and so on.
    fn rate(&self, now: u64) -> f64 {
        let ended = self.packets.iter().filter(|(time, _)| time / TICK < now / TICK);
        let weight = |time: u64| 0.875f64.powi((now / TICK - time / TICK - 1) as i32) / 8.0;
        let bytes: f64 = ended.map(|(time, bytes)| f64::from(*bytes) * weight(*time)).sum();
        bytes * 8e9 / TICK as f64
    }
}

fn agrees(view: Option<View>, model: &Model, now: u64) -> Result<(), TestCaseError> {
    if model.is_over(now) {
        prop_assert_eq!(view, None);
        return Ok(());
    }
    let view = view.expect("it is not over");
    prop_assert_eq!(view.packets, model.packets.len() as u64);
    prop_assert_eq!(view.bytes, model.packets.iter().map(|(_, bytes)| u64::from(*bytes)).sum());
    let ends = [model.packets.first(), model.packets.last()].map(|packet| Time(packet.unwrap().0));
    prop_assert_eq!([view.first_seen, view.last_seen], ends);
    // 0.001 bytes a tick are 8 bits a second.
    let error = (view.rate as f64 - model.rate(now)).abs();
    prop_assert!(error <= 9.0 + model.rate(now) * 1e-7, "{} off", error);
    Ok(())
}

proptest! {
    /// Counts, times and rates of flows and subflows, whatever is aged when.
    #[test]
    fn what_is_known_is_what_came(
        steps in prop::collection::vec(
            (0u32..20, 64u32..9_000, prop_oneof![0u64..3_000, 0..3 * TICK, 0..1_500 * TICK], 0usize..200),
            1..200,
        ),
    ) {
        let mut flows = flows(&settings());
        let mut models: HashMap<(Level, Name), Model> = HashMap::new();
        let mut now = 0;
        for (number, bytes, gap, aged) in steps {
            now += gap;
            // Four queue pairs a flow.
            let name = Name { source_port: number as u16 / 4, ..name(number) };
            flows.note(&write(&name, bytes), Time(now));
            for key in [(Level::Subflow, name), (Level::Flow, flow_of(&name))] {
                models.entry(key).or_default().note(now, bytes);
            }
            flows.age(aged, Time(now));
            for ((level, name), model) in &models {
                agrees(flows.get(*level, name), model, now)?;
            }
        }
        prop_assert_eq!(flows.counters(Level::Subflow).refused, 0);
    }
}

/// A place of a bucket: who is there, when it last came, and its rank: 0 for one that came once, 1
/// for other mice, 2 for elephants.
type Place = Option<(u32, u64, u8)>;

/// Who makes room in a bucket of eight, by sorting.
fn make_room(places: &[Place; 8], now: u64) -> Option<usize> {
    let idle = settings().idle / TICK;
    let mut order: Vec<_> = (0..8).collect();
    order.sort_by_key(|at| match places[*at] {
        None => (0, 0, 0),
        Some((_, last, _)) if now / TICK - last / TICK >= idle => (1, 0, 0),
        Some((_, last, rank)) => (2, rank, last / TICK),
    });
    let is_elephant =
        |place: &Place| matches!(place, Some((_, last, 2)) if now / TICK - last / TICK < idle);
    (!is_elephant(&places[order[0]])).then_some(order[0])
}

proptest! {
    /// One bucket, and more flows than it has places, of which some are fast.
    #[test]
    fn room_is_made_by_rule(
        // Fast or slow, who, and time that has passed.
        steps in prop::collection::vec(
            (any::<bool>(), 0u32..14, prop_oneof![4 => 0u64..2 * TICK, 1 => 0..400 * TICK]),
            1..150,
        ),
    ) {
        let mut flows = flows(&Settings { subflows: 8, ..settings() });
        let mut places: [Place; 8] = [None; 8];
        let (mut now, mut refused) = (0, 0);
        for (fast, qp, gap) in steps {
            now += gap;
            // Fast: for long enough to be an elephant.
            for _ in 0..if fast { 40 } else { 1 } {
                now += if fast { TICK } else { 0 };
                let seen = flows.note(&write(&name(qp), if fast { 1_000_000 } else { 64 }), Time(now));
                let idle = settings().idle / TICK;
                let known = places.iter().position(|place| place.is_some_and(|(there, ..)| there == qp));
                let at = known.or_else(|| make_room(&places, now));
                prop_assert_eq!(seen.slot.is_some(), at.is_some());
                let Some(at) = at else {
                    refused += 1;
                    continue;
                };
                let again = known.is_some() && now / TICK - places[at].unwrap().1 / TICK < idle;
                let rank = if seen.class == Class::Elephant { 2 } else { u8::from(again) };
                places[at] = Some((qp, now, rank));
            }
            for (qp, ..) in places.iter().flatten() {
                prop_assert!(flows.find(&name(*qp)).is_some(), "{} made room", qp);
            }
        }
        let counters = flows.counters(Level::Subflow);
        prop_assert_eq!(counters.refused, refused);
        prop_assert_eq!(counters.flows, places.iter().flatten().count() as u64);
        let elephants = places.iter().flatten().filter(|(.., rank)| *rank == 2).count();
        prop_assert_eq!(counters.elephants, elephants as u64);
        let gone = counters.aged + counters.evicted_once + counters.evicted_mice;
        prop_assert_eq!(counters.added, counters.flows + gone);
        prop_assert_eq!(counters.entered, counters.left + counters.elephants);
    }

    /// Gathered by pieces, as sorted all at once.
    #[test]
    fn the_top_is_the_top(
        bytes in prop::collection::vec(64u32..1_000_000, 0..100),
        most in 0usize..80,
        piece in 1usize..40,
    ) {
        let mut flows = flows(&settings());
        for (qp, bytes) in bytes.iter().enumerate() {
            flows.note(&write(&name(qp as u32), *bytes), Time(1));
        }
        flows.age(0, Time(MILLISECOND));
        let mut top = Top::new(Level::Subflow, most);
        let mut calls = 1;
        while !flows.gather(&mut top, piece) {
            calls += 1;
        }
        prop_assert_eq!(calls, flows.buckets().div_ceil(piece));
        let mut sorted = bytes;
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted.truncate(most.min(MAX_TOP));
        let found: Vec<_> = top.flows().iter().map(|view| view.bytes as u32).collect();
        prop_assert_eq!(found, sorted);
    }
}
