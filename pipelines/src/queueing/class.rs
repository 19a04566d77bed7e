//! How urgent a packet is.
//!
//! A class is a property of an order domain, not of a packet: packets of two classes overtake each
//! other. All responses of a queue pair - READ responses, ACKs, answers of atomics - are therefore of
//! one class, whatever their opcodes, and so are all requests. What has a class by its opcode alone,
//! a CNP, is in order with nothing; management datagrams have a queue pair of their own. A host that changes the DSCP
//! of a stream changes its class, and what it sent before may be overtaken, as in every switch that
//! queues by DSCP.

use crate::wire::opcode::{Kind, Opcode};

/// How urgent a packet is; the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// What others wait for and what is little: congestion notifications, connection management,
    /// address resolution. Leaves before everything else.
    Signalling,
    /// What its DSCP says is sensitive to delay. Leaves before its tenant's bulk.
    Latency,
    /// Everything else.
    Bulk,
}

/// How many classes there are.
pub const CLASSES: usize = Class::ALL.len();

/// The general services queue pair, which management datagrams are sent to (IBTA volume 1,
/// section 3.9).
const MANAGEMENT: u32 = 1;
/// Address resolution: ARP, and ICMPv6, of which neighbour discovery is part.
const ARP: u16 = 0x0806;
const ICMPV6: u8 = 58;

/// The code points of what is sensitive to delay (RFC 4594, section 2.3, and RFC 5865): network
/// control CS7 and CS6, expedited forwarding and VOICE-ADMIT, CS5, and the assured forwarding class
/// 4 with CS4. Network control is here and not in [`Class::Signalling`]: hosts write what they
/// like, and must not get before everybody else by it.
const LATENCY: u64 = 1 << 56 | 1 << 48 | 1 << 46 | 1 << 44 | 1 << 40 | 0x55 << 32;

impl Class {
    /// All of them, by their number.
    pub const ALL: [Self; 3] = [Self::Signalling, Self::Latency, Self::Bulk];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signalling => "signalling",
            Self::Latency => "latency",
            Self::Bulk => "bulk",
        }
    }

    /// Of a RoCEv2 packet, by its opcode, the queue pair it goes to and its DSCP.
    #[inline]
    #[must_use]
    pub fn of_roce(opcode: Opcode, queue_pair: u32, dscp: u8) -> Self {
        if queue_pair == MANAGEMENT || opcode.shape().kind == Kind::Congestion {
            return Self::Signalling;
        }
        Self::of_dscp(dscp)
    }

    /// Of another IP packet, by its protocol (IPv6: its first next header) and its DSCP.
    #[inline]
    #[must_use]
    pub const fn of_ip(protocol: u8, dscp: u8) -> Self {
        if protocol == ICMPV6 { Self::Signalling } else { Self::of_dscp(dscp) }
    }

    /// Of what is not IP.
    #[inline]
    #[must_use]
    pub const fn of_ethertype(ethertype: u16) -> Self {
        if ethertype == ARP { Self::Signalling } else { Self::Bulk }
    }

    #[inline]
    const fn of_dscp(dscp: u8) -> Self {
        if LATENCY >> (dscp & 63) & 1 == 1 { Self::Latency } else { Self::Bulk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wait_for_is_signalling() {
        assert_eq!(Class::of_roce(Opcode(0x81), 7, 0), Class::Signalling);
        assert_eq!(Class::of_roce(Opcode::UD_SEND_ONLY, 1, 0), Class::Signalling);
        assert_eq!(Class::of_roce(Opcode::UD_SEND_ONLY, 2, 0), Class::Bulk);
        assert_eq!(Class::of_ethertype(ARP), Class::Signalling);
        assert_eq!(Class::of_ip(ICMPV6, 0), Class::Signalling);
        assert_eq!(Class::of_ip(6, 0), Class::Bulk);
    }

    #[test]
    fn all_responses_of_a_queue_pair_are_of_one_class() {
        for dscp in 0..64 {
            let of = |opcode| Class::of_roce(Opcode(opcode), 7, dscp);
            assert!((0x0d..=0x12).all(|opcode| of(opcode) == of(0x11)), "DSCP {dscp}");
            assert!((0x00..=0x0c).all(|opcode| of(opcode) == of(0x00)), "DSCP {dscp}");
        }
    }

    #[test]
    fn code_points_say_what_is_sensitive_and_nobody_gets_first_by_one() {
        let latency: Vec<u8> =
            (0..64).filter(|dscp| Class::of_ip(17, *dscp) == Class::Latency).collect();
        assert_eq!(latency, [32, 34, 36, 38, 40, 44, 46, 48, 56]);
        assert!((0..64).all(|dscp| Class::of_ip(17, dscp) != Class::Signalling));
    }
}
