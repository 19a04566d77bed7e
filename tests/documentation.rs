//! What documents say that the code knows better.
#![forbid(unsafe_code)]

use dataplane::drops::DropReason;

#[test]
fn every_drop_reason_is_explained_to_operators() {
    let text = include_str!("../docs/operation.md");
    let explained: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
    for reason in DropReason::ALL {
        let row = format!("| `{}` | {} |", reason.name(), reason.meaning());
        assert!(explained.contains(&row.as_str()), "docs/operation.md lacks: {row}");
    }
}

#[test]
fn the_readme_shows_the_commands_that_the_makefile_has() {
    let (readme, makefile) = (include_str!("../README.md"), include_str!("../Makefile"));
    let commands = readme.lines().filter_map(|line| line.strip_prefix("make "));
    let names: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["demo", "test"]);
    for name in names {
        assert!(makefile.contains(&format!("\n{name}: ")), "Makefile has no target {name}");
    }
}
