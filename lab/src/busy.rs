//! How much of the wide area a site uses while it has something to send.

use dataplane::time::{Nanos, SECOND, Time};

/// A site's use of all paths together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Busy {
    /// When this was last looked at, whether there was something to send then, and what the lines of
    /// the paths had carried by then.
    at: Time,
    is_busy: bool,
    carried: u64,
    /// Time in which there was something to send, and bytes on the lines in it.
    time: Nanos,
    bytes: u64,
}

impl Busy {
    /// From `now` on there is something to send, or not; lines have carried so many bytes.
    pub(crate) fn note(&mut self, now: Time, is_busy: bool, carried: u64) {
        if self.is_busy {
            self.time += now.since(self.at);
            self.bytes += carried.saturating_sub(self.carried);
        }
        (self.at, self.is_busy, self.carried) = (now, is_busy, carried);
    }

    /// Bytes on the lines while there was something to send.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Those, as a part of what lines of this rate together, in bits a second, carry in that time;
    /// `None` if there was none.
    pub(crate) fn utilization(&self, rate: u64) -> Option<f64> {
        let could = rate as f64 * self.time as f64 / SECOND as f64;
        (could > 0.0).then(|| self.bytes as f64 * 8.0 / could)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_with_something_to_send_counts() {
        let mut busy = Busy::default();
        assert_eq!(busy.utilization(8_000), None);
        busy.note(Time(0), false, 50);
        busy.note(Time(SECOND), true, 100);
        busy.note(Time(2 * SECOND), true, 600);
        busy.note(Time(3 * SECOND), false, 1_100);
        busy.note(Time(9 * SECOND), false, 1_500);
        assert_eq!((busy.bytes(), busy.utilization(8_000)), (1_000, Some(0.5)));
    }
}
