//! The configuration as values: immutable, complete, and checked. References between its parts are
//! indices that exist.

mod tenants;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

pub use crate::classes::DataClass;
pub use tenants::{Backpressure, PauseFrames, Queues, Shape, SharedPriority, Tenant, TenantQueue};

use crate::mac::Mac;
use crate::prefix::Prefix;
use crate::units::{Bytes, Rate, Span};

/// Everything a gateway is told by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The gateway itself.
    pub gateway: Gateway,
    /// The threads that carry packets.
    pub workers: Workers,
    /// The ports, in the order of the file: at least one LAN and one WAN port.
    pub ports: Vec<Port>,
    /// The gateways at other sites, in the order of the file.
    pub peers: Vec<Peer>,
    /// Bounds and times of loss recovery.
    pub recovery: Recovery,
    /// How flows are followed.
    pub flows: Flows,
    /// The classes of tenants' data, the most urgent first; empty: latency and bulk.
    pub classes: Vec<DataClass>,
    /// Those whose packets are told apart, in the order in which they match: the first is
    /// `default`, which has what is nobody else's. Empty: none are told apart.
    pub tenants: Vec<Tenant>,
    /// Who may hold whom back; `None`: nobody anybody.
    pub backpressure: Option<Backpressure>,
    /// Where packets wait for their turn; `None`: they leave as they come.
    pub queues: Option<Queues>,
    /// Arguments of DPDK's environment, before those of the command line.
    pub eal: Vec<String>,
    /// Windows into the running gateway.
    pub control: Control,
}

impl Config {
    /// For each tenant, whether it is policed rather than its priority paused, if its queues are
    /// lossless: it has a priority that another has, too, and that is what is chosen.
    #[must_use]
    pub fn policed(&self) -> Vec<bool> {
        let chosen = self.backpressure.as_ref().map(|of| of.shared_priority);
        if chosen != Some(SharedPriority::Police) {
            return vec![false; self.tenants.len()];
        }
        let of_each: Vec<u8> = (0..self.tenants.len())
            .map(|tenant| self.priorities(tenant).iter().fold(0, |bits, of| bits | 1 << of))
            .collect();
        let is_shared =
            |priority: u8| of_each.iter().filter(|of| *of >> priority & 1 == 1).count() > 1;
        let shared = (0..8).fold(0, |bits, of| bits | u8::from(is_shared(of)) << of);
        of_each.iter().map(|of| of & shared != 0).collect()
    }

    /// The priorities on the LAN of a tenant's classes of data, the tenant by its number: its own, or
    /// each class's, or what `[backpressure]` says. Empty without that.
    #[must_use]
    pub fn priorities(&self, tenant: usize) -> Vec<u8> {
        let Some(of) = &self.backpressure else { return Vec::new() };
        let own = self.tenants.get(tenant).and_then(|tenant| tenant.queue.priority);
        let priority = |class: &Option<u8>| own.or(*class).unwrap_or(of.priority);
        self.class_priorities().iter().map(priority).collect()
    }

    /// What each class of data says of its priority.
    fn class_priorities(&self) -> Vec<Option<u8>> {
        match self.classes.as_slice() {
            [] => vec![None; 2],
            classes => classes.iter().map(|class| class.priority).collect(),
        }
    }
}

/// Windows into a running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// The Unix socket that `show` asks; without it nobody can.
    pub socket: Option<PathBuf>,
    /// Where counters are given to Prometheus by HTTP; without it nowhere.
    pub metrics: Option<SocketAddr>,
}

/// The gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Name in reports.
    pub name: String,
    /// Our outer address.
    pub address: IpAddr,
    /// Outer UDP port of tunnels to the first worker; each further worker has the next. None is
    /// that of RoCEv2.
    pub udp_port: u16,
    /// Whether outer UDP checksums are computed, and demanded.
    pub outer_checksum: bool,
    /// What happens to packets that do not fit their path. Without it the check has made sure that
    /// every packet fits.
    pub oversize: Option<Oversize>,
    /// Our SID: what is sent to it is taken out of SRv6.
    pub sid: Option<Ipv6Addr>,
    /// Whether outer headers take over the ECN field of what they are put around.
    pub ecn: bool,
}

/// What happens to a packet that does not fit its path once encapsulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// It is forwarded bare, unprotected.
    Forward,
    /// It is dropped.
    Drop,
}

