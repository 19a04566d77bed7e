//! Paths that BFD watches.

use std::collections::BTreeSet;

use super::*;
use crate::bfd::datagram;
use crate::bfd::packet::{Control, Diagnostic, State};

const INTERVAL: Nanos = 10 * MILLISECOND;
/// The last byte of the Ethernet addresses of the second path's ends.
const SECOND: u8 = 0x20;
/// Where a frame over IPv4 has its time to live, and its UDP destination port.
const TTL_AT: usize = 22;
const PORT_AT: usize = 36;

/// Two paths, each by a port of its own, and each watched.
pub(super) fn two_paths(settings: &mut Settings) {
    let own = settings.ports[WAN].mac;
    let second = |mac: Mac| [mac[0], mac[1], mac[2], mac[3], mac[4], mac[5] | SECOND];
    settings.ports.push(PortSettings { mac: second(own), ..settings.ports[WAN].clone() });
    let paths = &mut settings.peers[0].paths;
    paths[0].bfd = Some(BfdSettings { interval: INTERVAL, ..BfdSettings::default() });
    let NextHop::Mac(next) = paths[0].next_hop else { panic!() };
    let next_hop = NextHop::Mac(second(next));
    paths.push(PathSettings { name: "p2".into(), port: WAN + 1, next_hop, ..paths[0].clone() });
}

fn watched(settings: &mut Settings) {
    settings.peers[0].paths[0].bfd = Some(BfdSettings::default());
}

fn is_bfd(frame: &[u8]) -> bool {
    datagram::may_be(frame)
}

pub(super) fn paths(bed: &Bed, side: usize) -> Vec<PathStatus> {
    let mut status = Vec::new();
    bed.sides[side].gateway.peers_status(bed.now, &mut status);
    status[0].paths.clone()
}

fn session(bed: &Bed, side: usize, path: usize) -> BfdStatus {
    paths(bed, side)[path].bfd.expect("it is watched")
}

fn states(bed: &Bed) -> [[State; 2]; 2] {
    [0, 1].map(|side| [0, 1].map(|path| session(bed, side, path).state))
}

/// The wire, of which one path's frames are lost.
pub(super) fn without(path: usize) -> impl FnMut(u64, &[u8]) -> Vec<(Nanos, Vec<u8>)> {
    move |_, frame| {
        let of = usize::from(frame[5] & SECOND != 0);
        if of == path { vec![] } else { vec![(DELAY, frame.to_vec())] }
    }
}

pub(super) fn events(bed: &Bed, side: usize) -> Vec<(usize, PathEventKind)> {
    bed.sides[side].gateway.path_events().map(|event| (event.path, event.kind)).collect()
}

#[test]
fn sessions_come_up_on_all_paths_and_say_how_they_stand() {
    let bed = Bed::up(two_paths);
    assert_eq!(states(&bed), [[State::Up; 2]; 2]);
    let status = session(&bed, 0, 1);
    assert_eq!((status.ups, status.downs, status.remote_state), (1, 0, State::Up));
    assert_eq!((status.interval, status.detection_time), (INTERVAL, 3 * INTERVAL));
    assert!(paths(&bed, 1).iter().all(|path| !path.out_of_service));
    assert_eq!(events(&bed, 0), [(0, PathEventKind::Up), (1, PathEventKind::Up)]);
}

