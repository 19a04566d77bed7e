//! What holds whatever happens to queues: nothing is lost, doubled, reordered or forgotten.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn numbered(class: usize) -> Class {
    Class::all().nth(class).expect("below CLASSES")
}

#[derive(Debug, Clone)]
enum Step {
    Put(u16, usize, u32),
    Take(u32),
    Pause(u16, usize),
    Resume(u16, usize),
    Rate(u16, Option<u64>),
    PortRate(Option<u64>),
    Weight(u16, u16),
    Thresholds(u16, usize, Thresholds),
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    (0u64..40_000, 1u32..2_560, 0u64..40_000, 1_000u64..50_000, any::<bool>()).prop_map(
        |(reserved, alpha, headroom, xoff, lossless)| match lossless {
            true => Thresholds { reserved, alpha, headroom, xoff, xon: xoff / 2 },
            false => Thresholds { reserved, ..Thresholds::lossy(alpha) },
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let rate = || prop::option::of(1_000_000u64..100_000_000_000);
    prop_oneof![
        8 => (0u16..6, 0..CLASSES, 64u32..9_000).prop_map(|(of, class, bytes)| Step::Put(of, class, bytes)),
        4 => (0u32..20_000).prop_map(Step::Take),
        1 => (0u16..6, 0..CLASSES).prop_map(|(of, class)| Step::Pause(of, class)),
        1 => (0u16..6, 0..CLASSES).prop_map(|(of, class)| Step::Resume(of, class)),
        1 => (0u16..6, rate()).prop_map(|(of, rate)| Step::Rate(of, rate)),
        1 => rate().prop_map(Step::PortRate),
        1 => (0u16..6, 0u16..2_000).prop_map(|(of, weight)| Step::Weight(of, weight)),
        1 => (0u16..6, 0..CLASSES, thresholds())
            .prop_map(|(of, class, limits)| Step::Thresholds(of, class, limits)),
    ]
}

/// What is in each queue, as it was put there.
type Model = [[VecDeque<u32>; CLASSES]; 6];

/// Takes one; whether there was one. It is the first of its queue, which is not paused.
fn take(queues: &mut Queues<u32>, model: &mut Model, now: Time) -> bool {
    let Some(of) = queues.dequeue(now) else { return false };
    assert!(!queues.is_paused(of.tenant, of.class));
    let waiting = &mut model[usize::from(of.tenant)][of.class.index()];
    assert_eq!(waiting.pop_front(), Some(of.item));
    true
}

proptest! {
    #[test]
    fn everything_leaves_once_and_in_order(
        weights in prop::array::uniform6(1u16..1_000),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let of = QueuesSettings {
            packets: 128,
            pool_bytes: 400_000,
            ..settings(weights.map(|weight| tenant(weight, None)).into())
        };
        let mut queues = Queues::new(&of, Time::ZERO).expect("nothing is reserved");
        let (mut model, mut now): (Model, _) = (Default::default(), Time::ZERO);
        for (item, step) in steps.into_iter().enumerate() {
            let item = item as u32;
            match step {
                Step::Put(of, class, bytes) => {
                    match queues.enqueue(of, numbered(class), item, bytes, now) {
                        Enqueued::Accepted(_) => model[usize::from(of)][class].push_back(item),
                        Enqueued::Refused(_, back) => prop_assert_eq!(back, item),
                    }
                }
                Step::Take(later) => {
                    now = now.after(later.into());
                    take(&mut queues, &mut model, now);
                }
                Step::Pause(of, class) => queues.pause(of, numbered(class)),
                Step::Resume(of, class) => queues.resume(of, numbered(class)),
                Step::Rate(of, rate) => queues.set_rate(of, rate.map(Rate::of), now),
                Step::PortRate(rate) => queues.set_port_rate(rate.map(Rate::of), now),
                Step::Weight(of, weight) => queues.set_weight(of, weight),
                Step::Thresholds(of, class, limits) => {
                    let set = queues.set_thresholds(of, numbered(class), limits, now);
                    let is = queues.thresholds(of, numbered(class)) == Some(limits);
                    prop_assert!(is || set.is_err());
                }
            }
            let waiting = model.iter().flatten().map(VecDeque::len).sum::<usize>();
            prop_assert_eq!(queues.len() as usize, waiting);
            prop_assert!(queues.bytes().0 <= 400_000 && waiting <= 128);
        }
        // All may leave, and whoever waits until they say finds nothing forgotten.
        for of in 0..6 {
            Class::all().for_each(|class| queues.resume(of, class));
        }
        while let Some(ready) = queues.next_ready(now) {
            now = ready;
            // Something leaves, or the next moment is later.
            if !take(&mut queues, &mut model, now) {
                prop_assert!(queues.next_ready(now).is_none_or(|next| next > now));
            }
        }
        prop_assert!(queues.is_empty() && queues.bytes().0 == 0);
        prop_assert!(model.iter().flatten().all(VecDeque::is_empty));
    }

    #[test]
    fn nobody_starves(weights in prop::array::uniform6(1u16..1_000), bytes in prop::array::uniform6(64u32..9_000)) {
        let mut queues = queues(weights.map(|weight| tenant(weight, None)).into());
        for of in 0..6u16 {
            (0..2).for_each(|item| put(&mut queues, of, Class::BULK, item, bytes[usize::from(of)]));
        }
        // Between two turns of one, the others have theirs: a quantum for each weight, and a frame.
        let most: u64 = weights.iter().map(|weight| u64::from(*weight) * 9_728 + 9_000).sum();
        let mut since = [0u64; 6];
        for _ in 0..20_000 {
            let of = queues.dequeue(Time::ZERO).expect("everybody has something");
            put(&mut queues, of.tenant, of.class, of.item, of.bytes);
            since.iter_mut().for_each(|since| *since += u64::from(of.bytes));
            since[usize::from(of.tenant)] = 0;
            prop_assert!(since.iter().all(|since| *since <= most), "{since:?}");
        }
    }
}
