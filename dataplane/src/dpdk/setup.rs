//! Finding a device and configuring it: what it can, what it gets, what it must do without.

use std::ffi::c_int;
use std::mem::zeroed;
use std::ptr;

use dpdk_sys as sys;

use super::device::c_string;
use super::eal::is_pci;
use super::error::{checked, logged};
use super::{DeviceSettings, DpdkError, Mempool};

/// Bytes of a frame besides the IP packet: Ethernet header, two VLAN tags (or one, and the checksum).
const FRAME_OVERHEAD: u32 = 14 + 4 + 4;
/// Makes both directions of a flow hash alike, when repeated.
const SYMMETRIC: [u8; 2] = [0x6d, 0x5a];
/// The longest RSS key of any device known to DPDK.
const LONGEST_KEY: usize = 128;

/// What a device can do, as far as ports mind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Capabilities {
    /// Segments of a frame it can send; at least one.
    pub(super) segments: u16,
    /// Bytes of a frame it can send, checksum not counted.
    pub(super) frame: u32,
}

/// What became of the wishes.
pub(super) struct Configured {
    pub(super) capabilities: Capabilities,
    pub(super) mtu: u16,
    /// What was not had, one sentence each.
    pub(super) notes: Vec<String>,
}

/// The name DPDK gives a device's port: without arguments, PCI addresses with their domain.
pub(super) fn port_name(device: &str) -> String {
    let name = device.split(',').next().unwrap_or_default();
    let short = is_pci(name) && name.matches(':').count() == 1;
    if short { format!("0000:{name}") } else { name.to_owned() }
}

/// Makes DPDK take the device, unless it did; the number of its port.
pub(super) fn probe(device: &str, name: &str) -> Result<u16, DpdkError> {
    let (arguments, c_name) = (c_string(device)?, c_string(name)?);
    let mut port = 0;
    // SAFETY: a terminated name, and a place for the answer.
    let mut find = || unsafe { sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &raw mut port) };
    if find() == 0 {
        return Ok(port);
    }
    // SAFETY: a terminated string.
    let (code, log) = logged(|| unsafe { sys::rte_dev_probe(arguments.as_ptr()) });
    if find() == 0 {
        return Ok(port);
    }
    Err(DpdkError::of(&format!("DPDK finds no port {device}"), code, &log))
}

/// Configures a stopped port with one queue for each of `pools`.
pub(super) fn configure(
    port: u16,
    name: &str,
    settings: &DeviceSettings,
    pools: &[&Mempool],
) -> Result<Configured, DpdkError> {
    let mut setup = Setup::new(port, name, settings)?;
    setup.check_queues(pools.len())?;
    // SAFETY: a structure of C for which all zeros is DPDK's default.
    let mut conf: sys::rte_eth_conf = unsafe { zeroed() };
    conf.rxmode.mtu = setup.choose_mtu(settings.mtu)?.into();
    conf.rxmode.offloads = setup.scatter(settings.mtu, pools)?;
    conf.txmode.offloads = setup.info.tx_offload_capa & sys::DPDK_TX_MULTI_SEGS;
    let mut key: Vec<u8> = SYMMETRIC.into_iter().cycle().take(LONGEST_KEY).collect();
    setup.spread(&mut conf, &mut key, pools.len());
    let queues = pools.len() as u16;
    // SAFETY: a stopped port; the structure, and the key it points to, live through the call.
    let configure = || unsafe { sys::rte_eth_dev_configure(port, queues, queues, &raw const conf) };
    checked(&format!("{name} cannot be configured"), configure)?;
    setup.queues(settings.descriptors, &conf, pools)?;
    setup.set_mtu()?;
    // SAFETY: a configured port.
    let (code, log) = logged(|| unsafe { sys::rte_eth_promiscuous_enable(port) });
    if code != 0 {
        let error = DpdkError::of("not promiscuous", code, &log);
        setup.notes.push(format!("{name} gets only frames to its own address: {error}"));
    }
    Ok(setup.finish())
}

/// One device on its way to be configured.
struct Setup<'a> {
    port: u16,
    name: &'a str,
    /// A NIC, that must do what is asked for; not a virtual device, that may know no better.
    real: bool,
    mtu: u16,
    info: sys::rte_eth_dev_info,
    notes: Vec<String>,
}

