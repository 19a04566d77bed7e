//! Pauses of hosts as the command line writes them: `b,priority=3,from=10ms,for=50ms`.

use std::fmt;
use std::str::FromStr;

use config::units::Span;
use dataplane::time::Nanos;

use crate::restart::SITES;

/// The priority of all that the lab's hosts send and receive: RDMA's, as most networks have it.
pub const PRIORITY: u8 = 3;

/// A host that takes in nothing for a while, and says so by priority flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Its site: 0 is A, 1 is B.
    pub side: usize,
    /// The priority that it pauses, 0 to 7. What the other one sends has [`PRIORITY`].
    pub priority: u8,
    /// When, counted from the start of the play.
    pub from: Nanos,
    /// For how long.
    pub span: Nanos,
}

/// A pause that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\": {1}")]
pub struct PauseError(String, String);

impl FromStr for Pause {
    type Err = PauseError;

    /// `SITE,KEY=VALUE..` with the keys priority (without it 3), from and for.
    fn from_str(text: &str) -> Result<Self, PauseError> {
        let fail = |what: String| PauseError(text.escape_debug().to_string(), what);
        let mut parts = text.split(',').map(str::trim);
        let site = parts.next().and_then(|site| SITES.iter().position(|known| *known == site));
        let side = site.ok_or_else(|| fail("begin with the site, a or b".into()))?;
        let mut pause = Self { side, priority: PRIORITY, from: 0, span: 0 };
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| fail(format!("\"{part}\" is no KEY=VALUE")))?;
            let span = || value.parse().map(|Span(span)| span).map_err(|error| format!("{error}"));
            let known = match key {
                "priority" => set_priority(&mut pause, value),
                "from" => span().map(|from| pause.from = from),
                "for" => span().map(|span| pause.span = span),
                _ => Err("not known; there are priority, from, for".into()),
            };
            known.map_err(|what| fail(format!("{key}: {what}")))?;
        }
        match pause.span {
            0 => Err(fail("say for how long, as for=50ms".into())),
            _ => Ok(pause),
        }
    }
}

fn set_priority(pause: &mut Pause, value: &str) -> Result<(), String> {
    let priority = value.parse().ok().filter(|priority| *priority <= 7);
    pause.priority = priority.ok_or("write a number up to 7")?;
    Ok(())
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, priority, from, span } = *self;
        let site = SITES.get(side).copied().unwrap_or_default();
        write!(f, "{site},priority={priority},from={},for={}", Span(from), Span(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let pause = Pause { side: 1, priority: 3, from: 10_000_000, span: 50_000_000 };
        assert_eq!("b,priority=3,from=10ms,for=50ms".parse(), Ok(pause));
        assert_eq!(pause.to_string(), "b,priority=3,from=10ms,for=50ms");
        assert_eq!("b,for=50ms".parse(), Ok(Pause { from: 0, ..pause }));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, why) in [
            ("", "begin with the site, a or b"),
            ("c,for=1s", "begin with the site"),
            ("a", "as for=50ms"),
            ("a,for", "\"for\" is no KEY=VALUE"),
            ("a,for=5", "has no unit"),
            ("a,priority=8", "priority: write a number up to 7"),
            ("a,until=1s", "until: not known"),
        ] {
            let error = text.parse::<Pause>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
