//! What scenarios are played with: DPDK without hugepages, a worker's pool, ports.

use std::time::{Duration, Instant};

use dataplane::dpdk::{
    Device, DeviceSettings, DpdkPort, Eal, EalSettings, Mempool, MempoolSettings, WorkerPool,
};
use dataplane::memory::{Frame, Packet, PoolSettings};
use dataplane::port::{Burst, Port, TxQueue};
use dataplane::time::Time;

/// Buffers of a scenario's pool.
pub(crate) const BUFFERS: u32 = 4096;
/// Bytes of each.
pub(crate) const BUFFER_BYTES: u32 = 2048;

/// DPDK as tests run it everywhere: no hugepages.
pub(crate) fn eal() -> Eal {
    Eal::start(&settings(&["--no-huge", "-m", "256"])).expect("DPDK starts")
}

/// Arguments for DPDK.
pub(crate) fn settings(arguments: &[&str]) -> EalSettings {
    EalSettings {
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        devices: Vec::new(),
    }
}

/// Buffers of DPDK for one worker.
pub(crate) fn mempool(eal: Eal) -> Mempool {
    mempool_of(eal, BUFFER_BYTES)
}

fn mempool_of(eal: Eal, buffer_bytes: u32) -> Mempool {
    let pool = PoolSettings { buffers: BUFFERS, buffer_bytes, headroom: 128 };
    Mempool::new(eal, MempoolSettings { pool, core: None }).expect("memory")
}

/// One worker with ports over as many devices.
pub(crate) struct Site {
    pub(crate) mempool: Mempool,
    pub(crate) pool: WorkerPool,
    pub(crate) devices: Vec<Device>,
    pub(crate) ports: Vec<DpdkPort>,
}

/// A device, with what is wanted of it.
pub(crate) fn wish(device: &str, mtu: u16) -> DeviceSettings {
    DeviceSettings { device: device.to_owned(), mtu, descriptors: (256, 256) }
}

impl Site {
    /// A worker with a port over each device.
    pub(crate) fn new(devices: &[&str], mtu: u16) -> Self {
        Self::over(eal(), devices, mtu)
    }

    /// The same, DPDK being started.
    pub(crate) fn over(eal: Eal, devices: &[&str], mtu: u16) -> Self {
        Self::cut(eal, devices, mtu, BUFFER_BYTES)
    }

    /// The same, with buffers of another size.
    pub(crate) fn cut(eal: Eal, devices: &[&str], mtu: u16, buffer_bytes: u32) -> Self {
        let mempool = mempool_of(eal, buffer_bytes);
        let pool = mempool.attach().expect("the only worker");
        let devices: Vec<Device> = devices
            .iter()
            .map(|device| Device::open(eal, &wish(device, mtu), &[&mempool]).expect(device))
            .collect();
        let port = |device: &Device| {
            DpdkPort::new(device.queue(0).expect("a queue"), &pool).expect("its own pool")
        };
        let ports = devices.iter().map(port).collect();
        Self { mempool, pool, devices, ports }
    }

    /// A packet that holds `bytes`.
    pub(crate) fn packet(&self, bytes: &[u8]) -> Packet {
        self.pool.pool().copy(bytes).expect("buffers")
    }

    /// Sends frames out of a port; all of them leave.
    pub(crate) fn send(&mut self, port: usize, frames: impl IntoIterator<Item = Frame>) {
        let mut queue = TxQueue::new(1 << 12);
        frames.into_iter().for_each(|frame| assert!(queue.push(frame).is_ok()));
        self.ports[port].transmit(Time::ZERO, &mut queue);
        assert_eq!(queue.len(), 0, "frames that did not leave");
    }

    /// What came by a port, within a second as soon as it is `count`.
    pub(crate) fn receive(&mut self, port: usize, count: usize) -> Vec<Packet> {
        let end = Instant::now() + Duration::from_secs(1);
        let mut packets = Vec::new();
        while packets.len() < count && Instant::now() < end {
            let mut burst = Burst::new();
            self.ports[port].receive(Time::ZERO, &mut burst);
            packets.extend(burst);
        }
        packets
    }

    /// Closes everything; buffers that did not come home.
    pub(crate) fn close(mut self) -> u32 {
        for port in &mut self.ports {
            assert_eq!(port.close(), []);
        }
        assert_eq!(self.pool.pool().stats().in_use, 0, "packets that are still there");
        self.ports.clear();
        for device in self.devices {
            device.close().expect("no port is left");
        }
        drop(self.pool);
        self.mempool.out()
    }
}

/// All bytes of a packet.
pub(crate) fn bytes(packet: &Packet) -> Vec<u8> {
    packet.segments().flatten().copied().collect()
}

/// A frame of `len` bytes between two stations, told apart by `seed`.
pub(crate) fn frame(seed: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    frame.extend((0..len - frame.len()).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed)));
    frame
}
