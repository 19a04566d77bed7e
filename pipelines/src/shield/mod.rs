//! The shield: keeps an RNIC's repeats of what is still on its way off the wide area.
//!
//! An RNIC repeats everything unacknowledged when its timer fires, and adaptive timers fire within
//! milliseconds: before the first acknowledgement can be there, and whenever a repair takes a round
//! trip or two. A repeat is absorbed as long as the gateway holds packets of its stream unconfirmed,
//! and, once all are confirmed, for some round trips more, counted from that and from the last
//! acknowledgement: those of what was confirmed are on their way too. Then it passes, for an
//! acknowledgement may have been lost between gateway and RNIC. What the receiving RNIC asks for (a NAK of a sequence
//! error, or not ready) passes at once.
//!
//! A repeat that passes by mistake costs bandwidth; one that is absorbed by mistake costs the RNIC's
//! next timeout. Streams that are not remembered are let through.
//!
//! Which answers belong to which requests is known from connection management, where that passed the
//! gateway; otherwise it shows when just one stream of requests has such a PSN.

mod connections;
mod requests;
mod sight;
mod table;

use std::net::IpAddr;

use dataplane::time::{MILLISECOND, Nanos, Time};

use connections::{Connections, Ends, News};
use requests::Requests;
use sight::Answer;
use table::Table;

use crate::transparent::owed::Owed;
use crate::wire::opcode::Kind;
use crate::wire::psn::Psn;
pub(crate) use requests::Carried;
pub(crate) use sight::{Found, Sight};
pub(crate) use table::{Key, Slot};

/// A stream must stand still for this many round trips, within these bounds, before repeats pass.
const QUIET_ROUNDS: Nanos = 4;
const LEAST_QUIET: Nanos = 2 * MILLISECOND;
const MOST_QUIET: Nanos = 400 * MILLISECOND;
/// Streams between two hosts that may wait at a time to be recognised by their answers.
const UNPAIRED: usize = 64;

/// Answers to the requests of one stream.
#[derive(Default)]
struct Answers {
    requests: Option<Slot>,
}

/// Streams of requests between two hosts, the newest ones.
struct Pair {
    streams: [Option<Slot>; UNPAIRED],
    oldest: usize,
}

impl Default for Pair {
    fn default() -> Self {
        Self { streams: [None; UNPAIRED], oldest: 0 }
    }
}

impl Pair {
    fn add(&mut self, slot: Slot) {
        if !self.streams.contains(&Some(slot)) {
            self.streams[self.oldest] = Some(slot);
            self.oldest = (self.oldest + 1) % UNPAIRED;
        }
    }
}

/// The streams of reliable connections that a worker carries.
pub(crate) struct Shield {
    requests: Table<Requests>,
    answers: Table<Answers>,
    pairs: Table<Pair>,
    connections: Connections,
}

impl Shield {
    /// Remembers this many streams each way; `seed` decides which of them share places.
    pub(crate) fn new(streams: u32, seed: u64) -> Self {
        Self {
            requests: Table::new(streams, seed),
            answers: Table::new(streams, seed),
            pairs: Table::new(streams / 16, seed),
            connections: Connections::new(seed),
        }
    }

    /// Whether a packet from the LAN, which would be carried as `carried`, is to be absorbed.
    /// `head` are the bytes of its first segment, with its headers where they were `found`. `rtt`:
    /// the path's round trip. `under_way_until`: when a packet was confirmed; now, if it is not and is
    /// in the replay buffer.
    #[inline]
    pub(crate) fn absorbs(
        &mut self,
        (head, found): (&[u8], &Found),
        carried: Carried,
        now: Time,
        rtt: Nanos,
        under_way_until: impl Fn(Carried) -> Time,
    ) -> bool {
        let Some(sight) = Sight::of(head, found) else { return false };
        if sight.kind() != Kind::Request {
            if is_datagram(&sight) {
                self.connect(&sight, true, now);
            }
            return false;
        }
        let Some(key) = sight.key() else { return false };
        let (slot, requests) = self.requests.value_of(&key, now);
        if requests.partner.is_none() && sight.starts() {
            self.pairs.value_of(&key.hosts(), now).1.add(slot);
        }
        let quiet = || (QUIET_ROUNDS * rtt).clamp(LEAST_QUIET, MOST_QUIET);
        requests.is_repeat(&sight, carried, now, quiet, under_way_until)
    }

