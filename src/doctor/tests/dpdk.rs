//! DPDK's memory, drivers and devices, well and ill.

use super::super::fake::{Fake, assert_found};
use super::super::finding::Level::{Problem, Warning};

const FOLDER: &str = "usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0";
const PCI: &str = "sys/bus/pci/devices/0000:3b:00.0";
const LAN: &str = "port lan";

/// A machine with virtual devices of DPDK, whose driver is installed.
fn virtual_devices() -> Fake {
    let mut fake = Fake::new();
    fake.with_dpdk("net_tap0,iface=tap0", "net_tap1");
    fake.file(&format!("{FOLDER}/librte_net_tap.so.23"), "");
    fake
}

/// A machine whose LAN port is a PCI device, ready for DPDK.
fn pci_device() -> Fake {
    let mut fake = Fake::new();
    fake.with_dpdk("3b:00.0,arg=1", "net_tap1");
    fake.file(&format!("{FOLDER}/librte_net_tap.so.23"), "");
    fake.file(&format!("{PCI}/class"), "0x020000");
    fake.link(&format!("{PCI}/driver"), "../../drivers/vfio-pci");
    fake.link(&format!("{PCI}/iommu_group"), "../../../kernel/iommu_groups/12");
    fake.file("sys/kernel/iommu_groups/12/devices/0000:3b:00.0", "");
    fake
}

#[test]
fn devices_of_a_build_without_dpdk_are_problems() {
    let mut fake = virtual_devices();
    let path = format!("/{FOLDER}");
    fake.assert_ok("dpdk", "machine", &format!("DPDK's drivers are in {path}"));
    fake.dpdk = None;
    let remedy = "make build-dpdk, or write driver = \"af_xdp\"";
    let bad = fake.bad();
    assert_eq!(bad.len(), 2);
    for (finding, place) in bad.iter().zip([LAN, "port wan"]) {
        assert_eq!((finding.level, finding.check, &*finding.place), (Problem, "dpdk", place));
        assert_eq!(finding.what, "this build has no DPDK");
        assert_eq!(finding.remedy.as_deref(), Some(remedy));
    }
}

#[test]
fn the_folder_of_drivers_is_there() {
    let mut fake = virtual_devices();
    fake.remove(FOLDER);
    let what = format!("the folder of DPDK's drivers is missing: /{FOLDER}");
    let remedy = "apt-get install librte-meta-all, or eal = [\"-d\", ...]";
    fake.assert_bad(Problem, "dpdk", "machine", &what, remedy);
    fake.eal = vec!["-d".into(), "/opt/librte_net_tap.so".into()];
    fake.assert_bad(Warning, "dpdk", "machine", &what, remedy);
    fake.dpdk = Some("".into());
    fake.assert_ok("dpdk", "machine", "DPDK's drivers are linked in");
}

#[test]
fn a_virtual_device_has_its_driver() {
    let fake = virtual_devices();
    fake.assert_ok("driver", LAN, "the driver of net_tap0 is installed");
    let mut fake = Fake::new();
    fake.with_dpdk("net_null0", "net_tap1");
    fake.file(&format!("{FOLDER}/librte_net_tap.so.23"), "");
    let missing =
        |name| format!("the driver of {name} is not installed: no file in /{FOLDER} is named so");
    let remedy = "apt-get install librte-meta-all";
    fake.assert_bad(Warning, "driver", LAN, &missing("net_null0"), remedy);
    // The file of another one, that begins alike.
    fake.file(&format!("{FOLDER}/librte_net_nullify.so.23"), "");
    fake.assert_bad(Warning, "driver", LAN, &missing("net_null0"), remedy);
}

#[test]
fn a_virtual_device_may_be_named_by_words() {
    for device in ["net_pcap_lan,iface=lan,phy_mac=1", "net_pcap_lan0", "net_pcap7"] {
        let mut fake = Fake::new();
        fake.with_dpdk(device, "net_tap_north");
        fake.file(&format!("{FOLDER}/librte_net_pcap.so.23"), "");
        fake.file(&format!("{FOLDER}/librte_net_tap.so.23"), "");
        let name = device.split(',').next().unwrap();
        fake.assert_ok("driver", LAN, &format!("the driver of {name} is installed"));
        fake.assert_ok("driver", "port wan", "the driver of net_tap_north is installed");
    }
}

