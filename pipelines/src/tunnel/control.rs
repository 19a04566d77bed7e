//! Control messages between the gateways.
//!
//! ```text
//! outer IP, UDP | tunnel header, kind 0 | type 1 | zero 3 | number 8 | body | MAC 16
//! ```
//! The MAC covers the tunnel header and all of the message before it. Hellos are under the key of
//! the pair and prove their freshness by echoing nonces; all others are under the session's key of
//! their direction and numbered against replay. Bodies, in network byte order:
//!
//! | type | body |
//! | --- | --- |
//! | 1 hello | nonce 8, echoed nonce 8, time 8, echoed time 8, channels 1, zero 3, lanes 4 |
//! | 2 feedback | echoed time 8 (0: none), blocks: channel 1, ranges 1, zero 2, cumulative 4, ranges x (start 4, count 4) |
//! | 3 probe | channel 1, zero 3, next 4, time 8 |
//! | 4 gone | channel 1, zero 3, items: start 4, count 4, lane 2, known 1, zero 1, lane sequence 4 |
//! | 5, 6, 7 | of streams: [`super::streams`] |
//! | 8, 9 | of stopped tenants: [`super::stops`] |
//!
//! All are idempotent: losing one costs time, repeating one costs nothing. None is larger than
//! [`MAX_MESSAGE`].

use arrayvec::ArrayVec;
use dataplane::time::Nanos;

use super::auth::{Key, MAC_LEN};
use super::header::HEADER_LEN;
use super::stops::{STOPS, STOPS_HEARD, Stops, StopsHeard};
use super::streams::{
    self, Announcements, STREAM_FEEDBACK, STREAM_GONE, STREAMS, StreamBlocks, StreamItems,
};
use crate::recovery::{LanePosition, Range, Seq};

/// Largest message, header and MAC included: with outer IPv6 and UDP it fits in the 1280 bytes
/// that every IPv6 link carries (RFC 8200, section 5).
pub const MAX_MESSAGE: usize = 1_200;
/// Type, zero, number.
const PREFIX_LEN: usize = 12;
/// Room for a body.
const MAX_BODY: usize = MAX_MESSAGE - HEADER_LEN - PREFIX_LEN - MAC_LEN;

/// "I am here": begins sessions, keeps them, measures the round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Chosen by the sender when it started.
    pub nonce: u64,
    /// The receiver's, as the sender last heard it; 0 if never.
    pub echo: u64,
    /// The sender's clock, in nanoseconds.
    pub time: u64,
    /// The receiver's clock, as last heard, with the time since then added; 0 if never.
    pub echoed_time: u64,
    /// Channels the sender uses.
    pub channels: u8,
    /// Lanes the sender uses.
    pub lanes: u32,
}

/// What happened to packets that were asked for and are no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoneItem {
    /// The numbers that will never come. One, if its lane is known.
    pub range: Range,
    /// The lane to release.
    pub at: Option<LanePosition>,
}

/// A message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// See [`Hello`].
    Hello(Hello),
    /// Acknowledgements and requests.
    Feedback {
        /// The time of the probe this answers; 0: it answers none.
        echoed_time: u64,
        /// What is confirmed and what is asked for, a channel.
        blocks: Blocks<'a>,
    },
    /// All numbers of `channel` before `next` have been sent.
    Probe {
        /// The channel.
        channel: u8,
        /// The number its next packet will have.
        next: Seq,
        /// The sender's clock.
        time: u64,
    },
    /// Answers to requests that cannot be met.
    Gone {
        /// The channel.
        channel: u8,
        /// The answers.
        items: Items<'a>,
    },
    /// What the far side sends, by streams.
    Streams {
        /// The sender's clock.
        time: u64,
        /// The streams.
        items: Announcements<'a>,
    },
    /// Acknowledgements and requests, by streams.
    StreamFeedback {
        /// The time of the announcement this answers; 0: it answers none.
        echoed_time: u64,
        /// The streams.
        blocks: StreamBlocks<'a>,
    },
    /// Answers to requests that cannot be met, by streams.
    StreamGone {
        /// The answers.
        items: StreamItems<'a>,
    },
    /// Which tenants are stopped.
    Stops {
        /// For how long, from when this arrives.
        lifetime: Nanos,
        /// The tenants.
        items: Stops<'a>,
    },
    /// What was heard of stops.
    StopsHeard {
        /// The tenants.
        items: StopsHeard<'a>,
    },
}

/// The prefix of every message: which key checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// Number against replay; 0 for hellos.
    pub number: u64,
    /// Whether it is a hello, and so under the key of the pair.
    pub is_hello: bool,
}

/// A control message that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed control message")]
pub struct Malformed;

const HELLO: u8 = 1;
const FEEDBACK: u8 = 2;
const PROBE: u8 = 3;
const GONE: u8 = 4;

