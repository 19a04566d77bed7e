//! Every key a configuration may contain. The reader accepts these and no others; the example is
//! tested to show each of them.

/// A key of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Whether every such section must have it.
    pub required: bool,
    /// A value, as TOML writes it.
    pub example: &'static str,
    /// What it means, in a line.
    pub doc: &'static str,
}

/// A section and its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// Whether it may occur more than once, as `[[name]]`.
    pub many: bool,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The header as TOML writes it: `[gateway]`, `[[port]]`.
    #[must_use]
    pub fn header(&self) -> String {
        if self.many { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key that every such section must have.
#[must_use]
pub const fn required(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, required: true, example, doc }
}

/// A key that may be left out.
#[must_use]
pub const fn optional(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, required: false, example, doc }
}

/// The gateway itself.
pub const GATEWAY: Section = Section {
    name: "gateway",
    many: false,
    keys: &[
        required("name", "\"site-a\"", "name in reports"),
        required("address", "\"192.0.2.1\"", "our outer address"),
        optional("udp_port", "4794", "outer UDP port of tunnels"),
        optional("outer_checksum", "true", "whether outer UDP checksums are computed and demanded"),
        optional("oversize", "\"forward\"", "what happens to packets that do not fit their path"),
        optional("sid", "\"2001:db8:a::d46\"", "our SID, at which SRv6 is taken off"),
        optional("ecn", "true", "whether outer headers take over the ECN field"),
    ],
};

/// The threads that carry packets.
pub const WORKERS: Section = Section {
    name: "workers",
    many: false,
    keys: &[
        optional("cores", "[1]", "processor cores, a worker each"),
        optional("idle", "\"backoff\"", "what a worker does when nothing is to do"),
        optional("buffers", "149892", "packet buffers of a worker"),
        optional("buffer_bytes", "2304", "size of a packet buffer"),
    ],
};

/// A network port.
pub const PORT: Section = Section {
    name: "port",
    many: true,
    keys: &[
        required("name", "\"lan0\"", "name in reports and references"),
        required("role", "\"lan\"", "the side the port faces: the site or the wide area"),
        required("driver", "\"ring\"", "how packets come and go"),
        optional("mtu", "1500", "largest IP packet"),
        optional("mac", "\"02:00:00:00:00:01\"", "our Ethernet address on it"),
        optional("bump", "\"wan0\"", "the port at the other end of the wire"),
        optional("next_hop", "\"10.10.0.1\"", "where packets carried as IP go (LAN ports)"),
        optional("input", "\"in.pcap\"", "capture the pcap driver reads"),
        optional("output", "\"out.pcap\"", "capture the pcap driver writes"),
        optional("interface", "\"eth1\"", "network interface of the af_xdp driver"),
        optional("queues", "[0]", "its queues, one for each worker (af_xdp)"),
        optional("xdp_mode", "\"auto\"", "how packets come up from it (af_xdp)"),
        optional("xdp_replace", "false", "whether somebody else's XDP program makes way (af_xdp)"),
        optional("device", "\"0000:3b:00.0\"", "device of the dpdk driver"),
        optional("rate", "\"100Gbps\"", "how fast it is sent to, all workers together"),
        optional("burst", "\"64KiB\"", "what may leave at once"),
    ],
};

/// A gateway at another site.
pub const PEER: Section = Section {
    name: "peer",
    many: true,
    keys: &[
        required("name", "\"site-b\"", "name in reports and references"),
        required("address", "\"198.51.100.1\"", "its outer address"),
        optional("prefixes", "[\"10.20.0.0/16\"]", "the addresses behind it"),
        optional("everything", "true", "whether it carries all of the LAN's frames"),
        optional("numbering", "\"tunnel\"", "whether packets are encapsulated, or go as they are"),
        optional("check_icrc", "true", "whether a packet that goes as it is counts by its ICRC"),
        optional("source_port_entropy", "false", "whether each QP that goes as it is gets a port"),
        optional("carry", "\"ethernet\"", "whether frames or IP packets are carried"),
        optional("ttl", "\"wire\"", "whether it counts as a hop for packets carried as IP"),
        optional("absent", "\"forward\"", "what happens to its packets while it is not there"),
        optional("lan", "\"lan0\"", "the LAN port for what it sends"),
        optional("key", "\"<32 to 128 hex digits>\"", "pre-shared key of control messages"),
        optional("key_file", "\"site-b.key\"", "file that holds the key"),
        optional("lanes", "4096", "order domains"),
        optional("spread", "0.5", "part of a path above which one is sent over several"),
        optional("group", "\"64KiB\"", "how much of it goes one way in a row"),
        optional("rebalance", "\"10ms\"", "how often they are measured, and moved if need be"),
    ],
};

