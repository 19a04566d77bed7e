//! What an application asks for, and what it is told.

use dataplane::time::Time;
use pipelines::wire::opcode::{Opcode, Place};

use super::psn::Psn;

/// The number of a queue pair.
pub type QpNumber = u32;

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Into a receive that the other end posted.
    Send,
    /// The same, with four bytes for the receiver's completion.
    SendImmediate,
    /// The same, with a key that becomes invalid.
    SendInvalidate,
    /// Into the other end's memory.
    Write,
    /// The same, and tells the other end's application.
    WriteImmediate,
    /// From the other end's memory.
    Read,
    /// Compares and swaps eight bytes of the other end's memory.
    CmpSwap,
    /// Adds to eight bytes of the other end's memory.
    FetchAdd,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Send,
        Self::SendImmediate,
        Self::SendInvalidate,
        Self::Write,
        Self::WriteImmediate,
        Self::Read,
        Self::CmpSwap,
        Self::FetchAdd,
    ];

    /// Whether it is one of the two atomics.
    #[inline]
    #[must_use]
    pub const fn is_atomic(self) -> bool {
        matches!(self, Self::CmpSwap | Self::FetchAdd)
    }

    /// Whether responses of its own complete it, so that no other acknowledgement can.
    #[inline]
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Read) || self.is_atomic()
    }

    /// The opcode of its request packet at this place in the message.
    #[inline]
    pub(super) const fn opcode(self, place: Place) -> Opcode {
        let send = match place {
            Place::First => 0x00,
            Place::Middle => 0x01,
            Place::Last => 0x02,
            Place::Only => 0x04,
        };
        let ends = place.ends();
        Opcode(match self {
            Self::Send => send,
            Self::SendImmediate => send + ends as u8,
            Self::SendInvalidate if matches!(place, Place::Last) => 0x16,
            Self::SendInvalidate if matches!(place, Place::Only) => 0x17,
            Self::SendInvalidate => send,
            Self::Write => 0x06 + send,
            Self::WriteImmediate => 0x06 + send + ends as u8,
            Self::Read => 0x0c,
            Self::CmpSwap => 0x13,
            Self::FetchAdd => 0x14,
        })
    }
}

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkRequest {
    /// What it does.
    pub verb: Verb,
    /// Its bytes; for atomics always eight.
    pub length: u32,
    /// The application's name for it.
    pub id: u64,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Done.
    Success,
    /// Nothing heard, too often.
    RetryExceeded,
    /// No receive at the other end, too often.
    RnrRetryExceeded,
    /// The other end refused it: not a request it understands here.
    RemoteInvalidRequest,
    /// The other end refused it: not its memory.
    RemoteAccess,
    /// The other end could not do it.
    RemoteOperation,
    /// Given up because the queue pair failed or went away.
    Flushed,
}

/// The end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The queue pair.
    pub qpn: QpNumber,
    /// The application's name for the message.
    pub id: u64,
    /// How it ended.
    pub status: Status,
    /// When it was posted.
    pub posted: Time,
    /// When its first packet left; [`Time::NEVER`] if none did.
    pub first_sent: Time,
    /// When it ended.
    pub completed: Time,
}

/// A message in a send queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) verb: Verb,
    pub(super) length: u32,
    pub(super) id: u64,
    /// Its first PSN.
    pub(super) first: Psn,
    /// The one behind its last.
    pub(super) end: Psn,
    /// Atomics posted before it.
    pub(super) atomics_before: u64,
    pub(super) posted: Time,
    pub(super) first_sent: Time,
}

impl Entry {
    /// What the application is told about its end.
    pub(super) const fn completion(&self, qpn: QpNumber, status: Status, now: Time) -> Completion {
        let Self { id, posted, first_sent, .. } = *self;
        Completion { qpn, id, status, posted, first_sent, completed: now }
    }
}

/// The place of packet `index` in a message of `packets`.
#[inline]
pub(super) const fn place_of(index: u64, packets: u64) -> Place {
    match (index == 0, index + 1 == packets) {
        (true, true) => Place::Only,
        (true, false) => Place::First,
        (false, true) => Place::Last,
        (false, false) => Place::Middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_table() {
        let names = |verb: Verb| {
            [Place::First, Place::Middle, Place::Last, Place::Only]
                .map(|place| verb.opcode(place).to_string())
        };
        assert_eq!(
            names(Verb::SendInvalidate),
            [
                "RC SEND First",
                "RC SEND Middle",
                "RC SEND Last with Invalidate",
                "RC SEND Only with Invalidate"
            ]
        );
        assert_eq!(
            names(Verb::WriteImmediate),
            [
                "RC WRITE First",
                "RC WRITE Middle",
                "RC WRITE Last with Immediate",
                "RC WRITE Only with Immediate"
            ]
        );
        assert_eq!(names(Verb::SendImmediate)[3], "RC SEND Only with Immediate");
        assert_eq!(names(Verb::Write)[3], "RC WRITE Only");
        for (verb, name) in [
            (Verb::Read, "RC READ Request"),
            (Verb::CmpSwap, "RC CmpSwap"),
            (Verb::FetchAdd, "RC FetchAdd"),
        ] {
            assert_eq!(verb.opcode(Place::Only).to_string(), name);
        }
    }

    #[test]
    fn places_depend_on_where_a_message_ends() {
        let places = |packets| (0..packets).map(|index| place_of(index, packets)).collect();
        let [one, three]: [Vec<_>; 2] = [places(1), places(3)];
        assert_eq!(one, [Place::Only]);
        assert_eq!(three, [Place::First, Place::Middle, Place::Last]);
    }
}
