//! The connection management messages of the vectors: a connection from its request to its end,
//! and a rejection.

use std::sync::LazyLock;

use pipelines::wire::cm::{Ids, Mad, Message, Rej, Rep, Req};

use super::cookbook::{QA, QB};
use super::recipe::{A4, B4};

/// The first PSN that A will receive: B's first request has it.
pub(crate) const PSN_TO_A: u32 = 0xa001;
/// The first PSN that B will receive.
pub(crate) const PSN_TO_B: u32 = 0xb001;

const ID_A: u32 = 0xa000_0001;
const ID_B: u32 = 0xb000_0001;
const FROM_A: Ids = Ids { local: ID_A, remote: ID_B };
const FROM_B: Ids = Ids { local: ID_B, remote: ID_A };

fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

/// Private data of rdma_cm: version 0, IPv4, source port, addresses; filled up with zeros.
static PRIVATE: LazyLock<[u8; 92]> = LazyLock::new(|| {
    let mut data = [0; 92];
    data[..4].copy_from_slice(&[0x00, 0x40, 0xd4, 0x31]);
    data[16..20].copy_from_slice(&A4);
    data[32..36].copy_from_slice(&B4);
    data
});

fn req() -> Req<'static> {
    Req {
        local_id: ID_A,
        service_id: 0x0106_0000 | 18515,
        local_ca_guid: 0x0002_c903_0000_0001,
        local_q_key: 0,
        local_qpn: QA,
        responder_resources: 16,
        initiator_depth: 16,
        remote_response_timeout: 20,
        transport: 0,
        flow_control: true,
        starting_psn: PSN_TO_A,
        local_response_timeout: 20,
        retry_count: 7,
        p_key: 0xffff,
        path_mtu_code: 3,
        rnr_retry_count: 7,
        max_cm_retries: 15,
        shared_receive_queue: false,
        extended_transport: 0,
        local_gid: mapped(A4),
        remote_gid: mapped(B4),
        flow_label: 0,
        packet_rate: 10,
        traffic_class: 106,
        hop_limit: 64,
        local_ack_timeout: 18,
        private_data: &*PRIVATE,
    }
}

fn rep() -> Rep<'static> {
    Rep {
        ids: FROM_B,
        local_q_key: 0,
        local_qpn: QB,
        starting_psn: PSN_TO_B,
        responder_resources: 16,
        initiator_depth: 16,
        target_ack_delay: 15,
        failover: 0,
        flow_control: true,
        rnr_retry_count: 7,
        shared_receive_queue: false,
        local_ca_guid: 0x0002_c903_0000_0002,
        private_data: &[0; 196],
    }
}

/// Name, whether A sends it, and the message.
pub(crate) fn all() -> [(&'static str, bool, Mad<'static>); 6] {
    let first = |message| Mad { transaction_id: 0x1122_3344_5566_7788, message };
    let second = |message| Mad { transaction_id: 0x1122_3344_5566_7799, message };
    let rej = Rej { ids: FROM_B, rejected: 0, reason: 28, info: &[] };
    [
        ("cm_req", true, first(Message::Req(req()))),
        ("cm_rep", false, first(Message::Rep(rep()))),
        ("cm_rtu", true, first(Message::Rtu(FROM_A))),
        ("cm_dreq", true, second(Message::Dreq(FROM_A, QB))),
        ("cm_drep", false, second(Message::Drep(FROM_B))),
        ("cm_rej", false, first(Message::Rej(rej))),
    ]
}
