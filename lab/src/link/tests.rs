use super::*;

const FRAMES: u64 = 100_000;

/// What a link does to frames of 100 bytes sent every 10 microseconds.
fn run(does: Impairments) -> (LinkCounters, Vec<Arrivals>) {
    let mut link = Link::new(does, 1, 0);
    link.start(Time::ZERO);
    let mut arrivals = Vec::new();
    for number in 0..FRAMES {
        arrivals.push(link.send(Time(number * 10 * MICROSECOND), &mut [0; 100]));
    }
    (link.counters(), arrivals)
}

/// Lengths of the runs of frames lost in a row.
fn bursts(arrivals: &[Arrivals]) -> Vec<usize> {
    let chunks = arrivals.chunk_by(|a, b| a.first.is_some() == b.first.is_some());
    chunks.filter(|chunk| chunk[0].first.is_none()).map(<[_]>::len).collect()
}

#[test]
fn a_perfect_wire_only_delays() {
    let (counters, arrivals) = run(Impairments { delay: 7, ..Impairments::default() });
    let expected = (0..FRAMES).map(|n| Some(Time(n * 10 * MICROSECOND + 7)));
    assert!(arrivals.iter().map(|a| a.first).eq(expected));
    assert_eq!((counters.sent_packets, counters.sent_bytes), (FRAMES, FRAMES * 100));
    assert_eq!(counters.dropped + counters.altered + counters.reordered + counters.duplicated, 0);
}

#[test]
fn independent_loss_has_its_mean() {
    let (counters, arrivals) = run(Impairments { loss: 0.1, ..Impairments::default() });
    assert!((9_700..10_300).contains(&counters.dropped), "{}", counters.dropped);
    let bursts = bursts(&arrivals);
    let mean = counters.dropped as f64 / bursts.len() as f64;
    assert!((1.08..1.15).contains(&mean), "independent: 1 / 0.9 in a row, not {mean}");
}

#[test]
fn a_bursty_channel_has_its_mean_loss_and_burst() {
    let does = Impairments { loss: 0.05, burst: Some(8.0), ..Impairments::default() };
    let (counters, arrivals) = run(does);
    assert!((4_300..5_700).contains(&counters.dropped), "{}", counters.dropped);
    let bursts = bursts(&arrivals);
    let mean = counters.dropped as f64 / bursts.len() as f64;
    assert!((7.2..8.8).contains(&mean), "{mean}");
}

#[test]
fn total_loss_loses_all() {
    for burst in [None, Some(4.0)] {
        let (counters, _) = run(Impairments { loss: 1.0, burst, ..Impairments::default() });
        assert_eq!(counters.dropped, FRAMES);
    }
}

#[test]
fn one_impairment_does_not_shift_another() {
    let both = Impairments { loss: 0.1, duplicate: 0.1, ..Impairments::default() };
    let alone = Impairments { duplicate: 0.1, ..Impairments::default() };
    let ((_, both), (_, alone)) = (run(both), run(alone));
    let arrived = both.iter().zip(&alone).filter(|(both, _)| both.first.is_some());
    assert!(arrived.clone().count() < FRAMES as usize);
    assert!(arrived.clone().all(|(both, alone)| both == alone));
}

#[test]
fn reordering_and_duplicates_stay_within_their_span() {
    let does =
        Impairments { delay: MILLISECOND, reorder: 0.1, duplicate: 0.1, ..Impairments::default() };
    let span = does.reorder_span();
    let (counters, arrivals) = run(does);
    assert!((9_700..10_300).contains(&counters.reordered));
    assert!((9_700..10_300).contains(&counters.duplicated));
    for (number, arrival) in (0..).zip(&arrivals) {
        let usual = Time(number * 10 * MICROSECOND + MILLISECOND);
        let first = arrival.first.expect("no loss");
        assert!(first.since(usual) <= span && first >= usual);
        assert!(arrival.second.is_none_or(|second| (1..=span).contains(&second.since(first))));
    }
    assert!(arrivals.is_sorted_by_key(|a| a.first) == (counters.reordered == 0));
}

#[test]
fn corruption_changes_one_byte_behind_the_header() {
    let mut link = Link::new(Impairments { corrupt: 1.0, ..Impairments::default() }, 1, 0);
    let mut plain = [0; 60];
    plain[12..14].copy_from_slice(&[0x08, 0x00]);
    let mut tagged = plain;
    tagged[12..18].copy_from_slice(&[0x81, 0x00, 0, 5, 0x08, 0x00]);
    for _ in 0..1_000 {
        for (original, header) in [(plain, 14), (tagged, 18)] {
            let mut frame = original;
            link.send(Time::ZERO, &mut frame);
            assert_eq!(frame[..header], original[..header]);
            assert_eq!(frame.iter().zip(&original).filter(|(a, b)| a != b).count(), 1);
        }
    }
    assert_eq!(link.counters().altered, 2_000);
    link.send(Time::ZERO, &mut [0; 14]);
    assert_eq!(link.counters().altered, 2_000, "a frame without payload has nothing to alter");
}

#[test]
fn frames_wait_for_the_rate() {
    let does = Impairments { rate: Some(1_000_000_000), ..Impairments::default() };
    let mut link = Link::new(does, 1, 0);
    let arrivals = [0, 0, 10_000].map(|now| link.send(Time(now), &mut [0; 101]).first);
    assert_eq!(arrivals, [Some(Time(1_000)), Some(Time(2_000)), Some(Time(11_000))]);
    assert_eq!(link.backlog(Time(10_400)), 600);
}

#[test]
fn outages_are_counted_from_the_start_of_the_play() {
    let does = Impairments { down: vec![10..20, 30..31], ..Impairments::default() };
    let mut link = Link::new(does, 1, 0);
    assert!(link.send(Time(15), &mut [0; 60]).first.is_some(), "not started");
    link.start(Time(100));
    let down: Vec<_> =
        (100..140).filter(|&now| link.send(Time(now), &mut [0; 60]).first.is_none()).collect();
    assert_eq!(down, (110..120).chain(130..131).collect::<Vec<_>>());
}