/// The threads that carry packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// Processor cores, a worker each; at least one, each once.
    pub cores: Vec<u32>,
    /// What a worker does when nothing is to do.
    pub idle: Idle,
    /// Packet buffers of a worker: enough for what recovery keeps, unless the file says less.
    pub buffers: u32,
    /// Size of a packet buffer in bytes: 512 to 65,536.
    pub buffer_bytes: u32,
}

/// What a worker does when nothing is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It asks again at once.
    Poll,
    /// It asks less and less often.
    Backoff,
    /// It sleeps.
    Sleep,
}

/// A network port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in reports.
    pub name: String,
    /// The side it faces.
    pub role: Role,
    /// How packets come and go.
    pub driver: Driver,
    /// Largest IP packet, in bytes: 1280 to 9600.
    pub mtu: u32,
    /// Our Ethernet address on it; without it the interface's own, which only drivers of real ones
    /// can do without.
    pub mac: Option<Mac>,
    /// The port at the other end of the wire, an index into [`Config::ports`].
    pub bump: usize,
    /// Where packets that were carried as IP are sent to. LAN ports only.
    pub next_hop: Option<NextHop>,
    /// How fast it is; `None`: as fast as it takes what is sent.
    pub rate: Option<Shape>,
}

/// The next station on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// Its Ethernet address.
    Mac(Mac),
    /// Its IP address, of the family of [`Gateway::address`]: asked for by ARP or neighbour
    /// discovery.
    Address(IpAddr),
}

/// Which side a port faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The site.
    Lan,
    /// The network between the sites.
    Wan,
}

/// How packets come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Capture files; relative paths are already joined to the folder of the configuration.
    Pcap {
        /// The capture that is read.
        input: PathBuf,
        /// The capture that is written.
        output: PathBuf,
    },
    /// Rings in memory, that the process itself fills and empties.
    Ring,
    /// A network interface of Linux, through AF_XDP.
    AfXdp {
        /// Its name.
        interface: String,
        /// Its queues, one for each worker in their order.
        queues: Vec<u32>,
        /// How packets come up from it.
        mode: XdpMode,
        /// Whether an XDP program that somebody else attached makes way.
        replace: bool,
    },
    /// A device of DPDK.
    Dpdk {
        /// A PCI address, or a virtual device with its arguments.
        device: String,
    },
}

/// How AF_XDP brings packets up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// The best there is, in the order of the others here.
    Auto,
    /// The network driver writes into our memory.
    ZeroCopy,
    /// The network driver runs the program, and packets are copied.
    Native,
    /// The kernel's network stack runs it, behind the driver.
    Generic,
}

/// The gateway at another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Name in reports.
    pub name: String,
    /// Its outer address, of the family of [`Gateway::address`].
    pub address: IpAddr,
    /// What lies behind it.
    pub behind: Behind,
    /// How packets to and from it are numbered.
    pub numbering: Numbering,
    /// Whether a packet numbered by its PSN counts only if its ICRC is right.
    pub check_icrc: bool,
    /// Whether, without a tunnel, each queue pair gets a UDP source port of its own.
    pub source_port_entropy: bool,
    /// What its tunnel carries.
    pub carry: Carry,
    /// Whether the pair of gateways counts as a hop for packets carried as IP.
    pub ttl: Ttl,
    /// What happens to its packets while no session with it is up.
    pub absent: Absent,
    /// The LAN port for what it sends, an index into [`Config::ports`].
    pub lan: usize,
    /// Pre-shared key of the control messages.
    pub key: Key,
    /// Order domains; a power of two up to 65,536.
    pub lanes: u32,
    /// An order domain above so many thousandths of its path's capacity is spread over several;
    /// `None`: none is.
    pub spread: Option<u32>,
    /// Bytes of it that go one way before others may go another.
    pub group: Bytes,
    /// How often what order domains send is measured, and they move away from a path that runs hot.
    pub rebalance: Span,
    /// The ways to it: at least one, at most 64 channels together.
    pub paths: Vec<Path>,
}

/// What of the LAN's traffic a peer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// Every frame.
    Everything,
    /// IP packets to these destinations; at least one.
    Prefixes(Vec<Prefix>),
}

/// How packets between two gateways are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// They are encapsulated, and the header around them has the number.
    Tunnel,
    /// They go as they are; the number is their PSN.
    Transparent,
}

/// What a peer's tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// Whole Ethernet frames.
    Ethernet,
    /// IP packets.
    Ip,
}

/// What becomes of the time to live of packets carried as IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// It stays: the gateways are a wire.
    Wire,
    /// It is one less: the gateways are a router.
    Router,
}

