//! A configuration in force, and what of it may change while a gateway runs: how tenants wait. Every
//! change is a whole configuration that is read and checked like any other; what is wrong with it
//! leaves everything as it was.

use std::path::Path;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value, value};

use crate::diagnostic::{Diagnostic, Diagnostics, nearest, quoted};
use crate::keys::TENANT;
use crate::model::{Config, TenantQueue};
use crate::reload::compare;
use crate::source::Source;

/// Keys of a tenant that may change.
pub const CHANGEABLE: [&str; 13] = [
    "rate",
    "burst",
    "weight",
    "lossless",
    "reserved",
    "alpha",
    "headroom",
    "xoff",
    "xon",
    "ecn_min",
    "ecn_max",
    "ecn_probability",
    "cnp",
];

/// The word that takes a key away, so that its default holds.
const DEFAULT_VALUE: &str = "default";

/// A configuration, and the text that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    source: Source,
    config: Config,
}

/// One thing that is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose it is, an index into [`Config::tenants`].
    pub tenant: usize,
    /// What changed: the name of a key.
    pub key: &'static str,
    /// What it was, and what it is, as the file writes it; `any` is no rate, `never` no threshold.
    pub from: String,
    /// See `from`.
    pub to: String,
}

/// A configuration, and what is doubtful about it.
pub type Doubtful = (InForce, Vec<Diagnostic>);

impl InForce {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<Doubtful, Diagnostics> {
        Self::of(Source::load(path)?)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn of(source: Source) -> Result<Doubtful, Diagnostics> {
        let checked = Config::read(&source)?;
        Ok((Self { source, config: checked.config }, checked.warnings))
    }

    /// What it means.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The same with other values of some keys of a tenant, as the file would write them but that
    /// texts need no quotes, and `default` takes a key away.
    ///
    /// # Errors
    /// A tenant that is not there, a key that may not change, and whatever is wrong with the
    /// configuration that would be.
    pub fn with(&self, tenant: &str, keys: &[(String, String)]) -> Result<Doubtful, Diagnostics> {
        check_keys(tenant, keys)?;
        let said: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let name = format!("{} with {} of {tenant}", self.file(), said.join(" "));
        let text = self.edited(tenant, keys)?;
        let (made, warnings) = Self::of(Source::new(&text, &name, self.source.folder())?)?;
        if self.config.queues.is_none() {
            let what = "nothing waits in queues here, and that cannot change while it runs".into();
            let remedy = "give a tenant a weight or a rate in the file, and restart the gateway";
            return Err(Diagnostics::whole_file(&name, what, remedy.into()));
        }
        let source = Source::new(&text, self.file(), self.source.folder())?;
        // Key files may have changed since; they are not asked for here.
        let mut config = self.config.clone();
        for (to, from) in config.tenants.iter_mut().zip(made.config.tenants) {
            to.queue = from.queue;
        }
        Ok((Self { source, config }, warnings))
    }

    /// What another file, or the same one later, says.
    ///
    /// # Errors
    /// What is wrong with it, and each key that is another and may not be while the gateway runs.
    pub fn reloaded(&self, path: &Path) -> Result<Doubtful, Diagnostics> {
        self.replaced(Source::load(path)?)
    }

    /// What another text says.
    ///
    /// # Errors
    /// As [`InForce::reloaded`].
    pub fn replaced(&self, source: Source) -> Result<Doubtful, Diagnostics> {
        let (next, warnings) = Self::of(source)?;
        if fixed(&self.config) != fixed(&next.config) {
            compare(&self.source, &next.source)?;
        }
        Ok((next, warnings))
    }

    /// What differs in the one that takes its place.
    #[must_use]
    pub fn changes_to(&self, next: &Self) -> Vec<Change> {
        let tenants = self.config.tenants.iter().zip(&next.config.tenants).enumerate();
        let changes = tenants.flat_map(|(tenant, (from, to))| {
            let values = shown(&from.queue).into_iter().zip(shown(&to.queue));
            values
                .filter(|((_, from), (_, to))| from != to)
                .map(move |((key, from), (_, to))| Change { tenant, key, from, to })
        });
        changes.collect()
    }

