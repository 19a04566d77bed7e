//! Sessions against the clauses of RFC 5880, and pairs of them joined by a channel.

use std::collections::VecDeque;

use dataplane::time::{MICROSECOND, MILLISECOND, Nanos, SECOND, Time};
use proptest::prelude::*;

use super::packet::{Control, Diagnostic, State};
use super::session::{Change, Intervals, SLOW, Session};

const OURS: u32 = 77;
const THEIRS: u32 = 4_711;

fn intervals(milliseconds: u32, detect_mult: u8) -> Intervals {
    let micros = milliseconds * 1_000;
    Intervals { desired_min_tx: micros, required_min_rx: micros, detect_mult }
}

fn session() -> Session {
    Session::new(intervals(10, 3), OURS, 1, Time::ZERO)
}

/// What the other side would say in `state`, with intervals of 20 ms.
fn said(state: State) -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        detect_mult: 4,
        mine: THEIRS,
        yours: if state > State::Down { OURS } else { 0 },
        desired_min_tx: 20_000,
        required_min_rx: 20_000,
        required_min_echo: 0,
    }
}

fn drain(session: &mut Session, now: Time) -> Vec<Control> {
    std::iter::from_fn(|| session.transmit(now)).take(8).collect()
}

/// A session that is up since `now`, whose poll is answered.
fn up(now: Time) -> Session {
    let mut session = session();
    session.receive(&said(State::Down), now);
    let change = session.receive(&said(State::Init), now);
    assert_eq!(change, Some(Change { from: State::Init, to: State::Up }));
    session.receive(&Control { is_final: true, ..said(State::Up) }, now);
    drain(&mut session, now);
    session
}

#[test]
fn section_6_8_6_states_follow_the_machine_of_6_2() {
    use State::{AdminDown, Down, Init, Up};
    // Ours, what is received, ours then.
    let table = [
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
        (AdminDown, Down, AdminDown),
        (AdminDown, Init, AdminDown),
        (AdminDown, Up, AdminDown),
    ];
    for (from, received, to) in table {
        let mut session = session();
        match from {
            Down => {}
            Init => drop(session.receive(&said(Down), Time::ZERO)),
            Up => session = up(Time::ZERO),
            AdminDown => drop(session.administer(true)),
        }
        assert_eq!(session.state(), from);
        let change = session.receive(&said(received), Time(MILLISECOND));
        assert_eq!(session.state(), to, "{from:?}, {received:?}");
        assert_eq!(change, (from != to).then_some(Change { from, to }));
        if from == Up && to == Down {
            assert_eq!(session.diagnostic(), Diagnostic::NEIGHBOR);
        }
    }
}

#[test]
fn section_6_8_6_another_sessions_packet_changes_nothing() {
    let mut session = up(Time::ZERO);
    let (due, before) = (session.due(), format!("{session:?}"));
    for yours in [OURS + 1, u32::MAX] {
        let stranger = Control { yours, poll: true, ..said(State::Down) };
        assert_eq!(session.receive(&stranger, Time(MILLISECOND)), None);
    }
    assert_eq!((session.due(), format!("{session:?}")), (due, before));
}

#[test]
fn section_6_8_3_nothing_is_faster_than_a_second_while_not_up() {
    let mut session = session();
    let mut sent = Vec::new();
    for ms in 0..10_000 {
        sent.extend(drain(&mut session, Time(ms * MILLISECOND)).iter().map(|packet| {
            assert_eq!((packet.desired_min_tx, packet.state), (SLOW, State::Down));
            ms
        }));
    }
    assert!((10..=14).contains(&sent.len()), "{sent:?}");
    assert!(sent.windows(2).all(|two| (750..=1_000).contains(&(two[1] - two[0]))), "{sent:?}");
}

#[test]
fn section_6_8_4_detection_time_is_theirs_times_the_slower_interval() {
    let mut session = up(Time(SECOND));
    assert_eq!(session.detection_time(), 4 * 20 * MILLISECOND);
    let last = Time(SECOND + 80 * MILLISECOND);
    assert_eq!(session.expire(Time(last.0 - 1)), None);
    assert_eq!(session.expire(last), Some(Change { from: State::Up, to: State::Down }));
    assert_eq!(session.diagnostic(), Diagnostic::EXPIRED);
    // Section 6.8.1: the other side's discriminator is forgotten.
    let packets = drain(&mut session, last);
    let [packet] = packets[..] else { panic!("{packets:?}") };
    assert_eq!((packet.yours, packet.state, packet.desired_min_tx), (0, State::Down, SLOW));
    assert_eq!(packet.diagnostic, Diagnostic::EXPIRED);
}

