//! Tenants: whose packets are whose, and what is refused about them.

use std::fmt::Write;
use std::path::Path;

use config::units::Bytes;
use config::{Checked, Config};

mod common;
use common::{BASE, findings};

/// The base with these sections behind it.
fn with(tenants: &[&str]) -> String {
    let mut text = BASE.to_owned();
    for tenant in tenants {
        text += &format!("[[tenant]]\n{tenant}\n");
    }
    text
}

fn parse(text: &str) -> Checked {
    Config::parse(text, "g.toml", Path::new("")).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The one error: its line behind the base, what is wrong, the remedy.
#[track_caller]
fn wrong(tenants: &[&str], line: usize, what: &str, remedy: &str) {
    let found = findings(&with(tenants));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].line, BASE.lines().count() + line, "{}", found[0]);
    assert!(found[0].what.contains(what), "{}", found[0]);
    assert!(found[0].remedy.contains(remedy), "{}", found[0]);
}

#[test]
fn without_tenants_there_is_not_even_the_default_one() {
    assert_eq!(parse(BASE).config.tenants, []);
}

#[test]
fn the_default_tenant_comes_first_and_the_others_by_their_order() {
    let tenants = parse(&with(&[
        "name = \"late\"\norder = 20\nvlan = [5]",
        "name = \"apart\"\nvlan = [6]\ndscp = [3]",
        "name = \"early\"\norder = 10\nprefixes = [\"10.0.0.0/8\"]\nvlan = [5]",
    ]))
    .config
    .tenants;
    let names: Vec<_> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["default", "early", "late", "apart"]);
    assert_eq!((&tenants[3].vlans[..], &tenants[3].dscp[..]), (&[6][..], &[3][..]));
    let bounded = "name = \"default\"\nreplay_bytes = \"1MiB\"";
    let tenants = parse(&with(&["name = \"a\"\nports = [\"lan0\"]", bounded])).config.tenants;
    assert_eq!((tenants[0].replay_bytes, tenants[0].hold_bytes), (Some(Bytes(1 << 20)), None));
    assert_eq!((tenants[1].name.as_str(), &tenants[1].ports[..]), ("a", &[0][..]));
}

#[test]
fn overlapping_tenants_are_refused_unless_both_have_an_order() {
    let remedy = "values of one kind that differ, or both an \"order\"";
    let line = BASE.lines().count() + 1;
    let both = format!("a packet may be both \"b\"'s and \"a\"'s, on line {line}");
    for (ours, theirs) in [
        ("vlan = [1, 2]", "vlan = [2, 3]"),
        ("vlan = [1]", "dscp = [1]"),
        ("p_keys = [0x8001]", "p_keys = [1]"),
        ("prefixes = [\"10.0.0.0/8\"]", "prefixes = [\"10.1.0.0/16\", \"11.0.0.0/8\"]"),
        ("ports = [\"lan0\"]", "ports = [\"lan0\"]\norder = 3"),
    ] {
        let (a, b) = (format!("name = \"a\"\n{ours}"), format!("name = \"b\"\n{theirs}"));
        wrong(&[&a, &b], 4, &both, remedy);
        let (a, b) = (format!("order = 1\n{a}"), format!("order = 2\n{b}"));
        if !theirs.contains("order") {
            assert_eq!(parse(&with(&[&a, &b])).config.tenants.len(), 3);
            let b = b.replace("order = 2", "order = 1");
            wrong(&[&a, &b], 6, &both, "the lower order comes first");
        }
    }
    for (ours, theirs) in [
        ("vlan = [1, 2]", "vlan = [3]"),
        ("vlan = [1]\ndscp = [1]", "vlan = [1]\ndscp = [2]"),
        ("prefixes = [\"10.0.0.0/16\"]", "prefixes = [\"10.1.0.0/16\", \"::/0\"]"),
    ] {
        let (a, b) = (format!("name = \"a\"\n{ours}"), format!("name = \"b\"\n{theirs}"));
        assert_eq!(parse(&with(&[&a, &b])).config.tenants.len(), 3);
    }
}

#[test]
fn what_a_tenant_cannot_be() {
    wrong(&["name = \"a\""], 1, "of no packet that it is its own", "one or more of vlan");
    let default = "name = \"default\"\nvlan = [1]";
    wrong(&[default], 1, "has what is nobody else's", "bounds only");
    wrong(&["name = \"a\"\nvlan = [4095]"], 3, "4095, out of range", "0 to 4094");
    wrong(&["name = \"a\"\ndscp = [64]"], 3, "64, out of range", "0 to 63");
    wrong(&["name = \"a\"\np_keys = [\"x\"]"], 3, "no integer", "p_keys = [0x8001]");
    wrong(&["name = \"a\"\nports = [\"wan0\"]"], 3, "\"wan0\" is no LAN port", "\"lan0\"");
    let greedy = "name = \"a\"\nvlan = [1]\nreplay_bytes = \"1GiB\"";
    wrong(&[greedy], 4, "1GiB is above 256MiB", "write less");
    let same = ["name = \"a\"\nvlan = [1]", "name = \"a\"\nvlan = [2]"];
    wrong(&same, 5, "a tenant \"a\" is on line", "a name of its own");
    let vlans: Vec<_> = (0..4_000).map(|vlan| vlan.to_string()).collect();
    let many =
        format!("name = \"a\"\nvlan = [{}]\ndscp = [{}]", vlans.join(","), vlans[..17].join(","));
    wrong(&[&many], 1, "68000 combinations", "fewer values");
}

#[test]
fn tags_are_not_carried_with_ip_and_it_says_so() {
    let hop = "mac = \"02:00:00:00:00:01\"\n";
    let text = with(&["name = \"a\"\nvlan = [1]"])
        .replace(hop, &format!("{hop}next_hop = \"02:00:00:00:00:fe\"\n"))
        .replace("prefixes", "carry = \"ip\"\nprefixes");
    let warnings = parse(&text).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].what.contains("carries IP"), "{}", warnings[0]);
}

#[test]
fn thousands_of_tenants_are_read_and_need_as_many_lanes() {
    let many = |count: usize| {
        (0..count).fold(String::new(), |mut text, n| {
            let _ = writeln!(
                text,
                "[[tenant]]\nname = \"t{n}\"\nprefixes = [\"10.{}.{}.0/24\"]",
                n / 256,
                n % 256
            );
            text
        })
    };
    let text = format!("{BASE}{}", many(4_096));
    let found = findings(&text);
    assert_eq!((found.len(), found[0].line), (1, 21), "{}", found[0]);
    assert!(found[0].what.contains("4096 tenants need 8192 lanes"), "{}", found[0]);
    let lanes =
        text.replace("prefixes = [\"10.20.0.0/16\"]\nkey", "everything = true\nlanes = 8192\nkey");
    assert_eq!(parse(&lanes).config.tenants.len(), 4_097);
    let one = |name| format!("[[tenant]]\nname = \"{name}\"\nvlan = [1]\n");
    let found = findings(&format!("{lanes}{}{}", one("y"), one("z")));
    assert!(found.iter().any(|found| found.what.contains("more than 4097")), "{found:?}");
}
