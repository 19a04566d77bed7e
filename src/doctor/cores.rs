//! Processor cores: those of the workers, and which NUMA node things are on.

use config::Config;
use config::model::{Driver, Idle};

use super::finding::Finding;
use super::machine::{Machine, list, numbers};
use super::pci;

/// The cores of a list in a file; none if there is no such file.
fn cores(machine: &Machine, file: &str) -> Vec<u32> {
    numbers(&machine.text(file).unwrap_or_default())
}

/// The NUMA nodes, each with its cores. None where the kernel knows no such thing.
pub(super) fn nodes(machine: &Machine) -> Vec<(u32, Vec<u32>)> {
    let node = |name: String| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        Some((number, cores(machine, &format!("sys/devices/system/node/{name}/cpulist"))))
    };
    machine.names("sys/devices/system/node").into_iter().filter_map(node).collect()
}

/// The node of a core.
pub(super) fn node_of(nodes: &[(u32, Vec<u32>)], core: u32) -> Option<u32> {
    nodes.iter().find(|(_, cores)| cores.contains(&core)).map(|(node, _)| *node)
}

/// Everything about the cores of the workers; without a configuration, which ones are kept free.
pub(super) fn check(machine: &Machine, config: Option<&Config>) -> Vec<Finding> {
    let Some(config) = config else { return vec![check_isolated(machine, &[], Idle::Sleep)] };
    let mut findings = check_there(machine, &config.workers.cores);
    findings.push(check_isolated(machine, &config.workers.cores, config.workers.idle));
    findings.extend(check_near(machine, config));
    findings
}

/// Whether the cores are there, and this process may use them.
fn check_there(machine: &Machine, wanted: &[u32]) -> Vec<Finding> {
    let status = machine.text("proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed = numbers(allowed.unwrap_or_default());
    let online = cores(machine, "sys/devices/system/cpu/online");
    let choose = |from: &[u32]| format!("choose [workers] cores among {}", list(from));
    let one = |&core: &u32| {
        let place = format!("core {core}");
        if !online.contains(&core) {
            let what = "there is no such core: its worker runs where it may";
            return Finding::warning("cores", &place, what, choose(&online));
        }
        if !allowed.contains(&core) {
            let what = "this process may not use it: its worker runs where it may";
            return Finding::warning("cores", &place, what, choose(&allowed));
        }
        Finding::ok("cores", &place, "there, and may be used")
    };
    wanted.iter().map(one).collect()
}

/// Whether the cores are kept free of other work, which polling workers want.
fn check_isolated(machine: &Machine, wanted: &[u32], idle: Idle) -> Finding {
    let isolated = cores(machine, "sys/devices/system/cpu/isolated");
    let quiet = cores(machine, "sys/devices/system/cpu/nohz_full");
    let missing = |from: &[u32]| {
        let missing = wanted.iter().copied().filter(|core| !from.contains(core));
        missing.collect::<Vec<_>>()
    };
    let (shared, ticking) = (missing(&isolated), missing(&quiet));
    let what = match (shared.as_slice(), ticking.as_slice()) {
        _ if wanted.is_empty() && isolated.is_empty() => "no core is isolated".to_owned(),
        _ if wanted.is_empty() => format!("isolated cores: {}", list(&isolated)),
        ([], []) => "the workers' cores are isolated, and without a tick".to_owned(),
        ([], ticking) => format!("cores {} are isolated, but have a tick", list(ticking)),
        (shared, _) => format!("cores {} are shared with other work", list(shared)),
    };
    if idle != Idle::Poll || (shared.is_empty() && ticking.is_empty()) {
        return Finding::ok("isolation", "machine", what);
    }
    let all = list(wanted);
    let remedy = format!(
        "add to GRUB_CMDLINE_LINUX in /etc/default/grub: isolcpus={all} nohz_full={all} \
         rcu_nocbs={all}; then: update-grub && reboot"
    );
    Finding::warning("isolation", "machine", what, remedy)
}

/// Whether workers run where the ports' memory is near.
fn check_near(machine: &Machine, config: &Config) -> Vec<Finding> {
    let nodes = nodes(machine);
    let mut findings = Vec::new();
    for port in &config.ports {
        let folder = match &port.driver {
            Driver::AfXdp { interface, .. } => format!("sys/class/net/{interface}/device"),
            Driver::Dpdk { device } => match pci::address(device) {
                Some(address) => pci::folder(&address),
                None => continue,
            },
            Driver::Pcap { .. } | Driver::Ring => continue,
        };
        // A device that is on no node in particular says -1.
        let Some(node) = machine.number(&format!("{folder}/numa_node")) else { continue };
        let Some((_, near)) = nodes.iter().find(|(number, _)| u64::from(*number) == node) else {
            continue;
        };
        let far: Vec<_> =
            config.workers.cores.iter().copied().filter(|core| !near.contains(core)).collect();
        let at = &Finding::port(&port.name);
        findings.push(match far.as_slice() {
            [] => Finding::ok("numa", at, format!("on node {node}, as the workers")),
            far => Finding::warning(
                "numa",
                at,
                format!("on node {node}, the worker(s) of core {} are not", list(far)),
                format!("choose [workers] cores among {}", list(near)),
            ),
        });
    }
    findings
}
