//! What networks do with several paths when nobody looks after them: each 5-tuple goes by one of
//! them, whatever that carries, as a hash says (equal-cost multipath, RFC 2992).

use std::net::IpAddr;

use crc32fast::Hasher;
use pipelines::wire::packet::{Class, Parsed};

/// The path, of so many, that a frame goes by: the same one for every frame of a 5-tuple. What has
/// no ports goes by its addresses and protocol, what is not IP by the first path. CRC-32, as in
/// many switches; every path is as likely as any other.
pub(crate) fn path_of(frame: &[u8], paths: usize) -> usize {
    let parsed = Parsed::of(frame, frame.len());
    let Some((ip, (source, destination))) =
        parsed.ip().and_then(|ip| ip.addresses(frame).map(|ends| (ip, ends)))
    else {
        return 0;
    };
    let mut hash = Hasher::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => hash.update(&address.octets()),
            IpAddr::V6(address) => hash.update(&address.octets()),
        }
    }
    hash.update(&[ip.protocol]);
    // Of TCP and UDP the payload begins with the ports, but in all fragments but the first.
    if matches!(ip.protocol, 6 | 17) && !matches!(parsed.class, Class::Fragment(_)) {
        let at = ip.payload_at();
        hash.update(frame.get(at..at + 4).unwrap_or_default());
    }
    hash.finalize() as usize % paths.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet from a port, with some payload.
    fn frame(source_port: u16, payload: u8) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 36, 0, payload, 0x40, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(source_port.to_be_bytes());
        frame.extend([0x12, 0xb7, 0, 16, 0, 0]);
        frame.extend([payload; 8]);
        frame
    }

    #[test]
    fn a_5_tuple_has_one_path_and_many_have_all() {
        for port in 0xc000..0xc040 {
            let paths = (0..9).map(|payload| path_of(&frame(port, payload), 4));
            assert!(paths.clone().all(|path| path == path_of(&frame(port, 0), 4)), "{port:#x}");
        }
        let mut found = [0; 4];
        (0xc000..0xc400).for_each(|port| found[path_of(&frame(port, 0), 4)] += 1);
        assert!(found.iter().all(|count| (200..320).contains(count)), "{found:?}");
    }

    #[test]
    fn what_is_not_ip_has_a_path_too() {
        assert_eq!(path_of(&[], 4), 0);
        assert_eq!(path_of(&[2; 60], 4), 0);
        assert_eq!(path_of(&frame(1, 1), 0), 0);
    }
}
