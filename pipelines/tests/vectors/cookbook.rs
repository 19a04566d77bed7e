//! The recipe of every RoCEv2 frame of the vectors that is built from its fields.

use pipelines::wire::aeth::{Aeth, Syndrome};
use pipelines::wire::cm::{GSI_Q_KEY, GSI_QP, MAD_LEN};
use pipelines::wire::ethernet::Tag;
use pipelines::wire::ext::{AtomicEth, Deth, Feth, Reth};

use super::mads;
use super::recipe::{FLOW_LABEL, Headers, Recipe, bth};

pub(crate) const QA: u32 = 0x111;
pub(crate) const QB: u32 = 0x222;
const PMTU: usize = 1024;
const C_TAG: Tag = Tag::new(0x8100, 3, 100);
const S_TAG: Tag = Tag::new(0x88a8, 3, 200);

/// A payload in which each byte is its predecessor plus seven.
pub(crate) fn pay(len: usize, first: usize) -> Vec<u8> {
    (0..len).map(|at| (first + at * 7) as u8).collect()
}

pub(crate) fn reth(address: u64, r_key: u32, dma_len: u32) -> Headers {
    Headers { reth: Some(Reth { address, r_key, dma_len }), ..Headers::default() }
}

fn aeth(syndrome: u8, msn: u32) -> Headers {
    Headers { aeth: Some(Aeth { syndrome: Syndrome(syndrome), msn }), ..Headers::default() }
}

fn atomic(address: u64, r_key: u32, swap_or_add: u64, compare: u64) -> Headers {
    let atomic = Some(AtomicEth { address, r_key, swap_or_add, compare });
    Headers { atomic, ..Headers::default() }
}

fn immediate(immediate: u32) -> Headers {
    Headers { immediate: Some(immediate), ..Headers::default() }
}

impl Recipe {
    fn v6(mut self) -> Self {
        self.is_ipv6 = true;
        self
    }

    fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    fn port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    fn tags(mut self, tags: &[Tag]) -> Self {
        self.tags = tags.to_vec();
        self
    }

    fn ask(mut self) -> Self {
        self.bth.ack_request = true;
        self
    }

    fn cnp(mut self) -> Self {
        self.bth.migrated = false;
        self.bth.becn = true;
        self.reserved = &[0; 16];
        self.tos(0xc0)
    }
}

/// From A to B.
fn a(name: &'static str, opcode: u8, psn: u32, qp: u32, headers: Headers, data: &[u8]) -> Recipe {
    Recipe {
        name,
        from_a: true,
        is_ipv6: false,
        tags: Vec::new(),
        id: 0,
        tos: 2,
        flow_label: FLOW_LABEL,
        source_port: 0xc123,
        bth: bth(opcode, psn, qp),
        headers,
        reserved: &[],
        payload: data.to_vec(),
    }
}

/// From B to A.
fn b(name: &'static str, opcode: u8, psn: u32, qp: u32, headers: Headers, data: &[u8]) -> Recipe {
    Recipe { from_a: false, ..a(name, opcode, psn, qp, headers, data) }
}

/// All of them in order. Hosts number their IPv4 packets from 0x1001 on.
pub(crate) fn recipes() -> Vec<Recipe> {
    let mut recipes = [
        sends(),
        writes(),
        reads(),
        atomics(),
        acknowledgements(),
        wrap(),
        other_services(),
        congestion(),
        ipv6_and_tags(),
        mads(),
        rewritten(),
        newer(),
        stream(),
        odd(),
    ]
    .concat();
    let mut id = 0x1000;
    for recipe in recipes.iter_mut().filter(|recipe| !recipe.is_ipv6) {
        id += 1;
        recipe.id = id;
    }
    recipes
}

