//! What connection management tells the shield.

use dataplane::capture::Reader;
use proptest::prelude::*;

use super::*;

/// A second pair of queue pairs.
const OTHER_FAR: u32 = 0x33;
const OTHER_NEAR: u32 = 0x12;
const UD_SEND_ONLY: u8 = 0x64;
const MTU_1024: u8 = 3;

type Bytes = [u8; 256];

fn mad(attribute: u8, ids: (u32, u32)) -> Bytes {
    let mut mad = [0; 256];
    mad[..4].copy_from_slice(&[1, 7, 2, 3]);
    mad[17] = attribute;
    mad[24..28].copy_from_slice(&ids.0.to_be_bytes());
    mad[28..32].copy_from_slice(&ids.1.to_be_bytes());
    mad
}

fn req(id: u32, qp: u32, psn: u32) -> Bytes {
    let mut mad = mad(0x10, (id, 0));
    mad[56..59].copy_from_slice(&qp.to_be_bytes()[1..]);
    mad[68..71].copy_from_slice(&psn.to_be_bytes()[1..]);
    mad[74] = MTU_1024 << 4;
    mad
}

fn rep(ids: (u32, u32), qp: u32, psn: u32) -> Bytes {
    let mut mad = mad(0x13, ids);
    mad[36..39].copy_from_slice(&qp.to_be_bytes()[1..]);
    mad[44..47].copy_from_slice(&psn.to_be_bytes()[1..]);
    mad
}

fn rej(ids: (u32, u32)) -> Bytes {
    mad(0x12, ids)
}

fn dreq(ids: (u32, u32)) -> Bytes {
    mad(0x15, ids)
}

/// Host 1 tells host 2 a queue pair, and that one tells another.
pub(super) fn connect(bed: &mut Bed, id: u32, near: u32, far: u32) {
    bed.manages(1, 2, &req(id, near, 500));
    bed.manages(2, 1, &rep((id + 0x1000, id), far, 100));
}

impl Bed {
    /// A message of connection management between two hosts; those below 2 are near.
    fn manages(&mut self, from: u8, to: u8, mad: &[u8]) {
        self.says(from, to, (1, [0x80, 0x01, 0, 0]), mad);
    }

    /// A datagram to a queue pair, with a Q_Key.
    fn says(&mut self, from: u8, to: u8, (qp, q_key): (u32, [u8; 4]), payload: &[u8]) {
        let body = [&q_key[..], &[0, 0, 0, 1], payload].concat();
        let frame = frame(from, to, UD_SEND_ONLY, qp, 0, &body);
        if from < 2 {
            let carried = Carried { channel: 0, seq: Seq(0) };
            let now = self.now;
            assert!(!self.shield.absorbs((&frame, &FOUND), carried, now, RTT, |_| now));
        } else {
            self.shield.delivers(&frame, &FOUND, self.now);
        }
    }

    fn other(&mut self, psn: u32) -> bool {
        self.passes(WRITE_ONLY, OTHER_FAR, psn, &[0; 32])
    }

    fn ack_other(&mut self, psn: u32) {
        let frame = frame(2, 1, ACK, OTHER_NEAR, psn, &[0x1f, 0, 0, 0]);
        self.shield.delivers(&frame, &FOUND, self.now);
    }

    fn pmtu(&mut self, far: u32) -> u16 {
        self.shield.pmtu(&frame(1, 2, WRITE_ONLY, far, 0, &[]), &FOUND, self.now)
    }

    /// Whether the requests to `far` are known to have their answers come to `near`.
    fn coupled(&mut self, near: u32, far: u32) -> bool {
        coupled(&mut self.shield, (1, near), (2, far), self.now)
    }
}

fn key(from: u8, to: u8, qp: u32) -> Key {
    Sight::of(&frame(from, to, ACK, qp, 0, &[0; 4]), &FOUND).and_then(|sight| sight.key()).unwrap()
}

fn coupled(shield: &mut Shield, near: (u8, u32), far: (u8, u32), now: Time) -> bool {
    couple_of(shield, key(near.0, far.0, far.1), key(far.0, near.0, near.1), now)
}

fn couple_of(shield: &mut Shield, requests: Key, answers: Key, now: Time) -> bool {
    let Some(at) = shield.requests.find(&requests, now) else { return false };
    let Some(partner) = shield.answers.find(&answers, now) else { return false };
    let there = shield.requests.at(at).unwrap().1.partner == Some(partner);
    let back = shield.answers.at(partner).unwrap().1.requests == Some(at);
    there && back
}

