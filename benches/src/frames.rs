//! Frames for the benches, built as an RNIC builds them: right lengths, checksum and ICRC.

use pipelines::wire::bth::{self, Bth};
use pipelines::wire::opcode::Opcode;
use pipelines::wire::{BuildError, ethernet, icrc, ipv4, udp};

/// Where the IP packet begins in a frame of [`write_frame`].
pub const IP_AT: usize = 14;
/// Bytes of its IP header.
pub const IP_LEN: usize = ipv4::MIN_HEADER_LEN;

/// RC RDMA WRITE Middle.
const WRITE_MIDDLE: u8 = 0x07;
const FIRST_QUEUE_PAIR: u32 = 17;
/// Bytes of all headers together, and the ICRC.
const AROUND: usize = IP_AT + IP_LEN + udp::HEADER_LEN + Bth::LEN + icrc::LEN;

/// Frames of `streams` QPs: RDMA WRITE Middle packets of `payload` bytes between two hosts.
///
/// # Panics
/// If `payload` does not fit a frame.
#[must_use]
pub fn write_frames(streams: u32, payload: usize) -> Vec<Vec<u8>> {
    (0..streams).map(|stream| write_frame(FIRST_QUEUE_PAIR + stream, payload)).collect()
}

/// A frame to one QP: an RDMA WRITE Middle packet of `payload` bytes.
///
/// # Panics
/// If `payload` does not fit a frame.
#[must_use]
pub fn write_frame(queue_pair: u32, payload: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..payload).map(|i| i as u8).collect();
    build(queue_pair, &data).expect("a payload that fits a frame")
}

fn build(queue_pair: u32, payload: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut frame = vec![0; AROUND + payload.len().next_multiple_of(4)];
    let (front, datagram) = frame.split_at_mut(IP_AT + IP_LEN + udp::HEADER_LEN);
    let (front, udp_header) = front.split_at_mut(IP_AT + IP_LEN);
    let (ethernet_header, ip_header) = front.split_at_mut(IP_AT);
    ethernet::Header {
        destination: [2, 0, 0, 0, 1, 1],
        source: [2, 0, 0, 0, 2, 2],
        tags: &[],
        ethertype: ethernet::IPV4,
    }
    .write(ethernet_header)?;
    let bth = Bth { migrated: true, ..Bth::new(Opcode(WRITE_MIDDLE), queue_pair, 1) };
    let len = bth::write(bth, &[], payload, datagram)?;
    udp::Header { source_port: 0xc000, destination_port: udp::ROCEV2_PORT }
        .write(len, udp_header)?;
    ipv4::Header {
        tos: 2,
        identification: 0,
        fragment_word: ipv4::DONT_FRAGMENT,
        ttl: 64,
        protocol: udp::PROTOCOL,
        source: [10, 0, 0, 1],
        destination: [10, 1, 0, 2],
        options: &[],
    }
    .write(udp::HEADER_LEN + len, ip_header)?;
    let covered = IP_AT..frame.len() - icrc::LEN;
    let sum = icrc::compute(IP_LEN, [&frame[covered.clone()]]).expect("all headers are there");
    frame[covered.end..].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipelines::wire::packet::{Class, Parsed};

    #[test]
    fn frames_are_what_an_rnic_sends() {
        for payload in [1, 256, 1_024, 4_096] {
            let frames = write_frames(2, payload);
            for (frame, queue_pair) in frames.iter().zip(FIRST_QUEUE_PAIR..) {
                let parsed = Parsed::of(frame, frame.len());
                let Class::Roce(_, _, roce) = parsed.class else { panic!("{parsed:?}") };
                assert_eq!(roce.bth.dest_qp, queue_pair);
                assert_eq!(usize::from(roce.payload_len), payload);
                assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
                let ip = ipv4::View::parse(&frame[IP_AT..]).expect("an IPv4 packet");
                assert!(ip.has_right_checksum());
            }
        }
    }
}
