//! Checks of peers and their paths against the gateway, the ports, and each other.

use std::net::IpAddr;

use crate::check::{one_of, port_of};
use crate::check_sizes::path_mtu;
use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{Draft, PathDraft, PeerDraft};
use crate::model::{Absent, Behind, Carry, NextHop, Numbering, Path, Peer, Role, Share, Ttl};
use crate::prefix::Prefix;
use crate::units::{Bytes, Span};

/// The peers with their paths; `None` for those of which something is wrong.
pub(crate) fn check_peers(draft: &Draft, report: &mut Report<'_>) -> Vec<Option<Peer>> {
    if draft.peers.is_empty() {
        report.error(0, "there is no peer", "add a [[peer]], and a [[path]] to it");
    }
    check_addresses(draft, report);
    check_overlaps(draft, report);
    check_own_address(draft, report);
    check_everything(draft, report);
    let paths: Vec<_> = draft.paths.iter().map(|path| check_path(path, draft, report)).collect();
    let paths_of = |peer: &PeerDraft| {
        let to_peer = |(path, _): &(&PathDraft, _)| leads_to(path, peer);
        draft.paths.iter().zip(&paths).filter(to_peer).map(|(_, path)| path.clone()).collect()
    };
    draft.peers.iter().map(|peer| check_peer(peer, paths_of(peer), draft, report)).collect()
}

/// Whether a path names this peer.
pub(crate) fn leads_to(path: &PathDraft, peer: &PeerDraft) -> bool {
    peer.name.given().is_some() && path.peer.given() == peer.name.given()
}

/// Outer addresses: of one family, and each of one gateway.
fn check_addresses(draft: &Draft, report: &mut Report<'_>) {
    let family = |address: &IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let mut seen: Vec<(IpAddr, usize)> = Vec::new();
    if let Field::Given(ours, at) = draft.gateway.address {
        seen.push((ours, at));
    }
    let ours = draft.gateway.address.given();
    for peer in &draft.peers {
        let Field::Given(address, at) = peer.address else { continue };
        if let Some(ours) = ours.filter(|ours| ours.is_ipv4() != address.is_ipv4()) {
            let what = format!("the peer's address is {}, the gateway's is not", family(&address));
            report.error(at, what, format!("write an {} address in both", family(ours)));
        }
        if let Some((_, earlier)) = seen.iter().find(|(earlier, _)| *earlier == address) {
            let line = report.line(*earlier);
            let what = format!("the address {address} is on line {line} already");
            report.error(at, what, "give each gateway an outer address of its own");
        } else {
            seen.push((address, at));
        }
    }
}

/// Prefixes of different peers do not overlap: a packet has one way to go.
fn check_overlaps(draft: &Draft, report: &mut Report<'_>) {
    let mut all: Vec<(Prefix, usize, usize)> = Vec::new();
    for (index, peer) in draft.peers.iter().enumerate() {
        let prefixes = peer.prefixes.given().into_iter().flatten();
        all.extend(prefixes.map(|(prefix, at)| (*prefix, *at, index)));
    }
    // Sorted so, a prefix comes after all that hold it, with none in between that do not: those
    // that hold the present one form a stack, of one peer since what overlaps is left out.
    all.sort_by_key(|(prefix, at, _)| (prefix.address(), prefix.length(), *at));
    let mut holders: Vec<(Prefix, usize, usize)> = Vec::new();
    for (prefix, at, peer) in all {
        while holders.last().is_some_and(|(holder, ..)| !holder.overlaps(&prefix)) {
            holders.pop();
        }
        match holders.last() {
            Some((holder, holder_at, other)) if *other != peer => {
                let line = report.line(*holder_at);
                let what = format!("{prefix} overlaps {holder} of another peer, on line {line}");
                report.error(at, what, "give each address to one peer only");
            }
            _ => holders.push((prefix, at, peer)),
        }
    }
}

