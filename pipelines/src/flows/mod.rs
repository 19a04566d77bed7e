//! Who sends how much: the flow table of one worker, and the elephants in it.
//!
//! A *flow* is a 5-tuple of a tenant and VLAN; a *subflow* is one queue pair of it (and, where that
//! is set, one P_Key). Of RoCEv2 the source port does not count: RNICs give one to each queue pair,
//! for networks that hash, so a whole job between two hosts is one flow. Both are followed, each kind in a table of its own, so that an elephant made
//! of many small queue pairs is seen as well as a single large one. What is no RoCEv2 is a flow
//! with one subflow. Request and response packets to one queue pair are one subflow.
//!
//! The caller has one call a packet, [`Flows::observe`] (or [`Flows::note`], where it has looked at
//! the packet itself), and one between bursts, [`Flows::age`].
//!
//! **Bounds.** All memory is allocated by [`Flows::new`]: 136 bytes a place. A packet costs a cache
//! line of a bucket and one entry of two lines, in either table, whatever arrives; runs of packets
//! of one subflow are recognised without hashing. A bucket has eight places. With a table half full
//! 1 flow in 120 finds all eight taken.
//!
//! **Who makes room.** First a flow that is over; then one that came once; then the one that was
//! silent longest; never an elephant. If elephants alone are in a bucket, the newcomer is not
//! followed, and counted. So random flows, however many, push out each other, and mice that are
//! slower than the flood turns a bucket over; a flow that is fast enough to become an elephant comes
//! again before that.
//!
//! **Rates** are exponential averages over eight ticks a window, of ticks that have ended: integers,
//! exact but for 0.001 bytes a tick and one part in ten million. A class is judged once a tick.
//!
//! | file | subject |
//! | --- | --- |
//! | `key` | names, keys, the keyed hash |
//! | `sight` | what counts of a packet |
//! | `bucket` | a cache line of eight places, and who makes room |
//! | `table` | find, add, count, age |
//! | `rate` | ticks and averages |
//! | `rule` | classes, thresholds, hysteresis |
//! | `top` | the fastest, a few buckets at a time |

mod bucket;
mod key;
mod rate;
mod rule;
mod sight;
mod table;
#[cfg(test)]
mod tests;
mod top;

use std::num::NonZeroU32;

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};
use thiserror::Error;

use bucket::Note;
use key::Key;
use rate::{Moment, TICKS, Ticks};
use table::{Entry, Table};

pub use key::Name;
pub use rule::{Class, Threshold};
pub use sight::{Kinds, Priority, Sight};
pub use table::Counters;
pub use top::{Level, MAX_TOP, Top, View};

/// The most places of a table.
pub const MAX_CAPACITY: u32 = 1 << 26;

/// What a flow table is made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Places for subflows, rounded up to a power of two of at least eight. Twice as many as there
    /// are subflows at a time are a good number.
    pub subflows: u32,
    /// Places for flows, likewise.
    pub flows: u32,
    /// Whether P_Keys tell subflows apart.
    pub p_key: bool,
    /// The window over which rates are averaged: 1 ms to 100 s.
    pub window: Nanos,
    /// A mouse becomes an elephant that has had this rate for so long without a break.
    pub enter: Threshold,
    /// An elephant becomes a mouse that has had less than this rate for so long without a break.
    pub leave: Threshold,
    /// A flow is over from which nothing came for so long, to the tick.
    pub idle: Nanos,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subflows: 1 << 16,
            flows: 1 << 14,
            p_key: false,
            window: 10 * MILLISECOND,
            enter: Threshold { rate: 1_000_000_000, span: 50 * MILLISECOND },
            // Longer than the pauses between steps of a training: it computes, then sends again.
            leave: Threshold { rate: 250_000_000, span: SECOND },
            idle: 10 * SECOND,
        }
    }
}

/// Settings that contradict themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// No places, or too many.
    #[error("a flow table has 1 to {MAX_CAPACITY} places")]
    Capacity,
    /// Too short to count ticks in, or too long to tell anything.
    #[error("the window of rates is 1 ms to 100 s")]
    Window,
    /// No hysteresis, or thresholds of nothing.
    #[error("the rate at which elephants leave is above zero and below that at which they enter")]
    Rates,
    /// Forgets elephants before they may leave, or later than ticks can tell.
    #[error("a flow is over after it may leave the elephants, and within a million windows")]
    Idle,
}

