//! What a replay did, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use config::model::{Config, Role};
use dataplane::memory::Pool;
use dataplane::time::Time;
use dataplane::worker::Worker;
use pipelines::gateway::Gateway;
use serde::Serialize;

use crate::report::{self, Align, Table};

#[derive(Serialize)]
struct PortReport {
    name: String,
    role: &'static str,
    rx_packets: u64,
    rx_bytes: u64,
    /// Packets of the capture for which there was no buffer.
    rx_missed: u64,
    tx_packets: u64,
    tx_bytes: u64,
}

/// The report; its field names are a contract with the programs that read the JSON.
#[derive(Serialize)]
pub(super) struct Report {
    virtual_seconds: f64,
    ports: Vec<PortReport>,
    tunnelled: u64,
    unprotected: u64,
    forwarded_bare: u64,
    repaired: u64,
    gave_up: u64,
    control_messages: u64,
    replay_high_water_bytes: u64,
    held_high_water_bytes: u64,
    drops: BTreeMap<&'static str, u64>,
    buffers_leaked: u32,
    /// Why inputs were not read to their end, or outputs not written.
    errors: Vec<String>,
}

impl Report {
    /// The report of a worker that has ended at `end`.
    pub(super) fn new(
        config: &Config,
        worker: &Worker<Gateway>,
        pool: &Pool,
        end: Time,
        errors: Vec<String>,
    ) -> Self {
        let gateway = worker.pipeline();
        let counters = gateway.counters();
        let ports = config.ports.iter().zip(worker.ports()).map(|(port, driver)| {
            let counted = driver.counters();
            PortReport {
                name: port.name.clone(),
                role: if port.role == Role::Lan { "lan" } else { "wan" },
                rx_packets: counted.rx_packets,
                rx_bytes: counted.rx_bytes,
                rx_missed: counted.rx_missed,
                tx_packets: counted.tx_packets,
                tx_bytes: counted.tx_bytes,
            }
        });
        Self {
            virtual_seconds: end.0 as f64 / 1e9,
            ports: ports.collect(),
            tunnelled: counters.tunnelled.packets,
            unprotected: counters.unprotected,
            forwarded_bare: counters.forwarded_bare,
            repaired: counters.repaired,
            gave_up: counters.gave_up,
            control_messages: counters.control.packets,
            replay_high_water_bytes: gateway.replay_memory().high_water,
            held_high_water_bytes: gateway.held_high_water_bytes(),
            drops: counters.drops.seen().map(|(reason, count)| (reason.name(), count)).collect(),
            buffers_leaked: pool.stats().in_use,
            errors,
        }
    }

    /// Writes the report for people.
    pub(super) fn write_tables(&self, output: &mut dyn Write) -> io::Result<()> {
        let right = Align::Right;
        let mut ports = Table::new([
            ("PORT", Align::Left),
            ("SIDE", Align::Left),
            ("RX", right),
            ("RX BYTES", right),
            ("MISSED", right),
            ("TX", right),
            ("TX BYTES", right),
        ]);
        for port in &self.ports {
            ports.row([
                port.name.clone(),
                port.role.to_owned(),
                port.rx_packets.to_string(),
                report::bytes(port.rx_bytes),
                port.rx_missed.to_string(),
                port.tx_packets.to_string(),
                report::bytes(port.tx_bytes),
            ]);
        }
        ports.write(output, 0)?;
        writeln!(
            output,
            "{:.6} s: {} packets tunnelled, {} for peers that are not there, {} forwarded bare,",
            self.virtual_seconds, self.tunnelled, self.unprotected, self.forwarded_bare
        )?;
        writeln!(
            output,
            "{} repaired, {} given up, {} control messages, {} buffers leaked",
            self.repaired, self.gave_up, self.control_messages, self.buffers_leaked
        )?;
        for (reason, count) in &self.drops {
            writeln!(output, "dropped {count}: {reason}")?;
        }
        Ok(())
    }
}
