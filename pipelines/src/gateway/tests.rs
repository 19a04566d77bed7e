//! Two gateways and a wire between them that does what a test says, in virtual time.

mod follow;
mod health;
mod local;
mod marks;
mod pauses;
mod properties;
mod queues;
mod roce;
mod srv6;
mod status;
mod team;
mod tenants;
mod transparent;
mod traps;

use std::collections::BTreeMap;
use std::rc::Rc;

use dataplane::drops::DropReason;
use dataplane::memory::{Pool, PoolSettings};
use dataplane::port::{Burst, TxQueue};
use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};
use dataplane::worker::Pipeline;
use proptest::prelude::*;

use super::*;

const LAN: usize = 0;
const WAN: usize = 1;
const DELAY: Nanos = 5 * MILLISECOND;

fn settings(own: u8, peer: u8) -> Settings {
    let mac = |last| [2, 0, 0, 0, 0, last];
    let port = |role, bump| PortSettings { role, mac: mac(own), bump, next_hop: None };
    Settings {
        address: [192, 0, 2, own].into(),
        sid: None,
        ecn: true,
        udp_port: 4_794,
        outer_checksum: true,
        oversize: Oversize::Drop,
        ports: vec![port(Role::Lan, WAN), port(Role::Wan, LAN)],
        peers: vec![PeerSettings {
            name: "peer".into(),
            address: [192, 0, 2, peer].into(),
            behind: Behind::Everything,
            numbering: Numbering::Tunnel,
            carry: Carry::Ethernet,
            ttl: Ttl::Wire,
            absent: Absent::Forward,
            lan: LAN,
            source_port_entropy: false,
            key: b"a key of the pair".to_vec(),
            lanes: 16,
            paths: vec![PathSettings {
                name: "p1".into(),
                port: WAN,
                next_hop: NextHop::Mac(mac(peer)),
                weight: 1,
                capacity: None,
                channels: 2,
                mtu: 1_500,
                bfd: None,
                encapsulation: Encapsulation::Udp,
            }],
            sharing: Sharing::default(),
        }],
        recovery: RecoverySettings { replay_packets: 1 << 12, ..RecoverySettings::default() },
        tenants: Vec::new(),
        flows: None,
        backpressure: None,
        queues: None,
    }
}

/// What becomes of a frame on the wire: when each copy arrives, after how long, and as what.
type Fate<'a> = dyn FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> + 'a;

struct Side {
    gateway: Gateway,
    pool: Rc<Pool>,
    queues: Vec<TxQueue>,
    delivered: Vec<Vec<u8>>,
}

impl Side {
    fn new(settings: Settings, seed: u64, now: Time) -> Self {
        // Room for SRv6 only where there is any: bounds count whole buffers.
        let paths = settings.peers.iter().flat_map(|peer| &peer.paths);
        let shells = paths.map(|path| path.encapsulation.shell_len() as u32);
        let shell = shells.max().unwrap_or(0);
        let (buffer_bytes, headroom) = (1_024 + shell, 128 + shell);
        let cut = PoolSettings { buffers: 1 << 14, buffer_bytes, headroom };
        let pool = Rc::new(Pool::new(cut).expect("valid"));
        let mut queues = vec![TxQueue::new(512)];
        queues.resize_with(settings.ports.len(), || TxQueue::new(4_096));
        let gateway = Gateway::new(settings, Rc::clone(&pool), now, seed).expect("valid");
        Self { gateway, pool, queues, delivered: vec![] }
    }

    fn receive(&mut self, port: usize, frame: &[u8], now: Time) {
        let mut burst = Burst::new();
        burst.push(self.pool.copy(frame).expect("buffers"));
        self.gateway.receive(port, &mut burst, now, &mut self.queues);
        assert!(burst.is_empty());
    }

    fn sent(&mut self, port: usize) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.queues[port].pop())
            .map(|frame| frame.segments().flatten().copied().collect())
            .collect()
    }
}

