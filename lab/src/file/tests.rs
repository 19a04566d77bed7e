use std::path::Path;

use config::keys::Section;

use super::*;
use crate::expect::Comparison;
use crate::scenario::Source;
use crate::seeds::Seeds;

/// What is said of a file with errors.
fn errors(text: &str) -> String {
    parse(text, "s.toml", Path::new("")).unwrap_err().to_string()
}

/// The smallest file, and more.
fn with(more: &str) -> String {
    format!("[[traffic]]\nverb = \"write\"\n[[path]]\nname = \"p1\"\n{more}\n")
}

/// The lines of a section in the example: from each of its headers, commented out or not, to the
/// next one.
fn example_of(section: &Section) -> Vec<&'static str> {
    let plain = |line: &'static str| line.strip_prefix("# ").unwrap_or(line);
    let mut inside = false;
    let lines = EXAMPLE.lines().map(plain).filter(move |line| {
        if line.starts_with('[') {
            inside = *line == section.header();
        }
        inside
    });
    lines.collect()
}

#[test]
fn the_example_shows_every_key() {
    for section in &keys::SECTIONS {
        let lines = example_of(section);
        for key in section.keys {
            let is_shown = |line: &&str| {
                line.strip_prefix(key.name).is_some_and(|rest| rest.starts_with(" = "))
            };
            let shown = lines.iter().any(is_shown);
            assert!(shown, "{} of {} is not in the example", key.name, section.header());
        }
    }
}

#[test]
fn the_example_runs_and_holds() {
    let experiment = parse(EXAMPLE, "example.toml", Path::new("")).unwrap();
    assert_eq!((experiment.compare, experiment.expectations.len()), (true, 5));
    for seed in experiment.seeds.all() {
        let outcome = experiment.run(seed).unwrap();
        let failures: Vec<_> = outcome.failures().map(ToString::to_string).collect();
        assert_eq!(failures, [""; 0]);
        assert_eq!(outcome.expectations.len(), 5);
    }
}

/// What the example has behind "#" is right as well: all keys that go together, at once.
#[test]
fn the_example_with_all_that_is_optional_parses() {
    let is_key = |line: &str| {
        let name = line.split(" = ").next().filter(|name| *name != line);
        line == "[[restart]]" || name.is_some_and(|name| !name.contains(' '))
    };
    let left_out =
        ["input = ", "site_a = ", "no_gateways = ", "dscp = ", "srv6_red = ", "recreate = "];
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(bare) if is_key(bare) && !left_out.iter().any(|key| bare.starts_with(key)) => bare,
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let experiment = parse(&text, "example.toml", Path::new("")).unwrap();
    let scenario = experiment.scenario;
    assert_eq!((scenario.restarts.len(), scenario.paths[0].does.down.len()), (1, 1));
    assert_eq!((scenario.bounds.replay_packets, scenario.bounds.mtu), (Some(4096), 9216));
    let [traffic] = scenario.traffic_groups() else { panic!("traffic") };
    assert_eq!((traffic.window, traffic.recreate), (Some(64 << 20), None));
    let bursts = crate::traffic::Bursts { messages: 8, every: 5_000_000 };
    assert_eq!((traffic.hosts, traffic.bursts), (4, Some(bursts)));
}

#[test]
fn every_example_of_a_key_is_right() {
    for section in &keys::SECTIONS {
        for key in section.keys.iter().filter(|key| !key.required) {
            if ["compare", "no_gateways"].contains(&key.name) || section.name == "expect" {
                continue;
            }
            let said = format!("{} = {}\n", key.name, key.example);
            let text = match section.name {
                "capture" => {
                    format!("[capture]\ninput = \"a\"\n{said}[[path]]\nname = \"p\"\n")
                }
                "traffic" => with("").replace("[[path]]", &format!("{said}[[path]]")),
                "path" => with(&said),
                _ => with(&format!("{}\n{said}", section.header())),
            };
            let read = parse(&text, "s.toml", Path::new(""));
            assert!(read.is_ok(), "{text}{}", read.unwrap_err());
        }
    }
}

#[test]
fn what_is_not_said_is_as_with_flags() {
    let experiment = parse(&with(""), "s.toml", Path::new("")).unwrap();
    let paths = vec!["p1".parse().unwrap()];
    let expected = crate::Scenario::traffic("verb=write".parse().unwrap(), paths, 1);
    assert_eq!(experiment.scenario, expected);
    assert_eq!((experiment.seeds, experiment.compare), (Seeds::one(1), false));
    assert_eq!(experiment.expectations, []);
}

#[test]
fn captures_are_found_from_where_the_file_is() {
    let read = |input: &str| {
        let text = format!(
            "[capture]\ninput = \"{input}\"\nsite_a = [\"10.0.0.0/8\"]\n[[path]]\nname = \"p\"\n"
        );
        let experiment = parse(&text, "s.toml", Path::new("some/where")).unwrap();
        let Source::Capture(capture) = experiment.scenario.source else { panic!("a capture") };
        assert_eq!(capture.site_a.len(), 1);
        capture.input
    };
    assert_eq!(read("../a.pcap"), Path::new("some/where/../a.pcap"));
    assert_eq!(read("/a.pcap"), Path::new("/a.pcap"));
}

