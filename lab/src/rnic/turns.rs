//! Whose turn it is.

use std::collections::VecDeque;

/// Those with something to send, in the order of their turns; each at most once.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: VecDeque<u32>,
    waits: Vec<bool>,
}

impl Turns {
    /// Gives `who` a turn, unless it has one.
    #[inline]
    pub(super) fn join(&mut self, who: u32) {
        let at = who as usize;
        if self.waits.len() <= at {
            self.waits.resize(at + 1, false);
        }
        if let Some(waits) = self.waits.get_mut(at)
            && !std::mem::replace(waits, true)
        {
            self.queue.push_back(who);
        }
    }

    /// The next one, who then has no turn any more.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u32> {
        let who = self.queue.pop_front()?;
        if let Some(waits) = self.waits.get_mut(who as usize) {
            *waits = false;
        }
        Some(who)
    }

    /// Whether nobody has a turn.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_turn_at_a_time() {
        let mut turns = Turns::default();
        for who in [5, 2, 5, 0] {
            turns.join(who);
        }
        assert_eq!([turns.next(), turns.next()], [Some(5), Some(2)]);
        turns.join(5);
        assert_eq!([turns.next(), turns.next(), turns.next()], [Some(0), Some(5), None]);
        assert!(turns.is_empty());
    }
}