#[test]
fn what_was_under_way_on_a_dead_path_goes_by_the_other_at_once() {
    let mut bed = Bed::up(two_paths);
    let cut = bed.now;
    let (mut number, mut dead) = (0, without(0));
    while bed.now < cut.after(40 * MILLISECOND) {
        (1..=8).for_each(|stream| bed.send(0, stream, number, 200));
        number += 1;
        bed.run(MILLISECOND, &mut dead);
    }
    assert_eq!(states(&bed), [[State::Down, State::Up]; 2]);
    assert!(paths(&bed, 0)[0].out_of_service && !paths(&bed, 0)[1].out_of_service);
    bed.run(40 * MILLISECOND, &mut dead);
    for stream in 1..=8 {
        assert_eq!(numbers(&bed, 1, stream), (0..number).collect::<Vec<_>>());
    }
    let log: Vec<_> = bed.sides[0].gateway.path_events().copied().collect();
    let at = |wanted: fn(&PathEventKind) -> bool| {
        log.iter().find(|event| wanted(&event.kind)).expect("it is in the log").at.since(cut)
    };
    let down = at(|kind| matches!(kind, PathEventKind::Down(_)));
    let recovered = at(|kind| matches!(kind, PathEventKind::Recovered(sent) if *sent > 0));
    // What was heard last left before the cut, and may have been under way.
    assert!((2 * INTERVAL..=3 * INTERVAL + DELAY).contains(&down), "{down}");
    assert!(recovered <= down + 2 * DELAY + MILLISECOND, "{down}, {recovered}");
    assert_eq!(bed.counters(1).gave_up, 0);
    bed.assert_no_leak();
}

#[test]
fn a_path_that_comes_back_is_used_after_its_hold_down() {
    let mut bed = Bed::up(two_paths);
    bed.run(100 * MILLISECOND, &mut without(0));
    assert!(paths(&bed, 0)[0].out_of_service);
    // Down, packets leave once a second.
    bed.run(1_050 * MILLISECOND, &mut perfect);
    assert_eq!(states(&bed), [[State::Up; 2]; 2]);
    let (path, status) = (paths(&bed, 0)[0], session(&bed, 0, 0));
    assert!(path.out_of_service && status.held_down > 0, "{status:?}");
    assert_eq!((status.ups, status.downs), (2, 1));
    assert_eq!(status.diagnostic, Diagnostic::EXPIRED);
    bed.send(0, 1, 0, 100);
    let before = path.sent.packets;
    bed.run(1_000 * MILLISECOND, &mut perfect);
    assert!(!paths(&bed, 0)[0].out_of_service && !paths(&bed, 1)[0].out_of_service);
    assert_eq!(paths(&bed, 0)[0].sent.packets, before, "nothing was sent on it meanwhile");
    (0..32).for_each(|stream| bed.send(0, stream, 1, 100));
    bed.run(50 * MILLISECOND, &mut perfect);
    assert!(paths(&bed, 0)[0].sent.packets > before);
    assert!(events(&bed, 0).contains(&(0, PathEventKind::InService)));
}

#[test]
fn without_another_path_nothing_changes_but_what_is_shown() {
    let mut bed = Bed::up(watched);
    // All but BFD goes through.
    let mut deaf =
        |number, frame: &[u8]| if is_bfd(frame) { vec![] } else { perfect(number, frame) };
    bed.run(100 * MILLISECOND, &mut deaf);
    assert_eq!(session(&bed, 0, 0).state, State::Down);
    (0..100).for_each(|number| bed.send(0, 1, number, 200));
    bed.run(50 * MILLISECOND, &mut deaf);
    assert_eq!(numbers(&bed, 1, 1), (0..100).collect::<Vec<_>>());
    assert_eq!(bed.counters(0).resent.packets, 0);
}

#[test]
fn a_far_side_without_bfd_keeps_no_path_out_of_service() {
    let mut bed = Bed::new(two_paths);
    let mut none =
        |number, frame: &[u8]| if is_bfd(frame) { vec![] } else { perfect(number, frame) };
    bed.run(5_000 * MILLISECOND, &mut none);
    assert_eq!(states(&bed), [[State::Down; 2]; 2]);
    assert!(paths(&bed, 0).iter().all(|path| !path.out_of_service));
    assert_eq!(events(&bed, 0), []);
}

/// Changes a frame, and makes its checksums right again.
fn altered(frame: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut frame = frame.to_vec();
    change(&mut frame);
    let ip = &mut frame[14..34];
    (ip[10], ip[11]) = (0, 0);
    let sum = crate::checksum::finish(crate::checksum::Sum::of(ip));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    // None is as good as a right one.
    (frame[40], frame[41]) = (0, 0);
    frame
}