/// Plays a capture to the shields at both hosts. Each stream of requests must be coupled with its
/// answers, and have its path MTU, before its first packet and at the end. Returns, for each
/// stream, its sender's last byte of address and its queue pair.
fn play(name: &str) -> Vec<(u8, u32)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../pcap-tests/captures/");
    let mut reader = Reader::open(format!("{dir}{name}.pcap").as_ref()).expect("a capture");
    let mut shields = [Shield::new(64, 1), Shield::new(64, 1)];
    let mut streams = Vec::new();
    let check = |shields: &mut [Shield; 2], data: &[u8], at| {
        let sight = Sight::of(data, &FOUND).unwrap();
        let requests = sight.key().unwrap();
        // The hosts of these captures used queue pairs of the same number.
        let shield = &mut shields[usize::from(data[29]) - 1];
        assert!(couple_of(shield, requests, requests.reversed(), at), "{name}: {requests:?}");
        assert_eq!(shield.pmtu(data, &FOUND, at), 4_096, "{name}: {requests:?}");
    };
    let mut firsts = Vec::new();
    let mut number = 0;
    while let Some(record) = reader.next().expect("readable") {
        number += 1;
        let (data, now) = (record.data.to_vec(), Time(number));
        let sight = Sight::of(&data, &FOUND).expect("a packet");
        let stream = (data[29], u32::from_be_bytes([0, data[47], data[48], data[49]]));
        if sight.kind() == Kind::Request && !streams.contains(&stream) {
            check(&mut shields, &data, now);
            streams.push(stream);
            firsts.push(data.clone());
        }
        let (near, far) = (usize::from(data[29]) - 1, usize::from(data[33]) - 1);
        let carried = Carried { channel: 0, seq: Seq(0) };
        shields[near].absorbs((&data, &FOUND), carried, now, RTT, |_| now);
        shields[far].delivers(&data, &FOUND, now);
    }
    firsts.iter().for_each(|data| check(&mut shields, data, Time(number)));
    streams
}

#[test]
fn rc_write_cm_is_paired_before_any_data() {
    assert_eq!(play("rc-write-cm"), [(1, 35), (2, 35), (1, 36)]);
}

#[test]
fn rping_is_paired_before_any_data() {
    assert_eq!(play("rping"), [(1, 34), (2, 34)]);
}

#[test]
fn streams_that_psns_cannot_tell_apart_are_told_by_their_connections() {
    let nak = |bed: &mut Bed| bed.answer(ACK, 104, &[SEQUENCE_NAK, 0, 0, 0]);
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn) && bed.other(psn)));
    bed.ack(102);
    bed.ack_other(102);
    assert!(!bed.coupled(NEAR_QP, FAR_QP) && !bed.coupled(OTHER_NEAR, OTHER_FAR), "ambiguous");

    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    connect(&mut bed, 2, OTHER_NEAR, OTHER_FAR);
    assert!((100..110).all(|psn| bed.write(psn) && bed.other(psn)));
    bed.ack(102);
    bed.ack_other(102);
    assert!(bed.coupled(NEAR_QP, FAR_QP) && bed.coupled(OTHER_NEAR, OTHER_FAR));
    nak(&mut bed);
    assert!(bed.write(104), "asked for");
    assert!(!bed.other(104), "not of this one");
}

#[test]
fn it_does_not_matter_who_asks() {
    let mut bed = Bed::new();
    bed.manages(2, 1, &req(7, FAR_QP, 100));
    assert_eq!(bed.pmtu(FAR_QP), 0, "asked for only");
    bed.manages(1, 2, &rep((8, 7), NEAR_QP, 500));
    assert!(bed.coupled(NEAR_QP, FAR_QP));
    assert_eq!(bed.pmtu(FAR_QP), 1_024);
}

#[test]
fn the_first_read_takes_the_psns_of_its_responses() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    assert!(bed.read(100, 10 * 1_024));
    assert!(!bed.read(103, 7 * 1_024), "a repeat, inside its span");
    assert!(bed.write(110), "new");
}

#[test]
fn packets_are_believed_more_than_what_was_agreed() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    assert!(bed.read(100, 8_192));
    bed.answer(READ_MIDDLE, 100, &[0; 4_096]);
    assert_eq!(bed.pmtu(FAR_QP), 4_096);
    assert!(bed.write(102), "behind the READ: new");
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    assert!(bed.passes(SEND_FIRST, FAR_QP, 100, &[0; 512]));
    assert_eq!(bed.pmtu(FAR_QP), 512);
}

