//! Acknowledgements: the AETH and what its syndrome says.
//!
//! InfiniBand Architecture volume 1, section 9.7.5 (acknowledge message scheduling, syndromes);
//! timer values: table 45; credits: table 44.

use super::be24;

/// Acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aeth {
    /// What kind, and its value.
    pub syndrome: Syndrome,
    /// Message sequence number, 24 bits: messages completed since the queue pair's reset.
    pub msn: u32,
}

/// The syndrome of an acknowledgement, the byte as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syndrome(pub u8);

/// What a syndrome says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Acknowledged; credits code 0 to 30, or 31 for no end-to-end credits.
    Ack(u8),
    /// Receiver not ready; timer code 0 to 31.
    RnrNak(u8),
    /// Not acknowledged, because.
    Nak(NakCode),
    /// Reserved: receivers ignore it.
    Reserved,
}

/// Why a request was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NakCode {
    /// A PSN is missing: the requester sends again from the acknowledgement's on.
    PsnSequence,
    /// Invalid request: the queue pair fails.
    InvalidRequest,
    /// Remote access error: the queue pair fails.
    RemoteAccess,
    /// Remote operational error: the queue pair fails.
    RemoteOperational,
    /// Invalid RD request.
    InvalidRdRequest,
    /// Reserved: receivers ignore it.
    Reserved(u8),
}

impl Aeth {
    /// Bytes of the header.
    pub const LEN: usize = 4;

    /// Reads the header.
    #[inline]
    #[must_use]
    pub const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [syndrome, m0, m1, m2] = *bytes;
        Self { syndrome: Syndrome(syndrome), msn: u32::from_be_bytes([0, m0, m1, m2]) }
    }

    /// The header's bytes. Of the message sequence number the low 24 bits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [m0, m1, m2] = be24(self.msn);
        [self.syndrome.0, m0, m1, m2]
    }
}

impl Syndrome {
    /// What it says.
    #[must_use]
    pub const fn meaning(self) -> Meaning {
        let value = self.0 & 0x1f;
        match self.0 >> 5 {
            0 => Meaning::Ack(value),
            1 => Meaning::RnrNak(value),
            3 => Meaning::Nak(match value {
                0 => NakCode::PsnSequence,
                1 => NakCode::InvalidRequest,
                2 => NakCode::RemoteAccess,
                3 => NakCode::RemoteOperational,
                4 => NakCode::InvalidRdRequest,
                _ => NakCode::Reserved(value),
            }),
            _ => Meaning::Reserved,
        }
    }
}

/// Waiting times of RNR NAKs in microseconds, by timer code.
const RNR_TIMERS_US: [u32; 32] = [
    655_360, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 960, 1_280, 1_920, 2_560, 3_840,
    5_120, 7_680, 10_240, 15_360, 20_480, 30_720, 40_960, 61_440, 81_920, 122_880, 163_840,
    245_760, 327_680, 491_520,
];

/// How long a requester waits after an RNR NAK, in microseconds. Of the code the low five bits.
#[must_use]
pub const fn rnr_timer_us(code: u8) -> u32 {
    RNR_TIMERS_US[(code & 0x1f) as usize]
}

/// Messages that a credits code grants, 0 to 32 768; `None` for 31, no end-to-end credits. Of the
/// code the low five bits.
#[must_use]
pub const fn credits(code: u8) -> Option<u32> {
    // From 2 on, the codes are the powers of two, each with one and a half of it behind.
    match code & 0x1f {
        31 => None,
        low @ 0..=3 => Some(low as u32),
        code => Some((2 + (code as u32 & 1)) << (code / 2 - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syndromes() {
        let cases = [
            (0x00, Meaning::Ack(0)),
            (0x1f, Meaning::Ack(31)),
            (0x2c, Meaning::RnrNak(12)),
            (0x40, Meaning::Reserved),
            (0x60, Meaning::Nak(NakCode::PsnSequence)),
            (0x64, Meaning::Nak(NakCode::InvalidRdRequest)),
            (0x7f, Meaning::Nak(NakCode::Reserved(31))),
            (0x80, Meaning::Reserved),
            (0xe0, Meaning::Reserved),
        ];
        for (byte, meaning) in cases {
            assert_eq!(Syndrome(byte).meaning(), meaning, "{byte:#x}");
        }
    }

    #[test]
    fn credits_are_those_of_the_table() {
        let table = [
            0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024,
            1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768,
        ];
        for (code, granted) in (0..).zip(table) {
            assert_eq!(credits(code), Some(granted), "code {code}");
        }
        assert_eq!(credits(31), None);
    }

    #[test]
    fn timers_grow_but_for_the_first() {
        assert_eq!(rnr_timer_us(0), 655_360);
        assert!((1..31).all(|code| rnr_timer_us(code) < rnr_timer_us(code + 1)));
    }

    #[test]
    fn what_is_written_is_read() {
        let aeth = Aeth { syndrome: Syndrome(0x60), msn: 0x12_3456 };
        assert_eq!(aeth.to_bytes(), [0x60, 0x12, 0x34, 0x56]);
        assert_eq!(Aeth::read(&aeth.to_bytes()), aeth);
    }
}
