//! Packets that are told that their queue grows: the ECN field of those that can be told (RFC 3168)
//! says so from there on, and outer headers put around them take it over (RFC 6040). The ICRC leaves
//! the field out.

use super::{Lines, Toward};
use crate::gateway::classify::Classified;
use crate::queueing::{Class, Draws, Marking, TenantQueues};
use crate::tenant::DEFAULT;
use crate::tunnel::ecn;
use dataplane::memory::Packet;

/// When each tenant's packets are marked, and how many were: towards the WAN and towards the LAN.
pub(super) struct Marks {
    tenants: Box<[(Option<Marking>, [u64; 2])]>,
    draws: Draws,
}

impl Marks {
    pub(super) fn new(tenants: &[TenantQueues], seed: u64) -> Self {
        let tenants = tenants.iter().map(|of| (of.marking, [0; 2])).collect();
        Self { tenants, draws: Draws::new(seed) }
    }

    /// Marks a tenant's packets otherwise from now on.
    pub(super) fn set(&mut self, tenant: u16, marking: Option<Marking>) {
        self.tenants.get_mut(usize::from(tenant)).into_iter().for_each(|of| of.0 = marking);
    }

    /// The place of a tenant: that of the default one, if it has none.
    fn known(&self, tenant: u16) -> usize {
        let index = usize::from(tenant);
        if index < self.tenants.len() { index } else { usize::from(DEFAULT) }
    }

    /// How many of a tenant's packets were marked each way.
    pub(super) fn count(&self, tenant: u16) -> [u64; 2] {
        self.tenants.get(usize::from(tenant)).map_or([0; 2], |of| of.1)
    }
}

impl Lines {
    /// What to do about a packet that is about to join its queue, if that is long and the packet can
    /// be told. Signalling is little, and is never told.
    #[inline]
    pub(super) fn tells(
        &mut self,
        (way, tenant, class): (Toward, u16, Class),
        bytes: usize,
        tos: u8,
    ) -> Option<Marking> {
        let known = self.marks.known(tenant);
        let marking = self.marks.tenants.get(known)?.0?;
        if class == Class::SIGNALLING || tos & ecn::MASK == ecn::NOT_ECT {
            return None;
        }
        let line = match way {
            Toward::Wan => self.wan.bytes_of(tenant, class),
            Toward::Lan(port) => {
                let line = self.lan.get(port).and_then(Option::as_ref);
                line.map_or(0, |line| line.bytes_of(tenant, class))
            }
        };
        let marks = marking.marks(line + bytes as u64, self.marks.draws.draw());
        marks.then_some(marking)
    }

    /// Marks a packet: `of` is what is known of it, and follows.
    pub(super) fn mark(
        &mut self,
        (way, tenant): (Toward, u16),
        packet: &mut Packet,
        of: &mut Classified,
    ) {
        let ip = packet.head_mut().get_mut(usize::from(of.ip_offset)..).unwrap_or_default();
        if !ecn::mark(ip) {
            return;
        }
        of.tos |= ecn::CE;
        let known = self.marks.known(tenant);
        let direction = usize::from(way != Toward::Wan);
        let counts = self.marks.tenants.get_mut(known).and_then(|of| of.1.get_mut(direction));
        counts.into_iter().for_each(|count| *count += 1);
    }
}