fn sends() -> Vec<Recipe> {
    let none = Headers::default();
    let mut last = a("rc_send_last_13B_pad3", 0x02, 0x103, QB, none, &pay(13, 5)).ask();
    last.bth.solicited = true;
    let invalidate = Headers { invalidate: Some(0x1234), ..none };
    vec![
        a("rc_send_only_64", 0x04, 0x100, QB, none, &pay(64, 0)).ask(),
        b("rc_ack_for_send_only", 0x11, 0x100, QA, aeth(0x1f, 1), &[]),
        a("rc_send_first", 0x00, 0x101, QB, none, &pay(PMTU, 0)),
        a("rc_send_middle", 0x01, 0x102, QB, none, &pay(PMTU, 3)),
        last,
        b("rc_ack_coalesced_101_103", 0x11, 0x103, QA, aeth(0x1f, 2), &[]),
        a("rc_send_only_imm", 0x05, 0x104, QB, immediate(0xcafe_0001), &pay(8, 0)).ask(),
        a("rc_send_only_inv", 0x17, 0x105, QB, invalidate, &pay(8, 0)).ask(),
        a("rc_send_only_zero_len", 0x04, 0x106, QB, none, &[]).ask(),
        b("rc_ack_106", 0x11, 0x106, QA, aeth(0x1f, 5), &[]),
    ]
}

fn writes() -> Vec<Recipe> {
    let none = Headers::default();
    let at = |address, len| reth(address, 0x1122_3344, len);
    let imm = Headers { immediate: Some(7), ..at(0x7f00_0000_3000, 4) };
    vec![
        a("rc_write_first", 0x06, 0x200, QB, at(0x7f00_0000_1000, 2 * 1024 + 77), &pay(PMTU, 0)),
        a("rc_write_middle", 0x07, 0x201, QB, none, &pay(PMTU, 9)),
        a("rc_write_last_77B_pad3", 0x08, 0x202, QB, none, &pay(77, 1)).ask(),
        b("rc_ack_202", 0x11, 0x202, QA, aeth(0x1f, 6), &[]),
        a("rc_write_only", 0x0a, 0x203, QB, at(0x7f00_0000_2000, 256), &pay(256, 0)).ask(),
        a("rc_write_only_imm", 0x0b, 0x204, QB, imm, &pay(4, 0)).ask(),
        a("rc_write_only_zero_len", 0x0a, 0x205, QB, reth(0, 0, 0), &[]).ask(),
        b("rc_ack_205", 0x11, 0x205, QA, aeth(0x1f, 9), &[]),
    ]
}

fn reads() -> Vec<Recipe> {
    let none = Headers::default();
    let from = |len| reth(0x7f00_0000_4000, 0x1122_3344, len);
    vec![
        a("rc_read_req_2500B", 0x0c, 0x300, QB, from(2500), &[]).ask(),
        b("rc_read_resp_first", 0x0d, 0x300, QA, aeth(0x1f, 10), &pay(PMTU, 0)),
        b("rc_read_resp_middle", 0x0e, 0x301, QA, none, &pay(PMTU, 2)),
        b("rc_read_resp_last_452B", 0x0f, 0x302, QA, aeth(0x1f, 10), &pay(452, 0)),
        a("rc_send_only_after_read", 0x04, 0x303, QB, none, &pay(16, 0)).ask(),
        b("rc_ack_303", 0x11, 0x303, QA, aeth(0x1f, 11), &[]),
        a("rc_read_req_7B", 0x0c, 0x304, QB, from(7), &[]).ask(),
        b("rc_read_resp_only_7B_pad1", 0x10, 0x304, QA, aeth(0x1f, 12), &pay(7, 0)),
        a("rc_read_req_zero", 0x0c, 0x305, QB, reth(0, 0, 0), &[]).ask(),
        b("rc_read_resp_only_zero", 0x10, 0x305, QA, aeth(0x1f, 13), &[]),
    ]
}

fn atomics() -> Vec<Recipe> {
    let original = |msn, value| Headers { original: Some(value), ..aeth(0x1f, msn) };
    let operands = |swap| atomic(0x7f00_0000_5000, 0x1122_3344, swap, 0);
    let ones = 0x1111_1111_1111_1111;
    vec![
        a("rc_cmp_swap", 0x13, 0x400, QB, operands(ones), &[]).ask(),
        b("rc_atomic_ack_cas", 0x12, 0x400, QA, original(14, 0), &[]),
        a("rc_fetch_add", 0x14, 0x401, QB, operands(1), &[]).ask(),
        b("rc_atomic_ack_faa", 0x12, 0x401, QA, original(15, ones), &[]),
    ]
}

