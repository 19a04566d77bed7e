//! From the document to a draft: each section's keys with their types, bounds and defaults.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use toml_edit::{Table, Value};

use crate::backpressure;
use crate::check_driver::default_buffer_bytes;
use crate::classes::read_class;
use crate::diagnostic::{Report, quoted};
use crate::document::{Entries, Field, check_sections, occurrences, within};
use crate::draft::{
    Draft, DriverName, GatewayDraft, PeerDraft, PortDraft, RecoveryPlaces, WorkersDraft,
};
use crate::keys::{
    CLASS, CONTROL, DPDK, FLOWS, GATEWAY, PATH, PEER, PORT, QUEUES, RECOVERY, SECTIONS, Section,
    TENANT, WORKERS,
};
use crate::mac::Mac;
use crate::model::{
    Absent, Carry, Control, Idle, Key, NextHop, Numbering, Oversize, Recovery, Role, Ttl, XdpMode,
};
use crate::prefix::Prefix;
use crate::read_flows::read_flows;
use crate::read_paths::read_path;
use crate::read_srv6::read_sid;
use crate::read_tenants::{BURSTS, RATES, read_queues_section, read_tenant};
use crate::units::{Bytes, Span, ValueError};

/// Reads a document. `folder` is where relative paths begin.
pub(crate) fn read(root: &Table, folder: &Path, report: &mut Report<'_>) -> Draft {
    check_sections(root, &SECTIONS, report);
    let gateway = occurrences(root, &GATEWAY, report);
    if root.get(GATEWAY.name).is_none() {
        report.error(0, "there is no [gateway]", "write [gateway] with its name and address");
    }
    let workers = occurrences(root, &WORKERS, report);
    let recovery = occurrences(root, &RECOVERY, report);
    let dpdk = occurrences(root, &DPDK, report);
    let control = occurrences(root, &CONTROL, report);
    let queues = occurrences(root, &QUEUES, report);
    let recovery_at = |key| recovery.first().map_or(0, |entries| entries.key_at(key));
    let ports =
        read_all(root, &PORT, MAX_SECTIONS, report, |port, report| read_port(port, folder, report));
    let mut workers = read_workers(workers.first(), report);
    if let (Field::Absent, Some(bytes)) = (&workers.buffer_bytes, default_buffer_bytes(&ports)) {
        workers.buffer_bytes = Field::Given(bytes, 0);
    }
    Draft {
        gateway: read_gateway(gateway.first(), report),
        workers,
        ports,
        peers: read_all(root, &PEER, MAX_SECTIONS, report, |peer, report| {
            read_peer(peer, folder, report)
        }),
        paths: read_all(root, &PATH, MAX_SECTIONS, report, read_path),
        recovery: read_recovery(recovery.first(), report),
        recovery_at: RecoveryPlaces {
            replay_bytes: recovery_at("replay_bytes"),
            replay_packets: recovery_at("replay_packets"),
            hold_bytes: recovery_at("hold_bytes"),
            hold_packets: recovery_at("hold_packets"),
        },
        flows: read_flows(occurrences(root, &FLOWS, report).first(), report),
        classes: read_all(root, &CLASS, MAX_SECTIONS, report, read_class),
        tenants: read_all(root, &TENANT, MAX_TENANTS, report, read_tenant),
        backpressure: backpressure::read(root, report),
        queues: queues.first().map(|queues| read_queues_section(queues, report)),
        eal: dpdk
            .first()
            .map_or(Field::Absent, |dpdk| read_words(dpdk, "eal", "[\"--in-memory\"]", report)),
        control: control.first().map_or_else(
            || Some(Control::default()),
            |control| read_control(control, folder, report),
        ),
    }
}

/// Sections of one kind that are read: more would make the checks between them slow.
const MAX_SECTIONS: usize = 256;
/// And tenants, of which there may be many: one of them may be the default one.
const MAX_TENANTS: usize = 4_097;

