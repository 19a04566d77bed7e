//! The devices behind the ports: brought up by the control thread, used by the workers.

use std::sync::Arc;

use config::model::{Port as PortConfig, XdpMode};
use dataplane::afxdp::{AfXdpPort, Interface, InterfaceSettings, Mode, ModeChoice, PortSettings};
use dataplane::netdev::{Netdev, Offload, Promiscuous};
use dataplane::port::Port;
use tracing::{info, warn};

use super::machine::WorkerMemory;

/// Entries of an AF_XDP port's rings.
const RING: u32 = 2_048;
/// Descriptors of each queue of a DPDK port.
#[cfg(feature = "dpdk")]
pub(super) const DESCRIPTORS: u16 = 1_024;

/// Work of the NIC and the stack that changes what is received or sent: none of it is for a
/// gateway, which passes packets on as they are.
pub(crate) const OFFLOADS: [Offload; 7] = [
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
    #[cfg(feature = "dpdk")]
    Dpdk(dataplane::dpdk::Device),
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
                    let what = error.what();
                    warn!("{what} ({offload:?}): what it changes is seen as if sent so");
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
                warn!("{} ({offload:?}): it stays off", error.what());
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
    /// The port of worker number `worker` on it, over the worker's memory.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn port(&self, worker: usize, memory: &WorkerMemory) -> Result<Opened, String> {
        let error = |error: &dyn std::fmt::Display| format!("port {:?}: {error}", self.name);
        match &self.kind {
            Kind::AfXdp { interface, queues, .. } => {
                let queue = queues.get(worker).copied().unwrap_or(worker as u32);
                let settings = PortSettings { queue, ring: RING };
                let port = AfXdpPort::open(interface, &memory.pool, settings);
                let port = port.map_err(|refused| error(&format!("queue {queue}: {refused}")))?;
                let mode = port.mode();
                let refused = port.refused().iter().chain(interface.refused());
                let better = refused.filter(|refusal| refusal.mode < mode);
                let refused = better.map(ToString::to_string).collect();
                Ok(Opened { port: Box::new(port), mode: mode.to_string(), refused })
            }
            #[cfg(feature = "dpdk")]
            Kind::Dpdk(device) => {
                let queue = device.queue(worker as u16).ok_or_else(|| error(&"it has no queue"))?;
                let port = memory.dpdk_port(queue).map_err(|refused| error(&refused))?;
                let refused = device.notes().to_vec();
                Ok(Opened { port: Box::new(port), mode: "poll-mode".into(), refused })
            }
        }
    }

    /// Whether its link is up now; unknown where it cannot be asked.
    pub(super) fn link(&self) -> Option<bool> {
        match &self.kind {
            Kind::AfXdp { interface, .. } => {
                let netdev = Netdev::find(&interface.netdev().name).ok();
                netdev.map(|netdev| netdev.up && netdev.carrier)
            }
            #[cfg(feature = "dpdk")]
            Kind::Dpdk(device) => Some(device.link().up),
        }
    }

    /// Brings up the network interface of a port.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn afxdp(port: &PortConfig, driver: &AfXdp<'_>) -> Result<Self, String> {
        afxdp(port, driver).map_err(|error| format!("port {:?}: {error}", port.name))
    }

    /// Brings up the device of DPDK of a port, with a queue for each of `pools`.
    ///
    /// # Errors
    /// One message with the remedy.
    #[cfg(feature = "dpdk")]
    pub(super) fn dpdk(
        port: &PortConfig,
        device: &str,
        eal: dataplane::dpdk::Eal,
        pools: &[dataplane::dpdk::Mempool],
    ) -> Result<Self, String> {
        let settings = dataplane::dpdk::DeviceSettings {
            device: device.to_owned(),
            mtu: port.mtu as u16,
            descriptors: (DESCRIPTORS, DESCRIPTORS),
        };
        let pools: Vec<_> = pools.iter().collect();
        let opened = dataplane::dpdk::Device::open(eal, &settings, &pools)
            .map_err(|error| format!("port {:?}: {error}", port.name))?;
        if u32::from(opened.mtu()) < port.mtu {
            return Err(format!(
                "port {:?}: its mtu is {}, {device} takes {}\n    remedy: lower the port's",
                port.name,
                port.mtu,
                opened.mtu()
            ));
        }
        Ok(Self {
            name: port.name.clone(),
            device: device.to_owned(),
            driver: "dpdk",
            mac: port.mac.map_or(opened.mac(), |mac| mac.0),
            mtu: u32::from(opened.mtu()),
            kind: Kind::Dpdk(opened),
        })
    }
}

/// What the configuration says of an AF_XDP port.
pub(super) struct AfXdp<'a> {
    pub(super) interface: &'a str,
    pub(super) queues: &'a [u32],
    pub(super) mode: XdpMode,
    pub(super) replace: bool,
}

fn afxdp(port: &PortConfig, driver: &AfXdp<'_>) -> Result<Device, String> {
    let &AfXdp { interface, queues, mode, replace } = driver;
    let netdev = Netdev::find(interface).map_err(|error| error.to_string())?;
    if netdev.mtu < port.mtu {
        return Err(format!(
            "its mtu is {}, that of interface {interface} is {}\n    \
             remedy: ip link set {interface} mtu {}, or lower the port's",
            port.mtu, netdev.mtu, port.mtu
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
