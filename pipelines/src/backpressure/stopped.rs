//! The side that is stopped.

use dataplane::time::{Nanos, Time};

use super::{Ended, Hold, Limits, Names};
use crate::recovery::Seq;
use crate::tunnel::stops::{Stop, StopHeard};

/// What becomes of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Its index.
    pub tenant: u16,
    /// The classes that were stopped, a bit each.
    pub before: u8,
    /// Those that are from now on.
    pub after: u8,
}

/// What was heard of a tenant, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Messages that a class is stopped, refreshes included.
    pub stops: u64,
    /// Messages that all classes go on.
    pub resumes: u64,
    /// Messages no newer than one before.
    pub stale: u64,
    /// Stops that were not obeyed, because it had been stopped for too long.
    pub ignored: u64,
    /// Stops that ended because nothing more was heard.
    pub expired: u64,
    /// How often it had been stopped for too long.
    pub broken: u64,
}

impl Heard {
    /// Together with another peer's.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            stops: self.stops + other.stops,
            resumes: self.resumes + other.resumes,
            stale: self.stale + other.stale,
            ignored: self.ignored + other.ignored,
            expired: self.expired + other.expired,
            broken: self.broken + other.broken,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tenant {
    /// The newest that was heard in this session.
    newest: Option<Seq>,
    classes: u8,
    hold: Hold,
    /// It is among the active ones.
    listed: bool,
    heard: Heard,
}

/// What a peer has stopped.
#[derive(Debug, Clone)]
pub struct Stopped {
    limits: Limits,
    names: Names,
    tenants: Box<[Tenant]>,
    /// Tenants of which something ends by time.
    active: Vec<u16>,
    unknown: u64,
}

impl Stopped {
    /// Of tenants with these [names](super::name), by index: 65536 at most.
    #[must_use]
    pub fn new(names: &[u64], limits: Limits) -> Self {
        let tenants = vec![Tenant::default(); names.len()].into();
        let active = Vec::with_capacity(names.len());
        Self { limits, names: Names::new(names), tenants, active, unknown: 0 }
    }

    /// Takes in a message that came at `now`, and says what to answer; `change` is called with what
    /// follows for the tenant.
    pub fn hear(
        &mut self,
        stop: &Stop,
        lifetime: Nanos,
        now: Time,
        mut change: impl FnMut(Change),
    ) -> StopHeard {
        let Self { limits, names, tenants, active, unknown } = self;
        let index = names.index(stop.tenant);
        *unknown += u64::from(index.is_none());
        if let Some(index) = index
            && let Some(tenant) = tenants.get_mut(usize::from(index))
        {
            tenant.expire(index, now, limits, &mut change);
            tenant.hear(stop, index, (now, now.after(lifetime)), &mut change);
            if tenant.hold != Hold::Free && !std::mem::replace(&mut tenant.listed, true) {
                active.push(index);
            }
        }
        StopHeard { tenant: stop.tenant, sequence: stop.sequence, unknown: index.is_none() }
    }

    /// The stopped classes of a tenant, a bit each.
    #[inline]
    #[must_use]
    pub fn classes(&self, tenant: u16) -> u8 {
        self.tenants.get(usize::from(tenant)).map_or(0, |tenant| tenant.classes)
    }

    /// What was heard of a tenant.
    #[must_use]
    pub fn heard(&self, tenant: u16) -> Heard {
        self.tenants.get(usize::from(tenant)).map(|tenant| tenant.heard).unwrap_or_default()
    }

    /// Messages about tenants that there are not here.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// When [`Stopped::expire`] has something to do; [`Time::NEVER`]: it has not. It looks at all
    /// that are stopped.
    #[must_use]
    pub fn due(&self) -> Time {
        let tenants = self.active.iter().filter_map(|&index| self.tenants.get(usize::from(index)));
        tenants.map(|tenant| tenant.hold.due(&self.limits)).min().unwrap_or(Time::NEVER)
    }

    /// Lets go on what is due at `now`.
    pub fn expire(&mut self, now: Time, mut change: impl FnMut(Change)) {
        let Self { active, tenants, limits, .. } = self;
        active.retain(|&index| {
            let Some(tenant) = tenants.get_mut(usize::from(index)) else { return false };
            tenant.expire(index, now, limits, &mut change);
            tenant.listed = tenant.hold != Hold::Free;
            tenant.listed
        });
    }

    /// A new session: everything goes on, and sequences begin anew.
    pub fn forget(&mut self, mut change: impl FnMut(Change)) {
        self.active.clear();
        for (index, tenant) in (0..).zip(&mut self.tenants) {
            tenant.set(index, 0, &mut change);
            *tenant = Tenant { heard: tenant.heard, ..Tenant::default() };
        }
    }
}

impl Tenant {
    fn expire(&mut self, index: u16, now: Time, limits: &Limits, change: &mut impl FnMut(Change)) {
        match self.hold.expire(now, limits) {
            Some(Ended::Expired) => self.heard.expired += 1,
            Some(Ended::Broken) => self.heard.broken += 1,
            Some(Ended::Rested) | None => {}
        }
        if !self.hold.is_held() {
            self.set(index, 0, change);
        }
    }

    /// Obeys what is newer than all before.
    fn hear(
        &mut self,
        stop: &Stop,
        index: u16,
        (now, until): (Time, Time),
        change: &mut impl FnMut(Change),
    ) {
        if self.newest.is_some_and(|newest| stop.sequence.ahead_of(newest) <= 0) {
            self.heard.stale += 1;
            return;
        }
        self.newest = Some(stop.sequence);
        if stop.classes == 0 {
            self.heard.resumes += 1;
            self.hold.release();
        } else if self.hold.hold(now, until) {
            self.heard.stops += 1;
        } else {
            self.heard.ignored += 1;
            return;
        }
        self.set(index, stop.classes, change);
    }

    /// Stops these classes and no others.
    fn set(&mut self, index: u16, classes: u8, change: &mut impl FnMut(Change)) {
        let before = std::mem::replace(&mut self.classes, classes);
        if before != classes {
            change(Change { tenant: index, before, after: classes });
        }
    }
}
