//! Lanes onto paths: which way the packets of an order domain go.
//!
//! ```text
//! a packet ──> Paths::channel ─ number, encapsulate ─> Paths::sent      O(1), one line of memory
//!                                                        │ a group is full: Shares::next
//! every interval ──> Paths::balance: measure ─> settle ─> spread or join ─> cool hot paths
//! ```
//! - `placement` gives every lane a home, in proportion to the paths' capacities; a path that comes
//!   or goes moves what must move and nothing else.
//! - `measure` knows what lanes and paths carry, and what paths are worth at present.
//! - `balance` moves busy lanes away from a path that runs hot. Idle lanes do not matter.
//! - `spread` sends a lane that is too large for one path over all of them, in groups of packets.
//!
//! The far side restores the order of a lane whichever way its packets come, so a lane may move at
//! any moment. Where it does not (packets that are numbered by their PSN), [`Rule::moves`] is off:
//! then nothing is spread, and a busy lane stays until its path dies.
//!
//! Pure: time and what paths do come from the caller.

mod balance;
mod measure;
mod placement;
mod spread;
#[cfg(test)]
mod tests;

use dataplane::time::{Nanos, Time};

use crate::recovery::Seq;
use measure::{Measured, Path};
pub use measure::{Seen, Way};
use spread::Shares;

/// Most paths of a peer: each has a channel, and a peer has no more of these.
pub const MAX_PATHS: usize = 64;

/// What a frame takes on an Ethernet line beyond its bytes: preamble, FCS, gap (IEEE 802.3, 4).
const LINE_OVERHEAD: u32 = 24;

/// How lanes are placed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Whether lanes may move, and be spread, while they are busy.
    pub moves: bool,
    /// A lane above this part of its path's capacity is spread; `None`: none is.
    pub spread: Option<f64>,
    /// Bytes that go one way before a spread lane may go another.
    pub group: u32,
    /// How often busy lanes are measured, and moved if a path runs hot.
    pub interval: Nanos,
    /// Workers that share the paths: each sees its own traffic only. At least 1.
    pub workers: u32,
}

/// A path as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Road {
    /// Share of the traffic, relative to the other paths; at least 1.
    pub weight: u32,
    /// Bits a second on the line; `None` if only weights are known: then nothing is spread.
    pub capacity: Option<u64>,
    /// Its first channel.
    pub first: u8,
    /// Its channels; at least 1.
    pub channels: u8,
    /// Bytes it carries at most in a packet: a lane does not move to where less fits.
    pub largest: usize,
}

/// Whether a lane is measured, and which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent for a while.
    Idle,
    /// It goes by its home.
    Whole,
    /// It goes by all paths, in groups.
    Spread,
}

/// What is touched for every packet.
#[derive(Debug, Clone, Copy)]
struct Lane {
    next: Seq,
    /// Bytes since lanes were last measured.
    bytes: u32,
    /// Bytes left of the group, if it is spread; of a whole lane, until it is looked at.
    left: u32,
    channel: u8,
    /// The path of that channel.
    path: u8,
    /// The path it belongs to.
    home: u8,
    state: State,
}

const _: () = assert!(size_of::<Lane>() == 16);

/// The lanes and paths to one peer.
pub struct Paths {
    rule: Rule,
    lanes: Box<[Lane]>,
    /// What each lane sends; empty where there is only one path.
    measured: Box<[Measured]>,
    /// Lanes that are not idle.
    busy: Vec<u16>,
    paths: Box<[Path]>,
    shares: Shares,
    /// When lanes were last measured.
    last: Time,
}

impl Paths {
    /// So many lanes, 1 to 65,536, over these paths, at least one and at most [`MAX_PATHS`].
    #[must_use]
    pub fn new(roads: &[Road], lanes: u32, rule: Rule) -> Self {
        let lane = Lane {
            next: Seq(0),
            bytes: 0,
            left: 0,
            channel: 0,
            path: 0,
            home: u8::MAX,
            state: State::Idle,
        };
        let lanes = lanes as usize;
        let several = if roads.len() > 1 { lanes } else { 0 };
        let paths: Box<[Path]> = roads.iter().map(|road| Path::new(*road)).collect();
        let mut all = Self {
            rule,
            lanes: vec![lane; lanes].into(),
            measured: vec![Measured::default(); several].into(),
            busy: Vec::with_capacity(several),
            shares: Shares::new(&paths, rule.group),
            paths,
            last: Time::ZERO,
        };
        all.settle();
        all
    }

