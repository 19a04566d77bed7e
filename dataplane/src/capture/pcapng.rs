//! pcapng (draft-ietf-opsawg-pcapng): sections of blocks, several interfaces.

use std::io::Read;

use super::fields::{ByteOrder, Fields};
use super::pcap::{check_link_type, check_snapshot_length};
use super::reader::{Bounds, captured_len};
use super::window::Window;
use super::{Fault, MAX_CAPTURED_LEN};

/// Section header block; a palindrome, so that it reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Block type and total length before the body, total length after it.
const HEAD_LEN: usize = 8;
const TRAILER_LEN: usize = 4;
/// The longest block that is looked into: the largest packet and as much again for its options.
const MAX_READ_BLOCK: u32 = 2 * MAX_CAPTURED_LEN as u32;
/// The longest block that is skipped: what Wireshark believes, too.
const MAX_SKIPPED_BLOCK: u32 = 16 << 20;
/// Interfaces in one section.
const MAX_INTERFACES: usize = 4096;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// The section being read.
pub(super) struct Pcapng {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

/// What an interface description block says.
#[derive(Clone, Copy)]
struct Interface {
    link_type: u16,
    snapshot_length: u32,
    /// if_tsresol: negative power of 10, or of 2 if the upper bit is set.
    resolution: u8,
    /// if_tsoffset: seconds to add to each timestamp.
    offset_s: i64,
}

/// A block's type and total length.
#[derive(Clone, Copy)]
struct Head {
    kind: u32,
    length: u32,
}

impl Pcapng {
    pub(super) fn new() -> Self {
        // The byte order is settled by the section header, which is the first block.
        Pcapng { order: ByteOrder::Little, interfaces: Vec::new() }
    }

    /// Brings the next packet's bytes into memory, taking all blocks before it; `None` at the end
    /// of the file.
    pub(super) fn next<R: Read>(
        &mut self,
        window: &mut Window<R>,
    ) -> Result<Option<Bounds>, Fault> {
        while window.fill(HEAD_LEN)? > 0 {
            let head = self.head(window)?;
            match head.kind {
                SECTION_HEADER => self.section(window, head)?,
                INTERFACE_DESCRIPTION => self.interface(window, head)?,
                ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                    return self.packet(window, head).map(Some);
                }
                _ => self.skip(window, head)?,
            }
        }
        Ok(None)
    }

