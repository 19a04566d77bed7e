//! Two gateways with a session, and any frames on both of their sides.
//!
//! The input is a list of steps: a byte that says what happens, and for frames a length and the
//! bytes. Frames from the LAN go on to the other gateway as it would get them, or damaged. Must
//! hold: no panic, bounded memory, and no buffer is left in use once both gateways let go.
#![no_main]

use std::cell::Cell;
use std::net::Ipv6Addr;
use std::rc::Rc;

use dataplane::memory::{Pool, PoolSettings};
use dataplane::port::{Burst, TxQueue};
use dataplane::time::{MILLISECOND, Time};
use dataplane::worker::Pipeline;
use libfuzzer_sys::fuzz_target;
use pipelines::backpressure::{Limits, StopperSettings};
use pipelines::flows;
use pipelines::gateway::{
    Absent, BackpressureSettings, Behind, Carry, Encapsulation, Gateway, NextHop, Numbering,
    Oversize, PathSettings, PeerSettings, PfcSettings, PortSettings, QueueSettings,
    RecoverySettings, Role, Segments, Settings, Sharing, Ttl,
};
use pipelines::pfc::Mode;
use pipelines::queueing::{CLASSES, Classes, Marking, TenantQueues, Thresholds};

const LAN: usize = 0;
const WAN: usize = 1;
/// Most bytes of a frame, and most steps of an input.
const MAX_FRAME: usize = 2_048;
const MAX_STEPS: usize = 256;

fn settings(own: u8, peer: u8, (numbering, way, waits): Kind) -> Settings {
    let sid = |site| Ipv6Addr::new(0x2001, 0xdb8, site, 0, 0, 0, 0, 0xd46);
    let mac = |last| [2, 0, 0, 0, 0, last];
    let port = |role, bump| PortSettings { role, mac: mac(own), bump, next_hop: None };
    Settings {
        address: [192, 0, 2, own].into(),
        sid: Some(sid(own.into())),
        ecn: true,
        udp_port: 4_794,
        outer_checksum: true,
        oversize: Oversize::Drop,
        ports: vec![port(Role::Lan, WAN), port(Role::Wan, LAN)],
        peers: vec![PeerSettings {
            name: "peer".into(),
            address: [192, 0, 2, peer].into(),
            behind: Behind::Everything,
            numbering,
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
                encapsulation: match way {
                    Way::Udp => Encapsulation::Udp,
                    Way::Srv6 { reduced } => {
                        Encapsulation::Srv6(Segments { list: vec![sid(peer.into())], reduced })
                    }
                },
            }],
            sharing: Sharing::default(),
        }],
        recovery: RecoverySettings {
            replay_packets: 1 << 6,
            replay_bytes: 128 << 10,
            hold_bytes: 128 << 10,
            // Tables are made anew for each input: small ones, and what they are too small for
            // happens more often.
            hold_packets: 1 << 6,
            holes: 1 << 6,
            streams: 1 << 4,
            ..RecoverySettings::default()
        },
        tenants: Vec::new(),
        flows: Some(flows::Settings { subflows: 8, flows: 8, ..flows::Settings::default() }),
        backpressure: (waits && numbering == Numbering::Tunnel).then(backpressure),
        queues: waits.then(queues),
    }
}

/// Hosts may pause, and be paused.
fn backpressure() -> BackpressureSettings {
    let pfc = PfcSettings { mode: Mode::Pfc, quanta: u16::MAX, rate: 1_000_000_000 };
    BackpressureSettings {
        ports: vec![Some(pfc), None],
        priorities: vec![[3; CLASSES]],
        policed: Vec::new(),
        limits: Limits::default(),
        stops: StopperSettings::default(),
    }
}

/// A queue that is soon full, tells its senders, and marks.
fn queues() -> QueueSettings {
    let thresholds =
        Thresholds { reserved: 0, alpha: 500, headroom: 4_096, xoff: 4_096, xon: 2_048 };
    let marking = Some(Marking { min: 1_024, max: 8_192, most: 500, notify: Some(MILLISECOND) });
    let tenant = TenantQueues { weight: 1, rate: None, thresholds: TenantQueues::per_class(thresholds, thresholds, 2), marking };
    QueueSettings {
        classes: Classes::default(),
        pool_bytes: 128 << 10,
        packets: 1 << 6,
        port_rates: vec![None, None],
        tenants: vec![tenant],
    }
}

/// How packets are numbered, what is around them, and whether they wait in queues.
type Kind = (Numbering, Way, bool);

