use super::*;

fn stream(number: u8) -> StreamKey {
    StreamKey::Ethernet { src: [number; 6], dst: [0; 6], ethertype: 0x88b5, vlan: None }
}

/// A ledger of frames `names` sent at their place in the list, one stream an upper-case letter.
fn sent(names: &[&str]) -> Ledger {
    let mut ledger = Ledger::default();
    for (at, name) in (0..).zip(names) {
        ledger.send(Time(at), stream(name.as_bytes()[0]), name.as_bytes());
    }
    ledger
}

fn received(names: &[&str], arrivals: &[&str]) -> Account {
    let mut ledger = sent(names);
    for name in arrivals {
        ledger.receive(name.as_bytes());
    }
    ledger.account()
}

#[test]
fn all_in_order_is_well() {
    let account = received(&["A1", "A2", "B1"], &["B1", "A1", "A2"]);
    let expected = Account { sent: 3, delivered: 3, delivered_bytes: 6, ..Account::default() };
    assert_eq!(account, expected);
}

#[test]
fn a_lost_frame_is_missing_and_leaves_a_gap() {
    let account = received(&["A1", "A2", "A3", "A4"], &["A1", "A3", "A4"]);
    assert_eq!((account.missing, account.out_of_sequence, account.late), (1, 1, 0));
    let tail = received(&["A1", "A2"], &["A1"]);
    assert_eq!((tail.missing, tail.out_of_sequence), (1, 0));
}

#[test]
fn an_overtaken_frame_is_late() {
    let account = received(&["A1", "A2", "A3", "A4"], &["A1", "A3", "A2", "A4"]);
    assert_eq!((account.missing, account.out_of_sequence, account.late), (0, 1, 1));
}

#[test]
fn absorbed_frames_are_not_missed() {
    let mut ledger = sent(&["A1", "A2"]);
    ledger.receive(b"A1");
    // The host repeats both, once with other bytes, and goes on.
    for frame in [b"A2", b"A9", b"A3"] {
        ledger.send(Time(9), stream(b'A'), frame);
    }
    ledger.absorb(b"A2");
    ledger.absorb(b"A9");
    assert_eq!(ledger.settled(), 1);
    ledger.receive(b"A2");
    assert_eq!(ledger.settled(), 4);
    ledger.receive(b"A3");
    ledger.receive(b"A2");
    let expected = Account {
        sent: 5,
        delivered: 3,
        delivered_bytes: 6,
        absorbed: 2,
        duplicates: 1,
        ..Account::default()
    };
    assert_eq!(ledger.account(), expected);
}

#[test]
fn what_was_not_sent_is_not_absorbed() {
    let mut ledger = sent(&["A1"]);
    ledger.absorb(b"A2");
    ledger.receive(b"A1");
    ledger.absorb(b"A1");
    assert_eq!((ledger.account().absorbed, ledger.account().missing), (0, 0));
}

#[test]
fn altered_frames_and_duplicates_are_told_apart() {
    let account = received(&["A1", "A2"], &["A1", "A1", "Ax", "A2"]);
    assert_eq!((account.duplicates, account.altered, account.missing), (1, 1, 0));
}

#[test]
fn repeats_of_the_capture_are_no_duplicates() {
    let names = ["A1", "A2", "A1", "A3"];
    assert_eq!(
        received(&names, &names),
        received(&["A1", "A2", "A4", "A3"], &["A1", "A2", "A4", "A3"])
    );
    assert_eq!(received(&names, &["A1", "A2", "A3"]).missing, 1);
    assert_eq!(received(&names, &["A1", "A1", "A1"]).duplicates, 1);
}

