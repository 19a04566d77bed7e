//! Scenarios with files and with the kernel's network: those run in a network namespace that goes
//! with their process.

use std::io::Read;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dataplane::capture::Reader;
use dataplane::dpdk::Device;
use dataplane::memory::{Frame, Packet};

use crate::scenarios::run;
use crate::site::{Site, bytes, eal, mempool, wish};

/// A folder of this process's own, that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("dpdk-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether the process may do as it likes with its network.
pub(crate) fn is_root() -> bool {
    let mut status = String::new();
    std::fs::File::open("/proc/self/status")
        .and_then(|mut file| file.read_to_string(&mut status))
        .is_ok_and(|_| status.lines().any(|line| line.starts_with("Uid:\t0\t0\t")))
}

/// All packets of a capture.
fn packets(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(path).expect("a capture");
    let mut packets = Vec::new();
    while let Some(record) = reader.next().expect("whole") {
        packets.push(record.data.to_vec());
    }
    packets
}

pub(crate) fn capture() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures");
    let folder = Folder::new();
    let eal = eal();
    // The driver says that it cannot send segments, so its buffers must hold a packet.
    for (name, buffer_bytes) in [("rc-write.pcap", 2048), ("rc-write-4096.pcap", 4608)] {
        let (input, output) = (captures.join(name), folder.0.join(name));
        let expected = packets(&input);
        let device = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
        let mut site = Site::cut(eal, &[&device], 4200, buffer_bytes);
        let mut received = Vec::new();
        while received.len() < expected.len() {
            let burst = site.receive(0, 1);
            assert!(!burst.is_empty(), "{name}: {} packets", received.len());
            received.extend(burst.iter().map(bytes));
            site.send(0, burst.into_iter().map(Packet::freeze).collect::<Vec<Frame>>());
        }
        assert!(received == expected, "{name}: not received as it is");
        assert_eq!(site.ports[0].copies().tx_refused, 0);
        assert_eq!(site.close(), 0);
        assert!(packets(&output) == expected, "{name}: not sent as it was received");
    }
    let (input, output) = (captures.join("rc-write-4096.pcap"), folder.0.join("short.pcap"));
    let device = format!("net_pcap0,rx_pcap={},tx_pcap={}", input.display(), output.display());
    let mut site = Site::cut(eal, &[&device], 4200, 2048);
    let received = site.receive(0, packets(&input).len());
    let (long, short): (Vec<Packet>, Vec<Packet>) =
        received.into_iter().partition(|packet| packet.segments().count() > 1);
    let expected: Vec<Vec<u8>> = short.iter().map(bytes).collect();
    let refused = long.len() as u64;
    site.send(0, long.into_iter().chain(short).map(Packet::freeze).collect::<Vec<_>>());
    assert_eq!((site.ports[0].copies().tx_refused, refused > 0), (refused, true));
    assert_eq!(site.close(), 0);
    assert!(packets(&output) == expected, "what fits one buffer");
}

/// Sends a UDP packet over IPv4 back to where it came from, without its checksum: on a veth, the
/// kernel leaves that to a NIC which is not there.
fn turn_around(mut packet: Packet) -> Frame {
    let bytes = packet.head_mut();
    let (ip, udp) = (14, 14 + 20);
    for (one, two, len) in [(0, 6, 6), (ip + 12, ip + 16, 4), (udp, udp + 2, 2)] {
        (0..len).for_each(|i| bytes.swap(one + i, two + i));
    }
    bytes[udp + 6..udp + 8].fill(0);
    packet.freeze()
}

