//! Any bytes as a connection management datagram.
//!
//! Must hold: no panic, and what was read is read again from what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipelines::wire::cm::{MAD_LEN, Mad, Message};

fuzz_target!(|payload: &[u8]| {
    let Ok(mad) = Mad::parse(payload) else { return };
    if let Message::Req(req) = mad.message {
        assert!(req.path_mtu().is_none_or(|mtu| (256..=4_096).contains(&mtu)));
    }
    let mut written = [0xff; MAD_LEN];
    match mad.write(&mut written) {
        Ok(len) => {
            assert_eq!(len, MAD_LEN);
            assert_eq!(Mad::parse(&written).as_ref(), Ok(&mad));
        }
        Err(error) => panic!("what was read does not fit: {error}"),
    }
});
