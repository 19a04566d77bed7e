//! Who sends how much through the gateway: packets for peers, counted into the [flow table].
//!
//! A packet is not looked up in the table: it is added to what came of its stream lately, in a small
//! cache that the hash indexes by which its lane was chosen. The table is told of some of these
//! streams at the end of each burst, in turn, so of all of them every few bursts; and of all of them
//! every [`TICK`].
//!
//! [flow table]: crate::flows

use std::num::NonZeroU16;

use dataplane::memory::Packet;
use dataplane::time::{MILLISECOND, Nanos, Time};
use dataplane::wheel::TimerId;

use super::classify::Classified;
use super::{Common, Gateway};
use crate::flows::{self, Flows, Level, MAX_TOP, Name, SettingsError, Sight, Slot, Top, View};
use crate::shield::Shield;
use crate::wire::opcode::Opcode;

/// How often the table is looked after, while it has flows: a hundredth of it each time, so that
/// what is shown is a second old at most.
const TICK: Nanos = 10 * MILLISECOND;
const TICKS_A_ROUND: usize = 100;
/// Streams whose packets are added up before the table is told: a power of two.
const STREAMS: usize = 1_024;
/// The table is told of one stream in so many packets, and one more a burst.
const PACKETS_A_STREAM: usize = 64;
/// No tenant.
const NOBODY: u16 = u16::MAX;
/// Flows and subflows that are shown: the fastest.
pub const SHOWN: usize = 32;

/// What a worker's flow table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowsStatus {
    /// Whether flows are followed at all.
    pub followed: bool,
    /// Of flows, and of subflows.
    pub counters: [flows::Counters; 2],
    /// Places of flows, and of subflows.
    pub capacity: [usize; 2],
    /// The fastest flows, and the fastest subflows; at most [`SHOWN`] of each, a second old at most.
    pub top: [Vec<View>; 2],
}

impl Default for FlowsStatus {
    fn default() -> Self {
        Self {
            followed: false,
            counters: Default::default(),
            capacity: [0; 2],
            top: [const { Vec::new() }; 2],
        }
    }
}

/// The two tables, in the order in which they are shown.
const LEVELS: [Level; 2] = [Level::Flow, Level::Subflow];

/// The path of a peer, as subflows carry it: of both there are fewer than 256.
fn road(peer: usize, path: usize) -> Option<NonZeroU16> {
    NonZeroU16::new((peer << 8 | (path + 1) & 0xff) as u16)
}

/// The peer and the path of it, by their places in the settings, that [`View::path`] stands for.
#[must_use]
pub fn peer_and_path(road: u16) -> (usize, usize) {
    (usize::from(road >> 8), usize::from(road & 0xff).saturating_sub(1))
}

/// The flows of a gateway; where they are not followed, each method is one comparison.
pub(super) struct Follow(Option<Box<Known>>);

struct Known {
    flows: Flows,
    lately: [Lately; STREAMS],
    streams: [Stream; STREAMS],
    /// A bit for each stream that the table is to be told of.
    waiting: [u64; STREAMS / 64],
    /// The stream whose turn it is.
    turn: usize,
    p_key: bool,
    /// What is being gathered.
    gathering: [Top; 2],
    /// What was gathered last.
    shown: [Vec<View>; 2],
    timer: TimerId,
    is_set: bool,
}

/// What came of a stream since the table was told of it.
#[derive(Clone, Copy)]
struct Lately {
    hash: u32,
    /// [`NOBODY`] where there is no stream yet.
    tenant: u16,
    /// Of the packet that came last.
    opcode: u8,
    /// Its path, if one was chosen for its lane.
    road: Option<NonZeroU16>,
    packets: u32,
    bytes: u32,
}

/// A stream that came lately.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// What its packets have in common; `None` of what has no flow.
    sight: Option<Sight>,
    /// Where it was in the table.
    place: Option<Slot>,
}

