//! Checks of what SRv6 needs: SIDs and sources.

use std::net::{IpAddr, Ipv6Addr};

use crate::check_peers::leads_to;
use crate::diagnostic::Report;
use crate::document::Field;
use crate::draft::{Draft, PathDraft};
use crate::model::Encapsulation;

/// Our SID is nobody's address, and no way leads over it; and SRv6 has a source.
pub(crate) fn check_srv6(draft: &Draft, report: &mut Report<'_>) {
    check_sid(draft, report);
    let ours = draft.gateway.address.given();
    let has_source = ours.is_none_or(IpAddr::is_ipv6) || !draft.gateway.sid.is_absent();
    for path in &draft.paths {
        let Some(encapsulation) = &path.encapsulation else { continue };
        if encapsulation.means != Encapsulation::Udp && !has_source {
            let what = "the path has SRv6, and the gateway neither an IPv6 address nor a SID";
            let remedy = "add sid = \"2001:db8:a::d46\" to [gateway]: it is the source then";
            report.error(encapsulation.at, what, remedy);
        }
    }
}

fn check_sid(draft: &Draft, report: &mut Report<'_>) {
    let Field::Given(sid, at) = draft.gateway.sid else { return };
    let ours = draft.gateway.address.given().copied();
    let peers = draft.peers.iter().filter_map(|peer| peer.address.given().copied());
    if ours.into_iter().chain(peers).any(|address| address == IpAddr::V6(sid)) {
        let what = format!("the SID {sid} is a gateway's address too");
        report.error(at, what, "write an address that is routed here, and that nobody has");
    }
    let prefixes = draft.peers.iter().filter_map(|peer| peer.prefixes.given()).flatten();
    for (prefix, at) in prefixes.filter(|(prefix, _)| prefix.contains(IpAddr::V6(sid))) {
        let what = format!("{prefix} holds {sid}, the gateway's own SID: packets to it would loop");
        report.error(*at, what, "write prefixes that leave it out, or another SID");
    }
    for path in
        draft.paths.iter().filter(|path| draft.peers.iter().any(|peer| leads_to(path, peer)))
    {
        if let Some(at) = place_of(path, sid) {
            let what = format!("the segment {sid} is our own SID: packets would come back");
            report.error(at, what, "write the segments that lead to the peer, its SID the last");
        }
    }
}

/// Where a path names a segment.
fn place_of(path: &PathDraft, sid: Ipv6Addr) -> Option<usize> {
    let segments = &path.encapsulation.as_ref()?.segments;
    segments.iter().find(|(segment, _)| *segment == sid).map(|(_, at)| *at)
}
