//! Who is owed which frames: what one site sent, in order, and what of it the other received.
//!
//! A frame is recognised by its exact bytes; copies of one packet of an RNIC stand for each other
//! (see `identity`), the first to arrive for the first that was sent. Those on their way, and the
//! last that arrived (to tell a duplicate from an altered frame), are remembered: memory is bounded
//! by what the network holds, not by the capture.

mod identity;

use std::collections::{BTreeSet, HashMap, VecDeque};

use ahash::RandomState;
use dataplane::time::{Nanos, Time};

use crate::stream::StreamKey;
use identity::identity;

/// Frames remembered beyond those on their way: a duplicate that comes later than so many others
/// is taken for an altered frame.
const REMEMBERED: u64 = 1 << 16;

/// What became of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Frames sent.
    pub sent: u64,
    /// Frames delivered, each once.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Frames that a gateway absorbed on purpose.
    pub absorbed: u64,
    /// Frames sent and neither delivered nor absorbed.
    pub missing: u64,
    /// Those of them that nothing protected, not counted in `missing`.
    pub unprotected_lost: u64,
    /// Frames received that nobody sent.
    pub altered: u64,
    /// Frames that arrived when an earlier one of their stream had not.
    pub out_of_sequence: u64,
    /// Frames that arrived after a later one of their stream.
    pub late: u64,
    /// Frames received more often than they were sent.
    pub duplicates: u64,
}

impl Account {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            delivered: self.delivered + other.delivered,
            delivered_bytes: self.delivered_bytes + other.delivered_bytes,
            absorbed: self.absorbed + other.absorbed,
            missing: self.missing + other.missing,
            unprotected_lost: self.unprotected_lost + other.unprotected_lost,
            altered: self.altered + other.altered,
            out_of_sequence: self.out_of_sequence + other.out_of_sequence,
            late: self.late + other.late,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// On its way.
    Due,
    Delivered,
    Absorbed,
    /// Nobody waits for it any more; it may come all the same.
    WrittenOff,
}

#[derive(Debug)]
struct Entry {
    /// Of its bytes.
    bytes: u64,
    /// Of the packet that it is.
    hash: u64,
    sent: Time,
    stream: u32,
    /// Its place in the stream.
    place: u64,
    state: State,
    /// For how long it is waited for, if nothing protects it.
    unprotected: Option<Nanos>,
    /// The next copy of it.
    twin: Option<u64>,
}

impl Entry {
    /// Whether it may come yet.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Due | State::WrittenOff)
    }
}

/// How far a stream is.
#[derive(Debug, Default)]
struct Progress {
    sent: u64,
    /// The place expected next.
    expected: u64,
    /// Places from there on that nobody will come to.
    absorbed: BTreeSet<u64>,
    /// Places from there on that may be passed over: nothing protects what is due there.
    unprotected: BTreeSet<u64>,
}

impl Progress {
    /// A frame of this place arrives: is it the one expected, or ahead of that, or behind?
    fn arrive(&mut self, place: u64) -> std::cmp::Ordering {
        while self.absorbed.remove(&self.expected)
            || self.expected < place && self.unprotected.remove(&self.expected)
        {
            self.expected += 1;
        }
        let order = place.cmp(&self.expected);
        self.expected = self.expected.max(place + 1);
        while self.unprotected.first().is_some_and(|place| *place < self.expected) {
            self.unprotected.pop_first();
        }
        order
    }
}

/// Copies of one packet.
#[derive(Debug)]
struct Twins {
    /// The first that is not delivered.
    due: Option<u64>,
    last: u64,
    remembered: u32,
}

/// Frames from one site to the other.
#[derive(Debug)]
pub struct Ledger {
    hasher: RandomState,
    entries: VecDeque<Entry>,
    /// Number of the first entry.
    base: u64,
    twins: HashMap<u64, Twins, RandomState>,
    /// How many remembered frames have these bytes.
    bytes: HashMap<u64, u32, RandomState>,
    streams: HashMap<StreamKey, u32, RandomState>,
    progress: Vec<Progress>,
    /// The last stream seen: the next frame is likely to be of it too.
    last_stream: Option<(StreamKey, u32)>,
    /// All frames before this number are delivered or written off.
    settled: u64,
    account: Account,
}

