//! Sessions: how two gateways find that the other started, or started again.
//!
//! Each side chooses a nonce when it starts, and says hello with it and with the nonce it last
//! heard. Hearing its own nonce back, under the MAC of the pair's key, proves that the other hello
//! is no recording; only then does the other's nonce become part of a session. A restarted gateway
//! has a new nonce, so both sides begin a new session, with new numbers, keys and tag, after one
//! and a half round trips, and packets of an earlier life are told by their tag.

use dataplane::time::{MILLISECOND, Nanos, SECOND, Time};

use crate::recovery::Rtt;
use crate::tunnel::auth::{Key, ReplayWindow};
use crate::tunnel::control::Hello;

/// Between hellos while no session is up.
const SEEKING: Nanos = 50 * MILLISECOND;
/// Between hellos of a session.
const KEEPING: Nanos = SECOND;
/// Between hellos that answer one.
const ANSWERING: Nanos = MILLISECOND;
/// A peer that is silent for this long is not there.
const SILENCE: Nanos = 5 * SECOND;
/// A longer round trip than this is no measurement.
const LONGEST_RTT: Nanos = 10 * SECOND;

/// A session's secrets, and its numbers.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) send: Key,
    pub(super) receive: Key,
    /// Tag of the packets we send.
    pub(super) send_tag: u16,
    /// Tag of those we receive.
    pub(super) receive_tag: u16,
}

/// What a hello led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing changed.
    Nothing,
    /// A session began: all numbers start at zero.
    Began,
}

/// Our half of what stands between us and one peer.
#[derive(Debug)]
pub(super) struct Session {
    pair: Key,
    nonce: u64,
    /// The other's nonce, as last heard; 0 before.
    heard: u64,
    /// The other's nonce that the session was made with; 0 before.
    agreed: u64,
    keys: Keys,
    window: ReplayWindow,
    numbers: u64,
    last_heard: Time,
    /// The other's clock in its last hello, and when that came.
    their_time: (u64, Time),
    next_hello: Time,
    last_answer: Time,
    pub(super) rtt: Rtt,
    /// The round trip that the last hello measured, if it did.
    pub(super) sample: Option<Nanos>,
}

impl Session {
    pub(super) fn new(secret: &[u8], nonce: u64, rtt: Rtt, now: Time) -> Self {
        let pair = Key::from_secret(secret);
        Self {
            pair,
            nonce: nonce.max(1),
            heard: 0,
            agreed: 0,
            keys: Keys { send: pair, receive: pair, send_tag: 0, receive_tag: 0 },
            window: ReplayWindow::default(),
            numbers: 0,
            last_heard: now,
            their_time: (0, now),
            next_hello: now,
            last_answer: Time::ZERO,
            rtt,
            sample: None,
        }
    }

    /// Whether packets can be sent in a session now.
    #[inline]
    pub(super) fn is_up(&self, now: Time) -> bool {
        self.agreed != 0 && now.since(self.last_heard) < SILENCE
    }

    /// The session's secrets; meaningless before one began.
    #[inline]
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether a received packet's tag is the session's.
    #[inline]
    pub(super) fn is_current(&self, tag: u16) -> bool {
        self.agreed != 0 && self.keys.receive_tag == tag
    }

    /// The key of hellos.
    pub(super) fn pair_key(&self) -> Key {
        self.pair
    }

    /// The number of the next control message.
    pub(super) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Takes note of an authentic numbered message; `false` if it is a replay.
    pub(super) fn accept(&mut self, number: u64, now: Time) -> bool {
        let fresh = self.window.accept(number);
        if fresh {
            self.last_heard = now;
        }
        fresh
    }

    /// When the next hello is to be sent.
    pub(super) fn hello_due(&self) -> Time {
        self.next_hello
    }

    /// The hello to send now; the next one is due later.
    pub(super) fn hello(&mut self, channels: u8, lanes: u32, now: Time) -> Hello {
        self.next_hello = now.after(if self.is_up(now) { KEEPING } else { SEEKING });
        let (time, came) = self.their_time;
        let echoed_time = if time == 0 { 0 } else { time.saturating_add(now.since(came)) };
        Hello { nonce: self.nonce, echo: self.heard, time: now.0, echoed_time, channels, lanes }
    }

    /// Takes in an authentic hello. It may be a recording of an old one; such a one changes
    /// nothing but the nonce that we echo, and the true one follows.
    pub(super) fn take(&mut self, hello: &Hello, now: Time) -> Outcome {
        self.sample = None;
        if hello.nonce == self.nonce || hello.nonce == 0 {
            return Outcome::Nothing; // our own, reflected
        }
        if hello.echo != self.nonce {
            self.heard = hello.nonce;
            self.answer_soon(now);
            return Outcome::Nothing;
        }
        self.heard = hello.nonce;
        self.their_time = (hello.time, now);
        self.last_heard = now;
        let sample = now.0.wrapping_sub(hello.echoed_time);
        self.sample = (hello.echoed_time != 0 && sample < LONGEST_RTT).then_some(sample);
        self.sample.into_iter().for_each(|sample| self.rtt.sample(sample));
        if self.agreed == hello.nonce {
            return Outcome::Nothing;
        }
        self.begin(hello.nonce);
        self.answer_soon(now);
        Outcome::Began
    }

