//! The wires: what is under way between hosts and gateways, and when it arrives.

use dataplane::memory::Frame;
use dataplane::time::{MICROSECOND, Nanos, Time};

use crate::events::Events;
use crate::link::{Link, LinkCounters, line_bytes};
use crate::scenario::{Scenario, Source};
use crate::site::LAN;
use crate::taps::{Tap, Taps, TapsError};
use crate::timeline::Timeline;
use crate::way;

/// The time a frame takes on a LAN, either way: those are without limit or fault.
const LAN_DELAY: Nanos = MICROSECOND;
/// How often a gateway under load looks at its ports: it finds in one burst what came since, as a
/// busy one does, which is also what makes long runs bearable.
const POLL: Nanos = 2 * MICROSECOND;
/// Buffers kept for frames to come.
const SPARE_BUFFERS: usize = 1 << 14;

/// Where a frame arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The host of a site.
    Host(usize),
    /// A port of a site's gateway, or of what stands in its place.
    Gateway {
        /// The site.
        side: usize,
        /// [`LAN`], or 1 + the path.
        port: usize,
    },
}

/// Bytes from which a gateway's frame under load is not copied: it keeps a packet buffer until it
/// has arrived, as the replay buffer does. Short ones, such as acknowledgements, are kept nowhere
/// else, and copied in no time.
const MIN_SHARED: usize = 512;

/// A frame under way.
pub(crate) enum Load {
    /// Bytes of its own.
    Owned(Vec<u8>),
    /// The packet of one segment that a gateway sent.
    Shared(Frame),
}

impl Load {
    /// All its bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(frame) => frame.head(),
        }
    }
}

/// Everything between hosts and gateways.
pub(crate) struct Network {
    under_way: Events<(Place, Load)>,
    /// Paths, each from site A and from site B.
    paths: Vec<[Link; 2]>,
    timeline: Timeline,
    /// Whether a path has segments that its frames visit.
    visits: Vec<bool>,
    /// RNICs load gateways, which look at their ports at multiples of [`POLL`].
    under_load: bool,
    spare: Vec<Vec<u8>>,
    taps: Option<Taps>,
}

impl Network {
    pub(crate) fn new(scenario: &Scenario, taps: Option<Taps>) -> Self {
        let link = |path: usize, side: u64| {
            let does = scenario.paths.get(path).map(|path| path.does.clone());
            Link::new(does.unwrap_or_default(), scenario.seed, path as u64 * 2 + side)
        };
        let paths = (0..scenario.paths.len()).map(|path| [link(path, 0), link(path, 1)]);
        let paths = paths.collect();
        let timeline = Timeline::new(scenario.paths.len());
        let under_load = scenario.gateways && matches!(scenario.source, Source::Traffic(_));
        let visits = scenario.paths.iter().map(|path| path.srv6.is_some()).collect();
        let under_way = Events::default();
        Self { under_way, paths, timeline, visits, under_load, spare: Vec::new(), taps }
    }

    /// Lets the play start: links count, and captures begin.
    pub(crate) fn start(&mut self, now: Time, origin: u64) {
        self.paths.iter_mut().flatten().for_each(|link| link.start(now));
        self.timeline.start(now);
        if let Some(taps) = &mut self.taps {
            taps.start(now, origin);
        }
    }

    /// An empty buffer.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a frame that has arrived, for its buffer.
    pub(crate) fn recycle(&mut self, frame: Load) {
        if let Load::Owned(mut frame) = frame
            && self.spare.len() < SPARE_BUFFERS
        {
            frame.clear();
            self.spare.push(frame);
        }
    }

    /// The host of `side` sends.
    pub(crate) fn send_from_host(&mut self, now: Time, side: usize, frame: Vec<u8>) {
        let frame = Load::Owned(frame);
        self.tap(now, Tap::Lan(side), &frame);
        self.enter_gateway(now.after(LAN_DELAY), side, LAN, frame);
    }