impl Default for Ledger {
    fn default() -> Self {
        // Hashes only find equal bytes, they order nothing: a run does not depend on them.
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        Self {
            entries: VecDeque::new(),
            base: 0,
            twins: HashMap::with_hasher(hasher.clone()),
            bytes: HashMap::with_hasher(hasher.clone()),
            streams: HashMap::with_hasher(hasher.clone()),
            hasher,
            progress: Vec::new(),
            last_stream: None,
            settled: 0,
            account: Account::default(),
        }
    }
}

impl Ledger {
    /// A frame of `stream` leaves its host.
    pub fn send(&mut self, now: Time, stream: StreamKey, frame: &[u8]) {
        self.send_frame(now, stream, frame, None);
    }

    /// A frame that nothing protects leaves its host; it is waited for no longer than `patience`.
    pub fn send_unprotected(
        &mut self,
        now: Time,
        stream: StreamKey,
        frame: &[u8],
        patience: Nanos,
    ) {
        self.send_frame(now, stream, frame, Some(patience));
    }

    fn send_frame(
        &mut self,
        now: Time,
        stream: StreamKey,
        frame: &[u8],
        unprotected: Option<Nanos>,
    ) {
        let number = self.base + self.entries.len() as u64;
        let stream = self.stream(stream);
        let (bytes, hash) = (self.hasher.hash_one(frame), identity(&self.hasher, frame));
        *self.bytes.entry(bytes).or_default() += 1;
        let place = self.progress.get_mut(stream as usize).map_or(0, |progress| {
            progress.sent += 1;
            if unprotected.is_some() {
                progress.unprotected.insert(progress.sent - 1);
            }
            progress.sent - 1
        });
        let new = Twins { due: None, last: number, remembered: 0 };
        let twins = self.twins.entry(hash).or_insert(new);
        twins.due = twins.due.or(Some(number));
        twins.remembered += 1;
        let before = std::mem::replace(&mut twins.last, number);
        if let Some(before) = self.entry_mut(before) {
            before.twin = Some(number);
        }
        let (state, twin) = (State::Due, None);
        let entry = Entry { bytes, hash, sent: now, stream, place, state, unprotected, twin };
        self.entries.push_back(entry);
        self.account.unprotected_lost += u64::from(unprotected.is_some());
        self.account.sent += 1;
    }

    /// A frame arrives at the host it was for, or something that looks like one. Whether it is
    /// one that was still owed.
    pub fn receive(&mut self, frame: &[u8]) -> bool {
        if !self.bytes.contains_key(&self.hasher.hash_one(frame)) {
            self.account.altered += 1;
            return false;
        }
        let hash = identity(&self.hasher, frame);
        let Some(twins) = self.twins.get(&hash) else { return false };
        let Some(due) = twins.due else {
            self.account.duplicates += 1;
            return false;
        };
        let number = self.stands_for(due);
        let index = number.wrapping_sub(self.base) as usize;
        let Some(entry) = self.entries.get_mut(index) else { return false };
        entry.state = State::Delivered;
        self.move_on(hash, due);
        let Some(entry) = self.entries.get(index) else { return false };
        let (stream, place) = (entry.stream, entry.place);
        self.account.unprotected_lost -= u64::from(entry.unprotected.is_some());
        self.account.delivered += 1;
        self.account.delivered_bytes += frame.len() as u64;
        if let Some(progress) = self.progress.get_mut(stream as usize) {
            let order = progress.arrive(place);
            self.account.out_of_sequence += u64::from(order.is_gt());
            self.account.late += u64::from(order.is_lt());
        }
        self.settle();
        true
    }