impl Follow {
    /// `timer` is the wheel's.
    ///
    /// # Errors
    /// See [`flows::Settings::check`].
    pub(super) fn new(
        settings: Option<&flows::Settings>,
        seed: u64,
        timer: TimerId,
    ) -> Result<Self, SettingsError> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let nothing =
            Lately { hash: 0, tenant: NOBODY, opcode: 0, road: None, packets: 0, bytes: 0 };
        let known = Known {
            flows: Flows::new(settings, seed)?,
            lately: [nothing; STREAMS],
            streams: [Stream::default(); STREAMS],
            waiting: [0; STREAMS / 64],
            turn: 0,
            p_key: settings.p_key,
            gathering: LEVELS.map(|level| Top::new(level, SHOWN)),
            shown: LEVELS.map(|_| Vec::with_capacity(SHOWN)),
            timer,
            is_set: false,
        };
        Ok(Self(Some(Box::new(known))))
    }

    /// Counts a packet that leaves for a peer; where its lane has a path, `road` is that: the peer's
    /// number, and the path's.
    #[inline]
    pub(super) fn count(
        &mut self,
        class: &Classified,
        tenant: u16,
        packet: &Packet,
        road: Option<(usize, usize)>,
        now: Time,
    ) {
        let Some(known) = &mut self.0 else { return };
        let opcode = class.roce.and_then(|found| packet.head().get(usize::from(found.bth_at)));
        let opcode = opcode.copied().unwrap_or(0);
        let at = class.hash as usize % STREAMS;
        let lately = &mut known.lately[at];
        if (lately.hash, lately.tenant, lately.opcode) != (class.hash, tenant, opcode) {
            known.begin(at, (class.hash, tenant, opcode), packet, now);
        }
        let lately = &mut known.lately[at];
        lately.road = road.and_then(|(peer, path)| self::road(peer, path));
        lately.packets += 1;
        lately.bytes = lately.bytes.saturating_add(packet.len() as u32);
        known.waiting[at / 64] |= 1 << (at % 64);
    }

    /// Tells the table of all that came.
    pub(super) fn settle(&mut self, now: Time) {
        let Some(known) = &mut self.0 else { return };
        known.tell(STREAMS, now);
    }
}

impl Known {
    /// Another stream's turn at a place, or another operation of the same one.
    fn begin(&mut self, at: usize, new: (u32, u16, u8), packet: &Packet, now: Time) {
        let (hash, tenant, opcode) = new;
        let (lately, stream) = (&mut self.lately[at], &mut self.streams[at]);
        if (lately.hash, lately.tenant) == (hash, tenant) {
            lately.opcode = opcode;
            if let Some(sight) = &mut stream.sight {
                sight.does(Opcode(opcode));
            }
            return;
        }
        self.tell_of(at, now);
        let sight = Sight::of(packet.head(), packet.len(), tenant, self.p_key);
        self.streams[at] = Stream { sight, ..Stream::default() };
        self.lately[at] = Lately { hash, tenant, opcode, road: None, packets: 0, bytes: 0 };
    }

    /// Tells the table of `most` streams that have waited, in turn.
    fn tell(&mut self, most: usize, now: Time) {
        for _ in 0..most {
            let Some(at) = self.next_waiting() else { return };
            self.tell_of(at, now);
            self.turn = (at + 1) % STREAMS;
        }
    }

