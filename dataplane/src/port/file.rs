//! A port on capture files: what arrives is read from one, what leaves is written to another.
//!
//! For offline runs in virtual time: a packet of the input is there once the clock has reached its
//! capture time, counted from an origin that all ports of a run share.

use std::io::{Read, Write};
use std::rc::Rc;

use super::{Burst, Port, PortCounters, PortError, TxQueue};
use crate::capture::{Reader, Record, Writer};
use crate::memory::{Packet, Pool};
use crate::time::Time;

/// A port that reads its packets from one capture and writes them to another; either may be absent.
pub struct FilePort<R, W: Write> {
    input: Option<Reader<R>>,
    output: Option<Writer<W>>,
    pool: Rc<Pool>,
    /// The capture time that is [`Time::ZERO`], in nanoseconds since 1970.
    origin_ns: u64,
    /// The packet that arrives next, read ahead.
    pending: Option<(Time, Packet)>,
    /// Why the input was not read to its end.
    input_error: Option<String>,
    /// Why not everything was written.
    output_error: Option<String>,
    counters: PortCounters,
    /// Bytes of the frame being written, for those in several segments.
    scratch: Vec<u8>,
}

impl<R: Read, W: Write> FilePort<R, W> {
    /// A port over the two captures. `origin_ns`: the capture time, in nanoseconds since 1970, at
    /// which the run begins; what was captured before arrives at the beginning.
    pub fn new(
        input: Option<Reader<R>>,
        output: Option<Writer<W>>,
        pool: Rc<Pool>,
        origin_ns: u64,
    ) -> Self {
        let mut port = Self {
            input,
            output,
            pool,
            origin_ns,
            pending: None,
            input_error: None,
            output_error: None,
            counters: PortCounters::default(),
            scratch: Vec::new(),
        };
        port.read_ahead(Time::ZERO);
        port
    }

    /// Reads until a packet is pending or the input ends. Packets for which there is no buffer are
    /// counted as missed. Captures whose times go back arrive in the order of the file.
    fn read_ahead(&mut self, not_before: Time) {
        while self.pending.is_none() {
            let Some(input) = &mut self.input else { return };
            match input.next() {
                Ok(Some(record)) => {
                    let at = Time(record.time_ns.saturating_sub(self.origin_ns)).max(not_before);
                    match self.pool.copy(record.data) {
                        Some(packet) => self.pending = Some((at, packet)),
                        None => self.counters.rx_missed += 1,
                    }
                }
                Ok(None) => self.input = None,
                Err(error) => {
                    self.input_error = Some(error.to_string());
                    self.input = None;
                }
            }
        }
    }
}

impl<R: Read, W: Write> Port for FilePort<R, W> {
    fn receive(&mut self, now: Time, burst: &mut Burst) -> usize {
        let before = burst.len();
        while !burst.is_full() {
            let Some((at, packet)) = self.pending.take_if(|(at, _)| *at <= now) else { break };
            self.counters.rx_packets += 1;
            self.counters.rx_bytes += packet.len() as u64;
            burst.push(packet);
            self.read_ahead(at);
        }
        burst.len() - before
    }

    fn transmit(&mut self, now: Time, queue: &mut TxQueue) -> usize {
        let mut count = 0;
        while let Some(frame) = queue.pop() {
            self.scratch.clear();
            frame.segments().for_each(|segment| self.scratch.extend_from_slice(segment));
            let record = Record {
                time_ns: self.origin_ns.saturating_add(now.0),
                original_len: self.scratch.len() as u32,
                data: &self.scratch,
            };
            if let Some(output) = &mut self.output
                && let Err(error) = output.write(&record)
            {
                self.output_error.get_or_insert(error.to_string());
            }
            self.counters.tx_packets += 1;
            self.counters.tx_bytes += frame.len() as u64;
            count += 1;
        }
        count
    }

