//! A pair of gateways over in-memory ports, with a WAN between them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use dataplane::memory::{Packet, Pool, PoolSettings};
use dataplane::port::ring::{self, RingPeer};
use dataplane::time::{Clock, MICROSECOND, Nanos, Time};
use dataplane::worker::Worker;
use pipelines::gateway::{
    Absent, Behind, Carry, Encapsulation, Gateway, NextHop, Numbering, Oversize, PathSettings,
    PeerSettings, PortSettings, RecoverySettings, Role, Settings, Sharing, Ttl,
};

/// The worker's LAN port.
pub const LAN: usize = 0;
/// The worker's WAN port.
pub const WAN: usize = 1;
const RING: usize = 1 << 10;

/// What crosses, and what the WAN does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of RDMA payload a packet.
    pub payload: usize,
    /// Delay of the WAN, one way.
    pub delay: Nanos,
    /// Whether the outer UDP checksum is computed and checked.
    pub checksum: bool,
    /// Loses every so many-th packet from side 0 to side 1; 0: none.
    pub drop_every: u64,
    /// Packets that fit the memory of a side, and each of its tables: more than a round trip of
    /// them, a power of two.
    pub buffers: u32,
}

impl Load {
    /// Small packets over a short way, all of which arrive.
    pub const BASE: Self = Self {
        payload: 256,
        delay: 2 * MICROSECOND,
        checksum: false,
        drop_every: 0,
        buffers: 1 << 17,
    };
}

/// A gateway's settings: one peer that carries everything, one path, one channel.
#[must_use]
pub fn settings(own: u8, peer: u8, load: &Load) -> Settings {
    let mac = |last| [2, 0, 0, 0, 0, last];
    let port = |role, bump| PortSettings { role, mac: mac(own), bump, next_hop: None };
    Settings {
        address: [192, 0, 2, own].into(),
        sid: None,
        ecn: true,
        udp_port: 4_794,
        outer_checksum: load.checksum,
        oversize: Oversize::Drop,
        ports: vec![port(Role::Lan, WAN), port(Role::Wan, LAN)],
        peers: vec![PeerSettings {
            name: "far".into(),
            address: [192, 0, 2, peer].into(),
            behind: Behind::Everything,
            numbering: Numbering::Tunnel,
            carry: Carry::Ethernet,
            ttl: Ttl::Wire,
            absent: Absent::Forward,
            lan: LAN,
            source_port_entropy: false,
            key: vec![7; 32],
            lanes: 4_096,
            paths: vec![PathSettings {
                name: "p1".into(),
                port: WAN,
                next_hop: NextHop::Mac(mac(peer)),
                weight: 1,
                capacity: None,
                channels: 1,
                mtu: 9_000,
                bfd: None,
                encapsulation: Encapsulation::Udp,
            }],
            sharing: Sharing::default(),
        }],
        recovery: RecoverySettings {
            replay_packets: load.buffers,
            hold_packets: load.buffers,
            replay_bytes: 1 << 30,
            hold_bytes: 256 << 20,
            ..RecoverySettings::default()
        },
        tenants: Vec::new(),
        flows: Some(pipelines::flows::Settings::default()),
        backpressure: None,
        queues: None,
    }
}

/// A worker with its gateway.
pub type Node = Worker<Gateway>;

/// One gateway with its worker, and the far ends of its ports.
pub struct Side {
    /// The worker under test.
    pub worker: Node,
    /// The far end of its LAN port.
    pub lan: RingPeer,
    /// The far end of its WAN port.
    pub wan: RingPeer,
    /// Where its packets live.
    pub pool: Rc<Pool>,
    /// What is on its way to it across the WAN: arrival, packet (in its own memory already, as a
    /// NIC would have put it).
    inbound: VecDeque<(Time, Packet)>,
}

impl Side {
    fn new(settings: Settings, clock: Clock, buffers: u32, seed: u64) -> Self {
        let (lan, lan_end) = ring::pair(RING);
        let (wan, wan_end) = ring::pair(RING);
        let cut = PoolSettings { buffers, buffer_bytes: 2_048, headroom: 128 };
        let pool = Rc::new(Pool::new(cut).expect("valid pool"));
        let now = clock.now();
        let gateway =
            Gateway::new(settings.clone(), Rc::clone(&pool), now, seed).expect("valid settings");
        let worker = Worker::new(vec![Box::new(lan), Box::new(wan)], RING, gateway, clock);
        let inbound = VecDeque::with_capacity(buffers as usize);
        Self { worker, lan: lan_end, wan: wan_end, pool, inbound }
    }
}

/// Two gateways joined by a WAN of a fixed delay, and a hand on their clock.
pub struct Pair {
    /// Both sides.
    pub sides: [Side; 2],
    hand: Rc<Cell<Time>>,
    load: Load,
    scratch: Vec<u8>,
    /// Packets that side 0 has sent across the WAN.
    crossed: u64,
}

impl Pair {
    /// A pair whose session is up.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let (clock, hand) = Clock::virtual_at(Time::ZERO);
        let side = |own, peer| {
            Side::new(settings(own, peer, &load), clock.clone(), load.buffers, own.into())
        };
        let sides = [side(1, 2), side(2, 1)];
        let scratch = Vec::with_capacity(1 << 16);
        let mut pair = Self { sides, hand, load, scratch, crossed: 0 };
        // In small steps: the round trip that the hellos measure is as long as it is.
        while !pair.sides.iter().all(|side| side.worker.pipeline().established(pair.now())) {
            pair.step(10 * MICROSECOND);
        }
        pair
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.hand.get()
    }

    /// Lets `span` pass, and both workers do what there is to do.
    pub fn step(&mut self, span: Nanos) {
        self.step_metered(span, &mut |_, worker| worker.round());
    }

    /// As [`Pair::step`], with a meter around every round of a worker: it is told the side, calls
    /// the round, and hands on what that returned. What ports and WAN do is outside.
    ///
    /// # Panics
    /// If the load's memory does not hold what is on the way.
    pub fn step_metered(&mut self, span: Nanos, meter: &mut impl FnMut(usize, &mut Node) -> bool) {
        self.hand.set(self.now().after(span));
        for to in 0..2 {
            let now = self.now();
            let side = &mut self.sides[to];
            while side.inbound.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, packet)) = side.inbound.pop_front() else { break };
                side.wan.inject(packet).expect("the ring holds what arrives in a step");
            }
            while meter(to, &mut side.worker) && side.wan.waiting() + side.lan.waiting() > 0 {}
            while side.lan.take().is_some() {}
            self.cross(to);
        }
    }

    /// Puts what side `from` sent on its way.
    fn cross(&mut self, from: usize) {
        let at = self.now().after(self.load.delay);
        let [a, b] = &mut self.sides;
        let (from_side, to) = if from == 0 { (a, b) } else { (b, a) };
        while let Some(frame) = from_side.wan.take() {
            self.crossed += u64::from(from == 0);
            let lost =
                self.load.drop_every > 0 && self.crossed.is_multiple_of(self.load.drop_every);
            if from == 0 && lost {
                continue;
            }
            let head = frame.head();
            let bytes = if head.len() == frame.len() {
                head
            } else {
                self.scratch.clear();
                frame.segments().for_each(|segment| self.scratch.extend_from_slice(segment));
                &self.scratch
            };
            // Nothing but what the load says is lost.
            let packet = to.pool.copy(bytes).expect("the pool holds what is on the way");
            to.inbound.push_back((at, packet));
        }
    }
}
