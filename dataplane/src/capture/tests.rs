//! Round trips, both byte orders, every hostile case, and anything else that random bytes find.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

/// A number in the byte order of a test's file.
#[derive(Clone, Copy)]
struct Order(bool);

const LITTLE: Order = Order(false);
const BIG: Order = Order(true);

impl Order {
    fn u16(self, value: u16) -> Vec<u8> {
        if self.0 { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn u32(self, value: u32) -> Vec<u8> {
        if self.0 { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn pcap(self, magic: u32, snapshot_length: u32, link_type: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(4)].concat();
        let tail = [self.u32(snapshot_length), self.u32(link_type)].concat();
        [self.u32(magic), version, vec![0; 8], tail].concat()
    }

    fn record(self, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> Vec<u8> {
        let lengths = [self.u32(data.len() as u32), self.u32(original)].concat();
        [self.u32(seconds), self.u32(fraction), lengths, data.to_vec()].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = self.u32((12 + body.len() + padding.len()) as u32);
        [self.u32(kind), length.clone(), body.to_vec(), padding, length].concat()
    }

    fn section(self) -> Vec<u8> {
        let body = [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), vec![0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link_type: u16, snapshot_length: u32, options: &[u8]) -> Vec<u8> {
        let fixed = [self.u16(link_type), self.u16(0), self.u32(snapshot_length)].concat();
        self.block(1, &[fixed, options.to_vec()].concat())
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [self.u16(code), self.u16(value.len() as u16), value.to_vec(), padding].concat()
    }

    fn enhanced(self, interface: u32, timestamp: u64, original: u32, data: &[u8]) -> Vec<u8> {
        let time = [self.u32((timestamp >> 32) as u32), self.u32(timestamp as u32)].concat();
        let lengths = [self.u32(data.len() as u32), self.u32(original)].concat();
        self.block(6, &[self.u32(interface), time, lengths, data.to_vec()].concat())
    }
}

type Packet = (u64, u32, Vec<u8>);

/// Everything readable, and the error that ends it.
fn read_all(file: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    let mut packets = Vec::new();
    let mut reader = match Reader::new("x.pcap", file) {
        Ok(reader) => reader,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                packets.push((record.time_ns, record.original_len, record.data.to_vec()));
            }
            Ok(None) => return (packets, None),
            Err(error) => {
                assert!(matches!(reader.next(), Ok(None)), "an error is reported once");
                return (packets, Some(error));
            }
        }
    }
}

/// The error's text, of a capture that yields `packets` packets before it.
fn failure(file: &[u8], packets: usize) -> String {
    let (read, error) = read_all(file);
    assert_eq!(read.len(), packets);
    error.expect("the capture is faulty").to_string()
}

#[test]
fn what_is_written_is_read() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let long = vec![7; MAX_CAPTURED_LEN];
    let records = [
        Record { time_ns: 1, original_len: 3, data: &[1, 2, 3] },
        Record { time_ns: 4_294_967_295_999_999_999, original_len: 1500, data: &[4; 60] },
        Record { time_ns: 0, original_len: 0, data: &[] },
        Record { time_ns: 5, original_len: long.len() as u32, data: &long },
    ];
    for record in &records {
        writer.write(record).unwrap();
    }
    let file = writer.finish().unwrap();
    let (read, error) = read_all(&file);
    assert!(error.is_none());
    let expected: Vec<Packet> =
        records.iter().map(|r| (r.time_ns, r.original_len, r.data.to_vec())).collect();
    assert_eq!(read, expected);
    assert!(records[1].is_snapped() && !records[0].is_snapped());
}

#[test]
fn the_writer_refuses_what_does_not_fit_and_goes_on() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let late = Record { time_ns: u64::MAX, original_len: 1, data: &[1] };
    assert!(matches!(writer.write(&late), Err(WriteError::Time(u64::MAX))));
    let long = vec![0; MAX_CAPTURED_LEN + 1];
    let long = Record { time_ns: 0, original_len: 0, data: &long };
    assert!(matches!(writer.write(&long), Err(WriteError::PacketLength(_))));
    writer.write(&Record { time_ns: 9, original_len: 0, data: &[1] }).unwrap();
    assert_eq!(read_all(&writer.finish().unwrap()).0, [(9, 1, vec![1])]);
}

#[test]
fn a_failing_output_is_reported_by_finish() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writer = Writer::new(Full).unwrap();
    assert!(matches!(writer.finish(), Err(WriteError::Io(_))));
}

