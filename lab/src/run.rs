//! One run: two hosts, two gateways or none, and the time between events skipped.

use dataplane::capture::{CaptureError, Reader};
use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, SECOND, Time};

use crate::ledger::{Account, Ledger};
use crate::network::{Network, Place};
use crate::play::{Next, Play};
use crate::report::{Endpoints, GatewayReport, Gateways, Report, ScenarioReport, Wan};
use crate::scenario::Scenario;
use crate::site::{self, LAN, Site, SiteError};
use crate::taps::{Taps, TapsError};

/// Virtual time in which the gateways must have found each other.
const ESTABLISH: Nanos = 60 * SECOND;
/// Frames that a gateway is given at most before it works.
const BATCH: usize = 1_024;
/// The only path of the bare network.
const BARE_PATH: usize = 1;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The capture cannot be read to its end.
    #[error(transparent)]
    Input(#[from] CaptureError),
    /// There must be a way between the sites.
    #[error("no path: add one, as in --path wan1,delay=5ms")]
    NoPath,
    /// A gateway cannot be made.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The gateways do not find each other.
    #[error(
        "the gateways found no session in {} s of virtual time: do the paths let anything through?",
        ESTABLISH / SECOND
    )]
    NotEstablished,
    /// A gateway works for ever without time passing: a fault of the program.
    #[error("gateway {site} does not come to rest at {} ns of virtual time", at.0)]
    Restless {
        /// Its site.
        site: &'static str,
        /// When.
        at: Time,
    },
    /// The captures of the links cannot be had.
    #[error(transparent)]
    Output(#[from] TapsError),
}

/// Runs a scenario. The report is the same each time.
///
/// # Errors
/// When there can be no report: see [`LabError`].
pub fn run(scenario: &Scenario) -> Result<Report, LabError> {
    if scenario.paths.is_empty() {
        return Err(LabError::NoPath);
    }
    let mut run = Run::new(scenario)?;
    run.establish()?;
    run.play()?;
    run.linger()?;
    run.finish()
}