struct Bed {
    sides: [Side; 2],
    /// In flight: (arrival, number) to (side and port it arrives at, bytes).
    wire: BTreeMap<(u64, u64), (usize, usize, Vec<u8>)>,
    frames: u64,
    now: Time,
}

impl Bed {
    fn new(change: impl Fn(&mut Settings)) -> Self {
        let side = |own, peer, seed| {
            let mut settings = settings(own, peer);
            change(&mut settings);
            Side::new(settings, seed, Time::ZERO)
        };
        let sides = [side(1, 2, 11), side(2, 1, 22)];
        Self { sides, wire: BTreeMap::new(), frames: 0, now: Time::ZERO }
    }

    fn up(change: impl Fn(&mut Settings)) -> Self {
        let mut bed = Self::new(change);
        bed.run(100 * MILLISECOND, &mut perfect);
        assert!(bed.sides.iter().all(|side| side.gateway.established(bed.now)));
        bed
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Nanos, fate: &mut Fate<'_>) {
        let end = self.now.after(span);
        loop {
            self.collect(fate);
            let timers = self.sides.iter().filter_map(|side| side.gateway.next_deadline());
            let arrival = self.wire.keys().next().map(|&(at, _)| Time(at));
            let next = timers.chain(arrival).min().map_or(end, |next| next.max(self.now));
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            while let Some(entry) = self.wire.first_entry()
                && entry.key().0 <= self.now.0
            {
                let (side, port, frame) = entry.remove();
                self.sides[side].receive(port, &frame, self.now);
            }
            for side in &mut self.sides {
                side.gateway.expire(self.now, &mut side.queues);
            }
        }
    }

    /// Puts what the gateways sent on the wire, or hands it to their LANs.
    fn collect(&mut self, fate: &mut Fate<'_>) {
        for from in 0..2 {
            let delivered = self.sides[from].sent(LAN);
            self.sides[from].delivered.extend(delivered);
            for port in WAN..self.sides[from].queues.len() {
                for frame in self.sides[from].sent(port) {
                    for (delay, copy) in fate(self.frames, &frame) {
                        self.frames += 1;
                        self.wire.insert((self.now.0 + delay, self.frames), (1 - from, port, copy));
                    }
                    self.frames += 1;
                }
            }
        }
    }

    /// Site `from` sends frame `number` of `stream`.
    fn send(&mut self, from: usize, stream: u8, number: u32, len: usize) {
        let frame = frame(stream, number, len);
        let now = self.now;
        self.sides[from].receive(LAN, &frame, now);
    }

    fn counters(&self, side: usize) -> &Counters {
        self.sides[side].gateway.counters()
    }

    /// Nothing is left anywhere once both gateways let go.
    fn assert_no_leak(&mut self) {
        for side in &mut self.sides {
            side.gateway.clear();
            side.queues.iter_mut().for_each(|queue| while queue.pop().is_some() {});
            assert_eq!(side.pool.stats().in_use, 0);
            assert_eq!(side.gateway.replay_memory().bytes, 0);
        }
    }
}

/// An Ethernet frame of no particular protocol, between two stations of its stream.
fn frame(stream: u8, number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 1, stream, 2, 0, 0, 0, 2, stream, 0x88, 0xb5];
    frame.extend(number.to_be_bytes());
    let body = (frame.len()..len.max(18)).map(|i| (i as u32 ^ number.wrapping_mul(31)) as u8);
    frame.extend(body.collect::<Vec<_>>());
    frame
}

fn perfect(_: u64, frame: &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    vec![(DELAY, frame.to_vec())]
}

fn is_control(frame: &[u8]) -> bool {
    frame[42] & 0xf == 0
}

/// What of `stream` arrived at `side`, in the order it did.
fn numbers(bed: &Bed, side: usize, stream: u8) -> Vec<u32> {
    let of_stream = bed.sides[side].delivered.iter().filter(|frame| frame[5] == stream);
    of_stream.map(|frame| u32::from_be_bytes(*frame[14..].first_chunk().expect("long"))).collect()
}