fn read_all<'a, T>(
    root: &'a Table,
    section: &'static Section,
    most: usize,
    report: &mut Report<'_>,
    read: impl Fn(&Entries<'a>, &mut Report<'_>) -> T,
) -> Vec<T> {
    let found = occurrences(root, section, report);
    if let Some(over) = found.get(most) {
        let what = format!("{} {}: more than {most}", found.len(), section.header());
        report.error(over.at, what, "split the configuration over several gateways");
    }
    found.iter().take(most).map(|entries| read(entries, report)).collect()
}

fn read_gateway(entries: Option<&Entries<'_>>, report: &mut Report<'_>) -> GatewayDraft {
    let Some(entries) = entries else {
        return GatewayDraft {
            name: Field::Wrong,
            address: Field::Wrong,
            udp_port: Field::Absent,
            outer_checksum: Field::Absent,
            oversize: Field::Absent,
            sid: Field::Absent,
            ecn: Field::Absent,
        };
    };
    let oversize = [("forward", Oversize::Forward), ("drop", Oversize::Drop)];
    GatewayDraft {
        name: entries.owned("name", report),
        address: read_address(entries, report),
        udp_port: entries.count("udp_port", 1..=65_535, report),
        outer_checksum: entries.flag("outer_checksum", report),
        oversize: entries.choice("oversize", &oversize, report),
        sid: read_sid(entries, report),
        ecn: entries.flag("ecn", report),
    }
}

/// An address that a gateway can have: of one host.
fn read_address(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<IpAddr> {
    entries.text("address", report).and_then(report, |text| {
        let error = |what: &str, remedy: &str| ValueError {
            what: format!("\"address\" is {}: {what}", quoted(text)),
            remedy: format!("write {remedy}, as in \"192.0.2.1\""),
        };
        let no_address = || error("no IP address", "an IP address without port or prefix");
        let address: IpAddr = text.parse().map_err(|_| no_address())?;
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || broadcast {
            let remedy = "the address that the gateway has in the network between the sites";
            return Err(error("not the address of one host", remedy));
        }
        Ok(address)
    })
}

fn read_workers(entries: Option<&Entries<'_>>, report: &mut Report<'_>) -> WorkersDraft {
    let Some(entries) = entries else {
        return WorkersDraft {
            cores: Field::Absent,
            idle: Field::Absent,
            buffers: Field::Absent,
            buffer_bytes: Field::Absent,
        };
    };
    let cores = entries.list("cores", report, |value| read_number("cores", value, "[1]"));
    let cores = cores.and_then(report, |cores| once("cores", cores));
    let idle = [("poll", Idle::Poll), ("backoff", Idle::Backoff), ("sleep", Idle::Sleep)];
    WorkersDraft {
        cores,
        idle: entries.choice("idle", &idle, report),
        buffers: entries.count("buffers", BUFFERS, report),
        buffer_bytes: entries.count("buffer_bytes", 512..=65_536, report),
    }
}

/// Packet buffers that a worker may have.
pub(crate) const BUFFERS: std::ops::RangeInclusive<u32> = 1_024..=1 << 24;

/// An element of a list of cores or queues.
fn read_number(name: &str, value: &Value, example: &str) -> Result<u32, ValueError> {
    let error = || ValueError {
        what: format!("an element of \"{name}\" is no integer"),
        remedy: format!("write it as in: {name} = {example}"),
    };
    within(name, value.as_integer().ok_or_else(error)?, &(0..=1_023))
}

/// Such a list, which names none twice.
fn once(name: &str, numbers: Vec<(u32, usize)>) -> Result<Vec<u32>, ValueError> {
    let mut seen = Vec::new();
    for (number, _) in numbers {
        if seen.contains(&number) {
            let what = format!("\"{name}\" names {number} twice");
            return Err(ValueError { what, remedy: "write each once".into() });
        }
        seen.push(number);
    }
    Ok(seen)
}

fn read_port(entries: &Entries<'_>, folder: &Path, report: &mut Report<'_>) -> PortDraft {
    let path = |name: &str, report: &mut Report<'_>| {
        entries.text(name, report).and_then(report, |text| Ok(folder.join(text)))
    };
    PortDraft {
        at: entries.at,
        name: entries.owned("name", report),
        role: entries.choice("role", &[("lan", Role::Lan), ("wan", Role::Wan)], report),
        driver: entries.choice("driver", &DRIVERS, report),
        mtu: entries.count("mtu", MTUS, report),
        mac: read_station(entries, "mac", report),
        bump: entries.owned("bump", report),
        next_hop: read_next_hop(entries, report),
        input: path("input", report),
        output: path("output", report),
        interface: read_interface(entries, report),
        queues: read_queues(entries, report),
        xdp_mode: entries.choice("xdp_mode", &XDP_MODES, report),
        xdp_replace: entries.flag("xdp_replace", report),
        device: entries.owned("device", report),
        rate: entries.quantity("rate", RATES, report),
        burst: entries.quantity("burst", BURSTS, report),
    }
}