#[test]
fn expectations_are_read_in_order_with_their_lines() {
    let text = with(
        "[[expect]]\nfield = \"scenario.mode\"\nequals = \"tunnel\"\n\
         [[expect]]\nfield = \"a\"\nat_least = 0.5\n[[expect]]\nfield = \"b.0\"\nwithin = [-1, 2.5]\n\
         [[expect]]\nfield = \"c\"\nequals = true\n[[expect]]\nfield = \"d\"\nat_most = 7\n",
    );
    let experiment = parse(&text, "s.toml", Path::new("")).unwrap();
    let shown = experiment.expectations.iter().map(|expectation| {
        let crate::expect::Expectation { field, comparison, line } = expectation;
        format!("{line}: {field} {comparison}")
    });
    let shown: Vec<String> = shown.collect();
    let expected = [
        "5: scenario.mode = \"tunnel\"",
        "8: a at least 0.5",
        "11: b.0 -1 to 2.5",
        "14: c = true",
        "17: d at most 7",
    ];
    assert_eq!(shown, expected);
    assert!(
        matches!(&experiment.expectations[3].comparison, Comparison::Equals(value) if value == true)
    );
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    for (text, what, remedy) in [
        (String::new(), "s.toml:1:1: nothing is sent", "write [capture] with its input, or"),
        (String::new(), "s.toml:1:1: there is no [[path]]", "write [[path]] with a name"),
        (with("loss = 2"), "s.toml:5:8: \"loss\": \"2\" is not a probability", "from 0 to 1"),
        (with("loss = true"), "s.toml:5:8: \"loss\" cannot be a boolean", "loss = 1e-3"),
        (
            with("los = 0.1"),
            "s.toml:5:1: unknown key \"los\" in [[path]]",
            "did you mean \"loss\"?",
        ),
        (with("delay = 5"), "s.toml:5:9: \"delay\": \"5\" has no unit", "as in \"10ms\""),
        (with("rate = \"10X\""), "s.toml:5:8: \"rate\": unknown unit \"X\"", "units are"),
        (with("loss = 0.9\nburst = 2"), "s.toml:5:8: \"loss\": with burst=2", "make bursts longer"),
        (with("loss = nan"), "s.toml:5:8: \"loss\": \"NaN\" is not a number", "as 0.001"),
        (with("down = [\"2s..1s\"]"), "s.toml:5:9: \"2s..1s\" ends before it starts", "earlier"),
        (with("down = [1]"), "s.toml:5:9: an element of \"down\" is no text", "double quotes"),
        (with("[[path]]\nname = \"p1\""), "s.toml:6:8: a second path \"p1\"", "of its own"),
        (with("[[path]]\nrate = \"1G\""), "s.toml:5:1: [[path]] has no \"name\"", "name = \"p1\""),
        (
            with("[[traffic]]\nverb = \"read\"\nname = \"g1\""),
            "s.toml:7:8: a second [[traffic]] with",
            "a name of its own",
        ),
        (with("[capture]\ninput = \"a\""), "s.toml:5:1: both [capture] and", "leave one of"),
        (with("[path]"), "not TOML: duplicate key", "[[...]] for sections"),
        (with("[run]\nseed = \"9..1\""), "s.toml:6:8: \"seed\": \"9..1\" ends", "write 1..9"),
        (with("[run]\nseed = -1"), "s.toml:6:8: \"seed\": \"-1\"", "as 1..20"),
        (
            with("[run]\ncompare = true\nno_gateways = true"),
            "s.toml:6:11: \"compare\" and \"no_gateways\" are both true",
            "leave one of the two out",
        ),
        (
            with("[run]\nno_gateways = true\n[[restart]]\ngateway = \"a\"\nat = \"1ms\""),
            "s.toml:7:1: a gateway starts anew",
            "leave one of the two out",
        ),
        (
            with("[[restart]]\ngateway = \"c\"\nat = \"1ms\""),
            "s.toml:6:11: \"gateway\" cannot be \"c\"",
            "did you mean \"a\"?",
        ),
        (with("[gateways]\nmode = \"tunel\""), "cannot be \"tunel\"", "did you mean \"tunnel\"?"),
        (with("[gateways]\nmtu = 500"), "\"mtu\" is 500, out of range", "write 576 to 65535"),
        (with("[gateways]\nreplay_packets = 5"), "not a power of two", "write 4 or 8"),
        (with("[gateway]"), "s.toml:5:2: unknown section \"gateway\"", "did you mean [gateways]?"),
    ] {
        let errors = errors(&text);
        assert!(errors.contains(what) && errors.contains(remedy), "{text}: {errors}");
    }
}

#[test]
fn expectations_that_cannot_be_are_refused() {
    for (expect, what, remedy) in [
        ("equals = 1", "s.toml:5:1: [[expect]] has no \"field\"", "endpoints.missing"),
        ("field = \"a\"", "s.toml:5:1: [[expect]] compares with nothing", "write one of equals"),
        (
            "field = \"a\"\nequals = 1\nat_most = 2",
            "has equals and at_most: which one?",
            "write one",
        ),
        ("field = \"a..b\"\nequals = 1", "s.toml:6:9: \"a..b\" has a part without", "with points"),
        ("field = \"a\"\nequals = [1]", "s.toml:7:10: \"equals\" cannot be an array", "equals = 0"),
        ("field = \"a\"\nat_least = \"1\"", "\"at_least\" cannot be a string", "at_least = 0.9"),
        ("field = \"a\"\nat_least = inf", "\"at_least\" cannot be a float", "at_least = 0.9"),
        ("field = \"a\"\nwithin = [1]", "\"within\" cannot be an array", "within = [0.9, 1.1]"),
        ("field = \"a\"\nwithin = [2, 1]", "nothing is within 2 and 1", "write [1, 2]"),
    ] {
        let errors = errors(&with(&format!("[[expect]]\n{expect}")));
        assert!(errors.contains(what) && errors.contains(remedy), "{expect}: {errors}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = with("loss = 2\ndelay = 5\n[run]\nseed = \"x\"\n[[expect]]\nfield = \"a\"");
    assert_eq!(errors(&text).matches("remedy: ").count(), 4, "{}", errors(&text));
}