#[test]
fn a_session_begins_and_packets_cross_unaltered() {
    let mut bed = Bed::up(|_| {});
    for number in 0..100 {
        bed.send(0, 1, number, 18 + number as usize * 10);
        bed.send(1, 2, number, 64);
    }
    bed.run(50 * MILLISECOND, &mut perfect);
    let sent: Vec<_> = (0..100).map(|n| frame(1, n, 18 + n as usize * 10)).collect();
    assert_eq!(bed.sides[1].delivered, sent);
    assert_eq!(numbers(&bed, 0, 2), (0..100).collect::<Vec<_>>());
    assert_eq!(bed.counters(0).unprotected, 0);
    assert_eq!(bed.counters(0).drops.total() + bed.counters(1).drops.total(), 0);
    assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0), "all is confirmed");
    assert_eq!(bed.counters(0).resent.packets, 0);
    bed.assert_no_leak();
}

#[test]
fn a_lost_packet_is_repaired_in_order_with_a_second_copy_to_be_sure() {
    let mut bed = Bed::up(|_| {});
    for number in 0..50 {
        bed.send(0, 1, number, 200);
    }
    let mut data = 0;
    bed.run(100 * MILLISECOND, &mut |_, frame| {
        data += u64::from(!is_control(frame));
        if data == 20 && !is_control(frame) { vec![] } else { perfect(0, frame) }
    });
    assert_eq!(numbers(&bed, 1, 1), (0..50).collect::<Vec<_>>());
    assert_eq!((bed.counters(0).resent.packets, bed.counters(1).repaired), (2, 1));
    assert_eq!((bed.counters(1).nacks_sent, bed.counters(1).gave_up), (2, 0));
    assert_eq!(bed.counters(1).drops.packets(DropReason::WanDuplicate), 1);
    bed.assert_no_leak();
}

#[test]
fn a_round_trip_first_measured_too_long_is_put_right() {
    // Both gateways start while the machine does: the first hellos take 60 ms each way.
    let mut bed = Bed::new(|_| {});
    bed.run(200 * MILLISECOND, &mut |_, frame| vec![(60 * MILLISECOND, frame.to_vec())]);
    assert!(bed.sides.iter().all(|side| side.gateway.established(bed.now)));
    bed.run(2 * SECOND, &mut perfect);
    let mut data = 0;
    for number in 0..100 {
        bed.send(0, 1, number, 200);
        bed.run(MILLISECOND, &mut |_, frame| {
            data += u64::from(!is_control(frame));
            if !is_control(frame) && data % 10 == 5 { vec![] } else { perfect(0, frame) }
        });
    }
    bed.run(SECOND, &mut perfect);
    assert_eq!(numbers(&bed, 1, 1), (0..100).collect::<Vec<_>>());
    let Counters { repaired, reordered, .. } = bed.counters(1).clone();
    assert!(repaired > 8 && reordered == 0, "{repaired} repaired, {reordered} late");
}

#[test]
fn a_lost_tail_is_found_by_the_probe() {
    let mut bed = Bed::up(|_| {});
    bed.send(0, 1, 0, 200);
    let mut data = 0;
    bed.run(100 * MILLISECOND, &mut |_, frame| {
        data += u64::from(!is_control(frame));
        if data == 1 && !is_control(frame) { vec![] } else { perfect(0, frame) }
    });
    assert_eq!(numbers(&bed, 1, 1), [0]);
    assert_eq!(bed.sides[0].gateway.outstanding(), (0, 0));
}

#[test]
fn a_repair_that_is_lost_again_is_asked_for_again() {
    let mut bed = Bed::up(|_| {});
    for number in 0..10 {
        bed.send(0, 1, number, 200);
    }
    let mut losses = 0;
    bed.run(SECOND, &mut |_, bytes| {
        let third = bytes.len() > 78 && bytes[58..] == frame(1, 3, 200);
        losses += u32::from(third && losses < 4);
        if third && losses < 4 { vec![] } else { perfect(0, bytes) }
    });
    assert_eq!(numbers(&bed, 1, 1), (0..10).collect::<Vec<_>>());
    assert_eq!((bed.counters(0).resent.packets, bed.counters(1).gave_up), (4, 0));
}

