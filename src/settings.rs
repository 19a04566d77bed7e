//! From the configuration to what the pipeline is told.

use config::model::{
    Absent, Backpressure, Behind, Carry, Config, Encapsulation, Flows, NextHop, Numbering,
    Oversize, PauseFrames, Peer, Role, Shape, Share, Tenant, TenantQueue, Ttl,
};
use config::prefix::Prefix;
use dataplane::memory::PoolSettings;
use pipelines::backpressure::{Limits, StopperSettings};
use pipelines::flows::Threshold;
use pipelines::gateway as gw;
use pipelines::pfc::Mode;
use pipelines::queueing::{CLASSES, Classes, Marking, Rate, TenantQueues, Thresholds};
use pipelines::tenant::{Match, TenantSettings};
use pipelines::tunnel::outer::MAX_OVERHEAD;

/// The settings of one worker's gateway. `macs`: the ports' Ethernet addresses, in their order.
pub(crate) fn gateway(config: &Config, macs: &[gw::Mac]) -> gw::Settings {
    let recovery = &config.recovery;
    // The worker of each core sends to every peer.
    let workers = u32::try_from(config.workers.cores.len()).unwrap_or(u32::MAX).max(1);
    let ports = config.ports.iter().zip(macs).map(|(settings, mac)| port(settings, *mac));
    gw::Settings {
        address: config.gateway.address,
        sid: config.gateway.sid,
        ecn: config.gateway.ecn,
        udp_port: config.gateway.udp_port,
        outer_checksum: config.gateway.outer_checksum,
        // Without the key, the check has made sure that every packet fits.
        oversize: match config.gateway.oversize {
            Some(Oversize::Forward) => gw::Oversize::Forward,
            Some(Oversize::Drop) | None => gw::Oversize::Drop,
        },
        ports: ports.collect(),
        peers: config.peers.iter().map(|of| peer(of, workers)).collect(),
        recovery: gw::RecoverySettings {
            replay_bytes: recovery.replay_bytes.0,
            replay_packets: recovery.replay_packets,
            replay_age: recovery.replay_age.0,
            shield: recovery.shield,
            hold_bytes: recovery.hold_bytes.0,
            hold_packets: recovery.hold_packets,
            hold_age: recovery.hold_age.0,
            initial_rtt: recovery.initial_rtt.0,
            ack_delay: recovery.ack_delay.0,
            ack_packets: recovery.ack_packets,
            holes: recovery.holes,
            streams: gw::STREAMS,
        },
        tenants: config.tenants.iter().map(tenant).collect(),
        backpressure: config.backpressure.as_ref().map(|of| backpressure(of, config)),
        queues: queues(config),
        flows: config.flows.follow.then(|| flows(&config.flows)),
    }
}

fn backpressure(of: &Backpressure, config: &Config) -> gw::BackpressureSettings {
    let pfc = gw::PfcSettings {
        mode: match of.frames {
            PauseFrames::Pfc => Mode::Pfc,
            PauseFrames::Pause => Mode::Pause,
        },
        quanta: u16::MAX,
        rate: of.speed.0,
    };
    let ports = 0..config.ports.len();
    let tenants = config.tenants.len().max(1);
    gw::BackpressureSettings {
        ports: ports.map(|port| of.ports.contains(&port).then_some(pfc)).collect(),
        priorities: (0..tenants).map(|tenant| priorities(config, of, tenant)).collect(),
        policed: config.policed(),
        limits: Limits { longest: of.longest_pause.0, rest: of.longest_pause.0 },
        stops: StopperSettings { lifetime: of.stop_lifetime.0, ..StopperSettings::default() },
    }
}

/// The priorities of a tenant's classes. Its signalling goes by that which the tenant has, or all have.
fn priorities(config: &Config, of: &Backpressure, tenant: usize) -> [u8; CLASSES] {
    let own = config.tenants.get(tenant).and_then(|tenant| tenant.queue.priority);
    let mut priorities = [own.unwrap_or(of.priority); CLASSES];
    for (to, from) in priorities.iter_mut().skip(1).zip(config.priorities(tenant)) {
        *to = from;
    }
    priorities
}

/// Which packets are of which class.
fn classes(config: &Config) -> Classes {
    match config.classes.as_slice() {
        [] => Classes::default(),
        classes => Classes::new(&classes.iter().map(|of| of.dscp.clone()).collect::<Vec<_>>()),
    }
}

