//! The opcodes of the base transport header: names, extended headers, place in a message.
//!
//! InfiniBand Architecture volume 1, table 38 (OpCode field); FLUSH and ATOMIC WRITE: release 1.5.

use std::fmt;

use super::facts::Role;

/// A BTH opcode: three bits of transport service, five of operation. Displays as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u8);

/// Congestion notification packet (RoCEv2 annex): sixteen reserved bytes after the BTH.
const CNP: u8 = 0x81;
const CNP_RESERVED_LEN: usize = 16;

const RETH: usize = 16;
const AETH: usize = 4;
const IMMEDIATE: usize = 4;
const INVALIDATE: usize = 4;
const ATOMIC: usize = 28;
const ATOMIC_ACK: usize = 8;
const FLUSH: usize = 4;
const DATAGRAM: usize = 8;
const XRC: usize = 4;

/// The transport service of an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    ReliableConnected,
    UnreliableConnected,
    ReliableDatagram,
    UnreliableDatagram,
    Xrc,
    /// Congestion notification, reserved and manufacturers' services.
    Other,
}

/// An operation's place in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Middle,
    Last,
    Only,
}

/// What an opcode says about the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether the opcode's headers are known, so that lengths can be judged.
    pub(super) known: bool,
    pub(super) role: Role,
    pub(super) place: Place,
    /// Bytes of the extended headers.
    pub(super) extended_len: usize,
    /// READ request: its RETH says how many responses there will be.
    pub(super) read: bool,
    /// A datagram: its DETH names the sender's queue pair.
    pub(super) datagram: bool,
}

impl Opcode {
    fn service(self) -> Service {
        match self.0 >> 5 {
            0 => Service::ReliableConnected,
            1 => Service::UnreliableConnected,
            2 => Service::ReliableDatagram,
            3 => Service::UnreliableDatagram,
            5 => Service::Xrc,
            _ => Service::Other,
        }
    }

    /// The operation, if the service has it.
    fn operation(self) -> Option<(&'static str, Place, usize)> {
        let number = self.0 & 0x1f;
        let has = match self.service() {
            Service::ReliableConnected => number != 0x15,
            Service::ReliableDatagram => number <= 0x14,
            Service::UnreliableConnected => number <= 0x0b,
            Service::UnreliableDatagram => matches!(number, 4 | 5),
            Service::Xrc => number <= 0x17 && number != 0x15,
            Service::Other => false,
        };
        operation(number).filter(|_| has)
    }

    /// What the opcode says about the packet. Of opcodes that are not defined, and of reliable
    /// datagrams (no RNIC has them), nothing is known but that a BTH begins them.
    pub(super) fn shape(self) -> Shape {
        let unknown = Shape {
            known: false,
            role: Role::Unsequenced,
            place: Place::Only,
            extended_len: 0,
            read: false,
            datagram: false,
        };
        if self.0 == CNP {
            return Shape { known: true, extended_len: CNP_RESERVED_LEN, ..unknown };
        }
        let Some((_, place, extended_len)) = self.operation() else { return unknown };
        let number = self.0 & 0x1f;
        let role = match number {
            0x0d..=0x12 => Role::Response,
            _ => Role::Request,
        };
        let read = number == 0x0c;
        let known = Shape { known: true, role, place, extended_len, read, datagram: false };
        match (self.service(), role) {
            (Service::ReliableConnected | Service::UnreliableConnected, _) => known,
            (Service::Xrc, Role::Request) => Shape { extended_len: extended_len + XRC, ..known },
            (Service::Xrc, _) => known,
            (Service::UnreliableDatagram, _) => {
                let extended_len = extended_len + DATAGRAM;
                Shape { role: Role::Unsequenced, extended_len, datagram: true, ..known }
            }
            (Service::ReliableDatagram | Service::Other, _) => unknown,
        }
    }
}

/// Name, place in the message and bytes of extended headers of an operation, for the connected
/// services.
fn operation(number: u8) -> Option<(&'static str, Place, usize)> {
    use Place::{First, Last, Middle, Only};
    Some(match number {
        0x00 => ("SEND First", First, 0),
        0x01 => ("SEND Middle", Middle, 0),
        0x02 => ("SEND Last", Last, 0),
        0x03 => ("SEND Last with Immediate", Last, IMMEDIATE),
        0x04 => ("SEND Only", Only, 0),
        0x05 => ("SEND Only with Immediate", Only, IMMEDIATE),
        0x06 => ("WRITE First", First, RETH),
        0x07 => ("WRITE Middle", Middle, 0),
        0x08 => ("WRITE Last", Last, 0),
        0x09 => ("WRITE Last with Immediate", Last, IMMEDIATE),
        0x0a => ("WRITE Only", Only, RETH),
        0x0b => ("WRITE Only with Immediate", Only, RETH + IMMEDIATE),
        0x0c => ("READ Request", Only, RETH),
        0x0d => ("READ Response First", First, AETH),
        0x0e => ("READ Response Middle", Middle, 0),
        0x0f => ("READ Response Last", Last, AETH),
        0x10 => ("READ Response Only", Only, AETH),
        0x11 => ("Acknowledge", Only, AETH),
        0x12 => ("Atomic Acknowledge", Only, AETH + ATOMIC_ACK),
        0x13 => ("CmpSwap", Only, ATOMIC),
        0x14 => ("FetchAdd", Only, ATOMIC),
        0x16 => ("SEND Last with Invalidate", Last, INVALIDATE),
        0x17 => ("SEND Only with Invalidate", Only, INVALIDATE),
        0x1c => ("FLUSH", Only, FLUSH + RETH),
        0x1d => ("ATOMIC WRITE", Only, RETH),
        _ => return None,
    })
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.service() {
            Service::ReliableConnected => "RC",
            Service::UnreliableConnected => "UC",
            Service::ReliableDatagram => "RD",
            Service::UnreliableDatagram => "UD",
            Service::Xrc => "XRC",
            Service::Other if self.0 == CNP => return f.write_str("CNP"),
            Service::Other if self.0 >= 0xc0 => return f.write_str("manufacturer's"),
            Service::Other => return f.write_str("reserved"),
        };
        let name = self.operation().map_or("reserved", |(name, _, _)| name);
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
    fn roles_split_the_psn_spaces() {
        for opcode in 0..=u8::MAX {
            let expected = match opcode {
                0x0d..=0x12 | 0xad..=0xb2 => Role::Response,
                0x00..=0x14 | 0x16 | 0x17 | 0x1c | 0x1d => Role::Request,
                0x20..=0x2b | 0xa0..=0xb4 | 0xb6 | 0xb7 => Role::Request,
                _ => Role::Unsequenced,
            };
            assert_eq!(Opcode(opcode).shape().role, expected, "{opcode:#x}");
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
            assert_eq!(Opcode(opcode).shape().extended_len, len, "{opcode:#x}");
        }
    }
}
