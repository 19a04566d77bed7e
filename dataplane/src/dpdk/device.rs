//! A device: opened and closed by the control thread, which hands its queues out to workers.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use super::error::{checked, logged};
use super::mempool::Mbufs;
use super::{DpdkError, Eal, Mempool, setup};

/// What is wanted of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSettings {
    /// A PCI address, or the name of a virtual device, with arguments behind commas:
    /// `net_tap0,iface=tap0`.
    pub device: String,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// Descriptors of each receive and each transmit queue; the device may round them.
    pub descriptors: (u16, u16),
}

/// How a device's link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// Its speed in Mbit/s; `None`: not known.
    pub mbps: Option<u32>,
}

/// A device's own counters, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets lost because the receive queues were full.
    pub rx_missed: u64,
    /// Packets lost because there was no buffer.
    pub rx_no_buffer: u64,
    /// Packets that arrived damaged.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}

/// A device at work, with as many queues as there are workers.
///
/// It stops with the last of: this, its queues, the ports made of them. All buffers it has then go
/// home.
pub struct Device {
    running: Arc<Running>,
    pools: Vec<Arc<Mbufs>>,
    handed_out: Mutex<Vec<bool>>,
}

/// The right to one queue of a device; to be sent to the worker it is for.
pub struct DeviceQueue {
    pub(super) running: Arc<Running>,
    pub(super) index: u16,
    pub(super) pool: Arc<Mbufs>,
}

/// A device that was probed, and is stopped and closed at the end.
pub(super) struct Running {
    pub(super) port: u16,
    pub(super) name: String,
    pub(super) capabilities: setup::Capabilities,
    pub(super) notes: Vec<String>,
    mac: [u8; 6],
    mtu: u16,
    started: AtomicBool,
    /// What it receives into: must not go before the device is closed.
    _pools: Vec<Arc<Mbufs>>,
}

impl Device {
    /// Finds the device, configures it with one queue for each of `pools`, and starts it.
    ///
    /// # Errors
    /// What cannot be had and cannot be done without, and the remedy.
    pub fn open(
        _eal: Eal,
        settings: &DeviceSettings,
        pools: &[&Mempool],
    ) -> Result<Self, DpdkError> {
        let name = setup::port_name(&settings.device);
        let port = setup::probe(&settings.device, &name)?;
        let mbufs: Vec<Arc<Mbufs>> = pools.iter().map(|pool| Arc::clone(pool.mbufs())).collect();
        // From here on the device is closed again when something fails.
        let mut running = Running {
            port,
            name,
            capabilities: setup::Capabilities::default(),
            notes: Vec::new(),
            mac: [0; 6],
            mtu: settings.mtu,
            started: AtomicBool::new(false),
            _pools: mbufs.clone(),
        };
        let configured = setup::configure(port, &running.name, settings, pools)?;
        (running.capabilities, running.notes) = (configured.capabilities, configured.notes);
        running.mtu = configured.mtu;
        // SAFETY: a configured port.
        let start = || unsafe { sys::rte_eth_dev_start(port) };
        checked(&format!("{} does not start", running.name), start)?;
        running.started.store(true, Ordering::Relaxed);
        running.mac = mac(port, &running.name)?;
        let handed_out = Mutex::new(vec![false; pools.len()]);
        Ok(Self { running: Arc::new(running), pools: mbufs, handed_out })
    }

    /// The queue of worker `index`, which receives into the `index`th of the pools; `None` when
    /// there is none, or it was given before.
    #[must_use]
    pub fn queue(&self, index: u16) -> Option<DeviceQueue> {
        let mut handed_out = self.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
        let given = handed_out.get_mut(usize::from(index))?;
        if std::mem::replace(given, true) {
            return None;
        }
        let pool = Arc::clone(&self.pools[usize::from(index)]);
        Some(DeviceQueue { running: Arc::clone(&self.running), index, pool })
    }