#[test]
fn classic_in_both_byte_orders_and_units() {
    for order in [LITTLE, BIG] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let header = order.pcap(magic, 65535, 1);
            let file = [header, order.record(2, 3, 9, &[5; 4])].concat();
            let (packets, error) = read_all(&file);
            assert!(error.is_none());
            assert_eq!(packets, [(2_000_000_000 + 3 * unit, 9, vec![5; 4])]);
        }
    }
}

#[test]
fn pcapng_in_both_byte_orders_with_interfaces_and_sections() {
    for order in [LITTLE, BIG] {
        let nanoseconds = [order.option(2, b"eth0!"), order.option(9, &[9])].concat();
        let binary = [order.option(9, &[0x80 | 10]), order.option(0, &[])].concat();
        let offset = if order.0 { 5i64.to_be_bytes() } else { 5i64.to_le_bytes() };
        let shifted = order.option(14, &offset);
        let simple = [order.u32(6), vec![8; 4]].concat();
        let obsolete = [
            [order.u16(1), order.u16(0), order.u32(0), order.u32(77)].concat(),
            [order.u32(2), order.u32(2), vec![9; 2]].concat(),
        ];
        let file = [
            order.section(),
            order.interface(1, 4, &[]),
            order.interface(1, 0, &nanoseconds),
            order.interface(1, 0, &binary),
            order.interface(1, 0, &shifted),
            order.block(0xdead, &[1; 5000]),
            order.enhanced(0, 3, 2, &[1; 2]),
            order.enhanced(1, 3 << 32, 3, &[2; 3]),
            order.enhanced(2, 2048, 8, &[3; 4]),
            order.enhanced(3, 1, 1, &[4; 1]),
            order.block(3, &simple),
            order.block(2, &obsolete.concat()),
            // A new section forgets the interfaces, and may turn the byte order.
            Order(!order.0).section(),
            Order(!order.0).interface(1, 0, &[]),
            Order(!order.0).enhanced(0, 1, 1, &[6]),
        ];
        let (packets, error) = read_all(&file.concat());
        assert!(error.is_none(), "{error:?}");
        let expected = [
            (3_000, 2, vec![1; 2]),
            (3 << 32, 3, vec![2; 3]),
            (2_000_000_000, 8, vec![3; 4]),
            (5_000_001_000, 1, vec![4; 1]),
            (0, 6, vec![8; 4]),
            (77, 2, vec![9; 2]),
            (1_000, 1, vec![6]),
        ];
        assert_eq!(packets, expected);
    }
}

#[test]
fn what_is_no_capture_is_called_so() {
    assert!(failure(b"", 0).contains("x.pcap: byte 0: the file is empty"));
    assert!(failure(b"ab", 0).contains("neither pcap nor pcapng"));
    assert!(failure(b"#!/bin/sh\n", 0).contains("neither pcap nor pcapng"));
    assert!(failure(&[0x1f, 0x8b, 8, 0], 0).contains("gunzip"));
    assert!(failure(&LITTLE.u32(0xa1b2_cd34), 0).contains("editcap -F pcap"));
    assert!(failure(&LITTLE.pcap(0xa1b2_c3d4, 0, 1)[..20], 0).contains("24 bytes were to follow"));
    let missing = Reader::open(std::path::Path::new("/nonexistent/x.pcap")).err().unwrap();
    assert!(missing.to_string().starts_with("/nonexistent/x.pcap: byte 0"));
}

