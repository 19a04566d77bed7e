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

    /// How many of a tenant's packets were marked each way.
    pub(super) fn count(&self, tenant: u16) -> [u64; 2] {
        self.tenants.get(usize::from(tenant)).map_or([0; 2], |of| of.1)
    }
}

impl Lines {
    /// Marks a packet that is about to join its queue, if that is long and the packet can be told:
    /// `of` is what is known of it, and follows. Signalling is little, and never is.
    #[inline]
    pub(super) fn mark(
        &mut self,
        (way, tenant, class): (Toward, u16, Class),
        packet: &mut Packet,
        of: &mut Classified,
    ) {
        let known = usize::from(tenant).min(self.marks.tenants.len());
        let known = if known < self.marks.tenants.len() { known } else { usize::from(DEFAULT) };
        let Some((Some(marking), counts)) = self.marks.tenants.get_mut(known) else { return };
        if class == Class::Signalling || of.tos & ecn::MASK == ecn::NOT_ECT {
            return;
        }
        let (line, direction) = match way {
            Toward::Wan => (self.wan.bytes_of(tenant, class), 0),
            Toward::Lan(port) => {
                let line = self.lan.get(port).and_then(Option::as_ref);
                (line.map_or(0, |line| line.bytes_of(tenant, class)), 1)
            }
        };
        if !marking.marks(line + packet.len() as u64, self.marks.draws.draw()) {
            return;
        }
        let ip = packet.head_mut().get_mut(usize::from(of.ip_offset)..).unwrap_or_default();
        if ecn::mark(ip) {
            of.tos |= ecn::CE;
            counts[direction] += 1;
        }
    }
}