impl<'a> Setup<'a> {
    fn new(port: u16, name: &'a str, settings: &DeviceSettings) -> Result<Self, DpdkError> {
        // SAFETY: a structure of C for which all zeros is a value.
        let mut info: sys::rte_eth_dev_info = unsafe { zeroed() };
        // SAFETY: a port of DPDK, and a place for the answer.
        let get = || unsafe { sys::rte_eth_dev_info_get(port, &raw mut info) };
        checked(&format!("{name} does not say what it can"), get)?;
        let mtu = settings.mtu;
        Ok(Self { port, name, real: is_pci(name), mtu, info, notes: Vec::new() })
    }

    fn check_queues(&self, queues: usize) -> Result<(), DpdkError> {
        let most = usize::from(self.info.max_rx_queues.min(self.info.max_tx_queues));
        if (1..=most).contains(&queues) {
            return Ok(());
        }
        Err(DpdkError::new(format!(
            "{} has {most} queues and {queues} are needed, one for each worker: use fewer cores, \
             or a device with more queues",
            self.name
        )))
    }

    /// What goes into `rxmode.mtu`. A virtual device that knows a smaller bound than it keeps is
    /// left at its bound.
    fn choose_mtu(&mut self, wanted: u16) -> Result<u16, DpdkError> {
        let info = &self.info;
        // As DPDK itself reckons: what the device counts besides the IP packet.
        let known = info.max_mtu != u16::MAX && info.max_rx_pktlen > info.max_mtu.into();
        let overhead = if known { info.max_rx_pktlen - u32::from(info.max_mtu) } else { 18 };
        let longest = info.max_rx_pktlen.saturating_sub(overhead).min(info.max_mtu.into()) as u16;
        let chosen = wanted.clamp(info.min_mtu.min(longest), longest);
        if chosen < wanted {
            let problem =
                format!("{} takes IP packets of {longest} bytes at most, not {wanted}", self.name);
            if self.real {
                return Err(DpdkError::new(format!("{problem}: set a smaller mtu for this port")));
            }
            self.notes.push(problem);
        }
        self.mtu = chosen;
        Ok(chosen)
    }

    /// The offload that packets longer than a buffer need, if they can come: also those that the
    /// device says it does not take.
    fn scatter(&mut self, mtu: u16, pools: &[&Mempool]) -> Result<u64, DpdkError> {
        let buffers = pools.iter().map(|pool| pool.settings().buffer_bytes);
        let room = buffers.min().unwrap_or(0).saturating_sub(sys::DPDK_HEADROOM);
        let frame = u32::from(mtu) + FRAME_OVERHEAD;
        if frame <= room {
            return Ok(0);
        }
        let scatter = self.info.rx_offload_capa & sys::DPDK_RX_SCATTER;
        if scatter == 0 {
            let problem = format!(
                "{} may not receive frames of {frame} bytes into buffers with room for {room}: set \
                 buffer_bytes to {} at least",
                self.name,
                frame + sys::DPDK_HEADROOM
            );
            if self.real {
                return Err(DpdkError::new(problem));
            }
            self.notes.push(problem);
        }
        Ok(scatter)
    }

    /// Spreads packets over the queues by a hash that is the same for both directions of a flow.
    fn spread(&mut self, conf: &mut sys::rte_eth_conf, key: &mut [u8], queues: usize) {
        if queues < 2 {
            return;
        }
        let hashed = self.info.flow_type_rss_offloads & sys::DPDK_RSS_IP_UDP;
        if hashed == 0 {
            self.notes.push(format!(
                "{} does not spread packets over its {queues} queues (no RSS on IP or UDP): the \
                 first worker may get them all",
                self.name
            ));
            return;
        }
        conf.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashed;
        let len = usize::from(self.info.hash_key_size);
        if (1..=key.len()).contains(&len) {
            conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
            conf.rx_adv_conf.rss_conf.rss_key_len = len as u8;
        } else {
            self.notes.push(format!(
                "{} keeps its own RSS key: the two directions of a flow may reach two workers",
                self.name
            ));
        }
    }

