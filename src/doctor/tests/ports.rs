//! Interfaces of AF_XDP, well and ill.

use dataplane::netdev::{Offload, XdpPrograms};

use super::super::fake::{Fake, assert_found};
use super::super::finding::Level::{Ok, Problem, Warning};

const LAN: &str = "port lan";

#[test]
fn interfaces_as_they_should_be() {
    let findings = Fake::new().findings();
    for (check, what) in [
        ("link", "interface eth1 is up"),
        ("mtu", "its mtu is 1500, that of interface eth1 is 1600"),
        ("queues", "interface eth1 has 2 queue(s), each with its worker"),
        ("xdp", "interface eth1 (driver ice) can do native XDP with zero-copy"),
        ("offloads", "interface eth1 changes no packets"),
        ("programs", "interface eth1 has no XDP program"),
    ] {
        assert_found(&findings, check, LAN, what);
    }
    assert!(!findings.iter().any(|finding| finding.check == "jumbo"));
}

#[test]
fn a_missing_interface_is_the_only_problem_of_its_port() {
    let mut fake = Fake::new();
    fake.without_lan();
    let remedy = "choose one of this network namespace, see: ip -br link";
    fake.assert_bad(Problem, "link", LAN, "there is no interface eth1", remedy);
}

#[test]
fn the_link_is_set_up_and_has_a_carrier() {
    let mut fake = Fake::new();
    fake.lan().netdev.carrier = false;
    let what = "interface eth1 has no carrier: nothing is at its other end";
    let remedy = "plug in the cable, or set up the other end; ethtool eth1";
    fake.assert_bad(Warning, "link", LAN, what, remedy);
    fake.lan().netdev.up = false;
    let what = "interface eth1 is down";
    fake.assert_bad(Problem, "link", LAN, what, "ip link set eth1 up");
}

#[test]
fn the_mtu_is_no_less_than_the_ports() {
    let mut fake = Fake::new();
    fake.lan().netdev.mtu = 1499;
    let what = "its mtu is 1500, that of interface eth1 is 1499";
    let remedy = "ip link set eth1 mtu 1500, or lower the port's";
    fake.assert_bad(Problem, "mtu", LAN, what, remedy);
    fake.lan().netdev.mtu = 1500;
    fake.assert_ok("mtu", LAN, "its mtu is 1500, that of interface eth1 is 1500");
}

#[test]
fn each_worker_has_a_queue_and_each_queue_a_worker() {
    let mut fake = Fake::new();
    // A socket needs a queue of each kind.
    fake.lan().netdev.tx_queues = 1;
    let what = "interface eth1 has 1 queue(s), queue 1 is wanted";
    fake.assert_bad(Problem, "queues", LAN, what, "ethtool -L eth1 combined 2");
    fake.lan().netdev.driver = "veth".to_owned();
    fake.assert_bad(Problem, "queues", LAN, what, "ethtool -L eth1 rx 2 tx 2");
    (fake.lan().netdev.tx_queues, fake.lan().netdev.rx_queues) = (4, 4);
    let what =
        "interface eth1 has 4 queues; what comes by 2,3 goes to the kernel, not to the gateway";
    fake.assert_bad(Warning, "queues", LAN, what, "ethtool -L eth1 rx 2 tx 2");
}

#[test]
fn a_driver_without_native_xdp_is_named() {
    let mut fake = Fake::new();
    fake.lan().netdev.driver = "e1000e".to_owned();
    let what = "interface eth1 (driver e1000e) can do generic XDP only, as far as is known";
    let remedy = "write xdp_mode = \"generic\", or use a NIC with native XDP, or DPDK";
    fake.assert_bad(Warning, "xdp", LAN, what, remedy);
    fake.configure("interface = \"eth1\"", "interface = \"eth1\"\nxdp_mode = \"generic\"");
    fake.assert_ok("xdp", LAN, what);
    fake.configure("xdp_mode = \"generic\"", "xdp_mode = \"zero-copy\"");
    fake.assert_bad(Warning, "xdp", LAN, what, remedy);
    fake.lan().netdev.driver = "veth".to_owned();
    let what = "interface eth1 (driver veth) can do native XDP with copy";
    fake.assert_bad(Warning, "xdp", LAN, what, "write xdp_mode = \"native\"");
    fake.configure("xdp_mode = \"zero-copy\"", "xdp_mode = \"native\"");
    fake.assert_ok("xdp", LAN, what);
    fake.lan().netdev.driver.clear();
    let what = "interface eth1 (driver without a name) can do generic XDP only, as far as is known";
    fake.assert_bad(Warning, "xdp", LAN, what, remedy);
}

