//! The base transport header, and the whole of a RoCEv2 datagram behind it.
//!
//! InfiniBand Architecture volume 1, section 9.2 (base transport header); annex A17 (RoCEv2).

use super::aeth::Aeth;
use super::ext::{AtomicEth, Deth, Ext, ExtSet, Feth, Reth};
use super::icrc;
use super::opcode::{Opcode, Shape};
use super::{BuildError, Malformed, be24, fits, room_for};

/// The highest queue pair number and PSN: both have 24 bits.
pub const MAX_24: u32 = 0xff_ffff;

/// The base transport header. Reserved bits are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bth {
    /// What the packet is.
    pub opcode: Opcode,
    /// Solicited event.
    pub solicited: bool,
    /// Migration state: migrated.
    pub migrated: bool,
    /// Bytes of padding behind the payload, 0 to 3.
    pub pad_len: u8,
    /// Transport header version; 0, else the packet is malformed.
    pub version: u8,
    /// Partition key; 0xffff is the default one.
    pub p_key: u16,
    /// Forward explicit congestion notification.
    pub fecn: bool,
    /// Backward explicit congestion notification; set in a CNP.
    pub becn: bool,
    /// The receiver's queue pair, 24 bits.
    pub dest_qp: u32,
    /// The sender asks for an acknowledgement.
    pub ack_request: bool,
    /// Packet sequence number, 24 bits.
    pub psn: u32,
}

impl Bth {
    /// Bytes of the header.
    pub const LEN: usize = 12;

    /// A header without flags, in the default partition.
    #[must_use]
    pub const fn new(opcode: Opcode, dest_qp: u32, psn: u32) -> Self {
        Self {
            opcode,
            solicited: false,
            migrated: false,
            pad_len: 0,
            version: 0,
            p_key: 0xffff,
            fecn: false,
            becn: false,
            dest_qp,
            ack_request: false,
            psn,
        }
    }

    /// Reads the header. All bytes are some header.
    #[inline]
    #[must_use]
    pub const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [opcode, flags, p0, p1, notification, q0, q1, q2, ask, n0, n1, n2] = *bytes;
        Self {
            opcode: Opcode(opcode),
            solicited: flags & 0x80 != 0,
            migrated: flags & 0x40 != 0,
            pad_len: flags >> 4 & 0x03,
            version: flags & 0x0f,
            p_key: u16::from_be_bytes([p0, p1]),
            fecn: notification & 0x80 != 0,
            becn: notification & 0x40 != 0,
            dest_qp: u32::from_be_bytes([0, q0, q1, q2]),
            ack_request: ask & 0x80 != 0,
            psn: u32::from_be_bytes([0, n0, n1, n2]),
        }
    }

    /// The header's bytes.
    ///
    /// # Errors
    /// A value that does not fit its field.
    pub fn to_bytes(self) -> Result<[u8; Self::LEN], BuildError> {
        fits(self.pad_len.into(), 2, "pad count")?;
        fits(self.version.into(), 4, "transport header version")?;
        let flag = |set: bool, bit: u32| u8::from(set) << bit;
        let [p0, p1] = self.p_key.to_be_bytes();
        let [q0, q1, q2] = be24(fits(self.dest_qp, 24, "destination queue pair")?);
        let [n0, n1, n2] = be24(fits(self.psn, 24, "PSN")?);
        let flags =
            flag(self.solicited, 7) | flag(self.migrated, 6) | self.pad_len << 4 | self.version;
        let notification = flag(self.fecn, 7) | flag(self.becn, 6);
        let ask = flag(self.ack_request, 7);
        Ok([self.opcode.0, flags, p0, p1, notification, q0, q1, q2, ask, n0, n1, n2])
    }
}

/// The UDP payload of a RoCEv2 packet: base and extended transport headers, payload, padding, ICRC.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    bth: Bth,
    headers: ExtSet,
    extended: &'a [u8],
    payload: &'a [u8],
    padding: &'a [u8],
    icrc: &'a [u8; icrc::LEN],
}

/// Judges a datagram by its first header and the length of the whole, in bytes; returns what its
/// opcode says, and the bytes of its payload without padding.
///
/// # Errors
/// It cannot be what it says. Of unknown opcodes only what a BTH says by itself is judged.
#[inline]
pub fn judge(bth: &Bth, len: usize) -> Result<(Shape, usize), Malformed> {
    if bth.version != 0 {
        return Err(Malformed::TransportVersion);
    }
    let shape = bth.opcode.shape();
    let padded_len = len
        .checked_sub(Bth::LEN + shape.headers.len() + icrc::LEN)
        .ok_or(Malformed::OpcodeLength)?;
    let pad_len = usize::from(bth.pad_len);
    let payload_len = padded_len.checked_sub(pad_len).ok_or(Malformed::PadCount)?;
    // Padding is there to make this so.
    if shape.is_known() && padded_len % 4 != 0 {
        return Err(Malformed::PadCount);
    }
    Ok((*shape, payload_len))
}

