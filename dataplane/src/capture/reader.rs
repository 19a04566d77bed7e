//! The reader: finds out the format, then hands out packets one by one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::pcap::Pcap;
use super::pcapng::{Pcapng, SECTION_HEADER};
use super::window::Window;
use super::{CaptureError, Fault, MAX_CAPTURED_LEN, Record};

/// Reads a capture of either format from any input, in one pass and in constant memory.
///
/// The input is read in large pieces; there is no need to buffer it.
pub struct Reader<R> {
    name: String,
    window: Window<R>,
    format: Format,
    packets: u64,
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Where the packet at the front of the window lies, and what is known about it.
pub(super) struct Bounds {
    pub(super) time_ns: u64,
    pub(super) original_len: u32,
    /// Bytes before the packet that belong to its record or block.
    pub(super) before: usize,
    /// Bytes of the packet.
    pub(super) len: usize,
    /// Bytes after it.
    pub(super) after: usize,
}

impl Reader<File> {
    /// Opens a capture file.
    ///
    /// # Errors
    /// As [`Reader::new`], and if the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Reader::new(name, file),
            Err(error) => {
                let fault = Fault::Io(error);
                Err(CaptureError { file: name, offset: 0, packet: 0, fault })
            }
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads the file's header. `name` is what errors call the input.
    ///
    /// # Errors
    /// If the input is no capture, or one that is not supported, or cannot be read.
    pub fn new(name: impl Into<String>, input: R) -> Result<Self, CaptureError> {
        let name = name.into();
        let mut window = Window::new(input);
        match recognise(&mut window) {
            Ok(format) => Ok(Reader { name, window, format, packets: 0, ended: false }),
            Err(fault) => Err(CaptureError { file: name, offset: 0, packet: 0, fault }),
        }
    }

    /// The next packet; `None` at the end of the capture, and for ever after an error.
    ///
    /// # Errors
    /// Once, at the first place where the capture cannot be understood. All packets before it have
    /// been handed out.
    #[expect(clippy::should_implement_trait, reason = "a record borrows the reader's buffer")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        if self.ended {
            return Ok(None);
        }
        let result = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.window),
        };
        let bounds = match result {
            Ok(Some(bounds)) => bounds,
            Ok(None) => {
                self.ended = true;
                return Ok(None);
            }
            Err(fault) => return Err(self.fail(fault)),
        };
        self.packets += 1;
        let Bounds { time_ns, original_len, before, len, after } = bounds;
        let record = self.window.take(before + len + after);
        let data = record.get(before..before + len).unwrap_or_default();
        // Some writers record less than they captured; a frame is not shorter than its part.
        Ok(Some(Record { time_ns, original_len: original_len.max(len as u32), data }))
    }

    /// Packets handed out so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of the input that have been consumed so far.
    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    fn fail(&mut self, fault: Fault) -> CaptureError {
        self.ended = true;
        CaptureError {
            file: self.name.clone(),
            offset: self.window.item_offset(),
            packet: self.packets + 1,
            fault,
        }
    }
}

/// Tells the format by the first four bytes and reads a classic file's header.
fn recognise<R: Read>(window: &mut Window<R>) -> Result<Format, Fault> {
    window.fill(4)?;
    let Some(magic) = window.unread().first_chunk::<4>().copied() else {
        return Err(match window.unread() {
            [] => Fault::Empty,
            bytes => Fault::NotACapture { magic: bytes.to_vec() },
        });
    };
    if u32::from_be_bytes(magic) == SECTION_HEADER {
        return Ok(Format::Pcapng(Pcapng::new()));
    }
    if let Some(pcap) = Pcap::recognise(magic)? {
        pcap.begin(window)?;
        return Ok(Format::Pcap(pcap));
    }
    Err(match magic {
        [0x1f, 0x8b, ..] => Fault::Compressed { name: "gzip", command: "gunzip" },
        [0x28, 0xb5, 0x2f, 0xfd] => Fault::Compressed { name: "zstd", command: "unzstd" },
        [0xfd, b'7', b'z', b'X'] => Fault::Compressed { name: "xz", command: "unxz" },
        [0x04, 0x22, 0x4d, 0x18] => Fault::Compressed { name: "lz4", command: "unlz4" },
        _ => Fault::NotACapture { magic: magic.to_vec() },
    })
}

/// A packet's captured length, if it is within the bound.
pub(super) fn captured_len(captured: u32) -> Result<usize, Fault> {
    match usize::try_from(captured) {
        Ok(len) if len <= MAX_CAPTURED_LEN => Ok(len),
        _ => Err(Fault::PacketLength(captured)),
    }
}
