//! Senders that are notified of congestion near to them (CNP), rather than by their receiver a round
//! trip later.
//!
//! Only those whose queue pair is certain are: of others the packet is marked, as ever. A packet whose
//! sender was notified is not marked, or its receiver would notify it once more for the same queue.

use dataplane::memory::Packet;
use dataplane::time::{Nanos, Time};

use super::super::Common;
use super::super::classify::Classified;
use crate::queueing::Class;
use crate::wire::cnp;

/// Places to remember when somebody was notified: a queue pair has one, maybe with others, which are
/// then notified less often.
const PLACES: usize = 1 << 10;

/// Who was notified when.
pub(super) struct Notices {
    last: Box<[Option<Time>]>,
    /// Notifications, a tenant.
    count: Box<[u64]>,
}

impl Notices {
    pub(super) fn new(tenants: usize) -> Self {
        Self { last: vec![None; PLACES].into(), count: vec![0; tenants].into() }
    }

    /// Notifications of a tenant's senders.
    pub(super) fn count(&self, tenant: u16) -> u64 {
        self.count.get(usize::from(tenant)).copied().unwrap_or(0)
    }

    /// Whether it is time to notify the sender of the stream with this hash again.
    fn is_due(&mut self, hash: u32, interval: Nanos, now: Time) -> bool {
        let Some(last) = self.last.get_mut(hash as usize % PLACES) else { return false };
        let due = last.is_none_or(|last| last.after(interval) <= now);
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Common {
    /// Notifies the sender of a packet that came by LAN port `port`, unless it was within `interval`.
    /// `false` if it is not known who that is, or no packet can be made.
    #[cold]
    pub(super) fn notify(
        &mut self,
        tenant: u16,
        packet: &Packet,
        of: &Classified,
        port: usize,
        interval: Nanos,
        now: Time,
    ) -> bool {
        let sender = self.shield.as_ref().zip(of.roce.as_ref());
        let sender = sender.and_then(|(shield, found)| shield.sender_of(packet.head(), found));
        let (Some(sender), Some(lines)) = (sender, &mut self.waiting.0) else { return false };
        if !lines.notices.is_due(of.hash, interval, now) {
            return true;
        }
        let mut bytes = [0; cnp::MAX_LEN];
        let ip_at = usize::from(of.ip_offset);
        let written = cnp::write_to_sender(packet.head(), ip_at, sender, &mut bytes);
        let notice = written.and_then(|len| self.pool.copy(bytes.get(..len)?));
        let Some(mut notice) = notice else { return false };
        notice.set_mark(tenant);
        if self.join_lan(port, (tenant, Class::SIGNALLING), notice, now)
            && let Some(lines) = &mut self.waiting.0
            && let Some(count) = lines.notices.count.get_mut(usize::from(tenant))
        {
            *count += 1;
        }
        true
    }
}
