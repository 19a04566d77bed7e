//! How urgent a packet is.
//!
//! A class is a property of an order domain, not of a packet: packets of two classes overtake each
//! other. All responses of a queue pair - READ responses, ACKs, answers of atomics - are therefore of
//! one class, whatever their opcodes, and so are all requests. What has a class by its opcode alone,
//! a CNP, is in order with nothing; management datagrams have a queue pair of their own. A host that changes the DSCP
//! of a stream changes its class, and what it sent before may be overtaken, as in every switch that
//! queues by DSCP.

use crate::wire::opcode::{Kind, Opcode};

/// The most classes there are: signalling and seven of data. As many as priorities of a LAN (IEEE
/// 802.1Q) and bits in a stop.
pub const CLASSES: usize = 8;

/// How urgent a packet is, by number; the most urgent first. Both gateways of a pair must number their
/// classes alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

/// The general services queue pair, which management datagrams are sent to (IBTA volume 1,
/// section 3.9).
const MANAGEMENT: u32 = 1;
/// Address resolution: ARP, and ICMPv6, of which neighbour discovery is part.
const ARP: u16 = 0x0806;
const ICMPV6: u8 = 58;

/// The code points of what is sensitive to delay (RFC 4594, section 2.3, and RFC 5865): network
/// control CS7 and CS6, expedited forwarding and VOICE-ADMIT, CS5, and the assured forwarding class
/// 4 with CS4. Network control is here and not in [`Class::SIGNALLING`]: hosts write what they
/// like, and must not get before everybody else by it.
const LATENCY: [u8; 9] = [32, 34, 36, 38, 40, 44, 46, 48, 56];

impl Class {
    /// What others wait for and what is little: congestion notifications, connection management,
    /// address resolution. Leaves before everything else.
    pub const SIGNALLING: Self = Self(0);
    /// Where classes are not chosen: what its DSCP says is sensitive to delay. Leaves before its
    /// tenant's bulk.
    pub const LATENCY: Self = Self(1);
    /// Where classes are not chosen: everything else.
    pub const BULK: Self = Self(2);

    /// All that there may be, by their number.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..CLASSES as u8).map(Self)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its bit among others.
    #[inline]
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self.0
    }

    /// The most urgent of some, a bit each.
    #[inline]
    #[must_use]
    pub const fn first_of(bits: u8) -> Option<Self> {
        match bits {
            0 => None,
            _ => Some(Self(bits.trailing_zeros() as u8)),
        }
    }
}

/// Which packets are of which class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    of_dscp: [Class; 64],
    /// The least urgent, which has what is nobody else's.
    last: Class,
}

impl Default for Classes {
    /// Latency and bulk.
    fn default() -> Self {
        Self::new(&[LATENCY.to_vec(), Vec::new()])
    }
}

impl Classes {
    /// Classes of data, the most urgent first, by the code points (0 to 63) that each has; the last
    /// has those that none names. Those behind the seventh are of the seventh.
    #[must_use]
    pub fn new(data: &[Vec<u8>]) -> Self {
        let class = |index: usize| Class(index.min(CLASSES - 2) as u8 + 1);
        let last = class(data.len().saturating_sub(1));
        let mut of_dscp = [last; 64];
        for (index, points) in data.iter().enumerate() {
            for point in points {
                of_dscp[usize::from(*point & 63)] = class(index);
            }
        }
        Self { of_dscp, last }
    }

    /// The class of a RoCEv2 packet, by its opcode, the queue pair it goes to and its DSCP.
    #[inline]
    #[must_use]
    pub fn of_roce(&self, opcode: Opcode, queue_pair: u32, dscp: u8) -> Class {
        if queue_pair == MANAGEMENT || opcode.shape().kind == Kind::Congestion {
            return Class::SIGNALLING;
        }
        self.of_dscp(dscp)
    }

    /// The class of another IP packet, by its protocol (IPv6: its first next header) and its DSCP.
    #[inline]
    #[must_use]
    pub const fn of_ip(&self, protocol: u8, dscp: u8) -> Class {
        if protocol == ICMPV6 { Class::SIGNALLING } else { self.of_dscp(dscp) }
    }

    /// The class of what is not IP.
    #[inline]
    #[must_use]
    pub const fn of_ethertype(&self, ethertype: u16) -> Class {
        if ethertype == ARP { Class::SIGNALLING } else { self.last }
    }

    /// The class of what nothing is known of.
    #[inline]
    #[must_use]
    pub const fn last(&self) -> Class {
        self.last
    }

    #[inline]
    const fn of_dscp(&self, dscp: u8) -> Class {
        self.of_dscp[(dscp & 63) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Classes {
        Classes::default()
    }

    #[test]
    fn what_others_wait_for_is_signalling() {
        assert_eq!(usual().of_roce(Opcode(0x81), 7, 0), Class::SIGNALLING);
        assert_eq!(usual().of_roce(Opcode::UD_SEND_ONLY, 1, 0), Class::SIGNALLING);
        assert_eq!(usual().of_roce(Opcode::UD_SEND_ONLY, 2, 0), Class::BULK);
        assert_eq!(usual().of_ethertype(ARP), Class::SIGNALLING);
        assert_eq!(usual().of_ip(ICMPV6, 0), Class::SIGNALLING);
        assert_eq!(usual().of_ip(6, 0), Class::BULK);
    }

    #[test]
    fn all_responses_of_a_queue_pair_are_of_one_class() {
        for dscp in 0..64 {
            let of = |opcode| usual().of_roce(Opcode(opcode), 7, dscp);
            assert!((0x0d..=0x12).all(|opcode| of(opcode) == of(0x11)), "DSCP {dscp}");
            assert!((0x00..=0x0c).all(|opcode| of(opcode) == of(0x00)), "DSCP {dscp}");
        }
    }

    #[test]
    fn code_points_say_what_is_sensitive_and_nobody_gets_first_by_one() {
        let latency: Vec<u8> =
            (0..64).filter(|dscp| usual().of_ip(17, *dscp) == Class::LATENCY).collect();
        assert_eq!(latency, [32, 34, 36, 38, 40, 44, 46, 48, 56]);
        assert!((0..64).all(|dscp| usual().of_ip(17, dscp) != Class::SIGNALLING));
    }

    #[test]
    fn seven_classes_of_data_can_be_chosen_and_the_last_has_the_rest() {
        let data: Vec<Vec<u8>> =
            (0..7).map(|class| if class < 6 { vec![class * 8] } else { vec![] }).collect();
        let classes = Classes::new(&data);
        let of: Vec<usize> =
            (0..64).step_by(8).map(|dscp| classes.of_ip(17, dscp).index()).collect();
        assert_eq!(of, [1, 2, 3, 4, 5, 6, 7, 7]);
        assert_eq!((classes.of_ip(17, 63).index(), classes.of_ethertype(0x88b5).index()), (7, 7));
        assert_eq!(Class::first_of(0b1010_0000).map(Class::index), Some(5));
        assert_eq!(Class::first_of(0), None);
        let one = Classes::new(&[vec![]]);
        assert!((0..64).all(|dscp| one.of_ip(17, dscp).index() == 1));
        let too_many = Classes::new(&vec![vec![5]; 20]);
        assert_eq!(too_many.of_ip(17, 5).index(), 7);
    }
}
