//! Connections made on the wire.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{SECOND, Time};
use pipelines::wire::cm::{Mad, Message};

use super::pipe::{DELAY, Fate, Pipe, Seen, rnic};
use crate::rnic::{ConnectionEvent, Pmtu, QpSettings, Receives, Remote, Status, Verb};

const SERVICE: u64 = 0x0106_4853;
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const REQ: u16 = 0x10;
const REJ: u16 = 0x12;
const REP: u16 = 0x13;
const RTU: u16 = 0x14;
const DREQ: u16 = 0x15;
const DREP: u16 = 0x16;

/// Attribute of the datagram in a frame, if it is one.
fn attribute(seen: &Seen, frame: &[u8]) -> Option<u16> {
    let mad = (seen.opcode == 0x64).then(|| Mad::parse(&frame[62..]).expect("a datagram"));
    mad.map(|mad| mad.message.attribute())
}

/// A pipe whose second end listens and whose first end has asked for a connection.
fn dialled(doom: impl FnMut(&Seen, usize, &mut Vec<u8>) -> Fate + 'static) -> Pipe {
    let settings = QpSettings { pmtu: Pmtu::B512, ..QpSettings::default() };
    let mut pipe = Pipe::new(settings).with(doom);
    pipe.ends = [rnic(1), rnic(2)];
    pipe.ends[1].listen(SERVICE, QpSettings::default());
    pipe.qpns[0] = pipe.ends[0].create_qp(settings);
    pipe.ends[0].dial(Time::ZERO, pipe.qpns[0], OTHER, SERVICE).expect("a request");
    pipe
}

fn events(pipe: &mut Pipe) -> [Vec<ConnectionEvent>; 2] {
    [0, 1].map(|end| std::iter::from_fn(|| pipe.ends[end].poll_connection()).collect())
}

/// The second end's queue pair, of which there is one.
const THEIRS: u32 = 0x11;

#[test]
fn a_connection_takes_three_datagrams_and_carries_both_ways() {
    let mut pipe = dialled(|_, _, _| vec![DELAY]);
    // Posted before there is a connection: it waits.
    pipe.post(Verb::Send, 3000);
    pipe.run();
    let mine = pipe.qpns[0];
    let connected = [mine, THEIRS].map(|qpn| vec![ConnectionEvent::Connected(qpn)]);
    assert_eq!(events(&mut pipe), connected);
    pipe.qpns[1] = THEIRS;
    pipe.post(Verb::Write, 3000);
    pipe.post_at(1, Verb::Read, 3000);
    pipe.run();
    pipe.assert_complete(2);
    assert_eq!(pipe.done[1][0].status, Status::Success);
    assert_eq!(pipe.opcodes(0)[..2], [0x64, 0x64]);
    assert_eq!(pipe.opcodes(0).iter().filter(|opcode| **opcode == 0x64).count(), 2);
}

#[test]
fn each_end_says_with_which_number_the_other_begins() {
    let mut asked = [0; 2];
    let mut seen_first = [None; 2];
    let (told, heard) = std::sync::mpsc::channel();
    let mut pipe = dialled(move |seen, _, frame| {
        if seen.opcode != 0x64 {
            seen_first[seen.from].get_or_insert(seen.psn);
        } else {
            match Mad::parse(&frame[62..]).expect("a datagram").message {
                Message::Req(req) => asked[0] = req.starting_psn,
                Message::Rep(rep) => asked[1] = rep.starting_psn,
                _ => {}
            }
        }
        told.send((asked, seen_first)).expect("a listener");
        vec![DELAY]
    });
    pipe.run();
    // Only requests: an acknowledgement has the number of what it acknowledges.
    pipe.qpns[1] = THEIRS;
    pipe.post(Verb::Write, 10);
    pipe.run_for(DELAY / 2);
    pipe.post_at(1, Verb::Write, 10);
    pipe.run();
    let (asked, first) = heard.try_iter().last().expect("frames");
    assert_eq!([first[1], first[0]], asked.map(Some));
}

