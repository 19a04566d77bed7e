//! Who may hold whom back.

use super::super::{Numbering, PeerSettings, Role, Settings, SettingsError};
use crate::backpressure::{self, Limits, StopperSettings};
use crate::pfc::{Mode, PRIORITIES};
use crate::queueing::CLASSES;

/// How a LAN port speaks priority flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PfcSettings {
    /// The frames it speaks.
    pub mode: Mode,
    /// Quanta that a frame of ours asks for, at least 1.
    pub quanta: u16,
    /// Bits a second of the port: what quanta are counted in. Not 0.
    pub rate: u64,
}

/// Who may hold whom back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackpressureSettings {
    /// For each port, in their order; `None` where a port does not speak it, as WAN ports do not.
    pub ports: Vec<Option<PfcSettings>>,
    /// The priority of each class of each tenant, in their order, 0 to 7; of all packets, if no tenants
    /// are told apart. Without queues classes are not, and a tenant has one priority. Those with
    /// the same one are paused together: whose hosts do not want that have one alone.
    pub priorities: Vec<[u8; CLASSES]>,
    /// Tenants that are policed, in their order; empty: none. For them no station is paused: what
    /// their queues before the WAN have no room for is dropped. For lossless ones that share a
    /// priority, if others are not to wait for them; with queues only.
    pub policed: Vec<bool>,
    /// How long a station may pause a priority without a break. A peer may stop a tenant, and a
    /// station be paused, for twice as long: both follow from that.
    pub limits: Limits,
    /// How peers are told.
    pub stops: StopperSettings,
}

impl BackpressureSettings {
    /// # Errors
    /// The first contradiction found.
    pub(in super::super) fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        let fail = |what: &str| Err(SettingsError(format!("backpressure: {what}")));
        if self.ports.len() != settings.ports.len() {
            return fail("there must be as many ports");
        }
        for (port, pfc) in settings.ports.iter().zip(&self.ports) {
            match pfc {
                Some(_) if port.role != Role::Lan => return fail("only LAN ports speak PFC"),
                Some(pfc) if pfc.rate == 0 || pfc.quanta == 0 => {
                    return fail("rate and quanta must be at least 1");
                }
                _ => {}
            }
        }
        if self.priorities.len() != settings.tenants.len().max(1)
            || self.priorities.iter().flatten().any(|of| usize::from(*of) >= PRIORITIES)
        {
            return fail("each tenant must have priorities from 0 to 7");
        }
        let differ = |of: &[u8; CLASSES]| of.iter().any(|one| *one != of[0]);
        if settings.queues.is_none() && self.priorities.iter().any(differ) {
            return fail("without queues a tenant has one priority");
        }
        let is_transparent = |peer: &PeerSettings| peer.numbering != Numbering::Tunnel;
        if self.policed.iter().any(|of| *of) && settings.queues.is_none() {
            return fail("without queues there is nothing to police");
        }
        if settings.peers.iter().any(is_transparent) && settings.queues.is_none() {
            return fail("it needs tunnel numbering or queues: nothing else can wait");
        }
        // What waits for a station must not be taken for what waits for the WAN.
        if self.limits.longest >= settings.recovery.hold_age {
            return fail("the longest pause must be shorter than hold_age");
        }
        let mut names = names(settings);
        names.sort_unstable();
        match names.windows(2).any(|two| matches!(two, [a, b] if a == b)) {
            true => fail("two tenants have the same name, or names of the same hash"),
            false => Ok(()),
        }
    }
}

/// How the tenants are called between gateways.
pub(super) fn names(settings: &Settings) -> Vec<u64> {
    match settings.tenants.as_slice() {
        [] => vec![backpressure::name("default")],
        tenants => tenants.iter().map(|tenant| backpressure::name(&tenant.name)).collect(),
    }
}
