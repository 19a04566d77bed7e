//! Control messages that stop tenants, and let them go on: see [`crate::backpressure`].
//!
//! Bodies, in network byte order; the envelope is that of [`super::control`].
//!
//! | type | body |
//! | --- | --- |
//! | 8 stops | lifetime 4 (microseconds), zero 4, items: tenant 8, sequence 4, stopped classes 1, zero 3 |
//! | 9 stops heard | zero 8, items: tenant 8, sequence 4, flags 1 (1: no such tenant here), zero 3 |
//!
//! A tenant goes by [a hash of its name](crate::backpressure::name), for the two gateways may list
//! theirs in different orders. An item says all there is to say of a tenant: bit n of the classes
//! is set while class n is stopped, and all others go.

use dataplane::time::{MICROSECOND, Nanos};

use super::control::{Draft, Fields, Malformed};
use crate::recovery::Seq;

/// Types of messages.
pub(super) const STOPS: u8 = 8;
pub(super) const STOPS_HEARD: u8 = 9;

const ITEM_LEN: usize = 16;
const UNKNOWN: u8 = 1;

/// Which classes of a tenant are stopped, and that all others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The tenant's name, hashed.
    pub tenant: u64,
    /// Higher than in all that was said of this tenant before, in this session.
    pub sequence: Seq,
    /// Bit n is set while class n is stopped.
    pub classes: u8,
}

/// What answers a [`Stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopHeard {
    /// The tenant's name, hashed.
    pub tenant: u64,
    /// The sequence of what was heard.
    pub sequence: Seq,
    /// Nobody has this name here: nothing was stopped.
    pub unknown: bool,
}

/// Stops as received; their length was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stops<'a>(Fields<'a>);

impl<'a> Stops<'a> {
    /// The lifetime and the stops in a body.
    pub(super) fn read(mut body: Fields<'a>) -> Result<(Nanos, Self), Malformed> {
        let lifetime = Nanos::from(body.u32()?) * MICROSECOND;
        body.take::<4>()?;
        body.is_items_of(ITEM_LEN).then_some((lifetime, Self(body))).ok_or(Malformed)
    }
}

impl Iterator for Stops<'_> {
    type Item = Stop;

    fn next(&mut self) -> Option<Stop> {
        let (tenant, sequence) = (self.0.u64().ok()?, Seq(self.0.u32().ok()?));
        let [classes, ..] = self.0.take::<4>().ok()?;
        Some(Stop { tenant, sequence, classes })
    }
}

/// Answers as received; their length was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsHeard<'a>(Fields<'a>);

impl<'a> StopsHeard<'a> {
    /// The answers in a body.
    pub(super) fn read(mut body: Fields<'a>) -> Result<Self, Malformed> {
        body.take::<8>()?;
        body.is_items_of(ITEM_LEN).then_some(Self(body)).ok_or(Malformed)
    }
}

impl Iterator for StopsHeard<'_> {
    type Item = StopHeard;

    fn next(&mut self) -> Option<StopHeard> {
        let (tenant, sequence) = (self.0.u64().ok()?, Seq(self.0.u32().ok()?));
        let [flags, ..] = self.0.take::<4>().ok()?;
        Some(StopHeard { tenant, sequence, unknown: flags & UNKNOWN != 0 })
    }
}

impl Draft {
    /// Stops, none yet, that hold for `lifetime` from when they arrive: whole microseconds, over an
    /// hour at most.
    #[must_use]
    pub fn stops(lifetime: Nanos) -> Self {
        let mut draft = Self::new(STOPS);
        let micros = u32::try_from(lifetime / MICROSECOND).unwrap_or(u32::MAX);
        draft.put(&micros.to_be_bytes());
        draft.put(&[0; 4]);
        draft
    }

    /// Adds a stop; `false` when the message is full.
    pub fn stop(&mut self, stop: &Stop) -> bool {
        self.stop_item(stop.tenant, stop.sequence, stop.classes)
    }

