//! Messages read back, stay within their bound and do no harm.

use super::*;
use proptest::prelude::*;

const HEADER: [u8; HEADER_LEN] = [0x10; HEADER_LEN];

fn key() -> Key {
    Key::from_secret(b"0123456789abcdef")
}

fn sealed(mut draft: Draft, number: u64) -> Vec<u8> {
    [&HEADER, draft.seal(&HEADER, number, key())].concat()
}

#[test]
fn every_message_reads_back() {
    let hello = Hello { nonce: 1, echo: 2, time: 3, echoed_time: 4, channels: 5, lanes: 4_096 };
    let message = sealed(Draft::hello(&hello), 0);
    assert_eq!(envelope(&message), Ok(Envelope { number: 0, is_hello: true }));
    assert!(is_authentic(&message, key()));
    assert_eq!(read(&message), Ok(Message::Hello(hello)));

    let message = sealed(Draft::probe(3, Seq(9), 77), 12);
    assert_eq!(envelope(&message), Ok(Envelope { number: 12, is_hello: false }));
    assert_eq!(read(&message), Ok(Message::Probe { channel: 3, next: Seq(9), time: 77 }));

    let mut draft = Draft::gone(2);
    assert!(draft.is_empty());
    let items = [
        GoneItem {
            range: Range { start: Seq(5), count: 1 },
            at: Some(LanePosition { lane: 7, seq: Seq(8) }),
        },
        GoneItem { range: Range { start: Seq(6), count: 9 }, at: None },
    ];
    assert!(items.iter().all(|&item| draft.item(item)) && !draft.is_empty());
    let message = sealed(draft, 1);
    let Ok(Message::Gone { channel: 2, items: read }) = read(&message) else { panic!() };
    assert_eq!(read.collect::<Vec<_>>(), items);
}

#[test]
fn feedback_fills_up_to_the_bound_and_no_further() {
    let mut draft = Draft::feedback(55);
    let range = Range { start: Seq(1), count: 2 };
    assert!(!draft.range(range), "no block yet");
    assert!(draft.block(0, Seq(4)) && draft.block(9, Seq(5)));
    let ranges = std::iter::repeat_with(|| draft.range(range)).take_while(|&taken| taken).count();
    let message = sealed(draft, 3);
    assert!(message.len() <= MAX_MESSAGE && message.len() + RANGE_LEN > MAX_MESSAGE);
    let Ok(Message::Feedback { echoed_time: 55, blocks }) = read(&message) else { panic!() };
    let blocks: Vec<_> = blocks.map(|block| block.expect("checked")).collect();
    assert_eq!((blocks[0].channel, blocks[0].cumulative), (0, Seq(4)));
    assert_eq!(blocks[0].ranges.clone().count(), 0);
    assert_eq!((blocks[1].channel, blocks[1].ranges.clone().count()), (9, ranges));
}

#[test]
fn one_changed_bit_anywhere_is_noticed() {
    let message = sealed(Draft::probe(3, Seq(9), 77), 12);
    for bit in 0..message.len() * 8 {
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_authentic(&changed, key()), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..11) {
        let mut message = bytes;
        if let Some(byte) = message.get_mut(HEADER_LEN) { *byte = kind; }
        let _ = envelope(&message);
        let _ = is_authentic(&message, key());
        match read(&message) {
            Ok(Message::Feedback { blocks, .. }) => {
                for block in blocks {
                    prop_assert!(block.expect("checked when read").ranges.count() <= 255);
                }
            }
            Ok(Message::Gone { items, .. }) => prop_assert!(items.count() <= 200),
            Ok(Message::Stops { items, .. }) => prop_assert!(items.count() <= 200),
            Ok(Message::StopsHeard { items }) => prop_assert!(items.count() <= 200),
            _ => {}
        }
    }
}
