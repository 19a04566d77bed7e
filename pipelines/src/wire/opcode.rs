//! The opcodes of the base transport header: names, extended headers, place in a message.
//!
//! InfiniBand Architecture volume 1, table 38 (OpCode field); FLUSH and ATOMIC WRITE: release 1.5;
//! CNP: annex A17 (RoCEv2).

use std::fmt;

use super::ext::{Ext, ExtSet};

/// A BTH opcode: three bits of transport service, five of operation. Displays as its name, as in
/// "RC SEND Only".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u8);

/// The transport service of an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Reliable connected, RC.
    ReliableConnected,
    /// Unreliable connected, UC.
    UnreliableConnected,
    /// Reliable datagram, RD: named only, since no RNIC has it on Ethernet.
    ReliableDatagram,
    /// Unreliable datagram, UD.
    UnreliableDatagram,
    /// Congestion notification, and reserved opcodes beside it.
    Congestion,
    /// Extended reliable connected, XRC.
    Extended,
    /// Manufacturers' own.
    Manufacturer,
}

/// What a packet is to the exchange that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// From requester to responder, numbered in the requester's PSN space (RC, UC, XRC).
    Request,
    /// A READ response: carries the PSN of what it answers (RC, XRC).
    Response,
    /// An acknowledgement without payload, negative ones and those of atomics included (RC, XRC).
    Acknowledge,
    /// A datagram (UD): its PSN means nothing.
    Datagram,
    /// A congestion notification.
    Congestion,
    /// Not known: nothing can be said but that a BTH begins it.
    Unknown,
}

/// A packet's place in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// First of several.
    First,
    /// Between.
    Middle,
    /// Last of several.
    Last,
    /// The only one.
    Only,
}

impl Place {
    /// Whether a message starts here.
    #[inline]
    #[must_use]
    pub const fn starts(self) -> bool {
        matches!(self, Place::First | Place::Only)
    }

    /// Whether a message ends here.
    #[inline]
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(self, Place::Last | Place::Only)
    }
}

/// What an opcode says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the packet is.
    pub kind: Kind,
    /// Its place in its message.
    pub place: Place,
    /// The extended headers behind its BTH.
    pub headers: ExtSet,
    /// Whether a payload may be behind those; else there is none.
    pub payload: bool,
}

impl Shape {
    /// Whether the opcode is known, so that its headers are and lengths can be judged.
    #[inline]
    #[must_use]
    pub const fn is_known(self) -> bool {
        !matches!(self.kind, Kind::Unknown)
    }

    /// Whether the PSN counts: it is one of the requester's space.
    #[inline]
    #[must_use]
    pub const fn uses_psn(self) -> bool {
        matches!(self.kind, Kind::Request | Kind::Response | Kind::Acknowledge)
    }
}

/// What is known of an opcode that is not.
const UNKNOWN: Shape =
    Shape { kind: Kind::Unknown, place: Place::Only, headers: ExtSet::NONE, payload: true };

/// What every opcode means, computed once by the compiler.
static SHAPES: [Shape; 256] = {
    let mut shapes = [UNKNOWN; 256];
    let mut opcode = 0;
    while opcode < shapes.len() {
        shapes[opcode] = Opcode(opcode as u8).derive();
        opcode += 1;
    }
    shapes
};

