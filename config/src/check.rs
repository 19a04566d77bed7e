//! The pieces of a draft held against each other: names, references, families, sizes. What passes
//! becomes the configuration.

use crate::backpressure;
use crate::check_driver::{check_driver, check_drivers};
use crate::check_memory::{buffers, check_recovery};
use crate::check_peers::check_peers;
use crate::check_queues::{check_queues, shape};
use crate::check_sizes::check_mtus;
use crate::check_srv6::check_srv6;
use crate::check_tenants::check_tenants;
use crate::classes::check_classes;
use crate::diagnostic::{Report, nearest, quoted};
use crate::document::Field;
use crate::draft::{DEFAULT_UDP_PORT, Draft, PortDraft};
use crate::model::{Config, Port, Role};

/// The configuration, or nothing when any part of it was wrong: reported here or before.
pub(crate) fn check(draft: &Draft, report: &mut Report<'_>) -> Option<Config> {
    unique("port", draft.ports.iter().map(|port| &port.name), report);
    unique("peer", draft.peers.iter().map(|peer| &peer.name), report);
    unique("path", draft.paths.iter().map(|path| &path.name), report);
    unique("class", draft.classes.iter().map(|class| &class.name), report);
    unique("tenant", draft.tenants.iter().map(|tenant| &tenant.name), report);
    check_udp_ports(draft, report);
    both_roles(&draft.ports, report);
    let ports: Vec<_> = draft.ports.iter().map(|port| check_port(port, draft, report)).collect();
    check_drivers(draft, report);
    let peers = check_peers(draft, report);
    check_recovery(draft, report);
    let classes = check_classes(draft, report);
    let (queues, tenant_queues) = check_queues(draft, report);
    let tenants = check_tenants(draft, tenant_queues, report);
    let backpressure = backpressure::check(draft, report);
    let buffers = buffers(draft, report);
    check_mtus(draft, report);
    check_srv6(draft, report);
    Some(Config {
        gateway: draft.gateway.build()?,
        workers: draft.workers.build(buffers?)?,
        ports: ports.into_iter().collect::<Option<_>>()?,
        peers: peers.into_iter().collect::<Option<_>>()?,
        recovery: draft.recovery.clone()?,
        flows: draft.flows.clone()?,
        classes: classes?,
        tenants: tenants?,
        backpressure: backpressure?,
        queues: queues?,
        eal: draft.eal.or(Vec::new())?,
        control: draft.control.clone()?,
    })
}

/// Reports a name that occurs a second time.
fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a Field<String>>, report: &mut Report<'_>) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for name in names {
        let Field::Given(name, at) = name else { continue };
        match seen.iter().find(|(earlier, _)| earlier == name) {
            Some((_, earlier)) => {
                let line = report.line(*earlier);
                let what = format!("a {kind} {} is on line {line} already", quoted(name));
                report.error(*at, what, format!("give each {kind} a name of its own"));
            }
            None => seen.push((name, *at)),
        }
    }
}

/// UDP port of RoCEv2.
const ROCEV2: u32 = 4_791;

/// The UDP ports of tunnels, from `udp_port` on one for each worker: they exist, and none is
/// RoCEv2's, which the gateway could not tell from the traffic that it carries.
fn check_udp_ports(draft: &Draft, report: &mut Report<'_>) {
    let Field::Given(first, at) = draft.gateway.udp_port else { return };
    let cores = &draft.workers.cores;
    let workers = cores.given().map_or(1, |cores| cores.len() as u32);
    let last = first + workers - 1;
    let ports = match workers {
        1 => format!("the tunnels' UDP port is {first}"),
        _ => format!("{workers} workers take the UDP ports {first} to {last}, one each"),
    };
    if last > 65_535 {
        let remedy = format!("write at most udp_port = {}", 65_536 - workers);
        report.error(at, format!("{ports}: 65535 is the last there is"), remedy);
    } else if (first..=last).contains(&ROCEV2) {
        let remedy = format!("write udp_port = {DEFAULT_UDP_PORT}, or another above {ROCEV2}");
        report.error(at, format!("{ports}: {ROCEV2} is RoCEv2's"), remedy);
    }
}

/// Reports a missing LAN or WAN port, if no port's role is wrong: it might have been that one.
fn both_roles(ports: &[PortDraft], report: &mut Report<'_>) {
    if ports.iter().any(|port| port.role.given().is_none()) {
        return;
    }
    for (role, word) in [(Role::Lan, "lan"), (Role::Wan, "wan")] {
        if !ports.iter().any(|port| port.role.given() == Some(&role)) {
            let remedy = format!("add a [[port]] with role = \"{word}\"");
            report.error(0, format!("there is no port of role \"{word}\""), remedy);
        }
    }
}

