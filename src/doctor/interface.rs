//! An interface of a port of AF_XDP: state, MTU, queues, what is on it, which mode it can do.

use config::model::{Driver, Port, XdpMode};
use dataplane::netdev::{Netdev, Offload};

use super::finding::Finding;
use super::machine::{Machine, list};
use super::system;

/// Drivers that run XDP programs themselves, by the kernel's names for them.
const NATIVE: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "ena",
    "fec",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "nfp",
    "nicvf",
    "qede",
    "sfc",
    "st_gmac",
    "stmmac",
    "tun",
    "veth",
    "virtio_net",
    "vmxnet3",
];
/// Those of them that can write into our memory.
const ZERO_COPY: &[&str] = &[
    "fsl_dpaa2_eth",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "mlx5_core",
    "nfp",
    "st_gmac",
    "stmmac",
    "virtio_net",
];
/// What a packet in a page needs beside its IP packet: Ethernet and two VLAN tags, the kernel's
/// room before it, our header.
const BESIDE: u32 = 22 + 256 + 64;

/// Everything about the interface of a port; nothing for a port that has none.
pub(super) fn check(machine: &Machine, port: &Port, buffer_bytes: u32) -> Vec<Finding> {
    let Driver::AfXdp { interface, queues, mode, .. } = &port.driver else { return Vec::new() };
    let at = &Finding::port(&port.name);
    let interface = match machine.interface(interface) {
        Ok(interface) => interface,
        Err(error) => {
            return vec![Finding::problem("link", at, error.what(), error.remedy())];
        }
    };
    let netdev = &interface.netdev;
    let mut findings = vec![check_link(at, netdev), check_mtu(at, port.mtu, netdev)];
    findings.extend(check_queues(at, netdev, queues));
    findings.push(check_mode(at, netdev, *mode));
    findings.extend(check_jumbo(machine, at, netdev, buffer_bytes));
    findings.push(check_offloads(at, netdev, &interface.offloads));
    findings
}

fn check_link(at: &str, Netdev { name, up, carrier, .. }: &Netdev) -> Finding {
    match (up, carrier) {
        (true, true) => Finding::ok("link", at, format!("interface {name} is up")),
        (true, false) => {
            let what = format!("interface {name} has no carrier: nothing is at its other end");
            let remedy = format!("plug in the cable, or set up the other end; ethtool {name}");
            Finding::warning("link", at, what, remedy)
        }
        (false, _) => {
            let what = format!("interface {name} is down");
            Finding::problem("link", at, what, format!("ip link set {name} up"))
        }
    }
}

fn check_mtu(at: &str, wanted: u32, Netdev { name, mtu, .. }: &Netdev) -> Finding {
    let what = format!("its mtu is {wanted}, that of interface {name} is {mtu}");
    if *mtu >= wanted {
        return Finding::ok("mtu", at, what);
    }
    let remedy = format!("ip link set {name} mtu {wanted}, or lower the port's");
    Finding::problem("mtu", at, what, remedy)
}

/// The command that gives an interface so many queues.
fn channels(netdev: &Netdev, count: u32) -> String {
    let name = &netdev.name;
    match netdev.driver.as_str() {
        "veth" => format!("ethtool -L {name} rx {count} tx {count}"),
        _ => format!("ethtool -L {name} combined {count}"),
    }
}

/// Whether each worker has its queue, and each queue its worker.
fn check_queues(at: &str, netdev: &Netdev, queues: &[u32]) -> Vec<Finding> {
    let name = &netdev.name;
    let there = netdev.rx_queues.min(netdev.tx_queues);
    let needed = queues.iter().max().map_or(1, |last| last + 1);
    if needed > there {
        let what = format!("interface {name} has {there} queue(s), queue {} is wanted", needed - 1);
        return vec![Finding::problem("queues", at, what, channels(netdev, needed))];
    }
    let idle: Vec<_> = (0..netdev.rx_queues).filter(|queue| !queues.contains(queue)).collect();
    if idle.is_empty() {
        let what = format!("interface {name} has {there} queue(s), each with its worker");
        return vec![Finding::ok("queues", at, what)];
    }
    let what = format!(
        "interface {name} has {} queues; what comes by {} goes to the kernel, not to the gateway",
        netdev.rx_queues,
        list(&idle)
    );
    vec![Finding::warning("queues", at, what, channels(netdev, needed))]
}

