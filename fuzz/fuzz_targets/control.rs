//! Any bytes as a control message between gateways.
//!
//! Must hold: no panic, an end of every iterator, no item without bytes, and nothing authentic
//! without the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipelines::tunnel::auth::Key;
use pipelines::tunnel::control::{self, MAX_MESSAGE, Message};

fuzz_target!(|message: &[u8]| {
    assert!(!control::is_authentic(message, Key::from_secret(b"a key that no one guesses")));
    if let Ok(envelope) = control::envelope(message) {
        assert!(message.len() <= MAX_MESSAGE);
        let read = control::read(message);
        let is_hello = matches!(read, Ok(Message::Hello(_)));
        assert!(!is_hello || envelope.is_hello);
    }
    match control::read(message) {
        Ok(Message::Feedback { blocks, .. }) => {
            let mut items = 0;
            for block in blocks {
                items += 1 + block.expect("checked when it was read").ranges.count();
            }
            assert!(items * 8 <= message.len());
        }
        Ok(Message::Gone { items, .. }) => assert!(items.count() * 16 <= message.len()),
        Ok(Message::Streams { items, .. }) => assert!(items.count() * 20 <= message.len()),
        Ok(Message::StreamFeedback { blocks, .. }) => {
            let mut items = 0;
            for block in blocks {
                items += 1 + block.expect("checked when it was read").ranges.count();
            }
            assert!(items * 8 <= message.len());
        }
        Ok(Message::StreamGone { items }) => assert!(items.count() * 20 <= message.len()),
        Ok(Message::Stops { items, .. }) => assert!(items.count() * 16 <= message.len()),
        Ok(Message::StopsHeard { items }) => assert!(items.count() * 16 <= message.len()),
        Ok(Message::Hello(_) | Message::Probe { .. }) | Err(_) => {}
    }
});
