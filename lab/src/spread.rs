//! From when on gateways send a queue pair by several paths, as the command line writes it.

use std::fmt;
use std::str::FromStr;

use config::units::ValueError;

/// A queue pair that has more than so many thousandths of its path's capacity is sent by all paths,
/// in groups of packets; `None`: none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread(pub Option<u32>);

impl FromStr for Spread {
    type Err = ValueError;

    /// `off`, or a part from 0.001 to 1.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let part = text.parse::<f64>().ok().filter(|part| (0.001..=1.0).contains(part));
        part.map(|part| Self(Some((part * 1e3).round() as u32))).ok_or_else(|| ValueError {
            what: format!("\"{}\" is no part of a path", text.escape_debug()),
            remedy: "write 0.001 to 1, or off".into(),
        })
    }
}

impl fmt::Display for Spread {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(thousandths) => write!(f, "{}", f64::from(thousandths) / 1e3),
            None => write!(f, "off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["off", "0.5", "1", "0.001", "0.999"] {
            assert_eq!(text.parse::<Spread>().unwrap().to_string(), text);
        }
        assert_eq!("0.5".parse(), Ok(Spread(Some(500))));
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["0", "1.001", "-1", "on", "", "NaN"] {
            let error = text.parse::<Spread>().unwrap_err();
            assert!(error.what.contains(&format!("\"{text}\"")), "{error:?}");
            assert!(error.remedy.contains("off"), "{error:?}");
        }
    }
}