fn acknowledgements() -> Vec<Recipe> {
    vec![
        b("ack_credits_code_13", 0x11, 0x500, QA, aeth(0x0d, 16), &[]),
        b("rnr_nak_timer_14", 0x11, 0x501, QA, aeth(0x2e, 16), &[]),
        b("nak_0_psn_seq_err", 0x11, 0x502, QA, aeth(0x60, 16), &[]),
        b("nak_1_invalid_request", 0x11, 0x502, QA, aeth(0x61, 16), &[]),
        b("nak_2_remote_access", 0x11, 0x502, QA, aeth(0x62, 16), &[]),
        b("nak_3_remote_op", 0x11, 0x502, QA, aeth(0x63, 16), &[]),
        b("nak_4_invalid_rd", 0x11, 0x502, QA, aeth(0x64, 16), &[]),
    ]
}

fn wrap() -> Vec<Recipe> {
    let none = Headers::default();
    let send = |name, psn, first| a(name, 0x04, psn, QB, none, &pay(32, first)).ask();
    vec![
        send("wrap_send_only_fffffe", 0xff_fffe, 0),
        send("wrap_send_only_ffffff", 0xff_ffff, 1),
        send("wrap_send_only_000000", 0, 2),
        send("wrap_send_only_000001", 1, 3),
        send("wrap_send_only_000002", 2, 4),
        b("wrap_ack_000002", 0x11, 2, QA, aeth(0x1f, 0), &[]),
    ]
}

fn other_services() -> Vec<Recipe> {
    let none = Headers::default();
    let deth = Some(Deth { q_key: 0x1111_1111, source_qp: 0x444 });
    let datagram = Headers { deth, ..none };
    let with_immediate = Headers { deth, ..immediate(0xbeef) };
    let xrc = Headers { xrc_srq: Some(0x99), ..none };
    vec![
        a("uc_write_first", 0x26, 0x10, 0x333, reth(0x1000, 0x77, 1024 + 4), &pay(PMTU, 0)),
        a("uc_write_last", 0x28, 0x11, 0x333, none, &pay(4, 0)),
        a("uc_send_only", 0x24, 0x12, 0x333, none, &pay(20, 0)),
        a("ud_send_only", 0x64, 0x77, 0x555, datagram, &pay(40, 0)),
        a("ud_send_only_imm", 0x65, 0x78, 0x555, with_immediate, &pay(41, 0)),
        a("xrc_send_only", 0xa4, 0x20, 0x666, xrc, &pay(12, 0)).ask(),
    ]
}

fn congestion() -> Vec<Recipe> {
    let none = Headers::default();
    let mut v6 = b("cnp_v6", 0x81, 0, QA, none, &[]).cnp().v6();
    v6.flow_label = 0;
    vec![
        b("cnp_v4", 0x81, 0, QA, none, &[]).cnp(),
        v6,
        a("data_ect0", 0x04, 0x600, QB, none, &pay(64, 0)).tos(26 << 2 | 2),
    ]
}

fn ipv6_and_tags() -> Vec<Recipe> {
    let none = Headers::default();
    let remote = reth(0x1000, 0x55, 1024 + 5);
    vec![
        a("v6_send_only", 0x04, 0x700, QB, none, &pay(64, 0)).v6().ask(),
        a("v6_write_first", 0x06, 0x701, QB, remote, &pay(PMTU, 0)).v6(),
        a("v6_write_last_pad3", 0x08, 0x702, QB, none, &pay(5, 0)).v6().ask(),
        b("v6_ack", 0x11, 0x702, QA, aeth(0x1f, 2), &[]).v6(),
        a("vlan_send_only", 0x04, 0x800, QB, none, &pay(64, 0)).tags(&[C_TAG]).ask(),
        b("vlan_ack", 0x11, 0x800, QA, aeth(0x1f, 1), &[]).tags(&[C_TAG]),
        a("qinq_send_only", 0x04, 0x801, QB, none, &pay(64, 0)).tags(&[S_TAG, C_TAG]).ask(),
        a("vlan_v6_send_only", 0x04, 0x802, QB, none, &pay(64, 0)).v6().tags(&[C_TAG]).ask(),
    ]
}