/// What is around packets between the gateways.
#[derive(Clone, Copy)]
enum Way {
    Udp,
    Srv6 { reduced: bool },
}

struct Side {
    gateway: Gateway,
    pool: Rc<Pool>,
    queues: Vec<TxQueue>,
}

impl Side {
    fn new(own: u8, peer: u8, kind: Kind) -> Self {
        let cut = PoolSettings { buffers: 1 << 9, buffer_bytes: 1_152, headroom: 192 };
        let pool = Rc::new(Pool::new(cut).expect("valid"));
        let settings = settings(own, peer, kind);
        let gateway = Gateway::new(settings, Rc::clone(&pool), Time::ZERO, own.into());
        let queues = vec![TxQueue::new(64), TxQueue::new(64)];
        Self { gateway: gateway.expect("valid"), pool, queues }
    }

    fn receive(&mut self, port: usize, frame: &[u8], now: Time) {
        // No buffer: the packet is lost before the gateway sees it.
        let Some(packet) = self.pool.copy(frame) else { return };
        let mut burst = Burst::new();
        burst.push(packet);
        self.gateway.receive(port, &mut burst, now, &mut self.queues);
        assert!(burst.is_empty());
    }

    fn sent(&mut self, port: usize) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.queues[port].pop())
            .map(|frame| frame.segments().flatten().copied().collect())
            .collect()
    }
}

/// Hands on what both sent, but for what `fate` keeps; frames for the LANs end there.
fn exchange(sides: &mut [Side; 2], now: Time, mut fate: impl FnMut(&mut Vec<u8>) -> bool) {
    for from in 0..2 {
        sides[from].sent(LAN);
        for mut frame in sides[from].sent(WAN) {
            if fate(&mut frame) {
                sides[1 - from].receive(WAN, &frame, now);
            }
        }
    }
}

fn advance(sides: &mut [Side; 2], now: &Cell<Time>, milliseconds: u64) {
    now.set(now.get().after(milliseconds * MILLISECOND));
    for side in sides {
        side.gateway.expire(now.get(), &mut side.queues);
    }
}

fuzz_target!(|input: &[u8]| {
    // The last byte says what kind of gateways these are, so that the first ones mean the same in all.
    let numbering = match input.last() {
        // ICRCs that are right are hard to find by chance.
        Some(last) if last & 1 == 1 => Numbering::Transparent { check_icrc: last & 2 == 2 },
        _ => Numbering::Tunnel,
    };
    let way = match input.last() {
        Some(last) if last & 4 == 4 => Way::Srv6 { reduced: last & 8 == 8 },
        _ => Way::Udp,
    };
    let kind = (numbering, way, input.last().is_some_and(|last| last & 16 == 16));
    let mut sides = [Side::new(1, 2, kind), Side::new(2, 1, kind)];
    let now = Cell::new(Time::ZERO);
    for _ in 0..20 {
        advance(&mut sides, &now, 5);
        exchange(&mut sides, now.get(), |_| true);
    }
    assert!(sides.iter().all(|side| side.gateway.established(now.get())));
    let mut rest = input;
    for _ in 0..MAX_STEPS {
        let Some((step, after)) = rest.split_first() else { break };
        rest = after;
        let side = usize::from(step >> 7);
        match step & 0x07 {
            0 | 1 => {
                let port = if step & 1 == 0 { LAN } else { WAN };
                let Some((length, after)) = rest.split_first_chunk::<2>() else { break };
                let length = usize::from(u16::from_le_bytes(*length)) % MAX_FRAME;
                let (frame, after) = after.split_at(length.min(after.len()));
                rest = after;
                sides[side].receive(port, frame, now.get());
            }
            2 => exchange(&mut sides, now.get(), |_| true),
            3 => exchange(&mut sides, now.get(), |_| false),
            4 => exchange(&mut sides, now.get(), |frame| {
                let Some((&[at, flip], after)) = rest.split_first_chunk() else { return true };
                rest = after;
                if let Some(byte) = frame.get_mut(usize::from(at)) {
                    *byte ^= flip;
                }
                true
            }),
            _ => advance(&mut sides, &now, u64::from(step >> 3 & 0x0f) * 8),
        }
    }
    for side in &mut sides {
        side.gateway.clear();
        side.queues.iter_mut().for_each(|queue| while queue.pop().is_some() {});
        assert_eq!(side.pool.stats().in_use, 0, "a buffer is lost");
        assert_eq!(side.gateway.replay_memory().bytes, 0);
    }
});