#[test]
fn another_link_type_is_named() {
    let text = failure(&BIG.pcap(0xa1b2_c3d4, 0, 113), 0);
    assert!(text.contains("link type 113 (Linux cooked capture), not 1 (Ethernet)"), "{text}");
    let interfaces = [LITTLE.interface(1, 0, &[]), LITTLE.interface(276, 0, &[])].concat();
    let packets = [LITTLE.enhanced(0, 0, 1, &[1]), LITTLE.enhanced(1, 0, 1, &[1])].concat();
    let file = [LITTLE.section(), interfaces, packets].concat();
    assert!(failure(&file, 1).contains("link type 276 (Linux cooked capture v2)"));
}

#[test]
fn absurd_lengths_are_refused_where_they_stand() {
    let header = LITTLE.pcap(0xa1b2_c3d4, 0, 1);
    assert!(failure(&LITTLE.pcap(0xa1b2_c3d4, u32::MAX, 1), 0).contains("snapshot length"));
    let interface = LITTLE.interface(1, u32::MAX, &[]);
    assert!(failure(&[LITTLE.section(), interface].concat(), 0).contains("snapshot length"));
    for absurd in [MAX_CAPTURED_LEN as u32 + 1, u32::MAX] {
        let lengths = [LITTLE.u32(absurd), LITTLE.u32(absurd)].concat();
        let file = [header.clone(), LITTLE.record(0, 0, 4, &[1; 4]), vec![0; 8], lengths].concat();
        let text = failure(&file, 1);
        assert!(text.contains("byte 44, packet 2") && text.contains("bound"), "{text}");
    }
    for length in [0u32, 8, 13, 1 << 30, u32::MAX] {
        let block = [LITTLE.u32(6), LITTLE.u32(length)].concat();
        let text = failure(&[LITTLE.section(), block].concat(), 0);
        assert!(text.contains("byte 28") && text.contains("claims"), "{text}");
    }
}

#[test]
fn blocks_that_contradict_themselves_are_refused() {
    let begin = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
    let fails = |block: Vec<u8>| failure(&[begin.clone(), block].concat(), 0);
    let mut trailer = LITTLE.enhanced(0, 0, 4, &[1; 4]);
    *trailer.last_mut().unwrap() = 1;
    assert!(fails(trailer).contains("at its beginning"));
    let mut skipped = LITTLE.block(99, &[0; 16]);
    *skipped.last_mut().unwrap() = 1;
    assert!(fails(skipped).contains("at its beginning"));
    let mut too_much = LITTLE.enhanced(0, 0, 4, &[1; 4]);
    too_much[20] = 40;
    assert!(fails(too_much).contains("too short for what it says"));
    assert!(
        fails(LITTLE.enhanced(1, 0, 1, &[1])).contains("interface 1, but the section describes 1")
    );
    assert!(fails(LITTLE.block(6, &[0; 4])).contains("too short"));
    assert!(fails(LITTLE.interface(1, 0, &LITTLE.option(9, &[1, 2]))).contains("too short"));
    let magic = LITTLE.block(0x0a0d_0d0a, &[0; 16]);
    assert!(fails(magic).contains("byte-order magic"));
    let interfaces = LITTLE.interface(1, 0, &[]).repeat(5000);
    assert!(fails(interfaces).contains("more than 4096 interfaces"));
}

#[test]
fn a_truncated_capture_yields_what_is_whole() {
    let classic = [BIG.pcap(0xa1b2_3c4d, 0, 1), BIG.record(1, 2, 8, &[1; 8]).repeat(3)].concat();
    let head = [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.block(99, &[0; 20])].concat();
    let blocks = [head.clone(), LITTLE.enhanced(0, 0, 8, &[1; 8]).repeat(3)].concat();
    for (file, first, each) in [(classic, 24, 24), (blocks, head.len(), 40)] {
        for cut in first + 1..file.len() {
            let (packets, error) = read_all(&file[..cut]);
            assert_eq!(packets.len(), (cut - first) / each);
            let whole = (cut - first) % each == 0;
            assert_eq!(error.is_none(), whole, "cut at {cut}");
            if let Some(error) = error {
                assert!(matches!(error.fault, Fault::Truncated { .. }), "{error}");
                assert_eq!(error.offset as usize, first + packets.len() * each);
            }
        }
    }
}

