//! Checks of ports' drivers: each has its own keys, and what it demands of the rest.

use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{Draft, DriverName, PortDraft};
use crate::model::{Driver, XdpMode};

/// Sizes of a packet buffer with which AF_XDP's chunks, which have 2048 or 4096 bytes (the kernel's
/// bounds), hold it and its header of 64 bytes.
const XDP_BUFFER_BYTES: [u32; 2] = [1_984, 4_032];

impl DriverName {
    /// As the file names it.
    fn word(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Ring => "ring",
            Self::AfXdp => "af_xdp",
            Self::Dpdk => "dpdk",
        }
    }

    /// Whether its ports have an Ethernet address of their own.
    fn has_mac(self) -> bool {
        matches!(self, Self::AfXdp | Self::Dpdk)
    }
}

/// What a key is, to the driver of its port.
struct Own {
    key: &'static str,
    driver: DriverName,
    /// An example, if the driver cannot do without it.
    needed: Option<&'static str>,
    /// Where it stands, if it does.
    at: Option<usize>,
    absent: bool,
}

fn own<T>(
    key: &'static str,
    driver: DriverName,
    needed: Option<&'static str>,
    field: &Field<T>,
) -> Own {
    let at = if let Field::Given(_, at) = field { Some(*at) } else { None };
    Own { key, driver, needed, at, absent: field.is_absent() }
}

/// The driver of a port with its keys: all that it needs, and none of another's.
pub(crate) fn check_driver(
    port: &PortDraft,
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<Driver> {
    use DriverName::{AfXdp, Dpdk, Pcap};
    let driver = *port.driver.given()?;
    let keys = [
        own("input", Pcap, Some("\"in.pcap\""), &port.input),
        own("output", Pcap, Some("\"out.pcap\""), &port.output),
        own("interface", AfXdp, Some("\"eth1\""), &port.interface),
        own("queues", AfXdp, None, &port.queues),
        own("xdp_mode", AfXdp, None, &port.xdp_mode),
        own("xdp_replace", AfXdp, None, &port.xdp_replace),
        own("device", Dpdk, Some("\"0000:3b:00.0\""), &port.device),
    ];
    for Own { key, driver: its, needed, at, absent } in keys {
        if let (true, Some(at)) = (its != driver, at) {
            let what = format!("\"{key}\" is for the {} driver only", its.word());
            let remedy = format!("remove it, or write driver = \"{}\"", its.word());
            report.error(at, what, remedy);
        } else if let (true, true, Some(example)) = (its == driver, absent, needed) {
            let what = format!("a port of the {} driver has no \"{key}\"", its.word());
            report.error(port.at, what, format!("add, as in: {key} = {example}"));
        }
    }
    if port.mac.is_absent() && !driver.has_mac() {
        let what = format!("a port of the {} driver has no \"mac\"", driver.word());
        report.error(port.at, what, "add, as in: mac = \"02:00:00:00:00:01\"");
        return None;
    }
    Some(match driver {
        DriverName::Ring => Driver::Ring,
        Pcap => Driver::Pcap {
            input: port.input.given()?.clone(),
            output: port.output.given()?.clone(),
        },
        AfXdp => Driver::AfXdp {
            interface: port.interface.given()?.clone(),
            queues: queues(port, draft, report)?,
            mode: port.xdp_mode.or(XdpMode::Auto)?,
            replace: port.xdp_replace.or(false)?,
        },
        Dpdk => Driver::Dpdk { device: port.device.given()?.clone() },
    })
}

/// The queues of an interface, one for each worker: the first ones, if none are named.
fn queues(port: &PortDraft, draft: &Draft, report: &mut Report<'_>) -> Option<Vec<u32>> {
    let workers = draft.workers.cores.or(vec![1])?.len();
    match &port.queues {
        Field::Absent => Some((0..workers as u32).collect()),
        Field::Wrong => None,
        Field::Given(queues, at) if queues.len() != workers => {
            let what = format!("{} queues for {workers} workers", queues.len());
            report.error(*at, what, "name one queue for each element of cores in [workers]");
            None
        }
        Field::Given(queues, _) => Some(queues.clone()),
    }
}

/// What drivers demand of the rest: of the size of buffers, and that no two ports share a device.
pub(crate) fn check_drivers(draft: &Draft, report: &mut Report<'_>) {
    let has = |name| draft.ports.iter().any(|port| port.driver.given() == Some(&name));
    if let Field::Given(bytes, at) = draft.workers.buffer_bytes
        && has(DriverName::AfXdp)
        && !XDP_BUFFER_BYTES.contains(&bytes)
    {
        let [small, large] = XDP_BUFFER_BYTES;
        let what = format!("buffer_bytes is {bytes}, and a port's driver is af_xdp");
        report.error(at, what, format!("write {small} or {large}, or remove the key"));
    }
    if has(DriverName::AfXdp) && has(DriverName::Dpdk) {
        let what = "ports of the drivers af_xdp and dpdk cannot share packet memory";
        let remedy =
            "write driver = \"dpdk\", device = \"net_af_xdp0,iface=eth1\" for the interface";
        report.error(0, what, remedy);
    }
    if let Field::Given(_, at) = draft.eal
        && !has(DriverName::Dpdk)
    {
        report.warn(at, "no port's driver is dpdk", "remove [dpdk]");
    }
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for port in &draft.ports {
        let device = if port.interface.is_absent() { &port.device } else { &port.interface };
        let Field::Given(device, at) = device else { continue };
        match seen.iter().find(|(earlier, _)| earlier == device) {
            Some((_, earlier)) => {
                let line = report.line(*earlier);
                let what = format!("{} is the port on line {line} already", quoted(device));
                report.error(*at, what, "give each port an interface of its own");
            }
            None => seen.push((device, *at)),
        }
    }
}

/// The size of a packet buffer for those drivers, unless the file says one.
pub(crate) fn default_buffer_bytes(ports: &[PortDraft]) -> Option<u32> {
    let is_xdp = |port: &PortDraft| port.driver.given() == Some(&DriverName::AfXdp);
    ports.iter().any(is_xdp).then_some(XDP_BUFFER_BYTES[1])
}
