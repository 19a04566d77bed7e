//! Any bytes as a frame with a control packet of BFD, and any packets at a session.
//!
//! Must hold: no panic, what was read is read again from what is written, and however a session is
//! spoken to, it says little and then waits.
#![no_main]

use dataplane::time::{MILLISECOND, Time};
use libfuzzer_sys::fuzz_target;
use pipelines::bfd::datagram;
use pipelines::bfd::packet::{Control, PACKET_LEN};
use pipelines::bfd::session::{Intervals, Session};

const OURS: u32 = 7;

fuzz_target!(|input: &[u8]| {
    for ours in [[192, 0, 2, 2].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into()] {
        if let Some(received) = datagram::read(input, ours) {
            let _ = Control::read(received.payload);
        }
    }
    let wanted = Intervals { desired_min_tx: 10_000, required_min_rx: 10_000, detect_mult: 3 };
    let mut session = Session::new(wanted, OURS, 1, Time::ZERO);
    let mut now = Time::ZERO;
    for step in input.chunks(PACKET_LEN + 1) {
        let Some((&wait, packet)) = step.split_first() else { break };
        if let Ok(packet) = Control::read(packet) {
            let written = packet.bytes().expect("read from five bits");
            assert_eq!(Control::read(&written), Ok(packet));
            // A random name would be no session's.
            let yours = if packet.yours == 0 { 0 } else { OURS };
            session.receive(&Control { yours, ..packet }, now);
            let said = std::iter::from_fn(|| session.transmit(now)).take(3).count();
            assert!(said <= 2, "an answer, and what is new");
        }
        now = now.after(u64::from(wait) * MILLISECOND);
        session.expire(now);
        while session.transmit(now).is_some() {}
        assert!(session.due() > now);
    }
});
