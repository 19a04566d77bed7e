use std::io::{Seek, SeekFrom};

use dataplane::capture::{Record, Writer};

use super::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

fn ip(from: [u8; 4], to: [u8; 4], number: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to[3], 2, 0, 0, 0, 0, from[3], 0x08, 0x00];
    frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 253, 0, 0]);
    frame.extend([from, to].concat());
    frame.resize(60, number);
    frame
}

fn arp(from: u8) -> Vec<u8> {
    let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, from, 0x08, 0x06];
    frame.resize(60, 0);
    frame
}

/// A play of frames at these times, started at time 1000.
fn play(frames: &[(u64, Vec<u8>)], at_a: Vec<Prefix>) -> Play {
    let mut writer = Writer::new(tempfile::tempfile().expect("a file")).expect("written");
    for (time_ns, data) in frames {
        let record = Record { time_ns: *time_ns, original_len: data.len() as u32, data };
        writer.write(&record).expect("written");
    }
    let mut file = writer.finish().expect("written");
    file.seek(SeekFrom::Start(0)).expect("a file");
    let mut play = Play::new(Reader::new("test", file).expect("a capture"), at_a);
    play.read_ahead(Vec::new).expect("readable");
    play.start(Time(1_000));
    play
}

fn sides(frames: &[Vec<u8>], at_a: Vec<Prefix>) -> [usize; 2] {
    let frames: Vec<_> = frames.iter().map(|frame| (0, frame.clone())).collect();
    [0, 1].map(|side| play(&frames, at_a.clone()).hosts[side].cues.len())
}

#[test]
fn gaps_are_kept_and_what_was_received_comes_first() {
    // A sends twice, B answers the second, A goes on 5 ns after its own second.
    let frames = [(100, ip(A, B, 1)), (110, ip(A, B, 2)), (112, ip(B, A, 3)), (115, ip(A, B, 4))];
    let mut play = play(&frames, vec![]);
    assert_eq!(play.next(0, 0), Next::At(Time(1_000)));
    assert_eq!(play.next(1, 0), Next::Waits);
    assert!(play.take(0, Time(999), 0).is_none());
    assert_eq!(play.take(0, Time(1_000), 0).expect("due").frame, ip(A, B, 1));
    assert_eq!(play.next(0, 0), Next::At(Time(1_010)));
    assert!(play.take(0, Time(1_010), 0).is_some());
    assert_eq!(play.next(0, 0), Next::Waits, "the answer is not delivered");
    assert_eq!(play.next(1, 1), Next::Waits, "one of two is delivered");
    assert_eq!(play.next(1, 2), Next::At(Time(1_012)), "due since, sent once both are delivered");
    assert!(play.take(1, Time(6_000), 2).is_some());
    assert_eq!(play.next(1, 2), Next::Done);
    assert_eq!(play.next(0, 1), Next::At(Time(1_015)));
    assert!(!play.is_over() && play.take(0, Time(11_000), 1).is_some() && play.is_over());
}

#[test]
fn a_gap_counts_from_when_the_frame_before_was_sent() {
    let mut play = play(&[(100, ip(A, B, 1)), (150, ip(A, B, 2)), (120, ip(A, B, 3))], vec![]);
    assert!(play.take(0, Time(2_000), 0).is_some());
    assert_eq!(play.next(0, 0), Next::At(Time(2_050)));
    assert!(play.take(0, Time(2_050), 0).is_some());
    assert_eq!(play.next(0, 0), Next::At(Time(2_050)), "time that jumps back is no gap");
}

#[test]
fn sites_are_told_by_address_and_then_by_station() {
    let frames = [ip(A, B, 1), ip(B, A, 1), arp(1), arp(2), arp(9)];
    assert_eq!(sides(&frames, vec![]), [3, 2]);
    let prefix = |address: [u8; 4]| Prefix { address: address.into(), length: 32 };
    assert_eq!(sides(&frames, vec![prefix(B)]), [3, 2]);
    assert_eq!(sides(&frames, vec![prefix(A), prefix(B)]), [5, 0]);
}

#[test]
fn what_is_no_frame_is_counted_and_left_out() {
    let mut pause = ip(A, B, 1);
    pause[..6].copy_from_slice(&[0x01, 0x80, 0xc2, 0, 0, 1]);
    let play = play(&[(0, vec![0; 13]), (0, pause), (1, ip(A, B, 1))], vec![]);
    assert_eq!((play.absorbed(), play.hosts[0].cues.len(), play.origin()), (2, 1, 1));
}

#[test]
fn a_snapped_frame_has_its_length_again() {
    let mut writer = Writer::new(tempfile::tempfile().expect("a file")).expect("written");
    let data = &ip(A, B, 7)[..];
    for original_len in [60, 1_082, 20, u32::MAX] {
        writer.write(&Record { time_ns: 0, original_len, data }).expect("written");
    }
    let mut file = writer.finish().expect("written");
    file.seek(SeekFrom::Start(0)).expect("a file");
    let mut play = Play::new(Reader::new("test", file).expect("a capture"), vec![]);
    play.read_ahead(Vec::new).expect("readable");
    let frames: Vec<_> = play.hosts[0].cues.iter().map(|cue| &cue.frame).collect();
    assert_eq!(frames.iter().map(|frame| frame.len()).collect::<Vec<_>>(), [60, 1_082, 60, 60]);
    assert!(frames.iter().all(|frame| frame.starts_with(data)));
    assert!(frames[1][60..].iter().all(|byte| *byte == 0));
}
