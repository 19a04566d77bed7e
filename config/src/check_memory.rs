//! Checks of memory: whether replay and hold buffer have room for what recovery keeps, and the
//! packet pool for both.

use crate::advice::{DESIGN_LOSS, Line};
use crate::check::DEFAULT_MTU;
use crate::check_peers::{DEFAULT_RTT, leads_to};
use crate::check_queues::{PACKETS, POOL, asked};
use crate::check_sizes::{lan_mtu, overhead, shell};
use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{DEFAULT_BUFFER_BYTES, Draft, PathDraft, PeerDraft};
use crate::model::{Recovery, Role, Share};
use crate::read::{BUFFERS, MAX_PACKETS};
use crate::units::Bytes;

/// A buffer's own header, and the unit that its size is rounded up to.
const CACHE_LINE: u64 = 64;
/// Free bytes in a packet's first buffer, for headers put in front of it.
const HEADROOM: u64 = 128;
/// Ethernet header with a VLAN tag.
const ETHERNET: u32 = 18;
/// Packets of a port's queue: they pass through, beside what is kept.
const QUEUE: u64 = 4_096;

/// Memory that a buffer of that size takes.
fn footprint(buffer_bytes: u32) -> u64 {
    CACHE_LINE + u64::from(buffer_bytes).next_multiple_of(CACHE_LINE)
}

/// Buffers that an IP packet of that size takes, in its frame: a large one takes several.
fn buffers_of(ip_bytes: u32, buffer_bytes: u32) -> u64 {
    (HEADROOM + u64::from(ip_bytes + ETHERNET)).div_ceil(u64::from(buffer_bytes))
}

fn mebibytes(bytes: u128) -> u128 {
    bytes.div_ceil(1 << 20)
}

/// Packet buffers of a worker. Without the key, enough for all that recovery may keep.
pub(crate) fn buffers(draft: &Draft, report: &mut Report<'_>) -> Option<u32> {
    let recovery = draft.recovery.as_ref()?;
    let size = draft.workers.buffer_bytes.or(DEFAULT_BUFFER_BYTES)?;
    let one = kept(recovery, 1, size);
    let all = kept(recovery, draft.peers.len(), size) + queued(draft, size) + waiting(draft, size);
    match draft.workers.buffers {
        Field::Wrong => None,
        Field::Given(buffers, at) => {
            check_buffers((buffers, size), (one, all), recovery, at, report);
            Some(buffers)
        }
        Field::Absent if all > MAX_BUFFERS => {
            let what = format!(
                "replay_bytes, and hold_bytes of all peers, take {all} buffers of {size} bytes, a \
                 worker has at most {MAX_BUFFERS}"
            );
            let remedy = "lower them in [recovery], or raise buffer_bytes in [workers]";
            report.error(draft.recovery_at.replay_bytes, what, remedy);
            None
        }
        Field::Absent => u32::try_from(all).ok(),
    }
}

/// A number of buffers of some size, against what is kept for one peer, and against all that may be
/// taken at once. Too few for one peer is an error: its bounds could never be reached.
fn check_buffers(
    (buffers, size): (u32, u32),
    (one, all): (u64, u64),
    recovery: &Recovery,
    at: usize,
    report: &mut Report<'_>,
) {
    let bytes = mebibytes(u128::from(buffers) * u128::from(footprint(size)));
    let few = format!(
        "{buffers} buffers of {size} bytes are {bytes}MiB, too few for replay_bytes, {}, and \
         hold_bytes, {},",
        recovery.replay_bytes, recovery.hold_bytes
    );
    let less = "lower replay_bytes or hold_bytes in [recovery]";
    let remedy = match all > MAX_BUFFERS {
        true => format!("{less}, or raise buffer_bytes"),
        false => format!("write buffers = {all}, or remove the key to have that, or {less}"),
    };
    if u64::from(buffers) < one {
        let what = format!("{few} of one peer: the buffers would run out before those are reached");
        report.error(at, what, remedy);
    } else if u64::from(buffers) < all {
        let what = format!(
            "{few} of every peer and full queues: with no buffer left, arriving packets are dropped \
             and counted"
        );
        report.warn(at, what, remedy);
    }
}

/// Most buffers that a worker has.
const MAX_BUFFERS: u64 = *BUFFERS.end() as u64;

/// Buffers for what recovery keeps with that many peers.
fn kept(recovery: &Recovery, peers: usize, buffer_bytes: u32) -> u64 {
    let bytes = recovery.replay_bytes.0 + recovery.hold_bytes.0 * peers as u64;
    bytes.div_ceil(footprint(buffer_bytes))
}

/// Buffers of full queues: those of packets as large as any port's.
fn queued(draft: &Draft, buffer_bytes: u32) -> u64 {
    let mtus = draft.ports.iter().filter_map(|port| port.mtu.or(DEFAULT_MTU));
    let largest = mtus.max().unwrap_or(DEFAULT_MTU);
    QUEUE * draft.ports.len() as u64 * buffers_of(largest, buffer_bytes)
}

