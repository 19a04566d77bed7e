//! A network of one test: a namespace nobody else is in, a veth pair in it, and ports on that.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::afxdp::{
    AfXdpError, AfXdpPort, Interface, InterfaceSettings, Mode, ModeChoice, PortSettings,
};
use dataplane::memory::{Frame, Packet, Pool, PoolSettings};
use dataplane::netdev::Netdev;
use dataplane::port::{BURST, Burst, Port, TxQueue};
use dataplane::time::Time;

/// The two ends of the veth pair.
pub(crate) const LEFT: &str = "left";
pub(crate) const RIGHT: &str = "right";
/// What every port here lends to the kernel.
pub(crate) const RING: u32 = 256;

/// Runs `test` in network and mount namespaces of its own, with a veth pair of that many queues
/// and that MTU. They vanish with the thread, however it ends.
pub(crate) fn in_own_network(queues: u32, mtu: u32, test: impl FnOnce() + Send + 'static) {
    let run = move || {
        // SAFETY: no pointers but to constant strings that end in zero.
        unsafe {
            let done = libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS);
            assert_eq!(done, 0, "namespaces need root: {}", std::io::Error::last_os_error());
            let (none, private) = (c"none".as_ptr(), libc::MS_REC | libc::MS_PRIVATE);
            let null = std::ptr::null();
            assert_eq!(libc::mount(none, c"/".as_ptr(), null, private, null.cast()), 0);
        }
        // The stack would send packets of its own.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").expect("IPv6 off");
        let queues = format!("numtxqueues {queues} numrxqueues {queues}");
        ip(&format!(
            "link add {LEFT} mtu {mtu} {queues} type veth peer {RIGHT} mtu {mtu} {queues}"
        ));
        ip(&format!("link set {LEFT} up"));
        ip(&format!("link set {RIGHT} up"));
        test();
    };
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(run).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these arguments, which must succeed.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

pub(crate) fn pool(buffers: u32) -> Rc<Pool> {
    let settings = PoolSettings { buffers, buffer_bytes: 4032, headroom: 256 };
    Rc::new(Pool::new(settings).expect("valid settings"))
}

pub(crate) fn attach(name: &str, mode: ModeChoice) -> Result<Arc<Interface>, AfXdpError> {
    let settings = InterfaceSettings { name: name.to_owned(), mode, replace: false };
    Interface::attach(&settings).map(Arc::new)
}

/// A port on queue 0 of interface `name` in that mode and no other.
pub(crate) fn port(name: &str, mode: Mode, pool: &Rc<Pool>) -> AfXdpPort {
    let interface = attach(name, ModeChoice::Only(mode)).expect("attached");
    queue(&interface, 0, pool)
}

pub(crate) fn queue(interface: &Arc<Interface>, queue: u32, pool: &Rc<Pool>) -> AfXdpPort {
    AfXdpPort::open(interface, pool, PortSettings { queue, ring: RING }).expect("open")
}

/// A frame of `len` bytes, Ethernet with an experimental type, that differs from those of other
/// numbers in every part.
pub(crate) fn bytes(len: usize, number: u32) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
    let mut state = number.wrapping_mul(0x9e37_79b9) | 1;
    bytes.resize_with(len, || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    bytes
}

pub(crate) fn content(packet: &Packet) -> Vec<u8> {
    packet.segments().flatten().copied().collect()
}

/// Sends every frame, as fast as the port takes them; `each` runs between two bursts.
pub(crate) fn send(port: &mut AfXdpPort, frames: Vec<Frame>, mut each: impl FnMut()) {
    let mut frames = frames.into_iter().peekable();
    let mut queue = TxQueue::new(BURST);
    let until = Instant::now() + Duration::from_secs(20);
    while frames.peek().is_some() || !queue.is_empty() || port.sending() > 0 {
        while queue.room() > 0 {
            let Some(frame) = frames.next() else { break };
            queue.push(frame).expect("room");
        }
        port.transmit(Time::ZERO, &mut queue);
        // What the port does besides sending is done when it is asked to receive.
        assert_eq!(port.receive(Time::ZERO, &mut Burst::new()), 0, "nothing is sent to it");
        each();
        assert!(Instant::now() < until, "{} frames not sent", queue.len());
    }
}

/// What is there to be received, until `count` packets are or ten seconds are over.
pub(crate) fn receive(port: &mut AfXdpPort, count: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let until = Instant::now() + Duration::from_secs(10);
    while packets.len() < count && Instant::now() < until {
        receive_now(port, &mut packets);
    }
    packets
}

/// What is there to be received now.
pub(crate) fn receive_now(port: &mut AfXdpPort, packets: &mut Vec<Vec<u8>>) {
    let mut burst = Burst::new();
    port.receive(Time::ZERO, &mut burst);
    packets.extend(burst.iter().map(content));
}

/// What the kernel's network stack receives of the tests' frames on one interface.
pub(crate) struct Stack(OwnedFd);

impl Stack {
    pub(crate) fn listen(name: &str) -> Self {
        /// The Ethernet type of [`bytes`], in network order.
        const TYPE: u16 = 0x88b5_u16.to_be();
        let index = Netdev::find(name).expect("there").index as i32;
        // SAFETY: an address as long as is said; the descriptor is nobody else's.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(TYPE));
            assert!(fd >= 0);
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = TYPE;
            address.sll_ifindex = index;
            let len = size_of::<libc::sockaddr_ll>() as u32;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), len), 0);
            Self(OwnedFd::from_raw_fd(fd))
        }
    }

    /// The next frame, if one comes within five seconds.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        if !readable(self.0.as_raw_fd(), 5000) {
            return None;
        }
        let mut bytes = vec![0; 10_000];
        // SAFETY: as long as is said.
        let len =
            unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes.truncate(usize::try_from(len).ok()?);
        Some(bytes)
    }
}

/// Whether there is something to receive, now or within that many milliseconds.
pub(crate) fn readable(fd: RawFd, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 && poll.revents & libc::POLLIN != 0 }
}

/// Gives up the rights of this thread, and of no other, for good.
pub(crate) fn become_nobody() {
    const NOBODY: libc::uid_t = 65_534;
    // SAFETY: no pointers.
    let done = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