#[test]
fn section_6_8_2_the_slower_of_both_sides_sets_the_pace() {
    let mut session = up(Time::ZERO);
    assert_eq!(session.interval(), 20 * MILLISECOND);
    let slow = Control { required_min_rx: 50_000, ..said(State::Up) };
    session.receive(&slow, Time(1));
    assert_eq!(session.interval(), 50 * MILLISECOND);
    let fast = Control { required_min_rx: 5_000, ..said(State::Up) };
    session.receive(&fast, Time(2));
    assert_eq!(session.interval(), 10 * MILLISECOND);
    // Section 6.8.3: a shorter interval counts from the packet before.
    assert!(session.due() <= Time(10 * MILLISECOND), "{:?}", session.due());
}

#[test]
fn section_6_8_7_who_takes_no_packets_is_sent_none_but_answers() {
    let mut session = up(Time::ZERO);
    let none = Control { required_min_rx: 0, ..said(State::Up) };
    session.receive(&none, Time(1));
    assert_eq!(drain(&mut session, Time(SECOND)), []);
    session.receive(&Control { poll: true, ..none }, Time(2));
    assert_eq!(drain(&mut session, Time(SECOND)).len(), 1);
}

#[test]
fn section_6_8_7_demand_of_the_other_side_ends_periodic_packets() {
    let mut session = up(Time::ZERO);
    session.receive(&Control { demand: true, ..said(State::Up) }, Time(1));
    assert_eq!(drain(&mut session, Time(SECOND)), []);
    session.retune(intervals(30, 3));
    let polls = drain(&mut session, Time(SECOND));
    assert!(polls.len() == 1 && polls[0].poll, "a poll is sent all the same: {polls:?}");
}

#[test]
fn section_6_5_a_poll_is_answered_at_once_and_never_with_a_poll() {
    let mut session = up(Time::ZERO);
    session.retune(intervals(30, 3));
    session.receive(&Control { poll: true, ..said(State::Up) }, Time(1));
    assert_eq!(session.due(), Time::ZERO);
    let answer = session.transmit(Time(1)).expect("an answer");
    assert!(answer.is_final && !answer.poll);
    // What says both P and F is no poll.
    session.receive(&Control { poll: true, is_final: true, ..said(State::Up) }, Time(2));
    assert!(drain(&mut session, Time(2)).iter().all(|packet| !packet.is_final));
}

#[test]
fn section_6_8_3_slower_packets_wait_for_the_end_of_the_poll() {
    let mut session = up(Time::ZERO);
    session.receive(&Control { required_min_rx: 1, ..said(State::Up) }, Time(1));
    session.retune(intervals(40, 3));
    assert_eq!(session.interval(), 10 * MILLISECOND, "not before the other side knows");
    let polls = drain(&mut session, Time(10 * MILLISECOND));
    assert!(polls.iter().all(|packet| packet.poll && packet.desired_min_tx == 40_000));
    assert_eq!(polls.len(), 1);
    session.receive(&Control { is_final: true, required_min_rx: 1, ..said(State::Up) }, Time(2));
    assert_eq!(session.interval(), 40 * MILLISECOND);
    let after = drain(&mut session, Time(SECOND));
    assert!(after.iter().all(|packet| !packet.poll), "{after:?}");
}

#[test]
fn section_6_8_3_less_patience_waits_for_the_end_of_the_poll() {
    let mut session = up(Time::ZERO);
    let quick = Control { desired_min_tx: 1_000, ..said(State::Up) };
    session.receive(&quick, Time(1));
    assert_eq!(session.detection_time(), 4 * 10 * MILLISECOND);
    session.retune(Intervals { required_min_rx: 2_000, ..intervals(10, 3) });
    assert_eq!(session.detection_time(), 4 * 10 * MILLISECOND);
    session.receive(&Control { is_final: true, ..quick }, Time(2));
    assert_eq!(session.detection_time(), 4 * 2 * MILLISECOND);
    session.retune(Intervals { required_min_rx: 30_000, ..intervals(10, 3) });
    assert_eq!(session.detection_time(), 4 * 30 * MILLISECOND, "more patience counts at once");
}

