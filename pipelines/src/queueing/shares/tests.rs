//! Several workers' shapers of one rate, in virtual time; and their cursors, by threads.

use dataplane::time::{MICROSECOND, MILLISECOND};
use proptest::prelude::*;

use super::*;
use crate::queueing::{Credit, Rate, Shaper};

/// A worker's part of a rate, as it is configured.
fn part(rate: Rate, workers: u64) -> Rate {
    Rate {
        bits_per_second: rate.bits_per_second / workers,
        burst_bytes: rate.burst_bytes / workers as u32,
    }
}

fn shapers(rate: Rate, workers: u64) -> Vec<Shaper> {
    let shares = Arc::new(Shares::new(workers as usize, 1));
    let shaper = |worker| {
        let mut shaper = Shaper::new(part(rate, workers), Time::ZERO);
        shaper.join(Share::new(&shares, worker as usize, 0));
        shaper
    };
    (0..workers).map(shaper).collect()
}

/// Has those that are busy send packets as early as they may, from `start` until `end`; what each
/// sent.
fn saturate(shapers: &mut [Shaper], bytes: &[u32], (start, end): (Time, Time)) -> Vec<u64> {
    let mut sent = vec![0; shapers.len()];
    let mut next: Vec<Time> =
        bytes.iter().map(|b| if *b > 0 { start } else { Time::NEVER }).collect();
    while let Some((worker, now)) = (0..).zip(next.iter().copied()).min_by_key(|(_, at)| *at) {
        if now >= end {
            break;
        }
        match shapers[worker].ready(bytes[worker], Credit::Needed, now) {
            Ok(()) => {
                shapers[worker].charge(bytes[worker]);
                sent[worker] += u64::from(bytes[worker]);
            }
            Err(at) => {
                assert!(at > now, "waiting for {at:?} at {now:?}");
                next[worker] = at;
            }
        }
    }
    sent
}

/// Within 1 % over 100 ms, whoever of four workers sends.
#[test]
fn rates_hold_from_100_megabits_to_400_gigabits_whoever_is_busy() {
    let (begin, start) = (Time(900 * MILLISECOND), Time(1_000 * MILLISECOND));
    let end = start.after(100 * MILLISECOND);
    for bits_per_second in
        [100_000_000, 1_000_000_000, 25_000_000_000, 100_000_000_000, 400_000_000_000]
    {
        for busy in [&[4_170, 0, 0, 0][..], &[0, 4_170, 0, 4_170], &[4_170, 64, 1_000, 9_200]] {
            let mut shapers = shapers(Rate::of(bits_per_second), 4);
            saturate(&mut shapers, busy, (begin, start));
            let sent = saturate(&mut shapers, busy, (start, end));
            let (exact, all) = (bits_per_second / 80, sent.iter().sum::<u64>());
            let off = all.abs_diff(exact);
            // A packet of each may have been on its way at either end.
            let ends = busy.iter().map(|bytes| u64::from(*bytes)).sum();
            assert!(
                off <= (exact / 100).max(ends),
                "{bits_per_second} {busy:?}: {all}, not {exact}"
            );
            let least = exact / 4 - exact / 100;
            for (sent, bytes) in sent.iter().zip(busy) {
                assert!(
                    *bytes == 0 || *sent + 10_000 >= least,
                    "{bits_per_second} {busy:?}: {sent}"
                );
            }
        }
    }
}

#[test]
fn who_is_alone_has_all_at_once_and_who_comes_has_its_part_at_once() {
    let rate = Rate { bits_per_second: 10_000_000_000, burst_bytes: 1 << 20 };
    let mut shapers = shapers(rate, 2);
    let at = |ms| Time(ms * MILLISECOND);
    let alone = saturate(&mut shapers, &[1_000, 0], (at(10), at(20)));
    assert!(alone[0] >= 12_500_000 - 20_000, "all of the rate: {alone:?}");
    let both = saturate(&mut shapers, &[1_000, 1_000], (at(20), at(30)));
    assert!(both[1] >= 6_250_000, "half of it, and what is left of its burst: {both:?}");
    assert!(both[0] >= 6_250_000 - 20_000, "{both:?}");
    assert!(both[0] + both[1] <= 12_500_000 + (1 << 20) + 2_000, "{both:?}");
}

/// The same cursors in the hands of threads: no time is spent twice.
#[test]
fn threads_never_spend_the_same_time() {
    const WORKERS: usize = 3;
    let steps = if cfg!(miri) { 50 } else { 20_000 };
    let shares = Arc::new(Shares::new(WORKERS, 1));
    let spend = |worker: usize| {
        let share = Share::new(&shares, worker, 0);
        (0..steps).fold(0, |sum, step| {
            let now = Time(1_000 + step * 10);
            sum + share.take_own(now, 1_000, 7) + share.take_left(now, 1_000, 40)
        })
    };
    let spent: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || spend(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
    });
    let end = 1_000 + (steps - 1) * 10;
    assert!(spent > 0 && spent <= end * WORKERS as u64, "{spent}");
    let moved: u64 = shares.cursors.iter().map(|of| of[0].load(Relaxed)).sum();
    assert!(spent <= moved && moved <= end * WORKERS as u64, "{spent} of {moved}");
}

proptest! {
    /// Whoever sends whatever when: in no time is more sent than the rate makes and the burst, and
    /// a packet a worker.
    #[test]
    fn no_window_ever_has_more_than_rate_and_burst(
        megabits in 10u64..800_000,
        burst in 1u32..1 << 20,
        workers in 2u64..6,
        steps in prop::collection::vec((0usize..6, 0u64..300_000, 1u32..9_216), 1..200),
    ) {
        let rate = Rate { bits_per_second: megabits * 1_000_000, burst_bytes: burst };
        let mut shapers = shapers(rate, workers);
        let (mut now, mut sent) = (Time(3_000 * MILLISECOND), Vec::new());
        for (worker, pause, bytes) in steps {
            now = now.after(pause);
            let shaper = &mut shapers[worker % workers as usize];
            if shaper.ready(bytes, Credit::Needed, now).is_ok() {
                shaper.charge(bytes);
                sent.push((now, u64::from(bytes)));
            }
        }
        for begin in 0..sent.len() {
            let mut bytes = 0;
            for (at, more) in &sent[begin..] {
                bytes += more;
                let made = u128::from(at.since(sent[begin].0)) * u128::from(rate.bits_per_second);
                let most = made / 8_000_000_000 + u128::from(burst) + u128::from(workers * 9_217);
                prop_assert!(u128::from(bytes) <= most, "{bytes} of {most}");
            }
        }
    }
}

#[test]
fn what_is_lent_to_signalling_is_each_workers_part_of_a_burst() {
    let rate = Rate { bits_per_second: 8_000_000, burst_bytes: 20_000 };
    let now = Time(10_000 * MICROSECOND);
    let mut lent = 0;
    for shaper in &mut shapers(rate, 2) {
        while shaper.ready(1_000, Credit::Lent, now).is_ok() {
            shaper.charge(1_000);
            lent += 1_000;
        }
    }
    // 10 ms made 10,000 bytes; 20,000 more are lent.
    assert!((28_000..=30_000).contains(&lent), "{lent}");
}
