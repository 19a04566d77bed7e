//! A machine made of files in a folder, and interfaces made up.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use config::Config;
use dataplane::netdev::{Netdev, NetdevError, OperState, XdpPrograms};
use tempfile::TempDir;

use super::finding::{Finding, Level};
use super::machine::{Interface, Machine};

/// Every right there is.
const ALL_RIGHTS: &str = "000001ffffffffff";
/// A configuration with two ports of AF_XDP, eth1 and eth2, and workers on cores 1 and 2.
const SITE: &str = include_str!("site.toml");

/// A machine to be made worse step by step; as it is made, nothing is wrong with it.
pub(super) struct Fake {
    root: TempDir,
    interfaces: Vec<Interface>,
    pub(super) dpdk: Option<PathBuf>,
    pub(super) eal: Vec<String>,
    site: String,
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self {
            root: tempfile::tempdir().unwrap(),
            interfaces: vec![interface("eth1"), interface("eth2")],
            dpdk: Some(PathBuf::from("/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0")),
            eal: Vec::new(),
            site: SITE.to_owned(),
        };
        fake.file("proc/sys/kernel/osrelease", "6.18.44-lts\n");
        fake.file("proc/mounts", "sysfs /sys sysfs rw 0 0\n");
        fake.status(ALL_RIGHTS, "0-3");
        fake.memlock("8388608");
        let clocks = "sys/devices/system/clocksource/clocksource0";
        fake.file(&format!("{clocks}/current_clocksource"), "tsc\n");
        fake.file(&format!("{clocks}/available_clocksource"), "tsc kvm-clock hpet\n");
        fake.file("sys/devices/system/cpu/online", "0-3\n");
        fake.file("sys/devices/system/cpu/isolated", "1-2\n");
        fake.file("sys/devices/system/cpu/nohz_full", "1-2\n");
        for (node, cores) in [(0, "0-1"), (1, "2-3")] {
            let folder = format!("sys/devices/system/node/node{node}");
            fake.file(&format!("{folder}/cpulist"), cores);
            fake.pages(node, 1024, 1024);
        }
        fake
    }

    /// Writes a file of the machine.
    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Takes away a file, link or folder of the machine.
    pub(super) fn remove(&self, path: &str) {
        let path = self.root.path().join(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    /// Makes a symbolic link.
    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    /// What the process may do, and where.
    pub(super) fn status(&self, rights: &str, cores: &str) {
        let status = format!("Name:\tx\nCapEff:\t{rights}\nCpus_allowed_list:\t{cores}\n");
        self.file("proc/self/status", &status);
    }

    /// How much memory the process may pin.
    pub(super) fn memlock(&self, soft: &str) {
        let limits = format!("Limit  Soft Limit\nMax locked memory         {soft} 8388608 bytes\n");
        self.file("proc/self/limits", &limits);
    }

    /// Hugepages of 2 MiB of a node.
    pub(super) fn pages(&self, node: u32, reserved: u32, free: u32) {
        let folder = format!("sys/devices/system/node/node{node}/hugepages/hugepages-2048kB");
        self.file(&format!("{folder}/nr_hugepages"), &reserved.to_string());
        self.file(&format!("{folder}/free_hugepages"), &free.to_string());
    }

    /// Changes the configuration.
    pub(super) fn configure(&mut self, from: &str, to: &str) {
        assert!(self.site.contains(from), "{from}");
        self.site = self.site.replace(from, to);
    }

    /// Makes the ports those of DPDK.
    pub(super) fn with_dpdk(&mut self, lan: &str, wan: &str) {
        let driver = "driver = \"af_xdp\"\ninterface = ";
        for (interface, device) in [("eth1", lan), ("eth2", wan)] {
            let to = format!("driver = \"dpdk\"\ndevice = \"{device}\"");
            self.configure(&format!("{driver}\"{interface}\""), &to);
        }
    }

    /// Interface eth1, the LAN's.
    pub(super) fn lan(&mut self) -> &mut Interface {
        &mut self.interfaces[0]
    }

    /// Takes interface eth1 away.
    pub(super) fn without_lan(&mut self) {
        self.interfaces.remove(0);
    }

    pub(super) fn config(&self) -> Config {
        Config::parse(&self.site, "site.toml", Path::new("/run/gateway")).unwrap().config
    }

    pub(super) fn machine(&self) -> Machine {
        let interfaces = self.interfaces.clone();
        let ask = move |name: &str| {
            let found = interfaces.iter().find(|interface| interface.netdev.name == name);
            found.cloned().ok_or_else(|| NetdevError::Missing(name.to_owned()))
        };
        Machine::fake(self.root.path(), Box::new(ask), self.dpdk.clone())
    }

    /// All findings with the configuration.
    pub(super) fn findings(&self) -> Vec<Finding> {
        super::all(&self.machine(), Some(&self.config()), &self.eal)
    }

    /// All findings without one.
    pub(super) fn general(&self) -> Vec<Finding> {
        super::all(&self.machine(), None, &self.eal)
    }

    /// Everything that is not as it should be.
    pub(super) fn bad(&self) -> Vec<Finding> {
        let mut findings = self.findings();
        findings.retain(|finding| finding.level > Level::Ok);
        findings
    }

    /// Asserts that this, and nothing else, is not as it should be.
    #[track_caller]
    pub(super) fn assert_bad(
        &self,
        level: Level,
        check: &str,
        place: &str,
        what: &str,
        remedy: &str,
    ) {
        let [bad] = &self.bad()[..] else { panic!("not one: {:#?}", self.bad()) };
        assert_eq!((bad.level, bad.check, bad.place.as_str()), (level, check, place));
        assert_eq!((bad.what.as_str(), bad.remedy.as_deref()), (what, Some(remedy)));
    }

    /// Asserts that all is well, and that this was found out.
    #[track_caller]
    pub(super) fn assert_ok(&self, check: &str, place: &str, what: &str) {
        assert_eq!(self.bad(), [], "something is wrong");
        assert_found(&self.findings(), check, place, what);
    }
}

/// Asserts that there is such a finding, with nothing wrong.
#[track_caller]
pub(super) fn assert_found(findings: &[Finding], check: &str, place: &str, what: &str) {
    let same = |finding: &&Finding| finding.check == check && finding.place == place;
    let found: Vec<_> = findings.iter().filter(same).map(|one| (one.level, &*one.what)).collect();
    assert!(found.contains(&(Level::Ok, what)), "{found:#?}");
}

/// An interface with two queues with which nothing is wrong.
fn interface(name: &str) -> Interface {
    let netdev = Netdev {
        name: name.to_owned(),
        index: 7,
        mtu: 1600,
        mac: [2, 0, 0, 0, 0, 1],
        up: true,
        carrier: true,
        operstate: OperState::Up,
        promiscuous: false,
        rx_queues: 2,
        tx_queues: 2,
        driver: "ice".to_owned(),
        xdp: XdpPrograms::default(),
    };
    Interface { netdev, offloads: Vec::new() }
}
