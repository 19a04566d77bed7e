//! Every kind of error: where it is found, what it says, and what it advises.

use std::path::Path;

use config::Config;

mod common;
use common::{BASE, changed, findings, wrong};

#[test]
fn the_base_is_right() {
    let checked = Config::parse(BASE, "g.toml", Path::new("")).unwrap();
    assert_eq!(checked.warnings, []);
}

#[test]
fn unknown_keys_and_sections() {
    let address = "address = \"192.0.2.1\"";
    let found = findings(&changed(address, &format!("{address}\n udp_prt = 1")));
    assert_eq!(
        found[0].to_string(),
        "g.toml:4:2: unknown key \"udp_prt\" in [gateway]\n    remedy: did you mean \"udp_port\"?"
    );
    let holes = "holes = 4096";
    wrong(holes, "zzz = 1", (35, 1), "unknown key \"zzz\" in [recovery]", "keys of [recovery] are");
    wrong(holes, "[recovry]\na = 1", (35, 2), "unknown section \"recovry\"", "mean [recovery]?");
    wrong(holes, "[ports]", (35, 2), "unknown section \"ports\"", "did you mean [[port]]?");
    let top = findings(&format!("debug = true\n{BASE}"));
    assert_eq!((top[0].line, top[0].what.as_str()), (1, "unknown key \"debug\""));
}

#[test]
fn missing_keys_and_sections() {
    wrong("name = \"a\"", "", (1, 1), "[gateway] has no \"name\"", "name = \"site-a\"");
    wrong("next_hop = \"02:00:00:00:01:fe\"", "", (27, 1), "[[path]] has no \"next_hop\"", "add");
    let found = findings("");
    let whats: Vec<_> = found.iter().map(|found| found.what.as_str()).collect();
    let none = ["no [gateway]", "no port of role \"lan\"", "no port of role \"wan\"", "no peer"];
    assert_eq!(whats, none.map(|what| format!("there is {what}")));
}

#[test]
fn wrong_types_and_shapes() {
    let cores = "cores = [1]";
    wrong(cores, "cores = 1", (6, 9), "\"cores\" cannot be an integer", "cores = [1]");
    wrong(cores, "cores = []", (6, 9), "\"cores\" is empty", "at least one");
    wrong(cores, "cores = [1, \"2\"]", (6, 13), "no integer", "cores = [1]");
    wrong(cores, "cores = [1, 2, 1]", (6, 9), "names 1 twice", "once");
    wrong(
        cores,
        "idle = \"bakcoff\"",
        (6, 8),
        "cannot be \"bakcoff\"",
        "did you mean \"backoff\"?",
    );
    wrong(cores, "idle = \"\"", (6, 8), "empty", "write 1 to");
    wrong(cores, "buffer_bytes = 511", (6, 16), "is 511, out of range", "512 to 65536");
    wrong(cores, "buffers = -1", (6, 11), "is -1, out of range", "write 1024 to");
    wrong("[workers]", "[[workers]]", (5, 3), "an array of tables", "write [workers]");
    wrong("holes = 4096", "replay_packets = 1000", (35, 18), "not a power of two", "512 or 1024");
    wrong("holes = 4096", "replay_bytes = 5", (35, 16), "an integer", "\"256MiB\"");
    wrong("holes = 4096", "hold_bytes = \"64KiB\"", (35, 14), "64KiB, out of range", "128KiB to");
    wrong("holes = 4096", "hold_age = \"5 parsecs\"", (35, 12), "unknown unit", "units are h, m");
    wrong("holes = 4096", "ack_delay = \"2h\"", (35, 13), "2h, out of range", "1us to 1m");
}