    /// Which of the copies from `due` on has come: the first that its stream waits for, and has not
    /// passed over as one that nothing protects.
    fn stands_for(&self, due: u64) -> u64 {
        let waits = |entry: &Entry| {
            let progress = self.progress.get(entry.stream as usize);
            entry.is_open()
                && (entry.unprotected.is_none()
                    || progress.is_some_and(|progress| entry.place >= progress.expected))
        };
        let mut next = Some(due);
        while let Some(number) = next
            && let Some(entry) = self.entry(number)
        {
            if waits(entry) {
                return number;
            }
            next = entry.twin;
        }
        due
    }

    /// Sees to it that the first copy that is due, which was `due`, is one that may come.
    fn move_on(&mut self, hash: u64, due: u64) {
        let mut next = Some(due);
        while let Some(entry) = next.and_then(|number| self.entry(number)).filter(|e| !e.is_open())
        {
            next = entry.twin;
        }
        if let Some(twins) = self.twins.get_mut(&hash) {
            twins.due = next;
        }
    }

    /// A gateway absorbed a frame that was sent a moment ago: nobody waits for it any more.
    pub fn absorb(&mut self, frame: &[u8]) {
        let hash = identity(&self.hasher, frame);
        let Some(twins) = self.twins.get_mut(&hash) else { return };
        let index = twins.last.wrapping_sub(self.base) as usize;
        let last = self.entries.get_mut(index).filter(|entry| entry.state == State::Due);
        let Some(entry) = last else { return };
        if twins.due == Some(twins.last) {
            twins.due = None;
        }
        entry.state = State::Absorbed;
        self.account.unprotected_lost -= u64::from(entry.unprotected.is_some());
        self.account.absorbed += 1;
        if let Some(progress) = self.progress.get_mut(entry.stream as usize)
            && entry.place >= progress.expected
        {
            progress.absorbed.insert(entry.place);
        }
        self.settle();
    }

    /// Writes off what was sent more than `patience` ago; returns how many frames that were
    /// protected were among it.
    pub fn write_off(&mut self, now: Time, patience: Nanos) -> u64 {
        let mut protected = 0;
        while self.due(patience).is_some_and(|due| due <= now) {
            let number = self.settled;
            let Some(entry) = self.entry_mut(number) else { break };
            entry.state = State::WrittenOff;
            protected += u64::from(entry.unprotected.is_none());
            self.settle();
        }
        protected
    }

    /// When the first frame that is not settled is to be written off.
    #[must_use]
    pub fn due(&self, patience: Nanos) -> Option<Time> {
        let entry = self.entries.get(self.settled.wrapping_sub(self.base) as usize)?;
        Some(entry.sent.after(entry.unprotected.unwrap_or(patience)))
    }

    /// Frames sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.account.sent
    }

    /// All frames before this number are delivered or written off.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// What became of all frames: those still on their way count as missing.
    #[must_use]
    pub fn account(&self) -> Account {
        let Account { sent, delivered, absorbed, unprotected_lost, .. } = self.account;
        Account { missing: sent - delivered - absorbed - unprotected_lost, ..self.account }
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.entries.get_mut(index)
    }

    fn stream(&mut self, key: StreamKey) -> u32 {
        if let Some((last, stream)) = self.last_stream
            && last == key
        {
            return stream;
        }
        let new = self.progress.len() as u32;
        let stream = *self.streams.entry(key).or_insert(new);
        if stream == new {
            self.progress.push(Progress::default());
        }
        self.last_stream = Some((key, stream));
        stream
    }

    /// Moves on over what is settled, and forgets what is long over.
    fn settle(&mut self) {
        while let Some(entry) = self.entries.get((self.settled - self.base) as usize)
            && entry.state != State::Due
        {
            self.settled += 1;
        }
        while self.settled - self.base > REMEMBERED {
            let Some(entry) = self.entries.pop_front() else { return };
            let number = self.base;
            self.base += 1;
            if let Some(count) = self.bytes.get_mut(&entry.bytes) {
                *count -= 1;
                if *count == 0 {
                    self.bytes.remove(&entry.bytes);
                }
            }
            let Some(twins) = self.twins.get_mut(&entry.hash) else { continue };
            twins.remembered -= 1;
            if twins.due == Some(number) {
                twins.due = entry.twin;
            }
            if twins.remembered == 0 {
                self.twins.remove(&entry.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests;