    /// Reads a block's type and length; a section header also changes the byte order.
    fn head<R: Read>(&mut self, window: &mut Window<R>) -> Result<Head, Fault> {
        window.begin_item();
        let [k0, k1, k2, k3, l0, l1, l2, l3] = window.peek_array()?;
        let kind = self.order.u32([k0, k1, k2, k3]);
        if kind == SECTION_HEADER {
            let [.., m0, m1, m2, m3] = window.peek_array::<12>()?;
            let magic = [m0, m1, m2, m3];
            self.order = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
                (BYTE_ORDER_MAGIC, _) => ByteOrder::Little,
                (_, BYTE_ORDER_MAGIC) => ByteOrder::Big,
                (_, found) => return Err(Fault::ByteOrderMagic(found)),
            };
        }
        let length = self.order.u32([l0, l1, l2, l3]);
        let bound = match kind {
            SECTION_HEADER
            | INTERFACE_DESCRIPTION
            | ENHANCED_PACKET
            | OBSOLETE_PACKET
            | SIMPLE_PACKET => MAX_READ_BLOCK,
            _ => MAX_SKIPPED_BLOCK,
        };
        if length < (HEAD_LEN + TRAILER_LEN) as u32 || !length.is_multiple_of(4) || length > bound {
            return Err(Fault::BlockLength { kind, length });
        }
        Ok(Head { kind, length })
    }

    /// A block's body, between the two lengths, which must agree. The block is not taken.
    fn body<'w, R: Read>(
        &self,
        window: &'w mut Window<R>,
        head: Head,
    ) -> Result<Fields<'w>, Fault> {
        let block = window.peek(head.length as usize)?;
        let mut fields = Fields::new(self.order, block);
        fields.bytes(HEAD_LEN)?;
        let body = fields.bytes(fields.len().saturating_sub(TRAILER_LEN))?;
        check_trailer(head, fields.u32()?)?;
        Ok(Fields::new(self.order, body))
    }

    fn section<R: Read>(&mut self, window: &mut Window<R>, head: Head) -> Result<(), Fault> {
        let mut fields = self.body(window, head)?;
        fields.u32()?; // byte-order magic
        let (major, minor) = (fields.u16()?, fields.u16()?);
        // 1.2 is written by some tools and, by the specification, read as 1.0.
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(Fault::Version { format: "pcapng", major, minor });
        }
        self.interfaces.clear();
        window.take(head.length as usize);
        Ok(())
    }

    fn interface<R: Read>(&mut self, window: &mut Window<R>, head: Head) -> Result<(), Fault> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::TooManyInterfaces(MAX_INTERFACES));
        }
        let mut fields = self.body(window, head)?;
        let link_type = fields.u16()?;
        fields.u16()?; // reserved
        let snapshot_length = fields.u32()?;
        check_snapshot_length(snapshot_length)?;
        let mut interface = Interface { link_type, snapshot_length, resolution: 6, offset_s: 0 };
        interface.read_options(fields, self.order)?;
        self.interfaces.push(interface);
        window.take(head.length as usize);
        Ok(())
    }

    /// Reads an enhanced, obsolete or simple packet block.
    fn packet<R: Read>(&self, window: &mut Window<R>, head: Head) -> Result<Bounds, Fault> {
        let mut fields = self.body(window, head)?;
        let body_len = fields.len();
        let id = match head.kind {
            ENHANCED_PACKET => fields.u32()?,
            OBSOLETE_PACKET => {
                let id = fields.u16()?;
                fields.u16()?; // drops
                u32::from(id)
            }
            _ => 0,
        };
        let known = self.interfaces.len();
        let interface = self.interfaces.get(id as usize).ok_or(Fault::Interface { id, known })?;
        check_link_type(interface.link_type)?;
        let (time_ns, captured, original_len) = match head.kind {
            SIMPLE_PACKET => {
                let original_len = fields.u32()?;
                let limit = Some(interface.snapshot_length).filter(|limit| *limit > 0);
                (0, limit.map_or(original_len, |limit| limit.min(original_len)), original_len)
            }
            _ => (interface.time_ns(fields.timestamp()?), fields.u32()?, fields.u32()?),
        };
        let len = captured_len(captured)?;
        let before = HEAD_LEN + body_len - fields.len();
        fields.bytes(len)?;
        Ok(Bounds { time_ns, original_len, before, len, after: fields.len() + TRAILER_LEN })
    }

    /// Takes a block of no interest, of any size within the bound, without holding it.
    fn skip<R: Read>(&self, window: &mut Window<R>, head: Head) -> Result<(), Fault> {
        let wanted = u64::from(head.length);
        let skipped = window.skip(wanted - TRAILER_LEN as u64)?;
        let found = skipped + window.fill(TRAILER_LEN)?.min(TRAILER_LEN) as u64;
        if found < wanted {
            return Err(Fault::Truncated { wanted, found });
        }
        check_trailer(head, self.order.u32(window.peek_array()?))?;
        window.take(TRAILER_LEN);
        Ok(())
    }
}

impl Interface {
    fn read_options(&mut self, mut fields: Fields<'_>, order: ByteOrder) -> Result<(), Fault> {
        while fields.len() > 0 {
            let (code, len) = (fields.u16()?, usize::from(fields.u16()?));
            let value = fields.bytes(len)?;
            // The last option's padding may be missing in files of careless writers.
            fields.bytes((len.next_multiple_of(4) - len).min(fields.len()))?;
            match (code, value) {
                (OPTION_END, _) => break,
                (OPTION_TSRESOL, [resolution]) => self.resolution = *resolution,
                (OPTION_TSOFFSET, &[a, b, c, d, e, f, g, h]) => {
                    let bytes = [a, b, c, d, e, f, g, h];
                    self.offset_s = match order {
                        ByteOrder::Little => i64::from_le_bytes(bytes),
                        ByteOrder::Big => i64::from_be_bytes(bytes),
                    };
                }
                (OPTION_TSRESOL | OPTION_TSOFFSET, _) => return Err(Fault::BlockContent),
                _ => {}
            }
        }
        Ok(())
    }

    /// Nanoseconds since the epoch of a timestamp in this interface's units; times outside what
    /// 64 bits hold are brought to the nearest that they do.
    fn time_ns(&self, timestamp: u64) -> u64 {
        let units = u128::from(timestamp) * 1_000_000_000;
        let exponent = u32::from(self.resolution & 0x7f);
        let nanoseconds = if self.resolution & 0x80 != 0 {
            units >> exponent
        } else {
            10u128.checked_pow(exponent).map_or(0, |divisor| units / divisor)
        };
        let shifted = nanoseconds as i128 + i128::from(self.offset_s) * 1_000_000_000;
        shifted.clamp(0, i128::from(u64::MAX)) as u64
    }
}

fn check_trailer(head: Head, trailer: u32) -> Result<(), Fault> {
    let Head { kind, length } = head;
    if trailer == length { Ok(()) } else { Err(Fault::BlockTrailer { kind, length, trailer }) }
}
