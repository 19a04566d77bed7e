//! Whose the packets are that leave for a peer and that come from one, and what each tenant had.

use std::net::IpAddr;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::classify::{Classified, classify};
use super::counters::Traffic;
use super::{Gateway, Peer, QueueStatus, Settings, StopStatus};
use crate::tenant::{Classifier, DEFAULT, Share, Shares, TenantSettings, Traits};

/// A tenant at a moment. Bytes held are those of packet buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantStatus {
    /// Packets from the LAN for a peer that was there.
    pub sent: Traffic,
    /// Packets from a peer, as they go to the LAN.
    pub received: Traffic,
    /// Bytes in the replay buffer.
    pub replay_bytes: u64,
    /// The most that ever were.
    pub replay_high_water_bytes: u64,
    /// Packets that went out and were not kept, because of its bound.
    pub unprotected: u64,
    /// Bytes in the hold buffers of all peers.
    pub held_bytes: u64,
    /// The most that ever were in one of them.
    pub held_high_water_bytes: u64,
    /// Packets no longer waited for, because of its bound.
    pub gave_up: u64,
    /// What peers were told of it, and told us.
    pub stops: StopStatus,
    /// What waits for its turn towards the WAN.
    pub to_wan: QueueStatus,
    /// And towards the LAN.
    pub to_lan: QueueStatus,
}

/// The tenants of a gateway; without any told apart, each method is one comparison.
pub(super) struct Tenancy(Option<Box<Known>>);

struct Known {
    classifier: Classifier,
    /// Sent and received, a tenant.
    traffic: Box<[(Traffic, Traffic)]>,
    /// A tenant's part of a peer's lanes is 1 in two to the power of this.
    part: u32,
}

/// Which of a packet's addresses is that of the host at this site.
#[derive(Clone, Copy)]
enum Host {
    Source,
    Destination,
}

impl Tenancy {
    pub(super) fn new(tenants: &[TenantSettings]) -> Self {
        let known = || Known {
            classifier: Classifier::new(tenants),
            traffic: vec![Default::default(); tenants.len()].into(),
            part: lane_bits(tenants.len()),
        };
        Self((!tenants.is_empty()).then(|| Box::new(known())))
    }

    /// Finds and marks the tenant of a packet from LAN port `port`, which leaves for a peer.
    #[inline]
    pub(super) fn leaves(&mut self, port: usize, class: &Classified, packet: &mut Packet) -> u16 {
        let Some(known) = &mut self.0 else { return DEFAULT };
        let tenant = known.mark(port, class, packet, Host::Source);
        known.traffic[usize::from(tenant)].0.add(packet.len());
        tenant
    }

    /// Finds and marks the tenant of a packet from a peer, which goes to LAN port `port`.
    #[inline]
    pub(super) fn arrives(&mut self, port: usize, class: &Classified, packet: &mut Packet) {
        let Some(known) = &mut self.0 else { return };
        let tenant = known.mark(port, class, packet, Host::Destination);
        known.traffic[usize::from(tenant)].1.add(packet.len());
    }

    /// The same of one that was not looked at yet.
    #[inline]
    pub(super) fn unpacked(&mut self, port: usize, packet: &mut Packet) {
        if self.0.is_some()
            && let Ok(class) = classify(packet.head())
        {
            self.arrives(port, &class, packet);
        }
    }

    /// The lane of a packet, by its hash, of a power of two `lanes`. Tenants share none, so nobody
    /// waits for what another one lost.
    #[inline]
    pub(super) fn lane(&self, tenant: u16, hash: u32, lanes: usize) -> usize {
        let Some(known) = &self.0 else { return hash as usize & (lanes - 1) };
        let own = lanes >> known.part;
        usize::from(tenant) * own + (hash as usize & own.saturating_sub(1))
    }
}