impl Settings {
    /// # Errors
    /// The first setting that contradicts the rest.
    pub fn check(&self) -> Result<(), SettingsError> {
        let places = 1..=MAX_CAPACITY;
        if !places.contains(&self.subflows) || !places.contains(&self.flows) {
            return Err(SettingsError::Capacity);
        }
        if !(MILLISECOND..=100 * SECOND).contains(&self.window) {
            return Err(SettingsError::Window);
        }
        if !(1..self.enter.rate).contains(&self.leave.rate) {
            return Err(SettingsError::Rates);
        }
        let longest = self.window * 1_000_000;
        if !(self.leave.span..=longest).contains(&self.idle) || self.enter.span > longest {
            return Err(SettingsError::Idle);
        }
        Ok(())
    }
}

// A million windows are told apart by the ticks of a note, and by half of those of a rate.
const _: () = assert!(1_000_000 * TICKS < Note::MAX_AGE as u64 / 2);

/// A subflow in the table, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    place: u32,
    key: Key,
}

/// What a packet is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its subflow; `None` if there was no room for it.
    pub slot: Option<Slot>,
    /// What the subflow is; a mouse if there was no room for it.
    pub class: Class,
    /// Whether the subflow became or stopped being an elephant by this packet.
    pub changed: bool,
    /// The path that the caller has given the subflow.
    pub path: Option<u16>,
    /// What the flow is.
    pub flow: Class,
}

/// The flows of one worker.
pub struct Flows {
    ticks: Ticks,
    p_key: bool,
    subflows: Table,
    flows: Table,
    /// The place of the subflow seen last: packets come in runs.
    last: u32,
}

impl std::fmt::Debug for Flows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counters = [Level::Flow, Level::Subflow].map(|level| self.counters(level));
        f.debug_struct("Flows").field("counters", &counters).finish_non_exhaustive()
    }
}

impl Flows {
    /// An empty table; `seed` is unknown to whoever sends packets.
    ///
    /// # Errors
    /// See [`Settings::check`].
    pub fn new(settings: &Settings, seed: u64) -> Result<Self, SettingsError> {
        settings.check()?;
        let ticks = Ticks::new(settings.window);
        let rule = rule::Rule::new(settings, &ticks);
        Ok(Self {
            subflows: Table::new(settings.subflows, seed, rule.clone()),
            flows: Table::new(settings.flows, seed, rule),
            p_key: settings.p_key,
            ticks,
            last: 0,
        })
    }

    /// Looks at a frame of `total_len` bytes, of which `head` is the beginning with all headers,
    /// and counts it. `None` for what is not IP: it has no flow.
    #[inline]
    pub fn observe(
        &mut self,
        head: &[u8],
        total_len: usize,
        tenant: u16,
        now: Time,
    ) -> Option<Seen> {
        let sight = Sight::of(head, total_len, tenant, self.p_key)?;
        Some(self.note(&sight, now))
    }

    /// Counts a packet that was looked at. `now` may not go back: it then stands.
    #[inline]
    pub fn note(&mut self, sight: &Sight, now: Time) -> Seen {
        let seen = self.note_at(sight, self.last, now);
        self.last = seen.slot.map_or(self.last, |slot| slot.place);
        seen
    }

    /// Counts several packets of one subflow, so many of so many bytes together, of which one was
    /// looked at. `place` is where the subflow was found before: there it is found sooner.
    pub fn note_many(
        &mut self,
        sight: &Sight,
        (packets, bytes): (u32, u32),
        place: Option<Slot>,
        now: Time,
    ) -> Seen {
        let sight = Sight { packets, bytes, ..*sight };
        self.note_at(&sight, place.map_or(0, |slot| slot.place), now)
    }

    /// Counts what was looked at; the subflow is looked for at place `hint` first.
    #[inline]
    fn note_at(&mut self, sight: &Sight, hint: u32, now: Time) -> Seen {
        let at = self.ticks.advance(now);
        let key = &sight.key;
        let Some((place, changed)) = self.subflows.note(key, hint, sight, at) else {
            let flow = self.note_flow(key, 0, sight, at).map_or(Class::Mouse, |(_, class)| class);
            return Seen { slot: None, class: Class::Mouse, changed: false, path: None, flow };
        };
        let hint = self.subflows.get(place).map_or(0, |entry| entry.record.flow);
        let flow = self.note_flow(key, hint, sight, at);
        let mut seen = Seen {
            slot: Some(Slot { place, key: *key }),
            class: Class::Mouse,
            changed,
            path: None,
            flow: flow.map_or(Class::Mouse, |(_, class)| class),
        };
        if let Some(record) = self.subflows.get_mut(place) {
            (seen.class, seen.path) = (record.class, record.path);
            if let Some((flow, _)) = flow.filter(|(flow, _)| *flow != hint) {
                record.flow = flow;
            }
        }
        seen
    }

