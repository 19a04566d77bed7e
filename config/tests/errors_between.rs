//! Errors between sections, of whole files, and several at once.

use std::fs;
use std::path::Path;

use config::{Config, Diagnostic};

mod common;
use common::{BASE, changed, findings, wrong};

const PREFIXES: &str = "prefixes = [\"10.20.0.0/16\"]";
const KEY: &str = "key = \"000102030405060708090a0b0c0d0e0f\"";
const WEIGHT: &str = "weight = 1";

/// A second peer, of that name, address and prefix; and a path to it.
fn and_peer(name: &str, address: &str, prefix: &str) -> String {
    format!(
        "{BASE}[[peer]]\nname = \"{name}\"\naddress = \"{address}\"\nprefixes = [\"{prefix}\"]\n\
         {KEY}\n[[path]]\nname = \"to-{name}\"\npeer = \"{name}\"\nport = \"wan0\"\n\
         next_hop = \"02:00:00:00:01:fe\"\nweight = 1\n"
    )
}

/// A second path to the base's peer, with these lines in it.
fn and_path(lines: &str) -> String {
    format!(
        "{BASE}[[path]]\nname = \"south\"\npeer = \"b\"\nport = \"wan0\"\n\
         next_hop = \"02:00:00:00:01:fe\"\n{lines}\n"
    )
}

fn places(found: &[Diagnostic]) -> Vec<(usize, &str)> {
    found.iter().map(|found| (found.line, found.what.as_str())).collect()
}

#[test]
fn what_lies_behind_a_peer() {
    wrong(PREFIXES, "", (21, 1), "neither \"prefixes\" nor \"everything\"", "add prefixes =");
    wrong(PREFIXES, "everything = false", (21, 1), "neither", "everything = true");
    let both = format!("{PREFIXES}\neverything = true");
    wrong(PREFIXES, &both, (25, 14), "both \"prefixes\" and \"everything", "remove one");
    let found = findings(&and_peer("c", "203.0.113.1", "10.0.0.0/8"));
    assert_eq!(
        places(&found),
        [(24, "10.20.0.0/16 overlaps 10.0.0.0/8 of another peer, on line 39")]
    );
    let found = findings(&and_peer("c", "203.0.113.1", "10.20.0.0/16"));
    let same = "10.20.0.0/16 overlaps 10.20.0.0/16 of another peer, on line 24";
    assert_eq!(places(&found), [(39, same)]);
    let all = and_peer("c", "203.0.113.1", "10.1.0.0/16").replace(PREFIXES, "everything = true");
    assert_eq!(
        places(&findings(&all)),
        [(24, "a peer carries everything, and there are other peers")]
    );
    assert!(Config::parse(&and_peer("c", "203.0.113.1", "10.1.0.0/16"), "", Path::new("")).is_ok());
}

#[test]
fn our_own_address_is_behind_no_peer() {
    let what = "192.0.2.0/24 holds 192.0.2.1, the gateway's own address on line 3";
    let prefixes = "prefixes = [\"10.20.0.0/16\", \"192.0.2.0/24\"]";
    wrong(PREFIXES, prefixes, (24, 29), what, "leave out 192.0.2.1");
    wrong(PREFIXES, "prefixes = [\"0.0.0.0/0\"]", (24, 13), "0.0.0.0/0 holds", "leave out");
    // Beside it, and in the other family.
    let beside = changed(PREFIXES, "prefixes = [\"192.0.2.2/31\", \"::/0\"]");
    assert!(Config::parse(&beside, "", Path::new("")).is_ok());
    let own = changed(PREFIXES, "prefixes = [\"2001:db8:a::/48\"]");
    let own = own.replace("198.51.100.1", "2001:db8::2").replace("192.0.2.1", "2001:db8:a::1");
    let found = findings(&own);
    assert_eq!((found.len(), found[0].line, found[0].column), (1, 24, 13));
    assert!(found[0].what.starts_with("2001:db8:a::/48 holds 2001:db8:a::1"), "{}", found[0]);
}