/// The largest IP packets a link may have: from what IPv6 demands (RFC 8200, section 5) to jumbo
/// frames.
pub(crate) const MTUS: std::ops::RangeInclusive<u32> = 1_280..=9_600;

const DRIVERS: [(&str, DriverName); 4] = [
    ("af_xdp", DriverName::AfXdp),
    ("dpdk", DriverName::Dpdk),
    ("pcap", DriverName::Pcap),
    ("ring", DriverName::Ring),
];

const XDP_MODES: [(&str, XdpMode); 4] = [
    ("auto", XdpMode::Auto),
    ("zero-copy", XdpMode::ZeroCopy),
    ("native", XdpMode::Native),
    ("generic", XdpMode::Generic),
];

/// The name of a network interface (Linux: up to 15 bytes, neither space nor slash).
fn read_interface(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<String> {
    entries.owned("interface", report).and_then(report, |name| {
        if name.len() <= 15 && !name.contains(['/', ' ', ':']) {
            return Ok(name);
        }
        Err(ValueError {
            what: format!("\"interface\" is {}, not an interface's name", quoted(&name)),
            remedy: "write it as `ip link` shows it: up to 15 bytes".into(),
        })
    })
}

fn read_queues(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<Vec<u32>> {
    let queues = entries.list("queues", report, |value| read_number("queues", value, "[0]"));
    queues.and_then(report, |queues| once("queues", queues))
}

/// A list of texts.
pub(crate) fn read_words(
    entries: &Entries<'_>,
    name: &str,
    example: &str,
    report: &mut Report<'_>,
) -> Field<Vec<String>> {
    let words = entries.list(name, report, |value| match value.as_str() {
        Some(word) if !word.is_empty() && !word.contains('\0') => Ok(word.to_owned()),
        _ => Err(ValueError {
            what: format!("an element of \"{name}\" is no text"),
            remedy: format!("write it as in: {name} = {example}"),
        }),
    });
    words.and_then(report, |words| Ok(words.into_iter().map(|(word, _)| word).collect()))
}

fn read_control(entries: &Entries<'_>, folder: &Path, report: &mut Report<'_>) -> Option<Control> {
    let socket = entries.text("socket", report);
    let socket = socket.and_then(report, |text| {
        let path = folder.join(text);
        // sockaddr_un has room for so many bytes and a zero.
        if path.as_os_str().len() <= 107 {
            return Ok(path);
        }
        Err(ValueError {
            what: format!("\"socket\" is {} bytes long", path.as_os_str().len()),
            remedy: "name a file whose path has at most 107 bytes".into(),
        })
    });
    let metrics = entries.text("metrics", report).and_then(report, |text| {
        text.parse::<SocketAddr>().map_err(|_| ValueError {
            what: format!("\"metrics\" is {}: no address and port", quoted(text)),
            remedy: "write it as in: metrics = \"127.0.0.1:9477\"".into(),
        })
    });
    let wrong = matches!(socket, Field::Wrong) || matches!(metrics, Field::Wrong);
    (!wrong).then(|| Control { socket: socket.given().cloned(), metrics: metrics.given().copied() })
}

/// An Ethernet or IP address of the next hop.
pub(crate) fn read_next_hop(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<NextHop> {
    if let Field::Given(text, at) = entries.raw_text("next_hop")
        && let Ok(address) = text.parse::<IpAddr>()
    {
        return Field::Given(NextHop::Address(address), at);
    }
    read_station(entries, "next_hop", report).and_then(report, |mac| Ok(NextHop::Mac(mac)))
}

/// The Ethernet address of one station.
fn read_station(entries: &Entries<'_>, name: &str, report: &mut Report<'_>) -> Field<Mac> {
    entries.parsed(name, report).and_then(report, |mac: Mac| {
        if mac.is_station() {
            return Ok(mac);
        }
        Err(ValueError {
            what: format!("\"{name}\" is {mac}, not the address of one station"),
            remedy: "write one whose first byte is even, and that is not zero".into(),
        })
    })
}

fn read_peer(entries: &Entries<'_>, folder: &Path, report: &mut Report<'_>) -> PeerDraft {
    let numbering = [("tunnel", Numbering::Tunnel), ("transparent", Numbering::Transparent)];
    let carry = [("ethernet", Carry::Ethernet), ("ip", Carry::Ip)];
    let absent = [("forward", Absent::Forward), ("hold", Absent::Hold)];
    let peer = PeerDraft {
        at: entries.at,
        name: entries.owned("name", report),
        address: read_address(entries, report),
        prefixes: read_prefixes(entries, report),
        everything: entries.flag("everything", report),
        numbering: entries.choice("numbering", &numbering, report),
        check_icrc: entries.flag("check_icrc", report),
        source_port_entropy: entries.flag("source_port_entropy", report),
        carry: entries.choice("carry", &carry, report),
        ttl: entries.choice("ttl", &[("wire", Ttl::Wire), ("router", Ttl::Router)], report),
        absent: entries.choice("absent", &absent, report),
        lan: entries.owned("lan", report),
        key: read_key(entries, folder, report),
        lanes: entries.power_of_two("lanes", 65_536, report),
        spread: entries.part("spread", report),
        group: entries.quantity("group", Bytes(1)..=Bytes(16 << 20), report),
        rebalance: entries.quantity("rebalance", Span(1_000_000)..=Span(100_000_000), report),
    };
    let prefixes = !peer.prefixes.is_absent();
    match &peer.everything {
        Field::Given(true, at) if prefixes => {
            let what = "the peer has both \"prefixes\" and \"everything = true\"";
            report.error(*at, what, "remove one of them");
        }
        Field::Absent | Field::Given(false, _) if !prefixes => {
            let what = "the peer has neither \"prefixes\" nor \"everything\"";
            let remedy = "add prefixes = [\"10.20.0.0/16\"] or everything = true";
            report.error(entries.at, what, remedy);
        }
        _ => {}
    }
    peer
}

/// A list of prefixes.
pub(crate) fn read_prefixes(
    entries: &Entries<'_>,
    report: &mut Report<'_>,
) -> Field<Vec<(Prefix, usize)>> {
    entries.list("prefixes", report, |value| match value.as_str() {
        Some(text) => text.parse(),
        None => Err(ValueError {
            what: "an element of \"prefixes\" is no string".into(),
            remedy: "write it as in: prefixes = [\"10.20.0.0/16\"]".into(),
        }),
    })
}

/// The key itself, or that in a file. No message repeats any of it.
fn read_key(entries: &Entries<'_>, folder: &Path, report: &mut Report<'_>) -> Option<Key> {
    let inline = entries.text("key", report);
    let file = entries.text("key_file", report);
    match (&inline, &file) {
        (Field::Absent, Field::Absent) => {
            let remedy =
                "add key_file = \"peer.key\", and make that file, as with: openssl rand -hex 32";
            report.error(entries.at, "the peer has neither \"key\" nor \"key_file\"", remedy);
        }
        (Field::Given(..), Field::Given(_, at)) => {
            report.error(*at, "the peer has both \"key\" and \"key_file\"", "remove one of them");
            return None;
        }
        _ => {}
    }
    let from_file = file.and_then(report, |name| {
        let text = read_key_file(&folder.join(name)).map_err(|error| ValueError {
            what: format!("cannot read key file {}: {error}", quoted(name)),
            remedy: "name a readable file of 32 to 128 hex digits, relative to this one".into(),
        })?;
        parse_key(text.trim())
    });
    let inline = inline.and_then(report, parse_key);
    inline.given().or(from_file.given()).cloned()
}

fn read_key_file(path: &Path) -> std::io::Result<String> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(1_024).read_to_string(&mut text)?;
    Ok(text)
}

fn parse_key(text: &str) -> Result<Key, ValueError> {
    let error = |what: String| ValueError {
        what,
        remedy: "write 32 to 128 hex digits, an even number: 16 to 64 random bytes".into(),
    };
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits =
        digits.ok_or_else(|| error("the key has other characters than hex digits".into()))?;
    if !(32..=128).contains(&digits.len()) || !digits.len().is_multiple_of(2) {
        return Err(error(format!("the key has {} hex digits", digits.len())));
    }
    let byte = |pair: &[u32]| pair.iter().fold(0_u8, |byte, digit| byte << 4 | *digit as u8);
    Ok(Key(digits.chunks(2).map(byte).collect()))
}

/// Times that make sense between two sites, and leave arithmetic on them room.
pub(crate) const TIMES: std::ops::RangeInclusive<Span> = Span(1_000)..=Span(60_000_000_000);
/// Memory that some burst of jumbo frames fits in, up to what a machine may have.
pub(crate) const MEMORY: std::ops::RangeInclusive<Bytes> = Bytes(128 << 10)..=Bytes(1 << 40);
/// Packets that a table may hold.
pub(crate) const MAX_PACKETS: u32 = 1 << 24;

fn read_recovery(entries: Option<&Entries<'_>>, report: &mut Report<'_>) -> Option<Recovery> {
    let Some(entries) = entries else { return Some(Recovery::default()) };
    let replay_bytes = entries.quantity("replay_bytes", MEMORY, report);
    let replay_packets = entries.power_of_two("replay_packets", MAX_PACKETS, report);
    let replay_age = entries.quantity("replay_age", TIMES, report);
    let shield = entries.flag("shield", report);
    let hold_bytes = entries.quantity("hold_bytes", MEMORY, report);
    let hold_packets = entries.power_of_two("hold_packets", MAX_PACKETS, report);
    let hold_age = entries.quantity("hold_age", TIMES, report);
    let initial_rtt = entries.quantity("initial_rtt", TIMES, report);
    let ack_delay = entries.quantity("ack_delay", TIMES, report);
    let ack_packets = entries.count("ack_packets", 1..=65_536, report);
    let holes = entries.count("holes", 1..=1 << 20, report);
    let default = Recovery::default();
    Some(Recovery {
        replay_bytes: replay_bytes.or(default.replay_bytes)?,
        replay_packets: replay_packets.or(default.replay_packets)?,
        replay_age: replay_age.or(default.replay_age)?,
        shield: shield.or(default.shield)?,
        hold_bytes: hold_bytes.or(default.hold_bytes)?,
        hold_packets: hold_packets.or(default.hold_packets)?,
        hold_age: hold_age.or(default.hold_age)?,
        initial_rtt: initial_rtt.or(default.initial_rtt)?,
        ack_delay: ack_delay.or(default.ack_delay)?,
        ack_packets: ack_packets.or(default.ack_packets)?,
        holes: holes.or(default.holes)?,
    })
}
