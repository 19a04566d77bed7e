//! From the configuration to what the pipeline is told.

use config::model::{Behind, Carry, Config, Numbering, Oversize, Peer, Role, Share};
use dataplane::memory::PoolSettings;
use pipelines::gateway as gw;
use pipelines::tunnel::outer::MAX_OVERHEAD;

/// The settings of one worker's gateway.
pub(crate) fn gateway(config: &Config) -> gw::Settings {
    let recovery = &config.recovery;
    gw::Settings {
        address: config.gateway.address,
        udp_port: config.gateway.udp_port,
        outer_checksum: config.gateway.outer_checksum,
        // Without the key, the check has made sure that every packet fits.
        oversize: match config.gateway.oversize {
            Some(Oversize::Forward) => gw::Oversize::Forward,
            Some(Oversize::Drop) | None => gw::Oversize::Drop,
        },
        ports: config.ports.iter().map(port).collect(),
        peers: config.peers.iter().map(peer).collect(),
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
        },
    }
}

/// How a worker's packet memory is cut: headroom for the outer headers, in whole cache lines.
pub(crate) fn pool(config: &Config) -> PoolSettings {
    PoolSettings {
        buffers: config.workers.buffers,
        buffer_bytes: config.workers.buffer_bytes,
        headroom: (MAX_OVERHEAD as u32).next_multiple_of(64),
    }
}

fn port(port: &config::model::Port) -> gw::PortSettings {
    gw::PortSettings {
        role: match port.role {
            Role::Lan => gw::Role::Lan,
            Role::Wan => gw::Role::Wan,
        },
        mac: port.mac.0,
        bump: port.bump,
        next_hop: port.next_hop.map(|mac| mac.0),
    }
}

fn peer(peer: &Peer) -> gw::PeerSettings {
    gw::PeerSettings {
        name: peer.name.clone(),
        address: peer.address,
        behind: match &peer.behind {
            Behind::Everything => gw::Behind::Everything,
            Behind::Prefixes(prefixes) => gw::Behind::Prefixes(
                prefixes
                    .iter()
                    .map(|prefix| gw::Prefix { address: prefix.address(), length: prefix.length() })
                    .collect(),
            ),
        },
        numbering: match peer.numbering {
            Numbering::Tunnel => gw::Numbering::Tunnel,
            Numbering::Transparent => gw::Numbering::Transparent { check_icrc: peer.check_icrc },
        },
        carry: match peer.carry {
            Carry::Ethernet => gw::Carry::Ethernet,
            Carry::Ip => gw::Carry::Ip,
        },
        lan: peer.lan,
        key: peer.key.bytes().to_vec(),
        lanes: peer.lanes,
        paths: paths(peer),
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
            next_hop: path.next_hop.0,
            weight: (weight(path) as u32).max(1),
            channels: path.channels,
            mtu: path.mtu,
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
        let settings = gateway(&checked.config);
        assert_eq!(settings.ports.len(), checked.config.ports.len());
        let made = gw::Gateway::new(
            settings,
            Rc::new(pool.expect("valid")),
            dataplane::time::Time::ZERO,
            1,
        );
        assert!(made.is_ok(), "{:?}", made.err());
    }
}
