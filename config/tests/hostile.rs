//! No text makes the reader panic, and what it refuses it explains.

use std::path::Path;

use config::Config;
use config::keys::SECTIONS;
use proptest::prelude::*;

/// Reads a text; what is found lies in it and is complete.
fn read(text: &str) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count();
    let findings = match Config::parse(text, "f", Path::new("no-such-folder")) {
        Ok(checked) => {
            let config = checked.config;
            prop_assert!(config.ports.iter().all(|port| port.bump < config.ports.len()));
            prop_assert!(!config.peers.is_empty());
            for peer in &config.peers {
                prop_assert!(peer.lan < config.ports.len() && !peer.paths.is_empty());
                prop_assert!(peer.paths.iter().all(|path| path.port < config.ports.len()));
            }
            checked.warnings
        }
        Err(errors) => {
            prop_assert!(!errors.findings().is_empty());
            errors.findings().to_vec()
        }
    };
    for finding in findings {
        prop_assert!((1..=lines).contains(&finding.line) && finding.column >= 1, "{finding}");
        prop_assert!(!finding.what.is_empty() && !finding.remedy.is_empty());
        prop_assert!(!finding.what.contains('\n') && !finding.remedy.contains('\n'), "{finding}");
    }
    Ok(())
}

/// The example's lines, those of keys no longer commented out: every key is set.
fn lines() -> Vec<&'static str> {
    let known = |key: &str| SECTIONS.iter().any(|section| section.key(key).is_some());
    let uncommented = |line: &'static str| {
        let entry = line.strip_prefix("# ")?;
        known(entry.split_once(" = ")?.0).then_some(entry)
    };
    Config::example().lines().map(|line| uncommented(line).unwrap_or(line)).collect()
}

/// Lines that look like keys and headers.
const LIKE_TOML: &str =
    "([a-z_.]{1,12} = [0-9a-z\"\\[\\]{}., ]{0,12}\n|\\[{1,2}[a-z.]{1,8}\\]{1,2}\n){0,20}";

/// Values of every type and shape.
const VALUES: [&str; 17] = [
    "0",
    "-1",
    "9223372036854775807",
    "1.5",
    "nan",
    "true",
    "\"\"",
    "\"lan0\"",
    "\"wan0\"",
    "\"99999999999999999999Gbps\"",
    "\"\\u0000\\n\"",
    "1979-05-27",
    "[]",
    "[[1], {}]",
    "{}",
    "{ name = \"x\" }",
    "[{}]",
];

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        read(&text)?;
    }

    #[test]
    fn text_like_toml(text in LIKE_TOML) {
        read(&text)?;
    }

    #[test]
    fn the_example_cut_and_changed(
        from in 0_usize..5_000,
        length in 0_usize..40,
        insert in "\\PC{0,8}",
        newline: bool,
    ) {
        let mut text: Vec<char> = Config::example().chars().collect();
        let from = from.min(text.len());
        let to = (from + length).min(text.len());
        let insert = if newline { insert + "\n" } else { insert };
        text.splice(from..to, insert.chars());
        read(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn lines_of_the_example_left_out_repeated_and_given_other_values(
        changes in prop::collection::vec((0_usize..200, 0_usize..VALUES.len() + 2), 1..6),
        uncommented: bool,
    ) {
        let mut lines: Vec<String> =
            if uncommented { lines() } else { Config::example().lines().collect() }
                .into_iter()
                .map(str::to_string)
                .collect();
        for (line, change) in changes {
            let index = line % lines.len();
            let key = lines[index].split(" = ").next().unwrap_or_default().to_string();
            match VALUES.get(change) {
                Some(value) => lines[index] = format!("{key} = {value}"),
                None if change == VALUES.len() => drop(lines.remove(index)),
                None => lines.insert(index, lines[(index * 7 + 3) % lines.len()].clone()),
            }
        }
        read(&lines.join("\n"))?;
    }
}

#[test]
fn very_many_sections_keys_and_prefixes() {
    // Each of these would take hours if any check compared all with all.
    let sections = "[[peer]]\n[[path]]\n[[port]]\n".repeat(30_000);
    let keys: String = (0..60_000).map(|index| format!("key{index} = 1\n")).collect();
    let peer = |name: char| {
        let prefixes: String = (0..25_000_u32)
            .map(|index| format!("\"10.{}.{}.0/24\",", index >> 8, index & 255))
            .collect();
        format!("[[peer]]\nname = \"{name}\"\nprefixes = [{prefixes}]\n")
    };
    for (text, what) in [
        (sections, "[[port]] has no"),
        (format!("[gateway]\n{keys}"), "unknown key"),
        (peer('a') + &peer('b'), "of another peer"),
    ] {
        let errors = Config::parse(&text, "f", Path::new("")).unwrap_err();
        assert_eq!(errors.findings().len(), 100);
        assert!(errors.findings().iter().any(|finding| finding.what.contains(what)), "{errors}");
        assert!(errors.to_string().contains("\nand "));
    }
}
