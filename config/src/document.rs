//! A walk over a TOML document that goes on after mistakes: each is reported where it stands.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml_edit::{Item, Table, TableLike, Value};

use crate::diagnostic::{Report, nearest, quoted};
use crate::keys::Section;
use crate::units::ValueError;

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<T> {
    /// Nothing.
    Absent,
    /// Something wrong, already reported: checks that need the value are left out.
    Wrong,
    /// A value, and its byte offset.
    Given(T, usize),
}

impl<T> Field<T> {
    /// The value, if there is a right one.
    pub fn given(&self) -> Option<&T> {
        match self {
            Self::Given(value, _) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// The value, or `default` if there is none; nothing if it is wrong.
    pub fn or(&self, default: T) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Given(value, _) => Some(value.clone()),
            Self::Absent => Some(default),
            Self::Wrong => None,
        }
    }

    /// Whether nothing stands there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Where the value stands, or else `section`.
    pub fn at(&self, section: usize) -> usize {
        if let Self::Given(_, at) = self { *at } else { section }
    }

    /// The value made into another.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Wrong => Field::Wrong,
            Self::Given(value, at) => Field::Given(make(value), at),
        }
    }

    /// The value made into another; a value that cannot be is reported.
    pub fn and_then<U>(
        self,
        report: &mut Report<'_>,
        make: impl FnOnce(T) -> Result<U, ValueError>,
    ) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Wrong => Field::Wrong,
            Self::Given(value, at) => match make(value) {
                Ok(value) => Field::Given(value, at),
                Err(error) => {
                    report.error(at, error.what, error.remedy);
                    Field::Wrong
                }
            },
        }
    }
}

/// One occurrence of a section.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    section: &'static Section,
    table: &'a dyn TableLike,
    /// Byte offset of its header.
    pub at: usize,
}

/// Reports what at the top of the document is none of these sections.
pub fn check_sections(root: &Table, sections: &[Section], report: &mut Report<'_>) {
    for (name, item) in root.iter() {
        if sections.iter().any(|section| section.name == name) {
            continue;
        }
        let known = nearest(name, sections.iter().map(|section| section.name))
            .and_then(|name| sections.iter().find(|section| section.name == name));
        let headers = || sections.iter().map(Section::header).collect::<Vec<_>>().join(", ");
        let remedy = match known {
            Some(section) => format!("did you mean {}?", section.header()),
            None => format!("sections are {}", headers()),
        };
        let what =
            if item.is_table_like() || item.is_array_of_tables() { "section" } else { "key" };
        report.error(key_offset(root, name), format!("unknown {what} {}", quoted(name)), remedy);
    }
}

/// The occurrences of a section, their keys checked: known, and complete.
pub fn occurrences<'a>(
    root: &'a Table,
    section: &'static Section,
    report: &mut Report<'_>,
) -> Vec<Entries<'a>> {
    let Some(item) = root.get(section.name) else { return Vec::new() };
    let key_at = key_offset(root, section.name);
    let tables: Vec<(&dyn TableLike, Option<usize>)> = match item {
        Item::ArrayOfTables(tables) if section.many => {
            tables.iter().map(|table| (table as &dyn TableLike, start(table.span()))).collect()
        }
        Item::Table(table) if !section.many => vec![(table, start(table.span()))],
        Item::Value(Value::InlineTable(table)) if !section.many => vec![(table, None)],
        _ => {
            let what = format!("{} is written as {}", section.name, kind(item));
            report.error(key_at, what, format!("write {} and its keys below", section.header()));
            return Vec::new();
        }
    };
    let entries =
        |(table, at): (_, Option<usize>)| Entries { section, table, at: at.unwrap_or(key_at) };
    let entries: Vec<_> = tables.into_iter().map(entries).collect();
    entries.iter().for_each(|entries| entries.check_keys(report));
    entries
}

