//! Which worker a packet belongs to, told by the first bytes of its frame.
//!
//! Workers share nothing, so all that one of them must see together has to meet in it: both
//! directions of a pair of hosts, hence the requests and the answers of every queue pair between
//! them, whatever its DestQP. Only addresses and VLANs count: fragments, extension headers and
//! encrypted payload need no case of their own.
//!
//! The gateways of both sites must have the same number of workers. Then a pair of hosts has one
//! owner at either site, and a tunnel packet, which names its receiving worker by its outer UDP
//! port, arrives where what it carries belongs. For the same reason the VLAN tags of a pair of
//! hosts must be the same in both directions and at both sites.

use std::net::{IpAddr, Ipv6Addr};

use crate::bfd::datagram::{MULTI_HOP, SINGLE_HOP};
use crate::tunnel::srv6;

const UDP: u8 = 17;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// How a gateway is addressed, as far as it says whose a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Its outer address.
    pub address: IpAddr,
    /// Its SID.
    pub sid: Option<Ipv6Addr>,
    /// The first of its UDP ports, one a worker.
    pub first_udp_port: u16,
}

/// The worker, of `workers`, that the frame beginning with `head` belongs to.
///
/// - A packet sent to the SID of `ours`: as what it holds, without a VLAN.
/// - A tunnel packet, sent to the address of `ours` and one of its UDP ports: the worker of that
///   port.
/// - BFD sent to that address: worker 0.
/// - Other IP: by a hash of both addresses and the VLAN, the same in either direction.
/// - What is not IP, or too short to tell: worker 0.
///
/// `None`, the frame is nobody's and whoever received it may drop it: shorter than an Ethernet
/// header, or there are no workers.
#[inline]
#[must_use]
pub fn owner(head: &[u8], workers: usize, gateway: Gateway) -> Option<usize> {
    if workers == 0 {
        return None;
    }
    let Gateway { address: ours, sid, first_udp_port } = gateway;
    let inside = sid.and_then(|sid| srv6::look(head, sid)).and_then(Result::ok);
    let (vlan, ethertype, ip) = match inside {
        Some(inside) => (0, inside.ethertype, head.get(inside.at..)?),
        None => below_tags(head)?,
    };
    let pair = match ethertype {
        [0x08, 0x00] => ipv4(ip, ours),
        [0x86, 0xdd] => ipv6(ip, ours),
        _ => None,
    };
    let Some(pair) = pair else { return Some(0) };
    if matches!(pair.udp_port, Some(SINGLE_HOP | MULTI_HOP)) {
        return Some(0);
    }
    let channel = pair.udp_port.and_then(|port| port.checked_sub(first_udp_port));
    Some(match channel.map(usize::from) {
        Some(worker) if worker < workers => worker,
        // A multiplication in place of a division: the part of the hash's range it falls in.
        _ => ((u128::from(mix(pair.hash ^ vlan)) * workers as u128) >> 64) as usize,
    })
}

/// What counts of an IP packet.
struct Pair {
    /// Of both addresses, in whatever order.
    hash: u64,
    /// UDP destination port of what is sent to our address.
    udp_port: Option<u16>,
}

/// The VLANs of a frame, outermost first, its EtherType and what follows. `None` if it is shorter
/// than an Ethernet header.
#[inline]
fn below_tags(head: &[u8]) -> Option<(u64, [u8; 2], &[u8])> {
    let (ethernet, mut rest) = head.split_first_chunk::<14>()?;
    let mut ethertype = [ethernet[12], ethernet[13]];
    let mut vlan = 0;
    // At most two tags, as where the gateway classifies: more is not IP to it.
    for _ in 0..2 {
        if !matches!(ethertype, [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]) {
            break;
        }
        let Some((&[t0, t1, e0, e1], behind)) = rest.split_first_chunk() else { break };
        // VLAN 0 is no VLAN (IEEE 802.1Q, priority tags): a host may tag one direction only.
        vlan = vlan << 12 | u64::from(u16::from_be_bytes([t0, t1]) & 0xfff);
        ethertype = [e0, e1];
        rest = behind;
    }
    Some((vlan, ethertype, rest))
}

#[inline]
fn ipv4(ip: &[u8], ours: IpAddr) -> Option<Pair> {
    let (header, rest) = ip.split_first_chunk::<IPV4_LEN>()?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let (source, destination) =
        (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([d0, d1, d2, d3]));
    // Tunnel headers have no options; a later fragment has no ports.
    let first = header[0] == 0x45 && u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0;
    let to_us = ours == IpAddr::from([d0, d1, d2, d3]);
    let (low, high) = (source.min(destination), source.max(destination));
    Some(Pair {
        hash: mix(u64::from(low) << 32 | u64::from(high)),
        udp_port: if first && to_us && header[9] == UDP { udp_port(rest) } else { None },
    })
}

#[inline]
fn ipv6(ip: &[u8], ours: IpAddr) -> Option<Pair> {
    let (header, rest) = ip.split_first_chunk::<IPV6_LEN>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (source, _) = header[8..].split_first_chunk::<16>()?;
    let destination = header.last_chunk::<16>()?;
    let to_us = ours == IpAddr::from(*destination);
    Some(Pair {
        // A sum has no order.
        hash: one_hash(*source).wrapping_add(one_hash(*destination)),
        udp_port: if to_us && header[6] == UDP { udp_port(rest) } else { None },
    })
}

/// The destination port of a UDP header.
#[inline]
fn udp_port(udp: &[u8]) -> Option<u16> {
    udp.first_chunk().map(|&[_, _, high, low]| u16::from_be_bytes([high, low]))
}

/// Of one IPv6 address.
#[inline]
fn one_hash(address: [u8; 16]) -> u64 {
    let bits = u128::from_be_bytes(address);
    mix(mix((bits >> 64) as u64) ^ bits as u64)
}

/// Spreads every bit of `word` over all of them: a multiplication, folded.
#[inline]
fn mix(word: u64) -> u64 {
    let product = u128::from(word ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15_u128;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests;
