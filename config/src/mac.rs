//! Ethernet addresses: `02:00:00:00:00:01`.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;
use crate::units::ValueError;

/// An Ethernet address (IEEE 802, clause 8), in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it names one station: neither a group (the first byte's lowest bit) nor all zeros.
    #[must_use]
    pub fn is_station(&self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = ValueError;

    /// Six bytes of two hex digits each, separated by `:` or all by `-`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError {
            what: format!("{} is not an Ethernet address", quoted(text)),
            remedy: "write six bytes of two hex digits, as in \"02:00:00:00:00:01\"".into(),
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(error)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_are_read_and_the_colon_is_written() {
        let mac = Mac([0x02, 0, 0, 0, 0xAB, 0x0C]);
        assert_eq!("02:00:00:00:ab:0C".parse(), Ok(mac));
        assert_eq!("02-00-00-00-ab-0c".parse(), Ok(mac));
        assert_eq!(mac.to_string(), "02:00:00:00:ab:0c");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "02:00:00:00:00:0g",
            "2:0:0:0:0:1",
            "02:00-00:00:00:01",
            "+2:00:00:00:00:01",
            "02:00:00:00:00:é",
        ] {
            assert!(text.parse::<Mac>().unwrap_err().remedy.contains("02:00:00:00:00:01"));
        }
    }

    #[test]
    fn groups_and_zero_are_no_station() {
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_station());
        assert!(!Mac([0xFF; 6]).is_station());
        assert!(!Mac([1, 0, 0x5E, 0, 0, 1]).is_station());
        assert!(!Mac([0; 6]).is_station());
    }
}