#[test]
fn what_is_settled_moves_over_what_is_written_off() {
    let mut ledger = sent(&["A1", "A2", "A3"]);
    ledger.receive(b"A2");
    assert_eq!((ledger.settled(), ledger.due(10)), (0, Some(Time(10))));
    assert_eq!((ledger.write_off(Time(9), 10), ledger.due(10)), (0, Some(Time(10))));
    assert_eq!((ledger.write_off(Time(10), 10), ledger.due(10)), (1, Some(Time(12))));
    assert_eq!(ledger.settled(), 2);
    assert!(ledger.receive(b"A1"));
    assert_eq!(ledger.account().missing, 1, "what comes after all is not missing");
    assert_eq!((ledger.write_off(Time(12), 10), ledger.due(10)), (1, None));
    assert_eq!((ledger.settled(), ledger.account().missing), (3, 1));
}

#[test]
fn what_nothing_protects_is_passed_over_sooner_and_is_not_missing() {
    let mut ledger = Ledger::default();
    ledger.send_unprotected(Time(0), stream(0), b"ack 1", 5);
    ledger.send_unprotected(Time(1), stream(0), b"ack 2", 5);
    ledger.send(Time(2), stream(0), b"data");
    assert!(ledger.receive(b"data"));
    assert_eq!(ledger.due(100), Some(Time(5)));
    assert_eq!((ledger.write_off(Time(5), 100), ledger.settled()), (0, 1));
    assert!(ledger.receive(b"ack 2"));
    assert_eq!(ledger.settled(), 3);
    let account = ledger.account();
    assert_eq!((account.missing, account.unprotected_lost), (0, 1));
    assert_eq!((account.out_of_sequence, account.late), (0, 1), "passed over, not overtaken");
}

#[test]
fn memory_is_bounded_by_what_is_on_its_way() {
    let mut ledger = Ledger::default();
    for number in 0..3 * REMEMBERED {
        let frame = number.to_be_bytes();
        ledger.send(Time(number), stream(0), &frame);
        if number % 3 > 0 {
            ledger.receive(&frame);
        }
        ledger.write_off(Time(number), 100);
    }
    assert!(ledger.entries.len() as u64 <= REMEMBERED + 101, "{}", ledger.entries.len());
    assert_eq!(ledger.twins.len(), ledger.entries.len());
    let account = ledger.account();
    assert_eq!((account.missing, account.altered, account.duplicates), (REMEMBERED, 0, 0));
}

/// A WRITE with this PSN and IP identification.
fn write(psn: u8, identification: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 60, 0, identification, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend([10, 0, 0, 2, 0xc0, 0, 0x12, 0xb7, 0, 40, 0, 0]);
    frame.extend([0x0a, 0, 0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, psn]);
    frame.extend([0; 20]);
    frame
}

#[test]
fn a_repeat_stands_for_what_it_repeats() {
    let mut ledger = Ledger::default();
    for (psn, identification) in [(1, 1), (2, 2), (3, 3), (1, 4), (2, 5)] {
        ledger.send(Time(0), stream(0), &write(psn, identification));
    }
    // The first copy of 1 is lost, and its repeat comes in its place and in its own.
    for (psn, identification) in [(1, 4), (2, 2), (3, 3), (1, 4), (2, 5)] {
        assert!(ledger.receive(&write(psn, identification)));
    }
    let account = ledger.account();
    assert_eq!((account.delivered, account.missing, account.duplicates), (5, 0, 0));
    assert_eq!((account.out_of_sequence, account.late), (0, 0));
    assert!(!ledger.receive(&write(1, 1)), "once more than it was sent");
    assert!(!ledger.receive(&write(1, 9)), "bytes that nobody sent");
    assert_eq!((ledger.account().duplicates, ledger.account().altered), (1, 1));
}

#[test]
fn a_repeat_does_not_stand_for_what_was_passed_over() {
    let mut ledger = Ledger::default();
    ledger.send_unprotected(Time(0), stream(0), &write(1, 1), 5);
    ledger.send(Time(1), stream(0), &write(2, 2));
    ledger.send_unprotected(Time(2), stream(0), &write(1, 3), 5);
    assert!(ledger.receive(&write(2, 2)) && ledger.receive(&write(1, 3)));
    let account = ledger.account();
    assert_eq!((account.unprotected_lost, account.missing, account.late), (1, 0, 0));
}
