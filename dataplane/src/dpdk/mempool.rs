//! Pools of mbufs, and how they are pools of ours.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dpdk_sys as sys;

use super::error::logged;
use super::{DpdkError, Eal};
use crate::memory::{BATCH, Batch, HEADER_BYTES, Pool, PoolSettings, Source};

/// From an mbuf to the header that our buffers begin with.
pub(super) const TO_HEADER: usize = sys::DPDK_MBUF_BYTES as usize;

/// Buffers that DPDK keeps ready for each thread, and half as many again before it gives some back.
const CACHE: u32 = 256;
/// What DPDK calls any socket.
const ANY_SOCKET: i32 = -1;

/// How a pool of mbufs is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolSettings {
    /// As of any pool; `buffer_bytes` at most 65,535. What drivers keep in their rings comes out
    /// of `buffers`: see [`MempoolSettings::kept`]. `headroom` is that of packets we make; before
    /// received data lie DPDK's 128 bytes.
    pub pool: PoolSettings,
    /// The core whose worker it is for: its memory is taken near it, if there is some. `None`:
    /// anywhere.
    pub core: Option<u32>,
}

impl MempoolSettings {
    /// Buffers that drivers and caches keep at most, for a worker with `queues` queues of so many
    /// descriptors: to be added to what the worker itself needs. (`net_af_xdp` of 22.11 keeps 2048
    /// more a queue, whatever its descriptors, and does not give them back when it is closed.)
    #[must_use]
    pub const fn kept(queues: u32, rx_descriptors: u32, tx_descriptors: u32) -> u32 {
        // Two threads have a cache: the worker's, and the one that starts the devices.
        queues * (rx_descriptors + tx_descriptors) + 3 * CACHE + 2 * BATCH as u32
    }
}

/// A pool of mbufs for one worker; made by the control thread, [attached](Mempool::attach) by the
/// worker.
///
/// The memory goes with the last of: this, the worker's pool, the devices that receive into it.
/// If buffers are missing then, it stays for good, since a driver may still write to it.
pub struct Mempool {
    mbufs: Arc<Mbufs>,
    pool: PoolSettings,
    socket: i32,
    attached: AtomicBool,
}

/// The mbufs themselves.
pub(super) struct Mbufs {
    raw: NonNull<sys::rte_mempool>,
    capacity: u32,
}

// SAFETY: DPDK's pools may be used by several threads at once: their rings are multi-producer and
// multi-consumer, their caches a thread's own.
unsafe impl Send for Mbufs {}
// SAFETY: as above.
unsafe impl Sync for Mbufs {}

impl Mempool {
    /// Takes all memory of the pool.
    ///
    /// # Errors
    /// Settings that contradict themselves, or too little memory, and the remedy.
    pub fn new(_eal: Eal, settings: MempoolSettings) -> Result<Self, DpdkError> {
        let MempoolSettings { pool, core } = settings;
        let bytes = u16::try_from(pool.buffer_bytes).map_err(|_| {
            DpdkError::new(format!(
                "buffers of {} bytes: DPDK has at most 65535; choose smaller ones (buffer_bytes)",
                pool.buffer_bytes
            ))
        })?;
        let near = core.map_or(ANY_SOCKET, socket_of);
        let (raw, socket) = match create(pool.buffers, bytes, near) {
            Err(_) if near != ANY_SOCKET => (create(pool.buffers, bytes, ANY_SOCKET)?, ANY_SOCKET),
            other => (other?, near),
        };
        let mbufs = Mbufs { raw, capacity: pool.buffers };
        mbufs.check_layout(bytes)?;
        Ok(Self { mbufs: Arc::new(mbufs), pool, socket, attached: AtomicBool::new(false) })
    }

    /// The pool of the calling thread, whose every buffer is one of these.
    ///
    /// # Errors
    /// Settings that contradict themselves, or a second call: a pool belongs to one worker.
    pub fn attach(&self) -> Result<WorkerPool, DpdkError> {
        if self.attached.swap(true, Ordering::Relaxed) {
            return Err(DpdkError::new("a pool of DPDK belongs to one worker: make one for each"));
        }
        let source = MbufSource(Arc::clone(&self.mbufs));
        let pool = Pool::external(self.pool, Box::new(source))
            .map_err(|error| DpdkError::new(error.to_string()))?;
        Ok(WorkerPool { pool: Rc::new(pool), mbufs: Arc::clone(&self.mbufs) })
    }

    /// Buffers that are not at home: in packets, with drivers, or kept ready by a worker's pool.
    #[must_use]
    pub fn out(&self) -> u32 {
        self.mbufs.out()
    }

    /// How it was cut.
    #[must_use]
    pub fn settings(&self) -> PoolSettings {
        self.pool
    }

    /// The NUMA node its memory is on; `None`: any.
    #[must_use]
    pub fn socket(&self) -> Option<u32> {
        u32::try_from(self.socket).ok()
    }

    pub(super) fn mbufs(&self) -> &Arc<Mbufs> {
        &self.mbufs
    }
}

/// A worker's pool, and the mbufs its buffers are.
#[derive(Clone)]
pub struct WorkerPool {
    pool: Rc<Pool>,
    mbufs: Arc<Mbufs>,
}