fn flows(flows: &Flows) -> pipelines::flows::Settings {
    pipelines::flows::Settings {
        subflows: flows.subflows,
        flows: flows.flows,
        p_key: flows.p_keys,
        window: flows.window.0,
        enter: Threshold { rate: flows.elephant_rate.0, span: flows.elephant_after.0 },
        leave: Threshold { rate: flows.mouse_rate.0, span: flows.mouse_after.0 },
        idle: flows.idle.0,
    }
}

fn tenant(tenant: &Tenant) -> TenantSettings {
    TenantSettings {
        name: tenant.name.clone(),
        matches: Match {
            vlans: tenant.vlans.clone(),
            prefixes: tenant.prefixes.iter().map(prefix).collect(),
            p_keys: tenant.p_keys.clone(),
            dscp: tenant.dscp.clone(),
            // A file has at most 256 ports.
            ports: tenant.ports.iter().map(|port| *port as u8).collect(),
        },
        replay_bytes: tenant.replay_bytes.map(|bytes| bytes.0),
        hold_bytes: tenant.hold_bytes.map(|bytes| bytes.0),
    }
}

/// Where packets wait, if any do. Each worker has an equal part of every rate.
fn queues(config: &Config) -> Option<gw::QueueSettings> {
    let of = config.queues?;
    let workers = workers(config);
    let rate = |shape: Option<Shape>| shape.map(|shape| shaped(shape, workers));
    let mut tenants = tenant_queues(config, |_| true);
    if tenants.is_empty() {
        tenants.push(queue(config, &TenantQueue::default()));
    }
    Some(gw::QueueSettings {
        classes: classes(config),
        pool_bytes: of.pool_bytes.0,
        packets: of.packets,
        port_rates: config.ports.iter().map(|port| rate(port.rate)).collect(),
        tenants,
    })
}

/// How many workers there are.
fn workers(config: &Config) -> u64 {
    config.workers.cores.len().max(1) as u64
}

/// The queues of tenants that are `wanted`, by their number, at one worker. Whoever is policed is told
/// first: its packets are marked from where its queue would have said stop.
pub(crate) fn tenant_queues(config: &Config, wanted: impl Fn(usize) -> bool) -> Vec<TenantQueues> {
    let told = |(tenant, policed): (&Tenant, bool)| {
        let mut queues = queue(config, &tenant.queue);
        if let (true, None, Some((xoff, xon))) = (policed, queues.marking, tenant.queue.xoff) {
            queues.marking = Some(Marking { min: xon.0, max: xoff.0, most: 1_000, notify: None });
        }
        queues
    };
    let tenants = config.tenants.iter().zip(config.policed()).enumerate();
    tenants.filter(|(number, _)| wanted(*number)).map(|(_, of)| told(of)).collect()
}

/// A tenant's queues at one of so many workers.
fn queue(config: &Config, of: &TenantQueue) -> TenantQueues {
    let workers = workers(config);
    TenantQueues {
        weight: of.weight,
        rate: of.rate.map(|shape| shaped(shape, workers)),
        thresholds: thresholds(of, config.classes.len()),
        marking: of.marking.map(|of| Marking {
            min: of.min.0,
            max: of.max.0,
            most: of.probability,
            notify: of.cnp.map(|of| of.0),
        }),
    }
}

/// One worker's part of a rate.
fn shaped(shape: Shape, workers: u64) -> Rate {
    let part = Rate::of(shape.rate.0 / workers);
    let burst = shape.burst.map(|burst| (burst.0 / workers) as u32);
    Rate { burst_bytes: burst.unwrap_or(part.burst_bytes), ..part }
}

/// What a tenant's queues may hold, by class: signalling is little, and never stopped.
fn thresholds(of: &TenantQueue, classes: usize) -> [Thresholds; CLASSES] {
    let alpha = of.alpha * 256 / 100;
    let (xoff, xon) =
        of.xoff.map_or((Thresholds::NEVER, Thresholds::NEVER), |(off, on)| (off.0, on.0));
    let data = Thresholds { reserved: of.reserved.0, alpha, headroom: of.headroom.0, xoff, xon };
    let classes = if classes == 0 { 2 } else { classes };
    TenantQueues::per_class(Thresholds::lossy(256), data, classes)
}

fn prefix(prefix: &Prefix) -> gw::Prefix {
    gw::Prefix { address: prefix.address(), length: prefix.length() }
}

/// The ports' Ethernet addresses, where the configuration has all of them.
///
/// # Errors
/// The port that has none, and the remedy.
pub(crate) fn macs(config: &Config) -> Result<Vec<gw::Mac>, String> {
    let mac = |port: &config::model::Port| match port.mac {
        Some(mac) => Ok(mac.0),
        None => Err(format!(
            "port {:?} has no \"mac\", and its interface's own is not asked for here\n    \
             remedy: add mac = \"02:00:00:00:00:01\" to it",
            port.name
        )),
    };
    config.ports.iter().map(mac).collect()
}

