//! The extended transport headers: which an opcode has, where they lie, what they say.
//!
//! InfiniBand Architecture volume 1, chapter 9 (extended transport headers); FETH: release 1.5.

use super::be24;

/// A header between BTH and payload. The order of the variants is that of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ext {
    /// XRC: the shared receive queue.
    Xrceth,
    /// Datagram: Q_Key and source queue pair.
    Deth,
    /// FLUSH: what is to be flushed how.
    Feth,
    /// RDMA: address, key and length.
    Reth,
    /// Acknowledgement: syndrome and message sequence number.
    Aeth,
    /// Atomic: address, key and operands.
    Atomic,
    /// Atomic acknowledgement: the original value.
    AckAtomic,
    /// Immediate data.
    ImmDt,
    /// Invalidate: the key.
    Ieth,
    /// The reserved bytes of a CNP.
    CnpReserved,
}

impl Ext {
    /// All of them, in the order of the wire.
    pub const ALL: [Ext; 10] = [
        Ext::Xrceth,
        Ext::Deth,
        Ext::Feth,
        Ext::Reth,
        Ext::Aeth,
        Ext::Atomic,
        Ext::AckAtomic,
        Ext::ImmDt,
        Ext::Ieth,
        Ext::CnpReserved,
    ];

    /// Bytes of the header.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Ext::Xrceth | Ext::Feth | Ext::Aeth | Ext::ImmDt | Ext::Ieth => 4,
            Ext::Deth | Ext::AckAtomic => 8,
            Ext::Reth | Ext::CnpReserved => 16,
            Ext::Atomic => 28,
        }
    }

    /// Never: a header has bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }
}

/// The most bytes that the extended headers of an opcode take: those of an XRC atomic.
pub const MAX_LEN: usize = Ext::Xrceth.len() + Ext::Atomic.len();

/// The extended headers of an opcode. Their order is always the same, so a set says all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExtSet {
    bits: u16,
    len: u8,
}

impl ExtSet {
    /// No extended headers.
    pub const NONE: ExtSet = ExtSet { bits: 0, len: 0 };

    /// The set of these.
    #[must_use]
    pub const fn of(headers: &[Ext]) -> Self {
        let mut set = Self::NONE;
        let mut rest = headers;
        while let [first, others @ ..] = rest {
            set = set.with(*first);
            rest = others;
        }
        set
    }

    /// The set with this one in it.
    #[must_use]
    pub const fn with(self, header: Ext) -> Self {
        if self.has(header) {
            return self;
        }
        ExtSet { bits: self.bits | 1 << header as u8, len: self.len + header.len() as u8 }
    }

    /// Whether this one is in it.
    #[inline]
    #[must_use]
    pub const fn has(self, header: Ext) -> bool {
        self.bits & 1 << header as u8 != 0
    }

    /// Bytes of all.
    #[inline]
    #[must_use]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Those in the set, in the order of the wire.
    pub fn iter(self) -> impl Iterator<Item = Ext> {
        Ext::ALL.into_iter().filter(move |header| self.has(*header))
    }

    /// Where a header begins, in bytes behind the BTH.
    #[must_use]
    pub fn offset(self, header: Ext) -> Option<usize> {
        let before = |ext: &Ext| *ext < header;
        self.has(header).then(|| self.iter().take_while(before).map(Ext::len).sum())
    }
}

/// Memory of the remote side, for RDMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reth {
    /// Virtual address.
    pub address: u64,
    /// Key of the memory region.
    pub r_key: u32,
    /// Bytes of the whole message; at most 2^31 of one that is well-formed.
    pub dma_len: u32,
}

/// Operands of an atomic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AtomicEth {
    /// Virtual address.
    pub address: u64,
    /// Key of the memory region.
    pub r_key: u32,
    /// What is swapped in (CmpSwap) or added (FetchAdd).
    pub swap_or_add: u64,
    /// What is compared with (CmpSwap).
    pub compare: u64,
}

/// Who sends a datagram, and the key that lets it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deth {
    /// Key of the receiving queue.
    pub q_key: u32,
    /// The sender's queue pair, 24 bits.
    pub source_qp: u32,
}

