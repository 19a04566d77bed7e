//! Ports of DPDK on its virtual devices. DPDK is started once a process, so each scenario is a
//! process of its own: the test binary runs itself again, naming the scenario in the environment.
#![cfg(feature = "dpdk")]

#[path = "dpdk/kernel.rs"]
mod kernel;
#[path = "dpdk/scenarios.rs"]
mod scenarios;
#[path = "dpdk/site.rs"]
mod site;

use std::process::Command;

/// Names the scenario that a process of its own plays.
const SCENARIO: &str = "DPDK_SCENARIO";

/// Scenarios that need a network namespace of their own, and so root.
const NETWORKED: [&str; 4] = [
    "frames_are_steered_or_spread",
    "a_tap_carries_frames_to_the_kernel",
    "jumbo_frames_pass_an_interface_of_the_kernel",
    "every_driver_that_is_promised_comes_up",
];

/// Plays `scenario` in a process of its own.
fn alone(scenario: &str) {
    if std::env::var(SCENARIO).as_deref() == Ok(scenario) {
        return scenarios::play(scenario);
    }
    let me = std::env::current_exe().expect("a test binary");
    let mut command = Command::new("unshare");
    if !NETWORKED.contains(&scenario) {
        command = Command::new(me);
    } else if kernel::is_root() {
        command.arg("--net").arg(me);
    } else {
        println!("{scenario} needs root: not tried");
        return;
    }
    let output = command
        .args([scenario, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, scenario)
        .output()
        .expect("it can run itself");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success() && text(&output.stdout).contains("1 passed"),
        "{scenario}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                alone(stringify!($name));
            }
        )*
    };
}

scenarios! {
    a_ring_carries_frames_without_copying_them,
    what_is_retained_is_sent_twice_intact,
    nobody_writes_to_what_a_ring_still_holds,
    jumbo_frames_go_and_come_in_segments,
    frames_of_other_pools_are_copied,
    what_does_not_fit_stays_in_the_queue,
    a_null_device_counts,
    a_capture_passes_byte_for_byte,
    a_tap_carries_frames_to_the_kernel,
    jumbo_frames_pass_an_interface_of_the_kernel,
    a_device_closes_and_opens_again,
    two_workers_have_a_queue_and_a_pool_each,
    every_driver_that_is_promised_comes_up,
    what_cannot_be_started_says_why,
    arguments_that_contradict_each_other_are_named,
    hugepages_are_used_or_named,
    frames_are_steered_or_spread,
    whoever_starts_it_keeps_its_core,
    buffers_run_out_and_come_back,
}