/// Buffers of what waits for its turn, towards the WAN and each LAN port: each packet may leave its
/// last one nearly empty.
fn waiting(draft: &Draft, buffer_bytes: u32) -> u64 {
    if !asked(draft) {
        return 0;
    }
    let of = draft.queues.as_ref();
    let pool = of.and_then(|of| of.pool_bytes.or(POOL)).unwrap_or(POOL);
    let packets = of.and_then(|of| of.packets.or(PACKETS)).unwrap_or(PACKETS);
    let lan = draft.ports.iter().filter(|port| port.role.given() == Some(&Role::Lan));
    let ways = 1 + lan.count() as u64;
    ways.saturating_mul(u64::from(packets) + pool.0.div_ceil(buffer_bytes.into()))
}

/// What recovery needs on a path, if its capacity is known, and for which peer. Packets are counted
/// as full-size ones, which fill their buffers best; one worker may have to keep all of them, since
/// a flow is one worker's.
fn line<'a>(path: &PathDraft, draft: &'a Draft) -> Option<(&'a PeerDraft, Line)> {
    let Share::Capacity(rate) = *path.share.given()? else { return None };
    let recovery = draft.recovery.as_ref()?;
    let peer = draft.peers.iter().find(|peer| leads_to(path, peer))?;
    let buffer_bytes = draft.workers.buffer_bytes.or(DEFAULT_BUFFER_BYTES)?;
    let mtu = lan_mtu(peer, draft)?;
    let line = Line {
        rate,
        rtt: path.rtt.or(DEFAULT_RTT)?,
        loss: DESIGN_LOSS,
        packet_bytes: mtu + overhead(peer, draft)? + shell(path)?,
        memory_bytes: buffers_of(mtu, buffer_bytes) * footprint(buffer_bytes),
        channels: path.channels.or(1)?,
        ack_delay: recovery.ack_delay,
        ack_packets: recovery.ack_packets,
    };
    Some((peer, line))
}

/// Replay and hold buffer have room for what waits for confirmation and for repairs: the one for
/// all peers, the other for each.
pub(crate) fn check_recovery(draft: &Draft, report: &mut Report<'_>) {
    let Some(recovery) = &draft.recovery else { return };
    let lines: Vec<_> = draft.paths.iter().filter_map(|path| line(path, draft)).collect();
    let all = |need: fn(&Line) -> u64| {
        lines.iter().map(|(_, line)| need(line)).fold(0, u64::saturating_add)
    };
    let of_a_peer = |need: fn(&Line) -> u64| {
        let one = |peer: &PeerDraft| {
            let lines = lines.iter().filter(|(its, _)| std::ptr::eq(*its, peer));
            lines.map(|(_, line)| need(line)).fold(0, u64::saturating_add)
        };
        draft.peers.iter().map(one).max().unwrap_or(0)
    };
    let channel = lines.iter().map(|(_, line)| line.replay_packets()).max().unwrap_or(0);
    let places = &draft.recovery_at;
    let replay = ("replay_bytes", recovery.replay_bytes, places.replay_bytes);
    check_bytes(replay, all(Line::replay_bytes), "on all paths", report);
    let hold = ("hold_bytes", recovery.hold_bytes, places.hold_bytes);
    check_bytes(hold, of_a_peer(Line::hold_bytes), "from one peer", report);
    let replay = ("replay_packets", recovery.replay_packets, places.replay_packets);
    check_packets(replay, channel, "on a channel", ", or more channels in the path", report);
    let hold = ("hold_packets", recovery.hold_packets, places.hold_packets);
    check_packets(hold, of_a_peer(Line::hold_packets), "from one peer", "", report);
}

/// What happens when a bound is reached.
const OTHERWISE: &str = "with less, losses may go unrepaired";

/// A bound in bytes, against what is needed `of` something.
fn check_bytes(
    (key, bound, at): (&str, Bytes, usize),
    need: u64,
    of: &str,
    report: &mut Report<'_>,
) {
    if need <= bound.0 {
        return;
    }
    let need = format!("{}MiB", mebibytes(need.into()));
    let what = format!(
        "{key} is {bound}; capacity, round trip and a loss of {} % take {need} of buffers {of}: \
         {OTHERWISE}",
        100.0 * DESIGN_LOSS
    );
    report.warn(at, what, format!("write {key} = {} in [recovery]", quoted(&need)));
}

/// Likewise in packets; a power of two, and no more than can be numbered. `or`: what else helps.
fn check_packets(
    (key, bound, at): (&str, u32, usize),
    need: u64,
    of: &str,
    or: &str,
    report: &mut Report<'_>,
) {
    if need <= bound.into() {
        return;
    }
    let what = format!(
        "{key} is {bound}; capacity, round trip and a loss of {} % take {need} packets {of}: \
         {OTHERWISE}",
        100.0 * DESIGN_LOSS
    );
    let right = need.checked_next_power_of_two().unwrap_or(u64::MAX).min(MAX_PACKETS.into());
    report.warn(at, what, format!("write {key} = {right} in [recovery]{or}"));
}