    /// The path MTU of a stream of requests; 0: not known.
    pub(crate) fn pmtu(&mut self, head: &[u8], found: &Found, now: Time) -> u16 {
        let key = Sight::of(head, found).and_then(|sight| sight.key());
        let slot = key.and_then(|key| self.requests.find(&key, now));
        slot.and_then(|slot| self.requests.at(slot)).map_or(0, |(_, requests)| requests.pmtu())
    }

    /// A response came from the WAN, which acknowledges everything before `end`: where its stream
    /// of answers is, if it is known which requests they are to.
    #[inline]
    pub(crate) fn responds(
        &mut self,
        head: &[u8],
        found: &Found,
        end: Psn,
        now: Time,
    ) -> Option<Slot> {
        let sight = Sight::of(head, found)?;
        let slot = self.answered(&sight.key()?, end, Answer::Ack, now)?;
        let (_, requests) = self.requests.at(slot)?;
        requests.learn_pmtu(&sight);
        requests.partner
    }

    /// Where the answers with this key are, if anything is known of them.
    pub(crate) fn answers(&mut self, key: &Key, now: Time) -> Option<Slot> {
        self.answers.find(key, now)
    }

    /// The data that answers must bring. The place must have been found just now: another stream
    /// may take it.
    #[inline]
    pub(crate) fn owed(&mut self, answers: Slot) -> Option<&mut Owed> {
        let slot = self.answers.at(answers)?.1.requests?;
        let (_, requests) = self.requests.at(slot)?;
        (requests.partner == Some(answers)).then_some(&mut requests.owed)
    }

    /// Takes note of a packet that is given to the LAN. If it is of connection management and says
    /// that a queue pair of the far host begins anew: what packets to that are called.
    #[inline]
    pub(crate) fn delivers(&mut self, head: &[u8], found: &Found, now: Time) -> Option<Key> {
        let sight = Sight::of(head, found)?;
        if is_datagram(&sight) {
            return self.connect(&sight, false, now);
        }
        let (answer, key) = (sight.answer()?, sight.key()?);
        let end = if answer == Answer::Ack { sight.psn().plus(1) } else { sight.psn() };
        let slot = self.answered(&key, end, answer, now)?;
        let (_, requests) = self.requests.at(slot)?;
        match answer {
            Answer::Ack => {
                requests.learn_pmtu(&sight);
                requests.acknowledge(end, now);
            }
            Answer::Again => _ = requests.ask_again(end, now),
            Answer::Fatal => {}
        }
        None
    }

    /// The queue pair of `source` that talks to queue pair `dest_qp` of `destination`, in this VLAN (0:
    /// in none), if that is known and still holds: from connection management, or from answers that
    /// can be to no other requests. Looking keeps nothing from being forgotten.
    pub(crate) fn sender_qp(
        &self,
        (source, destination): (IpAddr, IpAddr),
        vlan: u16,
        dest_qp: u32,
    ) -> Option<u32> {
        self.partner_of(&Key::between((source, destination), vlan.into(), dest_qp)?)
    }

    /// The queue pair that sent this request, if that is known and still holds.
    pub(crate) fn sender_of(&self, head: &[u8], found: &Found) -> Option<u32> {
        let sight = Sight::of(head, found).filter(|sight| sight.kind() == Kind::Request)?;
        self.partner_of(&sight.key()?)
    }

    /// The queue pair that gets the answers to the requests with this key.
    fn partner_of(&self, key: &Key) -> Option<u32> {
        let slot = self.requests.peek(key)?;
        let (_, requests) = self.requests.read(slot)?;
        let (answers, back) = self.answers.read(requests.partner?)?;
        let both = back.requests == Some(slot) && answers.hosts() == key.reversed().hosts();
        both.then(|| answers.number())
    }

    /// Forgets every stream: what they say of the replay buffer holds no more.
    pub(crate) fn forget(&mut self) {
        self.requests.clear();
        self.answers.clear();
        self.pairs.clear();
        self.connections.clear();
    }

