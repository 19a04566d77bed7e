//! One run: two hosts, two gateways or none, and the time between events skipped.

use std::collections::VecDeque;

use dataplane::capture::CaptureError;
use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};

use crate::busy::Busy;
use crate::change::Changes;
use crate::hash;
use crate::hosts::{self, Hosts};
use crate::meter::Meter;
use crate::network::{Load, Network, Place};
use crate::report::{
    self, GatewayReport, Gateways, PortReport, Report, ScenarioReport, Wan, path_events,
};
use crate::restart::Restart;
use crate::scenario::{MAX_GROUPS, Scenario, Source};
use crate::site::{self, LAN, Site, SiteError};
use crate::taps::{Taps, TapsError};

/// Virtual time in which the gateways must have found each other.
const ESTABLISH: Nanos = 60 * SECOND;
/// Virtual time in which the hosts must be done once traffic has started; a capture takes as long
/// as it takes.
const TRAFFIC: Nanos = 600 * SECOND;
/// Frames that a gateway is given at most before it works.
const BATCH: usize = 1_024;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The capture cannot be read to its end.
    #[error(transparent)]
    Input(#[from] CaptureError),
    /// There must be a way between the sites.
    #[error("no path: add one, as in --path wan1,delay=5ms")]
    NoPath,
    /// Hosts are told apart by an octet.
    #[error("{0} pairs of hosts: at most {MAX_GROUPS}")]
    TooMany(usize),
    /// A tenant that is to change is not there.
    #[error("there is no tenant {0} that could change: add one, as in --tenant {0},vlan=7")]
    UnknownTenant(String),
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
    /// The hosts are not done although nothing more happens, or time is up.
    #[error(
        "{done} of {all} {what} are done after {} s of virtual time, and the run does not end: do \
         the paths let enough through, and do timers fire (timer=0 is never)?",
        after / SECOND
    )]
    Unfinished {
        /// Messages or frames.
        what: &'static str,
        /// Those that are done.
        done: u64,
        /// All of them.
        all: u64,
        /// Since the start.
        after: Nanos,
    },
    /// The captures of the links cannot be had.
    #[error(transparent)]
    Output(#[from] TapsError),
}

impl LabError {
    pub(crate) fn unfinished(what: &'static str, done: u64, all: u64, after: Nanos) -> Self {
        Self::Unfinished { what, done, all, after }
    }
}

/// Runs a scenario. The report is the same each time.
///
/// # Errors
/// When there can be no report: see [`LabError`].
pub fn run(scenario: &Scenario) -> Result<Report, LabError> {
    if scenario.paths.is_empty() {
        return Err(LabError::NoPath);
    }
    let groups = scenario.traffic_groups().len();
    if groups > MAX_GROUPS {
        return Err(LabError::TooMany(groups));
    }
    let mut run = Run::new(scenario)?;
    if let Some(name) = run.changes.unknown() {
        return Err(LabError::UnknownTenant(name.into()));
    }
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
    /// Gateways that were: frames under way may keep packet buffers of theirs.
    former: [Vec<Site>; 2],
    /// Those that are still to start anew, the next one first.
    restarts: VecDeque<Restart>,
    /// Changes of tenants.
    changes: Changes<'a>,
    /// Frames each gateway was given since it last worked.
    given: [usize; 2],
    hosts: Box<dyn Hosts>,
    now: Time,
    /// When the hosts started.
    start: Option<Time>,
    /// What leaves queues at each site; nothing where there are none.
    meters: Vec<Meter>,
    /// What each site uses of the wide area.
    busy: [Busy; 2],
}

