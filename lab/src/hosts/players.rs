//! Hosts that play a capture.

use dataplane::capture::Reader;
use dataplane::time::{MICROSECOND, Nanos, Time};
use pipelines::gateway::Numbering;

use super::Hosts;
use crate::ledger::{Account, Ledger};
use crate::network::Network;
use crate::numbers::Numbers;
use crate::play::{Next, Play};
use crate::report::Endpoints;
use crate::run::LabError;
use crate::scenario::{Capture, PathScenario, Scenario};
use crate::site;

/// Two hosts, and what each is owed.
pub(super) struct Players {
    play: Play,
    /// What each site sent.
    ledgers: [Ledger; 2],
    patience: Nanos,
    /// Where PSNs are the numbers: which frames have one, and how long the others are waited for.
    numbers: Option<(Numbers, Nanos)>,
    start: Time,
    last_delivery: Time,
    /// How often frames were written off.
    stalls: u64,
}

impl Players {
    /// Those that play this capture.
    pub(super) fn open(scenario: &Scenario, capture: &Capture) -> Result<Self, LabError> {
        let reader = Reader::open(&capture.input)?;
        Ok(Self {
            play: Play::new(reader, capture.site_a.clone()),
            ledgers: Default::default(),
            patience: patience(scenario),
            numbers: (scenario.gateways && scenario.numbering != Numbering::Tunnel)
                .then(|| (Numbers::default(), round_trip(&scenario.paths))),
            start: Time::ZERO,
            last_delivery: Time::ZERO,
            stalls: 0,
        })
    }

    /// Goes on without frames that have not come for too long.
    fn write_off(&mut self, now: Time) {
        for ledger in &mut self.ledgers {
            self.stalls += u64::from(ledger.write_off(now, self.patience) > 0);
        }
    }

    fn read_ahead(&mut self, network: &mut Network) -> Result<(), LabError> {
        Ok(self.play.read_ahead(|| network.buffer())?)
    }
}

impl Hosts for Players {
    fn start(&mut self, now: Time, network: &mut Network) -> Result<u64, LabError> {
        self.read_ahead(network)?;
        self.start = now;
        self.last_delivery = now;
        self.play.start(now);
        Ok(self.play.origin())
    }

    fn next_event(&self, _: Time, _: &Network) -> Option<Time> {
        let events = [0, 1].into_iter().flat_map(|side: usize| {
            let sends = match self.play.next(side, self.ledgers[1 - side].settled()) {
                Next::At(at) => Some(at),
                Next::Waits | Next::Done => None,
            };
            let writes_off = self.ledgers[side].due(self.patience);
            sends.into_iter().chain(writes_off)
        });
        events.min()
    }

    fn receive(&mut self, now: Time, side: usize, frame: &[u8]) {
        if self.ledgers[1 - side].receive(frame) {
            self.last_delivery = now;
        }
    }

    fn absorbed(&mut self, side: usize, frame: &[u8]) {
        self.ledgers[side].absorb(frame);
    }

    fn act(&mut self, now: Time, network: &mut Network) -> Result<(), LabError> {
        self.write_off(now);
        let mut sent = true;
        while std::mem::take(&mut sent) {
            for side in [0, 1] {
                let settled = self.ledgers[1 - side].settled();
                while let Some(cue) = self.play.take(side, now, settled) {
                    sent = true;
                    let leaves = now.after(network.backlog(now, side));
                    let (stream, frame) = (cue.stream, &cue.frame);
                    let unprotected = self.numbers.as_mut().and_then(|(numbers, patience)| {
                        (!numbers.has_number(stream, frame)).then_some(*patience)
                    });
                    match unprotected {
                        Some(patience) => {
                            self.ledgers[side].send_unprotected(leaves, stream, frame, patience);
                        }
                        None => self.ledgers[side].send(leaves, stream, frame),
                    }
                    network.send_from_host(now, side, cue.frame);
                }
            }
            self.read_ahead(network)?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.play.is_over() && self.ledgers.iter().all(|ledger| ledger.settled() == ledger.sent())
    }

    fn unfinished(&self, after: Nanos) -> LabError {
        let sum = |figure: fn(&Ledger) -> u64| self.ledgers.iter().map(figure).sum();
        LabError::unfinished("frames", sum(Ledger::settled), sum(Ledger::sent), after)
    }

    fn span(&self) -> Nanos {
        self.last_delivery.since(self.start)
    }

    fn errors(&self) -> Vec<String> {
        self.play.cut().into_iter().map(ToString::to_string).collect()
    }

    fn report(&self, line_bytes: u64) -> Endpoints {
        let accounts = self.ledgers.iter().map(Ledger::account);
        let account = accounts.fold(Account::default(), Account::plus);
        Endpoints {
            absorbed: self.play.absorbed() + account.absorbed,
            stalls: self.stalls,
            ..Endpoints::of_play(account, self.span(), line_bytes)
        }
    }
}

/// How long the play waits at most for a frame: as long as it may yet come.
fn patience(scenario: &Scenario) -> Nanos {
    if scenario.gateways {
        return site::patience(scenario);
    }
    round_trip(scenario.paths.get(..1).unwrap_or_default())
}

/// The longest round trip that a frame which is not lost can take, and a little more.
fn round_trip(paths: &[PathScenario]) -> Nanos {
    let trips = paths.iter().map(|path| 2 * path.does.delay + 2 * path.does.reorder_span());
    trips.max().unwrap_or(0) + 10 * MICROSECOND
}