    /// Sets every queue up, receiving into its worker's pool.
    fn queues(
        &mut self,
        descriptors: (u16, u16),
        conf: &sys::rte_eth_conf,
        pools: &[&Mempool],
    ) -> Result<(), DpdkError> {
        let (port, name) = (self.port, self.name);
        let (mut rx, mut tx) = descriptors;
        // SAFETY: a configured port, and places for two numbers, here and below.
        let adjust =
            || unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(port, &raw mut rx, &raw mut tx) };
        checked(&format!("{name} takes no {descriptors:?} descriptors"), adjust)?;
        let (mut rx_conf, mut tx_conf) = (self.info.default_rxconf, self.info.default_txconf);
        // What is on for the port is on for its queues. Nothing else may be: freeing without
        // looking at the references, above all.
        (rx_conf.offloads, tx_conf.offloads) = (conf.rxmode.offloads, conf.txmode.offloads);
        // SAFETY: as above.
        let socket = unsafe { sys::rte_eth_dev_socket_id(port) };
        let socket = u32::try_from(socket).ok();
        for (index, pool) in pools.iter().enumerate() {
            let (queue, raw) = (index as u16, pool.mbufs().raw());
            let near = socket.unwrap_or(u32::MAX);
            let set = || -> c_int {
                // SAFETY: a configured port and one of its queues; the pool is kept by the device
                // until it is closed.
                unsafe {
                    let code =
                        sys::rte_eth_rx_queue_setup(port, queue, rx, near, &raw const rx_conf, raw);
                    if code < 0 {
                        return code;
                    }
                    sys::rte_eth_tx_queue_setup(port, queue, tx, near, &raw const tx_conf)
                }
            };
            checked(&format!("{name} cannot set its queue {queue} up"), set)?;
            if let (Some(device), Some(memory)) = (socket, pool.socket())
                && device != memory
            {
                self.notes.push(format!(
                    "{name} is on NUMA node {device}, the worker of queue {queue} on {memory}: \
                     choose cores of node {device}"
                ));
            }
        }
        Ok(())
    }

    /// Sets the MTU of devices that take it from here, as those of the kernel do.
    fn set_mtu(&mut self) -> Result<(), DpdkError> {
        let (port, mtu) = (self.port, self.mtu);
        // SAFETY: a configured port.
        let (code, log) = logged(|| unsafe { sys::rte_eth_dev_set_mtu(port, mtu) });
        if code < 0 && code != -NOT_SUPPORTED {
            let error = DpdkError::of(&format!("{} takes no MTU of {mtu}", self.name), code, &log);
            if self.real {
                return Err(error);
            }
            self.notes.push(error.to_string());
        }
        Ok(())
    }

    fn finish(self) -> Configured {
        let several = self.info.tx_offload_capa & sys::DPDK_TX_MULTI_SEGS != 0;
        let most = self.info.tx_desc_lim.nb_mtu_seg_max;
        let segments = match (several, most) {
            (false, _) => 1,
            (true, 0) => u16::MAX,
            (true, most) => most,
        };
        let frame = u32::from(self.mtu) + FRAME_OVERHEAD;
        let capabilities = Capabilities { segments, frame };
        Configured { capabilities, mtu: self.mtu, notes: self.notes }
    }
}

/// ENOTSUP of Linux.
const NOT_SUPPORTED: c_int = 95;

/// Takes a virtual device away again, so that it may be made anew.
pub(super) fn remove(device: *mut sys::rte_device, name: &str) {
    if !is_pci(name) && !device.is_null() {
        // SAFETY: a device of a port that was closed.
        logged(|| unsafe { sys::rte_dev_remove(device) });
    }
}

/// The device of a port; null when there is none.
pub(super) fn device_of(port: u16) -> *mut sys::rte_device {
    // SAFETY: a structure of C for which all zeros is a value.
    let mut info: sys::rte_eth_dev_info = unsafe { zeroed() };
    // SAFETY: a port of DPDK, and a place for the answer.
    match unsafe { sys::rte_eth_dev_info_get(port, &raw mut info) } {
        0 => info.device,
        _ => ptr::null_mut(),
    }
}