/// The restarts of a scenario by time; without gateways there are none.
fn restarts(scenario: &Scenario) -> VecDeque<Restart> {
    let mut restarts = scenario.restarts.clone();
    restarts.retain(|restart| scenario.gateways && restart.side < 2);
    restarts.sort_by_key(|restart| restart.at);
    restarts.into()
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Result<Self, LabError> {
        let hosts = hosts::of(scenario)?;
        let input = scenario.input();
        let taps = scenario.out.as_deref().map(|out| Taps::create(out, input));
        let sides = if scenario.gateways { 0..2 } else { 0..0 };
        let sites = sides.map(|side| Site::new(scenario, side, 0, Time::ZERO));
        let sites: Vec<_> = sites.collect::<Result<_, _>>()?;
        let meters = sites.iter().filter_map(|_| Meter::new(scenario)).collect();
        Ok(Self {
            scenario,
            network: Network::new(scenario, taps.transpose()?),
            sites,
            former: Default::default(),
            restarts: restarts(scenario),
            changes: Changes::new(scenario),
            given: [0; 2],
            hosts,
            now: Time::ZERO,
            start: None,
            meters,
            busy: Default::default(),
        })
    }

    /// Lets the gateways find each other.
    fn establish(&mut self) -> Result<(), LabError> {
        let end = self.now.after(ESTABLISH);
        while !self.sites.iter().all(|site| site.gateway().established(self.now)) {
            if !self.step(end)? {
                return Err(LabError::NotEstablished);
            }
        }
        Ok(())
    }

    /// Lets the hosts do what they are for, until they are done.
    fn play(&mut self) -> Result<(), LabError> {
        let origin = self.hosts.start(self.now, &mut self.network)?;
        let start = *self.start.insert(self.now);
        self.network.start(start, origin);
        self.meters.iter_mut().for_each(|meter| meter.start(start));
        let end = match self.scenario.source {
            Source::Capture(_) => Time::NEVER,
            Source::Traffic(_) => start.after(TRAFFIC),
        };
        while !self.hosts.is_over() {
            let before = self.now;
            if !self.step(end)? {
                let until = if self.now == Time::NEVER { before } else { self.now };
                return Err(self.hosts.unfinished(until.since(start)));
            }
        }
        Ok(())
    }

    /// Lets arrive what is still under way: duplicates, and what the gateways confirm. Gateways
    /// that started anew have to find each other, even if the hosts needed them no more.
    fn linger(&mut self) -> Result<(), LabError> {
        self.restarts.clear();
        if self.former.iter().any(|lives| !lives.is_empty()) {
            self.establish()?;
        }
        let paths = self.scenario.paths.iter().map(|path| &path.does);
        let longest = paths.map(|does| does.delay + 2 * does.reorder_span()).max().unwrap_or(0);
        let end = self.now.after(2 * longest + MILLISECOND);
        while self.step(end)? {}
        let end = self.now.after(site::patience(self.scenario));
        let rests = |site: &Site| site.gateway().outstanding() == (0, 0);
        while !self.sites.iter().all(rests) && self.step(end)? {}
        Ok(())
    }

    fn finish(mut self) -> Result<Report, LabError> {
        let start = self.start.unwrap_or(self.now);
        let counters = self.network.counters();
        let timeline = self.network.timeline().clone();
        let line_bytes = counters.iter().flatten().map(|link| link.line_bytes).sum();
        // What is under way keeps packet buffers of its gateway.
        self.network.clear();
        let sites = self.sites.iter().enumerate();
        let events =
            sites.flat_map(|(side, site)| path_events(self.scenario, side, site.gateway(), start));
        let path_events = events.collect();
        self.sites.iter_mut().for_each(|site| site.close(self.now));
        let mut gateways = self.sites.iter().zip(&self.former).map(|(site, former)| {
            let lives = former.iter().chain([site]);
            let report = |site: &Site| {
                let (gateway, missed) = (site.gateway(), site.missed());
                GatewayReport::new(gateway, self.scenario, self.now, missed, site.in_use())
            };
            lives.map(report).reduce(GatewayReport::then).unwrap_or_default()
        });
        let gateways = gateways.next().zip(gateways.next()).map(|(a, b)| Gateways { a, b });
        let sites = self.former.iter().zip(&self.sites).enumerate();
        let ports = sites.filter_map(|(side, (former, site))| {
            PortReport::new(side, former.iter().chain([site]).map(Site::gateway))
        });
        let ports: Vec<_> = ports.collect();
        let lives = self.former.iter().flatten().chain(&self.sites).map(Site::gateway);
        let left = self.meters.iter().max_by_key(|meter| meter.left());
        let left = left.map(Meter::report).unwrap_or_default();
        let of_hosts = (&ports[..], self.hosts.work(), left, self.now);
        let tenants = report::tenants(self.scenario, lives, of_hosts);
        self.network.finish()?;
        Ok(Report {
            seed: self.scenario.seed,
            virtual_seconds: self.now.since(start) as f64 / SECOND as f64,
            scenario: ScenarioReport::new(self.scenario),
            endpoints: self.hosts.report(line_bytes),
            wan: Wan::new(self.scenario, &counters, &timeline, self.hosts.span())
                .with_moves(gateways.as_ref())
                .with_busy(self.scenario, &self.busy),
            gateways,
            tenants,
            ports,
            path_events,
            errors: self.hosts.errors(),
        })
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
        self.restart()?;
        self.change()?;
        while let Some((place, frame)) = self.network.arrival(self.now) {
            self.arrive(place, frame)?;
        }
        for side in 0..self.sites.len() {
            self.work(side)?;
        }
        if self.start.is_some() {
            self.hosts.act(self.now, &mut self.network)?;
            self.note_use();
        }
        Ok(true)
    }

    /// Notes what each site uses of the wide area, and whether it has something to send.
    fn note_use(&mut self) {
        for (side, busy) in self.busy.iter_mut().enumerate() {
            let waits = self.meters.get(side).is_some_and(Meter::waits);
            let is_busy = waits || self.hosts.has_work(self.now, side);
            busy.note(self.now, is_busy, self.network.carried(side));
        }
    }

    fn next_event(&self) -> Option<Time> {
        let sites = self.sites.iter().filter_map(Site::next_event);
        let hosts = self.start.and_then(|_| self.hosts.next_event(self.now, &self.network));
        let changes = self.next_restart().into_iter().chain(self.next_change());
        self.network.next_arrival().into_iter().chain(sites).chain(hosts).chain(changes).min()
    }

    fn next_change(&self) -> Option<Time> {
        Some(self.start?.after(self.changes.next()?))
    }

    /// Tells both gateways what changes now.
    fn change(&mut self) -> Result<(), LabError> {
        let Some(start) = self.start else { return Ok(()) };
        while let Some(told) = self.changes.make(self.now.since(start)) {
            self.meters.iter_mut().for_each(|meter| meter.change(&told, self.now));
            for site in &mut self.sites {
                site.tell(told.clone(), self.now)?;
            }
        }
        Ok(())
    }

    fn next_restart(&self) -> Option<Time> {
        let start = self.start?;
        self.restarts.front().map(|restart| start.after(restart.at))
    }

    /// Puts new gateways in the place of those that fail now. What a host or the network has sent
    /// to the old one and it has not looked at is gone with it.
    fn restart(&mut self) -> Result<(), LabError> {
        while self.next_restart().is_some_and(|at| at <= self.now) {
            let Some(Restart { side, .. }) = self.restarts.pop_front() else { break };
            let Some(site) = self.sites.get_mut(side) else { continue };
            let lives = self.former[side].len() + 1;
            let mut new = Site::new(self.scenario, side, lives, self.now)?;
            for told in self.changes.made() {
                new.tell(told, self.now)?;
            }
            let mut old = std::mem::replace(site, new);
            old.close(self.now);
            self.former[side].push(old);
            self.meters.get_mut(side).into_iter().for_each(Meter::restart);
            self.given[side] = 0;
        }
        Ok(())
    }

    fn arrive(&mut self, place: Place, frame: Load) -> Result<(), LabError> {
        match place {
            Place::Host(side) => {
                self.hosts.receive(self.now, side, frame.bytes());
                self.network.recycle(frame);
            }
            Place::Gateway { side, port } => match self.sites.get_mut(side) {
                Some(site) => {
                    site.receive(port, frame.bytes());
                    self.network.recycle(frame);
                    self.given[side] += 1;
                    if self.given[side] == BATCH {
                        self.work(side)?;
                    }
                }
                None => {
                    let paths = self.scenario.paths.len();
                    let out = match port {
                        LAN => 1 + hash::path_of(frame.bytes(), paths),
                        _ => LAN,
                    };
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
        if !site.work(now, |port, frame| network.send_from_gateway(now, side, port, frame)) {
            return Err(LabError::Restless { site: ["a", "b"][side], at: now });
        }
        if let Some(meter) = self.meters.get_mut(side) {
            meter.observe(now, site.gateway());
        }
        for frame in site.take_absorbed() {
            self.hosts.absorbed(side, &frame);
        }
        Ok(())
    }
}
