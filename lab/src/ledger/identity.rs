//! Which frames are the same packet.
//!
//! An RNIC that repeats a packet keeps its opcode, PSN and data, and may change the IP
//! identification and whether it asks for an acknowledgement, hence the ICRC. Whoever receives one
//! of the two has the packet.

use std::hash::{BuildHasher, Hash, Hasher};

use pipelines::wire::icrc;
use pipelines::wire::opcode::{Kind, Opcode};
use pipelines::wire::packet::{Class, Parsed};

/// Fields of an IPv4 header that may differ between copies: type of service, identification, time
/// to live, checksum.
const IPV4: [usize; 6] = [1, 4, 5, 8, 10, 11];
/// Those of an IPv6 header: traffic class and flow label, hop limit. The first byte keeps the
/// version.
const IPV6: [usize; 4] = [1, 2, 3, 7];
/// Those of the BTH: FECN and BECN, and the acknowledgement asked for. The reserved bits beside
/// them are nothing to anybody.
const BTH: [usize; 2] = [4, 8];
/// Longest headers to the end of the BTH that are masked; longer ones are taken as they are.
const HEADERS: usize = 128;

/// A hash that the copies of one packet share. What is not of a reliable connection is the same as
/// what has all its bytes.
pub(super) fn identity(hasher: &impl BuildHasher, frame: &[u8]) -> u64 {
    masked(hasher, frame).unwrap_or_else(|| hasher.hash_one(frame))
}

fn masked(hasher: &impl BuildHasher, frame: &[u8]) -> Option<u64> {
    let Class::Roce(ip, udp, roce) = Parsed::of(frame, frame.len()).class else { return None };
    let opcode = roce.bth.opcode;
    let kinds = [Kind::Request, Kind::Response, Kind::Acknowledge];
    if !is_connected(opcode) || !kinds.contains(&opcode.shape().kind) {
        return None;
    }
    let (ip_at, udp_at) = (usize::from(ip.at), ip.payload_at());
    let bth_at = udp_at + pipelines::wire::udp::HEADER_LEN;
    let behind = bth_at + pipelines::wire::bth::Bth::LEN;
    let end = udp_at + usize::from(udp.len) - icrc::LEN;
    let mut headers = [0; HEADERS];
    let headers = headers.get_mut(..behind)?;
    headers.copy_from_slice(frame.get(..behind)?);
    let ip_fields = if ip.version == 4 { &IPV4[..] } else { &IPV6[..] };
    let fields = ip_fields.iter().map(|at| ip_at + at).chain(BTH.map(|at| bth_at + at));
    fields.for_each(|at| headers[at] = 0);
    let mut state = hasher.build_hasher();
    headers.hash(&mut state);
    frame.get(behind..end)?.hash(&mut state);
    Some(state.finish())
}

/// Of RC or XRC.
fn is_connected(opcode: Opcode) -> bool {
    matches!(opcode.0 >> 5, 0 | 5)
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;
    use dataplane::capture::Reader;

    use super::*;

    /// The first frames of a capture of a stack that repeats.
    fn frames() -> Vec<Vec<u8>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../pcap-tests/captures/rc-write.pcap");
        let mut reader = Reader::open(path.as_ref()).expect("a capture");
        let next = |_| reader.next().expect("readable").expect("a frame").data.to_vec();
        (0..64).map(next).collect()
    }

    #[test]
    fn a_copy_is_the_same_packet_and_every_other_byte_tells_packets_apart() {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let is_write =
            |frame: &&Vec<u8>| frame.len() > 100 && frame[36..38] == 4_791_u16.to_be_bytes();
        let frames = frames();
        let frame = frames.iter().find(is_write).expect("a WRITE");
        let differs = |at: usize| {
            let mut other = frame.clone();
            other[at] ^= 0x80;
            identity(&hasher, &other) != identity(&hasher, frame)
        };
        let same: Vec<_> = (0..frame.len()).filter(|at| !differs(*at)).collect();
        let icrc = frame.len() - icrc::LEN..frame.len();
        let variant = [15, 18, 19, 22, 24, 25, 46, 50].into_iter().chain(icrc);
        assert_eq!(same, variant.collect::<Vec<_>>());
    }
}
