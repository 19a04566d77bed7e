//! What stands at the two sites: hosts that send, receive, and know when they are done.

use dataplane::time::{Nanos, Time};

use crate::network::Network;
use crate::report::Endpoints;
use crate::run::LabError;
use crate::scenario::{Scenario, Source};

mod flood;
mod players;
mod rnics;

use flood::Flooded;
use players::Players;
use rnics::Sites;
pub(crate) use rnics::{PFC_RATE, Work};

/// The hosts of both sites, as the run sees them.
pub(crate) trait Hosts {
    /// Lets them start at `now`; returns what the captures of the links call that moment, in
    /// nanoseconds since 1970.
    fn start(&mut self, now: Time, network: &mut Network) -> Result<u64, LabError>;

    /// When they do something of their own accord. Asked once they have started.
    fn next_event(&self, now: Time, network: &Network) -> Option<Time>;

    /// A frame arrives at the host of `side`.
    fn receive(&mut self, now: Time, side: usize, frame: &[u8]);

    /// The gateway of `side` absorbed a frame of its host.
    fn absorbed(&mut self, side: usize, frame: &[u8]);

    /// Whether a host of `side` would send at `now`, if it may; known of RNICs only.
    fn has_work(&self, _now: Time, _side: usize) -> bool {
        false
    }

    /// They do what is due at `now`.
    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError>;

    /// Whether nothing more is to be sent or waited for.
    fn is_over(&self) -> bool;

    /// They are not over although nothing more happens, or after so much time.
    fn unfinished(&self, after: Nanos) -> LabError;

    /// Time from the start to the last that counts.
    fn span(&self) -> Nanos;

    /// What kept them from all that they were to do: nothing of the network.
    fn errors(&self) -> Vec<String> {
        Vec::new()
    }

    /// What of their work is whose; nothing where no RNICs carry messages.
    fn work(&self) -> Vec<Work> {
        Vec::new()
    }

    /// What they sent and received, when the lines of the wide area carried `line_bytes`.
    fn report(&self, line_bytes: u64) -> Endpoints;
}

/// The hosts that the scenario asks for.
pub(crate) fn of(scenario: &Scenario) -> Result<Box<dyn Hosts>, LabError> {
    let hosts: Box<dyn Hosts> = match &scenario.source {
        Source::Capture(capture) => Box::new(Players::open(scenario, capture)?),
        Source::Traffic(groups) => Box::new(Sites::new(scenario, groups)),
    };
    Ok(match scenario.strangers {
        Some(rate) => Box::new(Flooded::new(hosts, rate, scenario.seed)),
        None => hosts,
    })
}
