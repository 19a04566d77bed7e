//! What is going to happen, in the order it will: events of virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dataplane::time::Time;

/// Events by the time they are due; those of one time in the order they were added, so that a run
/// is the same each time.
#[derive(Debug)]
pub struct Events<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Time,
    number: u64,
    event: T,
}

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> Events<T> {
    /// Adds an event.
    #[inline]
    pub fn add(&mut self, due: Time, event: T) {
        self.heap.push(Entry { due, number: self.added, event });
        self.added += 1;
    }

    /// When the next one is due.
    #[inline]
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.heap.peek().map(|entry| entry.due)
    }

    /// Takes the next one that is due at `now`.
    #[inline]
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.event)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is going to happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

// The heap gives its greatest: the entry that is due first must be that.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_added() {
        let mut events = Events::default();
        for (due, event) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b')] {
            events.add(Time(due), event);
        }
        assert_eq!(events.next_due(), Some(Time(3)));
        assert_eq!(events.take_due(Time(2)), None);
        let order: String = std::iter::from_fn(|| events.take_due(Time(9))).collect();
        assert_eq!(order, "abcd");
        assert!(events.is_empty());
    }
}
