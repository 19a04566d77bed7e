//! Both ends of a wire, which loses frames, and a station that is broken.

use dataplane::time::{MICROSECOND, MILLISECOND, Time};
use proptest::prelude::*;

use super::*;
use crate::backpressure::Limits;
use crate::wire::pfc::{MacControl, Priorities};

const RATE: u64 = 100_000_000_000;

fn limits() -> Limits {
    Limits { longest: 10 * MILLISECOND, rest: 5 * MILLISECOND }
}

fn sender(mode: Mode, quanta: u16) -> Sender {
    Sender::new(SenderSettings { mode, quanta, rate: RATE, limits: limits() })
}

fn one(priority: u8, quanta: u16) -> MacControl {
    MacControl::Pfc(Priorities::default().with(priority, quanta))
}

#[test]
fn quanta_last_as_long_as_the_standard_says() {
    assert_eq!(duration(1, 10_000_000_000), 52, "51.2 ns, rounded up");
    assert_eq!(duration(u16::MAX, RATE), 335_540);
    assert_eq!(duration(u16::MAX, 10_000_000_000), 3_355_392);
    assert_eq!((duration(0, RATE), duration(1, 0)), (0, Nanos::MAX));
}

#[test]
fn a_pause_is_told_at_once_refreshed_at_half_time_and_lifted_by_zero() {
    let mut sender = sender(Mode::Pfc, 1_000);
    assert_eq!((sender.due(), sender.poll(Time(0))), (Time::NEVER, None));
    sender.want(1 << 3, Time(100));
    assert_eq!(sender.due(), Time(100));
    assert_eq!(sender.poll(Time(100)), Some(one(3, 1_000)));
    assert_eq!(sender.due(), Time(100 + 2_560), "half of 1000 quanta of 5.12 ns");
    assert_eq!(sender.poll(Time(2_659)), None);
    assert_eq!(sender.poll(Time(2_660)), Some(one(3, 1_000)));
    sender.want(0, Time(2_661));
    assert_eq!(sender.due(), Time::ZERO);
    assert_eq!(sender.poll(Time(2_700)), Some(one(3, 0)));
    assert_eq!((sender.due(), sender.poll(Time(9_999))), (Time::NEVER, None));
    let said = sender.said();
    assert_eq!((said.frames, said.pauses[3], said.resumes[3]), (3, 2, 1));
}

#[test]
fn one_frame_says_all_there_is_to_say() {
    let mut sender = sender(Mode::Pfc, 1_000);
    sender.want(0b10_1000, Time(0));
    let both = Priorities::default().with(3, 1_000).with(5, 1_000);
    assert_eq!(sender.poll(Time(0)), Some(MacControl::Pfc(both)));
    sender.want(0b1000, Time(1));
    let left = Priorities::default().with(3, 1_000).with(5, 0);
    assert_eq!(sender.poll(Time(1)), Some(MacControl::Pfc(left)), "and refreshes what is left");
    sender.want(0, Time(2));
    assert_eq!(sender.poll(Time(2)), Some(one(3, 0)));
    sender.want(1 << 4, Time(3));
    sender.want(0, Time(3));
    assert_eq!(sender.poll(Time(3)), None, "what nobody was told needs no end");
}

#[test]
fn pause_holds_all_while_one_is_wanted() {
    let mut sender = sender(Mode::Pause, 500);
    sender.want(0b100_0010, Time(0));
    assert_eq!(sender.poll(Time(0)), Some(MacControl::Pause(500)));
    sender.want(0b100_0000, Time(1));
    assert_eq!(sender.poll(Time(1)), None);
    sender.want(0, Time(2));
    assert_eq!(sender.poll(Time(2)), Some(MacControl::Pause(0)));
    assert_eq!((sender.due(), sender.said().pauses), (Time::NEVER, [1; 8]));

    let mut receiver = Receiver::new(RATE, limits());
    assert_eq!(receiver.hear(&MacControl::Pause(500), Time(0)).paused, 0xff);
    assert_eq!(receiver.hear(&MacControl::Pause(0), Time(1)).resumed, 0xff);
}

#[test]
fn a_pause_ends_by_time_and_only_for_the_priorities_that_are_enabled() {
    let mut receiver = Receiver::new(RATE, limits());
    let control = MacControl::Pfc(Priorities::default().with(0, 100).with(3, 1_000));
    assert_eq!(receiver.hear(&control, Time(0)), Changed { paused: 0b1001, resumed: 0 });
    assert_eq!(receiver.due(), Time(512));
    assert_eq!(receiver.expire(Time(511)), Changed::default());
    assert_eq!(receiver.expire(Time(512)), Changed { paused: 0, resumed: 0b0001 });
    // A later frame replaces what is left, be it less.
    assert_eq!(receiver.hear(&one(3, 10), Time(600)), Changed::default());
    assert_eq!(receiver.due(), Time(652));
    assert_eq!(receiver.hear(&one(3, 0), Time(620)).resumed, 0b1000);
    assert_eq!((receiver.paused(), receiver.due()), (0, Time::NEVER));
}