#[test]
fn any_lost_datagram_is_repeated() {
    for lost in [REQ, REP, RTU] {
        let mut already = 0;
        let mut pipe = dialled(move |seen, _, frame| {
            let hit = attribute(seen, frame) == Some(lost) && already < 2;
            already += u32::from(hit);
            if hit { vec![] } else { vec![DELAY] }
        });
        pipe.run();
        let mine = pipe.qpns[0];
        let connected = [mine, THEIRS].map(|qpn| vec![ConnectionEvent::Connected(qpn)]);
        assert_eq!(events(&mut pipe), connected, "{lost:#x}");
        // A lost reply is said again by its timer and because the request is.
        let last = pipe.seen.last().map_or(0, |seen| seen.at.0);
        assert!((SECOND..3 * SECOND).contains(&last), "{lost:#x} {last}");
        pipe.post(Verb::Send, 1000);
        pipe.run();
        pipe.assert_complete(1);
    }
}

#[test]
fn doubled_datagrams_change_nothing() {
    let mut pipe = dialled(|_, _, _| vec![DELAY, 2 * DELAY]);
    pipe.post(Verb::Send, 1000);
    pipe.run();
    let mine = pipe.qpns[0];
    pipe.now = pipe.now.after(SECOND);
    pipe.ends[0].disconnect(pipe.now, mine);
    pipe.run();
    pipe.assert_complete(1);
    let all = |qpn| vec![ConnectionEvent::Connected(qpn), ConnectionEvent::Disconnected(qpn)];
    assert_eq!(events(&mut pipe), [mine, THEIRS].map(all));
}

#[test]
fn farewells_reach_both_ends_even_if_lost() {
    for lost in [DREQ, DREP] {
        let mut already = false;
        let mut pipe = dialled(move |seen, _, frame| {
            let hit = attribute(seen, frame) == Some(lost) && !already;
            already |= hit;
            if hit { vec![] } else { vec![DELAY] }
        });
        pipe.run();
        let mine = pipe.qpns[0];
        pipe.ends[1].disconnect(pipe.now, THEIRS);
        pipe.run();
        let all = |qpn| vec![ConnectionEvent::Connected(qpn), ConnectionEvent::Disconnected(qpn)];
        assert_eq!(events(&mut pipe), [mine, THEIRS].map(all), "{lost:#x}");
        pipe.post(Verb::Send, 10);
        pipe.run();
        assert_eq!(pipe.done[0][0].status, Status::Flushed);
        assert_eq!(pipe.counters().map(|counters| counters.qp_errors), [0, 0]);
    }
}

#[test]
fn nobody_listening_says_so() {
    let (told, heard) = std::sync::mpsc::channel();
    let mut pipe = dialled(move |seen, _, frame| {
        told.send(attribute(seen, frame)).expect("a listener");
        vec![DELAY]
    });
    pipe.ends[1] = rnic(2);
    pipe.post(Verb::Send, 10);
    pipe.run();
    let mine = pipe.qpns[0];
    assert_eq!(events(&mut pipe), [vec![ConnectionEvent::Rejected(mine, 8)], vec![]]);
    assert_eq!(pipe.done[0][0].status, Status::Flushed);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some(REQ), Some(REJ)]);
}

#[test]
fn silence_ends_the_attempt() {
    let mut pipe = dialled(|_, _, _| vec![]);
    pipe.run();
    let mine = pipe.qpns[0];
    assert_eq!(events(&mut pipe), [vec![ConnectionEvent::TimedOut(mine)], vec![]]);
    assert_eq!(pipe.seen.len(), 16);
}

#[test]
fn what_a_listener_asks_for_holds_for_its_queue_pairs() {
    let mut pipe = dialled(|_, _, _| vec![DELAY]);
    let receives = Receives::Counted(0);
    pipe.ends[1].listen(SERVICE, QpSettings { receives, ..QpSettings::default() });
    pipe.post(Verb::Send, 600);
    pipe.run_for(SECOND);
    assert!(pipe.done[0].is_empty());
    // The size of packets is what was asked for.
    assert_eq!(pipe.opcodes(0)[2..4], [0x00, 0x02]);
    pipe.ends[1].post_receives(THEIRS, 1);
    pipe.run();
    pipe.assert_complete(1);
    let endpoint = pipe.ends[1].endpoint(THEIRS).map(|Remote { address, qpn, .. }| (address, qpn));
    assert_eq!(endpoint, Some((OTHER, THEIRS)));
}
