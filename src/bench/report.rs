//! What was measured, for programs and for people.

use std::io::{self, Write};

use config::Config;
use lab::pair::traffic::STREAMS;
use serde::Serialize;

use super::Args;
use super::measure::{Carried, Measured, Slice, Slices};
use super::setup::{self, LOST_EVERY, ROUND_TRIP, Setup};
use crate::report::{Align, Table};

/// What the command says.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether the compiler optimised; else the figures say nothing.
    optimised: bool,
    /// Of the time-stamp counter.
    cycles_per_second: f64,
    /// As asked for.
    seconds: f64,
    config: Option<String>,
    /// What of the configuration is measured otherwise.
    notes: Vec<String>,
    tenants: usize,
    queues: bool,
    round_trip_us: u64,
    lost_every: u64,
    sizes: Vec<Size>,
}

/// Packets of one size.
#[derive(Serialize)]
pub(super) struct Size {
    payload_bytes: usize,
    /// Of the largest, without frame check sequence.
    frame_bytes: usize,
    /// Slices of each work that were measured; the figures are those of the one in the middle.
    slices: usize,
    floor: Work,
    encapsulate: Work,
    receive: Work,
    lossy_encapsulate: Work,
    lossy_receive: Work,
    carried: Carried,
    lossy_carried: Carried,
}

/// One kind of work, of one core.
#[derive(Serialize)]
struct Work {
    packets_per_second: f64,
    /// Of frames on the LAN, without what Ethernet puts around them.
    gbps: f64,
    /// A packet.
    cycles: f64,
    /// A packet.
    ns: f64,
    /// So many times the floor's cycles.
    ratio: f64,
    stages: Stages,
}

/// A packet's parts.
#[derive(Serialize)]
struct Stages {
    receive: Cost,
    pipeline: Cost,
    transmit: Cost,
    rest: Cost,
}

#[derive(Serialize)]
struct Cost {
    cycles: f64,
    ns: f64,
}

impl Size {
    pub(super) fn new(setup: &Setup<'_>, measured: &Measured, hertz: f64) -> Self {
        let floor = measured.floor.median();
        let work = |slices: &Slices| Work::new(&slices.median(), &floor, setup.frame, hertz);
        let [encapsulate, receive] = &measured.clean;
        let [lossy_encapsulate, lossy_receive] = &measured.lossy;
        Self {
            payload_bytes: setup.payload,
            frame_bytes: setup.frame,
            slices: measured.floor.len(),
            floor: work(&measured.floor),
            encapsulate: work(encapsulate),
            receive: work(receive),
            lossy_encapsulate: work(lossy_encapsulate),
            lossy_receive: work(lossy_receive),
            carried: measured.carried.clone(),
            lossy_carried: measured.carried_lossy.clone(),
        }
    }

    fn works(&self) -> [(&'static str, &Work); 5] {
        [
            ("floor: only forwarded", &self.floor),
            ("encapsulate", &self.encapsulate),
            ("receive", &self.receive),
            ("encapsulate, 1 % lost", &self.lossy_encapsulate),
            ("receive, 1 % lost", &self.lossy_receive),
        ]
    }
}

impl Work {
    fn new(slice: &Slice, floor: &Slice, frame: usize, hertz: f64) -> Self {
        let packets = slice.packets.max(1) as f64;
        let cost = |cycles: u64| {
            let cycles = cycles as f64 / packets;
            Cost { cycles, ns: cycles / hertz * 1e9 }
        };
        let Cost { cycles, ns } = cost(slice.cycles());
        let packets_per_second = hertz / cycles;
        Self {
            packets_per_second,
            gbps: packets_per_second * frame as f64 * 8.0 / 1e9,
            cycles,
            ns,
            ratio: slice.per_packet() / floor.per_packet(),
            stages: Stages {
                receive: cost(slice.receive),
                pipeline: cost(slice.pipeline),
                transmit: cost(slice.transmit),
                rest: cost(slice.rest),
            },
        }
    }
}

impl Report {
    pub(super) fn new(
        args: &Args,
        config: Option<&Config>,
        cycles_per_second: f64,
        sizes: Vec<Size>,
    ) -> Self {
        Self {
            optimised: !cfg!(debug_assertions),
            cycles_per_second,
            seconds: args.seconds,
            config: args.config.as_ref().map(|file| file.display().to_string()),
            notes: config.map(setup::notes).unwrap_or_default(),
            tenants: config.map_or(0, |config| config.tenants.len()),
            queues: config.is_some_and(|config| config.queues.is_some()),
            round_trip_us: ROUND_TRIP / 1_000,
            lost_every: LOST_EVERY,
            sizes,
        }
    }

