//! Checks of memory: whether the replay buffer holds what is under way, and the packet pool what
//! recovery keeps.

use crate::check::DEFAULT_MTU;
use crate::check_peers::{DEFAULT_RTT, leads_to};
use crate::check_sizes::{lan_mtu, overhead};
use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{DEFAULT_BUFFER_BYTES, Draft, PathDraft};
use crate::model::{Recovery, Share};
use crate::read::{BUFFERS, MAX_PACKETS};

/// A buffer's own header, and the unit that its size is rounded up to.
const LINE: u64 = 64;
/// Free bytes in a packet's first buffer, for headers put in front of it.
const HEADROOM: u64 = 128;
/// Ethernet header with a VLAN tag.
const ETHERNET: u32 = 18;
/// Packets of a port's queue: they pass through, beside what is kept.
const QUEUE: u64 = 4_096;

/// Memory that a buffer of that size takes.
fn footprint(buffer_bytes: u32) -> u64 {
    LINE + u64::from(buffer_bytes).next_multiple_of(LINE)
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
    let all = kept(recovery, draft.peers.len(), size) + queued(draft, size);
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
            report.error(draft.replay_at, what, remedy);
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

/// What of a path's traffic waits for its confirmation, if its capacity is known.
struct UnderWay {
    /// Packets on each of its channels.
    packets: u128,
    /// Memory of all of them.
    bytes: u128,
}

/// Packets stay in the replay buffer for a round trip, and for another part of one while their
/// confirmation waits: one and a half are counted. They are counted as full-size ones, which fill
/// their buffers best; one worker may have to keep all of them, since a flow is one worker's.
fn under_way(path: &PathDraft, draft: &Draft) -> Option<UnderWay> {
    let Share::Capacity(rate) = path.share.given()? else { return None };
    let rtt = path.rtt.or(DEFAULT_RTT)?;
    let channels = path.channels.or(1)?;
    let buffer_bytes = draft.workers.buffer_bytes.or(DEFAULT_BUFFER_BYTES)?;
    let peer = draft.peers.iter().find(|peer| leads_to(path, peer))?;
    let mtu = lan_mtu(peer, draft)?;
    let memory = buffers_of(mtu, buffer_bytes) * footprint(buffer_bytes);
    // Bits a second times nanoseconds to packets, times three halves.
    let bits = u128::from(rate.0) * u128::from(rtt.0) * 3;
    let packet = u128::from(mtu + overhead(peer, draft)?) * 2 * 8 * 1_000_000_000;
    Some(UnderWay {
        packets: bits.div_ceil(packet * u128::from(channels)),
        bytes: (bits * u128::from(memory)).div_ceil(packet),
    })
}

/// The replay buffer holds what is under way: on all paths in bytes, on each in packets.
pub(crate) fn check_replay(draft: &Draft, report: &mut Report<'_>) {
    let Some(recovery) = &draft.recovery else { return };
    let paths: Vec<_> = draft.paths.iter().filter_map(|path| under_way(path, draft)).collect();
    let bytes: u128 = paths.iter().map(|path| path.bytes).sum();
    if bytes > u128::from(recovery.replay_bytes.0) {
        let need = format!("{}MiB", mebibytes(bytes));
        let what = format!(
            "replay_bytes is {}; the packets of 1.5 round trips on all paths take {need} of \
             buffers: losses may go unrepaired",
            recovery.replay_bytes
        );
        report.warn(
            draft.replay_at,
            what,
            format!("write replay_bytes = {} in [recovery]", quoted(&need)),
        );
    }
    let packets = paths.iter().map(|path| path.packets).max().unwrap_or(0);
    if packets > u128::from(recovery.replay_packets) {
        let what = format!(
            "replay_packets is {}; 1.5 round trips are {packets} packets on a channel: losses may \
             go unrepaired",
            recovery.replay_packets
        );
        let right = packets.next_power_of_two().min(u128::from(MAX_PACKETS));
        let remedy =
            format!("write replay_packets = {right} in [recovery], or more channels in the path");
        report.warn(draft.replay_packets_at, what, remedy);
    }
}