/// Whether the driver is known to do what is asked of it.
fn check_mode(at: &str, netdev: &Netdev, mode: XdpMode) -> Finding {
    let Netdev { name, driver, .. } = netdev;
    let known = |drivers: &[&str]| drivers.contains(&driver.as_str());
    let driver = if driver.is_empty() { "without a name" } else { driver };
    let can = match (known(NATIVE), known(ZERO_COPY)) {
        (_, true) => "native XDP with zero-copy",
        (true, false) => "native XDP with copy",
        (false, false) => "generic XDP only, as far as is known",
    };
    let what = format!("interface {name} (driver {driver}) can do {can}");
    let fits = match mode {
        XdpMode::Auto | XdpMode::Native => known(NATIVE),
        XdpMode::ZeroCopy => known(ZERO_COPY),
        XdpMode::Generic => true,
    };
    if fits {
        return Finding::ok("xdp", at, what);
    }
    let remedy = match mode {
        XdpMode::ZeroCopy if known(NATIVE) => "write xdp_mode = \"native\"",
        _ => "write xdp_mode = \"generic\", or use a NIC with native XDP, or DPDK",
    };
    Finding::warning("xdp", at, what, remedy)
}

/// Whether packets that do not fit a buffer can come up.
fn check_jumbo(machine: &Machine, at: &str, netdev: &Netdev, buffer_bytes: u32) -> Option<Finding> {
    let buffer = buffer_bytes.next_multiple_of(64) + 64;
    if netdev.mtu + BESIDE <= buffer {
        return None;
    }
    let what = format!("packets of mtu {} take several buffers", netdev.mtu);
    Some(match system::kernel(machine) {
        Some(version) if version < system::KERNEL => {
            let what = format!("{what}, which AF_XDP of Linux {}.{} has not", version.0, version.1);
            let most = buffer.saturating_sub(BESIDE);
            let remedy =
                format!("install Linux 6.6 or later, or ip link set {} mtu {most}", netdev.name);
            Finding::problem("jumbo", at, what, remedy)
        }
        _ => Finding::ok("jumbo", at, what),
    })
}

/// The XDP programs that are on the interface of a port already.
pub(super) fn check_programs(machine: &Machine, port: &Port) -> Option<Finding> {
    let Driver::AfXdp { interface: name, replace, .. } = &port.driver else { return None };
    let at = &Finding::port(&port.name);
    let xdp = machine.interface(name).ok()?.netdev.xdp;
    if let Some(id) = xdp.hardware {
        let what = format!("interface {name} has XDP program {id} in the NIC");
        let remedy = format!("ip link set dev {name} xdpoffload off");
        return Some(Finding::problem("programs", at, what, remedy));
    }
    let (id, mode) = match (xdp.native, xdp.generic) {
        (Some(id), _) => (id, "xdpdrv"),
        (None, Some(id)) => (id, "xdpgeneric"),
        (None, None) => {
            let what = format!("interface {name} has no XDP program");
            return Some(Finding::ok("programs", at, what));
        }
    };
    if *replace {
        let what = format!("interface {name} has XDP program {id}, which is replaced");
        return Some(Finding::ok("programs", at, what));
    }
    let what = format!("interface {name} has XDP program {id} (bpftool prog show id {id})");
    let remedy = format!(
        "stop what put it there, perhaps another gateway, or: ip link set dev {name} {mode} off"
    );
    Some(Finding::problem("programs", at, what, remedy))
}

/// Offloads that are on: `run` turns off those that change packets, as long as it runs.
fn check_offloads(at: &str, netdev: &Netdev, on: &[Offload]) -> Finding {
    let name = &netdev.name;
    if on.is_empty() {
        return Finding::ok("offloads", at, format!("interface {name} changes no packets"));
    }
    let words: Vec<_> = on.iter().map(|&offload| word(offload)).collect();
    let what = format!("interface {name} has on: {}; off while `run` runs", words.join(", "));
    let off: Vec<_> = words.iter().map(|word| format!("{word} off")).collect();
    let remedy = format!("ethtool -K {name} {}", off.join(" "));
    Finding { remedy: Some(remedy), ..Finding::ok("offloads", at, what) }
}

/// What `ethtool -K` calls an offload.
fn word(offload: Offload) -> &'static str {
    match offload {
        Offload::RxChecksum => "rx",
        Offload::TxChecksum => "tx",
        Offload::TxSegmentation => "tso",
        Offload::GenericReceive => "gro",
        Offload::LargeReceive => "lro",
        Offload::TxVlan => "txvlan",
        Offload::RxVlan => "rxvlan",
    }
}