    /// Follows connection management. `leaves`: the message comes from the LAN. The requests of a
    /// connection that leave here go to its far queue pair, their answers to its near one. If the
    /// message's sender says that its queue pair begins anew: what packets to that are called.
    #[cold]
    fn connect(&mut self, sight: &Sight<'_>, leaves: bool, now: Time) -> Option<Key> {
        let (hosts, message) = sight.manages()?;
        let news = self.connections.hear(&hosts, &message, now)?;
        let out = if leaves { hosts } else { hosts.reversed() };
        let back = out.reversed();
        let keys = |ends: Ends| match leaves {
            true => (out.named(ends.receiver), back.named(ends.sender)),
            false => (out.named(ends.sender), back.named(ends.receiver)),
        };
        match news {
            News::Begins(qp) if leaves => self.answers.remove(&back.named(qp), now),
            News::Begins(qp) => self.requests.remove(&out.named(qp), now),
            News::Made(ends) => self.couple(keys(ends), ends.pmtu, now),
            News::Ended(ends) => self.part(keys(ends), now),
        }
        match news {
            News::Begins(qp) | News::Made(Ends { sender: qp, .. }) => {
                Some(hosts.reversed().named(qp))
            }
            News::Ended(_) => None,
        }
    }

    /// A connection begins: these requests have these answers.
    fn couple(&mut self, (requests, answers): (Key, Key), pmtu: u16, now: Time) {
        self.requests.remove(&requests, now);
        self.answers.remove(&answers, now);
        let (at, requests) = self.requests.value_of(&requests, now);
        let (partner, answers) = self.answers.value_of(&answers, now);
        requests.partner = Some(partner);
        requests.expect_pmtu(pmtu);
        answers.requests = Some(at);
    }

    /// A connection is over: if its queue pairs go on, it is with others.
    fn part(&mut self, (requests, answers): (Key, Key), now: Time) {
        let found = self.requests.find(&requests, now).zip(self.answers.find(&answers, now));
        let Some((at, partner)) = found else { return };
        if let Some((_, requests)) = self.requests.at(at)
            && let Some((_, answers)) = self.answers.at(partner)
            && (requests.partner, answers.requests) == (Some(partner), Some(at))
        {
            (requests.partner, answers.requests) = (None, None);
        }
    }

    /// The requests that an answer is to. Answers name their receiver's queue pair only; which
    /// stream of requests that is, shows when just one between the two hosts has such a PSN.
    #[inline]
    fn answered(&mut self, key: &Key, end: Psn, answer: Answer, now: Time) -> Option<Slot> {
        let (answers, _) = self.answers.find_or_add(key, now);
        let known = self.answers.at(answers)?.1.requests;
        if let Some(slot) = known
            && let Some((_, requests)) = self.requests.at(slot)
            && requests.partner == Some(answers)
            && (requests.covers(end.plus(u32::MAX))
                || answer == Answer::Again && requests.covers(end))
        {
            return known;
        }
        self.pair(key, answers, end, answer, now)
    }

    /// Looks for the stream of requests that answers are to. What was asked for again is granted to
    /// all that it may be: a repeat that passes needlessly does no harm.
    #[cold]
    fn pair(
        &mut self,
        key: &Key,
        answers: Slot,
        end: Psn,
        answer: Answer,
        now: Time,
    ) -> Option<Slot> {
        let hosts = key.reversed().hosts();
        let pair = self.pairs.find(&hosts, now)?;
        let streams = self.pairs.at(pair)?.1.streams;
        let mut found = None;
        let mut count = 0;
        for slot in streams.into_iter().flatten() {
            let Some((key, requests)) = self.requests.at(slot) else { continue };
            if key.hosts() != hosts || requests.partner.is_some_and(|of| of != answers) {
                continue;
            }
            if answer == Answer::Again && requests.ask_again(end, now)
                || requests.covers(end.plus(u32::MAX))
            {
                found = Some(slot);
                count += 1;
            }
        }
        let slot = found.filter(|_| count == 1)?;
        self.requests.at(slot)?.1.partner = Some(answers);
        self.answers.at(answers)?.1.requests = Some(slot);
        Some(slot)
    }
}

#[inline]
fn is_datagram(sight: &Sight<'_>) -> bool {
    sight.kind() == Kind::Datagram
}

#[cfg(test)]
mod tests;
