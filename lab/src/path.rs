//! WAN paths as the command line writes them: `wan1,rate=10G,delay=2.5ms,loss=1e-3,burst=5`.

use std::ops::Range;
use std::str::FromStr;

use config::units::{Rate, Span, ValueError};
use dataplane::time::Nanos;

use crate::link::Impairments;
use crate::scenario::PathScenario;
use crate::way::Way;

/// The longest delay: a minute. What is longer is a slip of the keyboard.
const MAX_DELAY: Nanos = 60_000_000_000;

/// What a path's text may say.
const KEYS: [&str; 11] = [
    "rate",
    "delay",
    "loss",
    "burst",
    "reorder",
    "duplicate",
    "corrupt",
    "bfd",
    "srv6",
    "srv6_red",
    "down",
];

/// A path that cannot be understood, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path \"{path}\": {what}")]
pub struct PathError {
    path: String,
    what: String,
}

impl FromStr for PathScenario {
    type Err = PathError;

    /// `NAME[,KEY=VALUE]..` with the keys rate, delay, loss, burst, reorder, duplicate, corrupt,
    /// bfd, srv6 or srv6_red, and down; only `down=START..END` may be said more than once.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let fail = |what: String| PathError { path: text.escape_debug().to_string(), what };
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().trim();
        if name.is_empty() || name.contains('=') {
            return Err(fail("begin with a name, as in \"wan1,delay=5ms\"".into()));
        }
        let mut path = Self { name: name.to_owned(), ..Self::default() };
        let mut seen: Vec<&str> = Vec::new();
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(fail(format!("\"{part}\" is no KEY=VALUE")));
            };
            let (key, value) = (key.trim(), value.trim());
            if key != "down" && seen.contains(&key) {
                return Err(fail(format!("{key} is said twice")));
            }
            seen.push(key);
            if !KEYS.contains(&key) {
                return Err(fail(format!("{key}: not known; there are {}", KEYS.join(", "))));
            }
            set(&mut path, key, value).map_err(|error| fail(format!("{key}: {error}")))?;
        }
        check(&path.does).map_err(|(key, error)| fail(format!("{key}: {error}")))?;
        Ok(path)
    }
}

/// Sets what `key` says; the error is what is wrong with the value.
pub(crate) fn set(path: &mut PathScenario, key: &str, value: &str) -> Result<(), ValueError> {
    let impairments = &mut path.does;
    match key {
        "rate" => impairments.rate = Some(rate(value)?),
        "delay" => impairments.delay = delay(value)?,
        "loss" => impairments.loss = probability(value)?,
        "burst" => impairments.burst = Some(number(value)?),
        "reorder" => impairments.reorder = probability(value)?,
        "duplicate" => impairments.duplicate = probability(value)?,
        "corrupt" => impairments.corrupt = probability(value)?,
        "bfd" => path.bfd = Some(interval(value)?),
        "srv6" | "srv6_red" => {
            if path.srv6.is_some() {
                return Err(wrong(value, "is a second way", "write srv6 or srv6_red"));
            }
            path.srv6 = Some(Way::read(value, key == "srv6_red")?);
        }
        "down" => impairments.down.push(outage(value)?),
        _ => return Err(wrong(key, "is not known", format!("there are {}", KEYS.join(", ")))),
    }
    Ok(())
}

/// What no single value shows; the error is about the key that is named.
pub(crate) fn check(impairments: &Impairments) -> Result<(), (&'static str, ValueError)> {
    let Some(burst) = impairments.burst else { return Ok(()) };
    if burst < 1.0 {
        let what = format!("{burst} is less than 1");
        let remedy = "at least 1, the mean number of frames lost in a row".into();
        return Err(("burst", ValueError { what, remedy }));
    }
    // At least one frame passes between two bursts.
    let most = burst / (burst + 1.0);
    if impairments.loss > most && impairments.loss < 1.0 {
        let what = format!("with burst={burst}, the mean loss is at most {most:.3}");
        return Err(("loss", ValueError { what, remedy: "make bursts longer".into() }));
    }
    Ok(())
}

fn wrong(value: &str, what: &str, remedy: impl Into<String>) -> ValueError {
    let what = format!("\"{}\" {what}", value.escape_debug());
    ValueError { what, remedy: remedy.into() }
}

