//! PSNs to which a response with data is owed: those of READs and atomics on their way.

use std::collections::VecDeque;

use crate::wire::psn::Psn;

/// Runs of owed PSNs that are remembered; RNICs have fewer READs and atomics outstanding.
const RUNS: usize = 256;

/// Consecutive PSNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    start: Psn,
    end: Psn,
}

/// What is owed to one stream of requests, in the order of its PSNs.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    runs: VecDeque<Run>,
    /// Everything before this was considered: a repeat owes nothing new.
    top: Option<Psn>,
}

impl Owed {
    /// A request took the PSNs from `start` on; `data`: its response has data.
    #[inline]
    pub(crate) fn request(&mut self, start: Psn, count: u32, data: bool) {
        let end = start.plus(count);
        let start = match self.top {
            Some(top) if top.ahead_of(end) >= 0 => return,
            Some(top) if top.ahead_of(start) > 0 => top,
            _ => start,
        };
        self.top = Some(end);
        if data {
            self.add(start, end);
        }
    }

    fn add(&mut self, start: Psn, end: Psn) {
        if let Some(last) = self.runs.back_mut()
            && last.end == start
        {
            last.end = end;
            return;
        }
        if self.runs.len() == RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(Run { start, end });
    }

    /// The first PSN owed.
    #[inline]
    pub(crate) fn first(&self) -> Option<Psn> {
        self.runs.front().map(|run| run.start)
    }

    /// Whether this PSN is owed.
    pub(crate) fn owes(&self, psn: Psn) -> bool {
        self.within(psn, psn.plus(1)).next().is_some()
    }

    /// What is owed of `from..to`, as ranges.
    #[inline]
    pub(crate) fn within(&self, from: Psn, to: Psn) -> impl Iterator<Item = (Psn, Psn)> + '_ {
        let runs = self.runs.iter().skip_while(move |run| run.end.ahead_of(from) <= 0);
        runs.take_while(move |run| run.start.ahead_of(to) < 0).map(move |run| {
            let start = if from.ahead_of(run.start) > 0 { from } else { run.start };
            let end = if to.ahead_of(run.end) < 0 { to } else { run.end };
            (start, end)
        })
    }

    /// Nothing before `psn` is owed any more.
    #[inline]
    pub(crate) fn settle(&mut self, psn: Psn) {
        while let Some(first) = self.runs.front_mut() {
            if psn.ahead_of(first.start) <= 0 {
                return;
            }
            if psn.ahead_of(first.end) < 0 {
                first.start = psn;
                return;
            }
            self.runs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(owed: &Owed, from: u32, to: u32) -> Vec<(u32, u32)> {
        owed.within(Psn::new(from), Psn::new(to)).map(|(a, b)| (a.get(), b.get())).collect()
    }

    #[test]
    fn reads_are_owed_and_writes_are_not() {
        let mut owed = Owed::default();
        for (start, count, data) in
            [(10, 1, false), (11, 4, true), (15, 2, true), (17, 3, false), (20, 1, true)]
        {
            owed.request(Psn::new(start), count, data);
        }
        assert_eq!(within(&owed, 0, 100), [(11, 17), (20, 21)]);
        assert_eq!(within(&owed, 13, 20), [(13, 17)]);
        owed.settle(Psn::new(12));
        assert_eq!((owed.first(), within(&owed, 0, 100)[0]), (Some(Psn::new(12)), (12, 17)));
        owed.settle(Psn::new(19));
        assert_eq!(owed.first(), Some(Psn::new(20)));
    }

    #[test]
    fn trap_4_a_restarted_read_owes_nothing_new() {
        let mut owed = Owed::default();
        owed.request(Psn::new(0xff_fffe), 6, true);
        owed.settle(Psn::new(1));
        owed.request(Psn::new(0), 4, true);
        assert_eq!(within(&owed, 0xff_fff0, 100), [(1, 4)]);
        owed.request(Psn::new(2), 5, true);
        assert_eq!(within(&owed, 0xff_fff0, 100), [(1, 7)], "the part behind is new");
    }

    #[test]
    fn what_is_owed_is_bounded() {
        let mut owed = Owed::default();
        (0..10_000).for_each(|n| owed.request(Psn::new(n * 2), 1, true));
        assert_eq!(owed.runs.len(), RUNS);
        assert_eq!(owed.first(), Some(Psn::new((10_000 - RUNS as u32) * 2)));
    }
}
