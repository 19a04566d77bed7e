//! A fixed buffer that slides over an input.

use std::io::{self, ErrorKind, Read};

use super::Fault;

/// Bytes of the buffer: holds the largest packet block and makes reads large.
const CAPACITY: usize = 1 << 20;

/// The part of the input that is in memory: at most 1 MiB, whatever the input's size.
pub(super) struct Window<R> {
    input: R,
    buffer: Box<[u8]>,
    /// Unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Offset in the input of `buffer[start]`.
    offset: u64,
    /// Offset in the input of the header, record or block in hand.
    item: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        let buffer = vec![0; CAPACITY].into_boxed_slice();
        Window { input, buffer, start: 0, end: 0, offset: 0, item: 0 }
    }

    /// Offset in the input of the first byte not yet taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Notes that a header, record or block begins here.
    pub(super) fn begin_item(&mut self) {
        self.item = self.offset;
    }

    /// Offset in the input of the header, record or block in hand.
    pub(super) fn item_offset(&self) -> u64 {
        self.item
    }

    /// The bytes in memory that are not yet taken.
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Tries to have `len` unread bytes in memory and returns how many there are: fewer only at
    /// the end of the input. `len` is at most the capacity.
    pub(super) fn fill(&mut self, len: usize) -> Result<usize, Fault> {
        debug_assert!(len <= CAPACITY);
        while self.end - self.start < len {
            if self.end == self.buffer.len() || self.start == self.end {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let space = self.buffer.get_mut(self.end..).unwrap_or_default();
            match retry(|| self.input.read(space))? {
                0 => break,
                read => self.end = (self.end + read).min(self.buffer.len()),
            }
        }
        Ok(self.end - self.start)
    }

    /// The next `len` bytes, not taken; [`Fault::Truncated`] if the input ends before.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8], Fault> {
        let found = self.fill(len)?;
        self.unread().get(..len).ok_or(Fault::Truncated { wanted: len as u64, found: found as u64 })
    }

    /// The next `N` bytes as an array, not taken; [`Fault::Truncated`] as in `peek`.
    pub(super) fn peek_array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let found = self.fill(N)?;
        let bytes = self.unread().first_chunk::<N>();
        bytes.copied().ok_or(Fault::Truncated { wanted: N as u64, found: found as u64 })
    }

    /// Takes `len` bytes that are in memory and returns them.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let taken = self.start..(self.start + len).min(self.end);
        self.start = taken.end;
        self.offset += taken.len() as u64;
        self.buffer.get(taken).unwrap_or_default()
    }

    /// Takes `len` bytes unseen, however many; returns how many there were.
    pub(super) fn skip(&mut self, len: u64) -> Result<u64, Fault> {
        let mut skipped = 0;
        while skipped < len {
            let step = (len - skipped).min(CAPACITY as u64) as usize;
            let found = self.fill(step)?.min(step);
            self.take(found);
            skipped += found as u64;
            if found < step {
                break;
            }
        }
        Ok(skipped)
    }
}

/// Repeats a read that a signal interrupted.
fn retry(mut read: impl FnMut() -> io::Result<usize>) -> Result<usize, Fault> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(Fault::Io),
        }
    }
}
