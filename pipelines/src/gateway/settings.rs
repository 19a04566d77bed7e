//! What a gateway is told when it is made. Plain values, translated from the configuration by the
//! caller; [`Settings::check`] refuses what the code below could not work with.

use std::net::{IpAddr, Ipv6Addr};

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos};

pub use super::pauses::{BackpressureSettings, PfcSettings};
use super::tenancy::least_lanes;
use crate::flows;
use crate::queueing::{Classes, Rate, TenantQueues};
use crate::tenant::{self, TenantSettings};
use crate::tunnel::label::flow_label;
use crate::tunnel::outer::{End, Outer, ip_overhead};
use crate::tunnel::srv6::Shell;
pub use crate::tunnel::srv6::{Encapsulation, MAX_SEGMENTS, Segments};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Most channels a peer's paths may have together: the tunnel header names them in one byte.
pub const MAX_CHANNELS: usize = 64;

/// Which side a port faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The site: RNICs.
    Lan,
    /// The network between the sites.
    Wan,
}

/// A port, in the order of the worker's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSettings {
    /// Its side.
    pub role: Role,
    /// Its Ethernet address: source of what the gateway itself sends there.
    pub mac: Mac,
    /// Where a packet for no peer goes, bare: the port at the other end of the wire.
    pub bump: usize,
    /// LAN ports at a routed edge: where a packet that was carried as IP is sent to.
    pub next_hop: Option<NextHop>,
}

/// The next station on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// Its Ethernet address.
    Mac(Mac),
    /// Its IP address: asked for by ARP or neighbour discovery. Until it is known, nothing is sent
    /// there.
    Address(IpAddr),
}

/// What a peer's tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// Whole Ethernet frames: the far side puts them out as they were.
    Ethernet,
    /// IP packets: the far side writes an Ethernet header of its own.
    Ip,
}

/// What becomes of the time to live (IPv6: the hop limit) of packets carried as IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ttl {
    /// It stays: the gateways are a wire.
    #[default]
    Wire,
    /// It is one less: the gateways are a router. A packet that has none left is dropped.
    Router,
}

/// What happens to a peer's packets from the LAN while no session with it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// They are forwarded bare, unprotected, and counted.
    #[default]
    Forward,
    /// They are dropped, with a reason.
    Hold,
}

/// What happens to a packet that does not fit its path once encapsulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// It is forwarded bare, unprotected, and counted.
    Forward,
    /// It is dropped, with a reason.
    Drop,
}

/// A range of addresses: those that agree with `address` in the first `length` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The address; bits beyond the length do not matter.
    pub address: IpAddr,
    /// Bits that count: up to 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// Whether `address` lies in the range.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                u128::from(ours.to_bits() ^ theirs.to_bits()) << 96
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => ours.to_bits() ^ theirs.to_bits(),
            _ => return false,
        };
        differing.leading_zeros() >= u32::from(self.length)
    }
}

/// What of the LAN's traffic a peer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// Every frame, as a wire would: ARP too.
    Everything,
    /// IP packets to these destinations.
    Prefixes(Vec<Prefix>),
}

/// One way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSettings {
    /// Name in reports.
    pub name: String,
    /// The WAN port, an index into [`Settings::ports`].
    pub port: usize,
    /// The next hop on it.
    pub next_hop: NextHop,
    /// Share of the traffic, relative to the peer's other paths; at least 1.
    pub weight: u32,
    /// Bits a second on the line, if they are known of all the peer's paths: shares are in
    /// proportion to them then.
    pub capacity: Option<u64>,
    /// FIFO channels, each an outer 5-tuple of its own: 1 to [`MAX_CHANNELS`] for all paths.
    pub channels: u8,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
    /// Whether, and how, BFD watches it.
    pub bfd: Option<BfdSettings>,
    /// What is around packets on it.
    pub encapsulation: Encapsulation,
}

/// How BFD (RFC 5880) watches a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdSettings {
    /// Time between two packets, either way: 1 ms to 10 s.
    pub interval: Nanos,
    /// So many of them lost in a row take the path out of service; at least 1.
    pub multiplier: u8,
    /// Hops that a packet may take: 1 as in RFC 5881, more as in RFC 5883.
    pub hops: u8,
    /// How long a path that came back waits until it is in service again; longer the more it flaps.
    pub hold_down: Nanos,
}

