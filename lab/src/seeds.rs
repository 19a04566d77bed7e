//! Seeds as the command line writes them: `7`, or `1..20`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use config::units::ValueError;

/// Seeds, the last included; never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    first: u64,
    last: u64,
}

impl Seeds {
    /// A single one.
    #[must_use]
    pub const fn one(seed: u64) -> Self {
        Self { first: seed, last: seed }
    }

    /// The first one.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// Whether there is only one.
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.first == self.last
    }

    /// All of them.
    #[must_use]
    pub const fn all(self) -> RangeInclusive<u64> {
        self.first..=self.last
    }
}

impl FromStr for Seeds {
    type Err = ValueError;

    /// `N` or `A..B`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = |part: &str| {
            part.parse::<u64>().map_err(|_| ValueError {
                what: format!("\"{}\"", part.escape_debug()),
                remedy: "write a number, as 7, or a range, as 1..20".into(),
            })
        };
        let (first, last) = match text.split_once("..") {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            let what = format!("\"{}\" ends before it begins", text.escape_debug());
            return Err(ValueError { what, remedy: format!("write {last}..{first}") });
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Seeds {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_one() {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}..{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!("7".parse(), Ok(Seeds::one(7)));
        assert_eq!("1..20".parse(), Ok(Seeds { first: 1, last: 20 }));
        for wrong in ["", "x", "1..", "-1", "1..2..3"] {
            let error = wrong.parse::<Seeds>().unwrap_err().to_string();
            assert!(error.contains("as 1..20"), "{error}");
        }
        let error = "5..2".parse::<Seeds>().unwrap_err().to_string();
        assert!(error.contains("write 2..5"), "{error}");
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["7", "1..20"] {
            assert_eq!(text.parse::<Seeds>().unwrap().to_string(), text);
        }
        assert!(Seeds::one(3).all().eq([3]));
    }
}