#[test]
fn what_is_refused_first_of_all_passes_at_once() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    connect(&mut bed, 2, OTHER_NEAR, OTHER_FAR);
    assert!(bed.write(100) && bed.other(100));
    bed.answer(ACK, 100, &[RNR_NAK, 0, 0, 0]);
    assert!(bed.write(100));
    assert!(!bed.other(100));
}

#[test]
fn a_reply_to_nothing_pairs_nothing() {
    let mut bed = Bed::new();
    bed.manages(2, 1, &rep((9, 1), FAR_QP, 100));
    assert!(!bed.coupled(NEAR_QP, FAR_QP) && bed.pmtu(FAR_QP) == 0);
    // To another name, from another host, from who asked.
    bed.manages(1, 2, &req(1, NEAR_QP, 500));
    bed.manages(2, 1, &rep((9, 2), FAR_QP, 100));
    bed.manages(3, 1, &rep((9, 1), FAR_QP, 100));
    bed.manages(1, 2, &rep((9, 1), FAR_QP, 100));
    assert!(!bed.coupled(NEAR_QP, FAR_QP) && bed.pmtu(FAR_QP) == 0);
    assert!(!coupled(&mut bed.shield, (1, NEAR_QP), (3, FAR_QP), Time(1)));
    bed.manages(2, 1, &rep((9, 1), FAR_QP, 100));
    assert!(bed.coupled(NEAR_QP, FAR_QP), "this is the one");
}

#[test]
fn repeated_messages_change_nothing() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    assert!((100..110).all(|psn| bed.write(psn)));
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    assert!(bed.coupled(NEAR_QP, FAR_QP));
    assert!((100..110).all(|psn| !bed.write(psn)), "still repeats");
    // The same queue pairs in a new connection, which has its own name.
    connect(&mut bed, 2, NEAR_QP, FAR_QP);
    assert!(bed.coupled(NEAR_QP, FAR_QP));
    assert!((100..110).all(|psn| bed.write(psn)), "new");
}

#[test]
fn a_queue_pair_is_asked_for_under_its_newest_name() {
    let mut bed = Bed::new();
    bed.manages(1, 2, &req(1, NEAR_QP, 500));
    bed.manages(1, 2, &req(2, NEAR_QP, 900));
    bed.manages(2, 1, &rep((9, 1), FAR_QP, 100));
    assert!(!bed.coupled(NEAR_QP, FAR_QP), "given up");
    bed.manages(2, 1, &rep((10, 2), OTHER_FAR, 100));
    assert!(bed.coupled(NEAR_QP, OTHER_FAR));
    bed.manages(1, 2, &req(3, NEAR_QP, 700));
    assert!(!bed.coupled(NEAR_QP, OTHER_FAR), "it will be another's");
}

#[test]
fn replies_that_contradict_each_other_pair_no_more() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    bed.manages(2, 1, &rep((77, 1), OTHER_FAR, 100));
    assert!(!bed.coupled(NEAR_QP, OTHER_FAR));
    bed.manages(2, 1, &rep((78, 1), OTHER_FAR, 100));
    assert!(!bed.coupled(NEAR_QP, OTHER_FAR), "forgotten");
}

#[test]
fn who_rejects_or_disconnects_ends_a_pairing() {
    let (asker, replier) = ((1, 0x1001), (0x1001, 1));
    let ends = [(1, 2, dreq(asker)), (2, 1, dreq(replier)), (1, 2, rej(asker))];
    for (from, to, message) in ends {
        let mut bed = Bed::new();
        connect(&mut bed, 1, NEAR_QP, FAR_QP);
        bed.manages(from, to, &dreq((asker.0, 5)));
        bed.manages(from, to, &dreq((5, asker.0)));
        bed.manages(3, 1, &dreq(replier));
        assert!(bed.coupled(NEAR_QP, FAR_QP), "these were of others");
        bed.manages(from, to, &message);
        assert!(!bed.coupled(NEAR_QP, FAR_QP), "{message:?}");
    }
    let mut bed = Bed::new();
    bed.manages(1, 2, &req(1, NEAR_QP, 500));
    bed.manages(2, 1, &rej((0, 1)));
    bed.manages(2, 1, &rep((0x1001, 1), FAR_QP, 100));
    assert!(!bed.coupled(NEAR_QP, FAR_QP), "rejected before");
}

