//! Any bytes as a capture file, and what is in it under the inspector.
//!
//! Must hold: no panic, an end, no packet that the file has no bytes for, an error at most once,
//! and every packet counted once.
#![no_main]

use dataplane::capture::Reader;
use libfuzzer_sys::fuzz_target;
use pipelines::inspect::{Inspector, Limits};

fuzz_target!(|file: &[u8]| {
    let mut inspector = Inspector::new(Limits { flows: 64, connections: 16 }, true);
    let Ok(mut reader) = Reader::new("fuzz", file) else { return };
    let mut bytes = 0;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                bytes += record.data.len();
                assert!(record.data.len() <= record.original_len as usize);
                inspector.observe(record.data, record.original_len);
            }
            Ok(None) => break,
            Err(error) => {
                assert!(error.offset <= file.len() as u64, "{error}");
                assert!(matches!(reader.next(), Ok(None)));
            }
        }
    }
    assert!(bytes <= file.len() && reader.offset() <= file.len() as u64);
    let totals = inspector.totals();
    assert_eq!(totals.packets, reader.packets());
    let named: u64 = inspector.opcodes().map(|(_, packets)| packets).sum();
    let streams = inspector.streams();
    let followed: u64 = streams.iter().map(|stream| stream.packets).sum();
    assert_eq!(named, followed + totals.icrc_bad + totals.untracked_packets);
    assert!(streams.len() <= 3 * 64 && inspector.connections().len() <= 16);
});
