//! The invariant CRC of a RoCEv2 packet: verify, build, and update after a change.
//!
//! InfiniBand Architecture volume 1, annex A17 (RoCEv2), section A17.3.3: the CRC-32 of Ethernet
//! over eight bytes of ones, IP header, UDP header and BTH with the fields that change on the way
//! as ones, and the rest of the datagram. It goes with its least significant byte first.

use arrayvec::ArrayVec;

use super::bth::Bth;
use super::{ipv4, ipv6, udp};

/// Bytes of the ICRC, the last of the datagram.
pub const LEN: usize = 4;

/// CRC-32 of the eight bytes of ones that stand for the masked local route header.
const START: u32 = 0x2144_df1c;
/// CRC-32 of anything with its CRC-32 behind it.
const RESIDUE: u32 = 0x2144_df1c;
/// Bytes of the longest IPv4 header, UDP header and BTH.
const MAX_HEADERS: usize = ipv4::MAX_HEADER_LEN + udp::HEADER_LEN + Bth::LEN;

/// An ICRC in the making, with the headers in it.
#[derive(Clone, Debug)]
pub struct Icrc(crc32fast::Hasher);

impl Icrc {
    /// Begins with the headers, masked: `ip` is the IP header (an IPv4 one with its options, or an
    /// IPv6 one without extension headers), `udp` and `bth` are the headers behind. `None` if `ip`
    /// is neither.
    #[must_use]
    pub fn begin(ip: &[u8], udp: &[u8; udp::HEADER_LEN], bth: &[u8; Bth::LEN]) -> Option<Self> {
        let mut headers = ArrayVec::<u8, MAX_HEADERS>::new();
        headers.try_extend_from_slice(ip).ok()?;
        mask_ip(&mut headers)?;
        let [s0, s1, d0, d1, l0, l1, _, _] = *udp;
        headers.try_extend_from_slice(&[s0, s1, d0, d1, l0, l1, 0xff, 0xff]).ok()?;
        let mut bth = *bth;
        // FECN, BECN and the reserved bits beside them.
        bth[4] = 0xff;
        headers.try_extend_from_slice(&bth).ok()?;
        let mut crc = crc32fast::Hasher::new_with_initial(START);
        crc.update(&headers);
        Some(Self(crc))
    }

    /// Takes in what is behind, piece by piece.
    #[inline]
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The ICRC of what was taken in: all of the datagram but the ICRC itself.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }

    /// Whether the ICRC is right, after all of the datagram was taken in, the ICRC itself included.
    #[must_use]
    pub fn is_right(self) -> bool {
        self.0.finalize() == RESIDUE
    }
}

/// Sets the fields of an IP header that change on the way to ones.
fn mask_ip(header: &mut [u8]) -> Option<()> {
    let version = header.first()? >> 4;
    let masked: &[usize] = match (version, header.len()) {
        // Type of service, time to live, header checksum.
        (4, ipv4::MIN_HEADER_LEN..=ipv4::MAX_HEADER_LEN) => &[1, 8, 10, 11],
        // Traffic class and flow label, hop limit; the first byte keeps the version.
        (6, ipv6::HEADER_LEN) => {
            *header.first_mut()? |= 0x0f;
            &[1, 2, 3, 7]
        }
        _ => return None,
    };
    for at in masked {
        *header.get_mut(*at)? = 0xff;
    }
    Some(())
}

/// Whether a packet's ICRC is right. `packet` is the IP packet in segments of any length, from its
/// first byte to the last one of the UDP datagram, ICRC included; all headers to the BTH lie in the
/// first segment, and `ip_len` bytes are the IP header's. `None` if they do not.
#[must_use]
pub fn verify<'a>(ip_len: usize, packet: impl IntoIterator<Item = &'a [u8]>) -> Option<bool> {
    let mut segments = packet.into_iter();
    let (mut crc, rest) = begin_packet(ip_len, segments.next()?)?;
    crc.update(rest);
    segments.for_each(|segment| crc.update(segment));
    Some(crc.is_right())
}