#[test]
fn udp_ports_of_the_workers() {
    let ours = "address = \"192.0.2.1\"";
    let port = |port: u32| format!("{ours}\nudp_port = {port}");
    let roce = "the tunnels' UDP port is 4791: 4791 is RoCEv2's";
    wrong(ours, &port(4_791), (4, 12), roce, "write udp_port = 4794, or another above 4791");
    wrong(ours, &port(65_536), (4, 12), "65536, out of range", "1 to 65535");
    let four = |first: u32| changed(ours, &port(first)).replace("[1]", "[1, 2, 3, 4]");
    let found = findings(&four(4_788));
    let what = "4 workers take the UDP ports 4788 to 4791, one each: 4791 is RoCEv2's";
    assert_eq!(places(&found), [(4, what)]);
    let found = findings(&four(65_533));
    let what = "4 workers take the UDP ports 65533 to 65536, one each: 65535 is the last there is";
    assert_eq!(places(&found), [(4, what)]);
    assert_eq!(found[0].remedy, "write at most udp_port = 65532");
    for right in [4_787, 4_792, 65_532] {
        assert!(Config::parse(&four(right), "", Path::new("")).is_ok(), "{right}");
    }
    assert!(Config::parse(&changed(ours, &port(65_535)), "", Path::new("")).is_ok());
}

#[test]
fn keys_are_explained_and_never_shown() {
    wrong(KEY, "", (21, 1), "neither \"key\" nor \"key_file\"", "openssl rand -hex 32");
    wrong(KEY, "key = \"5ec2e7\"", (25, 7), "the key has 6 hex digits", "32 to 128");
    let odd = format!("key = \"{}\"", "5".repeat(33));
    wrong(KEY, &odd, (25, 7), "the key has 33 hex digits", "an even number");
    wrong(KEY, &format!("{KEY}\nkey_file = \"x\""), (26, 12), "both", "remove one of them");
    wrong(KEY, "key_file = \"no-such\"", (25, 12), "cannot read key file \"no-such\"", "relative");
    let found = findings(&changed(KEY, "key = \"secret words secret words secret words\""));
    assert_eq!((found.len(), found[0].line), (1, 25));
    assert!(!found[0].to_string().contains("secret"), "{}", found[0]);
}