    /// Its Ethernet address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.running.mac
    }

    /// Largest IP packet it takes, in bytes: what was asked for, or less if it says so in
    /// [`Device::notes`].
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.running.mtu
    }

    /// What was asked for and is not had, one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.running.notes
    }

    /// How its link stands; does not wait.
    #[must_use]
    pub fn link(&self) -> Link {
        let mut mbps = 0;
        // SAFETY: a started port, and a place for the answer.
        let up = unsafe { sys::dpdk_link(self.running.port, &raw mut mbps) };
        Link { up: up > 0, mbps: (mbps != 0 && mbps != u32::MAX).then_some(mbps) }
    }

    /// Its own counters now.
    #[must_use]
    pub fn counters(&self) -> DeviceCounters {
        self.running.counters()
    }

    /// Brings frames to UDP port `udp_port` to worker `queue`, whatever their addresses.
    ///
    /// # Errors
    /// When the device cannot: an ordinary thing, after which frames are spread by their hash.
    pub fn steer(&self, udp_port: u16, queue: u16) -> Result<(), DpdkError> {
        for (version, ipv6) in [("IPv4", 0), ("IPv6", 1)] {
            let mut why: *const c_char = std::ptr::null();
            let port = self.running.port;
            let (code, log) = logged(|| {
                // SAFETY: a started port; what `why` then points to is a constant, or lasts until
                // this thread's next call.
                unsafe { sys::dpdk_steer_udp(port, ipv6, udp_port, queue, &raw mut why) }
            });
            if code < 0 {
                let why = if why.is_null() {
                    String::new()
                } else {
                    // SAFETY: set, terminated and lasting as above.
                    unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned()
                };
                let what = format!(
                    "{} cannot bring UDP port {udp_port} over {version} to queue {queue}: {why}",
                    self.running.name
                );
                return Err(DpdkError::of(&what, code, &log));
            }
        }
        Ok(())
    }

    /// Stops and closes it.
    ///
    /// # Errors
    /// Itself, still running, while a queue or a port of it exists.
    pub fn close(self) -> Result<(), Self> {
        if Arc::strong_count(&self.running) > 1 { Err(self) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({}, {} queues)", self.running.name, self.pools.len())
    }
}

impl DeviceQueue {
    /// Which of the device's queues it is.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }
}

impl Running {
    pub(super) fn counters(&self) -> DeviceCounters {
        // SAFETY: plain numbers, for which all zeros is a value; a port of DPDK, and a place for
        // the answer.
        let stats = unsafe {
            let mut stats: sys::rte_eth_stats = std::mem::zeroed();
            if sys::rte_eth_stats_get(self.port, &raw mut stats) != 0 {
                return DeviceCounters::default();
            }
            stats
        };
        DeviceCounters {
            rx_packets: stats.ipackets,
            tx_packets: stats.opackets,
            rx_missed: stats.imissed,
            rx_no_buffer: stats.rx_nombuf,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let device = setup::device_of(self.port);
        // SAFETY: nobody else has the port: its queues and ports hold this.
        unsafe {
            if self.started.load(Ordering::Relaxed) {
                sys::rte_eth_dev_stop(self.port);
            }
            sys::rte_eth_dev_close(self.port);
        }
        setup::remove(device, &self.name);
    }
}

fn mac(port: u16, name: &str) -> Result<[u8; 6], DpdkError> {
    // SAFETY: six bytes, for which all zeros is a value.
    let mut address: sys::rte_ether_addr = unsafe { std::mem::zeroed() };
    // SAFETY: a configured port, and a place for the answer.
    let get = || -> c_int { unsafe { sys::rte_eth_macaddr_get(port, &raw mut address) } };
    checked(&format!("{name} does not tell its Ethernet address"), get)?;
    Ok(address.addr_bytes)
}

/// A terminated string of `text`.
pub(super) fn c_string(text: &str) -> Result<CString, DpdkError> {
    CString::new(text).map_err(|_| DpdkError::new(format!("a zero byte in a name: {text:?}")))
}