/// The ICRC of a packet: as [`verify`], without the ICRC at the end.
#[must_use]
pub fn compute<'a>(ip_len: usize, packet: impl IntoIterator<Item = &'a [u8]>) -> Option<u32> {
    let mut segments = packet.into_iter();
    let (mut crc, rest) = begin_packet(ip_len, segments.next()?)?;
    crc.update(rest);
    segments.for_each(|segment| crc.update(segment));
    Some(crc.finish())
}

/// Begins with the headers at the beginning of a packet; returns what is behind them, too.
fn begin_packet(ip_len: usize, packet: &[u8]) -> Option<(Icrc, &[u8])> {
    let (ip, rest) = packet.split_at_checked(ip_len)?;
    let (udp, rest) = rest.split_first_chunk()?;
    let (bth, rest) = rest.split_first_chunk()?;
    Some((Icrc::begin(ip, udp, bth)?, rest))
}

/// The ICRC after a change of covered bytes from `old` to `new`, behind which there are `behind`
/// more that it covers; the payload need not be touched. Of a change of what is masked there is
/// nothing to update. A wrong ICRC stays wrong. Time: O(length of the change + log `behind`).
///
/// The CRC is linear: that of a change is the remainder of the change's polynomial times
/// x^(8 * `behind`), and adds to what was there. Where one of `old` and `new` is longer, only the
/// beginning of it counts.
#[must_use]
pub fn update(icrc: u32, old: &[u8], new: &[u8], behind: usize) -> u32 {
    let change = old.iter().zip(new).fold(0u32, |remainder, (old, new)| {
        let mixed = remainder ^ u32::from(old ^ new);
        // Eight steps of the register: times x^8.
        remainder_of_byte(mixed)
    });
    icrc ^ multiply(change, x_to_the_bytes(behind))
}

/// The polynomial of the CRC, reflected: the highest bit is the coefficient of x^0.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// The polynomial 1, reflected.
const ONE: u32 = 1 << 31;

/// A register after a byte has been shifted out of it.
#[inline]
const fn remainder_of_byte(mut register: u32) -> u32 {
    let mut bit = 0;
    while bit < 8 {
        register = times_x(register);
        bit += 1;
    }
    register
}

/// A polynomial times x, modulo that of the CRC.
#[inline]
const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ (POLYNOMIAL & (a & 1).wrapping_neg())
}

/// The product of two polynomials, modulo that of the CRC.
#[inline]
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        product ^= b & (a >> bit & 1).wrapping_neg();
        b = times_x(b);
    }
    product
}

/// x^(8 * 2^i), modulo the polynomial of the CRC, for each i.
static POWERS: [u32; usize::BITS as usize] = {
    let mut powers = [0; usize::BITS as usize];
    let mut power = remainder_of_byte(ONE);
    let mut i = 0;
    while i < powers.len() {
        powers[i] = power;
        power = multiply(power, power);
        i += 1;
    }
    powers
};

