//! From a path such as `wan.paths.p1.utilization` to the value in a report.

use config::diagnostic::{nearest, quoted};
use dataplane::drops::DropReason;
use serde_json::{Map, Value};

/// The field of a gateway that lists only what occurred.
const DROPS: &str = "drops";

/// The value that a path leads to; the error is why there is none.
pub(super) fn find(report: &Value, path: &str) -> Result<Value, String> {
    let (mut value, mut rest, mut last) = (report, path, "");
    loop {
        let (name, next, more) = match value {
            Value::Object(fields) => {
                let (name, more) = first(rest);
                match fields.get(name) {
                    Some(next) => (name, next, more),
                    None if last == DROPS && more.is_none() && is_reason(name) => {
                        return Ok(Value::from(0));
                    }
                    None => return Err(unknown(name, last, fields)),
                }
            }
            Value::Array(elements) => element(elements, rest, last)?,
            _ => return Err(format!("{} is {value}, with nothing in it", quoted(last))),
        };
        let Some(more) = more else { return Ok(next.clone()) };
        (value, rest, last) = (next, more, name);
    }
}

/// The part of a path before its first point, and the one behind it.
fn first(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, more)| (name, Some(more)))
}

fn is_reason(name: &str) -> bool {
    DropReason::ALL.iter().any(|reason| reason.name() == name)
}

/// The element that a path names, by the longest name that fits or by its index, and what follows.
fn element<'a>(
    elements: &'a [Value],
    path: &'a str,
    list: &str,
) -> Result<(&'a str, &'a Value, Option<&'a str>), String> {
    let name_of = |element: &'a Value| element.get("name").and_then(Value::as_str);
    let named = elements.iter().filter_map(|element| {
        let name = name_of(element)?;
        let rest = path.strip_prefix(name)?;
        let more = rest.strip_prefix('.');
        (rest.is_empty() || more.is_some()).then_some((name, element, more))
    });
    if let Some(found) = named.max_by_key(|(name, ..)| name.len()) {
        return Ok(found);
    }
    let (index, more) = first(path);
    let indexed = index.parse().ok().and_then(|index: usize| elements.get(index));
    indexed.map(|element| (index, element, more)).ok_or_else(|| {
        let names: Vec<_> = elements.iter().filter_map(name_of).collect();
        let count = elements.len();
        let known = match names.is_empty() {
            true => format!("there are {count}, from 0"),
            false => format!("there are {}", names.join(", ")),
        };
        format!("there is no {} in {}: {known}", quoted(index), quoted(list))
    })
}

fn unknown(name: &str, section: &str, fields: &Map<String, Value>) -> String {
    let names = || fields.keys().map(String::as_str);
    let place = if section.is_empty() { "the report".into() } else { quoted(section) };
    let remedy = match nearest(name, names()) {
        Some(known) => format!("did you mean {}?", quoted(known)),
        None if fields.is_empty() => "it is empty".into(),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    format!("there is no {} in {place}: {remedy}", quoted(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Value {
        json!({
            "seed": 3,
            "wan": { "paths": [ { "name": "p1", "dropped": 1 }, { "name": "p1.b", "dropped": 2 } ] },
            "scenario": { "list": [[5, 6]] },
            "gateways": { "a": { "drops": { "rnic_repeat": 4 } } },
            "without_gateways": null
        })
    }

    #[test]
    fn fields_elements_and_names_lead_to_values() {
        for (path, value) in [
            ("seed", 3),
            ("wan.paths.p1.dropped", 1),
            ("wan.paths.p1.b.dropped", 2),
            ("wan.paths.0.dropped", 1),
            ("wan.paths.1.dropped", 2),
            ("scenario.list.0.1", 6),
            ("gateways.a.drops.rnic_repeat", 4),
        ] {
            assert_eq!(find(&report(), path), Ok(json!(value)), "{path}");
        }
        assert_eq!(find(&report(), "without_gateways"), Ok(Value::Null));
    }

    #[test]
    fn a_reason_for_which_nothing_was_dropped_counts_zero() {
        let mut names = DropReason::ALL.iter().map(|reason| reason.name());
        let other = names.find(|name| *name != "rnic_repeat").unwrap();
        assert_eq!(find(&report(), &format!("gateways.a.drops.{other}")), Ok(json!(0)));
        assert!(find(&report(), "gateways.a.drops.rnic_repeats").is_err());
        assert!(find(&report(), &format!("gateways.a.{other}")).is_err());
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        for (path, why) in [
            ("sed", "there is no \"sed\" in the report: did you mean \"seed\"?"),
            ("", "there is no \"\" in the report: there are "),
            ("wan.path", "in \"wan\": did you mean \"paths\"?"),
            ("wan.paths.p2.dropped", "there is no \"p2\" in \"paths\": there are p1, p1.b"),
            ("wan.paths.2", "there is no \"2\" in \"paths\""),
            ("scenario.list.7", "there is no \"7\" in \"list\": there are 1, from 0"),
            ("seed.x", "\"seed\" is 3, with nothing in it"),
            ("without_gateways.wan", "\"without_gateways\" is null"),
        ] {
            let error = find(&report(), path).unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
