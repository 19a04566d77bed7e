//! Queues: when there are any, what they need, and what is refused about them.

use std::path::Path;

use config::marking::Marking;
use config::model::{Queues, Shape};
use config::units::{Bytes, Rate, Span};
use config::{Checked, Config};

mod common;
use common::{BASE, findings};

fn with(text: &str) -> String {
    format!("{BASE}{text}\n")
}

fn parse(text: &str) -> Checked {
    Config::parse(&with(text), "g.toml", Path::new("")).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The one error: its line behind the base, what is wrong, the remedy.
#[track_caller]
fn wrong(text: &str, line: usize, what: &str, remedy: &str) {
    let found = findings(&with(text));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].line, BASE.lines().count() + line, "{}", found[0]);
    assert!(found[0].what.contains(what), "{}", found[0]);
    assert!(found[0].remedy.contains(remedy), "{}", found[0]);
}

#[test]
fn packets_are_marked_between_two_lengths() {
    let marks = format!("{TENANT}ecn_min = \"64KiB\"\necn_max = \"1MiB\"");
    let marking =
        Marking { min: Bytes(64 << 10), max: Bytes(1 << 20), probability: 100, cnp: None };
    assert_eq!(parse(&marks).config.tenants[1].queue.marking, Some(marking));
    let cnp = format!("{marks}\ncnp = \"50us\"");
    let notifies = Marking { cnp: Some(Span(50_000)), ..marking };
    assert_eq!(parse(&cnp).config.tenants[1].queue.marking, Some(notifies));
    wrong(&format!("{TENANT}cnp = \"50us\""), 4, "\"cnp\" without \"ecn_min\"", "add ecn_min");
    wrong(&format!("{marks}\ncnp = \"2s\""), 6, "out of range", "1us to 1s");
    // It asks for queues.
    assert!(parse(&marks).config.queues.is_some());
    let alone = format!("{TENANT}ecn_probability = 0.5");
    wrong(&alone, 4, "\"ecn_probability\" without \"ecn_min\"", "add ecn_min");
    let no_max = format!("{TENANT}ecn_min = \"64KiB\"");
    wrong(&no_max, 4, "\"ecn_min\" without \"ecn_max\"", "add ecn_max");
    let same = format!("{TENANT}ecn_max = \"1MiB\"\necn_min = \"1MiB\"");
    wrong(&same, 5, "\"ecn_min\", 1MiB, is not below \"ecn_max\", 1MiB", "lower ecn_min");
    wrong(&format!("{marks}\necn_probability = 1.5"), 6, "out of range", "0.001 to 1");
    wrong(&format!("{marks}\necn_probability = \"off\""), 6, "cannot be \"off\"", "ecn_min");
}

const TENANT: &str = "[[tenant]]\nname = \"a\"\nvlan = [7]\n";

#[test]
fn nothing_waits_unless_a_tenant_or_a_port_asks_for_it() {
    assert_eq!(parse("").config.queues, None);
    assert_eq!(parse(TENANT).config.queues, None);
    let default = Some(Queues { pool_bytes: Bytes(64 << 20), packets: 16_384 });
    assert_eq!(parse(&format!("{TENANT}weight = 2")).config.queues, default);
    let checked = parse("[queues]\npackets = 128");
    assert_eq!((checked.config.queues, checked.warnings.len()), (None, 1));
    let smaller = format!("{TENANT}weight = 2\n[queues]\npackets = 128\npool_bytes = \"1MiB\"");
    let queues = Queues { pool_bytes: Bytes(1 << 20), packets: 128 };
    assert_eq!(parse(&smaller).config.queues, Some(queues));
}

#[test]
fn a_port_and_a_tenant_have_their_rates() {
    let base = BASE.replacen("role = \"lan\"", "role = \"lan\"\nrate = \"10Gbps\"", 1);
    let text = format!("{base}{TENANT}rate = \"1Gbps\"\nburst = \"64KiB\"\n");
    let config = Config::parse(&text, "g.toml", Path::new("")).expect("valid").config;
    let lan = config.ports.iter().find_map(|port| port.rate);
    assert_eq!(lan, Some(Shape { rate: Rate(10_000_000_000), burst: None }));
    let tenant = Shape { rate: Rate(1_000_000_000), burst: Some(Bytes(64 << 10)) };
    assert_eq!(config.tenants[1].queue.rate, Some(tenant));
    assert_eq!(config.tenants[0].queue.rate, None);
}

#[test]
fn queued_packets_have_buffers() {
    let without = parse("").config.workers.buffers;
    let with = parse(&format!("{TENANT}weight = 2")).config.workers.buffers;
    // Towards the WAN and the LAN: each packet one that is not full, and full ones for the pool.
    assert_eq!(with - without, 2 * (16_384 + (64_u32 << 20).div_ceil(2_304)));
}

#[test]
fn headroom_is_a_round_trip_of_the_rate_and_two_frames() {
    // 1 Gbit/s for 10 ms, and two frames of a LAN and WAN of 1,500 and 1,600 bytes.
    let lossless = format!("{TENANT}lossless = true\nrate = \"1Gbps\"\n");
    let queue = parse(&lossless).config.tenants[1].queue.clone();
    let needed = queue.headroom;
    assert!((1_250_000..1_250_000 + 2 * 10_000).contains(&needed.0), "{needed}");
    assert_eq!(queue.xoff, Some((needed, Bytes(needed.0 / 2))));
    let less = format!("{lossless}headroom = \"1MiB\"");
    wrong(&less, 6, "does not hold what still comes", &format!("write headroom = \"{needed}\""));
    let exact = format!("{lossless}headroom = \"{needed}\"");
    assert_eq!(parse(&exact).config.tenants[1].queue, queue);
}

#[test]
fn a_lossless_queue_that_cannot_be_is_refused() {
    let lossless = format!("{TENANT}lossless = true\nrate = \"100Gbps\"\n");
    // 125 MB of headroom for each of two classes.
    wrong(&format!("{lossless}[queues]"), 6, "the pool of the queues has 64MiB", "239MiB");
    let large = format!("{lossless}[queues]\npool_bytes = \"256MiB\"");
    assert_eq!(parse(&large).config.tenants[1].queue.alpha, 100);
    let odd = format!("{TENANT}lossless = true\nrate = \"1Gbps\"\nxoff = \"1MiB\"\nxon = \"1MiB\"");
    wrong(&odd, 7, "is not below", "half of xoff");
    let lossy = format!("{TENANT}xoff = \"1MiB\"");
    wrong(&lossy, 4, "is of lossless queues", "lossless = true");
}

#[test]
fn a_burst_needs_a_rate_and_wan_ports_have_rates_together() {
    wrong(&format!("{TENANT}burst = \"64KiB\""), 4, "no \"rate\"", "add a rate");
    let second = "[[port]]\nname = \"wan1\"\nrole = \"wan\"\ndriver = \"ring\"\n\
                  mac = \"02:00:00:00:01:02\"\nrate = \"10Gbps\"";
    let found = findings(&with(second));
    let what = "other WAN ports have no \"rate\"";
    assert!(found.iter().any(|finding| finding.what.contains(what)), "{found:#?}");
}
