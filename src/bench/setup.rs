//! What is measured: streams, a load, and the settings of both gateways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::model::{Config, Numbering};
use config::prefix::Prefix;
use dataplane::port::BURST;
use dataplane::time::{MILLISECOND, Nanos};
use lab::pair::frames::Stream;
use lab::pair::traffic::{STREAMS, Source};
use lab::pair::{HEADROOM, LAN, Load, WAN, settings};
use pipelines::gateway::{
    BackpressureSettings, Encapsulation, NextHop, PeerSettings, PortSettings, QueueSettings,
    Settings,
};
use pipelines::queueing::Rate;
use pipelines::tenant::{Match, TenantSettings};

use crate::settings as translated;

/// The wide area's round trip.
pub(super) const ROUND_TRIP: Nanos = 5 * MILLISECOND;
/// One in so many packets is lost, where some are.
pub(super) const LOST_EVERY: u64 = 100;
/// Nothing is offered faster than this, in packets a second ...
const MOST_PACKETS: u64 = 10_000_000;
/// ... and bits a second.
const MOST_BITS: u64 = 100_000_000_000;
/// More than may be bounded here.
const BYTES: u64 = 1 << 34;
/// Bytes of frames that may wait in queues, at least.
const QUEUE_BYTES: u64 = 64 << 20;
/// Packets that may, at least.
const QUEUE_PACKETS: u32 = 1 << 14;

/// One size of packets, and the configuration to measure them with.
pub(super) struct Setup<'a> {
    config: Option<&'a Config>,
    streams: Vec<Stream>,
    /// Bytes of payload a packet.
    pub(super) payload: usize,
    /// Bytes of the largest frame, without frame check sequence.
    pub(super) frame: usize,
    /// Without loss.
    pub(super) load: Load,
}

impl<'a> Setup<'a> {
    pub(super) fn new(config: Option<&'a Config>, payload: usize) -> Self {
        let streams = streams(config);
        let first = config.and_then(|config| config.peers.first());
        let icrc = first.is_some_and(|peer| peer.numbering == Numbering::Transparent);
        let frame = Source::new(&streams, payload, icrc).longest();
        let bursts_a_second = (MOST_PACKETS).min(MOST_BITS / (frame as u64 * 8)) / BURST as u64;
        let pace = 1_000_000_000 / bursts_a_second;
        // A loss is repaired two round trips later; as much again for what is about to leave.
        let packets = 4 * ROUND_TRIP / pace * BURST as u64;
        let load = Load {
            payload,
            delay: ROUND_TRIP / 2,
            checksum: config.is_some_and(|config| config.gateway.outer_checksum),
            buffers: (packets as u32).next_power_of_two(),
            buffer_bytes: (HEADROOM + frame as u32).next_multiple_of(64).max(512),
            pace,
            icrc,
            ..Load::BASE
        };
        Self { config, streams, payload, frame, load }
    }

    pub(super) fn source(&self) -> Source {
        Source::new(&self.streams, self.payload, self.load.icrc)
    }

    /// Settings of both gateways.
    pub(super) fn both(&self) -> [Settings; 2] {
        [(1, 2), (2, 1)].map(|(own, peer)| {
            let plain = settings(own, peer, &self.load);
            match self.config {
                Some(config) => configured(config, plain, own, peer),
                None => plain,
            }
        })
    }
}

/// What `config` says of how packets are treated, over the ports and addresses of `plain`.
fn configured(config: &Config, plain: Settings, own: u8, peer: u8) -> Settings {
    let macs = vec![[2, 0, 0, 0, 0, own]; config.ports.len()];
    let told = translated::gateway(config, &macs);
    let six = config.gateway.address.is_ipv6();
    let address = |last: u8| match six {
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)]),
        false => IpAddr::from([192, 0, 2, last]),
    };
    let hop = NextHop::Mac([2, 0, 0, 0, 0, 0xfe]);
    let port = |port: PortSettings| PortSettings { next_hop: Some(hop), ..port };
    let mut recovery = told.recovery;
    recovery.replay_packets = plain.recovery.replay_packets;
    recovery.hold_packets = plain.recovery.hold_packets;
    (recovery.replay_bytes, recovery.hold_bytes) = (BYTES, BYTES);
    let peers = plain
        .peers
        .into_iter()
        .map(|of| PeerSettings { address: address(peer), ..like(told.peers.first(), of) });
    Settings {
        address: address(own),
        ecn: told.ecn,
        ports: plain.ports.into_iter().map(port).collect(),
        peers: peers.collect(),
        recovery,
        tenants: told.tenants.into_iter().map(unbounded).collect(),
        flows: told.flows,
        backpressure: told.backpressure.map(|of| BackpressureSettings {
            // The one port here that faces a site is like the first there that takes part.
            ports: vec![of.ports.iter().flatten().next().copied(), None],
            ..of
        }),
        queues: told.queues.map(unshaped),
        ..plain
    }
}

