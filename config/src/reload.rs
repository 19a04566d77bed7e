//! Which keys of two texts differ that may not while a gateway runs.

use std::collections::BTreeMap;

use toml_edit::{Item, Table, TableLike};

use crate::diagnostic::{Diagnostics, Report, quoted};
use crate::in_force::CHANGEABLE;
use crate::keys::{SECTIONS, Section, TENANT};
use crate::source::Source;

/// The keys of a section, as they are written, and where; and where the section begins.
struct Keys {
    at: usize,
    values: BTreeMap<String, (String, usize)>,
}

/// The sections of a text, by their headers and names.
type Sections = BTreeMap<String, Keys>;

/// Names every key that is another, for two texts that do not mean the same.
///
/// # Errors
/// Always: if no key is, a file that one of them names holds something else.
pub(crate) fn compare(before: &Source, now: &Source) -> Result<(), Diagnostics> {
    let (before, _) = before.read(|document, _| Some(sections(document)))?;
    now.read(|document, report| {
        differences(&before, &sections(document), report);
        Some(())
    })?;
    let what = "what a file that it names holds is another, and cannot be while the gateway runs";
    let remedy = "restart the gateway, or write back what it was".to_string();
    Err(Diagnostics::whole_file(now.name(), what.into(), remedy))
}

fn sections(document: &Table) -> Sections {
    let mut sections = Sections::new();
    for section in &SECTIONS {
        match document.get(section.name) {
            Some(Item::ArrayOfTables(tables)) => {
                for (index, table) in tables.iter().enumerate() {
                    let name = table.get("name").and_then(Item::as_str);
                    let name = name.map_or_else(|| (index + 1).to_string(), quoted);
                    let of = format!("{} {name}", section.header());
                    sections.insert(of, keys(section, table, table.span()));
                }
            }
            Some(item) => {
                let table = item.as_table_like();
                let found = table.map(|table| keys(section, table, item.span()));
                sections.extend(found.map(|keys| (section.header(), keys)));
            }
            None => {}
        }
    }
    sections
}

/// The keys that may not change.
fn keys(section: &Section, table: &dyn TableLike, span: Option<std::ops::Range<usize>>) -> Keys {
    let at = span.map_or(0, |span| span.start);
    let may_change = |name: &str| section.name == TENANT.name && CHANGEABLE.contains(&name);
    let value = |(name, item): (&str, &Item)| {
        let mut value = item.as_value()?.clone();
        value.decor_mut().clear();
        let at = item.span().map_or(at, |span| span.start);
        Some((name.to_owned(), (value.to_string(), at)))
    };
    let keys = table.iter().filter(|(name, _)| !may_change(name));
    Keys { at, values: keys.filter_map(value).collect() }
}

fn differences(before: &Sections, now: &Sections, report: &mut Report<'_>) {
    const CANNOT: &str = "that cannot change while the gateway runs";
    const RESTART: &str = "restart the gateway";
    const SECRET: &str = "key";
    for (section, keys) in now {
        let Some(old) = before.get(section) else {
            // One without keys of its own says nothing new.
            if !keys.values.is_empty() {
                let remedy = format!("{RESTART}, or remove it");
                report.error(keys.at, format!("{section} is new: {CANNOT}"), remedy);
            }
            continue;
        };
        let restore = |key: &str, old: &str| match key {
            // What is said may be read by many.
            SECRET => format!("{RESTART}, or write what it was"),
            _ => format!("{RESTART}, or write what it was: {key} = {old}"),
        };
        for (key, (value, at)) in &keys.values {
            let remedy = match old.values.get(key) {
                Some((old, _)) if old == value => continue,
                Some((old, _)) => restore(key, old),
                None => format!("{RESTART}, or remove it"),
            };
            report.error(*at, format!("\"{key}\" of {section} is another: {CANNOT}"), remedy);
        }
        for (key, (old, _)) in &old.values {
            if !keys.values.contains_key(key) {
                let remedy = restore(key, old);
                report.error(keys.at, format!("\"{key}\" of {section} is gone: {CANNOT}"), remedy);
            }
        }
    }
    for section in before.keys().filter(|section| !now.contains_key(*section)) {
        let remedy = format!("{RESTART}, or write it again");
        report.error(0, format!("{section} is gone: {CANNOT}"), remedy);
    }
}
