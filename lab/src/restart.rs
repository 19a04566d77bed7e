//! Restarts of gateways as the command line writes them: `a@200ms`.

use std::fmt;
use std::str::FromStr;

use config::units::Span;
use dataplane::time::Nanos;

/// A gateway forgets everything at once, as one that fails and is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Its site: 0 is A, 1 is B.
    pub side: usize,
    /// When, counted from the start of the play.
    pub at: Nanos,
}

/// A restart that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\": {1}")]
pub struct RestartError(String, String);

/// The sites, by the names they are given by.
pub(crate) const SITES: [&str; 2] = ["a", "b"];

impl FromStr for Restart {
    type Err = RestartError;

    /// `SITE@TIME`: `a@200ms`.
    fn from_str(text: &str) -> Result<Self, RestartError> {
        let fail = |what: String| RestartError(text.escape_debug().to_string(), what);
        let site_and_time = text.split_once('@').and_then(|(site, time)| {
            Some((SITES.iter().position(|known| *known == site.trim())?, time))
        });
        let Some((side, time)) = site_and_time else {
            return Err(fail("say which gateway and when, as a@200ms".into()));
        };
        let Span(at) = time.parse().map_err(|error| fail(format!("{error}")))?;
        Ok(Self { side, at })
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = SITES.get(self.side).copied().unwrap_or_default();
        write!(f, "{site}@{}", Span(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (text, side, at) in [("a@200ms", 0, 200_000_000), ("b@1us", 1, 1_000), ("a@0ns", 0, 0)]
        {
            assert_eq!(text.parse(), Ok(Restart { side, at }));
            assert_eq!(Restart { side, at }.to_string(), text);
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, why) in [
            ("", "\"\": say which gateway and when, as a@200ms"),
            ("c@1s", "\"c@1s\": say which gateway"),
            ("a", "as a@200ms"),
            ("a@", "is not a time"),
            ("b@5", "has no unit"),
        ] {
            let error = text.parse::<Restart>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
