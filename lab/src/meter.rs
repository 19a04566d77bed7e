//! What leaves a gateway's queues towards the WAN, moment by moment: how fast each tenant is while it
//! always has something waiting, how much more at once than its rate makes, and its part of what
//! leaves while all that have weights have something waiting.

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};
use pipelines::gateway::{Gateway, TenantStatus};

use crate::change::Told;
use crate::report::{DeparturesReport, RateReport, Spread};
use crate::scenario::Scenario;
use crate::tenant;

/// What is added up at once; windows consist of these.
const CELL: Nanos = MILLISECOND;
/// Cells of the windows that are looked at.
const SHORT: usize = 10;
const LONG: usize = 100;
/// Cells that are kept at most: longer than traffic may take.
const MOST: usize = 1 << 20;
/// Credit for a byte: bits of a billionth, so that a rate times nanoseconds is credit.
const BYTE: u128 = 8 * SECOND as u128;

/// The meter of one gateway's site, over all its lives.
pub(crate) struct Meter {
    /// When the play started; nothing is counted before.
    start: Option<Time>,
    tenants: Vec<Line>,
    status: Vec<TenantStatus>,
}

/// What is known of a tenant.
#[derive(Default)]
struct Line {
    /// It has a part of what is short.
    competes: bool,
    /// Bytes that came to the present gateway and left its queues again, and packets refused.
    gone: u64,
    refused: u64,
    /// Something waited when this was last looked at.
    waits: bool,
    /// Bytes that left in the play, and while all that compete had something waiting.
    left: u64,
    shared: u64,
    cells: Vec<Cell>,
    /// Stretches with one rate each, the present one last.
    stretches: Vec<Stretch>,
    /// Credit used beyond what the rate made, as of `at`.
    ahead: u128,
    at: Time,
}

/// What left in a short time.
#[derive(Clone, Copy, Default)]
struct Cell {
    bytes: u64,
    /// For a moment nothing waited, or something was refused.
    idle: bool,
}

/// A time in which a tenant has one rate.
#[derive(Clone, Copy, Default)]
struct Stretch {
    /// Since the start.
    from: Nanos,
    /// Bits a second, if there is a bound.
    rate: Option<u64>,
    most_ahead: u128,
}

impl Meter {
    /// For the tenants of a scenario; `None` where nothing waits in queues.
    pub(crate) fn new(scenario: &Scenario) -> Option<Self> {
        let rates = (scenario.lan_rate, scenario.wan_rate);
        tenant::queues(&scenario.tenants, rates, &scenario.paths)?;
        let line = |tenant: &tenant::TenantScenario| Line {
            competes: tenant.weight.is_some(),
            stretches: vec![Stretch { rate: tenant.bits_per_second(), ..Stretch::default() }],
            ..Line::default()
        };
        let tenants = tenant::in_order(&scenario.tenants).iter().map(line).collect();
        Some(Self { start: None, tenants, status: Vec::new() })
    }

    /// The play starts at `now`.
    pub(crate) fn start(&mut self, now: Time) {
        self.start = Some(now);
        self.tenants.iter_mut().for_each(|line| line.at = now);
    }

    /// Another gateway is in the place of the one before, with nothing in its queues.
    pub(crate) fn restart(&mut self) {
        for line in &mut self.tenants {
            (line.gone, line.refused, line.waits) = (0, 0, false);
        }
    }

    /// A tenant has another rate from `now` on.
    pub(crate) fn change(&mut self, told: &Told, now: Time) {
        let line = self.tenants.get_mut(usize::from(told.tenant));
        if let Some((line, start)) = line.zip(self.start) {
            line.add(now, start, 0, line.waits);
            let from = now.since(start);
            line.stretches.push(Stretch { from, rate: told.rate, most_ahead: 0 });
        }
    }

    /// Whether something waits.
    pub(crate) fn waits(&self) -> bool {
        self.tenants.iter().any(|line| line.waits)
    }

    /// The gateway has done its work at `now`: what left since the last time left now.
    pub(crate) fn observe(&mut self, now: Time, gateway: &Gateway) {
        gateway.tenants_status(now, &mut self.status);
        let compete = |waits: &dyn Fn((&Line, &TenantStatus)) -> bool| {
            let both = self.tenants.iter().zip(&self.status);
            both.filter(|(line, _)| line.competes).all(waits)
        };
        let is_shared = compete(&|(line, of)| {
            line.waits && of.to_wan.bytes > 0 && of.to_wan.dropped == line.refused
        });
        let start = self.start;
        for (line, of) in self.tenants.iter_mut().zip(&self.status) {
            let gone = of.sent.bytes.saturating_sub(of.to_wan.bytes);
            let bytes = gone.saturating_sub(line.gone);
            let whole = of.to_wan.dropped == line.refused;
            if let Some(start) = start {
                line.add(now, start, bytes, line.waits && of.to_wan.bytes > 0 && whole);
                line.shared += if is_shared && line.competes { bytes } else { 0 };
            }
            line.gone = gone;
            line.refused = of.to_wan.dropped;
            line.waits = of.to_wan.bytes > 0;
        }
    }

    /// Bytes that left in the play, of all tenants.
    pub(crate) fn left(&self) -> u64 {
        self.tenants.iter().map(|line| line.left).sum()
    }

    /// What is said of each tenant.
    pub(crate) fn report(&self) -> Vec<DeparturesReport> {
        let all: u64 = self.tenants.iter().map(|line| line.shared).sum();
        let report = |line: &Line| DeparturesReport {
            rates: line.rates(),
            share_percent: (line.competes && all > 0)
                .then(|| line.shared as f64 * 100.0 / all as f64),
        };
        self.tenants.iter().map(report).collect()
    }
}