/// Our own address is behind no peer: what is for us would be carried there, sent back by that
/// site's routers, and carried again.
fn check_own_address(draft: &Draft, report: &mut Report<'_>) {
    let Field::Given(ours, ours_at) = draft.gateway.address else { return };
    let prefixes = draft.peers.iter().filter_map(|peer| peer.prefixes.given());
    for (prefix, at) in prefixes.flatten().filter(|(prefix, _)| prefix.contains(ours)) {
        let line = report.line(ours_at);
        let what = format!(
            "{prefix} holds {ours}, the gateway's own address on line {line}: packets to it would \
             loop"
        );
        let remedy =
            format!("write prefixes that leave out {ours}, or give the gateway another address");
        report.error(*at, what, remedy);
    }
}

/// A peer that carries everything leaves nothing for others.
fn check_everything(draft: &Draft, report: &mut Report<'_>) {
    for peer in &draft.peers {
        if let (Field::Given(true, at), true) = (&peer.everything, draft.peers.len() > 1) {
            let what = "a peer carries everything, and there are other peers";
            report.error(*at, what, "write the prefixes of each peer");
        }
    }
}

/// A path's references and sizes.
fn check_path(path: &PathDraft, draft: &Draft, report: &mut Report<'_>) -> Option<Path> {
    if let Field::Given(name, at) = &path.peer {
        let names = draft.peers.iter().filter_map(|peer| peer.name.given().map(String::as_str));
        if !names.clone().any(|known| known == name) {
            let what = format!("there is no peer {}", quoted(name));
            report.error(*at, what, one_of("peer", name, names));
        }
    }
    // Required, so its absence is reported.
    let port = match path.port {
        Field::Absent => None,
        _ => port_of(draft, Role::Wan, ("port", &path.port), path.at, report),
    };
    check_next_hop(path, draft, report);
    let mtu = path_mtu(path, draft);
    let port_mtu = port.and_then(|port| draft.ports.get(port)?.mtu.or(crate::check::DEFAULT_MTU));
    if let (Field::Given(mtu, at), Some(port_mtu)) = (&path.mtu, port_mtu)
        && *mtu > port_mtu
    {
        let what = format!("the path's mtu {mtu} is above its port's {port_mtu}");
        report.error(*at, what, format!("write at most {port_mtu}, or raise the port's mtu"));
    }
    Some(Path {
        name: path.name.given()?.clone(),
        port: port?,
        next_hop: *path.next_hop.given()?,
        share: *path.share.given()?,
        channels: u8::try_from(path.channels.or(1)?).ok()?,
        rtt: path.rtt.or(DEFAULT_RTT)?,
        mtu: mtu?,
        bfd: path.bfd?,
        encapsulation: path.encapsulation.as_ref()?.means.clone(),
    })
}

/// A next hop that is asked for answers to the family of our own address.
fn check_next_hop(path: &PathDraft, draft: &Draft, report: &mut Report<'_>) {
    let Field::Given(NextHop::Address(next_hop), at) = path.next_hop else { return };
    let Some(ours) = draft.gateway.address.given() else { return };
    if next_hop.is_ipv4() != ours.is_ipv4() {
        let what = format!("next_hop {next_hop} is not of the family of our address {ours}");
        report.error(at, what, "write an address of that family, or an Ethernet address");
    }
}

/// A path's round-trip time, if it has none.
pub(crate) const DEFAULT_RTT: Span = Span(10_000_000);