/// A way to a peer.
pub const PATH: Section = Section {
    name: "path",
    many: true,
    keys: &[
        required("name", "\"north\"", "name in reports"),
        required("peer", "\"site-b\"", "the peer it leads to"),
        required("port", "\"wan0\"", "the WAN port it leaves by"),
        required("next_hop", "\"192.0.2.254\"", "the next hop's IP or Ethernet address"),
        optional("capacity", "\"100Gbps\"", "data rate; shares follow it"),
        optional("weight", "1", "share, relative to the peer's other paths"),
        optional("channels", "1", "outer flows on it"),
        optional("rtt", "\"10ms\"", "round-trip time"),
        optional("mtu", "1500", "largest outer IP packet"),
        optional("bfd", "false", "whether BFD watches it; the far side must do so too"),
        optional("bfd_interval", "\"10ms\"", "time between two packets of BFD"),
        optional("bfd_multiplier", "3", "so many lost in a row take it out of service"),
        optional("bfd_hops", "1", "hops between the gateways"),
        optional("hold_down", "\"1s\"", "how long it waits when it came back"),
        optional("encapsulation", "\"udp\"", "what is around packets on it: UDP, or SRv6 besides"),
        optional(
            "segments",
            "[\"2001:db8:b::d46\"]",
            "its segments, the peer's SID the last (SRv6)",
        ),
    ],
};

/// Bounds and times of loss recovery.
pub const RECOVERY: Section = Section {
    name: "recovery",
    many: false,
    keys: &[
        optional("replay_bytes", "\"256MiB\"", "replay buffer of a worker, over all peers"),
        optional("replay_packets", "65536", "packets a channel remembers"),
        optional("replay_age", "\"1s\"", "age at which a packet is forgotten unconfirmed"),
        optional("shield", "true", "absorb RNICs' own repeats of what is still on its way"),
        optional("hold_bytes", "\"64MiB\"", "hold buffer of a worker, for each peer"),
        optional("hold_packets", "32768", "packets in a hold buffer"),
        optional("hold_age", "\"500ms\"", "longest time a packet waits for those before it"),
        optional("initial_rtt", "\"10ms\"", "round trip assumed until one is measured"),
        optional("ack_delay", "\"200us\"", "longest time until an acknowledgement"),
        optional("ack_packets", "64", "packets until an acknowledgement"),
        optional("holes", "4096", "holes a channel remembers"),
    ],
};

/// How flows are followed.
pub const FLOWS: Section = Section {
    name: "flows",
    many: false,
    keys: &[
        optional("follow", "true", "whether it is seen who sends how much"),
        optional("subflows", "65536", "queue pairs that are followed, a worker"),
        optional("flows", "16384", "5-tuples that are followed, a worker"),
        optional("p_keys", "false", "whether partitions tell queue pairs apart"),
        optional("window", "\"10ms\"", "time over which rates are averaged"),
        optional("elephant_rate", "\"1Gbps\"", "rate of an elephant"),
        optional("elephant_after", "\"50ms\"", "how long it has had it by then"),
        optional("mouse_rate", "\"250Mbps\"", "rate below which it is an elephant no more"),
        optional("mouse_after", "\"1s\"", "how long it has been slower by then"),
        optional("idle", "\"10s\"", "silence after which a flow is over"),
    ],
};

