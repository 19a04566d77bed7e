//! What may change of a configuration while a gateway runs, and what is refused whole.

use std::path::Path;

use config::in_force::{CHANGEABLE, Change};
use config::keys::TENANT as KEYS;
use config::marking::Marking;
use config::model::Shape;
use config::units::{Bytes, Rate};
use config::{Diagnostics, InForce, Source};

mod common;
use common::BASE;

const TENANTS: &str = r#"
[[tenant]]
name = "acme"
vlan = [7]
rate = "10Gbps"       # as sold

[[tenant]]
name = "other"
order = 3
prefixes = ["10.10.0.0/16"]
lossless = true
rate = "1Gbps"
"#;

fn source(text: &str) -> Source {
    Source::new(text, "g.toml", Path::new("")).expect("small")
}

fn in_force() -> InForce {
    let text = format!("{BASE}{TENANTS}").replace("vlan = [7]", "vlan = [7]\norder = 2");
    InForce::of(source(&text)).unwrap_or_else(|errors| panic!("{errors}")).0
}

/// The text in force with one piece changed.
fn changed(from: &str, to: &str) -> Source {
    let text = format!("{BASE}{TENANTS}").replace("vlan = [7]", "vlan = [7]\norder = 2");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    source(&text.replace(from, to))
}

fn with(tenant: &str, keys: &[(&str, &str)]) -> Result<InForce, Diagnostics> {
    let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    in_force().with(tenant, &keys).map(|(made, _)| made)
}

#[track_caller]
fn refused(tenant: &str, keys: &[(&str, &str)], parts: &[&str]) {
    let said = with(tenant, keys).expect_err("it cannot be").to_string();
    for part in parts {
        assert!(said.contains(part), "{part} not in\n{said}");
    }
}

#[test]
fn a_tenants_keys_change_and_nothing_else_does() {
    let before = in_force();
    let after = with("acme", &[("rate", "40Gbps"), ("weight", "3"), ("burst", "1MiB")]);
    let after = after.unwrap_or_else(|errors| panic!("{errors}"));
    let queue = &after.config().tenants[1].queue;
    let shape = Shape { rate: Rate(40_000_000_000), burst: Some(Bytes(1 << 20)) };
    assert_eq!((queue.rate, queue.weight), (Some(shape), 3));
    let change =
        |key, from: &str, to: &str| Change { tenant: 1, key, from: from.into(), to: to.into() };
    let expected = [
        change("rate", "10Gbps", "40Gbps"),
        change("burst", "default", "1MiB"),
        change("weight", "1", "3"),
    ];
    assert_eq!(before.changes_to(&after), expected);
    assert_eq!((after.file(), &after.config().tenants[2]), ("g.toml", &before.config().tenants[2]));
    // And back again, the key taken away or set.
    let keys = [("rate", "10Gbps"), ("weight", "default"), ("burst", "default")];
    let keys: Vec<_> = keys.map(|(key, value)| (key.into(), value.into())).into();
    let (back, _) = after.with("acme", &keys).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(back.config(), before.config());
}

#[test]
fn marks_begin_and_end_while_it_runs() {
    let keys = [("ecn_min", "64KiB"), ("ecn_max", "1MiB"), ("ecn_probability", "0.25")];
    let after = with("acme", &keys).unwrap_or_else(|errors| panic!("{errors}"));
    let marking =
        Marking { min: Bytes(64 << 10), max: Bytes(1 << 20), probability: 250, cnp: None };
    assert_eq!(after.config().tenants[1].queue.marking, Some(marking));
    let changes = in_force().changes_to(&after);
    let shown: Vec<_> = changes.iter().map(|of| (of.key, &*of.from, &*of.to)).collect();
    let expected = [
        ("ecn_min", "never", "64KiB"),
        ("ecn_max", "never", "1MiB"),
        ("ecn_probability", "default", "0.25"),
    ];
    assert_eq!(shown, expected);
    let keys = keys.map(|(key, _)| (key.into(), "default".into()));
    let (back, _) = after.with("acme", &keys).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(back.config(), in_force().config());
}

#[test]
fn what_follows_from_a_rate_follows_it() {
    let changes = in_force().changes_to(&with("other", &[("rate", "2Gbps")]).expect("it fits"));
    let keys: Vec<_> = changes.iter().map(|change| change.key).collect();
    // A round trip of twice as much.
    assert_eq!(keys, ["rate", "headroom", "xoff", "xon"]);
}

#[test]
fn the_tenant_that_has_the_rest_changes_though_the_file_does_not_name_it() {
    let after = with("default", &[("weight", "9")]).expect("there is one");
    assert_eq!(after.config().tenants[0].queue.weight, 9);
    assert_eq!(in_force().changes_to(&after).len(), 1);
}

