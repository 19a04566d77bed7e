//! Everything that is brought up before the workers: devices, memory of DPDK, rings between workers.

use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use config::model::{Config, Driver, NextHop};
#[cfg(feature = "dpdk")]
use dataplane::dpdk;
use dataplane::handover::{self, Ends, Steered};
use dataplane::memory::Pool;
use dataplane::port::Port;
use pipelines::steer;

use super::devices::{AfXdp, Device, Opened};
use crate::settings;

/// Packets that a ring between two workers holds.
const SLOTS: usize = 256;
/// Bytes of a frame beside its IP packet: Ethernet, two VLAN tags.
const FRAME: usize = 14 + 8;

/// The machine, up for as long as it lives.
pub(super) struct Machine {
    pub(super) devices: Vec<Device>,
    /// Ends of the rings between workers: of each port, those of each worker until it takes them.
    rings: Mutex<Vec<Vec<Option<Ends>>>>,
    #[cfg(feature = "dpdk")]
    dpdk: Option<(dpdk::Eal, Vec<dpdk::Mempool>)>,
}

/// The packet memory of one worker, and what its thread holds for it.
pub(super) struct WorkerMemory {
    pub(super) pool: Rc<Pool>,
    #[cfg(feature = "dpdk")]
    dpdk: Option<(dpdk::WorkerPool, dpdk::Registered)>,
}

impl Machine {
    /// Brings up everything that the configuration names. `eal`: arguments for DPDK from the command
    /// line.
    ///
    /// # Errors
    /// The first thing that cannot be had: one message with the remedy.
    pub(super) fn open(config: &Config, eal: &[String]) -> Result<Self, String> {
        check(config)?;
        let workers = config.workers.cores.len();
        let mut rings = Vec::new();
        for port in config.ports.iter().filter(|_| workers > 1) {
            let slot_bytes = port.mtu as usize + FRAME;
            let mesh = handover::mesh(workers, handover::Settings { slots: SLOTS, slot_bytes });
            let mesh = mesh.map_err(|error| format!("port {:?}: {error}", port.name))?;
            rings.push(mesh.into_iter().map(Some).collect());
        }
        let rings = Mutex::new(rings);
        #[cfg(feature = "dpdk")]
        return Self::open_with_dpdk(config, eal, rings);
        #[cfg(not(feature = "dpdk"))]
        {
            let _ = eal;
            Ok(Self { devices: open_each(config, |port, _| Err(no_dpdk(port)))?, rings })
        }
    }

    #[cfg(feature = "dpdk")]
    fn open_with_dpdk(
        config: &Config,
        eal: &[String],
        rings: Mutex<Vec<Vec<Option<Ends>>>>,
    ) -> Result<Self, String> {
        let device = |port: &config::model::Port| match &port.driver {
            Driver::Dpdk { device } => Some(device.clone()),
            _ => None,
        };
        let names: Vec<String> = config.ports.iter().filter_map(device).collect();
        if names.is_empty() {
            let devices = open_each(config, |port, _| Err(port.name.clone()))?;
            return Ok(Self { devices, rings, dpdk: None });
        }
        let ports = names.len() as u32;
        let arguments = config.eal.iter().chain(eal).cloned().collect();
        let settings = dpdk::EalSettings { arguments, devices: names };
        let eal = dpdk::Eal::start(&settings).map_err(|error| error.to_string())?;
        let pool = |core: &u32| {
            let mut pool = settings::pool(config);
            let descriptors = u32::from(super::devices::DESCRIPTORS);
            pool.buffers += dpdk::MempoolSettings::kept(ports, descriptors, descriptors);
            dpdk::Mempool::new(eal, dpdk::MempoolSettings { pool, core: Some(*core) })
                .map_err(|error| error.to_string())
        };
        let pools = config.workers.cores.iter().map(pool).collect::<Result<Vec<_>, _>>()?;
        let devices = open_each(config, |port, name| Device::dpdk(port, name, eal, &pools))?;
        Ok(Self { devices, rings, dpdk: Some((eal, pools)) })
    }

