//! How an RNIC and its queue pairs are set up, and what its stack is known to do.

use std::net::IpAddr;
use std::str::FromStr;

use config::units::ValueError;
use dataplane::time::{MILLISECOND, Nanos, Time};
use pipelines::wire::ethernet::Mac;

/// An RNIC with one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RnicSettings {
    /// Its own MAC address.
    pub mac: Mac,
    /// Its own IP address.
    pub address: IpAddr,
    /// Where its frames go: the next hop.
    pub peer_mac: Mac,
    /// Tells its random choices (starting PSNs, identifiers) from those of other RNICs.
    pub seed: u64,
    /// How long the number of a queue pair that was destroyed is not used for another one: until
    /// the network has nothing for the old one any more.
    pub time_wait: Nanos,
}

/// The largest payload of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pmtu {
    /// 256 bytes.
    B256,
    /// 512 bytes.
    B512,
    /// 1024 bytes: what an Ethernet MTU of 1500 has room for.
    B1024,
    /// 2048 bytes.
    B2048,
    /// 4096 bytes.
    B4096,
}

impl Pmtu {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::B256, Self::B512, Self::B1024, Self::B2048, Self::B4096];

    /// In bytes.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u32 {
        128 << self.code()
    }

    /// As connection management has it on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The one with this code.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|pmtu| pmtu.code() == code)
    }

    /// How many packets carry this many bytes.
    #[inline]
    #[must_use]
    pub const fn packets(self, length: u32) -> u32 {
        let packets = length.div_ceil(self.bytes());
        if packets == 0 { 1 } else { packets }
    }
}

impl FromStr for Pmtu {
    type Err = ValueError;

    /// In bytes: `4096`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let known = Self::ALL.into_iter().find(|pmtu| pmtu.bytes().to_string() == text);
        known.ok_or_else(|| ValueError {
            what: format!("\"{}\"", text.escape_debug()),
            remedy: "has to be 256, 512, 1024, 2048 or 4096".into(),
        })
    }
}

/// When a requester that hears nothing sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// After 4.096 µs times two to this power, each time; 0 is never.
    Fixed(u8),
    /// After a short time that doubles up to the configured one.
    Adaptive {
        /// The short time.
        first: Nanos,
        /// Power of two of the configured timeout, as in [`Timer::Fixed`]. The queue pair fails
        /// once it saw no progress for that timeout times its retry count.
        configured: u8,
    },
}

impl Timer {
    /// Adaptive as NICs have it by default, with 4 ms to start from.
    #[must_use]
    pub const fn adaptive(configured: u8) -> Self {
        Self::Adaptive { first: 4 * MILLISECOND, configured }
    }

    /// The configured timeout; 0 is never.
    #[must_use]
    pub const fn configured(self) -> u8 {
        match self {
            Self::Fixed(power) | Self::Adaptive { configured: power, .. } => power & 0x1f,
        }
    }

    /// The configured timeout as a span of time, endless for 0.
    #[must_use]
    pub const fn timeout(self) -> Nanos {
        match self.configured() {
            0 => Time::NEVER.0,
            power => 4_096 << power,
        }
    }
}

/// Whether a message that needs a posted receive finds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receives {
    /// Always.
    Endless,
    /// While as many as this last; [`super::Rnic::post_receives`] adds more.
    Counted(u32),
    /// Except at every n-th time one looks.
    RnrEvery(u32),
}

/// What stacks do differently. The default is what most NICs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// The requester ignores a NAK if no ACK came since it last went back (rxe).
    pub nak_needs_progress: bool,
    /// The responder answers every duplicate SEND or WRITE packet with its newest PSN (rxe), not
    /// only those that ask, and with no PSN beyond the next READ or atomic.
    pub ack_duplicates: bool,
    /// The responder sends a sequence NAK for what follows a request that it refused for lack of a
    /// receive (rxe).
    pub nak_after_rnr: bool,
}

/// A queue pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QpSettings {
    /// The largest payload of a packet; the same at both ends.
    pub pmtu: Pmtu,
    /// PSNs that may be unacknowledged when a request packet leaves, its own included.
    pub window: u32,
    /// READs and atomics that may be outstanding, and that the responder remembers to repeat.
    pub max_reads: u32,
    /// Packets after which a long message asks for an acknowledgement before its end.
    pub ack_every: u32,
    /// Timeouts without progress before the queue pair fails.
    pub retry_cnt: u8,
    /// A retry count of 7 is endless (rxe).
    pub endless_retries: bool,
    /// Refusals for lack of a receive, without progress, before the queue pair fails; 7 is endless.
    pub rnr_retry: u8,
    /// Code of the time for which the responder asks when it lacks a receive.
    pub min_rnr_timer: u8,
    /// When to send again.
    pub timer: Timer,
    /// Receives at the responder.
    pub receives: Receives,
    /// What stacks do differently.
    pub behaviour: Behaviour,
    /// Code point of differentiated services of all it sends.
    pub dscp: u8,
    /// It speaks of congestion: its packets may be marked (ECT), it answers marks by CNPs, and slows
    /// down when it gets some. The bits a second that it sends at when nothing is congested.
    pub dcqcn: Option<u64>,
    /// UDP source port of all it sends; `None`: the one that both queue pairs make up together.
    pub source_port: Option<u16>,
}

impl Default for QpSettings {
    /// What the usual benchmark asks for, over Ethernet with jumbo frames.
    fn default() -> Self {
        Self {
            pmtu: Pmtu::B4096,
            window: 129,
            max_reads: 16,
            ack_every: 66,
            retry_cnt: 7,
            endless_retries: false,
            rnr_retry: 7,
            min_rnr_timer: 12,
            timer: Timer::Fixed(14),
            receives: Receives::Endless,
            behaviour: Behaviour::default(),
            dscp: 0,
            dcqcn: None,
            source_port: None,
        }
    }
}

impl QpSettings {
    /// Packets after which an acknowledgement is asked for: soon enough that a window too small
    /// for the configured number does not run dry before anybody answers.
    #[must_use]
    pub(super) fn ack_interval(&self) -> u32 {
        let within_window = (u64::from(self.window) * 2 / 3).max(1);
        self.ack_every.clamp(1, u32::try_from(within_window).unwrap_or(u32::MAX))
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Its IP address.
    pub address: IpAddr,
    /// Its queue pair.
    pub qpn: u32,
    /// The PSN of its first request.
    pub psn: u32,
    /// Where frames for it go; without one to [`RnicSettings::peer_mac`].
    pub mac: Option<Mac>,
}
