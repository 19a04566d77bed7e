//! The devices behind the ports: brought up by the control thread, used by the workers.

use std::rc::Rc;
use std::sync::Arc;

use config::model::{Config, Driver, Port as PortConfig, XdpMode};
use dataplane::afxdp::{AfXdpPort, Interface, InterfaceSettings, Mode, ModeChoice, PortSettings};
use dataplane::memory::Pool;
use dataplane::netdev::{Netdev, Offload, Promiscuous};
use dataplane::port::Port;
use tracing::{info, warn};

/// Entries of an AF_XDP port's rings.
const RING: u32 = 2_048;

/// Work of the NIC and the stack that changes what is received or sent: none of it is for a
/// gateway, which passes packets on as they are.
const OFFLOADS: [Offload; 7] = [
    Offload::RxChecksum,
    Offload::TxChecksum,
    Offload::TxSegmentation,
    Offload::GenericReceive,
    Offload::LargeReceive,
    Offload::TxVlan,
    Offload::RxVlan,
];

/// A device, up for as long as it lives.
pub(super) struct Device {
    /// The port's name in the configuration.
    pub(super) name: String,
    /// What it is behind that.
    pub(super) device: String,
    pub(super) driver: &'static str,
    pub(super) mac: [u8; 6],
    pub(super) mtu: u32,
    kind: Kind,
}

enum Kind {
    AfXdp {
        interface: Arc<Interface>,
        queues: Vec<u32>,
        _promiscuous: Promiscuous,
        _offloads: Offloads,
    },
}

/// Offloads that were on; dropping turns them on again.
struct Offloads {
    netdev: Netdev,
    were_on: Vec<Offload>,
}

impl Offloads {
    fn off(netdev: &Netdev) -> Self {
        let mut were_on = Vec::new();
        for offload in OFFLOADS.into_iter().filter(|&one| netdev.offload(one) == Some(true)) {
            match netdev.set_offload(offload, false) {
                Ok(()) => were_on.push(offload),
                // Some are fixed. Receive checksums are merely verified; the rest changes packets.
                Err(_) if offload == Offload::RxChecksum => {}
                Err(error) => {
                    warn!("{error} ({offload:?}): what it changes is seen as if sent so");
                }
            }
        }
        if !were_on.is_empty() {
            info!("interface {}: turned off {were_on:?} while it is ours", netdev.name);
        }
        Self { netdev: netdev.clone(), were_on }
    }
}

impl Drop for Offloads {
    fn drop(&mut self) {
        for &offload in &self.were_on {
            if let Err(error) = self.netdev.set_offload(offload, true) {
                warn!("{error} ({offload:?}): it stays off");
            }
        }
    }
}

/// A worker's port on a device, and how packets come up from it.
pub(super) struct Opened {
    pub(super) port: Box<dyn Port>,
    pub(super) mode: String,
    /// Better modes that were refused, and why.
    pub(super) refused: Vec<String>,
}

impl Device {
    /// Brings up the device of a port.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn open(port: &PortConfig) -> Result<Self, String> {
        match &port.driver {
            Driver::AfXdp { interface, queues, mode, replace } => {
                afxdp(port, interface, queues, *mode, *replace)
            }
            Driver::Dpdk { .. } => Err(format!(
                "port {:?}: this build has no DPDK\n    \
                 remedy: build with: cargo build --release --features dpdk, or write driver = \
                 \"af_xdp\"",
                port.name
            )),
            Driver::Pcap { .. } | Driver::Ring => Err(format!(
                "port {:?} is not one of live traffic\n    \
                 remedy: write driver = \"af_xdp\" or \"dpdk\"; captures are for: compute-gateway \
                 replay",
                port.name
            )),
        }
        .map_err(|error| match error.contains("remedy:") {
            true => error,
            false => format!("port {:?}: {error}", port.name),
        })
    }

    /// The port of worker number `worker` on it, over its pool.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn port(&self, worker: usize, pool: &Rc<Pool>) -> Result<Opened, String> {
        let Kind::AfXdp { interface, queues, .. } = &self.kind;
        let queue = queues.get(worker).copied().unwrap_or(worker as u32);
        let settings = PortSettings { queue, ring: RING };
        let port = AfXdpPort::open(interface, pool, settings)
            .map_err(|error| format!("port {:?}, queue {queue}: {error}", self.name))?;
        let mode = port.mode();
        let refused = port.refused().iter().chain(interface.refused());
        let better = refused.filter(|refusal| refusal.mode < mode).map(ToString::to_string);
        let refused = better.collect();
        Ok(Opened { port: Box::new(port), mode: mode.to_string(), refused })
    }

    /// Whether its link is up now.
    pub(super) fn link(&self) -> Option<bool> {
        let Kind::AfXdp { interface, .. } = &self.kind;
        Netdev::find(&interface.netdev().name).ok().map(|netdev| netdev.up && netdev.carrier)
    }
}

fn afxdp(
    port: &PortConfig,
    interface: &str,
    queues: &[u32],
    mode: XdpMode,
    replace: bool,
) -> Result<Device, String> {
    let netdev = Netdev::find(interface).map_err(|error| error.to_string())?;
    if netdev.mtu < port.mtu {
        return Err(format!(
            "port {:?}: its mtu is {}, that of interface {interface} is {}\n    \
             remedy: ip link set {interface} mtu {}, or lower the port's",
            port.name, port.mtu, netdev.mtu, port.mtu
        ));
    }
    let mode = match mode {
        XdpMode::Auto => ModeChoice::Best,
        XdpMode::ZeroCopy => ModeChoice::Only(Mode::NativeZeroCopy),
        XdpMode::Native => ModeChoice::Only(Mode::NativeCopy),
        XdpMode::Generic => ModeChoice::Only(Mode::Generic),
    };
    let settings = InterfaceSettings { name: interface.to_owned(), mode, replace };
    let attached = Interface::attach(&settings).map_err(|error| error.to_string())?;
    let offloads = Offloads::off(&netdev);
    let promiscuous = Promiscuous::on(&netdev).map_err(|error| error.to_string())?;
    Ok(Device {
        name: port.name.clone(),
        device: interface.to_owned(),
        driver: "af_xdp",
        mac: port.mac.map_or(netdev.mac, |mac| mac.0),
        mtu: netdev.mtu,
        kind: Kind::AfXdp {
            interface: Arc::new(attached),
            queues: queues.to_vec(),
            _promiscuous: promiscuous,
            _offloads: offloads,
        },
    })
}

/// The devices of all ports, in their order.
///
/// # Errors
/// The first that cannot be had.
pub(super) fn open_all(config: &Config) -> Result<Vec<Device>, String> {
    config.ports.iter().map(Device::open).collect()
}
