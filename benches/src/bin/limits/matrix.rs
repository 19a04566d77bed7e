//! What is run, and what each run showed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lab::link::Impairments;
use lab::report::{Completion, Report};
use lab::rnic::Timer;
use lab::{LabError, PathScenario, Scenario, Traffic};
use pipelines::gateway::Numbering;

use crate::formula;

/// Losses, as parts of all packets.
pub(crate) const LOSSES: [f64; 5] = [0.0, 1e-5, 1e-4, 1e-3, 1e-2];
/// Mean lengths of a burst of losses; nothing where each packet is lost on its own.
pub(crate) const BURSTS: [Option<f64>; 2] = [None, Some(5.0)];
/// Kilometres between the sites.
pub(crate) const DISTANCES: [u32; 3] = [100, 500, 1_000];
/// Queue pairs that share the line.
pub(crate) const QPS: [u32; 2] = [1, 16];
/// Bits a second of the line.
pub(crate) const RATE: u64 = 100_000_000_000;
/// Bits a second that all hosts of a site send at most: more than the wide area takes.
const HOSTS_RATE: u64 = 4 * RATE;
/// Bytes of a message.
const MESSAGE: u32 = 1 << 20;
/// Packets of a message.
const MESSAGE_PACKETS: f64 = 256.0;
/// Nanoseconds that light takes for a kilometre of fibre.
const NANOS_A_KM: u64 = 4_900;
/// Round trips that a run lasts: start and end, of which each takes about half of one, weigh one
/// part in sixty-four.
const ROUND_TRIPS: f64 = 64.0;
/// Messages of a run with gateways at least, for the 99.9th percentile to be more than a guess.
const MIN_MESSAGES: f64 = 4_096.0;
/// Packets of a run without gateways: after a loss most are sent for nothing, and their number is
/// what takes time.
const BARE_PACKETS: f64 = 1.5e6;
/// Worker threads.
const WORKERS: usize = 2;

/// How packets are kept from being lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Gateways number them in a tunnel.
    Tunnel,
    /// Gateways number them by their PSNs.
    Transparent,
    /// There are no gateways.
    Bare,
}

impl Mode {
    /// All that are run.
    pub(crate) const ALL: [Self; 3] = [Self::Tunnel, Self::Transparent, Self::Bare];
    /// Those with gateways.
    pub(crate) const GATEWAYS: [Self; 2] = [Self::Tunnel, Self::Transparent];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Transparent => "transparent",
            Self::Bare => "no gateways",
        }
    }
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Case {
    pub(crate) mode: Mode,
    pub(crate) km: u32,
    pub(crate) qps: u32,
    pub(crate) loss: f64,
    pub(crate) burst: Option<f64>,
}