    /// The gateway of `side` sends.
    pub(crate) fn send_from_gateway(&mut self, now: Time, side: usize, port: usize, frame: &Frame) {
        if self.under_load && frame.len() >= MIN_SHARED && frame.head().len() == frame.len() {
            return self.forward(now, side, port, Load::Shared(frame.clone()));
        }
        let mut bytes = self.buffer();
        frame.segments().for_each(|segment| bytes.extend_from_slice(segment));
        self.forward(now, side, port, Load::Owned(bytes));
    }

    /// A frame leaves by a port of `side`'s gateway, or of what stands in its place.
    pub(crate) fn forward(&mut self, now: Time, side: usize, port: usize, mut frame: Load) {
        if port == LAN {
            self.tap(now, Tap::Lan(side), &frame);
            self.under_way.add(now.after(LAN_DELAY), (Place::Host(side), frame));
            return;
        }
        self.tap(now, Tap::Wan(side), &frame);
        let link = self.paths.get_mut(port - 1).and_then(|path| path.get_mut(side));
        let Some(link) = link else { return self.recycle(frame) };
        let len = frame.bytes().len();
        let arrivals = link.send_with(now, len, |damage| match &mut frame {
            Load::Owned(bytes) => damage.strike(bytes),
            Load::Shared(shared) => {
                // Whoever sent it still has it, and as it was.
                let mut bytes = shared.head().to_vec();
                let struck = damage.strike(&mut bytes);
                frame = Load::Owned(bytes);
                struck
            }
        });
        self.timeline.add(port - 1, side, link.free_at(), line_bytes(len));
        if self.visits.get(port - 1) == Some(&true) && way::travels(frame.bytes()) {
            let mut bytes = match frame {
                Load::Owned(bytes) => bytes,
                Load::Shared(shared) => shared.head().to_vec(),
            };
            way::travel(&mut bytes);
            frame = Load::Owned(bytes);
        }
        if let Some(at) = arrivals.second {
            let mut copy = self.buffer();
            copy.extend_from_slice(frame.bytes());
            self.enter_gateway(at, 1 - side, port, Load::Owned(copy));
        }
        match arrivals.first {
            Some(at) => self.enter_gateway(at, 1 - side, port, frame),
            None => self.recycle(frame),
        }
    }

    /// A frame gets to a gateway `at` this time, which finds it when it next looks.
    fn enter_gateway(&mut self, at: Time, side: usize, port: usize, frame: Load) {
        let found = if self.under_load { Time(at.0.next_multiple_of(POLL)) } else { at };
        self.under_way.add(found, (Place::Gateway { side, port }, frame));
    }

    /// Takes the next frame that has arrived at `now`.
    pub(crate) fn arrival(&mut self, now: Time) -> Option<(Place, Load)> {
        let (place, frame) = self.under_way.take_due(now)?;
        if let Place::Gateway { side, port } = place
            && port != LAN
        {
            self.tap(now, Tap::Wan(side), &frame);
        }
        Some((place, frame))
    }

    /// When the next frame arrives.
    pub(crate) fn next_arrival(&self) -> Option<Time> {
        self.under_way.next_due()
    }

    /// The longest that a frame from `side` would now wait for its turn on a path.
    pub(crate) fn backlog(&self, now: Time, side: usize) -> Nanos {
        let links = self.paths.iter().filter_map(|path| path.get(side));
        links.map(|link| link.backlog(now)).max().unwrap_or(0)
    }

    /// Lets go of whatever is still under way.
    pub(crate) fn clear(&mut self) {
        self.under_way = Events::default();
    }

    /// What each path carried over time.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What each path did in both directions.
    pub(crate) fn counters(&self) -> Vec<[LinkCounters; 2]> {
        self.paths.iter().map(|path| path.each_ref().map(Link::counters)).collect()
    }

    /// Bytes that all paths' lines have carried from a site.
    pub(crate) fn carried(&self, side: usize) -> u64 {
        let links = self.paths.iter().filter_map(|path| path.get(side));
        links.map(|link| link.counters().line_bytes).sum()
    }

    /// Completes the captures.
    pub(crate) fn finish(self) -> Result<(), TapsError> {
        self.taps.map_or(Ok(()), Taps::finish)
    }

    fn tap(&mut self, now: Time, tap: Tap, frame: &Load) {
        if let Some(taps) = &mut self.taps {
            taps.write(tap, now, frame.bytes());
        }
    }
}
