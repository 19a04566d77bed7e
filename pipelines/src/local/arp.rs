//! ARP (RFC 826), and its probes (RFC 5227).

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use super::short;
use super::{BROADCAST, ETHERNET_LEN, SHORTEST, Said, Sender, Short, Station, Wants, is_station};
use crate::gateway::Mac;

/// Reads an ARP packet sent to the Ethernet address `to`.
pub(super) fn read(station: &Station, to: Mac, packet: &[u8]) -> Option<Said> {
    let to_us = to == station.mac;
    if !to_us && to != BROADCAST {
        return None;
    }
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: source,
        target_protocol_addr: target,
        ..
    } = ArpRepr::parse(&ArpPacket::new_checked(packet).ok()?).ok()?
    else {
        return None;
    };
    if !is_station(mac, station.mac) || source.is_multicast() || source.is_broadcast() {
        return None;
    }
    let address = IpAddr::V4(source);
    let ours = IpAddr::V4(target);
    let wanted = operation == ArpOperation::Request && station.has(ours);
    Some(Said {
        // A probe says nothing of its sender: it only asks whether an address is free.
        sender: (!source.is_unspecified()).then_some(Sender { address, mac, replaces: true }),
        wants: wanted.then_some(Wants::Address { ours, address, mac }),
        ends: wanted || (to_us && operation == ArpOperation::Reply),
    })
}

/// The request for the Ethernet address of `address`.
pub(super) fn request(station: &Station, address: Ipv4Addr) -> Short {
    let source = match station.address {
        Some(IpAddr::V4(ours)) => ours,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    packet(ArpOperation::Request, BROADCAST, (station.mac, source), ([0; 6], address))
}

/// The reply of `ours` to `asker`.
pub(super) fn reply(ours: (Mac, Ipv4Addr), asker: (Mac, Ipv4Addr)) -> Short {
    packet(ArpOperation::Reply, asker.0, ours, asker)
}

fn packet(
    operation: ArpOperation,
    to: Mac,
    source: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Short {
    let arp = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(source.0),
        source_protocol_addr: source.1,
        target_hardware_addr: EthernetAddress(target.0),
        target_protocol_addr: target.1,
    };
    let mut frame = short(to, source.0, EthernetProtocol::Arp, SHORTEST);
    if let Some(body) = frame.get_mut(ETHERNET_LEN..) {
        arp.emit(&mut ArpPacket::new_unchecked(body));
    }
    frame
}
