//! Two sites play a capture: each sends its frames in the capture's order and with its gaps, never
//! before the frames it had received earlier in the capture have been delivered to it.
//!
//! Frames of which the capture has the beginning only are sent with zeros for the rest, at their
//! length, and so with a wrong ICRC. The capture is read as far ahead as the play needs, so its size does not matter.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::IpAddr;

use ahash::RandomState;
use dataplane::capture::{CaptureError, Reader};
use dataplane::time::Time;
use pipelines::gateway::Prefix;

use crate::stream::{self, Mac, StreamKey};

/// Frames that are read ahead. More would change nothing: what lies further ahead follows frames
/// that are not yet sent.
const READ_AHEAD: usize = 256;
/// The longest frame that a snapped one is made to be again.
const LONGEST: usize = 1 << 16;
/// Stations whose site is remembered.
const MAX_STATIONS: usize = 1 << 12;

/// Tells which site a frame comes from: 0 is A, 1 is B.
#[derive(Debug)]
struct Sites {
    at_a: Vec<Prefix>,
    /// Where no prefixes are given: the source of the first IP packet.
    host_a: Option<IpAddr>,
    stations: HashMap<Mac, usize, RandomState>,
}

impl Sites {
    fn new(at_a: Vec<Prefix>) -> Self {
        let hasher = RandomState::with_seeds(5, 6, 7, 8);
        Self { at_a, host_a: None, stations: HashMap::with_hasher(hasher) }
    }

    /// By address; what is not IP by the station that sent it, as far as it is known from IP, else
    /// site A.
    fn of(&mut self, station: Mac, stream: &StreamKey) -> usize {
        let Some(source) = stream.source() else {
            return self.stations.get(&station).copied().unwrap_or(0);
        };
        let side = if self.at_a.is_empty() {
            usize::from(*self.host_a.get_or_insert(source) != source)
        } else {
            usize::from(!self.at_a.iter().any(|prefix| prefix.contains(source)))
        };
        if self.stations.len() < MAX_STATIONS || self.stations.contains_key(&station) {
            self.stations.insert(station, side);
        }
        side
    }
}

/// A frame to be sent.
#[derive(Debug)]
pub(crate) struct Cue {
    /// Its bytes.
    pub(crate) frame: Vec<u8>,
    /// The stream it belongs to.
    pub(crate) stream: StreamKey,
    /// Its time in the capture.
    at: u64,
    /// Frames of the other site that come before it in the capture.
    follows: u64,
}

/// One site's part.
#[derive(Debug, Default)]
struct Host {
    cues: VecDeque<Cue>,
    /// Frames read.
    read: u64,
    /// The last frame sent: when, and its time in the capture.
    last: Option<(Time, u64)>,
}

/// When a site sends next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// At this time.
    At(Time),
    /// Once frames of the other site have been delivered.
    Waits,
    /// Never again.
    Done,
}

/// The play.
pub(crate) struct Play {
    reader: Reader<File>,
    sites: Sites,
    hosts: [Host; 2],
    /// The play's start, and the time of the capture's first frame.
    start: Time,
    origin: Option<u64>,
    ended: bool,
    /// Why the capture could not be read any further.
    cut: Option<CaptureError>,
    /// Frames that are not played.
    absorbed: u64,
}

impl Play {
    /// A play of the capture that `reader` reads, with these sources at site A.
    pub(crate) fn new(reader: Reader<File>, at_a: Vec<Prefix>) -> Self {
        let hosts = Default::default();
        let sites = Sites::new(at_a);
        let start = Time::ZERO;
        Self { reader, sites, hosts, start, origin: None, ended: false, cut: None, absorbed: 0 }
    }

    /// Lets the play start at `now`.
    pub(crate) fn start(&mut self, now: Time) {
        self.start = now;
    }

    /// Reads ahead. `buffer` gives empty buffers for frames. A capture that is cut short ends
    /// where it is; one of which nothing can be read is an error.
    pub(crate) fn read_ahead(
        &mut self,
        mut buffer: impl FnMut() -> Vec<u8>,
    ) -> Result<(), CaptureError> {
        while !self.ended && self.waiting() < READ_AHEAD {
            let record = match self.reader.next() {
                Ok(Some(record)) => record,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) if self.origin.is_none() => return Err(error),
                Err(error) => {
                    (self.ended, self.cut) = (true, Some(error));
                    break;
                }
            };
            let sight = stream::look(record.data).filter(|_| !is_link_local(record.data));
            let Some(sight) = sight else {
                self.absorbed += 1;
                continue;
            };
            self.origin.get_or_insert(record.time_ns);
            let side = self.sites.of(sight.station, &sight.stream);
            let mut frame = buffer();
            frame.extend_from_slice(record.data);
            // Of a snapped frame the rest was not kept: zeros, so that it loads the network as it did.
            let whole = record.original_len as usize;
            if (frame.len()..=LONGEST).contains(&whole) {
                frame.resize(whole, 0);
            }
            let [a, b] = &mut self.hosts;
            let (host, other) = if side == 0 { (a, b) } else { (b, a) };
            host.read += 1;
            let (at, follows) = (record.time_ns, other.read);
            host.cues.push_back(Cue { frame, stream: sight.stream, at, follows });
        }
        Ok(())
    }

    /// When `side` sends next, if `settled` frames of the other site are delivered to it.
    pub(crate) fn next(&self, side: usize, settled: u64) -> Next {
        let Some(host) = self.hosts.get(side) else { return Next::Done };
        match host.cues.front() {
            Some(cue) if settled < cue.follows => Next::Waits,
            Some(cue) => Next::At(self.time_of(host, cue)),
            None if self.ended => Next::Done,
            // What comes next lies behind frames of the other site that are not sent yet.
            None => Next::Waits,
        }
    }

    /// Takes the frame that `side` sends at `now`, if it is time.
    pub(crate) fn take(&mut self, side: usize, now: Time, settled: u64) -> Option<Cue> {
        match self.next(side, settled) {
            Next::At(at) if at <= now => {
                let host = self.hosts.get_mut(side)?;
                let cue = host.cues.pop_front()?;
                host.last = Some((now, cue.at));
                Some(cue)
            }
            _ => None,
        }
    }

    /// Whether all frames have been sent.
    pub(crate) fn is_over(&self) -> bool {
        self.ended && self.waiting() == 0
    }

    /// Why the capture could not be read to its end.
    pub(crate) fn cut(&self) -> Option<&CaptureError> {
        self.cut.as_ref()
    }

    /// Time of the capture's first frame, in nanoseconds since 1970.
    pub(crate) fn origin(&self) -> u64 {
        self.origin.unwrap_or(0)
    }

    /// Frames that end at the first port by their nature, which are not played: pause frames, LLDP,
    /// spanning tree, and what is too short to be Ethernet.
    pub(crate) fn absorbed(&self) -> u64 {
        self.absorbed
    }

    fn waiting(&self) -> usize {
        self.hosts.iter().map(|host| host.cues.len()).sum()
    }

    /// When the gap to the host's frame before has passed; its first keeps its distance from the
    /// start. Captures whose time jumps back have no gap there.
    fn time_of(&self, host: &Host, cue: &Cue) -> Time {
        let (sent, before) = host.last.unwrap_or((self.start, self.origin()));
        sent.after(cue.at.saturating_sub(before))
    }
}

/// Whether a frame is for the next station and no further (IEEE 802.1Q, table 8-1).
fn is_link_local(frame: &[u8]) -> bool {
    matches!(frame, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f, ..])
}

#[cfg(test)]
mod tests;
