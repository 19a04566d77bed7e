//! What a scenario expects of its report: a path into the JSON, a comparison and a value.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;
use serde_json::{Number, Value};

mod find;

use find::find;

/// What a value in the report has to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// This: a number, a text or a truth. Numbers are equal by value: `1` is `1.0`.
    Equals(Value),
    /// This or more.
    AtLeast(Number),
    /// This or less.
    AtMost(Number),
    /// From the first to the second, both included.
    Within([Number; 2]),
}

impl Comparison {
    /// Whether a value is what it has to be; what is no number is neither more nor less.
    #[must_use]
    pub fn holds(&self, seen: &Value) -> bool {
        match (self, seen) {
            (Self::Equals(Value::Number(right)), Value::Number(seen)) => {
                order(seen, right) == Some(Ordering::Equal)
            }
            (Self::Equals(right), seen) => right == seen,
            (Self::AtLeast(least), Value::Number(seen)) => !is_below(seen, least),
            (Self::AtMost(most), Value::Number(seen)) => !is_below(most, seen),
            (Self::Within([least, most]), Value::Number(seen)) => {
                !is_below(seen, least) && !is_below(most, seen)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(value) => write!(f, "= {value}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Within([least, most]) => write!(f, "{least} to {most}"),
        }
    }
}

/// Numbers by value: whole ones exactly.
fn order(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Whether it is below; what cannot be compared counts as below everything.
fn is_below(left: &Number, right: &Number) -> bool {
    order(left, right).is_none_or(Ordering::is_lt)
}

/// What has to hold of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where the value is, as `endpoints.missing` or `wan.paths.p1.utilization`: names of fields,
    /// indices of elements, or the names of elements that have a `name`, between points.
    pub field: String,
    /// What it has to be.
    pub comparison: Comparison,
    /// The line of its file.
    pub line: usize,
}

/// An expectation, and what was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Where the value is.
    pub field: String,
    /// What it has to be.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The value; nothing if there is none.
    pub seen: Option<Value>,
    /// Whether it is what it has to be.
    holds: bool,
    /// Why there is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// The line of the expectation in its file.
    pub line: usize,
}

impl Verdict {
    /// Of each of these expectations on a report.
    #[must_use]
    pub fn all(expectations: &[Expectation], report: &impl Serialize) -> Vec<Self> {
        if expectations.is_empty() {
            return Vec::new();
        }
        // A report is made of names, numbers and lists: it always has a JSON.
        let report = serde_json::to_value(report).unwrap_or_default();
        expectations.iter().map(|expectation| Self::new(expectation, &report)).collect()
    }

    fn new(expectation: &Expectation, report: &Value) -> Self {
        let Expectation { field, comparison, line } = expectation.clone();
        let (seen, absent) = match find(report, &field) {
            Ok(seen) => (Some(seen), None),
            Err(why) => (None, Some(why)),
        };
        let holds = seen.as_ref().is_some_and(|seen| comparison.holds(seen));
        Self { field, comparison, seen, holds, absent, line }
    }

    /// Whether the value is what it has to be. One that is not there never is.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// The value for people.
    #[must_use]
    pub fn seen(&self) -> String {
        match &self.seen {
            Some(Value::Object(_)) => "a section".into(),
            Some(Value::Array(_)) => "a list".into(),
            Some(value) => value.to_string(),
            None => "not there".into(),
        }
    }
}

impl fmt::Display for Verdict {
    /// What was seen beside what was expected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, comparison, .. } = self;
        match &self.absent {
            Some(why) => write!(f, "{field}: {why}"),
            None => write!(f, "{field} is {}, expected {comparison}", self.seen()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: Value) -> Number {
        let Value::Number(number) = value else { panic!("a number") };
        number
    }

    #[test]
    fn values_are_compared_as_numbers() {
        let equals = |value| Comparison::Equals(value);
        assert!(equals(json!(1)).holds(&json!(1.0)) && equals(json!(0)).holds(&json!(-0.0)));
        assert!(!equals(json!(1)).holds(&json!(2)) && !equals(json!(1)).holds(&json!("1")));
        assert!(equals(json!("tunnel")).holds(&json!("tunnel")));
        // Beyond what floating-point numbers can tell apart.
        assert!(!equals(json!(u64::MAX)).holds(&json!(u64::MAX - 1)));
        let at_least = Comparison::AtLeast(number(json!(0.9)));
        assert!(at_least.holds(&json!(1)) && at_least.holds(&json!(0.9)));
        assert!(!at_least.holds(&json!(0.89)) && !at_least.holds(&json!("1")));
        let at_most = Comparison::AtMost(number(json!(3)));
        assert!(at_most.holds(&json!(3)) && at_most.holds(&json!(-1)));
        assert!(!at_most.holds(&json!(3.01)) && !at_most.holds(&Value::Null));
        let within = Comparison::Within([json!(1), json!(2.5)].map(number));
        assert!([json!(1), json!(2), json!(2.5)].iter().all(|seen| within.holds(seen)));
        assert!([json!(0), json!(2.6), json!([2])].iter().all(|seen| !within.holds(seen)));
    }

    #[test]
    fn a_verdict_says_what_was_seen() {
        let report = json!({ "endpoints": { "missing": 3 } });
        let verdict = |field: &str, comparison| {
            let expectation = Expectation { field: field.into(), comparison, line: 7 };
            Verdict::all(&[expectation], &report).remove(0)
        };
        let wrong = verdict("endpoints.missing", Comparison::Equals(json!(0)));
        assert_eq!(wrong.to_string(), "endpoints.missing is 3, expected = 0");
        let expected = json!({ "field": "endpoints.missing", "equals": 0, "seen": 3, "holds": false, "line": 7 });
        assert_eq!(serde_json::to_value(&wrong).unwrap(), expected);
        assert!(verdict("endpoints.missing", Comparison::AtMost(number(json!(3)))).holds());
        let lost = verdict("endpoints.mising", Comparison::Equals(json!(0)));
        assert!(!lost.holds() && lost.to_string().contains("did you mean \"missing\"?"));
        assert!(!verdict("endpoints", Comparison::Equals(json!(0))).holds());
    }
}