    /// What was not carried whole.
    pub(super) fn faults(&self) -> Vec<String> {
        let both = |size: &Size| {
            let name = |how: &str| format!("{} B of payload, {how}", size.payload_bytes);
            [
                (name("nothing lost"), size.carried.clone()),
                (name("1 % lost"), size.lossy_carried.clone()),
            ]
        };
        let is_whole = |carried: &Carried| {
            (carried.delivered, carried.given_up) == (carried.sent, 0) && carried.sent > 0
        };
        let faulty = self.sizes.iter().flat_map(both).filter(|(_, carried)| !is_whole(carried));
        let said = |(name, of): (String, Carried)| {
            format!(
                "{name}: of {} packets {} were delivered, {} given up; dropped: {:?}",
                of.sent, of.delivered, of.given_up, of.drops
            )
        };
        faulty.map(said).collect()
    }

    pub(super) fn write_tables(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(
            output,
            "one core, time-stamp counter at {:.2} GHz; {STREAMS} streams, round trip {} ms",
            self.cycles_per_second / 1e9,
            self.round_trip_us / 1_000
        )?;
        if !self.optimised {
            writeln!(output, "built without optimisation: the figures say nothing of a release")?;
        }
        if let Some(config) = &self.config {
            let queues = if self.queues { "with" } else { "without" };
            writeln!(output, "{config}: {} tenants, {queues} queues", self.tenants)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(output, "  {note}"))?;
        writeln!(output)?;
        self.write_rates(output)?;
        writeln!(output, "\nby stage, nanoseconds / cycles a packet")?;
        self.write_stages(output)
    }

    fn write_rates(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([
            ("PAYLOAD", Align::Right),
            ("WORK", Align::Left),
            ("MPPS", Align::Right),
            ("GBIT/S", Align::Right),
            ("NS", Align::Right),
            ("CYCLES", Align::Right),
            ("X FLOOR", Align::Right),
        ]);
        for size in &self.sizes {
            for (name, work) in size.works() {
                table.row([
                    size.payload_bytes.to_string(),
                    name.to_owned(),
                    format!("{:.2}", work.packets_per_second / 1e6),
                    format!("{:.1}", work.gbps),
                    format!("{:.0}", work.ns),
                    format!("{:.0}", work.cycles),
                    format!("{:.1}", work.ratio),
                ]);
            }
        }
        table.write(output, 0)
    }

    fn write_stages(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new([
            ("PAYLOAD", Align::Right),
            ("WORK", Align::Left),
            ("RECEIVE", Align::Right),
            ("PIPELINE", Align::Right),
            ("TRANSMIT", Align::Right),
            ("REST", Align::Right),
        ]);
        let cost = |of: &Cost| format!("{:.0}/{:.0}", of.ns, of.cycles);
        for size in &self.sizes {
            for (name, work) in size.works() {
                let Stages { receive, pipeline, transmit, rest } = &work.stages;
                table.row([
                    size.payload_bytes.to_string(),
                    name.to_owned(),
                    cost(receive),
                    cost(pipeline),
                    cost(transmit),
                    cost(rest),
                ]);
            }
        }
        table.write(output, 0)
    }
}