fn check_peer(
    peer: &PeerDraft,
    paths: Vec<Option<Path>>,
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<Peer> {
    let lan = port_of(draft, Role::Lan, ("lan", &peer.lan), peer.at, report);
    check_carry(peer, lan, draft, report);
    check_shares(peer, draft, report);
    check_spread(peer, draft, report);
    if let Field::Given(true, at) = peer.source_port_entropy
        && peer.numbering.or(Numbering::Tunnel) == Some(Numbering::Tunnel)
    {
        let what = "source_port_entropy is for packets that go as they are, and these do not";
        let remedy = "remove the key: each channel of a tunnel has a source port of its own";
        report.error(at, what, remedy);
    }
    let behind = match peer.everything.or(false)? {
        true => Behind::Everything,
        false => {
            Behind::Prefixes(peer.prefixes.given()?.iter().map(|(prefix, _)| *prefix).collect())
        }
    };
    Some(Peer {
        name: peer.name.given()?.clone(),
        address: *peer.address.given()?,
        behind,
        numbering: peer.numbering.or(Numbering::Tunnel)?,
        check_icrc: peer.check_icrc.or(true)?,
        source_port_entropy: peer.source_port_entropy.or(false)?,
        carry: peer.carry.or(Carry::Ethernet)?,
        ttl: peer.ttl.or(Ttl::Wire)?,
        absent: peer.absent.or(Absent::Forward)?,
        lan: lan?,
        key: peer.key.clone()?,
        lanes: peer.lanes.or(DEFAULT_LANES)?,
        spread: peer.spread.or(DEFAULT_SPREAD)?,
        group: peer.group.or(DEFAULT_GROUP)?,
        rebalance: peer.rebalance.or(DEFAULT_REBALANCE)?,
        paths: paths.into_iter().collect::<Option<_>>()?,
    })
}

/// A peer's order domains, if it does not say how many.
pub(crate) const DEFAULT_LANES: u32 = 4_096;
/// Half of a path, in thousandths.
const DEFAULT_SPREAD: Option<u32> = Some(500);
/// Sixteen packets of a path MTU of 4096.
const DEFAULT_GROUP: Bytes = Bytes(64 << 10);
/// Ten milliseconds.
const DEFAULT_REBALANCE: Span = Span(10_000_000);

/// What is carried as IP needs somebody on the LAN to be sent to.
fn check_carry(peer: &PeerDraft, lan: Option<usize>, draft: &Draft, report: &mut Report<'_>) {
    let (Field::Given(Carry::Ip, at), Some(lan)) = (&peer.carry, lan) else { return };
    let Some(port) = draft.ports.get(lan) else { return };
    if port.next_hop.is_absent() {
        let line = report.line(port.at);
        let what = format!("IP is carried to the port on line {line}, which has no \"next_hop\"");
        report.error(*at, what, "add next_hop to that port, or write carry = \"ethernet\"");
    }
}

/// A peer's paths: at least one, their shares of one kind, and not too many channels.
fn check_shares(peer: &PeerDraft, draft: &Draft, report: &mut Report<'_>) {
    let Some(name) = peer.name.given() else { return };
    let mut first: Option<&Share> = None;
    let (mut channels, mut paths) = (0, 0);
    for path in draft.paths.iter().filter(|path| leads_to(path, peer)) {
        paths += 1;
        let before = channels;
        channels += path.channels.or(1).unwrap_or(1);
        if before <= MAX_CHANNELS && channels > MAX_CHANNELS {
            let what =
                format!("the paths to {} have more than {MAX_CHANNELS} channels", quoted(name));
            let remedy = format!("write fewer channels: {MAX_CHANNELS} for all paths together");
            report.error(path.channels.at(path.at), what, remedy);
        }
        let Field::Given(share, at) = &path.share else { continue };
        let first = *first.get_or_insert(share);
        if std::mem::discriminant(first) != std::mem::discriminant(share) {
            let what = format!("paths to {} have capacities as well as weights", quoted(name));
            report.error(*at, what, "write capacity in all of them, or weight in all of them");
        }
    }
    // A path whose peer is wrong may have been meant to be this one's.
    let unsure = draft.paths.iter().any(|path| matches!(path.peer, Field::Wrong));
    if paths == 0 && !unsure {
        let what = format!("there is no path to peer {}", quoted(name));
        report.error(peer.at, what, format!("add a [[path]] with peer = {}", quoted(name)));
    }
}

/// What is spread is measured against capacities, and needs a tunnel.
fn check_spread(peer: &PeerDraft, draft: &Draft, report: &mut Report<'_>) {
    let Field::Given(Some(_), at) = peer.spread else { return };
    let mut paths = draft.paths.iter().filter(|path| leads_to(path, peer));
    if matches!(peer.numbering, Field::Given(Numbering::Transparent, _)) {
        let what = "nothing is spread where packets go as they are: a stream keeps its path";
        report.error(at, what, "remove it, or write numbering = \"tunnel\"");
    } else if paths.any(|path| matches!(path.share, Field::Given(Share::Weight(_), _))) {
        let what = "\"spread\" is a part of a path's capacity, and paths have weights";
        report.error(at, what, "write capacity instead of weight in the paths, or remove it");
    }
}

/// Channels of a peer: the tunnel header's bound.
const MAX_CHANNELS: u32 = 64;