    /// Answers to stops, none yet.
    #[must_use]
    pub fn stops_heard() -> Self {
        let mut draft = Self::new(STOPS_HEARD);
        draft.put(&[0; 8]);
        draft
    }

    /// Adds an answer; `false` when the message is full.
    pub fn stop_heard(&mut self, heard: &StopHeard) -> bool {
        self.stop_item(heard.tenant, heard.sequence, if heard.unknown { UNKNOWN } else { 0 })
    }

    fn stop_item(&mut self, tenant: u64, sequence: Seq, byte: u8) -> bool {
        if self.room() < ITEM_LEN {
            return false;
        }
        self.put(&tenant.to_be_bytes());
        self.put(&sequence.0.to_be_bytes());
        self.put(&[byte, 0, 0, 0]);
        true
    }
}

#[cfg(test)]
mod tests {
    use dataplane::time::MILLISECOND;

    use super::super::auth::Key;
    use super::super::control::{MAX_MESSAGE, Message, envelope, read};
    use super::super::header::HEADER_LEN;
    use super::*;

    fn sealed(mut draft: Draft) -> Vec<u8> {
        let header = [0x10; HEADER_LEN];
        let key = Key::from_secret(b"0123456789abcdef");
        [&header, draft.seal(&header, 3, key)].concat()
    }

    #[test]
    fn stops_and_answers_read_back() {
        let stop = Stop { tenant: u64::MAX - 6, sequence: Seq(u32::MAX), classes: 0b1000_0001 };
        let resume = Stop { tenant: 7, sequence: Seq(0), classes: 0 };
        let mut draft = Draft::stops(100 * MILLISECOND);
        assert!(draft.stop(&stop) && draft.stop(&resume));
        let message = sealed(draft);
        assert!(envelope(&message).is_ok_and(|envelope| !envelope.is_hello));
        let Ok(Message::Stops { lifetime, items }) = read(&message) else { panic!() };
        assert_eq!(lifetime, 100 * MILLISECOND);
        assert_eq!(items.collect::<Vec<_>>(), [stop, resume]);

        let heard = StopHeard { tenant: 9, sequence: Seq(4), unknown: true };
        let other = StopHeard { unknown: false, ..heard };
        let mut draft = Draft::stops_heard();
        assert!(draft.stop_heard(&heard) && draft.stop_heard(&other));
        let message = sealed(draft);
        let Ok(Message::StopsHeard { items }) = read(&message) else { panic!() };
        assert_eq!(items.collect::<Vec<_>>(), [heard, other]);
    }

    #[test]
    fn a_message_fills_up_to_the_bound_and_no_further() {
        let stop = Stop { tenant: 1, sequence: Seq(2), classes: 3 };
        let mut draft = Draft::stops(u64::MAX);
        let count = std::iter::repeat_with(|| draft.stop(&stop)).take_while(|&taken| taken).count();
        let message = sealed(draft);
        assert!(message.len() <= MAX_MESSAGE && message.len() + ITEM_LEN > MAX_MESSAGE);
        let Ok(Message::Stops { lifetime, items }) = read(&message) else { panic!() };
        assert_eq!((lifetime, items.count()), (u64::from(u32::MAX) * MICROSECOND, count));
        assert!(count >= 64);
    }

    #[test]
    fn cut_messages_are_refused() {
        for mut draft in [Draft::stops(1), Draft::stops_heard()] {
            draft.stop_item(1, Seq(2), 3);
            draft.put(&[0]);
            assert!(read(&sealed(draft)).is_err());
        }
        let mut short = Draft::new(STOPS_HEARD);
        short.put(&[0; 7]);
        assert!(read(&sealed(short)).is_err());
        assert!(read(&sealed(Draft::new(STOPS))).is_err());
        assert!(envelope(&sealed(Draft::new(STOPS_HEARD + 1))).is_err());
    }
}
