//! Paths with SRv6: what they need, and what they take up.

use std::net::Ipv6Addr;
use std::path::Path;

use config::Config;
use config::model::Encapsulation;

mod common;
use common::{BASE, changed, findings, wrong};

const ADDRESS: &str = "address = \"192.0.2.1\"";
const WEIGHT: &str = "weight = 1";
const SID: &str = "sid = \"2001:db8:a::d46\"";

/// The base with a SID and with these lines in its path.
fn with(lines: &str) -> String {
    let base = changed(ADDRESS, &format!("{ADDRESS}\n{SID}"));
    base.replace(WEIGHT, &format!("{WEIGHT}\n{lines}"))
}

fn segments(count: usize) -> String {
    let list: Vec<_> = (1..=count).map(|n| format!("\"2001:db8:b::{n}\"")).collect();
    format!("segments = [{}]", list.join(", "))
}

#[test]
fn a_path_has_udp_unless_it_says_otherwise() {
    let parse = |text: &str| Config::parse(text, "", Path::new("")).unwrap().config;
    let base = parse(BASE);
    assert_eq!((base.gateway.sid, base.gateway.ecn), (None, true));
    assert_eq!(base.peers[0].paths[0].encapsulation, Encapsulation::Udp);
    let ours: Ipv6Addr = "2001:db8:a::d46".parse().unwrap();
    let theirs: Vec<Ipv6Addr> = vec!["2001:db8:b::1".parse().unwrap()];
    for (word, reduced) in [("srv6", false), ("srv6-red", true)] {
        let text = with(&format!("encapsulation = \"{word}\"\n{}", segments(1)));
        let config = parse(&text.replace("mtu = 1600", "mtu = 1700"));
        assert_eq!(config.gateway.sid, Some(ours));
        let expected = Encapsulation::Srv6 { segments: theirs.clone(), reduced };
        assert_eq!(config.peers[0].paths[0].encapsulation, expected);
    }
    let off = parse(&changed(ADDRESS, &format!("{ADDRESS}\necn = false")));
    assert!(!off.gateway.ecn);
}

#[test]
fn segments_and_encapsulation_belong_together() {
    let srv6 = |lines: &str| format!("{WEIGHT}\nencapsulation = \"srv6\"\n{lines}");
    wrong(WEIGHT, &srv6(""), (33, 17), "SRv6, and no segments", "add segments = [");
    wrong(WEIGHT, &format!("{WEIGHT}\n{}", segments(1)), (33, 12), "no SRv6", "\"srv6\"");
    let typing = format!("{WEIGHT}\nencapsulation = \"srv-6\"");
    wrong(
        WEIGHT,
        &typing,
        (33, 17),
        "\"encapsulation\" cannot be \"srv-6\"",
        "did you mean \"srv6\"?",
    );
    let many = srv6(&segments(17));
    wrong(WEIGHT, &many, (34, 12), "17 segments", "write 1 to 16");
    for bad in ["10.0.0.1", "::", "ff02::1", "fe80::1", "b"] {
        let lines = srv6(&format!("segments = [\"2001:db8::1\", \"{bad}\"]"));
        wrong(WEIGHT, &lines, (34, 28), &format!("is \"{bad}\""), "\"2001:db8:b::d46\"");
    }
}

#[test]
fn a_sid_is_nobodys_address_and_on_no_way() {
    let sid = |sid: &str| format!("{ADDRESS}\nsid = \"{sid}\"");
    wrong(ADDRESS, &sid("192.0.2.9"), (4, 7), "\"sid\" is \"192.0.2.9\"", "IPv6");
    let own = BASE.replace("192.0.2.1", "2001:db8:a::1").replace("198.51.100.1", "2001:db8:b::1");
    for address in ["2001:db8:a::1", "2001:db8:b::1"] {
        let line = "address = \"2001:db8:a::1\"";
        let found = findings(&own.replace(line, &format!("{line}\nsid = \"{address}\"")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("a gateway's address too"), "{}", found[0]);
    }
    let back = with("encapsulation = \"srv6-red\"\nsegments = [\"2001:db8:a::d46\"]");
    let found = findings(&back.replace("mtu = 1600", "mtu = 1700"));
    assert_eq!((found.len(), found[0].line, found[0].column), (1, 35, 13), "{found:?}");
    assert!(found[0].what.contains("our own SID"), "{}", found[0]);
    // A source of IPv6 is needed, and one of the two is.
    let lines = format!("{WEIGHT}\nencapsulation = \"srv6-red\"\n{}", segments(1));
    let found = findings(&changed(WEIGHT, &lines).replace("mtu = 1600", "mtu = 1700"));
    assert_eq!((found.len(), found[0].line), (1, 34), "{found:?}");
    assert!(found[0].remedy.contains("add sid ="), "{}", found[0]);
}

#[test]
fn tunnels_need_no_other_source_ports() {
    let numbering = "key = \"000102030405060708090a0b0c0d0e0f\"";
    let on = format!("{numbering}\nsource_port_entropy = true");
    wrong(numbering, &on, (26, 23), "go as they are", "remove the key");
    let text = changed(numbering, &format!("{on}\nnumbering = \"transparent\""));
    let config = Config::parse(&text, "", Path::new("")).unwrap().config;
    assert!(config.peers[0].source_port_entropy);
}

#[test]
fn headers_count_against_the_mtu() {
    // 1500 of the LAN, 18 of its frame, 44 of the tunnel over IPv4; 40 of IPv6, and the list.
    for (word, count, need) in
        [("srv6-red", 1, 1_602), ("srv6", 1, 1_626), ("srv6-red", 3, 1_642), ("srv6", 3, 1_658)]
    {
        let text = with(&format!("encapsulation = \"{word}\"\n{}", segments(count)));
        let found = findings(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains(&format!("need {need} with")), "{}", found[0]);
        assert!(found[0].remedy.contains(&format!("mtu to {need}")), "{}", found[0]);
        let fits = text.replace("mtu = 1600", &format!("mtu = {need}"));
        assert!(Config::parse(&fits, "", Path::new("")).is_ok());
    }
}

#[test]
fn messages_between_gateways_fit_too() {
    let text = with(&format!("mtu = 1400\nencapsulation = \"srv6\"\n{}", segments(16)));
    let text = text.replace(ADDRESS, &format!("{ADDRESS}\noversize = \"drop\""));
    let found = findings(&text);
    // 1200 and 48 around them; 40 and 8 and 16 x 16 of SRv6.
    let what = "need 1552 bytes with 304 of SRv6, the path carries 1400";
    assert!(found.iter().any(|found| found.what.contains(what)), "{found:?}");
}