#[test]
fn section_6_5_an_answer_to_what_was_said_before_ends_no_later_poll() {
    let mut session = up(Time::ZERO);
    session.retune(intervals(40, 3));
    session.retune(intervals(50, 3));
    session.receive(&Control { is_final: true, ..said(State::Up) }, Time(1));
    let again = drain(&mut session, Time(SECOND));
    assert!(again.iter().all(|packet| packet.poll) && !again.is_empty());
    session.receive(&Control { is_final: true, ..said(State::Up) }, Time(2));
    assert_eq!(session.interval(), 50 * MILLISECOND);
}

#[test]
fn section_6_8_7_jitter_takes_up_to_a_quarter_and_a_tenth_with_multiplier_1() {
    for (mult, range) in [(1, 750..=900), (2, 750..=1_000), (3, 750..=1_000)] {
        let mut session = Session::new(intervals(10, mult), OURS, 9, Time::ZERO);
        let mut gaps = Vec::new();
        let mut last = Time::ZERO;
        drain(&mut session, last);
        for _ in 0..1_000 {
            let now = session.due();
            assert_eq!(drain(&mut session, now).len(), 1);
            gaps.push(now.since(last) / MILLISECOND);
            last = now;
        }
        assert!(gaps.iter().all(|gap| range.contains(gap)), "{mult}: {gaps:?}");
        let (least, most) = (gaps.iter().min(), gaps.iter().max());
        assert!(least < Some(&760) && most > Some(&890), "{mult}: {least:?} to {most:?}");
    }
}

#[test]
fn section_6_8_16_held_down_by_its_owner_it_says_so_and_does_not_listen() {
    let mut session = up(Time::ZERO);
    assert!(session.administer(true).is_some() && session.administer(true).is_none());
    let packets = drain(&mut session, Time(1));
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].state, State::AdminDown);
    assert_eq!(packets[0].diagnostic, Diagnostic::ADMINISTRATIVE);
    assert_eq!(session.receive(&said(State::Down), Time(2)), None);
    assert!(session.administer(false).is_some());
    assert_eq!(session.state(), State::Down);
}

/// Two sessions and what is under way between them.
struct Pair {
    sessions: [Session; 2],
    under_way: [VecDeque<(Time, Control)>; 2],
    now: Time,
    delay: Nanos,
    /// Of a thousand packets.
    loss: u64,
    random: u64,
    /// When either went to which state.
    changes: Vec<(Time, usize, State)>,
    sent: usize,
}

impl Pair {
    fn new(interval: u32, mult: u8, seed: u64) -> Self {
        let session = |side: u64| {
            let wanted = intervals(interval, mult);
            Session::new(wanted, 100 + side as u32, seed ^ side, Time::ZERO)
        };
        Self {
            sessions: [session(1), session(2)],
            under_way: [VecDeque::new(), VecDeque::new()],
            now: Time::ZERO,
            delay: 2 * MILLISECOND,
            loss: 0,
            random: seed | 1,
            changes: Vec::new(),
            sent: 0,
        }
    }

    fn is_lost(&mut self) -> bool {
        // Xorshift64.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) % 1_000 < self.loss
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let arrivals = self.under_way.iter().filter_map(|way| way.front().map(|at| at.0));
            let due = self.sessions.iter().map(Session::due).chain(arrivals).min();
            let next = due.unwrap_or(end).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            for side in 0..2 {
                self.work(side);
            }
        }
    }

    fn work(&mut self, side: usize) {
        let now = self.now;
        let mut changes = Vec::new();
        while let Some((_, packet)) = self.under_way[side].pop_front_if(|at| at.0 <= now) {
            let read = Control::read(&packet.bytes().expect("fits")).expect("well-formed");
            changes.extend(self.sessions[side].receive(&read, now));
        }
        changes.extend(self.sessions[side].expire(now));
        self.changes.extend(changes.iter().map(|change| (now, side, change.to)));
        while let Some(packet) = self.sessions[side].transmit(now) {
            self.sent += 1;
            if !self.is_lost() {
                self.under_way[1 - side].push_back((now.after(self.delay), packet));
            }
        }
    }

    fn are_up(&self) -> bool {
        self.sessions.iter().all(|session| session.state() == State::Up)
    }
}

#[test]
fn two_sessions_come_up_within_a_few_round_trips_and_agree_on_the_pace() {
    let mut pair = Pair::new(10, 3, 1);
    pair.run_until(Time(20 * MILLISECOND));
    assert!(pair.are_up(), "{:?}", pair.changes);
    for session in &pair.sessions {
        assert_eq!(session.interval(), 10 * MILLISECOND);
        assert_eq!(session.detection_time(), 30 * MILLISECOND);
    }
    let before = pair.sent;
    pair.run_until(Time(1_020 * MILLISECOND));
    // Two sides, 10 ms less an eighth.
    assert!((200..=270).contains(&(pair.sent - before)), "{}", pair.sent - before);
}

