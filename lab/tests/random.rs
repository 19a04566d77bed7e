//! Two thousand scenarios drawn from seeds: whatever happens, nothing is altered or misplaced,
//! every message ends in the open, bounds hold, and all buffers come home. Where nothing excuses
//! it, the RNICs notice nothing at all.
//!
//! A scenario that fails is printed as the command that repeats it. `LAB_SEEDS=17` runs that seed
//! alone, `LAB_SEEDS=5000..9000` all of these, the last included. With `LAB_OUT=folder` each seed's
//! captures of the links go there, into a folder of its own.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use lab::report::{GatewayReport, MessageReport};
use lab::rnic::Timer;
use lab::traffic::{Mix, Plan};
use lab::{Report, Scenario, Traffic, draw};
use pipelines::gateway::Numbering;

/// Seeds that are run unless others are asked for.
const SEEDS: (u64, u64) = (1, 2_000);
/// A timeout of a second, twice the time that a gateway holds anything back at most: power of two.
const PATIENT: u8 = 18;
/// Queue pairs that keep trying for so long outlast every outage: nanoseconds.
const OUTLAST: u64 = 500_000_000;

fn traffic(scenario: &Scenario) -> &Traffic {
    scenario.traffic_groups().first().expect("no capture is drawn")
}

/// The figures among these that are not 0.
fn counted(figures: &[(&str, u64)]) -> Vec<String> {
    let counted = figures.iter().filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| format!("{name} {count}")).collect()
}

/// What is wrong with a gateway, whatever happened to it.
fn gateway_amiss(scenario: &Scenario, gateway: &GatewayReport) -> Vec<String> {
    let over = |high: u64, bound: u64| high.saturating_sub(bound);
    let bounds = scenario.bounds;
    counted(&[
        ("buffers_leaked", gateway.buffers_leaked.into()),
        ("replay bytes too many", over(gateway.replay_high_water_bytes, bounds.replay_bytes)),
        ("hold bytes too many", over(gateway.held_high_water_bytes, bounds.hold_bytes)),
    ])
}

/// What may never be.
fn never(scenario: &Scenario, report: &Report, messages: &MessageReport) -> Vec<String> {
    let ends = &report.endpoints;
    let mut wrong = counted(&[
        ("altered", ends.altered),
        ("missing", ends.missing),
        ("duplicates", ends.duplicates),
    ]);
    let ended = messages.messages_completed + messages.messages_failed;
    if ended != messages.messages_posted {
        wrong.push(format!("{ended} of {} messages ended", messages.messages_posted));
    }
    if messages.messages_failed > 0 && messages.qp_errors == 0 {
        wrong.push(format!("{} messages failed for no reason", messages.messages_failed));
    }
    let gateways = report.gateways.as_ref().expect("gateways");
    for (site, gateway) in [("a", &gateways.a), ("b", &gateways.b)] {
        let amiss = gateway_amiss(scenario, gateway);
        wrong.extend(amiss.iter().map(|what| format!("gateway {site}: {what}")));
    }
    wrong
}

/// Whether nothing but the wide area is against the RNICs, and that within reason.
fn is_fair(scenario: &Scenario) -> bool {
    let usual = Plan::new(traffic(scenario), &scenario.paths).bounds();
    scenario.restarts.is_empty() && scenario.bounds == usual
}

/// Whether answers with data are sent twice though nothing was lost for good: a requester whose
/// message was refused asks again for the READs and atomics behind it. By PSNs a second answer has
/// no number, and if it is lost, only the RNIC's timer brings a third (seed 1255).
fn repeats_answers(scenario: &Scenario) -> bool {
    let Traffic { verb, rnr, .. } = traffic(scenario);
    let with_data = matches!(verb, Mix::Read | Mix::Atomic | Mix::Mixed);
    scenario.numbering != Numbering::Tunnel && rnr.is_some() && with_data
}

/// What may not be where nothing excuses it.
fn unexcused(scenario: &Scenario, report: &Report, messages: &MessageReport) -> Vec<String> {
    let gateways = report.gateways.as_ref().expect("gateways");
    let both = |figure: fn(&GatewayReport) -> u64| figure(&gateways.a) + figure(&gateways.b);
    let mut wrong = counted(&[
        ("gave_up", both(|gateway| gateway.gave_up)),
        ("missed", both(|gateway| gateway.missed)),
        ("naks", messages.naks),
    ]);
    let Traffic { timer, retry, .. } = *traffic(scenario);
    if timer.timeout() * u64::from(retry) > OUTLAST {
        wrong.extend(counted(&[("qp_errors", messages.qp_errors)]));
    }
    let patient = matches!(timer, Timer::Fixed(power) if power >= PATIENT);
    if patient && !repeats_answers(scenario) {
        wrong.extend(counted(&[("timeouts", messages.timeouts)]));
    }
    // What follows a refusal for lack of a receive is out of sequence, and is sent again.
    if traffic(scenario).rnr.is_none() {
        wrong.extend(counted(&[("out_of_sequence", report.endpoints.out_of_sequence)]));
        let repeats = if patient { messages.retransmitted_packets } else { 0 };
        wrong.extend(counted(&[("retransmitted_packets", repeats)]));
    }
    wrong
}

