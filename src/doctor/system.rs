//! The machine as a whole: kernel, clock, rights, memory that may be pinned, files.

use std::path::{self, Path};

use config::Config;
use config::model::Driver;

use super::finding::Finding;
use super::machine::Machine;

/// The oldest kernel with all that AF_XDP is used for here: packets in several chunks.
pub(super) const KERNEL: (u32, u32) = (6, 6);
/// Clocks that are read without the kernel's help.
const FAST_CLOCKS: [&str; 4] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
const CLOCKS: &str = "sys/devices/system/clocksource/clocksource0";

/// Not to be bound by the limit of memory that may be pinned (CAP_IPC_LOCK).
const IPC_LOCK: u64 = 1 << 14;
/// CAP_SYS_ADMIN, as good as CAP_BPF.
const SYS_ADMIN: u64 = 1 << 21;
/// What AF_XDP needs, as `setcap` calls it, and the bits of which one is enough: to attach, for raw
/// sockets, to load the program.
const RIGHTS: [(&str, u64); 3] =
    [("cap_net_admin", 1 << 12), ("cap_net_raw", 1 << 13), ("cap_bpf", 1 << 39 | SYS_ADMIN)];

/// The names of the ports of AF_XDP.
fn afxdp_ports(config: &Config) -> Vec<&str> {
    let afxdp = |port: &&config::model::Port| matches!(port.driver, Driver::AfXdp { .. });
    config.ports.iter().filter(afxdp).map(|port| port.name.as_str()).collect()
}

/// The kernel's release, as two numbers.
pub(super) fn kernel(machine: &Machine) -> Option<(u32, u32)> {
    let release = machine.text("proc/sys/kernel/osrelease")?;
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether the kernel is new enough.
pub(super) fn check_kernel(machine: &Machine) -> Finding {
    let release = machine.text("proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    match kernel(machine) {
        Some(version) if version >= KERNEL => {
            Finding::ok("kernel", "machine", format!("Linux {release}"))
        }
        _ => Finding::warning(
            "kernel",
            "machine",
            format!("Linux {release}: AF_XDP has packets larger than a page since 6.6"),
            "install Linux 6.6 or later, or use DPDK",
        ),
    }
}

/// Whether the clock is cheap to read.
pub(super) fn check_clock(machine: &Machine) -> Finding {
    let current = machine.text(&format!("{CLOCKS}/current_clocksource"));
    let Some(current) = current else {
        let (what, remedy) = ("the clock source is unknown", "mount -t sysfs sysfs /sys");
        return Finding::warning("clock", "machine", what, remedy);
    };
    if FAST_CLOCKS.contains(&current.as_str()) {
        return Finding::ok("clock", "machine", format!("clock source {current}"));
    }
    let available = machine.text(&format!("{CLOCKS}/available_clocksource")).unwrap_or_default();
    let better = available.split_whitespace().find(|name| FAST_CLOCKS.contains(name));
    let remedy = match better {
        Some(better) => format!("echo {better} > /{CLOCKS}/current_clocksource"),
        None => "add to the kernel's command line: clocksource=tsc tsc=reliable".to_owned(),
    };
    let what = format!("clock source {current}: every look at the clock is a call of the kernel");
    Finding::warning("clock", "machine", what, remedy)
}

/// The rights that the process has, as a mask.
fn rights(machine: &Machine) -> Option<u64> {
    let status = machine.text("proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Whether the process may do what ports need.
pub(super) fn check_rights(machine: &Machine, config: Option<&Config>) -> Finding {
    let Some(mask) = rights(machine) else {
        let what = "the rights of this process are unknown";
        return Finding::warning("rights", "machine", what, "mount -t proc proc /proc");
    };
    let missing = RIGHTS.iter().filter(|(_, bits)| mask & bits == 0);
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Finding::ok("rights", "machine", "may load XDP programs and open raw sockets");
    }
    let missing = missing.join(", ");
    let remedy = format!(
        "run as root, or: sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep {}",
        machine.program.display()
    );
    let ports: Vec<_> = config.map(afxdp_ports).unwrap_or_default();
    if ports.is_empty() {
        let what = format!("no right to use AF_XDP: {missing} missing");
        return Finding::warning("rights", "machine", what, remedy);
    }
    let ports: Vec<_> = ports.iter().map(|port| format!("{port:?}")).collect();
    let what = format!("no right to use AF_XDP at {}: {missing} missing", ports.join(", "));
    Finding::problem("rights", "machine", what, remedy)
}

/// Bytes of packet memory that AF_XDP pins: the kernel counts a worker's pool once a port.
fn pinned(config: &Config) -> u64 {
    let workers = &config.workers;
    let buffer = u64::from(workers.buffer_bytes).next_multiple_of(64) + 64;
    let ports = afxdp_ports(config).len() as u64;
    ports * workers.cores.len() as u64 * u64::from(workers.buffers) * buffer
}

/// Whether packet memory may be pinned.
pub(super) fn check_memlock(machine: &Machine, config: Option<&Config>) -> Finding {
    let limits = machine.text("proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or("unknown");
    if rights(machine).is_some_and(|mask| mask & IPC_LOCK != 0) {
        return Finding::ok("memlock", "machine", "may pin any amount of memory (cap_ipc_lock)");
    }
    if soft == "unlimited" {
        return Finding::ok("memlock", "machine", "may pin any amount of memory");
    }
    let remedy = "ulimit -l unlimited, or LimitMEMLOCK=infinity in the service's unit";
    let needed = config.map(pinned);
    match (soft.parse::<u64>(), needed) {
        (Ok(limit), Some(needed)) if needed > limit => {
            let what = format!("may pin {limit} bytes, the packet memory of AF_XDP is {needed}");
            Finding::problem("memlock", "machine", what, remedy)
        }
        (Ok(limit), Some(needed)) => {
            let what = format!("may pin {limit} bytes, AF_XDP needs {needed}");
            Finding::ok("memlock", "machine", what)
        }
        (_, None) | (Err(_), _) => {
            let what = format!("may pin {soft} bytes: AF_XDP pins all packet memory");
            Finding::warning("memlock", "machine", what, remedy)
        }
    }
}

/// File systems that are read here, and the folder of the socket that `show` asks.
pub(super) fn check_files(machine: &Machine, config: Option<&Config>) -> Vec<Finding> {
    let mounts = machine.text("proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| line.split_whitespace().nth(2) == Some("sysfs"));
    let mut findings = vec![match mounted {
        true => Finding::ok("files", "machine", "sysfs is mounted"),
        false => Finding::warning(
            "files",
            "machine",
            "sysfs is not mounted: devices and memory cannot be looked at",
            "mount -t sysfs sysfs /sys",
        ),
    }];
    let socket = config.and_then(|config| config.control.socket.as_deref());
    let folder = socket.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    // It may be relative to where this process runs.
    let folder = folder.map(|folder| path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
    if let Some(folder) = folder.map(|folder| folder.display().to_string()) {
        findings.push(match machine.is_dir(&folder) {
            true => Finding::ok("files", "control", format!("the socket's folder is {folder}")),
            false => {
                let what = format!("the socket's folder {folder} is missing");
                Finding::problem("files", "control", what, format!("mkdir -p {folder}"))
            }
        });
    }
    findings
}
