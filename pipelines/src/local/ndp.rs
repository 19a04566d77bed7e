//! Neighbour discovery of IPv6 (RFC 4861): solicitations and advertisements.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::{ETHERNET_LEN, Said, Sender, Short, Station, Wants, checksums, is_station, short};
use crate::gateway::Mac;

/// A hop limit that no router lets through: the sender is on this link (RFC 4861, section 3.1).
const ON_LINK: u8 = 255;
const IPV6_LEN: usize = 40;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Reads an IPv6 packet sent by the Ethernet address `from` to `to`.
pub(super) fn read(station: &Station, from: Mac, to: Mac, packet: &[u8]) -> Option<Said> {
    let to_us = to == station.mac;
    if !to_us && to[..2] != [0x33, 0x33] {
        return None;
    }
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    let header = Ipv6Repr::parse(&ip).ok()?;
    if header.next_header != IpProtocol::Icmpv6 || header.hop_limit != ON_LINK {
        return None;
    }
    let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
    // The parser need not see what is not read here.
    if !matches!(icmp.msg_type(), Icmpv6Message::NeighborSolicit | Icmpv6Message::NeighborAdvert) {
        return None;
    }
    let message =
        Icmpv6Repr::parse(&header.src_addr, &header.dst_addr, &icmp, &checksums()).ok()?;
    match message {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, lladdr }) => {
            solicited(station, from, &header, target_addr, mac(lladdr, station.mac)?)
        }
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { flags, target_addr, lladdr }) => {
            let replaces = flags.contains(NdiscNeighborFlags::OVERRIDE);
            let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
            if target_addr.is_multicast() || (solicited && header.dst_addr.is_multicast()) {
                return None;
            }
            let sender = mac(lladdr, station.mac)?.map(|mac| Sender {
                address: target_addr.into(),
                mac,
                replaces,
            });
            Some(Said { sender, wants: None, ends: to_us })
        }
        _ => None,
    }
}

/// A solicitation came from the station `from`, with the link-layer address `mac` if it says one.
fn solicited(
    station: &Station,
    from: Mac,
    header: &Ipv6Repr,
    target: Ipv6Addr,
    mac: Option<Mac>,
) -> Option<Said> {
    let source = header.src_addr;
    // RFC 4861, section 7.1.1: who has no address yet asks the group, and says no Ethernet address.
    let probes = source.is_unspecified();
    if target.is_multicast()
        || source.is_multicast()
        || (probes && (mac.is_some() || header.dst_addr != group(target)))
    {
        return None;
    }
    let ours = IpAddr::V6(target);
    let wanted = station.has(ours);
    let address = IpAddr::V6(source);
    let (to, reply_to) = match probes {
        true => (group_mac(ALL_NODES), ALL_NODES),
        // One that is sent to us alone need not say who sent it.
        false => (mac.unwrap_or(from), source),
    };
    Some(Said {
        sender: mac.map(|mac| Sender { address, mac, replaces: true }),
        wants: wanted.then_some(Wants::Address { ours, address: reply_to.into(), mac: to }),
        ends: wanted,
    })
}

/// The link-layer address of an option; `None` if it is none that a station can have.
fn mac(option: Option<RawHardwareAddress>, ours: Mac) -> Option<Option<Mac>> {
    match option {
        None => Some(None),
        Some(raw) => {
            let mac = *raw.as_bytes().first_chunk::<6>()?;
            is_station(mac, ours).then_some(Some(mac))
        }
    }
}

/// The solicited-node multicast address of `address` (RFC 4291, section 2.7.1).
fn group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of a multicast group (RFC 2464, section 7).
fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The question for the Ethernet address of `address`.
pub(super) fn solicitation(station: &Station, address: Ipv6Addr) -> Short {
    let ours = match station.address {
        Some(IpAddr::V6(ours)) => ours,
        _ => super::link_local(station.mac),
    };
    let to = group(address);
    let lladdr = Some(EthernetAddress(station.mac).into());
    let message = NdiscRepr::NeighborSolicit { target_addr: address, lladdr };
    packet((station.mac, ours), (group_mac(to), to), message)
}

/// The answer of `ours` to `asker`, which may be all nodes.
pub(super) fn advertisement(ours: (Mac, Ipv6Addr), asker: (Mac, Ipv6Addr)) -> Short {
    let solicited = match asker.1.is_multicast() {
        true => NdiscNeighborFlags::empty(),
        false => NdiscNeighborFlags::SOLICITED,
    };
    let message = NdiscRepr::NeighborAdvert {
        flags: solicited | NdiscNeighborFlags::OVERRIDE,
        target_addr: ours.1,
        lladdr: Some(EthernetAddress(ours.0).into()),
    };
    packet(ours, asker, message)
}

fn packet(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), message: NdiscRepr<'_>) -> Short {
    let message = Icmpv6Repr::Ndisc(message);
    let header = Ipv6Repr {
        src_addr: from.1,
        dst_addr: to.1,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: ON_LINK,
    };
    let len = ETHERNET_LEN + IPV6_LEN + message.buffer_len();
    let mut frame = short(to.0, from.0, EthernetProtocol::Ipv6, len);
    let Some((ip, body)) =
        frame.get_mut(ETHERNET_LEN..).and_then(|ip| ip.split_at_mut_checked(IPV6_LEN))
    else {
        return frame;
    };
    header.emit(&mut Ipv6Packet::new_unchecked(ip));
    message.emit(&from.1, &to.1, &mut Icmpv6Packet::new_unchecked(body), &checksums());
    frame
}