/// Reads what is needed to check the MAC of `message` (tunnel header first).
///
/// # Errors
/// [`Malformed`] if it is too short or too long, or of a type nobody defined.
pub fn envelope(message: &[u8]) -> Result<Envelope, Malformed> {
    if message.len() < HEADER_LEN + PREFIX_LEN + MAC_LEN || message.len() > MAX_MESSAGE {
        return Err(Malformed);
    }
    let mut rest = Fields(message.get(HEADER_LEN..).ok_or(Malformed)?);
    let [kind, _, _, _] = rest.take()?;
    if !(HELLO..=STOPS_HEARD).contains(&kind) {
        return Err(Malformed);
    }
    Ok(Envelope { number: rest.u64()?, is_hello: kind == HELLO })
}

/// Whether `message` (tunnel header first) ends in the MAC that `key` gives it.
#[must_use]
pub fn is_authentic(message: &[u8], key: Key) -> bool {
    message.split_last_chunk::<MAC_LEN>().is_some_and(|(text, mac)| key.verify(&[text], mac))
}

/// Reads a message whose envelope and MAC have been checked.
///
/// # Errors
/// [`Malformed`] if its body is not what its type says.
pub fn read(message: &[u8]) -> Result<Message<'_>, Malformed> {
    let (text, _) = message.split_last_chunk::<MAC_LEN>().ok_or(Malformed)?;
    let kind = *text.get(HEADER_LEN).ok_or(Malformed)?;
    let mut body = Fields(text.get(HEADER_LEN + PREFIX_LEN..).ok_or(Malformed)?);
    match kind {
        HELLO => {
            let (nonce, echo) = (body.u64()?, body.u64()?);
            let (time, echoed_time) = (body.u64()?, body.u64()?);
            let [channels, ..] = body.take::<4>()?;
            Ok(Message::Hello(Hello {
                nonce,
                echo,
                time,
                echoed_time,
                channels,
                lanes: body.u32()?,
            }))
        }
        FEEDBACK => {
            let echoed_time = body.u64()?;
            let blocks = Blocks(body);
            blocks.clone().try_for_each(|block| block.map(drop))?;
            Ok(Message::Feedback { echoed_time, blocks })
        }
        PROBE => {
            let [channel, ..] = body.take::<4>()?;
            Ok(Message::Probe { channel, next: Seq(body.u32()?), time: body.u64()? })
        }
        GONE => {
            let [channel, ..] = body.take::<4>()?;
            if body.0.len() % ITEM_LEN != 0 {
                return Err(Malformed);
            }
            Ok(Message::Gone { channel, items: Items(body) })
        }
        STREAMS => {
            let time = body.u64()?;
            let whole = streams::fits(kind, body.0.len());
            whole.then_some(Message::Streams { time, items: Announcements(body) }).ok_or(Malformed)
        }
        STREAM_FEEDBACK => {
            let echoed_time = body.u64()?;
            let blocks = StreamBlocks(body);
            blocks.clone().try_for_each(|block| block.map(drop))?;
            Ok(Message::StreamFeedback { echoed_time, blocks })
        }
        STREAM_GONE => {
            let whole = streams::fits(kind, body.0.len());
            whole.then_some(Message::StreamGone { items: StreamItems(body) }).ok_or(Malformed)
        }
        STOPS => Stops::read(body).map(|(lifetime, items)| Message::Stops { lifetime, items }),
        STOPS_HEARD => StopsHeard::read(body).map(|items| Message::StopsHeard { items }),
        _ => Err(Malformed),
    }
}

/// The blocks of a feedback message; each was checked, so none is an error once read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks<'a>(Fields<'a>);

/// What is confirmed and what is asked for of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// The channel.
    pub channel: u8,
    /// All numbers before this one have arrived.
    pub cumulative: Seq,
    /// What is asked for.
    pub ranges: Ranges<'a>,
}

/// The ranges of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges<'a>(Fields<'a>);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.0.0 = &[];
        }
        Some(block)
    }
}

impl<'a> Blocks<'a> {
    fn block(&mut self) -> Result<Block<'a>, Malformed> {
        let [channel, count, _, _] = self.0.take()?;
        let cumulative = Seq(self.0.u32()?);
        Ok(Block { channel, cumulative, ranges: self.0.ranges(count)? })
    }
}

impl Iterator for Ranges<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        Some(Range { start: Seq(self.0.u32().ok()?), count: self.0.u32().ok()? })
    }
}

/// The items of a gone message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items<'a>(Fields<'a>);

impl Iterator for Items<'_> {
    type Item = GoneItem;

    fn next(&mut self) -> Option<GoneItem> {
        let range = Range { start: Seq(self.0.u32().ok()?), count: self.0.u32().ok()? };
        let [l0, l1, known, _] = self.0.take().ok()?;
        let seq = Seq(self.0.u32().ok()?);
        let at = LanePosition { lane: u16::from_be_bytes([l0, l1]), seq };
        Some(GoneItem { range, at: (known == 1).then_some(at) })
    }
}

pub(super) const RANGE_LEN: usize = 8;
const BLOCK_LEN: usize = 8;
const ITEM_LEN: usize = 16;

