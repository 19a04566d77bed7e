//! Checks of packet sizes: whether packets fit their paths.

use crate::check::{DEFAULT_MTU, port_named};
use crate::check_peers::leads_to;
use crate::diagnostic::Report;
use crate::document::Field;
use crate::draft::{Draft, PathDraft, PeerDraft};
use crate::model::{Carry, Encapsulation, Numbering, Role};
use crate::read::MTUS;

/// Outer IPv4 header without options (RFC 791).
const IPV4: u32 = 20;
/// Outer IPv6 header (RFC 8200).
const IPV6: u32 = 40;
/// Outer UDP header (RFC 768).
const UDP: u32 = 8;
/// Tunnel header.
const TUNNEL: u32 = 16;
/// SRv6's segment routing header before its list (RFC 8754), and a segment of it.
const SRH: u32 = 8;
const SEGMENT: u32 = 16;
/// The longest message that gateways send each other, tunnel header included.
const MESSAGE: u32 = 1_200;
/// Inner Ethernet header, and the VLAN tag (IEEE 802.1Q) that it may have: the MTU of a link counts
/// neither.
const ETHERNET: u32 = 14 + 4;

/// The largest outer packet of a path: its own, or else its port's; nothing if that is wrong.
pub(crate) fn path_mtu(path: &PathDraft, draft: &Draft) -> Option<u32> {
    if let Field::Given(mtu, _) = path.mtu {
        return Some(mtu);
    }
    let (_, port) = port_named(draft, path.port.given()?, Role::Wan)?;
    if port.role.given() != Some(&Role::Wan) {
        return None;
    }
    path.mtu.or(port.mtu.or(DEFAULT_MTU)?)
}

/// Every packet of the LAN fits every path of its peer, once encapsulated; or the gateway is told
/// what to do when it does not.
pub(crate) fn check_mtus(draft: &Draft, report: &mut Report<'_>) {
    for peer in &draft.peers {
        let Some((lan_mtu, overhead)) = lan_mtu(peer, draft).zip(overhead(peer, draft)) else {
            continue;
        };
        for path in draft.paths.iter().filter(|path| leads_to(path, peer)) {
            let Some((mtu, shell)) = path_mtu(path, draft).zip(shell(path)) else { continue };
            check_messages(path, (mtu, shell), report);
            // What goes as it is has nothing around it.
            let overhead = if overhead == 0 { 0 } else { overhead + shell };
            let need = lan_mtu + overhead;
            if need <= mtu {
                continue;
            }
            let at = path.mtu.at(path.at);
            let what = format!(
                "LAN packets of {lan_mtu} bytes need {need} with {overhead} of headers around \
                 them, the path carries {mtu}"
            );
            let fits = mtu.saturating_sub(overhead);
            let mut remedy = format!("raise the path's mtu to {need}");
            if fits >= *MTUS.start() {
                remedy.push_str(&format!(", or lower the LAN's to {fits}"));
            }
            match draft.gateway.oversize {
                Field::Absent => {
                    let remedy = format!("{remedy}, or write oversize in [gateway]");
                    report.error(at, what, remedy);
                }
                _ => report.warn(at, what, remedy),
            }
        }
    }
}

/// Messages between the gateways fit a path within SRv6; without it they fit every IPv6 link.
fn check_messages(path: &PathDraft, (mtu, shell): (u32, u32), report: &mut Report<'_>) {
    let need = MESSAGE + IPV6 + UDP + shell;
    if shell > 0 && need > mtu {
        let what = format!(
            "messages between the gateways need {need} bytes with {shell} of SRv6, the path \
             carries {mtu}"
        );
        let remedy = format!("raise the path's mtu to {need}, or write fewer segments");
        report.error(path.mtu.at(path.at), what, remedy);
    }
}

/// Bytes that a path's SRv6 adds to a packet.
pub(crate) fn shell(path: &PathDraft) -> Option<u32> {
    Some(match &path.encapsulation.as_ref()?.means {
        Encapsulation::Udp => 0,
        Encapsulation::Srv6 { segments, reduced } => {
            let listed = segments.len() as u32 - u32::from(*reduced);
            IPV6 + if listed == 0 { 0 } else { SRH + SEGMENT * listed }
        }
    })
}

/// Largest packet that comes in for a peer: that of the peer's LAN port. Nothing if unclear, which
/// is reported elsewhere.
pub(crate) fn lan_mtu(peer: &PeerDraft, draft: &Draft) -> Option<u32> {
    let mut lans = draft.ports.iter().filter(|port| port.role.given() == Some(&Role::Lan));
    let port = match &peer.lan {
        Field::Given(name, _) => lans.find(|port| port.name.given() == Some(name))?,
        Field::Absent => lans.next()?,
        Field::Wrong => return None,
    };
    port.mtu.or(DEFAULT_MTU)
}

/// Bytes around an inner IP packet within the outer one; none if it goes as it is.
pub(crate) fn overhead(peer: &PeerDraft, draft: &Draft) -> Option<u32> {
    if peer.numbering.or(Numbering::Tunnel)? == Numbering::Transparent {
        return Some(0);
    }
    let address = peer.address.given().or(draft.gateway.address.given())?;
    let outer = if address.is_ipv4() { IPV4 } else { IPV6 };
    let inner = if peer.carry.or(Carry::Ethernet)? == Carry::Ethernet { ETHERNET } else { 0 };
    Some(outer + UDP + TUNNEL + inner)
}
