//! Capture files: a streaming reader of classic pcap and pcapng, a writer of classic pcap.
//!
//! A capture is input like any other: hostile. The reader holds one fixed buffer, never the file;
//! it allocates nothing for a packet; every length is checked against a bound before it is
//! believed. Whatever can be read is handed out first, then one [`CaptureError`] says what is
//! wrong, where, and what helps; after that the reader is at its end.
//!
//! Formats: draft-ietf-opsawg-pcap (classic, microsecond and nanosecond, both byte orders) and
//! draft-ietf-opsawg-pcapng (section headers of both byte orders, several interfaces, enhanced,
//! simple and obsolete packet blocks).

mod error;
mod fields;
mod pcap;
mod pcapng;
mod reader;
mod window;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{CaptureError, Fault};
pub use reader::Reader;
pub use writer::{WriteError, Writer};

/// The longest packet, in captured bytes, that is read or written: 256 KiB, the largest snapshot
/// length that libpcap itself uses.
pub const MAX_CAPTURED_LEN: usize = 256 * 1024;

/// LINKTYPE_ETHERNET, the only link type that is read or written.
pub const LINKTYPE_ETHERNET: u16 = 1;

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Nanoseconds since 1970-01-01 UTC; 0 where the format records none (simple packet block).
    pub time_ns: u64,
    /// Bytes the frame had on the wire; never less than `data.len()`.
    pub original_len: u32,
    /// What was captured of the frame, from its destination address on.
    pub data: &'a [u8],
}

impl Record<'_> {
    /// Whether the capture holds only the beginning of the frame.
    pub fn is_snapped(&self) -> bool {
        self.data.len() < self.original_len as usize
    }
}
