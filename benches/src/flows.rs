//! Flow tables with so many flows in them, and packets for them.

use dataplane::time::Time;
use pipelines::flows::{Flows, Kinds, Level, Name, Priority, Settings, Sight};

/// Packets that are made at a time, outside of what is measured.
pub const BATCH: usize = 512;
/// Queue pairs of each pair of hosts.
const QUEUE_PAIRS: u32 = 16;

/// What is done to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Packets of the same subflow, one after the other.
    Run,
    /// Packets of known subflows, in random order.
    Hit,
    /// Looking for subflows that are not there.
    Miss,
    /// New subflows, for which there is room.
    Insert,
    /// New subflows, for which others make room.
    Evict,
}

impl Operation {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("run", Self::Run),
        ("hit", Self::Hit),
        ("miss", Self::Miss),
        ("insert", Self::Insert),
        ("evict", Self::Evict),
    ];
}

/// A table, and what is done to it.
pub struct Load {
    operation: Operation,
    entries: u32,
    flows: Flows,
    /// Subflows that are known, shuffled.
    known: Vec<u32>,
    next: u32,
    batch: Vec<Sight>,
    now: Time,
}

impl Load {
    /// A table for `entries` subflows, in twice as many places, a sixteenth of that of flows; as
    /// full as the operation wants it.
    ///
    /// # Panics
    /// If there are more entries than a table can have.
    #[must_use]
    pub fn new(operation: Operation, entries: u32) -> Self {
        let flows = (entries / QUEUE_PAIRS * 2).max(8);
        let settings = Settings { subflows: entries * 2, flows, ..Settings::default() };
        let flows = Flows::new(&settings, 0x5eed).expect("settings are right");
        let batch = Vec::with_capacity(BATCH);
        let (known, next, now) = (Vec::new(), 0, Time::ZERO);
        let mut load = Self { operation, entries, flows, known, next, batch, now };
        load.fill();
        load
    }

    fn fill(&mut self) {
        let many = match self.operation {
            Operation::Insert => 0,
            Operation::Run | Operation::Hit | Operation::Miss => self.entries,
            // Twice what there is room for: hardly a place stays vacant.
            Operation::Evict => self.entries * 4,
        };
        for number in 0..many {
            self.now.0 += 1;
            self.flows.note(&sight(number), self.now);
        }
        self.next = many;
        if self.operation != Operation::Evict {
            let is_known = |number: &u32| self.flows.peek(&sight(*number)).is_some();
            self.known = (0..many).filter(is_known).collect();
        }
        // Shuffled (Fisher and Yates) by a generator that suffices for this.
        let mut state = 1u64;
        for last in (1..self.known.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.known.swap(last, (state >> 33) as usize % (last + 1));
        }
    }

    /// Makes the next packets, at most [`BATCH`]; how many.
    pub fn prepare(&mut self, most: usize) -> usize {
        if self.operation == Operation::Insert {
            let there = self.flows.counters(Level::Subflow).flows;
            if there + BATCH as u64 > u64::from(self.entries) {
                self.flows.clear();
            }
        }
        self.batch.clear();
        for _ in 0..most.min(BATCH) {
            let number = match self.operation {
                Operation::Run => self.known[0],
                Operation::Hit => self.known[self.next as usize % self.known.len()],
                Operation::Miss | Operation::Insert | Operation::Evict => self.next,
            };
            self.next = self.next.wrapping_add(1);
            self.batch.push(sight(number));
        }
        self.batch.len()
    }

    /// Does it with all packets that were made, each by a call of `each`.
    #[inline]
    pub fn run(&mut self, mut each: impl FnMut(&mut Flows, Operation, &Sight, Time)) {
        for sight in &self.batch {
            self.now.0 += 100;
            each(&mut self.flows, self.operation, sight, self.now);
        }
    }
}

/// What is measured; whether there was something to find.
#[inline(always)]
pub fn operate(flows: &mut Flows, operation: Operation, sight: &Sight, now: Time) -> bool {
    match operation {
        Operation::Miss => flows.peek(sight).is_some(),
        _ => flows.note(sight, now).slot.is_some(),
    }
}

/// A packet of a subflow.
fn sight(number: u32) -> Sight {
    let name = Name {
        source: (0x0a00_0000 + number / QUEUE_PAIRS).to_be_bytes().into(),
        destination: [10, 1, 0, 2].into(),
        protocol: 17,
        source_port: 0,
        destination_port: 4_791,
        dest_qp: Some(number & 0xff_ffff),
        p_key: None,
        vlan: None,
        tenant: 0,
    };
    Sight::new(&name, 4_170, Kinds::WRITE, Priority::default())
}