impl Default for BfdSettings {
    /// Three packets of ten milliseconds, over one hop.
    fn default() -> Self {
        Self { interval: 10 * MILLISECOND, multiplier: 3, hops: 1, hold_down: 1_000 * MILLISECOND }
    }
}

/// How packets between two gateways are numbered. Both must do it alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbering {
    /// They are encapsulated, and the header around them has the number.
    #[default]
    Tunnel,
    /// They go as they are, and the PSN that they have of themselves is the number.
    Transparent {
        /// Whether a packet counts only if its ICRC is right.
        check_icrc: bool,
    },
}

/// The gateway at another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSettings {
    /// Name in reports.
    pub name: String,
    /// Its outer address, of the same family as [`Settings::address`].
    pub address: IpAddr,
    /// What lies behind it.
    pub behind: Behind,
    /// How it is numbered.
    pub numbering: Numbering,
    /// How it is carried, in a tunnel.
    pub carry: Carry,
    /// What becomes of the time to live of what is carried as IP.
    pub ttl: Ttl,
    /// What happens to its packets while it is not there.
    pub absent: Absent,
    /// The LAN port that what it sends us leaves by, an index into [`Settings::ports`].
    pub lan: usize,
    /// With transparent numbering, whether each queue pair gets a UDP source port of its own.
    pub source_port_entropy: bool,
    /// Pre-shared key of the control messages: 16 to 64 bytes.
    pub key: Vec<u8>,
    /// Order domains; a power of two, 1 to 65,536. Both sides may differ.
    pub lanes: u32,
    /// The ways to it, at least one.
    pub paths: Vec<PathSettings>,
    /// How traffic is shared out among them.
    pub sharing: Sharing,
}

/// How a peer's traffic is shared out among its paths while it flows. In transparent numbering
/// nothing of it applies: a stream keeps its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// A lane above so many thousandths of its path's capacity is sent in groups of packets over
    /// several; `None`: none is. Needs capacities.
    pub spread: Option<u32>,
    /// Bytes of such a group.
    pub group: u32,
    /// How often what lanes send is measured, and lanes are moved away from a path that runs hot.
    pub interval: Nanos,
    /// Workers that send to the peer, each by the same paths; at least 1.
    pub workers: u32,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { spread: Some(500), group: 64 << 10, interval: 10 * MILLISECOND, workers: 1 }
    }
}

/// Bounds and times of loss recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySettings {
    /// Memory the replay buffer may hold, in bytes of packet buffers: of this worker,
    /// over all peers.
    pub replay_bytes: u64,
    /// Packets a channel remembers, a power of two.
    pub replay_packets: u32,
    /// Age at which a packet leaves the replay buffer unconfirmed.
    pub replay_age: Nanos,
    /// Whether an RNIC's repeats of what is still on its way are absorbed.
    pub shield: bool,
    /// Memory the hold buffer may hold, in bytes of packet buffers: of this worker, a peer.
    pub hold_bytes: u64,
    /// Packets the hold buffer may hold, a peer, a power of two.
    pub hold_packets: u32,
    /// Longest time a packet waits for the ones before it.
    pub hold_age: Nanos,
    /// Round trip assumed until one is measured.
    pub initial_rtt: Nanos,
    /// An acknowledgement is sent at the latest this long after the first packet it confirms...
    pub ack_delay: Nanos,
    /// ... or after so many packets.
    pub ack_packets: u32,
    /// Holes a channel remembers.
    pub holes: u32,
    /// Streams of RNICs that are remembered each way, a peer: the least recently used of them make
    /// room for others.
    pub streams: u32,
}

/// Streams that a gateway remembers each way, a peer, if it is not told otherwise.
pub const STREAMS: u32 = 1 << 14;

impl Default for RecoverySettings {
    /// For tests and the lab: 256 MiB of replay, 64 MiB of hold.
    fn default() -> Self {
        Self {
            replay_bytes: 256 << 20,
            replay_packets: 1 << 16,
            replay_age: 1_000 * MILLISECOND,
            shield: true,
            hold_bytes: 64 << 20,
            hold_packets: 1 << 15,
            hold_age: 500 * MILLISECOND,
            initial_rtt: 10 * MILLISECOND,
            ack_delay: 200 * MICROSECOND,
            ack_packets: 64,
            holes: 4_096,
            streams: STREAMS,
        }
    }
}