impl<'a> Entries<'a> {
    fn check_keys(&self, report: &mut Report<'_>) {
        let header = self.section.header();
        for (name, item) in self.table.iter() {
            if self.section.key(name).is_some() {
                continue;
            }
            let at = start(self.table.key(name).and_then(|key| key.span()));
            let at = at.or_else(|| start(item.span())).unwrap_or(self.at);
            let names = || self.section.keys.iter().map(|key| key.name);
            let remedy = match nearest(name, names()) {
                Some(known) => format!("did you mean \"{known}\"?"),
                None => format!("keys of {header} are {}", names().collect::<Vec<_>>().join(", ")),
            };
            report.error(at, format!("unknown key {} in {header}", quoted(name)), remedy);
        }
        for key in self.section.keys {
            if key.required && self.table.get(key.name).is_none() {
                let what = format!("{header} has no \"{}\": {}", key.name, key.doc);
                report.error(self.at, what, format!("add, as in: {} = {}", key.name, key.example));
            }
        }
    }

    /// Where the value of a key stands, or else the section.
    pub fn key_at(&self, name: &str) -> usize {
        start(self.table.get(name).and_then(Item::span)).unwrap_or(self.at)
    }

    /// The value under a key, if `convert` knows its type.
    pub fn value<T>(
        &self,
        name: &str,
        report: &mut Report<'_>,
        convert: impl FnOnce(&'a Item) -> Option<T>,
    ) -> Field<T> {
        let Some(item) = self.table.get(name) else { return Field::Absent };
        let at = self.key_at(name);
        if let Some(value) = convert(item) {
            return Field::Given(value, at);
        }
        let example = self.section.key(name).map_or("", |key| key.example);
        let what = format!("\"{name}\" cannot be {}", kind(item));
        report.error(at, what, format!("write it as in: {name} = {example}"));
        Field::Wrong
    }

    /// A text as it stands; what is no text is not reported.
    pub fn raw_text(&self, name: &str) -> Field<&'a str> {
        match self.table.get(name).and_then(Item::as_str) {
            Some(text) => Field::Given(text, self.key_at(name)),
            None => Field::Absent,
        }
    }

    /// A text of bounded length, without control characters.
    pub fn text(&self, name: &str, report: &mut Report<'_>) -> Field<&'a str> {
        self.value(name, report, Item::as_str).and_then(report, |text| {
            if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                let what = format!("\"{name}\" is empty, very long, or has control characters");
                return Err(ValueError {
                    what,
                    remedy: format!("write 1 to {MAX_TEXT} printable bytes"),
                });
            }
            Ok(text)
        })
    }

    /// Such a text, copied.
    pub fn owned(&self, name: &str, report: &mut Report<'_>) -> Field<String> {
        self.text(name, report).and_then(report, |text| Ok(text.to_string()))
    }

    /// A text or a number, as the command line writes it.
    pub fn scalar(&self, name: &str, report: &mut Report<'_>) -> Field<String> {
        let shown = |item: &Item| match item.as_value()? {
            Value::String(text) => Some(text.value().clone()),
            Value::Integer(number) => Some(number.value().to_string()),
            Value::Float(number) => Some(number.value().to_string()),
            _ => None,
        };
        self.value(name, report, shown)
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str, report: &mut Report<'_>) -> Field<bool> {
        self.value(name, report, Item::as_bool)
    }

