//! What follows from traffic and paths: windows, the line of the hosts, room in the gateways.

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, SECOND};

use super::{Mix, Traffic};
use crate::link;
use crate::rnic::{Behaviour, QpSettings, Receives};
use crate::scenario::{Bounds, PathScenario};

/// What counts as the rate of all paths if one has none: bits a second.
const UNLIMITED_RATE: u64 = 100_000_000_000;
/// A host's line is that much faster than all paths together: one stands here for the many of a
/// site, and what it sends in vain (repeats that are absorbed) must not count as the network's.
const FASTER: u64 = 16;
/// The wait for a path at which a host stops...
const PAUSE: Nanos = 20 * MICROSECOND;
/// ... or where its line says what is offered to several.
const QUEUES: Nanos = 5 * MILLISECOND;
/// Bandwidth-delay products that may be under way: repairs take round trips, and nobody should
/// have to wait for them.
const PRODUCTS: u64 = 4;
/// Packets that each queue pair may have under way at least.
const MIN_WINDOW: u64 = 16;
/// Trips across the longest path for which the number of a queue pair rests: its last packets, and
/// two rounds of repairs.
const TRIPS: u64 = 5;
/// The largest window of a queue pair: half of the packets that can be numbered.
const MAX_WINDOW: u64 = 1 << 22;
/// READs and atomics that a queue pair may have outstanding at least.
const MIN_READS: u64 = 16;
/// And at most: CM's Responder Resources and Initiator Depth have 8 bits (IBA, 12.7.29 and 12.7.30).
pub(super) const MAX_READS: u64 = 255;
/// Packets of a gateway beyond those under way.
const SLACK: u64 = 1 << 12;
/// Default memory of a replay or hold buffer at most: two of each are in one machine. Who has more
/// under way has to say so.
const MAX_BOUND: u64 = 2 << 30;
/// Room for headers before a packet's payload and behind it, those of the tunnel included.
const HEADERS: u32 = 384;
/// What a packet buffer takes beyond its own bytes.
const BUFFER_HEADER: u32 = 64;

/// What follows from traffic and paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Bytes that a site may have under way, over all queue pairs.
    pub window_bytes: u64,
    /// Packets that a queue pair may have under way.
    pub window_packets: u32,
    /// READs and atomics that a queue pair may have outstanding.
    pub reads: u32,
    /// A host's line: bits a second.
    pub line_rate: u64,
    /// The wait for a path at which a host stops to send.
    pub pause: Nanos,
    /// How long a queue pair's number rests before it is another one's: what is under way, and
    /// copies and repairs of it, arrive in that time if they ever do.
    pub time_wait: Nanos,
    /// Bytes of a packet buffer: one holds a packet of the largest payload with all its headers.
    pub buffer_bytes: u32,
    /// Packets of all queue pairs that may be under way, at most as many as there are.
    under_way: u64,
    /// Sites that ask.
    askers: u64,
}

impl Plan {
    /// From what is asked for.
    #[must_use]
    pub fn new(traffic: &Traffic, paths: &[PathScenario]) -> Self {
        let wide_rate = wide_rate(paths);
        let line_rate = traffic.line.unwrap_or_else(|| wide_rate.saturating_mul(FASTER));
        let window = traffic.window.unwrap_or_else(|| PRODUCTS * round_trips(paths, wide_rate));
        let qps = u64::from(traffic.qps.max(1));
        let pmtu = traffic.pmtu.bytes();
        let window_packets = (window / qps / u64::from(pmtu)).clamp(MIN_WINDOW, MAX_WINDOW);
        let packets = u64::from(traffic.pmtu.packets(traffic.size));
        let reads = match traffic.verb {
            Mix::Atomic => MIN_READS,
            _ => window_packets.div_ceil(packets).clamp(MIN_READS, MAX_READS),
        };
        let buffer_bytes = pmtu + HEADERS;
        let under_way = qps * window_packets.min(u64::from(traffic.messages) * packets);
        Self {
            window_bytes: window_packets * qps * u64::from(pmtu),
            window_packets: window_packets as u32,
            reads: traffic.reads.unwrap_or(reads as u32),
            line_rate,
            pause: match traffic.line {
                Some(_) if paths.len() > 1 => QUEUES,
                _ => PAUSE,
            },
            time_wait: TRIPS * longest(paths) + MILLISECOND,
            buffer_bytes,
            under_way,
            askers: [0, 1].into_iter().filter(|&side| traffic.direction.asks(side)).count() as u64,
        }
    }

    /// Of several together, of which gateways have to have room for all.
    #[must_use]
    pub fn of_all(groups: &[Traffic], paths: &[PathScenario]) -> Self {
        let plans = groups.iter().map(|traffic| Self::new(traffic, paths));
        let both = |all: Self, one: Self| Self {
            window_bytes: all.window_bytes.saturating_add(one.window_bytes),
            buffer_bytes: all.buffer_bytes.max(one.buffer_bytes),
            under_way: all.under_way.saturating_add(one.under_way),
            askers: all.askers.max(one.askers),
            ..all
        };
        plans.reduce(both).unwrap_or_else(|| Self::new(&Traffic::default(), paths))
    }