/// Everything a gateway is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our outer address.
    pub address: IpAddr,
    /// Our SID: what is sent to it is taken out of SRv6. Without one, nothing is.
    pub sid: Option<Ipv6Addr>,
    /// Whether outer headers take over the ECN field (RFC 6040, normal mode), or are not ECN-capable
    /// (compatibility mode). Marks that come are honoured in either case.
    pub ecn: bool,
    /// Outer UDP destination port of tunnels to this worker, and of those it sends.
    pub udp_port: u16,
    /// Whether outer UDP checksums are computed, and demanded.
    pub outer_checksum: bool,
    /// What does not fit its path.
    pub oversize: Oversize,
    /// The worker's ports.
    pub ports: Vec<PortSettings>,
    /// The gateways at other sites.
    pub peers: Vec<PeerSettings>,
    /// Recovery.
    pub recovery: RecoverySettings,
    /// Those whose packets are told apart: the first that matches has a packet. The first in the
    /// list matches nothing and has what is nobody else's. Empty: none are told apart.
    pub tenants: Vec<TenantSettings>,
    /// How flows are followed; `None`: they are not.
    pub flows: Option<flows::Settings>,
    /// Who may hold whom back; `None`: nobody anybody.
    pub backpressure: Option<BackpressureSettings>,
    /// Where packets wait for their turn; `None`: they leave at once, in the order they came.
    pub queues: Option<QueueSettings>,
}

/// Queues a tenant and class: towards the WAN, and towards each LAN port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Which packets are of which class.
    pub classes: Classes,
    /// Bytes of frames that may wait each way.
    pub pool_bytes: u64,
    /// Packets that may wait each way: 64 to 2^24.
    pub packets: u32,
    /// How fast the ports are, in the order of [`Settings::ports`]; `None`, or fewer: as fast as
    /// they take what is sent. Several WAN ports count together, and only if all have a rate.
    pub port_rates: Vec<Option<Rate>>,
    /// The tenants' queues, in the order of [`Settings::tenants`]; one, if there are no tenants.
    /// Their rates are those of what they send to the WAN.
    pub tenants: Vec<TenantQueues>,
}

/// Settings that contradict themselves. The configuration's own check, with file and line, comes
/// before; this one protects callers that build settings themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gateway settings: {0}")]
pub struct SettingsError(pub(crate) String);

impl Settings {
    /// Whether streams of requests are remembered: to absorb repeats, or to know what responses
    /// must bring.
    pub(crate) fn has_shield(&self) -> bool {
        let transparent = |peer: &PeerSettings| peer.numbering != Numbering::Tunnel;
        self.recovery.shield || self.peers.iter().any(transparent)
    }

    /// The source address of SRv6: our own, or our SID if that is not of IPv6.
    pub(crate) fn srv6_source(&self) -> Option<Ipv6Addr> {
        match self.address {
            IpAddr::V6(ours) => Some(ours),
            IpAddr::V4(_) => self.sid,
        }
    }

    /// The headers around packets of `channel`, of `path`.
    pub(crate) fn outer(&self, path: &PathSettings, (from, to): (End, End), channel: u8) -> Outer {
        let outer = Outer::new(from, to, self.udp_port, channel, self.outer_checksum);
        let Encapsulation::Srv6(segments) = &path.encapsulation else { return outer };
        let label = flow_label(from.address, to.address, channel);
        let source = self.srv6_source();
        let shell = source.and_then(|source| Shell::new(from.mac, source, segments, label));
        debug_assert!(shell.is_some(), "the settings have been checked");
        outer.within(shell)
    }

    /// Bytes that fit behind the tunnel header on a path.
    pub(crate) fn largest(&self, path: &PathSettings) -> usize {
        let overhead = ip_overhead(self.address) + path.encapsulation.shell_len();
        (path.mtu as usize).saturating_sub(overhead)
    }