/// A broken NIC pauses for ever: who shares its priority goes on after the limit.
#[test]
fn trap_37_a_pause_without_end_is_broken_counted_and_stalls_nobody_for_ever() {
    let mut receiver = Receiver::new(RATE, limits());
    let mut paused = 0;
    for now in (0..60 * MILLISECOND).step_by(100 * MICROSECOND as usize) {
        receiver.expire(Time(now));
        receiver.hear(&one(3, u16::MAX), Time(now));
        paused += u64::from(receiver.paused() == 0b1000);
    }
    assert_eq!(receiver.heard().broken[3], 4);
    // Ten milliseconds of every fifteen.
    assert!((400..=404).contains(&paused), "{paused}");
    assert!(receiver.heard().ignored[3] >= 190);

    // And we do not do so to others.
    let mut sender = sender(Mode::Pfc, u16::MAX);
    let mut peer = Receiver::new(RATE, Limits { longest: Nanos::MAX, rest: 0 });
    sender.want(1 << 3, Time(0));
    let mut paused = 0;
    for now in (0..60 * MILLISECOND).step_by(100 * MICROSECOND as usize) {
        if let Some(frame) = sender.poll(Time(now)) {
            peer.hear(&frame, Time(now));
        }
        peer.expire(Time(now));
        paused += u64::from(peer.paused() != 0);
    }
    assert_eq!(sender.said().broken[3], 4);
    assert!((399..=404).contains(&paused), "{paused}");
}

proptest! {
    /// Whatever queues want and whichever one frame in a row is lost, a priority is held without
    /// a gap while it is wanted, and for no longer than one pause after.
    #[test]
    fn the_next_station_does_what_is_wanted(
        steps in prop::collection::vec((0u8..3, any::<bool>(), 1u64..4_000, any::<bool>()), 1..200),
    ) {
        let limits = Limits { longest: Nanos::MAX, rest: 0 };
        let settings = SenderSettings { mode: Mode::Pfc, quanta: 1_000, rate: RATE, limits };
        let (mut sender, mut receiver) = (Sender::new(settings), Receiver::new(RATE, limits));
        let (mut now, mut wanted, mut claims) = (0, [0u32; 3], Claims::default());
        // Since when nothing changed.
        let mut since = [0; 3];
        let mut lost_last = true;
        for (priority, hold, wait, lose) in steps {
            let count = &mut wanted[usize::from(priority)];
            if hold {
                if *count == 0 { since[usize::from(priority)] = now; }
                *count += 1;
                claims.hold(priority);
            } else if *count > 0 {
                *count -= 1;
                if *count == 0 { since[usize::from(priority)] = now; }
                claims.lift(priority);
            }
            sender.want(claims.priorities(), Time(now));
            let end = now + wait;
            loop {
                if let Some(frame) = sender.poll(Time(now)) {
                    lost_last = lose && !lost_last;
                    if !lost_last { receiver.hear(&frame, Time(now)); }
                }
                receiver.expire(Time(now));
                for priority in 0..3 {
                    let paused = receiver.paused() >> priority & 1 == 1;
                    let settled = now >= since[priority] + 5_120;
                    prop_assert!(!settled || paused == (wanted[priority] > 0), "{priority} at {now}");
                }
                let next = sender.due().min(receiver.due()).0.max(now + 1);
                if next >= end { break; }
                now = next;
            }
            now = end;
        }
    }

    /// Frames of any content at any time: bounds hold, and what is due is done.
    #[test]
    fn no_priority_is_held_beyond_the_limit(
        frames in prop::collection::vec((any::<u8>(), any::<u16>(), 0u64..3_000_000), 1..300),
    ) {
        let mut receiver = Receiver::new(RATE, limits());
        let mut now = 0;
        let mut since = [None; PRIORITIES];
        for (enabled, quanta, wait) in frames {
            let frame = (0..8).filter(|bit| enabled >> bit & 1 == 1);
            let frame = frame.fold(Priorities::default(), |all, bit| all.with(bit, quanta));
            let end = now + wait;
            loop {
                receiver.expire(Time(now));
                for (priority, since) in since.iter_mut().enumerate() {
                    if receiver.paused() >> priority & 1 == 0 { *since = None; continue; }
                    let begun = *since.get_or_insert(now);
                    prop_assert!(now - begun <= limits().longest);
                }
                let next = receiver.due().0;
                prop_assert!(next > now);
                if next >= end { break; }
                now = next;
            }
            now = end;
            receiver.hear(&MacControl::Pfc(frame), Time(now));
        }
    }
}