/// Sees to it that no next hop has to be asked for: in captures nobody answers.
///
/// # Errors
/// The first that would have to be, and the remedy.
pub(crate) fn hops_are_known(config: &Config) -> Result<(), String> {
    let ports = config.ports.iter();
    let ports = ports.filter_map(|port| Some((format!("port {:?}", port.name), port.next_hop?)));
    let paths = config.peers.iter().flat_map(|peer| &peer.paths);
    let paths = paths.map(|path| (format!("path {:?}", path.name), path.next_hop));
    for (of, hop) in ports.chain(paths) {
        if let NextHop::Address(address) = hop {
            return Err(format!(
                "next_hop of {of} is {address}: in captures nobody answers who asks for it\n    \
                 remedy: write the Ethernet address that it has"
            ));
        }
    }
    Ok(())
}

fn next_hop(next_hop: NextHop) -> gw::NextHop {
    match next_hop {
        NextHop::Mac(mac) => gw::NextHop::Mac(mac.0),
        NextHop::Address(address) => gw::NextHop::Address(address),
    }
}

/// What is around packets on a path.
pub(crate) fn encapsulation(encapsulation: &Encapsulation) -> gw::Encapsulation {
    match encapsulation {
        Encapsulation::Udp => gw::Encapsulation::Udp,
        Encapsulation::Srv6 { segments, reduced } => {
            gw::Encapsulation::Srv6(gw::Segments { list: segments.clone(), reduced: *reduced })
        }
    }
}

/// How a worker's packet memory is cut: headroom for the outer headers, in whole cache lines.
pub(crate) fn pool(config: &Config) -> PoolSettings {
    let paths = config.peers.iter().flat_map(|peer| &peer.paths);
    let shells = paths.map(|path| encapsulation(&path.encapsulation).shell_len());
    let headroom = MAX_OVERHEAD + shells.max().unwrap_or(0);
    PoolSettings {
        buffers: config.workers.buffers,
        buffer_bytes: config.workers.buffer_bytes,
        headroom: (headroom as u32).next_multiple_of(64),
    }
}

fn port(port: &config::model::Port, mac: gw::Mac) -> gw::PortSettings {
    gw::PortSettings {
        role: match port.role {
            Role::Lan => gw::Role::Lan,
            Role::Wan => gw::Role::Wan,
        },
        mac,
        bump: port.bump,
        next_hop: port.next_hop.map(next_hop),
    }
}

fn peer(peer: &Peer, workers: u32) -> gw::PeerSettings {
    gw::PeerSettings {
        name: peer.name.clone(),
        address: peer.address,
        behind: match &peer.behind {
            Behind::Everything => gw::Behind::Everything,
            Behind::Prefixes(prefixes) => {
                gw::Behind::Prefixes(prefixes.iter().map(prefix).collect())
            }
        },
        numbering: match peer.numbering {
            Numbering::Tunnel => gw::Numbering::Tunnel,
            Numbering::Transparent => gw::Numbering::Transparent { check_icrc: peer.check_icrc },
        },
        carry: match peer.carry {
            Carry::Ethernet => gw::Carry::Ethernet,
            Carry::Ip => gw::Carry::Ip,
        },
        ttl: match peer.ttl {
            Ttl::Wire => gw::Ttl::Wire,
            Ttl::Router => gw::Ttl::Router,
        },
        absent: match peer.absent {
            Absent::Forward => gw::Absent::Forward,
            Absent::Hold => gw::Absent::Hold,
        },
        lan: peer.lan,
        source_port_entropy: peer.source_port_entropy,
        key: peer.key.bytes().to_vec(),
        lanes: peer.lanes,
        paths: paths(peer),
        sharing: gw::Sharing {
            spread: peer.spread,
            group: u32::try_from(peer.group.0).unwrap_or(u32::MAX),
            interval: peer.rebalance.0,
            workers,
        },
    }
}

