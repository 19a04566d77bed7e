//! What will happen, in the order it will.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dataplane::time::Time;

/// Events by their moments; those of one moment in the order they were put in, so that a run is
/// a function of its input.
#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    /// Small keys to sift; the events stay where they are.
    order: BinaryHeap<Reverse<(Time, u64, u32)>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    number: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), number: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Puts an event in.
    pub(crate) fn push(&mut self, at: Time, event: E) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.events.push(None);
                self.events.len() as u32 - 1
            }
        };
        if let Some(place) = self.events.get_mut(slot as usize) {
            *place = Some(event);
        }
        self.order.push(Reverse((at, self.number, slot)));
        self.number += 1;
    }

    /// When the next event is.
    pub(crate) fn next_time(&self) -> Option<Time> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next event that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<E> {
        if self.next_time()? > now {
            return None;
        }
        let Reverse((_, _, slot)) = self.order.pop()?;
        self.free.push(slot);
        self.events.get_mut(slot as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_the_order_they_were_put_in() {
        let mut queue = EventQueue::default();
        for (at, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b'), (9, 'e')] {
            queue.push(Time(at), event);
        }
        assert_eq!(queue.next_time(), Some(Time(3)));
        assert_eq!(queue.pop_due(Time(2)), None);
        let due: String = std::iter::from_fn(|| queue.pop_due(Time(5))).collect();
        assert_eq!(due, "abcd");
        queue.push(Time(9), 'f');
        let rest: String = std::iter::from_fn(|| queue.pop_due(Time(9))).collect();
        assert_eq!((rest.as_str(), queue.next_time()), ("ef", None));
    }
}
