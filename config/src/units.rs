//! Quantities with units: `100Gbps`, `2.5ms`, `1GiB`.
//!
//! Arithmetic is exact: a value is a whole number of bits a second, bytes or nanoseconds, or it is
//! refused. `Display` writes the largest unit that divides the value, so what it writes parses back
//! to the same value.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::quoted;

/// A data rate in bits a second. Units `bps`, `Kbps`, `Mbps`, `Gbps`, `Tbps` (powers of 1000),
/// short `K`, `M`, `G`, `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// An amount of memory in bytes. Units `B`, `KiB`, `MiB`, `GiB` (powers of 1024), `KB`, `MB`, `GB`
/// (powers of 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A span of time in nanoseconds. Units `ns`, `us` or `µs`, `ms`, `s`, `m` (minutes), `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

/// A text that is no value of the type it was read as: what is wrong with it, and what would be
/// right. Prefixes and Ethernet addresses have it too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {remedy}")]
pub struct ValueError {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// A kind of quantity: how messages speak of it, and its units by falling size. Where two names
/// have one size, the first is written.
struct Kind {
    name: &'static str,
    example: &'static str,
    smallest: &'static str,
    units: &'static [(&'static str, u64)],
}

const RATE: Kind = Kind {
    name: "data rate",
    example: "100Gbps",
    smallest: "bit a second",
    units: &[
        ("Tbps", 1_000_000_000_000),
        ("Gbps", 1_000_000_000),
        ("Mbps", 1_000_000),
        ("Kbps", 1_000),
        ("bps", 1),
        ("T", 1_000_000_000_000),
        ("G", 1_000_000_000),
        ("M", 1_000_000),
        ("K", 1_000),
    ],
};

const BYTES: Kind = Kind {
    name: "amount of memory",
    example: "256MiB",
    smallest: "byte",
    units: &[
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("KB", 1_000),
        ("B", 1),
    ],
};

const SPAN: Kind = Kind {
    name: "time",
    example: "10ms",
    smallest: "nanosecond",
    units: &[
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("µs", 1_000), // U+00B5, the micro sign
        ("μs", 1_000), // U+03BC, the Greek letter
    ],
};

/// Digits after the point that are read: more would overflow the arithmetic, and mean nothing.
const MAX_DECIMALS: usize = 18;

impl Kind {
    fn error(&self, what: String) -> ValueError {
        ValueError {
            what,
            remedy: format!("write a number and a unit, as in \"{}\"", self.example),
        }
    }

    fn parse(&self, text: &str) -> Result<u64, ValueError> {
        let trimmed = text.trim();
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let end = trimmed.find(|c| !is_number(c)).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let shown = quoted(text);
        if trimmed.starts_with('-') {
            return Err(self.error(format!("{shown} is negative")));
        }
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || decimals.is_empty() || decimals.contains('.') {
            return Err(self.error(format!("{shown} is not a {}", self.name)));
        }
        let scale = self.scale(unit.trim_start(), number)?;
        self.value(whole, decimals.trim_end_matches('0'), scale).map_err(|what| ValueError {
            what: format!("{shown} {what}"),
            remedy: format!("write a whole number of {}s, below 2^64 of them", self.smallest),
        })
    }

    /// The size of a unit; `number` is what stands before it, for the remedy.
    fn scale(&self, unit: &str, number: &str) -> Result<u64, ValueError> {
        if let Some((_, scale)) = self.units.iter().find(|(name, _)| *name == unit) {
            return Ok(*scale);
        }
        if unit.is_empty() {
            return Err(self.error(format!("{} has no unit", quoted(number))));
        }
        let what = format!("unknown unit {}", quoted(unit));
        let similar = self.units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let remedy = match similar {
            Some((name, _)) => format!("did you mean {}?", quoted(&format!("{number}{name}"))),
            None => {
                let names: Vec<_> = self.units.iter().map(|(name, _)| *name).collect();
                format!("units are {}", names.join(", "))
            }
        };
        Err(ValueError { what, remedy })
    }

    /// `whole.decimals` times `scale`; both are digits only.
    fn value(&self, whole: &str, decimals: &str, scale: u64) -> Result<u64, String> {
        let finer = || format!("is finer than one {}", self.smallest);
        if decimals.len() > MAX_DECIMALS {
            return Err(finer());
        }
        let too_large = || "is too large".to_string();
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        let numerator: u64 = if decimals.is_empty() { 0 } else { decimals.parse().unwrap_or(0) };
        let denominator = 10_u128.pow(decimals.len() as u32);
        let scaled = u128::from(numerator) * u128::from(scale);
        if scaled % denominator != 0 {
            return Err(finer());
        }
        let value = u128::from(whole) * u128::from(scale) + scaled / denominator;
        u64::try_from(value).map_err(|_| too_large())
    }

