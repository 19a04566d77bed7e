//! Classic pcap (draft-ietf-opsawg-pcap): one header, then records.

use std::io::Read;

use super::error::link_type_name;
use super::fields::{ByteOrder, Fields};
use super::reader::{Bounds, captured_len};
use super::window::Window;
use super::{Fault, LINKTYPE_ETHERNET};

/// Magic of a file with microseconds, as a number in the file's byte order.
pub(super) const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
/// Magic of a file with nanoseconds.
pub(super) const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
/// Magic of the "modified" format of some old kernels.
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;
/// Bytes of the file header.
pub(super) const FILE_HEADER_LEN: usize = 24;
/// Bytes of a record header.
pub(super) const RECORD_HEADER_LEN: usize = 16;

/// What the file header says about the records.
#[derive(Clone, Copy)]
pub(super) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds in one unit of a record's fraction of a second.
    fraction_ns: u64,
}

impl Pcap {
    /// Whether the file is of this format, by its first four bytes.
    pub(super) fn recognise(magic: [u8; 4]) -> Result<Option<Self>, Fault> {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            match order.u32(magic) {
                MAGIC_MICROS => return Ok(Some(Pcap { order, fraction_ns: 1_000 })),
                MAGIC_NANOS => return Ok(Some(Pcap { order, fraction_ns: 1 })),
                MAGIC_MODIFIED => return Err(Fault::ModifiedPcap),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Reads and checks the rest of the file header.
    pub(super) fn begin<R: Read>(&self, window: &mut Window<R>) -> Result<(), Fault> {
        let header = window.peek(FILE_HEADER_LEN)?;
        let mut fields = Fields::new(self.order, header);
        fields.u32()?; // magic
        let (major, minor) = (fields.u16()?, fields.u16()?);
        fields.bytes(8)?; // time zone and accuracy: unused
        let snapshot_length = fields.u32()?;
        // The upper half holds the length of a frame check sequence; what lies behind the IP
        // datagram matters to nobody here.
        let link_type = (fields.u32()? & 0xffff) as u16;
        if (major, minor) != (2, 4) {
            return Err(Fault::Version { format: "pcap", major, minor });
        }
        check_snapshot_length(snapshot_length)?;
        check_link_type(link_type)?;
        window.take(FILE_HEADER_LEN);
        Ok(())
    }

    /// Brings the next record's bytes into memory; `None` at the end of the file.
    pub(super) fn next<R: Read>(&self, window: &mut Window<R>) -> Result<Option<Bounds>, Fault> {
        window.begin_item();
        if window.fill(RECORD_HEADER_LEN)? == 0 {
            return Ok(None);
        }
        let mut fields = Fields::new(self.order, window.peek(RECORD_HEADER_LEN)?);
        let (seconds, fraction) = (fields.u32()?, fields.u32()?);
        let (captured, original_len) = (fields.u32()?, fields.u32()?);
        let len = captured_len(captured)?;
        window.peek(RECORD_HEADER_LEN + len)?;
        Ok(Some(Bounds {
            time_ns: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns,
            original_len,
            before: RECORD_HEADER_LEN,
            len,
            after: 0,
        }))
    }
}

/// Refuses what libpcap reads as a negative length; 0 means that there was no limit.
pub(super) fn check_snapshot_length(length: u32) -> Result<(), Fault> {
    if length > i32::MAX as u32 { Err(Fault::SnapshotLength(length)) } else { Ok(()) }
}

/// Refuses everything but Ethernet.
pub(super) fn check_link_type(number: u16) -> Result<(), Fault> {
    if number == LINKTYPE_ETHERNET {
        return Ok(());
    }
    Err(Fault::LinkType { number, name: link_type_name(number) })
}