    /// Counts a packet into its flow: where that is, and what.
    #[inline]
    fn note_flow(
        &mut self,
        key: &Key,
        hint: u32,
        sight: &Sight,
        at: Moment,
    ) -> Option<(u32, Class)> {
        let (place, _) = self.flows.note(&key.flow(), hint, sight, at)?;
        Some((place, self.flows.get(place)?.record.class))
    }

    /// Looks after the next `buckets` of each table: forgets flows that are over, and judges
    /// elephants that have fallen silent. A round through all, [`Flows::buckets`], is due in about
    /// a tenth of [`Settings::idle`]; if it takes longer, flows are shown as elephants, or keep their
    /// place, a little longer. No packet is judged by it.
    pub fn age(&mut self, buckets: usize, now: Time) {
        let at = self.ticks.advance(now);
        self.subflows.age(buckets, at);
        self.flows.age(buckets, at);
    }

    /// The larger table's buckets.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.subflows.buckets().max(self.flows.buckets())
    }

    /// Places of a table.
    #[must_use]
    pub fn capacity(&self, level: Level) -> usize {
        self.table(level).capacity()
    }

    /// What happened in a table.
    #[must_use]
    pub fn counters(&self, level: Level) -> Counters {
        self.table(level).counters()
    }

    /// Gives a subflow a path; whether it was still there.
    pub fn place(&mut self, slot: Slot, path: Option<u16>) -> bool {
        self.record(slot).map(|record| record.path = path).is_some()
    }

    /// Tells the sender's queue pair of a subflow; whether it was still there. 0 is none: there is no
    /// such queue pair on Ethernet.
    pub fn pair(&mut self, slot: Slot, peer_qp: u32) -> bool {
        self.record(slot).map(|record| record.peer_qp = NonZeroU32::new(peer_qp)).is_some()
    }

    /// The subflow of a packet, which is not counted, if it is in the table.
    #[inline]
    #[must_use]
    pub fn peek(&self, sight: &Sight) -> Option<Slot> {
        let place = self.subflows.find(&sight.key)?;
        Some(Slot { place, key: sight.key })
    }

    /// The subflow with this name, if it is in the table.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<Slot> {
        let key = Key::from(name);
        self.subflows.find(&key).map(|place| Slot { place, key })
    }

    /// What is known of a flow or subflow as of the last call that told the time; `None` if it is
    /// not in the table, or over.
    #[must_use]
    pub fn get(&self, level: Level, name: &Name) -> Option<View> {
        let key = Key::from(name);
        let table = self.table(level);
        let bucket = table.find(&key)? as usize / bucket::WAYS;
        let mut living = table.living(bucket, self.ticks.moment().tick);
        living.find(|entry| entry.key == key).map(|entry| self.view(entry))
    }

    /// Goes on gathering, through the next `buckets` of the table; whether it has been through all.
    /// Takes time for at most eight entries a bucket.
    pub fn gather(&self, top: &mut Top, buckets: usize) -> bool {
        let table = self.table(top.level);
        let tick = self.ticks.moment().tick;
        let end = top.done.saturating_add(buckets).min(table.buckets());
        for bucket in top.done..end {
            for entry in table.living(bucket, tick) {
                if entry.record.class < top.least {
                    continue;
                }
                let view = self.view(entry);
                if top.admits(view.rate, view.bytes) {
                    top.add(view);
                }
            }
        }
        top.done = end;
        end == table.buckets()
    }

    /// Forgets all flows. What was counted stays.
    pub fn clear(&mut self) {
        self.subflows.clear();
        self.flows.clear();
    }

    fn table(&self, level: Level) -> &Table {
        match level {
            Level::Flow => &self.flows,
            Level::Subflow => &self.subflows,
        }
    }

    fn record(&mut self, slot: Slot) -> Option<&mut table::Record> {
        self.subflows.get(slot.place).filter(|entry| entry.key == slot.key)?;
        self.subflows.get_mut(slot.place)
    }

    /// An entry, its rate as of now.
    fn view(&self, entry: &Entry) -> View {
        let record = &entry.record;
        let mut rate = record.rate;
        rate.advance(self.ticks.moment().tick);
        View {
            name: entry.key.name(),
            class: record.class,
            rate: self.ticks.rate(rate.level()),
            bytes: record.bytes,
            packets: record.packets,
            kinds: record.kinds,
            priority: record.priority,
            first_seen: record.first,
            last_seen: record.last,
            peer_qp: record.peer_qp.map(NonZeroU32::get),
            path: record.path,
        }
    }
}