#[test]
fn key_files_lie_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, changed(KEY, "key_file = \"b.key\"")).unwrap();
    fs::write(folder.path().join("b.key"), "ab".repeat(16) + "\n").unwrap();
    let checked = Config::load(&path).unwrap();
    assert_eq!(checked.config.peers[0].key.bytes(), [0xAB; 16]);
    fs::write(folder.path().join("b.key"), "hello").unwrap();
    let errors = Config::load(&path).unwrap_err();
    assert_eq!((errors.findings().len(), errors.findings()[0].line), (1, 25));
    assert!(!errors.to_string().contains("hello"));
    fs::write(&path, changed(KEY, "key_file = \".\"")).unwrap();
    assert!(Config::load(&path).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn carrying_ip_needs_a_next_hop() {
    let carry = format!("{KEY}\ncarry = \"ip\"");
    wrong(KEY, &carry, (26, 9), "port on line 8, which has no \"next_hop\"", "add next_hop");
    let lan = "name = \"lan0\"\nnext_hop = \"02:00:00:00:00:fe\"";
    let text = changed(KEY, &carry).replace("name = \"lan0\"", lan);
    assert!(Config::parse(&text, "", Path::new("")).is_ok());
}

#[test]
fn references() {
    wrong("peer = \"b\"", "peer = \"b\"\npeer2 = 1", (30, 1), "unknown key", "\"peer\"?");
    let found = findings(&changed("peer = \"b\"", "peer = \"bb\""));
    let none = [(21, "there is no path to peer \"b\""), (29, "there is no peer \"bb\"")];
    assert_eq!(places(&found), none);
    assert_eq!(found[1].remedy, "did you mean \"b\"?");
    wrong("port = \"wan0\"", "port = \"lan0\"", (30, 8), "\"lan0\" is no WAN port", "\"wan0\"?");
    wrong("port = \"wan0\"", "port = \"zzzzzz\"", (30, 8), "no port \"zzzzzz\"", "one of \"wan0\"");
    wrong(KEY, &format!("{KEY}\nlan = \"wan0\""), (26, 7), "no LAN port", "\"lan0\"?");
    let twice = findings(&and_path("weight = 1").replace("south", "north"));
    assert_eq!(places(&twice), [(37, "a path \"north\" is on line 28 already")]);
    let twice = findings(&and_peer("c", "198.51.100.1", "10.1.0.0/16"));
    assert_eq!(places(&twice), [(38, "the address 198.51.100.1 is on line 23 already")]);
}

#[test]
fn shares_and_channels() {
    wrong(WEIGHT, "", (27, 1), "neither \"capacity\" nor \"weight\"", "capacity = \"100Gbps\"");
    let both = "capacity = \"1G\"\nweight = 1";
    wrong(WEIGHT, both, (33, 10), "both \"capacity\" and \"weight\"", "remove one");
    wrong(WEIGHT, "capacity = \"100gbps\"", (32, 12), "unknown unit \"gbps\"", "\"100Gbps\"?");
    wrong(WEIGHT, "capacity = \"0bps\"", (32, 12), "0bps, out of range", "1bps to 100Tbps");
    wrong(WEIGHT, "weight = 0", (32, 10), "out of range", "1 to 1000000");
    wrong(WEIGHT, "weight = 1\nchannels = 65", (33, 12), "out of range", "1 to 64");
    let found = findings(&and_path("capacity = \"1G\""));
    assert_eq!(places(&found), [(41, "paths to \"b\" have capacities as well as weights")]);
    let found = findings(&and_path("weight = 1\nchannels = 64"));
    assert_eq!(places(&found), [(42, "the paths to \"b\" have more than 64 channels")]);
}

#[test]
fn sections_of_a_kind_are_bounded() {
    let path = |index: usize| {
        and_path("weight = 1").split_off(BASE.len()).replace("south", &format!("p{index}"))
    };
    let paths: String = (0..256).map(path).collect();
    let found = findings(&format!("{BASE}{paths}"));
    assert!(found.iter().any(|found| found.what == "257 [[path]]: more than 256"), "{found:?}");
    // 64 channels are passed once, and no other name for a path is taken.
    assert_eq!(found.len(), 2);
}

#[test]
fn sizes() {
    let what = "need 1562 with 62 of headers around them, the path carries 1561";
    wrong(
        WEIGHT,
        "weight = 1\nmtu = 1561",
        (33, 7),
        what,
        "mtu to 1562, or lower the LAN's to 1499",
    );
    assert!(Config::parse(&changed(WEIGHT, "weight = 1\nmtu = 1562"), "", Path::new("")).is_ok());
    wrong(
        WEIGHT,
        "weight = 1\nmtu = 1601",
        (33, 7),
        "1601 is above its port's 1600",
        "at most 1600",
    );
    // 20 of IPv4, 8 of UDP, 16 of the tunnel; of a frame also its header and one VLAN tag.
    let lan = "name = \"lan0\"\nnext_hop = \"02:00:00:00:00:fe\"";
    let ip = changed(KEY, &format!("{KEY}\ncarry = \"ip\"")).replace("name = \"lan0\"", lan);
    assert!(Config::parse(&ip.replace("1600", "1544"), "", Path::new("")).is_ok());
    assert!(findings(&ip.replace("1600", "1543"))[0].what.contains("with 44 of headers"));
    let six = BASE.replace("192.0.2.1", "2001:db8::1").replace("198.51.100.1", "2001:db8::2");
    assert!(Config::parse(&six.replace("1600", "1582"), "", Path::new("")).is_ok());
    let found = findings(&six.replace("1600", "1581"));
    assert_eq!((found.len(), found[0].line), (1, 27));
    assert!(found[0].what.contains("need 1582 with 82 of headers"), "{}", found[0]);
}

#[test]
fn what_may_not_fit_its_path_is_a_warning_with_oversize() {
    let address = "address = \"192.0.2.1\"";
    let text = changed(address, &format!("{address}\noversize = \"drop\"")).replace("1600", "1500");
    let checked = Config::parse(&text, "g.toml", Path::new("")).unwrap();
    assert_eq!((checked.warnings.len(), checked.warnings[0].line), (1, 28));
    assert!(checked.warnings[0].what.contains("need 1562"));
}

#[test]
fn five_mistakes_are_shown_at_once() {
    let text = BASE
        .replace("address = \"192", "adress = \"192")
        .replace("cores = [1]", "cores = [1, -1]")
        .replace("mtu = 1600", "mtu = 160000")
        .replace("10.20.0.0/16", "10.20.0.5/16")
        .replace(WEIGHT, "capacity = 100");
    let errors = Config::parse(&text, "g.toml", Path::new("")).unwrap_err();
    let lines: Vec<_> = errors.findings().iter().map(|found| found.line).collect();
    // The misspelt key is missed besides.
    assert_eq!(lines, [1, 3, 6, 19, 24, 32], "{errors}");
    assert_eq!(errors.to_string().matches("\n    remedy: ").count(), 6);
}

#[test]
fn what_is_no_toml() {
    wrong("cores = [1]", "cores = [1", (8, 1), "not TOML: ", "one a line");
    wrong(WEIGHT, "capacity = 100Gbps", (32, 12), "not TOML: ", "in double quotes");
    wrong(WEIGHT, "weight = 1\nweight = 2", (33, 1), "not TOML: duplicate key", "each key once");
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(findings(&deep)[0].what.contains("not TOML"));
}

#[test]
fn files_that_are_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("g.toml");
    let shown = path.display().to_string();
    let error = || Config::load(&path).unwrap_err().to_string();
    assert!(error().starts_with(&format!("{shown}: cannot read it: ")), "{}", error());
    fs::write(&path, vec![b'#'; config::MAX_BYTES + 1]).unwrap();
    assert!(error().starts_with(&format!("{shown}: larger than 1048576 bytes\n    remedy: ")));
    fs::write(&path, b"[gateway]\nname = \"\xC3\xA4\xFF\"\n").unwrap();
    assert!(error().starts_with(&format!("{shown}:2:10: not UTF-8 from here on\n    remedy: ")));
    assert!(Config::parse(&"#".repeat(config::MAX_BYTES + 1), "", Path::new("")).is_err());
    fs::write(&path, "\u{FEFF}".to_string() + &BASE.replace('\n', "\r\n")).unwrap();
    assert_eq!(Config::load(&path).unwrap().warnings, []);
}