#[test]
fn a_pci_device_is_bound_to_vfio() {
    let fake = pci_device();
    fake.assert_ok("driver", LAN, "0000:3b:00.0 is bound to vfio-pci");
    fake.link(&format!("{PCI}/driver"), "../../drivers/mlx5_core");
    fake.assert_ok("driver", LAN, "0000:3b:00.0 stays with mlx5_core, which DPDK works beside");
    let remedy = "dpdk-devbind.py -b vfio-pci 0000:3b:00.0";
    fake.link(&format!("{PCI}/driver"), "../../drivers/uio_pci_generic");
    let what = "0000:3b:00.0 is bound to uio_pci_generic: it may write to any memory";
    fake.assert_bad(Warning, "driver", LAN, what, remedy);
    fake.file("sys/bus/pci/drivers/vfio-pci/new_id", "");
    fake.link(&format!("{PCI}/driver"), "../../drivers/ice");
    let what = "0000:3b:00.0 is bound to ice, not to vfio-pci";
    fake.assert_bad(Problem, "driver", LAN, what, remedy);
}

#[test]
fn a_device_without_driver_or_module_is_told_both() {
    let fake = pci_device();
    fake.remove(&format!("{PCI}/driver"));
    let said: Vec<_> = fake.bad().iter().map(ToString::to_string).collect();
    let bind = "port \"lan\": 0000:3b:00.0 is bound to no driver\n    \
                remedy: dpdk-devbind.py -b vfio-pci 0000:3b:00.0";
    let load = "machine: vfio-pci is not loaded\n    remedy: modprobe vfio-pci";
    assert_eq!(said, [bind, load]);
}

#[test]
fn a_missing_pci_device_is_a_problem() {
    let fake = pci_device();
    fake.remove(PCI);
    let what = "there is no PCI device 0000:3b:00.0";
    fake.assert_bad(Problem, "driver", LAN, what, "dpdk-devbind.py --status-dev net");
}

#[test]
fn a_group_of_the_iommu_goes_as_a_whole() {
    let fake = pci_device();
    fake.assert_ok("iommu", LAN, "0000:3b:00.0 is in IOMMU group 12");
    for (other, class, driver) in [
        ("0000:3b:00.1", "0x020000", "ice"),
        ("0000:3a:00.0", "0x060400", "pcieport"),
        ("0000:3b:00.2", "0x020000", "vfio-pci"),
    ] {
        fake.file(&format!("sys/kernel/iommu_groups/12/devices/{other}"), "");
        fake.file(&format!("sys/bus/pci/devices/{other}/class"), class);
        fake.link(&format!("sys/bus/pci/devices/{other}/driver"), &format!("../x/{driver}"));
    }
    let what = "0000:3b:00.0 shares IOMMU group 12 with 0000:3b:00.1, the kernel's";
    let remedy = "dpdk-devbind.py -b vfio-pci 0000:3b:00.1";
    fake.assert_bad(Problem, "iommu", LAN, what, remedy);
}

#[test]
fn vfio_without_an_iommu_must_be_told_so() {
    let fake = pci_device();
    fake.remove(&format!("{PCI}/iommu_group"));
    let on = "add to the kernel's command line: intel_iommu=on iommu=pt (AMD: iommu=pt), and turn \
              the IOMMU on in the firmware";
    let parameter = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    let remedy = format!("{on}; or, without one: echo 1 > /{parameter}");
    let what = "no IOMMU, and vfio is not told to do without";
    fake.assert_bad(Problem, "iommu", LAN, what, &remedy);
    fake.file(parameter, "Y\n");
    let what = "no IOMMU: the device may write to any memory";
    fake.assert_bad(Warning, "iommu", LAN, what, on);
}

#[test]
fn a_pci_device_is_near_its_workers() {
    let fake = pci_device();
    fake.file(&format!("{PCI}/numa_node"), "0");
    let what = "on node 0, the worker(s) of core 2 are not";
    fake.assert_bad(Warning, "numa", LAN, what, "choose [workers] cores among 0,1");
}

// A worker has 16384 buffers of 4032 + 256 bytes, which are 67 MiB; with what two ports and DPDK
// keep, 152 MiB, or 76 pages.