    /// # Errors
    /// The first contradiction found.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let fail = |what: String| Err(SettingsError(what));
        for (index, port) in self.ports.iter().enumerate() {
            if port.bump >= self.ports.len() {
                return fail(format!("port {index}: no port {} to forward to", port.bump));
            }
        }
        for peer in &self.peers {
            self.check_peer(peer)?;
        }
        tenant::check(&self.tenants, self.ports.len()).map_err(SettingsError)?;
        self.backpressure.iter().try_for_each(|of| of.check(self))?;
        if let Some(queues) = &self.queues {
            queues.check(self.tenants.len()).map_err(SettingsError)?;
        }
        let recovery = &self.recovery;
        for (name, value) in
            [("replay_packets", recovery.replay_packets), ("hold_packets", recovery.hold_packets)]
        {
            if !value.is_power_of_two() || value > 1 << 24 {
                return fail(format!("{name} is {value}: must be a power of two up to 2^24"));
            }
        }
        // Less than this and a burst of jumbo frames would not fit.
        if recovery.replay_bytes.min(recovery.hold_bytes) < 128 << 10 {
            return fail("replay_bytes and hold_bytes must be at least 128 KiB".into());
        }
        for tenant in &self.tenants {
            let bounds = [tenant.replay_bytes, tenant.hold_bytes];
            if bounds.iter().flatten().any(|bytes| *bytes < 128 << 10) {
                return fail(format!("tenant {}: bounds are at least 128 KiB", tenant.name));
            }
        }
        if recovery.holes == 0 || recovery.ack_packets == 0 {
            return fail("holes and ack_packets must be at least 1".into());
        }
        if !(1..=1 << 20).contains(&recovery.streams) {
            return fail(format!("streams is {}: must be from 1 to 2^20", recovery.streams));
        }
        Ok(())
    }

    fn check_peer(&self, peer: &PeerSettings) -> Result<(), SettingsError> {
        let name = &peer.name;
        let fail = |what: String| Err(SettingsError(format!("peer {name}: {what}")));
        let role = |port: usize| self.ports.get(port).map(|port| port.role);
        if peer.address.is_ipv4() != self.address.is_ipv4() {
            return fail("its address and ours are of different families".into());
        }
        if role(peer.lan) != Some(Role::Lan) {
            return fail(format!("port {} is no LAN port", peer.lan));
        }
        if !(16..=64).contains(&peer.key.len()) {
            return fail(format!("a key of {} bytes: must be 16 to 64", peer.key.len()));
        }
        if !peer.lanes.is_power_of_two() || peer.lanes > 65_536 {
            return fail(format!("{} lanes: must be a power of two up to 65536", peer.lanes));
        }
        if peer.lanes < least_lanes(self.tenants.len()) {
            return fail(format!("{} lanes: fewer than tenants", peer.lanes));
        }
        if peer.paths.is_empty() {
            return fail("no path".into());
        }
        for path in &peer.paths {
            if role(path.port) != Some(Role::Wan) {
                return fail(format!("path {}: port {} is no WAN port", path.name, path.port));
            }
            if path.weight == 0 || path.channels == 0 {
                return fail(format!("path {}: weight and channels are at least 1", path.name));
            }
            if let Encapsulation::Srv6(segments) = &path.encapsulation {
                if !(1..=MAX_SEGMENTS).contains(&segments.list.len()) {
                    return fail(format!("path {}: 1 to {MAX_SEGMENTS} segments", path.name));
                }
                if self.srv6_source().is_none() {
                    return fail(format!("path {}: SRv6, and no IPv6 address or SID", path.name));
                }
            }
            let intervals = MILLISECOND..=10_000 * MILLISECOND;
            let is_sound = |bfd: BfdSettings| {
                intervals.contains(&bfd.interval) && bfd.multiplier > 0 && bfd.hops > 0
            };
            if !path.bfd.is_none_or(is_sound) {
                return fail(format!("path {}: BFD of 1 ms to 10 s, at least 1 lost", path.name));
            }
        }
        let Sharing { spread, group, interval, workers } = peer.sharing;
        if spread == Some(0) || group == 0 || workers == 0 || interval < MILLISECOND {
            return fail("sharing: nothing may be zero, and an interval is 1 ms or longer".into());
        }
        let channels: usize = peer.paths.iter().map(|path| usize::from(path.channels)).sum();
        if channels > MAX_CHANNELS {
            return fail(format!("{channels} channels: at most {MAX_CHANNELS}"));
        }
        Ok(())
    }
}