/// Capacities become weights: of one kind within a peer, so only their ratio matters. In units of
/// 1/10,000 of their sum, at least one.
fn paths(peer: &Peer) -> Vec<gw::PathSettings> {
    let share = |share: Share| match share {
        Share::Capacity(rate) => u128::from(rate.0),
        Share::Weight(weight) => u128::from(weight),
    };
    let total: u128 = peer.paths.iter().map(|path| share(path.share)).sum();
    let weight = |path: &config::model::Path| share(path.share) * 10_000 / total.max(1);
    peer.paths
        .iter()
        .map(|path| gw::PathSettings {
            name: path.name.clone(),
            port: path.port,
            next_hop: next_hop(path.next_hop),
            weight: (weight(path) as u32).max(1),
            capacity: match path.share {
                Share::Capacity(rate) => Some(rate.0),
                Share::Weight(_) => None,
            },
            channels: path.channels,
            mtu: path.mtu,
            bfd: path.bfd.map(|bfd| gw::BfdSettings {
                interval: bfd.interval.0,
                multiplier: bfd.multiplier,
                hops: bfd.hops,
                hold_down: bfd.hold_down.0,
            }),
            encapsulation: encapsulation(&path.encapsulation),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn the_example_configuration_makes_a_gateway() {
        let example = config::Config::example();
        let dir = std::path::Path::new(".");
        let checked = config::Config::parse(example, "example.toml", dir).expect("it is valid");
        let pool = dataplane::memory::Pool::new(PoolSettings {
            buffers: 64,
            ..super::pool(&checked.config)
        });
        let settings =
            gateway(&checked.config, &macs(&checked.config).expect("the example has them"));
        assert_eq!(settings.ports.len(), checked.config.ports.len());
        let [default, acme] = &settings.tenants[..] else { panic!("{:?}", settings.tenants) };
        assert!(default.matches.is_empty() && default.replay_bytes.is_none());
        assert_eq!((&acme.matches.vlans[..], acme.hold_bytes), (&[100, 101][..], Some(16 << 20)));
        let made = gw::Gateway::new(
            settings,
            Rc::new(pool.expect("valid")),
            dataplane::time::Time::ZERO,
            1,
        );
        assert!(made.is_ok(), "{:?}", made.err());
    }

    #[test]
    fn who_is_policed_is_marked_first_and_who_chose_marks_keeps_them() {
        let example = config::Config::example();
        let dir = std::path::Path::new(".");
        let mut config = config::Config::parse(example, "example.toml", dir).expect("valid").config;
        config.tenants[1].queue.xoff =
            Some((config::units::Bytes(2_000), config::units::Bytes(1_000)));
        assert_eq!(tenant_queues(&config, |of| of == 1)[0].marking, None);
        let backpressure = config.backpressure.as_mut().expect("the example has it");
        backpressure.shared_priority = config::model::SharedPriority::Police;
        let macs = macs(&config).expect("the example has them");
        let policed = |config: &Config| gateway(config, &macs).backpressure.map(|of| of.policed);
        assert_eq!(policed(&config), Some(vec![true, true]), "both have the usual priority");
        let marking = tenant_queues(&config, |of| of == 1)[0].marking.expect("marked");
        assert_eq!((marking.min, marking.max, marking.most), (1_000, 2_000, 1_000));
        config.tenants[1].queue.priority = Some(5);
        assert_eq!(policed(&config), Some(vec![false, false]));
        assert_eq!(tenant_queues(&config, |of| of == 1)[0].marking, None);
    }

    #[test]
    fn classes_have_the_priorities_that_are_said() {
        let example = config::Config::example();
        let dir = std::path::Path::new(".");
        let mut config = config::Config::parse(example, "example.toml", dir).expect("valid").config;
        assert_eq!(classes(&config), Classes::default(), "the example shows what there is without");
        let macs = macs(&config).expect("the example has them");
        config.classes[0].priority = Some(5);
        config.tenants[1].queue.priority = Some(6);
        let told = gateway(&config, &macs).backpressure.expect("the example has it").priorities;
        assert_eq!((told[0][..3].to_vec(), told[1]), (vec![3, 5, 3], [6; CLASSES]));
    }

    #[test]
    fn next_hops_by_address_are_passed_on_and_refused_where_nobody_answers() {
        let example = config::Config::example();
        let dir = std::path::Path::new(".");
        let parse = |text: &str| config::Config::parse(text, "example.toml", dir).expect("valid");
        assert_eq!(hops_are_known(&parse(example).config), Ok(()));
        let asking = example.replace("\"02:00:00:00:01:fe\"", "\"192.0.2.254\"");
        let config = parse(&asking).config;
        let refused = hops_are_known(&config).expect_err("an address");
        assert!(refused.contains("192.0.2.254") && refused.contains("remedy"), "{refused}");
        let settings = gateway(&config, &macs(&config).expect("the example has them"));
        let hop = settings.peers[0].paths[0].next_hop;
        assert_eq!(hop, gw::NextHop::Address([192, 0, 2, 254].into()));
    }
}