impl<'a> Datagram<'a> {
    /// Looks at the payload of a UDP datagram to port 4791. The ICRC is not judged: see
    /// [`icrc`].
    ///
    /// # Errors
    /// It cannot be what it says: see [`judge`].
    #[inline]
    pub fn parse(udp_payload: &'a [u8]) -> Result<Self, Malformed> {
        let (bth, rest) = udp_payload.split_first_chunk().ok_or(Malformed::Truncated)?;
        let bth = Bth::read(bth);
        let (shape, payload_len) = judge(&bth, udp_payload.len())?;
        let (rest, icrc) = rest.split_last_chunk().ok_or(Malformed::OpcodeLength)?;
        let (extended, rest) =
            rest.split_at_checked(shape.headers.len()).ok_or(Malformed::OpcodeLength)?;
        let (payload, padding) = rest.split_at_checked(payload_len).ok_or(Malformed::PadCount)?;
        Ok(Self { bth, headers: shape.headers, extended, payload, padding, icrc })
    }

    /// The base transport header.
    #[inline]
    #[must_use]
    pub fn bth(&self) -> Bth {
        self.bth
    }

    /// The payload without padding. Of an unknown opcode, extended headers too.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The padding behind the payload, 0 to 3 bytes.
    #[must_use]
    pub fn padding(&self) -> &'a [u8] {
        self.padding
    }

    /// The ICRC, as a number.
    #[must_use]
    pub fn icrc(&self) -> u32 {
        u32::from_le_bytes(*self.icrc)
    }

    /// The extended headers that the opcode has.
    #[must_use]
    pub fn headers(&self) -> ExtSet {
        self.headers
    }

    /// Bytes of the extended headers, all of them.
    #[must_use]
    pub fn extended(&self) -> &'a [u8] {
        self.extended
    }

    /// The bytes of one extended header, if the opcode has it.
    fn ext<const N: usize>(&self, header: Ext) -> Option<&'a [u8; N]> {
        self.extended.get(self.headers.offset(header)?..)?.first_chunk()
    }

    /// The four bytes of one extended header, as a number.
    fn word(&self, header: Ext) -> Option<u32> {
        self.ext(header).map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// RDMA extended transport header.
    #[must_use]
    pub fn reth(&self) -> Option<Reth> {
        self.ext(Ext::Reth).map(Reth::read)
    }

    /// Acknowledge extended transport header.
    #[must_use]
    pub fn aeth(&self) -> Option<Aeth> {
        self.ext(Ext::Aeth).map(Aeth::read)
    }

    /// Atomic extended transport header.
    #[must_use]
    pub fn atomic(&self) -> Option<AtomicEth> {
        self.ext(Ext::Atomic).map(AtomicEth::read)
    }

    /// The original value that an atomic acknowledgement reports.
    #[must_use]
    pub fn original_value(&self) -> Option<u64> {
        self.ext(Ext::AckAtomic).map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Datagram extended transport header.
    #[must_use]
    pub fn deth(&self) -> Option<Deth> {
        self.ext(Ext::Deth).map(Deth::read)
    }

    /// Shared receive queue of XRC, 24 bits.
    #[must_use]
    pub fn xrc_srq(&self) -> Option<u32> {
        self.word(Ext::Xrceth).map(|word| word & MAX_24)
    }

    /// Immediate data.
    #[must_use]
    pub fn immediate(&self) -> Option<u32> {
        self.word(Ext::ImmDt)
    }

    /// The key to invalidate.
    #[must_use]
    pub fn invalidated_key(&self) -> Option<u32> {
        self.word(Ext::Ieth)
    }

    /// Flush extended transport header.
    #[must_use]
    pub fn feth(&self) -> Option<Feth> {
        self.ext(Ext::Feth).map(Feth::read)
    }
}

/// Writes a datagram but for its ICRC, whose bytes become zero; returns its bytes. `extended` are
/// the extended headers in the order of the wire; the pad count is made to fit the payload.
///
/// # Errors
/// No room, a value that does not fit, or extended headers that are not as long as those of a known
/// opcode.
pub fn write(
    bth: Bth,
    extended: &[&[u8]],
    payload: &[u8],
    buffer: &mut [u8],
) -> Result<usize, BuildError> {
    let shape = bth.opcode.shape();
    let extended_len = extended.iter().fold(0, |sum, part| part.len().saturating_add(sum));
    if shape.is_known() && extended_len != shape.headers.len() {
        return Err(BuildError::Field("extended headers"));
    }
    let pad_len = payload.len().wrapping_neg() % 4;
    let bth = Bth { pad_len: pad_len as u8, ..bth }.to_bytes()?;
    let len = [Bth::LEN, extended_len, payload.len(), pad_len, icrc::LEN]
        .into_iter()
        .fold(0, usize::saturating_add);
    let mut rest = room_for(buffer, len)?;
    for part in [&bth as &[u8]].into_iter().chain(extended.iter().copied()).chain([payload]) {
        let room = rest.len();
        let (to, after) = rest
            .split_at_mut_checked(part.len())
            .ok_or(BuildError::Room { needed: part.len(), room })?;
        to.copy_from_slice(part);
        rest = after;
    }
    rest.fill(0);
    Ok(len)
}
