//! When something has to be done again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dataplane::time::{Nanos, Time};

use super::settings::{QpSettings, Timer};

/// The timer of a requester, and what is left of its patience.
#[derive(Debug, Clone)]
pub(super) struct RetryTimer {
    timer: Timer,
    retries: u8,
    endless: bool,
    /// Timeouts since the last progress.
    expired: u8,
    /// The next span of time.
    span: Nanos,
    /// When the present silence began.
    silent_since: Option<Time>,
    due: Time,
}

impl RetryTimer {
    pub(super) fn new(settings: &QpSettings) -> Self {
        let QpSettings { timer, retry_cnt: retries, endless_retries, .. } = *settings;
        Self {
            timer,
            retries,
            endless: endless_retries && retries == 7,
            expired: 0,
            span: first_span(timer),
            silent_since: None,
            due: Time::NEVER,
        }
    }

    /// When it fires.
    #[inline]
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// Starts it, unless it runs.
    #[inline]
    pub(super) fn ensure(&mut self, now: Time) {
        if self.due == Time::NEVER {
            self.due = now.after(self.span);
            self.silent_since.get_or_insert(now);
        }
    }

    /// Stops it without forgetting how long there was silence.
    pub(super) fn stop(&mut self) {
        self.due = Time::NEVER;
    }

    /// There was progress: starts afresh if there is more to wait for.
    #[inline]
    pub(super) fn progress(&mut self, now: Time, more: bool) {
        self.expired = 0;
        self.span = first_span(self.timer);
        self.silent_since = None;
        self.due = Time::NEVER;
        if more {
            self.ensure(now);
        }
    }

    /// It fired: whether to go on. It then has to be started again.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        self.due = Time::NEVER;
        let patient = self.endless || self.is_patient(now);
        self.expired = self.expired.saturating_add(1);
        if let Timer::Adaptive { .. } = self.timer {
            self.span = self.span.saturating_mul(2).min(self.timer.timeout());
        }
        patient
    }

    fn is_patient(&self, now: Time) -> bool {
        match self.timer {
            Timer::Fixed(_) => self.expired < self.retries,
            Timer::Adaptive { .. } => {
                let silence = self.silent_since.map_or(0, |since| now.since(since));
                silence < self.timer.timeout().saturating_mul(self.retries.into())
            }
        }
    }
}

fn first_span(timer: Timer) -> Nanos {
    match timer {
        Timer::Fixed(_) => timer.timeout(),
        Timer::Adaptive { first, .. } => first.min(timer.timeout()),
    }
}

/// The timers of many, of which most are moved further away before they fire.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Time, u32)>>,
    /// The earliest entry of each in the heap.
    noted: Vec<Time>,
}

impl Agenda {
    /// Has `who` come up at `due` at the latest.
    #[inline]
    pub(super) fn note(&mut self, who: u32, due: Time) {
        let at = who as usize;
        if self.noted.len() <= at {
            self.noted.resize(at + 1, Time::NEVER);
        }
        if let Some(noted) = self.noted.get_mut(at)
            && due < *noted
        {
            *noted = due;
            self.heap.push(Reverse((due, who)));
        }
    }

    /// When somebody comes up, perhaps to find that it is too early.
    #[inline]
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Somebody who comes up at `now`; has to be noted again.
    #[inline]
    pub(super) fn take(&mut self, now: Time) -> Option<u32> {
        while self.next()? <= now {
            let Reverse((due, who)) = self.heap.pop()?;
            // An entry that an earlier one has replaced came up already.
            if let Some(noted) = self.noted.get_mut(who as usize)
                && *noted == due
            {
                *noted = Time::NEVER;
                return Some(who);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use dataplane::time::MILLISECOND;

    use super::*;

    fn timer(timer: Timer, retry_cnt: u8) -> RetryTimer {
        RetryTimer::new(&QpSettings { timer, retry_cnt, ..QpSettings::default() })
    }

    /// The moments at which a timer fires until it gives up.
    fn moments(mut timer: RetryTimer) -> Vec<u64> {
        let mut moments = Vec::new();
        timer.ensure(Time(0));
        loop {
            let now = timer.due();
            moments.push(now.0);
            if !timer.expire(now) || moments.len() > 100 {
                return moments;
            }
            timer.ensure(now);
        }
    }

    #[test]
    fn a_fixed_timer_fires_as_often_as_it_may_and_once_more() {
        let t = 4_096 << 14;
        assert_eq!(moments(timer(Timer::Fixed(14), 3)), [t, 2 * t, 3 * t, 4 * t]);
        assert_eq!(moments(timer(Timer::Fixed(14), 0)), [t]);
    }

    #[test]
    fn an_adaptive_timer_doubles_to_its_cap_and_waits_as_long_as_configured() {
        let cap = 4_096 << 12;
        let at = moments(timer(Timer::adaptive(12), 2));
        let ms = MILLISECOND;
        assert_eq!(at[..4], [4 * ms, 12 * ms, 28 * ms, 28 * ms + cap]);
        let last = at.last().copied().unwrap_or_default();
        assert!((2 * cap..3 * cap).contains(&last), "{at:?}");
    }

    #[test]
    fn progress_gives_new_patience() {
        let mut timer = timer(Timer::Fixed(10), 1);
        timer.ensure(Time(0));
        assert!(timer.expire(timer.due()));
        timer.progress(Time(50), true);
        assert_eq!(timer.due(), Time(50).after(4_096 << 10));
        assert!(timer.expire(timer.due()) && !timer.expire(Time(0)));
        timer.progress(Time(99), false);
        assert_eq!(timer.due(), Time::NEVER);
    }

    #[test]
    fn a_timer_of_zero_never_fires() {
        let mut timer = timer(Timer::Fixed(0), 7);
        timer.ensure(Time(5));
        assert_eq!(timer.due(), Time::NEVER);
    }

    #[test]
    fn an_agenda_brings_each_up_once_at_its_earliest() {
        let mut agenda = Agenda::default();
        agenda.note(3, Time(9));
        agenda.note(3, Time(5));
        agenda.note(3, Time(7));
        agenda.note(1, Time(6));
        assert_eq!(agenda.next(), Some(Time(5)));
        assert_eq!(agenda.take(Time(4)), None);
        assert_eq!([agenda.take(Time(9)), agenda.take(Time(9))], [Some(3), Some(1)]);
        assert_eq!(agenda.take(Time(9)), None);
    }
}
