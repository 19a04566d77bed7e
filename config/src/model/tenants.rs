//! Tenants, what waits of them, and who may hold whom back.

use crate::marking::Marking;
use crate::prefix::Prefix;
use crate::units::{Bytes, Rate, Span};

/// Whose packets some are: those that have one of the values of each kind that is not empty. All
/// kinds are empty of the tenant `default`, and of no other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenant {
    /// Name in reports.
    pub name: String,
    /// Outermost VLANs; 0 is no tag.
    pub vlans: Vec<u16>,
    /// Where the host at this site is.
    pub prefixes: Vec<Prefix>,
    /// P_Keys; their highest bit does not count.
    pub p_keys: Vec<u16>,
    /// Code points of differentiated services.
    pub dscp: Vec<u8>,
    /// LAN ports, indices into [`super::Config::ports`].
    pub ports: Vec<usize>,
    /// What of the replay buffer it may have; `None`: all.
    pub replay_bytes: Option<Bytes>,
    /// What of each peer's hold buffer it may have; `None`: all.
    pub hold_bytes: Option<Bytes>,
    /// Its queues.
    pub queue: TenantQueue,
}

/// How fast something may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// In the long run.
    pub rate: Rate,
    /// Bytes that may leave at once; `None`: what suits the rate.
    pub burst: Option<Bytes>,
}

/// What a tenant's queues are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantQueue {
    /// The most it may send to the WAN, all workers together.
    pub rate: Option<Shape>,
    /// Its part of a port, relative to others that have something to send: 1 to 1000.
    pub weight: u16,
    /// Bytes of its own, a queue.
    pub reserved: Bytes,
    /// Per cent of the free part of what all share that a queue may have: 1 to 12800.
    pub alpha: u32,
    /// Bytes of its own for what comes after a stop, a queue; zero unless lossless.
    pub headroom: Bytes,
    /// Of lossless queues: where they say stop, and where they lift that.
    pub xoff: Option<(Bytes, Bytes)>,
    /// Its priority on the LAN (IEEE 802.1Q): 0 to 7.
    pub priority: Option<u8>,
    /// When its packets are marked; `None`: never.
    pub marking: Option<Marking>,
}

impl Default for TenantQueue {
    fn default() -> Self {
        Self {
            rate: None,
            weight: 1,
            reserved: Bytes(0),
            alpha: 100,
            headroom: Bytes(0),
            xoff: None,
            priority: None,
            marking: None,
        }
    }
}

/// Bounds of what waits, each way, of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queues {
    /// Bytes of frames.
    pub pool_bytes: Bytes,
    /// Packets: 64 to 2^20.
    pub packets: u32,
}

/// Who may hold whom back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backpressure {
    /// LAN ports that speak priority flow control, by their index.
    pub ports: Vec<usize>,
    /// Speed of their lines, which pauses are counted in.
    pub speed: Rate,
    /// What they speak.
    pub frames: PauseFrames,
    /// Priority on the LAN of the tenants that say none of their own, 0 to 7.
    pub priority: u8,
    /// After so long without a break a pause is not obeyed.
    pub longest_pause: Span,
    /// How long a peer is stopped by one message.
    pub stop_lifetime: Span,
    /// What becomes of a tenant that fills its queue and shares its priority with others.
    pub shared_priority: SharedPriority,
}

/// What becomes of a lossless tenant whose queue fills, where others have its priority on the LAN:
/// PFC knows priorities, and no tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedPriority {
    /// The priority is paused: all wait, and nobody loses anything.
    Pause,
    /// Nobody is paused for it: its own packets are marked, and dropped once its headroom is full.
    Police,
}

/// The frames by which ports hold each other back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseFrames {
    /// Priority flow control (IEEE 802.1Q, clause 36).
    Pfc,
    /// PAUSE (IEEE 802.3, annex 31B): all priorities at once.
    Pause,
}
