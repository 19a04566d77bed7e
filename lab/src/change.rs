//! Changes of tenants' queues while traffic runs, as the command line writes them:
//! `acme@50ms,rate=1G`.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use config::units::{Rate, Span};
use dataplane::time::Nanos;
use pipelines::queueing::TenantQueues;

use crate::scenario::{PathScenario, Scenario};
use crate::tenant::{self, TenantScenario};

/// A tenant has another rate, or another weight, at both gateways from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub tenant: String,
    /// When, counted from the start of the play.
    pub at: Nanos,
    /// The most it may send to the wide area then, if that changes.
    pub rate: Option<Rate>,
    /// Its part of what is short then, if that changes.
    pub weight: Option<u16>,
}

/// A change that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\": {1}")]
pub struct ChangeError(String, String);

impl FromStr for Change {
    type Err = ChangeError;

    /// `NAME@TIME,KEY=VALUE..` with the keys rate and weight, one at least.
    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let fail = |what: String| ChangeError(text.escape_debug().to_string(), what);
        let mut parts = text.split(',').map(str::trim);
        let who = parts.next().and_then(|part| part.split_once('@'));
        let who = who.filter(|(name, _)| !name.is_empty());
        let (name, at) =
            who.ok_or_else(|| fail("begin with whom and when, as acme@50ms".into()))?;
        let Span(at) = at.parse().map_err(|error| fail(format!("{error}")))?;
        let mut change = Self { tenant: name.into(), at, rate: None, weight: None };
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| fail(format!("\"{part}\" is no KEY=VALUE")))?;
            let known = match key {
                "rate" => tenant::rate(value).map(|rate| change.rate = Some(rate)),
                "weight" => tenant::weight(value).map(|weight| change.weight = Some(weight)),
                _ => Err("not known; there are rate, weight".into()),
            };
            known.map_err(|what| fail(format!("{key}: {what}")))?;
        }
        match (change.rate, change.weight) {
            (None, None) => Err(fail("say what changes, as rate=1G".into())),
            _ => Ok(change),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.tenant, Span(self.at))?;
        self.rate.iter().try_for_each(|rate| write!(f, ",rate={rate}"))?;
        self.weight.iter().try_for_each(|weight| write!(f, ",weight={weight}"))
    }
}

/// The changes of a run: those to come, and what tenants are by those that were made.
pub(crate) struct Changes<'a> {
    due: VecDeque<Change>,
    tenants: Vec<TenantScenario>,
    changed: BTreeSet<usize>,
    paths: &'a [PathScenario],
}

/// What the queues of a tenant, by its number, are told.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) tenant: u16,
    pub(crate) queues: TenantQueues,
    /// Bits a second that it may send now, if that has a bound.
    pub(crate) rate: Option<u64>,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let mut due = scenario.changes.clone();
        due.sort_by_key(|change| change.at);
        let tenants = tenant::in_order(&scenario.tenants);
        Self { due: due.into(), tenants, changed: BTreeSet::new(), paths: &scenario.paths }
    }

    /// A tenant that changes and is not there.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let known = |change: &&Change| self.number(&change.tenant).is_none();
        self.due.iter().find(known).map(|change| change.tenant.as_str())
    }

    /// When the next one is made, counted from the start of the play.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.due.front().map(|change| change.at)
    }

    /// Makes the next one, if that is due so long after the start of the play.
    pub(crate) fn make(&mut self, since: Nanos) -> Option<Told> {
        let change = self.due.pop_front_if(|change| change.at <= since)?;
        let number = self.number(&change.tenant)?;
        let tenant = self.tenants.get_mut(number)?;
        tenant.rate = change.rate.or(tenant.rate);
        tenant.weight = change.weight.or(tenant.weight);
        self.changed.insert(number);
        self.told(number)
    }

    /// All that were made, for a gateway that starts anew.
    pub(crate) fn made(&self) -> impl Iterator<Item = Told> {
        self.changed.iter().filter_map(|number| self.told(*number))
    }

    fn told(&self, number: usize) -> Option<Told> {
        let tenant = self.tenants.get(number)?;
        let (queues, rate) = (tenant.queues(self.paths), tenant.bits_per_second());
        Some(Told { tenant: number as u16, queues, rate })
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.tenants.iter().position(|tenant| tenant.settings.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["acme@50ms,rate=1Gbps", "a@1s,rate=100Mbps,weight=8", "default@0ns,weight=2"] {
            assert_eq!(text.parse::<Change>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, why) in [
            ("", "begin with whom and when, as acme@50ms"),
            ("acme,rate=1G", "begin with whom and when"),
            ("@5ms,rate=1G", "begin with whom and when"),
            ("acme@5,rate=1G", "has no unit"),
            ("acme@5ms", "say what changes, as rate=1G"),
            ("acme@5ms,rate", "\"rate\" is no KEY=VALUE"),
            ("acme@5ms,rate=1", "rate: "),
            ("acme@5ms,xoff=1KiB", "xoff: not known; there are rate, weight"),
        ] {
            let error = text.parse::<Change>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn changes_are_made_in_the_order_of_time_and_add_up() {
        let path = "p1,rate=10G".parse().unwrap();
        let mut scenario = Scenario::traffic("verb=write".parse().unwrap(), vec![path], 1);
        scenario.tenants = vec!["a,dscp=1,rate=1G,weight=3".parse().unwrap()];
        let changes = ["a@9ms,weight=4", "a@5ms,rate=2G", "b@9ms,rate=1G"];
        scenario.changes = changes.map(|text| text.parse().unwrap()).into();
        let mut changes = Changes::new(&scenario);
        assert_eq!((changes.unknown(), changes.next()), (Some("b"), Some(5_000_000)));
        assert!(changes.make(4_999_999).is_none() && changes.made().next().is_none());
        let weights = |told: Told| (told.tenant, told.rate, told.queues.weight);
        assert_eq!(changes.make(5_000_000).map(weights), Some((1, Some(2_000_000_000), 3)));
        assert_eq!(changes.make(9_000_000).map(weights), Some((1, Some(2_000_000_000), 4)));
        assert_eq!(changes.made().map(weights).collect::<Vec<_>>().len(), 1);
    }
}