#[test]
fn a_cut_is_detected_in_multiplier_times_interval_and_healed() {
    for (interval, mult) in [(10, 3), (10, 5), (50, 3), (3, 1)] {
        let mut pair = Pair::new(interval, mult, 3);
        pair.run_until(Time(SECOND));
        assert!(pair.are_up());
        pair.changes.clear();
        pair.loss = 1_000;
        let detection = u64::from(mult) * u64::from(interval) * MILLISECOND;
        pair.run_until(Time(SECOND + pair.delay + detection));
        assert_eq!(pair.changes.len(), 2, "{:?}", pair.changes);
        for &(at, _, state) in &pair.changes {
            let quickest = detection - u64::from(interval) * MILLISECOND;
            assert!(at.since(Time(SECOND)) >= quickest && state == State::Down);
        }
        pair.loss = 0;
        // Down, packets leave once a second.
        pair.run_until(pair.now.after(1_100 * MILLISECOND));
        assert!(pair.are_up());
    }
}

#[test]
fn what_one_side_hears_no_more_both_know() {
    let mut pair = Pair::new(10, 3, 4);
    pair.run_until(Time(SECOND));
    pair.changes.clear();
    // Side 0 hears nothing from now on; side 1 hears that.
    while pair.now < Time(SECOND + 50 * MILLISECOND) {
        pair.under_way[0].clear();
        pair.run_until(pair.now.after(MILLISECOND));
    }
    assert_eq!(pair.sessions[0].diagnostic(), Diagnostic::EXPIRED);
    assert_eq!(pair.sessions[1].diagnostic(), Diagnostic::NEIGHBOR);
    assert_eq!(pair.changes.len(), 2, "{:?}", pair.changes);
}

#[test]
fn one_packet_in_ten_lost_takes_no_session_down_with_multiplier_5() {
    let lossy = |mult, seed| {
        let mut pair = Pair::new(10, mult, seed);
        pair.loss = 100;
        pair.run_until(Time(5 * SECOND));
        let came_up = pair.are_up();
        pair.changes.clear();
        pair.run_until(Time(15 * SECOND));
        (came_up, pair.changes.len())
    };
    assert!((1..=8).all(|seed| lossy(5, seed) == (true, 0)));
    // The channel does lose: a multiplier of 1 shows it.
    assert!((1..=8).all(|seed| lossy(1, seed).1 > 10));
}

/// Any packet that is not of this pair's session.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::vec(any::<u8>(), 24..32);
    fields.prop_map(|mut bytes| {
        bytes[0] = 0x20 | bytes[0] & 0x1f;
        bytes[3] = 24;
        // Sessions are named 101 and 102; 0 would be a session's first packet.
        bytes[8] |= 1;
        bytes
    })
}

proptest! {
    #[test]
    fn hostile_packets_do_nothing(packets in prop::collection::vec(hostile(), 1..50)) {
        let mut pair = Pair::new(10, 3, 5);
        pair.run_until(Time(SECOND));
        pair.changes.clear();
        let sent = pair.sent;
        for bytes in &packets {
            if let Ok(packet) = Control::read(bytes) {
                prop_assert_eq!(pair.sessions[0].receive(&packet, pair.now), None);
            }
            pair.run_until(pair.now.after(100 * MICROSECOND));
        }
        prop_assert!(pair.are_up() && pair.changes.is_empty());
        prop_assert!(pair.sent - sent <= 4, "they are not answered: {}", pair.sent - sent);
    }

    #[test]
    fn whatever_is_said_time_goes_on_and_answers_are_bounded(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 24), 1..60),
    ) {
        let mut session = session();
        let mut now = Time::ZERO;
        for mut bytes in packets {
            (bytes[0], bytes[3]) = (0x20 | bytes[0] & 0x1f, 24);
            let to_us = bytes[4] & 1 == 0;
            let yours = if to_us { OURS.to_be_bytes() } else { [0; 4] };
            bytes[8..12].copy_from_slice(&yours);
            if let Ok(packet) = Control::read(&bytes) {
                session.receive(&packet, now);
                prop_assert!(drain(&mut session, now).len() <= 2);
            }
            session.expire(now);
            drain(&mut session, now);
            prop_assert!(session.due() > now, "there is nothing left to do now");
            now = now.after(3 * MILLISECOND);
        }
    }
}