#[test]
fn jumbo_packets_need_a_kernel_that_has_them() {
    let mut fake = Fake::new();
    // 22 bytes of Ethernet, 256 of the kernel's, 64 of ours, in 4096.
    fake.lan().netdev.mtu = 3755;
    fake.assert_ok("jumbo", LAN, "packets of mtu 3755 take several buffers");
    fake.file("proc/sys/kernel/osrelease", "6.1.0");
    let jumbo = |fake: &Fake| fake.bad().into_iter().find(|finding| finding.check == "jumbo");
    let bad = jumbo(&fake).unwrap();
    assert_eq!((bad.level, bad.place.as_str()), (Problem, LAN));
    let what = "packets of mtu 3755 take several buffers, which AF_XDP of Linux 6.1 has not";
    assert_eq!(bad.what, what);
    let remedy = "install Linux 6.6 or later, or ip link set eth1 mtu 3754";
    assert_eq!(bad.remedy.as_deref(), Some(remedy));
    fake.lan().netdev.mtu = 3754;
    assert_eq!(jumbo(&fake), None);
}

#[test]
fn xdp_programs_of_others_are_in_the_way_unless_they_are_replaced() {
    let mut fake = Fake::new();
    let (native, generic) = (XdpPrograms::default(), XdpPrograms::default());
    let what = "interface eth1 has XDP program 17 (bpftool prog show id 17)";
    let remedy = |mode: &str| {
        let stop = "stop what put it there, perhaps another gateway, or:";
        format!("{stop} ip link set dev eth1 {mode} off")
    };
    fake.lan().netdev.xdp = XdpPrograms { native: Some(17), ..native };
    fake.assert_bad(Problem, "programs", LAN, what, &remedy("xdpdrv"));
    fake.lan().netdev.xdp = XdpPrograms { generic: Some(17), ..generic };
    fake.assert_bad(Problem, "programs", LAN, what, &remedy("xdpgeneric"));
    // Opening the port waits for one that is about to go: `run` is not kept from trying.
    let examined = super::super::examine(&fake.machine(), Some(&fake.config()), &[]);
    assert!(examined.iter().all(|finding| finding.level == Ok), "{examined:#?}");
    fake.configure("interface = \"eth1\"", "interface = \"eth1\"\nxdp_replace = true");
    fake.assert_ok("programs", LAN, "interface eth1 has XDP program 17, which is replaced");
    fake.lan().netdev.xdp = XdpPrograms { hardware: Some(17), ..generic };
    let what = "interface eth1 has XDP program 17 in the NIC";
    fake.assert_bad(Problem, "programs", LAN, what, "ip link set dev eth1 xdpoffload off");
}

#[test]
fn offloads_that_are_on_are_told_with_what_turns_them_off() {
    let mut fake = Fake::new();
    use Offload::{
        GenericReceive, LargeReceive, RxChecksum, RxVlan, TxChecksum, TxSegmentation, TxVlan,
    };
    fake.lan().offloads =
        vec![RxChecksum, TxChecksum, TxSegmentation, GenericReceive, LargeReceive, TxVlan, RxVlan];
    let words = "rx, tx, tso, gro, lro, txvlan, rxvlan";
    let what = format!("interface eth1 has on: {words}; off while `run` runs");
    fake.assert_ok("offloads", LAN, &what);
    let found = fake.findings().into_iter().find(|finding| finding.what == what).unwrap();
    let remedy = "ethtool -K eth1 rx off tx off tso off gro off lro off txvlan off rxvlan off";
    assert_eq!(found.remedy.as_deref(), Some(remedy));
}

#[test]
fn a_nic_is_near_its_workers() {
    let fake = Fake::new();
    fake.file("sys/class/net/eth1/device/numa_node", "1");
    let what = "on node 1, the worker(s) of core 1 are not";
    fake.assert_bad(Warning, "numa", LAN, what, "choose [workers] cores among 2,3");
    fake.file("sys/devices/system/node/node1/cpulist", "1-3");
    fake.assert_ok("numa", LAN, "on node 1, as the workers");
    fake.file("sys/class/net/eth1/device/numa_node", "-1");
    assert!(!fake.findings().iter().any(|finding| finding.check == "numa"));
}

#[test]
fn ports_of_captures_are_not_for_run() {
    let mut fake = Fake::new();
    let captures = "driver = \"pcap\"\nmac = \"02:00:00:00:00:01\"\ninput = \"i\"\noutput = \"o\"";
    fake.configure("driver = \"af_xdp\"\ninterface = \"eth1\"", captures);
    let remedy = "write driver = \"af_xdp\" or \"dpdk\"; captures are for: compute-gateway replay";
    fake.assert_bad(Problem, "ports", LAN, "it is not a port of live traffic", remedy);
}