fn rate(value: &str) -> Result<u64, ValueError> {
    let Rate(rate) = value.parse()?;
    if rate == 0 {
        return Err(wrong(value, "carries nothing", "leave the rate out for no limit"));
    }
    Ok(rate)
}

fn delay(value: &str) -> Result<Nanos, ValueError> {
    let delay = span(value)?;
    if delay > MAX_DELAY {
        return Err(wrong(
            value,
            &format!("is longer than {}", Span(MAX_DELAY)),
            "write a shorter one",
        ));
    }
    Ok(delay)
}

/// The time between two packets of BFD.
fn interval(value: &str) -> Result<Nanos, ValueError> {
    let interval = span(value)?;
    if !(1_000_000..=10_000_000_000).contains(&interval) {
        return Err(wrong(value, "is no time between packets of BFD", "from 1ms to 10s"));
    }
    Ok(interval)
}

fn span(value: &str) -> Result<Nanos, ValueError> {
    // Zero needs no unit.
    if value == "0" {
        return Ok(0);
    }
    value.parse().map(|Span(span)| span)
}

fn number(value: &str) -> Result<f64, ValueError> {
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| wrong(value, "is not a number", "write one, as 0.001 or 1e-3"))
}

fn probability(value: &str) -> Result<f64, ValueError> {
    let number = number(value)?;
    if !(0.0..=1.0).contains(&number) {
        return Err(wrong(value, "is not a probability", "from 0 to 1"));
    }
    Ok(number)
}

/// `START..END`.
pub(crate) fn outage(value: &str) -> Result<Range<Nanos>, ValueError> {
    let Some((start, end)) = value.split_once("..") else {
        let remedy = "write START..END, counted from the start of the play, as 1s..1.2s";
        return Err(wrong(value, "is no time with an end", remedy));
    };
    let range = span(start)?..span(end)?;
    if range.is_empty() {
        return Err(wrong(value, "ends before it starts", "write the earlier time first"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<PathScenario>().unwrap_err().to_string()
    }

    #[test]
    fn all_that_can_be_said_is_understood() {
        let text = "wan1,rate=10G,delay=2.5ms,loss=1e-3,burst=5,reorder=0.01,duplicate=0.02,\
                    corrupt=0.03,down=1s..1.2s,down=0..1us";
        let path: PathScenario = text.parse().unwrap();
        assert_eq!(path.name, "wan1");
        let expected = Impairments {
            rate: Some(10_000_000_000),
            delay: 2_500_000,
            loss: 0.001,
            burst: Some(5.0),
            reorder: 0.01,
            duplicate: 0.02,
            corrupt: 0.03,
            down: vec![1_000_000_000..1_200_000_000, 0..1_000],
        };
        assert_eq!(path.does, expected);
        assert_eq!("p".parse::<PathScenario>().unwrap().does, Impairments::default());
    }

    #[test]
    fn errors_name_the_path_and_the_value() {
        assert!(error("").contains("begin with a name"));
        assert!(error("delay=5ms").contains("begin with a name"));
        assert!(error("p,fast").contains("\"fast\" is no KEY=VALUE"));
        assert!(error("p,los=1").starts_with("path \"p,los=1\": los: not known; there are rate"));
        assert!(error("p,loss=1,loss=1").contains("loss is said twice"));
        assert!(error("p,loss=1.5").contains("not a probability"));
        assert!(error("p,loss=NaN").contains("not a number"));
        assert!(error("p,rate=0bps").contains("carries nothing"));
        assert!(error("p,delay=5").contains("has no unit"));
        assert!(error("p,delay=2h").contains("longer than 1m"));
        assert!(error("p,srv6=direct,srv6_red=direct").contains("a second way"));
        assert!(error("p,srv6=x").starts_with("path \"p,srv6=x\": srv6: \"x\" is no IPv6"));
        assert!(error("p,down=2s").contains("START..END"));
        assert!(error("p,down=2s..1s").contains("ends before it starts"));
        assert!(error("p,loss=0.1,burst=0.5").contains("at least 1"));
        assert!(error("p,loss=0.9,burst=2").contains("at most 0.667"));
    }
}
