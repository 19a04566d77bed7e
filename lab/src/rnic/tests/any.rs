//! Whatever a network does: each message completes once, unaltered, or the queue pair fails.

use dataplane::time::{MICROSECOND, MILLISECOND, Time};
use proptest::prelude::*;

use super::pipe::{DELAY, Pipe};
use crate::random::Random;
use crate::rnic::{Behaviour, Pmtu, QpSettings, Receives, Status, Timer, Verb};

/// What a network does to a frame, each in so many of a thousand.
#[derive(Debug, Clone, Copy)]
struct Network {
    seed: u64,
    lost: u64,
    doubled: u64,
    late: u64,
    damaged: u64,
}

impl Network {
    fn pipe(self, settings: QpSettings) -> Pipe {
        let Self { seed, lost, doubled, late, damaged } = self;
        let mut random = Random::derive(seed, &[]);
        let mut happens = move |mille| random.below(1000) < mille;
        let mut random = Random::derive(seed, &[1]);
        let mut lateness = move || random.below(40 * MICROSECOND);
        Pipe::new(settings).with(move |_, _, frame| {
            if happens(damaged) {
                // Behind the UDP header: ports and lengths stay what they are.
                let at = 42 + lateness() as usize % (frame.len() - 42);
                frame[at] ^= 1 + lateness() as u8 % 255;
            }
            let mut fate = Vec::new();
            if !happens(lost) {
                fate.push(DELAY + if happens(late) { lateness() } else { 0 });
            }
            if happens(doubled) {
                fate.push(DELAY + lateness());
            }
            fate
        })
    }
}

fn networks() -> impl Strategy<Value = Network> {
    (any::<u64>(), 0..200u64, 0..100u64, 0..100u64, 0..50u64).prop_map(
        |(seed, lost, doubled, late, damaged)| Network { seed, lost, doubled, late, damaged },
    )
}

fn settings() -> impl Strategy<Value = QpSettings> {
    let behaviour =
        any::<[bool; 3]>().prop_map(|[nak_needs_progress, ack_duplicates, nak_after_rnr]| {
            Behaviour { nak_needs_progress, ack_duplicates, nak_after_rnr }
        });
    let timer = prop_oneof![Just(Timer::Fixed(5)), Just(Timer::Fixed(8)), Just(adaptive())];
    let receives = prop_oneof![Just(Receives::Endless), (2..6u32).prop_map(Receives::RnrEvery)];
    (behaviour, timer, receives, 1..40u32, 1..5u32, 1..20u32, 0..8u8).prop_map(
        |(behaviour, timer, receives, window, max_reads, ack_every, retry_cnt)| QpSettings {
            pmtu: Pmtu::B256,
            min_rnr_timer: 1,
            behaviour,
            timer,
            receives,
            window,
            max_reads,
            ack_every,
            retry_cnt,
            ..QpSettings::default()
        },
    )
}

fn adaptive() -> Timer {
    Timer::Adaptive { first: MILLISECOND / 10, configured: 9 }
}

fn works() -> impl Strategy<Value = Vec<(usize, Verb, u32)>> {
    let verb = prop::sample::select(Verb::ALL.to_vec());
    prop::collection::vec((0..2usize, verb, 0..3000u32), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn each_message_completes_once_and_unaltered_or_the_queue_pair_fails(
        network in networks(),
        settings in settings(),
        works in works(),
    ) {
        let mut pipe = network.pipe(settings);
        for &(end, verb, length) in &works {
            pipe.post_at(end, verb, length);
        }
        pipe.run();
        for end in [0, 1] {
            let posted = works.iter().filter(|(at, ..)| *at == end).count();
            let ids: Vec<u64> = pipe.done[end].iter().map(|done| done.id).collect();
            prop_assert_eq!(&ids, &(0..posted as u64).collect::<Vec<_>>());
            let good = pipe.done[end].iter().take_while(|done| done.status == Status::Success);
            let good = good.count();
            let counters = pipe.ends[end].counters();
            prop_assert_eq!(counters.wrong_data(), 0, "{:?}", counters);
            prop_assert_eq!(counters.completed_messages, good as u64);
            prop_assert!(good == posted || counters.qp_errors == 1, "{:?}", counters);
            // One status says why, the others follow.
            let rest = pipe.done[end].iter().skip(good + 1);
            prop_assert!(rest.into_iter().all(|done| done.status == Status::Flushed));
            // What is complete was delivered, and no more than was posted.
            let counts = |done: &(usize, Verb, u32)| done.0 == end && !done.1.is_answered();
            let mine = works.iter().filter(|work| work.0 == end).take(good);
            let least = mine.filter(|work| counts(work)).count() as u64;
            let most = works.iter().filter(|work| counts(work)).count() as u64;
            let delivered = pipe.ends[1 - end].counters().delivered_messages;
            prop_assert!((least..=most).contains(&delivered));
        }
    }

    #[test]
    fn patience_brings_everything_through(
        network in networks(),
        settings in settings(),
        works in works(),
    ) {
        let settings = QpSettings { retry_cnt: 7, endless_retries: true, ..settings };
        let mut pipe = network.pipe(settings);
        for &(_, verb, length) in &works {
            pipe.post(verb, length);
        }
        pipe.run();
        pipe.assert_complete(works.len());
        prop_assert!(pipe.now > Time::ZERO);
    }
}