/// What happens to a peer's packets while no session with it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// They are forwarded bare, unprotected.
    Forward,
    /// None gets through; each is counted.
    Hold,
}

/// A pre-shared key of 16 to 64 bytes. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub(crate) Vec<u8>);

impl Key {
    /// The secret itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.0.len())
    }
}

/// One way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Name in reports.
    pub name: String,
    /// The WAN port, an index into [`Config::ports`].
    pub port: usize,
    /// The next hop on it.
    pub next_hop: NextHop,
    /// What its share of the traffic follows; of one kind within a peer.
    pub share: Share,
    /// FIFO channels, each an outer flow of its own: 1 to 64.
    pub channels: u8,
    /// Round-trip time.
    pub rtt: Span,
    /// Largest outer IP packet, in bytes.
    pub mtu: u32,
    /// Whether, and how, BFD watches it.
    pub bfd: Option<Bfd>,
    /// What is around packets on it.
    pub encapsulation: Encapsulation,
}

/// What is around packets on a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encapsulation {
    /// IP and UDP.
    Udp,
    /// SRv6 around that.
    Srv6 {
        /// The segments in the order in which they are visited, 1 to 16; the last is the peer's SID.
        segments: Vec<Ipv6Addr>,
        /// Whether the first is in the destination address only.
        reduced: bool,
    },
}

/// How BFD watches a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bfd {
    /// Time between two packets, either way: 1 ms to 10 s.
    pub interval: Span,
    /// So many lost in a row take the path out of service: 1 to 50.
    pub multiplier: u8,
    /// Hops that a packet may take: 1 to 254.
    pub hops: u8,
    /// How long a path that came back waits at first: up to a minute.
    pub hold_down: Span,
}

/// What the share of a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Its data rate, at least 1 bit a second.
    Capacity(Rate),
    /// A number relative to the peer's other paths, at least 1.
    Weight(u32),
}

/// Bounds and times of loss recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Replay buffer of a worker, over all peers, in bytes of packet buffers; at least 128 KiB.
    pub replay_bytes: Bytes,
    /// Packets a channel remembers, a power of two up to 2^24.
    pub replay_packets: u32,
    /// Age at which a packet leaves the replay buffer unconfirmed.
    pub replay_age: Span,
    /// Whether RNICs' repeats of what is still on its way are absorbed.
    pub shield: bool,
    /// Hold buffer of a worker, for each peer, in bytes of packet buffers; at least 128 KiB.
    pub hold_bytes: Bytes,
    /// Packets in a hold buffer, a power of two up to 2^24.
    pub hold_packets: u32,
    /// Longest time a packet waits for the ones before it.
    pub hold_age: Span,
    /// Round trip assumed until one is measured.
    pub initial_rtt: Span,
    /// An acknowledgement is sent at the latest this long after the first packet it confirms...
    pub ack_delay: Span,
    /// ... or after so many packets.
    pub ack_packets: u32,
    /// Holes a channel remembers.
    pub holes: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            replay_bytes: Bytes(256 << 20),
            replay_packets: 1 << 16,
            replay_age: Span(1_000_000_000),
            shield: true,
            hold_bytes: Bytes(64 << 20),
            hold_packets: 1 << 15,
            hold_age: Span(500_000_000),
            initial_rtt: Span(10_000_000),
            ack_delay: Span(200_000),
            ack_packets: 64,
            holes: 4_096,
        }
    }
}

/// How flows are followed: who sends how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flows {
    /// Whether they are.
    pub follow: bool,
    /// Places for queue pairs, a worker, a power of two.
    pub subflows: u32,
    /// Places for 5-tuples, a worker, a power of two.
    pub flows: u32,
    /// Whether partitions tell queue pairs apart.
    pub p_keys: bool,
    /// Time over which rates are averaged.
    pub window: Span,
    /// A flow that has this rate...
    pub elephant_rate: Rate,
    /// ... for so long is an elephant.
    pub elephant_after: Span,
    /// An elephant that has less than this rate...
    pub mouse_rate: Rate,
    /// ... for so long is none any more.
    pub mouse_after: Span,
    /// A flow that is silent for so long is over.
    pub idle: Span,
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            follow: true,
            subflows: 1 << 16,
            flows: 1 << 14,
            p_keys: false,
            window: Span(10_000_000),
            elephant_rate: Rate(1_000_000_000),
            elephant_after: Span(50_000_000),
            mouse_rate: Rate(250_000_000),
            mouse_after: Span(1_000_000_000),
            idle: Span(10_000_000_000),
        }
    }
}
