//! Hugepages: what is reserved on each NUMA node, against what the packet memory of DPDK needs.

use config::Config;
use config::model::Driver;

use super::cores::{node_of, nodes};
use super::finding::Finding;
use super::machine::Machine;

/// What DPDK itself takes, about: rings, devices, its books.
const DPDK: u64 = 64 << 20;
/// Bytes before the data of a buffer: DPDK's header of its pools, that of a packet, ours.
const HEADERS: u64 = 64 + 128 + 64;
/// Buffers that a port keeps for a worker, and that a worker's caches keep.
const KEPT: (u64, u64) = (2 * 1_024, 1_024);
/// Arguments of DPDK with which hugepages lie in files.
const FILES: [&str; 5] =
    ["--file-prefix", "--huge-dir", "--huge-unlink", "--no-shconf", "--proc-type"];

/// Where the kernel tells of hugepages of all nodes.
const POOLS: &str = "sys/kernel/mm/hugepages";

/// Pages of one size on one node.
#[derive(Debug, PartialEq, Eq)]
struct Pages {
    /// `None` where the kernel knows no nodes.
    node: Option<u32>,
    /// The folder they are told in.
    folder: String,
    /// Bytes of a page.
    size: u64,
    reserved: u64,
    free: u64,
}

/// All pages that can be reserved.
fn pages(machine: &Machine) -> Vec<Pages> {
    let mut folders: Vec<_> = nodes(machine)
        .into_iter()
        .map(|(node, _)| (Some(node), format!("sys/devices/system/node/node{node}/hugepages")))
        .collect();
    if folders.is_empty() {
        folders.push((None, POOLS.to_owned()));
    }
    let mut all = Vec::new();
    for (node, folder) in folders {
        for name in machine.names(&folder) {
            let kib = name.strip_prefix("hugepages-").and_then(|name| name.strip_suffix("kB"));
            let Some(kib) = kib.and_then(|kib| kib.parse::<u64>().ok()) else { continue };
            let folder = format!("{folder}/{name}");
            let number = |file: &str| machine.number(&format!("{folder}/{file}")).unwrap_or(0);
            let (reserved, free) = (number("nr_hugepages"), number("free_hugepages"));
            all.push(Pages { node, size: kib << 10, reserved, free, folder });
        }
    }
    all
}

/// What the workers near one node need, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    /// Without this it cannot start.
    least: u64,
    /// With drivers' buffers, and what DPDK itself takes.
    all: u64,
}

impl Need {
    fn of(config: &Config, workers: u64) -> Self {
        if workers == 0 {
            return Self::default();
        }
        let ports = config.ports.iter().filter(|port| is_dpdk(port)).count() as u64;
        let buffer = u64::from(config.workers.buffer_bytes) + HEADERS;
        let buffers = u64::from(config.workers.buffers);
        let kept = KEPT.0 * ports + KEPT.1;
        let all = workers * (buffers + kept) * buffer + DPDK;
        Self { least: workers * buffers * buffer, all }
    }
}

fn is_dpdk(port: &config::model::Port) -> bool {
    matches!(port.driver, Driver::Dpdk { .. })
}