    /// A session without an exchange: with nonces both sides can know. For offline runs, in which
    /// the other side is not there to answer; never for a live gateway.
    pub(super) fn assume(&mut self, mine: u64, theirs: u64) {
        self.nonce = mine;
        self.begin(theirs);
        self.last_heard = Time::NEVER;
    }

    fn begin(&mut self, theirs: u64) {
        self.agreed = theirs;
        let (send, receive) =
            (self.pair.session(self.nonce, theirs), self.pair.session(theirs, self.nonce));
        self.keys = Keys { send, receive, send_tag: send.tag(), receive_tag: receive.tag() };
        self.window = ReplayWindow::default();
        self.numbers = 0;
    }

    /// A hello that needs an answer came. Recordings played at us cannot make us talk more than
    /// once a millisecond.
    fn answer_soon(&mut self, now: Time) {
        self.next_hello = self.next_hello.min(now.max(self.last_answer.after(ANSWERING)));
        self.last_answer = self.next_hello;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(nonce: u64) -> Session {
        Session::new(b"0123456789abcdef", nonce, Rtt::assumed(MILLISECOND), Time::ZERO)
    }

    /// Exchanges hellos until both are silent; returns how many sessions began on either side.
    fn talk(a: &mut Session, b: &mut Session, mut now: Time) -> (u32, u32) {
        let mut began = (0, 0);
        for _ in 0..6 {
            now = now.after(SEEKING);
            let hello = a.hello(1, 1, now);
            began.1 += u32::from(b.take(&hello, now.after(MILLISECOND)) == Outcome::Began);
            let hello = b.hello(1, 1, now.after(2 * MILLISECOND));
            began.0 += u32::from(a.take(&hello, now.after(3 * MILLISECOND)) == Outcome::Began);
        }
        began
    }

    #[test]
    fn two_gateways_agree_and_mark_their_packets_alike() {
        let (mut a, mut b) = (session(1), session(2));
        assert!(!a.is_up(Time::ZERO) && !a.is_current(0));
        assert_eq!(talk(&mut a, &mut b, Time::ZERO), (1, 1));
        assert!(a.is_current(b.keys().send_tag) && b.is_current(a.keys().send_tag));
        let mac = a.keys().send.mac(&[b"text"]);
        assert!(b.keys().receive.verify(&[b"text"], &mac));
        assert_eq!(a.rtt.smoothed(), 2 * MILLISECOND);
        let later = Time(a.last_heard.0 + SILENCE);
        assert!(a.is_up(a.last_heard) && !a.is_up(later));
    }

    #[test]
    fn a_restart_begins_a_new_session_on_both_sides() {
        let (mut a, mut b) = (session(1), session(2));
        talk(&mut a, &mut b, Time::ZERO);
        let (number, old) = (b.next_number(), b.keys().send_tag);
        assert!(a.accept(number, Time(SECOND)) && !a.accept(number, Time(SECOND)));
        let mut b = session(3);
        assert_eq!(talk(&mut a, &mut b, Time(SECOND)), (1, 1));
        assert!(a.is_current(b.keys().send_tag) && !a.is_current(old));
        assert!(a.accept(1, Time(SECOND)), "numbers begin again under the new key");
    }

    #[test]
    fn a_recording_does_not_begin_a_session() {
        let (mut a, mut b) = (session(1), session(2));
        let recorded = b.hello(1, 1, Time(5));
        talk(&mut a, &mut b, Time::ZERO);
        let mut b = session(3);
        talk(&mut a, &mut b, Time(SECOND));
        let tag = a.keys().receive_tag;
        for _ in 0..100 {
            assert_eq!(a.take(&recorded, Time(2 * SECOND)), Outcome::Nothing);
        }
        assert!(a.is_current(tag));
        assert_eq!(talk(&mut a, &mut b, Time(2 * SECOND)), (0, 0));
        let mine = a.hello(1, 1, Time(3 * SECOND));
        assert_eq!(a.take(&mine, Time(3 * SECOND)), Outcome::Nothing);
    }

    #[test]
    fn assumed_sessions_agree() {
        let (mut a, mut b) = (session(1), session(2));
        a.assume(10, 20);
        b.assume(20, 10);
        assert!(a.is_up(Time(SECOND * 1_000)) && b.is_current(a.keys().send_tag));
    }

    #[test]
    fn answers_are_rationed() {
        let (mut a, mut b) = (session(1), session(2));
        talk(&mut a, &mut b, Time::ZERO);
        let stranger = session(9).hello(1, 1, Time::ZERO);
        let mut answers = 0;
        for now in (SECOND..SECOND + 10 * MILLISECOND).step_by(10_000) {
            a.take(&stranger, Time(now));
            if a.hello_due() <= Time(now) {
                a.hello(1, 1, Time(now));
                answers += 1;
            }
        }
        assert!((1..=11).contains(&answers), "{answers}");
    }
}
