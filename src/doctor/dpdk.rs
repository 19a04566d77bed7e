//! DPDK: whether this build has it, and the folder its drivers are loaded from.

use std::path::{Path, PathBuf};

use config::Config;
use config::model::Driver;

use super::finding::Finding;
use super::machine::Machine;
use super::pci;

/// Folders that libraries lie in, each perhaps with a folder for the architecture below.
const LIBRARIES: [&str; 4] = ["usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"];
const INSTALL: &str = "apt-get install librte-meta-all";
const BUILD: &str = "make build-dpdk, or write driver = \"af_xdp\"";

/// Folders of DPDK's drivers that are installed, in the known places.
fn installed(machine: &Machine) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for library in LIBRARIES {
        let below = machine.names(library).into_iter().map(|name| format!("{library}/{name}"));
        for place in below.chain([library.to_owned()]) {
            let dpdk = if place.ends_with("/dpdk") { place } else { format!("{place}/dpdk") };
            let names = machine.names(&dpdk).into_iter();
            let drivers = names.filter(|name| name.starts_with("pmds-"));
            folders.extend(drivers.map(|name| Path::new("/").join(&dpdk).join(name)));
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

/// Everything about DPDK that is needed for the ports; without such ports, what there is.
pub(super) fn check(machine: &Machine, config: Option<&Config>, eal: &[String]) -> Vec<Finding> {
    let ports = config.map_or(&[][..], |config| &config.ports).iter();
    let device = |port: &'_ config::model::Port| match &port.driver {
        Driver::Dpdk { device } => Some((Finding::port(&port.name), device.clone())),
        _ => None,
    };
    let devices: Vec<_> = ports.filter_map(device).collect();
    if devices.is_empty() {
        let mut findings = vec![check_unused(machine)];
        if config.is_none() {
            findings.extend(pci::check_machine(machine));
        }
        return findings;
    }
    let Some(folder) = &machine.dpdk else {
        let what = |(port, _): &(String, String)| {
            Finding::problem("dpdk", port, "this build has no DPDK", BUILD)
        };
        return devices.iter().map(what).collect();
    };
    let mut findings = vec![check_folder(machine, folder, eal)];
    for (port, device) in &devices {
        match pci::address(device) {
            Some(address) => findings.extend(pci::check(machine, port, &address)),
            None => findings.extend(check_virtual(machine, folder, port, device)),
        }
    }
    findings
}

/// What there is of DPDK, where no port needs it.
fn check_unused(machine: &Machine) -> Finding {
    let built = match &machine.dpdk {
        Some(_) => "this build has DPDK",
        None => "this build has no DPDK (make build-dpdk)",
    };
    let folders: Vec<_> =
        installed(machine).iter().map(|folder| folder.display().to_string()).collect();
    let what = match folders.as_slice() {
        [] => format!("{built}; no drivers of DPDK found"),
        folders => format!("{built}; drivers of DPDK: {}", folders.join(", ")),
    };
    Finding::ok("dpdk", "machine", what)
}

/// Whether the folder is there that DPDK loads its drivers from.
fn check_folder(machine: &Machine, folder: &Path, eal: &[String]) -> Finding {
    let path = folder.display().to_string();
    if path.is_empty() {
        return Finding::ok("dpdk", "machine", "DPDK's drivers are linked in");
    }
    if machine.is_dir(&path) {
        return Finding::ok("dpdk", "machine", format!("DPDK's drivers are in {path}"));
    }
    let what = format!("the folder of DPDK's drivers is missing: {path}");
    let finding =
        Finding::problem("dpdk", "machine", what, format!("{INSTALL}, or eal = [\"-d\", ...]"));
    // Drivers may be named one by one.
    match eal.iter().any(|argument| argument.starts_with("-d")) {
        true => finding.at_most_warning(),
        false => finding,
    }
}

/// Whether the driver of a virtual device is installed: as on DPDK's bus of virtual devices, that is
/// one whose name the device's begins with, whatever follows (`net_pcap0`, `net_pcap_lan`). It may be
/// named by an argument as well, or be part of another's file: its absence is no proof.
fn check_virtual(machine: &Machine, folder: &Path, port: &str, device: &str) -> Option<Finding> {
    let name = device.split(',').next().unwrap_or_default();
    let folder = folder.display().to_string();
    // Drivers that are linked in are in no folder, and that it is missing was said.
    if folder.is_empty() || !machine.is_dir(&folder) {
        return None;
    }
    let files = machine.names(&folder);
    let drives = |file: &String| {
        let driver = file.strip_prefix("librte_").and_then(|rest| rest.split(".so").next());
        driver.is_some_and(|driver| !driver.is_empty() && name.starts_with(driver))
    };
    if files.iter().any(drives) {
        return Some(Finding::ok("driver", port, format!("the driver of {name} is installed")));
    }
    let what = format!("the driver of {name} is not installed: no file in {folder} is named so");
    Some(Finding::warning("driver", port, what, INSTALL))
}
