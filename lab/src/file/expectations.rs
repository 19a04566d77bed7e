//! `[[expect]]`: a field, one comparison and its value.

use config::diagnostic::{Report, quoted};
use config::document::{Entries, Field};
use config::units::ValueError;
use serde_json::{Number, Value as Json};
use toml_edit::{Item, Value};

use crate::expect::{Comparison, Expectation};

/// The comparisons, as the file names them.
const COMPARISONS: [&str; 4] = ["equals", "at_least", "at_most", "within"];

/// Reads an expectation.
pub(super) fn read(entries: &Entries<'_>, report: &mut Report<'_>) -> Option<Expectation> {
    let field = entries.text("field", report).and_then(report, |field| {
        if field.split('.').any(|name| name.trim().is_empty()) {
            let what = format!("{} has a part without a name", quoted(field));
            let remedy = "write names with points between them, as in \"endpoints.missing\"".into();
            return Err(ValueError { what, remedy });
        }
        Ok(field.to_owned())
    });
    let present = |name: &&str| !entries.value(name, report, Some).is_absent();
    let given: Vec<_> = COMPARISONS.into_iter().filter(present).collect();
    let [comparison] = given.as_slice() else {
        let what = match given.is_empty() {
            true => "[[expect]] compares with nothing".to_owned(),
            false => format!("[[expect]] has {}: which one?", given.join(" and ")),
        };
        report.error(entries.at, what, "write one of equals, at_least, at_most, within");
        return None;
    };
    let comparison = match *comparison {
        "equals" => entries.value("equals", report, scalar).map(Comparison::Equals),
        "at_least" => entries.value("at_least", report, number).map(Comparison::AtLeast),
        "at_most" => entries.value("at_most", report, number).map(Comparison::AtMost),
        _ => entries.value("within", report, pair).and_then(report, in_order),
    };
    let line = report.line(entries.at);
    let Field::Given(comparison, _) = comparison else { return None };
    Some(Expectation { field: field.given()?.clone(), comparison, line })
}

/// A number, a text or a truth.
fn scalar(item: &Item) -> Option<Json> {
    let text = || item.as_str().map(Json::from);
    let truth = || item.as_bool().map(Json::from);
    number(item).map(Json::Number).or_else(text).or_else(truth)
}

fn number(item: &Item) -> Option<Number> {
    item.as_value().and_then(number_of)
}

/// A number that is one: not endless, and not none.
fn number_of(value: &Value) -> Option<Number> {
    match value {
        Value::Integer(number) => Some(Number::from(*number.value())),
        Value::Float(number) => Number::from_f64(*number.value()),
        _ => None,
    }
}

fn pair(item: &Item) -> Option<[Number; 2]> {
    let numbers: Option<Vec<_>> = item.as_array()?.iter().map(number_of).collect();
    numbers?.try_into().ok()
}

fn in_order([least, most]: [Number; 2]) -> Result<Comparison, ValueError> {
    let within = Comparison::Within([least.clone(), most.clone()]);
    // What lies within a range that is not empty: its ends.
    if within.holds(&Json::Number(least.clone())) {
        return Ok(within);
    }
    let what = format!("nothing is within {least} and {most}");
    Err(ValueError { what, remedy: format!("write [{most}, {least}]") })
}
