//! Control messages about streams, where PSNs are the numbers.
//!
//! Bodies, in network byte order; the envelope is that of [`super::control`]. Numbers are PSNs in
//! the lower 24 bits, extended by the sender: each time an RNIC goes back to a PSN, that one's next
//! number ahead is used. A stream goes by a name that both gateways find for themselves.
//!
//! | type | body |
//! | --- | --- |
//! | 5 streams | time 8, items: name 8, front 4, next 4, turn 4 + 4, path MTU 2, flags 1, epoch 1 |
//! | 6 stream feedback | echoed time 8 (0: none), blocks: name 8, cumulative 4, flags 1, epoch 1, ranges 1, zero 1, ranges x (start 4, count 4) |
//! | 7 stream gone | items: name 8, start 4, count 4, lost 1, zero 3 |

use super::control::{Draft, Fields, Malformed, RANGE_LEN, Ranges};
use crate::recovery::{Range, Seq};

/// Types of messages.
pub(super) const STREAMS: u8 = 5;
pub(super) const STREAM_FEEDBACK: u8 = 6;
pub(super) const STREAM_GONE: u8 = 7;

const ANNOUNCED_LEN: usize = 28;
const CONFIRMED_LEN: usize = 16;
const GONE_LEN: usize = 20;

const RESPONSE: u8 = 1;
const PROBE: u8 = 2;
const LIMIT: u8 = 4;
const UNKNOWN: u8 = 8;
const LOST: u8 = 16;
const BARE: u8 = 32;

/// What a gateway says of a stream that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Announced {
    /// The stream.
    pub name: u64,
    /// Everything before this was confirmed, or is held no more.
    pub front: Seq,
    /// The number behind the newest packet.
    pub next: Seq,
    /// Where an RNIC last went back: no number from the first up to the second was ever sent.
    pub turn: (Seq, Seq),
    /// Path MTU; 0: not known.
    pub pmtu: u16,
    /// Counts the lives of a queue pair.
    pub epoch: u8,
    /// It is one of responses.
    pub response: bool,
    /// Everything before `next` left before this message.
    pub probe: bool,
    /// Nothing from `next` on was ever sent.
    pub limit: bool,
    /// The sender knows no such stream.
    pub unknown: bool,
    /// Part of what was before `front` was never confirmed.
    pub lost: bool,
    /// The newest packet is an acknowledgement without data: the next one makes it needless.
    pub bare: bool,
}

/// What a gateway says of a stream that it receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed<'a> {
    /// The stream.
    pub name: u64,
    /// Everything before this arrived.
    pub cumulative: Seq,
    /// The life that this is about.
    pub epoch: u8,
    /// Nothing is known of it: an announcement is asked for.
    pub unknown: bool,
    /// What is asked for.
    pub ranges: Ranges<'a>,
}

/// What will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamGone {
    /// The stream.
    pub name: u64,
    /// The numbers.
    pub range: Range,
    /// Whether packets had these numbers; else there were never any.
    pub lost: bool,
}

/// Announcements as received; their lengths were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcements<'a>(pub(super) Fields<'a>);

impl Iterator for Announcements<'_> {
    type Item = Announced;

    fn next(&mut self) -> Option<Announced> {
        let name = self.0.u64().ok()?;
        let (front, next) = (Seq(self.0.u32().ok()?), Seq(self.0.u32().ok()?));
        let turn = (Seq(self.0.u32().ok()?), Seq(self.0.u32().ok()?));
        let [p0, p1, flags, epoch] = self.0.take().ok()?;
        Some(Announced {
            name,
            front,
            next,
            turn,
            pmtu: u16::from_be_bytes([p0, p1]),
            epoch,
            response: flags & RESPONSE != 0,
            probe: flags & PROBE != 0,
            limit: flags & LIMIT != 0,
            unknown: flags & UNKNOWN != 0,
            lost: flags & LOST != 0,
            bare: flags & BARE != 0,
        })
    }
}

/// Blocks of stream feedback; each was checked, so none is an error once read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamBlocks<'a>(pub(super) Fields<'a>);

impl<'a> StreamBlocks<'a> {
    fn block(&mut self) -> Result<Confirmed<'a>, Malformed> {
        let (name, cumulative) = (self.0.u64()?, Seq(self.0.u32()?));
        let [flags, epoch, count, _] = self.0.take()?;
        let ranges = self.0.ranges(count)?;
        Ok(Confirmed { name, cumulative, epoch, unknown: flags & UNKNOWN != 0, ranges })
    }
}

impl<'a> Iterator for StreamBlocks<'a> {
    type Item = Result<Confirmed<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.0 = Fields::default();
        }
        Some(block)
    }
}

/// What will not come, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamItems<'a>(pub(super) Fields<'a>);

impl Iterator for StreamItems<'_> {
    type Item = StreamGone;

    fn next(&mut self) -> Option<StreamGone> {
        let name = self.0.u64().ok()?;
        let range = Range { start: Seq(self.0.u32().ok()?), count: self.0.u32().ok()? };
        let [lost, ..] = self.0.take::<4>().ok()?;
        Some(StreamGone { name, range, lost: lost == 1 })
    }
}

/// Whether a body of this many bytes can be items of `kind`.
pub(super) fn fits(kind: u8, len: usize) -> bool {
    len.is_multiple_of(if kind == STREAMS { ANNOUNCED_LEN } else { GONE_LEN })
}