fn mads() -> Vec<Recipe> {
    let none = Headers::default();
    let deth = Some(Deth { q_key: GSI_Q_KEY, source_qp: GSI_QP });
    let headers = Headers { deth, ..none };
    let mut recipes = Vec::new();
    for (psn, (name, from_a, mad)) in (0..).zip(mads::all()) {
        let mut payload = [0xaa; MAD_LEN];
        mad.write(&mut payload).expect("room");
        let mut recipe = a(name, 0x64, psn, GSI_QP, headers, &payload);
        recipe.from_a = from_a;
        recipe.bth.migrated = false;
        recipes.push(recipe);
    }
    recipes.push(a("cm_first_a2b_send", 0x04, mads::PSN_TO_B, QB, none, &pay(16, 0)).ask());
    recipes.push(b("cm_first_b2a_send", 0x04, mads::PSN_TO_A, QA, none, &pay(16, 0)).ask());
    recipes
}

fn rewritten() -> Vec<Recipe> {
    let none = Headers::default();
    let write = a("sport_c000", 0x06, 0x900, QB, reth(0x1000, 0x55, 4096), &pay(PMTU, 0));
    let send = a("v6_sport_c000", 0x04, 0x901, QB, none, &pay(33, 0)).v6();
    vec![write.port(0xc000), send.port(0xc000)]
}

fn newer() -> Vec<Recipe> {
    let feth = Some(Feth { placement: 2, selectivity: 0 });
    let flush = Headers { feth, ..reth(0x1000, 0x55, 4096) };
    vec![
        a("rc_flush", 0x1c, 0xb00, QB, flush, &[]).ask(),
        b("rc_flush_resp", 0x10, 0xb00, QA, aeth(0x1f, 20), &[]),
        a("rc_atomic_write", 0x1d, 0xb01, QB, reth(0x1000, 0x55, 8), &pay(8, 0)).ask(),
        b("rc_atomic_write_resp", 0x10, 0xb01, QA, aeth(0x1f, 21), &[]),
    ]
}

/// A stream across the end of the PSN space; in the notes, which PSN comes next.
fn stream() -> Vec<Recipe> {
    let none = Headers::default();
    let st = |name, opcode, psn, headers, len| a(name, opcode, psn, QB, headers, &pay(len, 0));
    let read = |len| reth(0x9000, 0x55, len);
    let imm = Headers { immediate: Some(9), ..reth(0, 0, 0) };
    let restarted = reth(0x9000 + 2048, 0x55, 5000 - 2048);
    let swap = atomic(0x8000, 0x55, 1, 0);
    vec![
        st("stream_fffff8_write_first_2100", 0x06, 0xff_fff8, reth(0x1000, 0x55, 2100), 1024),
        st("stream_fffff9_write_middle", 0x07, 0xff_fff9, none, 1024),
        st("stream_fffffa_write_last_52", 0x08, 0xff_fffa, none, 52).ask(),
        st("stream_fffffb_read_5000", 0x0c, 0xff_fffb, read(5000), 0).ask(),
        st("stream_000000_send_only_0", 0x04, 0, none, 0).ask(),
        st("stream_000001_cmp_swap", 0x13, 1, swap, 0).ask(),
        st("stream_000002_read_0", 0x0c, 2, reth(0, 0, 0), 0).ask(),
        st("stream_000003_read_1024", 0x0c, 3, read(1024), 0).ask(),
        st("stream_000004_read_1025", 0x0c, 4, read(1025), 0).ask(),
        st("stream_000006_send_first", 0x00, 6, none, 1024),
        st("stream_000007_send_last_1", 0x02, 7, none, 1).ask(),
        st("stream_000008_write_only_imm_0", 0x0b, 8, imm, 0).ask(),
        st("stream_retry_read_5000_from_2048", 0x0c, 0xff_fffd, restarted, 0).ask(),
    ]
}

/// What the negative vectors are made from, and opcodes that are not known.
fn odd() -> Vec<Recipe> {
    let none = Headers::default();
    vec![
        a("good", 0x04, 0xa00, QB, none, &pay(64, 0)).ask(),
        a("zero_len", 0x04, 0xa01, QB, none, &[]).ask(),
        a("whole", 0x04, 0xa02, QB, none, &pay(1024, 0)).ask(),
        a("unknown_opcode_0x15", 0x15, 0xa03, QB, none, &pay(8, 0)),
        a("vendor_opcode_0xd0", 0xd0, 0xa04, QB, none, &pay(8, 0)),
    ]
}