#[test]
fn trap_29_nothing_but_a_whole_message_of_connection_management_is_read() {
    type Change = fn(&Bytes) -> ((u32, [u8; 4]), Vec<u8>);
    const GSI: (u32, [u8; 4]) = (1, [0x80, 0x01, 0, 0]);
    fn changed(mad: &Bytes, at: usize, value: u8) -> Vec<u8> {
        let mut mad = mad.to_vec();
        mad[at] = value;
        mad
    }
    let changes: [(&str, Change); 8] = [
        ("another queue pair", |mad| ((2, GSI.1), mad.to_vec())),
        ("another Q_Key", |mad| ((1, [0x11, 0x11, 0, 0]), mad.to_vec())),
        ("a MAD of another version", |mad| (GSI, changed(mad, 0, 2))),
        ("another class", |mad| (GSI, changed(mad, 1, 4))),
        ("another version of the class", |mad| (GSI, changed(mad, 2, 1))),
        ("another method", |mad| (GSI, changed(mad, 3, 0x81))),
        ("too short", |mad| (GSI, mad[..252].to_vec())),
        ("too long", |mad| (GSI, [&mad[..], &[0; 4]].concat())),
    ];
    for (name, change) in changes {
        let mut bed = Bed::new();
        let (req, rep) = (req(1, NEAR_QP, 500), rep((0x1001, 1), FAR_QP, 100));
        let (whom, asked) = change(&req);
        bed.says(1, 2, whom, &asked);
        bed.manages(2, 1, &rep);
        assert!(!bed.coupled(NEAR_QP, FAR_QP) && bed.pmtu(FAR_QP) == 0, "a request with {name}");
        bed.manages(1, 2, &req);
        let (whom, replied) = change(&rep);
        bed.says(2, 1, whom, &replied);
        assert!(!bed.coupled(NEAR_QP, FAR_QP) && bed.pmtu(FAR_QP) == 0, "a reply with {name}");
        bed.manages(2, 1, &rep);
        assert!(bed.coupled(NEAR_QP, FAR_QP), "as it should be, after {name}");
    }
}

#[test]
fn unreliable_connections_pair_nothing() {
    let mut bed = Bed::new();
    let mut uc = req(1, NEAR_QP, 500);
    uc[67] = 1 << 1;
    bed.manages(1, 2, &uc);
    bed.manages(2, 1, &rep((9, 1), FAR_QP, 100));
    assert!(!bed.coupled(NEAR_QP, FAR_QP));
}

#[test]
fn many_requests_leave_room_for_the_newest() {
    let mut bed = Bed::new();
    for id in 0..20_000 {
        bed.wait(1);
        bed.manages(1, 2, &req(id, 0x100 + id, 500));
    }
    bed.manages(2, 1, &rep((9, 3), FAR_QP, 100));
    assert!(!bed.coupled(0x103, FAR_QP), "long forgotten");
    bed.manages(2, 1, &rep((9, 19_999), FAR_QP, 100));
    assert!(bed.coupled(0x100 + 19_999, FAR_QP));
}

proptest! {
    /// Whatever hosts say, it concerns them alone; and an honest connection that follows is known.
    #[test]
    fn anything_said_concerns_its_two_hosts_alone(
        messages in prop::collection::vec(
            (
                any::<bool>(),
                0x10u8..0x18,
                prop::array::uniform3(0u8..3),
                prop::collection::vec(any::<u8>(), 0..300),
            ),
            0..60,
        ),
    ) {
        let mut bed = Bed::new();
        connect(&mut bed, 1, NEAR_QP, FAR_QP);
        for (leaves, attribute, [local, remote, qp], noise) in messages {
            let mut mad = mad(attribute, (local.into(), remote.into()));
            // Every other message means something.
            if noise.len() % 2 == 0 {
                mad[38] = qp;
                mad[58] = qp;
            } else {
                let len = noise.len().min(256);
                mad[18..len.max(18)].copy_from_slice(&noise[18.min(len)..len]);
            }
            let cut = if noise.len() % 7 == 0 { noise.len().min(256) } else { 256 };
            let (from, to) = if leaves { (1, 3) } else { (3, 1) };
            bed.manages(from, to, &mad[..cut]);
        }
        prop_assert!(bed.coupled(NEAR_QP, FAR_QP));
        prop_assert_eq!(bed.pmtu(FAR_QP), 1_024);
        bed.manages(3, 1, &req(0xabcd, OTHER_FAR, 100));
        bed.manages(1, 3, &rep((0xbcde, 0xabcd), OTHER_NEAR, 500));
        prop_assert!(coupled(&mut bed.shield, (1, OTHER_NEAR), (3, OTHER_FAR), bed.now));
    }
}