impl Draft {
    /// Announcements, none yet; `time` is the sender's clock.
    #[must_use]
    pub fn streams(time: u64) -> Self {
        let mut draft = Self::new(STREAMS);
        draft.put(&time.to_be_bytes());
        draft
    }

    /// Adds an announcement; `false` when the message is full.
    pub fn announce(&mut self, announced: &Announced) -> bool {
        if self.room() < ANNOUNCED_LEN {
            return false;
        }
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(announced.response, RESPONSE)
            | flag(announced.probe, PROBE)
            | flag(announced.limit, LIMIT)
            | flag(announced.unknown, UNKNOWN)
            | flag(announced.lost, LOST)
            | flag(announced.bare, BARE);
        let [p0, p1] = announced.pmtu.to_be_bytes();
        self.put(&announced.name.to_be_bytes());
        self.put(&announced.front.0.to_be_bytes());
        self.put(&announced.next.0.to_be_bytes());
        self.put(&announced.turn.0.0.to_be_bytes());
        self.put(&announced.turn.1.0.to_be_bytes());
        self.put(&[p0, p1, flags, announced.epoch]);
        true
    }

    /// Stream feedback without blocks yet.
    #[must_use]
    pub fn stream_feedback(echoed_time: u64) -> Self {
        let mut draft = Self::new(STREAM_FEEDBACK);
        draft.put(&echoed_time.to_be_bytes());
        draft
    }

    /// Adds a block to stream feedback; `false` when it is full. Ranges are added as to any block.
    pub fn stream_block(&mut self, name: u64, cumulative: Seq, epoch: u8, unknown: bool) -> bool {
        if self.room() < CONFIRMED_LEN {
            return false;
        }
        self.put(&name.to_be_bytes());
        self.put(&cumulative.0.to_be_bytes());
        self.put(&[if unknown { UNKNOWN } else { 0 }, epoch, 0, 0]);
        self.count_ranges_at(2);
        true
    }

    /// What will not come, nothing yet.
    #[must_use]
    pub fn stream_gone() -> Self {
        Self::new(STREAM_GONE)
    }

    /// Adds what will not come; `false` when the message is full.
    pub fn stream_item(&mut self, gone: &StreamGone) -> bool {
        if self.room() < GONE_LEN {
            return false;
        }
        self.put(&gone.name.to_be_bytes());
        self.put(&gone.range.start.0.to_be_bytes());
        self.put(&gone.range.count.to_be_bytes());
        self.put(&[u8::from(gone.lost), 0, 0, 0]);
        true
    }
}

const _: () = assert!(RANGE_LEN == 8);

#[cfg(test)]
mod tests {
    use super::super::auth::Key;
    use super::super::control::{Message, read};
    use super::super::header::HEADER_LEN;
    use super::*;

    fn sealed(mut draft: Draft) -> Vec<u8> {
        let header = [0x10; HEADER_LEN];
        let key = Key::from_secret(b"0123456789abcdef");
        [&header, draft.seal(&header, 3, key)].concat()
    }

    #[test]
    fn announcements_and_answers_read_back() {
        let announced = Announced {
            name: 7,
            front: Seq(8),
            next: Seq(9),
            turn: (Seq(3), Seq(0x0100_0001)),
            pmtu: 1_024,
            epoch: 3,
            response: true,
            probe: true,
            lost: true,
            bare: true,
            ..Announced::default()
        };
        let mut draft = Draft::streams(55);
        let other = Announced { limit: true, unknown: true, name: 1, ..Announced::default() };
        assert!(draft.announce(&announced) && draft.announce(&other));
        let message = sealed(draft);
        let Ok(Message::Streams { time: 55, items }) = read(&message) else { panic!() };
        assert_eq!(items.collect::<Vec<_>>(), [announced, other]);

        let gone = StreamGone { name: 7, range: Range { start: Seq(1), count: 2 }, lost: true };
        let mut draft = Draft::stream_gone();
        let taken = std::iter::repeat_with(|| draft.stream_item(&gone)).take_while(|&taken| taken);
        let count = taken.count();
        let message = sealed(draft);
        let Ok(Message::StreamGone { items }) = read(&message) else { panic!() };
        assert!(items.clone().all(|item| item == gone) && items.count() == count && count > 50);
    }

    #[test]
    fn feedback_has_ranges_a_stream() {
        let range = Range { start: Seq(u32::MAX), count: 4 };
        let mut draft = Draft::stream_feedback(0);
        assert!(draft.stream_block(1, Seq(5), 2, false) && draft.range(range));
        assert!(draft.stream_block(2, Seq(6), 0, true));
        let message = sealed(draft);
        let Ok(Message::StreamFeedback { echoed_time: 0, blocks }) = read(&message) else {
            panic!()
        };
        let blocks: Vec<_> = blocks.map(|block| block.expect("checked")).collect();
        assert_eq!((blocks[0].name, blocks[0].cumulative, blocks[0].epoch), (1, Seq(5), 2));
        assert_eq!(blocks[0].ranges.clone().collect::<Vec<_>>(), [range]);
        assert!(blocks[1].unknown && blocks[1].ranges.clone().count() == 0);
    }

    #[test]
    fn cut_messages_are_refused() {
        let mut draft = Draft::streams(55);
        draft.announce(&Announced::default());
        draft.put(&[0]);
        assert!(read(&sealed(draft)).is_err());
        let mut draft = Draft::stream_feedback(0);
        draft.stream_block(1, Seq(5), 2, false);
        draft.put(&[0; 3]);
        assert!(read(&sealed(draft)).is_err());
    }
}
