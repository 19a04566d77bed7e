//! RoCEv2 frames of the hosts' own making: connection management, and WRITEs with any ECN field.

use std::net::Ipv4Addr;

use pipelines::wire::bth::{self, Bth};
use pipelines::wire::cm::{GSI_Q_KEY, GSI_QP, Ids, MAD_LEN, Mad, Message, Rep, Req};
use pipelines::wire::ext::Deth;
use pipelines::wire::opcode::Opcode;
use pipelines::wire::{ethernet, icrc, ipv4, udp};

use crate::network::Side;

/// Where the second byte of an IPv4 header is, whose low two bits are the ECN field.
pub(crate) const TOS_AT: usize = ethernet::HEADER_LEN + 1;
/// Where the BTH is.
pub(crate) const BTH_AT: usize = ethernet::HEADER_LEN + ipv4::MIN_HEADER_LEN + udp::HEADER_LEN;
/// RC RDMA WRITE Middle.
const WRITE_MIDDLE: Opcode = Opcode(0x07);
/// A differentiated services code point of what is not signalling.
const DSCP: u8 = 26;

/// The queue pair of a side's host; both have others, so that it shows who is meant.
pub(crate) fn queue_pair(side: Side) -> u32 {
    [0x51, 0x62][side as usize]
}

/// A packet of a WRITE to a queue pair, with that ECN field.
pub(crate) fn write(from: Side, qp: u32, psn: u32, ecn: u8, length: usize) -> Vec<u8> {
    write_between(0, from, qp, psn, ecn, length)
}

/// The same between hosts number `pair`, each of which has an address of its own at either side.
pub(crate) fn write_between(
    pair: u8,
    from: Side,
    qp: u32,
    psn: u32,
    ecn: u8,
    length: usize,
) -> Vec<u8> {
    let payload = vec![psn as u8; length];
    build(pair, from, ecn, Bth { migrated: true, ..Bth::new(WRITE_MIDDLE, qp, psn) }, &[], &payload)
}

/// How the hosts connect: REQ of A, REP of B, RTU of A; each with who sends it.
pub(crate) fn connect() -> [(Side, Vec<u8>); 3] {
    let ids = Ids { local: 7, remote: 9 };
    let req = Message::Req(Req {
        local_id: ids.local,
        service_id: 0x0106_4853,
        local_ca_guid: 1,
        local_q_key: 0,
        local_qpn: queue_pair(Side::A),
        responder_resources: 1,
        initiator_depth: 1,
        remote_response_timeout: 20,
        transport: 0,
        flow_control: true,
        starting_psn: 0,
        local_response_timeout: 20,
        retry_count: 7,
        p_key: 0xffff,
        path_mtu_code: 3,
        rnr_retry_count: 7,
        max_cm_retries: 15,
        shared_receive_queue: false,
        extended_transport: 0,
        local_gid: gid(Side::A),
        remote_gid: gid(Side::B),
        flow_label: 0,
        packet_rate: 0,
        traffic_class: 0,
        hop_limit: 64,
        local_ack_timeout: 14,
        private_data: &[],
    });
    let rep = Message::Rep(Rep {
        ids: Ids { local: ids.remote, remote: ids.local },
        local_q_key: 0,
        local_qpn: queue_pair(Side::B),
        starting_psn: 0,
        responder_resources: 1,
        initiator_depth: 1,
        target_ack_delay: 14,
        failover: 0,
        flow_control: true,
        rnr_retry_count: 7,
        shared_receive_queue: false,
        local_ca_guid: 2,
        private_data: &[],
    });
    let said = [(Side::A, req), (Side::B, rep), (Side::A, Message::Rtu(ids))];
    let mut psn = 0;
    said.map(|(from, message)| {
        psn += 1;
        (from, datagram(from, psn, message))
    })
}

/// A datagram of connection management.
fn datagram(from: Side, psn: u32, message: Message<'_>) -> Vec<u8> {
    let mut mad = [0; MAD_LEN];
    Mad { transaction_id: 0x1234, message }.write(&mut mad).expect("room");
    let deth = Deth { q_key: GSI_Q_KEY, source_qp: GSI_QP }.to_bytes();
    build(0, from, 0, Bth::new(Opcode::UD_SEND_ONLY, GSI_QP, psn), &[&deth], &mad)
}

fn address(pair: u8, side: Side) -> [u8; 4] {
    [10, 10, pair, side as u8 + 1]
}

/// An IPv4 address as InfiniBand writes it.
fn gid(side: Side) -> [u8; 16] {
    Ipv4Addr::from(address(0, side)).to_ipv6_mapped().octets()
}

fn build(pair: u8, from: Side, ecn: u8, bth: Bth, extended: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let mac = |side: Side| [2, 0, 0, 0, 0, side as u8 + 1];
    let mut frame = vec![0; BTH_AT + 64 + payload.len()];
    let (head, datagram) = frame.split_at_mut(BTH_AT);
    let len = bth::write(bth, extended, payload, datagram).expect("room");
    let (link, packet) = head.split_at_mut(ethernet::HEADER_LEN);
    let (ip, ports) = packet.split_at_mut(ipv4::MIN_HEADER_LEN);
    let header = ethernet::Header {
        destination: mac(from.other()),
        source: mac(from),
        tags: &[],
        ethertype: ethernet::IPV4,
    };
    header.write(link).expect("room");
    let header = ipv4::Header {
        tos: DSCP << 2 | ecn,
        identification: 0,
        fragment_word: ipv4::DONT_FRAGMENT,
        ttl: 64,
        protocol: udp::PROTOCOL,
        source: address(pair, from),
        destination: address(pair, from.other()),
        options: &[],
    };
    header.write(udp::HEADER_LEN + len, ip).expect("room");
    // Each queue pair has a port of its own, as RNICs give them for networks that hash.
    let source_port = 0xc000 | bth.dest_qp as u16 & 0x3fff;
    let header = udp::Header { source_port, destination_port: udp::ROCEV2_PORT };
    header.write(len, ports).expect("room");
    frame.truncate(BTH_AT + len);
    let covered = ethernet::HEADER_LEN..frame.len() - icrc::LEN;
    let sum = icrc::compute(ipv4::MIN_HEADER_LEN, [&frame[covered.clone()]]).expect("headers");
    frame[covered.end..].copy_from_slice(&sum.to_le_bytes());
    frame
}