/// A peer that is numbered and carried as `told`, over the one path of `plain`.
fn like(told: Option<&PeerSettings>, plain: PeerSettings) -> PeerSettings {
    let Some(told) = told.cloned() else { return plain };
    let channels = told.paths.iter().map(|path| path.channels).sum();
    let mut paths = plain.paths;
    paths.iter_mut().for_each(|path| path.channels = channels);
    PeerSettings { lan: LAN, behind: plain.behind, key: plain.key, paths, ..told }
}

/// Whose memory is counted as it was, and suffices.
fn unbounded(tenant: TenantSettings) -> TenantSettings {
    let ports = if tenant.matches.ports.is_empty() { vec![] } else { vec![LAN as u8] };
    TenantSettings {
        matches: Match { ports, ..tenant.matches },
        replay_bytes: tenant.replay_bytes.map(|_| BYTES),
        hold_bytes: tenant.hold_bytes.map(|_| BYTES),
        ..tenant
    }
}

/// Queues whose rates are looked at and never reached: what is measured is what they cost.
fn unshaped(mut queues: QueueSettings) -> QueueSettings {
    let lifted = |rate: Option<Rate>| rate.map(|_| Rate::of(Rate::FASTEST));
    for tenant in &mut queues.tenants {
        tenant.rate = lifted(tenant.rate);
    }
    let any = queues.port_rates.iter().flatten().next().copied();
    queues.port_rates = vec![lifted(any); WAN + 1];
    queues.pool_bytes = queues.pool_bytes.max(QUEUE_BYTES);
    queues.packets = queues.packets.max(QUEUE_PACKETS);
    queues
}

/// Streams of every tenant, in turn; enough that there are [`STREAMS`] in all.
fn streams(config: Option<&Config>) -> Vec<Stream> {
    let tenants = config.map_or(&[][..], |config| &config.tenants);
    let count = STREAMS.max(tenants.len() as u32);
    let stream = |number: u32| {
        let plain = Stream::new(number);
        let Some(tenant) = tenants.get(number as usize % tenants.len().max(1)) else {
            return plain;
        };
        Stream {
            source: tenant.prefixes.first().map_or(plain.source, host),
            vlan: tenant.vlans.first().copied().filter(|vlan| *vlan > 0),
            dscp: tenant.dscp.first().copied().unwrap_or(plain.dscp),
            p_key: tenant.p_keys.first().copied(),
            ..plain
        }
    };
    (0..count).map(stream).collect()
}

/// A host of a prefix: the last address but one, if it has several.
fn host(prefix: &Prefix) -> IpAddr {
    let ones = |bits: u32| 1u128.checked_shl(bits).map_or(u128::MAX, |above| above - 1);
    match prefix.address() {
        IpAddr::V4(first) => {
            let hosts = ones(32 - u32::from(prefix.length())) as u32;
            Ipv4Addr::from_bits(first.to_bits() | hosts & !1).into()
        }
        IpAddr::V6(first) => {
            let hosts = ones(128 - u32::from(prefix.length()));
            Ipv6Addr::from_bits(first.to_bits() | hosts & !1).into()
        }
    }
}

/// What of a configuration is not measured as it says, for whoever reads the figures.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |is: bool, what: &str| notes.extend(is.then(|| what.to_owned()));
    let paths = || config.peers.iter().flat_map(|peer| &peer.paths);
    let shaped = |tenant: &config::model::Tenant| tenant.queue.rate.is_some();
    let bounded = |tenant: &config::model::Tenant| tenant.replay_bytes.is_some();
    note(config.peers.len() > 1, "several peers: only the first is measured");
    note(paths().count() > 1, "several paths: one, with the channels of all");
    let srv6 = |path: &config::model::Path| {
        !matches!(translated::encapsulation(&path.encapsulation), Encapsulation::Udp)
    };
    note(paths().any(srv6), "SRv6: measured without");
    note(paths().any(|path| path.bfd.is_some()), "BFD: measured without");
    note(
        config.tenants.iter().any(shaped) || config.ports.iter().any(|port| port.rate.is_some()),
        "rates: looked at, and lifted",
    );
    note(config.tenants.iter().any(bounded), "bounds of memory: counted, and lifted");
    notes
}
