//! Tenants stopped and let go on, between two gateways.
//!
//! A queue that fills at one gateway stops, at the gateway that feeds it, the same tenant's class
//! and nothing else. That one's queue fills in its turn, and speaks to its own LAN by
//! [priority flow control](crate::pfc), or in the worst case drops.
//!
//! | | |
//! | --- | --- |
//! | [`Stopper`] | the side whose queue fills: what it says, and when again |
//! | [`Stopped`] | the side that is stopped: what it believes, and for how long |
//! | [`Hold`] | something held on another's word, which [`Limits`] end |
//!
//! Messages are authenticated and numbered as all control messages are ([`crate::tunnel::control`]),
//! and get lost, late and out of order. So each says all there is to say of a tenant, under a
//! sequence of its own: only the newest counts, and hearing it again does nothing. A stop holds for
//! a lifetime and is said again three times in that; its end is said again until it was heard. If
//! the end gets lost, or the peer dies, the lifetime ends the stop; if the peer is mad, the limit
//! does.

mod hold;
mod stopped;
mod stopper;
#[cfg(test)]
mod tests;

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

pub use hold::{Ended, Hold, Limits};
pub use stopped::{Change, Heard, Stopped};
pub use stopper::{Said, Stopper, StopperSettings};

/// How a tenant is called between gateways: SipHash-2-4 of its name with a key of zero, so that it
/// does not matter in which order each lists its tenants. Two names of one gateway's must not have
/// the same: that is checked where the names are given.
#[must_use]
pub fn name(tenant: &str) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(tenant.as_bytes());
    hasher.finish()
}

/// Tenants by name.
#[derive(Debug, Clone)]
struct Names(Box<[(u64, u16)]>);

impl Names {
    fn new(names: &[u64]) -> Self {
        let mut by_name: Box<[_]> = names.iter().copied().zip(0..).collect();
        by_name.sort_unstable();
        Self(by_name)
    }

    fn index(&self, name: u64) -> Option<u16> {
        let at = self.0.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        self.0.get(at).map(|(_, index)| *index)
    }
}