struct Run<'a> {
    scenario: &'a Scenario,
    network: Network,
    /// None without gateways.
    sites: Vec<Site>,
    /// Frames each gateway was given since it last worked.
    given: [usize; 2],
    play: Play,
    /// What each site sent.
    ledgers: [Ledger; 2],
    patience: Nanos,
    now: Time,
    start: Option<Time>,
    last_delivery: Time,
    /// How often frames were written off.
    stalls: u64,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Result<Self, LabError> {
        let reader = Reader::open(&scenario.input)?;
        let taps = scenario.out.as_deref().map(|out| Taps::create(out, &scenario.input));
        let sides = if scenario.gateways { 0..2 } else { 0..0 };
        let sites = sides.map(|side| Site::new(scenario, side)).collect::<Result<_, _>>()?;
        Ok(Self {
            scenario,
            network: Network::new(scenario, taps.transpose()?),
            sites,
            given: [0; 2],
            play: Play::new(reader, scenario.site_a.clone()),
            ledgers: Default::default(),
            patience: patience(scenario),
            now: Time::ZERO,
            start: None,
            last_delivery: Time::ZERO,
            stalls: 0,
        })
    }

    /// Lets the gateways find each other.
    fn establish(&mut self) -> Result<(), LabError> {
        while !self.sites.iter().all(|site| site.gateway().established(self.now)) {
            if !self.step(Time(ESTABLISH))? {
                return Err(LabError::NotEstablished);
            }
        }
        Ok(())
    }

    /// Plays the capture until every frame is delivered or written off.
    fn play(&mut self) -> Result<(), LabError> {
        self.read_ahead()?;
        self.start = Some(self.now);
        self.last_delivery = self.now;
        self.play.start(self.now);
        self.network.start(self.now, self.play.origin());
        while !self.is_settled() {
            self.step(Time::NEVER)?;
        }
        Ok(())
    }

    /// Lets arrive what is still under way: duplicates, and what the gateways confirm.
    fn linger(&mut self) -> Result<(), LabError> {
        let paths = self.scenario.paths.iter().map(|path| &path.does);
        let longest = paths.map(|does| does.delay + 2 * does.reorder_span()).max().unwrap_or(0);
        let end = self.now.after(2 * longest + MILLISECOND);
        while self.step(end)? {}
        let end = self.now.after(self.patience);
        let rests = |site: &Site| site.gateway().outstanding() == (0, 0);
        while !self.sites.iter().all(rests) && self.step(end)? {}
        Ok(())
    }

    fn finish(mut self) -> Result<Report, LabError> {
        let start = self.start.unwrap_or(self.now);
        let account =
            self.ledgers.iter().map(Ledger::account).fold(Account::default(), Account::plus);
        let counters = self.network.counters();
        let line_bytes = counters.iter().flatten().map(|link| link.line_bytes).sum();
        let completion = self.last_delivery.since(start);
        let mut gateways = self.sites.iter_mut().map(|site| {
            let leaked = site.close(self.now);
            GatewayReport::new(site.gateway(), site.missed(), leaked)
        });
        let gateways = gateways.next().zip(gateways.next()).map(|(a, b)| Gateways { a, b });
        self.network.finish()?;
        let endpoints = Endpoints {
            absorbed: self.play.absorbed(),
            stalls: self.stalls,
            ..Endpoints::new(account, completion, line_bytes)
        };
        Ok(Report {
            seed: self.scenario.seed,
            virtual_seconds: self.now.since(start) as f64 / SECOND as f64,
            scenario: ScenarioReport::new(self.scenario),
            endpoints,
            wan: Wan::new(self.scenario, &counters, completion),
            gateways,
        })
    }

    fn is_settled(&self) -> bool {
        self.play.is_over() && self.ledgers.iter().all(|ledger| ledger.settled() == ledger.sent())
    }

    /// Moves on to the next event and does what is due then; `false`, with the time at `end`, when
    /// there is nothing before.
    fn step(&mut self, end: Time) -> Result<bool, LabError> {
        let next = self.next_event().unwrap_or(end).max(self.now);
        if next >= end {
            self.now = end;
            return Ok(false);
        }
        self.now = next;
        while let Some((place, frame)) = self.network.arrival(self.now) {
            self.arrive(place, frame)?;
        }
        for side in 0..self.sites.len() {
            self.work(side)?;
        }
        if self.start.is_some() {
            self.write_off();
            self.send()?;
        }
        Ok(true)
    }

    fn next_event(&self) -> Option<Time> {
        let sites = self.sites.iter().filter_map(Site::next_event);
        let hosts = [0, 1].into_iter().filter(|_| self.start.is_some()).flat_map(|side: usize| {
            let sends = match self.play.next(side, self.ledgers[1 - side].settled()) {
                Next::At(at) => Some(at),
                Next::Waits | Next::Done => None,
            };
            let writes_off = self.ledgers[side].waiting_since().map(|at| at.after(self.patience));
            sends.into_iter().chain(writes_off)
        });
        self.network.next_arrival().into_iter().chain(sites).chain(hosts).min()
    }

    fn arrive(&mut self, place: Place, frame: Vec<u8>) -> Result<(), LabError> {
        match place {
            Place::Host(side) => {
                if self.ledgers[1 - side].receive(&frame) {
                    self.last_delivery = self.now;
                }
                self.network.recycle(frame);
            }
            Place::Gateway { side, port } => match self.sites.get_mut(side) {
                Some(site) => {
                    site.receive(port, &frame);
                    self.network.recycle(frame);
                    self.given[side] += 1;
                    if self.given[side] == BATCH {
                        self.work(side)?;
                    }
                }
                None => {
                    let out = if port == LAN { BARE_PATH } else { LAN };
                    self.network.forward(self.now, side, out, frame);
                }
            },
        }
        Ok(())
    }

    /// Lets a gateway work, if there is anything to do.
    fn work(&mut self, side: usize) -> Result<(), LabError> {
        let (now, network) = (self.now, &mut self.network);
        let Some(site) = self.sites.get_mut(side) else { return Ok(()) };
        if self.given[side] == 0 && site.next_event().is_none_or(|due| due > now) {
            return Ok(());
        }
        self.given[side] = 0;
        match site.work(now, |port, frame| network.send_from_gateway(now, side, port, frame)) {
            true => Ok(()),
            false => Err(LabError::Restless { site: ["a", "b"][side], at: now }),
        }
    }

    /// Goes on without frames that have not come for too long.
    fn write_off(&mut self) {
        for ledger in &mut self.ledgers {
            let before = ledger.settled();
            ledger.write_off(self.now, self.patience);
            self.stalls += u64::from(ledger.settled() > before);
        }
    }

    /// Lets the hosts send what is due.
    fn send(&mut self) -> Result<(), LabError> {
        let mut sent = true;
        while std::mem::take(&mut sent) {
            for side in [0, 1] {
                let settled = self.ledgers[1 - side].settled();
                while let Some(cue) = self.play.take(side, self.now, settled) {
                    sent = true;
                    let leaves = self.now.after(self.network.backlog(self.now, side));
                    self.ledgers[side].send(leaves, cue.stream, &cue.frame);
                    self.network.send_from_host(self.now, side, cue.frame);
                }
            }
            self.read_ahead()?;
        }
        Ok(())
    }

    fn read_ahead(&mut self) -> Result<(), LabError> {
        let network = &mut self.network;
        Ok(self.play.read_ahead(|| network.buffer())?)
    }
}

/// How long the play waits at most for a frame: as long as it may yet come.
fn patience(scenario: &Scenario) -> Nanos {
    if scenario.gateways {
        return site::patience(scenario);
    }
    let does = scenario.paths.first().map(|path| &path.does);
    does.map_or(0, |does| 2 * does.delay + 2 * does.reorder_span()) + 10 * MICROSECOND
}