/// What is wrong with the run of a scenario.
fn amiss(scenario: &Scenario) -> Vec<String> {
    let report = match lab::run(scenario) {
        Ok(report) => report,
        Err(error) => return vec![error.to_string()],
    };
    let messages = report.endpoints.messages.expect("messages");
    let mut wrong = never(scenario, &report, &messages);
    if is_fair(scenario) {
        wrong.extend(unexcused(scenario, &report, &messages));
    }
    wrong
}

/// The seeds to run: those asked for, or the usual ones.
fn seeds() -> (u64, u64) {
    let Ok(asked) = std::env::var("LAB_SEEDS") else { return SEEDS };
    let number = |text: &str| text.trim().parse().expect("LAB_SEEDS is a number, or A..B");
    let (first, last) = asked.split_once("..").unwrap_or((&asked, &asked));
    (number(first), number(last))
}

#[test]
fn whatever_happens_what_must_hold_holds() {
    let (first, last) = seeds();
    let (next, failures) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let slowest = Mutex::new((0.0, 0));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed > last {
            return;
        }
        let out = std::env::var_os("LAB_OUT").map(|out| Path::new(&out).join(seed.to_string()));
        let (scenario, started) = (Scenario { out, ..draw::scenario(seed) }, Instant::now());
        let wrong = amiss(&scenario);
        let took = (started.elapsed().as_secs_f64(), seed);
        let mut slowest = slowest.lock().expect("no panic");
        if took > *slowest {
            *slowest = took;
        }
        if !wrong.is_empty() {
            let failure = format!("{}\n    {}", wrong.join(", "), scenario.command_line());
            println!("seed {seed}: {failure}");
            failures.lock().expect("no panic").push(seed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{first}..{last}; the slowest: {:?}", slowest.into_inner().expect("no panic"));
    let mut failed = failures.into_inner().expect("no panic");
    failed.sort_unstable();
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}

/// What the RNICs notice at this seed, whatever may excuse it.
fn noticed(seed: u64) -> Vec<String> {
    let scenario = draw::scenario(seed);
    println!("{}", scenario.command_line());
    let report = lab::run(&scenario).expect("a report");
    unexcused(&scenario, &report, &report.endpoints.messages.expect("messages"))
}

#[test]
fn queue_pairs_come_and_go_unnoticed_where_psns_are_the_numbers() {
    for seed in [80, 1386] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_queue_pair_in_place_of_another_is_unnoticed_if_the_announcement_is_lost() {
    // At 1065 an answer comes before anything said so, at 551 the new PSN is a little before the old.
    for seed in [551, 1065, 1412] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_queue_pair_in_place_of_another_is_unnoticed_if_its_psns_are_near() {
    // The new PSNs are within 2^20 of the old; at 3086 also behind them.
    for seed in [3086, 3094, 3182, 4440, 5386] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn answers_that_cross_what_asks_for_them_again_come_in_order() {
    assert_eq!(noticed(4_565), [""; 0]);
}

#[test]
fn a_refusal_behind_an_acknowledgement_is_repaired_where_psns_are_the_numbers() {
    // At 6478 the announcement comes before the acknowledgement, at the last three an older one
    // comes after it.
    for seed in [1003, 1956, 6478, 3294, 3320, 6498] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn no_late_copy_passes_for_a_repeat_where_psns_are_the_numbers() {
    for seed in [284, 1105, 1135, 1161, 1810, 1941] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn an_outage_is_unnoticed_where_psns_are_the_numbers() {
    assert_eq!(noticed(682), [""; 0]);
}

#[test]
fn losses_of_atomics_are_unnoticed_where_psns_are_the_numbers() {
    assert_eq!(noticed(1441), [""; 0]);
}

#[test]
fn responses_to_reads_come_in_order_where_psns_are_the_numbers() {
    for seed in [1338, 1404] {
        assert_eq!(noticed(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn what_goes_around_a_path_that_is_away_does_not_fill_a_slower_one_with_copies() {
    let report = lab::run(&draw::scenario(5_054)).expect("a report");
    let gateways = report.gateways.expect("gateways");
    let resent = gateways.a.resent_packets + gateways.b.resent_packets;
    // Each packet that is lost once or twice, and its second copy.
    assert!(resent < 4 * report.endpoints.packets_sent, "{resent}");
    assert_eq!(gateways.a.missed + gateways.b.missed, 0);
}

#[test]
fn no_more_answers_are_owed_than_gateways_remember() {
    assert_eq!(noticed(4_164), [""; 0]);
}