    fn next_arrival(&self) -> Option<Time> {
        self.pending.as_ref().map(|(at, _)| *at)
    }

    fn error(&self) -> Option<&str> {
        self.input_error.as_deref().or(self.output_error.as_deref())
    }

    fn close(&mut self) -> Vec<PortError> {
        if let Some(Err(error)) = self.output.take().map(Writer::finish) {
            self.output_error.get_or_insert(error.to_string());
        }
        let input = self.input_error.clone().map(PortError::Input);
        let output = self.output_error.clone().map(PortError::Failed);
        input.into_iter().chain(output).collect()
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::PoolSettings;

    fn capture(times: &[u64]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).expect("a vector takes all");
        for &time_ns in times {
            let data = &[time_ns as u8; 300];
            writer.write(&Record { time_ns, original_len: 300, data }).expect("valid record");
        }
        writer.finish().expect("a vector takes all")
    }

    fn port(input: &[u8], buffers: u32) -> FilePort<&[u8], Vec<u8>> {
        let settings = PoolSettings { buffers, buffer_bytes: 256, headroom: 0 };
        let pool = Rc::new(Pool::new(settings).expect("valid"));
        let reader = Reader::new("test", input).expect("a capture");
        FilePort::new(Some(reader), Some(Writer::new(Vec::new()).expect("header")), pool, 1_000)
    }

    #[test]
    fn packets_arrive_at_their_time_and_leave_with_it() {
        let input = capture(&[1_000, 1_005, 1_003, 1_020]);
        let mut port = port(&input, 16);
        let mut burst = Burst::new();
        assert_eq!(port.next_arrival(), Some(Time(0)));
        assert_eq!(port.receive(Time(5), &mut burst), 3);
        assert_eq!(port.next_arrival(), Some(Time(20)));
        let mut queue = TxQueue::new(4);
        for packet in burst.drain(..) {
            assert!(queue.push(packet.freeze()).is_ok());
        }
        assert_eq!(port.transmit(Time(7), &mut queue), 3);
        let written = port.output.take().expect("present").finish().expect("a vector");
        let mut reader = Reader::new("out", written.as_slice()).expect("a capture");
        let record = reader.next().expect("readable").expect("a record");
        assert_eq!((record.time_ns, record.data), (1_007, [1_000u64 as u8; 300].as_slice()));
    }

    #[test]
    fn a_truncated_input_is_played_as_far_as_it_goes_and_said() {
        let input = capture(&[1_000, 1_001]);
        let mut port = port(&input[..input.len() - 7], 16);
        let mut burst = Burst::new();
        assert_eq!(port.receive(Time(9), &mut burst), 1);
        assert!(port.error().is_some());
        assert!(matches!(port.close()[..], [PortError::Input(_)]));
    }

    #[test]
    fn an_output_that_fails_is_said_apart_from_the_input() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("no space"))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let input = capture(&[1_000, 1_001]);
        let settings = PoolSettings { buffers: 16, buffer_bytes: 256, headroom: 0 };
        let pool = Rc::new(Pool::new(settings).expect("valid"));
        let reader = Reader::new("test", &input[..input.len() - 7]).expect("a capture");
        let writer = Writer::new(Full).expect("buffered");
        let mut port = FilePort::new(Some(reader), Some(writer), pool, 1_000);
        assert_eq!(port.receive(Time(9), &mut Burst::new()), 1);
        let errors = port.close();
        assert!(
            matches!(&errors[..], [PortError::Input(_), PortError::Failed(output)]
            if output == "cannot write the capture: no space"),
            "{errors:?}"
        );
    }

    #[test]
    fn packets_without_a_buffer_are_counted() {
        let input = capture(&[1_000, 1_001, 1_002]);
        let mut port = port(&input, 4);
        let mut burst = Burst::new();
        assert_eq!(port.receive(Time(9), &mut burst), 2);
        assert_eq!(port.counters().rx_missed, 1);
    }
}