/// The word for a role.
fn word(role: Role) -> &'static str {
    match role {
        Role::Lan => "LAN",
        Role::Wan => "WAN",
    }
}

/// The port that `reference` names, an index; or without it the only port of that role. `of` is the
/// section that refers, `key` the key it does so by.
pub(crate) fn port_of(
    draft: &Draft,
    role: Role,
    (key, reference): (&str, &Field<String>),
    of: usize,
    report: &mut Report<'_>,
) -> Option<usize> {
    let fits = |port: &&PortDraft| port.role.given() == Some(&role);
    let names = || draft.ports.iter().filter(fits).filter_map(|port| port.name.given());
    let (name, at) = match reference {
        Field::Given(name, at) => (name, *at),
        Field::Wrong => return None,
        Field::Absent => {
            let fitting = || draft.ports.iter().enumerate().filter(|(_, port)| fits(port));
            let first = fitting().next()?.0;
            if fitting().nth(1).is_none() {
                return Some(first);
            }
            let what = format!("there are several {} ports, and no \"{key}\" here", word(role));
            report.error(of, what, format!("add {key} = {}", quoted(names().next()?)));
            return None;
        }
    };
    match port_named(draft, name, role) {
        Some((index, port)) if fits(&port) => Some(index),
        // A role that is wrong is reported; it may have been meant to fit.
        Some((_, port)) if port.role.given().is_none() => None,
        Some(_) => {
            let what = format!("port {} is no {} port", quoted(name), word(role));
            report.error(at, what, one_of("port", name, names().map(String::as_str)));
            None
        }
        None => {
            let what = format!("there is no port {}", quoted(name));
            report.error(at, what, one_of("port", name, names().map(String::as_str)));
            None
        }
    }
}

/// The port of a name and its index. Of several, which is an error of its own, one of that role.
pub(crate) fn port_named<'a>(
    draft: &'a Draft,
    name: &str,
    role: Role,
) -> Option<(usize, &'a PortDraft)> {
    let named = |(_, port): &(usize, &PortDraft)| port.name.given().is_some_and(|its| its == name);
    let mut ports = draft.ports.iter().enumerate().filter(named);
    let first = ports.clone().next();
    ports.find(|(_, port)| port.role.given() == Some(&role)).or(first)
}

/// The remedy for a reference to nothing: the nearest name, or all of them.
pub(crate) fn one_of<'a>(
    kind: &str,
    wrong: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> String {
    if let Some(name) = nearest(wrong, names.clone().filter(|name| *name != wrong)) {
        return format!("did you mean {}?", quoted(name));
    }
    let names: Vec<_> = names.take(16).map(quoted).collect();
    if names.is_empty() {
        return format!("add a [[{kind}]] of that name that fits");
    }
    format!("name one of {}", names.join(", "))
}

fn check_port(port: &PortDraft, draft: &Draft, report: &mut Report<'_>) -> Option<Port> {
    let bump = port.role.given().and_then(|role| {
        let other = if *role == Role::Lan { Role::Wan } else { Role::Lan };
        port_of(draft, other, ("bump", &port.bump), port.at, report)
    });
    if let (Some(Role::Wan), Field::Given(_, at)) = (port.role.given(), &port.next_hop) {
        let remedy = "remove it: a [[path]] has the next hop on a WAN port";
        report.error(*at, "a WAN port has no \"next_hop\"", remedy);
    }
    let driver = check_driver(port, draft, report);
    Some(Port {
        name: port.name.given()?.clone(),
        role: *port.role.given()?,
        driver: driver?,
        mtu: port.mtu.or(DEFAULT_MTU)?,
        mac: optional(&port.mac)?,
        bump: bump?,
        next_hop: optional(&port.next_hop)?,
        rate: match &port.rate {
            Field::Absent => None,
            rate => Some(shape(rate, &port.burst)?),
        },
    })
}

/// What stands under a key that may be left out; nothing if it is wrong.
fn optional<T: Copy>(field: &Field<T>) -> Option<Option<T>> {
    match field {
        Field::Absent => Some(None),
        Field::Wrong => None,
        Field::Given(value, _) => Some(Some(*value)),
    }
}

/// A port's MTU, if it has none: Ethernet's.
pub(crate) const DEFAULT_MTU: u32 = 1_500;
