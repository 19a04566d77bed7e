//! The machine as a whole, well and ill.

mod dpdk;
mod ports;

use super::fake::{Fake, assert_found};
use super::finding::Level::{Ok, Problem, Warning};

#[test]
fn a_machine_as_it_should_be_has_neither_problem_nor_warning() {
    let fake = Fake::new();
    assert_eq!(fake.bad(), []);
    let findings = fake.findings();
    for (check, place, what) in [
        ("kernel", "machine", "Linux 6.18.44-lts"),
        ("clock", "machine", "clock source tsc"),
        ("rights", "machine", "may load XDP programs and open raw sockets"),
        ("memlock", "machine", "may pin any amount of memory (cap_ipc_lock)"),
        ("files", "machine", "sysfs is mounted"),
        ("cores", "core 2", "there, and may be used"),
        ("isolation", "machine", "the workers' cores are isolated, and without a tick"),
        ("hugepages", "node 1", "1024 of 2048 KiB reserved, 1024 free"),
        ("dpdk", "machine", "this build has DPDK; no drivers of DPDK found"),
    ] {
        assert_found(&findings, check, place, what);
    }
}

#[test]
fn without_a_configuration_the_machine_in_general_is_looked_at() {
    let mut fake = Fake::new();
    fake.dpdk = None;
    fake.file("usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_tap.so", "");
    let findings = fake.general();
    assert!(findings.iter().all(|finding| finding.level == Ok), "{findings:#?}");
    let drivers = "this build has no DPDK (make build-dpdk); drivers of DPDK: \
                   /usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0";
    assert_found(&findings, "dpdk", "machine", drivers);
    assert_found(&findings, "isolation", "machine", "isolated cores: 1,2");
    assert_found(&findings, "iommu", "machine", "none in use; devices of DPDK want one");
    let not_loaded = "vfio-pci is not loaded; PCI devices of DPDK want it";
    assert_found(&findings, "vfio", "machine", not_loaded);
    fake.file("sys/kernel/iommu_groups/0/type", "DMA");
    fake.file("sys/bus/pci/drivers/vfio-pci/new_id", "");
    fake.file("sys/devices/system/cpu/isolated", "\n");
    let findings = fake.general();
    assert_found(&findings, "isolation", "machine", "no core is isolated");
    assert_found(&findings, "iommu", "machine", "1 groups");
    assert_found(&findings, "vfio", "machine", "vfio-pci is loaded");
    // Nothing is known to be needed: no more than a warning.
    fake.status("0", "0-3");
    let levels: Vec<_> = fake.general().iter().map(|finding| finding.level).collect();
    assert!(levels.contains(&Warning) && !levels.contains(&Problem), "{levels:?}");
}

#[test]
fn an_old_kernel_is_doubtful() {
    let fake = Fake::new();
    for release in ["6.5.0-1-amd64", "5.15.0", "nonsense"] {
        fake.file("proc/sys/kernel/osrelease", release);
        let what = format!("Linux {release}: AF_XDP has packets larger than a page since 6.6");
        let remedy = "install Linux 6.6 or later, or use DPDK";
        fake.assert_bad(Warning, "kernel", "machine", &what, remedy);
    }
    fake.file("proc/sys/kernel/osrelease", "6.6.0");
    fake.assert_ok("kernel", "machine", "Linux 6.6.0");
}

#[test]
fn a_slow_clock_is_changed_for_a_fast_one() {
    const CLOCKS: &str = "sys/devices/system/clocksource/clocksource0";
    let fake = Fake::new();
    fake.file(&format!("{CLOCKS}/current_clocksource"), "hpet\n");
    let what = "clock source hpet: every look at the clock is a call of the kernel";
    let remedy = format!("echo tsc > /{CLOCKS}/current_clocksource");
    fake.assert_bad(Warning, "clock", "machine", what, &remedy);
    fake.file(&format!("{CLOCKS}/available_clocksource"), "hpet acpi_pm");
    let remedy = "add to the kernel's command line: clocksource=tsc tsc=reliable";
    fake.assert_bad(Warning, "clock", "machine", what, remedy);
    fake.file(&format!("{CLOCKS}/current_clocksource"), "kvm-clock");
    fake.assert_ok("clock", "machine", "clock source kvm-clock");
    fake.remove(CLOCKS);
    let what = "the clock source is unknown";
    fake.assert_bad(Warning, "clock", "machine", what, "mount -t sysfs sysfs /sys");
}