    /// The text with other values of some keys of a tenant.
    fn edited(&self, tenant: &str, keys: &[(String, String)]) -> Result<String, Diagnostics> {
        let unknown = |what: String, remedy: String| {
            Diagnostics::whole_file(&format!("tenant {tenant}"), what, remedy)
        };
        let names = || self.config.tenants.iter().map(|tenant| tenant.name.as_str());
        if !names().any(|name| name == tenant) {
            let remedy = match nearest(tenant, names()) {
                Some(name) => format!("did you mean {}?", quoted(name)),
                None => "name a [[tenant]] of the configuration".into(),
            };
            return Err(unknown(format!("there is no tenant {}", quoted(tenant)), remedy));
        }
        let parsed: Result<DocumentMut, _> = self.source.text().parse();
        let mut document = parsed
            .map_err(|error| unknown(format!("not TOML: {error}"), "restart the gateway".into()))?;
        let tables = document.entry(TENANT.name).or_insert(Item::ArrayOfTables(Default::default()));
        let Some(tables) = tables.as_array_of_tables_mut() else {
            return Err(unknown("[[tenant]] is none".into(), "restart the gateway".into()));
        };
        let index = place_of(tables, tenant);
        tables.get_mut(index).into_iter().for_each(|table| set(table, keys));
        Ok(document.to_string())
    }
}

/// Where the table of a tenant is; the one that has what is nobody else's may not be written yet.
fn place_of(tables: &mut ArrayOfTables, tenant: &str) -> usize {
    let is_its = |table: &Table| table.get("name").and_then(Item::as_str) == Some(tenant);
    if let Some(index) = tables.iter().position(is_its) {
        return index;
    }
    let mut table = Table::new();
    table.insert("name", value(tenant));
    tables.push(table);
    tables.len() - 1
}

/// Writes values as the file would.
fn set(table: &mut Table, keys: &[(String, String)]) {
    for (key, text) in keys {
        if text == DEFAULT_VALUE {
            table.remove(key);
            continue;
        }
        let literal = text.parse::<Value>().unwrap_or_else(|_| Value::from(text.as_str()));
        table.insert(key, Item::Value(literal));
    }
}

/// Each key is one that may change, once.
fn check_keys(tenant: &str, keys: &[(String, String)]) -> Result<(), Diagnostics> {
    let refused = |what: String, remedy: String| {
        Err(Diagnostics::whole_file(&format!("tenant {tenant}"), what, remedy))
    };
    for (index, (key, _)) in keys.iter().enumerate() {
        let shown = quoted(key);
        if keys.iter().take(index).any(|(before, _)| before == key) {
            return refused(format!("{shown} is given twice"), "give it once".into());
        }
        if CHANGEABLE.contains(&key.as_str()) {
            continue;
        }
        let names = CHANGEABLE.join(", ");
        if TENANT.key(key).is_some() {
            let remedy = "write it in the file, and restart the gateway";
            return refused(format!("{shown} cannot change while it runs"), remedy.into());
        }
        let remedy = match nearest(key, CHANGEABLE) {
            Some(known) => format!("did you mean {known}?"),
            None => format!("what may change is {names}"),
        };
        return refused(format!("unknown key {shown}"), remedy);
    }
    Ok(())
}

/// What may not change.
fn fixed(config: &Config) -> Config {
    let mut fixed = config.clone();
    for tenant in &mut fixed.tenants {
        let TenantQueue { priority, .. } = tenant.queue;
        tenant.queue = TenantQueue { priority, ..TenantQueue::default() };
    }
    fixed
}

/// What may change, as the file writes it.
fn shown(of: &TenantQueue) -> [(&'static str, String); 12] {
    let rate = of.rate.map_or("any".into(), |shape| shape.rate.to_string());
    let burst = of.rate.and_then(|shape| shape.burst);
    let (xoff, xon) = of.xoff.unzip();
    let probability = of.marking.map(|of| f64::from(of.probability) / 1e3);
    let cnp = of.marking.and_then(|of| of.cnp);
    let threshold =
        |of: Option<crate::units::Bytes>| of.map_or("never".into(), |bytes| bytes.to_string());
    [
        ("rate", rate),
        ("burst", burst.map_or("default".into(), |burst| burst.to_string())),
        ("weight", of.weight.to_string()),
        ("reserved", of.reserved.to_string()),
        ("alpha", of.alpha.to_string()),
        ("headroom", of.headroom.to_string()),
        ("xoff", threshold(xoff)),
        ("xon", threshold(xon)),
        ("ecn_min", threshold(of.marking.map(|of| of.min))),
        ("ecn_max", threshold(of.marking.map(|of| of.max))),
        ("ecn_probability", probability.map_or("default".into(), |of| of.to_string())),
        ("cnp", cnp.map_or("never".into(), |of| of.to_string())),
    ]
}
