//! Checked views and builders of the bytes on the wire.
//!
//! A view is made by `parse`, which checks lengths once; no accessor of a view can fail
//! afterwards. Values are as on the wire: a view judges no more than what its accessors need, and
//! says so where it does. A builder (`write`) puts a header into the beginning of a caller's
//! buffer and returns its length, without allocating.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`ethernet`] | Ethernet II with VLAN tags: 802.1Q, 802.1ad, and before |
//! | [`ipv4`], [`ipv6`], [`udp`] | the Internet's headers; IPv6 with its extension headers |
//! | [`srv6`] | the segment routing header |
//! | [`checksum`] | the Internet checksum: compute, and update after a change |
//! | [`opcode`] | the one table of what a BTH opcode means |
//! | [`psn`] | packet sequence numbers |
//! | [`bth`] | the base transport header; the whole RoCEv2 datagram |
//! | [`ext`], [`aeth`] | extended transport headers; the syndrome of an acknowledgement |
//! | [`icrc`] | the invariant CRC: verify, build, update after a change |
//! | [`cm`] | connection management datagrams |
//! | [`pfc`] | PAUSE and priority flow control |
//! | [`packet`] | the one look that the hot path takes at a frame |

pub mod aeth;
pub mod bth;
pub mod checksum;
pub mod cm;
pub mod cnp;
pub mod ethernet;
pub mod ext;
pub mod icrc;
pub mod ipv4;
pub mod ipv6;
pub mod opcode;
pub mod packet;
pub mod pfc;
pub mod psn;
pub mod srv6;
pub mod udp;

use thiserror::Error;

/// Why bytes are not what they were taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Malformed {
    /// The bytes end before the headers do.
    #[error("ends before its headers do")]
    Truncated,
    /// The version of the IP header is another one.
    #[error("IP version contradicts")]
    IpVersion,
    /// The IPv4 header's length is below twenty bytes, or above its packet's.
    #[error("IPv4 header length contradicts")]
    IpHeaderLength,
    /// The IP packet is longer than the frame has room for.
    #[error("IP length contradicts the frame")]
    IpLength,
    /// More extension headers, or longer ones, than are walked.
    #[error("too many IPv6 extension headers")]
    ExtensionHeaders,
    /// The UDP datagram is longer than the IP packet has room for, or shorter than its header.
    #[error("UDP length contradicts the IP length")]
    UdpLength,
    /// The datagram is too short for a BTH, the extended headers of its opcode, and an ICRC.
    #[error("too short for the headers of its opcode")]
    OpcodeLength,
    /// More bytes of padding than the payload has.
    #[error("pad count contradicts the length")]
    PadCount,
    /// The transport header version of the BTH is not 0.
    #[error("transport header version is not 0")]
    TransportVersion,
    /// A well-formed message of a kind that is not read here.
    #[error("of another kind")]
    Kind,
}

/// Why a header was not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The buffer is shorter than the header.
    #[error("no room: {needed} bytes needed, {room} there")]
    Room {
        /// Bytes that the header takes.
        needed: usize,
        /// Bytes of the buffer.
        room: usize,
    },
    /// A value does not fit its field.
    #[error("{0} does not fit its field")]
    Field(&'static str),
}

/// The first `N` bytes of a buffer to build in.
#[inline]
fn room<const N: usize>(buffer: &mut [u8]) -> Result<&mut [u8; N], BuildError> {
    let room = buffer.len();
    buffer.first_chunk_mut().ok_or(BuildError::Room { needed: N, room })
}

/// The first `needed` bytes of a buffer to build in.
#[inline]
fn room_for(buffer: &mut [u8], needed: usize) -> Result<&mut [u8], BuildError> {
    let room = buffer.len();
    buffer.get_mut(..needed).ok_or(BuildError::Room { needed, room })
}

/// `value`, if it has no bits above the lowest `bits`.
#[inline]
fn fits(value: u32, bits: u32, field: &'static str) -> Result<u32, BuildError> {
    if u64::from(value) >> bits == 0 { Ok(value) } else { Err(BuildError::Field(field)) }
}

/// 24 bits as the wire has them; higher bits are dropped.
#[inline]
const fn be24(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}
