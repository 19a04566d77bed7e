//! The memory that recovery takes is what a check of the configuration advises, within 30 %, and
//! what is advised is enough.

use config::advice::{DESIGN_LOSS, Line};
use config::model::Recovery;
use config::units::{Rate, Span};
use lab::link::Impairments;
use lab::report::Gateways;
use lab::{PathScenario, Scenario, Traffic};

/// Bits a second.
const GIGABIT: u64 = 1_000_000_000;
/// One-way delays of 100, 500 and 1000 km, about; round trips of 1, 5 and 10 ms.
const DELAYS: [u64; 3] = [500_000, 2_500_000, 5_000_000];
/// Bytes that a packet of 4096 takes on the line, in the tunnel.
const LINE_BYTES: u32 = 4_096 + 44 + 14 + 58 + 24;
/// Memory of the buffer that it lies in: its own header, the packet, and room for headers.
const MEMORY_BYTES: u64 = 64 + 4_096 + 384;
/// The lab's gateways have that many channels.
const CHANNELS: u32 = 16;
/// Messages of 1 MiB in which a lone stream needs a second round of repair some three times: each of
/// a packet in a hundred is repaired twice, and each repair fails if it or its request is lost.
const LONE: u32 = 3_072;
/// And such that 16 streams, of which one at a time would wait for that, all have holes.
const MANY: u32 = 512;

/// What the lab measures and what is advised, in bytes: replay and hold buffer.
fn run(rate: u64, delay: u64, loss: f64, qps: u32, messages: u32) -> ([u64; 2], [u64; 2]) {
    let does = Impairments { rate: Some(rate), delay, loss, ..Impairments::default() };
    let path = PathScenario { name: "p1".into(), does, ..PathScenario::default() };
    let traffic = Traffic {
        qps,
        messages: messages / qps,
        size: 1 << 20,
        line: Some(4 * rate),
        ..Traffic::default()
    };
    let report = lab::run(&Scenario::traffic(traffic, vec![path], 1)).expect("a report");
    let Gateways { a, b } = report.gateways.expect("gateways");
    assert_eq!((a.replay_evicted, b.gave_up), (0, 0), "the lab's own bounds were reached");
    let recovery = Recovery::default();
    let line = Line {
        rate: Rate(rate),
        rtt: Span(2 * delay),
        loss,
        packet_bytes: LINE_BYTES,
        memory_bytes: MEMORY_BYTES,
        // What a lone stream needs is what one channel does.
        channels: qps.min(CHANNELS),
        ack_delay: recovery.ack_delay,
        ack_packets: recovery.ack_packets,
    };
    let measured = [a.replay_high_water_bytes, b.held_high_water_bytes];
    (measured, [line.replay_bytes(), line.hold_bytes()])
}

fn assert_advised(rate: u64, delays: &[u64], loss: f64, qps: u32, messages: u32) {
    for &delay in delays {
        let (measured, advised) = run(rate, delay, loss, qps, messages);
        let what = format!("rate {rate}, delay {delay}, loss {loss}, {qps} QPs");
        for (buffer, (measured, advised)) in
            ["replay", "hold"].iter().zip(measured.into_iter().zip(advised))
        {
            let part = advised as f64 / measured as f64;
            eprintln!("{what}: {buffer} {measured}, advised {advised}, {part:.2}");
            assert!((0.7..=1.3).contains(&part), "{what}: {buffer} {measured}, advised {advised}");
        }
    }
}

#[test]
fn a_lone_stream_on_a_slow_line_takes_what_is_advised() {
    assert_advised(10 * GIGABIT, &DELAYS, DESIGN_LOSS, 1, LONE);
}

#[test]
fn a_lone_stream_on_a_fast_line_takes_what_is_advised() {
    assert_advised(100 * GIGABIT, &DELAYS, DESIGN_LOSS, 1, LONE);
}

#[test]
fn many_streams_take_what_is_advised() {
    assert_advised(10 * GIGABIT, &DELAYS, DESIGN_LOSS, 16, MANY);
    assert_advised(100 * GIGABIT, &DELAYS, DESIGN_LOSS, 16, 4 * MANY);
}