/// Whose packets some are.
pub const TENANT: Section = Section {
    name: "tenant",
    many: true,
    keys: &[
        required("name", "\"acme\"", "name in reports"),
        optional("order", "10", "its place, where it overlaps others: the lowest comes first"),
        optional("vlan", "[100]", "VLANs of its packets; 0: none"),
        optional("prefixes", "[\"10.10.0.0/24\"]", "addresses of its hosts at this site"),
        optional("p_keys", "[0x8001]", "partitions of its packets"),
        optional("dscp", "[26]", "code points of its packets"),
        optional("ports", "[\"lan0\"]", "LAN ports of its packets"),
        optional("replay_bytes", "\"64MiB\"", "what of a worker's replay buffer it may have"),
        optional("hold_bytes", "\"16MiB\"", "what of a peer's hold buffer it may have"),
        optional("rate", "\"10Gbps\"", "the most it may send to peers, all workers together"),
        optional("burst", "\"64KiB\"", "what it may send at once"),
        optional("weight", "1", "its part of a port, relative to others"),
        optional("lossless", "false", "whether its senders are stopped before its queues are full"),
        optional("reserved", "\"64KiB\"", "what each of its queues has for itself"),
        optional("alpha", "100", "per cent of what is free that each of its queues may have"),
        optional("headroom", "\"16MiB\"", "of lossless queues: for what comes after a stop"),
        optional("xoff", "\"1MiB\"", "of lossless queues: where they say stop"),
        optional("xon", "\"512KiB\"", "of lossless queues: where they lift that"),
        optional("ecn_min", "\"256KiB\"", "length of a queue from which packets are marked"),
        optional("ecn_max", "\"1MiB\"", "length from which all are that can be"),
        optional("ecn_probability", "0.1", "how likely one is marked just below that"),
        optional("cnp", "\"50us\"", "instead of marks, how often a sender is notified at most"),
        optional("priority", "3", "its priority on the LAN"),
    ],
};

/// A class of tenants' data.
pub const CLASS: Section = Section {
    name: "class",
    many: true,
    keys: &[
        required("name", "\"latency\"", "name in messages"),
        optional("dscp", "[46]", "its code points; the last class has the rest"),
        optional("priority", "4", "its priority on the LAN, of tenants that say none"),
    ],
};

/// Where packets wait for their turn.
pub const QUEUES: Section = Section {
    name: "queues",
    many: false,
    keys: &[
        optional("pool_bytes", "\"64MiB\"", "what may wait each way, of a worker"),
        optional("packets", "16384", "packets that may wait each way, of a worker"),
    ],
};

/// Who may hold whom back.
pub const BACKPRESSURE: Section = Section {
    name: "backpressure",
    many: false,
    keys: &[
        required("ports", "[\"lan0\"]", "LAN ports that speak priority flow control"),
        required("speed", "\"100Gbps\"", "speed of their lines, which pauses are counted in"),
        optional("frames", "\"pfc\"", "what they speak: 802.1Qbb, or 802.3 PAUSE"),
        optional("priority", "3", "priority on the LAN of tenants that say none"),
        optional("longest_pause", "\"200ms\"", "after so long without a break it is not obeyed"),
        optional("stop_lifetime", "\"100ms\"", "how long a peer is stopped by one message"),
        optional("shared_priority", "\"pause\"", "what of a tenant that shares its priority"),
    ],
};

/// What the dpdk driver needs besides its ports.
pub const DPDK: Section = Section {
    name: "dpdk",
    many: false,
    keys: &[optional("eal", "[\"--in-memory\"]", "arguments of DPDK's environment")],
};

/// Windows into a running gateway.
pub const CONTROL: Section = Section {
    name: "control",
    many: false,
    keys: &[
        optional("socket", "\"/run/compute-gateway.sock\"", "where `show` and `tenant` ask"),
        optional("metrics", "\"127.0.0.1:9477\"", "where Prometheus looks in, by HTTP"),
    ],
};

/// All sections, in the order of the example.
pub const SECTIONS: [Section; 13] = [
    GATEWAY,
    WORKERS,
    PORT,
    PEER,
    PATH,
    RECOVERY,
    FLOWS,
    TENANT,
    CLASS,
    QUEUES,
    BACKPRESSURE,
    DPDK,
    CONTROL,
];
