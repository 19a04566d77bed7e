//! The same over ports of DPDK: its driver net_pcap on the interfaces of the network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::absence::killed_and_back;
use crate::captures::replayed;
use crate::ends::well;
use crate::gateway::Gateway;
use crate::network::{Network, Settings};
use crate::passing::{lossy, passes};
use crate::traffic::{Family, transfer};

/// Where DPDK has its files: those at run time, hugepages, shared memory.
const FOLDERS: [&str; 3] = ["/run/dpdk", "/dev/hugepages", "/dev/shm"];

fn dpdk() -> Settings {
    Settings { dpdk: true, ..Settings::default() }
}

/// All files in those folders.
fn files() -> BTreeSet<PathBuf> {
    fn add(folder: &Path, files: &mut BTreeSet<PathBuf>) {
        // A folder that is not there has no files.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => add(&path, files),
                false => _ = files.insert(path),
            }
        }
    }
    let mut files = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| add(Path::new(folder), &mut files));
    files
}

#[test]
#[ignore = "needs root: make test-dpdk"]
fn pings_and_transfers_pass_and_are_repaired() {
    passes(&Settings { wire: lossy(), ..dpdk() }, 2 << 20);
}

#[test]
#[ignore = "needs root: make test-dpdk"]
fn captures_arrive_whole_and_in_order() {
    replayed(dpdk());
}

#[test]
#[ignore = "needs root: make test-dpdk"]
fn a_gateway_killed_under_traffic_leaves_no_files_and_starts_again() {
    let before = files();
    killed_and_back(dpdk());
    let after = files();
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "needs root: make test-dpdk"]
fn told_to_end() {
    let network = Network::new(&Settings { wire: lossy(), ..dpdk() });
    let gateways = network.start_both();
    let shown = gateways[0].show();
    for port in [0, 1] {
        assert_eq!(shown["ports"][port]["driver"], "dpdk", "{shown:#}");
    }
    transfer(&network, Family::V4, 2 << 20);
    for ended in gateways.map(Gateway::terminate) {
        well(&ended);
    }
}