#[test]
fn an_input_that_dribbles_and_is_interrupted_reads_the_same() {
    struct Dribble<'a>(&'a [u8], bool);
    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let step = into.len().min(3);
            self.0.read(&mut into[..step])
        }
    }
    let file = [LITTLE.pcap(0xa1b2_c3d4, 0, 1), LITTLE.record(0, 1, 50, &[1; 50])].concat();
    let mut reader = Reader::new("-", Dribble(&file, false)).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().data, [1; 50]);
    assert!(reader.next().unwrap().is_none());
    assert_eq!((reader.packets(), reader.offset()), (1, file.len() as u64));
}

#[test]
fn a_long_capture_passes_through_a_window_of_fixed_size() {
    /// Repeats one record without end, and notes the largest read asked for.
    struct Endless<'a> {
        record: &'a [u8],
        at: usize,
        left: usize,
        largest: &'a mut usize,
    }
    impl Read for Endless<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            *self.largest = into.len().max(*self.largest);
            let step = into.len().min(self.record.len() - self.at).min(self.left);
            into[..step].copy_from_slice(&self.record[self.at..self.at + step]);
            self.at = (self.at + step) % self.record.len();
            self.left -= step;
            Ok(step)
        }
    }
    let record = LITTLE.record(0, 1, 4097, &[3; 4097]);
    let header = LITTLE.pcap(0xa1b2_c3d4, 0, 1);
    let (count, mut largest) = (5000, 0);
    let body =
        Endless { record: &record, at: 0, left: count * record.len(), largest: &mut largest };
    let mut reader = Reader::new("-", header.as_slice().chain(body)).unwrap();
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.data, [3; 4097]);
    }
    assert_eq!(reader.packets(), count as u64);
    drop(reader);
    assert!(largest <= 1 << 20, "the window is 1 MiB, a read of {largest} was asked for");
}

/// Reads to the end; every packet takes at least its header from the input, so it ends.
fn drain(file: &[u8]) {
    let (packets, _) = read_all(file);
    assert!(packets.len() <= file.len() / 12);
    let total: usize = packets.iter().map(|(_, _, data)| data.len()).sum();
    assert!(total <= file.len());
}

proptest! {
    #[test]
    fn random_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..600), start in 0..5usize) {
        let begin = [
            vec![],
            LITTLE.pcap(0xa1b2_c3d4, 0, 1),
            BIG.pcap(0xa1b2_3c4d, 0, 1),
            [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat(),
            BIG.section(),
        ];
        drain(&[begin[start].clone(), bytes].concat());
    }

    #[test]
    fn mutations_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        big in any::<bool>(),
        blocks in any::<bool>(),
    ) {
        let order = Order(big);
        let mut file = if blocks {
            let interface = order.interface(1, 0, &order.option(9, &[9]));
            [order.section(), interface, order.block(7, &[0; 9]), order.block(3, &[0, 0, 0, 0])]
                .into_iter()
                .chain((0..4).map(|n| order.enhanced(0, n, 20, &[1; 18])))
                .collect::<Vec<_>>()
                .concat()
        } else {
            [order.pcap(0xa1b2_c3d4, 0, 1), order.record(1, 2, 20, &[1; 20]).repeat(4)].concat()
        };
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        drain(&file);
    }

    #[test]
    fn round_trips(packets in prop::collection::vec(
        (0..4_294_967_295_999_999_999u64, any::<u32>(), prop::collection::vec(any::<u8>(), 0..99)),
        0..20,
    )) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for (time_ns, original_len, data) in &packets {
            let original_len = *original_len;
            writer.write(&Record { time_ns: *time_ns, original_len, data }).unwrap();
        }
        let (read, error) = read_all(&writer.finish().unwrap());
        prop_assert!(error.is_none());
        let expected: Vec<Packet> = packets
            .into_iter()
            .map(|(time, original, data)| (time, original.max(data.len() as u32), data))
            .collect();
        prop_assert_eq!(read, expected);
    }
}