#[test]
fn rfc_5881_section_5_what_came_from_further_away_is_not_heard() {
    let mut bed = Bed::new(watched);
    let mut far = |_: u64, frame: &[u8]| {
        let frame = match is_bfd(frame) {
            true => altered(frame, |frame| frame[TTL_AT] = 254),
            false => frame.to_vec(),
        };
        vec![(DELAY, frame)]
    };
    bed.run(3_000 * MILLISECOND, &mut far);
    assert_eq!((session(&bed, 0, 0).state, session(&bed, 0, 0).heard), (State::Down, 0));
    assert!(bed.counters(0).drops.packets(DropReason::WanBfd) >= 2);

    let several = |settings: &mut Settings| {
        settings.peers[0].paths[0].bfd = Some(BfdSettings { hops: 2, ..BfdSettings::default() });
    };
    let mut bed = Bed::new(several);
    let mut ports = BTreeSet::new();
    bed.run(100 * MILLISECOND, &mut |number, frame| {
        if is_bfd(frame) {
            ports.insert([frame[PORT_AT], frame[PORT_AT + 1]]);
        }
        far(number, frame)
    });
    assert_eq!(session(&bed, 0, 0).state, State::Up, "RFC 5883 has hops between");
    assert_eq!(ports, BTreeSet::from([4_784_u16.to_be_bytes()]));
}

#[test]
fn first_packets_of_paths_that_share_a_port_are_told_apart_by_source_port() {
    let shared = |settings: &mut Settings| {
        watched(settings);
        let paths = &mut settings.peers[0].paths;
        let NextHop::Mac(mut next) = paths[0].next_hop else { panic!() };
        next[4] = SECOND;
        paths.push(PathSettings { next_hop: NextHop::Mac(next), ..paths[0].clone() });
    };
    let mut bed = Bed::new(shared);
    let mut names = BTreeMap::<[u8; 2], BTreeSet<u32>>::new();
    bed.run(200 * MILLISECOND, &mut |number, frame| {
        if is_bfd(frame) {
            let control = Control::read(&frame[42..]).expect("well-formed");
            names.entry([frame[34], frame[35]]).or_default().insert(control.mine);
        }
        // The router of the second path hands on what it gets.
        perfect(number, &altered_hop(frame))
    });
    assert_eq!(states(&bed), [[State::Up; 2]; 2]);
    let ports: Vec<_> = names.keys().map(|port| u16::from_be_bytes(*port)).collect();
    assert_eq!(ports, [49_152, 49_153]);
    assert!(names.values().all(|names| names.len() == 2), "one from each side: {names:?}");
    let counts = [0, 1].map(|path| session(&bed, 0, path).ups);
    assert_eq!(counts, [1, 1]);
}

fn altered_hop(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[4] = 0;
    frame
}

#[test]
fn hostile_packets_take_no_session_down_and_are_counted() {
    let mut bed = Bed::up(watched);
    let mut seen = None;
    bed.run(20 * MILLISECOND, &mut |number, frame| {
        if is_bfd(frame) && frame[5] == 1 {
            seen = Some(frame.to_vec());
        }
        perfect(number, frame)
    });
    let good = seen.expect("one in ten milliseconds");
    let heard = session(&bed, 0, 0).heard;
    let changes: [fn(&mut [u8]); 7] = [
        |frame| frame[TTL_AT] = 64,
        |frame| frame[29] ^= 9,        // of a stranger
        |frame| frame[50] ^= 1,        // of a session that is not ours
        |frame| frame[42] = 0,         // of version 0
        |frame| frame[43] |= 0x04,     // authenticated
        |frame| frame[46..50].fill(0), // by nobody
        |frame| frame[PORT_AT..38].copy_from_slice(&4_784_u16.to_be_bytes()),
    ];
    for change in changes {
        bed.sides[0].receive(WAN, &altered(&good, change), bed.now);
    }
    assert_eq!((session(&bed, 0, 0).heard, session(&bed, 0, 0).state), (heard, State::Up));
    let drops = &bed.counters(0).drops;
    // The stranger's is no peer's, and so nothing we serve.
    assert_eq!(drops.packets(DropReason::WanBfd), 6);
    bed.sides[0].receive(WAN, &altered(&good, |_| {}), bed.now);
    assert_eq!(session(&bed, 0, 0).heard, heard + 1, "the test's own frames are good");
}
