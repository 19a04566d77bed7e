//! How fast AF_XDP ports forward here: a generator, one worker with two ports, and a sink, on two
//! veth pairs in a network namespace of their own. Needs root and iproute2.
//!
//! `cargo run --release --example afxdp_forward -- [native|generic] [seconds]`

use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dataplane::afxdp::{AfXdpPort, Interface, InterfaceSettings, Mode, ModeChoice, PortSettings};
use dataplane::memory::{Pool, PoolSettings};
use dataplane::port::{BURST, Burst, Port, TxQueue};
use dataplane::time::Time;
use dataplane::worker::{Pipeline, Worker};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Set when the run is over.
static OVER: AtomicBool = AtomicBool::new(false);
/// Packets that arrived at the sink.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = match arguments.next().as_deref() {
        None | Some("native") => Mode::NativeCopy,
        Some("generic") => Mode::Generic,
        Some(other) => return Err(format!("no mode {other}: native or generic").into()),
    };
    let seconds = arguments.next().map_or(Ok(3), |word| word.parse())?;
    // SAFETY: no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("a network namespace: {}", std::io::Error::last_os_error()).into());
    }
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
    for (left, right) in [("gen", "in"), ("out", "sink")] {
        ip(&format!("link add {left} mtu 9000 type veth peer {right} mtu 9000"))?;
        ip(&format!("link set {left} up"))?;
        ip(&format!("link set {right} up"))?;
    }
    for len in [60, 1514, 4200, 9014] {
        measure(mode, len, Duration::from_secs(seconds))?;
    }
    Ok(())
}

/// One run with frames of `len` bytes.
fn measure(mode: Mode, len: usize, time: Duration) -> Outcome<()> {
    OVER.store(false, Ordering::Relaxed);
    ARRIVED.store(0, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let threads = [
            scope.spawn(move || forward(mode)),
            scope.spawn(move || sink(mode)),
            scope.spawn(move || generate(mode, len)),
        ];
        // Until all is running.
        std::thread::sleep(Duration::from_millis(500));
        let (begin, before) = (Instant::now(), ARRIVED.load(Ordering::Relaxed));
        std::thread::sleep(time);
        let arrived = ARRIVED.load(Ordering::Relaxed) - before;
        let rate = arrived as f64 / begin.elapsed().as_secs_f64();
        let gigabits = rate * len as f64 * 8.0 / 1e9;
        println!("{mode}, {len} bytes: {:.3} Mpps, {gigabits:.2} Gbit/s", rate / 1e6);
        OVER.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}

fn ip(arguments: &str) -> Outcome<()> {
    let status = Command::new("ip").args(arguments.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(format!("ip {arguments}").into()) }
}

/// A pool for `ports` ports, and those ports.
fn ports(mode: Mode, names: &[&str]) -> Outcome<(Rc<Pool>, Vec<AfXdpPort>)> {
    const RING: u32 = 1024;
    let settings = PoolSettings { buffers: 4 * RING, buffer_bytes: 4032, headroom: 256 };
    let pool = Rc::new(Pool::new(settings)?);
    let mut ports = Vec::new();
    for name in names {
        let mode = ModeChoice::Only(mode);
        let settings = InterfaceSettings { name: (*name).to_owned(), mode, replace: false };
        let interface = Interface::attach(&settings)?.into();
        ports.push(AfXdpPort::open(&interface, &pool, PortSettings { queue: 0, ring: RING })?);
    }
    Ok((pool, ports))
}

/// Sends what comes by one port out of the other.
struct Wire;

impl Pipeline for Wire {
    fn receive(&mut self, port: usize, burst: &mut Burst, _: Time, queues: &mut [TxQueue]) {
        for packet in burst.drain(..) {
            // A full queue drops.
            let _ = queues[1 - port].push(packet.freeze());
        }
    }

    fn expire(&mut self, _: Time, _: &mut [TxQueue]) {}

    fn next_deadline(&self) -> Option<Time> {
        None
    }
}

/// Processor time this thread has had, in seconds: what counts where others want the processor too.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: one `timespec` to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn forward(mode: Mode) -> Outcome<()> {
    let (pool, ports) = ports(mode, &["in", "out"])?;
    let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
    let (clock, _) = dataplane::time::Clock::virtual_at(Time::ZERO);
    let mut worker = Worker::new(ports, 1024, Wire, clock);
    while !OVER.load(Ordering::Relaxed) {
        if !worker.round() {
            std::thread::yield_now();
        }
    }
    let micros = processor_time() * 1e6 / worker.ports()[1].counters().tx_packets.max(1) as f64;
    println!("    worker: {micros:.2} µs of processor a packet forwarded, waiting included");
    let counters = worker.counters();
    let cycles = |stage: &dataplane::worker::StageCounters| {
        format!("{:.0}", stage.cycles as f64 / stage.packets.max(1) as f64)
    };
    let (receive, transmit) = (&counters.receive[0], &counters.transmit[1]);
    let per_call = receive.packets as f64 / receive.calls.max(1) as f64;
    println!(
        "    worker: {} cycles a packet to receive, {} to send, {per_call:.1} packets a call, {:?}",
        cycles(receive),
        cycles(transmit),
        worker.ports()[0].counters(),
    );
    for (port, error) in worker.close() {
        println!("    port {port}: {error}");
    }
    drop(worker);
    println!("    pool: {} buffers in use after closing", pool.stats().in_use);
    Ok(())
}

fn sink(mode: Mode) -> Outcome<()> {
    let (_pool, mut ports) = ports(mode, &["sink"])?;
    let mut burst = Burst::new();
    while !OVER.load(Ordering::Relaxed) {
        let count = ports[0].receive(Time::ZERO, &mut burst);
        burst.clear();
        ARRIVED.fetch_add(count as u64, Ordering::Relaxed);
        if count == 0 {
            std::thread::yield_now();
        }
    }
    Ok(())
}

fn generate(mode: Mode, len: usize) -> Outcome<()> {
    let (pool, mut ports) = ports(mode, &["gen"])?;
    let mut bytes = vec![0; len];
    bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    let frame = pool.copy(&bytes).ok_or("no buffers")?.freeze();
    let mut queue = TxQueue::new(BURST);
    while !OVER.load(Ordering::Relaxed) {
        while queue.push(frame.clone()).is_ok() {}
        if ports[0].transmit(Time::ZERO, &mut queue) == 0 {
            std::thread::yield_now();
        }
        ports[0].receive(Time::ZERO, &mut Burst::new());
    }
    Ok(())
}