/// A socket of the kernel's, behind `interface` with an MTU of 4200; 10.9.0.2 lies beyond us.
fn neighbour(interface: &str) -> UdpSocket {
    run(&format!(
        "ip link set {interface} mtu 4200 up
         ip address add 10.9.0.1/24 dev {interface}
         ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev {interface}"
    ));
    let socket = UdpSocket::bind("10.9.0.1:4791").expect("the interface's address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    socket
}

/// Lets the kernel send a packet to 10.9.0.2, and sends it back; whether it came back.
fn echo(site: &mut Site, socket: &UdpSocket, len: usize) -> bool {
    let sent: Vec<u8> = (0..len).map(|i| i as u8).collect();
    socket.send_to(&sent, "10.9.0.2:4791").expect("the route");
    // The kernel has things of its own to say besides.
    loop {
        let burst = site.receive(0, 1);
        assert!(!burst.is_empty(), "{len} bytes did not come");
        let mut wanted = burst.into_iter().filter(|p| is_to(p.head(), [10, 9, 0, 2]));
        let Some(packet) = wanted.next() else { continue };
        assert_eq!(packet.len(), 14 + 20 + 8 + len);
        site.send(0, [turn_around(packet)]);
        break;
    }
    let mut answer = [0; 8192];
    socket.recv_from(&mut answer).is_ok_and(|(count, from)| {
        assert_eq!((&answer[..count], from.to_string().as_str()), (&sent[..], "10.9.0.2:4791"));
        true
    })
}

pub(crate) fn tap() {
    let mut site = Site::new(&["net_tap0,iface=gateway0"], 4200);
    let socket = neighbour("gateway0");
    for len in [0, 1, 1000, 1472] {
        assert!(echo(&mut site, &socket, len), "{len} bytes");
    }
    assert_eq!(site.ports[0].copies().tx_refused, 0);
    // The driver believes in 1500 bytes, whatever the interface is set to: longer packets come,
    // and do not go.
    assert!(site.devices[0].notes().iter().any(|note| note.contains("not 4200")));
    assert!(!echo(&mut site, &socket, 4172));
    assert_eq!(site.ports[0].copies().tx_refused, 1);
    assert!(echo(&mut site, &socket, 1472), "what comes behind it");
    assert_eq!(site.close(), 0);
}

pub(crate) fn interface() {
    run("ip link add veth0 type veth peer name veth1; ip link set veth1 mtu 4200 up");
    let socket = neighbour("veth0");
    let mut site = Site::cut(eal(), &["net_pcap0,rx_iface_in=veth1,tx_iface=veth1"], 4200, 4608);
    for len in [0, 1, 1000, 1472, 2100, 4172] {
        assert!(echo(&mut site, &socket, len), "{len} bytes");
    }
    assert_eq!(site.ports[0].copies().tx_refused, 0);
    assert_eq!(site.close(), 0);
}

pub(crate) fn steered() {
    let eal = eal();
    let mempools = [mempool(eal), mempool(eal)];
    let both = [&mempools[0], &mempools[1]];
    let null = Device::open(eal, &wish("net_null0", 1500), &both).expect("two queues");
    let error = null.steer(4791, 1).expect_err("it cannot").to_string();
    assert!(error.contains("UDP port 4791 over IPv4 to queue 1"), "{error}");
    let device = Device::open(eal, &wish("net_tap0,iface=gateway0", 1500), &both).expect("two");
    // It can where the kernel has the classifier for it; either way it goes on.
    if let Err(error) = device.steer(4791, 1) {
        assert!(error.to_string().starts_with("net_tap0 cannot bring UDP port 4791"), "{error}");
    }
    assert_eq!(device.notes(), [""; 0]);
    assert!(null.notes().iter().any(|note| note.contains("RSS key")), "{:?}", null.notes());
}

/// Whether a frame is a UDP packet over IPv4 to that address.
fn is_to(frame: &[u8], address: [u8; 4]) -> bool {
    frame.len() >= 42 && frame[12..14] == [8, 0] && frame[23] == 17 && frame[30..34] == address
}

pub(crate) fn drivers() {
    run("ip link add veth0 type veth peer name veth1; ip link set veth0 up; ip link set veth1 up");
    let folder = Folder::new();
    let eal = eal();
    let socket = folder.0.join("memif.sock");
    for device in [
        "net_null0".to_owned(),
        "net_ring0".to_owned(),
        "net_tap0,iface=gateway0".to_owned(),
        "net_pcap0,iface=veth1".to_owned(),
        "net_af_xdp0,iface=veth0,force_copy=1".to_owned(),
        format!("net_memif0,role=server,socket-abstract=no,socket={}", socket.display()),
    ] {
        let mempool = mempool(eal);
        let opened = Device::open(eal, &wish(&device, 1500), &[&mempool]);
        let opened = opened.unwrap_or_else(|error| panic!("{device}: {error}"));
        println!("{device}: {:?} {:?} {:?}", opened.mac(), opened.link(), opened.notes());
        assert_eq!(opened.mtu(), 1500, "{device}");
        opened.close().expect("no port of it");
        // That driver never gives back what it had ready to receive into.
        if !device.starts_with("net_af_xdp") {
            assert_eq!(mempool.out(), 0, "{device}");
        }
    }
}
