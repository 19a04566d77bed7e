//! The Ethernet addresses of next hops: asked for until somebody answers, and again from time to
//! time.

use std::net::IpAddr;

use dataplane::time::{Nanos, SECOND, Time};

use crate::gateway::Mac;

/// Between questions that nobody answers.
const RETRY: Nanos = SECOND;
/// A known neighbour is asked again so long after it was last heard.
const REFRESH: Nanos = 30 * SECOND;
/// Questions of one refresh: who does not answer these has until the next.
const TRIES: u32 = 3;

/// A neighbour does not change more often: who says so too fast is not believed.
const LOCKED: Nanos = SECOND;

/// A neighbour, as it is known at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The port it is at, an index into the gateway's ports.
    pub port: usize,
    /// Its IP address.
    pub address: IpAddr,
    /// Its Ethernet address, once it answered.
    pub mac: Option<Mac>,
    /// How long ago it was last heard, in nanoseconds; `None` if never.
    pub age: Option<Nanos>,
    /// Questions that were not answered before the next.
    pub unanswered: u64,
    /// How often another Ethernet address took the place of the one before.
    pub changes: u64,
}

/// A question to be sent: who has `address`, at `port`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The port.
    pub port: usize,
    /// The address.
    pub address: IpAddr,
}

/// What hearing of a station led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is no neighbour that we want.
    Stranger,
    /// It is one, and where we thought.
    Known,
    /// This neighbour, by its index, has an Ethernet address now, or another one.
    New(usize),
}

#[derive(Debug)]
struct Entry {
    known: Neighbour,
    heard: Time,
    /// When its Ethernet address last became known, or another.
    changed: Time,
    /// When the next question is due.
    due: Time,
    /// Questions since it was last heard.
    tries: u32,
}

/// All neighbours that a gateway wants to know: as many as it has next hops, and never more.
#[derive(Debug, Default)]
pub struct Neighbours(Vec<Entry>);

impl Neighbours {
    /// The index of the neighbour `address` at `port`, which is wanted from now on.
    pub fn want(&mut self, port: usize, address: IpAddr, now: Time) -> usize {
        if let Some(index) = self.find(port, address) {
            return index;
        }
        let known = Neighbour { port, address, mac: None, age: None, unanswered: 0, changes: 0 };
        self.0.push(Entry { known, heard: now, changed: now, due: now, tries: 0 });
        self.0.len() - 1
    }

    fn find(&self, port: usize, address: IpAddr) -> Option<usize> {
        let mut entries = self.0.iter();
        entries.position(|entry| (entry.known.port, entry.known.address) == (port, address))
    }

    /// The station `mac` at `port` says that it has `address`; if that was another's, `replaces`
    /// tells whether it takes its place.
    pub fn hear(
        &mut self,
        port: usize,
        address: IpAddr,
        mac: Mac,
        replaces: bool,
        now: Time,
    ) -> Heard {
        let Some(index) = self.find(port, address) else { return Heard::Stranger };
        let Some(entry) = self.0.get_mut(index) else { return Heard::Stranger };
        let before = entry.known.mac;
        let changes = before.is_some_and(|before| before != mac);
        if changes && (!replaces || now.since(entry.changed) < LOCKED) {
            return Heard::Known;
        }
        (entry.heard, entry.due, entry.tries) = (now, now.after(REFRESH), 0);
        entry.known.mac = Some(mac);
        entry.known.changes += u64::from(changes);
        if before == Some(mac) {
            return Heard::Known;
        }
        entry.changed = now;
        Heard::New(index)
    }

    /// When the next question is due; [`Time::NEVER`] if no neighbour is wanted.
    #[must_use]
    pub fn due(&self) -> Time {
        self.0.iter().map(|entry| entry.due).min().unwrap_or(Time::NEVER)
    }

    /// A question that is due at `now`, to be sent; the next to the same neighbour is due later.
    pub fn ask(&mut self, now: Time) -> Option<Ask> {
        let entry = self.0.iter_mut().find(|entry| entry.due <= now)?;
        entry.known.unanswered += u64::from(entry.tries > 0);
        // What is known is kept: a hop that does not answer may still forward.
        let rests = entry.known.mac.is_some() && entry.tries >= TRIES;
        if rests {
            entry.tries = 0;
            entry.due = now.after(REFRESH);
            return self.ask(now);
        }
        entry.tries += 1;
        entry.due = now.after(RETRY);
        Some(Ask { port: entry.known.port, address: entry.known.address })
    }

    /// All of them, in the order they were first wanted.
    pub fn report(&self, now: Time) -> impl Iterator<Item = Neighbour> + '_ {
        self.0.iter().map(move |entry| {
            let age = entry.known.mac.map(|_| now.since(entry.heard));
            Neighbour { age, ..entry.known }
        })
    }
}
