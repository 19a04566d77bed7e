//! Tenants' queues that change while packets wait in them: nothing is lost, and everything stays
//! where it is in its queue.

use dataplane::time::Time;

use super::{Gateway, Lines, Toward};
use crate::gateway::{QueueSettings, SettingsError};
use crate::queueing::{Class, Marking, PoolExceeded, TenantQueues, Thresholds};

/// Whether a tenant's queues can be told these.
///
/// # Errors
/// What is wrong with them, in a few words.
pub(super) fn check(of: &TenantQueues) -> Result<(), String> {
    let is_sound = |of: &Thresholds| !of.is_lossless() || of.xon < of.xoff;
    if of.weight == 0 || !of.thresholds.iter().all(is_sound) {
        return Err("queues: a weight is at least 1, and xon is below xoff".into());
    }
    let is_sound = |of: Marking| of.min < of.max && (1..=1_000).contains(&of.most);
    match of.marking.is_none_or(is_sound) {
        true => Ok(()),
        false => Err("queues: marks begin below where all are, at 1 to 1000 thousandths".into()),
    }
}

impl QueueSettings {
    /// Whether a gateway can be told these, with so many tenants.
    ///
    /// # Errors
    /// What is wrong with them, in a few words.
    pub(in crate::gateway) fn check(&self, tenants: usize) -> Result<(), String> {
        if self.tenants.len() != tenants.max(1) {
            let count = self.tenants.len();
            return Err(format!("queues of {count} tenants: there are {}", tenants.max(1)));
        }
        self.tenants.iter().try_for_each(check)?;
        if !(64..=1 << 24).contains(&self.packets) {
            return Err(format!("queues of {} packets: must be 64 to 2^24", self.packets));
        }
        Ok(())
    }
}

/// What a tenant takes off the pool.
fn own(of: &TenantQueues) -> u64 {
    of.thresholds.iter().fold(0, |sum, of| sum.saturating_add(of.own()))
}

impl Gateway {
    /// Gives tenants, each by its number and once, other queues from `now` on: all of them, or none.
    /// Senders that a new threshold concerns are told. What is to be a queue's own and is filled by
    /// others at present becomes its own as that leaves.
    ///
    /// # Errors
    /// Without queues, with a tenant that is not there or queues that contradict themselves, and when
    /// the pool does not hold what all tenants then reserve; nothing changes.
    pub fn set_tenant_queues(
        &mut self,
        changes: &[(u16, TenantQueues)],
        now: Time,
    ) -> Result<(), SettingsError> {
        let refused = |what: &str| SettingsError(format!("queues: {what}"));
        let Some(settings) = &mut self.common.settings.queues else {
            return Err(refused("there are none"));
        };
        let mut all = settings.tenants.iter().map(own).fold(0, u64::saturating_add);
        for (tenant, of) in changes {
            let before = settings.tenants.get(usize::from(*tenant));
            let before = before.ok_or_else(|| refused("there is no such tenant"))?;
            check(of).map_err(SettingsError)?;
            all = all.saturating_sub(own(before)).saturating_add(own(of));
        }
        if all > settings.pool_bytes {
            let pool = settings.pool_bytes;
            return Err(refused(&PoolExceeded { needed: all, pool }.to_string()));
        }
        for (tenant, of) in changes {
            if let Some(before) = settings.tenants.get_mut(usize::from(*tenant)) {
                before.clone_from(of);
            }
        }
        if let Some(lines) = &mut self.common.waiting.0 {
            lines.change(changes, now);
        }
        Ok(())
    }
}

/// Thresholds of a queue that it has not yet: of what is to be its own, others hold too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    way: Toward,
    tenant: u16,
    class: Class,
    limits: Thresholds,
}

impl Lines {
    fn change(&mut self, changes: &[(u16, TenantQueues)], now: Time) {
        for (tenant, of) in changes {
            self.wan.set_rate(*tenant, of.rate, now);
            self.wan.set_weight(*tenant, of.weight);
            self.marks.set(*tenant, of.marking);
            let lan = self.lan.iter_mut().flatten();
            lan.for_each(|queues| queues.set_weight(*tenant, of.weight));
            self.due_thresholds.retain(|due| due.tenant != *tenant);
            let ports =
                (0..self.lan.len()).filter(|port| matches!(self.lan.get(*port), Some(Some(_))));
            for way in ports.map(Toward::Lan).chain([Toward::Wan]) {
                let due = |(class, limits)| Due { way, tenant: *tenant, class, limits };
                self.due_thresholds.extend(Class::all().zip(of.thresholds).map(due));
            }
        }
        // Those that take more off the pool find what others give back.
        let growth = |due: &Due| self.thresholds(due).is_some_and(|of| due.limits.own() > of.own());
        let (growing, others): (Vec<_>, Vec<_>) =
            self.due_thresholds.iter().partition(|due| growth(due));
        self.due_thresholds = [others, growing].concat();
        // What may leave now does, and what crossed a threshold is heeded then.
        self.due = Time::ZERO;
        self.settle(now);
    }

    /// Sets thresholds for which there is room. For the others what leaves is withheld, so that there
    /// will be.
    #[inline]
    pub(super) fn settle(&mut self, now: Time) {
        if !self.due_thresholds.is_empty() {
            self.try_to_settle(now);
        }
    }

    #[cold]
    fn try_to_settle(&mut self, now: Time) {
        let mut due = std::mem::take(&mut self.due_thresholds);
        due.retain(|due| !self.set_thresholds(due, now));
        self.wan.withhold(self.owed(&due, Toward::Wan));
        for port in 0..self.lan.len() {
            let owed = self.owed(&due, Toward::Lan(port));
            self.lan.get_mut(port).into_iter().flatten().for_each(|line| line.withhold(owed));
        }
        self.due_thresholds = due;
    }

    /// What queues one way will have of their own besides.
    fn owed(&self, due: &[Due], way: Toward) -> u64 {
        let more = |due: &Due| {
            let own = self.thresholds(due).map_or(0, |of| of.own());
            due.limits.own().saturating_sub(own)
        };
        due.iter().filter(|due| due.way == way).map(more).fold(0, u64::saturating_add)
    }

    fn thresholds(&self, of: &Due) -> Option<Thresholds> {
        match of.way {
            Toward::Wan => self.wan.thresholds(of.tenant, of.class),
            Toward::Lan(port) => self.lan.get(port)?.as_ref()?.thresholds(of.tenant, of.class),
        }
    }

    /// Whether a queue has these thresholds now.
    fn set_thresholds(&mut self, due: &Due, now: Time) -> bool {
        let Due { way, tenant, class, limits } = *due;
        let set = match way {
            Toward::Wan => self.wan.set_thresholds(tenant, class, limits, now),
            Toward::Lan(port) => match self.lan.get_mut(port).and_then(Option::as_mut) {
                Some(line) => line.set_thresholds(tenant, class, limits, now),
                None => Ok(None),
            },
        };
        set.is_ok_and(|crossing| {
            self.crossed(way, tenant, class, crossing);
            true
        })
    }
}