impl Known {
    fn mark(&self, port: usize, class: &Classified, packet: &mut Packet, host: Host) -> u16 {
        let tenant = self.classifier.tenant(&traits(packet.head(), port, class, host));
        packet.set_mark(tenant);
        tenant
    }
}

/// How many bits of a lane's number name its tenant, of `tenants`.
fn lane_bits(tenants: usize) -> u32 {
    tenants.next_power_of_two().trailing_zeros()
}

/// The fewest lanes a peer must have for so many tenants, the default one included.
pub(super) fn least_lanes(tenants: usize) -> u32 {
    1 << lane_bits(tenants)
}

/// What tenants are told apart by. Everything is where [`classify`] found it.
#[inline]
fn traits(head: &[u8], port: usize, class: &Classified, host: Host) -> Traits {
    let vlan = match head.first_chunk::<16>() {
        Some(&[.., 0x81, 0x00, t0, t1] | &[.., 0x88, 0xa8, t0, t1] | &[.., 0x91, 0x00, t0, t1]) => {
            u16::from_be_bytes([t0, t1]) & 0xfff
        }
        _ => 0,
    };
    let p_key = class.roce.and_then(|found| {
        let key = head.get(usize::from(found.bth_at) + 2..)?.first_chunk()?;
        Some(u16::from_be_bytes(*key))
    });
    let address = match host {
        Host::Destination => class.destination,
        Host::Source => source(head.get(usize::from(class.ip_offset)..), class.ip_version),
    };
    let ip = address.map(|address| (address, class.tos >> 2));
    Traits { port: port as u8, vlan, ip, p_key }
}

/// The source of an IP packet.
#[inline]
fn source(ip: Option<&[u8]>, version: u8) -> Option<IpAddr> {
    match version {
        4 => Some(IpAddr::from(*ip?.get(12..)?.first_chunk::<4>()?)),
        6 => Some(IpAddr::from(*ip?.get(8..)?.first_chunk::<16>()?)),
        _ => None,
    }
}

impl Gateway {
    /// Says how each tenant does at `now`, into as many elements of `status` as there are tenants: the first
    /// is the default one; none if none are told apart. It allocates the first time only.
    pub fn tenants_status(&self, now: Time, status: &mut Vec<TenantStatus>) {
        let traffic = self.common.tenancy.0.as_ref().map_or(&[][..], |known| &known.traffic);
        status.resize_with(traffic.len(), TenantStatus::default);
        let replay = self.common.memory.shares();
        for (tenant, (status, traffic)) in status.iter_mut().zip(traffic).enumerate() {
            let tenant = tenant as u16;
            let [to_wan, to_lan] = self.queue_status(tenant, now);
            let (sent, received) = *traffic;
            *status = TenantStatus { sent, received, to_wan, to_lan, ..Default::default() };
            if let Some(share) = replay.of(tenant) {
                status.replay_bytes = share.bytes;
                status.replay_high_water_bytes = share.high_water;
                status.unprotected = share.refused;
            }
            for Share { bytes, high_water, refused, .. } in
                self.peers.iter().filter_map(|peer| peer.held_shares().of(tenant))
            {
                status.held_bytes += bytes;
                status.held_high_water_bytes = status.held_high_water_bytes.max(*high_water);
                status.gave_up += refused;
            }
            status.stops = self.stop_status(tenant);
        }
    }
}

impl Peer {
    /// What of the packets that wait is whose.
    fn held_shares(&self) -> &Shares {
        self.streams.as_ref().map_or(self.order.shares(), |streams| streams.inbound.shares())
    }
}

/// The parts of a replay buffer.
pub(super) fn replay_shares(settings: &Settings) -> Shares {
    Shares::new(settings.tenants.iter().map(|tenant| tenant.replay_bytes))
}

/// The parts of a hold buffer.
pub(super) fn hold_shares(settings: &Settings) -> Shares {
    Shares::new(settings.tenants.iter().map(|tenant| tenant.hold_bytes))
}
