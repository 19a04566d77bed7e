//! Who is served next: the tenants that have something, one after the other, each as much a turn as
//! its weight says (deficit round robin: Shreedhar and Varghese, 1996).
//!
//! A tenant takes part once a level, as a *flow*: [`flow`]. Flows are linked through an array, so
//! that whatever happens costs the same among four and among four thousand.

/// Levels: all flows of the first are served before any of the next.
pub(super) const LEVELS: usize = 2;
/// Signalling.
pub(super) const FIRST: usize = 0;

/// No flow.
const NONE: u32 = u32::MAX;

/// The flow of a tenant at a level.
#[inline]
pub(super) const fn flow(tenant: u16, level: usize) -> u32 {
    tenant as u32 * LEVELS as u32 + level as u32
}

/// The tenant and the level of a flow.
#[inline]
pub(super) const fn parts(flow: u32) -> (u16, usize) {
    ((flow / LEVELS as u32) as u16, flow as usize % LEVELS)
}

/// What a flow is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It has nothing that may leave.
    Idle,
    /// It is in its level's ring.
    Active,
    /// It has no credit; a timer brings it back.
    Waiting,
}

/// A flow's place.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Bytes it may still send in this turn; kept for its next one if its packet is longer.
    deficit: u32,
    next: u32,
    state: State,
    /// Whether its turn has begun.
    begun: bool,
}

/// The rings of all levels.
#[derive(Debug)]
pub(super) struct Rings {
    places: Box<[Place]>,
    heads: [u32; LEVELS],
    tails: [u32; LEVELS],
}

impl Rings {
    /// Rings for so many tenants, all idle.
    pub(super) fn new(tenants: usize) -> Self {
        let idle = Place { deficit: 0, next: NONE, state: State::Idle, begun: false };
        Self {
            places: vec![idle; tenants * LEVELS].into(),
            heads: [NONE; LEVELS],
            tails: [NONE; LEVELS],
        }
    }

    pub(super) fn state(&self, flow: u32) -> State {
        self.places[flow as usize].state
    }

    /// Whose turn it is.
    #[inline]
    pub(super) fn front(&self, level: usize) -> Option<u32> {
        Some(self.heads[level]).filter(|flow| *flow != NONE)
    }

    /// Whether nobody is active.
    pub(super) fn is_empty(&self) -> bool {
        self.heads == [NONE; LEVELS]
    }

    /// A flow that is not active becomes it, behind all others.
    #[inline]
    pub(super) fn activate(&mut self, flow: u32) {
        self.places[flow as usize].state = State::Active;
        self.append(flow);
    }

    /// Whether the flow whose turn it is may send `bytes`. Its turn begins with `quantum` more; if
    /// that is not enough either, the turn is the next one's.
    #[inline]
    pub(super) fn may_send(&mut self, level: usize, bytes: u32, quantum: u32) -> bool {
        let Some(flow) = self.front(level) else { return false };
        let place = &mut self.places[flow as usize];
        if !place.begun {
            place.begun = true;
            place.deficit = place.deficit.saturating_add(quantum);
        }
        if bytes <= place.deficit {
            return true;
        }
        place.begun = false;
        self.unlink_front(level);
        self.append(flow);
        false
    }

    /// The flow whose turn it is sends `bytes`.
    #[inline]
    pub(super) fn sent(&mut self, level: usize, bytes: u32) {
        if let Some(flow) = self.front(level) {
            let place = &mut self.places[flow as usize];
            place.deficit = place.deficit.saturating_sub(bytes);
        }
    }

    /// The flow whose turn it is leaves the ring, and what it did not use is lost: a flow cannot
    /// save for later.
    #[inline]
    pub(super) fn leave(&mut self, level: usize, state: State) {
        if let Some(flow) = self.unlink_front(level) {
            let place = &mut self.places[flow as usize];
            (place.state, place.deficit, place.begun) = (state, 0, false);
        }
    }

    /// A flow that is not active changes what it waits for.
    pub(super) fn rest(&mut self, flow: u32, state: State) {
        self.places[flow as usize].state = state;
    }

    #[inline]
    fn unlink_front(&mut self, level: usize) -> Option<u32> {
        let flow = self.front(level)?;
        self.heads[level] = self.places[flow as usize].next;
        Some(flow)
    }

    #[inline]
    fn append(&mut self, flow: u32) {
        let (_, level) = parts(flow);
        self.places[flow as usize].next = NONE;
        if self.heads[level] == NONE {
            self.heads[level] = flow;
        } else {
            self.places[self.tails[level] as usize].next = flow;
        }
        self.tails[level] = flow;
    }
}