    /// A text that a type of ours reads.
    pub fn parsed<T>(&self, name: &str, report: &mut Report<'_>) -> Field<T>
    where
        T: FromStr<Err = ValueError>,
    {
        self.text(name, report).and_then(report, str::parse)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
        report: &mut Report<'_>,
    ) -> Field<T> {
        self.text(name, report).and_then(report, |text| {
            if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
                return Ok(*value);
            }
            let names = || words.iter().map(|(word, _)| *word);
            let remedy = match nearest(text, names()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write \"{}\"", names().collect::<Vec<_>>().join("\" or \"")),
            };
            Err(ValueError { what: format!("\"{name}\" cannot be {}", quoted(text)), remedy })
        })
    }

    /// A whole number within bounds.
    pub fn count(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        report: &mut Report<'_>,
    ) -> Field<u32> {
        let integer = self.value(name, report, Item::as_integer);
        integer.and_then(report, |integer| within(name, integer, &range))
    }

    /// A part of a whole, above 0 and up to 1, in thousandths, or the word "off".
    pub(crate) fn part(&self, name: &str, report: &mut Report<'_>) -> Field<Option<u32>> {
        let number = |item: &Item| item.as_float().or(item.as_integer().map(|whole| whole as f64));
        let part = |item: &'a Item| match item.as_str() {
            Some(text) => Some(Err(text)),
            None => number(item).map(Ok),
        };
        self.value(name, report, part).and_then(report, |part| match part {
            Err("off") => Ok(None),
            Ok(part) if (0.001..=1.0).contains(&part) => Ok(Some((part * 1e3).round() as u32)),
            wrong => Err(ValueError {
                what: match wrong {
                    Ok(number) => format!("\"{name}\" is {number}, out of range"),
                    Err(text) => format!("\"{name}\" cannot be {}", quoted(text)),
                },
                remedy: "write 0.001 to 1, or \"off\"".into(),
            }),
        })
    }

    /// A power of two up to `most`.
    pub fn power_of_two(&self, name: &str, most: u32, report: &mut Report<'_>) -> Field<u32> {
        self.count(name, 1..=most, report).and_then(report, |count| {
            if count.is_power_of_two() {
                return Ok(count);
            }
            let above = count.checked_next_power_of_two().unwrap_or(most);
            let remedy = format!("write {} or {above}", above / 2);
            Err(ValueError { what: format!("\"{name}\" is {count}, not a power of two"), remedy })
        })
    }

    /// A quantity with a unit, within bounds.
    pub fn quantity<T>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
        report: &mut Report<'_>,
    ) -> Field<T>
    where
        T: FromStr<Err = ValueError> + PartialOrd + Display,
    {
        self.parsed(name, report).and_then(report, |value: T| {
            if range.contains(&value) { Ok(value) } else { Err(outside(name, &value, &range)) }
        })
    }

    /// A list whose elements `read` makes; wrong ones are all reported.
    pub fn list<T>(
        &self,
        name: &str,
        report: &mut Report<'_>,
        read: impl Fn(&'a Value) -> Result<T, ValueError>,
    ) -> Field<Vec<(T, usize)>> {
        let Field::Given(array, at) = self.value(name, report, Item::as_array) else {
            return if self.table.get(name).is_none() { Field::Absent } else { Field::Wrong };
        };
        let mut values = Vec::new();
        for element in array.iter() {
            let at = start(element.span()).unwrap_or(at);
            match read(element) {
                Ok(value) => values.push((value, at)),
                Err(error) => report.error(at, error.what, error.remedy),
            }
        }
        if array.is_empty() {
            report.error(
                at,
                format!("\"{name}\" is empty"),
                "write at least one element, or no key",
            );
        }
        if values.len() == array.len() && !values.is_empty() {
            Field::Given(values, at)
        } else {
            Field::Wrong
        }
    }
}

/// Bytes a text may have: names, paths, keys.
const MAX_TEXT: usize = 4096;

/// An integer as a number within bounds.
pub fn within(name: &str, integer: i64, range: &RangeInclusive<u32>) -> Result<u32, ValueError> {
    let number = u32::try_from(integer).ok().filter(|number| range.contains(number));
    number.ok_or_else(|| outside(name, integer, range))
}

fn outside<T: Display>(name: &str, value: impl Display, range: &RangeInclusive<T>) -> ValueError {
    ValueError {
        what: format!("\"{name}\" is {value}, out of range"),
        remedy: format!("write {} to {}", range.start(), range.end()),
    }
}

/// A type of item, with its article.
fn kind(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

fn start(span: Option<std::ops::Range<usize>>) -> Option<usize> {
    span.map(|span| span.start)
}

fn key_offset(table: &Table, name: &str) -> usize {
    start(table.key(name).and_then(|key| key.span())).unwrap_or(0)
}