#[test]
fn classes_share_no_code_point_and_the_last_one_has_the_rest() {
    let class = |name: &str, keys: &str| format!("[[class]]\nname = \"{name}\"\n{keys}\n");
    let with = |text: String| Config::parse(&format!("{BASE}{text}"), "", Path::new(""));
    let what = |text: String| match with(text) {
        Err(errors) => errors.to_string(),
        Ok(_) => panic!("it is valid"),
    };
    let right = class("gold", "dscp = [46, 34]\npriority = 4") + &class("rest", "");
    let classes = with(right).expect("it is valid").config.classes;
    assert_eq!(classes.len(), 2);
    assert_eq!((&classes[0].dscp[..], classes[0].priority), (&[46, 34][..], Some(4)));
    assert!(classes[1].dscp.is_empty());
    let twice = what(class("gold", "dscp = [46]") + &class("silver", "dscp = [34, 46]"));
    assert!(twice.contains("code point 46 is the class \"gold\"'s"), "{twice}");
    let none = what(class("gold", "") + &class("rest", ""));
    assert!(none.contains("\"gold\" has no code point"), "{none}");
    let many = (0..8).map(|of| class(&format!("c{of}"), &format!("dscp = [{of}]"))).collect();
    assert!(what(many).contains("there are 7 at most"));
    let same = what(class("gold", "dscp = [1]") + &class("gold", ""));
    assert!(same.contains("a class \"gold\""), "{same}");
}

