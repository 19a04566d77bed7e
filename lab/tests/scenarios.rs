//! The scenarios that show what the product promises: each says so at its head, and each of its
//! expectations holds.

use std::fs;
use std::path::PathBuf;

/// All scenario files, by name.
fn scenarios() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).expect("the folder of scenarios");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension() == Some("toml".as_ref())).collect();
    files.sort();
    files
}

#[test]
fn what_is_promised_holds() {
    let mut failures = Vec::new();
    for file in scenarios() {
        let experiment = lab::file::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
        for seed in experiment.seeds.all() {
            let outcome = experiment.run(seed);
            let outcome = outcome.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let wrong = outcome.failures();
            failures.extend(wrong.map(|verdict| format!("{} {seed}: {verdict}", file.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_scenario_says_what_it_promises_and_expects_it() {
    let files = scenarios();
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a text");
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let says = |start: &str| head.iter().any(|line| line.starts_with(start));
        assert!(says("# Promise: ") && says("# Why: "), "{}: {head:?}", file.display());
        let experiment = lab::file::load(&file).expect("a scenario");
        assert!(!experiment.expectations.is_empty(), "{} expects nothing", file.display());
    }
}