    /// Gateways that have room for one and a half times what may be under way.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let packets = self.under_way * 3 / 2 + SLACK;
        let bytes = (packets * u64::from(self.buffer_bytes + BUFFER_HEADER)).min(MAX_BOUND);
        Bounds { replay_bytes: bytes, hold_bytes: bytes, ..Bounds::default() }
    }

    /// Packet buffers that a gateway can come to need for what it keeps and holds: windows bound
    /// that more tightly than replay and hold buffer, of which one is nearly empty where one site
    /// asks. All memory of a pool is touched when it is made, which takes longer than a short run.
    #[must_use]
    pub fn buffers(&self, bounds: &Bounds) -> u64 {
        let under_way = self.under_way * self.askers;
        let allowed = self.packets_in(bounds.replay_bytes) + self.packets_in(bounds.hold_bytes);
        allowed.min(under_way + under_way / 4 + SLACK)
    }

    /// Packets that `bytes` of a gateway's memory hold.
    #[must_use]
    pub fn packets_in(&self, bytes: u64) -> u64 {
        bytes / u64::from(self.buffer_bytes + BUFFER_HEADER)
    }

    /// How the queue pair at `place` is set up.
    #[must_use]
    pub fn qp(&self, traffic: &Traffic, place: usize) -> QpSettings {
        QpSettings {
            dscp: traffic.dscp_of(place),
            dcqcn: traffic.dcqcn.then_some(self.line_rate),
            source_port: traffic.port,
            pmtu: traffic.pmtu,
            window: self.window_packets,
            max_reads: self.reads,
            retry_cnt: traffic.retry,
            timer: traffic.timer,
            receives: traffic.rnr.map_or(Receives::Endless, Receives::RnrEvery),
            behaviour: Behaviour::default(),
            ..QpSettings::default()
        }
    }

    /// How long a frame takes a host's line.
    #[inline]
    #[must_use]
    pub fn line_time(&self, frame: usize) -> Nanos {
        link::line_time(link::line_bytes(frame), self.line_rate)
    }
}

/// The longest one-way delay of all paths.
fn longest(paths: &[PathScenario]) -> Nanos {
    paths.iter().map(|path| path.does.delay).max().unwrap_or(0)
}

/// The rates of all paths together.
fn wide_rate(paths: &[PathScenario]) -> u64 {
    let rates: Option<Vec<u64>> = paths.iter().map(|path| path.does.rate).collect();
    rates.map_or(UNLIMITED_RATE, |rates| rates.into_iter().fold(0, u64::saturating_add)).max(1)
}

/// Bytes that all paths together carry in a round trip of the longest.
fn round_trips(paths: &[PathScenario], rate: u64) -> u64 {
    let bits = u128::from(rate) * 2 * u128::from(longest(paths)) / u128::from(SECOND);
    u64::try_from(bits / 8).unwrap_or(u64::MAX / PRODUCTS).min(u64::MAX / PRODUCTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rnic::Pmtu;

    fn plan(traffic: &str, paths: &[&str]) -> Plan {
        let paths: Vec<_> = paths.iter().map(|path| path.parse().expect("a path")).collect();
        Plan::new(&traffic.parse().expect("traffic"), &paths)
    }

    #[test]
    fn the_window_is_four_products_shared_by_the_queue_pairs() {
        let far = ["p1,rate=60G,delay=1ms", "p2,rate=40G,delay=2.5ms"];
        let plan = plan("verb=write,qps=16,messages=10000", &far);
        assert_eq!(plan.line_rate, 1_600_000_000_000);
        // 4 × 100 Gbit/s × 5 ms are 250 MB.
        assert_eq!(plan.window_packets, 250_000_000 / 16 / 4096);
        assert_eq!(plan.reads, 16);
        assert!(plan.bounds().replay_bytes > 250_000_000 * 3 / 2);
    }

    #[test]
    fn small_and_large_windows_have_bounds() {
        let near = plan("verb=read,qps=1000,size=1KiB,messages=1", &["p1"]);
        assert_eq!((near.line_rate / FASTER, near.window_packets), (UNLIMITED_RATE, 16));
        assert_eq!(near.reads, 16);
        // No more room than there are messages, and some.
        assert_eq!(near.packets_in(near.bounds().hold_bytes), 1_500 + SLACK);
        let far = plan("verb=read,size=1KiB,messages=999999", &["p1,delay=60s"]);
        assert_eq!(far.window_packets, MAX_WINDOW as u32);
        assert_eq!((far.bounds().replay_bytes, far.reads), (MAX_BOUND, MAX_READS as u32));
    }

    #[test]
    fn gateways_have_room_for_all() {
        let near = |text: &str| text.parse::<Traffic>().expect("traffic");
        let groups = [near("verb=write"), near("verb=write,qps=2,pmtu=1024,direction=both")];
        let [one, two] = groups.each_ref().map(|traffic| Plan::new(traffic, &[]));
        let all = Plan::of_all(&groups, &[]);
        assert_eq!(all.under_way, one.under_way + two.under_way);
        assert_eq!((all.askers, all.buffer_bytes), (2, one.buffer_bytes));
        assert_eq!(Plan::of_all(&groups[..1], &[]), one);
    }

    #[test]
    fn what_is_said_counts() {
        let traffic = Traffic { pmtu: Pmtu::B1024, window: Some(1 << 20), ..Traffic::default() };
        let plan = Plan::new(&Traffic { reads: Some(3), qps: 4, ..traffic.clone() }, &[]);
        assert_eq!((plan.window_packets, plan.reads, plan.buffer_bytes), (256, 3, 1408));
        let traffic = Traffic { rnr: Some(5), retry: 2, dscp: vec![3, 4], ..traffic };
        let qp = plan.qp(&traffic, 3);
        assert_eq!(qp.dscp, 4);
        assert_eq!((qp.window, qp.max_reads, qp.retry_cnt), (256, 3, 2));
        assert_eq!(qp.receives, Receives::RnrEvery(5));
    }
}
