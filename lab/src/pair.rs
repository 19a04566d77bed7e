//! A pair of gateways over in-memory ports, with a WAN between them: to measure what the worker's
//! rounds cost. Time is virtual; what stands in for NICs and network is outside of the rounds.

pub mod frames;
pub mod traffic;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use dataplane::memory::{Packet, Pool, PoolSettings};
use dataplane::port::ring::{self, RingPeer};
use dataplane::time::{Clock, MICROSECOND, Nanos, Time};
use dataplane::worker::Worker;
use pipelines::gateway::{
    Absent, Behind, Carry, Encapsulation, Gateway, NextHop, Numbering, Oversize, PathSettings,
    PeerSettings, PortSettings, RecoverySettings, Role, Settings, SettingsError, Sharing, Ttl,
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
    /// Bytes of a buffer, [`HEADROOM`] included; a larger packet takes several.
    pub buffer_bytes: u32,
    /// Time from one burst to the next.
    pub pace: Nanos,
    /// Whether each packet's ICRC is right, and not only that of a stream's first.
    pub icrc: bool,
}

/// Bytes kept free before a packet, for the headers of a tunnel.
pub const HEADROOM: u32 = 128;

impl Load {
    /// Small packets over a short way, all of which arrive.
    pub const BASE: Self = Self {
        payload: 256,
        delay: 2 * MICROSECOND,
        checksum: false,
        drop_every: 0,
        buffers: 1 << 17,
        buffer_bytes: 2_048,
        // 32 packets in 3.2 us are 10 million a second.
        pace: 3_200,
        icrc: false,
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
    fn new(
        settings: Settings,
        clock: Clock,
        load: &Load,
        seed: u64,
    ) -> Result<Self, SettingsError> {
        let (lan, lan_end) = ring::pair(RING);
        let (wan, wan_end) = ring::pair(RING);
        let Load { buffers, buffer_bytes, .. } = *load;
        let cut = PoolSettings { buffers, buffer_bytes, headroom: HEADROOM };
        let pool = Rc::new(Pool::new(cut).expect("valid pool"));
        let gateway = Gateway::new(settings, Rc::clone(&pool), clock.now(), seed)?;
        let worker = Worker::new(vec![Box::new(lan), Box::new(wan)], RING, gateway, clock);
        let inbound = VecDeque::with_capacity(buffers as usize);
        Ok(Self { worker, lan: lan_end, wan: wan_end, pool, inbound })
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
    lost: u64,
}

/// Within so many steps of ten microseconds two gateways agree on a session.
const PATIENCE: u32 = 1 << 20;

impl Pair {
    /// A plain pair whose session is up.
    ///
    /// # Panics
    /// Never: plain settings are right.
    #[must_use]
    pub fn new(load: Load) -> Self {
        let both = [settings(1, 2, &load), settings(2, 1, &load)];
        Self::with(load, both).expect("plain settings are right")
    }

    /// A pair with settings of its own, whose session is up. They are to have the ports and
    /// addresses of [`settings`].
    ///
    /// # Errors
    /// What contradicts itself in a side's settings.
    ///
    /// # Panics
    /// If the load's buffers cannot be had, or the settings are not those of each other's peer.
    pub fn with(load: Load, both: [Settings; 2]) -> Result<Self, SettingsError> {
        let (clock, hand) = Clock::virtual_at(Time::ZERO);
        let [first, second] = both;
        let sides = [
            Side::new(first, clock.clone(), &load, 1)?,
            Side::new(second, clock.clone(), &load, 2)?,
        ];
        let scratch = Vec::with_capacity(1 << 16);
        let mut pair = Self { sides, hand, load, scratch, crossed: 0, lost: 0 };
        // In small steps: the round trip that the hellos measure is as long as it is.
        let up = |pair: &Self| {
            pair.sides.iter().all(|side| side.worker.pipeline().established(pair.now()))
        };
        for _ in 0..PATIENCE {
            if up(&pair) {
                break;
            }
            pair.step(10 * MICROSECOND);
        }
        assert!(up(&pair), "two gateways with each other's settings agree on a session");
        Ok(pair)
    }

    /// Packets that the WAN has lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The load.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
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
                self.lost += 1;
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