    /// The memory of worker number `worker`; to be called on its thread.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn memory(&self, config: &Config, worker: usize) -> Result<WorkerMemory, String> {
        #[cfg(feature = "dpdk")]
        if let Some((eal, pools)) = &self.dpdk {
            let registered = eal.register().map_err(|error| error.to_string())?;
            let pool = pools.get(worker).ok_or("there is no memory for it")?;
            let pool = pool.attach().map_err(|error| error.to_string())?;
            return Ok(WorkerMemory {
                pool: Rc::clone(pool.pool()),
                dpdk: Some((pool, registered)),
            });
        }
        let _ = worker;
        let pool = Pool::new(settings::pool(config)).map_err(|error| error.to_string())?;
        Ok(WorkerMemory {
            pool: Rc::new(pool),
            #[cfg(feature = "dpdk")]
            dpdk: None,
        })
    }

    /// The ports of worker number `worker`, in the order of the configuration: with several
    /// workers, each hands over what is another's.
    ///
    /// # Errors
    /// One message with the remedy.
    pub(super) fn ports(
        &self,
        config: &Config,
        worker: usize,
        memory: &WorkerMemory,
    ) -> Result<Vec<Opened>, String> {
        let mut opened = Vec::new();
        for (index, device) in self.devices.iter().enumerate() {
            let Opened { port, mode, refused } = device.port(worker, memory)?;
            let port = match self.ends(index, worker) {
                Some(ends) => steered(config, port, ends, memory)?,
                None => port,
            };
            opened.push(Opened { port, mode, refused });
        }
        Ok(opened)
    }

    /// The ends of a worker's rings at a port; none with one worker.
    fn ends(&self, port: usize, worker: usize) -> Option<Ends> {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.get_mut(port)?.get_mut(worker)?.take()
    }
}

impl WorkerMemory {
    /// A port over a queue of DPDK that receives into this memory.
    #[cfg(feature = "dpdk")]
    pub(super) fn dpdk_port(&self, queue: dpdk::DeviceQueue) -> Result<dpdk::DpdkPort, String> {
        let (pool, _) = self.dpdk.as_ref().ok_or("its memory is not DPDK's")?;
        dpdk::DpdkPort::new(queue, pool).map_err(|error| error.to_string())
    }
}

/// What several workers cannot do.
fn check(config: &Config) -> Result<(), String> {
    let asked = |hop: &NextHop| matches!(hop, NextHop::Address(_));
    let paths = config.peers.iter().flat_map(|peer| &peer.paths);
    let path = paths.filter(|path| asked(&path.next_hop)).map(|path| &path.name).next();
    match path {
        Some(path) if config.workers.cores.len() > 1 => Err(format!(
            "path {path:?}: its next_hop is asked for, the answer comes to one worker only, and \
             there are {}\n    remedy: write the next hop's Ethernet address, or one core",
            config.workers.cores.len()
        )),
        _ => Ok(()),
    }
}

/// A port that hands over what belongs to other workers.
fn steered(
    config: &Config,
    port: Box<dyn Port>,
    ends: Ends,
    memory: &WorkerMemory,
) -> Result<Box<dyn Port>, String> {
    let workers = config.workers.cores.len();
    let gateway = steer::Gateway {
        address: config.gateway.address,
        sid: config.gateway.sid,
        first_udp_port: config.gateway.udp_port,
    };
    let owner = move |head: &[u8]| steer::owner(head, workers, gateway);
    let steered = Steered::new(port, owner, ends, Rc::clone(&memory.pool));
    Ok(Box::new(steered.map_err(|error| error.to_string())?))
}

/// The devices of all ports, in their order.
fn open_each(
    config: &Config,
    dpdk: impl Fn(&config::model::Port, &str) -> Result<Device, String>,
) -> Result<Vec<Device>, String> {
    let open = |port: &config::model::Port| match &port.driver {
        Driver::AfXdp { interface, queues, mode, replace } => {
            let driver = AfXdp { interface, queues, mode: *mode, replace: *replace };
            Device::afxdp(port, &driver)
        }
        Driver::Dpdk { device } => dpdk(port, device),
        Driver::Pcap { .. } | Driver::Ring => Err(format!(
            "port {:?} is not one of live traffic\n    remedy: write driver = \"af_xdp\" or \
             \"dpdk\"; captures are for: compute-gateway replay",
            port.name
        )),
    };
    config.ports.iter().map(open).collect()
}

#[cfg(not(feature = "dpdk"))]
fn no_dpdk(port: &config::model::Port) -> String {
    format!(
        "port {:?}: this build has no DPDK\n    remedy: build it with: make build-dpdk, or write \
         driver = \"af_xdp\"",
        port.name
    )
}