#[test]
fn what_is_wrong_is_refused_with_place_and_remedy() {
    refused("acme", &[("rate", "40gbps")], &["unknown unit", "did you mean", "40Gbps", "g.toml"]);
    refused("acme", &[("rate", "40")], &["\"rate\" cannot be an integer", "remedy"]);
    refused("acme", &[("weight", "0"), ("rate", "2Gbps")], &["\"weight\" is 0, out of range"]);
    refused("acme", &[("rate", "default"), ("burst", "64KiB")], &["\"burst\" and no \"rate\""]);
    refused("acme", &[("xoff", "1MiB")], &["lossless"]);
    refused("acme", &[("ecn_min", "1MiB")], &["\"ecn_min\" without \"ecn_max\""]);
    refused("acme", &[("rte", "1Gbps")], &["unknown key \"rte\"", "did you mean rate?"]);
    refused("acme", &[("vlan", "[8]")], &["\"vlan\" cannot change", "restart"]);
    refused("acme", &[("rate", "1Gbps"), ("rate", "2Gbps")], &["given twice"]);
    refused("acne", &[("rate", "1Gbps")], &["no tenant \"acne\"", "did you mean \"acme\"?"]);
    // A round trip of 100 Gbit/s, twice, does not fit the pool of 64 MiB.
    refused("other", &[("rate", "100Gbps")], &["pool", "write pool_bytes"]);
    refused("acme", &[("weight", "1\nname = \"evil\"")], &["remedy"]);
    let changeable = KEYS.keys.iter().filter(|key| CHANGEABLE.contains(&key.name));
    assert_eq!(changeable.count(), CHANGEABLE.len());
}

#[test]
fn without_queues_there_is_nothing_to_change() {
    let text = format!("{BASE}{TENANTS}").replace("rate = \"10Gbps\"", "order = 2");
    let text = text.replace("lossless = true\nrate = \"1Gbps\"", "");
    let (none, _) = InForce::of(source(&text)).unwrap_or_else(|errors| panic!("{errors}"));
    let said = none.with("acme", &[("weight".into(), "2".into())]).expect_err("none").to_string();
    assert!(said.contains("nothing waits in queues") && said.contains("restart"), "{said}");
}

#[test]
fn a_file_read_again_may_change_how_tenants_wait() {
    let before = in_force();
    let (after, _) = before
        .replaced(changed("rate = \"1Gbps\"", "rate = \"2Gbps\"\nalpha = 50"))
        .expect("valid");
    let changes = before.changes_to(&after);
    assert_eq!(changes[0].to, "2Gbps");
    assert!(changes.iter().all(|change| change.tenant == 2) && changes.len() == 5, "{changes:?}");
    // A default written down, and a comment, are no change.
    let (same, _) =
        before.replaced(changed("holes = 4096", "ack_packets = 64 # as ever")).expect("ok");
    assert!(before.changes_to(&same).is_empty());
}

#[test]
fn a_file_read_again_changes_nothing_else() {
    let before = in_force();
    for (from, to, parts) in [
        ("holes = 4096", "holes = 8192", &["g.toml:35:9", "\"holes\" of [recovery]", "= 4096"][..]),
        ("mtu = 1600", "mtu = 1700", &["\"mtu\" of [[port]] \"wan0\" is another", "restart"]),
        ("mtu = 1600\n", "mtu = 1600\nrate = \"1Gbps\"\n", &["\"rate\" of [[port]] \"wan0\""]),
        ("vlan = [7]", "vlan = [8]", &["\"vlan\" of [[tenant]] \"acme\"", "vlan = [7]"]),
        ("name = \"other\"", "name = \"new\"", &["\"new\" is new", "\"other\" is gone"]),
        ("holes = 4096", "ack_packets = 1", &["\"ack_packets\"", "restart"]),
    ] {
        let said = before.replaced(changed(from, to)).expect_err(to).to_string();
        for part in parts {
            assert!(said.contains(part), "{to}: {part} not in\n{said}");
        }
    }
    let other_key = changed("0a0b0c0d0e0f\"", "0a0b0c0d0e0e\"");
    let said = before.replaced(other_key).expect_err("another key").to_string();
    assert!(said.contains("\"key\" of [[peer]] \"b\"") && !said.contains("0a0b"), "{said}");
    let wrong = before.replaced(changed("rate = \"1Gbps\"", "rate = \"1\"")).expect_err("no unit");
    assert!(wrong.to_string().contains("has no unit"), "{wrong}");
}