impl Line {
    /// These bytes left at `now`; `busy` if something waited all the time since the last ones.
    fn add(&mut self, now: Time, start: Time, bytes: u64, busy: bool) {
        self.left += bytes;
        let cell = |at: Time| (at.since(start) / CELL) as usize;
        let (before, index) = (cell(self.at), cell(now));
        if index < MOST && self.cells.len() <= index {
            self.cells.resize(index + 1, Cell::default());
        }
        if !busy && let Some(idle) = self.cells.get_mut(before..=index.min(MOST - 1)) {
            idle.iter_mut().for_each(|cell| cell.idle = true);
        }
        if let Some(cell) = self.cells.get_mut(index) {
            cell.bytes += bytes;
        }
        if let Some(stretch) = self.stretches.last_mut()
            && let Some(rate) = stretch.rate
        {
            let made = u128::from(now.since(self.at)) * u128::from(rate);
            self.ahead = self.ahead.saturating_sub(made) + u128::from(bytes) * BYTE;
            stretch.most_ahead = stretch.most_ahead.max(self.ahead);
        }
        self.at = now;
    }

    /// Each stretch's rates.
    fn rates(&self) -> Vec<RateReport> {
        let ends = self.stretches.iter().skip(1).map(|next| next.from).chain([Nanos::MAX]);
        // The last cell is not whole.
        let whole = self.cells.len().saturating_sub(1);
        let report = |(stretch, end): (&Stretch, Nanos)| {
            let first = (stretch.from.div_ceil(CELL) as usize).min(whole);
            let last = usize::try_from(end / CELL).unwrap_or(whole).clamp(first, whole);
            let cells = self.cells.get(first..last).unwrap_or_default();
            RateReport {
                from_ms: stretch.from as f64 / MILLISECOND as f64,
                within_10ms_gbps: spread(cells, SHORT),
                within_100ms_gbps: spread(cells, LONG),
                burst_bytes: stretch.rate.map(|_| stretch.most_ahead.div_ceil(BYTE) as u64),
            }
        };
        self.stretches.iter().zip(ends).map(report).collect()
    }
}

/// The rates of the slowest and the fastest window of so many cells, of those that are not idle;
/// `None` without any.
fn spread(cells: &[Cell], len: usize) -> Option<Spread> {
    let busy = cells.windows(len).filter(|window| window.iter().all(|cell| !cell.idle));
    let bytes = busy.map(|window| window.iter().map(|cell| cell.bytes).sum::<u64>());
    let (least, most) = bytes.fold((u64::MAX, 0), |(least, most): (u64, u64), bytes| {
        (least.min(bytes), most.max(bytes))
    });
    let gbps = |bytes: u64| bytes as f64 * 8.0 / (len as u64 * CELL) as f64;
    (least <= most).then(|| Spread { least: gbps(least), most: gbps(most) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(7_000);

    fn line(rate: u64) -> Line {
        let stretches = vec![Stretch { rate: Some(rate), ..Stretch::default() }];
        Line { stretches, at: START, ..Line::default() }
    }

    /// 1,000 bytes every 100 microseconds, 80 Mbit/s, from one millisecond to another.
    fn flow(line: &mut Line, ms: std::ops::Range<u64>) {
        for step in ms.start * 10..ms.end * 10 {
            line.add(START.after(step * 100_000), START, 1_000, true);
        }
    }

    #[test]
    fn windows_are_of_times_that_are_not_idle() {
        let mut line = line(80_000_000);
        flow(&mut line, 0..30);
        // Nothing waited between these two.
        line.add(START.after(40 * MILLISECOND), START, 0, false);
        flow(&mut line, 41..52);
        let [rates] = &line.rates()[..] else { panic!("one stretch") };
        assert_eq!(rates.within_10ms_gbps, Some(Spread { least: 0.08, most: 0.08 }));
        assert_eq!(rates.within_100ms_gbps, None);
        assert_eq!((rates.burst_bytes, line.left), (Some(1_000), 410_000));
        let idle = line.cells.iter().filter(|cell| cell.idle).count();
        assert_eq!((line.cells.len(), idle), (52, 12));
    }

    #[test]
    fn a_burst_is_what_left_beyond_the_rate() {
        let mut line = line(8_000_000);
        line.add(START, START, 5_000, true);
        // A millisecond makes 1,000 bytes.
        line.add(START.after(MILLISECOND), START, 3_000, true);
        line.add(START.after(100 * MILLISECOND), START, 6_000, true);
        assert_eq!(line.rates()[0].burst_bytes, Some(7_000));
    }

    #[test]
    fn each_rate_has_figures_of_its_own() {
        let mut line = line(80_000_000);
        flow(&mut line, 0..15);
        let from = 15 * MILLISECOND;
        line.stretches.push(Stretch { from, rate: Some(160_000_000), most_ahead: 0 });
        for _ in 0..2 {
            flow(&mut line, 15..31);
        }
        let rates: Vec<_> = line.rates().iter().map(|rate| rate.within_10ms_gbps).collect();
        let even = |gbps| Some(Spread { least: gbps, most: gbps });
        assert_eq!(rates, [even(0.08), even(0.16)]);
    }

    #[test]
    fn the_slowest_and_the_fastest_window_count() {
        let cells = [10, 20, 60].map(|bytes| Cell { bytes, idle: false });
        let two = spread(&cells, 2).map(|of| (of.least * 2e6, of.most * 2e6));
        assert_eq!(two, Some((240.0, 640.0)));
        assert_eq!(spread(&cells, 4), None);
        let idle = [Cell { bytes: 1, idle: true }];
        assert_eq!(spread(&idle, 1), None);
    }
}