#[test]
fn what_the_send_side_no_longer_has_is_given_up_at_once() {
    let mut bed = Bed::up(|settings| settings.recovery.replay_bytes = 128 << 10);
    for number in 0..400 {
        bed.send(0, 1, number, 200);
    }
    assert!(bed.sides[0].gateway.replay_memory().high_water <= 128 << 10);
    let mut data = 0;
    bed.run(40 * MILLISECOND, &mut |_, frame| {
        data += u64::from(!is_control(frame));
        if data == 3 && !is_control(frame) { vec![] } else { perfect(0, frame) }
    });
    let expected: Vec<u32> = (0..400).filter(|&n| n != 2).collect();
    assert_eq!(numbers(&bed, 1, 1), expected);
    assert_eq!(bed.counters(1).gave_up, 1);
    assert!(bed.sides[0].gateway.replay_memory().evicted > 0);
    bed.assert_no_leak();
}

#[test]
fn a_full_hold_buffer_gives_up_in_the_open() {
    let mut bed = Bed::up(|settings| settings.recovery.hold_bytes = 128 << 10);
    for number in 0..300 {
        bed.send(0, 1, number, 200);
    }
    let lost = frame(1, 5, 200);
    bed.run(SECOND, &mut |_, bytes| {
        if bytes.ends_with(&lost) { vec![] } else { perfect(0, bytes) }
    });
    assert_eq!(numbers(&bed, 1, 1), (0..300).filter(|&n| n != 5).collect::<Vec<_>>());
    assert_eq!(bed.counters(1).gave_up, 1);
    assert!(bed.sides[1].gateway.held_high_water_bytes() <= 128 << 10);
    bed.assert_no_leak();
}

