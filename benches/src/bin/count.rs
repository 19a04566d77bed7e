//! Runs one stage for so many packets, so that a tool which counts instructions can count its own:
//! all that belongs to the stage happens inside [`measured`], and nothing else does.
//!
//! `count STAGE PACKETS` runs it, `count` alone lists the stages, `count crc` says which code
//! sums an ICRC here.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;

use benches::flows::{self, Operation};
use benches::queues;
use dataplane::time::MICROSECOND;
use lab::pair::Load;
use lab::pair::frames::{IP_AT, IP_LEN, write_frame};
use lab::pair::traffic::{RECEIVER, SENDER, Traffic};
use pipelines::gateway::Prefix;
use pipelines::tenant::{Classifier, DEFAULT, Match, TenantSettings, Traits};
use pipelines::wire::icrc;
use pipelines::wire::packet::Parsed;

const QUEUE_PAIR: u32 = 17;
/// Bytes of RDMA payload where only one packet is looked at.
const PAYLOAD: usize = 1_024;

/// A stage: its name, and what runs it for so many packets.
type Stage = (&'static str, fn(u64));

const STAGES: [Stage; 29] = [
    ("parse", parse),
    ("icrc-verify-1024", icrc_verify),
    ("icrc-compute-1024", icrc_compute),
    ("icrc-update-1024", icrc_update),
    ("tenant-of-1", |packets| tenant(packets, 1, vlan)),
    ("tenant-of-64", |packets| tenant(packets, 64, vlan)),
    ("tenant-of-4096", |packets| tenant(packets, 4_096, vlan)),
    ("tenant-of-4096-mixed", |packets| tenant(packets, 4_096, mixed)),
    ("queue-of-1", |packets| queue(packets, 1, false)),
    ("queue-of-64", |packets| queue(packets, 64, false)),
    ("queue-of-4096", |packets| queue(packets, 4_096, false)),
    ("queue-of-1-shaped", |packets| queue(packets, 1, true)),
    ("queue-of-4096-shaped", |packets| queue(packets, 4_096, true)),
    ("encapsulate", |packets| gateway(packets, 0, &[SENDER])),
    ("receive-in-order", |packets| gateway(packets, 0, &[RECEIVER])),
    ("both-1%-lost", |packets| gateway(packets, 100, &[SENDER, RECEIVER])),
    ("flow-run-1k", |packets| flow_table(packets, Operation::Run, 1_000)),
    ("flow-hit-1k", |packets| flow_table(packets, Operation::Hit, 1_000)),
    ("flow-hit-100k", |packets| flow_table(packets, Operation::Hit, 100_000)),
    ("flow-hit-1M", |packets| flow_table(packets, Operation::Hit, 1_000_000)),
    ("flow-miss-1k", |packets| flow_table(packets, Operation::Miss, 1_000)),
    ("flow-miss-100k", |packets| flow_table(packets, Operation::Miss, 100_000)),
    ("flow-miss-1M", |packets| flow_table(packets, Operation::Miss, 1_000_000)),
    ("flow-insert-1k", |packets| flow_table(packets, Operation::Insert, 1_000)),
    ("flow-insert-100k", |packets| flow_table(packets, Operation::Insert, 100_000)),
    ("flow-insert-1M", |packets| flow_table(packets, Operation::Insert, 1_000_000)),
    ("flow-evict-1k", |packets| flow_table(packets, Operation::Evict, 1_000)),
    ("flow-evict-100k", |packets| flow_table(packets, Operation::Evict, 100_000)),
    ("flow-evict-1M", |packets| flow_table(packets, Operation::Evict, 1_000_000)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => STAGES.iter().for_each(|(name, _)| println!("{name}")),
        ["crc"] => println!("{}", crc_code()),
        [stage, packets] => {
            let run = STAGES.iter().find(|(name, _)| *name == stage);
            let (Some((_, run)), Ok(packets)) = (run, packets.parse()) else {
                eprintln!("no such stage, or no number of packets: {stage} {packets}");
                return ExitCode::FAILURE;
            };
            run(packets);
        }
        _ => {
            eprintln!("usage: count [crc | STAGE PACKETS]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What is counted. A function of its own in the binary, whatever it runs.
#[inline(never)]
fn measured<R>(run: impl FnOnce() -> R) -> R {
    // Not the last thing it does: a jump to `run` in place of a call would end the count.
    black_box(run())
}

fn parse(packets: u64) {
    let frame = write_frame(QUEUE_PAIR, PAYLOAD);
    for _ in 0..packets {
        let frame = black_box(frame.as_slice());
        measured(|| black_box(Parsed::of(frame, frame.len())));
    }
}

fn icrc_verify(packets: u64) {
    let frame = write_frame(QUEUE_PAIR, PAYLOAD);
    for _ in 0..packets {
        let packet = black_box(&frame[IP_AT..]);
        measured(|| icrc::verify(IP_LEN, [packet]));
    }
}

fn icrc_compute(packets: u64) {
    let frame = write_frame(QUEUE_PAIR, PAYLOAD);
    for _ in 0..packets {
        let packet = black_box(&frame[IP_AT..frame.len() - icrc::LEN]);
        measured(|| icrc::compute(IP_LEN, [packet]));
    }
}

/// After a new UDP source port.
fn icrc_update(packets: u64) {
    let frame = write_frame(QUEUE_PAIR, PAYLOAD);
    let behind = frame.len() - IP_AT - IP_LEN - 2 - icrc::LEN;
    for packet in 0..packets {
        let (sum, new) = (packet as u32, (packet as u16).to_be_bytes());
        let (sum, new, behind) = black_box((sum, new, behind));
        measured(|| icrc::update(sum, &[0xc0, 0x00], &new, behind));
    }
}

/// One packet in a flow table of so many subflows.
fn flow_table(packets: u64, operation: Operation, entries: u32) {
    let (mut load, mut left) = (flows::Load::new(operation, entries), packets);
    while left > 0 {
        left -= load.prepare(usize::try_from(left).unwrap_or(usize::MAX)) as u64;
        load.run(|flows, operation, sight, now| {
            let flows = black_box(flows);
            black_box(measured(|| flows::operate(flows, operation, sight, now)));
        });
    }
}

/// The tenant of a packet, of so many that are made by `shape`; each packet is another one's.
fn tenant(packets: u64, tenants: u16, shape: fn(u16) -> (Match, Traits)) {
    let settings = (0..=tenants).map(|tenant| TenantSettings {
        matches: if tenant == DEFAULT { Match::default() } else { shape(tenant).0 },
        ..TenantSettings::default()
    });
    let classifier = Classifier::new(&settings.collect::<Vec<_>>());
    for packet in 0..packets {
        let tenant = (packet % u64::from(tenants)) as u16 + 1;
        let of = black_box(shape(tenant).1);
        let found = measured(|| classifier.tenant(&of));
        assert_eq!(found, tenant);
    }
}

/// A packet into the queue of its tenant, of so many, and one out.
fn queue(packets: u64, tenants: u16, shaped: bool) {
    let mut load = queues::Load::new(tenants, shaped);
    for _ in 0..packets {
        let load = black_box(&mut load);
        measured(|| load.turn());
    }
}

/// A tenant of a VLAN, and a packet of its own.
fn vlan(tenant: u16) -> (Match, Traits) {
    let vlan = tenant - 1;
    let traits = Traits { vlan, ip: Some(([10, 0, 0, 1].into(), 0)), ..Traits::default() };
    (Match { vlans: vec![vlan], ..Match::default() }, traits)
}

/// One of a VLAN, of a P_Key, or of prefixes of two lengths: each packet is looked up four times.
fn mixed(tenant: u16) -> (Match, Traits) {
    let [high, low] = tenant.to_be_bytes();
    let host = [10, high, low, 1];
    let prefix = |length| vec![Prefix { address: host.into(), length }];
    let traits = Traits { ip: Some((host.into(), 0)), p_key: Some(0x7fff), ..Traits::default() };
    match tenant % 4 {
        0 => vlan(tenant),
        1 => {
            let matches = Match { p_keys: vec![tenant], ..Match::default() };
            (matches, Traits { p_key: Some(tenant), ..traits })
        }
        2 => (Match { prefixes: prefix(24), ..Match::default() }, traits),
        _ => (Match { prefixes: prefix(32), ..Match::default() }, traits),
    }
}

/// The rounds of the workers of `sides`, one packet in `drop_every` lost between them.
fn gateway(packets: u64, drop_every: u64, sides: &[usize]) {
    // Two thousand packets are on the way; more memory would only take longer to make.
    let load = Load { delay: 100 * MICROSECOND, drop_every, buffers: 1 << 14, ..Load::BASE };
    Traffic::new(load).send_metered(packets, &mut |side, worker| {
        if sides.contains(&side) { measured(|| worker.round()) } else { worker.round() }
    });
}

/// Which of its ways the CRC-32 goes on this processor, as the crate `crc32fast` chooses.
#[cfg(target_arch = "x86_64")]
fn crc_code() -> &'static str {
    use std::is_x86_feature_detected as has;
    match (has!("pclmulqdq"), has!("vpclmulqdq"), has!("avx512f"), has!("avx2")) {
        (true, true, true, _) => "carry-less multiplication, 64 bytes wide",
        (true, true, false, true) => "carry-less multiplication, 32 bytes wide",
        (true, ..) => "carry-less multiplication, 16 bytes wide",
        (false, ..) => "tables",
    }
}

/// Which of its ways the CRC-32 goes on this processor.
#[cfg(not(target_arch = "x86_64"))]
fn crc_code() -> &'static str {
    "not known for this processor"
}
