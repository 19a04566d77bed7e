//! `compute-gateway inspect`: what is in these captures.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use dataplane::capture::{CaptureError, Reader};
use pipelines::inspect::{Connection, Inspector, Limits, Stream};
use serde::Serialize;

use crate::cli::Exit;
use crate::report::{self, Align, Progress, Table};

/// Tell what is in captures: RoCEv2 packets, opcodes, streams and their gaps, connections.
///
/// Reads classic pcap and pcapng of Ethernet, of any size, in constant memory. Several captures are
/// taken as consecutive parts of one. Packets with a wrong ICRC are counted and belong to no stream.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Captures to read; `-` is standard input.
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Write JSON, with all streams, instead of tables for people.
    #[arg(long)]
    json: bool,
    /// Do not compute ICRCs: faster, but damaged packets count as good.
    #[arg(long)]
    no_icrc: bool,
}

const EXAMPLES: &str = "\
Examples:
  compute-gateway inspect lan.pcap
  compute-gateway inspect part1.pcapng part2.pcapng --json
  tcpdump -i eth0 -w - udp port 4791 | compute-gateway inspect -
  compute-gateway inspect lan.pcap --json | jq '.streams[] | select(.gaps > 0)'

Exit status: 0 all was read; 1 the report could not be written; 2 usage, or a capture could not be
read to its end: what could be read is reported all the same.";

/// Streams and connections that a table shows; JSON has them all.
const SHOWN: usize = 40;

/// Packets between two looks at the clock.
const PROGRESS_PACKETS: u64 = 1 << 14;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Exit {
    let mut inspector = Inspector::new(Limits::default(), !args.no_icrc);
    let mut errors = Vec::new();
    for path in &args.captures {
        if let Err(error) = inspect(path, &mut inspector) {
            report::complain(&error.to_string());
            errors.push(error.to_string());
        }
    }
    let files = args.captures.iter().map(|path| path.display().to_string()).collect();
    let read_all = errors.is_empty();
    let report = Report::new(files, errors, &inspector);
    let printed = report::print(|output| match args.json {
        true => report::write_json(output, &report),
        // Nothing could be read: the complaints say it all.
        false if report.packets == 0 && !read_all => Ok(()),
        false => report.write_tables(output),
    });
    if read_all { printed } else { Exit::Refused }
}

/// Shows one capture to the inspector, as far as it can be read.
fn inspect(path: &Path, inspector: &mut Inspector) -> Result<(), CaptureError> {
    if path.as_os_str() == "-" {
        return follow(Reader::new("-", io::stdin().lock())?, None, inspector);
    }
    let size = fs::metadata(path).ok().map(|metadata| metadata.len()).filter(|size| *size > 0);
    follow(Reader::open(path)?, size, inspector)
}

