//! What waits to leave by a port.

use std::collections::VecDeque;

use crate::memory::Frame;

/// A bounded queue of frames before a port, allocated once.
///
/// Two lanes: what repairs a loss, or reports one, leaves before everything else
/// ([`TxQueue::push_urgent`]); within each, first in, first out.
#[derive(Debug)]
pub struct TxQueue {
    urgent: VecDeque<Frame>,
    ordinary: VecDeque<Frame>,
    capacity: usize,
}

impl TxQueue {
    /// A queue for `capacity` frames of each kind.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            urgent: VecDeque::with_capacity(capacity),
            ordinary: VecDeque::with_capacity(capacity),
            capacity,
        }
    }

    /// Adds a frame behind all others.
    ///
    /// # Errors
    /// The frame itself, when the queue is full.
    #[inline]
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.ordinary.len() == self.capacity {
            return Err(frame);
        }
        self.ordinary.push_back(frame);
        Ok(())
    }

    /// Adds a frame that leaves before all ordinary ones.
    ///
    /// # Errors
    /// The frame itself, when the queue is full.
    #[inline]
    pub fn push_urgent(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.urgent.len() == self.capacity {
            return Err(frame);
        }
        self.urgent.push_back(frame);
        Ok(())
    }

    /// How many more ordinary frames it takes.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity - self.ordinary.len()
    }

    /// How many more urgent frames it takes.
    #[inline]
    #[must_use]
    pub fn urgent_room(&self) -> usize {
        self.capacity - self.urgent.len()
    }

    /// Frames waiting.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.urgent.len() + self.ordinary.len()
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.ordinary.is_empty()
    }

    /// The frame that leaves next.
    #[must_use]
    pub fn front(&self) -> Option<&Frame> {
        self.urgent.front().or_else(|| self.ordinary.front())
    }

    /// All frames, in the order in which they leave.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.urgent.iter().chain(&self.ordinary)
    }

    /// Takes the frame that leaves next.
    #[inline]
    pub fn pop(&mut self) -> Option<Frame> {
        self.urgent.pop_front().or_else(|| self.ordinary.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Pool, PoolSettings};

    #[test]
    fn urgent_frames_leave_first_and_both_lanes_are_bounded() {
        let pool =
            Pool::new(PoolSettings { buffers: 8, buffer_bytes: 256, headroom: 0 }).expect("valid");
        let frame = |byte: u8| pool.copy(&[byte]).expect("buffers").freeze();
        let mut queue = TxQueue::new(2);
        assert!(queue.push(frame(1)).is_ok() && queue.push(frame(2)).is_ok());
        assert_eq!(queue.push(frame(3)).expect_err("full").head(), [3]);
        assert!(queue.push_urgent(frame(4)).is_ok() && queue.push_urgent(frame(5)).is_ok());
        assert!(queue.push_urgent(frame(6)).is_err());
        assert_eq!((queue.room(), queue.urgent_room(), queue.len()), (0, 0, 4));
        let waiting: Vec<u8> = queue.iter().map(|f| f.head()[0]).collect();
        assert_eq!(waiting, [4, 5, 1, 2]);
        let order: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|f| f.head()[0]).collect();
        assert_eq!(order, [4, 5, 1, 2]);
        assert_eq!(pool.stats().in_use, 0);
    }
}
