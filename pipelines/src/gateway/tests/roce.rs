//! Frames of two hosts, and a wire that loses those of them that it is told to.

use super::*;
use crate::wire::icrc;

pub(super) const SEND_FIRST: u8 = 0x00;
pub(super) const SEND_ONLY: u8 = 0x04;
pub(super) const WRITE_ONLY: u8 = 0x0a;
pub(super) const READ: u8 = 0x0c;
pub(super) const READ_FIRST: u8 = 0x0d;
pub(super) const READ_MIDDLE: u8 = 0x0e;
pub(super) const READ_LAST: u8 = 0x0f;
pub(super) const READ_ONLY: u8 = 0x10;
pub(super) const ACK: u8 = 0x11;
pub(super) const FETCH_ADD: u8 = 0x14;
pub(super) const ATOMIC_ACK: u8 = 0x12;
pub(super) const UC_WRITE: u8 = 0x2a;
/// Queue pairs at site 0 and at site 1.
pub(super) const QPS: [u32; 2] = [0x11, 0x22];

/// The host at site `from` sends the other one a packet.
pub(super) fn roce(from: usize, opcode: u8, psn: u32, body: &[u8]) -> Vec<u8> {
    let (source, destination) = (from as u8 + 1, 2 - from as u8);
    let udp_len = (8 + 12 + body.len() + 4) as u16;
    let mut frame = vec![2, 0, 0, 0, 1, destination, 2, 0, 0, 0, 1, source, 8, 0, 0x45, 0];
    frame.extend((20 + udp_len).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, destination]);
    frame.extend([0xc0, 0, 0x12, 0xb7]);
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0, opcode, 0, 0xff, 0xff]);
    frame.extend(QPS[1 - from].to_be_bytes());
    frame.extend((psn & 0xff_ffff).to_be_bytes());
    frame.extend(body);
    frame.extend([0; 4]);
    sealed(frame, 14)
}

/// The frame with the ICRC that it should have, its IP header beginning at `ip_at`.
pub(super) fn sealed(mut frame: Vec<u8>, ip_at: usize) -> Vec<u8> {
    let ip_len = if frame[ip_at] >> 4 == 4 { usize::from(frame[ip_at] & 0xf) * 4 } else { 40 };
    let udp_len = u16::from_be_bytes([frame[ip_at + ip_len + 4], frame[ip_at + ip_len + 5]]);
    let at = ip_at + ip_len + usize::from(udp_len) - 4;
    let icrc = icrc::compute(ip_len, [&frame[ip_at..at]]).expect("headers");
    frame[at..at + 4].copy_from_slice(&icrc.to_le_bytes());
    frame
}

/// The same packet to another queue pair.
pub(super) fn to(qp: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[47..50].copy_from_slice(&[0, 0, qp]);
    sealed(frame, 14)
}

pub(super) fn write(psn: u32) -> Vec<u8> {
    roce(0, WRITE_ONLY, psn, &[0; 32])
}

pub(super) fn read(psn: u32, len: u32) -> Vec<u8> {
    roce(0, READ, psn, &[&[0; 12][..], &len.to_be_bytes()].concat())
}

pub(super) fn ack(psn: u32) -> Vec<u8> {
    roce(1, ACK, psn, &[0x1f, 0, 0, 0])
}

/// Opcode and PSN of a bare frame.
pub(super) fn what(frame: &[u8]) -> (u8, u32) {
    (frame[42], u32::from_be_bytes([0, frame[51], frame[52], frame[53]]))
}

/// Whether a frame is of the gateways; with transparent numbering that is a control message.
pub(super) fn is_ours(frame: &[u8]) -> bool {
    frame[36..38] == 4_794u16.to_be_bytes()
}

/// The packet of a host that a frame is or carries.
pub(super) fn carried(frame: &[u8]) -> Option<&[u8]> {
    match (is_ours(frame), is_control(frame)) {
        (false, _) => Some(frame),
        (true, true) => None,
        (true, false) => frame.get(58..),
    }
}

/// Loses the packets with these opcodes and PSNs, each once.
pub(super) fn losing(mut lost: Vec<(u8, u32)>) -> impl FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    move |_, frame| {
        let hit = lost.iter().position(|lost| carried(frame).map(what) == Some(*lost));
        match hit {
            Some(at) => {
                lost.swap_remove(at);
                vec![]
            }
            None => vec![(DELAY, frame.to_vec())],
        }
    }
}

/// Two gateways that number transparently.
pub(super) fn up(change: impl Fn(&mut Settings)) -> Bed {
    Bed::up(|settings| {
        settings.peers[0].numbering = Numbering::Transparent { check_icrc: true };
        change(settings);
    })
}

/// A pair of gateways of each numbering: tunnel, transparent.
pub(super) fn both(change: impl Fn(&mut Settings)) -> [Bed; 2] {
    [Bed::up(&change), up(change)]
}

impl Bed {
    /// The host at site `from` sends a frame.
    pub(super) fn host(&mut self, from: usize, frame: &[u8]) {
        let now = self.now;
        self.sides[from].receive(LAN, frame, now);
    }

    /// Opcodes and PSNs that a site was given since this was last asked.
    pub(super) fn given(&mut self, side: usize) -> Vec<(u8, u32)> {
        self.sides[side].delivered.drain(..).map(|frame| what(&frame)).collect()
    }

    /// Everything is confirmed, nothing waits and nothing was given up.
    pub(super) fn assert_settled(&mut self) {
        for side in 0..2 {
            assert_eq!(self.sides[side].gateway.outstanding(), (0, 0), "side {side}");
            assert_eq!(self.counters(side).gave_up, 0, "side {side}");
        }
        self.assert_no_leak();
    }
}

pub(super) fn writes(psns: impl IntoIterator<Item = u32>) -> Vec<(u8, u32)> {
    psns.into_iter().map(|psn| (WRITE_ONLY, psn & 0xff_ffff)).collect()
}

/// The host at site 1 did not get what has this PSN.
pub(super) fn nak(psn: u32) -> Vec<u8> {
    roce(1, ACK, psn, &[0x60, 0, 0, 0])
}
