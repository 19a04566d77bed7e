//! The side whose queue fills.

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, Time};

use super::Names;
use crate::recovery::Seq;
use crate::tunnel::control::Draft;
use crate::tunnel::stops::{Stop, StopHeard};

/// Refreshes in a lifetime.
const REFRESHES: u64 = 3;
/// The least time between two messages about one tenant of which nothing new is to be said.
const LEAST_REPEAT: Nanos = MILLISECOND / 2;

/// How stops are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopperSettings {
    /// How long a stop holds from when it arrives; whole microseconds, 3 at least.
    pub lifetime: Nanos,
    /// How often what is not confirmed is said: an end then no more, a stop as a refresh only.
    pub attempts: u32,
}

impl Default for StopperSettings {
    /// A tenth of a second, which a peer that died holds nobody for longer than, and 8 attempts.
    fn default() -> Self {
        Self { lifetime: 100 * MILLISECOND, attempts: 8 }
    }
}

/// What was said of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// Messages that a class is stopped, refreshes included.
    pub stops: u64,
    /// Messages that all classes go on.
    pub resumes: u64,
    /// Answers that the peer has no such tenant.
    pub unknown: u64,
    /// Ends that were said as often as may be and not confirmed: their lifetime ended those stops.
    pub unconfirmed: u64,
}

impl Said {
    /// Together with another peer's.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            stops: self.stops + other.stops,
            resumes: self.resumes + other.resumes,
            unknown: self.unknown + other.unknown,
            unconfirmed: self.unconfirmed + other.unconfirmed,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tenant {
    name: u64,
    /// The classes to be stopped.
    classes: u8,
    /// The last that was said.
    sequence: Seq,
    /// The first that said what is so now.
    changed: Seq,
    confirmed: bool,
    /// How often it was said and not confirmed.
    attempts: u32,
    last: Time,
    /// When it is to be said again.
    due: Option<Time>,
    /// It is among the active ones.
    listed: bool,
    said: Said,
}

/// What a peer is to stop.
#[derive(Debug, Clone)]
pub struct Stopper {
    settings: StopperSettings,
    names: Names,
    tenants: Box<[Tenant]>,
    /// Tenants of which something is to be said, now or later.
    active: Vec<u16>,
}

impl Stopper {
    /// Of tenants with these [names](super::name), by index: 65536 at most.
    #[must_use]
    pub fn new(names: &[u64], settings: StopperSettings) -> Self {
        let lifetime = settings.lifetime.max(REFRESHES * MICROSECOND);
        let tenant = |name: &u64| Tenant { name: *name, ..Tenant::default() };
        Self {
            settings: StopperSettings { lifetime, ..settings },
            names: Names::new(names),
            tenants: names.iter().map(tenant).collect(),
            active: Vec::with_capacity(names.len()),
        }
    }

    /// These classes of a tenant, a bit each, are to be stopped from `now` on.
    pub fn stop(&mut self, tenant: u16, classes: u8, now: Time) {
        self.set(tenant, self.classes(tenant) | classes, now);
    }

    /// These classes of a tenant, a bit each, go on.
    pub fn resume(&mut self, tenant: u16, classes: u8, now: Time) {
        self.set(tenant, self.classes(tenant) & !classes, now);
    }

    /// The classes of a tenant that are to be stopped, a bit each.
    #[must_use]
    pub fn classes(&self, tenant: u16) -> u8 {
        self.tenants.get(usize::from(tenant)).map_or(0, |tenant| tenant.classes)
    }

    /// What was said of a tenant.
    #[must_use]
    pub fn said(&self, tenant: u16) -> Said {
        self.tenants.get(usize::from(tenant)).map(|tenant| tenant.said).unwrap_or_default()
    }

    /// When something is to be said; [`Time::NEVER`]: nothing is. It looks at all that are stopped.
    #[must_use]
    pub fn due(&self) -> Time {
        let tenants = self.active.iter().filter_map(|&index| self.tenants.get(usize::from(index)));
        tenants.filter_map(|tenant| tenant.due).min().unwrap_or(Time::NEVER)
    }

    /// The message to send at `now`, if any is due; there may be more. What is not confirmed is said
    /// again after `repeat`: some time more than a round trip.
    pub fn poll(&mut self, now: Time, repeat: Nanos) -> Option<Draft> {
        if self.due() > now {
            return None;
        }
        let refresh = self.settings.lifetime / REFRESHES;
        let repeat = repeat.max(LEAST_REPEAT).min(refresh);
        let mut draft = Draft::stops(self.settings.lifetime);
        let Self { active, tenants, settings, .. } = self;
        active.retain(|&index| {
            let Some(tenant) = tenants.get_mut(usize::from(index)) else { return false };
            if tenant.due.is_some_and(|due| due <= now) && draft.stop(&tenant.next()) {
                tenant.was_said(now, repeat, refresh, settings.attempts);
            }
            tenant.listed = tenant.due.is_some();
            tenant.listed
        });
        Some(draft)
    }

    /// Takes in the peer's answer.
    pub fn confirm(&mut self, heard: &StopHeard) {
        let refresh = self.settings.lifetime / REFRESHES;
        let index = self.names.index(heard.tenant);
        if let Some(tenant) = index.and_then(|index| self.tenants.get_mut(usize::from(index))) {
            tenant.confirm(heard, refresh);
        }
    }

    /// A new session with the peer, which has forgotten everything: what is to be stopped is said
    /// again, and nothing else.
    pub fn restart(&mut self, now: Time) {
        self.active.clear();
        for (index, tenant) in (0..).zip(&mut self.tenants) {
            let stops = tenant.classes != 0;
            (tenant.sequence, tenant.due, tenant.listed) = (Seq(0), None, stops);
            if stops {
                tenant.change(tenant.classes, now);
                self.active.push(index);
            }
        }
    }

    fn set(&mut self, index: u16, classes: u8, now: Time) {
        let Some(tenant) = self.tenants.get_mut(usize::from(index)) else { return };
        if tenant.classes == classes {
            return;
        }
        tenant.change(classes, now);
        if !std::mem::replace(&mut tenant.listed, true) {
            self.active.push(index);
        }
    }
}

impl Tenant {
    /// What is to be said of it.
    fn next(&self) -> Stop {
        Stop { tenant: self.name, sequence: self.sequence.next(), classes: self.classes }
    }

    fn change(&mut self, classes: u8, now: Time) {
        self.classes = classes;
        self.changed = self.sequence.next();
        (self.confirmed, self.attempts, self.due) = (false, 0, Some(now));
    }

    fn was_said(&mut self, now: Time, repeat: Nanos, refresh: Nanos, attempts: u32) {
        let stops = self.classes != 0;
        self.sequence = self.sequence.next();
        self.last = now;
        self.attempts = self.attempts.saturating_add(1);
        let said = if stops { &mut self.said.stops } else { &mut self.said.resumes };
        *said += 1;
        let again = !self.confirmed && self.attempts < attempts;
        self.due = match (again, stops) {
            (true, _) => Some(now.after(repeat)),
            (false, true) => Some(now.after(refresh)),
            (false, false) => None,
        };
        self.said.unconfirmed += u64::from(self.due.is_none());
    }

    fn confirm(&mut self, heard: &StopHeard, refresh: Nanos) {
        let of_now = heard.sequence.ahead_of(self.changed) >= 0;
        if self.confirmed || !of_now || heard.sequence.ahead_of(self.sequence) > 0 {
            return;
        }
        self.said.unknown += u64::from(heard.unknown);
        self.confirmed = true;
        self.due = (self.classes != 0).then(|| self.last.after(refresh));
    }
}
