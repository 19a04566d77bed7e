//! The connections of an RNIC: how far each has come, and what has to be said again.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use dataplane::time::{Nanos, Time};
use pipelines::wire::cm::{Ids, MAD_LEN, Mad, Message};

use super::settings::QpSettings;
use super::timer::Agenda;
use super::work::QpNumber;

/// Power of two, times 4.096 µs, after which a datagram without an answer is repeated: a second.
pub(super) const RESPONSE_TIMEOUT: u8 = 18;
/// How often it is repeated before the connection is given up.
pub(super) const REPEATS: u8 = 15;
/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The other end accepted, or confirmed what was accepted here.
    Connected(QpNumber),
    /// The other end said no, for this reason.
    Rejected(QpNumber, u16),
    /// One of the ends said farewell.
    Disconnected(QpNumber),
    /// The other end says nothing.
    TimedOut(QpNumber),
}

/// The connections of an RNIC.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) listeners: HashMap<u64, QpSettings>,
    /// By local identifier, less one.
    pub(super) all: Vec<Connection>,
    /// By the other end's address and identifier: those that it began.
    pub(super) accepted: HashMap<(IpAddr, u32), usize>,
    pub(super) agenda: Agenda,
    pub(super) outbox: VecDeque<(IpAddr, Box<[u8; MAD_LEN]>)>,
    pub(super) events: VecDeque<ConnectionEvent>,
    /// Of datagrams, which nobody acknowledges.
    pub(super) psn: u32,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) qpn: QpNumber,
    pub(super) remote: IpAddr,
    pub(super) remote_id: u32,
    pub(super) remote_qpn: QpNumber,
    /// The PSN that it expects.
    pub(super) expects: u32,
    /// What was said last and may have to be said again.
    pub(super) said: Box<[u8; MAD_LEN]>,
    /// How often it was repeated, and when it is next.
    pub(super) repeated: u8,
    pub(super) due: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Requested,
    Replied,
    Established,
    Leaving,
    Over,
}

impl Connections {
    /// When something has to be said.
    #[inline]
    pub(super) fn next(&self) -> Option<Time> {
        self.agenda.next()
    }

    /// Whether there is something to say at once.
    #[inline]
    pub(super) fn is_silent(&self) -> bool {
        self.outbox.is_empty()
    }

    pub(super) fn add(
        &mut self,
        state: State,
        qpn: QpNumber,
        remote: IpAddr,
        expects: u32,
    ) -> usize {
        self.all.push(Connection {
            state,
            qpn,
            remote,
            remote_id: 0,
            remote_qpn: 0,
            expects,
            said: Box::new([0; MAD_LEN]),
            repeated: 0,
            due: Time::NEVER,
        });
        self.all.len() - 1
    }

    pub(super) fn ids(&self, at: usize) -> Ids {
        let remote = self.all.get(at).map_or(0, |connection| connection.remote_id);
        Ids { local: at as u32 + 1, remote }
    }

    /// Puts a message for `to` into the outbox.
    pub(super) fn send(&mut self, to: IpAddr, transaction_id: u64, message: Message<'_>) {
        let mut bytes = Box::new([0; MAD_LEN]);
        if (Mad { transaction_id, message }).write(bytes.as_mut_slice()).is_ok() {
            self.outbox.push_back((to, bytes));
        }
    }

    /// The same, and repeats it until there is an answer.
    pub(super) fn insist(&mut self, now: Time, at: usize, message: Message<'_>) {
        let Some(to) = self.all.get(at).map(|connection| connection.remote) else { return };
        self.send(to, at as u64 + 1, message);
        let (Some(connection), Some((_, said))) = (self.all.get_mut(at), self.outbox.back()) else {
            return;
        };
        connection.said.clone_from(said);
        connection.repeated = 0;
        connection.due = now.after(response_timeout());
        self.agenda.note(at as u32, connection.due);
    }

    /// Repeats what had no answer in time. Those without any are over.
    pub(super) fn wake(&mut self, now: Time) -> Option<QpNumber> {
        while let Some(at) = self.agenda.take(now) {
            let Some(connection) = self.all.get_mut(at as usize) else { continue };
            if connection.due <= now && connection.repeated == REPEATS {
                // Who left is gone even if nobody noticed.
                let event = match connection.state {
                    State::Leaving => ConnectionEvent::Disconnected(connection.qpn),
                    _ => ConnectionEvent::TimedOut(connection.qpn),
                };
                connection.due = Time::NEVER;
                connection.state = State::Over;
                self.events.push_back(event);
                return Some(connection.qpn);
            }
            if connection.due <= now {
                connection.repeated += 1;
                connection.due = now.after(response_timeout());
                self.outbox.push_back((connection.remote, connection.said.clone()));
            }
            if connection.due != Time::NEVER {
                self.agenda.note(at, connection.due);
            }
        }
        None
    }

    /// The connection with this identifier, if its other end is at `from`.
    pub(super) fn known(
        &mut self,
        local_id: u32,
        from: IpAddr,
    ) -> Option<(usize, &mut Connection)> {
        let at = (local_id as usize).checked_sub(1)?;
        let connection = self.all.get_mut(at)?;
        (connection.remote == from).then_some((at, connection))
    }
}

fn response_timeout() -> Nanos {
    4_096 << RESPONSE_TIMEOUT
}
