//! What can be wrong with a capture, where, and what helps.

use std::io;

use super::MAX_CAPTURED_LEN;

/// Why a capture cannot be read, or not further: file, place, fault.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}: {fault}", self.place())]
pub struct CaptureError {
    /// The name the reader was given.
    pub file: String,
    /// Offset in the file of the header, record or block at fault.
    pub offset: u64,
    /// Number of the packet that could not be read, counted from 1; 0 if it is the file's header.
    pub packet: u64,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

impl CaptureError {
    fn place(&self) -> String {
        match self.packet {
            0 => format!("byte {}", self.offset),
            packet => format!("byte {}, packet {packet}", self.offset),
        }
    }
}

/// What is wrong with a capture, each with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// Not a single byte.
    #[error("the file is empty; a capture begins with a header: capture it again")]
    Empty,
    /// A compressed file.
    #[error("compressed with {name}; decompress it first: {command} FILE")]
    Compressed {
        /// The compression.
        name: &'static str,
        /// The command that undoes it.
        command: &'static str,
    },
    /// Neither pcap nor pcapng.
    #[error(
        "begins with {magic:02x?}, neither pcap nor pcapng; give a capture of tcpdump or Wireshark"
    )]
    NotACapture {
        /// The first bytes, up to four.
        magic: Vec<u8>,
    },
    /// The "modified" pcap of some old kernels, with longer record headers.
    #[error(
        "\"modified\" pcap (magic a1b2cd34), which is not supported; convert it: editcap -F pcap \
         FILE NEW"
    )]
    ModifiedPcap,
    /// A version nobody has defined.
    #[error("{format} version {major}.{minor} is not known; convert it: editcap -F pcap FILE NEW")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
    /// A section header whose byte-order magic is neither way round.
    #[error("section header with byte-order magic {0:08x}, not 1a2b3c4d; the file is damaged here")]
    ByteOrderMagic(u32),
    /// A snapshot length no capture can have.
    #[error(
        "snapshot length {0} is absurd; the header is damaged: capture it again, or mend it: \
         editcap -F pcap FILE NEW"
    )]
    SnapshotLength(u32),
    /// Frames that are not Ethernet.
    #[error(
        "link type {number} ({name}), not 1 (Ethernet); capture on the Ethernet interface \
         itself, not on `any`"
    )]
    LinkType {
        /// LINKTYPE_ value.
        number: u16,
        /// Its name, as in tcpdump's list of link types.
        name: &'static str,
    },
    /// A packet longer than any that is believed.
    #[error(
        "packet of {0} captured bytes, more than the bound of {MAX_CAPTURED_LEN}; the file is \
         damaged here, or cut the packets: editcap -s {MAX_CAPTURED_LEN} FILE NEW"
    )]
    PacketLength(u32),
    /// The file ends inside a header, a record or a block.
    #[error(
        "cut short: {wanted} bytes were to follow, {found} do; the packets before are good: \
         capture it again, or save them: editcap FILE NEW"
    )]
    Truncated {
        /// Bytes the header, record or block takes as a whole.
        wanted: u64,
        /// Bytes of it that are there.
        found: u64,
    },
    /// A block length that is too small, too large or no multiple of four.
    #[error("block of type {kind:#010x} claims {length} bytes; the file is damaged here")]
    BlockLength {
        /// Block type.
        kind: u32,
        /// Total length claimed at the block's beginning.
        length: u32,
    },
    /// A block whose two lengths differ.
    #[error(
        "block of type {kind:#010x} claims {length} bytes at its beginning and {trailer} at its \
         end; the file is damaged here"
    )]
    BlockTrailer {
        /// Block type.
        kind: u32,
        /// Total length claimed at the block's beginning.
        length: u32,
        /// Total length claimed at the block's end.
        trailer: u32,
    },
    /// A block too short for what it says it holds.
    #[error("block too short for what it says it holds; the file is damaged here")]
    BlockContent,
    /// A packet of an interface that the section has not described.
    #[error(
        "packet of interface {id}, but the section describes {known}; the file is damaged here"
    )]
    Interface {
        /// Interface named by the packet.
        id: u32,
        /// Interfaces described so far.
        known: usize,
    },
    /// More interfaces in one section than any machine has.
    #[error(
        "more than {0} interfaces in one section; the file is damaged, or split it: editcap FILE \
         NEW"
    )]
    TooManyInterfaces(usize),
}

/// Name of a link type, for those met in practice.
pub(super) fn link_type_name(number: u16) -> &'static str {
    match number {
        0 => "BSD loopback",
        1 => "Ethernet",
        6 => "Token Ring",
        9 => "PPP",
        12 | 14 | 101 => "raw IP",
        50 => "PPP over serial",
        105 => "IEEE 802.11",
        108 => "OpenBSD loopback",
        113 => "Linux cooked capture",
        127 => "IEEE 802.11 radiotap",
        147..=162 => "private use",
        189 | 220 => "Linux USB",
        197 => "ERF",
        228 => "raw IPv4",
        229 => "raw IPv6",
        247 => "InfiniBand",
        253 => "Linux netlink",
        276 => "Linux cooked capture v2",
        _ => "unknown",
    }
}