/// x^(8 * `bytes`), modulo the polynomial of the CRC.
fn x_to_the_bytes(bytes: usize) -> u32 {
    let bit_is_set = |(i, _): &(usize, &u32)| bytes >> i & 1 == 1;
    POWERS
        .iter()
        .enumerate()
        .filter(bit_is_set)
        .fold(ONE, |product, (_, power)| multiply(product, *power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An acknowledgement over IPv4: IP packet with ICRC.
    const ACK: &str = "4502003010024000401116960a0200160a01000bc12312b7001c00001140ffff0000011100\
                       0001001f000001bdc686cc";
    /// The same over IPv6.
    const ACK6: &str = "60212345001c114020010db800020000000000000000002220010db8000100000000000000\
                        000011c12312b7001c00001140ffff00000111000007021f0000020072cbd8";
    /// A CNP that a ConnectX-4 Lx sent: BECN is set, and masked.
    const CNP: &str = "45c2003c718c4000401191610a0011010a001201000012b7002800008100ffff40000118000000\
                       000000000000000000000000000000000082fd002a";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |digit: u8| char::from(digit).to_digit(16).expect("hexadecimal") as u8;
        hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn packets_from_the_wire() {
        for (hex, ip_len, icrc) in
            [(ACK, 20, 0xcc86_c6bd), (ACK6, 40, 0xd8cb_7200), (CNP, 20, 0x2a00_fd82_u32)]
        {
            let mut packet = bytes(hex);
            assert_eq!(verify(ip_len, [packet.as_slice()]), Some(true));
            let (covered, last) = packet.split_last_chunk::<LEN>().expect("long enough");
            assert_eq!((u32::from_le_bytes(*last), compute(ip_len, [covered])), (icrc, Some(icrc)));
            *packet.last_mut().expect("not empty") ^= 1;
            assert_eq!(verify(ip_len, [packet.as_slice()]), Some(false));
        }
    }

    #[test]
    fn what_changes_on_the_way_is_not_covered() {
        let mut packet = bytes(ACK);
        packet[1] = 0xff; // type of service
        packet[8] -= 1; // time to live
        packet[10] ^= 0x55; // checksum
        packet[26] ^= 0x55; // UDP checksum
        packet[32] ^= 0xff; // FECN, BECN
        assert_eq!(verify(20, [packet.as_slice()]), Some(true));
        let mut packet = bytes(ACK6);
        (packet[0], packet[1], packet[3]) = (0x6a, 0x15, 0x77); // traffic class, flow label
        packet[7] -= 1; // hop limit
        assert_eq!(verify(40, [packet.as_slice()]), Some(true));
        packet[6] += 1;
        assert_eq!(verify(40, [packet.as_slice()]), Some(false));
    }

    #[test]
    fn headers_that_are_not_there() {
        let packet = bytes(ACK);
        assert_eq!(verify(20, []), None);
        assert_eq!(verify(20, [&packet[..39]]), None);
        assert_eq!(verify(24, [packet.as_slice()]), Some(false), "a header with an option");
        assert_eq!(verify(19, [packet.as_slice()]), None);
        assert_eq!(verify(0, [packet.as_slice()]), None);
    }

    #[test]
    fn a_new_source_port() {
        let (old, new) = (0xc123_u16.to_be_bytes(), 0xf00d_u16.to_be_bytes());
        assert_eq!(x_to_the_bytes(22), 0x9a11_d850);
        assert_eq!(update(0xcc86_c6bd, &old, &new, 22), 0x2388_1f19);
    }

    proptest! {
        #[test]
        fn an_update_equals_a_new_computation(
            mut payload in prop::collection::vec(any::<u8>(), 1..4200),
            new in prop::collection::vec(any::<u8>(), 1..20),
            at in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let headers = bytes(ACK)[..40].to_vec();
            let before = compute(20, [headers.as_slice(), &payload]).expect("headers are there");
            let at = at.index(payload.len());
            let changed = new.len().min(payload.len() - at);
            let old = payload[at..at + changed].to_vec();
            payload[at..at + changed].copy_from_slice(&new[..changed]);
            let behind = payload.len() - at - changed;
            let (first, second) = payload.split_at(cut.index(payload.len()));
            let after = compute(20, [headers.as_slice(), first, second]);
            prop_assert_eq!(Some(update(before, &old, &new, behind)), after);
        }

        #[test]
        fn a_header_update_does_not_touch_the_payload(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            psn in any::<[u8; 3]>(),
        ) {
            let mut packet = bytes(ACK)[..40].to_vec();
            packet.extend(&payload);
            let before = compute(20, [packet.as_slice()]).expect("headers are there");
            let old = packet[37..40].to_vec();
            packet[37..40].copy_from_slice(&psn);
            let updated = update(before, &old, &psn, payload.len());
            packet.extend(updated.to_le_bytes());
            prop_assert_eq!(verify(20, [packet.as_slice()]), Some(true));
        }
    }
}
