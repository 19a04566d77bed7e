//! What each tenant has of some memory.

/// One tenant's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Bytes it has now.
    pub bytes: u64,
    /// The most it ever had.
    pub high_water: u64,
    /// The most it may have.
    pub limit: u64,
    /// What it went without because of that: packets not kept, or not waited for.
    pub refused: u64,
}

/// The parts of all tenants, by their number; none where no tenants are told apart, and then
/// everything here is a comparison.
#[derive(Debug, Clone, Default)]
pub struct Shares(Box<[Share]>);

impl Shares {
    /// A part for each limit; `None` is no limit.
    pub fn new(limits: impl Iterator<Item = Option<u64>>) -> Self {
        let share = |limit: Option<u64>| Share {
            bytes: 0,
            high_water: 0,
            limit: limit.unwrap_or(u64::MAX),
            refused: 0,
        };
        Self(limits.map(share).collect())
    }

    /// Whether no tenants are told apart.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many tenants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A tenant's part.
    #[must_use]
    pub fn of(&self, tenant: u16) -> Option<&Share> {
        self.0.get(usize::from(tenant))
    }

    /// Whether a tenant may have so many bytes more.
    #[inline]
    #[must_use]
    pub fn fits(&self, tenant: u16, bytes: u64) -> bool {
        self.of(tenant).is_none_or(|share| share.bytes + bytes <= share.limit)
    }

    /// A tenant has so many bytes more.
    #[inline]
    pub fn add(&mut self, tenant: u16, bytes: u64) {
        self.charge(tenant, bytes);
        self.note(tenant);
    }

    /// A tenant has so many bytes more, for which it has yet to make room.
    #[inline]
    pub fn charge(&mut self, tenant: u16, bytes: u64) {
        if let Some(share) = self.0.get_mut(usize::from(tenant)) {
            share.bytes += bytes;
        }
    }

    /// Takes note of what a tenant has.
    #[inline]
    pub fn note(&mut self, tenant: u16) {
        if let Some(share) = self.0.get_mut(usize::from(tenant)) {
            share.high_water = share.high_water.max(share.bytes);
        }
    }

    /// A tenant has so many bytes less, all of which it had.
    #[inline]
    pub fn remove(&mut self, tenant: u16, bytes: u64) {
        if let Some(share) = self.0.get_mut(usize::from(tenant)) {
            share.bytes -= bytes;
        }
    }

    /// A tenant goes without `count` packets more.
    #[cold]
    pub fn refuse(&mut self, tenant: u16, count: u64) {
        if let Some(share) = self.0.get_mut(usize::from(tenant)) {
            share.refused += count;
        }
    }

    /// All tenants let go of everything.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(|share| share.bytes = 0);
    }

    /// Bytes of all together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|share| share.bytes).sum()
    }
}