#[test]
fn nothing_waits_longer_than_the_hold_age() {
    let mut bed = Bed::up(|settings| settings.recovery.hold_age = 50 * MILLISECOND);
    for number in 0..10 {
        bed.send(0, 1, number, 200);
    }
    let lost = frame(1, 5, 200);
    let mut always = |_: u64, bytes: &[u8]| {
        if bytes.ends_with(&lost) { vec![] } else { perfect(0, bytes) }
    };
    bed.run(54 * MILLISECOND, &mut always);
    assert_eq!(numbers(&bed, 1, 1), [0, 1, 2, 3, 4]);
    bed.run(3 * MILLISECOND, &mut always);
    assert_eq!(numbers(&bed, 1, 1), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
}

#[test]
fn a_restarted_gateway_neither_deadlocks_nor_takes_old_numbers() {
    let mut bed = Bed::up(|_| {});
    for number in 0..20 {
        bed.send(0, 1, number, 100);
    }
    bed.run(20 * MILLISECOND, &mut perfect);
    let now = bed.now;
    bed.sides[1] = Side::new(settings(2, 1), 33, now);
    for number in 20..30 {
        bed.send(0, 1, number, 100);
    }
    bed.run(100 * MILLISECOND, &mut perfect);
    assert_eq!(bed.counters(1).drops.packets(DropReason::WanStaleSession), 10);
    for number in 30..50 {
        bed.send(0, 1, number, 100);
        bed.send(1, 2, number, 100);
    }
    bed.run(100 * MILLISECOND, &mut perfect);
    assert_eq!(numbers(&bed, 1, 1), (30..50).collect::<Vec<_>>());
    assert_eq!(numbers(&bed, 0, 2), (30..50).collect::<Vec<_>>());
    assert_eq!((bed.counters(0).sessions, bed.counters(1).sessions), (2, 1));
    bed.assert_no_leak();
}

#[test]
fn without_a_peer_packets_are_forwarded_bare_and_counted() {
    let mut bed = Bed::new(|_| {});
    bed.send(0, 1, 0, 100);
    assert_eq!(bed.sides[0].sent(WAN), [frame(1, 0, 100)]);
    assert_eq!(bed.counters(0).unprotected, 1);
    let now = bed.now;
    bed.sides[1].receive(WAN, &frame(1, 0, 100), now);
    assert_eq!(bed.sides[1].sent(LAN), [frame(1, 0, 100)]);
}

#[test]
fn oversize_is_dropped_or_forwarded_as_configured() {
    // 1500 - 44 of overhead - the Ethernet header carried
    let largest = 1_456;
    for (oversize, crossed) in [(Oversize::Drop, 1), (Oversize::Forward, 2)] {
        let mut bed = Bed::up(|settings| settings.oversize = oversize);
        bed.send(0, 1, 0, largest);
        bed.send(0, 1, 1, largest + 1);
        bed.run(20 * MILLISECOND, &mut |_, frame| {
            assert!(frame.len() <= 1_514);
            perfect(0, frame)
        });
        assert_eq!(bed.sides[1].delivered.len(), crossed);
        let dropped = bed.counters(0).drops.packets(DropReason::LanOversize);
        assert_eq!(
            (dropped + bed.counters(0).oversize_forwarded, dropped),
            (1, 2 - crossed as u64)
        );
    }
}

#[test]
fn control_messages_are_neither_forged_nor_replayed() {
    let mut bed = Bed::up(|_| {});
    for number in 0..200 {
        bed.send(0, 1, number, 100);
    }
    let mut recorded = Vec::new();
    bed.run(50 * MILLISECOND, &mut |_, frame| {
        if is_control(frame) {
            recorded.push(frame.to_vec());
        }
        perfect(0, frame)
    });
    let now = bed.now;
    let before = bed.counters(0).clone();
    for message in &recorded {
        bed.sides[0].receive(WAN, message, now);
        bed.sides[1].receive(WAN, message, now);
    }
    let replayed = |side: usize| bed.counters(side).drops.packets(DropReason::ControlReplayed);
    assert!(replayed(0) > 0 && replayed(1) > 0);
    assert_eq!(bed.counters(0).resent, before.resent);
    let mut forged = recorded[0].clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    forged[40..42].fill(0); // no UDP checksum: the MAC must notice
    let mut plain = Bed::up(|settings| settings.outer_checksum = false);
    plain.sides[1].receive(WAN, &forged, now);
    assert_eq!(plain.counters(1).drops.packets(DropReason::ControlAuthentication), 1);
}

#[test]
fn carried_as_ip_the_far_side_writes_the_ethernet_header() {
    let next_hop = [2, 9, 9, 9, 9, 9];
    let mut bed = Bed::up(|settings| {
        settings.peers[0].carry = Carry::Ip;
        let prefix = Prefix { address: [10, 0, 0, 0].into(), length: 8 };
        settings.peers[0].behind = Behind::Prefixes(vec![prefix]);
        settings.ports[LAN].next_hop = Some(NextHop::Mac(next_hop));
    });
    let mut packet = frame(1, 0, 64);
    packet[12..24].copy_from_slice(&[0x08, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17]);
    packet[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    let now = bed.now;
    bed.sides[0].receive(LAN, &packet, now);
    bed.sides[0].receive(LAN, &frame(1, 7, 64), now);
    bed.run(20 * MILLISECOND, &mut perfect);
    let expected = [&next_hop[..], &[2, 0, 0, 0, 0, 2], &packet[12..]].concat();
    assert_eq!(bed.sides[1].delivered, [expected, frame(1, 7, 64)]);
    // The largest IP packet, in a tagged frame: the tag stays behind with the Ethernet header.
    for (len, fits) in [(1_456, 1), (1_457, 0)] {
        bed.sides[1].delivered.clear();
        let mut tagged = [&packet[..12], &[0x81, 0, 0, 7], &packet[12..]].concat();
        tagged.resize(18 + len, 0xaa);
        let now = bed.now;
        bed.sides[0].receive(LAN, &tagged, now);
        bed.run(20 * MILLISECOND, &mut perfect);
        assert_eq!(bed.sides[1].delivered.len(), fits, "{len}");
    }
    assert_eq!(bed.counters(0).drops.packets(DropReason::LanOversize), 1);
}
