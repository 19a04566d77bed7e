//! Connections being made: which queue pairs will talk to each other, and with what path MTU, as
//! connection management says (InfiniBand Architecture volume 1, chapter 12).
//!
//! A request tells a queue pair of its sender, and the reply to it that of the other host. Messages
//! are repeated when they are lost; a repeat says nothing new. The tables are bounded and what was
//! not looked at for long makes room; a message concerns the two hosts only that it goes between.

use dataplane::time::Time;

use super::table::{Key, Table};
use crate::wire::cm::{Ids, Message, Rep, Req};

/// Connections that are remembered.
const ROOM: u32 = 512;
/// Transports of a request, and that of the extended ones (0 of which is reserved).
const RELIABLE: u8 = 0;
const EXTENDED: u8 = 3;
const XRC: u8 = 1;

/// What a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    qp: u32,
    first_psn: u32,
    /// Path MTU; 0: not a valid one.
    pmtu: u16,
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replied {
    /// The replying host's name for the connection.
    id: u32,
    qp: u32,
    first_psn: u32,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    asked: Asked,
    replied: Option<Replied>,
}

/// A connection, as seen from a message about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// Queue pair of the message's sender.
    pub(super) sender: u32,
    /// Queue pair of its receiver.
    pub(super) receiver: u32,
    /// Path MTU; 0: not known.
    pub(super) pmtu: u16,
}

/// What is new in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// This queue pair of the sender begins a new life; with whom is not known.
    Begins(u32),
    /// Both queue pairs begin a new life, with each other.
    Made(Ends),
    /// The connection was rejected or is over.
    Ended(Ends),
}

/// The connections that were made last.
pub(super) struct Connections {
    /// By hosts, from who asked to who was asked, and the name that the former has for it.
    made: Table<Option<Connection>>,
    /// The name of the connection that a queue pair was last used to ask for: by hosts and number.
    newest: Table<Option<u32>>,
}

impl Connections {
    /// `seed` decides which of them share places.
    pub(super) fn new(seed: u64) -> Self {
        Self { made: Table::new(ROOM, seed), newest: Table::new(ROOM, seed) }
    }

    /// Takes note of a message between `hosts`, from its sender to its receiver.
    #[cold]
    pub(super) fn hear(&mut self, hosts: &Key, message: &Message<'_>, now: Time) -> Option<News> {
        match message {
            Message::Req(req) => self.ask(hosts, req, now),
            Message::Rep(rep) => self.reply(hosts, rep, now),
            Message::Rej(rej) => self.end(hosts, rej.ids, now),
            Message::Dreq(ids, _) => self.end(hosts, *ids, now),
            Message::Rtu(_) | Message::Drep(_) | Message::Other(_) => None,
        }
    }

    /// Forgets all connections.
    pub(super) fn clear(&mut self) {
        self.made.clear();
        self.newest.clear();
    }

    fn ask(&mut self, hosts: &Key, req: &Req<'_>, now: Time) -> Option<News> {
        let qp = req.local_qpn;
        if !matches!((req.transport, req.extended_transport), (RELIABLE, _) | (EXTENDED, XRC)) {
            return Some(News::Begins(qp));
        }
        let pmtu = req.path_mtu().unwrap_or(0);
        let asked = Asked { qp, first_psn: req.starting_psn, pmtu };
        let (_, known) = self.made.value_of(&hosts.named(req.local_id), now);
        if known.is_some_and(|connection| connection.asked == asked) {
            return None;
        }
        *known = Some(Connection { asked, replied: None });
        let (_, newest) = self.newest.value_of(&hosts.named(qp), now);
        let earlier = newest.replace(req.local_id).filter(|id| *id != req.local_id);
        if let Some(key) = earlier.map(|id| hosts.named(id))
            && self.at(&key, now).is_some_and(|connection| connection.asked.qp == qp)
        {
            self.made.remove(&key, now);
        }
        Some(News::Begins(qp))
    }

    fn reply(&mut self, hosts: &Key, rep: &Rep<'_>, now: Time) -> Option<News> {
        let qp = rep.local_qpn;
        let key = hosts.reversed().named(rep.ids.remote);
        let replied = Some(Replied { id: rep.ids.local, qp, first_psn: rep.starting_psn });
        match self.at(&key, now) {
            Some(connection) if connection.replied == replied => None,
            Some(connection) if connection.replied.is_none() => {
                connection.replied = replied;
                let Asked { qp: receiver, pmtu, .. } = connection.asked;
                Some(News::Made(Ends { sender: qp, receiver, pmtu }))
            }
            // Two replies that contradict each other: neither is believed any more.
            Some(_) => {
                self.made.remove(&key, now);
                Some(News::Begins(qp))
            }
            None => Some(News::Begins(qp)),
        }
    }

    /// Either side may end a connection, by the names that both have for it. Before there was a
    /// reply, who asked knows one name only.
    fn end(&mut self, hosts: &Key, ids: Ids, now: Time) -> Option<News> {
        let by_asker = (hosts.named(ids.local), ids.remote);
        let by_replier = (hosts.reversed().named(ids.remote), ids.local);
        for ((key, other), asked) in [(by_asker, true), (by_replier, false)] {
            let Some(&mut Connection { asked: ask, replied }) = self.at(&key, now) else {
                continue;
            };
            if replied.is_some_and(|replied| replied.id != other) {
                continue;
            }
            self.made.remove(&key, now);
            let reply = replied?;
            let (sender, receiver) = if asked { (ask.qp, reply.qp) } else { (reply.qp, ask.qp) };
            return Some(News::Ended(Ends { sender, receiver, pmtu: ask.pmtu }));
        }
        None
    }

    fn at(&mut self, key: &Key, now: Time) -> Option<&mut Connection> {
        let slot = self.made.find(key, now)?;
        self.made.at(slot)?.1.as_mut()
    }
}
