//! The network of a test, each box a namespace of its own:
//!
//!     host A: eth0 -- lan: gateway A: wan -- a [wire] b -- wan: gateway B: lan -- eth0: host B
//!
//! where some gateways have a second port each, `south`, and a cable between those.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lab::link::Impairments;
use lab::wire::Wire;
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::namespace::{Namespace, cable, ip};

/// The two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    A,
    B,
}

/// What tests differ in.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) lan_mtu: u32,
    pub(crate) wan_mtu: u32,
    /// `xdp_mode` of all ports.
    pub(crate) xdp_mode: &'static str,
    /// Ports are DPDK's on the same interfaces, rather than AF_XDP's.
    pub(crate) dpdk: bool,
    /// Workers of each gateway, and queues of every interface.
    pub(crate) workers: u32,
    /// What the wire does, each way.
    pub(crate) wire: Impairments,
    /// Whether hosts have addresses; without, their network stacks send nothing.
    pub(crate) addresses: bool,
    /// A second way between the gateways, a cable, and BFD on both; one worker.
    pub(crate) south: bool,
    /// SRv6 between the gateways, over IPv6.
    pub(crate) srv6: Option<Srv6>,
    /// More keys of [gateway].
    pub(crate) gateway: &'static str,
    /// More keys of [[peer]].
    pub(crate) peer: &'static str,
    /// More keys of [recovery].
    pub(crate) recovery: &'static str,
}

/// How packets go by SRv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Srv6 {
    /// By way of a router between the wire and gateway B, the kernel's; else straight to the peer, whose
    /// SID is the next hop.
    pub(crate) by_router: bool,
    /// `encapsulation` of the path.
    pub(crate) encapsulation: &'static str,
}

/// The segment that the router acts on.
pub(crate) const ROUTER_SID: &str = "2001:db8:c::1";

impl Default for Settings {
    fn default() -> Self {
        Self {
            lan_mtu: 1_500,
            wan_mtu: 1_600,
            xdp_mode: "generic",
            dpdk: false,
            workers: 1,
            wire: Impairments::default(),
            addresses: true,
            south: false,
            srv6: None,
            gateway: "",
            peer: "",
            recovery: "",
        }
    }
}

/// Two sites and what is between them.
pub(crate) struct Network {
    pub(crate) wire: Wire,
    host: [Namespace; 2],
    gate: [Namespace; 2],
    /// Where the wire is.
    middle: Namespace,
    /// A router with an interface towards either gateway, `west` and `east`.
    router: Option<Namespace>,
    folder: TempDir,
}