fn follow<R: Read>(
    mut reader: Reader<R>,
    size: Option<u64>,
    inspector: &mut Inspector,
) -> Result<(), CaptureError> {
    let mut progress = Progress::new();
    let result = loop {
        match reader.next() {
            Ok(Some(record)) => inspector.observe(record.data, record.original_len),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if reader.packets().is_multiple_of(PROGRESS_PACKETS) {
            progress.step(|| {
                let (packets, offset) = (reader.packets(), reader.offset());
                let part = size.map_or(String::new(), |size| {
                    format!(", {:.0} %", offset as f64 / size as f64 * 100.0)
                });
                format!("{packets} packets, {}B{part}", report::bytes(offset))
            });
        }
    };
    progress.clear();
    result
}

/// The report; its field names are a contract with the programs that read the JSON.
#[derive(Serialize)]
struct Report {
    files: Vec<String>,
    /// Why files were not read to their end.
    errors: Vec<String>,
    packets: u64,
    not_rocev2: u64,
    /// Frames of which the captures hold only the beginning.
    snapped: u64,
    rocev2: Rocev2,
    opcodes: BTreeMap<String, OpcodeCount>,
    streams: Vec<StreamReport>,
    connections: Vec<ConnectionReport>,
}

#[derive(Serialize)]
struct Rocev2 {
    packets: u64,
    bytes: u64,
    malformed: u64,
    icrc_bad: u64,
    icrc_checked: u64,
    /// Packets of streams, and messages of connections, beyond those that are followed.
    untracked_packets: u64,
    untracked_connections: u64,
}

#[derive(Serialize)]
struct OpcodeCount {
    name: String,
    packets: u64,
}

#[derive(Serialize)]
struct StreamReport {
    src: IpAddr,
    dst: IpAddr,
    dest_qp: u32,
    role: &'static str,
    vlan: Option<u16>,
    packets: u64,
    bytes: u64,
    first_psn: u32,
    last_psn: u32,
    gaps: u64,
    missing_psns: u64,
    behind: u64,
    restarts: u64,
    pmtu: Option<u32>,
    peer_qp: Option<u32>,
    p_key: u16,
}

#[derive(Serialize)]
struct ConnectionReport {
    kind: &'static str,
    src: IpAddr,
    dst: IpAddr,
    vlan: Option<u16>,
    transaction_id: String,
    local_comm_id: Option<u32>,
    remote_comm_id: Option<u32>,
    local_qpn: Option<u32>,
    remote_qpn: Option<u32>,
    starting_psn: Option<u32>,
    path_mtu: Option<u32>,
    packets: u64,
}

impl Report {
    fn new(files: Vec<String>, errors: Vec<String>, inspector: &Inspector) -> Self {
        let totals = inspector.totals();
        let opcodes = inspector.opcodes().map(|(opcode, packets)| {
            let name = opcode.to_string();
            (format!("{:#04x}", opcode.0), OpcodeCount { name, packets })
        });
        Report {
            files,
            errors,
            packets: totals.packets,
            not_rocev2: totals.not_rocev2,
            snapped: totals.snapped,
            rocev2: Rocev2 {
                packets: totals.rocev2,
                bytes: totals.rocev2_bytes,
                malformed: totals.malformed,
                icrc_bad: totals.icrc_bad,
                icrc_checked: totals.icrc_checked,
                untracked_packets: totals.untracked_packets,
                untracked_connections: totals.untracked_connections,
            },
            opcodes: opcodes.collect(),
            streams: inspector.streams().iter().map(StreamReport::from).collect(),
            connections: inspector.connections().iter().map(ConnectionReport::from).collect(),
        }
    }

    fn write_tables(&self, output: &mut dyn Write) -> io::Result<()> {
        self.write_totals(output)?;
        self.write_opcodes(output)?;
        self.write_streams(output)?;
        self.write_connections(output)
    }

    fn write_totals(&self, output: &mut dyn Write) -> io::Result<()> {
        let Report { packets, not_rocev2, snapped, rocev2, .. } = self;
        writeln!(output, "{packets} packets, {not_rocev2} of them not RoCEv2")?;
        if *snapped > 0 {
            writeln!(output, "{snapped} packets are captured in part: their ICRC is not checked")?;
        }
        let Rocev2 { packets, malformed, icrc_bad, icrc_checked, .. } = rocev2;
        let bytes = report::bytes(rocev2.bytes);
        writeln!(output, "RoCEv2: {packets} packets, {bytes}B, {malformed} malformed")?;
        writeln!(output, "ICRC: {icrc_checked} checked, {icrc_bad} bad")?;
        if *icrc_bad > 0 {
            writeln!(output, "Packets with a bad ICRC are in no stream; --no-icrc lets them in")?;
        }
        let Rocev2 { untracked_packets, untracked_connections, .. } = rocev2;
        if *untracked_packets + *untracked_connections > 0 {
            writeln!(
                output,
                "Too many streams to follow: {untracked_packets} packets and \
                 {untracked_connections} connection messages are in none of these below"
            )?;
        }
        Ok(())
    }

    fn write_opcodes(&self, output: &mut dyn Write) -> io::Result<()> {
        if self.opcodes.is_empty() {
            return Ok(());
        }
        let mut table =
            Table::new([("OPCODE", Align::Left), ("NAME", Align::Left), ("PACKETS", Align::Right)]);
        for (opcode, count) in &self.opcodes {
            table.row([opcode.clone(), count.name.clone(), count.packets.to_string()]);
        }
        writeln!(output)?;
        table.write(output, 0)
    }

    /// One table for each direction, so that long addresses do not widen it.
    fn write_streams(&self, output: &mut dyn Write) -> io::Result<()> {
        let shown = self.streams.get(..SHOWN).unwrap_or(&self.streams);
        for direction in shown.chunk_by(|a, b| (a.src, a.dst, a.vlan) == (b.src, b.dst, b.vlan)) {
            if let Some(StreamReport { src, dst, vlan, .. }) = direction.first() {
                let vlan = vlan.map_or(String::new(), |vlan| format!(", VLAN {vlan}"));
                writeln!(output, "\n{src} -> {dst}{vlan}")?;
            }
            stream_table(direction).write(output, 2)?;
        }
        write_rest(output, self.streams.len(), "streams")
    }

    fn write_connections(&self, output: &mut dyn Write) -> io::Result<()> {
        if self.connections.is_empty() {
            return Ok(());
        }
        let mut table = Table::new([
            ("CM", Align::Left),
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("QP", Align::Right),
            ("START PSN", Align::Right),
            ("PMTU", Align::Right),
            ("SEEN", Align::Right),
        ]);
        for connection in self.connections.iter().take(SHOWN) {
            table.row([
                connection.kind.to_owned(),
                connection.src.to_string(),
                connection.dst.to_string(),
                cell(connection.local_qpn),
                cell(connection.starting_psn),
                cell(connection.path_mtu),
                connection.packets.to_string(),
            ]);
        }
        writeln!(output)?;
        table.write(output, 0)?;
        write_rest(output, self.connections.len(), "connection messages")
    }
}

fn stream_table(streams: &[StreamReport]) -> Table<10> {
    let mut table = Table::new([
        ("QP", Align::Right),
        ("ROLE", Align::Left),
        ("PEER", Align::Right),
        ("PMTU", Align::Right),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
        ("FIRST..LAST PSN", Align::Left),
        ("GAPS", Align::Right),
        ("MISSING", Align::Right),
        ("BEHIND", Align::Right),
    ]);
    for stream in streams {
        // Only requests are numbered without holes, so only of them can be told what is amiss.
        let count = |count: u64| match stream.role {
            "request" => count.to_string(),
            _ => "-".to_owned(),
        };
        table.row([
            stream.dest_qp.to_string(),
            stream.role.to_owned(),
            cell(stream.peer_qp),
            cell(stream.pmtu),
            stream.packets.to_string(),
            report::bytes(stream.bytes),
            format!("{}..{}", stream.first_psn, stream.last_psn),
            count(stream.gaps),
            count(stream.missing_psns),
            count(stream.behind),
        ]);
    }
    table
}

/// A number, or a dash where it is not known.
fn cell(number: Option<u32>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Says what a table left out.
fn write_rest(output: &mut dyn Write, all: usize, what: &str) -> io::Result<()> {
    match all.checked_sub(SHOWN) {
        Some(more @ 1..) => writeln!(output, "... and {more} more {what}: --json has them all"),
        _ => Ok(()),
    }
}

impl From<&Stream> for StreamReport {
    fn from(stream: &Stream) -> Self {
        let Stream { src, dst, dest_qp, vlan, packets, bytes, first_psn, last_psn, .. } = *stream;
        let Stream { gaps, missing_psns, behind, restarts, pmtu, peer_qp, p_key, .. } = *stream;
        StreamReport {
            src,
            dst,
            dest_qp,
            role: stream.role.name(),
            vlan,
            packets,
            bytes,
            first_psn,
            last_psn,
            gaps,
            missing_psns,
            behind,
            restarts,
            pmtu,
            peer_qp,
            p_key,
        }
    }
}

impl From<&Connection> for ConnectionReport {
    fn from(connection: &Connection) -> Self {
        let Connection { kind, src, dst, vlan, local_comm_id, remote_comm_id, .. } = *connection;
        let Connection { local_qpn, remote_qpn, starting_psn, path_mtu, packets, .. } = *connection;
        ConnectionReport {
            kind: kind.name(),
            src,
            dst,
            vlan,
            transaction_id: format!("{:#018x}", connection.transaction_id),
            local_comm_id,
            remote_comm_id,
            local_qpn,
            remote_qpn,
            starting_psn,
            path_mtu,
            packets,
        }
    }
}
