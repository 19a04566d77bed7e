//! What queues hold, against a model that adds everything up each time.

use proptest::prelude::*;

use super::*;

const POOL: u64 = 100_000;

fn lossless(reserved: u64, headroom: u64, xoff: u64, xon: u64) -> Thresholds {
    Thresholds { reserved, alpha: ALL, headroom, xoff, xon }
}

#[test]
fn a_lossy_queue_has_what_is_reserved_and_its_part_of_what_is_free() {
    let limits = Thresholds { reserved: 10_000, ..Thresholds::lossy(ALL) };
    let mut buffer = Buffer::new(POOL, [limits; 2]).expect("fits");
    let mut taken = [0u32; 2];
    // One alone gets half of what all share: as much as is left.
    while buffer.add(0, 1_000, Time::ZERO).is_ok() {
        taken[0] += 1_000;
    }
    while buffer.add(1, 1_000, Time::ZERO).is_ok() {
        taken[1] += 1_000;
    }
    assert_eq!(taken, [10_000 + 40_000, 10_000 + 20_000]);
    assert_eq!(buffer.add(0, 1_000, Time::ZERO), Err(Refusal::Threshold));
    assert_eq!(buffer.bytes(), (80_000, 80_000));
    for (queue, bytes) in taken.into_iter().enumerate() {
        assert_eq!(buffer.remove(queue, bytes, Time::ZERO), None);
    }
    assert_eq!(buffer.bytes(), (0, 80_000));
}

#[test]
fn headroom_holds_what_arrives_after_the_stop_whatever_others_take() {
    let greedy = Thresholds::lossy(256 * 64);
    let mut buffer =
        Buffer::new(POOL, [greedy, lossless(0, 20_000, 50_000, 10_000)]).expect("fits");
    while buffer.add(0, 500, Time::ZERO).is_ok() {}
    let mut sent = 0u32;
    let stopped = loop {
        sent += 500;
        match buffer.add(1, 500, Time::ZERO).expect("headroom") {
            Some(crossing) => break crossing,
            None => continue,
        }
    };
    // Long before `xoff`: nothing that is shared was left.
    assert_eq!(stopped, Crossing::Xoff);
    assert!(sent < 50_000, "{sent}");
    let more = (0..).take_while(|_| buffer.add(1, 500, Time::ZERO).is_ok()).count();
    assert!(more >= 20_000 / 500 - 1, "{more}");
    assert_eq!(buffer.add(1, 500, Time::ZERO), Err(Refusal::Headroom));
    // It is lifted once its headroom is empty and `xon` reached.
    let mut level = buffer.level(1, Time::ZERO).bytes;
    while buffer.remove(1, 500, Time(10)).is_none() {
        level -= 500;
    }
    let lifted = buffer.level(1, Time(10));
    assert!(lifted.bytes <= 10_000 && lifted.bytes + 500 == level, "{lifted:?}");
    assert_eq!((lifted.stopped, lifted.headroom, lifted.stopped_for), (false, 0, 10));
}

#[test]
fn a_pool_that_does_not_hold_what_is_reserved_is_refused() {
    let refused = Buffer::new(POOL, [lossless(60_000, 50_000, 1, 0)]).map(|_| ());
    assert_eq!(refused, Err(PoolExceeded { needed: 110_000, pool: POOL }));
}

#[test]
fn thresholds_change_while_bytes_are_there() {
    let mut buffer = Buffer::new(POOL, [Thresholds::lossy(ALL); 2]).expect("fits");
    assert_eq!(buffer.add(0, 40_000, Time::ZERO), Ok(None));
    // It stands above its new `xoff`.
    let new = lossless(10_000, 20_000, 30_000, 5_000);
    assert_eq!(buffer.set(0, new, Time(1)), Ok(Some(Crossing::Xoff)));
    assert_eq!(buffer.thresholds(0), Some(new));
    // More than the other one leaves.
    let much = Thresholds { reserved: 60_000, ..Thresholds::lossy(ALL) };
    assert!(buffer.set(1, much, Time(2)).is_err());
    assert_eq!(buffer.remove(0, 40_000, Time(3)), Some(Crossing::Xon));
    assert_eq!(buffer.set(1, much, Time(4)), Ok(None));
    assert_eq!(buffer.add(1, 60_000, Time(5)), Ok(None));
    assert_eq!(buffer.set(0, Thresholds::lossy(ALL), Time(6)), Ok(None));
}

#[test]
fn what_is_withheld_becomes_somebodys_own_once_enough_has_left() {
    let greedy = Thresholds::lossy(256 * 64);
    let mut buffer = Buffer::new(POOL, [greedy; 2]).expect("fits");
    assert_eq!(buffer.add(0, 90_000, Time::ZERO), Ok(None));
    let own = Thresholds { reserved: 60_000, ..greedy };
    let refused = Err(PoolExceeded { needed: 150_000, pool: POOL });
    assert_eq!(buffer.set(1, own, Time(1)), refused);
    buffer.withhold(60_000);
    // Whatever leaves is not taken again.
    for _ in 0..50 {
        assert_eq!(buffer.add(0, 1, Time(2)), Err(Refusal::Threshold));
        assert!(buffer.set(1, own, Time(2)).is_err());
        buffer.remove(0, 1_000, Time(3));
    }
    assert_eq!(buffer.set(1, own, Time(4)), Ok(None));
    buffer.withhold(0);
    assert_eq!(buffer.add(1, 60_000, Time(5)), Ok(None));
    assert_eq!(buffer.bytes().0, POOL);
}