impl Network {
    /// Builds it, and writes the gateways' configurations; nobody forwards yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let network = || [Namespace::new(), Namespace::new()];
        let (host, gate, middle) = (network(), network(), Namespace::new());
        let folder = TempDir::new().expect("a folder");
        let name_at = ["a", "b"];
        let by_router = settings.srv6.is_some_and(|srv6| srv6.by_router);
        let router = by_router.then(Namespace::new);
        for side in [Side::A, Side::B] {
            let (n, queues) = (side as usize, settings.workers);
            cable((&host[n], "eth0"), (&gate[n], "lan"), settings.lan_mtu, queues);
            let beyond = match &router {
                Some(router) if side == Side::B => (router, "east"),
                _ => (&middle, name_at[n]),
            };
            cable((&gate[n], "wan"), beyond, settings.wan_mtu, queues);
            if settings.addresses {
                let address = [format!("{}/24", side.host4()), format!("{}/64", side.host6())];
                host[n].addresses("eth0", &address.each_ref().map(String::as_str));
            }
        }
        if let Some(router) = &router {
            cable((router, "west"), (&middle, "b"), settings.wan_mtu, settings.workers);
            route(router);
        }
        for side in [Side::A, Side::B] {
            if settings.south && side == Side::A {
                cable((&gate[0], "south"), (&gate[1], "south"), settings.wan_mtu, 1);
            }
            let file = folder.path().join(format!("{}.toml", side.name()));
            let mac = gate[side.other() as usize].netdev("wan").mac;
            fs::write(file, configuration(side, settings, mac)).expect("a file");
        }
        let ends = name_at.map(|name| Arc::new(middle.packet_socket(name)));
        // Which frames are lost is the same in all runs, as far as they send the same.
        let wire = Wire::start(ends, &settings.wire, 1);
        Self { wire, host, gate, middle, router, folder }
    }

    pub(crate) fn host(&self, side: Side) -> &Namespace {
        &self.host[side as usize]
    }

    /// The namespace of a gateway.
    pub(crate) fn gate(&self, side: Side) -> &Namespace {
        &self.gate[side as usize]
    }

    /// The namespace of the wire, whose ends are `a` and `b`.
    pub(crate) fn middle(&self) -> &Namespace {
        &self.middle
    }

    /// The namespace of the router.
    ///
    /// # Panics
    /// If the network has none.
    pub(crate) fn router(&self) -> &Namespace {
        self.router.as_ref().expect("a network with a router")
    }

    /// Where the files of the gateways are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a gateway.
    pub(crate) fn start(&self, side: Side) -> Gateway {
        Gateway::start(self.gate(side), self.folder(), side.name(), None)
    }

    /// Starts both, and waits until they have a session.
    pub(crate) fn start_both(&self) -> [Gateway; 2] {
        let mut gateways = [self.start(Side::A), self.start(Side::B)];
        gateways.iter_mut().for_each(Gateway::wait_for_session);
        gateways
    }

    /// Puts a bridge where a gateway would be.
    pub(crate) fn bridge(&self, side: Side) {
        self.gate(side).run(|| {
            ip(&["link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"]);
            for port in ["lan", "wan"] {
                ip(&["link", "set", "dev", port, "master", "bridge"]);
            }
            ip(&["link", "set", "dev", "bridge", "up"]);
        });
    }

    /// The XDP programs on the interfaces of a gateway, whatever their mode.
    pub(crate) fn programs(&self, side: Side) -> Vec<u32> {
        let on = |name| self.gate(side).netdev(name).xdp;
        let programs = [on("lan"), on("wan")];
        programs.iter().flat_map(|xdp| [xdp.native, xdp.generic, xdp.hardware]).flatten().collect()
    }
}

impl Side {
    /// The name of its gateway.
    pub(crate) fn name(self) -> &'static str {
        ["gateway-a", "gateway-b"][self as usize]
    }

    /// The IPv4 address of its host.
    pub(crate) fn host4(self) -> &'static str {
        ["10.10.0.1", "10.10.0.2"][self as usize]
    }

    /// The IPv6 address of its host.
    pub(crate) fn host6(self) -> &'static str {
        ["fd00::1", "fd00::2"][self as usize]
    }

    /// The outer address of its gateway.
    fn outer(self, settings: &Settings) -> &'static str {
        match settings.srv6 {
            None => ["192.0.2.1", "192.0.2.2"][self as usize],
            Some(_) => ["2001:db8:a::1", "2001:db8:b::1"][self as usize],
        }
    }

    /// The SID of its gateway.
    pub(crate) fn sid(self) -> &'static str {
        ["2001:db8:a::d46", "2001:db8:b::d46"][self as usize]
    }

    /// The address of the router on its side.
    fn router(self) -> &'static str {
        ["2001:db8:a::fe", "2001:db8:b::fe"][self as usize]
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Makes a box a router that both gateways and their SIDs are on links with, and that acts on a segment
/// of its own (RFC 8986, End).
fn route(router: &Namespace) {
    for (interface, side) in [("west", Side::A), ("east", Side::B)] {
        router.addresses(interface, &[&format!("{}/64", side.router())]);
    }
    router.run(|| {
        for (interface, key) in [
            ("all", "forwarding"),
            ("all", "seg6_enabled"),
            ("west", "seg6_enabled"),
            ("east", "seg6_enabled"),
        ] {
            let file = format!("/proc/sys/net/ipv6/conf/{interface}/{key}");
            fs::write(file, "1").expect("a kernel with SRv6 (CONFIG_IPV6_SEG6_LWTUNNEL)");
        }
        let acts = ["encap", "seg6local", "action", "End", "dev", "west"];
        ip(&[&["-6", "route", "add", ROUTER_SID][..], &acts].concat());
    });
}