/// What a FLUSH flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Feth {
    /// How far: bit 0 global visibility, bit 1 persistence; 4 bits.
    pub placement: u8,
    /// Which part: 0 a range, 1 the whole memory region; 2 bits.
    pub selectivity: u8,
}

/// Reads 24 bits.
#[inline]
const fn u24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// Splits the first `N` bytes off what is known to have them; zeros stand for missing ones.
#[inline]
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    match bytes.split_first_chunk() {
        Some((first, rest)) => {
            *bytes = rest;
            *first
        }
        None => [0; N],
    }
}

impl Reth {
    /// Reads the header.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8; 16]) -> Self {
        let rest = &mut bytes.as_slice();
        Self {
            address: u64::from_be_bytes(take(rest)),
            r_key: u32::from_be_bytes(take(rest)),
            dma_len: u32::from_be_bytes(take(rest)),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.address.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.r_key.to_be_bytes());
        bytes[12..].copy_from_slice(&self.dma_len.to_be_bytes());
        bytes
    }
}

impl AtomicEth {
    /// Reads the header.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8; 28]) -> Self {
        let rest = &mut bytes.as_slice();
        Self {
            address: u64::from_be_bytes(take(rest)),
            r_key: u32::from_be_bytes(take(rest)),
            swap_or_add: u64::from_be_bytes(take(rest)),
            compare: u64::from_be_bytes(take(rest)),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&self.address.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.r_key.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.swap_or_add.to_be_bytes());
        bytes[20..].copy_from_slice(&self.compare.to_be_bytes());
        bytes
    }
}

impl Deth {
    /// Reads the header.
    #[inline]
    #[must_use]
    pub fn read(bytes: &[u8; 8]) -> Self {
        let [k0, k1, k2, k3, _, q @ ..] = *bytes;
        Self { q_key: u32::from_be_bytes([k0, k1, k2, k3]), source_qp: u24(q) }
    }

    /// The header's bytes. Of the source queue pair the low 24 bits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [k0, k1, k2, k3] = self.q_key.to_be_bytes();
        let [q0, q1, q2] = be24(self.source_qp);
        [k0, k1, k2, k3, 0, q0, q1, q2]
    }
}

impl Feth {
    /// Reads the header.
    #[inline]
    #[must_use]
    pub const fn read(bytes: &[u8; 4]) -> Self {
        let [_, _, _, byte] = *bytes;
        Self { placement: byte & 0x0f, selectivity: byte >> 4 & 0x03 }
    }

    /// The header's bytes. Of each field the low bits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        [0, 0, 0, (self.selectivity & 0x03) << 4 | self.placement & 0x0f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_in_the_order_of_the_wire() {
        let set = ExtSet::of(&[Ext::ImmDt, Ext::Reth, Ext::Xrceth]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Ext::Xrceth, Ext::Reth, Ext::ImmDt]);
        assert_eq!(set.len(), 24);
        assert_eq!(set.offset(Ext::Xrceth), Some(0));
        assert_eq!(set.offset(Ext::ImmDt), Some(20));
        assert_eq!(set.offset(Ext::Aeth), None);
        assert_eq!(set.with(Ext::Reth), set);
        assert!(ExtSet::NONE.is_empty() && !set.is_empty());
    }

    #[test]
    fn all_is_in_the_order_of_the_variants() {
        assert!(Ext::ALL.is_sorted());
        assert!(Ext::ALL.iter().enumerate().all(|(at, ext)| at == *ext as usize));
    }

    #[test]
    fn what_is_written_is_read() {
        let reth = Reth { address: 0x0102_0304_0506_0708, r_key: 9, dma_len: 0x8000_0000 };
        assert_eq!(Reth::read(&reth.to_bytes()), reth);
        let atomic = AtomicEth { address: 1 << 60, r_key: 7, swap_or_add: u64::MAX, compare: 2 };
        assert_eq!(AtomicEth::read(&atomic.to_bytes()), atomic);
        let deth = Deth { q_key: 0x8001_0000, source_qp: 0xab_cdef };
        assert_eq!(Deth::read(&deth.to_bytes()), deth);
        let feth = Feth { placement: 3, selectivity: 1 };
        assert_eq!((feth.to_bytes(), Feth::read(&feth.to_bytes())), ([0, 0, 0, 0x13], feth));
    }
}