/// A queue as it is described: what is over what is reserved is shared, unless it came when that was
/// not to be had.
#[derive(Clone, Default)]
struct Model {
    reserved: u64,
    shared: u64,
    headroom: u64,
    stopped: bool,
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let sizes = (0u64..9_000, 0u32..1_024, 0u64..9_000, 0u64..40_000, 0u64..40_000);
    (sizes, any::<bool>()).prop_map(|((reserved, alpha, headroom, one, other), lossy)| {
        let all =
            Thresholds { reserved, alpha, headroom, xoff: one.max(other) + 1, xon: one.min(other) };
        if lossy { Thresholds { reserved, ..Thresholds::lossy(alpha) } } else { all }
    })
}

proptest! {
    #[test]
    fn accounts_are_those_of_a_naive_model(
        limits in prop::collection::vec(thresholds(), 1..5),
        steps in prop::collection::vec((0usize..5, 1u32..9_000, any::<bool>()), 1..400),
    ) {
        let mut buffer = Buffer::new(POOL, limits.clone()).expect("fits");
        let mut queues = vec![(Model::default(), std::collections::VecDeque::new()); limits.len()];
        let own: u64 = limits.iter().map(|of| of.reserved + of.headroom).sum();
        for (queue, bytes, add) in steps {
            let queue = queue % limits.len();
            let of = limits[queue];
            let free = POOL - own - queues.iter().map(|(model, _)| model.shared).sum::<u64>();
            let (model, waiting) = &mut queues[queue];
            let result = if add {
                let from_reserved = (of.reserved - model.reserved).min(bytes.into());
                let rest = u64::from(bytes) - from_reserved;
                let may = (free * u64::from(of.alpha) / 256).saturating_sub(model.shared);
                let from_shared = rest.min(may).min(free);
                let from_headroom = rest - from_shared;
                if model.headroom + from_headroom > of.headroom {
                    let refused = if of.is_lossless() { Refusal::Headroom } else { Refusal::Threshold };
                    prop_assert_eq!(buffer.add(queue, bytes, Time::ZERO), Err(refused));
                    continue;
                }
                model.reserved += from_reserved;
                model.shared += from_shared;
                model.headroom += from_headroom;
                waiting.push_back(bytes);
                buffer.add(queue, bytes, Time::ZERO).expect("fits")
            } else {
                let Some(bytes) = waiting.pop_front() else { continue };
                let mut rest = u64::from(bytes);
                for part in [&mut model.headroom, &mut model.shared, &mut model.reserved] {
                    let of_it = rest.min(*part);
                    *part -= of_it;
                    rest -= of_it;
                }
                buffer.remove(queue, bytes, Time::ZERO)
            };
            let bytes = model.reserved + model.shared + model.headroom;
            let expected = match model.stopped {
                false if bytes >= of.xoff || model.headroom > 0 => Some(Crossing::Xoff),
                true if bytes <= of.xon && model.headroom == 0 => Some(Crossing::Xon),
                _ => None,
            };
            model.stopped ^= expected.is_some();
            prop_assert_eq!(result, expected);
            let level = buffer.level(queue, Time::ZERO);
            let of_model = (bytes, model.headroom, model.stopped);
            prop_assert_eq!((level.bytes, level.headroom, level.stopped), of_model);
            let all: u64 = queues.iter().flat_map(|(_, waiting)| waiting).map(|of| u64::from(*of)).sum();
            prop_assert_eq!(buffer.bytes().0, all);
            prop_assert!(all <= POOL);
        }
    }

    #[test]
    fn the_pool_holds_whatever_thresholds_become(
        limits in prop::collection::vec(thresholds(), 4),
        steps in prop::collection::vec((0usize..4, 1u32..9_000, 0u8..5, thresholds()), 1..300),
    ) {
        let mut buffer = Buffer::new(POOL, limits).expect("fits");
        let mut waiting: [Vec<u32>; 4] = Default::default();
        for (queue, bytes, what, limits) in steps {
            match what {
                0 => { let _ = buffer.set(queue, limits, Time::ZERO); }
                1 => {
                    if let Some(bytes) = waiting[queue].pop() {
                        buffer.remove(queue, bytes, Time::ZERO);
                    }
                }
                _ => {
                    if buffer.add(queue, bytes, Time::ZERO).is_ok() {
                        waiting[queue].push(bytes);
                    }
                }
            }
            let all: u64 = waiting.iter().flatten().map(|of| u64::from(*of)).sum();
            prop_assert_eq!(buffer.bytes().0, all);
            prop_assert!(all <= POOL);
        }
        for (queue, waiting) in waiting.into_iter().enumerate() {
            for bytes in waiting {
                buffer.remove(queue, bytes, Time::ZERO);
            }
            prop_assert_eq!(buffer.level(queue, Time::ZERO).bytes, 0);
        }
        prop_assert_eq!(buffer.bytes().0, 0);
    }
}
