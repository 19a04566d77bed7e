//! Network namespaces of a test's own.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use dataplane::netdev::{Netdev, Offload, PacketSocket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a packet socket waits for a frame before its reader may look around.
const PATIENCE: Duration = Duration::from_millis(50);
/// What would have packets look otherwise than on a cable: merged, or without checksum.
const OFFLOADS: [Offload; 4] =
    [Offload::TxChecksum, Offload::RxChecksum, Offload::TxSegmentation, Offload::GenericReceive];

/// A network namespace. It has a name only while it is made: when the test ends, however it does,
/// the kernel takes it back with all that is in it.
pub(crate) struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes one without IPv6 addresses, so that nothing but the test sends.
    ///
    /// # Panics
    /// Without root or iproute2: a live test that cannot run has not passed.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "live tests need root: make test-live");
        let name = format!("cg-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let file = File::open(format!("/run/netns/{name}"));
        ip(&["netns", "del", &name]);
        let namespace = Self { file: file.expect("it was made just now") };
        namespace.run(|| {
            for which in ["all", "default"] {
                let file = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                // A kernel without IPv6 has nothing to be turned off.
                let _ = fs::write(file, "1");
            }
            ip(&["link", "set", "lo", "up"]);
        });
        namespace
    }

    /// Runs something in it: what it opens and starts stays there.
    pub(crate) fn run<R: Send>(&self, inside: impl FnOnce() -> R + Send) -> R {
        let enter = || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may");
            inside()
        };
        let ran = thread::scope(|scope| scope.spawn(enter).join());
        ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// An interface as it stands.
    pub(crate) fn netdev(&self, name: &str) -> Netdev {
        self.run(|| Netdev::find(name).expect("it is there"))
    }

    /// A packet socket on an interface.
    pub(crate) fn packet_socket(&self, name: &str) -> PacketSocket {
        let netdev = self.netdev(name);
        self.run(|| PacketSocket::open(&netdev, PATIENCE).expect("a packet socket"))
    }

    /// Gives an interface addresses, IPv6 ones usable at once.
    pub(crate) fn addresses(&self, interface: &str, addresses: &[&str]) {
        self.run(|| {
            let file = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            fs::write(file, "0").expect("IPv6 on");
            for address in addresses {
                let options: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
                ip(&[&["addr", "add", address, "dev", interface], options].concat());
            }
        });
    }

    /// A name under which `ip` finds it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }
}

/// One end of a cable: where, and the interface's name there.
pub(crate) type End<'a> = (&'a Namespace, &'a str);

/// Puts a cable between two namespaces, a veth pair with `queues` queues, and brings it up.
pub(crate) fn cable(one: End<'_>, other: End<'_>, mtu: u32, queues: u32) {
    let (mtu, queues) = (mtu.to_string(), queues.to_string());
    let size = ["mtu", &mtu, "numtxqueues", &queues, "numrxqueues", &queues];
    let (here, there) = (one.0.path(), other.0.path());
    let mut arguments = vec!["link", "add", one.1, "netns", &here];
    arguments.extend(size);
    arguments.extend(["type", "veth", "peer", "name", other.1, "netns", &there]);
    arguments.extend(size);
    ip(&arguments);
    for (namespace, name) in [one, other] {
        namespace.run(|| {
            let netdev = Netdev::find(name).expect("made just now");
            for offload in OFFLOADS {
                netdev.set_offload(offload, false).expect("veth has no fixed offloads");
            }
            ip(&["link", "set", "dev", name, "up"]);
        });
    }
}

/// Runs `ip`, which must succeed, in the namespace of this thread.
pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}
