//! Marks of congestion, notifications, and who slows down.

use dataplane::time::{MICROSECOND, Nanos};

use super::pipe::{DELAY, Pipe};
use crate::rnic::{QpSettings, Verb};

/// As fast as the pipe's line: 4,178 bytes in 100 ns.
const LINE: u64 = 334_000_000_000;
const CNP: u8 = 0x81;
/// Where an IPv4 frame has its type of service.
const TOS: usize = 15;

fn settings(dcqcn: Option<u64>) -> QpSettings {
    QpSettings { dcqcn, window: 1_000, ..QpSettings::default() }
}

/// A pipe that marks every packet of data that may be marked.
fn marking(settings: QpSettings) -> Pipe {
    Pipe::new(settings).with(|_, _, frame| {
        if frame[TOS] & 3 == 2 && frame.len() > 1_000 {
            frame[TOS] |= 3;
        }
        vec![DELAY]
    })
}

/// How long the only message took.
fn took(pipe: &Pipe) -> Nanos {
    pipe.done[0][0].completed.since(pipe.done[0][0].posted)
}

#[test]
fn marks_are_answered_at_most_every_50_microseconds_and_slow_the_sender_down() {
    let mut slow = marking(settings(Some(LINE)));
    slow.post(Verb::Write, 4 << 20);
    slow.run();
    slow.assert_complete(1);
    let notified: Vec<_> = slow.seen.iter().filter(|seen| seen.opcode == CNP).collect();
    assert!(notified.len() > 5 && notified.iter().all(|seen| seen.from == 1), "{notified:?}");
    let apart = notified.windows(2).map(|two| two[1].at.since(two[0].at));
    assert!(apart.min() >= Some(50 * MICROSECOND));
    let [sender, receiver] = slow.counters();
    assert_eq!(sender.rp_cnp_handled, receiver.np_cnp_sent);
    assert_eq!((receiver.np_cnp_sent, sender.np_cnp_sent), (notified.len() as u64, 0));

    let mut free = Pipe::new(settings(Some(LINE)));
    free.post(Verb::Write, 4 << 20);
    free.run();
    assert!(took(&slow) > 3 * took(&free), "{} and {} ns", took(&slow), took(&free));
}

#[test]
fn who_does_not_speak_of_congestion_is_not_marked_and_is_as_fast_as_ever() {
    let ends = |dcqcn| {
        let mut pipe = marking(settings(dcqcn));
        pipe.post(Verb::Write, 1 << 20);
        pipe.run();
        pipe.assert_complete(1);
        assert!(dcqcn.is_some() || pipe.opcodes(1).iter().all(|opcode| *opcode != CNP));
        took(&pipe)
    };
    assert!(ends(None) < ends(Some(LINE)));
}
