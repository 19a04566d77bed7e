//! Ranges of IP addresses in CIDR notation (RFC 4632, RFC 4291 section 2.3): `10.20.0.0/16`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::units::ValueError;

/// The addresses that agree with a network address in its first bits. The bits behind those are
/// zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The network address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The last address of the range.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let length = u32::from(self.length);
        match self.address {
            IpAddr::V4(address) => {
                let rest = u32::MAX.checked_shr(length).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() | rest).into()
            }
            IpAddr::V6(address) => {
                let rest = u128::MAX.checked_shr(length).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() | rest).into()
            }
        }
    }

    /// Bits that count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` lies in the range. An address of the other family never does.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && network(address, self.length) == self.address
    }

    /// Whether some address lies in both ranges. CIDR ranges nest: one then holds the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.length <= other.length {
            self.contains(other.address)
        } else {
            other.contains(self.address)
        }
    }
}

/// `address` with the bits behind the first `length` cleared.
fn network(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl FromStr for Prefix {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let shown = quoted(text);
        let Some((address, length)) = text.split_once('/') else {
            return Err(match text.parse::<IpAddr>() {
                Ok(address) => ValueError {
                    what: format!("{shown} has no prefix length"),
                    remedy: format!(
                        "write \"{address}/{}\" for this one address",
                        if address.is_ipv4() { 32 } else { 128 }
                    ),
                },
                Err(_) => not_a_prefix(text),
            });
        };
        let address: IpAddr = address.parse().map_err(|_| not_a_prefix(text))?;
        let (family, longest) = if address.is_ipv4() { ("IPv4", 32) } else { ("IPv6", 128) };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = match length.parse::<u8>() {
            Ok(length) if digits && length <= longest => length,
            _ => {
                return Err(ValueError {
                    what: format!("{shown} has no valid prefix length"),
                    remedy: format!("an {family} prefix length is 0 to {longest}"),
                });
            }
        };
        let network = network(address, length);
        if network != address {
            return Err(ValueError {
                what: format!("{shown} has bits set behind its first {length}"),
                remedy: format!("the network is \"{network}/{length}\""),
            });
        }
        Ok(Self { address, length })
    }
}

fn not_a_prefix(text: &str) -> ValueError {
    ValueError {
        what: format!("{} is not an IP prefix", quoted(text)),
        remedy: "write a network and its length, as in \"10.20.0.0/16\" or \"2001:db8:20::/48\""
            .into(),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_holds_its_addresses_only() {
        let site = prefix("10.20.0.0/16");
        assert!(site.contains("10.20.255.255".parse().unwrap()));
        assert!(!site.contains("10.21.0.0".parse().unwrap()));
        assert!(!site.contains("::ffff:10.20.0.1".parse().unwrap()));
        assert!(prefix("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(!prefix("::/0").contains("1.2.3.4".parse().unwrap()));
        assert!(prefix("2001:db8::1/128").contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        assert!(prefix("10.0.0.0/8").overlaps(&prefix("10.20.0.0/16")));
        assert!(prefix("10.20.0.0/16").overlaps(&prefix("10.0.0.0/8")));
        assert!(!prefix("10.20.0.0/16").overlaps(&prefix("10.21.0.0/16")));
        assert!(!prefix("0.0.0.0/0").overlaps(&prefix("::/0")));
    }

    #[test]
    fn the_last_address_is_the_last_that_it_holds() {
        for (range, last) in [
            ("10.20.0.0/16", "10.20.255.255"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("2001:db8::/127", "2001:db8::1"),
        ] {
            assert_eq!(prefix(range).last(), last.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let wrong = |text: &str| text.parse::<Prefix>().unwrap_err();
        assert_eq!(wrong("10.20.0.1/16").remedy, "the network is \"10.20.0.0/16\"");
        assert_eq!(wrong("2001:db8::1/32").remedy, "the network is \"2001:db8::/32\"");
        assert_eq!(wrong("10.20.0.1").remedy, "write \"10.20.0.1/32\" for this one address");
        assert_eq!(wrong("10.0.0.0/33").remedy, "an IPv4 prefix length is 0 to 32");
        assert_eq!(wrong("10.0.0.0/+8").remedy, "an IPv4 prefix length is 0 to 32");
        assert_eq!(wrong("::/").remedy, "an IPv6 prefix length is 0 to 128");
        for text in ["", "/", "site/8", "10.20/16"] {
            assert_eq!(wrong(text), not_a_prefix(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(bits: u128, length in 0_u8..=128) {
            let six = Prefix { address: network(Ipv6Addr::from_bits(bits).into(), length), length };
            prop_assert_eq!(six.to_string().parse(), Ok(six));
            let length = length / 4;
            let four = Ipv4Addr::from_bits(bits as u32).into();
            let four = Prefix { address: network(four, length), length };
            prop_assert_eq!(four.to_string().parse(), Ok(four));
        }
    }
}