    /// Lanes.
    #[inline]
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The channel that the next packet of a lane leaves by.
    #[inline]
    #[must_use]
    pub fn channel(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| usize::from(lane.channel))
    }

    /// The number of the next packet of a lane.
    #[inline]
    #[must_use]
    pub fn next(&self, lane: usize) -> Seq {
        self.lanes.get(lane).map_or(Seq(0), |lane| lane.next)
    }

    /// Whether a lane goes by several paths now.
    #[inline]
    #[must_use]
    pub fn is_spread(&self, lane: usize) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.state == State::Spread)
    }

    /// A packet of `bytes` left by [`Paths::channel`]. Whether the lane should be looked at now, by
    /// [`Paths::attend`]: it was idle, or has sent much since.
    #[inline]
    pub fn sent(&mut self, lane: usize, bytes: usize) -> bool {
        let index = lane;
        let Some(lane) = self.lanes.get_mut(index) else { return false };
        lane.next = lane.next.next();
        if self.measured.is_empty() {
            return false;
        }
        let bytes = bytes as u32 + LINE_OVERHEAD;
        lane.bytes = lane.bytes.saturating_add(bytes);
        match lane.state {
            State::Whole => {
                self.shares.sent(lane.path, bytes);
                let left = lane.left.checked_sub(bytes);
                lane.left = left.unwrap_or(u32::MAX);
                left.is_none()
            }
            State::Spread => {
                self.shares.sent_of_group(lane.path, bytes);
                match lane.left.checked_sub(bytes) {
                    Some(left @ 1..) => lane.left = left,
                    _ => {
                        let over = bytes - lane.left;
                        self.regroup(index, over);
                    }
                }
                false
            }
            State::Idle => {
                lane.state = State::Whole;
                self.shares.sent(lane.path, bytes);
                self.busy.push(index as u16);
                true
            }
        }
    }

    /// All lanes are numbered from zero again.
    pub fn restart(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.next = Seq(0));
    }

    /// The paths, as they are configured.
    pub fn roads(&self) -> impl Iterator<Item = &Road> {
        self.paths.iter().map(|path| &path.road)
    }

    /// How the paths do.
    pub fn ways(&self) -> impl Iterator<Item = Way> + '_ {
        self.paths.iter().enumerate().map(|(index, path)| {
            let busy = self.busy.iter().filter_map(|&lane| self.lanes.get(usize::from(lane)));
            let spread =
                |lane: &&Lane| lane.state == State::Spread && usize::from(lane.home) == index;
            path.way(busy.filter(spread).count() as u32)
        })
    }

    /// The channel of a lane on a path. Neighbours among the lanes have different ones.
    fn channel_on(&self, lane: usize, path: u8) -> u8 {
        let Some(Path { road, .. }) = self.paths.get(usize::from(path)) else { return 0 };
        // Fibonacci hashing: any arithmetic progression of lanes is spread evenly.
        let turn = (lane as u32).wrapping_mul(0x9e37_79b9) >> 16;
        road.first + ((turn * u32::from(road.channels)) >> 16) as u8
    }

    /// Sends a lane by a path from now on.
    fn route(&mut self, lane: usize, path: u8) {
        let channel = self.channel_on(lane, path);
        if let Some(lane) = self.lanes.get_mut(lane) {
            (lane.path, lane.channel) = (path, channel);
        }
    }

    /// Gives a lane a home, and sends it there.
    fn house(&mut self, lane: usize, path: u8) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            if let Some(before) = self.paths.get_mut(usize::from(lane.home)) {
                before.lanes -= 1;
            }
            if let Some(after) = self.paths.get_mut(usize::from(path)) {
                after.lanes += 1;
            }
            lane.home = path;
            if lane.state == State::Spread {
                lane.state = State::Whole;
            }
        }
        self.route(lane, path);
    }
}