const BACKPRESSURE: &str = "[backpressure]\nports = [\"lan0\"]\nspeed = \"100Gbps\"\n";

#[test]
fn who_holds_whom_back_goes_with_the_rest() {
    let with =
        |change: &dyn Fn(String) -> String| findings(&change(format!("{BASE}{BACKPRESSURE}")));
    assert!(Config::parse(&format!("{BASE}{BACKPRESSURE}"), "", Path::new("")).is_ok());
    let what = |found: Vec<Diagnostic>| match found.as_slice() {
        [one] => one.what.clone(),
        other => panic!("{other:?}"),
    };
    let wan = what(with(&|text| text.replace("ports = [\"lan0\"]\n", "ports = [\"wan0\"]\n")));
    assert_eq!(wan, "port \"wan0\" is no LAN port");
    let long = what(with(&|text| text + "longest_pause = \"1s\"\n"));
    assert!(long.contains("given up after hold_age, 500ms"), "{long}");
    let peer =
        what(with(&|text| text.replace(KEY, &format!("{KEY}\nnumbering = \"transparent\""))));
    assert!(peer.contains("cannot wait"), "{peer}");
    assert!(what(with(&|text| text.replace("speed = \"100Gbps\"\n", ""))).contains("speed"));
    assert!(what(with(&|text| text + "priority = 8\n")).contains("priority"));
    let transparent = format!("{BASE}{BACKPRESSURE}")
        .replace(KEY, &format!("{KEY}\nnumbering = \"transparent\""));
    let queues = "[[tenant]]\nname = \"default\"\nweight = 2\n";
    let lossless = |name: &str, vlan: u16, priority: u8| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nvlan = [{vlan}]\nrate = \"1Gbps\"\nlossless = true\n\
             priority = {priority}\n"
        )
    };
    let of = |section: &str, other: u8| {
        let tenants = lossless("acme", 7, 3) + &lossless("globex", 8, other);
        let queues = "[queues]\npool_bytes = \"1GiB\"\n";
        let text = format!("{BASE}{section}{tenants}{queues}");
        Config::parse(&text, "", Path::new("")).map(|of| of.warnings)
    };
    let warned = what(of(BACKPRESSURE, 3).expect("it is valid"));
    assert!(warned.contains("\"acme\" and \"globex\" have the same priority"), "{warned}");
    for choice in ["pause", "police"] {
        let chosen = format!("{BACKPRESSURE}shared_priority = \"{choice}\"\n");
        assert_eq!(of(&chosen, 3).expect("it is valid"), []);
    }
    assert_eq!(of(BACKPRESSURE, 4).expect("it is valid"), []);
    let nothing = what(with(&|text| text + "shared_priority = \"police\"\n"));
    assert!(nothing.contains("no queues"), "{nothing}");
    let class = what(with(&|text| text + "[[class]]\nname = \"one\"\npriority = 4\n"));
    assert!(class.contains("no queues"), "{class}");
    let is_right = |text: &str| Config::parse(text, "", Path::new("")).is_ok();
    assert!(is_right(&format!("{transparent}{queues}")));
    assert!(is_right(&format!("{BASE}{BACKPRESSURE}").replace("cores = [1]", "cores = [0, 1]")));
}