    /// The next stream that waits, from `turn` on and around.
    fn next_waiting(&self) -> Option<usize> {
        let words = self.waiting.len();
        let (word, bit) = (self.turn / 64, self.turn % 64);
        let first = self.waiting[word] & (u64::MAX << bit);
        let rest = (1..=words).map(|ahead| (word + ahead) % words);
        let mut all = std::iter::once((word, first)).chain(rest.map(|at| (at, self.waiting[at])));
        let (word, bits) = all.find(|(_, bits)| *bits != 0)?;
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Tells the table of one stream.
    fn tell_of(&mut self, at: usize, now: Time) {
        self.waiting[at / 64] &= !(1 << (at % 64));
        let (lately, stream) = (&mut self.lately[at], &mut self.streams[at]);
        let (packets, bytes) =
            (std::mem::take(&mut lately.packets), std::mem::take(&mut lately.bytes));
        let Some(sight) = stream.sight.as_ref().filter(|_| packets > 0) else { return };
        let seen = self.flows.note_many(sight, (packets, bytes), stream.place, now);
        stream.place = seen.slot;
        let road = lately.road.map(NonZeroU16::get);
        if let (Some(slot), true) = (seen.slot, seen.path != road) {
            self.flows.place(slot, road);
        }
    }

    /// Looks after a part of both tables; whether there is anything in them. `shield` knows queue
    /// pairs' other ends: it is asked for those that are shown, and what it said is kept.
    fn tend(&mut self, shield: Option<&Shield>, now: Time) -> bool {
        self.tell(STREAMS, now);
        let buckets = self.flows.buckets().div_ceil(TICKS_A_ROUND);
        self.flows.age(buckets, now);
        for (top, shown) in self.gathering.iter_mut().zip(&mut self.shown) {
            if self.flows.gather(top, buckets) {
                shown.clear();
                shown.extend_from_slice(top.flows());
                top.clear();
                for view in shown {
                    if let Some(qp) = sender_qp(shield, view)
                        && let Some(slot) = self.flows.find(&view.name)
                    {
                        self.flows.pair(slot, qp);
                        view.peer_qp = Some(qp);
                    }
                }
            }
        }
        self.is_set = LEVELS.iter().any(|level| self.flows.counters(*level).flows > 0);
        self.is_set
    }
}

/// The sender's queue pair of a subflow, as it is known now.
fn sender_qp(shield: Option<&Shield>, view: &View) -> Option<u32> {
    let Name { source, destination, vlan, dest_qp, .. } = view.name;
    shield?.sender_qp((source, destination), vlan.unwrap_or(0), dest_qp?)
}

impl Common {
    /// At the end of a burst of so many packets: tells the table of some streams that came lately.
    #[inline]
    pub(super) fn followed(&mut self, packets: usize, now: Time) {
        let Some(known) = &mut self.follow.0 else { return };
        known.tell(1 + packets / PACKETS_A_STREAM, now);
        if !known.is_set {
            known.is_set = true;
            self.wheel.set(known.timer, now.after(TICK));
        }
    }

    /// The timer of the table is due.
    pub(super) fn tend_flows(&mut self, now: Time) {
        let Some(known) = &mut self.follow.0 else { return };
        if known.tend(self.shield.as_ref(), now) {
            self.wheel.set(known.timer, now.after(TICK));
        }
    }
}

impl Gateway {
    /// The fastest of a table as they are now, at most [`MAX_TOP`]: for labs, as it goes through all
    /// of the table at once.
    #[must_use]
    pub fn top_flows(&self, level: Level) -> Vec<View> {
        let Some(known) = &self.common.follow.0 else { return Vec::new() };
        let mut top = Top::new(level, MAX_TOP);
        known.flows.gather(&mut top, known.flows.buckets());
        let mut all = top.flows().to_vec();
        for view in &mut all {
            view.peer_qp = sender_qp(self.common.shield.as_ref(), view).or(view.peer_qp);
        }
        all
    }

    /// Says who sends how much. It allocates where more is shown than ever before.
    pub fn flows_status(&self, status: &mut FlowsStatus) {
        let Some(known) = &self.common.follow.0 else {
            *status = FlowsStatus::default();
            return;
        };
        status.followed = true;
        status.counters = LEVELS.map(|level| known.flows.counters(level));
        status.capacity = LEVELS.map(|level| known.flows.capacity(level));
        for (shown, top) in status.top.iter_mut().zip(&known.shown) {
            shown.clear();
            shown.extend_from_slice(top);
        }
    }
}
