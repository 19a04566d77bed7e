//! A PCI device of a port of DPDK: there, bound to a driver that hands it over, and its IOMMU group.

use super::finding::Finding;
use super::machine::Machine;

/// Drivers of the kernel that DPDK works beside, not instead of.
const BESIDE: [&str; 4] = ["mlx5_core", "mlx4_core", "mana", "hv_netvsc"];
/// Drivers that hand a device over without an IOMMU.
const WITHOUT_IOMMU: [&str; 2] = ["igb_uio", "uio_pci_generic"];
/// The class of bridges between PCI buses, which stay with the kernel.
const BRIDGE: &str = "0x0604";
const NO_IOMMU: &str = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

/// The whole PCI address in the name of a device of DPDK; `None` for a virtual one.
pub(super) fn address(device: &str) -> Option<String> {
    let address = device.split(',').next().unwrap_or_default().to_ascii_lowercase();
    let (rest, function) = address.rsplit_once('.')?;
    let parts: Vec<_> = rest.split(':').chain([function]).collect();
    let hex = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (parts.iter().all(hex), parts.len()) {
        (true, 4) => Some(address),
        (true, 3) => Some(format!("0000:{address}")),
        _ => None,
    }
}

/// The folder that the kernel tells of a device in.
pub(super) fn folder(address: &str) -> String {
    format!("sys/bus/pci/devices/{address}")
}

/// Everything about the PCI device of port `at`.
pub(super) fn check(machine: &Machine, at: &str, address: &str) -> Vec<Finding> {
    if !machine.exists(&folder(address)) {
        let what = format!("there is no PCI device {address}");
        return vec![Finding::problem("driver", at, what, "dpdk-devbind.py --status-dev net")];
    }
    let bind = format!("dpdk-devbind.py -b vfio-pci {address}");
    match machine.link(&format!("{}/driver", folder(address))) {
        Some(driver) if BESIDE.contains(&driver.as_str()) => {
            let what = format!("{address} stays with {driver}, which DPDK works beside");
            vec![Finding::ok("driver", at, what)]
        }
        Some(driver) if is_vfio(&driver) => {
            let bound = Finding::ok("driver", at, format!("{address} is bound to {driver}"));
            vec![bound, check_group(machine, at, address)]
        }
        Some(driver) if WITHOUT_IOMMU.contains(&driver.as_str()) => {
            let what = format!("{address} is bound to {driver}: it may write to any memory");
            vec![Finding::warning("driver", at, what, bind)]
        }
        driver => {
            let what = match driver {
                Some(driver) => format!("{address} is bound to {driver}, not to vfio-pci"),
                None => format!("{address} is bound to no driver"),
            };
            let module = check_module(machine);
            [Finding::problem("driver", at, what, bind)].into_iter().chain(module).collect()
        }
    }
}

/// Whether a driver hands devices over with vfio: `vfio-pci`, or a vendor's own.
fn is_vfio(driver: &str) -> bool {
    driver.contains("vfio")
}

/// Whether the driver to bind to is loaded.
fn check_module(machine: &Machine) -> Option<Finding> {
    let loaded = machine.is_dir("sys/bus/pci/drivers/vfio-pci");
    let what = "vfio-pci is not loaded";
    (!loaded).then(|| Finding::problem("vfio", "machine", what, "modprobe vfio-pci"))
}

/// Whether the IOMMU keeps the device to its memory, and the whole group may be handed over.
fn check_group(machine: &Machine, at: &str, address: &str) -> Finding {
    let Some(group) = machine.link(&format!("{}/iommu_group", folder(address))) else {
        return no_group(machine, at);
    };
    let members = machine.names(&format!("sys/kernel/iommu_groups/{group}/devices"));
    let theirs = |other: &&String| {
        let text = |file: &str| machine.text(&format!("{}/{file}", folder(other)));
        let driver = machine.link(&format!("{}/driver", folder(other)));
        let bridge = text("class").is_some_and(|class| class.starts_with(BRIDGE));
        *other != address && !bridge && driver.is_some_and(|driver| !is_vfio(&driver))
    };
    let others: Vec<_> = members.iter().filter(theirs).map(String::as_str).collect();
    if others.is_empty() {
        return Finding::ok("iommu", at, format!("{address} is in IOMMU group {group}"));
    }
    let others = others.join(" ");
    let what = format!("{address} shares IOMMU group {group} with {others}, the kernel's");
    Finding::problem("iommu", at, what, format!("dpdk-devbind.py -b vfio-pci {others}"))
}

/// What is to be said of a device without an IOMMU.
fn no_group(machine: &Machine, at: &str) -> Finding {
    let remedy = "add to the kernel's command line: intel_iommu=on iommu=pt (AMD: iommu=pt), and \
                  turn the IOMMU on in the firmware";
    if machine.text(NO_IOMMU).as_deref() == Some("Y") {
        let what = "no IOMMU: the device may write to any memory";
        return Finding::warning("iommu", at, what, remedy);
    }
    let remedy = format!("{remedy}; or, without one: echo 1 > /{NO_IOMMU}");
    Finding::problem("iommu", at, "no IOMMU, and vfio is not told to do without", remedy)
}

/// What the machine has of IOMMU and vfio, where no device needs it.
pub(super) fn check_machine(machine: &Machine) -> Vec<Finding> {
    let groups = machine.names("sys/kernel/iommu_groups").len();
    let loaded = machine.is_dir("sys/bus/pci/drivers/vfio-pci");
    let (iommu, vfio) = ("iommu", "vfio");
    vec![
        match groups {
            0 => Finding::ok(iommu, "machine", "none in use; devices of DPDK want one"),
            groups => Finding::ok(iommu, "machine", format!("{groups} groups")),
        },
        match loaded {
            true => Finding::ok(vfio, "machine", "vfio-pci is loaded"),
            false => {
                Finding::ok(vfio, "machine", "vfio-pci is not loaded; PCI devices of DPDK want it")
            }
        },
    ]
}