    fn write(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.units.iter().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
        let smallest = || self.units.iter().find(|(_, scale)| *scale == 1);
        let (name, scale) = unit.or_else(smallest).copied().unwrap_or(("", 1));
        f.pad(&format!("{}{name}", value / scale))
    }
}

/// `FromStr` and `Display` by the kind's units.
macro_rules! quantity {
    ($name:ident, $kind:expr) => {
        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                $kind.parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $kind.write(self.0, f)
            }
        }
    };
}

quantity!(Rate, RATE);
quantity!(Bytes, BYTES);
quantity!(Span, SPAN);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_exact() {
        assert_eq!("2.5ms".parse(), Ok(Span(2_500_000)));
        assert_eq!("0.1s".parse(), Ok(Span(100_000_000)));
        assert_eq!("0.3us".parse(), Ok(Span(300)));
        assert_eq!(" 1.5 h ".parse(), Ok(Span(5_400_000_000_000)));
        assert_eq!("7µs".parse(), Ok(Span(7_000)));
        assert_eq!("7μs".parse(), Ok(Span(7_000)));
        assert_eq!("100Gbps".parse(), Ok(Rate(100_000_000_000)));
        assert_eq!("10G".parse(), Ok(Rate(10_000_000_000)));
        assert_eq!("1.0000bps".parse(), Ok(Rate(1)));
        assert_eq!("1GiB".parse(), Ok(Bytes(1 << 30)));
        assert_eq!("1GB".parse(), Ok(Bytes(1_000_000_000)));
        assert_eq!("18446744073709551615B".parse(), Ok(Bytes(u64::MAX)));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_would_be_right() {
        let wrong = |text: &str| text.parse::<Span>().unwrap_err().to_string();
        assert_eq!(wrong("5"), "\"5\" has no unit: write a number and a unit, as in \"10ms\"");
        assert_eq!(
            wrong("-5ms"),
            "\"-5ms\" is negative: write a number and a unit, as in \"10ms\""
        );
        assert_eq!(wrong("5MS"), "unknown unit \"MS\": did you mean \"5ms\"?");
        assert!(wrong("5days").starts_with("unknown unit \"days\": units are h, m, s, ms, us, ns"));
        assert!(wrong("0.5ns").starts_with("\"0.5ns\" is finer than one nanosecond"));
        assert!(wrong("1.0000000000000000001h").contains("finer than one nanosecond"));
        assert!(wrong("99999999999h").contains("too large"));
        assert!(wrong("18446744073709551616ns").contains("too large"));
        for text in ["", "ms", ".5ms", "5.ms", "1.2.3ms", "fast"] {
            assert!(wrong(text).contains("is not a time"), "{text}: {}", wrong(text));
        }
        let rate = "100gbps".parse::<Rate>().unwrap_err().to_string();
        assert_eq!(rate, "unknown unit \"gbps\": did you mean \"100Gbps\"?");
    }

    #[test]
    fn the_largest_unit_that_divides_is_written() {
        assert_eq!(Rate(100_000_000_000).to_string(), "100Gbps");
        assert_eq!(Rate(0).to_string(), "0bps");
        assert_eq!(Bytes(256 << 20).to_string(), "256MiB");
        assert_eq!(Bytes(2_304).to_string(), "2304B");
        assert_eq!(Span(2_500_000).to_string(), "2500us");
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(value: u64, small in 0_u64..100_000) {
            for value in [value, small, small.wrapping_mul(1_000_000)] {
                prop_assert_eq!(Rate(value).to_string().parse(), Ok(Rate(value)));
                prop_assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
                prop_assert_eq!(Span(value).to_string().parse(), Ok(Span(value)));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "-?[0-9]{0,25}\\.?[0-9]{0,25}[a-zA-Zµ]{0,4}") {
            for text in [text, near] {
                let results = (text.parse::<Rate>(), text.parse::<Bytes>(), text.parse::<Span>());
                // No text is a rate as well as a time: their units differ.
                prop_assert!(results.0.is_err() || results.2.is_err());
            }
        }
    }
}
