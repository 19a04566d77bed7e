//! What the gateway needs to know of a packet from the LAN, in one pass over its headers.

use std::net::IpAddr;

use dataplane::drops::DropReason;

use crate::shield::Found;
use crate::wire::opcode::Opcode;

/// RoCEv2's UDP port (IANA).
const ROCE_PORT: [u8; 2] = 4_791u16.to_be_bytes();
const UDP: u8 = 17;
const UDP_LEN: usize = 8;

/// What was learned of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classified {
    /// Equal for packets whose order matters to someone: those of one stream of a QP, of one
    /// 5-tuple, or, of what is not IP, of one pair of stations.
    pub(super) hash: u32,
    /// 4 or 6; 0 for what is not IP.
    pub(super) ip_version: u8,
    /// Where the IP header begins.
    pub(super) ip_offset: u8,
    /// Type of service or traffic class; 0 for what is not IP.
    pub(super) tos: u8,
    /// Where its headers are, if it claims to be RoCEv2.
    pub(super) roce: Option<Found>,
    /// IP destination.
    pub(super) destination: Option<IpAddr>,
}

impl Classified {
    /// Where what a path's MTU counts begins: the IP packet, or what an Ethernet frame carries.
    #[inline]
    pub(super) fn ip_at(&self) -> usize {
        usize::from(self.ip_offset).max(14)
    }
}