#[test]
fn wrong_addresses() {
    let ours = "address = \"192.0.2.1\"";
    wrong(ours, "address = \"192.0.2.1/24\"", (3, 11), "no IP address", "without port or prefix");
    wrong(
        ours,
        "address = \"224.0.0.1\"",
        (3, 11),
        "not the address of one host",
        "the gateway has",
    );
    wrong(ours, "address = \"2001:db8::1\"", (23, 11), "is IPv4, the gateway's is not", "IPv6");
    wrong(ours, "address = \"198.51.100.1\"", (23, 11), "on line 3 already", "of its own");
    let mac = "mac = \"02:00:00:00:00:01\"";
    wrong(mac, "mac = \"02:00:00:00:00\"", (12, 7), "not an Ethernet address", "six bytes");
    wrong(mac, "mac = \"ff:ff:ff:ff:ff:ff\"", (12, 7), "not the address of one station", "even");
    let prefixes = "prefixes = [\"10.20.0.0/16\"]";
    let bad = "prefixes = [\"10.30.0.0/16\",\n \"10.20.1.0/16\"]";
    wrong(prefixes, bad, (25, 2), "bits set behind its first 16", "\"10.20.0.0/16\"");
    wrong(prefixes, "prefixes = [7]", (24, 13), "no string", "prefixes =");
}

#[test]
fn ports() {
    let lan = "name = \"lan0\"";
    wrong(lan, "name = \"wan0\"", (15, 8), "\"wan0\" is on line 9 already", "a name of its own");
    wrong(lan, "name = \"lan0\"\nnext_hop = 1", (10, 12), "cannot be an integer", "next_hop = ");
    wrong(
        "mtu = 1600",
        "mtu = 1600\nnext_hop = \"02:00:00:00:00:09\"",
        (20, 12),
        "WAN port",
        "[[path]]",
    );
    wrong("mtu = 1600", "mtu = 9601", (19, 7), "out of range", "1280 to 9600");
    wrong("mtu = 1600", "mtu = 1600\nbump = \"lan1\"", (20, 8), "no port \"lan1\"", "\"lan0\"?");
    wrong("mtu = 1600", "mtu = 1600\nbump = \"wan0\"", (20, 8), "\"wan0\" is no LAN port", "lan0");
    wrong("mtu = 1600", "mtu = 1600\ninput = \"x\"", (20, 9), "pcap driver only", "remove it");
    let lan1 = "role = \"lan\"\ndriver = \"ring\"\nmac = \"02:00:00:00:00:02\"";
    let two = changed("mtu = 1600", &format!("mtu = 1600\n[[port]]\nname = \"lan1\"\n{lan1}"));
    let found = findings(&two);
    let places: Vec<_> = found.iter().map(|found| (found.line, found.what.as_str())).collect();
    let several = "there are several LAN ports, and no ";
    let (bump, lan) = (format!("{several}\"bump\" here"), format!("{several}\"lan\" here"));
    assert_eq!(places, [(14, bump.as_str()), (26, lan.as_str())]);
    assert_eq!(found[1].remedy, "add lan = \"lan0\"");
}

#[test]
fn drivers() {
    for (name, key) in [("af_xdp", "interface"), ("dpdk", "device")] {
        let found =
            findings(&BASE.replacen("driver = \"ring\"", &format!("driver = \"{name}\""), 1));
        assert_eq!((found.len(), found[0].line), (1, 8));
        assert_eq!(found[0].what, format!("a port of the {name} driver has no \"{key}\""));
    }
    let found = findings(&BASE.replacen("driver = \"ring\"", "driver = \"pcap\"", 1));
    assert_eq!(found.iter().map(|found| found.line).collect::<Vec<_>>(), [8, 8]);
    assert!(found[0].what.contains("no \"input\"") && found[1].what.contains("no \"output\""));
}

#[test]
fn flows_are_followed_by_thresholds_that_make_sense() {
    let holes = "holes = 4096";
    let flows = |keys: &str| format!("{holes}\n[flows]\n{keys}");
    let wrong = |keys: &str, at, what, remedy| wrong(holes, &flows(keys), at, what, remedy);
    let rate = "mouse_rate 2Gbps is not below elephant_rate 1Gbps";
    wrong("mouse_rate = \"2Gbps\"", (37, 14), rate, "write mouse_rate = \"250Mbps\"");
    let idle = "over after 500ms, before mouse_after 1s";
    wrong("idle = \"500ms\"", (37, 8), idle, "write idle = \"1s\" or more");
    wrong("subflows = 1000", (37, 12), "not a power of two", "512 or 1024");
    wrong("window = \"1us\"", (37, 10), "1us, out of range", "1ms to");
    wrong("folow = true", (37, 1), "unknown key \"folow\" in [flows]", "did you mean \"follow\"?");
}