/// An operation of the connected services: name, kind, place, extended headers, payload.
type Operation = (&'static str, Kind, Place, ExtSet, bool);

/// The operations, by the lower five bits of the opcode.
const fn operation(number: u8) -> Option<Operation> {
    use Ext::{AckAtomic, Aeth, Atomic, Feth, Ieth, ImmDt, Reth};
    use Kind::{Acknowledge, Request, Response};
    use Place::{First, Last, Middle, Only};
    const fn set(headers: &[Ext]) -> ExtSet {
        ExtSet::of(headers)
    }
    Some(match number {
        0x00 => ("SEND First", Request, First, ExtSet::NONE, true),
        0x01 => ("SEND Middle", Request, Middle, ExtSet::NONE, true),
        0x02 => ("SEND Last", Request, Last, ExtSet::NONE, true),
        0x03 => ("SEND Last with Immediate", Request, Last, set(&[ImmDt]), true),
        0x04 => ("SEND Only", Request, Only, ExtSet::NONE, true),
        0x05 => ("SEND Only with Immediate", Request, Only, set(&[ImmDt]), true),
        0x06 => ("WRITE First", Request, First, set(&[Reth]), true),
        0x07 => ("WRITE Middle", Request, Middle, ExtSet::NONE, true),
        0x08 => ("WRITE Last", Request, Last, ExtSet::NONE, true),
        0x09 => ("WRITE Last with Immediate", Request, Last, set(&[ImmDt]), true),
        0x0a => ("WRITE Only", Request, Only, set(&[Reth]), true),
        0x0b => ("WRITE Only with Immediate", Request, Only, set(&[Reth, ImmDt]), true),
        0x0c => ("READ Request", Request, Only, set(&[Reth]), false),
        0x0d => ("READ Response First", Response, First, set(&[Aeth]), true),
        0x0e => ("READ Response Middle", Response, Middle, ExtSet::NONE, true),
        0x0f => ("READ Response Last", Response, Last, set(&[Aeth]), true),
        0x10 => ("READ Response Only", Response, Only, set(&[Aeth]), true),
        0x11 => ("Acknowledge", Acknowledge, Only, set(&[Aeth]), false),
        0x12 => ("Atomic Acknowledge", Acknowledge, Only, set(&[Aeth, AckAtomic]), false),
        0x13 => ("CmpSwap", Request, Only, set(&[Atomic]), false),
        0x14 => ("FetchAdd", Request, Only, set(&[Atomic]), false),
        0x16 => ("SEND Last with Invalidate", Request, Last, set(&[Ieth]), true),
        0x17 => ("SEND Only with Invalidate", Request, Only, set(&[Ieth]), true),
        0x1c => ("FLUSH", Request, Only, set(&[Feth, Reth]), false),
        0x1d => ("ATOMIC WRITE", Request, Only, set(&[Reth]), true),
        _ => return None,
    })
}

impl Opcode {
    /// Congestion notification packet.
    pub const CNP: Opcode = Opcode(0x81);
    /// READ request of RC; the same operation of XRC is another opcode.
    pub const RC_READ_REQUEST: Opcode = Opcode(0x0c);
    /// Acknowledgement of RC, positive or negative.
    pub const RC_ACKNOWLEDGE: Opcode = Opcode(0x11);
    /// Datagram without immediate data, as connection management has it.
    pub const UD_SEND_ONLY: Opcode = Opcode(0x64);

    /// The transport service.
    #[must_use]
    pub const fn service(self) -> Service {
        match self.0 >> 5 {
            0 => Service::ReliableConnected,
            1 => Service::UnreliableConnected,
            2 => Service::ReliableDatagram,
            3 => Service::UnreliableDatagram,
            4 => Service::Congestion,
            5 => Service::Extended,
            _ => Service::Manufacturer,
        }
    }

    /// What the opcode says about the packet. Of opcodes that are not defined, and of reliable
    /// datagrams, nothing is known.
    #[inline]
    #[must_use]
    pub fn shape(self) -> &'static Shape {
        &SHAPES[usize::from(self.0)]
    }

    /// Whether it is a READ request: its RETH says how many responses there will be.
    #[inline]
    #[must_use]
    pub const fn is_read_request(self) -> bool {
        matches!(self.0, 0x0c | 0xac)
    }

    /// The operation, if the service has it.
    const fn operation(self) -> Option<Operation> {
        let number = self.0 & 0x1f;
        let has = match self.service() {
            Service::ReliableConnected => true,
            Service::ReliableDatagram => number <= 0x14,
            Service::UnreliableConnected => number <= 0x0b,
            Service::UnreliableDatagram => matches!(number, 4 | 5),
            Service::Extended => number <= 0x17,
            Service::Congestion | Service::Manufacturer => false,
        };
        if has { operation(number) } else { None }
    }

    /// What [`SHAPES`] holds.
    const fn derive(self) -> Shape {
        if self.0 == Self::CNP.0 {
            let headers = ExtSet::of(&[Ext::CnpReserved]);
            return Shape { kind: Kind::Congestion, headers, payload: false, ..UNKNOWN };
        }
        let Some((_, kind, place, headers, payload)) = self.operation() else { return UNKNOWN };
        let shape = Shape { kind, place, headers, payload };
        match (self.service(), kind) {
            (Service::ReliableConnected | Service::UnreliableConnected, _) => shape,
            (Service::Extended, Kind::Request) => {
                Shape { headers: headers.with(Ext::Xrceth), ..shape }
            }
            (Service::Extended, _) => shape,
            (Service::UnreliableDatagram, _) => {
                Shape { kind: Kind::Datagram, headers: headers.with(Ext::Deth), ..shape }
            }
            _ => UNKNOWN,
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.service() {
            Service::ReliableConnected => "RC",
            Service::UnreliableConnected => "UC",
            Service::ReliableDatagram => "RD",
            Service::UnreliableDatagram => "UD",
            Service::Extended => "XRC",
            Service::Congestion if *self == Self::CNP => return f.write_str("CNP"),
            Service::Manufacturer => return f.write_str("manufacturer's"),
            Service::Congestion => return f.write_str("reserved"),
        };
        let name = self.operation().map_or("reserved", |(name, ..)| name);
        write!(f, "{service} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let cases = [
            (0x04, "RC SEND Only"),
            (0x11, "RC Acknowledge"),
            (0x15, "RC reserved"),
            (0x2a, "UC WRITE Only"),
            (0x2c, "UC reserved"),
            (0x4c, "RD READ Request"),
            (0x64, "UD SEND Only"),
            (0x66, "UD reserved"),
            (0x81, "CNP"),
            (0x80, "reserved"),
            (0xa4, "XRC SEND Only"),
            (0xff, "manufacturer's"),
        ];
        for (opcode, name) in cases {
            assert_eq!(Opcode(opcode).to_string(), name);
        }
    }

    #[test]
    fn kinds_split_the_psn_spaces() {
        for opcode in 0..=u8::MAX {
            let expected = match opcode {
                0x0d..=0x10 | 0xad..=0xb0 => Kind::Response,
                0x11 | 0x12 | 0xb1 | 0xb2 => Kind::Acknowledge,
                0x00..=0x14 | 0x16 | 0x17 | 0x1c | 0x1d => Kind::Request,
                0x20..=0x2b | 0xa0..=0xb4 | 0xb6 | 0xb7 => Kind::Request,
                0x64 | 0x65 => Kind::Datagram,
                0x81 => Kind::Congestion,
                _ => Kind::Unknown,
            };
            assert_eq!(Opcode(opcode).shape().kind, expected, "{opcode:#x}");
        }
    }

    #[test]
    fn extended_headers() {
        // Requests of XRC carry four bytes more, responses do not; datagrams carry a DETH.
        let cases = [
            (0x04, 0),
            (0x0b, 20),
            (0x12, 12),
            (0x13, 28),
            (0x1c, 20),
            (0xa6, 20),
            (0xb1, 4),
            (0x64, 8),
            (0x65, 12),
            (0x81, 16),
            (0x4c, 0),
        ];
        for (opcode, len) in cases {
            assert_eq!(Opcode(opcode).shape().headers.len(), len, "{opcode:#x}");
        }
        let longest = (0..=u8::MAX).map(|opcode| Opcode(opcode).shape().headers.len()).max();
        assert_eq!(longest, Some(super::super::ext::MAX_LEN));
    }

    #[test]
    fn what_carries_a_payload() {
        let without = (0..=u8::MAX).filter(|opcode| !Opcode(*opcode).shape().payload);
        let expected = [0x0c, 0x11, 0x12, 0x13, 0x14, 0x1c, 0x81, 0xac, 0xb1, 0xb2, 0xb3, 0xb4];
        assert_eq!(without.collect::<Vec<_>>(), expected);
    }
}
