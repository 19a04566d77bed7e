//! Which packets of a capture have a number that shows their loss, where PSNs are the numbers.

use std::collections::HashMap;

use pipelines::wire::opcode::{Kind, Opcode};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::psn::Psn;

use crate::stream::StreamKey;

/// A PSN this far from the newest one is of another life of its queue pair.
const WINDOW: i32 = 1 << 20;

/// The newest PSN of each stream.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    newest: HashMap<StreamKey, Psn>,
}

impl Numbers {
    /// Whether a frame has a number: a request of a reliable connection, which an RNIC would take,
    /// or a response with data whose PSN its stream has not had before.
    pub(crate) fn has_number(&mut self, stream: StreamKey, frame: &[u8]) -> bool {
        let parsed = Parsed::of(frame, frame.len());
        let Class::Roce(_, _, roce) = parsed.class else { return false };
        let Opcode(opcode) = roce.bth.opcode;
        let connected = matches!(opcode >> 5, 0 | 5);
        let kind = roce.bth.opcode.shape().kind;
        let numbered = match kind {
            Kind::Request | Kind::Response => true,
            Kind::Acknowledge => opcode & 0x1f == 0x12, // of an atomic
            _ => false,
        };
        if !connected || !numbered || parsed.icrc_is_right([frame]) != Some(true) {
            return false;
        }
        let psn = Psn::new(roce.bth.psn);
        let newest = self.newest.get(&stream);
        let ahead = newest.map_or(1, |newest| psn.ahead_of(*newest));
        let new = !(-WINDOW..=0).contains(&ahead);
        if new {
            self.newest.insert(stream, psn);
        }
        new || kind == Kind::Request
    }
}
