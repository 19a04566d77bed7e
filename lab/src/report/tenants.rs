//! What tenants did, in the report.

use dataplane::time::Time;
use pipelines::gateway::{Gateway, StopStatus, TenantStatus};
use serde::Serialize;

/// What a tenant did, at both gateways and over all their lives. Counts are sums, high waters those
/// of the gateway and life where they were highest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TenantReport {
    /// Its name.
    pub name: String,
    /// Packets from the LANs that were to cross the wide area.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that came across it.
    pub received_packets: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// The most memory that it had in a replay buffer.
    pub replay_high_water_bytes: u64,
    /// Packets that were not kept, because of its bound.
    pub unprotected: u64,
    /// The most memory that it had in a hold buffer.
    pub held_high_water_bytes: u64,
    /// Packets that were no longer waited for, because of its bound.
    pub gave_up: u64,
    /// Messages that a gateway sent to have it stopped at the other one, refreshes included.
    pub stops_sent: u64,
    /// Messages that a gateway sent to let it go on there.
    pub resumes_sent: u64,
    /// Messages that came and were obeyed, to stop it.
    pub stops_received: u64,
    /// Messages that came to let it go on.
    pub resumes_received: u64,
    /// Stops that ended by their lifetime.
    pub stops_expired: u64,
    /// Stops that had lasted too long.
    pub stops_broken: u64,
    /// What waited for its turn towards the WAN.
    pub to_wan: QueueReport,
    /// And towards the LAN.
    pub to_lan: QueueReport,
}

/// What a tenant had in queues one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct QueueReport {
    /// The most bytes that waited in one of them.
    pub high_water_bytes: u64,
    /// Times that whoever sends to them was to stop.
    pub stops: u64,
    /// For how long, in all.
    pub stopped_us: u64,
    /// Packets not taken.
    pub dropped: u64,
}

/// From the names of the tenants, and all lives of both gateways, as of `now`.
pub(crate) fn tenants<'a>(
    names: impl Iterator<Item = String>,
    gateways: impl Iterator<Item = &'a Gateway>,
    now: Time,
) -> Vec<TenantReport> {
    let mut all: Vec<_> =
        names.map(|name| TenantReport { name, ..TenantReport::default() }).collect();
    let mut status = Vec::new();
    for gateway in gateways {
        gateway.tenants_status(now, &mut status);
        all.iter_mut().zip(&status).for_each(|(tenant, status)| tenant.add(status));
    }
    all
}

impl TenantReport {
    fn add(&mut self, status: &TenantStatus) {
        self.packets += status.sent.packets;
        self.bytes += status.sent.bytes;
        self.received_packets += status.received.packets;
        self.received_bytes += status.received.bytes;
        self.replay_high_water_bytes =
            self.replay_high_water_bytes.max(status.replay_high_water_bytes);
        self.unprotected += status.unprotected;
        self.held_high_water_bytes = self.held_high_water_bytes.max(status.held_high_water_bytes);
        self.gave_up += status.gave_up;
        let StopStatus { said, heard, .. } = status.stops;
        self.stops_sent += said.stops;
        self.resumes_sent += said.resumes;
        self.stops_received += heard.stops;
        self.resumes_received += heard.resumes;
        self.stops_expired += heard.expired;
        self.stops_broken += heard.broken;
        for (to, from) in [(&mut self.to_wan, &status.to_wan), (&mut self.to_lan, &status.to_lan)] {
            to.high_water_bytes = to.high_water_bytes.max(from.high_water_bytes);
            to.stops += from.stops;
            to.stopped_us += from.stopped_for / 1_000;
            to.dropped += from.dropped;
        }
    }
}
