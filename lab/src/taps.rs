//! Captures of the links: lan-a.pcap, wan-a.pcap, wan-b.pcap and lan-b.pcap.
//!
//! Both directions of each. On the WAN, a site's capture holds what its gateway sends before
//! anything happens to it, and what it receives after.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use dataplane::capture::{Record, WriteError, Writer};
use dataplane::time::Time;

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tap {
    /// Between a site's host and its gateway.
    Lan(usize),
    /// The WAN, at a site; all paths together.
    Wan(usize),
}

const NAMES: [&str; 4] = ["lan-a.pcap", "wan-a.pcap", "wan-b.pcap", "lan-b.pcap"];

impl Tap {
    fn index(self) -> usize {
        match self {
            Self::Lan(0) => 0,
            Self::Wan(0) => 1,
            Self::Wan(_) => 2,
            Self::Lan(_) => 3,
        }
    }
}

/// Why there are no captures.
#[derive(Debug, thiserror::Error)]
pub enum TapsError {
    /// One of them would be written over the input.
    #[error("{}: is the input, which would be overwritten: choose another folder", .0.display())]
    Input(PathBuf),
    /// One of them cannot be written.
    #[error("{}: {cause}", file.display())]
    Write {
        /// The capture, or its folder.
        file: PathBuf,
        /// What went wrong.
        cause: WriteError,
    },
}

/// The captures of a run.
pub(crate) struct Taps {
    folder: PathBuf,
    writers: Vec<Writer<File>>,
    /// When the play started, and the time it has in the captures; nothing is written before.
    start: Option<(Time, u64)>,
    failed: Option<TapsError>,
}

impl Taps {
    /// Begins captures in `folder`, which is made if it is not there. Existing ones are
    /// overwritten, but not the input.
    pub(crate) fn create(folder: &Path, input: Option<&Path>) -> Result<Self, TapsError> {
        let fail = |file: PathBuf, cause: WriteError| TapsError::Write { file, cause };
        fs::create_dir_all(folder).map_err(|error| fail(folder.to_owned(), error.into()))?;
        let input = input.and_then(|input| input.canonicalize().ok());
        for file in NAMES.map(|name| folder.join(name)) {
            if input.is_some() && file.canonicalize().ok() == input {
                return Err(TapsError::Input(file));
            }
        }
        let open = |name: &str| {
            let file = folder.join(name);
            let writer = File::create(&file).map_err(WriteError::from).and_then(Writer::new);
            writer.map_err(|cause| fail(file, cause))
        };
        let writers = NAMES.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { folder: folder.to_owned(), writers, start: None, failed: None })
    }

    /// Lets the captures begin at `now`, which they call `origin`: nanoseconds since 1970.
    pub(crate) fn start(&mut self, now: Time, origin: u64) {
        self.start = Some((now, origin));
    }

    /// A frame is seen on a link. A failure is said at the end; nothing more is written after it.
    pub(crate) fn write(&mut self, tap: Tap, now: Time, data: &[u8]) {
        let Some((start, origin)) = self.start.filter(|_| self.failed.is_none()) else { return };
        let index = tap.index();
        let time_ns = origin.saturating_add(now.since(start));
        let record = Record { time_ns, original_len: data.len() as u32, data };
        let written = self.writers.get_mut(index).map_or(Ok(()), |writer| writer.write(&record));
        self.failed = written.err().map(|cause| TapsError::Write { file: self.file(index), cause });
    }

    /// Completes the captures.
    pub(crate) fn finish(mut self) -> Result<(), TapsError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        for (index, writer) in std::mem::take(&mut self.writers).into_iter().enumerate() {
            writer.finish().map_err(|cause| TapsError::Write { file: self.file(index), cause })?;
        }
        Ok(())
    }

    fn file(&self, index: usize) -> PathBuf {
        self.folder.join(NAMES.get(index).copied().unwrap_or_default())
    }
}
