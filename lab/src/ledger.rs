//! Who is owed which frames: what one site sent, in order, and what of it the other received.
//!
//! A frame is recognised by its exact bytes. Those on their way, and the last that arrived (to
//! tell a duplicate from an altered frame), are remembered: memory is bounded by what the network
//! holds, not by the capture.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use dataplane::time::{Nanos, Time};

use crate::stream::StreamKey;

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
    /// Frames sent and never delivered.
    pub missing: u64,
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
            missing: self.missing + other.missing,
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
    /// Nobody waits for it any more; it may come all the same.
    WrittenOff,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    sent: Time,
    stream: u32,
    /// Its place in the stream.
    place: u64,
    state: State,
    /// The next frame of the same bytes.
    twin: Option<u64>,
}

/// Frames of the same bytes.
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
    streams: HashMap<StreamKey, u32, RandomState>,
    /// What each stream sent, and the place it expects next.
    places: Vec<(u64, u64)>,
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
            streams: HashMap::with_hasher(hasher.clone()),
            hasher,
            places: Vec::new(),
            last_stream: None,
            settled: 0,
            account: Account::default(),
        }
    }
}

impl Ledger {
    /// A frame of `stream` leaves its host.
    pub fn send(&mut self, now: Time, stream: StreamKey, frame: &[u8]) {
        let number = self.base + self.entries.len() as u64;
        let stream = self.stream(stream);
        let hash = self.hasher.hash_one(frame);
        let place = self.places.get_mut(stream as usize).map_or(0, |(sent, _)| {
            *sent += 1;
            *sent - 1
        });
        let new = Twins { due: None, last: number, remembered: 0 };
        let twins = self.twins.entry(hash).or_insert(new);
        twins.due = twins.due.or(Some(number));
        twins.remembered += 1;
        let before = std::mem::replace(&mut twins.last, number);
        if let Some(before) = self.entry_mut(before) {
            before.twin = Some(number);
        }
        let entry = Entry { hash, sent: now, stream, place, state: State::Due, twin: None };
        self.entries.push_back(entry);
        self.account.sent += 1;
    }

    /// A frame arrives at the host it was for, or something that looks like one. Whether it is
    /// one that was still owed.
    pub fn receive(&mut self, frame: &[u8]) -> bool {
        let hash = self.hasher.hash_one(frame);
        let Some(twins) = self.twins.get_mut(&hash) else {
            self.account.altered += 1;
            return false;
        };
        let Some(number) = twins.due else {
            self.account.duplicates += 1;
            return false;
        };
        let index = number.wrapping_sub(self.base) as usize;
        let Some(entry) = self.entries.get_mut(index) else { return false };
        twins.due = entry.twin;
        entry.state = State::Delivered;
        let (stream, place) = (entry.stream, entry.place);
        self.account.delivered += 1;
        self.account.delivered_bytes += frame.len() as u64;
        if let Some((_, expected)) = self.places.get_mut(stream as usize) {
            self.account.out_of_sequence += u64::from(place > *expected);
            self.account.late += u64::from(place < *expected);
            *expected = (*expected).max(place + 1);
        }
        self.settle();
        true
    }

    /// Writes off what was sent more than `patience` ago; returns when there is more to write off.
    pub fn write_off(&mut self, now: Time, patience: Nanos) -> Option<Time> {
        loop {
            let number = self.settled;
            let entry = self.entry_mut(number)?;
            let due = entry.sent.after(patience);
            if due > now {
                return Some(due);
            }
            entry.state = State::WrittenOff;
            self.settle();
        }
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

    /// When the first frame that is not settled was sent.
    #[must_use]
    pub fn waiting_since(&self) -> Option<Time> {
        let index = self.settled.wrapping_sub(self.base) as usize;
        self.entries.get(index).map(|entry| entry.sent)
    }

    /// What became of all frames: those still on their way count as missing.
    #[must_use]
    pub fn account(&self) -> Account {
        Account { missing: self.account.sent - self.account.delivered, ..self.account }
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
        let new = self.places.len() as u32;
        let stream = *self.streams.entry(key).or_insert(new);
        if stream == new {
            self.places.push((0, 0));
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