/// Looks at the headers of a frame, which lie in its first segment.
///
/// # Errors
/// The reason for which the frame goes no further.
#[inline]
pub(super) fn classify(head: &[u8]) -> Result<Classified, DropReason> {
    let (ethernet, _) = head.split_first_chunk::<14>().ok_or(DropReason::LanMalformed)?;
    // IEEE 802.1Q, table 8-1: these addresses are for the next station and no further.
    if ethernet[..5] == [0x01, 0x80, 0xc2, 0, 0] && ethernet[5] < 0x10 {
        return Err(DropReason::LinkLocalControl);
    }
    let mut hash = Hash::default();
    let mut offset = 14;
    let mut vlan = 0;
    let mut ethertype = [ethernet[12], ethernet[13]];
    // At most two tags: more is not IP to us, and carried all the same.
    for _ in 0..2 {
        if !matches!(ethertype, [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]) {
            break;
        }
        let Some(&[t0, t1, e0, e1]) = head.get(offset..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let tag = u16::from_be_bytes([t0, t1]) & 0xfff;
        vlan = vlan << 12 | u32::from(tag);
        hash.add(tag.into());
        ethertype = [e0, e1];
        offset += 4;
    }
    let ip = head.get(offset..).unwrap_or(&[]);
    let found = match ethertype {
        [0x08, 0x00] => ipv4(ip, hash),
        [0x86, 0xdd] => ipv6(ip, hash),
        _ => None,
    };
    Ok(match found {
        // Two tags and the longest header of IPv4 are far below 256 bytes.
        Some(class) => Classified {
            ip_offset: offset as u8,
            roce: class.roce.map(|found| Found {
                vlan,
                ip_at: offset as u8,
                bth_at: found.bth_at + offset as u8,
                ..found
            }),
            ..class
        },
        None => {
            let (stations, rest) = ethernet.split_at(8);
            hash.add(u64::from_be_bytes(*stations.first_chunk().unwrap_or(&[0; 8])));
            hash.add_bytes(rest);
            Classified {
                hash: hash.done(),
                ip_version: 0,
                ip_offset: 0,
                tos: 0,
                roce: None,
                destination: None,
            }
        }
    })
}

#[inline]
fn ipv4(ip: &[u8], mut hash: Hash) -> Option<Classified> {
    let (header, _) = ip.split_first_chunk::<20>()?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let (_, addresses) = header.split_at(12);
    hash.add(u64::from_be_bytes(*addresses.first_chunk()?));
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let header_len = (header[0] & 0xf) * 4;
    let rest = ip.get(usize::from(header_len)..).unwrap_or(&[]);
    let is_roce = if is_fragment {
        hash.add(u64::from(header[9]));
        false
    } else {
        // No RNIC sends options (nor a header that is too short).
        transport(header[9], rest, &mut hash) && usize::from(header_len) == header.len()
    };
    let destination = IpAddr::from([header[16], header[17], header[18], header[19]]);
    Some(Classified {
        hash: hash.done(),
        ip_version: 4,
        ip_offset: 0,
        tos: header[1],
        roce: is_roce.then(|| found(4, header_len)),
        destination: Some(destination),
    })
}

#[inline]
fn ipv6(ip: &[u8], mut hash: Hash) -> Option<Classified> {
    let (header, rest) = ip.split_first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (_, addresses) = header.split_at(8);
    hash.add_bytes(addresses);
    // Extension headers are not walked: such packets are in order by their addresses.
    let is_roce = transport(header[6], rest, &mut hash);
    let destination = IpAddr::from(*header.last_chunk::<16>()?);
    Some(Classified {
        hash: hash.done(),
        ip_version: 6,
        ip_offset: 0,
        tos: header[0] << 4 | header[1] >> 4,
        roce: is_roce.then(|| found(6, 40)),
        destination: Some(destination),
    })
}

/// Where a BTH is, seen from the IP header.
#[inline]
fn found(ip_version: u8, ip_header_len: u8) -> Found {
    Found { vlan: 0, ip_at: 0, ip_version, bth_at: ip_header_len + UDP_LEN as u8 }
}

/// Whether a frame may be an answer to RDMA requests, or begin a connection: `false` for what is
/// surely neither, by a few bytes where they mostly are.
#[inline]
pub(super) fn may_answer(head: &[u8]) -> bool {
    let Some(bytes) = head.first_chunk::<43>() else { return false };
    match [bytes[12], bytes[13], bytes[14]] {
        [0x08, 0x00, 0x45] => {
            let roce = bytes[23] == UDP && bytes[36..38] == ROCE_PORT;
            roce && (is_response(bytes[42]) || Opcode(bytes[42]) == Opcode::UD_SEND_ONLY)
        }
        // Tags, options, IPv6.
        [0x08, 0x00, _] | [0x86, 0xdd, _] | [0x81, 0x00, _] | [0x88, 0xa8, _] | [0x91, 0x00, _] => {
            true
        }
        _ => false,
    }
}

/// Takes in what tells streams between two hosts apart; whether it claims to be RoCEv2.
#[inline]
fn transport(protocol: u8, rest: &[u8], hash: &mut Hash) -> bool {
    let Some(ports) = rest.first_chunk::<4>() else { return false };
    if protocol == UDP
        && ports[2..] == ROCE_PORT
        && let Some(bth) = rest.get(UDP_LEN..).and_then(|rest| rest.first_chunk::<8>())
    {
        // The source port is the RNIC's to vary within a stream: it does not count.
        let queue_pair = u64::from(u32::from_be_bytes([0, bth[5], bth[6], bth[7]]));
        hash.add(queue_pair << 1 | u64::from(is_response(bth[0])));
        return true;
    }
    if matches!(protocol, 6 | UDP | 132) {
        hash.add(u64::from(protocol) << 32 | u64::from(u32::from_be_bytes(*ports)));
    } else {
        hash.add(u64::from(protocol));
    }
    false
}

/// Whether a BTH opcode is of the response side: READ response, ACK, atomic ACK (IBTA volume 1,
/// table 38), of any connected service.
#[inline]
fn is_response(opcode: u8) -> bool {
    (0x0d..=0x12).contains(&(opcode & 0x1f))
}

/// A mixing hash: a multiplication a word, folded.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Hash {
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.add(u64::from_be_bytes(word));
        }
    }

    #[inline]
    fn done(self) -> u32 {
        (self.0 ^ (self.0 >> 32)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roce(queue_pair: u8, opcode: u8, source_port: u16, tag: Option<u16>) -> Vec<u8> {
        let mut frame = vec![2; 12];
        if let Some(tag) = tag {
            frame.extend([0x81, 0x00]);
            frame.extend(tag.to_be_bytes());
        }
        frame.extend([0x08, 0x00, 0x45, 0x68, 0, 60, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 1, 0, 2]);
        frame.extend(source_port.to_be_bytes());
        frame.extend([0x12, 0xb7, 0, 40, 0, 0, opcode, 0, 0xff, 0xff, 0, 0, 0, queue_pair]);
        frame.resize(80, 0);
        frame
    }

    fn hash(frame: &[u8]) -> u32 {
        classify(frame).expect("carried").hash
    }

    #[test]
    fn a_stream_keeps_its_hash_and_others_have_their_own() {
        let write = hash(&roce(7, 0x0a, 50_000, None));
        assert_eq!(hash(&roce(7, 0x06, 51_234, None)), write);
        assert_ne!(hash(&roce(8, 0x0a, 50_000, None)), write);
        assert_ne!(hash(&roce(7, 0x11, 50_000, None)), write);
        assert_ne!(hash(&roce(7, 0x0a, 50_000, Some(5))), write);
        let tagged = classify(&roce(7, 0x0a, 1, Some(0xe005))).expect("carried");
        assert_eq!((tagged.ip_version, tagged.ip_offset, tagged.tos), (4, 18, 0x68));
        assert_eq!(tagged.destination, Some([10, 1, 0, 2].into()));
    }

    #[test]
    fn link_local_control_ends_here_and_the_rest_is_carried() {
        let mut pause = vec![0x01, 0x80, 0xc2, 0, 0, 0x01, 2, 2, 2, 2, 2, 2, 0x88, 0x08, 1, 1];
        assert_eq!(classify(&pause), Err(DropReason::LinkLocalControl));
        pause[5] = 0x10;
        assert_eq!(classify(&pause).map(|class| class.ip_version), Ok(0));
        assert_eq!(classify(&pause[..13]), Err(DropReason::LanMalformed));
    }

    proptest! {
        #[test]
        fn any_frame_is_classified(bytes in prop::collection::vec(any::<u8>(), 0..120), ip in 0usize..3) {
            let mut frame = bytes;
            if frame.len() > 14 && ip < 2 {
                frame[12..14].copy_from_slice(&[[0x08, 0x00], [0x86, 0xdd]][ip]);
                frame[14] = [0x45, 0x60][ip];
            }
            prop_assert_eq!(classify(&frame).is_err(), frame.len() < 14 || frame.starts_with(&[1, 0x80, 0xc2, 0, 0]));
        }
    }
}
