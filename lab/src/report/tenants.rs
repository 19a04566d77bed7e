//! What tenants did, in the report.

use std::collections::BTreeMap;

use config::units::Bytes;
use dataplane::time::{MICROSECOND, Nanos, Time};
use pipelines::gateway::{Delays, Gateway, Refused, StopStatus, TenantStatus};
use pipelines::tenant::{Classifier, DEFAULT, Traits};
use serde::Serialize;

use super::{Completion, DeparturesReport, PortReport, gbps};
use crate::hosts::Work;
use crate::scenario::Scenario;
use crate::tenant::{self, TenantScenario};

/// What the lab's RNICs send with: the default partition, as a full member.
const P_KEY: u16 = 0xffff;

/// What a tenant did, at both gateways and over all their lives. Counts are sums, high waters those
/// of the gateway and life where they were highest.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TenantReport {
    /// Its name.
    pub name: String,
    /// Bytes of its messages that were done, in a second of the span to the last of them.
    pub goodput_gbps: f64,
    /// From the first packet of each of its messages to its completion.
    pub completion_us: Completion,
    /// The most that waited in one of its queues, either way.
    pub queue_high_water_bytes: u64,
    /// What `config check` says that its queues have to have for what still comes after they said
    /// stop, and what of that was used at most, in per cent; nothing where they are lossy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advised_headroom_bytes: Option<u64>,
    /// See there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom_used_percent: Option<f64>,
    /// Times that its priority was to pause on the LANs, as the gateways said.
    pub pfc_sent: u64,
    /// And as its hosts said.
    pub pfc_received: u64,
    /// How long its signalling waited in the gateways for its turn.
    pub signalling_delay_us: DelayReport,
    /// Packets that its queues did not take, by reason.
    pub drops: BTreeMap<&'static str, u64>,
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
    /// What waited for its turn towards the WAN, and how it left.
    pub to_wan: QueueReport,
    /// And towards the LAN.
    pub to_lan: QueueReport,
}

/// How long packets waited, in microseconds. Quantiles are bounds: less than twice what it was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct DelayReport {
    /// Packets.
    pub packets: u64,
    /// Half of them waited for no longer.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The longest, exactly.
    pub max: f64,
}

impl DelayReport {
    fn new(delays: &Delays) -> Self {
        let us = |wait: Nanos| wait as f64 / MICROSECOND as f64;
        Self {
            packets: delays.count(),
            p50: us(delays.within(500)),
            p99: us(delays.within(990)),
            max: us(delays.longest()),
        }
    }
}

/// What a tenant had in queues one way.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct QueueReport {
    /// The most bytes that waited in one of them.
    pub high_water_bytes: u64,
    /// Times that whoever sends to them was to stop.
    pub stops: u64,
    /// For how long, in all.
    pub stopped_us: u64,
    /// Packets not taken.
    pub dropped: u64,
    /// Packets marked, because their queue grew.
    pub marked: u64,
    /// Senders notified of that instead (CNP).
    pub notified: u64,
    /// What left, where it was watched: towards the WAN.
    #[serde(flatten)]
    pub left: Option<DeparturesReport>,
}

/// From the scenario, all lives of both gateways as of `now`, what was paused on the LANs, the work of
/// the hosts, and what left queues, if there are any.
pub(crate) fn tenants<'a>(
    scenario: &Scenario,
    gateways: impl Iterator<Item = &'a Gateway>,
    (ports, work, left, now): (&[PortReport], Vec<Work>, Vec<DeparturesReport>, Time),
) -> Vec<TenantReport> {
    let settings = tenant::settings(&scenario.tenants);
    let names = settings.iter().map(|tenant| tenant.name.clone());
    let mut all: Vec<_> =
        names.map(|name| TenantReport { name, ..TenantReport::default() }).collect();
    let mut status = Vec::new();
    let mut delays = vec![Delays::default(); all.len()];
    for gateway in gateways {
        gateway.tenants_status(now, &mut status);
        for (number, (tenant, status)) in all.iter_mut().zip(&status).enumerate() {
            tenant.add(status);
            let refused = gateway.queue_refusals(number as u16);
            for (why, count) in refused.iter().flat_map(Refused::seen) {
                *tenant.drops.entry(why.name()).or_default() += count;
            }
            delays[number] = delays[number].and(&gateway.signalling_delays(number as u16));
        }
    }
    for (tenant, delays) in all.iter_mut().zip(&delays) {
        tenant.signalling_delay_us = DelayReport::new(delays);
    }
    let priorities = tenant::priorities(&scenario.tenants);
    for (tenant, priority) in all.iter_mut().zip(priorities) {
        let of = |pauses: &[u64; 8]| pauses.get(usize::from(priority)).copied().unwrap_or(0);
        tenant.pfc_sent = ports.iter().map(|port| of(&port.pauses_sent)).sum();
        tenant.pfc_received = ports.iter().map(|port| of(&port.pauses_received)).sum();
    }
    for (tenant, of) in all.iter_mut().zip(tenant::in_order(&scenario.tenants)) {
        tenant.compare(&of, scenario);
    }
    for (tenant, left) in all.iter_mut().zip(left) {
        tenant.to_wan.left = Some(left);
    }
    share_out(&mut all, &Classifier::new(&settings), work);
    all
}

/// Gives each tenant the work of its hosts.
fn share_out(all: &mut [TenantReport], classifier: &Classifier, work: Vec<Work>) {
    let mut of_each: Vec<(u64, Nanos, Vec<Nanos>)> = vec![Default::default(); all.len()];
    for Work { hosts, dscp, bytes, span, times } in work {
        // A tenant may be told by its hosts at either site.
        let tenants = hosts.map(|host| {
            let (ip, p_key) = (Some((host, dscp)), Some(P_KEY));
            classifier.tenant(&Traits { port: 0, vlan: 0, ip, p_key })
        });
        let tenant = tenants.into_iter().find(|tenant| *tenant != DEFAULT).unwrap_or(DEFAULT);
        let Some(sum) = of_each.get_mut(usize::from(tenant)) else { continue };
        sum.0 += bytes;
        sum.1 = sum.1.max(span);
        sum.2.extend(times);
    }
    for (tenant, (bytes, span, times)) in all.iter_mut().zip(of_each) {
        (tenant.goodput_gbps, tenant.completion_us) = (gbps(bytes, span), Completion::of(times));
    }
}

impl TenantReport {
    /// Sets what was used beside what is advised.
    fn compare(&mut self, of: &TenantScenario, scenario: &Scenario) {
        let advised = of.advised_headroom(&scenario.paths);
        if let (Some(Bytes(advised)), Some(Bytes(xoff))) = (advised, of.xoff) {
            let used = self.queue_high_water_bytes.saturating_sub(xoff);
            self.advised_headroom_bytes = Some(advised);
            self.headroom_used_percent = Some(used as f64 * 100.0 / advised.max(1) as f64);
        }
    }

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
            self.queue_high_water_bytes = self.queue_high_water_bytes.max(to.high_water_bytes);
            to.stops += from.stops;
            to.stopped_us += from.stopped_for / 1_000;
            to.dropped += from.dropped;
            to.marked += from.marked;
            to.notified += from.notified;
        }
    }
}
