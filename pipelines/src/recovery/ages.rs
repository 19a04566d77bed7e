//! Lists by age over the entries of a store: first in, first out, but any entry may leave at any
//! time.

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    older: u32,
    younger: u32,
}

#[derive(Clone, Copy)]
struct Ends {
    oldest: u32,
    youngest: u32,
}

/// Some lists; an entry, named by its index, is in one of them at most.
pub(super) struct Ages {
    links: Box<[Link]>,
    lists: Box<[Ends]>,
}

impl Ages {
    /// So many empty `lists` over so many `entries`.
    pub(super) fn new(lists: usize, entries: usize) -> Self {
        Self {
            links: vec![Link { older: NONE, younger: NONE }; entries].into(),
            lists: vec![Ends { oldest: NONE, youngest: NONE }; lists].into(),
        }
    }

    /// The oldest entry of a list.
    #[inline]
    pub(super) fn oldest(&self, list: usize) -> Option<u32> {
        self.lists.get(list).map(|ends| ends.oldest).filter(|index| *index != NONE)
    }

    /// An entry that is in no list becomes the youngest of this one.
    pub(super) fn push(&mut self, list: usize, index: u32) {
        let Some(ends) = self.lists.get_mut(list) else { return };
        let older = std::mem::replace(&mut ends.youngest, index);
        match self.links.get_mut(older as usize) {
            Some(link) => link.younger = index,
            None => ends.oldest = index,
        }
        if let Some(link) = self.links.get_mut(index as usize) {
            *link = Link { older, younger: NONE };
        }
    }

    /// An entry leaves the list that it is in.
    pub(super) fn remove(&mut self, list: usize, index: u32) {
        let link = self.links.get(index as usize).copied();
        let Some((ends, Link { older, younger })) = self.lists.get_mut(list).zip(link) else {
            return;
        };
        match self.links.get_mut(older as usize) {
            Some(link) => link.younger = younger,
            None => ends.oldest = younger,
        }
        match self.links.get_mut(younger as usize) {
            Some(link) => link.older = older,
            None => ends.youngest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As queues of which any element may be taken out.
        #[test]
        fn lists_are_queues(steps in prop::collection::vec((0usize..3, 0u32..16), 0..200)) {
            let mut ages = Ages::new(3, 16);
            let mut queues = vec![Vec::<u32>::new(); 3];
            for (list, index) in steps {
                match queues.iter().position(|queue| queue.contains(&index)) {
                    Some(list) => {
                        queues[list].retain(|other| *other != index);
                        ages.remove(list, index);
                    }
                    None => {
                        queues[list].push(index);
                        ages.push(list, index);
                    }
                }
                for (list, queue) in queues.iter().enumerate() {
                    prop_assert_eq!(ages.oldest(list), queue.first().copied());
                }
            }
        }
    }
}
