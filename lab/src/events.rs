//! What is going to happen, in the order it will: events of virtual time.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use dataplane::time::Time;

/// Rows of events at most: more than there are links between two sites, as a rule.
const MAX_ROWS: usize = 16;
/// After all events.
const NEVER: Order = (Time::NEVER, u64::MAX);

/// Events by the time they are due; those of one time in the order they were added, so that a run
/// is the same each time.
///
/// Most come in rows, as frames do from a link, each due no earlier than the one before: a row only
/// needs to be kept, not sorted. What fits no row goes to a heap.
#[derive(Debug)]
pub struct Events<T> {
    /// Each in order.
    rows: Vec<VecDeque<Entry<T>>>,
    heap: BinaryHeap<Entry<T>>,
    added: u64,
    /// The row that the last event was taken from, and before what that of all others comes: the
    /// next is as a rule of the same row, and the others need not be looked at.
    last: (usize, Order),
}

/// When an event is due, and its number among all that were added.
type Order = (Time, u64);

#[derive(Debug)]
struct Entry<T> {
    due: Time,
    number: u64,
    event: T,
}

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), heap: BinaryHeap::new(), added: 0, last: (0, (Time::ZERO, 0)) }
    }
}

impl<T> Events<T> {
    /// Adds an event.
    #[inline]
    pub fn add(&mut self, due: Time, event: T) {
        let entry = Entry { due, number: self.added, event };
        self.added += 1;
        self.last.1 = self.last.1.min(entry.order());
        match self.row(due) {
            Some(row) => row.push_back(entry),
            None => self.heap.push(entry),
        }
    }

    /// When the next one is due.
    #[inline]
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let rows = self.rows.iter().filter_map(VecDeque::front);
        rows.chain(self.heap.peek()).map(|entry| entry.due).min()
    }

    /// Takes the next one that is due at `now`.
    #[inline]
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let (row, others) = self.last;
        if let Some(row) = self.rows.get_mut(row)
            && let Some(entry) =
                row.pop_front_if(|entry| entry.due <= now && entry.order() < others)
        {
            return Some(entry.event);
        }
        self.take_first(now)
    }

    /// Takes the first of all rows and the heap.
    fn take_first(&mut self, now: Time) -> Option<T> {
        let heads = self.rows.iter().enumerate();
        let heads = heads.filter_map(|(row, entries)| Some((entries.front()?.order(), row)));
        let (mut first, mut second) = ((NEVER, usize::MAX), NEVER);
        for head in heads {
            second = second.min(head.0.max(first.0));
            first = first.min(head);
        }
        let heaped = self.heap.peek().map_or(NEVER, Entry::order);
        if heaped < first.0 {
            return (heaped.0 <= now).then(|| self.heap.pop()).flatten().map(|entry| entry.event);
        }
        let ((due, _), row) = first;
        self.last = (row, second.min(heaped));
        let row = self.rows.get_mut(row).filter(|_| due <= now)?;
        row.pop_front().map(|entry| entry.event)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.iter().map(VecDeque::len).sum::<usize>() + self.heap.len()
    }

    /// Whether nothing is going to happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at whose end an event due then belongs: of those that end no later the one that
    /// ends last, so that rows of different delay stay apart.
    #[inline]
    fn row(&mut self, due: Time) -> Option<&mut VecDeque<Entry<T>>> {
        let end = |row: &VecDeque<Entry<T>>| row.back().map_or(Time::ZERO, |entry| entry.due);
        let rows = self.rows.iter().enumerate().filter(|(_, row)| end(row) <= due);
        let best = rows.max_by_key(|(_, row)| end(row)).map(|(index, _)| index);
        let best = best.or_else(|| {
            let new = self.rows.len();
            (new < MAX_ROWS).then(|| self.rows.push(VecDeque::new())).map(|()| new)
        });
        self.rows.get_mut(best?)
    }
}

impl<T> Entry<T> {
    #[inline]
    fn order(&self) -> Order {
        (self.due, self.number)
    }
}

// The heap gives its greatest: the entry that is due first must be that.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
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
    use crate::random::Random;

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

    #[test]
    fn any_order_comes_out_sorted_in_rows_and_heap() {
        let mut random = Random::derive(1, &[]);
        let mut events = Events::default();
        let mut expected: Vec<_> = (0..2_000).map(|number| (random.below(300), number)).collect();
        expected.iter().for_each(|&(due, number)| events.add(Time(due), (due, number)));
        assert!(events.rows.len() == MAX_ROWS && !events.heap.is_empty());
        assert_eq!(events.len(), expected.len());
        expected.sort_unstable();
        let taken: Vec<_> = std::iter::from_fn(|| events.take_due(Time::NEVER)).collect();
        assert_eq!(taken, expected);
    }

    #[test]
    fn links_of_different_delay_take_a_row_each() {
        let mut events = Events::default();
        for now in 0..1_000 {
            for delay in [1, 500, 90] {
                events.add(Time(now + delay), ());
            }
            while events.take_due(Time(now)).is_some() {}
        }
        assert_eq!((events.rows.len(), events.heap.len()), (3, 0));
    }
}
