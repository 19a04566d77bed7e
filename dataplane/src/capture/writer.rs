//! The writer: classic pcap with nanoseconds, in little-endian byte order.

use std::io::{self, BufWriter, Write};

use super::pcap::MAGIC_NANOS;
use super::{LINKTYPE_ETHERNET, MAX_CAPTURED_LEN, Record};

/// Why a packet or a capture could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output failed: disk full, pipe closed.
    #[error("cannot write the capture: {0}")]
    Io(#[from] io::Error),
    /// More bytes than a reader would believe.
    #[error("packet of {0} bytes, more than the {MAX_CAPTURED_LEN} a capture may hold")]
    PacketLength(usize),
    /// The format's seconds are 32 bits: they end in 2106.
    #[error("time {0} ns after 1970 is later than a capture can say")]
    Time(u64),
}

/// Writes a capture of Ethernet frames to any output, buffered.
///
/// Call [`Writer::finish`] at the end: dropping a writer also empties its buffer, but there
/// nobody learns that it failed.
pub struct Writer<W: Write> {
    output: BufWriter<W>,
}

impl<W: Write> Writer<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// If the output fails.
    pub fn new(output: W) -> Result<Self, WriteError> {
        let mut output = BufWriter::with_capacity(256 * 1024, output);
        output.write_all(&MAGIC_NANOS.to_le_bytes())?;
        output.write_all(&[2, 0, 4, 0])?; // version 2.4
        output.write_all(&[0; 8])?; // time zone and accuracy: unused
        output.write_all(&(MAX_CAPTURED_LEN as u32).to_le_bytes())?;
        output.write_all(&u32::from(LINKTYPE_ETHERNET).to_le_bytes())?;
        Ok(Writer { output })
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// If the packet's length or time does not fit the format (nothing is written then and the
    /// writer stays usable), or if the output fails.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), WriteError> {
        let captured = record.data.len();
        if captured > MAX_CAPTURED_LEN {
            return Err(WriteError::PacketLength(captured));
        }
        let seconds = u32::try_from(record.time_ns / 1_000_000_000)
            .map_err(|_| WriteError::Time(record.time_ns))?;
        let nanoseconds = (record.time_ns % 1_000_000_000) as u32;
        let original_len = record.original_len.max(captured as u32);
        for field in [seconds, nanoseconds, captured as u32, original_len] {
            self.output.write_all(&field.to_le_bytes())?;
        }
        self.output.write_all(record.data)?;
        Ok(())
    }

    /// Empties the buffer and gives the output back.
    ///
    /// # Errors
    /// If the output fails: then the capture is incomplete.
    pub fn finish(self) -> Result<W, WriteError> {
        let mut output = self.output.into_inner().map_err(io::IntoInnerError::into_error)?;
        output.flush()?;
        Ok(output)
    }
}
