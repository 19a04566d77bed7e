//! A long run on in-memory ports, in virtual time: `soak PACKETS [LOST_EVERY]`.
//!
//! Two gateways carry so many packets, and lose one in so many (1,000 if not said). It ends with an
//! error if a packet is missing, a buffer does not come home, or the process's memory grows after
//! the first half, by when every table was touched.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use dataplane::time::MILLISECOND;
use lab::pair::Load;
use lab::pair::traffic::{RECEIVER, SENDER, Traffic};

/// Memory that a process may take on the way for what is none of the gateways'.
const SLACK_KIB: u64 = 1_024;

fn main() -> ExitCode {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let (packets, drop_every) = match numbers.as_deref() {
        Ok([packets]) => (*packets, 1_000),
        Ok([packets, drop_every]) => (*packets, *drop_every),
        _ => {
            eprintln!("usage: soak PACKETS [LOST_EVERY]");
            return ExitCode::from(2);
        }
    };
    match soak(packets.max(100), drop_every) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("soak: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Carries the packets, in a hundred parts.
fn soak(packets: u64, drop_every: u64) -> Result<(), String> {
    let begun = Instant::now();
    let mut traffic = Traffic::new(Load { drop_every, ..Load::BASE });
    let (mut sent, mut settled) = (0, 0);
    for part in 0..100 {
        sent += traffic.send(packets / 100);
        if part == 49 {
            settled = own_kib(&traffic)?;
        }
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r{} %, {sent} packets", part + 1);
        }
    }
    // Time for what is under way to be confirmed: nothing new comes.
    for _ in 0..1_000 {
        traffic.pair.step(MILLISECOND);
    }
    let grown = own_kib(&traffic)?.saturating_sub(settled);
    let [lost, arrived] =
        traffic.pair.sides.each_ref().map(|side| side.worker.pipeline().counters());
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{sent} packets in {seconds:.0} s, {:.2} million a second through both gateways\n\
         {} sent again, {} arrived, {} given up, {} dropped, memory beside packet buffers grew by {grown} KiB",
        sent as f64 / seconds / 1e6,
        lost.resent.packets,
        arrived.lan_tx.packets,
        arrived.gave_up,
        lost.drops.total()
    );
    if (arrived.lan_tx.packets, arrived.gave_up) != (sent, 0) {
        return Err("packets are missing".into());
    }
    if grown > SLACK_KIB {
        return Err("memory grew".into());
    }
    for side in [SENDER, RECEIVER] {
        let side = &mut traffic.pair.sides[side];
        side.worker.pipeline_mut().clear();
        let out = side.pool.stats().in_use;
        if out > 0 {
            return Err(format!("{out} buffers did not come home"));
        }
    }
    println!("every buffer is home");
    Ok(())
}

/// Resident memory but for that of packet buffers, which are fixed in number and first touched when
/// the first is needed that no packet lay in before.
fn own_kib(traffic: &Traffic) -> Result<u64, String> {
    let buffers = traffic.pair.sides.iter().map(|side| {
        let (cut, stats) = (side.pool.settings(), side.pool.stats());
        u64::from(stats.high_water) * u64::from(cut.buffer_bytes + 64) / 1_024
    });
    Ok(resident_kib()?.saturating_sub(buffers.sum()))
}

/// Resident memory of this process (proc_pid_status(5)).
fn resident_kib() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| "no VmRSS in /proc/self/status".into())
}