#[test]
fn hugepages_are_free_on_the_nodes_of_the_workers() {
    let fake = virtual_devices();
    fake.pages(0, 100, 76);
    fake.assert_ok("hugepages", "node 0", "152 MiB of hugepages free, 152 needed");
    fake.pages(0, 100, 75);
    let what = "150 MiB of hugepages free, 152 needed";
    let folder = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
    let remedy = format!("echo 101 > {folder}/nr_hugepages, or eal = [\"--no-huge\"]");
    // DPDK takes what lacks from the other node.
    fake.assert_bad(Warning, "hugepages", "node 0", what, &remedy);
}

#[test]
fn too_few_hugepages_on_all_nodes_are_a_problem() {
    let fake = virtual_devices();
    fake.pages(0, 0, 0);
    fake.pages(1, 67, 67);
    let levels = || fake.bad().iter().map(|one| (one.level, one.what.clone())).collect::<Vec<_>>();
    let both = |level| {
        [
            (level, "0 MiB of hugepages free, 152 needed".into()),
            (level, "134 MiB of hugepages free, 152 needed".into()),
        ]
    };
    // Two workers have 134 MiB of buffers, less a few bytes.
    assert_eq!(levels(), both(Warning));
    fake.pages(1, 66, 66);
    let found = levels();
    assert_eq!(found[0], both(Problem)[0]);
    assert_eq!(found[1], (Problem, "132 MiB of hugepages free, 152 needed".into()));
    // The kernel may make more when they are asked for.
    let pool = "sys/kernel/mm/hugepages/hugepages-2048kB";
    fake.file(&format!("{pool}/nr_overcommit_hugepages"), "512");
    assert_eq!(levels()[0], both(Warning)[0]);
}

#[test]
fn a_machine_without_numa_nodes_has_hugepages_all_the_same() {
    let fake = virtual_devices();
    fake.remove("sys/devices/system/node");
    let found = fake.bad();
    assert_eq!(found[0].place, "machine");
    let none = "the kernel has no hugepages: eal = [\"--no-huge\", \"-m\", \"...\"]";
    assert_eq!(found[0].remedy.as_deref(), Some(none));
    let pool = "sys/kernel/mm/hugepages/hugepages-2048kB";
    fake.file(&format!("{pool}/nr_hugepages"), "200");
    fake.file(&format!("{pool}/free_hugepages"), "120");
    fake.assert_ok("hugepages", "machine", "240 MiB of hugepages free, 240 needed");
}

#[test]
fn without_hugepages_dpdk_is_given_memory() {
    let mut fake = virtual_devices();
    fake.pages(0, 0, 0);
    fake.pages(1, 0, 0);
    let remedy = "eal = [\"--no-huge\", \"-m\", \"240\"]";
    for (arguments, given, level) in [
        (&["--no-huge"][..], 64, Some(Problem)),
        (&["--no-huge", "-m", "133"], 133, Some(Problem)),
        (&["-m134", "--no-huge"], 134, Some(Warning)),
        (&["-m", "64", "--no-huge", "-m", "240"], 240, None),
    ] {
        fake.eal = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let what = format!("no hugepages used; DPDK is given {given} MiB, 240 needed");
        match level {
            Some(level) => fake.assert_bad(level, "hugepages", "dpdk", &what, remedy),
            None => fake.assert_ok("hugepages", "dpdk", &what),
        }
    }
}

#[test]
fn files_in_hugepages_need_a_file_system() {
    let mut fake = virtual_devices();
    fake.eal = vec!["--file-prefix=gw".into()];
    let what = "hugetlbfs is not mounted, and DPDK is told to keep files there";
    let remedy = "mkdir -p /dev/hugepages && mount -t hugetlbfs nodev /dev/hugepages";
    fake.assert_bad(Problem, "hugepages", "machine", what, remedy);
    let sysfs = "sysfs /sys sysfs rw 0 0\n";
    fake.file("proc/mounts", &format!("{sysfs}none /mnt/huge hugetlbfs rw 0 0\n"));
    fake.assert_ok("hugepages", "machine", "hugetlbfs is at /mnt/huge");
    fake.eal.clear();
    fake.file("proc/mounts", sysfs);
    assert_found(&fake.findings(), "hugepages", "node 0", "2048 MiB of hugepages free, 152 needed");
    assert_eq!(fake.bad(), []);
}
