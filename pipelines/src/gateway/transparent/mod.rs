//! A peer that packets cross the wide area to as they are, their PSNs being the numbers: what
//! leaves ([`leave`]), what arrives ([`arrive`]), and what the gateways say of it to each other
//! ([`tell`], [`told`]).

pub(super) mod arrive;
pub(super) mod leave;
pub(super) mod tell;
pub(super) mod told;

use dataplane::memory::Packet;
use dataplane::time::Time;

use super::peer::Peer;
use super::session::Keys;
use super::settings::RecoverySettings;
use crate::shield::{Found, Key, Sight};
use crate::tenant::Shares;
use crate::transparent::inbound::{Inbound, Limits};
use crate::transparent::outbound::Outbound;
use crate::transparent::table::Name;
use crate::wire::{icrc, udp};

/// The streams of one peer.
pub(super) struct Streams {
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    /// Keys the names of what we send, and of what we receive, in this session.
    pub(super) secrets: (u64, u64),
    /// Whether a packet counts only if its ICRC is right.
    pub(super) check_icrc: bool,
    /// Whether something arrived in the present burst.
    pub(super) touched: bool,
}

impl Streams {
    pub(super) fn new(recovery: &RecoverySettings, check_icrc: bool, held: Shares) -> Self {
        let limits = Limits { packets: recovery.hold_packets as usize, bytes: recovery.hold_bytes };
        Self {
            outbound: Outbound::new(recovery.streams, recovery.replay_packets),
            inbound: Inbound::new(recovery.streams, limits, held),
            secrets: (0, 0),
            check_icrc,
            touched: false,
        }
    }

    /// A session began. What was held and remembered must have been let go.
    pub(super) fn restart(&mut self, keys: &Keys) {
        self.inbound.reset();
        let secret = |key: crate::tunnel::auth::Key| {
            let mac = key.derive(b"names of streams").mac(&[]);
            mac.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
        };
        self.secrets = (secret(keys.send), secret(keys.receive));
    }
}

impl Peer {
    /// A queue pair behind it, packets to which are called `to`, begins anew: so do the streams to
    /// that, whatever their PSNs.
    #[cold]
    pub(super) fn begins(&mut self, to: &Key, now: Time) {
        let Some(streams) = &mut self.streams else { return };
        let name = |response| Name::of(to, response, streams.secrets.0);
        streams.outbound.end([name(false), name(true)], now);
    }
}

/// Whether a packet is the RoCEv2 packet that it claims to be: others may use the port too.
#[cold]
pub(super) fn is_proper(packet: &Packet, found: &Found) -> bool {
    let sight = Sight::of(packet.head(), found);
    sight.is_some_and(|sight| sight.is_whole(packet.len()))
        && has_right_icrc(packet, found) == Some(true)
}

/// Whether the ICRC of a RoCEv2 packet is right; `None` if not all of the datagram is there.
fn has_right_icrc(packet: &Packet, found: &Found) -> Option<bool> {
    let (ip_at, bth_at) = (usize::from(found.ip_at), usize::from(found.bth_at));
    let ip_len = bth_at.saturating_sub(ip_at + udp::HEADER_LEN);
    let len = packet.head().get(bth_at.saturating_sub(4)..).and_then(|rest| rest.first_chunk());
    let udp_len = usize::from(u16::from_be_bytes(*len?));
    let end = ip_at + ip_len + udp_len;
    if end > packet.len() {
        return None;
    }
    let mut skip = ip_at;
    let mut left = end - ip_at;
    let pieces = packet.segments().map(|segment| {
        let segment = segment.get(skip..).unwrap_or(&[]);
        skip = 0;
        let piece = segment.get(..left).unwrap_or(segment);
        left -= piece.len();
        piece
    });
    icrc::verify(ip_len, pieces)
}