impl WorkerPool {
    /// The pool, for whatever of the worker makes packets.
    #[must_use]
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(super) fn mbufs(&self) -> &Arc<Mbufs> {
        &self.mbufs
    }
}

impl Mbufs {
    pub(super) fn raw(&self) -> *mut sys::rte_mempool {
        self.raw.as_ptr()
    }

    fn out(&self) -> u32 {
        // SAFETY: the pool lives as long as this.
        self.capacity.saturating_sub(unsafe { sys::rte_mempool_avail_count(self.raw()) })
    }

    /// Takes `max` mbufs out, or none.
    fn take(&self, mbufs: &mut [*mut sys::rte_mbuf]) -> bool {
        // SAFETY: as many places as are asked for.
        unsafe { sys::dpdk_take(self.raw(), mbufs.as_mut_ptr(), mbufs.len() as u32) > 0 }
    }

    /// Gives up one reference to each.
    fn put(&self, mbufs: &mut [*mut sys::rte_mbuf]) {
        // SAFETY: the caller has a reference to each of these mbufs of this pool.
        unsafe { sys::dpdk_put(self.raw(), mbufs.as_mut_ptr(), mbufs.len() as u32) };
    }

    /// Whether an mbuf is laid out as ours must be: all are alike.
    fn check_layout(&self, bytes: u16) -> Result<(), DpdkError> {
        let mut one = [ptr::null_mut()];
        let fits = self.take(&mut one) && {
            let mut len = 0;
            // SAFETY: an mbuf that was just taken out.
            let data = unsafe { sys::dpdk_buffer(one[0], &raw mut len) } as usize;
            let header = one[0] as usize + TO_HEADER;
            self.put(&mut one);
            header.is_multiple_of(64) && data == header + HEADER_BYTES && len >= bytes
        };
        if fits {
            return Ok(());
        }
        Err(DpdkError::new(
            "this build of DPDK lays packets out as the gateway cannot use them: use the \
             distribution's libdpdk, 22.11 or later",
        ))
    }
}

impl Drop for Mbufs {
    fn drop(&mut self) {
        if self.out() == 0 {
            // SAFETY: everything is at home, and nobody else has the pool.
            unsafe { sys::rte_mempool_free(self.raw()) };
        }
    }
}

/// Mbufs as a source of buffers.
struct MbufSource(Arc<Mbufs>);

/// The mbuf whose private area is this header.
fn mbuf_of(header: NonNull<u8>) -> *mut sys::rte_mbuf {
    header.as_ptr().wrapping_sub(TO_HEADER).cast()
}

// SAFETY: `check_layout` saw that header and data lie behind the mbuf as they must, in memory that
// came from the kernel, or DPDK's heap, zeroed. An mbuf that is out has one reference that is ours,
// and DPDK writes neither to its private area, nor to the data of one it sends. `Mbufs` keeps the
// pool while the source lives, and for good if a buffer is out then.
unsafe impl Source for MbufSource {
    fn take(&mut self, batch: &mut Batch) {
        let mut mbufs = [ptr::null_mut(); BATCH];
        let mut want = batch.remaining_capacity();
        // All or none: near the end, fewer at a time.
        while want > 0 && !self.0.take(&mut mbufs[..want]) {
            want /= 2;
        }
        for mbuf in &mbufs[..want] {
            batch.extend(NonNull::new(mbuf.cast::<u8>().wrapping_add(TO_HEADER)));
        }
    }

    fn put(&mut self, batch: &mut Batch) {
        let mut mbufs = [ptr::null_mut(); BATCH];
        let count = batch.len();
        for (mbuf, header) in mbufs.iter_mut().zip(batch.drain(..)) {
            *mbuf = mbuf_of(header);
        }
        self.0.put(&mut mbufs[..count]);
    }

    fn busy(&self, buffer: NonNull<u8>) -> bool {
        // SAFETY: the header of a buffer that is out, behind its mbuf.
        unsafe { sys::dpdk_references(mbuf_of(buffer)) > 1 }
    }
}

fn create(buffers: u32, bytes: u16, socket: i32) -> Result<NonNull<sys::rte_mempool>, DpdkError> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let name = format!("gateway-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    let name = CString::new(name).map_err(|error| DpdkError::new(error.to_string()))?;
    let cache = if buffers >= 4 * CACHE { CACHE } else { 0 };
    let ((raw, code), log) = logged(|| {
        // SAFETY: a terminated name, which is copied; the private area is our header.
        let raw = unsafe {
            sys::rte_pktmbuf_pool_create(
                name.as_ptr(),
                buffers,
                cache,
                HEADER_BYTES as u16,
                bytes,
                socket,
            )
        };
        // SAFETY: reads the error number of this thread.
        (raw, unsafe { sys::dpdk_errno() })
    });
    let mib = (u64::from(buffers) * (u64::from(bytes) + 256)) >> 20;
    let what = format!("no memory for {buffers} buffers of {bytes} bytes ({mib} MiB)");
    NonNull::new(raw).ok_or_else(|| DpdkError::of(&what, code, &log))
}

/// The NUMA node of a core, as the kernel tells it; any when it does not.
fn socket_of(core: u32) -> i32 {
    let folder = format!("/sys/devices/system/cpu/cpu{core}");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
        .next()
        .unwrap_or(ANY_SOCKET)
}