#[test]
fn rights_that_lack_are_named() {
    let mut fake = Fake::new();
    fake.memlock("unlimited");
    let remedy = "run as root, or: sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep \
                  /usr/bin/compute-gateway";
    for (rights, missing) in [
        ("0", "cap_net_admin, cap_net_raw, cap_bpf"),
        ("3000", "cap_bpf"),
        ("201000", "cap_net_raw"),
        ("8000002000", "cap_net_admin"),
    ] {
        fake.status(rights, "0-3");
        let what = format!("no right to use AF_XDP at \"lan\", \"wan\": {missing} missing");
        fake.assert_bad(Problem, "rights", "machine", &what, remedy);
    }
    // CAP_SYS_ADMIN is as good as CAP_BPF.
    fake.status("203000", "0-3");
    fake.assert_ok("rights", "machine", "may load XDP programs and open raw sockets");
    fake.status("0", "0-3");
    fake.dpdk = Some("".into());
    fake.with_dpdk("net_null0", "net_null1");
    let what = "no right to use AF_XDP: cap_net_admin, cap_net_raw, cap_bpf missing";
    fake.assert_bad(Warning, "rights", "machine", what, remedy);
    fake.remove("proc/self/status");
    let findings = fake.bad();
    assert_eq!((findings[0].check, findings[0].level), ("rights", Warning));
    assert_eq!(findings[0].what, "the rights of this process are unknown");
}

#[test]
fn memory_that_may_not_be_pinned_is_a_problem() {
    let fake = Fake::new();
    // All rights but CAP_IPC_LOCK. Two ports, two workers, 16384 buffers of 4096 bytes with header.
    fake.status("000001ffffffbfff", "0-3");
    let what = "may pin 268435455 bytes, the packet memory of AF_XDP is 268435456";
    let remedy = "ulimit -l unlimited, or LimitMEMLOCK=infinity in the service's unit";
    fake.memlock("268435455");
    fake.assert_bad(Problem, "memlock", "machine", what, remedy);
    fake.memlock("268435456");
    fake.assert_ok("memlock", "machine", "may pin 268435456 bytes, AF_XDP needs 268435456");
    fake.memlock("unlimited");
    fake.assert_ok("memlock", "machine", "may pin any amount of memory");
    fake.remove("proc/self/limits");
    let what = "may pin unknown bytes: AF_XDP pins all packet memory";
    fake.assert_bad(Warning, "memlock", "machine", what, remedy);
}

#[test]
fn file_systems_and_folders_are_there() {
    let mut fake = Fake::new();
    fake.configure("[gateway]", "[control]\nsocket = \"/run/gw/show.sock\"\n\n[gateway]");
    let what = "the socket's folder /run/gw is missing";
    fake.assert_bad(Problem, "files", "control", what, "mkdir -p /run/gw");
    fake.file("run/gw/other", "");
    fake.assert_ok("files", "control", "the socket's folder is /run/gw");
    fake.file("proc/mounts", "proc /proc proc rw 0 0\n");
    let what = "sysfs is not mounted: devices and memory cannot be looked at";
    fake.assert_bad(Warning, "files", "machine", what, "mount -t sysfs sysfs /sys");
}

#[test]
fn cores_are_there_and_may_be_used() {
    let fake = Fake::new();
    fake.file("sys/devices/system/cpu/online", "0-1,3");
    let what = "there is no such core: its worker runs where it may";
    let remedy = "choose [workers] cores among 0,1,3";
    fake.assert_bad(Warning, "cores", "core 2", what, remedy);
    fake.file("sys/devices/system/cpu/online", "0-3");
    fake.status("000001ffffffffff", "0,2-3");
    let what = "this process may not use it: its worker runs where it may";
    let remedy = "choose [workers] cores among 0,2,3";
    fake.assert_bad(Warning, "cores", "core 1", what, remedy);
}

#[test]
fn cores_of_polling_workers_are_isolated() {
    let mut fake = Fake::new();
    let remedy = "add to GRUB_CMDLINE_LINUX in /etc/default/grub: isolcpus=1,2 nohz_full=1,2 \
                  rcu_nocbs=1,2; then: update-grub && reboot";
    fake.file("sys/devices/system/cpu/nohz_full", "1");
    let what = "cores 2 are isolated, but have a tick";
    fake.assert_bad(Warning, "isolation", "machine", what, remedy);
    fake.file("sys/devices/system/cpu/isolated", "\n");
    let what = "cores 1,2 are shared with other work";
    fake.assert_bad(Warning, "isolation", "machine", what, remedy);
    fake.configure("\"poll\"", "\"sleep\"");
    fake.assert_ok("isolation", "machine", what);
}