/// Everything about hugepages; `eal`: DPDK's arguments.
pub(super) fn check(machine: &Machine, config: Option<&Config>, eal: &[String]) -> Vec<Finding> {
    let given = |name: &str| {
        eal.iter().any(|argument| {
            argument.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let config = config.filter(|config| config.ports.iter().any(is_dpdk));
    let Some(config) = config else { return check_reserved(machine) };
    if given("--no-huge") {
        return vec![check_without(config, eal)];
    }
    let mut findings = check_room(machine, config);
    if FILES.iter().any(|name| given(name)) && !given("--in-memory") {
        findings.push(check_mounted(machine));
    }
    findings
}

/// What there is, where nothing is needed.
fn check_reserved(machine: &Machine) -> Vec<Finding> {
    let told = |pages: &Pages| {
        let what = format!("{} of {} KiB reserved", pages.reserved, pages.size >> 10);
        Finding::ok("hugepages", &place(pages.node), format!("{what}, {} free", pages.free))
    };
    pages(machine).iter().map(told).collect()
}

fn place(node: Option<u32>) -> String {
    node.map_or_else(|| "machine".to_owned(), |node| format!("node {node}"))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Whether each node has what the workers on it need. What one lacks DPDK takes from another: only
/// if all together have too little it cannot start.
fn check_room(machine: &Machine, config: &Config) -> Vec<Finding> {
    let (nodes, pages) = (nodes(machine), pages(machine));
    let places: Vec<Option<u32>> = if nodes.is_empty() {
        vec![None]
    } else {
        nodes.iter().map(|(node, _)| Some(*node)).collect()
    };
    let free = |node: Option<u32>| -> u64 {
        let here = pages.iter().filter(|pages| pages.node == node);
        here.map(|pages| pages.free * pages.size).sum()
    };
    let cores = &config.workers.cores;
    let total: u64 = places.iter().map(|place| free(*place)).sum();
    // The kernel may be allowed to make pages when they are asked for.
    let more = machine.names(POOLS).iter().any(|name| {
        machine.number(&format!("{POOLS}/{name}/nr_overcommit_hugepages")).unwrap_or(0) > 0
    });
    let enough = more || total >= Need::of(config, cores.len() as u64).least;
    let mut findings = Vec::new();
    for (index, &node) in places.iter().enumerate() {
        // A core that is on no node, since there is none such, counts with the first.
        let on = |core: &&u32| match node_of(&nodes, **core) {
            Some(its) => Some(its) == node,
            None => index == 0,
        };
        let need = Need::of(config, cores.iter().filter(on).count() as u64);
        let (free, place) = (free(node), place(node));
        let what =
            format!("{} MiB of hugepages free, {} needed", mebibytes(free), mebibytes(need.all));
        findings.push(if free >= need.all {
            Finding::ok("hugepages", &place, what)
        } else {
            let remedy = reserve(&pages, node, need.all - free);
            let finding = Finding::problem("hugepages", &place, what, remedy);
            if enough { finding.at_most_warning() } else { finding }
        });
    }
    findings
}

/// The command that reserves `missing` bytes more, in the smallest pages there are.
fn reserve(pages: &[Pages], node: Option<u32>, missing: u64) -> String {
    let here = pages.iter().filter(|pages| pages.node == node && pages.size > 0);
    match here.min_by_key(|pages| pages.size) {
        Some(pages) => {
            let count = pages.reserved + missing.div_ceil(pages.size);
            format!("echo {count} > /{}/nr_hugepages, or eal = [\"--no-huge\"]", pages.folder)
        }
        None => "the kernel has no hugepages: eal = [\"--no-huge\", \"-m\", \"...\"]".to_owned(),
    }
}

/// Whether DPDK is given enough memory to do without hugepages: 64 MiB unless told.
fn check_without(config: &Config, eal: &[String]) -> Finding {
    let joined = |argument: &String| argument.strip_prefix("-m").map(str::to_owned);
    let at = eal.iter().rposition(|argument| joined(argument).is_some());
    let value = at.and_then(|at| match joined(eal.get(at)?) {
        Some(value) if value.is_empty() => eal.get(at + 1).cloned(),
        value => value,
    });
    let given = value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(64);
    let need = Need::of(config, config.workers.cores.len() as u64);
    let what =
        format!("no hugepages used; DPDK is given {given} MiB, {} needed", mebibytes(need.all));
    let remedy = format!("eal = [\"--no-huge\", \"-m\", \"{}\"]", mebibytes(need.all));
    if given >= mebibytes(need.all) {
        Finding::ok("hugepages", "dpdk", what)
    } else if given >= mebibytes(need.least) {
        Finding::warning("hugepages", "dpdk", what, remedy)
    } else {
        Finding::problem("hugepages", "dpdk", what, remedy)
    }
}

/// Whether there is a file system for files in hugepages.
fn check_mounted(machine: &Machine) -> Finding {
    let mounts = machine.text("proc/mounts").unwrap_or_default();
    let mut fields = mounts.lines().map(|line| line.split_whitespace());
    let folder = fields.find_map(|mut fields| {
        let folder = fields.nth(1)?;
        (fields.next() == Some("hugetlbfs")).then_some(folder)
    });
    match folder {
        Some(folder) => Finding::ok("hugepages", "machine", format!("hugetlbfs is at {folder}")),
        None => Finding::problem(
            "hugepages",
            "machine",
            "hugetlbfs is not mounted, and DPDK is told to keep files there",
            "mkdir -p /dev/hugepages && mount -t hugetlbfs nodev /dev/hugepages",
        ),
    }
}
