//! The gateway's own addresses: what other stations ask of it (ARP, neighbour discovery, ping), and
//! what it asks of them (the Ethernet addresses of next hops).
//!
//! Frames are read and written here, and time comes from the caller; nothing is sent. Everything is
//! slow path: [`may_concern`] sorts out, by a few bytes, what never gets here. Frames with a VLAN
//! tag are nobody's business here: they belong to the wire.

mod arp;
mod echo;
mod limit;
mod ndp;
mod neighbours;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use arrayvec::ArrayVec;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol};

pub use limit::Limit;
pub use neighbours::{Ask, Heard, Neighbour, Neighbours};

use crate::gateway::Mac;

const ETHERNET_LEN: usize = 14;
/// Shortest Ethernet frame without its FCS (IEEE 802.3, 3.2.8).
const SHORTEST: usize = 60;
const BROADCAST: Mac = [0xff; 6];

/// A frame of address resolution: a neighbour solicitation or advertisement over IPv6 is the
/// longest, 86 bytes.
pub type Short = ArrayVec<u8, 96>;

/// Our place on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Our Ethernet address.
    pub mac: Mac,
    /// Our IP address; without one we ask by ARP probes (RFC 5227).
    pub address: Option<IpAddr>,
    /// Our SID: who is on the link with us asks for it as for an address.
    pub sid: Option<Ipv6Addr>,
}

/// What a frame says that concerns a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Who its sender says it is.
    pub sender: Option<Sender>,
    /// What it wants of us.
    pub wants: Option<Wants>,
    /// Whether it is for us alone; otherwise it is others' too, and goes on.
    pub ends: bool,
}

/// An address, and the station that says it has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The IP address.
    pub address: IpAddr,
    /// The Ethernet address: of one station, and not ours.
    pub mac: Mac,
    /// Whether it takes the place of another one that was known before.
    pub replaces: bool,
}

/// What another station wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Our Ethernet address, to be told to the station `mac` at `address`.
    Address {
        /// The address of ours that is asked for.
        ours: IpAddr,
        /// The IP address that asks; unspecified while it probes for one.
        address: IpAddr,
        /// The Ethernet address that asks.
        mac: Mac,
    },
    /// An echo of the frame's data.
    Echo,
}

/// Whether a frame may concern a station: ARP, or neighbour discovery, without a VLAN tag.
/// Everything for our own Ethernet address may as well.
#[inline]
#[must_use]
pub fn may_concern(head: &[u8]) -> bool {
    match head {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x06, ..] => true,
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ip @ ..] => {
            // ICMPv6, and a solicitation or an advertisement of a neighbour.
            ip.get(6) == Some(&58) && matches!(ip.get(40), Some(135 | 136))
        }
        _ => false,
    }
}

impl Station {
    /// Reads what a whole frame says to us; `None` if it does not concern us, or cannot be read.
    #[must_use]
    pub fn read(&self, frame: &[u8]) -> Option<Said> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let (from, to) = (ethernet.src_addr().0, ethernet.dst_addr().0);
        if !is_station(from, self.mac) {
            return None;
        }
        let echo = || (to == self.mac && echo::asks(self, frame)).then_some(Said::ECHO);
        match ethernet.ethertype() {
            EthernetProtocol::Arp => arp::read(self, to, ethernet.payload()),
            EthernetProtocol::Ipv6 => ndp::read(self, from, to, ethernet.payload()).or_else(echo),
            EthernetProtocol::Ipv4 => echo(),
            _ => None,
        }
    }

    /// The frame that asks who has `address`.
    #[must_use]
    pub fn ask(&self, address: IpAddr) -> Short {
        match address {
            IpAddr::V4(address) => arp::request(self, address),
            IpAddr::V6(address) => ndp::solicitation(self, address),
        }
    }

    /// The frame that tells who asked (see [`Wants::Address`]) that our address `ours` is here;
    /// `None` if the asker's is of another family.
    #[must_use]
    pub fn tell(&self, ours: IpAddr, address: IpAddr, mac: Mac) -> Option<Short> {
        match (ours, address) {
            (IpAddr::V4(ours), IpAddr::V4(address)) => {
                Some(arp::reply((self.mac, ours), (mac, address)))
            }
            (IpAddr::V6(ours), IpAddr::V6(address)) => {
                Some(ndp::advertisement((self.mac, ours), (mac, address)))
            }
            _ => None,
        }
    }

    /// Whether an address is ours: our own, or our SID.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.address == Some(address) || self.sid.map(IpAddr::V6) == Some(address)
    }

    /// Writes the answer to an echo request (see [`Wants::Echo`]) to `answer`, instead of what is
    /// there. `false` if `frame` is none.
    pub fn echo(&self, frame: &[u8], answer: &mut Vec<u8>) -> bool {
        echo::answer(self, frame, answer).is_some()
    }
}

impl Said {
    const ECHO: Self = Self { sender: None, wants: Some(Wants::Echo), ends: true };
}

/// The IPv6 link-local address that follows from an Ethernet address (RFC 4291, appendix A).
#[must_use]
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// Whether an Ethernet address is that of one station, and not `ours`.
fn is_station(mac: Mac, ours: Mac) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6] && mac != ours
}

/// All checksums, both ways.
fn checksums() -> ChecksumCapabilities {
    ChecksumCapabilities::default()
}

/// An Ethernet frame of `len` bytes, zero behind its header.
fn short(to: Mac, from: Mac, kind: EthernetProtocol, len: usize) -> Short {
    let mut frame: Short = std::iter::repeat_n(0, len).collect();
    address(&mut frame, to, from, kind);
    frame
}

/// Writes an Ethernet header; `frame` is long enough for it.
fn address(frame: &mut [u8], to: Mac, from: Mac, kind: EthernetProtocol) {
    let mut frame = EthernetFrame::new_unchecked(frame);
    frame.set_dst_addr(EthernetAddress(to));
    frame.set_src_addr(EthernetAddress(from));
    frame.set_ethertype(kind);
}