/// Keys of the gateway and of the path, and the next hop, with SRv6.
fn srv6(side: Side, srv6: Srv6) -> (String, String, &'static str) {
    let (ours, theirs) = (side.sid(), side.other().sid());
    let (segments, hop) = match srv6.by_router {
        true => (vec![ROUTER_SID, theirs], side.router()),
        false => (vec![theirs], theirs),
    };
    let path = format!("encapsulation = {:?}\n        segments = {segments:?}", srv6.encapsulation);
    (format!("sid = {ours:?}"), path, hop)
}

/// Driver and device of a port on an interface.
fn port(settings: &Settings, interface: &str) -> String {
    let number = ["lan", "wan", "south"].iter().position(|name| *name == interface).unwrap_or(0);
    match settings.dpdk {
        true => format!(
            "driver = \"dpdk\"\n        device = \"net_pcap{number},iface={interface},phy_mac=1\""
        ),
        false => format!(
            "driver = \"af_xdp\"\n        interface = \"{interface}\"\n        xdp_mode = {:?}",
            settings.xdp_mode
        ),
    }
}

/// The second port and path.
fn south(settings: &Settings, next_hop: &str, watched: &str) -> String {
    let (mtu, port) = (settings.wan_mtu, port(settings, "south"));
    format!(
        r#"
        [[port]]
        name = "south"
        role = "wan"
        {port}
        mtu = {mtu}

        [[path]]
        name = "south"
        peer = "peer"
        port = "south"
        next_hop = "{next_hop}"
        weight = 1
        {watched}
        "#
    )
}

/// A gateway's configuration. The next hop is the other gateway: it is asked for by a lone worker,
/// and given its Ethernet address to several.
fn configuration(side: Side, settings: &Settings, mac: [u8; 6]) -> String {
    let Settings { lan_mtu, wan_mtu, gateway, peer, recovery, .. } = settings;
    let (lan, wan) = (port(settings, "lan"), port(settings, "wan"));
    // Of DPDK, memory that is in no hugepages and no files. What net_pcap sends must lie in one
    // buffer, behind the 128 bytes that DPDK keeps free: Ethernet's header, two VLAN tags.
    let (buffers, memory) = match settings.dpdk {
        true => (
            format!("buffer_bytes = {}", 128 + 22 + wan_mtu),
            "[dpdk]\n        eal = [\"--no-huge\", \"-m\", \"512\"]",
        ),
        false => (String::new(), ""),
    };
    let (name, here) = (side.name(), side.outer(settings));
    let there = side.other().outer(settings);
    let (cores, hop): (Vec<u32>, _) = match settings.workers {
        1 => (vec![side as u32], there.to_owned()),
        workers => ((0..workers).collect(), mac.map(|byte| format!("{byte:02x}")).join(":")),
    };
    let (sid, segments, hop) = match settings.srv6 {
        Some(how) => {
            let (sid, segments, hop) = srv6(side, how);
            (sid, segments, hop.to_owned())
        }
        None => (String::new(), String::new(), hop),
    };
    // Slow enough for a loaded machine; and no waiting for a path that came back.
    let watched = if settings.south {
        "bfd = true\n        bfd_interval = \"50ms\"\n        hold_down = \"0s\""
    } else {
        ""
    };
    let south = if settings.south { south(settings, there, watched) } else { String::new() };
    format!(
        r#"
        [gateway]
        name = "{name}"
        address = "{here}"
        {sid}
        {gateway}

        [workers]
        cores = {cores:?}
        idle = "sleep"
        {buffers}

        {memory}

        [[port]]
        name = "lan"
        role = "lan"
        {lan}
        mtu = {lan_mtu}
        bump = "wan"

        [[port]]
        name = "wan"
        role = "wan"
        {wan}
        mtu = {wan_mtu}

        [[peer]]
        name = "peer"
        address = "{there}"
        everything = true
        key = "000102030405060708090a0b0c0d0e0f"
        {peer}

        [[path]]
        name = "north"
        peer = "peer"
        port = "wan"
        next_hop = "{hop}"
        weight = 1
        {segments}
        {watched}
        {south}

        [recovery]
        replay_bytes = "8MiB"
        hold_bytes = "8MiB"
        # On a loaded machine a worker may get no processor for longer than the default, 500ms.
        hold_age = "5s"
        replay_age = "10s"
        {recovery}

        [control]
        socket = "{name}.sock"
        "#
    )
}