impl Case {
    /// All of them, in the order of the table. Without loss there are no bursts.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for mode in Mode::ALL {
            for km in DISTANCES {
                for qps in QPS {
                    for burst in BURSTS {
                        let losses = LOSSES.iter().filter(|&&loss| loss > 0.0 || burst.is_none());
                        all.extend(losses.map(|&loss| Self { mode, km, qps, loss, burst }));
                    }
                }
            }
        }
        all
    }

    /// The same without loss.
    pub(crate) fn lossless(self) -> Self {
        Self { loss: 0.0, burst: None, ..self }
    }

    /// Nanoseconds there and back.
    pub(crate) fn rtt(self) -> u64 {
        2 * u64::from(self.km) * NANOS_A_KM
    }

    /// Packets of a run, those sent for nothing included; about.
    fn packets(self) -> f64 {
        match self.mode {
            Mode::Bare if self.loss > 0.0 => BARE_PACKETS,
            _ => (ROUND_TRIPS * formula::packets_under_way(self.rtt(), 1.0))
                .max(MIN_MESSAGES * MESSAGE_PACKETS),
        }
    }

    /// How long it takes, in some unit: a packet that passes through gateways three times as long.
    fn work(self) -> f64 {
        let repairs = 1.0 + 20.0 * self.loss;
        if self.mode == Mode::Bare { self.packets() } else { 3.0 * self.packets() * repairs }
    }

    /// Messages of each queue pair.
    fn messages(self, part: u32) -> u32 {
        let useful = match self.mode {
            Mode::Tunnel | Mode::Transparent => 1.0,
            Mode::Bare => formula::go_back_n(self, 1.0),
        };
        let messages = self.packets() * useful / MESSAGE_PACKETS / f64::from(self.qps);
        (messages / f64::from(part)).ceil().max(2.0) as u32
    }

    /// With gateways RNICs have no reason to be impatient. Without, they get the shortest patience
    /// that lasts for a round trip whatever else is sent: nothing else tells them that a packet
    /// which they sent again was lost again.
    fn timer(self) -> Timer {
        match self.mode {
            Mode::Tunnel | Mode::Transparent => Traffic::default().timer,
            Mode::Bare => {
                let patience = 2 * self.rtt() + 2_000_000;
                Timer::Fixed((1..31).find(|&power| 4_096 << power >= patience).unwrap_or(31))
            }
        }
    }

    /// What the lab is asked for: one part in `part` of the messages.
    fn scenario(self, part: u32) -> Scenario {
        let traffic = Traffic {
            qps: self.qps,
            size: MESSAGE,
            messages: self.messages(part),
            timer: self.timer(),
            line: Some(HOSTS_RATE),
            ..Traffic::default()
        };
        let does = Impairments {
            rate: Some(RATE),
            delay: self.rtt() / 2,
            loss: self.loss,
            burst: self.burst,
            ..Impairments::default()
        };
        let path = PathScenario { name: "p1".into(), does, ..PathScenario::default() };
        let scenario = Scenario::traffic(traffic, vec![path], 1);
        let numbering = match self.mode {
            Mode::Transparent => Numbering::Transparent { check_icrc: true },
            Mode::Tunnel | Mode::Bare => Numbering::Tunnel,
        };
        Scenario { gateways: self.mode != Mode::Bare, numbering, ..scenario }
    }
}

/// What a run showed.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) case: Case,
    /// Gigabits of messages a second.
    pub(crate) goodput: f64,
    /// Part of the line that was used.
    pub(crate) utilization: f64,
    /// Microseconds that messages took.
    pub(crate) completion: Completion,
    /// Whatever RNICs noticed: repeats, NAKs, timeouts.
    pub(crate) noticed: u64,
    /// Packets that gateways sent again.
    pub(crate) resent: u64,
}

impl Outcome {
    fn new(case: Case, report: &Report) -> Self {
        let messages = report.endpoints.messages.unwrap_or_default();
        let both = report.gateways.as_ref().map(|both| [&both.a, &both.b]);
        Self {
            case,
            goodput: report.endpoints.goodput_gbps,
            utilization: report.wan.paths.first().map_or(0.0, |path| path.utilization),
            completion: report.endpoints.completion_us,
            noticed: messages.retransmitted_packets + messages.naks + messages.timeouts,
            resent: both.map_or(0, |both| both.iter().map(|end| end.resent_packets).sum()),
        }
    }
}

/// Runs everything, longest first so that no worker is left alone with one; outcomes are in the
/// order of [`Case::all`] whoever was first. `progress` hears of each.
pub(crate) fn run(
    part: u32,
    progress: impl Fn(usize, usize, &Outcome) + Sync,
) -> Result<Vec<Outcome>, LabError> {
    let cases = Case::all();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|&a, &b| cases[b].work().total_cmp(&cases[a].work()));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcomes = Mutex::new(vec![None; cases.len()]);
    let work = || -> Result<(), LabError> {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let case = cases[index];
            let outcome = Outcome::new(case, &lab::run(&case.scenario(part))?);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, cases.len(), &outcome);
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes[index] = Some(outcome);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker"))
    })?;
    Ok(outcomes.into_inner().expect("outcomes").into_iter().flatten().collect())
}
