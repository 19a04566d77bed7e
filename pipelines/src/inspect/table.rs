//! The table of flows, bounded.

use std::collections::HashMap;
use std::net::IpAddr;

use super::flow::{Flow, FlowIndex, FlowKey};

/// Request flows of one direction that a response stream is matched against. Where there are more,
/// it is left open whom it answers: searching them all would take too long.
const MAX_OPPOSITE: usize = 1024;

/// All flows, by key and by direction.
#[derive(Debug)]
pub(super) struct Flows {
    limit: usize,
    list: Vec<Flow>,
    index: HashMap<FlowKey, FlowIndex, ahash::RandomState>,
    /// Flows with requests, by source, destination and VLAN.
    requesters: HashMap<(IpAddr, IpAddr, Option<u16>), Vec<FlowIndex>, ahash::RandomState>,
    /// The flow looked up last: packets of one flow come in runs.
    last: Option<(FlowKey, FlowIndex)>,
}

impl Flows {
    pub(super) fn new(limit: usize) -> Self {
        Flows {
            limit: limit.min(FlowIndex::MAX as usize),
            list: Vec::new(),
            index: HashMap::default(),
            requesters: HashMap::default(),
            last: None,
        }
    }

    /// The flow's place; it is added if there is room.
    pub(super) fn place(&mut self, key: FlowKey) -> Option<FlowIndex> {
        if let Some((last, place)) = self.last
            && last == key
        {
            return Some(place);
        }
        let place = match self.index.get(&key) {
            Some(place) => *place,
            None if self.list.len() < self.limit => {
                let place = self.list.len() as FlowIndex;
                self.list.push(Flow::new(key));
                self.index.insert(key, place);
                place
            }
            None => return None,
        };
        self.last = Some((key, place));
        Some(place)
    }

    pub(super) fn get(&self, place: FlowIndex) -> Option<&Flow> {
        self.list.get(place as usize)
    }

    pub(super) fn get_mut(&mut self, place: FlowIndex) -> Option<&mut Flow> {
        self.list.get_mut(place as usize)
    }

    pub(super) fn by_key(&self, key: &FlowKey) -> Option<&Flow> {
        self.get(*self.index.get(key)?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.list.iter()
    }

    /// Notes that requests pass in a flow.
    pub(super) fn add_requester(&mut self, place: FlowIndex) {
        if let Some(FlowKey { src, dst, vlan, .. }) = self.get(place).map(|flow| flow.key) {
            self.requesters.entry((src, dst, vlan)).or_default().push(place);
        }
    }

    /// A response passes in a flow: finds out which request flow it answers, and returns that once
    /// it is beyond doubt.
    pub(super) fn match_response(&mut self, place: FlowIndex, psn: u32) -> Option<FlowIndex> {
        let flow = self.list.get_mut(place as usize)?;
        let FlowKey { src, dst, vlan, .. } = flow.key;
        let opposite = self.requesters.get(&(dst, src, vlan)).map_or(&[][..], Vec::as_slice);
        if opposite.len() > MAX_OPPOSITE {
            return None;
        }
        // Taken out for the time of the search, in which all flows are read.
        let mut answers = std::mem::take(&mut flow.answers);
        answers.observe(psn, opposite, |index| {
            self.get(index).is_some_and(|flow| flow.sequence.covers(psn, flow.pmtu))
        });
        let answered = answers.flow();
        self.list.get_mut(place as usize)?.answers = answers;
        answered
    }
}