/// A message being written: everything behind the tunnel header, the MAC excepted.
#[derive(Debug, Clone)]
pub struct Draft {
    text: ArrayVec<u8, { PREFIX_LEN + MAX_BODY + MAC_LEN }>,
    /// Where the last block counts its ranges.
    counter: Option<usize>,
}

impl Draft {
    pub(super) fn new(kind: u8) -> Self {
        let mut draft = Self { text: ArrayVec::new(), counter: None };
        draft.put(&[kind, 0, 0, 0]);
        draft.put(&[0; 8]);
        draft
    }

    /// A hello.
    #[must_use]
    pub fn hello(hello: &Hello) -> Self {
        let mut draft = Self::new(HELLO);
        for field in [hello.nonce, hello.echo, hello.time, hello.echoed_time] {
            draft.put(&field.to_be_bytes());
        }
        draft.put(&[hello.channels, 0, 0, 0]);
        draft.put(&hello.lanes.to_be_bytes());
        draft
    }

    /// A probe.
    #[must_use]
    pub fn probe(channel: u8, next: Seq, time: u64) -> Self {
        let mut draft = Self::new(PROBE);
        draft.put(&[channel, 0, 0, 0]);
        draft.put(&next.0.to_be_bytes());
        draft.put(&time.to_be_bytes());
        draft
    }

    /// A feedback message without blocks yet.
    #[must_use]
    pub fn feedback(echoed_time: u64) -> Self {
        let mut draft = Self::new(FEEDBACK);
        draft.put(&echoed_time.to_be_bytes());
        draft
    }

    /// Adds a block to a feedback message; `false` when it is full.
    pub fn block(&mut self, channel: u8, cumulative: Seq) -> bool {
        if self.room() < BLOCK_LEN {
            return false;
        }
        self.put(&[channel, 0, 0, 0]);
        self.put(&cumulative.0.to_be_bytes());
        self.count_ranges_at(BLOCK_LEN - 1);
        true
    }

    /// The byte that counts the ranges that follow is this far back, at least 1.
    pub(super) fn count_ranges_at(&mut self, back: usize) {
        self.counter = self.text.len().checked_sub(back);
    }

    /// Adds a range to the last block; `false` when there is none or it, or the message, is full.
    pub fn range(&mut self, range: Range) -> bool {
        let room = self.room() >= RANGE_LEN;
        let count = self.counter.and_then(|at| self.text.get_mut(at));
        match count {
            Some(count) if room && *count < u8::MAX => *count += 1,
            _ => return false,
        }
        self.put(&range.start.0.to_be_bytes());
        self.put(&range.count.to_be_bytes());
        true
    }

    /// A gone message without items yet.
    #[must_use]
    pub fn gone(channel: u8) -> Self {
        let mut draft = Self::new(GONE);
        draft.put(&[channel, 0, 0, 0]);
        draft
    }

    /// Adds an item to a gone message; `false` when it is full.
    pub fn item(&mut self, item: GoneItem) -> bool {
        if self.room() < ITEM_LEN {
            return false;
        }
        let at = item.at.unwrap_or(LanePosition { lane: 0, seq: Seq(0) });
        let [l0, l1] = at.lane.to_be_bytes();
        self.put(&item.range.start.0.to_be_bytes());
        self.put(&item.range.count.to_be_bytes());
        self.put(&[l0, l1, u8::from(item.at.is_some()), 0]);
        self.put(&at.seq.0.to_be_bytes());
        true
    }

    /// Whether a gone message has no item yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counter.is_none() && self.text.len() <= PREFIX_LEN + 4
    }

    /// Whether it is a hello, to be sealed under the key of the pair.
    #[must_use]
    pub fn is_hello(&self) -> bool {
        self.text.first() == Some(&HELLO)
    }

    /// Numbers the message and ends it with its MAC: all that follows the tunnel header `header`.
    #[must_use]
    pub fn seal(&mut self, header: &[u8; HEADER_LEN], number: u64, key: Key) -> &[u8] {
        if let Some(field) = self.text.get_mut(4..PREFIX_LEN) {
            field.copy_from_slice(&number.to_be_bytes());
        }
        let mac = key.mac(&[header, &self.text]);
        self.put(&mac);
        &self.text
    }

    /// Bytes that the body may still grow by.
    pub(super) fn room(&self) -> usize {
        self.text.remaining_capacity().saturating_sub(MAC_LEN)
    }

    /// Bodies are built of parts whose room was checked, or that always fit.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let fits = self.text.try_extend_from_slice(bytes).is_ok();
        debug_assert!(fits, "a message outgrew its bound");
    }
}

/// Fields read from the front of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what is left are whole items of so many bytes.
    pub(super) fn is_items_of(&self, len: usize) -> bool {
        self.0.len().is_multiple_of(len)
    }

    /// This many ranges.
    pub(super) fn ranges(&mut self, count: u8) -> Result<Ranges<'a>, Malformed> {
        let (ranges, rest) =
            self.0.split_at_checked(usize::from(count) * RANGE_LEN).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Ranges(Fields(ranges)))
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;
