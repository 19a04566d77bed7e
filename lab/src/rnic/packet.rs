//! A packet before it is a frame.

use pipelines::wire::opcode::Opcode;

use super::payload::Payload;

/// Room for the longest extended headers of a reliable connection: AtomicETH.
const MAX_EXTENDED: usize = 28;

/// What a queue pair has to say.
pub(super) struct Packet {
    pub(super) opcode: Opcode,
    pub(super) psn: u32,
    pub(super) ack_request: bool,
    pub(super) extended: Extended,
    pub(super) payload: Payload,
}

/// Extended headers, one behind the other.
#[derive(Default)]
pub(super) struct Extended {
    bytes: [u8; MAX_EXTENDED],
    len: usize,
}

impl Extended {
    /// Adds a header.
    #[inline]
    pub(super) fn push(&mut self, header: &[u8]) {
        let rest = self.bytes.get_mut(self.len..).unwrap_or_default();
        rest.iter_mut().zip(header).for_each(|(to, from)| *to = *from);
        self.len += header.len();
    }

    /// All of them.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
